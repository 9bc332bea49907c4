//! The time as the fast path reads it: for ages that are shown to people, and for nothing else. A
//! reading of the coarse clock costs a fifth of an acquire with its release. So while a process asks
//! millions of times a second, a thread of its own reads it once a tick, and asking is one load. Who
//! asks less often than that reads the clock, and no such thread exists.
//!
//! Not for deadlines: when the process was stopped, the first readings after it are as old as that.

const std = @import("std");
const clock = @import("clock.zig");
const thread = @import("thread.zig");

/// Readings within one tick of the coarse clock that begin the ticking.
const burst_min = 4096;
const tick_ns = 4 * std.time.ns_per_ms;
/// How long the ticking lasts before it has to be earned again: a quarter of a second.
const ticks_max = 64;

/// The time while the thread ticks; 0 while it does not.
var ticked_ns: u64 = 0;
var ticking: bool = false;
/// The last reading, and how many there were of the same; from any thread, a lost one is no harm.
var last_ns: u64 = 0;
var readings: u32 = 0;

pub fn recentNs() u64 {
    const now_ns = tickedNs();
    if (now_ns != 0) return now_ns;
    return read();
}

/// The same without a call, or 0 where it takes one.
pub inline fn tickedNs() u64 {
    return @atomicLoad(u64, &ticked_ns, .monotonic);
}

noinline fn read() u64 {
    const now_ns = clock.coarseNs();
    if (@atomicLoad(u64, &last_ns, .monotonic) != now_ns) {
        @atomicStore(u64, &last_ns, now_ns, .monotonic);
        @atomicStore(u32, &readings, 0, .monotonic);
        return now_ns;
    }
    const count = @atomicLoad(u32, &readings, .monotonic) + 1;
    @atomicStore(u32, &readings, count, .monotonic);
    if (count >= burst_min) begin();
    return now_ns;
}

fn begin() void {
    @branchHint(.cold);
    @atomicStore(u32, &readings, 0, .monotonic);
    // SYNC: the last thread is done with the time before the next one begins. Pairs with `tick`.
    if (@atomicRmw(bool, &ticking, .Xchg, true, .acquire)) return;
    const spawned = thread.Thread.spawn(bool, &ticking, tick) catch {
        @atomicStore(bool, &ticking, false, .release);
        return;
    };
    spawned.detach();
}

fn tick(own: *bool) void {
    for (0..ticks_max) |_| {
        @atomicStore(u64, &ticked_ns, clock.coarseNs(), .monotonic);
        clock.sleep(tick_ns);
    }
    @atomicStore(u64, &ticked_ns, 0, .monotonic);
    // SYNC: pairs with `begin`.
    @atomicStore(bool, own, false, .release);
}

/// In a child of fork, which has no such thread.
pub fn forgetAfterFork() void {
    @atomicStore(u64, &ticked_ns, 0, .monotonic);
    @atomicStore(bool, &ticking, false, .monotonic);
}

test "the time goes on in a burst, after it, and in the next" {
    for (0..3) |_| {
        const start_ns = clock.monotonicNs();
        var last_seen_ns: u64 = 0;
        var loads: u32 = 0;
        // Until the ticking began, and then for some ticks.
        while (loads < 1000 or recentNs() < start_ns + 10 * tick_ns) {
            const now_ns = recentNs();
            try std.testing.expect(now_ns >= last_seen_ns);
            last_seen_ns = now_ns;
            if (@atomicLoad(u64, &ticked_ns, .monotonic) != 0) loads += 1;
        }
        while (@atomicLoad(bool, &ticking, .acquire)) clock.sleep(tick_ns);
        const after_ns = recentNs();
        try std.testing.expect(after_ns >= last_seen_ns);
        try std.testing.expectEqual(@as(u64, 0), @atomicLoad(u64, &ticked_ns, .monotonic));
    }
}
