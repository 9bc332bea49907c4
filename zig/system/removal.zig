//! Removing the name of an object, and never that of a later object of the same name.

const std = @import("std");
const clock = @import("clock.zig");
const draft_file = @import("draft.zig");
const errors = @import("../errors.zig");
const file_call = @import("file_call.zig");
const file_status = @import("file_status.zig");
const folder = @import("folder.zig");
const hooks = @import("hooks");
const object = @import("object.zig");
const object_name = @import("object_name.zig");
const trust_file = @import("trust.zig");

const Error = errors.Error;
const Identity = file_status.Identity;
const Status = file_status.Status;
const c = std.c;

/// Which object a name has to lead to.
pub const Expected = struct {
    identity: Identity,
    /// Bytes that tell an object from a later one that got the same inode. A caller that has the
    /// object open does not need them, since the inode stays its own.
    stamp: ?Stamp = null,
};

pub const Stamp = struct {
    offset: u64,
    value: u64,
    /// Which of its bits count.
    mask: u64,
};

/// Removes the name if it leads to that object; null removes it whatever it leads to, except a
/// directory. False when nothing is there, or another object. Processes that have the object open
/// keep it.
///
/// No system can look and remove in one step. So a remover first locks the object that the name
/// leads to, which keeps out all other removers. A name never begins to lead to another object
/// without being removed in between, and so what is seen under the lock stays true until the owner
/// of the lock removes the name. The kernel releases the lock of a dead owner. For an owner that is
/// stopped in those microseconds, a caller waits for `patience_ns`: then POOL_BUSY.
pub fn remove(
    dir: [:0]const u8,
    name: []const u8,
    expected: ?Expected,
    patience_ns: u64,
) Error!bool {
    var buffer: object_name.EntryBuffer = undefined;
    const entry = try object_name.entryOf(name, &buffer);
    const directory = folder.open(dir) catch |err| {
        if (errors.lastErrno() != @intFromEnum(c.E.NOENT)) return err;
        errors.clear();
        return false;
    };
    defer _ = c.close(directory);
    const until_ns = clock.monotonicNs() + patience_ns;
    while (true) {
        const status = switch (file_status.at(directory, entry)) {
            .status => |status| status,
            .errno => |errno| {
                if (errno == .NOENT) return false;
                return file_call.failed(errno, "looking at {s}/{s} failed", .{ dir, entry });
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
    const errno = file_call.call(c.unlinkat, .{ directory, entry.ptr, 0 });
    switch (errno) {
        .SUCCESS => return true,
        .NOENT => return false,
        // For a directory Linux returns EISDIR, and macOS EPERM.
        .ISDIR, .ACCES, .PERM => {},
        else => return file_call.failed(errno, "removing {s}/{s} failed", .{ dir, entry }),
    }
    const status = switch (file_status.at(directory, entry)) {
        .status => |status| status,
        .errno => return file_call.failed(errno, "removing {s}/{s} failed", .{ dir, entry }),
    };
    if (status.kind() == .directory) return trust_file.notRegular(.directory, dir, entry);
    return file_call.failed(
        errno,
        "{s}/{s} belongs to user {d}, and this is user {d}; " ++
            "its owner, root, or the owner of the folder can remove it",
        .{ dir, entry, status.owner, c.geteuid() },
    );
}

const claim_slice_ns = std.time.ns_per_ms;

/// The lock on an object under which its name may be removed. It belongs to an open of the file of
/// its own, so that two threads of a process exclude each other as well.
const Claim = struct {
    fd: i32 = -1,

    /// False where somebody else has it, or the name does not lead to that object any more. A file
    /// that cannot be locked (no right to read it, not a regular file, no locks in this file
    /// system) counts as locked.
    fn take(
        claim: *Claim,
        dir: [:0]const u8,
        directory: i32,
        entry: [:0]const u8,
        status: Status,
    ) Error!bool {
        if (status.kind() != .regular) return true;
        if (hooks.broken(.name_unlocked)) return true;
        const flags = file_call.carefulFlags(.RDONLY);
        hooks.call();
        claim.fd = c.openat(directory, entry.ptr, flags);
        if (claim.fd < 0) switch (c.errno(claim.fd)) {
            .MFILE, .NFILE, .NOMEM => |errno| {
                return file_call.failed(errno, "opening {s}/{s} failed", .{ dir, entry });
            },
            .NOENT, .INTR => return false,
            else => return true,
        };
        switch (file_call.call(c.flock, .{ claim.fd, c.LOCK.EX | c.LOCK.NB })) {
            .SUCCESS => {},
            .AGAIN => return false,
            else => {},
        }
        const own = try file_status.of(claim.fd);
        if (!own.identity.equals(status.identity)) return false;
        return switch (file_status.at(directory, entry)) {
            .status => |now| now.identity.equals(own.identity),
            .errno => false,
        };
    }

    /// Whether the object has these bytes. True for an object that cannot be read: then only its
    /// inode is known.
    fn bears(claim: *const Claim, stamp: Stamp) bool {
        if (claim.fd < 0) return true;
        var found: u64 = 0;
        const read = c.pread(claim.fd, std.mem.asBytes(&found), 8, @intCast(stamp.offset));
        return read == 8 and (found ^ stamp.value) & stamp.mask == 0;
    }

    fn release(claim: *Claim) void {
        if (claim.fd < 0) return;
        // Unlocked explicitly, since a child that another thread forked meanwhile has the same open
        // file.
        _ = file_call.call(c.flock, .{ claim.fd, c.LOCK.UN });
        _ = c.close(claim.fd);
        claim.fd = -1;
    }
};

const testing = std.testing;

const TestFolder = @import("testing_folder.zig").TestFolder;

test "another object of the same name is not removed" {
    var directory: TestFolder = .{};
    try directory.init();
    defer directory.deinit();
    // Open, so that its inode number is not given out again.
    var draft = try draft_file.create(directory.path, 4096, 0o600, null);
    try draft.publish("one");
    defer object.close(draft.fd);
    try testing.expect(try remove(directory.path, "one", .{ .identity = draft.identity }, 0));
    const second = try draft_file.makeOne(&directory, "one");
    try testing.expect(!second.equals(draft.identity));
    try testing.expect(!try remove(directory.path, "one", .{ .identity = draft.identity }, 0));
    try testing.expect(!object.linked(directory.path, "one", draft.identity));
    try testing.expect(object.linked(directory.path, "one", second));
    try testing.expect(try remove(directory.path, "one", .{ .identity = second }, 0));
}
