//! The form for C: looking at a pool, at its participants and at its channels.

const std = @import("std");
const call = @import("call.zig");
const channel_statistics = @import("../../protocol/channel/statistics.zig");
const channels = @import("channels.zig");
const errors = @import("../../errors.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../../protocol/participant.zig");
const pool_name_file = @import("../../process/pool_name.zig");
const statistics = @import("../../protocol/statistics.zig");
const types = @import("types.zig");

const Channel = types.Channel;
const ChannelStats = types.ChannelStats;
const Error = errors.Error;
const Participant = types.Participant;
const Pool = types.Pool;
const PoolStats = types.PoolStats;
const Subscriber = types.Subscriber;
const allocator = std.heap.c_allocator;
const checkSize = call.checkSize;
const ended = call.ended;
const give = call.give;
const missing = call.missing;
const put = call.put;
const name_room = participant_file.name_room;
const seenPool = call.seenPool;

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
    const opened = try seenPool(pool);
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
    const opened = try seenPool(pool);
    const view = &opened.mapping.?.view;
    const field_count = statistics.participant_field_count;
    const limit = @min(rows_max, view.geometry.participant_count);
    const values = allocator.alloc(f64, limit * field_count) catch return error.OutOfMemory;
    defer allocator.free(values);
    const names = allocator.alloc([name_room]u8, limit) catch return error.OutOfMemory;
    defer allocator.free(names);
    const written = statistics.participants(view, values, std.mem.sliceAsBytes(names), limit);
    for (0..written) |row| {
        var full: Participant = .{ .name = names[row] };
        const fields = values[row * field_count ..][0..field_count];
        assign(statistics.ParticipantField, &full, fields);
        try put(full, rows, row_size, row);
    }
    out.* = written;
}

/// What goes on in an open channel. It looks at every participant.
///
/// XMEM_CHANNEL_CLOSED: it is not open here. That somebody closed it is no error.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
pub export fn xmem_get_channel_stats(
    pool: Pool,
    channel: Channel,
    /// Gets everything. Set its `size` before.
    stats: ?*ChannelStats,
) i32 {
    return ended(giveChannelStats(pool, channel, stats));
}

fn giveChannelStats(pool: Pool, channel: Channel, stats: ?*ChannelStats) Error!void {
    const out = stats orelse return missing("stats");
    const opened = try channels.openChannel(pool, channel);
    const found = &opened.channel.channel;
    const values = channel_statistics.collect(&opened.pool.participant.view, found);
    return give(out, channelStats(&values, channel_statistics.nameOf(found)));
}

fn channelStats(
    values: *const channel_statistics.Values,
    name: [channel_statistics.name_room]u8,
) ChannelStats {
    var full: ChannelStats = .{ .name = name };
    assign(channel_statistics.Stat, &full, values);
    // As the options count them, where 0 is not given.
    full.mode += 1;
    full.overflow += 1;
    return full;
}

/// The channels of a pool.
///
/// XMEM_OUT_OF_MEMORY: there is no memory for the answer.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `row_size` is wrong.
pub export fn xmem_channels(
    pool: Pool,
    /// Gets the channels; may be NULL where `rows_max` is 0.
    rows: ?[*]ChannelStats,
    /// `sizeof(xmem_channel_stats)`. Each row's `size` becomes it.
    row_size: usize,
    /// For how many `rows` has room.
    rows_max: u32,
    /// Gets how many were written.
    count: ?*u32,
) i32 {
    return ended(giveChannels(pool, rows, row_size, rows_max, count));
}

fn giveChannels(
    pool: Pool,
    rows: ?[*]ChannelStats,
    row_size: usize,
    rows_max: u32,
    count: ?*u32,
) Error!void {
    const out = count orelse return missing("count");
    try checkSize(ChannelStats, row_size);
    const opened = try seenPool(pool);
    const view = &opened.mapping.?.view;
    const stat_count = channel_statistics.stat_count;
    const limit = @min(rows_max, view.geometry.channel_count);
    const values = allocator.alloc(channel_statistics.Values, limit) catch
        return error.OutOfMemory;
    defer allocator.free(values);
    const names = allocator.alloc([channel_statistics.name_room]u8, limit) catch
        return error.OutOfMemory;
    defer allocator.free(names);
    const all_values: []f64 = @as([*]f64, @ptrCast(values.ptr))[0 .. limit * stat_count];
    const all_names = std.mem.sliceAsBytes(names);
    const written = channel_statistics.channels(view, all_values, all_names, limit);
    for (values[0..written], names[0..written], 0..) |*fields, name, row| {
        var full = channelStats(fields, name);
        full.size = row_size;
        try put(full, rows, row_size, row);
    }
    out.* = written;
}

/// The opens that subscribe to a broadcast.
///
/// XMEM_CHANNEL_CLOSED: the pool has no channel of that number any more.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `row_size` is wrong.
pub export fn xmem_subscribers(
    pool: Pool,
    /// The `number` that `xmem_get_channel_stats` or `xmem_channels` says.
    number: u64,
    /// Gets the subscribers; may be NULL where `rows_max` is 0.
    rows: ?[*]Subscriber,
    /// `sizeof(xmem_subscriber)`.
    row_size: usize,
    /// For how many `rows` has room; there are at most XMEM_LIMIT_CHANNEL_SUBSCRIBERS.
    rows_max: u32,
    /// Gets how many were written.
    count: ?*u32,
) i32 {
    return ended(giveSubscribers(pool, number, rows, row_size, rows_max, count));
}

fn giveSubscribers(
    pool: Pool,
    number: u64,
    rows: ?[*]Subscriber,
    row_size: usize,
    rows_max: u32,
    count: ?*u32,
) Error!void {
    const out = count orelse return missing("count");
    try checkSize(Subscriber, row_size);
    const opened = try seenPool(pool);
    const view = &opened.mapping.?.view;
    const found = channel_statistics.channelAt(view, number) orelse
        return errors.fail(error.ChannelClosed, 0, "the pool has no channel {d}", .{number});
    const field_count = channel_statistics.subscriber_field_count;
    const limit = @min(rows_max, layout.channel_subscribers_max);
    var values: [layout.channel_subscribers_max * field_count]f64 = undefined;
    const written = channel_statistics.subscribers(view, &found, &values, limit);
    for (0..written) |row| {
        var full: Subscriber = .{};
        const fields = values[row * field_count ..][0..field_count];
        assign(channel_statistics.SubscriberField, &full, fields);
        try put(full, rows, row_size, row);
    }
    out.* = written;
}
