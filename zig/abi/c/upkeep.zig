//! The form for C: preallocating, trimming, flushing and reclaiming.

const call = @import("call.zig");
const errors = @import("../../errors.zig");
const flush_file = @import("../../protocol/pool/flush.zig");
const preallocate_file = @import("../../protocol/pool/preallocate.zig");
const reasons = @import("reasons.zig");
const recovery = @import("../../protocol/recovery/recovery.zig");
const trim_file = @import("../../protocol/pool/trim.zig");
const types = @import("types.zig");

const Error = errors.Error;
const Pool = types.Pool;
const ReclaimReport = types.ReclaimReport;
const checkSize = call.checkSize;
const ended = call.ended;
const give = call.give;
const openPool = call.openPool;

/// Commits memory for the next buffers that acquires will get, and holds nothing afterwards.
///
/// XMEM_TOO_LARGE: no buffer of this pool is that large.
/// XMEM_OUT_OF_MEMORY: the file system or `max_committed_bytes` has no room for even one.
/// XMEM_SYSTEM: the system refused to commit memory for another reason; see `xmem_error_errno`.
/// XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery, or of an operation.
/// XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool.
pub export fn xmem_preallocate(
    pool: Pool,
    /// Bytes per buffer, 0 to the pool's buffer size.
    size: u32,
    /// Buffers; of more than are free, as many as are.
    count: u32,
    /// Gets the bytes that were committed anew; NULL: not wanted.
    bytes: ?*u64,
) i32 {
    return ended(preallocate(pool, size, count, bytes));
}

fn preallocate(pool: Pool, size: u32, count: u32, bytes: ?*u64) Error!void {
    const opened = try openPool(pool);
    const added = preallocate_file.preallocate(&opened.participant, size, count) catch |err|
        return reasons.ofAcquire(opened, size, err);
    if (bytes) |out| out.* = added;
}

/// Gives the memory of free buffers back to the system.
///
/// XMEM_POOL_BUSY: as in `xmem_preallocate`.
/// XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool.
pub export fn xmem_trim(
    pool: Pool,
    /// Gets the bytes that were given back; NULL: not wanted.
    bytes: ?*u64,
) i32 {
    return ended(trim(pool, bytes));
}

fn trim(pool: Pool, bytes: ?*u64) Error!void {
    const opened = try openPool(pool);
    const freed = try trim_file.all(&opened.participant);
    if (bytes) |out| out.* = freed;
}

/// Ends every wait of every process with XMEM_POOL_FLUSHING, and has every acquire fail with it,
/// until `xmem_unflush`, or until this participant is gone. It does not nest.
///
/// XMEM_POOL_BUSY, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool.
pub export fn xmem_flush(pool: Pool) i32 {
    return ended(flush(pool, true));
}

/// Ends every flush of the pool, also that of another participant.
///
/// XMEM_POOL_BUSY, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool.
pub export fn xmem_unflush(pool: Pool) i32 {
    return ended(flush(pool, false));
}

fn flush(pool: Pool, on: bool) Error!void {
    const opened = try openPool(pool);
    return flush_file.set(&opened.participant, on);
}

/// Gives back what dead participants and expired leases left. An acquire that finds the pool full
/// does so by itself.
///
/// XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
pub export fn xmem_reclaim(
    pool: Pool,
    /// Gets what was given back; set its `size` before. NULL: not wanted.
    report: ?*ReclaimReport,
) i32 {
    return ended(reclaim(pool, report));
}

fn reclaim(pool: Pool, report: ?*ReclaimReport) Error!void {
    const opened = try openPool(pool);
    if (report) |out| try checkSize(ReclaimReport, out.size);
    const done = try recovery.runPatiently(&opened.participant.view);
    if (report) |out| try give(out, .{
        .participants = done.participants,
        .references = done.references,
        .buffers = done.buffers,
        .deferred = @intFromBool(done.deferred),
    });
}
