//! The ends of pipes, FIFOs and sockets as an event loop uses them: no call here waits, except the
//! one that a native thread makes on a loop's behalf. Whether an end is non-blocking is left as its
//! owner has it.
//!
//! The macOS half is compiled and linked by the build, and was never run.

const std = @import("std");
const builtin = @import("builtin");
const errors = @import("../errors.zig");
const file_call = @import("file_call.zig");

const c = std.c;
const Error = errors.Error;
const is_darwin = builtin.os.tag.isDarwin();

pub const Way = enum(u32) { reads, writes };

/// What the kernel keeps of a pipe at most for a user without privileges. A pipe's own 64 KiB are
/// a wake of the event loop each.
const pipe_room = 1 << 20;
const F_SETPIPE_SZ = 1031;

/// POSIX: a blocking pipe that polls as writable takes so many bytes without waiting.
const pipe_atomic = if (is_darwin) 512 else 4096;

/// A pipe whose end for `own` does not block, and the other does: for another program.
pub fn pipe(own: Way) Error![2]i32 {
    var ends: [2]i32 = undefined;
    const errno = if (is_darwin)
        file_call.call(c.pipe, .{&ends})
    else
        file_call.call(c.pipe2, .{ &ends, c.O{ .CLOEXEC = true } });
    if (errno != .SUCCESS) return file_call.failed(errno, "a pipe could not be made", .{});
    if (is_darwin) for (ends) |end| {
        _ = c.fcntl(end, c.F.SETFD, @as(c_int, c.FD_CLOEXEC));
    };
    const nonblocking: c.O = .{ .NONBLOCK = true };
    const mine = ends[@intFromEnum(own)];
    _ = c.fcntl(mine, c.F.SETFL, @as(c_int, @bitCast(nonblocking)));
    enlarge(mine);
    return ends;
}

/// More room where the system gives it; what is no pipe stays as it is.
pub fn enlarge(fd: i32) void {
    if (!is_darwin) _ = c.fcntl(fd, F_SETPIPE_SZ, @as(c_int, pipe_room));
}

/// An end of our own for what a program's descriptor leads to. To write, it is opened anew where the
/// system does that, non-blocking, while the program's stays as it is. To read it is only copied: a
/// FIFO that is opened anew at its end does not know that it had a writer.
pub fn adopt(fd: i32, way: Way) Error!i32 {
    enlarge(fd);
    if (!is_darwin and way == .writes) {
        var buffer: [32]u8 = undefined;
        const path = std.fmt.bufPrintZ(&buffer, "/proc/self/fd/{d}", .{fd}) catch unreachable;
        const opened = c.open(path, c.O{
            .ACCMODE = .WRONLY,
            .NONBLOCK = true,
            .NOCTTY = true,
            .CLOEXEC = true,
        });
        if (opened >= 0) return opened;
    }
    return copy(fd);
}

pub fn copy(fd: i32) Error!i32 {
    const copied = c.fcntl(fd, c.F.DUPFD_CLOEXEC, @as(c_int, 0));
    if (copied >= 0) return copied;
    return file_call.failed(c.errno(copied), "the descriptor cannot be used", .{});
}

pub fn close(fd: i32) void {
    _ = c.close(fd);
}

/// How many bytes came, 0 at the end; PENDING where there are none yet.
pub fn read(fd: i32, into: []u8) Error!u32 {
    // Asked first, so that an end that blocks does not. And a FIFO to which nobody has written yet
    // reads as one at its end; only polling knows the difference.
    if (!isReady(fd, .reads)) return error.Pending;
    while (true) {
        const count = c.read(fd, into.ptr, into.len);
        if (count >= 0) return @intCast(count);
        switch (c.errno(count)) {
            .INTR => continue,
            .AGAIN => return error.Pending,
            else => |errno| return file_call.failed(errno, "reading failed", .{}),
        }
    }
}

/// How many bytes went, at least 1; PENDING where there is no room yet.
pub fn write(fd: i32, from: []const u8) Error!u32 {
    if (from.len == 0) return 0;
    if (!isReady(fd, .writes)) return error.Pending;
    while (true) {
        const count = writeSome(fd, from);
        if (count > 0) return @intCast(count);
        switch (c.errno(count)) {
            .INTR => continue,
            .SUCCESS, .AGAIN => return error.Pending,
            else => |errno| return file_call.failed(errno, "writing failed", .{}),
        }
    }
}

fn writeSome(fd: i32, from: []const u8) isize {
    const flags: c.O = @bitCast(c.fcntl(fd, c.F.GETFL));
    if (flags.NONBLOCK) return c.write(fd, from.ptr, from.len);
    const silent = if (is_darwin) c.MSG.DONTWAIT else c.MSG.DONTWAIT | c.MSG.NOSIGNAL;
    const sent = c.send(fd, from.ptr, from.len, silent);
    if (sent >= 0 or c.errno(sent) != .NOTSOCK) return sent;
    return c.write(fd, from.ptr, @min(from.len, pipe_atomic));
}

