//! Every access to shared memory whose order or interleaving matters goes through here, so that a
//! checker can stand between any two of them. What must not live here: the meaning of any word.
//!
//! Built for use (`hook = none`) each function is the bare instruction. Built for crash points each
//! access counts, and the process kills itself at the one that was asked for.

const std = @import("std");
const build_options = @import("build_options");

pub const Order = std.builtin.AtomicOrder;
pub const Canary = @import("canary.zig").Canary;

/// The broken variant of this build, `none` in every build that is shipped.
pub const canary: Canary = std.meta.stringToEnum(Canary, @tagName(build_options.canary)).?;

const crash_point = @import("crash_point.zig");

inline fn step() void {
    if (build_options.hook == .crash) crash_point.step();
}

pub inline fn load(comptime T: type, ptr: *const T, comptime order: Order) T {
    step();
    return @atomicLoad(T, ptr, order);
}

pub inline fn store(comptime T: type, ptr: *T, value: T, comptime order: Order) void {
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
    step();
    const failure: Order = if (success == .monotonic) .monotonic else .acquire;
    return @cmpxchgStrong(T, ptr, expected, desired, success, failure) == null;
}

/// Returns what was there before. Sequentially consistent.
pub inline fn fetchAdd(comptime T: type, ptr: *T, amount: T) T {
    step();
    return @atomicRmw(T, ptr, .Add, amount, .seq_cst);
}

pub inline fn fetchSub(comptime T: type, ptr: *T, amount: T) T {
    step();
    return @atomicRmw(T, ptr, .Sub, amount, .seq_cst);
}

pub inline fn fetchMax(comptime T: type, ptr: *T, value: T) T {
    step();
    return @atomicRmw(T, ptr, .Max, value, .seq_cst);
}
