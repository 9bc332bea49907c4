//! The form for C: requests and their replies.

const call = @import("call.zig");
const channels = @import("channels.zig");
const errors = @import("../../errors.zig");
const reasons = @import("reasons.zig");
const requests = @import("../../process/requests.zig");
const types = @import("types.zig");

const Channel = types.Channel;
const Error = errors.Error;
const Handle = types.Handle;
const Pool = types.Pool;
const ended = call.ended;
const heldIndex = call.heldIndex;
const missing = call.missing;
const openPool = call.openPool;

/// Sends a buffer as a request, and waits for the reply to just this one, from C or from another
/// language. A signal handler runs, and the wait goes on. The first request of a descriptor takes a
/// channel of the pool for its replies, until the descriptor is closed.
///
/// XMEM_CHANNEL_FULL: the time passed without room in the channel. The hold stays.
/// XMEM_TIMEOUT: the time passed without a reply. The request is sent, and the buffer no longer
/// this thread's; a reply that comes later goes back to the pool with this descriptor's next
/// request, or where it finds the pool full.
/// XMEM_RELEASED: the receiver gave the request back without a reply.
/// XMEM_PEER_DIED: the receiver died, or let go of the request without a word; it is noticed within
/// a tenth of a second. Where the channel redelivers, another one receives it, and the wait goes on.
/// XMEM_CHANNEL_CLOSED: somebody closed the channel before there was room, or it is not open here.
/// The hold stays.
/// XMEM_BUFFER_IN_USE: as in `xmem_send`. The hold stays.
/// XMEM_OUT_OF_MEMORY: the pool has no room for the channel of replies. The hold stays.
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_SYSTEM: the system refused to commit memory for the channel of replies; see
/// `xmem_error_errno`. The hold stays.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`. Of a corrupt pool
/// nothing is promised about the hold.
/// XMEM_INVALID_ARGUMENT: the channel is a broadcast, another thread opened the pool, `handle` is
/// out of range, or `reply` is NULL. The hold stays.
pub export fn xmem_request(
    pool: Pool,
    channel: Channel,
    handle: Handle,
    /// Milliseconds to wait at most, for room and for the reply. XMEM_FOREVER: no limit.
    timeout_ms: u64,
    /// Gets the handle of the reply, which this descriptor holds.
    reply: ?*Handle,
) i32 {
    return ended(ask(pool, channel, handle, timeout_ms, reply));
}

fn ask(
    pool: Pool,
    channel: Channel,
    handle: Handle,
    timeout_ms: u64,
    reply: ?*Handle,
) Error!void {
    const out = reply orelse return missing("reply");
    const opened = try channels.openChannel(pool, channel);
    _ = try heldIndex(opened.pool, handle);
    const deadline_ns = call.deadlineNs(timeout_ms);
    const held = requests.ask(opened.pool, opened.channel, handle, deadline_ns) catch |err|
        return switch (err) {
            error.Timeout => reasons.because(err, "no reply came in time", .{}),
            else => reasons.ofSend(opened.channel, handle, err),
        };
    out.* = held.handle;
}

/// Whether a buffer that was received is a request, whose sender waits for a reply.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_POOL_CORRUPT: the description is damaged.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, `handle` is out of range, or `number` is NULL.
pub export fn xmem_request_number(
    pool: Pool,
    handle: Handle,
    /// Gets the number that its asker gave the request, from 1 on; 0: the buffer is none.
    number: ?*u64,
) i32 {
    return ended(giveNumber(pool, handle, number));
}

fn giveNumber(pool: Pool, handle: Handle, number: ?*u64) Error!void {
    const out = number orelse return missing("number");
    const opened = try openPool(pool);
    _ = try heldIndex(opened, handle);
    out.* = try requests.numberOf(opened, handle);
}

/// Sends a buffer to the asker of a request as its reply. Neither buffer is this thread's any more:
/// the reply is the asker's, and the request is given back. Where the asker is gone, or waits no
/// more, the reply goes back to the pool, which is no error.
///
/// XMEM_INVALID_ARGUMENT: `request` is no request; another thread opened the pool; or a handle is
/// out of range. Both holds stay, as with every error.
/// XMEM_CHANNEL_FULL: the asker has 1024 replies that it did not receive.
/// XMEM_STALE_HANDLE: this descriptor has no such hold of one of them: a request that was answered
/// is none.
/// XMEM_OUT_OF_MEMORY: there is no memory for the way back.
/// XMEM_SYSTEM: the system refused memory for it; see `xmem_error_errno`.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
pub export fn xmem_reply(
    pool: Pool,
    /// Of a request that this descriptor received.
    request: Handle,
    /// Of a buffer that this descriptor holds. It may be the request itself.
    reply: Handle,
) i32 {
    return ended(sendReply(pool, request, reply));
}

fn sendReply(pool: Pool, request: Handle, reply: Handle) Error!void {
    const opened = try openPool(pool);
    _ = try heldIndex(opened, request);
    _ = try heldIndex(opened, reply);
    requests.answer(opened, request, reply) catch |err| return switch (err) {
        error.ChannelFull => reasons.because(err, "the asker does not receive its replies", .{}),
        else => err,
    };
}

/// Gives a received request back without a reply. The wait of its asker ends with XMEM_RELEASED. A
/// buffer that is no request is given back as by `xmem_release`.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is out of range.
pub export fn xmem_refuse(pool: Pool, handle: Handle) i32 {
    return ended(refuse(pool, handle));
}

fn refuse(pool: Pool, handle: Handle) Error!void {
    const opened = try openPool(pool);
    _ = try heldIndex(opened, handle);
    requests.refuse(opened, handle);
}
