//! A second mapping of a part of a file, at an address of its own, which can be taken away from
//! those who still look through it: its addresses stay good, and lead to private memory from then
//! on.
//!
//! The macOS half is compiled and linked by the build, and was never run.

const std = @import("std");
const builtin = @import("builtin");
const errors = @import("../errors.zig");
const hooks = @import("hooks");
const memory = @import("memory.zig");

const linux = std.os.linux;
const is_darwin = builtin.os.tag.isDarwin();
const Error = memory.Error;
const Pointer = memory.Pointer;

const both_ways: std.c.PROT = .{ .READ = true, .WRITE = true };

/// Maps whole pages of a file. What is committed of them can be touched.
pub fn open(fd: i32, offset: u64, length: u64) Error!Pointer {
    return mapped(null, length, .{ .TYPE = .SHARED }, fd, offset);
}

/// From now on the addresses lead to zeros, and what is written there is seen by nobody else.
/// Returns where the file's part is mapped instead; null where the system could not move it.
///
/// Linux 5.13 moves the page tables, so that a touch of the moved window is no page fault.
pub fn detach(base: Pointer, length: u64) Error!?Pointer {
    const moved = move(base, length);
    errdefer if (moved) |window| memory.unmap(window, length);
    const private: std.c.MAP = .{
        .TYPE = .PRIVATE,
        .ANONYMOUS = true,
        .NORESERVE = true,
        .FIXED = true,
    };
    _ = try mapped(base, length, private, -1, 0);
    return moved;
}

/// The old addresses stay mapped to the file, so that no other thread's mapping can get there
/// before they are mapped to something else.
fn move(base: Pointer, length: u64) ?Pointer {
    if (is_darwin) return null;
    const may_move = 1;
    const do_not_unmap = 4;
    hooks.call();
    const flags = may_move | do_not_unmap;
    // The kernel finds a place of its own where it is given none.
    const anywhere = 0;
    const result = linux.syscall5(.mremap, @intFromPtr(base), length, length, flags, anywhere);
    if (linux.errno(result) != .SUCCESS) return null;
    return @ptrFromInt(result);
}

fn mapped(at: ?Pointer, length: u64, flags: std.c.MAP, fd: i32, offset: u64) Error!Pointer {
    hooks.call();
    // A window begins at a page, of whichever size the pages of the running system are.
    const hint: ?*align(std.heap.page_size_min) anyopaque = @ptrCast(@alignCast(at));
    const address = std.c.mmap(hint, length, both_ways, flags, fd, @intCast(offset));
    if (@intFromPtr(address) != std.math.maxInt(usize)) return @ptrCast(@alignCast(address));
    const errno = std.c._errno().*;
    const err: Error = switch (@as(std.c.E, @enumFromInt(errno))) {
        .NOMEM, .AGAIN, .OVERFLOW => error.OutOfMemory,
        else => error.System,
    };
    return @errorCast(errors.fail(err, errno, "mapping {d} bytes failed", .{length}));
}

const testing = std.testing;
const testing_os = @import("testing_os.zig");

test "a window shows the file until it is detached, and the moved one goes on" {
    if (is_darwin) return error.SkipZigTest;
    const page_size = memory.pageSize();
    const length = 4 * page_size;
    const fd = try testing_os.sharedFile(2 * length);
    defer _ = std.c.close(fd);
    const whole = try memory.map(fd, 2 * length, true);
    defer memory.unmap(whole, 2 * length);
    const window = try open(fd, length, length);
    defer memory.unmap(window, length);
    window[5] = 7;
    try testing.expectEqual(@as(u8, 7), whole[length + 5]);

    const moved = try detach(window, length);
    defer if (moved) |other| memory.unmap(other, length);
    try testing.expectEqual(@as(u8, 0), window[5]);
    window[5] = 9;
    try testing.expectEqual(@as(u8, 7), whole[length + 5]);
    whole[length + 6] = 8;
    try testing.expectEqual(@as(u8, 0), window[6]);
    if (moved) |other| {
        try testing.expectEqual(@as(u8, 7), other[5]);
        other[5] = 1;
        try testing.expectEqual(@as(u8, 1), whole[length + 5]);
    }
}

test "a window that cannot be mapped says why" {
    try testing.expectError(error.System, open(-1, 0, memory.pageSize()));
    try testing.expectEqual(@as(i32, @intFromEnum(std.c.E.BADF)), errors.lastErrno());
}
