//! How many bytes each slot claims to have committed, and the pool's sum of them, which never
//! exceeds `maxCommitted`: a claim beyond it is refused and changes nothing. Memory is claimed
//! before it is committed, and the claim is given up after the memory was given back, so that the
//! bound holds whatever happens.

const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const participant_file = @import("../participant.zig");
const thaw = @import("../recovery/thaw.zig");
const waiting = @import("waiting.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const View = participant_file.View;

/// How many bytes have to be given back before so many more can be claimed.
pub fn missing(view: *const View, bytes: u64) u64 {
    // SYNC: sequential after a waiter was counted: either it finds what was given up, or the
    // participant that gave it up finds the waiter. Pairs with `unclaim` and `waiter.mark`.
    const sum = atomic.load(u64, &view.header.repair.committed_bytes, .seq_cst);
    return sum +| bytes -| view.max_committed;
}

/// In a bracket. False: the bound is in the way, and nothing was changed. SYNC: after what
/// `unclaim` gave back. Pairs with `unclaim`.
pub fn claim(view: *const View, bytes: u64) bool {
    const total = &view.header.repair.committed_bytes;
    while (true) {
        const sum = atomic.load(u64, total, .monotonic);
        if (sum +| bytes > view.max_committed) return false;
        if (!atomic.cas(u64, total, sum, sum + bytes, .seq_cst)) continue;
        note(&view.header.tally.bytes_committed, bytes);
        return true;
    }
}

/// In a bracket; the caller then tells those who wait for memory. SYNC: sequential before that.
/// Pairs with `missing` and `claim`.
pub fn unclaim(view: *const View, bytes: u64) void {
    _ = atomic.fetchSub(u64, &view.header.repair.committed_bytes, bytes);
    note(&view.header.tally.bytes_given_back, bytes);
}

/// Sets what a slot of the caller's claims. The slot's bytes and the pool's sum change in one
/// bracket, so that nobody dies between them without a recovery that adds the sum up again.
/// CommitLimit where the bound is in the way.
pub fn set(participant: *Participant, index: u32, bytes: u64, patience: *Patience) Error!void {
    const view = &participant.view;
    const slot = &view.slots[index];
    while (true) {
        const bracket = participant.enterSequential();
        // SYNC: as in `waiter.mark`. Pairs with `phases.freezeHead`.
        if (words.Head.load(&view.header.hot.free_head, .seq_cst).frozen) {
            bracket.leave();
            try thaw.wait(participant, patience);
            continue;
        }
        defer bracket.leave();
        const before = atomic.load(u64, &slot.committed, .monotonic);
        if (bytes <= before) {
            unclaim(view, before - bytes);
        } else if (!claim(view, bytes - before)) return error.CommitLimit;
        atomic.store(u64, &slot.committed, bytes, .monotonic);
        return;
    }
}

/// For statistics only.
fn note(sum: *u64, bytes: u64) void {
    if (bytes > 0) _ = @atomicRmw(u64, sum, .Add, bytes, .monotonic);
}

/// Lowers what a slot claims. Never fails: if a stopped recoverer has the pool, the next recovery
/// adds the sum up again.
pub fn lower(participant: *Participant, index: u32, bytes: u64, patience: *Patience) void {
    set(participant, index, bytes, patience) catch
        atomic.store(u64, &participant.view.slots[index].committed, bytes, .monotonic);
}

/// Called after claims or memory were given up, outside any bracket: wakes all waiters, since each
/// may lack memory.
pub fn tellWaiters(view: *const View) void {
    // SYNC: sequential after what was given up. Pairs with `waiter.mark`.
    if (atomic.load(u32, &view.header.hot.waiters, .seq_cst) != 0) waiting.wakeAll(view);
}

pub fn beyondLimit(view: *const View) Error {
    return errors.fail(
        error.OutOfMemory,
        0,
        "maxCommitted of {d} bytes is reached",
        .{view.max_committed},
    );
}
