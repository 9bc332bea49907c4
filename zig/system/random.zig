//! Numbers that nobody else draws, for what must not be taken for something earlier.

const std = @import("std");
const clock = @import("clock.zig");
const thread = @import("thread.zig");

/// Where the system gives no random bytes, the time and the thread have to do.
pub fn number() u64 {
    var drawn: u64 = clock.monotonicNs() ^ (@as(u64, thread.threadId()) << 32);
    const fd = std.c.open("/dev/urandom", .{ .ACCMODE = .RDONLY, .CLOEXEC = true });
    if (fd < 0) return drawn;
    defer _ = std.c.close(fd);
    var random: u64 = undefined;
    if (std.c.read(fd, std.mem.asBytes(&random), @sizeOf(u64)) == @sizeOf(u64)) drawn = random;
    return drawn;
}

test "no number comes twice" {
    try std.testing.expect(number() != number());
}
