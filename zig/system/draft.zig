//! How an object comes into being, whole or not at all: as a file without a name that is filled and
//! then named, or under a temporary name where the system cannot do that.

const std = @import("std");
const builtin = @import("builtin");
const errors = @import("../errors.zig");
const file_call = @import("file_call.zig");
const file_status = @import("file_status.zig");
const folder = @import("folder.zig");
const hooks = @import("hooks");
const object = @import("object.zig");
const object_name = @import("object_name.zig");
const removal = @import("removal.zig");

const Error = errors.Error;
const Identity = file_status.Identity;
const c = std.c;
const linux = std.os.linux;
const is_darwin = builtin.os.tag.isDarwin();

/// An object that nobody else can find yet. The caller fills it and publishes it, or discards it on
/// any error. If the process is killed before `publish`, the file is gone with it; where it had a
/// temporary name, the next process that needs a temporary name removes it.
pub const Draft = struct {
    fd: i32,
    identity: Identity,
    directory: i32,
    /// Empty for a file without a name.
    temporary: [64:0]u8 = @splat(0),

    /// Gives it its name, so that it appears whole in one step. POOL_EXISTS where anything has the
    /// name; the draft can then still be published under another one. After a success the
    /// descriptor is the caller's, and `discard` must not be called.
    pub fn publish(draft: *Draft, name: []const u8) Error!void {
        var buffer: object_name.EntryBuffer = undefined;
        const entry = try object_name.entryOf(name, &buffer);
        const errno = if (draft.temporary[0] == 0)
            draft.linkNameless(entry)
        else
            draft.linkTemporary(entry);
        switch (errno) {
            .SUCCESS => {},
            .EXIST => return errors.fail(
                error.PoolExists,
                @intFromEnum(errno),
                "{s} exists",
                .{entry},
            ),
            else => {
                // The next try of this process does not build on what failed here, unless any way
                // of making a file would have failed.
                const full = errno == .NOSPC or errno == .NOMEM or errno == .DQUOT;
                if (!full and draft.temporary[0] == 0) {
                    @atomicStore(bool, &nameless_failed, true, .monotonic);
                }
                if (errno == .NOSPC and isOutOfInodes(draft.directory)) return noInodes(entry);
                return file_call.failed(errno, "giving the new pool the name {s} failed", .{entry});
            },
        }
        draft.forgetName();
        object.close(draft.directory);
    }

    pub fn discard(draft: *Draft) void {
        draft.forgetName();
        object.close(draft.directory);
        object.close(draft.fd);
    }

    /// Also gives up the lock: `removal` takes it to remove the pool's own name.
    fn forgetName(draft: *Draft) void {
        if (draft.temporary[0] == 0) return;
        _ = file_call.call(c.unlinkat, .{ draft.directory, &draft.temporary, 0 });
        _ = file_call.call(c.flock, .{ draft.fd, c.LOCK.UN });
    }

    fn linkTemporary(draft: *Draft, entry: [:0]const u8) c.E {
        const directory = draft.directory;
        const arguments = .{ directory, &draft.temporary, directory, entry.ptr, 0 };
        return file_call.call(c.linkat, arguments);
    }

    fn linkNameless(draft: *Draft, entry: [:0]const u8) c.E {
        if (is_darwin) unreachable;
        var path_buffer: [32]u8 = undefined;
        const path = procPath(draft.fd, &path_buffer);
        const flags = c.AT.SYMLINK_FOLLOW;
        const arguments = .{ c.AT.FDCWD, path.ptr, draft.directory, entry.ptr, flags };
        return file_call.call(c.linkat, arguments);
    }
};

/// Set when a file without a name could be made and then not be named. That is rare (a security
/// module, a strange file system), so one failed create may find it out.
var nameless_failed: bool = false;

