//! Recovery: gives back what dead participants and expired leases left, by stopping the pool,
//! rewriting its words and list from the rows, and letting it go on. Every step can be repeated by
//! a successor. Never reached from an operation's fast path.

const std = @import("std");
const atomic = @import("hooks");
const damage = @import("damage.zig");
const errors = @import("../../errors.zig");
const gate = @import("../gate.zig");
const layout = @import("../../format/layout.zig");
const memory_work = @import("../memory_work.zig");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const thaw = @import("thaw.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const Head = words.Head;
const View = participant_file.View;

/// How long a recovery waits for participants inside an operation before it lets the pool go on.
const quiet_patience_ns: u64 = 10 * std.time.ns_per_ms;
const retry_pause_first_ns: u64 = 100 * std.time.ns_per_ms;
const retry_pause_last_ns: u64 = 1000 * std.time.ns_per_ms;

pub const Request = struct {
    /// Something is frozen although nobody recovers: run even if nobody died.
    damaged: bool = false,
    /// Only carry on what a dead recoverer began.
    successor: bool = false,
    /// A user asked: the pause after a deferred recovery does not count.
    forced: bool = false,
    /// Expired leases are a reason, too: all slots are looked at.
    leases: bool = false,
    /// One was seen already.
    expired: bool = false,
};

pub const Report = struct {
    participants: u32 = 0,
    references: u32 = 0,
    buffers: u32 = 0,
    /// A live participant stands still inside an operation; the next recovery finishes the job.
    deferred: bool = false,
    /// Somebody else recovers.
    busy: bool = false,
    ran: bool = false,
};

pub fn run(view: *const View, request: Request) Report {
    switch (view.header.repair.mutex.tryLock()) {
        .busy => return .{ .busy = true },
        .acquired => {
            const report = runLocked(view, request, false);
            view.header.repair.mutex.unlock();
            return report;
        },
        .acquired_from_dead => {
            const report = runLocked(view, request, true);
            view.header.repair.mutex.unlock();
            return report;
        },
    }
}

/// A user asked: everything is looked for, and another's recovery is waited for.
pub fn runPatiently(view: *const View) errors.Error!Report {
    const deadline_ns = system.clock.monotonicNs() + thaw.patience_untimed_ns;
    while (true) {
        const epoch = atomic.load(u32, &view.header.repair.epoch, .acquire);
        const report = run(view, .{ .forced = true, .leases = true });
        if (!report.busy) return report;
        const now_ns = system.clock.monotonicNs();
        if (now_ns >= deadline_ns) return error.PoolBusy;
        const slice_end_ns = now_ns + 2 * std.time.ns_per_ms;
        _ = system.futex.wait(&view.header.repair.epoch, epoch, slice_end_ns);
    }
}

/// For whoever holds the recovery mutex already: join, leave, and `run`.
pub fn runLocked(view: *const View, request: Request, inherited: bool) Report {
    const repair = &view.header.repair;
    const frozen = Head.load(&view.header.hot.free_head, .acquire).frozen;
    // Set after the head is frozen and cleared before it thaws: alone it is damage, and believed it
    // would have words rewritten under those who work.
    const claimed_still = atomic.load(u32, &repair.still, .acquire) != 0;
    if (claimed_still and !frozen) atomic.store(u32, &repair.still, 0, .seq_cst);
    const still = claimed_still and frozen;
    const needed = inherited or frozen or request.damaged or request.expired or
        (!request.successor and participant_file.anybodyDead(view)) or
        gate.flushIsOrphaned(view) or
        (request.leases and anyLeaseExpired(view)) or
        (request.forced and (damage.listIsBroken(view) or damage.committedSumIsWrong(view)));
    if (!needed) return .{};
    const may_defer = !still or atomic.broken(.successor_may_defer);
    if (may_defer) {
        const retry_at_ns = atomic.load(u64, &repair.retry_at_ns, .monotonic);
        const now_ns = system.clock.monotonicNs();
        // A time too far ahead is damage, and counts as past.
        const pausing = now_ns < retry_at_ns and retry_at_ns - now_ns <= retry_pause_last_ns;
        if (pausing and !request.forced and !frozen and !inherited) return .{ .deferred = true };
        if (!stop(view)) {
            postpone(view);
            start(view);
            return .{ .deferred = true };
        }
        // SYNC: before the first word is rewritten. Pairs with the load in `runLocked` of whoever
        // carries on.
        atomic.store(u32, &repair.still, 1, .seq_cst);
    }
    const report = rewrite(view);
    atomic.store(u64, &repair.retry_pause_ns, 0, .monotonic);
    atomic.store(u64, &repair.retry_at_ns, 0, .monotonic);
    raise(&repair.recoveries);
    // SYNC: after the last word was rewritten, before the first is thawed. Pairs likewise with
    // `runLocked`.
    atomic.store(u32, &repair.still, 0, .seq_cst);
    start(view);
    return report;
}

/// Steps 1 and 2: nobody is past a CAS afterwards. False: a live participant did not come to rest.
pub fn stop(view: *const View) bool {
    freezeHead(view);
    if (!atomic.broken(.recovery_without_waiting) and !atomic.broken(.recovery_one_wait)) {
        // After this wait nobody is past a pop: no word can become USED.
        if (!waitUntilQuiet(view, quiet_patience_ns)) return false;
    }
    for (view.slots[0..view.geometry.capacity]) |*slot| freezeWord(slot);
    if (atomic.broken(.recovery_without_waiting)) return true;
    return waitUntilQuiet(view, quiet_patience_ns);
}

/// SYNC: sequential before the loads of `busy`. Pairs with `Participant.enterSequential`,
/// `waiting.mark`, `commitment.set`, `maintained_slots.growTag` and `free_list.take`.
fn freezeHead(view: *const View) void {
    const head_ptr = &view.header.hot.free_head;
    while (true) {
        const head = Head.load(head_ptr, .acquire);
        if (head.frozen) return;
        var frozen = head;
        frozen.frozen = true;
        if (Head.cas(head_ptr, head, frozen, .seq_cst)) return;
    }
}

/// SYNC: acquires every change of the word, and with it the `busy` of who made it. Pairs with
/// `references.attempt`, `references.releaseSole`, `references.finishPrivate`,
/// `maintained_slots.mark` and `maintained_slots.finish`.
fn freezeWord(slot: *layout.Slot) void {
    while (true) {
        const control = Control.load(&slot.control, .acquire);
        if (control.frozen) return;
        var frozen = control;
        frozen.frozen = true;
        if (Control.cas(&slot.control, control, frozen)) return;
    }
}

/// Waits until every live participant was seen outside an operation, or in another one than when
/// the wait began: whatever it began since then met the freeze, or the new tag of a maintainer.
/// SYNC: the loads are sequential after those, and acquire what a bracket changed. Pairs with
/// `Participant.enter`, `Participant.enterSequential` and `Bracket.leave`.
pub fn waitUntilQuiet(view: *const View, patience_ns: u64) bool {
    var deadline_ns: u64 = 0;
    for (view.rows[0..view.rowsUsed()]) |*row| {
        const first = atomic.load(u64, &row.busy, .seq_cst);
        if (first & 1 == 0) continue;
        while (true) {
            if (!participant_file.isLive(row)) break;
            const now = atomic.load(u64, &row.busy, .seq_cst);
            if (now != first) break;
            const now_ns = system.clock.monotonicNs();
            if (deadline_ns == 0) deadline_ns = now_ns + patience_ns;
            if (now_ns >= deadline_ns) return false;
            system.clock.relax();
        }
    }
    return true;
}

/// A counter that only the recovery mutex's holder changes.
fn raise(counter: *u64) void {
    atomic.store(u64, counter, atomic.load(u64, counter, .monotonic) +% 1, .monotonic);
}

/// The time of the next try stands in the header, for everybody.
fn postpone(view: *const View) void {
    const repair = &view.header.repair;
    const pause_ns = atomic.load(u64, &repair.retry_pause_ns, .monotonic);
    const next_ns = std.math.clamp(pause_ns *| 2, retry_pause_first_ns, retry_pause_last_ns);
    atomic.store(u64, &repair.retry_pause_ns, next_ns, .monotonic);
    atomic.store(u64, &repair.retry_at_ns, system.clock.monotonicNs() + next_ns, .monotonic);
    raise(&repair.deferrals);
}

/// Step 5: words first, the head last, then everybody who waits for either looks again. SYNC: each
/// thaw releases what was rewritten, `epoch` and `wake_seq` change after the last thaw. Pairs with
/// `references.attempt`, `thaw.wait`, `membership.lockRepair`, `acquire.slice`, `rewriteMaintained`
/// and `waiter_thread.watch`.
pub fn start(view: *const View) void {
    for (view.slots[0..view.geometry.capacity]) |*slot| {
        while (true) {
            const control = Control.load(&slot.control, .acquire);
            var thawed = control;
            thawed.frozen = false;
            if (!control.frozen or Control.cas(&slot.control, control, thawed)) break;
        }
    }
    const hot = &view.header.hot;
    while (true) {
        const head = Head.load(&hot.free_head, .acquire);
        var thawed = head;
        thawed.frozen = false;
        if (!head.frozen or Head.cas(&hot.free_head, head, thawed, .seq_cst)) break;
    }
    _ = atomic.fetchAdd(u32, &view.header.repair.epoch, 1);
    _ = atomic.fetchAdd(u32, &hot.wake_seq, 1);
    _ = system.futex.wake(&view.header.repair.epoch, std.math.maxInt(i32));
    _ = system.futex.wake(&hot.wake_seq, std.math.maxInt(i32));
}

const Dead = std.StaticBitSet(layout.participants_max);

/// Step 4, while everything stands still.
fn rewrite(view: *const View) Report {
    var report: Report = .{ .ran = true };
    // Read once: rows of those who die from now on belong to the next recovery.
    var dead: Dead = .initEmpty();
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (participant_file.isDead(row)) dead.set(index);
    }
    report.participants = @intCast(dead.count());
    emptyRows(view, dead, &report);
    rewriteWords(view, &report);
    rebuildList(view);
    recountWaiters(view);
    if (atomic.broken(.dead_read_twice)) {
        for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
            if (participant_file.isDead(row)) dead.set(index);
        }
    }
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (!dead.isSet(index)) continue;
        // SYNC: after the row was emptied. Pairs with `participant.isDead`.
        atomic.store(u32, &row.abandoned, 0, .release);
        row.mutex.initialise();
    }
    return report;
}

