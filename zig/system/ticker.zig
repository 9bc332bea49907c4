//! The time as the fast path reads it: for ages that are shown to people, and for nothing else. A
//! reading of the coarse clock costs a fifth of an acquire with its release. So while a process
//! asks millions of times a second, a thread of its own reads it once a tick, and asking is one
//! load. A process that asks less often reads the clock, and has no such thread.
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

/// The last reading, from whichever thread. While the thread ticks it is even, and is the time;
/// odd, it says that the time has to be read. One word for both, which only ever grows, so that the
/// time never runs backwards: a thread that read the clock earlier and stores later than another
/// leaves the other's newer reading.
var last_ns: u64 = asleep;
const asleep: u64 = 1;
var ticking: bool = false;
/// How many readings there were of the same time; from any thread, a lost one is no harm.
var readings: u32 = 0;

pub fn recentNs() u64 {
    const now_ns = latestNs();
    if (now_ns & asleep == 0) return now_ns;
    return read(clock.coarseNs());
}

/// Whether `latestNs` is the time.
pub inline fn isTicking() bool {
    return @atomicLoad(u64, &last_ns, .monotonic) & asleep == 0;
}

/// The last reading, to the nanosecond, without a call.
pub inline fn latestNs() u64 {
    return @atomicLoad(u64, &last_ns, .monotonic);
}

noinline fn read(clock_ns: u64) u64 {
    const now_ns = clock_ns | asleep;
    const before_ns = raise(now_ns);
    if (before_ns & asleep == 0) return before_ns;
    if (before_ns < now_ns) {
        @atomicStore(u32, &readings, 0, .monotonic);
        return now_ns & ~asleep;
    }
    const count = @atomicLoad(u32, &readings, .monotonic) + 1;
    @atomicStore(u32, &readings, count, .monotonic);
    if (count >= burst_min) begin();
    return before_ns & ~asleep;
}

/// Makes `to_ns` the last reading, unless that is as new already or the thread ticks. Returns the
/// last reading before.
fn raise(to_ns: u64) u64 {
    var before_ns = @atomicLoad(u64, &last_ns, .monotonic);
    while (before_ns & asleep != 0 and before_ns < to_ns) {
        before_ns = @cmpxchgWeak(u64, &last_ns, before_ns, to_ns, .monotonic, .monotonic) orelse
            return before_ns;
    }
    return before_ns;
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
        wake(clock.coarseNs());
        clock.sleep(tick_ns);
    }
    _ = @atomicRmw(u64, &last_ns, .Or, asleep, .monotonic);
    // SYNC: pairs with `begin`.
    @atomicStore(bool, own, false, .release);
}

/// The time is at least `clock_ns` from here on, and asking for it is one load. Others may have
/// read the clock, and stored what it said, since this thread read it.
fn wake(clock_ns: u64) void {
    const now_ns = clock_ns & ~asleep;
    var before_ns = @atomicLoad(u64, &last_ns, .monotonic);
    while (true) {
        const to_ns = @max(before_ns & ~asleep, now_ns);
        before_ns = @cmpxchgWeak(u64, &last_ns, before_ns, to_ns, .monotonic, .monotonic) orelse
            return;
    }
}

/// For a child of fork, in which the ticking thread does not exist.
pub fn forgetAfterFork() void {
    _ = @atomicRmw(u64, &last_ns, .Or, asleep, .monotonic);
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
            if (isTicking()) loads += 1;
        }
        while (@atomicLoad(bool, &ticking, .acquire)) clock.sleep(tick_ns);
        const after_ns = recentNs();
        try std.testing.expect(after_ns >= last_seen_ns);
        try std.testing.expect(!isTicking());
    }
}

test "a reading that is late takes no newer one back, before the ticking and when it begins" {
    while (@atomicLoad(bool, &ticking, .acquire)) clock.sleep(tick_ns);
    // Times to come, so that no clock is in the way.
    defer @atomicStore(u64, &last_ns, asleep, .monotonic);
    const early_ns = (clock.coarseNs() + std.time.ns_per_s) & ~asleep;
    const late_ns = early_ns + 10;
    try std.testing.expectEqual(early_ns, read(early_ns));
    try std.testing.expectEqual(late_ns, read(late_ns));
    try std.testing.expectEqual(late_ns, read(early_ns));
    // The thread read the clock before the others did, and says so after them.
    wake(early_ns);
    try std.testing.expectEqual(late_ns, latestNs());
    try std.testing.expectEqual(late_ns, read(early_ns));
    wake(late_ns + 10);
    try std.testing.expectEqual(late_ns + 10, latestNs());
    // This one found no ticking when it read the clock.
    try std.testing.expectEqual(late_ns + 10, read(late_ns + 20));
    forgetAfterFork();
    try std.testing.expect(!isTicking());
    try std.testing.expectEqual(late_ns + 10, read(early_ns));
    try std.testing.expectEqual(late_ns + 20, read(late_ns + 20));
}
