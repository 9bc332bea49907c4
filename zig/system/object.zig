//! A pool's object: the one regular file `xmem.<name>` in a folder of shared memory. Here it is
//! opened and looked at. How it comes into being is in `draft.zig`, how its name is
//! removed in `removal.zig`, and what its bytes mean is the format's.

const std = @import("std");
const builtin = @import("builtin");
const draft_file = @import("draft.zig");
const errors = @import("../errors.zig");
const file_call = @import("file_call.zig");
const file_status = @import("file_status.zig");
const folder = @import("folder.zig");
const hooks = @import("hooks");
const object_name = @import("object_name.zig");
const removal = @import("removal.zig");
const trust_file = @import("trust.zig");

const Error = errors.Error;
const Status = file_status.Status;
const Trust = trust_file.Trust;
const c = std.c;
const is_darwin = builtin.os.tag.isDarwin();

pub const Identity = file_status.Identity;

pub const Access = enum { read_write, read_only };

/// An open object. Its owner closes `fd`.
pub const Object = struct {
    fd: i32,
    identity: Identity,
    size: u64,
    /// Permission bits only.
    mode: u32,
    owner: u32,
    group: u32,

    fn from(fd: i32, status: Status) Object {
        return .{
            .fd = fd,
            .identity = status.identity,
            .size = status.size,
            .mode = status.mode & 0o777,
            .owner = status.owner,
            .group = status.group,
        };
    }
};

/// Opens the object of that name if it may be trusted: it has to be a regular file, not a link to
/// one, and belong to the effective user, to root, or to an owner that `trust` names.
pub fn open(
    dir: [:0]const u8,
    name: []const u8,
    access: Access,
    trust: Trust,
) Error!Object {
    var buffer: object_name.EntryBuffer = undefined;
    const entry = try object_name.entryOf(name, &buffer);
    const directory = folder.open(dir) catch |err| {
        // Without a directory there is no pool. The detail says which of the two is missing.
        if (errors.lastErrno() != @intFromEnum(c.E.NOENT)) return err;
        const errno = @intFromEnum(c.E.NOENT);
        const text = "the directory {s} does not exist";
        return errors.fail(error.PoolNotFound, errno, text, .{dir});
    };
    defer close(directory);
    const flags = file_call.carefulFlags(if (access == .read_write) .RDWR else .RDONLY);
    const fd = while (true) {
        hooks.call();
        const result = c.openat(directory, entry.ptr, flags);
        if (result >= 0) break result;
        const errno = c.errno(result);
        if (errno == .INTR) continue;
        return explainOpen(errno, dir, entry, directory);
    };
    errdefer close(fd);
    const status = try file_status.of(fd);
    try trust.check(status, dir, entry);
    return .from(fd, status);
}

/// An open object as it is now: since it was opened, somebody may have made it shorter or changed
/// its owner.
pub fn stat(fd: i32) Error!Object {
    const status = try file_status.of(fd);
    return .from(fd, status);
}

pub fn close(fd: i32) void {
    _ = c.close(fd);
}

/// The owner of the object that the name leads to; null where it cannot be seen.
pub fn ownerOf(dir: [:0]const u8, name: []const u8) ?u32 {
    const status = statusOfName(dir, name) orelse return null;
    return status.owner;
}

/// Whether the name leads to this object now, and not to a later one. Looks by path, so that it
/// also works in a process that has no descriptor left.
pub fn linked(dir: [:0]const u8, name: []const u8, identity: Identity) bool {
    const status = statusOfName(dir, name) orelse return false;
    return status.identity.equals(identity);
}

fn statusOfName(dir: [:0]const u8, name: []const u8) ?Status {
    var entry_buffer: object_name.EntryBuffer = undefined;
    const entry = object_name.entryOf(name, &entry_buffer) catch return null;
    var path_buffer: [std.posix.PATH_MAX:0]u8 = undefined;
    const path = std.fmt.bufPrintSentinel(&path_buffer, "{s}/{s}", .{ dir, entry }, 0) catch
        return null;
    return switch (file_status.at(c.AT.FDCWD, path)) {
        .status => |status| status,
        .errno => null,
    };
}

/// Turns the errno of an open that failed into what a person can act on.
fn explainOpen(errno: c.E, dir: [:0]const u8, entry: [:0]const u8, directory: i32) Error {
    switch (errno) {
        .NOENT => return errors.fail(
            error.PoolNotFound,
            @intFromEnum(errno),
            "{s}/{s} does not exist",
            .{ dir, entry },
        ),
        .MFILE, .NFILE, .NOMEM => return openFailed(errno, dir, entry),
        else => {},
    }
    const status = switch (file_status.at(directory, entry)) {
        .status => |status| status,
        .errno => return openFailed(errno, dir, entry),
    };
    // The open said ELOOP, EISDIR, ENXIO ...: all the same to a person.
    if (status.kind() != .regular) return trust_file.notRegular(status.kind(), dir, entry);
    switch (errno) {
        .ROFS => return file_call.failed(
            errno,
            "{s} is mounted read-only; there pools can be looked at, by list() and inspect(), " ++
                "and not be opened",
            .{dir},
        ),
        .ACCES, .PERM => return file_call.failed(
            errno,
            "{s}/{s} belongs to user {d} and group {d} and has mode {o}, and this is user {d}; " ++
                "it has to be made with a `mode` that lets this user read and write it",
            .{ dir, entry, status.owner, status.group, status.mode & 0o777, c.geteuid() },
        ),
        else => return openFailed(errno, dir, entry),
    }
}

