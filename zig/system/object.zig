//! A pool's object: the one regular file `xmem.<name>` in a directory of shared memory. It comes
//! into being here, whole or not at all, is found again, checked for what may be trusted, and is
//! removed. What its bytes mean is the core's.
//!
//! The macOS half is compiled and linked by the build, and was never run.

const std = @import("std");
const builtin = @import("builtin");
const clock = @import("clock.zig");
const hooks = @import("hooks");
const errors = @import("../errors.zig");

const Error = errors.Error;
const c = std.c;
const linux = std.os.linux;
const is_darwin = builtin.os.tag.isDarwin();

pub const name_length_max = 200;
pub const prefix = "xmem.";

/// The file's name: the prefix, the user's name, and a 0.
const EntryBuffer = [prefix.len + name_length_max + 1]u8;

/// Which file it is, as long as it exists: of a later file of the same name it is another.
pub const Identity = struct {
    /// As stat's st_dev.
    device: u64,
    inode: u64,

    pub fn equals(a: Identity, b: Identity) bool {
        return a.device == b.device and a.inode == b.inode;
    }
};

pub const Access = enum { read_write, read_only };

/// Whose objects are trusted besides one's own and root's.
pub const Trust = struct {
    owner: ?u32 = null,
    /// Objects that belong to this group: each of its members can make one, and nobody else.
    group: ?u32 = null,
    /// Whoever made it: for root's looks from outside.
    anybody: bool = false,
};

/// Which object a name has to lead to.
pub const Expected = struct {
    identity: Identity,
    /// Bytes that tell an object from a later one that got the same inode. Not needed by who has it
    /// open, which keeps the inode.
    stamp: ?Stamp = null,
};

pub const Stamp = struct {
    offset: u64,
    value: u64,
    /// Which of its bits count.
    mask: u64,
};

/// An open object. Whoever has it closes `fd`.
pub const Object = struct {
    fd: i32,
    identity: Identity,
    size: u64,
    /// Permission bits only.
    mode: u32,
    owner: u32,
    group: u32,
};

/// Letters, digits, `.`, `_` and `-`, 1 to 200 of them, and neither `.` nor `..`: what can be in a
/// path without being one.
pub fn isValidName(name: []const u8) bool {
    if (name.len == 0 or name.len > name_length_max) return false;
    if (std.mem.eql(u8, name, ".") or std.mem.eql(u8, name, "..")) return false;
    for (name) |byte| {
        switch (byte) {
            'a'...'z', 'A'...'Z', '0'...'9', '.', '_', '-' => {},
            else => return false,
        }
    }
    return true;
}

/// An object that nobody else can find yet. The caller fills it, then publishes it; on any error
/// the caller discards it. Killed before `publish`, it is gone with the process. Where a temporary
/// name had to be used, the next who needs one removes what was left.
pub const Draft = struct {
    fd: i32,
    identity: Identity,
    directory: i32,
    /// Empty for a file without a name.
    temporary: [64:0]u8 = @splat(0),

    /// Gives it its name: from one moment to the next it is there, whole. POOL_EXISTS when the name
    /// is taken, by whatever it may be; the draft can then still be published under another one.
    /// Afterwards the descriptor is the caller's, and `discard` must not be called.
    pub fn publish(draft: *Draft, name: []const u8) Error!void {
        var buffer: EntryBuffer = undefined;
        const entry = try entryOf(name, &buffer);
        const errno = if (draft.temporary[0] == 0)
            draft.linkNameless(entry)
        else
            call(c.linkat, .{ draft.directory, &draft.temporary, draft.directory, entry.ptr, 0 });
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
                return failed(errno, "giving the new pool the name {s} failed", .{entry});
            },
        }
        draft.forgetName();
        close(draft.directory);
    }

    pub fn discard(draft: *Draft) void {
        draft.forgetName();
        close(draft.directory);
        close(draft.fd);
    }

    /// The lock goes with the temporary name: whoever removes the pool's own name wants it.
    fn forgetName(draft: *Draft) void {
        if (draft.temporary[0] == 0) return;
        _ = call(c.unlinkat, .{ draft.directory, &draft.temporary, 0 });
        _ = call(c.flock, .{ draft.fd, c.LOCK.UN });
    }

    fn linkNameless(draft: *Draft, entry: [:0]const u8) c.E {
        if (is_darwin) unreachable;
        var path_buffer: [32]u8 = undefined;
        const path = procPath(draft.fd, &path_buffer);
        const flags = c.AT.SYMLINK_FOLLOW;
        return call(c.linkat, .{ c.AT.FDCWD, path.ptr, draft.directory, entry.ptr, flags });
    }
};

