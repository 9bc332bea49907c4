//! The form of the interface for Bun, of channels: see `bun.zig`. A channel is named by its number
//! within the open of the pool, as `xmem_bun_channel_open` returns it.

const std = @import("std");
const channels = @import("../process/channels.zig");
const description = @import("../protocol/pool/content.zig");
const descriptor = @import("../process/descriptor.zig");
const directory = @import("../protocol/channel/directory.zig");
const ends = @import("../protocol/channel/ends.zig");
const errors = @import("../errors.zig");
const holds = @import("../process/holds.zig");
const layout = @import("../format/layout.zig");
const messages = @import("../process/messages.zig");
const numbers = @import("numbers.zig");
const open_pool = @import("../process/open_pool.zig");
const participant_file = @import("../protocol/participant.zig");
const statistics = @import("../protocol/channel/statistics.zig");
const ring = @import("../protocol/channel/ring.zig");
const thaw = @import("../protocol/recovery/thaw.zig");
const wait_any = @import("../process/wait_any.zig");
const words = @import("../format/words.zig");
const hold_result = @import("hold_result.zig");

const Descriptor = descriptor.Descriptor;
const Error = errors.Error;
const OpenChannel = channels.OpenChannel;
const Patience = thaw.Patience;
const Pool = open_pool.Pool;
const refused = numbers.refused;
const toNs = numbers.toNs;

/// Where each option stands in the array that `xmem_bun_channel_open` takes; -1 there means not
/// given.
pub const Option = enum {
    CAPACITY,
    MODE,
    OVERFLOW,
    HISTORY,
    SUBSCRIBE,
    MAKE,
    /// Whether the channel is closed when this open leaves it.
    OWN,
    REDELIVER,
    MAX_DELIVERIES,
    /// Whether the name of a channel for dead letters is given.
    DEAD_LETTER,
};
const ChannelOptions = [std.meta.fields(Option).len]f64;

/// Where an event loop can wait at a channel.
pub const End = enum { SENDING, RECEIVING, CLOSING };

pub const Info = enum { NUMBER, CAPACITY, MODE, OVERFLOW, HISTORY, REDELIVER, MAX_DELIVERIES };

/// Added to the channel's number where a hold is sent that is a message. What does not redeliver is
/// sent by the number alone, at no cost.
pub const channel_message: u32 = 1 << 31;

/// Opens the channel of that name, or makes it. Returns the number by which this open of the pool
/// knows it.
pub export fn xmem_bun_channel_open(
    number: Descriptor,
    name: [*:0]const u8,
    options: *[std.meta.fields(Option).len]f64,
    dead_letter: [*:0]const u8,
) i32 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    if (holds.attend(pool)) |err| return refused(err);
    const asked = askedOf(options, std.mem.span(dead_letter)) catch |err| return refused(err);
    const made_number = channels.open(pool, std.mem.span(name), asked) catch |err|
        return refused(err);
    channels.at(pool, made_number).?.is_own = options[@intFromEnum(Option.OWN)] > 0;
    return @intCast(made_number);
}

fn askedOf(options: *const ChannelOptions, dead_letter: []const u8) Error!directory.Asked {
    const redeliver = try whole(options, .REDELIVER);
    return .{
        .redeliver = if (redeliver) |value| value != 0 else null,
        .max_deliveries = try whole(options, .MAX_DELIVERIES),
        .dead_letter = if (try whole(options, .DEAD_LETTER) == null) null else dead_letter,
        .capacity = try whole(options, .CAPACITY),
        .mode = try kind(words.ChannelMode, options, .MODE),
        .overflow = try kind(words.ChannelOverflow, options, .OVERFLOW),
        .history = try whole(options, .HISTORY),
        .subscribe = (try whole(options, .SUBSCRIBE) orelse 1) != 0,
        .make = (try whole(options, .MAKE) orelse 1) != 0,
    };
}

