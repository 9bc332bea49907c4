//! The root of the shared library: its exported symbols are those of `abi/`.

const std = @import("std");
const hooks = @import("hooks");

pub const panic = std.debug.no_panic;

comptime {
    // Some hooks have symbols of their own.
    _ = hooks;
    _ = @import("abi/bun.zig");
    _ = @import("abi/bun_channels.zig");
    _ = @import("abi/bun_streams.zig");
    _ = @import("abi/bun_looking.zig");
    _ = @import("abi/c.zig");
}
