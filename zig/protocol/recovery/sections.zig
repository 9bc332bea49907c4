//! The sections that a recovery mends, in this order. This is the one file that imports from layers
//! above its own, and only files of this kind. `phases.zig` says what they have in common.

pub const all = .{
    @import("../pool/section.zig"),
    @import("../channel/section.zig"),
};
