//! The form for C: channels, and waiting at several of them.

const std = @import("std");
const call = @import("call.zig");
const channels = @import("../../process/channels.zig");
const errors = @import("../../errors.zig");
const holds = @import("../../process/holds.zig");
const messages = @import("../../process/messages.zig");
const open_pool = @import("../../process/open_pool.zig");
const reasons = @import("reasons.zig");
const thaw = @import("../../protocol/recovery/thaw.zig");
const types = @import("types.zig");
const wait_any = @import("../../process/wait_any.zig");
const words = @import("../../format/words.zig");

const Channel = types.Channel;
const ChannelInfo = types.ChannelInfo;
const ChannelOptions = types.ChannelOptions;
const Error = errors.Error;
const Handle = types.Handle;
const OpenChannel = channels.OpenChannel;
const Patience = thaw.Patience;
const Pool = types.Pool;
const Source = types.Source;
const checkRef = call.checkRef;
const ended = call.ended;
const give = call.give;
const missing = call.missing;
const openPool = call.openPool;

/// Opens the channel of that name, or makes it. A channel hands buffers of the pool on, in order: a
/// buffer in it is in use, has no lease, and belongs to nobody until it is received. Each open of a
/// broadcast that receives is a subscriber of its own.
///
/// XMEM_OPTIONS_MISMATCH: the channel that exists has a smaller capacity than was asked for, or
/// another mode, overflow or history, or redelivers otherwise.
/// XMEM_OUT_OF_MEMORY: the pool has as many channels as it has room for, this open of it has 65536
/// open, or there is no memory for it.
/// XMEM_TOO_MANY_PARTICIPANTS: the broadcast has 256 subscribers.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_SYSTEM: the system refused to commit memory; see `xmem_error_errno`.
/// XMEM_INVALID_ARGUMENT: the name has not 1 to 63 bytes, an option is out of range, or `size` is
/// wrong; or another thread opened the pool.
pub export fn xmem_channel_open(
    pool: Pool,
    /// 1 to 63 bytes of UTF-8.
    name: ?[*:0]const u8,
    /// NULL: all defaults.
    options: ?*const ChannelOptions,
    /// Gets the open channel.
    channel: ?*Channel,
) i32 {
    return ended(open(pool, name, options, channel));
}

fn open(
    pool: Pool,
    name: ?[*:0]const u8,
    options: ?*const ChannelOptions,
    channel: ?*Channel,
) Error!void {
    const out = channel orelse return missing("channel");
    const channel_name = name orelse return missing("name");
    const opened = try openPool(pool);
    const given = try call.readOptions(ChannelOptions, options);
    const number = try channels.open(opened, std.mem.span(channel_name), .{
        .capacity = if (given.capacity == 0) null else given.capacity,
        .mode = try kindOf(words.ChannelMode, "mode", given.mode),
        .overflow = try kindOf(words.ChannelOverflow, "overflow", given.overflow),
        .history = if (given.history == 0) null else given.history,
        .subscribe = given.sends_only == 0,
        .redeliver = if (given.redeliver == 0) null else true,
        .max_deliveries = if (given.max_deliveries == 0) null else given.max_deliveries,
        .dead_letter = if (given.dead_letter) |letters| std.mem.span(letters) else null,
    });
    const serial = channels.at(opened, number).?.serial;
    out.* = @bitCast(Number{ .place = @intCast(number), .serial = serial });
}

/// The places of channels that were left are used again; no serial is 0.
const Number = packed struct(u32) { place: u16, serial: u16 };

comptime {
    std.debug.assert(channels.opened_max == 1 << 16);
}

/// 0 is not given, and the others follow.
pub fn kindOf(comptime Kind: type, comptime what: []const u8, number: u32) Error!?Kind {
    if (number == 0) return null;
    return std.enums.fromInt(Kind, number - 1) orelse
        errors.fail(error.InvalidArgument, 0, what ++ " is {d}", .{number});
}

