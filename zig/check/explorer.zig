//! The root of the explorer, which lies in `explorer/`: a program that walks every interleaving of
//! the core's own code, built with `-Dhook=explored` only.

const std = @import("std");
const explorer = @import("explorer/main.zig");

/// A check of the language that fails in the core's code is something found, like any other.
pub const panic = std.debug.FullPanic(explorer.fell);

pub export fn main(argc: c_int, argv: [*]const [*:0]const u8) c_int {
    return explorer.main(argv[0..@intCast(argc)]);
}