fn emptyRows(view: *const View, dead: Dead, report: *Report) void {
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (!dead.isSet(index) or atomic.broken(.dead_rows_kept)) continue;
        if (atomic.load(u32, &row.joined, .acquire) != 0) {
            for (view.holdRow(@intCast(index))[0..view.geometry.capacity]) |*held| {
                const count = atomic.load(u16, held, .monotonic);
                if (count == 0) continue;
                report.references +|= count;
                atomic.store(u16, held, 0, .monotonic);
            }
        }
        for (&row.waiting) |*bits| {
            if (@atomicLoad(u64, bits, .monotonic) != 0) atomic.store(u64, bits, 0, .monotonic);
        }
        atomic.store(u32, &row.flushing, 0, .monotonic);
        atomic.store(u64, &row.busy, 0, .monotonic);
    }
    // Who flushed, or was to go first, and died must not keep the pool closed.
    gate.settleFlusher(view);
    gate.dropDeadClaim(view);
}

fn rewriteWords(view: *const View, report: *Report) void {
    const now_ns = system.clock.coarseNs();
    var committed_bytes: u64 = 0;
    for (view.slots[0..view.geometry.capacity], 0..) |*slot, index| {
        rewriteWord(view, slot, @intCast(index), now_ns, report);
        const committed = atomic.load(u64, &slot.committed, .monotonic);
        if (committed <= view.geometry.stride) {
            committed_bytes += committed;
        } else {
            // Rubbish. To commit what is there already costs a call, to believe it a fault.
            atomic.store(u64, &slot.committed, 0, .monotonic);
        }
    }
    atomic.store(u64, &view.header.repair.committed_bytes, committed_bytes, .monotonic);
}

