//! The form for C: references to buffers, of this thread, on their way to another, and counted by
//! hand.

const call = @import("call.zig");
const descriptor = @import("../../process/descriptor.zig");
const errors = @import("../../errors.zig");
const holds = @import("../../process/holds.zig");
const lease = @import("../../protocol/pool/lease.zig");
const open_pool = @import("../../process/open_pool.zig");
const reasons = @import("reasons.zig");
const references = @import("../../protocol/pool/references.zig");
const types = @import("types.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Handle = types.Handle;
const Pool = types.Pool;
const checkRef = call.checkRef;
const ended = call.ended;
const heldIndex = call.heldIndex;
const missing = call.missing;
const openPool = call.openPool;

/// One more hold of a buffer in use.
///
/// XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
/// XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
/// XMEM_NO_REFERENCE: the buffer was counted to 0 by hand.
/// XMEM_TOO_MANY_REFERENCES: it has 65535 already.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
pub export fn xmem_get(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the buffer's handle; NULL: not wanted.
    handle: ?*Handle,
) i32 {
    return holdBy(.get, pool, ref, handle);
}

/// Adopts an in-flight reference: somebody handed the buffer off, and it is this thread's now.
///
/// XMEM_STALE_HANDLE: the buffer was recycled since; its lease may have passed.
/// XMEM_NO_REFERENCE: no reference is in flight; somebody else may have taken it.
/// XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
pub export fn xmem_take(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the buffer's handle; NULL: not wanted.
    handle: ?*Handle,
) i32 {
    return holdBy(.take, pool, ref, handle);
}

/// The straight line first, as in the form for Bun.
inline fn holdBy(
    comptime operation: references.Operation,
    pool: Pool,
    ref: u64,
    handle: ?*Handle,
) i32 {
    const opened = call.straightPool(pool) orelse
        return Slowly(operation).hold(pool, ref, handle);
    const named: words.Handle = @bitCast(ref);
    const index: u32 = named.index;
    if (ref >> 53 != 0 or !holds.holdStraight(opened, operation, index, named.generation))
        return Slowly(operation).hold(pool, ref, handle);
    if (handle) |out| out.* = @bitCast(words.Handle{
        .index = named.index,
        .generation = @truncate(opened.made.generation),
    });
    return 0;
}

fn Slowly(comptime operation: references.Operation) type {
    return struct {
        noinline fn hold(pool: Pool, ref: u64, handle: ?*Handle) i32 {
            return ended(holdSlowly(pool, operation, ref, handle));
        }
    };
}

fn holdSlowly(
    pool: Pool,
    comptime operation: references.Operation,
    ref: u64,
    handle: ?*Handle,
) Error!void {
    const opened = try openPool(pool);
    const held = holds.hold(opened, operation, try checkRef(ref)) catch |err|
        return reasons.ofBuffer(opened, ref, err);
    if (handle) |out| out.* = held.handle;
}

/// Makes an in-flight reference of a held buffer: send its handle to whoever is to take it. The
/// hold stays. The reference lives for the pool's lease timeout.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_TOO_MANY_REFERENCES: the buffer has 65535 already.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `handle` is out of range.
pub export fn xmem_share(pool: Pool, handle: Handle) i32 {
    const opened = call.straightPool(pool) orelse return shareSlowly(pool, handle);
    if (handle >> 53 != 0) return shareSlowly(pool, handle);
    // The clock is a call. What follows is another one, in tail position, so that few registers are
    // saved for it.
    return shareUntil(opened, handle, lease.fromNow(&opened.participant));
}

noinline fn shareUntil(opened: *open_pool.Pool, handle: Handle, until: words.Lease) i32 {
    const named: words.Handle = @bitCast(handle);
    const participant = &opened.participant;
    const straight = !named.isBare() and holds.hasAt(opened, named.index) and references
        .changeStraight(participant, .share, named.index, named.generation, until) != null;
    return if (straight) 0 else shareSlowly(descriptor.numberOf(opened), handle);
}

noinline fn shareSlowly(pool: Pool, handle: Handle) i32 {
    return ended(share(pool, handle));
}

fn share(pool: Pool, handle: Handle) Error!void {
    const opened = try openPool(pool);
    _ = try heldIndex(opened, handle);
    _ = references.operate(&opened.participant, .share, handle, 0) catch |err|
        return reasons.ofBuffer(opened, handle, err);
}

/// Turns a hold into an in-flight reference: send the handle to whoever is to take it. The buffer
/// is no longer this thread's. The reference lives for the pool's lease timeout.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `handle` is out of range.
pub export fn xmem_hand_off(pool: Pool, handle: Handle) i32 {
    return ended(handOff(pool, handle));
}

fn handOff(pool: Pool, handle: Handle) Error!void {
    const opened = try openPool(pool);
    _ = try heldIndex(opened, handle);
    return holds.handOff(opened, handle);
}

/// Counts a buffer up by hand: one more in-flight reference, of a buffer that need not be held.
///
/// XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
/// XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
/// XMEM_TOO_MANY_REFERENCES: it has 65535 already.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
pub export fn xmem_add_ref(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the buffer's whole count, holds and in-flight references; NULL: not wanted.
    count: ?*u32,
) i32 {
    return ended(byHand(pool, .add_ref, ref, 0, count));
}

/// Counts a buffer down by hand: one in-flight reference fewer. At 0 the buffer is recycled.
///
/// XMEM_NO_REFERENCE: none is in flight.
/// Otherwise as `xmem_add_ref`, without XMEM_TOO_MANY_REFERENCES.
pub export fn xmem_unref(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the buffer's whole count, holds and in-flight references; NULL: not wanted.
    count: ?*u32,
) i32 {
    return ended(byHand(pool, .unref, ref, 0, count));
}

/// As `xmem_unref`, but at 0 the buffer is not recycled: it is parked until
/// `xmem_try_release`, or until its lease passes. You almost certainly want `xmem_unref`.
///
/// XMEM_NO_REFERENCE: none is in flight.
/// Otherwise as `xmem_add_ref`, without XMEM_TOO_MANY_REFERENCES.
pub export fn xmem_release_by_hand(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the buffer's whole count, holds and in-flight references; NULL: not wanted.
    count: ?*u32,
) i32 {
    return ended(byHand(pool, .release_by_hand, ref, 0, count));
}

/// Sets a buffer's whole count, by more or fewer in-flight references.
///
/// XMEM_INVALID_ARGUMENT: `count` is below the buffer's holds or above 65535; or another thread
/// opened the pool, or `ref` is out of range.
/// Otherwise as `xmem_add_ref`, without XMEM_TOO_MANY_REFERENCES.
pub export fn xmem_set_ref_count(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// The whole count, holds and in-flight references.
    count: u32,
) i32 {
    return ended(byHand(pool, .set_ref_count, ref, count, null));
}

fn byHand(
    pool: Pool,
    comptime operation: references.Operation,
    ref: u64,
    argument: u32,
    count: ?*u32,
) Error!void {
    const opened = try openPool(pool);
    const ref_checked = try checkRef(ref);
    const participant = &opened.participant;
    const done = references.operate(participant, operation, ref_checked, argument) catch |err| {
        if (err != error.InvalidArgument) return reasons.ofBuffer(opened, ref, err);
        return errors.fail(err, 0, "no count of the buffer can be {d}", .{argument});
    };
    if (count) |out| out.* = done.count;
}

/// A buffer's whole count, holds and in-flight references. That of a free buffer's index is 0.
///
/// XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
/// XMEM_BUFFER_NOT_FOUND: the pool has no buffer of that index.
/// XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
pub export fn xmem_ref_count(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the count.
    count: ?*u32,
) i32 {
    return ended(refCount(pool, ref, count));
}

fn refCount(pool: Pool, ref: u64, count: ?*u32) Error!void {
    const out = count orelse return missing("count");
    const opened = try openPool(pool);
    out.* = references.refCount(&opened.participant, try checkRef(ref)) catch |err|
        return reasons.ofBuffer(opened, ref, err);
}

/// Recycles a buffer that was counted to 0 by hand. Exactly one of those that try succeeds.
///
/// XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
/// XMEM_BUFFER_NOT_FOUND: the pool has no buffer of that index.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
pub export fn xmem_try_release(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets 1 where this call recycled it, 0 where somebody still counts it or it is free already;
    /// NULL: not wanted.
    recycled: ?*u32,
) i32 {
    return ended(tryRelease(pool, ref, recycled));
}

fn tryRelease(pool: Pool, ref: u64, recycled: ?*u32) Error!void {
    const opened = try openPool(pool);
    const done = holds.tryRelease(opened, try checkRef(ref)) catch |err|
        return reasons.ofBuffer(opened, ref, err);
    if (recycled) |out| out.* = @intFromBool(done);
}

/// The same, for callers to whom it is an error when the buffer is not recycled.
///
/// XMEM_BUFFER_IN_USE: somebody still counts it.
/// XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
/// Otherwise as `xmem_try_release`.
pub export fn xmem_release_buffer(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
) i32 {
    return ended(byHand(pool, .try_release, ref, 0, null));
}