/// Makes a file of `length` zero bytes that has no name yet and costs no memory yet. Its mode is
/// `mode` whatever the umask says; its group is `group`, or the one that the system gives it.
pub fn create(dir: [:0]const u8, length: u64, mode: u32, group: ?u32) Error!Draft {
    std.debug.assert(mode <= 0o777);
    try checkLength(length);
    const directory = try folder.open(dir);
    errdefer object.close(directory);
    var draft: Draft = .{ .fd = -1, .identity = undefined, .directory = directory };
    draft.fd = openNameless(directory);
    if (draft.fd < 0) draft.fd = try openTemporary(dir, directory, &draft.temporary);
    errdefer {
        draft.forgetName();
        object.close(draft.fd);
    }
    if (group) |gid| {
        const group_errno = file_call.call(c.fchown, .{ draft.fd, std.math.maxInt(c.uid_t), gid });
        if (group_errno != .SUCCESS) return file_call.failed(
            group_errno,
            "user {d} cannot give a pool to group {d}; it has to be a member of that group",
            .{ c.geteuid(), gid },
        );
    }
    const mode_errno = file_call.call(c.fchmod, .{ draft.fd, @as(c.mode_t, @intCast(mode)) });
    if (mode_errno != .SUCCESS) {
        return file_call.failed(mode_errno, "setting the mode of a new pool in {s} failed", .{dir});
    }
    const length_errno = file_call.call(c.ftruncate, .{ draft.fd, @as(i64, @intCast(length)) });
    switch (length_errno) {
        .SUCCESS => {},
        // The file system decides how long a file can be: this is no wrong argument.
        .INVAL => return tooLong(length),
        else => return file_call.failed(
            length_errno,
            "a pool of {d} bytes in {s} failed",
            .{ length, dir },
        ),
    }
    const status = try file_status.of(draft.fd);
    draft.identity = status.identity;
    return draft;
}

/// A file that has no name and goes with its last descriptor. -1 where the system has no such
/// files, or could not give it a name later.
fn openNameless(directory: i32) i32 {
    if (is_darwin) return -1;
    if (@atomicLoad(bool, &nameless_failed, .monotonic)) return -1;
    const flags: c.O = .{
        .ACCMODE = .RDWR,
        .TMPFILE = true,
        .DIRECTORY = true, // part of O_TMPFILE: to a kernel without it, a call that must fail
        .CLOEXEC = true,
    };
    const mode: c_uint = 0o600;
    const fd = while (true) {
        hooks.call();
        const result = c.openat(directory, ".", flags, mode);
        if (result >= 0) break result;
        // For any other error a temporary file is tried, which works or reports the error.
        if (c.errno(result) != .INTR) return -1;
    };
    // It gets its name through /proc, which not every container has.
    var path_buffer: [32]u8 = undefined;
    const through_proc = file_status.atFollowing(procPath(fd, &path_buffer));
    const itself = file_status.of(fd) catch null;
    if (through_proc != null and itself != null) {
        if (through_proc.?.identity.equals(itself.?.identity)) return fd;
    }
    errors.clear();
    object.close(fd);
    return -1;
}

fn procPath(fd: i32, buffer: *[32]u8) [:0]const u8 {
    return std.fmt.bufPrintSentinel(buffer, "/proc/self/fd/{d}", .{fd}, 0) catch unreachable;
}

const temporary_prefix = ".xmem.";

