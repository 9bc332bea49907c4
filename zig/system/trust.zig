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
