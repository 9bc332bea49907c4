//! The form for C: waits of languages that have signal handlers or event loops of their own.

const std = @import("std");
const acquire_file = @import("../../protocol/pool/acquire.zig");
const call = @import("call.zig");
const channels_file = @import("channels.zig");
const channels = @import("../../process/channels.zig");
const ends = @import("../../protocol/channel/ends.zig");
const errors = @import("../../errors.zig");
const holds = @import("../../process/holds.zig");
const messages = @import("../../process/messages.zig");
const open_pool = @import("../../process/open_pool.zig");
const reasons = @import("reasons.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../../protocol/recovery/thaw.zig");
const types = @import("types.zig");
const wait_any = @import("../../process/wait_any.zig");
const waiting = @import("../../protocol/pool/waiting.zig");

const Channel = types.Channel;
const Error = errors.Error;
const Handle = types.Handle;
const Patience = thaw.Patience;
const Pool = types.Pool;
const Source = types.Source;
const ended = call.ended;
const missing = call.missing;

/// Where an event loop can wait at a channel.
pub const End = enum { sending, receiving, closing };

/// The time now, by the clock of `deadline_ns`.
pub export fn xmem_now_ns() u64 {
    return system.clock.monotonicNs();
}

/// One slice of an `xmem_acquire_timed`, for languages that run signal handlers of their own
/// between two calls. Call it again where it brought nothing; an end without that is
/// `xmem_wait_end`.
///
/// XMEM_TIMEOUT: as in `xmem_acquire_timed`. With this and every other error the wait is over.
/// Otherwise as `xmem_acquire_timed`.
pub export fn xmem_acquire_slice(
    pool: Pool,
    /// Bytes, 0 to the pool's buffer size.
    size: u32,
    /// When the whole wait ends, by `xmem_now_ns`. UINT64_MAX: never.
    deadline_ns: u64,
    /// Gets the buffer's handle; 0: the slice ended, or a signal handler ran.
    handle: ?*Handle,
) i32 {
    return ended(acquireSlice(pool, size, deadline_ns, handle));
}

fn acquireSlice(pool: Pool, size: u32, deadline_ns: u64, handle: ?*Handle) Error!void {
    const out = handle orelse return missing("handle");
    const opened = try call.openPool(pool);
    const slice = acquire_file.acquireSlice(&opened.participant, &opened.wait, size, deadline_ns);
    const acquired = slice catch |err| return switch (err) {
        error.Pending => out.* = 0,
        error.Timeout => reasons.because(
            err,
            "none of the {d} buffers was free in time",
            .{opened.participant.view.geometry.capacity},
        ),
        else => reasons.ofAcquire(opened, size, err),
    };
    holds.add(opened, acquired);
    out.* = acquired;
}

/// One slice of an `xmem_send_timed`, likewise.
///
/// XMEM_TIMEOUT: as in `xmem_send_timed`. With this and every other error the wait is over, and the
/// hold stays.
/// Otherwise as `xmem_send_timed`.
pub export fn xmem_send_slice(
    pool: Pool,
    channel: Channel,
    handle: Handle,
    /// When the whole wait ends, by `xmem_now_ns`. UINT64_MAX: never.
    deadline_ns: u64,
    /// Gets 1 where the buffer was sent; 0: the slice ended, or a signal handler ran.
    sent: ?*u32,
) i32 {
    return ended(sendSlice(pool, channel, handle, deadline_ns, sent));
}

fn sendSlice(
    pool: Pool,
    channel: Channel,
    handle: Handle,
    deadline_ns: u64,
    sent: ?*u32,
) Error!void {
    const out = sent orelse return missing("sent");
    const opened = try channels_file.openChannel(pool, channel);
    const held = try call.checkRef(handle);
    const slice = if (messages.has(opened.pool, held))
        channels.sendMessageSlice(opened.pool, opened.channel, held, deadline_ns)
    else
        channels.sendSlice(opened.pool, opened.channel, held, deadline_ns);
    slice catch |err| {
        if (err != error.Pending) return reasons.ofSend(opened.channel, handle, err);
        out.* = 0;
        return;
    };
    out.* = 1;
}