fn whole(options: *const ChannelOptions, comptime which: Option) Error!?u32 {
    const value = options[@intFromEnum(which)];
    if (value < 0) return null;
    return numbers.toUint32(value) orelse error.InvalidArgument;
}

fn kind(comptime Kind: type, options: *const ChannelOptions, comptime which: Option) Error!?Kind {
    const value = try whole(options, which) orelse return null;
    return std.enums.fromInt(Kind, value) orelse error.InvalidArgument;
}

/// Lets go of the channel; it goes on for the others.
pub export fn xmem_bun_channel_leave(number: Descriptor, channel: u32) void {
    const pool = descriptor.poolOf(number);
    if (holds.attend(pool) != null) return;
    channels.leave(pool, channel);
}

/// Lets go of all channels that the open has: it is about to be closed.
pub export fn xmem_bun_channel_leave_all(number: Descriptor) void {
    const pool = descriptor.poolOf(number);
    if (pool.mapping == null or pool.is_observer) return;
    channels.leaveAll(pool);
}

/// The channel, of an open pool that is not closed.
inline fn opened(pool: *Pool, channel: u32) Error!*OpenChannel {
    if (holds.attend(pool)) |err| return err;
    return channels.at(pool, channel) orelse error.ChannelClosed;
}

/// The same where nothing is uncommon.
inline fn openedStraight(pool: *Pool, channel: u32) ?*OpenChannel {
    return if (holds.needsAttention(pool)) null else channels.at(pool, channel);
}

/// What the channel was made as.
pub export fn xmem_bun_channel_info(
    number: Descriptor,
    channel: u32,
    out: *[std.meta.fields(Info).len]f64,
) i32 {
    const pool = descriptor.poolOf(number);
    const found = opened(pool, channel) catch |err| return numbers.refusedBare(err);
    for (std.enums.values(Info)) |field| {
        out[@intFromEnum(field)] = @floatFromInt(switch (field) {
            .NUMBER => found.channel.number,
            .CAPACITY => found.channel.capacity,
            .MODE => @intFromEnum(found.channel.mode),
            .OVERFLOW => @intFromEnum(found.channel.overflow),
            .HISTORY => found.channel.history,
            .REDELIVER => @intFromBool(found.channel.kind == .redelivering),
            .MAX_DELIVERIES => found.channel.max_deliveries,
        });
    }
    return 0;
}

/// For everybody: nothing is sent from now on.
pub export fn xmem_bun_channel_close(number: Descriptor, channel: u32) i32 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    const found = opened(pool, channel) catch |err| return refused(err);
    channels.close(pool, found) catch |err| return refused(err);
    return 0;
}

/// 0: it was closed, for everybody. CHANNEL_EMPTY: it was not.
pub export fn xmem_bun_channel_closed(number: Descriptor, channel: u32) i32 {
    const pool = descriptor.poolOf(number);
    const found = opened(pool, channel) catch |err| return numbers.refusedBare(err);
    if (ring.looksClosed(&found.channel)) return 0;
    // An event loop is told of the dead until somebody has recovered.
    _ = ends.lookForTheDead(&pool.participant.view);
    return numbers.refusedBare(error.ChannelEmpty);
}

inline fn handleOf(index: u32, generation: u32) u64 {
    return @bitCast(words.Handle{ .index = @truncate(index), .generation = @truncate(generation) });
}

/// 0: the channel has the buffer. 1: it was dropped, as the channel's overflow says. CHANNEL_FULL:
/// the hold stays.
pub export fn xmem_bun_channel_send(
    number: Descriptor,
    channel: u32,
    index: u32,
    generation: u32,
) i32 {
    const pool = descriptor.poolOf(number);
    const found = openedStraight(pool, channel) orelse
        return sendSlowly(pool, channel, index, generation);
    if (!channels.sendStraight(pool, found, index, @truncate(generation)))
        return sendSlowly(pool, channel, index, generation);
    return 0;
}