pub fn numberOf(kind: anytype) u32 {
    return 1 + @as(u32, @intFromEnum(kind));
}

const Opened = struct { pool: *open_pool.Pool, channel: *OpenChannel, place: u16 };

pub fn openChannel(pool: Pool, channel: Channel) Error!Opened {
    return channelOf(try openPool(pool), channel);
}

pub fn channelOf(pool: *open_pool.Pool, channel: Channel) Error!Opened {
    const number: Number = @bitCast(channel);
    if (channels.at(pool, number.place)) |found| {
        if (found.serial == number.serial)
            return .{ .pool = pool, .channel = found, .place = number.place };
    }
    return errors.fail(error.ChannelClosed, 0, "the pool has no channel open as {d}", .{channel});
}

pub fn receiver(pool: *open_pool.Pool, channel: Channel) Error!Opened {
    const opened = try channelOf(pool, channel);
    if (opened.channel.receives) return opened;
    return errors.fail(error.InvalidArgument, 0, "the channel was opened to send only", .{});
}

/// The same where nothing is uncommon.
inline fn straightChannel(pool: *const open_pool.Pool, channel: Channel) ?*OpenChannel {
    const number: Number = @bitCast(channel);
    const found = channels.at(pool, number.place) orelse return null;
    return if (found.serial == number.serial) found else null;
}

/// Lets go of a channel. It goes on for the others, with what is in it. Closing the pool does the
/// same.
///
/// XMEM_CHANNEL_CLOSED: it is not open: left already, or of another open of a pool.
/// XMEM_POOL_CLOSED: the pool is not open here: closed, or opened before a fork.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool.
pub export fn xmem_channel_leave(
    pool: Pool,
    channel: Channel,
) i32 {
    return ended(leave(pool, channel));
}

fn leave(pool: Pool, channel: Channel) Error!void {
    const opened = try openChannel(pool, channel);
    channels.leave(opened.pool, opened.place);
}

/// Closes a channel, for everybody: nothing is sent from now on. What is in it is still received.
/// It has to be left as well. A recovery removes a closed channel that nobody has open, and what
/// is in it.
///
/// XMEM_CHANNEL_CLOSED: it is not open here. That somebody closed it before is no error.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool.
pub export fn xmem_channel_close(
    pool: Pool,
    channel: Channel,
) i32 {
    return ended(close(pool, channel));
}

fn close(pool: Pool, channel: Channel) Error!void {
    const opened = try openChannel(pool, channel);
    try channels.close(opened.pool, opened.channel);
}

/// What a channel was made as.
///
/// XMEM_CHANNEL_CLOSED: it is not open here.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
pub export fn xmem_get_channel_info(
    pool: Pool,
    channel: Channel,
    /// Gets everything. Set its `size` before.
    info: ?*ChannelInfo,
) i32 {
    return ended(giveInfo(pool, channel, info));
}

fn giveInfo(pool: Pool, channel: Channel, info: ?*ChannelInfo) Error!void {
    const out = info orelse return missing("info");
    const found = (try openChannel(pool, channel)).channel.channel;
    return give(out, .{
        .capacity = found.capacity,
        .mode = numberOf(found.mode),
        .overflow = numberOf(found.overflow),
        .history = found.history,
        .redeliver = @intFromBool(found.kind == .redelivering),
        .max_deliveries = found.max_deliveries,
    });
}