fn openFailed(errno: c.E, dir: [:0]const u8, entry: [:0]const u8) Error {
    return file_call.failed(errno, "opening {s}/{s} failed", .{ dir, entry });
}

const testing = std.testing;
const testing_os = @import("testing_os.zig");

const TestFolder = @import("testing_folder.zig").TestFolder;
extern "c" fn mkfifo(path: [*:0]const u8, mode: c.mode_t) c_int;

test "a file that is not a regular one is refused by its kind, and stays" {
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    _ = try draft_file.makeOne(&directory, "target");
    var buffer: [128]u8 = undefined;
    try testing.expectEqual(0, c.symlink("xmem.target", directory.at(&buffer, "xmem.link").ptr));
    try testing.expectEqual(0, c.symlink("nowhere", directory.at(&buffer, "xmem.broken").ptr));
    try testing.expectEqual(0, mkfifo(directory.at(&buffer, "xmem.fifo").ptr, 0o600));
    try testing.expectEqual(0, c.mkdir(directory.at(&buffer, "xmem.folder").ptr, 0o700));
    const Case = struct { name: []const u8, says: []const u8 };
    for ([_]Case{
        .{ .name = "link", .says = "is a symbolic link" },
        .{ .name = "broken", .says = "is a symbolic link" },
        .{ .name = "fifo", .says = "is a fifo" },
        .{ .name = "folder", .says = "is a directory" },
    }) |case| {
        for ([_]Access{ .read_write, .read_only }) |access| {
            const result = open(directory.path, case.name, access, .{});
            try testing.expectError(error.PoolCorrupt, result);
            try testing.expect(std.mem.indexOf(u8, errors.lastText(), case.says) != null);
            try testing.expect(std.mem.indexOf(u8, errors.lastText(), case.name) != null);
        }
        var draft = try draft_file.create(directory.path, 4096, 0o600, null);
        defer draft.discard();
        try testing.expectError(error.PoolExists, draft.publish(case.name));
    }
    try testing.expectError(error.PoolCorrupt, removal.remove(directory.path, "folder", null, 0));
    try testing.expect(try removal.remove(directory.path, "link", null, 0));
    try testing.expect(try removal.remove(directory.path, "broken", null, 0));
    try testing.expect(try removal.remove(directory.path, "fifo", null, 0));
    try testing.expectEqual(0, c.rmdir(directory.at(&buffer, "xmem.folder").ptr));
    try testing.expect(try removal.remove(directory.path, "target", null, 0));
}

test "another user's object is refused unless that user is named" {
    if (c.geteuid() != 0) return error.SkipZigTest; // only root can make one
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    _ = try draft_file.makeOne(&directory, "foreign");
    var buffer: [128]u8 = undefined;
    const path = directory.at(&buffer, "xmem.foreign");
    try testing.expectEqual(0, std.c.fchownat(c.AT.FDCWD, path.ptr, 4242, 4242, 0));
    try testing.expectError(
        error.PermissionDenied,
        open(directory.path, "foreign", .read_write, .{}),
    );
    try testing.expect(std.mem.indexOf(u8, errors.lastText(), "belongs to user 4242") != null);
    try testing.expectError(
        error.PermissionDenied,
        open(directory.path, "foreign", .read_write, .{ .owner = 4243 }),
    );
    const object = try open(directory.path, "foreign", .read_write, .{ .owner = 4242 });
    close(object.fd);
    try testing.expectEqual(@as(u32, 4242), object.owner);
    const expected: removal.Expected = .{ .identity = object.identity };
    try testing.expect(try removal.remove(directory.path, "foreign", expected, 0));
}

test "a user who may not open an object is told its owner and its mode" {
    if (is_darwin or c.geteuid() != 0) return error.SkipZigTest;
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    var buffer: [128]u8 = undefined;
    try testing.expectEqual(0, c.chmod(directory.path.ptr, 0o755));
    _ = try draft_file.makeOne(&directory, "private");
    _ = directory.at(&buffer, "xmem.private");
    const child = testing_os.fork();
    if (child == 0) {
        if (c.setuid(4242) != 0) c._exit(1);
        _ = open(directory.path, "private", .read_write, .{}) catch |err| {
            if (err != error.PermissionDenied) c._exit(2);
            const says = "belongs to user 0 and group 0 and has mode 600, and this is user 4242";
            if (std.mem.indexOf(u8, errors.lastText(), says) == null) c._exit(3);
            _ = removal.remove(directory.path, "private", null, 0) catch |other| {
                c._exit(if (other == error.PermissionDenied) 0 else 4);
            };
            c._exit(5);
        };
        c._exit(6);
    }
    try testing.expectEqual(@as(?u8, 0), testing_os.exitCode(child));
    try testing.expect(try removal.remove(directory.path, "private", null, 0));
}

test "a missing directory and an impossible length are different errors" {
    const missing = "/dev/shm/xmem-object-test-missing";
    try testing.expectError(error.System, draft_file.create(missing, 4096, 0o600, null));
    try testing.expect(std.mem.indexOf(u8, errors.lastText(), missing) != null);
    try testing.expectError(error.PoolNotFound, open(missing, "one", .read_only, .{}));
    try testing.expect(std.mem.indexOf(u8, errors.lastText(), "does not exist") != null);
    try testing.expect(!try removal.remove(missing, "one", null, 0));
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    const lengths = [_]u64{ std.math.maxInt(u64), std.math.maxInt(i64) + 1 };
    for (lengths) |length| {
        const made = draft_file.create(directory.path, length, 0o600, null);
        try testing.expectError(error.OutOfMemory, made);
    }
    try testing.expectEqual(@as(u32, 0), try directory.entries());
}