noinline fn sendSlowly(pool: *Pool, channel: u32, index: u32, generation: u32) i32 {
    const found = opened(pool, channel) catch
        return sendMessage(pool, channel, index, generation, .send);
    var patience: Patience = .untimed;
    const outcome = channels.send(pool, found, handleOf(index, generation), &patience) catch |err|
        return numbers.refusedBare(err);
    return @intFromBool(outcome == .dropped);
}

/// As `xmem_bun_channel_send`, but drops nothing.
pub export fn xmem_bun_channel_try_send(
    number: Descriptor,
    channel: u32,
    index: u32,
    generation: u32,
) i32 {
    const pool = descriptor.poolOf(number);
    const found = opened(pool, channel) catch
        return sendMessage(pool, channel, index, generation, .try_send);
    var patience: Patience = .untimed;
    channels.trySend(pool, found, handleOf(index, generation), &patience) catch |err|
        return numbers.refusedBare(err);
    return 0;
}

const How = enum { send, try_send };

/// A hold that is a message; see `channel_message`. Else there is no channel of that number.
noinline fn sendMessage(
    pool: *Pool,
    channel: u32,
    index: u32,
    generation: u32,
    how: How,
) i32 {
    @branchHint(.cold);
    errors.clear();
    const found = openedForMessage(pool, channel) catch |err| return refused(err);
    const handle = handleOf(index, generation);
    var patience: Patience = .untimed;
    if (how == .send) {
        const outcome = channels.sendMessage(pool, found, handle, &patience) catch |err|
            return refused(err);
        return @intFromBool(outcome == .dropped);
    }
    channels.trySendMessage(pool, found, handle, &patience) catch |err| return refused(err);
    return 0;
}

fn openedForMessage(pool: *Pool, channel: u32) Error!*OpenChannel {
    if (holds.attend(pool)) |err| return err;
    if (channel < channel_message) return error.ChannelClosed;
    return opened(pool, channel - channel_message);
}

/// For an event loop: as `xmem_bun_channel_try_send`, but never waits. PENDING while a recovery has
/// the pool. `is_first`: 1 where a wait begins with it.
pub export fn xmem_bun_channel_send_at_once(
    number: Descriptor,
    channel: u32,
    index: u32,
    generation: u32,
    is_first: u32,
) i32 {
    const pool = descriptor.poolOf(number);
    if (openedStraight(pool, channel)) |found| {
        if (channels.sendStraight(pool, found, index, @truncate(generation))) return 0;
    }
    return sendAtOnceSlowly(pool, channel, index, generation, is_first != 0);
}

noinline fn sendAtOnceSlowly(
    pool: *Pool,
    channel: u32,
    index: u32,
    generation: u32,
    is_first: bool,
) i32 {
    errors.clear();
    const handle = handleOf(index, generation);
    const found = opened(pool, channel) catch {
        const other = openedForMessage(pool, channel) catch |err| return refused(err);
        channels.sendMessageAtOnce(pool, other, handle) catch |err| return refused(err);
        return 0;
    };
    channels.sendAtOnce(pool, found, handle, is_first) catch |err|
        return refused(err);
    return 0;
}

/// A slice of a wait for room, which ends at `deadline_ms`. PENDING: call again.
pub export fn xmem_bun_channel_send_blocking(
    number: Descriptor,
    channel: u32,
    index: u32,
    generation: u32,
    deadline_ms: f64,
) i32 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    const handle = handleOf(index, generation);
    const found = opened(pool, channel) catch {
        const other = openedForMessage(pool, channel) catch |err| return refused(err);
        const deadline_ns = toNs(deadline_ms);
        channels.sendMessageSlice(pool, other, handle, deadline_ns) catch |err|
            return refused(err);
        return 0;
    };
    channels.sendSlice(pool, found, handle, toNs(deadline_ms)) catch |err| return refused(err);
    return 0;
}