fn rewriteWord(
    view: *const View,
    slot: *layout.Slot,
    index: u32,
    now_ns: u64,
    report: *Report,
) void {
    // SYNC: whose word says PRIVATE may have died before its hold. Pairs with `acquire.reserve`.
    const from = Control.load(&slot.control, .acquire);
    const held = holdsOf(view, index);
    if (from.state == .maintained and held == 0) return rewriteMaintained(view, slot, index, from);
    const expired = leaseExpired(slot, now_ns);
    var to = from;
    if (to.generation == 0) to.generation = 1;
    to.in_flight = switch (from.state) {
        .used => if (expired or atomic.broken(.rebuild_ignores_in_flight)) 0 else from.in_flight,
        else => 0,
    };
    to.in_flight = @min(to.in_flight, words.references_max - held);
    if (from.state == .used) report.references +|= from.in_flight - to.in_flight;
    to.references = held + to.in_flight;
    to.state = switch (from.state) {
        .used => if (to.references > 0 or staysParked(from, expired)) .used else .free,
        .private => if (held > 0 and !atomic.broken(.rebuild_frees_private)) .private else .free,
        // A hold of a word that says FREE is damage; nobody may get what somebody holds.
        else => if (held > 0) .used else .free,
    };
    if (to.state == .free) {
        to.references = 0;
        if (from.state == .used or from.state == .private) report.buffers += 1;
        makeClean(view, slot, index, from.state == .private);
    }
    Control.store(&slot.control, to, .release);
}

