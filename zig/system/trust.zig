//! Which files are trusted to be a pool's object: anybody may put a file of any name into the
//! folder, and could then reach into the processes that open it.

const std = @import("std");
const errors = @import("../errors.zig");
const file_status = @import("file_status.zig");

const Error = errors.Error;
const Kind = file_status.Kind;
const Status = file_status.Status;
const c = std.c;

/// Whose objects are trusted, besides those of this user and of root.
pub const Trust = struct {
    owner: ?u32 = null,
    /// Objects that belong to this group: only its members can make one.
    group: ?u32 = null,
    /// Everybody's: for root when it looks from outside.
    anybody: bool = false,

    pub fn check(
        trust: Trust,
        status: Status,
        dir: [:0]const u8,
        entry: [:0]const u8,
    ) Error!void {
        if (status.kind() != .regular) return notRegular(status.kind(), dir, entry);
        const self = c.geteuid();
        if (trust.anybody or status.owner == self or status.owner == 0) return;
        if (trust.owner) |owner| if (status.owner == owner) return;
        if (trust.group) |group| if (status.group == group) return;
        return errors.fail(
            error.PermissionDenied,
            0,
            "{s}/{s} belongs to user {d} and group {d}, and this is user {d}; " ++
                "allowOwner: {d} would trust that user, allowGroup: {d} that group",
            .{ dir, entry, status.owner, status.group, self, status.owner, status.group },
        );
    }
};

pub fn notRegular(kind: Kind, dir: [:0]const u8, entry: [:0]const u8) Error {
    return errors.fail(
        error.PoolCorrupt,
        0,
        "{s}/{s} is {s}, and a pool is a regular file",
        .{ dir, entry, kind.name() },
    );
}

const testing = std.testing;

test "a file is trusted by its owner or its group, and a look from outside may trust all" {
    const own = c.geteuid();
    const other = own + 1;
    const cases = [_]struct { Trust, u32, u32, bool }{
        .{ .{}, own, 7, true },
        .{ .{}, 0, 7, true },
        .{ .{}, other, 7, false },
        .{ .{ .owner = other }, other, 7, true },
        .{ .{ .owner = other + 1 }, other, 7, false },
        .{ .{ .group = 7 }, other, 7, true },
        .{ .{ .group = 8 }, other, 7, false },
        .{ .{ .anybody = true }, other, 7, true },
    };
    for (cases) |case| {
        const trust, const owner, const group, const is_trusted = case;
        const status: Status = .{
            .identity = .{ .device = 1, .inode = 1 },
            .size = 0,
            .mode = 0o100600,
            .owner = owner,
            .group = group,
        };
        const result = trust.check(status, "/dev/shm", "xmem.frames");
        try testing.expectEqual(if (is_trusted) {} else error.PermissionDenied, result);
    }
}

test "only a regular file can be a pool" {
    const everybody: Trust = .{ .anybody = true };
    for ([_]u32{ 0o040700, 0o120777, 0o010600, 0o140600, 0o020600 }) |mode| {
        const status: Status = .{
            .identity = .{ .device = 1, .inode = 1 },
            .size = 0,
            .mode = mode,
            .owner = c.geteuid(),
            .group = 7,
        };
        const result = everybody.check(status, "/dev/shm", "xmem.frames");
        try testing.expectError(error.PoolCorrupt, result);
    }
}
