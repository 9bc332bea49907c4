//! The interface in the form that suits C: every call returns 0 or the error's code negated, and
//! puts its results where the caller says. `include/xmem.h` is generated from the files in `c/`,
//! whose comments are the reference. The form for `bun:ffi` is in `bun.zig`; both make the same
//! calls.
//!
//! Numbers are checked for range there, and for meaning where they are used.

pub const buffers = @import("c/buffers.zig");
pub const channels = @import("c/channels.zig");
pub const description = @import("c/description.zig");
pub const failures = @import("c/failures.zig");
pub const folder = @import("c/folder.zig");
pub const looking = @import("c/looking.zig");
pub const pools = @import("c/pools.zig");
pub const requests = @import("c/requests.zig");
pub const sharing = @import("c/sharing.zig");
pub const types = @import("c/types.zig");
pub const upkeep = @import("c/upkeep.zig");
pub const waits = @import("c/waits.zig");
pub const windows = @import("c/windows.zig");

comptime {
    _ = pools;
    _ = folder;
    _ = buffers;
    _ = sharing;
    _ = windows;
    _ = channels;
    _ = requests;
    _ = waits;
    _ = description;
    _ = upkeep;
    _ = looking;
    _ = failures;
}