/// A file under a name that no pool can have, until it gets its own. It is locked, which tells it
/// from a file that a killed process left.
fn openTemporary(dir: [:0]const u8, directory: i32, name: *[64:0]u8) Error!i32 {
    removeAbandonedTemporaries(dir, directory);
    const flags: c.O = .{
        .ACCMODE = .RDWR,
        .CREAT = true,
        .EXCL = true,
        .NOFOLLOW = true,
        .CLOEXEC = true,
    };
    const mode: c_uint = 0o600;
    var salt: u32 = 0;
    while (true) : (salt +%= 1) {
        // The name is probably free. If it is not, O_EXCL fails and another is tried.
        var time: c.timespec = .{ .sec = 0, .nsec = 0 };
        _ = c.clock_gettime(.REALTIME, &time);
        const nanoseconds: u64 = @truncate(@as(u96, @bitCast(@as(i96, time.sec) *
            std.time.ns_per_s + time.nsec)));
        _ = std.fmt.bufPrintSentinel(
            name,
            temporary_prefix ++ "{d}.{x}.{x}",
            .{ @as(u32, @intCast(c.getpid())), nanoseconds, salt },
            0,
        ) catch unreachable;
        hooks.call();
        const fd = c.openat(directory, name, flags, mode);
        if (fd >= 0) {
            if (lockTemporary(fd, directory, name)) return fd;
            // Another process took it for an abandoned file before it was locked.
            object.close(fd);
            if (salt < 1000) continue;
        }
        const errno = c.errno(fd);
        switch (errno) {
            .INTR, .EXIST => if (salt < 1000) continue,
            else => {},
        }
        name[0] = 0;
        if (errno == .NOSPC and isOutOfInodes(directory)) return noInodes(dir);
        if (errno == .ROFS) return file_call.failed(
            errno,
            "{s} is mounted read-only; mount it writable, or choose another folder by XMEM_DIR",
            .{dir},
        );
        if (errno == .ACCES or errno == .PERM) return file_call.failed(
            errno,
            "user {d} may not make files in {s}; choose another folder by XMEM_DIR",
            .{ c.geteuid(), dir },
        );
        return file_call.failed(errno, "making a file in {s} failed", .{dir});
    }
}

/// False where somebody else has the lock, or has removed the name.
fn lockTemporary(fd: i32, directory: i32, name: [:0]const u8) bool {
    if (file_call.call(c.flock, .{ fd, c.LOCK.EX | c.LOCK.NB }) != .SUCCESS) return false;
    const itself = file_status.of(fd) catch return false;
    return switch (file_status.at(directory, name)) {
        .status => |status| status.identity.equals(itself.identity),
        .errno => false,
    };
}

/// Removes the temporary files of killed processes: nobody has them locked.
fn removeAbandonedTemporaries(dir: [:0]const u8, directory: i32) void {
    const stream = c.opendir(dir.ptr) orelse return;
    defer _ = c.closedir(stream);
    while (c.readdir(stream)) |entry| {
        const name: [*:0]const u8 = @ptrCast(&entry.name);
        if (!std.mem.startsWith(u8, std.mem.span(name), temporary_prefix)) continue;
        const flags = file_call.carefulFlags(.RDONLY);
        const fd = c.openat(directory, name, flags);
        if (fd < 0) continue;
        defer object.close(fd);
        if (lockTemporary(fd, directory, std.mem.span(name))) _ = c.unlinkat(directory, name, 0);
    }
}

/// Whether the file system has no inode left for another file, whatever room it has for bytes.
fn isOutOfInodes(directory: i32) bool {
    if (is_darwin) return false;
    // The beginning of the kernel's struct statfs, the same on all 64-bit machines but s390.
    const StatFs = extern struct {
        type: u64,
        block_size: u64,
        blocks: u64,
        blocks_free: u64,
        blocks_available: u64,
        files: u64,
        files_free: u64,
        rest: [9]u64,
    };
    var found: StatFs = undefined;
    const fd: u32 = @bitCast(directory);
    const result = linux.syscall2(.fstatfs, fd, @intFromPtr(&found));
    return linux.errno(result) == .SUCCESS and found.files != 0 and found.files_free == 0;
}

fn noInodes(what: []const u8) Error {
    return errors.fail(
        error.OutOfMemory,
        @intFromEnum(c.E.NOSPC),
        "{s}: the file system has no inodes left; remove files from it, or mount it with a " ++
            "larger nr_inodes",
        .{what},
    );
}

