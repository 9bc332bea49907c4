//! The pool as a section of a recovery: slots' words, the free list, and the holds that stand in
//! rows. The functions that a section has are described in `../recovery/phases.zig`.

const atomic = @import("hooks");
const damage = @import("../recovery/damage.zig");
const gate = @import("../gate.zig");
const layout = @import("../../format/layout.zig");
const lease = @import("lease.zig");
const memory_work = @import("../memory_work.zig");
const participant_file = @import("../participant.zig");
const phases = @import("../recovery/phases.zig");
const Place = @import("../place.zig").Place;
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const Head = words.Head;
const Report = phases.Report;
const View = participant_file.View;

/// A flusher died.
pub const isDue = gate.flushIsOrphaned;

/// Leases have run out: a plain scan of all, before anything is frozen.
pub fn hasLosses(view: *const View, now_ns: u64) bool {
    for (view.slots[0..view.geometry.capacity]) |*slot| {
        if (lease.isOver(slot, Control.load(&slot.control, .acquire), now_ns)) return true;
    }
    return false;
}

pub fn isDamaged(view: *const View) bool {
    return damage.listIsBroken(view) or damage.committedSumIsWrong(view);
}

pub fn freeze(view: *const View) void {
    for (view.slots[0..view.geometry.capacity]) |*slot| freezeWord(slot);
}

/// SYNC: acquires every change of the word, and with it the `busy` of its maker. Pairs with
/// `references.attempt`, `references.change`, `references.releaseSole`, `references.finishPrivate`,
/// `maintained_slots.mark`, `maintained_slots.finish`, `cache.putStraight`, `cache.take` and
/// `cache.moveOne`.
fn freezeWord(slot: *layout.Slot) void {
    while (true) {
        const control = Control.load(&slot.control, .acquire);
        if (control.frozen) return;
        var frozen = control;
        frozen.frozen = true;
        if (Control.cas(&slot.control, control, frozen)) return;
    }
}

/// The holds and flushes of the dead.
pub fn settle(view: *const View, dead: *const phases.Rows, _: u64, report: *Report) void {
    var rows = dead.iterator(.{});
    while (rows.next()) |index| emptyRow(view, @intCast(index), report);
    // A dead flusher, or a dead claimant of the next buffer, must not keep the pool closed.
    gate.settleFlusher(view);
    gate.dropDeadClaim(view);
}

fn emptyRow(view: *const View, index: u32, report: *Report) void {
    const row = &view.rows[index];
    if (atomic.load(u32, &row.joined, .acquire) != 0) {
        for (view.holdRow(index)[0..view.geometry.capacity]) |*held| {
            const count = atomic.load(u16, held, .monotonic);
            if (count == 0) continue;
            report.references +|= count;
            atomic.store(u16, held, 0, .monotonic);
        }
    }
    atomic.store(u32, &row.flushing, 0, .monotonic);
}

/// A row without an owner, live or dead, has no holds: a count that stands there is damage.
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

pub const referencesTo = holdsOf;

/// The words, from `sumOf` and what is in flight; then the list, from the words.
pub fn rewrite(
    view: *const View,
    comptime sumOf: phases.SumOf,
    now_ns: u64,
    report: *Report,
) void {
    var committed_bytes: u64 = 0;
    for (view.slots[0..view.geometry.capacity], 0..) |*slot, index| {
        rewriteWord(view, slot, @intCast(index), sumOf, now_ns, report);
        const committed = atomic.load(u64, &slot.committed, .monotonic);
        if (committed <= view.geometry.stride) {
            committed_bytes += committed;
        } else {
            // Rubbish. Believing it would be a fault; committing the memory again costs one call.
            atomic.store(u64, &slot.committed, 0, .monotonic);
        }
    }
    atomic.store(u64, &view.header.repair.committed_bytes, committed_bytes, .monotonic);
    rebuildList(view);
}

fn rewriteWord(
    view: *const View,
    slot: *layout.Slot,
    index: u32,
    comptime sumOf: phases.SumOf,
    now_ns: u64,
    report: *Report,
) void {
    // SYNC: a participant may die between a PRIVATE word and its hold. Pairs with
    // `acquire.reserve`.
    const from = Control.load(&slot.control, .acquire);
    const held = sumOf(view, index);
    if (from.state == .maintained and held == 0) return rewriteMaintained(view, slot, index, from);
    const expired = lease.hasExpired(slot, now_ns);
    var to = from;
    if (to.generation == 0) to.generation = 1;
    to.in_flight = switch (from.state) {
        .used => if (expired or atomic.broken(.rebuild_ignores_in_flight)) 0 else from.in_flight,
        // What was in a cache is on the list from now on. The entries that led to it lead nowhere.
        .free => if (atomic.broken(.cached_and_listed)) from.in_flight else 0,
        else => 0,
    };
    to.in_flight = @min(to.in_flight, words.references_max - held);
    if (from.state == .used) {
        const dropped = from.in_flight - to.in_flight;
        report.references +|= dropped;
        if (expired) report.expired +|= dropped;
    }
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
        // SYNC: seen by all that find the word thawed, as everything rewritten. Pairs with
        // `thawWord`.
        return Control.store(&slot.control, listed, .release);
    }
    makeClean(view, slot, index, true);
    // SYNC: likewise. Pairs with `thawWord`.
    Control.store(&slot.control, from.freed(), .release);
}

