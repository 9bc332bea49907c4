//! What follows the move of a channel's end: those who wait for just that are woken.

const std = @import("std");
const atomic = @import("hooks");
const layout = @import("../../format/layout.zig");
const system = @import("../../system/door.zig");

pub const HowMany = enum { one, all };

/// After the CAS on the cell, and outside the bracket.
pub inline fn wake(end: *layout.ChannelEnd, how_many: HowMany) void {
    if (isAwaited(end)) wakeWaiters(end, how_many);
}

/// SYNC: sequential after the cell's CAS: either a waiter that was counted before its try finds
/// what the cell says, or the waiter is found. Pairs with `ring.change` and `ring.attemptClose`.
pub inline fn isAwaited(end: *const layout.ChannelEnd) bool {
    return atomic.load(u32, &end.waiting.waiters, .seq_cst) != 0;
}

fn wakeWaiters(end: *layout.ChannelEnd, how_many: HowMany) void {
    @branchHint(.cold);
    const wake_seq = &end.waiting.wake_seq;
    _ = atomic.fetchAdd(u32, wake_seq, 1);
    _ = system.futex.wake(wake_seq, switch (how_many) {
        .one => 1,
        .all => std.math.maxInt(i32),
    });
}

test "nobody is woken where nobody waits, and else `wake_seq` changes" {
    var end = std.mem.zeroes(layout.ChannelEnd);
    wake(&end, .all);
    try std.testing.expectEqual(@as(u32, 0), end.waiting.wake_seq);
    end.waiting.waiters = 1;
    wake(&end, .one);
    wake(&end, .all);
    try std.testing.expectEqual(@as(u32, 2), end.waiting.wake_seq);
}
