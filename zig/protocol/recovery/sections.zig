//! The sections that a recovery mends, in this order. This is the one file that imports from rooms
//! above its own, and only such files: see `phases.zig` for what they have in common.

pub const all = .{
    @import("../pool/section.zig"),
    @import("../channel/section.zig"),
};