/// One slice of an `xmem_receive_timed`, likewise.
///
/// XMEM_TIMEOUT: as in `xmem_receive_timed`. With this and every other error the wait is over.
/// Otherwise as `xmem_receive_timed`.
pub export fn xmem_receive_slice(
    pool: Pool,
    channel: Channel,
    /// When the whole wait ends, by `xmem_now_ns`. UINT64_MAX: never.
    deadline_ns: u64,
    /// Gets the buffer's handle; 0: the slice ended, or a signal handler ran.
    handle: ?*Handle,
) i32 {
    return ended(receiveSlice(pool, channel, deadline_ns, handle));
}

fn receiveSlice(pool: Pool, channel: Channel, deadline_ns: u64, handle: ?*Handle) Error!void {
    const out = handle orelse return missing("handle");
    const opened = try channels_file.receiver(try call.openPool(pool), channel);
    const slice = channels.receiveSlice(opened.pool, opened.channel, deadline_ns);
    const held = slice catch |err| {
        if (err != error.Pending) return reasons.ofReceive(err);
        out.* = 0;
        return;
    };
    out.* = held.handle;
}

/// One slice of an `xmem_wait_any`, likewise.
///
/// XMEM_TIMEOUT: as in `xmem_wait_any`. With this and every other error the wait is over.
/// Otherwise as `xmem_wait_any`.
pub export fn xmem_wait_any_slice(
    /// As many as `count` says.
    sources: ?[*]const Source,
    /// 1 to XMEM_LIMIT_WAIT_SOURCES.
    count: u32,
    /// When the whole wait ends, by `xmem_now_ns`. UINT64_MAX: never.
    deadline_ns: u64,
    /// Gets the place in `sources` of the one that has something; `count`: the slice ended, or a
    /// signal handler ran.
    place: ?*u32,
) i32 {
    return ended(waitAnySlice(sources, count, deadline_ns, place));
}

fn waitAnySlice(
    sources: ?[*]const Source,
    count: u32,
    deadline_ns: u64,
    place: ?*u32,
) Error!void {
    errors.clear();
    var found: [wait_any.sources_max]wait_any.Source = undefined;
    const out = place orelse return missing("place");
    try channels_file.findSources(sources, count, &found);
    out.* = wait_any.slice(found[0..count], deadline_ns) catch |err|
        if (err == error.Pending) count else return channels_file.ofWaitAny(err, count);
}

/// Ends a wait by slices before its time, where the last slice brought nothing.
///
/// XMEM_CHANNEL_CLOSED: the channel is not open here.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `end` is unknown.
pub export fn xmem_wait_end(
    pool: Pool,
    /// The open channel; 0: the wait was for a free buffer of the pool.
    channel: Channel,
    /// XMEM_END_SENDING or XMEM_END_RECEIVING; of a pool 0.
    end: u32,
) i32 {
    return ended(endWait(pool, channel, end));
}

fn endWait(pool: Pool, channel: Channel, end: u32) Error!void {
    const at = try Place.of(pool, channel, end);
    const participant = &at.pool.participant;
    var patience: Patience = .none;
    const opened = at.channel orelse {
        if (!at.pool.wait.counted) return;
        at.pool.wait.counted = false;
        waiting.end(participant, &patience);
        return waiting.passOn(participant);
    };
    switch (at.end) {
        .sending => endAt(.head, opened, &opened.sending, participant, &patience),
        .receiving => endAt(.tail, opened, &opened.receiving, participant, &patience),
        .closing => return errors.fail(error.InvalidArgument, 0, "nobody waits there", .{}),
    }
}

fn endAt(
    comptime end: ends.End,
    opened: *channels.OpenChannel,
    wait: anytype,
    participant: anytype,
    patience: anytype,
) void {
    if (!wait.counted) return;
    wait.counted = false;
    const at: ends.At(end) = .{ .channel = &opened.channel };
    at.end(participant, patience);
    at.passOn(participant);
}

/// Where an event loop waits: at a pool, or at one of three places of a channel.
const Place = struct {
    pool: *open_pool.Pool,
    channel: ?*channels.OpenChannel,
    end: End,

    fn of(pool: Pool, channel: Channel, end: u32) Error!Place {
        const opened = try call.openPool(pool);
        if (channel == 0) return .{ .pool = opened, .channel = null, .end = .closing };
        const kind = try channels_file.kindOf(End, "end", end) orelse
            return errors.fail(error.InvalidArgument, 0, "end is 0", .{});
        const found = if (kind == .receiving)
            try channels_file.receiver(opened, channel)
        else
            try channels_file.channelOf(opened, channel);
        return .{ .pool = opened, .channel = found.channel, .end = kind };
    }
};