/// Set when a file without a name could be made and then not be named. Rare enough (a security
/// module, a strange file system) that one failed create may tell.
var nameless_failed: bool = false;

/// Makes a file of `length` zero bytes that has no name yet and costs no memory yet. Its mode is
/// `mode` whatever the umask says; its group is `group`, or the one that the system gives it.
pub fn create(dir: [:0]const u8, length: u64, mode: u32, group: ?u32) Error!Draft {
    std.debug.assert(mode <= 0o777);
    try checkLength(length);
    const directory = try openDirectory(dir);
    errdefer close(directory);
    var draft: Draft = .{ .fd = -1, .identity = undefined, .directory = directory };
    draft.fd = openNameless(directory);
    if (draft.fd < 0) draft.fd = try openTemporary(dir, directory, &draft.temporary);
    errdefer {
        draft.forgetName();
        close(draft.fd);
    }
    if (group) |gid| {
        const group_errno = call(c.fchown, .{ draft.fd, std.math.maxInt(c.uid_t), gid });
        if (group_errno != .SUCCESS) return failed(
            group_errno,
            "user {d} cannot give a pool to group {d}; it has to be a member of that group",
            .{ c.geteuid(), gid },
        );
    }
    const mode_errno = call(c.fchmod, .{ draft.fd, @as(c.mode_t, @intCast(mode)) });
    if (mode_errno != .SUCCESS) {
        return failed(mode_errno, "setting the mode of a new pool in {s} failed", .{dir});
    }
    const length_errno = call(c.ftruncate, .{ draft.fd, @as(i64, @intCast(length)) });
    switch (length_errno) {
        .SUCCESS => {},
        // Not an argument of the user's own: what a file can be is the file system's to say.
        .INVAL => return tooLong(length),
        else => return failed(length_errno, "a pool of {d} bytes in {s} failed", .{ length, dir }),
    }
    const status = try statusOf(draft.fd);
    draft.identity = status.identity;
    return draft;
}

/// Opens the object of that name if it is one that may be trusted: a regular file, not a link to
/// one, of the effective user, of root, or of whom `trust` names.
pub fn open(
    dir: [:0]const u8,
    name: []const u8,
    access: Access,
    trust: Trust,
) Error!Object {
    var buffer: EntryBuffer = undefined;
    const entry = try entryOf(name, &buffer);
    const directory = openDirectory(dir) catch |err| {
        // Without a directory there is no pool. The detail says which of the two is missing.
        if (errors.lastErrno() != @intFromEnum(c.E.NOENT)) return err;
        const errno = @intFromEnum(c.E.NOENT);
        const text = "the directory {s} does not exist";
        return errors.fail(error.PoolNotFound, errno, text, .{dir});
    };
    defer close(directory);
    const flags: c.O = .{
        .ACCMODE = if (access == .read_write) .RDWR else .RDONLY,
        .NOFOLLOW = true,
        .NONBLOCK = true, // what is not a regular file must not make us wait before we know
        .NOCTTY = true,
        .CLOEXEC = true,
    };
    const fd = while (true) {
        hooks.call();
        const result = c.openat(directory, entry.ptr, flags);
        if (result >= 0) break result;
        const errno = c.errno(result);
        if (errno == .INTR) continue;
        return explainOpen(errno, dir, entry, directory);
    };
    errdefer close(fd);
    const status = try statusOf(fd);
    try checkTrust(status, dir, entry, trust);
    return .{
        .fd = fd,
        .identity = status.identity,
        .size = status.size,
        .mode = status.mode & 0o777,
        .owner = status.owner,
        .group = status.group,
    };
}

/// What an object is now. For one that is open: it may have been made shorter, or handed to another
/// owner, since.
pub fn stat(fd: i32) Error!Object {
    const status = try statusOf(fd);
    return .{
        .fd = fd,
        .identity = status.identity,
        .size = status.size,
        .mode = status.mode & 0o777,
        .owner = status.owner,
        .group = status.group,
    };
}

pub fn close(fd: i32) void {
    _ = c.close(fd);
}

/// Whose object the name leads to, as far as that can be seen from outside.
pub fn ownerOf(dir: [:0]const u8, name: []const u8) ?u32 {
    const status = statusOfName(dir, name) orelse return null;
    return status.owner;
}

/// Whether the name leads to this object, and to no later one, now. By its path, so that a process
/// without a descriptor left is told the truth, too.
pub fn linked(dir: [:0]const u8, name: []const u8, identity: Identity) bool {
    const status = statusOfName(dir, name) orelse return false;
    return status.identity.equals(identity);
}

