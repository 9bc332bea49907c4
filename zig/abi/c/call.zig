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

/// The open pool of a call with nothing uncommon in its way, which has no failure to report; else
/// `openPool` finds out why.
pub inline fn straightPool(pool: Pool) ?*open_pool.Pool {
    const found = descriptor.poolOf(pool);
    return if (!holds.needsAttention(found) and isStraightFor(found)) found else null;
}

/// Whether this thread opened the pool, and has no failure to forget.
inline fn isStraightFor(found: *const open_pool.Pool) bool {
    return found.owner == thread.mark() and found.failure.* == 0;
}

/// Ends an open: the pool is the calling thread's.
pub fn own(opened: *open_pool.Pool) void {
    opened.failure = errors.ofThisThread();
    opened.owner = thread.mark();
}

/// The same for acquire and release, which have a straight line also where the thread has a cache
/// of free slots.
pub inline fn straightPoolMaybeCaching(pool: Pool) ?struct { *open_pool.Pool, bool } {
    const found = descriptor.poolOf(pool);
    const attention = found.participant.local.attention;
    if (attention & ~participant_file.attention_cache != 0) return null;
    return if (isStraightFor(found)) .{ found, attention != 0 } else null;
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

/// What a caller says by a struct of options. A caller that was compiled earlier has fewer fields
/// perhaps, and the others have their defaults; one that was compiled later may have more, which
/// have to have their defaults, too.
pub fn readOptions(comptime Options: type, options: ?*const Options) Error!Options {
    const given = options orelse return .{};
    try checkSize(Options, given.size);
    const bytes: [*]const u8 = @ptrCast(given);
    return takeIn(Options, bytes[0..given.size]);
}

fn takeIn(comptime Options: type, bytes: []const u8) Error!Options {
    var taken: Options = .{};
    const known = @min(bytes.len, @sizeOf(Options));
    @memcpy(std.mem.asBytes(&taken)[0..known], bytes[0..known]);
    for (bytes[known..]) |byte| {
        if (byte != 0) return errors.fail(error.InvalidArgument, 0, "unknown options", .{});
    }
    return taken;
}

/// Fills a struct of the caller's, which may be shorter or longer than the one of this library.
pub fn give(out: anytype, full: std.meta.Child(@TypeOf(out))) Error!void {
    const size = out.size;
    try checkSize(@TypeOf(full), size);
    const bytes: [*]u8 = @ptrCast(out);
    giveOut(bytes[0..size], std.mem.asBytes(&full));
    out.size = size;
}

/// Fills a row of the caller's, likewise.
pub fn put(full: anytype, rows: ?[*]@TypeOf(full), row_size: usize, row: usize) Error!void {
    const bytes: [*]u8 = @ptrCast(rows orelse return missing("rows"));
    giveOut(bytes[row * row_size ..][0..row_size], std.mem.asBytes(&full));
}

/// The fields that only a later struct has become 0.
fn giveOut(to: []u8, full: []const u8) void {
    const known = @min(to.len, full.len);
    @memcpy(to[0..known], full[0..known]);
    @memset(to[known..], 0);
}

/// No struct will ever grow beyond this: a larger size is one that the caller never set.
const struct_bytes_max = 4096;

pub fn checkSize(comptime Struct: type, size: usize) Error!void {
    if (size >= types.firstSize(Struct) and size <= struct_bytes_max) return;
    return errors.fail(error.InvalidArgument, 0, "a struct's size is {d}", .{size});
}

const testing = std.testing;

/// As it is in this library; callers know the first field, or the first two, or one more.
const Grown = extern struct { first: u64 = 1, second: u64 = 2 };

test "what a caller does not know yet has its default, and what it alone knows must have its own" {
    const given = [_]u64{ 7, 8, 0, 9 };
    const bytes = std.mem.sliceAsBytes(&given);
    try testing.expectEqual(Grown{ .first = 7, .second = 2 }, try takeIn(Grown, bytes[0..8]));
    try testing.expectEqual(Grown{ .first = 7, .second = 8 }, try takeIn(Grown, bytes[0..16]));
    try testing.expectEqual(Grown{ .first = 7, .second = 8 }, try takeIn(Grown, bytes[0..24]));
    try testing.expectError(error.InvalidArgument, takeIn(Grown, bytes[0..32]));
}

test "a caller gets what it knows, and no byte more is written" {
    const full: Grown = .{ .first = 7, .second = 8 };
    inline for (.{
        .{ 8, .{ 7, 5, 5, 5 } },
        .{ 16, .{ 7, 8, 5, 5 } },
        .{ 24, .{ 7, 8, 0, 5 } },
    }) |row| {
        var out: [4]u64 = @splat(5);
        giveOut(std.mem.sliceAsBytes(&out)[0..row[0]], std.mem.asBytes(&full));
        try testing.expectEqual([4]u64{ row[1][0], row[1][1], row[1][2], row[1][3] }, out);
    }
}

test "a failure takes the straight line from its own thread, until it is forgotten, and from no other" {
    var local: participant_file.Local = .{ .owed = undefined, .at_pool = .{ .place = undefined } };
    const opened = try descriptor.take();
    defer descriptor.giveBack(opened);
    opened.participant.local = &local;
    own(opened);
    const number = descriptor.numberOf(opened);
    errors.clear();
    try testing.expectEqual(opened, straightPool(number).?);
    const other = try std.Thread.spawn(.{}, errors.noteBare, .{error.PoolNotFound});
    other.join();
    try testing.expectEqual(opened, straightPool(number).?);
    errors.noteBare(error.PoolFull);
    try testing.expectEqual(null, straightPool(number));
    errors.clear();
    try testing.expectEqual(opened, straightPool(number).?);
}
