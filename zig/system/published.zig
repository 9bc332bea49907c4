//! Memory that this process writes and that others of its user may read, by way of /proc: it
//! belongs to no folder, and is gone with the process. Linux only.

const std = @import("std");
const builtin = @import("builtin");
const memory = @import("memory.zig");

const linux = std.os.linux;

/// `length` bytes of zeros, of which only touched pages cost memory. Null where the system has no
/// such memory. `name` is what others find it by, in the folder of this process's descriptors.
pub fn make(name: [*:0]const u8, length: u64) ?memory.Pointer {
    if (builtin.os.tag != .linux) return null;
    const result = linux.memfd_create(name, linux.MFD.CLOEXEC);
    if (linux.errno(result) != .SUCCESS) return null;
    const fd: i32 = @intCast(result);
    if (std.c.ftruncate(fd, @intCast(length)) == 0) {
        // The descriptor stays open: it is how the memory is found.
        if (memory.map(fd, length, true)) |base| return base else |_| {}
    }
    _ = std.c.close(fd);
    return null;
}