fn statusOfName(dir: [:0]const u8, name: []const u8) ?Status {
    var entry_buffer: EntryBuffer = undefined;
    const entry = entryOf(name, &entry_buffer) catch return null;
    var path_buffer: [std.posix.PATH_MAX:0]u8 = undefined;
    const path = std.fmt.bufPrintSentinel(&path_buffer, "{s}/{s}", .{ dir, entry }, 0) catch
        return null;
    return switch (statusAt(c.AT.FDCWD, path)) {
        .status => |status| status,
        .errno => null,
    };
}

/// Removes the name if it leads to that object; null removes it whatever it leads to, short of a
/// directory. False when nothing is there, or another object. Who has the object open keeps it.
///
/// No system offers the look and the removal in one step. So whoever removes a name first locks the
/// object that it leads to, against all others who remove names. A name is never made to lead to
/// another object without being removed in between, hence what is seen under the lock stays true
/// until its owner removes the name. The kernel takes the lock from the dead. `patience_ns` is for
/// one who is stopped in those microseconds: POOL_BUSY after it.
pub fn remove(
    dir: [:0]const u8,
    name: []const u8,
    expected: ?Expected,
    patience_ns: u64,
) Error!bool {
    var buffer: EntryBuffer = undefined;
    const entry = try entryOf(name, &buffer);
    const directory = openDirectory(dir) catch |err| {
        if (errors.lastErrno() != @intFromEnum(c.E.NOENT)) return err;
        errors.clear();
        return false;
    };
    defer close(directory);
    const until_ns = clock.monotonicNs() + patience_ns;
    while (true) {
        const status = switch (statusAt(directory, entry)) {
            .status => |status| status,
            .errno => |errno| {
                if (errno == .NOENT) return false;
                return failed(errno, "looking at {s}/{s} failed", .{ dir, entry });
            },
        };
        if (expected) |wanted| if (!status.identity.equals(wanted.identity)) return false;
        var claim: Claim = .{};
        defer claim.release();
        const claimed = try claim.take(dir, directory, entry, status);
        if (claimed) {
            if (expected) |wanted| if (wanted.stamp) |stamp| if (!claim.bears(stamp)) return false;
            return unlinkEntry(dir, directory, entry);
        }
        if (clock.monotonicNs() >= until_ns) return errors.fail(
            error.PoolBusy,
            0,
            "somebody else has been removing {s}/{s} for too long, and may be stopped; " ++
                "continue or kill the process that has the file locked (see /proc/locks)",
            .{ dir, entry },
        );
        clock.sleep(claim_slice_ns);
    }
}

fn unlinkEntry(dir: [:0]const u8, directory: i32, entry: [:0]const u8) Error!bool {
    const errno = call(c.unlinkat, .{ directory, entry.ptr, 0 });
    switch (errno) {
        .SUCCESS => return true,
        .NOENT => return false,
        // Of a directory Linux says EISDIR, and macOS EPERM.
        .ISDIR, .ACCES, .PERM => {},
        else => return failed(errno, "removing {s}/{s} failed", .{ dir, entry }),
    }
    const status = switch (statusAt(directory, entry)) {
        .status => |status| status,
        .errno => return failed(errno, "removing {s}/{s} failed", .{ dir, entry }),
    };
    if (status.kind() == .directory) return notAPool(.directory, dir, entry);
    return failed(
        errno,
        "{s}/{s} belongs to user {d}, and this is user {d}; its owner, root, or the owner of the " ++
            "folder can remove it",
        .{ dir, entry, status.owner, c.geteuid() },
    );
}

const claim_slice_ns = std.time.ns_per_ms;

/// The lock on an object under which its name may be removed: of its own open of the file, so that
/// two threads of a process exclude each other as well.
const Claim = struct {
    fd: i32 = -1,

    /// False where somebody else has it, or the name does not lead to that object any more. What
    /// cannot be locked (no right to read it, not a file, no locks in this file system) is taken
    /// without.
    fn take(
        claim: *Claim,
        dir: [:0]const u8,
        directory: i32,
        entry: [:0]const u8,
        status: Status,
    ) Error!bool {
        if (status.kind() != .regular) return true;
        if (hooks.broken(.name_unlocked)) return true;
        const flags: c.O = .{
            .ACCMODE = .RDONLY,
            .NOFOLLOW = true,
            .NONBLOCK = true,
            .NOCTTY = true,
            .CLOEXEC = true,
        };
        hooks.call();
        claim.fd = c.openat(directory, entry.ptr, flags);
        if (claim.fd < 0) switch (c.errno(claim.fd)) {
            .MFILE, .NFILE, .NOMEM => |errno| {
                return failed(errno, "opening {s}/{s} failed", .{ dir, entry });
            },
            .NOENT, .INTR => return false,
            else => return true,
        };
        switch (call(c.flock, .{ claim.fd, c.LOCK.EX | c.LOCK.NB })) {
            .SUCCESS => {},
            .AGAIN => return false,
            else => {},
        }
        const own = try statusOf(claim.fd);
        if (!own.identity.equals(status.identity)) return false;
        return switch (statusAt(directory, entry)) {
            .status => |now| now.identity.equals(own.identity),
            .errno => false,
        };
    }

    /// Whether the object has these bytes. Of one that cannot be read nothing more is known than
    /// its inode.
    fn bears(claim: *const Claim, stamp: Stamp) bool {
        if (claim.fd < 0) return true;
        var found: u64 = 0;
        const read = c.pread(claim.fd, std.mem.asBytes(&found), 8, @intCast(stamp.offset));
        return read == 8 and (found ^ stamp.value) & stamp.mask == 0;
    }

    fn release(claim: *Claim) void {
        if (claim.fd < 0) return;
        // By name, since a child that another thread forked meanwhile has the same open file.
        _ = call(c.flock, .{ claim.fd, c.LOCK.UN });
        close(claim.fd);
        claim.fd = -1;
    }
};

