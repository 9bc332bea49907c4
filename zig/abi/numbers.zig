//! How numbers and failures cross to Bun, for every file of that form: handles and sizes are
//! doubles, and a failure is a negative number in the result's place.

const std = @import("std");
const errors = @import("../errors.zig");
const words = @import("../format/words.zig");

const Error = errors.Error;

/// Handles and bare indexes are whole numbers below 2^53.
pub inline fn toRef(number: f64) ?u64 {
    if (!(number >= 0 and number < 1 << 53)) return null;
    // Through a signed integer, which is one instruction both ways.
    const whole: i64 = @intFromFloat(number);
    if (@as(f64, @floatFromInt(whole)) != number) return null;
    return @bitCast(whole);
}

pub inline fn toUint32(number: f64) ?u32 {
    const whole = toRef(number) orelse return null;
    return if (whole <= std.math.maxInt(u32)) @intCast(whole) else null;
}

pub fn refOf(number: f64) Error!u64 {
    return toRef(number) orelse error.InvalidArgument;
}

pub fn statusOf(result: Error!void) i32 {
    return if (result) |_| 0 else |err| refusedBare(err);
}

pub fn countOr(result: Error!u32) i32 {
    return if (result) |value| @intCast(value) else |err| refusedBare(err);
}

pub inline fn fromHandle(handle: u64) f64 {
    return @floatFromInt(@as(i64, @bitCast(handle)));
}

pub inline fn indexOf(handle: u64) u32 {
    return @as(words.Handle, @bitCast(handle)).index;
}

pub inline fn generationOf(handle: u64) u32 {
    return @as(words.Handle, @bitCast(handle)).generation;
}

/// For calls that began with `errors.clear`, since they may leave a detail.
pub noinline fn refused(err: Error) i32 {
    @branchHint(.cold);
    errors.note(err);
    return errors.negative(err);
}

pub inline fn failed(err: Error) f64 {
    return @floatFromInt(refused(err));
}

/// For calls that never leave a detail, and need not begin with `errors.clear`.
pub noinline fn refusedBare(err: Error) i32 {
    @branchHint(.cold);
    errors.noteBare(err);
    return errors.negative(err);
}

pub inline fn failedBare(err: Error) f64 {
    return @floatFromInt(refusedBare(err));
}

pub fn toNs(milliseconds: f64) u64 {
    const limit_ms = 1 << 44; // five hundred years
    if (!(milliseconds > 0)) return 0;
    return @intFromFloat(@min(milliseconds, limit_ms) * std.time.ns_per_ms);
}

pub fn copyOut(text: []const u8, buffer: [*]u8, length: u32) u32 {
    const copied = @min(text.len, length);
    @memcpy(buffer[0..copied], text[0..copied]);
    return @intCast(copied);
}

const testing = std.testing;

test "only whole numbers from 0 on that a double holds exactly are refs" {
    const exact = 1 << 53;
    for ([_]f64{ 0, 1, 1 << 24, 1 << 32, exact - 1 }) |number| {
        const ref = toRef(number).?;
        try testing.expectEqual(number, fromHandle(ref));
    }
    try testing.expectEqual(@as(?u64, 0), toRef(-0.0));
    const nan = std.math.nan(f64);
    const infinity = std.math.inf(f64);
    for ([_]f64{ -1, 0.5, exact, -infinity, infinity, nan }) |number| {
        try testing.expectEqual(null, toRef(number));
        try testing.expectEqual(error.InvalidArgument, refOf(number));
    }
    try testing.expectEqual(@as(?u32, std.math.maxInt(u32)), toUint32((1 << 32) - 1));
    try testing.expectEqual(null, toUint32(1 << 32));
}

test "times below 0 are 0, and none is too long to count" {
    const times = [_]struct { f64, u64 }{
        .{ 0, 0 },
        .{ -1, 0 },
        .{ std.math.nan(f64), 0 },
        .{ 0.5, 500_000 },
        .{ 1000, std.time.ns_per_s },
        .{ std.math.inf(f64), (1 << 44) * std.time.ns_per_ms },
    };
    for (times) |time| try testing.expectEqual(time[1], toNs(time[0]));
}

test "a text is cut to the room that there is" {
    var room: [4]u8 = @splat('-');
    try testing.expectEqual(@as(u32, 3), copyOut("pool", &room, 3));
    try testing.expectEqualStrings("poo-", &room);
    try testing.expectEqual(@as(u32, 2), copyOut("ab", &room, 4));
    try testing.expectEqualStrings("abo-", &room);
}