/// A file longer than the process may make would kill the process with SIGXFSZ.
fn checkLength(length: u64) Error!void {
    if (length > std.math.maxInt(i64)) return tooLong(length);
    const limit = std.posix.getrlimit(.FSIZE) catch return;
    if (length <= limit.cur) return;
    return errors.fail(
        error.OutOfMemory,
        0,
        "the pool would be {d} bytes, but the limit of this process for a file is {d}",
        .{ length, limit.cur },
    );
}

fn tooLong(length: u64) Error {
    return errors.fail(
        error.OutOfMemory,
        0,
        "the pool would be {d} bytes, longer than a file can be",
        .{length},
    );
}

const testing = std.testing;
const testing_os = @import("testing_os.zig");

const TestFolder = @import("testing_folder.zig").TestFolder;

/// Makes, publishes and closes a pool of one page.
pub fn makeOne(directory: *TestFolder, name: []const u8) !Identity {
    var draft = try create(directory.path, 4096, 0o600, null);
    errdefer draft.discard();
    try draft.publish(name);
    object.close(draft.fd);
    return draft.identity;
}

/// Has a child process make a draft, and kill itself before publishing it.
fn dieWithDraft(directory: *TestFolder) !void {
    const child = testing_os.fork();
    if (child == 0) {
        _ = create(directory.path, 1 << 20, 0o600, null) catch c._exit(1);
        _ = c.kill(c.getpid(), .KILL);
    }
    try testing.expectEqual(@as(?u8, null), testing_os.exitCode(child));
}

fn publishedWhole(directory: *TestFolder) !void {
    var draft = try create(directory.path, 12345, 0o640, null);
    var discard = true;
    defer if (discard) draft.discard();
    // Nobody finds it, under its own name or any that a pool can have.
    const early = object.open(directory.path, "one", .read_write, .{});
    try testing.expectError(error.PoolNotFound, early);
    try testing.expectEqual(@as(isize, 4), c.pwrite(draft.fd, "full", 4, 0));
    try draft.publish("one");
    discard = false;
    defer object.close(draft.fd);
    try testing.expectEqual(@as(u32, 1), try directory.entries());
    const found = try object.open(directory.path, "one", .read_only, .{});
    defer object.close(found.fd);
    try testing.expect(found.identity.equals(draft.identity));
    try testing.expectEqual(@as(u64, 12345), found.size);
    try testing.expectEqual(@as(u32, 0o640), found.mode);
    try testing.expectEqual(c.geteuid(), found.owner);
    var content: [4]u8 = undefined;
    try testing.expectEqual(@as(isize, 4), c.pread(found.fd, &content, 4, 0));
    try testing.expectEqualStrings("full", &content);
    try testing.expect(object.linked(directory.path, "one", found.identity));
    const expected: removal.Expected = .{ .identity = found.identity };
    try testing.expect(try removal.remove(directory.path, "one", expected, 0));
    try testing.expect(!object.linked(directory.path, "one", found.identity));
    try testing.expect(!try removal.remove(directory.path, "one", expected, 0));
    try testing.expectEqual(@as(u32, 0), try directory.entries());
}

test "an object appears whole, with its mode whatever the umask" {
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    const umask = c.umask(0o777);
    defer _ = c.umask(umask);
    try publishedWhole(&directory);
}

test "an object appears whole on a system without nameless files" {
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    nameless_failed = true;
    defer nameless_failed = false;
    try publishedWhole(&directory);
    try takenName(&directory);
}

fn takenName(directory: *TestFolder) !void {
    const first = try makeOne(directory, "taken");
    var draft = try create(directory.path, 4096, 0o600, null);
    try testing.expectError(error.PoolExists, draft.publish("taken"));
    try testing.expect(object.linked(directory.path, "taken", first));
    // It can still have another name.
    try draft.publish("other");
    object.close(draft.fd);
    const expected: removal.Expected = .{ .identity = draft.identity };
    try testing.expect(try removal.remove(directory.path, "other", expected, 0));
    var third = try create(directory.path, 4096, 0o600, null);
    try testing.expectError(error.PoolExists, third.publish("taken"));
    third.discard();
    try testing.expectEqual(@as(u32, 1), try directory.entries());
    try testing.expect(try removal.remove(directory.path, "taken", null, 0));
}

