//! The free list: a LIFO of slot indexes behind one tagged head, changed by CAS alone (a Treiber
//! stack). Callers stand in their bracket. Slots' words are not changed here.

const atomic = @import("hooks");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Head = words.Head;
const View = participant_file.View;

/// The slot on top of the list, and the head that leads to it. What was read of the slot is true if
/// `take` succeeds.
pub const Top = struct {
    head: Head,
    index: u32,
    slot: *layout.Slot,
    next: u32,
};

/// Null if the list is empty, frozen, or its top entry is out of range.
pub inline fn top(view: *const View, head: Head) ?Top {
    if (head.frozen) return null;
    const checked = !atomic.broken(.index_unchecked);
    const capacity = view.geometry.capacity;
    const index = system.register.single(head.index);
    if (index >= capacity and (checked or index == words.index_nil)) return null;
    const slot = &view.slots[index];
    const next = atomic.load(u32, &slot.next_free, .monotonic);
    if (checked and next != words.index_nil and next >= capacity) return null;
    return .{ .head = head, .index = @intCast(index), .slot = slot, .next = next };
}

pub inline fn take(header: *layout.Header, there: Top) bool {
    const to = there.head.successorThawed(@truncate(there.next));
    // SYNC: release for `busy`, which was raised before: a freeze that comes later in the head's
    // order sees it raised. Pairs with `phases.freezeHead` and `maintained_slots.growTag`.
    return Head.cas(&header.hot.free_head, there.head, to, .acq_rel);
}

/// SYNC: acquire, so that `next_free` is what was stored before the head; sequential, so that a
/// waiter's try comes after its count. Pairs with `link`, `section.rebuildList` and
/// `maintained_slots.growTag`.
pub inline fn headOf(header: *const layout.Header) Head {
    return Head.load(&header.hot.free_head, .seq_cst);
}

/// Never refused: a frozen head stays frozen, and still gets the slot. A push that gave up would
/// leave a FREE slot that nobody finds.
pub inline fn push(view: *const View, index: u32) bool {
    return pushSlot(view, index, &view.slots[index]);
}

/// The same where the caller has the slot at hand.
pub inline fn pushSlot(view: *const View, index: u32, slot: *layout.Slot) bool {
    while (true) {
        const head = Head.load(&view.header.hot.free_head, .monotonic);
        if (head.frozen) {
            @branchHint(.cold);
            // Keeps this a branch: one way for both is longer than the common one.
            asm volatile ("");
            if (atomic.broken(.push_gives_up_when_frozen)) return false;
            if (link(view, slot, head, head.successor(@intCast(index)))) return true;
            continue;
        }
        if (link(view, slot, head, head.successorThawed(@intCast(index)))) return true;
    }
}

inline fn link(view: *const View, slot: *layout.Slot, head: Head, pushed: Head) bool {
    const head_ptr = &view.header.hot.free_head;
    atomic.store(u32, &slot.next_free, head.index, .monotonic);
    if (atomic.broken(.push_relaxed)) return Head.cas(head_ptr, head, pushed, .monotonic);
    // SYNC: release for `next_free` (the content goes by the word), sequential before the load
    // of `waiters` in `waiting.wakeOne`. Pairs with `headOf` and `waiter.mark`.
    return Head.cas(head_ptr, head, pushed, .seq_cst);
}

/// True when a pop would find nothing.
pub fn isEmpty(view: *const View) bool {
    return Head.load(&view.header.hot.free_head, .acquire).index == words.index_nil;
}

/// Whether there is more than one, by a look whose answer may be old.
pub fn hasSeveral(view: *const View) bool {
    const there = top(view, headOf(view.header)) orelse return false;
    return there.next != words.index_nil;
}

const std = @import("std");
const testing = std.testing;
const TestingPool = @import("../testing_pool.zig").TestingPool;

/// The index of the slot taken; null where `top` is null.
fn pop(view: *const View) ?u32 {
    const there = top(view, headOf(view.header)) orelse return null;
    return if (take(view.header, there)) there.index else null;
}

test "a new list hands out the lowest first, then the one that was pushed last" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 3, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const view = &pool.view;
    for (0..3) |index| try testing.expectEqual(@as(?u32, @intCast(index)), pop(view));
    try testing.expectEqual(null, pop(view));
    try testing.expect(isEmpty(view));
    for ([_]u32{ 1, 0, 2 }) |index| try testing.expect(push(view, index));
    for ([_]u32{ 2, 0, 1 }) |index| try testing.expectEqual(@as(?u32, index), pop(view));
}

test "each take and push changes the tag" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const before = headOf(pool.view.header);
    _ = pop(&pool.view);
    _ = push(&pool.view, 0);
    const after = headOf(pool.view.header);
    try testing.expectEqual(before.index, after.index);
    try testing.expectEqual(before.tag + 2, after.tag);
    // A participant that read the head before these two sees that it has changed.
    try testing.expect(!take(pool.view.header, top(&pool.view, before).?));
}

test "a frozen head refuses pops, lets pushes through and stays frozen" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const view = &pool.view;
    _ = pop(view);
    var frozen = headOf(view.header);
    frozen.frozen = true;
    view.header.hot.free_head = @bitCast(frozen);
    try testing.expectEqual(null, pop(view));
    try testing.expect(push(view, 0));
    const head = headOf(view.header);
    try testing.expect(head.frozen and head.index == 0);
}

test "a head or a link that leads out of the pool is not followed" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    pool.view.slots[0].next_free = 2;
    try testing.expectEqual(null, top(&pool.view, headOf(pool.view.header)));
    const outside: Head = .{ .index = 2, .tag = 9, .frozen = false };
    try testing.expectEqual(null, top(&pool.view, outside));
}
