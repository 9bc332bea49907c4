//! Crash points: in a library built with `-Dhook=crash`, the process kills itself with SIGKILL at
//! the k-th access to shared memory after `arm(k)`. A test arms every k in turn and recovers.

const std = @import("std");
const builtin = @import("builtin");

/// Steps left until the process dies; 0 means disarmed. One thread arms and walks at a time.
threadlocal var left: u64 = 0;
threadlocal var taken: u64 = 0;

pub fn arm(steps: u64) void {
    left = steps;
    taken = 0;
}

/// How many steps the armed operation took: the sweep ends when it ran to its end.
pub fn stepsTaken() u64 {
    return taken;
}

pub fn step() void {
    taken += 1;
    if (left == 0) return;
    left -= 1;
    if (left == 0) {
        _ = std.c.kill(std.c.getpid(), .KILL);
        while (true) std.atomic.spinLoopHint();
    }
}