/// Sends a buffer: the hold goes into the channel, and the buffer is no longer this thread's. Never
/// waits for room: where the channel is full, its overflow says what happens.
///
/// XMEM_CHANNEL_FULL: its overflow is XMEM_OVERFLOW_BLOCK, and it is full. The hold stays, as with
/// every error.
/// XMEM_BUFFER_IN_USE: the channel redelivers, and the buffer is in such a channel, or somebody
/// received it from one.
/// XMEM_CHANNEL_CLOSED: somebody closed it, or it is not open here.
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `handle` is out of range.
pub export fn xmem_send(
    pool: Pool,
    channel: Channel,
    handle: Handle,
    /// Gets 1 where the buffer was dropped, which gives it back, 0 where it was sent; NULL: not
    /// wanted.
    dropped: ?*u32,
) i32 {
    // The straight line, as in the form for Bun.
    const opened = call.straightPool(pool) orelse
        return sendSlowly(pool, channel, handle, dropped);
    const found = straightChannel(opened, channel) orelse
        return sendSlowly(pool, channel, handle, dropped);
    const named: words.Handle = @bitCast(handle);
    if (handle >> 53 != 0 or opened.messages.bit_length != 0)
        return sendSlowly(pool, channel, handle, dropped);
    if (!channels.sendStraight(opened, found, named.index, named.generation))
        return sendSlowly(pool, channel, handle, dropped);
    if (dropped) |out| out.* = 0;
    return 0;
}

noinline fn sendSlowly(pool: Pool, channel: Channel, handle: Handle, dropped: ?*u32) i32 {
    return ended(send(pool, channel, handle, dropped));
}

fn send(pool: Pool, channel: Channel, handle: Handle, dropped: ?*u32) Error!void {
    const opened = try openChannel(pool, channel);
    const held = try checkRef(handle);
    var patience: Patience = .untimed;
    const outcome = (if (messages.has(opened.pool, held))
        channels.sendMessage(opened.pool, opened.channel, held, &patience)
    else
        channels.send(opened.pool, opened.channel, held, &patience)) catch |err|
        return reasons.ofSend(opened.channel, handle, err);
    if (dropped) |out| out.* = @intFromBool(outcome == .dropped);
}

/// The same, but it drops nothing.
///
/// XMEM_CHANNEL_FULL: there is no room, whatever the overflow. The hold stays.
/// Otherwise as `xmem_send`.
pub export fn xmem_try_send(pool: Pool, channel: Channel, handle: Handle) i32 {
    return ended(trySend(pool, channel, handle));
}

fn trySend(pool: Pool, channel: Channel, handle: Handle) Error!void {
    const opened = try openChannel(pool, channel);
    const held = try checkRef(handle);
    var patience: Patience = .untimed;
    sendOnce(opened, held, &patience) catch |err|
        return reasons.ofSend(opened.channel, handle, err);
}

fn sendOnce(opened: Opened, held: u64, patience: *Patience) Error!void {
    return if (messages.has(opened.pool, held))
        channels.trySendMessage(opened.pool, opened.channel, held, patience)
    else
        channels.trySend(opened.pool, opened.channel, held, patience);
}

/// Of the first try of a wait.
const at_once: Patience = .{ .until_ns = Patience.none.until_ns, .expiry = error.Pending };

/// The same, but it waits for room, whatever the overflow. A signal handler runs, and the wait goes
/// on.
///
/// XMEM_TIMEOUT: the time passed without room. The hold stays.
/// XMEM_CHANNEL_CLOSED: somebody closed it, before or while this thread waited, or it is not open
/// here.
/// Otherwise as `xmem_send`, without XMEM_CHANNEL_FULL and XMEM_POOL_BUSY.
pub export fn xmem_send_timed(
    pool: Pool,
    channel: Channel,
    handle: Handle,
    /// Milliseconds to wait at most. 0: tries once. XMEM_FOREVER: no limit.
    timeout_ms: u64,
) i32 {
    return ended(sendTimed(pool, channel, handle, timeout_ms));
}

fn sendTimed(pool: Pool, channel: Channel, handle: Handle, timeout_ms: u64) Error!void {
    const opened = try openChannel(pool, channel);
    const held = try checkRef(handle);
    var patience: Patience = at_once;
    // A wait begins with reading the clock, which takes as long as a send.
    if (sendOnce(opened, held, &patience)) |_| return else |err| {
        if (err != error.ChannelFull and err != error.Pending)
            return reasons.ofSend(opened.channel, handle, err);
    }
    const deadline_ns = call.deadlineNs(timeout_ms);
    while (true) {
        const slice = if (messages.has(opened.pool, held))
            channels.sendMessageSlice(opened.pool, opened.channel, held, deadline_ns)
        else
            channels.sendSlice(opened.pool, opened.channel, held, deadline_ns);
        // A slice ended, or a signal handler has run.
        return slice catch |err| if (err == error.Pending)
            continue
        else
            reasons.ofSend(opened.channel, handle, err);
    }
}

