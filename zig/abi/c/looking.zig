//! The form for C: looking at a pool, and at its participants.

const std = @import("std");
const call = @import("call.zig");
const errors = @import("../../errors.zig");
const participant_file = @import("../../protocol/participant.zig");
const pool_name_file = @import("../../process/pool_name.zig");
const statistics = @import("../../protocol/statistics.zig");
const types = @import("types.zig");

const Error = errors.Error;
const Participant = types.Participant;
const Pool = types.Pool;
const PoolStats = types.PoolStats;
const allocator = std.heap.c_allocator;
const checkSize = call.checkSize;
const ended = call.ended;
const give = call.give;
const missing = call.missing;
const name_room = participant_file.name_room;
const openPool = call.openPool;

/// What goes on in the pool. It looks at every buffer: not a call for each frame.
///
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
pub export fn xmem_stats(
    pool: Pool,
    /// Gets everything. Set its `size` before.
    stats: ?*PoolStats,
) i32 {
    return ended(giveStats(pool, stats));
}

fn giveStats(pool: Pool, stats: ?*PoolStats) Error!void {
    const out = stats orelse return missing("stats");
    const opened = try openPool(pool);
    var values: [statistics.stat_count]f64 = undefined;
    statistics.collect(&opened.mapping.?.view, &values);
    values[@intFromEnum(statistics.Stat.LINKED)] =
        @floatFromInt(@intFromBool(pool_name_file.linked(opened)));
    var full: PoolStats = .{};
    assign(statistics.Stat, &full, &values);
    return give(out, full);
}

/// Each field by its name: one that the struct lacks does not compile.
fn assign(comptime Field: type, to: anytype, values: []const f64) void {
    inline for (comptime std.enums.values(Field)) |field| {
        const name = comptime lower(@tagName(field));
        // What comes from a damaged pool may be more than there is.
        @field(to, &name) = std.math.lossyCast(u64, values[@intFromEnum(field)]);
    }
}

fn lower(comptime name: []const u8) [name.len]u8 {
    var made: [name.len]u8 = undefined;
    _ = std.ascii.lowerString(&made, name);
    return made;
}

/// The threads that have the pool open, or had when they died.
///
/// XMEM_OUT_OF_MEMORY: there is no memory for the answer.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `row_size` is wrong.
pub export fn xmem_participants(
    pool: Pool,
    /// Gets the participants; may be NULL where `rows_max` is 0.
    rows: ?[*]Participant,
    /// `sizeof(xmem_participant)`.
    row_size: usize,
    /// For how many `rows` has room.
    rows_max: u32,
    /// Gets how many were written.
    count: ?*u32,
) i32 {
    return ended(giveParticipants(pool, rows, row_size, rows_max, count));
}

fn giveParticipants(
    pool: Pool,
    rows: ?[*]Participant,
    row_size: usize,
    rows_max: u32,
    count: ?*u32,
) Error!void {
    const out = count orelse return missing("count");
    try checkSize(Participant, row_size);
    const opened = try openPool(pool);
    const view = &opened.mapping.?.view;
    const field_count = statistics.participant_field_count;
    const limit = @min(rows_max, view.geometry.participant_count);
    const values = allocator.alloc(f64, limit * field_count) catch return error.OutOfMemory;
    defer allocator.free(values);
    const names = allocator.alloc([name_room]u8, limit) catch return error.OutOfMemory;
    defer allocator.free(names);
    const written = statistics.participants(view, values, std.mem.sliceAsBytes(names), limit);
    if (written > 0) {
        const to: [*]u8 = @ptrCast(rows orelse return missing("rows"));
        for (0..written) |row| {
            var full: Participant = .{ .name = names[row] };
            const fields = values[row * field_count ..][0..field_count];
            assign(statistics.ParticipantField, &full, fields);
            const place = to[row * row_size ..][0..row_size];
            @memcpy(place[0..@sizeOf(Participant)], std.mem.asBytes(&full));
            @memset(place[@sizeOf(Participant)..], 0);
        }
    }
    out.* = written;
}