/// What an event loop needs to wait at a pool or a channel: a file descriptor that becomes readable
/// when a try is worth it, by `xmem_acquire_next`, `xmem_receive_next` or `xmem_send_next`, or by
/// `xmem_get_channel_stats` for the close of a channel. The caller reads away what comes and closes
/// it. A wait goes so: `xmem_loop_arm`, try, and where that brings nothing, wait until it is
/// readable and begin again; at the end `xmem_loop_rest`.
///
/// XMEM_OUT_OF_MEMORY, XMEM_SYSTEM: no thread or no socket could be made.
/// XMEM_CHANNEL_CLOSED: the channel is not open here.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, `end` is unknown, or `fd` is NULL.
pub export fn xmem_loop_open(
    pool: Pool,
    /// The open channel; 0: the wait is for a free buffer of the pool.
    channel: Channel,
    /// XMEM_END_SENDING, XMEM_END_RECEIVING or XMEM_END_CLOSING; of a pool 0.
    end: u32,
    /// Gets the file descriptor, the same one each time.
    fd: ?*i32,
) i32 {
    return ended(openLoop(pool, channel, end, fd));
}

fn openLoop(pool: Pool, channel: Channel, end: u32, fd: ?*i32) Error!void {
    const out = fd orelse return missing("fd");
    const at = try Place.of(pool, channel, end);
    const participant = &at.pool.participant;
    const opened = at.channel orelse {
        out.* = try at.pool.async_wait.openApart(waiting, participant);
        return;
    };
    out.* = switch (at.end) {
        .sending => try opened.async_sending.openApart(atHead(opened), participant),
        .receiving => try opened.async_receiving.openApart(atTail(opened), participant),
        .closing => try opened.async_closing.openApart(atClosing(opened), participant),
    };
}

/// Before a try of an event loop: what comes after this makes the file descriptor readable.
///
/// XMEM_CHANNEL_CLOSED, XMEM_POOL_CLOSED: as in `xmem_loop_open`.
/// XMEM_INVALID_ARGUMENT: `xmem_loop_open` was not called for this place, or as there.
pub export fn xmem_loop_arm(
    pool: Pool,
    /// As in `xmem_loop_open`.
    channel: Channel,
    /// As in `xmem_loop_open`.
    end: u32,
    /// Gets 1; 0: a recovery has the pool. Try and arm again in some milliseconds.
    armed: ?*u32,
) i32 {
    return ended(armLoop(pool, channel, end, armed));
}

fn armLoop(pool: Pool, channel: Channel, end: u32, armed: ?*u32) Error!void {
    const out = armed orelse return missing("armed");
    const at = try Place.of(pool, channel, end);
    out.* = 1;
    arm(at) catch |err| {
        if (err != error.Pending) return err;
        out.* = 0;
    };
}

fn arm(at: Place) Error!void {
    const participant = &at.pool.participant;
    const never_ns = std.math.maxInt(u64);
    const opened = at.channel orelse
        return at.pool.async_wait.arm(waiting, participant, never_ns);
    return switch (at.end) {
        .sending => opened.async_sending.arm(atHead(opened), participant, never_ns),
        .receiving => opened.async_receiving.arm(atTail(opened), participant, never_ns),
        .closing => opened.async_closing.arm(atClosing(opened), participant, never_ns),
    };
}

/// Nobody in this event loop waits at that place any more.
///
/// XMEM_CHANNEL_CLOSED, XMEM_POOL_CLOSED, XMEM_INVALID_ARGUMENT: as in `xmem_loop_open`.
pub export fn xmem_loop_rest(
    pool: Pool,
    /// As in `xmem_loop_open`.
    channel: Channel,
    /// As in `xmem_loop_open`.
    end: u32,
) i32 {
    return ended(restLoop(pool, channel, end));
}

fn restLoop(pool: Pool, channel: Channel, end: u32) Error!void {
    const at = try Place.of(pool, channel, end);
    const participant = &at.pool.participant;
    const opened = at.channel orelse
        return at.pool.async_wait.disarm(waiting, participant, true);
    switch (at.end) {
        .sending => opened.async_sending.disarm(atHead(opened), participant, true),
        .receiving => opened.async_receiving.disarm(atTail(opened), participant, true),
        .closing => opened.async_closing.disarm(atClosing(opened), participant, true),
    }
}

