//! The one door to the operating system for the format and the protocol: mutexes, futex, clocks,
//! memory. A checker that models the system brings its model as part of the hooks.

const hooks = @import("hooks");

pub const futex = if (hooks.modelled) hooks.futex else @import("futex.zig");
pub const clock = if (hooks.modelled) hooks.clock else @import("clock.zig");
pub const ticker = if (hooks.modelled) hooks.ticker else @import("ticker.zig");
pub const prefetch = @import("prefetch.zig");
pub const register = @import("register.zig");
pub const memory = if (hooks.modelled) hooks.memory else @import("memory.zig");
pub const RobustMutex = if (hooks.modelled)
    hooks.RobustMutex
else
    @import("robust_mutex.zig").RobustMutex;
