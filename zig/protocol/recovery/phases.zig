//! The phases of a recovery, over all sections of the object: everything is stopped, what the rows
//! and the words say is made true again, and everything goes on. Each phase can be repeated by a
//! successor. When one is due, and who runs it, is in `recovery.zig`.
//!
//! A section is a part of the object that is mended. Its file, `section.zig` in the folder that
//! works with it, has these functions, which only a recovery calls, in this order:
//!
//! - `isDue(view)`, `hasLosses(view, now_ns)`, `isDamaged(view)`: whether it needs a recovery
//!   although nobody died. The first is asked often; the others look at all there is, where a user
//!   asked.
//! - `freeze(view)`: no CAS on its words succeeds from now on. The head is frozen already.
//! - `settle(view, dead, now_ns, report)`: takes away what the dead rows had of it, and all else
//!   that must not be counted; then counts, where `referencesTo` needs it.
//! - `referencesTo(view, slot)`: how many references to a slot stand in it. Asked when all sections
//!   are settled.
//! - `rewrite(view, sumOf, now_ns, report)`: makes its words true. `sumOf` is `referencesTo` over
//!   all sections.
//! - `forEachPlace(view, visit)`: its places to wait.
//! - `thaw(view)`: the opposite of `freeze`. The head is frozen still.

const std = @import("std");
const atomic = @import("hooks");
const layout = @import("../../format/layout.zig");
const owner = @import("../owner.zig");
const participant_file = @import("../participant.zig");
const Place = @import("../place.zig").Place;
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Head = words.Head;
const View = participant_file.View;

/// How long a recovery waits for participants inside an operation before it lets the pool go on.
const quiet_patience_ns: u64 = 10 * std.time.ns_per_ms;

/// What a recovery did.
pub const Report = struct {
    participants: u32 = 0,
    references: u32 = 0,
    /// Of `references`, those whose leases had passed.
    expired: u32 = 0,
    buffers: u32 = 0,
    /// A live participant stands still inside an operation; the next recovery finishes the job.
    deferred: bool = false,
    /// Somebody else recovers.
    busy: bool = false,
    ran: bool = false,
};

/// Steps 1 and 2: nobody is past a CAS afterwards. False: a live participant did not come to rest.
///
/// The head is frozen first, since it stands for the whole object: a bracket without a CAS on a
/// freezable word looks at it. Then a wait, before any section is frozen: after it nobody is past a
/// pop, and so nobody makes a word USED by a plain store. Then a second wait: after it nobody is
/// past a CAS on a word of any section.
pub fn stop(comptime sections: anytype, view: *const View) bool {
    freezeHead(view);
    if (!atomic.broken(.recovery_without_waiting) and !atomic.broken(.recovery_one_wait)) {
        if (!waitUntilQuiet(view, quiet_patience_ns)) return false;
    }
    inline for (sections) |section| section.freeze(view);
    if (atomic.broken(.recovery_without_waiting)) return true;
    return waitUntilQuiet(view, quiet_patience_ns);
}

/// SYNC: sequential before the loads of `busy`. Pairs with `Participant.enterSequential`,
/// `waiter.mark`, `commitment.set`, `maintained_slots.growTag`, `free_list.take` and `cache.take`.
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

/// Rows by their index.
pub const Rows = std.StaticBitSet(layout.participants_max);

/// Step 4, while everything stands still. All sections are settled before any is rewritten, since
/// words follow from what is left. The rows of the dead are given back last, since a successor has
/// to find the same ones dead.
pub fn rewrite(comptime sections: anytype, view: *const View) Report {
    var report: Report = .{ .ran = true };
    // Read once: participants that die from now on belong to the next recovery.
    var dead: Rows = .initEmpty();
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (participant_file.isDead(row)) dead.set(index);
    }
    report.participants = @intCast(dead.count());
    const emptied: Rows = if (atomic.broken(.dead_rows_kept)) .initEmpty() else dead;
    const now_ns = system.clock.coarseNs();
    inline for (sections) |section| section.settle(view, &emptied, now_ns, &report);
    var rows = emptied.iterator(.{});
    while (rows.next()) |index| putToRest(&view.rows[index]);
    inline for (sections) |section|
        section.rewrite(view, Sum(sections).referencesTo, now_ns, &report);
    inline for (sections) |section| section.forEachPlace(view, Place.recount);
    if (atomic.broken(.dead_read_twice)) {
        for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
            if (participant_file.isDead(row)) dead.set(index);
        }
    }
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (!dead.isSet(index)) continue;
        owner.beginChange(row);
        // A recoverer that dies here leaves the row dead, and its successor counts it again.
        // SYNC: after the beginning of the change. Pairs with `owner.tryRead`.
        @atomicStore(u32, &row.deaths, @atomicLoad(u32, &row.deaths, .monotonic) +% 1, .release);
        // SYNC: after the row was emptied. Pairs with `participant.isDead`.
        atomic.store(u32, &row.abandoned, 0, .release);
        row.mutex.initialise();
        owner.endChange(row);
    }
    return report;
}

