//! Damage that comes from no death, and that no operation finds by itself: somebody wrote rubbish
//! into the control area, and the pool would refuse acquires for ever. It is looked for only where
//! an acquire is refused or a user asks for a recovery; an ordinary recovery repairs it. Reads
//! only.

const atomic = @import("hooks");
const memory_work = @import("../memory_work.zig");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const Head = words.Head;
const View = participant_file.View;

/// Somebody between a CAS and what follows it looks like damage: what was seen counts only where
/// everybody stood still meanwhile. A pool that never rests is not judged.
const looks_max = 3;

/// The list leads out of the pool, in a circle, to slots in use, or past free ones. The builds of
/// checkers do not repair that: a checker must see what the protocol itself loses.
pub fn listIsBroken(view: *const View) bool {
    if (!atomic.repairsSilently()) return false;
    return seenAtRest(view, listDiffers);
}

/// The bytes that slots claim do not add up to the pool's sum.
pub fn committedSumIsWrong(view: *const View) bool {
    return seenAtRest(view, committedDiffers);
}

fn seenAtRest(view: *const View, comptime differs: fn (*const View) bool) bool {
    for (0..looks_max) |_| {
        const before = restingAt(view);
        if (!differs(view)) return false;
        if (before != null and before == restingAt(view)) return true;
        system.clock.relax();
    }
    return false;
}

/// A number that changes with every operation of anybody; null while one is under way.
pub fn restingAt(view: *const View) ?u64 {
    var sum: u64 = @bitCast(Head.load(&view.header.hot.free_head, .acquire));
    for (view.rows[0..view.rowsUsed()]) |*row| {
        const busy = atomic.load(u64, &row.busy, .acquire);
        if (busy & 1 != 0 and participant_file.isLive(row)) return null;
        sum +%= busy;
    }
    return sum;
}

/// A free slot was seen while the pool rested at `resting`. True: the list was empty.
pub fn fellOffList(view: *const View, resting: u64) bool {
    if (!atomic.repairsSilently()) return false;
    const head = Head.load(&view.header.hot.free_head, .acquire);
    return head.index == words.index_nil and restingAt(view) == resting;
}

fn isListed(control: Control) bool {
    if (control.cachingRow() != null) return false;
    return control.state == .free or (control.state == .maintained and !control.isSetAside());
}

fn listDiffers(view: *const View) bool {
    const capacity = view.geometry.capacity;
    var free_count: u32 = 0;
    for (view.slots[0..capacity], 0..) |*slot, slot_index| {
        const control = Control.load(&slot.control, .monotonic);
        if (control.cachingRow() != null) {
            if (!view.isCached(@intCast(slot_index), control)) return true;
        }
        // On the list or set aside from it: its maintainer takes the mark away again.
        const maintained = control.state == .maintained;
        if (maintained and !memory_work.isUnderWay(view, control.in_flight)) return true;
        if (isListed(control)) free_count += 1;
    }
    var index: u32 = Head.load(&view.header.hot.free_head, .acquire).index;
    var length: u32 = 0;
    while (index != words.index_nil) : (length += 1) {
        // As many as there are slots, and still no end: it runs in a circle.
        if (index >= capacity or length == capacity) return true;
        const slot = &view.slots[index];
        if (!isListed(Control.load(&slot.control, .monotonic))) return true;
        index = atomic.load(u32, &slot.next_free, .monotonic);
    }
    return length != free_count;
}

fn committedDiffers(view: *const View) bool {
    var sum: u64 = 0;
    for (view.slots[0..view.geometry.capacity]) |*slot| {
        const committed = atomic.load(u64, &slot.committed, .monotonic);
        if (committed > view.geometry.stride) return true;
        sum += committed;
    }
    return sum != atomic.load(u64, &view.header.repair.committed_bytes, .monotonic);
}

/// How many slots a part of the check takes in.
const slots_per_part = 16 * 1024;

