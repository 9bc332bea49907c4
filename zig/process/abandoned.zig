//! Pools that no live participant has: finding them in a folder without writing to them, and
//! removing their names. `names.zig` decides whether a name may be removed.

const std = @import("std");
const errors = @import("../errors.zig");
const folder = @import("../system/folder.zig");
const layout = @import("../format/layout.zig");
const mapping_file = @import("mapping.zig");
const names = @import("../protocol/recovery/names.zig");
const object = @import("../system/object.zig");
const participant_file = @import("../protocol/participant.zig");
const pool_name = @import("pool_name.zig");
const system = @import("../system/door.zig");

const Error = errors.Error;
const Name = pool_name.Name;
const Trust = @import("../system/trust.zig").Trust;
const View = participant_file.View;

/// A look at an object from outside: nothing is written, and nothing of it is kept.
pub const Look = struct {
    view: View,

    pub fn at(found: object.Object) Error!Look {
        const identity = try mapping_file.readIdentity(found);
        const geometry = try mapping_file.checkIdentity(identity, found);
        const base = try system.memory.map(found.fd, geometry.total_size, false);
        return .{ .view = .init(base, geometry, identity, found.fd, undefined) };
    }

    pub fn end(look: *Look) void {
        system.memory.unmap(look.view.base, look.view.geometry.total_size);
    }

    pub fn isAbandoned(look: *const Look) bool {
        return !names.isAnybodyLive(&look.view, null);
    }
};

/// Removes the name if it leads to an ephemeral pool that no live participant has. Anything else
/// keeps the name, and so does a pool that cannot be removed: `creating.create` then fails.
pub fn makeWay(dir: [:0]const u8, name: []const u8, trust: Trust) void {
    defer errors.clear();
    const found = object.open(dir, name, .read_only, trust) catch return;
    const is_left_over = isEphemeral(found.fd) and isAbandoned(found);
    object.close(found.fd);
    if (is_left_over) _ = removeAbandoned(dir, name, trust) catch {};
}

/// Removes the names of the ephemeral pools of this user that the dead left in a folder. A pool
/// that cannot be looked at, or that somebody is working on just now, stays for the next caller.
pub fn removeLeftOver(dir: [:0]const u8) void {
    defer errors.clear();
    folder.forEachObject(dir, dir, struct {
        fn visit(in: [:0]const u8, name: []const u8, fd: i32) void {
            if (!isEphemeral(fd)) return;
            const found = object.stat(fd) catch return;
            if (found.owner != std.c.geteuid() or !isAbandoned(found)) return;
            _ = removeAbandoned(in, name, .{}) catch {};
        }
    }.visit);
}

/// One read, since most pools are not ephemeral. The answer means nothing for a file that is no
/// pool.
fn isEphemeral(fd: i32) bool {
    var ephemeral: u32 = 0;
    const offset = @offsetOf(layout.Identity, "ephemeral");
    return std.c.pread(fd, std.mem.asBytes(&ephemeral), 4, offset) == 4 and ephemeral != 0;
}

fn isAbandoned(found: object.Object) bool {
    var look = Look.at(found) catch return false;
    defer look.end();
    return look.isAbandoned();
}

fn removeAbandoned(dir: [:0]const u8, name: []const u8, trust: Trust) Error!bool {
    const found = try object.open(dir, name, .read_write, trust);
    const mapping = try mapping_file.of(found, dir, name);
    defer mapping_file.release(mapping);
    const own_name: Name = .{ .dir = dir, .name = name, .identity = mapping.object.identity };
    return names.takeIfNobody(&mapping.view, own_name, at_once_ns);
}

/// A deadline that has passed: a pool that somebody works on is not abandoned.
const at_once_ns: u64 = 1;

/// Removes the name of a pool of this user, ephemeral or not, that no live participant has. False
/// for any other pool. `dry` only looks.
pub fn prune(dir: [:0]const u8, name: []const u8, dry: bool) Error!bool {
    errors.clear();
    const found = try object.open(dir, name, .read_only, .{});
    defer object.close(found.fd);
    if (found.owner != std.c.geteuid()) return false;
    {
        var look = try Look.at(found);
        defer look.end();
        if (!look.isAbandoned()) return false;
    }
    if (dry) return true;
    return removeAbandoned(dir, name, .{});
}