/// Its maintainer goes on where it was, and finds the slot on the list. One that died, or gave up,
/// leaves a free slot with what it had done to the memory.
fn rewriteMaintained(view: *const View, slot: *layout.Slot, index: u32, from: Control) void {
    if (memory_work.isUnderWay(view, from.in_flight)) {
        var listed = from.maintainedBy(from.in_flight);
        if (listed.generation == 0) listed.generation = 1;
        // SYNC: as all that is rewritten: seen by who finds the word thawed. Pairs with `start`.
        return Control.store(&slot.control, listed, .release);
    }
    makeClean(view, slot, index, true);
    // SYNC: likewise. Pairs with `start`.
    Control.store(&slot.control, from.freed(), .release);
}

/// Counted to 0 by hand and not recycled yet: it stays until its lease has passed.
fn staysParked(control: Control, expired: bool) bool {
    if (atomic.broken(.rebuild_recycles_parked)) return false;
    return control.references == 0 and !expired;
}

/// What a dead owner left dirty, or half committed, is given back to the system whole: a hole reads
/// as zeros, and punching it cannot fault.
fn makeClean(view: *const View, slot: *layout.Slot, index: u32, unfinished: bool) void {
    const content = words.Content.load(&slot.content);
    const dirty = view.zero_on_release and content.dirty;
    if (!dirty and !unfinished) return;
    if (system.memory.punch(view.fd, view.geometry.dataOffset(index), view.geometry.stride)) {
        atomic.store(u64, &slot.committed, 0, .monotonic);
    } else if (dirty) {
        const acquired = content.acquiredSize(&slot.truncated_from);
        const size = @min(acquired, view.geometry.buffer_size);
        system.memory.zero(view.data(index, size));
    }
    words.Content.storeClean(&slot.content);
}

/// A row that nobody has, and nobody died with, has no holds: what stands there is damage.
fn holdsOf(view: *const View, index: u32) u16 {
    var sum: u16 = 0;
    for (view.rows[0..view.rowsUsed()], 0..) |*row, row_index| {
        // SYNC: the hold row is committed and zero. Pairs with `membership.takeRow`.
        if (atomic.load(u32, &row.joined, .acquire) == 0) continue;
        if (!row.mutex.isLocked() and !participant_file.isDead(row)) continue;
        sum +|= atomic.load(u16, &view.holdRow(@intCast(row_index))[index], .monotonic);
    }
    return sum;
}

/// Lowest index on top, as in a new pool.
fn rebuildList(view: *const View) void {
    var top: u24 = words.index_nil;
    var index = view.geometry.capacity;
    while (index > 0) {
        index -= 1;
        const slot = &view.slots[index];
        const state = Control.load(&slot.control, .monotonic).state;
        if (state != .free and state != .maintained) continue;
        atomic.store(u32, &slot.next_free, top, .monotonic);
        top = @intCast(index);
    }
    const head = Head.load(&view.header.hot.free_head, .acquire);
    var rebuilt = head.successor(top);
    rebuilt.frozen = true;
    // SYNC: a store loses no push, since nobody is in a bracket; it comes after the links. Pairs
    // with `free_list.headOf`.
    atomic.store(u64, &view.header.hot.free_head, @bitCast(rebuilt), .seq_cst);
}