/// Calls `visit(context, name, fd)` for each file of a folder that may be an object and can be read,
/// whoever's it is. It is closed afterwards. A folder that cannot be read has none. Three system
/// calls for each: folders can have many.
pub fn forEach(
    dir: [:0]const u8,
    context: anytype,
    comptime visit: fn (@TypeOf(context), []const u8, i32) void,
) void {
    const stream = c.opendir(dir.ptr) orelse return;
    defer _ = c.closedir(stream);
    while (c.readdir(stream)) |found| {
        if (found.type != c.DT.REG and found.type != c.DT.UNKNOWN) continue;
        const entry = std.mem.span(@as([*:0]const u8, @ptrCast(&found.name)));
        if (!std.mem.startsWith(u8, entry, prefix)) continue;
        const name = entry[prefix.len..];
        if (!isValidName(name)) continue;
        const flags: c.O = .{
            .ACCMODE = .RDONLY,
            .NOFOLLOW = true,
            .NONBLOCK = true,
            .NOCTTY = true,
            .CLOEXEC = true,
        };
        const fd = c.openat(dirfd(stream), entry.ptr, flags);
        if (fd < 0) continue;
        defer close(fd);
        visit(context, name, fd);
    }
}

extern "c" fn dirfd(stream: *c.DIR) c_int;

fn entryOf(name: []const u8, buffer: *EntryBuffer) Error![:0]const u8 {
    if (!isValidName(name)) {
        return errors.fail(
            error.InvalidArgument,
            0,
            "a pool's name is 1 to {d} letters, digits, '.', '_' or '-', and not '.' or '..'",
            .{name_length_max},
        );
    }
    return std.fmt.bufPrintSentinel(buffer, prefix ++ "{s}", .{name}, 0) catch unreachable;
}

fn openDirectory(dir: [:0]const u8) Error!i32 {
    // Once, and everything in it relative to that: a link changed meanwhile changes nothing.
    const flags: c.O = if (is_darwin)
        .{ .DIRECTORY = true, .CLOEXEC = true }
    else
        .{ .DIRECTORY = true, .CLOEXEC = true, .PATH = true };
    while (true) {
        hooks.call();
        const fd = c.open(dir.ptr, flags);
        if (fd >= 0) return fd;
        const errno = c.errno(fd);
        switch (errno) {
            .INTR => continue,
            .NOENT => return failed(errno, "the directory {s} does not exist", .{dir}),
            .NOTDIR => return failed(errno, "{s} is not a directory", .{dir}),
            else => return failed(errno, "opening the directory {s} failed", .{dir}),
        }
    }
}

/// A file that has no name, and that is gone with its last descriptor: -1 where there is no such
/// thing, or where it could not be given a name later.
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
        // Whatever it was: a temporary file either works, or fails with the same error and says it.
        if (c.errno(result) != .INTR) return -1;
    };
    // It gets its name through /proc, which not every container has.
    var path_buffer: [32]u8 = undefined;
    const through_proc = statusAtFollowing(procPath(fd, &path_buffer));
    const itself = statusOf(fd) catch null;
    if (through_proc != null and itself != null) {
        if (through_proc.?.identity.equals(itself.?.identity)) return fd;
    }
    errors.clear();
    close(fd);
    return -1;
}

const temporary_prefix = ".xmem.";

