//! Which participants are committing or trimming memory. That takes system calls, and so cannot be
//! done in a bracket. Each row says whether its owner is at work, since slots and bytes may then
//! still go back to where they came from: nobody is told that the pool is full before the work is
//! over.

const std = @import("std");
const atomic = @import("hooks");
const participant_file = @import("participant.zig");
const system = @import("../system/door.zig");
const words = @import("../format/words.zig");

const Head = words.Head;
const Participant = participant_file.Participant;
const View = participant_file.View;

/// Called before the first change that may be undone. A thread has one piece of work at a time.
pub fn begin(participant: *const Participant) void {
    const working = &participant.row.working;
    // SYNC: sequential before the first change: a participant that found the change, and reads this
    // after it, finds it odd. Pairs with `restingBeside` and `isUnderWay`.
    atomic.store(u32, working, (atomic.load(u32, working, .monotonic) +% 1) | 1, .seq_cst);
}

/// Called after the last change, when nothing can be undone any more.
pub fn end(participant: *const Participant) void {
    const working = &participant.row.working;
    // SYNC: after the last change: a participant that reads the even value finds the change. Pairs
    // with `restingBeside` and `isUnderWay`.
    atomic.store(u32, working, atomic.load(u32, working, .monotonic) +% 1, .seq_cst);
}

/// The same for work that others may have met and wait for in `wait`. Not in a bracket. SYNC:
/// `epoch` changes after the last change. Pairs with `epochOf`.
pub fn endForAll(participant: *const Participant) void {
    end(participant);
    const epoch = &participant.view.header.repair.epoch;
    _ = atomic.fetchAdd(u32, epoch, 1);
    _ = system.futex.wake(epoch, std.math.maxInt(i32));
}

/// Whether the row says that its live owner is at work.
pub fn isUnderWay(view: *const View, row_index: u32) bool {
    if (row_index >= view.rowsUsed()) return false;
    const row = &view.rows[row_index];
    // SYNC: acquires what the owner did before its work began or ended. Pairs with `begin`, `end`.
    return atomic.load(u32, &row.working, .acquire) & 1 != 0 and participant_file.isLive(row);
}

/// A number that changes with each piece of work; null while one is under way. Between two equal
/// answers no change was made that is undone later. The work of the dead does not count, since a
/// recovery undoes it.
pub fn restingAt(view: *const View) ?u64 {
    return restingBeside(view, std.math.maxInt(u32));
}

/// The same for all participants but one, which must not wait for its own work.
///
/// SYNC: sequential, and acquires what was changed. Pairs with `begin` and `end`.
pub fn restingBeside(view: *const View, own: u32) ?u64 {
    var sum: u64 = 0;
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (index == own) continue;
        const working = atomic.load(u32, &row.working, .seq_cst);
        if (working & 1 != 0 and participant_file.isLive(row)) return null;
        sum +%= working;
    }
    return sum;
}

/// A number that changes, beside that, whenever the head does: when a slot comes to the free list
/// or leaves it, and at each recovery. While it is the same, free slots have the memory that they
/// had. Never 0.
pub fn memoryKey(view: *const View) ?u64 {
    const resting = restingAt(view) orelse return null;
    const head: u64 = @bitCast(Head.load(&view.header.hot.free_head, .acquire));
    // Spread over all bits, so that a change of one part cannot cancel a change of the other.
    return (head +% resting *% 0x9e37_79b9_7f4a_7c15) | 1;
}

/// Sleeps until some work has ended, or until `until_ns`. `seen` is `epochOf` from before the work
/// was met.
pub fn wait(view: *const View, seen: u32, until_ns: u64) void {
    _ = system.futex.wait(&view.header.repair.epoch, seen, until_ns);
}

/// SYNC: before the look at what is waited for. Pairs with `endForAll`.
pub fn epochOf(view: *const View) u32 {
    return atomic.load(u32, &view.header.repair.epoch, .seq_cst);
}

const testing = std.testing;
const TestingPool = @import("testing_pool.zig").TestingPool;

test "nothing rests while a live participant is at work, and the number then differs" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const first = pool.participant(0);
    const second = pool.participant(1);
    const view = &pool.view;
    const before = restingAt(view).?;
    const key = memoryKey(view).?;
    begin(&first);
    try testing.expectEqual(null, restingAt(view));
    try testing.expectEqual(null, memoryKey(view));
    try testing.expect(isUnderWay(view, first.index));
    try testing.expect(!isUnderWay(view, second.index));
    // A participant does not wait for itself.
    try testing.expect(restingBeside(view, first.index) != null);
    try testing.expectEqual(null, restingBeside(view, second.index));
    const epoch = epochOf(view);
    endForAll(&first);
    try testing.expect(epochOf(view) != epoch);
    try testing.expect(!isUnderWay(view, first.index));
    try testing.expect(restingAt(view).? != before);
    try testing.expect(memoryKey(view).? != key);
}

test "work of the dead, and of rows that never joined, is not under way" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const dead = pool.participant(0);
    begin(&dead);
    dead.row.mutex.unlock();
    try testing.expect(restingAt(&pool.view) != null);
    try testing.expect(!isUnderWay(&pool.view, dead.index));
    pool.view.rows[1].working = 1;
    try testing.expect(!isUnderWay(&pool.view, 1));
    try testing.expect(!isUnderWay(&pool.view, 7));
}
