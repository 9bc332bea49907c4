//! The form for C: getting a buffer, its memory, and giving it back.

const acquire_file = @import("../../protocol/pool/acquire.zig");
const cache = @import("../../protocol/pool/cache.zig");
const call = @import("call.zig");
const content = @import("../../protocol/pool/content.zig");
const descriptor = @import("../../process/descriptor.zig");
const errors = @import("../../errors.zig");
const holds = @import("../../process/holds.zig");
const open_pool = @import("../../process/open_pool.zig");
const reasons = @import("reasons.zig");
const references = @import("../../protocol/pool/references.zig");
const requests = @import("../../process/requests.zig");
const system = @import("../../system/door.zig");
const types = @import("types.zig");
const waiting = @import("../../protocol/pool/waiting.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Handle = types.Handle;
const Pool = types.Pool;
const checkRef = call.checkRef;
const describer = call.describer;
const ended = call.ended;
const heldIndex = call.heldIndex;
const missing = call.missing;
const openPool = call.openPool;

/// A hold of a free buffer, at once. Its content is what its last user left, unless the pool
/// zeroes.
///
/// XMEM_POOL_FULL: every buffer is in use. Nothing else has happened: this is the call that tries.
/// XMEM_TOO_LARGE: no buffer of this pool is that large.
/// XMEM_OUT_OF_MEMORY: the file system or `max_committed_bytes` has no room for the buffer's bytes.
/// XMEM_SYSTEM: the system refused to commit memory for another reason; see `xmem_error_errno`.
/// XMEM_POOL_FLUSHING: somebody flushes the pool.
/// XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery.
/// XMEM_POOL_CORRUPT: the control area holds what xmem never wrote.
/// XMEM_POOL_CLOSED: the pool is not open here: closed, or opened before a fork.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is NULL.
pub export fn xmem_acquire(
    pool: Pool,
    /// Bytes, 0 to the pool's buffer size.
    size: u32,
    /// Gets the buffer's handle.
    handle: ?*Handle,
) i32 {
    // The straight line, as in the form for Bun: everything uncommon is a call in tail position.
    const out = handle orelse return acquireSlowly(pool, size, handle);
    const opened, const has_cache = call.straightPoolMaybeCaching(pool) orelse
        return acquireSlowly(pool, size, handle);
    if (!system.ticker.isTicking()) return acquireSlowly(pool, size, handle);
    if (has_cache) return acquireCached(opened, size, out);
    const bytes = system.register.single(size);
    const acquired = acquire_file.acquireStraight(&opened.participant, bytes) orelse
        return acquireOpened(opened, @truncate(bytes), out);
    return given(opened, acquired, out);
}

/// A call of its own, so that neither way saves registers for the other.
noinline fn acquireCached(opened: *open_pool.Pool, size: u32, out: *Handle) i32 {
    const bytes = system.register.single(size);
    const acquired = acquire_file.acquireCached(&opened.participant, bytes) orelse
        return acquireOpened(opened, @truncate(bytes), out);
    return given(opened, acquired, out);
}

noinline fn acquireOpened(opened: *open_pool.Pool, size: u32, out: *Handle) i32 {
    return acquireSlowly(descriptor.numberOf(opened), size, out);
}

inline fn given(opened: *open_pool.Pool, acquired: acquire_file.Acquired, out: *Handle) i32 {
    // It was free, so that nobody had it.
    opened.counts[acquired.index] = 1;
    out.* = acquired.handle();
    return 0;
}

noinline fn acquireSlowly(pool: Pool, size: u32, handle: ?*Handle) i32 {
    return ended(acquire(pool, size, handle));
}

fn acquire(pool: Pool, size: u32, handle: ?*Handle) Error!void {
    const out = handle orelse return missing("handle");
    const opened = try openPool(pool);
    const acquired = acquire_file.acquire(&opened.participant, size) catch |err| again: {
        if (err == error.PoolFull and requests.dropLateOf(opened))
            break :again acquire_file.acquire(&opened.participant, size) catch |second|
                return reasons.ofAcquire(opened, size, second);
        return reasons.ofAcquire(opened, size, err);
    };
    holds.add(opened, acquired);
    out.* = acquired;
}

/// The same, but it waits for a buffer, and for memory that others use up to `max_committed_bytes`.
/// A signal handler runs, and the wait goes on.
///
/// XMEM_TIMEOUT: the time passed without a buffer, or without memory for one.
/// XMEM_POOL_FLUSHING: somebody flushes the pool, or began to while this thread waited.
/// XMEM_OUT_OF_MEMORY: `size` alone is above `max_committed_bytes`, or the file system has no room.
/// Otherwise as `xmem_acquire`, without XMEM_POOL_FULL and XMEM_POOL_BUSY: it waits for a
/// participant that is stopped in the middle of a recovery, too.
pub export fn xmem_acquire_timed(
    pool: Pool,
    /// Bytes, 0 to the pool's buffer size.
    size: u32,
    /// Milliseconds to wait at most. 0: tries once. XMEM_FOREVER: no limit.
    timeout_ms: u64,
    /// Gets the buffer's handle.
    handle: ?*Handle,
) i32 {
    return ended(acquireTimed(pool, size, timeout_ms, handle));
}

fn acquireTimed(pool: Pool, size: u32, timeout_ms: u64, handle: ?*Handle) Error!void {
    const out = handle orelse return missing("handle");
    const opened = try openPool(pool);
    const deadline_ns = call.deadlineNs(timeout_ms);
    const participant = &opened.participant;
    const acquired = while (true) {
        const slice = acquire_file.acquireSlice(participant, &opened.wait, size, deadline_ns);
        // A slice ended, or a signal handler has run.
        break slice catch |err| switch (err) {
            error.Pending => {
                _ = requests.dropLateOf(opened);
                continue;
            },
            error.Timeout => if (requests.dropLateOf(opened)) continue else return reasons.because(
                err,
                "none of the {d} buffers was free in {d} ms",
                .{ participant.view.geometry.capacity, timeout_ms },
            ),
            else => return reasons.ofAcquire(opened, size, err),
        };
    };
    holds.add(opened, acquired);
    out.* = acquired;
}

/// Gives a hold back. With the last reference the buffer is recycled, and a waiter gets it.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold: given back already, or handed off.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is out of range.
pub export fn xmem_release(pool: Pool, handle: Handle) i32 {
    const opened, const has_cache = call.straightPoolMaybeCaching(pool) orelse
        return releaseSlowly(pool, handle);
    const named: words.Handle = @bitCast(handle);
    const in_bounds = named.index < opened.participant.view.geometry.capacity;
    if (!in_bounds or handle >> 53 != 0) return releaseSlowly(pool, handle);
    if (opened.counts[named.index] == 0 or opened.messages.bit_length != 0)
        return releaseSlowly(pool, handle);
    if (has_cache) return releaseCached(opened, handle);
    if (!references.releaseSole(&opened.participant, named.index, named.generation))
        return releaseOfSeveral(opened, handle);
    opened.counts[named.index] = 0;
    waiting.wakeOne(&opened.participant);
    return 0;
}

/// Where it is not the only reference, or `handle` is a bare index.
noinline fn releaseOfSeveral(opened: *open_pool.Pool, handle: Handle) i32 {
    const named: words.Handle = @bitCast(handle);
    if (named.isBare()) return releaseSlowly(descriptor.numberOf(opened), handle);
    if (!references.releaseOfSeveral(&opened.participant, named.index, named.generation))
        return releaseShared(opened, handle);
    opened.counts[named.index] -= 1;
    return 0;
}

noinline fn releaseCached(opened: *open_pool.Pool, handle: Handle) i32 {
    const named: words.Handle = @bitCast(handle);
    // Otherwise it is full, or there are more references.
    if (!cache.putStraight(&opened.participant, named.index, named.generation))
        return releasePastCache(opened, handle);
    opened.counts[named.index] = 0;
    if (cache.isAwaited(&opened.participant.view)) cache.serve(&opened.participant);
    return 0;
}

/// Where the cache is full, or it is not the only reference.
noinline fn releasePastCache(opened: *open_pool.Pool, handle: Handle) i32 {
    const named: words.Handle = @bitCast(handle);
    if (named.isBare()) return releaseSlowly(descriptor.numberOf(opened), handle);
    cache.announceAgain(&opened.participant);
    if (!references.giveBackStraight(&opened.participant, named))
        return releaseShared(opened, handle);
    opened.counts[named.index] -= 1;
    return 0;
}

/// Where it is not the only reference, or something is in the way.
noinline fn releaseShared(opened: *open_pool.Pool, handle: Handle) i32 {
    if (!references.giveBackSlowly(&opened.participant, handle))
        return releaseSlowly(descriptor.numberOf(opened), handle);
    holds.remove(opened, handle);
    return 0;
}

noinline fn releaseSlowly(pool: Pool, handle: Handle) i32 {
    return ended(release(pool, handle));
}

fn release(pool: Pool, handle: Handle) Error!void {
    const opened = try openPool(pool);
    // By a bare index nothing is held.
    _ = try heldIndex(opened, handle);
    if (holds.giveBack(opened, handle)) return;
    return error.StaleHandle;
}

/// Where a held buffer's bytes are in this process, and how many. They stay there for as long as
/// the buffer is held. Several holders may read and write at once: who does when is theirs to
/// arrange.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_POOL_CORRUPT: the control area holds what xmem never wrote.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is out of range.
pub export fn xmem_data(
    pool: Pool,
    handle: Handle,
    /// Gets the address, aligned to a page; NULL: not wanted.
    data: ?*?*anyopaque,
    /// Gets the bytes that it has; NULL: not wanted.
    size: ?*usize,
) i32 {
    return ended(giveData(pool, handle, data, size));
}

fn giveData(pool: Pool, handle: Handle, data: ?*?*anyopaque, size: ?*usize) Error!void {
    const opened = try openPool(pool);
    const view = &opened.participant.view;
    const index = try heldIndex(opened, handle);
    const bytes = try holds.sizeOf(opened, index);
    if (data) |out| out.* = view.data(index, bytes).ptr;
    if (size) |out| out.* = bytes;
}

/// Makes a held buffer smaller, for all its holders and for whoever gets it next.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_INVALID_ARGUMENT: `size` is more than the buffer has; or another thread opened the pool.
/// XMEM_POOL_CORRUPT: the control area holds what xmem never wrote.
/// XMEM_POOL_CLOSED: the pool is not open.
pub export fn xmem_truncate(
    pool: Pool,
    handle: Handle,
    /// Bytes, 0 to what the buffer has.
    size: u32,
) i32 {
    return ended(truncate(pool, handle, size));
}

fn truncate(pool: Pool, handle: Handle, size: u32) Error!void {
    return content.truncate(try describer(pool, handle), handle, size) catch |err|
        if (err == error.InvalidArgument)
            errors.fail(err, 0, "the buffer has fewer than {d} bytes", .{size})
        else
            err;
}