/// A hold of the buffer that comes next, at once. The subscribers of a broadcast get the same
/// buffer: they only read it.
///
/// XMEM_CHANNEL_CLOSED: somebody closed it, and nothing is left in it; or it is not open here.
/// XMEM_TOO_MANY_REFERENCES: the buffer has 65535 already.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: it was opened to send only, another thread opened the pool, or `handle`
/// is NULL.
pub export fn xmem_receive(
    pool: Pool,
    channel: Channel,
    /// Gets the buffer's handle; 0: nothing is there.
    handle: ?*Handle,
) i32 {
    const out = handle orelse return receiveSlowly(pool, channel, handle);
    const opened = call.straightPool(pool) orelse return receiveSlowly(pool, channel, handle);
    const found = straightChannel(opened, channel) orelse
        return receiveSlowly(pool, channel, handle);
    if (!found.receives) return receiveSlowly(pool, channel, handle);
    if (channels.looksEmpty(found)) {
        out.* = 0;
        return 0;
    }
    const received = channels.receiveStraight(opened, found) orelse
        return receiveSlowly(pool, channel, handle);
    if (!received.is_told) return receivedUntold(opened, received.index, out);
    out.* = @bitCast(words.Handle{
        .index = @intCast(received.index),
        .generation = @truncate(opened.made.generation),
    });
    return 0;
}

noinline fn receivedUntold(opened: *open_pool.Pool, index: u32, out: *Handle) i32 {
    const held = channels.adoptReceived(opened, index) catch |err|
        return ended(reasons.ofReceive(err));
    out.* = held.handle;
    return 0;
}

noinline fn receiveSlowly(pool: Pool, channel: Channel, handle: ?*Handle) i32 {
    return ended(receive(pool, channel, handle));
}

fn receive(pool: Pool, channel: Channel, handle: ?*Handle) Error!void {
    const out = handle orelse return missing("handle");
    const opened = try receiver(try openPool(pool), channel);
    var patience: Patience = .untimed;
    const held = channels.receive(opened.pool, opened.channel, &patience) catch |err| {
        if (err != error.ChannelEmpty) return reasons.ofReceive(err);
        out.* = 0;
        return;
    };
    out.* = held.handle;
}

/// The same, but it waits for a buffer. A signal handler runs, and the wait goes on.
///
/// XMEM_TIMEOUT: the time passed, and nothing was sent.
/// XMEM_CHANNEL_CLOSED: somebody closed it, before or while this thread waited, and nothing is left
/// in it; or it is not open here.
/// Otherwise as `xmem_receive`, without XMEM_POOL_BUSY.
pub export fn xmem_receive_timed(
    pool: Pool,
    channel: Channel,
    /// Milliseconds to wait at most. 0: tries once. XMEM_FOREVER: no limit.
    timeout_ms: u64,
    /// Gets the buffer's handle.
    handle: ?*Handle,
) i32 {
    return ended(receiveTimed(pool, channel, timeout_ms, handle));
}

fn receiveTimed(pool: Pool, channel: Channel, timeout_ms: u64, handle: ?*Handle) Error!void {
    const out = handle orelse return missing("handle");
    const opened = try receiver(try openPool(pool), channel);
    var patience: Patience = at_once;
    // As in `sendTimed`.
    const held = channels.receive(opened.pool, opened.channel, &patience) catch |err|
        if (err == error.ChannelEmpty or err == error.Pending)
            try receiveSlices(opened, timeout_ms)
        else
            return reasons.ofReceive(err);
    out.* = held.handle;
}