test "publishing never replaces an object that has the name" {
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    try takenName(&directory);
}

test "a process that is killed before publishing leaves nothing" {
    if (is_darwin) return error.SkipZigTest;
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    try dieWithDraft(&directory);
    try testing.expectEqual(@as(u32, 0), try directory.entries());
}

test "the next temporary file removes those of killed processes, and no others" {
    if (is_darwin) return error.SkipZigTest;
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    nameless_failed = true;
    defer nameless_failed = false;
    var living = try create(directory.path, 1 << 20, 0o600, null);
    for (0..3) |_| {
        try dieWithDraft(&directory);
        // The living one's and the latest one's.
        try testing.expectEqual(@as(u32, 2), try directory.entries());
    }
    try living.publish("living");
    object.close(living.fd);
    _ = try makeOne(&directory, "another");
    try testing.expectEqual(@as(u32, 2), try directory.entries());
    const expected: removal.Expected = .{ .identity = living.identity };
    try testing.expect(try removal.remove(directory.path, "living", expected, 0));
    try testing.expect(try removal.remove(directory.path, "another", null, 0));
}

test "one of many creators of the same name wins, and all find its object whole" {
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    const Race = struct {
        directory: *TestFolder,
        won: u32 = 0,
        lost: u32 = 0,
        half: u32 = 0,

        fn run(race: *@This()) void {
            var draft = create(race.directory.path, 4096, 0o600, null) catch return;
            _ = c.pwrite(draft.fd, "whole", 5, 0);
            if (draft.publish("race")) {
                _ = @atomicRmw(u32, &race.won, .Add, 1, .seq_cst);
                object.close(draft.fd);
            } else |_| {
                _ = @atomicRmw(u32, &race.lost, .Add, 1, .seq_cst);
                draft.discard();
            }
            const found = object.open(race.directory.path, "race", .read_write, .{}) catch return;
            defer object.close(found.fd);
            var content: [5]u8 = undefined;
            _ = c.pread(found.fd, &content, 5, 0);
            if (found.size == 4096 and std.mem.eql(u8, &content, "whole")) return;
            _ = @atomicRmw(u32, &race.half, .Add, 1, .seq_cst);
        }
    };
    for (0..20) |round| {
        nameless_failed = round % 2 == 1;
        defer nameless_failed = false;
        var race: Race = .{ .directory = &directory };
        var threads: [4]std.Thread = undefined;
        for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, Race.run, .{&race});
        for (threads) |thread| thread.join();
        try testing.expectEqual(@as(u32, 1), race.won);
        try testing.expectEqual(@as(u32, 3), race.lost);
        try testing.expectEqual(@as(u32, 0), race.half);
        try testing.expectEqual(@as(u32, 1), try directory.entries());
        try testing.expect(try removal.remove(directory.path, "race", null, 0));
    }
}

test "a limit on file sizes is an error and not a signal" {
    if (is_darwin) return error.SkipZigTest;
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    const child = testing_os.fork();
    if (child == 0) {
        std.posix.setrlimit(.FSIZE, .{ .cur = 8192, .max = 8192 }) catch c._exit(1);
        var draft = create(directory.path, 8192, 0o600, null) catch c._exit(2);
        draft.discard();
        _ = create(directory.path, 8193, 0o600, null) catch |err| {
            c._exit(if (err == error.OutOfMemory) 0 else 3);
        };
        c._exit(4);
    }
    try testing.expectEqual(@as(?u8, 0), testing_os.exitCode(child));
}
