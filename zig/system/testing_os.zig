//! What the tests of this folder need of the system: another process, a file that two can map, a
//! pause. Nothing that is not a test imports it.

const std = @import("std");

/// 0 in the child, which must end by `_exit`: it is a copy of the test runner.
pub extern "c" fn fork() std.c.pid_t;

/// A file of zeros that is nowhere in the file system.
pub fn sharedFile(length: u64) !i32 {
    const linux = std.os.linux;
    const result = linux.memfd_create("xmem-test", linux.MFD.CLOEXEC);
    if (linux.errno(result) != .SUCCESS) return error.System;
    const fd: i32 = @intCast(result);
    if (std.c.ftruncate(fd, @intCast(length)) != 0) return error.System;
    return fd;
}

/// Bytes of the file that exist.
pub fn allocatedBytes(fd: i32) !u64 {
    const linux = std.os.linux;
    var status: linux.Statx = undefined;
    const result = linux.statx(fd, "", linux.AT.EMPTY_PATH, .{ .BLOCKS = true }, &status);
    if (linux.errno(result) != .SUCCESS) return error.System;
    return status.blocks * 512;
}

/// Waits for the child's end. Null when a signal ended it.
pub fn exitCode(child: std.c.pid_t) ?u8 {
    var status: c_int = 0;
    while (std.c.waitpid(child, &status, 0) == -1) {}
    const bits: u32 = @bitCast(status);
    return if (bits & 0x7f == 0) @truncate(bits >> 8) else null;
}

pub fn sleepMs(milliseconds: u32) void {
    const pause: std.c.timespec = .{
        .sec = milliseconds / 1000,
        .nsec = @as(isize, milliseconds % 1000) * std.time.ns_per_ms,
    };
    _ = std.c.nanosleep(&pause, null);
}
