//! One system call on a file: repeated where a signal cut it short, and its errno turned into an
//! error that says what failed.

const std = @import("std");
const errors = @import("../errors.zig");
const hooks = @import("hooks");

const Error = errors.Error;
const c = std.c;

/// For opening a file that anybody may have put there: a link is not followed, and what is not a
/// regular file does not make the caller wait before it is known.
pub fn carefulFlags(access: std.posix.ACCMODE) c.O {
    return .{
        .ACCMODE = access,
        .NOFOLLOW = true,
        .NONBLOCK = true,
        .NOCTTY = true,
        .CLOEXEC = true,
    };
}

/// Repeats the call as long as signals cut it short, and returns its errno.
pub fn call(comptime function: anytype, arguments: anytype) c.E {
    while (true) {
        hooks.call();
        const errno = c.errno(@call(.auto, function, arguments));
        if (errno != .INTR) return errno;
    }
}

/// Records the detail, and chooses the error for an errno of which nothing better is known. ENOENT
/// is not POOL_NOT_FOUND here: that would tell nothing to a caller that creates a pool.
pub fn failed(errno: c.E, comptime format: []const u8, arguments: anytype) Error {
    const err: Error = switch (errno) {
        .EXIST => error.PoolExists,
        .ACCES, .PERM, .ROFS => error.PermissionDenied,
        .NOMEM, .NOSPC, .DQUOT, .FBIG, .OVERFLOW => error.OutOfMemory,
        else => error.System,
    };
    return errors.fail(err, @intFromEnum(errno), format, arguments);
}