fn receiveSlices(opened: Opened, timeout_ms: u64) Error!holds.Held {
    const deadline_ns = call.deadlineNs(timeout_ms);
    while (true) {
        const slice = channels.receiveSlice(opened.pool, opened.channel, deadline_ns);
        // A slice ended, or a signal handler has run.
        return slice catch |err| if (err == error.Pending) continue else reasons.ofReceive(err);
    }
}

/// How often a buffer that is held was received, this time included, where it came from a channel
/// that redelivers; else 0.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, `handle` is out of range, or `deliveries` is
/// NULL.
pub export fn xmem_deliveries(
    pool: Pool,
    handle: Handle,
    /// Gets the number.
    deliveries: ?*u32,
) i32 {
    return ended(giveDeliveries(pool, handle, deliveries));
}

fn giveDeliveries(pool: Pool, handle: Handle, deliveries: ?*u32) Error!void {
    const out = deliveries orelse return missing("deliveries");
    const opened = try openPool(pool);
    _ = try call.heldIndex(opened, handle);
    out.* = messages.deliveriesOf(opened, try checkRef(handle));
}

/// Waits until one of several channels and pools has something, and takes nothing: `xmem_receive`
/// or `xmem_acquire` is worth a try then, and gets nothing where somebody else was faster. Of
/// several that have something it is the first. A signal handler runs, and the wait goes on.
///
/// XMEM_TIMEOUT: the time passed, and nothing came anywhere.
/// XMEM_CHANNEL_CLOSED: one of the channels is not open. One that somebody closed is worth a try.
/// XMEM_POOL_CLOSED: one of the pools is not open.
/// XMEM_INVALID_ARGUMENT: `count` is 0 or above XMEM_LIMIT_WAIT_SOURCES, one of the channels was
/// opened to send only, another thread opened one of the pools, or an address is NULL.
/// XMEM_POOL_CORRUPT: the control area of a pool holds what xmem never wrote.
pub export fn xmem_wait_any(
    /// As many as `count` says.
    sources: ?[*]const Source,
    /// 1 to XMEM_LIMIT_WAIT_SOURCES.
    count: u32,
    /// Milliseconds to wait at most. 0: looks once. XMEM_FOREVER: no limit.
    timeout_ms: u64,
    /// Gets the place in `sources` of the one that has something.
    place: ?*u32,
) i32 {
    return ended(waitAny(sources, count, timeout_ms, place));
}

fn waitAny(
    sources: ?[*]const Source,
    count: u32,
    timeout_ms: u64,
    place: ?*u32,
) Error!void {
    errors.clear();
    const out = place orelse return missing("place");
    var found: [wait_any.sources_max]wait_any.Source = undefined;
    try findSources(sources, count, &found);
    const deadline_ns = call.deadlineNs(timeout_ms);
    out.* = while (true) {
        break wait_any.slice(found[0..count], deadline_ns) catch |err| switch (err) {
            error.Pending => continue,
            else => return ofWaitAny(err, count),
        };
    };
}

/// The first `count` of `found` become what the sources name.
pub fn findSources(
    sources: ?[*]const Source,
    count: u32,
    found: *[wait_any.sources_max]wait_any.Source,
) Error!void {
    const given = sources orelse return missing("sources");
    if (count == 0 or count > wait_any.sources_max)
        return errors.fail(error.InvalidArgument, 0, "{d} places to wait", .{count});
    for (given[0..count], found[0..count]) |source, *to| {
        const pool = try openPool(source.pool);
        const channel = if (source.channel == 0) null else try receiver(pool, source.channel);
        to.* = .{ .pool = pool, .channel = if (channel) |opened| opened.channel else null };
    }
}

pub fn ofWaitAny(err: Error, count: u32) Error {
    if (err != error.Timeout) return err;
    return errors.fail(err, 0, "nothing came at any of {d} places", .{count});
}