/// A file under a name that no pool can have, until it is linked to its own. It is locked, by which
/// it is told from what a killed process left.
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
        // Unlikely to be there, which is enough: O_EXCL notices, and another is tried.
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
            // It was taken for an abandoned one before it was locked.
            close(fd);
            if (salt < 1000) continue;
        }
        const errno = c.errno(fd);
        switch (errno) {
            .INTR, .EXIST => if (salt < 1000) continue,
            else => {},
        }
        name[0] = 0;
        if (errno == .NOSPC and isOutOfInodes(directory)) return noInodes(dir);
        if (errno == .ROFS) return failed(
            errno,
            "{s} is mounted read-only; mount it writable, or choose another folder by XMEM_DIR",
            .{dir},
        );
        if (errno == .ACCES or errno == .PERM) return failed(
            errno,
            "user {d} may not make files in {s}; choose another folder by XMEM_DIR",
            .{ c.geteuid(), dir },
        );
        return failed(errno, "making a file in {s} failed", .{dir});
    }
}

/// False where somebody else has the lock, or has removed the name.
fn lockTemporary(fd: i32, directory: i32, name: [:0]const u8) bool {
    if (call(c.flock, .{ fd, c.LOCK.EX | c.LOCK.NB }) != .SUCCESS) return false;
    const itself = statusOf(fd) catch return false;
    return switch (statusAt(directory, name)) {
        .status => |status| status.identity.equals(itself.identity),
        .errno => false,
    };
}

/// Removes the files of those who were killed before they could: nobody has them locked.
fn removeAbandonedTemporaries(dir: [:0]const u8, directory: i32) void {
    const stream = c.opendir(dir.ptr) orelse return;
    defer _ = c.closedir(stream);
    while (c.readdir(stream)) |entry| {
        const name: [*:0]const u8 = @ptrCast(&entry.name);
        if (!std.mem.startsWith(u8, std.mem.span(name), temporary_prefix)) continue;
        const flags: c.O = .{
            .ACCMODE = .RDONLY,
            .NOFOLLOW = true,
            .NONBLOCK = true,
            .CLOEXEC = true,
        };
        const fd = c.openat(directory, name, flags);
        if (fd < 0) continue;
        defer close(fd);
        if (lockTemporary(fd, directory, std.mem.span(name))) _ = c.unlinkat(directory, name, 0);
    }
}

/// Of a file system that counts its files: a file more needs one of them, whatever room there is.
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

const Kind = enum { regular, directory, link, fifo, socket, device, other };