/// The index of a buffer that this open holds now. CHANNEL_EMPTY: nothing is there.
/// CHANNEL_CLOSED: and nothing comes.
pub export fn xmem_bun_channel_receive(number: Descriptor, channel: u32) i32 {
    const pool = descriptor.poolOf(number);
    const found = openedStraight(pool, channel) orelse return receiveSlowly(pool, channel);
    if (channels.looksEmpty(found)) return errors.negative(error.ChannelEmpty);
    const received = channels.receiveStraight(pool, found) orelse
        return receiveSlowly(pool, channel);
    return told(pool, received);
}

inline fn told(pool: *Pool, received: channels.Straight) i32 {
    return if (received.is_told) @intCast(received.index) else receivedUntold(pool, received.index);
}

noinline fn receivedUntold(pool: *Pool, index: u32) i32 {
    const held = channels.adoptReceived(pool, index) catch |err| return numbers.refusedBare(err);
    return hold_result.note(pool, held);
}

noinline fn receiveSlowly(pool: *Pool, channel: u32) i32 {
    const found = opened(pool, channel) catch |err| return numbers.refusedBare(err);
    var patience: Patience = .untimed;
    const held = channels.receive(pool, found, &patience) catch |err|
        return numbers.refusedBare(err);
    return hold_result.note(pool, held);
}

/// The message that this open holds at an index below the capacity is done: its hold is an ordinary
/// one from now on, and its death brings nothing back.
pub export fn xmem_bun_message_done(number: Descriptor, index: u32) void {
    const pool = descriptor.poolOf(number);
    if (pool.mapping == null or pool.is_observer) return;
    if (pool.participant.local.attention & participant_file.attention_closed != 0) return;
    messages.acknowledge(pool, index);
}

/// As `xmem_bun_hand_off`, of a message, which is none any more.
pub export fn xmem_bun_message_hand_off(number: Descriptor, index: u32, generation: u32) i32 {
    const pool = descriptor.poolOf(number);
    if (holds.attend(pool)) |err| return numbers.refusedBare(err);
    const handle = handleOf(index, generation);
    if (!holds.has(pool, handle)) return numbers.refusedBare(error.StaleHandle);
    messages.handOff(pool, handle) catch |err| return numbers.refusedBare(err);
    holds.remove(pool, handle);
    return 0;
}

/// How often the message was received that this open holds at the index; 0 where it holds none.
pub export fn xmem_bun_deliveries(number: Descriptor, index: u32, generation: u32) u32 {
    const pool = descriptor.poolOf(number);
    if (holds.attend(pool) != null) return 0;
    return messages.deliveriesOf(pool, handleOf(index, generation));
}

/// Where the message that this open holds at the index stood when it was sent, the same at each
/// delivery: the channel's number, the lap and the place in one whole number. -1: it holds none.
pub export fn xmem_bun_message_origin(number: Descriptor, index: u32, generation: u32) f64 {
    const pool = descriptor.poolOf(number);
    if (holds.attend(pool) != null) return -1;
    const origin = messages.originOf(pool, handleOf(index, generation)) orelse return -1;
    const channel = origin.channelOf() orelse return -1;
    const lap = @as(u64, channel) << @bitSizeOf(@TypeOf(origin.lap)) | origin.lap;
    return @floatFromInt(lap << @bitSizeOf(@TypeOf(origin.place)) | origin.place);
}

/// For an event loop: never waits. PENDING while a recovery has the pool. `is_first`: 1 where a wait
/// begins with it.
pub export fn xmem_bun_channel_receive_at_once(
    number: Descriptor,
    channel: u32,
    is_first: u32,
) i32 {
    const pool = descriptor.poolOf(number);
    if (openedStraight(pool, channel)) |found| {
        if (channels.receiveStraight(pool, found)) |received| return told(pool, received);
    }
    return receiveAtOnceSlowly(pool, channel, is_first != 0);
}

