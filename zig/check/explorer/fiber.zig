//! Fibers: the core's code runs on stacks of the explorer's own, and each access to shared memory
//! gives the processor back to the scheduler first. One processor, no parallelism, no clock: a run
//! is a function of what the scheduler decides.

const std = @import("std");
const builtin = @import("builtin");
const state = @import("state.zig");

const Context = std.Io.fiber.Context;

/// The fiber whose step it is.
pub var current: u8 = state.outside;
/// While the world is set up, and while the oracle uses the core, nothing pauses.
pub var direct = true;
var scheduler: Context = undefined;

pub fn self() *state.Fiber {
    return &state.now.fibers[current];
}

/// A fresh stack that will run `body`, which never returns.
pub fn prepare(index: u8, body: *const fn () callconv(.c) noreturn) void {
    const fiber = &state.now.fibers[index];
    const top = @intFromPtr(&state.stacks[index]) + state.stack_bytes;
    // As if `body` had been called: the place of a return address is below an aligned top.
    fiber.context = switch (builtin.cpu.arch) {
        .x86_64 => .{ .rsp = top - 8, .rbp = 0, .rip = @intFromPtr(body) },
        .aarch64, .riscv64 => .{ .sp = top, .fp = 0, .pc = @intFromPtr(body) },
        else => comptime unreachable,
    };
    fiber.status = .ready;
    fiber.pending = .begin;
}

/// Runs one step of a fiber: to where it pauses next.
pub fn step(index: u8) void {
    const fiber = &state.now.fibers[index];
    state.scrub(index);
    current = index;
    direct = false;
    switchTo(&scheduler, &fiber.context);
    direct = true;
    current = state.outside;
    if (fiber.status == .ended) state.forget(index) else state.hashStack(index);
}

/// Before an access: the scheduler may run somebody else first, or kill this fiber here.
pub noinline fn pause(pending: state.Pending, address: usize, amount: u64) void {
    if (direct) return;
    const fiber = self();
    fiber.pending = pending;
    fiber.address = address;
    fiber.amount = amount;
    fiber.answer = 0;
    switchTo(&fiber.context, &scheduler);
}

/// Goes back to the scheduler for good, from within a step that went wrong.
pub fn escape() noreturn {
    while (true) switchTo(&self().context, &scheduler);
}

noinline fn switchTo(from: *Context, to: *Context) void {
    _ = std.Io.fiber.contextSwitch(&.{ .old = from, .new = to });
}