/// The same as `committedSumIsWrong`, for acquires that the sum refuses: a part at a time, which
/// together count where nothing changed meanwhile, and nothing again before something changes.
pub fn committedSumIsFoundWrong(view: *const View, audit: *participant_file.Audit) bool {
    if (!atomic.repairsSilently()) return false;
    const key = memory_work.memoryKey(view) orelse return false;
    if (key == audit.clean_key) return false;
    if (key != audit.key) audit.* = .{ .key = key };
    const last = @min(audit.cursor +| slots_per_part, view.geometry.capacity);
    for (view.slots[audit.cursor..last]) |*slot| {
        const committed = atomic.load(u64, &slot.committed, .monotonic);
        if (committed > view.geometry.stride) return true;
        audit.sum += committed;
    }
    audit.cursor = last;
    const total = atomic.load(u64, &view.header.repair.committed_bytes, .monotonic);
    if (memory_work.memoryKey(view) != key) {
        audit.* = .{};
        return false;
    }
    if (last < view.geometry.capacity) return false;
    const wrong = audit.sum != total;
    audit.* = .{ .clean_key = if (wrong) 0 else key };
    return wrong;
}

const std = @import("std");
const testing = std.testing;
const TestingPool = @import("../testing_pool.zig").TestingPool;

/// What somebody wrote into a pool of four free slots, whose list is 0, 1, 2, 3.
const Rubbish = union(enum) {
    head: u24,
    link: struct { u32, u32 },
    used: u32,
    maintained: u32,
};

const rubbish = [_]struct { []const Rubbish, bool }{
    .{ &.{}, false },
    .{ &.{.{ .head = 4 }}, true },
    .{ &.{.{ .head = 1 }}, true },
    .{ &.{.{ .head = words.index_nil }}, true },
    .{ &.{.{ .link = .{ 3, 4 } }}, true },
    .{ &.{.{ .link = .{ 3, 0 } }}, true },
    .{ &.{.{ .link = .{ 1, 1 } }}, true },
    .{ &.{.{ .link = .{ 1, words.index_nil } }}, true },
    .{ &.{.{ .used = 2 }}, true },
    .{ &.{ .{ .used = 0 }, .{ .head = 1 } }, false },
    .{ &.{ .{ .used = 1 }, .{ .link = .{ 0, 2 } } }, false },
    // Nobody works on it.
    .{ &.{.{ .maintained = 2 }}, true },
};

test "a list is broken if it is not all free slots, each once" {
    if (!atomic.repairsSilently()) return;
    for (rubbish) |case| {
        var pool: TestingPool = undefined;
        try pool.init(.{ .capacity = 4, .buffer_size = 64, .participant_count = 2 });
        defer pool.deinit();
        for (case[0]) |each| switch (each) {
            .head => |index| {
                const head: Head = .{ .index = index, .tag = 1, .frozen = false };
                pool.view.header.hot.free_head = @bitCast(head);
            },
            .link => |link| pool.view.slots[link[0]].next_free = link[1],
            .used => |index| change(&pool, index, .used),
            .maintained => |index| change(&pool, index, .maintained),
        };
        try testing.expectEqual(case[1], listIsBroken(&pool.view));
    }
}

fn change(pool: *TestingPool, index: u32, state: words.State) void {
    const slot = &pool.view.slots[index];
    var control = Control.load(&slot.control, .monotonic);
    control.state = state;
    slot.control = @bitCast(control);
}

test "a sum of committed bytes is wrong if it is not that of the slots, or one claims too much" {
    if (!atomic.repairsSilently()) return;
    const cases = [_]struct { [2]u64, u64, bool }{
        .{ .{ 0, 0 }, 0, false },
        .{ .{ 4096, 0 }, 4096, false },
        .{ .{ 4096, 4096 }, 8192, false },
        .{ .{ 4096, 0 }, 8192, true },
        .{ .{ 4096, 4096 }, 4096, true },
        .{ .{ 8192, 0 }, 8192, true },
    };
    for (cases) |case| {
        var pool: TestingPool = undefined;
        try pool.init(.{ .capacity = 2, .buffer_size = 4096, .participant_count = 2 });
        defer pool.deinit();
        for (pool.view.slots[0..2], case[0]) |*slot, committed| slot.committed = committed;
        pool.view.header.repair.committed_bytes = case[1];
        try testing.expectEqual(case[2], committedSumIsWrong(&pool.view));
        var audit: participant_file.Audit = .{};
        try testing.expectEqual(case[2], committedSumIsFoundWrong(&pool.view, &audit));
        // A sum that was right is not added up again before something changes.
        try testing.expect(case[2] or audit.clean_key != 0);
    }
}