const Status = struct {
    identity: Identity,
    size: u64,
    mode: u32,
    owner: u32,
    group: u32,

    fn kind(status: Status) Kind {
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

fn kindName(kind: Kind) []const u8 {
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

fn checkTrust(
    status: Status,
    dir: [:0]const u8,
    entry: [:0]const u8,
    trust: Trust,
) Error!void {
    if (status.kind() != .regular) return notAPool(status.kind(), dir, entry);
    const self = c.geteuid();
    if (trust.anybody or status.owner == self or status.owner == 0) return;
    if (trust.owner) |owner| if (status.owner == owner) return;
    if (trust.group) |group| if (status.group == group) return;
    // Anybody may put a file of any name there, and could then reach into those who open it.
    return errors.fail(
        error.PermissionDenied,
        0,
        "{s}/{s} belongs to user {d} and group {d}, and this is user {d}; " ++
            "allowOwner: {d} would trust that user, allowGroup: {d} that group",
        .{ dir, entry, status.owner, status.group, self, status.owner, status.group },
    );
}

fn notAPool(kind: Kind, dir: [:0]const u8, entry: [:0]const u8) Error {
    return errors.fail(
        error.PoolCorrupt,
        0,
        "{s}/{s} is {s}, and a pool is a regular file",
        .{ dir, entry, kindName(kind) },
    );
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
        .MFILE, .NFILE, .NOMEM => return failed(errno, "opening {s}/{s} failed", .{ dir, entry }),
        else => {},
    }
    const status = switch (statusAt(directory, entry)) {
        .status => |status| status,
        .errno => return failed(errno, "opening {s}/{s} failed", .{ dir, entry }),
    };
    // The open said ELOOP, EISDIR, ENXIO ...: all the same to a person.
    if (status.kind() != .regular) return notAPool(status.kind(), dir, entry);
    switch (errno) {
        .ROFS => return failed(
            errno,
            "{s} is mounted read-only; there pools can be looked at, by list() and inspect(), " ++
                "and not be opened",
            .{dir},
        ),
        .ACCES, .PERM => return failed(
            errno,
            "{s}/{s} belongs to user {d} and group {d} and has mode {o}, and this is user {d}; " ++
                "it has to be made with a `mode` that lets this user read and write it",
            .{ dir, entry, status.owner, status.group, status.mode & 0o777, c.geteuid() },
        ),
        else => return failed(errno, "opening {s}/{s} failed", .{ dir, entry }),
    }
}

/// Records the detail, and chooses the error that the errno means where no better one is known.
/// ENOENT is not POOL_NOT_FOUND here: to who creates a pool that would be a riddle.
fn failed(errno: c.E, comptime format: []const u8, arguments: anytype) Error {
    const err: Error = switch (errno) {
        .EXIST => error.PoolExists,
        .ACCES, .PERM, .ROFS => error.PermissionDenied,
        .NOMEM, .NOSPC, .DQUOT, .FBIG, .OVERFLOW => error.OutOfMemory,
        else => error.System,
    };
    return errors.fail(err, @intFromEnum(errno), format, arguments);
}

/// The call's errno, the call repeated as long as signals cut it short.
fn call(comptime function: anytype, arguments: anytype) c.E {
    while (true) {
        hooks.call();
        const errno = c.errno(@call(.auto, function, arguments));
        if (errno != .INTR) return errno;
    }
}

fn procPath(fd: i32, buffer: *[32]u8) [:0]const u8 {
    return std.fmt.bufPrintSentinel(buffer, "/proc/self/fd/{d}", .{fd}, 0) catch unreachable;
}

const StatusResult = union(enum) { status: Status, errno: c.E };

fn statusOf(fd: i32) Error!Status {
    const result = if (is_darwin) darwinStatus(fd, null) else linuxStatus(fd, "", c.AT.EMPTY_PATH);
    return switch (result) {
        .status => |status| status,
        .errno => |errno| failed(errno, "looking at an open file failed", .{}),
    };
}

/// Of what the name itself is, also when that is a link.
fn statusAt(directory: i32, entry: [:0]const u8) StatusResult {
    if (is_darwin) return darwinStatus(directory, entry);
    return linuxStatus(directory, entry, c.AT.SYMLINK_NOFOLLOW);
}

fn statusAtFollowing(path: [:0]const u8) ?Status {
    return switch (linuxStatus(c.AT.FDCWD, path, 0)) {
        .status => |status| status,
        .errno => null,
    };
}

/// The kernel's call: glibc 2.17 has neither statx nor an fstat that can be linked.
fn linuxStatus(directory: i32, path: [:0]const u8, flags: u32) StatusResult {
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

fn darwinStatus(fd: i32, entry: ?[:0]const u8) StatusResult {
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
const testing_os = @import("testing_os.zig");

const TestDirectory = struct {
    path_buffer: [64]u8 = undefined,
    path: [:0]const u8 = "",

    var count: u32 = 0;

    fn init(self: *TestDirectory) !void {
        self.path = try std.fmt.bufPrintSentinel(
            &self.path_buffer,
            "/dev/shm/xmem-object-test.{d}.{d}",
            .{ @as(u32, @intCast(c.getpid())), @atomicRmw(u32, &count, .Add, 1, .monotonic) },
            0,
        );
        if (c.mkdir(self.path.ptr, 0o700) != 0) return error.SkipZigTest;
    }

    fn deinit(self: *TestDirectory) void {
        _ = c.rmdir(self.path.ptr); // fails, and says so by what stays, when something was left
    }

    fn entries(self: *TestDirectory) !u32 {
        const stream = c.opendir(self.path.ptr) orelse return error.System;
        defer _ = c.closedir(stream);
        var found: u32 = 0;
        while (c.readdir(stream)) |_| found += 1;
        return found - 2; // . and ..
    }

    fn at(self: *TestDirectory, buffer: *[128]u8, name: []const u8) [:0]const u8 {
        return std.fmt.bufPrintSentinel(buffer, "{s}/{s}", .{ self.path, name }, 0) catch
            unreachable;
    }
};

extern "c" fn mkfifo(path: [*:0]const u8, mode: c.mode_t) c_int;

/// Makes, publishes and closes a pool of one page.
fn makeOne(directory: *TestDirectory, name: []const u8) !Identity {
    var draft = try create(directory.path, 4096, 0o600, null);
    errdefer draft.discard();
    try draft.publish(name);
    close(draft.fd);
    return draft.identity;
}

test "names" {
    for ([_][]const u8{ "a", "Z9._-", "...", ".hidden", "x" ** 200 }) |name| {
        try testing.expect(isValidName(name));
    }
    for ([_][]const u8{ "", ".", "..", "a/b", "a b", "a\x00", "\xc3\xa4", "x" ** 201 }) |name| {
        try testing.expect(!isValidName(name));
    }
    try testing.expectError(error.InvalidArgument, open("/dev/shm", "a/b", .read_only, .{}));
    try testing.expect(errors.lastText().len > 0);
}

fn publishedWhole(directory: *TestDirectory) !void {
    var draft = try create(directory.path, 12345, 0o640, null);
    var discard = true;
    defer if (discard) draft.discard();
    // Nobody finds it, under its own name or any that a pool can have.
    try testing.expectError(error.PoolNotFound, open(directory.path, "one", .read_write, .{}));
    try testing.expectEqual(@as(isize, 4), c.pwrite(draft.fd, "full", 4, 0));
    try draft.publish("one");
    discard = false;
    defer close(draft.fd);
    try testing.expectEqual(@as(u32, 1), try directory.entries());
    const object = try open(directory.path, "one", .read_only, .{});
    defer close(object.fd);
    try testing.expect(object.identity.equals(draft.identity));
    try testing.expectEqual(@as(u64, 12345), object.size);
    try testing.expectEqual(@as(u32, 0o640), object.mode);
    try testing.expectEqual(c.geteuid(), object.owner);
    var content: [4]u8 = undefined;
    try testing.expectEqual(@as(isize, 4), c.pread(object.fd, &content, 4, 0));
    try testing.expectEqualStrings("full", &content);
    try testing.expect(linked(directory.path, "one", object.identity));
    try testing.expect(try remove(directory.path, "one", .{ .identity = object.identity }, 0));
    try testing.expect(!linked(directory.path, "one", object.identity));
    try testing.expect(!try remove(directory.path, "one", .{ .identity = object.identity }, 0));
    try testing.expectEqual(@as(u32, 0), try directory.entries());
}

test "an object appears whole, with its mode whatever the umask" {
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    const umask = c.umask(0o777);
    defer _ = c.umask(umask);
    try publishedWhole(&directory);
}

test "so it does where a file without a name is not to be had" {
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    nameless_failed = true;
    defer nameless_failed = false;
    try publishedWhole(&directory);
    try takenName(&directory);
}

fn takenName(directory: *TestDirectory) !void {
    const first = try makeOne(directory, "taken");
    var draft = try create(directory.path, 4096, 0o600, null);
    try testing.expectError(error.PoolExists, draft.publish("taken"));
    try testing.expect(linked(directory.path, "taken", first));
    // It can still have another name.
    try draft.publish("other");
    close(draft.fd);
    try testing.expect(try remove(directory.path, "other", .{ .identity = draft.identity }, 0));
    var third = try create(directory.path, 4096, 0o600, null);
    try testing.expectError(error.PoolExists, third.publish("taken"));
    third.discard();
    try testing.expectEqual(@as(u32, 1), try directory.entries());
    try testing.expect(try remove(directory.path, "taken", null, 0));
}

test "a name that is taken stays whose it is" {
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    try takenName(&directory);
}

test "who is killed before publishing leaves nothing" {
    if (is_darwin) return error.SkipZigTest;
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    const child = testing_os.fork();
    if (child == 0) {
        _ = create(directory.path, 1 << 20, 0o600, null) catch c._exit(1);
        _ = c.kill(c.getpid(), .KILL);
    }
    try testing.expectEqual(@as(?u8, null), testing_os.exitCode(child));
    try testing.expectEqual(@as(u32, 0), try directory.entries());
}

test "what a killed process left under a temporary name is gone with the next, and no other" {
    if (is_darwin) return error.SkipZigTest;
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    nameless_failed = true;
    defer nameless_failed = false;
    var living = try create(directory.path, 1 << 20, 0o600, null);
    for (0..3) |_| {
        const child = testing_os.fork();
        if (child == 0) {
            _ = create(directory.path, 1 << 20, 0o600, null) catch c._exit(1);
            _ = c.kill(c.getpid(), .KILL);
        }
        try testing.expectEqual(@as(?u8, null), testing_os.exitCode(child));
        // The living one's and the latest one's.
        try testing.expectEqual(@as(u32, 2), try directory.entries());
    }
    try living.publish("living");
    close(living.fd);
    _ = try makeOne(&directory, "another");
    try testing.expectEqual(@as(u32, 2), try directory.entries());
    try testing.expect(try remove(directory.path, "living", .{ .identity = living.identity }, 0));
    try testing.expect(try remove(directory.path, "another", null, 0));
}

test "of many that create the same name one wins, and everybody finds that one whole" {
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    const Race = struct {
        directory: *TestDirectory,
        won: u32 = 0,
        lost: u32 = 0,
        half: u32 = 0,

        fn run(race: *@This()) void {
            var draft = create(race.directory.path, 4096, 0o600, null) catch return;
            _ = c.pwrite(draft.fd, "whole", 5, 0);
            if (draft.publish("race")) {
                _ = @atomicRmw(u32, &race.won, .Add, 1, .seq_cst);
                close(draft.fd);
            } else |_| {
                _ = @atomicRmw(u32, &race.lost, .Add, 1, .seq_cst);
                draft.discard();
            }
            const found = open(race.directory.path, "race", .read_write, .{}) catch return;
            defer close(found.fd);
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
        try testing.expect(try remove(directory.path, "race", null, 0));
    }
}

test "another object of the same name is not removed" {
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    // Open, so that its inode number is not given out again.
    var draft = try create(directory.path, 4096, 0o600, null);
    try draft.publish("one");
    defer close(draft.fd);
    try testing.expect(try remove(directory.path, "one", .{ .identity = draft.identity }, 0));
    const second = try makeOne(&directory, "one");
    try testing.expect(!second.equals(draft.identity));
    try testing.expect(!try remove(directory.path, "one", .{ .identity = draft.identity }, 0));
    try testing.expect(!linked(directory.path, "one", draft.identity));
    try testing.expect(linked(directory.path, "one", second));
    try testing.expect(try remove(directory.path, "one", .{ .identity = second }, 0));
}

test "what is not a regular file is refused, named, and left" {
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    _ = try makeOne(&directory, "target");
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
        var draft = try create(directory.path, 4096, 0o600, null);
        defer draft.discard();
        try testing.expectError(error.PoolExists, draft.publish(case.name));
    }
    try testing.expectError(error.PoolCorrupt, remove(directory.path, "folder", null, 0));
    try testing.expect(try remove(directory.path, "link", null, 0));
    try testing.expect(try remove(directory.path, "broken", null, 0));
    try testing.expect(try remove(directory.path, "fifo", null, 0));
    try testing.expectEqual(0, c.rmdir(directory.at(&buffer, "xmem.folder").ptr));
    try testing.expect(try remove(directory.path, "target", null, 0));
}

test "another user's object is refused unless that user is named" {
    if (c.geteuid() != 0) return error.SkipZigTest; // only root can make one
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    _ = try makeOne(&directory, "foreign");
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
    try testing.expect(try remove(directory.path, "foreign", .{ .identity = object.identity }, 0));
}

test "without the right to open it, one is told whose it is and what its mode is" {
    if (is_darwin or c.geteuid() != 0) return error.SkipZigTest;
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    var buffer: [128]u8 = undefined;
    try testing.expectEqual(0, c.chmod(directory.path.ptr, 0o755));
    _ = try makeOne(&directory, "private");
    _ = directory.at(&buffer, "xmem.private");
    const child = testing_os.fork();
    if (child == 0) {
        if (c.setuid(4242) != 0) c._exit(1);
        _ = open(directory.path, "private", .read_write, .{}) catch |err| {
            if (err != error.PermissionDenied) c._exit(2);
            const says = "belongs to user 0 and group 0 and has mode 600, and this is user 4242";
            if (std.mem.indexOf(u8, errors.lastText(), says) == null) c._exit(3);
            _ = remove(directory.path, "private", null, 0) catch |other| {
                c._exit(if (other == error.PermissionDenied) 0 else 4);
            };
            c._exit(5);
        };
        c._exit(6);
    }
    try testing.expectEqual(@as(?u8, 0), testing_os.exitCode(child));
    try testing.expect(try remove(directory.path, "private", null, 0));
}

test "a directory that is missing, and a length that no file can have, are told apart" {
    const missing = "/dev/shm/xmem-object-test-missing";
    try testing.expectError(error.System, create(missing, 4096, 0o600, null));
    try testing.expect(std.mem.indexOf(u8, errors.lastText(), missing) != null);
    try testing.expectError(error.PoolNotFound, open(missing, "one", .read_only, .{}));
    try testing.expect(std.mem.indexOf(u8, errors.lastText(), "does not exist") != null);
    try testing.expect(!try remove(missing, "one", null, 0));
    var directory: TestDirectory = .{};
    try directory.init();
    defer directory.deinit();
    const lengths = [_]u64{ std.math.maxInt(u64), std.math.maxInt(i64) + 1 };
    for (lengths) |length| {
        try testing.expectError(error.OutOfMemory, create(directory.path, length, 0o600, null));
    }
    try testing.expectEqual(@as(u32, 0), try directory.entries());
}

test "a limit on file sizes is an error and not a signal" {
    if (is_darwin) return error.SkipZigTest;
    var directory: TestDirectory = .{};
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

test "the device number is the one that everybody knows" {
    try testing.expectEqual(@as(u64, 0x801), deviceNumber(8, 1));
    try testing.expectEqual(@as(u64, 0x10001a), deviceNumber(0, 0x11a));
    try testing.expectEqual(@as(u64, 0xfd05), deviceNumber(253, 5));
}
