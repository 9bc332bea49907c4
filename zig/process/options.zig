//! The options of an open, as both forms of the interface pass them: an array of numbers, in which
//! -1 stands for an option that was not given.

const std = @import("std");

const Trust = @import("../system/trust.zig").Trust;

pub const How = enum(u32) { create = 0, open = 1, open_or_create = 2, _ };

/// The place of each option in the array.
pub const Option = enum {
    CAPACITY,
    BUFFER_SIZE,
    MAX_PARTICIPANTS,
    LEASE_TIMEOUT,
    MAX_COMMITTED,
    CHANNELS,
    ZERO_ON_RELEASE,
    MODE,
    EPHEMERAL,
    REPLACE_ABANDONED,
    ALLOW_OWNER,
    ALLOW_GROUP,
    LOCAL_CACHE,
};

pub const Options = [std.meta.fields(Option).len]f64;

pub fn trustOf(options: *const Options) Trust {
    return .{
        .owner = idOf(options[@intFromEnum(Option.ALLOW_OWNER)]),
        .group = idOf(options[@intFromEnum(Option.ALLOW_GROUP)]),
    };
}

/// The number of a user or a group; null where it was not given.
pub fn idOf(number_or_none: f64) ?u32 {
    return if (number_or_none < 0) null else @intFromFloat(number_or_none);
}

pub fn given(options: *const Options, comptime which: Option) ?f64 {
    const value = options[@intFromEnum(which)];
    return if (value < 0) null else value;
}

pub fn whole(comptime T: type, options: *const Options, comptime which: Option, default: T) T {
    const value = given(options, which) orelse return default;
    return if (value >= 1 << @bitSizeOf(T)) std.math.maxInt(T) else @intFromFloat(value);
}

const testing = std.testing;

test "an option that was not given has its default, and one beyond its type the most of that" {
    var options: Options = @splat(-1);
    try testing.expectEqual(null, given(&options, .CAPACITY));
    try testing.expectEqual(@as(u32, 7), whole(u32, &options, .CAPACITY, 7));
    try testing.expectEqual(null, trustOf(&options).owner);
    options[@intFromEnum(Option.CAPACITY)] = 0;
    options[@intFromEnum(Option.BUFFER_SIZE)] = 1 << 32;
    options[@intFromEnum(Option.ALLOW_GROUP)] = 100;
    try testing.expectEqual(@as(u32, 0), whole(u32, &options, .CAPACITY, 7));
    const most = std.math.maxInt(u32);
    try testing.expectEqual(most, whole(u32, &options, .BUFFER_SIZE, 7));
    try testing.expectEqual(@as(u64, 1 << 32), whole(u64, &options, .BUFFER_SIZE, 7));
    try testing.expectEqual(@as(?u32, 100), trustOf(&options).group);
}
