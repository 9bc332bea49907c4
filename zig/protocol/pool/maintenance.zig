//! Work on free slots and on the pool as a whole: committing memory ahead, giving it back, and
//! flushing. Slots that are worked on are PRIVATE to the caller's row, an eighth of the free ones at a
//! time, and go back to where they were.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const free_run = @import("free_run.zig");
const gate = @import("../gate.zig");
const membership = @import("../recovery/membership.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("../recovery/recovery.zig");
const references = @import("references.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const waiting = @import("waiting.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const Run = free_run.Run;
const Wanted = free_run.Wanted;

/// Commits `size` bytes for each of the next `count` buffers that acquires will get, clamped to
/// what is free. Holds nothing afterwards. Returns the bytes newly committed.
pub fn preallocate(participant: *Participant, size: u32, count: u32) Error!u64 {
    errors.clear();
    const view = &participant.view;
    if (size > view.geometry.buffer_size) return error.TooLarge;
    const need = view.geometry.committedFor(size);
    var patience: Patience = .untimed;
    var added: u64 = 0;
    var left = @min(count, view.geometry.capacity);
    while (left > 0) {
        const run = takeRun(participant, .{ .less_than = need, .depth = count }, 0) catch |err|
            return if (added == 0) err else added;
        const slots = run orelse break;
        defer free_run.putBack(participant, slots, 0);
        left -|= slots.count;
        var chain = slots.indexes(view);
        while (chain.next()) |index| {
            added += grow(participant, index, need, &patience) catch |err|
                return if (added == 0) err else added;
        }
    }
    return added;
}

/// Gives the memory of all free slots back to the system. Returns the bytes. `until_ns` bounds the
/// wait for somebody else's recovery, 0: two seconds.
pub fn trim(participant: *Participant, until_ns: u64) Error!u64 {
    const view = &participant.view;
    var patience: Patience = .{ .until_ns = until_ns };
    var freed: u64 = 0;
    var left = view.geometry.capacity;
    while (left > 0) {
        const all: free_run.Wanted = .{ .less_than = null, .depth = view.geometry.capacity };
        const run = takeRun(participant, all, until_ns) catch |err|
            return if (freed == 0) err else freed;
        const slots = run orelse break;
        defer free_run.putBack(participant, slots, until_ns);
        left -|= slots.count;
        var chain = slots.indexes(view);
        while (chain.next()) |index| freed += shrink(participant, index, &patience);
    }
    return freed;
}

/// A damaged list is found out by whoever walks it, and rebuilt: the next try is worth it.
fn takeRun(participant: *Participant, wanted: Wanted, until_ns: u64) Error!?Run {
    return free_run.take(participant, wanted, until_ns) catch |err| {
        if (err != error.PoolCorrupt) return err;
        return free_run.take(participant, wanted, until_ns);
    };
}

/// While it lasts every acquire fails with POOL_FLUSHING, and everybody who waits is told so.
/// Each flusher has its mark in its row, so that the end of one does not lift the flush of another.
pub fn flush(participant: *Participant, on: bool) Error!void {
    const view = &participant.view;
    {
        const inherited = try membership.lockRepair(view, 0);
        defer view.header.repair.mutex.unlock();
        _ = recovery.runLocked(view, .{}, inherited);
        if (on) {
            atomic.store(u32, &participant.row.flushing, 1, .monotonic);
        } else for (view.rows[0..view.rowsUsed()]) |*row| {
            atomic.store(u32, &row.flushing, 0, .monotonic);
        }
        gate.settleFlusher(view);
    }
    waiting.wakeAll(view);
}

fn grow(participant: *Participant, index: u32, need: u64, patience: *Patience) Error!u64 {
    const view = &participant.view;
    const slot = &view.slots[index];
    const before = atomic.load(u64, &slot.committed, .monotonic);
    if (before >= need) return 0;
    try setCommitted(participant, index, need, patience);
    const offset = view.geometry.dataOffset(index);
    system.memory.commit(view.fd, view.base, offset, need) catch {
        _ = system.memory.punch(view.fd, offset + before, need - before);
        claimLess(participant, index, before, patience);
        return error.OutOfMemory;
    };
    view.setPopulated(index, need);
    return need - before;
}

fn shrink(participant: *Participant, index: u32, patience: *Patience) u64 {
    const view = &participant.view;
    const claimed = atomic.load(u64, &view.slots[index].committed, .monotonic);
    const before = @min(claimed, view.geometry.stride);
    if (before == 0) return 0;
    // The claim goes first: memory that nobody counts is harmless, a count without memory is not.
    claimLess(participant, index, 0, patience);
    const offset = view.geometry.dataOffset(index);
    if (!system.memory.punch(view.fd, offset, view.geometry.stride)) return 0;
    view.setPopulated(index, 0);
    return before;
}

/// Never fails: where a stopped recoverer has the pool, the next recovery adds the sum up again.
fn claimLess(participant: *Participant, index: u32, bytes: u64, patience: *Patience) void {
    setCommitted(participant, index, bytes, patience) catch
        atomic.store(u64, &participant.view.slots[index].committed, bytes, .monotonic);
}

/// The slot's bytes and the pool's sum change in one bracket, so that nobody dies between them
/// without a recovery that adds the sum up again.
fn setCommitted(participant: *Participant, index: u32, bytes: u64, patience: *Patience) Error!void {
    const view = &participant.view;
    const slot = &view.slots[index];
    const total = &view.header.repair.committed_bytes;
    while (true) {
        const bracket = participant.enterSequential();
        // SYNC: as in `waiting.mark`. Pairs with `recovery.freezeHead`.
        if (words.Head.load(&view.header.hot.free_head, .seq_cst).frozen) {
            bracket.leave();
            try thaw.wait(participant, patience);
            continue;
        }
        defer bracket.leave();
        const before = atomic.load(u64, &slot.committed, .monotonic);
        if (bytes > before) {
            const sum = atomic.fetchAdd(u64, total, bytes - before) +| (bytes - before);
            if (sum > view.max_committed) {
                _ = atomic.fetchSub(u64, total, bytes - before);
                return beyondMaxCommitted(view);
            }
        } else _ = atomic.fetchSub(u64, total, before - bytes);
        atomic.store(u64, &slot.committed, bytes, .monotonic);
        return;
    }
}

pub fn beyondMaxCommitted(view: *const participant_file.View) Error {
    return errors.fail(
        error.OutOfMemory,
        0,
        "maxCommitted of {d} bytes is reached; release buffers, trim(), or make the pool with more",
        .{view.max_committed},
    );
}

/// A PRIVATE slot whose memory could not be committed goes back as it was.
pub fn giveBackPrivate(
    participant: *Participant,
    index: u32,
    committed: u64,
    patience: *Patience,
) void {
    claimLess(participant, index, committed, patience);
    references.finishPrivate(participant, index, patience) catch references.owe(participant, index);
}
