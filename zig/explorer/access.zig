//! What `atomic.zig` becomes in the explorer: each access is a step, in a memory that is
//! sequentially consistent or has store buffers. Which accesses need no step of their own is
//! decided here, too.

const std = @import("std");
const fiber = @import("fiber.zig");
const independence = @import("independence.zig");
const memory_model = @import("memory_model.zig");
const oracle = @import("oracle.zig");
const Canary = @import("../canary.zig").Canary;

const Order = std.builtin.AtomicOrder;

/// The rule that this run breaks.
pub var broken: Canary = .none;

/// Waiters claim without having waited.
pub var claims_at_once = false;

pub noinline fn load(comptime T: type, ptr: *const T) T {
    const address = @intFromPtr(ptr);
    if (!independence.ofLoad(address)) fiber.pause(.load, address, 0);
    return memory_model.load(T, ptr);
}

pub noinline fn store(comptime T: type, ptr: *T, value: T, comptime order: Order) void {
    const address = @intFromPtr(ptr);
    if (!independence.ofStore(address)) fiber.pause(.store, address, widened(T, value));
    memory_model.store(T, ptr, value, order);
}

pub noinline fn cas(
    comptime T: type,
    ptr: *T,
    expected: T,
    desired: T,
    comptime success: Order,
) bool {
    const address = @intFromPtr(ptr);
    fiber.pause(.cas, address, widened(T, desired));
    memory_model.beforeExchange(address, success);
    if (ptr.* != expected) return false;
    oracle.beforeChange(address, ptr.* != desired);
    ptr.* = desired;
    return true;
}

pub noinline fn change(
    comptime T: type,
    ptr: *T,
    amount: T,
    comptime how: enum { add, sub, max, bit_or, bit_and },
) T {
    const address = @intFromPtr(ptr);
    fiber.pause(switch (how) {
        .add => .add,
        .sub => .sub,
        .max => .max,
        .bit_or, .bit_and => .store,
    }, address, widened(T, amount));
    memory_model.beforeExchange(address, .seq_cst);
    const before = ptr.*;
    const after = switch (how) {
        .add => before +% amount,
        .sub => before -% amount,
        .max => @max(before, amount),
        .bit_or => before | amount,
        .bit_and => before & amount,
    };
    oracle.beforeChange(address, before != after);
    ptr.* = after;
    return before;
}

fn widened(comptime T: type, value: T) u64 {
    return value;
}
