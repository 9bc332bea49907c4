//! The least that the core needs in place of hooks: the instructions themselves. A library of these
//! and the one that is shipped have to be the same, byte for byte: so hooks and broken rules cost
//! nothing.

const std = @import("std");

pub const Canary = @import("canary.zig").Canary;
pub const Order = std.builtin.AtomicOrder;
pub const stepped = false;
pub const modelled = false;
pub inline fn repairsSilently() bool {
    return true;
}

pub inline fn claimsAtOnce() bool {
    return false;
}

pub inline fn call() void {}

pub inline fn broken(comptime rule: Canary) bool {
    _ = rule;
    return false;
}

pub inline fn load(comptime T: type, ptr: *const T, comptime order: Order) T {
    return @atomicLoad(T, ptr, order);
}

pub inline fn store(comptime T: type, ptr: *T, value: T, comptime order: Order) void {
    @atomicStore(T, ptr, value, order);
}

pub inline fn cas(comptime T: type, ptr: *T, from: T, to: T, comptime success: Order) bool {
    const failure: Order = if (success == .monotonic) .monotonic else .acquire;
    return @cmpxchgStrong(T, ptr, from, to, success, failure) == null;
}

pub inline fn fetchAdd(comptime T: type, ptr: *T, amount: T) T {
    return @atomicRmw(T, ptr, .Add, amount, .seq_cst);
}

pub inline fn fetchSub(comptime T: type, ptr: *T, amount: T) T {
    return @atomicRmw(T, ptr, .Sub, amount, .seq_cst);
}

pub inline fn fetchOr(comptime T: type, ptr: *T, bits: T) T {
    return @atomicRmw(T, ptr, .Or, bits, .seq_cst);
}

pub inline fn fetchAnd(comptime T: type, ptr: *T, bits: T) T {
    return @atomicRmw(T, ptr, .And, bits, .seq_cst);
}

pub inline fn fetchMax(comptime T: type, ptr: *T, value: T) T {
    return @atomicRmw(T, ptr, .Max, value, .seq_cst);
}