/// It waits nowhere, is in no operation, and receives nothing.
fn putToRest(row: *layout.ParticipantRow) void {
    for (&row.waiting) |*bits| {
        if (@atomicLoad(u64, bits, .monotonic) != 0) atomic.store(u64, bits, 0, .monotonic);
    }
    atomic.store(u64, &row.busy, 0, .monotonic);
    if (words.Cache.load(&row.cache, .monotonic) != words.Cache.empty)
        words.Cache.store(&row.cache, .empty, .monotonic);
    if (words.Taking.load(&row.taking) != words.Taking.nothing)
        words.Taking.store(&row.taking, .nothing);
}

/// The references to a slot.
pub const SumOf = fn (view: *const View, slot: u32) u16;

fn Sum(comptime sections: anytype) type {
    return struct {
        fn referencesTo(view: *const View, slot: u32) u16 {
            var sum: u16 = 0;
            inline for (sections) |section| sum +|= section.referencesTo(view, slot);
            return sum;
        }
    };
}

/// Step 5: the sections first, the head last, so that a participant which sees it thawed meets
/// nothing frozen; then all that wait for the thaw or at a place look again. SYNC: the head's thaw
/// releases what was rewritten, `epoch` and each `wake_seq` change after it. Pairs with `thaw.wait`
/// and `membership.lockRepair`.
pub fn start(comptime sections: anytype, view: *const View) void {
    inline for (sections) |section| section.thaw(view);
    const head_ptr = &view.header.hot.free_head;
    while (true) {
        const head = Head.load(head_ptr, .acquire);
        var thawed = head;
        thawed.frozen = false;
        if (!head.frozen or Head.cas(head_ptr, head, thawed, .seq_cst)) break;
    }
    const epoch = &view.header.repair.epoch;
    _ = atomic.fetchAdd(u32, epoch, 1);
    _ = system.futex.wake(epoch, std.math.maxInt(i32));
    inline for (sections) |section| section.forEachPlace(view, wakeAll);
}

fn wakeAll(place: Place, _: *const View) void {
    if (atomic.broken(.recovery_wakes_nobody)) return;
    place.wakeAll();
}

const testing = std.testing;
const sections_file = @import("sections.zig");
const Control = words.Control;
const TestingPool = @import("../testing_pool.zig").TestingPool;

/// A second section: cells of the first channel that hold buffers, a subscriber, and an end to wait
/// at.
const Cells = struct {
    const frozen: u64 = 1 << 63;
    const full: u64 = 1 << 61;
    const count = 3;

    fn block(view: *const View) *layout.ChannelBlock {
        return @ptrCast(@alignCast(view.base + view.geometry.channels_offset));
    }

    fn cells(view: *const View) []u64 {
        return block(view).cells[0..count];
    }

    fn isHeadFrozen(view: *const View) bool {
        return Head.load(&view.header.hot.free_head, .seq_cst).frozen;
    }

    pub fn freeze(view: *const View) void {
        std.debug.assert(isHeadFrozen(view));
        for (cells(view)) |*cell| cell.* |= frozen;
    }

    pub fn settle(view: *const View, dead: *const Rows, _: u64, _: *Report) void {
        const subscriber = &block(view).subscribers[0];
        if (dead.isSet(subscriber.participant)) subscriber.received = 0;
        // Nobody is left to read the last one.
        if (subscriber.received == 0) cells(view)[count - 1] &= ~full;
    }

    pub fn referencesTo(view: *const View, slot: u32) u16 {
        var sum: u16 = 0;
        for (cells(view)) |cell| {
            if (cell & full != 0 and @as(u24, @truncate(cell)) == slot) sum += 1;
        }
        return sum;
    }

    pub fn rewrite(_: *const View, comptime _: SumOf, _: u64, _: *Report) void {}

    pub fn forEachPlace(view: *const View, comptime visit: fn (Place, *const View) void) void {
        visit(.at(&block(view).channel.head.waiting, 1), view);
    }

    pub fn thaw(view: *const View) void {
        std.debug.assert(isHeadFrozen(view));
        for (cells(view)) |*cell| cell.* &= ~frozen;
    }
};

