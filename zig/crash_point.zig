//! Crash points: in a library built with `-Dhook=crash`, the process signals itself at the k-th step
//! after `arm(k)`: before an access to shared memory, or before a system call that others can see.
//! SIGKILL ends it there, SIGSTOP has it stand there. A test arms every k in turn and recovers.

const std = @import("std");
const build_options = @import("build_options");

/// Steps left until the process dies; 0 means disarmed. One thread arms and walks at a time.
threadlocal var left: u64 = 0;
threadlocal var taken: u64 = 0;
threadlocal var signal: std.c.SIG = .KILL;

pub fn arm(steps: u64, with: std.c.SIG) void {
    left = steps;
    taken = 0;
    signal = with;
}

/// How many steps the armed operation took: the sweep ends when it ran to its end.
pub fn stepsTaken() u64 {
    return taken;
}

/// Nothing at all in every other build.
pub inline fn here() void {
    if (build_options.hook == .crash) step();
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
