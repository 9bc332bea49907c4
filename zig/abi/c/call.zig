//! The form for C: how each of its calls begins and ends.

const std = @import("std");
const descriptor = @import("../../process/descriptor.zig");
const errors = @import("../../errors.zig");
const holds = @import("../../process/holds.zig");
const open_pool = @import("../../process/open_pool.zig");
const participant_file = @import("../../protocol/participant.zig");
const thread = @import("../../system/thread.zig");
const types = @import("types.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Handle = types.Handle;
const Pool = types.Pool;

/// Ends a call: returns 0, or the code negated, which is recorded beside the text of the failure.
pub fn ended(result: Error!void) i32 {
    result catch |err| {
        errors.note(err);
        return errors.negative(err);
    };
    return 0;
}

/// Begins a call: checks that the pool is open, and that this thread opened it.
pub fn openPool(pool: Pool) Error!*open_pool.Pool {
    const found = try ownPool(pool);
    if (holds.attend(found)) |err| return err;
    return found;
}

/// The same for a close, which a child of fork may call as well.
pub fn ownPool(pool: Pool) Error!*open_pool.Pool {
    errors.clear();
    const found = descriptor.poolOf(pool);
    if (found.mapping == null) return error.PoolClosed;
    if (found.owner != thread.mark() and found.owner != descriptor.forked)
        return errors.fail(error.InvalidArgument, 0, "another thread opened the pool", .{});
    return found;
}

pub fn heldIndex(pool: *const open_pool.Pool, handle: Handle) Error!u32 {
    if (!holds.isCurrent(pool, try checkRef(handle))) return error.StaleHandle;
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
    return if (ref < 1 << 53) ref else error.InvalidArgument;
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

/// No struct will ever grow beyond this: a larger size is one that the caller never set. When a
/// struct grows, its first size stays the smallest that is accepted, and no more is copied than the
/// caller has room for.
const struct_bytes_max = 4096;

pub fn checkSize(comptime Struct: type, size: usize) Error!void {
    if (size >= @sizeOf(Struct) and size <= struct_bytes_max) return;
    return errors.fail(error.InvalidArgument, 0, "a struct's size is {d}", .{size});
}
