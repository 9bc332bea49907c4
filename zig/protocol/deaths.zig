//! Whose rows died, for a program that wants to be told. It only reads, and costs as much as there
//! are rows, however many slots the pool has.

const std = @import("std");
const owner_file = @import("owner.zig");
const View = @import("participant.zig").View;

const name_room = owner_file.name_room;

pub const Field = enum {
    /// Of the row's owner, or of its last one.
    PID,
    TID,
    ALIVE,
    /// Its owner died, and no recovery has emptied it yet.
    DEAD,
    /// How often a recovery emptied it since the pool was made; wraps at 2^32.
    DEATHS,
};
pub const field_count = std.meta.fields(Field).len;

/// Every row that was ever taken, in order. One that is between two owners says nothing of either:
/// all is 0 but its deaths. Returns how many were written.
pub fn read(view: *const View, values: []f64, names: []u8) u32 {
    const rows = @min(view.rowsUsed(), values.len / field_count, names.len / name_room);
    for (view.rows[0..rows], 0..) |*row, index| {
        const owner = owner_file.read(row);
        const out = values[index * field_count ..][0..field_count];
        for (std.enums.values(Field)) |field| {
            const value: u64 = switch (field) {
                .PID => if (owner) |known| known.pid else 0,
                .TID => if (owner) |known| known.tid else 0,
                .ALIVE => @intFromBool(owner != null and owner.?.alive),
                .DEAD => @intFromBool(owner != null and owner.?.dead),
                .DEATHS => if (owner) |known|
                    known.deaths
                else
                    @atomicLoad(u32, &row.deaths, .monotonic),
            };
            out[@intFromEnum(field)] = @floatFromInt(value);
        }
        const name = if (owner) |known| known.name else @as([name_room]u8, @splat(0));
        names[index * name_room ..][0..name_room].* = name;
    }
    return @intCast(rows);
}

const testing = std.testing;
const TestingPool = @import("testing_pool.zig").TestingPool;

test "each row says whether its owner lives, and how many died there" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 3 });
    defer pool.deinit();
    _ = pool.participant(0);
    const dead = pool.participant(1);
    dead.row.abandoned = 1;
    dead.row.deaths = 4;
    dead.row.mutex.unlock();
    var values: [3 * field_count]f64 = undefined;
    var names: [3 * name_room]u8 = undefined;
    try testing.expectEqual(@as(u32, 2), read(&pool.view, &values, &names));
    const second = values[field_count..];
    const expected = [_]struct { Field, f64, f64 }{
        .{ .ALIVE, 1, 0 },
        .{ .DEAD, 0, 1 },
        .{ .DEATHS, 0, 4 },
    };
    for (expected) |each| {
        const field, const live, const gone = each;
        try testing.expectEqual(live, values[@intFromEnum(field)]);
        try testing.expectEqual(gone, second[@intFromEnum(field)]);
    }
}

test "a row between two owners says nothing but how many died there" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 1 });
    defer pool.deinit();
    const row = pool.participant(0).row;
    row.deaths = 3;
    owner_file.introduce(row, .{ .pid = 9, .tid = 9, .start_time = 9, .name = "nine" });
    owner_file.beginChange(row);
    var values: [field_count]f64 = undefined;
    var names: [name_room]u8 = undefined;
    try testing.expectEqual(@as(u32, 1), read(&pool.view, &values, &names));
    for (values, std.enums.values(Field)) |value, field|
        try testing.expectEqual(@as(f64, if (field == .DEATHS) 3 else 0), value);
    try testing.expectEqual(@as(u8, 0), names[0]);
}
