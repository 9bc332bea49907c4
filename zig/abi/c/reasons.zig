//! The form for C: what the text of a failure says where nothing deeper in the core said it. Each
//! costs a fraction of a microsecond, since a program may fail often on purpose: nothing here looks
//! at every buffer or every participant.

const channels = @import("../../process/channels.zig");
const errors = @import("../../errors.zig");
const open_pool = @import("../../process/open_pool.zig");
const references = @import("../../protocol/pool/references.zig");
const statistics = @import("../../protocol/channel/statistics.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const OpenChannel = channels.OpenChannel;
const Pool = open_pool.Pool;

/// Says why, unless the text is there already.
pub fn because(err: Error, comptime format: []const u8, arguments: anytype) Error {
    errors.note(err);
    if (errors.lastText().len > 0) return err;
    return errors.fail(err, errors.lastErrno(), format, arguments);
}

/// Of a call that named a buffer by a handle or an index.
pub fn ofBuffer(pool: *Pool, ref: u64, err: Error) Error {
    const handle: words.Handle = @bitCast(ref);
    const index = handle.index;
    const capacity = pool.participant.view.geometry.capacity;
    return switch (err) {
        error.BufferNotFound => if (index < capacity)
            because(err, "the buffer at index {d} is free", .{index})
        else
            because(err, "the index is {d}, and the pool has {d} buffers", .{ index, capacity }),
        error.StaleHandle => because(
            err,
            "the buffer at index {d} was recycled since the handle {d} was made",
            .{ index, ref },
        ),
        error.NoReference, error.BufferInUse, error.TooManyReferences => counted(pool, ref, err),
        else => err,
    };
}

fn counted(pool: *Pool, ref: u64, err: Error) Error {
    const index = @as(words.Handle, @bitCast(ref)).index;
    const count = references.refCount(&pool.participant, ref) catch 0;
    if (err == error.NoReference) return if (count == 0)
        because(err, "the buffer at index {d} is at count 0", .{index})
    else
        because(err, "the buffer at index {d} has {d} references, and none is in flight", .{
            index,
            count,
        });
    return because(err, "the buffer at index {d} has {d} references", .{ index, count });
}

pub fn ofAcquire(pool: *const Pool, size: u32, err: Error) Error {
    const geometry = pool.participant.view.geometry;
    return switch (err) {
        error.TooLarge => because(err, "{d} bytes were asked for, and a buffer has at most {d}", .{
            size,
            geometry.buffer_size,
        }),
        error.PoolFull => because(
            err,
            "none of the {d} buffers is free, or the last one is kept for a waiter",
            .{geometry.capacity},
        ),
        else => err,
    };
}

pub fn ofSend(channel: *const OpenChannel, handle: u64, err: Error) Error {
    const queued = statistics.queued(&channel.channel);
    const capacity = channel.channel.capacity;
    return switch (err) {
        error.ChannelFull => because(
            err,
            "{d} of its {d} places are taken; wait with xmem_send_timed, or give it more capacity",
            .{ queued, capacity },
        ),
        error.ChannelClosed => because(
            err,
            "it was closed, and {d} buffers in it can still be received",
            .{queued},
        ),
        error.Timeout => because(
            err,
            "there was no room in time: {d} of its {d} places are taken",
            .{ queued, capacity },
        ),
        error.StaleHandle => because(
            err,
            "this descriptor does not hold a buffer by the handle {d}",
            .{handle},
        ),
        else => err,
    };
}

pub fn ofReceive(err: Error) Error {
    return switch (err) {
        error.ChannelClosed => because(err, "it was closed, and nothing is left in it", .{}),
        error.Timeout => because(err, "nothing was sent in time", .{}),
        else => err,
    };
}

/// Where no call has more to say.
pub fn inGeneral(err: Error) Error {
    return switch (err) {
        error.PoolExists => because(err, "something has that name already", .{}),
        error.PoolNotFound => because(err, "nothing has that name", .{}),
        error.PoolFull => because(err, "every buffer is in use", .{}),
        error.PoolFlushing => because(err, "somebody flushes the pool", .{}),
        error.PoolClosed => because(err, "the pool is not open here", .{}),
        error.PoolCorrupt => because(err, "the object holds what xmem never wrote", .{}),
        error.PoolBusy => because(err, "a participant is stopped while it mends the pool", .{}),
        error.VersionMismatch => because(err, "it was made by another version or libc", .{}),
        error.OptionsMismatch => because(err, "it was made with other options", .{}),
        error.PermissionDenied => because(err, "this user may not do that", .{}),
        error.TooManyParticipants => because(err, "there are as many as there can be", .{}),
        error.BufferNotFound => because(err, "no buffer in use has that index", .{}),
        error.BufferInUse => because(err, "somebody still counts the buffer", .{}),
        error.StaleHandle => because(err, "this descriptor does not hold that buffer", .{}),
        error.NoReference => because(err, "the buffer has no such reference", .{}),
        error.TooManyReferences => because(err, "the buffer has 65535 references", .{}),
        error.TooLarge => because(err, "no buffer of this pool is that large", .{}),
        error.OutOfMemory => because(err, "there is no memory for it", .{}),
        error.Timeout => because(err, "the time passed", .{}),
        error.InvalidArgument => because(err, "an argument is out of range", .{}),
        error.UnsupportedPlatform => because(err, "the system lacks what xmem needs", .{}),
        error.System => because(err, "a system call failed", .{}),
        error.ChannelFull => because(err, "there is no room in the channel", .{}),
        error.ChannelClosed => because(err, "the channel is closed", .{}),
        error.Released => because(err, "its receiver gave it back without a reply", .{}),
        error.PeerDied => because(err, "its receiver ended, or let go of it", .{}),
        error.Pending, error.CommitLimit, error.ChannelEmpty => err,
    };
}

const testing = @import("std").testing;

test "what was found deeper is kept, and what belongs to another failure is not" {
    errors.clear();
    defer errors.clear();
    const deeper = errors.fail(error.Timeout, 7, "deeper", .{});
    try testing.expectEqual(error.Timeout, inGeneral(deeper));
    try testing.expectEqualStrings("deeper", errors.lastText());
    try testing.expectEqual(@as(i32, 7), errors.lastErrno());
    try testing.expectEqual(error.PoolFull, because(error.PoolFull, "{d} here", .{3}));
    try testing.expectEqualStrings("3 here", errors.lastText());
}
