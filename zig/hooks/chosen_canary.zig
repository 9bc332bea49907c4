//! The broken variant that this build was asked for.

const std = @import("std");
const build_options = @import("build_options");
const Canary = @import("canary.zig").Canary;

pub const canary: Canary = std.meta.stringToEnum(Canary, @tagName(build_options.canary)).?;