/// A try of an event loop that waits for a buffer: it never waits, and somebody who has waited for
/// long goes first.
///
/// XMEM_POOL_FLUSHING, XMEM_TOO_LARGE, XMEM_OUT_OF_MEMORY, XMEM_SYSTEM, XMEM_POOL_CORRUPT,
/// XMEM_POOL_CLOSED, XMEM_INVALID_ARGUMENT: as in `xmem_acquire_timed`.
pub export fn xmem_acquire_next(
    pool: Pool,
    /// Bytes, 0 to the pool's buffer size.
    size: u32,
    /// For how long the caller has waited; 0 at its first try.
    waited_ns: u64,
    /// Gets the buffer's handle; 0: a release may bring one.
    handle: ?*Handle,
) i32 {
    return ended(acquireNext(pool, size, waited_ns, handle));
}

fn acquireNext(pool: Pool, size: u32, waited_ns: u64, handle: ?*Handle) Error!void {
    const out = handle orelse return missing("handle");
    const opened = try call.openPool(pool);
    const tried = acquire_file.acquireAtOnce(&opened.participant, size, waited_ns);
    const acquired = tried catch |err| return switch (err) {
        error.PoolFull, error.CommitLimit, error.Pending => out.* = 0,
        else => reasons.ofAcquire(opened, size, err),
    };
    holds.add(opened, acquired);
    out.* = acquired;
}

/// A try of an event loop that waits for what a channel brings: it never waits.
///
/// XMEM_CHANNEL_CLOSED: as in `xmem_receive`.
/// Otherwise as `xmem_receive`, without XMEM_POOL_BUSY.
pub export fn xmem_receive_next(
    pool: Pool,
    channel: Channel,
    /// 1 at the first try of a wait: it looks a little longer. 0 later.
    is_first: u32,
    /// Gets the buffer's handle; 0: a send may bring one.
    handle: ?*Handle,
) i32 {
    return ended(receiveNext(pool, channel, is_first, handle));
}

fn receiveNext(pool: Pool, channel: Channel, is_first: u32, handle: ?*Handle) Error!void {
    const out = handle orelse return missing("handle");
    const opened = try channels_file.receiver(try call.openPool(pool), channel);
    const tried = channels.receiveAtOnce(opened.pool, opened.channel, is_first != 0);
    const held = tried catch |err| return switch (err) {
        error.ChannelEmpty, error.Pending => out.* = 0,
        else => reasons.ofReceive(err),
    };
    out.* = held.handle;
}

/// A try of an event loop that waits for room in a channel: it never waits.
///
/// XMEM_CHANNEL_CLOSED: as in `xmem_try_send`.
/// Otherwise as `xmem_try_send`, without XMEM_CHANNEL_FULL and XMEM_POOL_BUSY. The hold stays, as
/// with 0 in `sent`.
pub export fn xmem_send_next(
    pool: Pool,
    channel: Channel,
    handle: Handle,
    /// 1 at the first try of a wait: it looks a little longer. 0 later.
    is_first: u32,
    /// Gets 1 where the buffer was sent; 0: a receive may bring room.
    sent: ?*u32,
) i32 {
    return ended(sendNext(pool, channel, handle, is_first, sent));
}

fn sendNext(
    pool: Pool,
    channel: Channel,
    handle: Handle,
    is_first: u32,
    sent: ?*u32,
) Error!void {
    const out = sent orelse return missing("sent");
    const opened = try channels_file.openChannel(pool, channel);
    const held = try call.checkRef(handle);
    const tried = if (messages.has(opened.pool, held))
        channels.sendMessageAtOnce(opened.pool, opened.channel, held)
    else
        channels.sendAtOnce(opened.pool, opened.channel, held, is_first != 0);
    tried catch |err| return switch (err) {
        error.ChannelFull, error.Pending => out.* = 0,
        else => reasons.ofSend(opened.channel, handle, err),
    };
    out.* = 1;
}

fn atHead(opened: *const channels.OpenChannel) ends.At(.head) {
    return .{ .channel = &opened.channel };
}

fn atTail(opened: *const channels.OpenChannel) ends.At(.tail) {
    return .{ .channel = &opened.channel };
}

fn atClosing(opened: *const channels.OpenChannel) ends.Closing {
    return .{ .channel = &opened.channel };
}