noinline fn receiveAtOnceSlowly(pool: *Pool, channel: u32, is_first: bool) i32 {
    errors.clear();
    const found = opened(pool, channel) catch |err| return refused(err);
    const held = channels.receiveAtOnce(pool, found, is_first) catch |err| return refused(err);
    return hold_result.note(pool, held);
}

/// A slice of a wait for an item, which ends at `deadline_ms`. PENDING: call again.
pub export fn xmem_bun_channel_receive_blocking(
    number: Descriptor,
    channel: u32,
    deadline_ms: f64,
) i32 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    const found = opened(pool, channel) catch |err| return refused(err);
    const held = channels.receiveSlice(pool, found, toNs(deadline_ms)) catch |err|
        return refused(err);
    return hold_result.note(pool, held);
}

/// As `xmem_bun_async_open`. `end`: one of `End`.
pub export fn xmem_bun_channel_async_open(
    number: Descriptor,
    channel: u32,
    end: u32,
    loop: u32,
    tag: u32,
) i32 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    const found = opened(pool, channel) catch |err| return refused(err);
    const participant = &pool.participant;
    return switch (endOf(end)) {
        .SENDING => found.async_sending.open(atHead(found), participant, loop, tag),
        .RECEIVING => found.async_receiving.open(atTail(found), participant, loop, tag),
        .CLOSING => found.async_closing.open(atClosing(found), participant, loop, tag),
    } catch |err| refused(err);
}

/// As `xmem_bun_async_arm`.
pub export fn xmem_bun_channel_async_arm(
    number: Descriptor,
    channel: u32,
    end: u32,
    due_ms: f64,
) i32 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    const found = opened(pool, channel) catch |err| return refused(err);
    const participant = &pool.participant;
    const due_ns = toNs(due_ms);
    (switch (endOf(end)) {
        .SENDING => found.async_sending.arm(atHead(found), participant, due_ns),
        .RECEIVING => found.async_receiving.arm(atTail(found), participant, due_ns),
        .CLOSING => found.async_closing.arm(atClosing(found), participant, due_ns),
    }) catch |err| return refused(err);
    return 0;
}

pub export fn xmem_bun_channel_async_disarm(
    number: Descriptor,
    channel: u32,
    end: u32,
    pass_on: u32,
) void {
    const pool = descriptor.poolOf(number);
    const found = opened(pool, channel) catch return;
    const participant = &pool.participant;
    switch (endOf(end)) {
        .SENDING => found.async_sending.disarm(atHead(found), participant, pass_on != 0),
        .RECEIVING => found.async_receiving.disarm(atTail(found), participant, pass_on != 0),
        .CLOSING => found.async_closing.disarm(atClosing(found), participant, pass_on != 0),
    }
}

fn endOf(end: u32) End {
    return std.enums.fromInt(End, end) orelse .CLOSING;
}

fn atClosing(found: *const OpenChannel) ends.Closing {
    return .{ .channel = &found.channel };
}

fn atHead(found: *const OpenChannel) ends.At(.head) {
    return .{ .channel = &found.channel };
}

fn atTail(found: *const OpenChannel) ends.At(.tail) {
    return .{ .channel = &found.channel };
}

/// What the channel looks like, as `xmem_bun_channels` says it of each.
pub export fn xmem_bun_channel_stats(number: Descriptor, channel: u32, out: [*]f64) i32 {
    const pool = descriptor.poolOf(number);
    const found = opened(pool, channel) catch |err| return numbers.refusedBare(err);
    const values = statistics.collect(&pool.participant.view, &found.channel);
    out[0..statistics.stat_count].* = values;
    return 0;
}

