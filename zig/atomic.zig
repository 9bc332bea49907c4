//! Every access to shared memory whose order or interleaving matters goes through here, so that a
//! checker can stand between any two of them. What must not live here: the meaning of any word.
//!
//! Built for use (`hook = none`) each function is the bare instruction. Built for the explorer each
//! access is a step of a fiber that the explorer schedules, buffers, or kills. Built for crash
//! points each access counts, and the process kills itself at the one that was asked for.

const std = @import("std");
const build_options = @import("build_options");

pub const Order = std.builtin.AtomicOrder;
pub const Canary = @import("canary.zig").Canary;

/// The broken variant of this build, `none` in every build that is shipped.
pub const canary: Canary = std.meta.stringToEnum(Canary, @tagName(build_options.canary)).?;

pub const exploring = build_options.hook == .explore;

const explorer = @import("explore/memory.zig");
const crash_point = @import("crash_point.zig");

inline fn step() void {
    if (build_options.hook == .crash) crash_point.step();
}

pub inline fn load(comptime T: type, ptr: *const T, comptime order: Order) T {
    if (exploring) return explorer.load(T, ptr);
    step();
    return @atomicLoad(T, ptr, order);
}

pub inline fn store(comptime T: type, ptr: *T, value: T, comptime order: Order) void {
    if (exploring) return explorer.store(T, ptr, value, order);
    step();
    @atomicStore(T, ptr, value, order);
}

/// True when the value was `expected` and is now `desired`. A failure orders as an acquire load.
pub inline fn cas(
    comptime T: type,
    ptr: *T,
    expected: T,
    desired: T,
    comptime success: Order,
) bool {
    if (exploring) return explorer.cas(T, ptr, expected, desired);
    step();
    const failure: Order = if (success == .monotonic) .monotonic else .acquire;
    return @cmpxchgStrong(T, ptr, expected, desired, success, failure) == null;
}

/// Returns what was there before. Sequentially consistent.
pub inline fn fetchAdd(comptime T: type, ptr: *T, amount: T) T {
    if (exploring) return explorer.rmw(T, ptr, .Add, amount);
    step();
    return @atomicRmw(T, ptr, .Add, amount, .seq_cst);
}

pub inline fn fetchSub(comptime T: type, ptr: *T, amount: T) T {
    if (exploring) return explorer.rmw(T, ptr, .Sub, amount);
    step();
    return @atomicRmw(T, ptr, .Sub, amount, .seq_cst);
}

pub inline fn fetchMax(comptime T: type, ptr: *T, value: T) T {
    if (exploring) return explorer.rmw(T, ptr, .Max, value);
    step();
    return @atomicRmw(T, ptr, .Max, value, .seq_cst);
}
