//! What the system says of a file: which one it is, its kind, size, mode and owner.
//!
//! The macOS half is compiled and linked by the build, and was never run.

const std = @import("std");
const builtin = @import("builtin");
const errors = @import("../errors.zig");
const file_call = @import("file_call.zig");
const hooks = @import("hooks");

const Error = errors.Error;
const c = std.c;
const linux = std.os.linux;
const is_darwin = builtin.os.tag.isDarwin();

/// Which file it is, as long as it exists. A later file of the same name has another identity.
pub const Identity = struct {
    /// As stat's st_dev.
    device: u64,
    inode: u64,

    pub fn equals(a: Identity, b: Identity) bool {
        return a.device == b.device and a.inode == b.inode;
    }
};

pub const Kind = enum {
    regular,
    directory,
    link,
    fifo,
    socket,
    device,
    other,

    pub fn name(kind: Kind) []const u8 {
        return switch (kind) {
            .regular => "a regular file",
            .directory => "a directory",
            .link => "a symbolic link",
            .fifo => "a fifo",
            .socket => "a socket",
            .device => "a device",
            .other => "not a file",
        };
    }
};

pub const Status = struct {
    identity: Identity,
    size: u64,
    mode: u32,
    owner: u32,
    group: u32,

    pub fn kind(status: Status) Kind {
        return switch (status.mode & 0o170000) {
            0o100000 => .regular,
            0o040000 => .directory,
            0o120000 => .link,
            0o010000 => .fifo,
            0o140000 => .socket,
            0o020000, 0o060000 => .device,
            else => .other,
        };
    }
};

pub const Result = union(enum) { status: Status, errno: c.E };

pub fn of(fd: i32) Error!Status {
    const result = if (is_darwin) darwinStatus(fd, null) else linuxStatus(fd, "", c.AT.EMPTY_PATH);
    return switch (result) {
        .status => |status| status,
        .errno => |errno| file_call.failed(errno, "looking at an open file failed", .{}),
    };
}

/// Of what the name leads to; where that is a link, of the link itself.
pub fn at(directory: i32, entry: [:0]const u8) Result {
    if (is_darwin) return darwinStatus(directory, entry);
    return linuxStatus(directory, entry, c.AT.SYMLINK_NOFOLLOW);
}

pub fn atFollowing(path: [:0]const u8) ?Status {
    return switch (linuxStatus(c.AT.FDCWD, path, 0)) {
        .status => |status| status,
        .errno => null,
    };
}

/// The kernel's call: glibc 2.17 has neither statx nor an fstat that can be linked.
fn linuxStatus(directory: i32, path: [:0]const u8, flags: u32) Result {
    var found: linux.Statx = undefined;
    const wanted: linux.STATX = .{
        .TYPE = true,
        .MODE = true,
        .UID = true,
        .GID = true,
        .INO = true,
        .SIZE = true,
    };
    hooks.call();
    const result = linux.statx(directory, path.ptr, flags, wanted, &found);
    const errno = linux.errno(result);
    if (errno != .SUCCESS) return .{ .errno = errno };
    return .{ .status = .{
        .identity = .{
            .device = deviceNumber(found.dev_major, found.dev_minor),
            .inode = found.ino,
        },
        .size = found.size,
        .mode = found.mode,
        .owner = found.uid,
        .group = found.gid,
    } };
}

/// glibc's and musl's makedev, so that it is the number that stat gives to everybody else.
fn deviceNumber(major: u64, minor: u64) u64 {
    return (major & 0xfffff000) << 32 | (major & 0xfff) << 8 |
        (minor & 0xffffff00) << 12 | (minor & 0xff);
}

fn darwinStatus(fd: i32, entry: ?[:0]const u8) Result {
    var found: c.Stat = undefined;
    const result = if (entry) |name|
        c.fstatat(fd, name.ptr, &found, c.AT.SYMLINK_NOFOLLOW)
    else
        c.fstat(fd, &found);
    if (result != 0) return .{ .errno = c.errno(result) };
    return .{ .status = .{
        .identity = .{
            .device = @as(u32, @bitCast(found.dev)),
            .inode = found.ino,
        },
        .size = @intCast(found.size),
        .mode = found.mode,
        .owner = found.uid,
        .group = found.gid,
    } };
}

const testing = std.testing;

test "the device number is the one that stat returns" {
    try testing.expectEqual(@as(u64, 0x801), deviceNumber(8, 1));
    try testing.expectEqual(@as(u64, 0x10001a), deviceNumber(0, 0x11a));
    try testing.expectEqual(@as(u64, 0xfd05), deviceNumber(253, 5));
}