/// All live channels of the pool, which may be one that is only looked at. Returns how many were
/// written.
pub export fn xmem_bun_channels(
    number: Descriptor,
    out: [*]f64,
    names: [*]u8,
    channels_max: u32,
) u32 {
    const pool = descriptor.poolOf(number);
    const mapping = pool.mapping orelse return 0;
    const values = out[0 .. channels_max * statistics.stat_count];
    const names_all = names[0 .. channels_max * statistics.name_room];
    return statistics.channels(&mapping.view, values, names_all, channels_max);
}

/// Those who read a broadcast, which is named by its number within the pool. Returns how many were
/// written.
pub export fn xmem_bun_channel_subscribers(
    number: Descriptor,
    channel: u32,
    out: [*]f64,
    subscribers_max: u32,
) u32 {
    const pool = descriptor.poolOf(number);
    const mapping = pool.mapping orelse return 0;
    const view = &mapping.view;
    const found = statistics.channelAt(view, channel) orelse return 0;
    const values = out[0 .. subscribers_max * statistics.subscriber_field_count];
    return statistics.subscribers(view, &found, values, subscribers_max);
}

/// A slice of a wait at several pools and channels, which ends at `deadline_ms`: the place of one
/// that is worth a try. PENDING: call again.
///
/// `sources`: for each two numbers, the pool's and the channel's; the channel's is
/// `CHANNEL_NONE` for a buffer of the pool.
pub export fn xmem_bun_wait_any(sources: [*]const u32, count: u32, deadline_ms: f64) i32 {
    errors.clear();
    if (count == 0 or count > wait_any.sources_max) return refused(error.InvalidArgument);
    var found: [wait_any.sources_max]wait_any.Source = undefined;
    for (found[0..count], 0..) |*source, place| {
        const pool = descriptor.poolOf(sources[2 * place]);
        if (holds.attend(pool)) |err| return refused(err);
        const channel = sources[2 * place + 1];
        source.* = .{
            .pool = pool,
            .channel = if (channel == channel_none)
                null
            else
                channels.at(pool, channel) orelse return refused(error.ChannelClosed),
        };
    }
    const place = wait_any.slice(found[0..count], toNs(deadline_ms)) catch |err|
        return refused(err);
    return @intCast(place);
}

pub const channel_none = std.math.maxInt(u32);

/// What a buffer is to the one who asked: its kind in `out[0]`, the number of the request in
/// `out[1]`, and in `name` the channel that waits for the reply.
pub export fn xmem_bun_letter(
    number: Descriptor,
    handle: f64,
    out: *[2]f64,
    name: *[reply_name_room]u8,
) i32 {
    const pool = descriptor.poolOf(number);
    if (holds.attend(pool)) |err| return numbers.refusedBare(err);
    const ref = numbers.toRef(handle) orelse return numbers.refusedBare(error.InvalidArgument);
    const found = description.letter(&pool.participant, ref, name) catch |err|
        return numbers.refusedBare(err);
    out.* = .{ @floatFromInt(@intFromEnum(found.kind)), @floatFromInt(found.request) };
    return 0;
}

/// Of a buffer that the caller holds. `kind` 0 takes it off.
pub export fn xmem_bun_set_letter(
    number: Descriptor,
    handle: f64,
    kind_number: u32,
    request: f64,
    name: [*:0]const u8,
) i32 {
    const pool = descriptor.poolOf(number);
    setLetter(pool, handle, kind_number, request, std.mem.span(name)) catch |err|
        return numbers.refusedBare(err);
    return 0;
}

fn setLetter(
    pool: *Pool,
    handle: f64,
    kind_number: u32,
    request: f64,
    name: []const u8,
) Error!void {
    if (holds.attend(pool)) |err| return err;
    const what: description.Letter = .{
        .kind = std.enums.fromInt(words.Letter, kind_number) orelse return error.InvalidArgument,
        .request = numbers.toRef(request) orelse return error.InvalidArgument,
    };
    return description.setLetter(&pool.participant, try numbers.refOf(handle), what, name);
}

pub const reply_name_room = layout.reply_name_bytes_max + 1;
