//! Crash points: the process signals itself at the k-th step after `arm(k)`: before an access to
//! shared memory, or before a system call that others can see. SIGKILL ends it there, and SIGSTOP
//! stops it there. A test arms every k in turn and recovers.

const std = @import("std");
const accesses = @import("accesses.zig");

pub const Canary = @import("canary.zig").Canary;
pub const Order = accesses.Order;
pub const stepped = true;
pub const modelled = false;
pub inline fn repairsSilently() bool {
    return false;
}

pub inline fn claimsAtOnce() bool {
    return true;
}

const counted = accesses.After(step);
pub const load = counted.load;
pub const store = counted.store;
pub const cas = counted.cas;
pub const fetchAdd = counted.fetchAdd;
pub const fetchSub = counted.fetchSub;
pub const fetchOr = counted.fetchOr;
pub const fetchAnd = counted.fetchAnd;
pub const fetchMax = counted.fetchMax;
pub const call = step;

pub const broken = @import("chosen_canary.zig").broken;

/// Steps left until the process is signalled; 0 means disarmed. One thread arms and walks at a
/// time.
threadlocal var left: u64 = 0;
threadlocal var taken: u64 = 0;
threadlocal var signal: std.c.SIG = .KILL;

fn arm(steps: u64, with: std.c.SIG) void {
    left = steps;
    taken = 0;
    signal = with;
}

fn step() void {
    taken += 1;
    if (left == 0) return;
    left -= 1;
    if (left > 0) return;
    // To this very thread, so that it takes no other step while a sibling gets the signal.
    _ = std.c.raise(signal);
    if (signal == .KILL) while (true) std.atomic.spinLoopHint();
}

export fn xmem_crash_arm(steps: f64) void {
    arm(@intFromFloat(steps), .KILL);
}

export fn xmem_stop_arm(steps: f64) void {
    arm(@intFromFloat(steps), .STOP);
}

/// How many steps the armed operation took: the sweep ends when it ran to its end.
export fn xmem_crash_steps() f64 {
    return @floatFromInt(taken);
}

comptime {
    // Nobody else names them.
    _ = &xmem_crash_arm;
    _ = &xmem_stop_arm;
    _ = &xmem_crash_steps;
}
