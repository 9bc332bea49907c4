//! Backpressure: who finds the pool empty waits here on a futex until somebody releases, and who
//! released wakes one of those who wait. `waiters` is the number of rows whose `waiting` bit is
//! set; both change in one bracket, after an unfrozen head was read, so that recovery may rewrite
//! them while nobody is busy.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const gate = @import("../gate.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("../recovery/recovery.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Head = words.Head;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;

/// At each slice's end a waiter looks for the dead.
pub const slice_ns: u64 = 50 * std.time.ns_per_ms;
/// After so many releases in a row whose wake would reach nobody, a releaser looks for the dead: at
/// first, and at most, since a waiter that is only stopped makes every look a vain one.
const barren_first = participant_file.barren_first;
const barren_most = 4096;
const pool_bit: u64 = 1;

/// Makes this row one of those who wait. Nested waits of one thread count once.
pub fn begin(participant: *Participant, patience: *Patience) Error!void {
    if (participant.local.waits == 0) {
        if (participant.local.owes_unwait) {
            participant.local.owes_unwait = false;
        } else try mark(participant, .wait, patience);
        participant.count("waits");
    }
    participant.local.waits += 1;
}

/// The end of a wait. Never fails: past its patience the change is owed, and until it is paid the
/// only harm is a wake more than needed.
pub fn end(participant: *Participant, patience: *Patience) void {
    if (!participant.local.owes_unwait) {
        participant.local.waits -= 1;
        if (participant.local.waits > 0) return;
    }
    endClaim(participant);
    mark(participant, .stop, patience) catch {
        participant.local.owes_unwait = true;
        participant.local.attention |= participant_file.attention_owed;
        return;
    };
    participant.local.owes_unwait = false;
}

/// The participant was refused, and waits on: it may go first from now on.
pub fn claim(participant: *const Participant, lack: gate.Lack, now_ns: u64, since_ns: u64) void {
    if (gate.claim(participant, lack, now_ns, now_ns -| since_ns)) wakeOne(participant);
}

/// The participant was served, or gives up: a waiter that its claim held back looks again.
pub fn endClaim(participant: *const Participant) void {
    if (gate.relinquish(participant)) wakeOne(participant);
}

/// The last thing before the try that a sleep follows. SYNC: sequential before that try: either it
/// finds what was pushed, or the releaser sees that somebody may fall asleep. Pairs with
/// `wakeWaiter`.
pub fn aboutToSleep(view: *const participant_file.View) void {
    const sleeps = &view.header.hot.sleeps;
    if (atomic.broken(.sleep_not_counted)) return;
    if (atomic.broken(.sleep_not_sequential)) {
        return atomic.store(u32, sleeps, atomic.load(u32, sleeps, .monotonic) + 1, .monotonic);
    }
    _ = atomic.fetchAdd(u32, sleeps, 1);
}

/// By which a sleeper in the futex is singled out; 32 rows share one.
pub fn bitOf(row: u32) u32 {
    return @as(u32, 1) << @truncate(row);
}

fn mark(participant: *Participant, change: enum { wait, stop }, patience: *Patience) Error!void {
    const hot = &participant.view.header.hot;
    const bits = &participant.row.waiting[0];
    while (true) {
        const bracket: ?participant_file.Bracket = if (atomic.broken(.waiting_outside_bracket))
            null
        else
            participant.enterSequential();
        // SYNC: this load and the store of `busy` before it are sequential: either it sees the
        // freeze, or the freezer sees `busy`. Pairs with `recovery.freezeHead`.
        const frozen = Head.load(&hot.free_head, .seq_cst).frozen;
        if (frozen and bracket != null) {
            bracket.?.leave();
            try thaw.wait(participant, patience);
            continue;
        }
        const now = atomic.load(u64, bits, .monotonic);
        if (change == .wait) {
            atomic.store(u64, bits, now | pool_bit, .monotonic);
            // SYNC: sequential before the waiter's next try: either that finds what was pushed, or
            // the releaser finds the count. Pairs with `free_list.push`, `wakeOne`,
            // `commitment.missing`, `commitment.tellWaiters` and `maintained_slots.end`.
            if (atomic.broken(.waiters_not_atomic)) {
                const waiters = atomic.load(u32, &hot.waiters, .monotonic);
                atomic.store(u32, &hot.waiters, waiters + 1, .monotonic);
            } else _ = atomic.fetchAdd(u32, &hot.waiters, 1);
        } else {
            _ = atomic.fetchSub(u32, &hot.waiters, 1);
            atomic.store(u64, bits, now & ~pool_bit, .monotonic);
        }
        if (bracket) |entered| entered.leave();
        return;
    }
}

