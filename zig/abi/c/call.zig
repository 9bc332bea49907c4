//! The form for C: how each of its calls begins and ends.

const std = @import("std");
const descriptor = @import("../../process/descriptor.zig");
const errors = @import("../../errors.zig");
const holds = @import("../../process/holds.zig");
const open_pool = @import("../../process/open_pool.zig");
const participant_file = @import("../../protocol/participant.zig");
const reasons = @import("reasons.zig");
const system = @import("../../system/door.zig");
const thread = @import("../../system/thread.zig");
const types = @import("types.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Handle = types.Handle;
const Pool = types.Pool;

/// Ends a call: returns 0, or the code negated, which is recorded beside the text of the failure.
pub fn ended(result: Error!void) i32 {
    result catch |err| {
        return errors.negative(reasons.inGeneral(err));
    };
    return 0;
}

/// Begins a call: checks that the pool is open, and that this thread opened it.
pub fn openPool(pool: Pool) Error!*open_pool.Pool {
    const found = try ownPool(pool);
    if (holds.attend(found)) |err| return if (found.is_observer)
        reasons.because(err, "the pool is observed, and not open", .{})
    else
        reasons.because(err, "it was opened before this process was forked; open it again", .{});
    return found;
}

/// The same for a look, for which a pool that is only observed will do.
pub fn seenPool(pool: Pool) Error!*open_pool.Pool {
    const found = try ownPool(pool);
    if (!found.is_observer or found.owner == descriptor.forked) return openPool(pool);
    return found;
}

/// The same for a close, which a child of fork may call as well.
pub fn ownPool(pool: Pool) Error!*open_pool.Pool {
    errors.clear();
    const found = descriptor.poolOf(pool);
    if (found.mapping == null)
        return errors.fail(error.PoolClosed, 0, "no pool is open as {d} in this process", .{pool});
    if (found.owner != thread.mark() and found.owner != descriptor.forked)
        return errors.fail(error.InvalidArgument, 0, "another thread opened the pool", .{});
    return found;
}

pub fn heldIndex(pool: *const open_pool.Pool, handle: Handle) Error!u32 {
    if (!holds.isCurrent(pool, try checkRef(handle))) return errors.fail(
        error.StaleHandle,
        0,
        "this descriptor does not hold a buffer by the handle {d}",
        .{handle},
    );
    return @as(words.Handle, @bitCast(handle)).index;
}

/// The participant, if this descriptor holds the buffer that is to be described.
pub fn describer(pool: Pool, handle: Handle) Error!*participant_file.Participant {
    const opened = try openPool(pool);
    _ = try heldIndex(opened, handle);
    return &opened.participant;
}

pub fn missing(comptime what: []const u8) Error {
    return errors.fail(error.InvalidArgument, 0, what ++ " is NULL", .{});
}

/// Handles and bare indexes are below 2^53.
pub fn checkRef(ref: u64) Error!u64 {
    if (ref < 1 << 53) return ref;
    return errors.fail(error.InvalidArgument, 0, "{d} is no handle, and no index", .{ref});
}

/// When a wait of so many milliseconds ends; of one without an end that is never.
pub fn deadlineNs(timeout_ms: u64) u64 {
    return system.clock.monotonicNs() +| (timeout_ms *| std.time.ns_per_ms);
}

/// What a caller says by a struct of options. A caller that was compiled later may have more
/// fields, which have to have their defaults.
pub fn readOptions(comptime Options: type, options: ?*const Options) Error!Options {
    const given = options orelse return .{};
    const bytes: [*]const u8 = @ptrCast(given);
    const size = given.size;
    try checkSize(Options, size);
    for (bytes[@sizeOf(Options)..size]) |byte| {
        if (byte != 0) return errors.fail(error.InvalidArgument, 0, "unknown options", .{});
    }
    return given.*;
}

/// Fills a struct of the caller's. The fields that a longer, later struct has besides become 0.
pub fn give(out: anytype, full: std.meta.Child(@TypeOf(out))) Error!void {
    const size = out.size;
    try checkSize(@TypeOf(full), size);
    const filled: [*]u8 = @ptrCast(out);
    out.* = full;
    out.size = size;
    @memset(filled[@sizeOf(@TypeOf(full))..size], 0);
}

/// Fills a row of the caller's, which may be longer than this library knows.
pub fn put(full: anytype, rows: ?[*]@TypeOf(full), row_size: usize, row: usize) Error!void {
    const bytes: [*]u8 = @ptrCast(rows orelse return missing("rows"));
    const place = bytes[row * row_size ..][0..row_size];
    @memcpy(place[0..@sizeOf(@TypeOf(full))], std.mem.asBytes(&full));
    @memset(place[@sizeOf(@TypeOf(full))..], 0);
}

/// No struct will ever grow beyond this: a larger size is one that the caller never set. When a
/// struct grows, its first size stays the smallest that is accepted, and no more is copied than the
/// caller has room for.
const struct_bytes_max = 4096;

pub fn checkSize(comptime Struct: type, size: usize) Error!void {
    if (size >= @sizeOf(Struct) and size <= struct_bytes_max) return;
    return errors.fail(error.InvalidArgument, 0, "a struct's size is {d}", .{size});
}
