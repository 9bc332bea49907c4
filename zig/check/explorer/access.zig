//! What an access becomes in the explorer: a step that it schedules, in a memory that is
//! sequentially consistent or has store buffers. Which accesses need no step of their own is
//! decided here, too. The core calls these through `hooks/explored.zig`.

const std = @import("std");
const hooks = @import("hooks");
const fiber = @import("fiber.zig");
const independence = @import("independence.zig");
const memory_model = @import("memory_model.zig");
const oracle = @import("oracle.zig");

export var explorer_broken: u32 = @intFromEnum(hooks.Canary.none);

/// This run breaks the rule.
pub fn breakRule(rule: hooks.Canary) void {
    explorer_broken = @intFromEnum(rule);
}

/// Waiters claim without having waited.
export var explorer_claims_at_once = false;

pub fn claimAtOnce(yes: bool) void {
    explorer_claims_at_once = yes;
}

export fn explorer_load(address: usize, bytes: u8) u64 {
    if (!independence.ofLoad(address)) fiber.pause(.load, address, 0);
    return memory_model.load(address, bytes);
}

export fn explorer_store(address: usize, bytes: u8, value: u64, order: u8) void {
    if (!independence.ofStore(address)) fiber.pause(.store, address, value);
    memory_model.store(address, bytes, value, @enumFromInt(order));
}

export fn explorer_cas(address: usize, bytes: u8, from: u64, to: u64, order: u8) bool {
    fiber.pause(.cas, address, to);
    memory_model.beforeExchange(address, @enumFromInt(order));
    const found = memory_model.read(address, bytes);
    if (found != from) return false;
    oracle.beforeChange(address, found, to);
    memory_model.put(address, bytes, to);
    return true;
}

export fn explorer_change(address: usize, bytes: u8, amount: u64, how: hooks.Change) u64 {
    fiber.pause(switch (how) {
        .add => .add,
        .sub => .sub,
        .max => .max,
        .bit_or, .bit_and => .store,
    }, address, amount);
    memory_model.beforeExchange(address, .seq_cst);
    const before = memory_model.read(address, bytes);
    const after = memory_model.cut(bytes, switch (how) {
        .add => before +% amount,
        .sub => before -% amount,
        .max => @max(before, amount),
        .bit_or => before | amount,
        .bit_and => before & amount,
    });
    oracle.beforeChange(address, before, after);
    memory_model.put(address, bytes, after);
    return before;
}
