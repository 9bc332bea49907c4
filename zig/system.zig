//! The one door to the operating system for the protocol's files: mutexes, futex, clocks, memory. A
//! checker that models the system puts its model behind these names.

const explored = @import("atomic.zig").explored;
const model = @import("explorer/system.zig");

pub const futex = if (explored) model.futex else @import("system/futex.zig");
pub const clock = if (explored) model.clock else @import("system/clock.zig");
pub const ticker = if (explored) model.ticker else @import("system/ticker.zig");
pub const memory = if (explored) model.memory else @import("system/memory.zig");
pub const RobustMutex = if (explored)
    model.RobustMutex
else
    @import("system/robust_mutex.zig").RobustMutex;