fn isReady(fd: i32, way: Way) bool {
    var polled = [_]c.pollfd{polledFor(fd, way)};
    return c.poll(&polled, 1, 0) != 0;
}

fn polledFor(fd: i32, way: Way) c.pollfd {
    return .{
        .fd = fd,
        .events = if (way == .reads) c.POLL.IN else c.POLL.OUT,
        .revents = 0,
    };
}

/// What is worth a wake of an event loop: so many bytes, or those that came, or fit, in this time.
/// Programs write pieces of a few KiB, and a wake for each would cost more than the bytes do.
pub const worth_max = pipe_room / 2;
const gathering_ms = 1;
const gathering_step_us = 100;

/// Waits until so many bytes can be read or written, but only briefly. Returns at the stream's end.
pub fn gather(fd: i32, way: Way, worth: u32) void {
    for (0..gathering_ms * 1000 / gathering_step_us) |_| {
        var polled = [_]c.pollfd{polledFor(fd, way)};
        if (c.poll(&polled, 1, 0) < 0) return;
        if (polled[0].revents & ~polled[0].events != 0) return;
        var queued: c_int = 0;
        if (c.ioctl(fd, fionread, &queued) != 0) return;
        const there: u32 = @intCast(@max(queued, 0));
        if (way == .reads and there >= worth) return;
        // What the kernel says of a socket's queue says nothing of its room.
        if (way == .writes and there + worth <= pipe_room) return;
        const step: c.timespec = .{ .sec = 0, .nsec = gathering_step_us * std.time.ns_per_us };
        _ = c.nanosleep(&step, null);
    }
}

const fionread = if (is_darwin) 0x4004667f else 0x541b;

pub const Asked = enum { ready, asked, over };

/// Waits until an end is ready (where there is one), or its loop says something through the socket:
/// `said` gets the last of that.
pub fn awaitReady(fd: ?i32, way: Way, socket: i32, said: *u8) Asked {
    while (true) {
        var polled = [_]c.pollfd{ polledFor(socket, .reads), polledFor(fd orelse -1, way) };
        if (c.poll(&polled, polled.len, -1) < 0) continue;
        if (polled[0].revents != 0) {
            var bytes: [64]u8 = undefined;
            const count = c.read(socket, &bytes, bytes.len);
            if (count > 0) {
                said.* = bytes[@intCast(count - 1)];
                return .asked;
            }
            switch (c.errno(count)) {
                .INTR, .AGAIN => if (count < 0) continue,
                else => {},
            }
            return .over;
        }
        if (polled[1].revents != 0) return .ready;
    }
}

const testing = std.testing;

test "a pipe's own end does not block, whichever it is" {
    for ([_]Way{ .reads, .writes }) |own| {
        const ends = try pipe(own);
        defer for (ends) |end| close(end);
        for (ends, 0..) |end, place| {
            const flags: c.O = @bitCast(c.fcntl(end, c.F.GETFL));
            try testing.expectEqual(place == @intFromEnum(own), flags.NONBLOCK);
            try testing.expect(c.fcntl(end, c.F.GETFD) & c.FD_CLOEXEC != 0);
        }
    }
}

test "reading and writing wait for nothing, also at an end that blocks" {
    for ([_]Way{ .reads, .writes }) |own| {
        const ends = try pipe(own);
        defer close(ends[0]);
        var bytes: [8192]u8 = @splat(7);
        try testing.expectError(error.Pending, read(ends[0], &bytes));
        var written: u64 = 0;
        while (write(ends[1], &bytes)) |count| written += count else |err| {
            try testing.expectEqual(error.Pending, err);
        }
        try testing.expect(written >= 4096);
        while (read(ends[0], &bytes)) |count| written -= count else |err| {
            try testing.expectEqual(error.Pending, err);
        }
        try testing.expectEqual(@as(u64, 0), written);
        close(ends[1]);
        try testing.expectEqual(@as(u32, 0), try read(ends[0], &bytes));
    }
}

test "gathering ends with the bytes, with the stream, or with its time" {
    const ends = try pipe(.reads);
    defer close(ends[0]);
    const bytes: [8192]u8 = @splat(7);
    _ = try write(ends[1], &bytes);
    gather(ends[0], .reads, bytes.len);
    gather(ends[0], .reads, worth_max);
    gather(ends[1], .writes, worth_max);
    close(ends[1]);
    gather(ends[0], .reads, worth_max);
    var into: [16384]u8 = undefined;
    try testing.expectEqual(@as(u32, 4096), try read(ends[0], &into)); // The other end blocks.
}

test "a copy of an end lives on its own, and a broken pipe is an error" {
    const ends = try pipe(.reads);
    const mine = try adopt(ends[1], .writes);
    defer close(mine);
    close(ends[1]);
    try testing.expectEqual(@as(u32, 3), try write(mine, "abc"));
    close(ends[0]);
    errors.clear();
    try testing.expectError(error.System, write(mine, "abc"));
    try testing.expectError(error.System, adopt(-1, .reads));
}
