//! Waiting for the end of a pipe or socket without blocking an event loop: a native thread polls it
//! on the loop's behalf. The loop has one end of a socket. Each byte that it sends asks for one
//! answer, which comes once the end is ready for as many units as the byte says, or has been ready
//! for a moment; its closing ends the thread. So the two share no memory, and no death of the loop's
//! thread leaves more behind than a closed socket does.

const std = @import("std");
const errors = @import("../errors.zig");
const stream_end = @import("../system/stream_end.zig");
const thread = @import("../system/thread.zig");

const Error = errors.Error;
const Way = stream_end.Way;

/// What a loop asks for is a byte's worth of units, of so many bytes each.
pub const unit = stream_end.worth_max / units_max;
pub const units_max = 128;

const Watcher = struct {
    fd: i32,
    way: Way,
    socket: i32,
};

/// The loop's end of the socket. `fd` stays the caller's, who may close it at any time.
pub fn watch(fd: i32, way: Way) Error!i32 {
    const watcher = std.heap.c_allocator.create(Watcher) catch return error.OutOfMemory;
    errdefer std.heap.c_allocator.destroy(watcher);
    const own = try stream_end.copy(fd);
    errdefer stream_end.close(own);
    const sockets = try thread.socketPair();
    errdefer for (sockets) |socket| thread.closeSocket(socket);
    watcher.* = .{ .fd = own, .way = way, .socket = sockets[0] };
    (try thread.Thread.spawn(Watcher, watcher, main)).detach();
    return sockets[1];
}

fn main(watcher: *Watcher) void {
    var is_asked = false;
    var units: u8 = 0;
    while (true) {
        const fd = if (is_asked) watcher.fd else null;
        switch (stream_end.awaitReady(fd, watcher.way, watcher.socket, &units)) {
            .asked => is_asked = true,
            .ready => {
                is_asked = false;
                stream_end.gather(watcher.fd, watcher.way, @as(u32, units) * unit);
                if (!thread.signalSocket(watcher.socket)) break;
            },
            .over => break,
        }
    }
    stream_end.close(watcher.fd);
    thread.closeSocket(watcher.socket);
    std.heap.c_allocator.destroy(watcher);
}

const testing = std.testing;

/// Whether the thread has answered, now or within so many milliseconds.
fn isAnswered(socket: i32, within_ms: i32) bool {
    var polled = [_]std.c.pollfd{.{ .fd = socket, .events = std.c.POLL.IN, .revents = 0 }};
    if (std.c.poll(&polled, 1, within_ms) != 1) return false;
    var bytes: [16]u8 = undefined;
    return std.c.read(socket, &bytes, bytes.len) > 0;
}

test "an end that becomes ready is answered once for each time that it was asked for" {
    const ends = try stream_end.pipe(.reads);
    defer stream_end.close(ends[0]);
    const socket = try watch(ends[0], .reads);
    defer thread.closeSocket(socket);
    _ = try stream_end.write(ends[1], "abc");
    try testing.expect(!isAnswered(socket, 20));
    try testing.expect(thread.signalSocket(socket));
    try testing.expect(isAnswered(socket, 60_000));
    try testing.expect(!isAnswered(socket, 20));
    var bytes: [16]u8 = undefined;
    try testing.expectEqual(@as(u32, 3), try stream_end.read(ends[0], &bytes));
    try testing.expect(thread.signalSocket(socket));
    try testing.expect(!isAnswered(socket, 20));
    stream_end.close(ends[1]);
    try testing.expect(isAnswered(socket, 60_000));
}

test "the thread lets go of its end when the loop is gone, also while it is asked" {
    for ([_]bool{ false, true }) |is_asked| {
        const ends = try stream_end.pipe(.writes);
        defer stream_end.close(ends[1]);
        const socket = try watch(ends[0], .reads);
        stream_end.close(ends[0]);
        if (is_asked) try testing.expect(thread.signalSocket(socket));
        thread.closeSocket(socket);
        // The reader's last end is the thread's own.
        while (stream_end.write(ends[1], "a")) |_| thread.yield() else |err| {
            try testing.expectEqual(error.System, err);
        }
    }
}