/// After a push and outside the bracket. SYNC: the load is sequential after the push's CAS, and a
/// recovery that counts again leaves no live waiter out. Pairs with `mark` and
/// `recovery.recountWaiters`.
pub inline fn wakeOne(participant: *const Participant) void {
    if (atomic.load(u32, &participant.view.header.hot.waiters, .seq_cst) == 0) return;
    wakeWaiter(participant);
}

fn wakeWaiter(participant: *const Participant) void {
    @branchHint(.cold);
    const view = &participant.view;
    const hot = &view.header.hot;
    const local = participant.local;
    // SYNC: after the push, and before `wake_seq` changes: whoever counts later tries later, and finds
    // the slot. Pairs with `aboutToSleep`.
    const sleeps = atomic.load(u32, &hot.sleeps, .seq_cst);
    // The last wake found nobody asleep, and nobody has gone to sleep since: those who are counted
    // are awake, stopped or dead.
    if (sleeps == local.barren_sleeps) return countBarren(participant);
    // SYNC: after the push: who reads the new value finds the slot, who read the old one does not
    // fall asleep. Pairs with `acquire.slice`, `waiter_thread.arm` and `waiter_thread.watch`.
    _ = atomic.fetchAdd(u32, &hot.wake_seq, 1);
    if (gate.claimantOf(view)) |row| {
        // Nobody else may have the buffer.
        _ = system.futex.wakeBits(&hot.wake_seq, bitOf(row));
        return;
    }
    if (system.futex.wake(&hot.wake_seq, wakesDue(view)) > 0) {
        local.barren_wakes = 0;
        local.barren_look_at = barren_first;
        return;
    }
    // A waiter between its look and its sleep needs no wake: `wake_seq` has changed.
    local.barren_sleeps = sleeps;
    countBarren(participant);
}

/// A killed waiter leaves the count too high until somebody recovers.
fn countBarren(participant: *const Participant) void {
    const local = participant.local;
    local.barren_wakes += 1;
    if (local.barren_wakes < local.barren_look_at) return;
    local.barren_wakes = 0;
    local.barren_look_at = @min(local.barren_look_at * 8, barren_most);
    if (participant_file.anybodyDead(&participant.view)) _ = recovery.run(&participant.view, .{});
}

/// One, or all where somebody waits for memory: the buffer may lack what the one that is woken
/// needs, and serve another.
///
/// SYNC: after `wake_seq` changed: a waiter that sets `memory_wanted` later, and read `wake_seq`
/// before, does not fall asleep. Pairs with `forMemory`.
fn wakesDue(view: *const participant_file.View) u32 {
    const wanted = &view.header.repair.memory_wanted;
    if (atomic.broken(.memory_waiter_not_woken)) return 1;
    if (atomic.load(u32, wanted, .seq_cst) == 0) return 1;
    atomic.store(u32, wanted, 0, .seq_cst);
    return std.math.maxInt(i32);
}

/// A waiter was refused for want of memory, and sleeps on. The wake that it got may have been worth
/// a buffer to somebody who needs less, so the first to be refused after a release wakes all; the
/// others find the flag set.
///
/// SYNC: before the sleep. Pairs with `wakesDue`.
pub fn forMemory(view: *const participant_file.View) void {
    const wanted = &view.header.repair.memory_wanted;
    if (!atomic.cas(u32, wanted, 0, 1, .seq_cst)) return;
    if (atomic.broken(.memory_wake_kept)) return;
    if (atomic.load(u32, &view.header.hot.waiters, .seq_cst) != 0) wakeAll(view);
}

/// Everybody who waits looks again: after a flush, and at a recovery's end.
pub fn wakeAll(view: *const participant_file.View) void {
    const hot = &view.header.hot;
    // SYNC: after what everybody shall see. Pairs with `acquire.slice` and `waiter_thread.watch`.
    _ = atomic.fetchAdd(u32, &hot.wake_seq, 1);
    _ = system.futex.wake(&hot.wake_seq, std.math.maxInt(i32));
}

/// Hands a wake that may have been meant for this thread to the next who waits.
pub fn passOn(participant: *const Participant) void {
    if (!@import("free_list.zig").isEmpty(&participant.view)) wakeOne(participant);
}