/// A buffer in use, with so many references.
fn setUsed(view: *const View, slot: u32, references: u16) void {
    var control = Control.load(&view.slots[slot].control, .seq_cst).held(.used, 1);
    control.references = references;
    Control.store(&view.slots[slot].control, control, .seq_cst);
}

fn controlOf(view: *const View, slot: u32) Control {
    return Control.load(&view.slots[slot].control, .seq_cst);
}

fn areFrozen(view: *const View) [4]bool {
    return .{
        Cells.isHeadFrozen(view),
        controlOf(view, 0).frozen,
        controlOf(view, 3).frozen,
        Cells.cells(view)[0] & Cells.frozen != 0,
    };
}

test "two sections are stopped, mended from each other, and started again" {
    const sections = sections_file.all ++ .{Cells};
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 4, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const view = &pool.view;
    const live = pool.participant(0);
    const dead = pool.participant(1);
    const other = pool.otherPlace();
    // 0: a hold of the living and a cell's; 1: a cell's alone; 2: a hold of the dead; 3: a cell's
    // that the dead alone would have read.
    setUsed(view, 0, 5);
    live.addHold(0);
    setUsed(view, 1, 2);
    setUsed(view, 2, 1);
    dead.addHold(2);
    setUsed(view, 3, 1);
    for (Cells.cells(view), [_]u64{ 0, 1, 3 }) |*cell, slot| cell.* = Cells.full | slot;
    Cells.block(view).subscribers[0].participant = 1;
    Cells.block(view).subscribers[0].received = 1;
    // The living waits at both places, the dead at the other; the counts are too high.
    live.row.waiting[0] = 0b11;
    dead.row.waiting[0] = 0b10;
    view.header.hot.waiters = 7;
    other.waiters.* = 8;
    const seqs = .{ view.header.hot.wake_seq, other.wake_seq.* };
    // In the middle of an operation.
    dead.row.busy = 1;
    dead.row.abandoned = 1;
    dead.row.mutex.unlock();

    try testing.expect(stop(sections, view));
    try testing.expectEqual([4]bool{ true, true, true, true }, areFrozen(view));
    // A successor does it again, and comes to the same.
    for (0..2) |_| {
        const report = rewrite(sections, view);
        dead.row.abandoned = 1;
        try testing.expectEqual(@as(u32, 1), report.participants);
        for ([_]u16{ 2, 1, 0, 0 }, 0..) |references, slot|
            try testing.expectEqual(references, controlOf(view, @intCast(slot)).references);
        for ([_]words.State{ .used, .used, .free, .free }, 0..) |state, slot|
            try testing.expectEqual(state, controlOf(view, @intCast(slot)).state);
        try testing.expectEqual(@as(u32, 1), view.header.hot.waiters);
        try testing.expectEqual(@as(u32, 1), other.waiters.*);
        try testing.expectEqual(@as(u64, 0b11), live.row.waiting[0]);
        try testing.expectEqual(@as(u64, 0), dead.row.waiting[0]);
        try testing.expectEqual(@as(u64, 0), dead.row.busy);
    }
    try testing.expectEqual([4]bool{ true, true, true, true }, areFrozen(view));
    const epoch = view.header.repair.epoch;
    start(sections, view);
    try testing.expectEqual([4]bool{ false, false, false, false }, areFrozen(view));
    try testing.expectEqual(epoch + 1, view.header.repair.epoch);
    try testing.expectEqual(seqs[0] + 1, view.header.hot.wake_seq);
    try testing.expectEqual(seqs[1] + 1, other.wake_seq.*);
}

test "a live participant in an operation keeps the sections from being frozen" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 4, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const busy = pool.participant(0);
    busy.row.busy = 1;
    try testing.expect(!stop(sections_file.all ++ .{Cells}, &pool.view));
    try testing.expectEqual([4]bool{ true, false, false, false }, areFrozen(&pool.view));
    start(sections_file.all ++ .{Cells}, &pool.view);
    try testing.expectEqual([4]bool{ false, false, false, false }, areFrozen(&pool.view));
}
