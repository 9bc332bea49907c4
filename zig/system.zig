//! The one door to the operating system: mutexes, futex, clocks, memory. A build for the explorer
//! gets its model of the same interface instead, so that the core itself is what is explored.

const exploring = @import("build_options").hook == .explore;
const model = @import("explore/system.zig");

pub const futex = if (exploring) model.futex else @import("system/futex.zig");
pub const clock = if (exploring) model.clock else @import("system/clock.zig");
pub const memory = if (exploring) model.memory else @import("system/memory.zig");
pub const RobustMutex = if (exploring)
    model.RobustMutex
else
    @import("system/robust_mutex.zig").RobustMutex;
