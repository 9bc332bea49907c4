//! The root of the shared library: its exported symbols are those of `abi/`.

const std = @import("std");

pub const panic = std.debug.no_panic;

comptime {
    _ = @import("abi/engine.zig");
    // Some hooks have symbols of their own.
    _ = @import("hooks");
}