fn recountWaiters(view: *const View) void {
    var waiters: u32 = 0;
    for (view.rows[0..view.rowsUsed()]) |*row| {
        if (atomic.load(u64, &row.waiting[0], .acquire) & 1 != 0) waiters += 1;
    }
    // SYNC: releasers outside their brackets read it at any time, and find every live waiter
    // counted before and after. Pairs with `waiting.wakeOne`.
    atomic.store(u32, &view.header.hot.waiters, waiters, .seq_cst);
}

/// SYNC: read after the word: whoever sees a reference sees the lease that was raised before it.
/// Pairs with `references.raiseLease`.
fn leaseExpired(slot: *const layout.Slot, now_ns: u64) bool {
    return atomic.load(u64, &slot.lease_deadline_ns, .acquire) <= now_ns;
}

/// Also where the word says that somebody works on the slot, who does not.
fn isFree(view: *const View, control: Control) bool {
    if (control.state == .free) return true;
    return control.state == .maintained and !memory_work.isUnderWay(view, control.in_flight);
}

/// A plain scan of all, before anything is frozen.
fn anyLeaseExpired(view: *const View) bool {
    const now_ns = system.clock.coarseNs();
    for (view.slots[0..view.geometry.capacity]) |*slot| {
        if (isLeaseOver(slot, Control.load(&slot.control, .acquire), now_ns)) return true;
    }
    return false;
}

fn isLeaseOver(slot: *const layout.Slot, control: Control, now_ns: u64) bool {
    if (control.state != .used) return false;
    if (control.in_flight == 0 and control.references != 0) return false;
    return leaseExpired(slot, now_ns);
}

/// How many slots a look takes in: so many that it costs little, and that a whole round is over
/// soon. Who waits looks once a slice, and several share the round.
const slots_per_look = if (atomic.modelled) 2 else 16 * 1024;
const look_interval_ns: u64 = 10 * std.time.ns_per_ms;

/// No buffer or no memory was to be had. True when something was given back, so that a try is worth
/// it. Deaths are found at once. Leases, and damage, are looked for in a part of the slots, where
/// the last look of anybody stopped, and at most once in an interval: whole pools only by
/// `reclaim`.
pub fn lookForLosses(view: *const View) bool {
    @branchHint(.cold);
    if (participant_file.anybodyDead(view)) return run(view, .{}).ran;
    const repair = &view.header.repair;
    const now_ns = system.clock.coarseNs();
    const scan_at_ns = atomic.load(u64, &repair.lease_scan_at_ns, .monotonic);
    if (now_ns < scan_at_ns and scan_at_ns - now_ns <= look_interval_ns) return false;
    atomic.store(u64, &repair.lease_scan_at_ns, now_ns + look_interval_ns, .monotonic);
    return switch (lookAtSome(view, now_ns)) {
        .nothing => false,
        .expired => run(view, .{ .expired = true }).ran,
        .damaged => run(view, .{ .damaged = true }).ran,
    };
}

fn lookAtSome(view: *const View, now_ns: u64) enum { nothing, expired, damaged } {
    const cursor = &view.header.repair.scan_cursor;
    const capacity = view.geometry.capacity;
    const seen = atomic.load(u32, cursor, .monotonic);
    const first = if (seen < capacity) seen else 0;
    const last = @min(first +| slots_per_look, capacity);
    const resting = damage.restingAt(view);
    var is_any_free = false;
    for (view.slots[first..last]) |*slot| {
        const control = Control.load(&slot.control, .acquire);
        if (isFree(view, control)) is_any_free = true;
        // The next look begins here again: what is deferred now is due then.
        if (isLeaseOver(slot, control, now_ns)) return .expired;
    }
    atomic.store(u32, cursor, last, .monotonic);
    if (!is_any_free or resting == null) return .nothing;
    return if (damage.fellOffList(view, resting.?)) .damaged else .nothing;
}
