//! The one door to the operating system for the protocol's files: mutexes, futex, clocks, memory. A
//! checker that models the system puts its model behind these names.

pub const futex = @import("system/futex.zig");
pub const clock = @import("system/clock.zig");
pub const ticker = @import("system/ticker.zig");
pub const memory = @import("system/memory.zig");
pub const RobustMutex = @import("system/robust_mutex.zig").RobustMutex;