/// Counted to 0 by hand and not recycled yet: it stays until its lease has passed.
fn staysParked(control: Control, expired: bool) bool {
    if (atomic.broken(.rebuild_recycles_parked)) return false;
    return control.references == 0 and !expired;
}

/// Memory that a dead owner left dirty, or half committed, is given back to the system whole: a
/// hole reads as zeros, and punching it cannot fault.
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

pub fn forEachPlace(view: *const View, comptime visit: fn (Place, *const View) void) void {
    visit(.ofPool(view.header), view);
}

pub fn thaw(view: *const View) void {
    for (view.slots[0..view.geometry.capacity]) |*slot| thawWord(slot);
}

/// SYNC: releases what was rewritten. Pairs with `references.attempt` and `rewriteMaintained`.
fn thawWord(slot: *layout.Slot) void {
    while (true) {
        const control = Control.load(&slot.control, .acquire);
        var thawed = control;
        thawed.frozen = false;
        if (!control.frozen or Control.cas(&slot.control, control, thawed)) return;
    }
}

const std = @import("std");
const testing = std.testing;
const TestingPool = @import("../testing_pool.zig").TestingPool;

fn wordOf(state: words.State, references: u16, in_flight: u16) Control {
    return .{
        .generation = 7,
        .in_flight = in_flight,
        .references = references,
        .state = state,
        .frozen = true,
    };
}

const most = words.references_max;

/// The word before, the holds of the living, whether the lease has passed, and the word after.
const rewritten = [_]struct { Control, u16, bool, Control }{
    .{ wordOf(.free, 0, 0), 0, true, wordOf(.free, 0, 0) },
    // Damage: somebody holds what says that it is free.
    .{ wordOf(.free, 0, 0), 2, true, wordOf(.used, 2, 0) },
    .{ wordOf(.used, 3, 0), 3, true, wordOf(.used, 3, 0) },
    // A dead participant had the others.
    .{ wordOf(.used, 3, 0), 1, true, wordOf(.used, 1, 0) },
    .{ wordOf(.used, 3, 0), 0, true, wordOf(.free, 0, 0) },
    .{ wordOf(.used, 3, 2), 1, false, wordOf(.used, 3, 2) },
    .{ wordOf(.used, 3, 2), 1, true, wordOf(.used, 1, 0) },
    .{ wordOf(.used, 2, 1), 0, false, wordOf(.used, 1, 1) },
    .{ wordOf(.used, 2, 1), 0, true, wordOf(.free, 0, 0) },
    .{ wordOf(.used, most, most), 1, false, wordOf(.used, most, most - 1) },
    // Parked.
    .{ wordOf(.used, 0, 0), 0, false, wordOf(.used, 0, 0) },
    .{ wordOf(.used, 0, 0), 0, true, wordOf(.free, 0, 0) },
    .{ wordOf(.private, 1, 0), 1, true, wordOf(.private, 1, 0) },
    .{ wordOf(.private, 1, 0), 0, true, wordOf(.free, 0, 0) },
    // Row 0 is not at work on it, row 1 is.
    .{ wordOf(.maintained, 1, 0), 0, true, wordOf(.free, 0, 0) },
    .{ wordOf(.maintained, 0, 1), 0, true, wordOf(.maintained, 0, 1) },
    .{ wordOf(.maintained, 1, 1), 0, true, wordOf(.maintained, 0, 1) },
};

test "each word becomes what holds, what is in flight and the lease say" {
    for (rewritten) |case| {
        const before, const held, const is_over, const after = case;
        var pool: TestingPool = undefined;
        try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 2 });
        defer pool.deinit();
        const view = &pool.view;
        pool.participant(0).holds[0] = held;
        memory_work.begin(&pool.participant(1));
        const slot = &view.slots[0];
        slot.control = @bitCast(before);
        slot.lease = if (is_over) 5 else 6;
        var report: Report = .{};
        rewrite(view, holdsOf, 5, &report);
        try testing.expectEqual(after, Control.load(&slot.control, .monotonic));
        const head = Head.load(&view.header.hot.free_head, .monotonic);
        const is_listed = after.state == .free or after.state == .maintained;
        try testing.expectEqual(is_listed, head.index == 0);
        try testing.expect(head.frozen);
    }
}

test "only rows of the living and of the dead have holds" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 4 });
    defer pool.deinit();
    for (0..4) |index| pool.participant(@intCast(index)).holds[0] = 1;
    // One gave its row back, another died; the last one's row was never joined.
    pool.view.rows[1].mutex.unlock();
    pool.view.rows[2].mutex.unlock();
    pool.view.rows[2].abandoned = 1;
    pool.view.rows[3].joined = 0;
    try testing.expectEqual(@as(u16, 2), holdsOf(&pool.view, 0));
}
