//! The name of a pool, and removing it. When a name has to go is in `names.zig` of the protocol.

const std = @import("std");
const errors = @import("../errors.zig");
const layout = @import("../format/layout.zig");
const mapping_file = @import("mapping.zig");
const object = @import("../system/object.zig");
const open_pool = @import("open_pool.zig");
const removal = @import("../system/removal.zig");
const thaw = @import("../protocol/recovery/thaw.zig");

const Error = errors.Error;
const Mapping = mapping_file.Mapping;
const Pool = open_pool.Pool;

/// A pool's name in the file system, as `names.zig` removes it.
pub const Name = struct {
    dir: [:0]const u8,
    name: []const u8,
    identity: object.Identity,

    pub fn remove(name: Name) Error!bool {
        const expected: removal.Expected = .{ .identity = name.identity };
        // Meanwhile others wait for the recovery mutex.
        return removal.remove(name.dir, name.name, expected, remove_patience_ns);
    }

    pub fn leadsHere(name: Name) bool {
        return object.linked(name.dir, name.name, name.identity);
    }
};

const remove_patience_ns: u64 = 100 * std.time.ns_per_ms;

pub fn of(mapping: *const Mapping) Name {
    return .{
        .dir = mapping.dir,
        .name = mapping.name,
        .identity = mapping.object.identity,
    };
}

pub fn linked(pool: *const Pool) bool {
    const mapping = pool.mapping orelse return false;
    return object.linked(mapping.dir, mapping.name, mapping.object.identity);
}

/// `device` below 0 removes the name whatever it leads to. `pool_id`, as `info` gives it, tells a
/// pool that is closed here from a later one that got its inode. It is below 0 for a pool that is
/// open here.
pub fn unlink(
    dir: [:0]const u8,
    name: []const u8,
    device: f64,
    inode: f64,
    pool_id: f64,
) Error!bool {
    errors.clear();
    if (device < 0) return removal.remove(dir, name, null, thaw.patience_untimed_ns);
    const stamp: removal.Stamp = .{
        .offset = @offsetOf(layout.Identity, "pool_id"),
        .value = @intFromFloat(@max(pool_id, 0)),
        .mask = pool_id_mask,
    };
    return removal.remove(dir, name, .{
        .identity = .{ .device = @intFromFloat(device), .inode = @intFromFloat(inode) },
        .stamp = if (pool_id < 0) null else stamp,
    }, thaw.patience_untimed_ns);
}

/// Removes the name of an open pool, unless it leads to another one by now.
pub fn unlinkOwn(pool: *const Pool) Error!bool {
    errors.clear();
    const mapping = pool.mapping orelse return error.PoolClosed;
    return removal.remove(mapping.dir, mapping.name, .{
        .identity = mapping.object.identity,
        .stamp = .{
            .offset = @offsetOf(layout.Identity, "pool_id"),
            .value = mapping.identity.pool_id & pool_id_mask,
            .mask = pool_id_mask,
        },
    }, thaw.patience_untimed_ns);
}

/// The bits of a pool's id that a JavaScript number can hold.
pub const pool_id_mask: u64 = (1 << 53) - 1;
