//! Pipes, FIFOs and sockets for Bun: what fills buffers and empties them. Nothing here knows of a
//! pool: the caller's array is a buffer's bytes, and no call keeps it.

const errors = @import("../errors.zig");
const numbers = @import("numbers.zig");
const readiness = @import("../process/readiness.zig");
const stream_end = @import("../system/stream_end.zig");

const refused = numbers.refused;

/// Bytes of one call, which its result can count.
const most = 1 << 30;

/// A pipe: `ends` gets the end to read from and the one to write to. The one that writes (1) or
/// reads (0), as `writes` says, does not block.
pub export fn xmem_bun_pipe(writes: u32, ends: [*]f64) i32 {
    errors.clear();
    const made = stream_end.pipe(wayOf(writes)) catch |err| return refused(err);
    for (made, 0..) |end, place| ends[place] = @floatFromInt(end);
    return 0;
}

/// A descriptor of the caller's own for what `fd` leads to, non-blocking where the system can.
pub export fn xmem_bun_end_adopt(fd: i32, writes: u32) i32 {
    errors.clear();
    return stream_end.adopt(fd, wayOf(writes)) catch |err| refused(err);
}

/// Gives a pipe more room, where the system has it.
pub export fn xmem_bun_end_enlarge(fd: i32) void {
    stream_end.enlarge(fd);
}

/// How many bytes came into `bytes` from `start` on, 0 at the end; PENDING where none are there yet.
pub export fn xmem_bun_end_read(fd: i32, bytes: [*]u8, start: f64, length: f64) i32 {
    errors.clear();
    const into = part(bytes, start, length) orelse return refused(error.InvalidArgument);
    return @intCast(stream_end.read(fd, into) catch |err| return refused(err));
}

/// How many bytes went from `start` on; PENDING where there is no room yet.
pub export fn xmem_bun_end_write(fd: i32, bytes: [*]u8, start: f64, length: f64) i32 {
    errors.clear();
    const from = part(bytes, start, length) orelse return refused(error.InvalidArgument);
    return @intCast(stream_end.write(fd, from) catch |err| return refused(err));
}

/// The caller's end of a socket. A byte that is sent through it is answered by one once `fd` is
/// ready. `fd` may be closed meanwhile.
pub export fn xmem_bun_end_watch(fd: i32, writes: u32) i32 {
    errors.clear();
    return readiness.watch(fd, wayOf(writes)) catch |err| refused(err);
}

fn wayOf(writes: u32) stream_end.Way {
    return if (writes != 0) .writes else .reads;
}

fn part(bytes: [*]u8, start: f64, length: f64) ?[]u8 {
    const first = numbers.toUint32(start) orelse return null;
    const count = numbers.toUint32(length) orelse return null;
    return bytes[first..][0..@min(count, most)];
}
