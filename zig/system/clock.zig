//! The clocks, in the units that the core counts in. Only reading is here: waiting for a time is in
//! futex.zig, and the core decides what a time means (a lease, an age, a deadline).
//!
//! The macOS half is compiled and linked by the build, and was never run.

const std = @import("std");
const builtin = @import("builtin");

const is_darwin = builtin.os.tag.isDarwin();

/// Nanoseconds since some moment before the machine's first process: the clock of deadlines. All
/// processes of a machine read the same one.
pub fn monotonicNs() u64 {
    // macOS ticks MONOTONIC in whole microseconds and lets its wall clock's corrections into it.
    return read(if (is_darwin) .MONOTONIC_RAW else .MONOTONIC);
}

/// The same clock as of the last timer tick: up to 10 ms behind, at a sixth of the price. For
/// leases and ages, which are read at each operation and compared in tenths of a second.
pub fn coarseNs() u64 {
    return read(if (is_darwin) .MONOTONIC_RAW_APPROX else .MONOTONIC_COARSE);
}

/// Unix time in milliseconds, for people to read. It jumps when somebody sets the clock.
pub fn realtimeMs() u64 {
    return read(.REALTIME) / std.time.ns_per_ms;
}

const GetTime = *const fn (std.c.clockid_t, *std.c.timespec) callconv(.c) c_int;

fn libcGetTime(clock: std.c.clockid_t, time: *std.c.timespec) callconv(.c) c_int {
    return std.c.clock_gettime(clock, time);
}

/// What reads a clock: libc's function until `prepare` found the one that libc itself would call.
var get_time: GetTime = &libcGetTime;

/// Looks the kernel's own function up. Going through libc costs as much again as the clock itself,
/// and acquire reads it each time.
pub fn prepare() void {
    if (builtin.os.tag != .linux or !builtin.abi.isGnu()) return;
    // A static program has no loader to ask.
    if (builtin.output_mode == .Obj) return;
    if (@atomicLoad(GetTime, &get_time, .monotonic) != &libcGetTime) return;
    const name = switch (builtin.cpu.arch) {
        .x86_64 => "__vdso_clock_gettime",
        .aarch64 => "__kernel_clock_gettime",
        else => return,
    };
    const vdso = std.c.dlopen("linux-vdso.so.1", .{ .LAZY = true, .NOLOAD = true }) orelse return;
    const found = std.c.dlsym(vdso, name) orelse return;
    @atomicStore(GetTime, &get_time, @ptrCast(@alignCast(found)), .monotonic);
}

inline fn read(clock: std.c.clockid_t) u64 {
    var time: std.c.timespec = undefined;
    // It fails only for a clock that the system does not have, and all systems that we run on have
    // these.
    if (@atomicLoad(GetTime, &get_time, .monotonic)(clock, &time) != 0) return 0;
    // Before 1970 only by a broken wall clock: then 0 rather than a wrapped number.
    const seconds = std.math.cast(u64, time.sec) orelse return 0;
    return seconds * std.time.ns_per_s + @as(u64, @intCast(time.nsec));
}

pub fn sleep(nanoseconds: u64) void {
    var time: std.c.timespec = .{
        .sec = @intCast(nanoseconds / std.time.ns_per_s),
        .nsec = @intCast(nanoseconds % std.time.ns_per_s),
    };
    // A signal ends it early, which callers allow for.
    _ = std.c.nanosleep(&time, null);
}

/// Lets other threads run, one of which this thread waits for.
pub fn relax() void {
    std.atomic.spinLoopHint();
    _ = std.c.sched_yield();
}

test "the coarse clock is the monotonic one, a little behind" {
    const before_ns = monotonicNs();
    const coarse_ns = coarseNs();
    const after_ns = monotonicNs();
    try std.testing.expect(before_ns > 0);
    try std.testing.expect(coarse_ns <= after_ns);
    try std.testing.expect(coarse_ns + std.time.ns_per_s > before_ns);
}

test "the monotonic clock never runs backwards" {
    var last_ns = monotonicNs();
    for (0..10_000) |_| {
        const now_ns = monotonicNs();
        try std.testing.expect(now_ns >= last_ns);
        last_ns = now_ns;
    }
}

test "the real time is of this century, in milliseconds" {
    const year_2020_ms = 1_577_836_800_000;
    const year_2200_ms = 7_258_118_400_000;
    const now_ms = realtimeMs();
    try std.testing.expect(now_ms > year_2020_ms);
    try std.testing.expect(now_ms < year_2200_ms);
}
