//! A channel as a process sees it: where its ends, cells and subscribers lie, and what it was
//! made as, checked once, so that no operation takes a length or a bound from shared memory. What
//! is done to a ring is in `ring.zig` and `broadcast.zig`, how a channel comes to be in
//! `directory.zig`.

const std = @import("std");
const atomic = @import("hooks");
const ends = @import("ends.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const words = @import("../../format/words.zig");

const Cell = words.Cell;
const Position = words.Position;
const View = participant_file.View;

/// Which functions send and receive: `ring.zig`, `redelivery.zig`, `broadcast.zig`.
pub const Kind = enum { queue, redelivering, broadcast };

pub const Channel = struct {
    number: u32,
    block: *layout.ChannelBlock,
    head: *layout.ChannelEnd,
    tail: *layout.ChannelEnd,
    cells: [*]u64,
    capacity: u32,
    kind: Kind,
    mode: words.ChannelMode,
    overflow: words.ChannelOverflow,
    history: u32,
    /// What was received so often does not come back. 0: nothing comes back.
    max_deliveries: u32,
    /// The ends as the caller's thread knows them; only of a channel that it has open.
    locals: *ends.Locals = undefined,

    /// Of the live channel in that block. Null where what stands there makes no channel.
    pub fn of(view: *const View, number: u32) ?Channel {
        const block = blockOf(view, number);
        const shared = &block.channel;
        const capacity = atomic.load(u32, &shared.capacity, .monotonic);
        const history = atomic.load(u32, &shared.history, .monotonic);
        if (capacity == 0 or capacity > layout.channel_cells_max) return null;
        if (history >= capacity) return null;
        const mode = known(words.ChannelMode, &shared.mode) orelse return null;
        const redelivers = atomic.load(u32, &shared.redeliver, .monotonic) != 0;
        if (redelivers and mode == .broadcast) return null;
        const max_deliveries = atomic.load(u32, &shared.max_deliveries, .monotonic);
        return .{
            .number = number,
            .block = block,
            .head = &shared.head,
            .tail = &shared.tail,
            .cells = &block.cells,
            .capacity = capacity,
            .kind = switch (mode) {
                .queue => if (redelivers) .redelivering else .queue,
                .broadcast => .broadcast,
            },
            .mode = mode,
            .overflow = known(words.ChannelOverflow, &shared.overflow) orelse return null,
            .history = history,
            .max_deliveries = if (redelivers) max_deliveries else 0,
        };
    }

    /// Null: the position leads out of the ring.
    pub inline fn cellAt(channel: *const Channel, position: Position) ?*u64 {
        if (position.place >= channel.capacity) return null;
        return &channel.cells[position.place];
    }
};

fn known(comptime Kinds: type, ptr: *const u32) ?Kinds {
    return std.enums.fromInt(Kinds, atomic.load(u32, ptr, .monotonic));
}

/// A block past `directory.blocksUsed` must not be touched.
pub fn blockOf(view: *const View, number: u32) *layout.ChannelBlock {
    return @ptrCast(@alignCast(view.base + view.geometry.channelOffset(number)));
}

/// Where an end is. SYNC: acquires the cells that were changed before it moved there. Pairs with
/// `moveOn`.
pub inline fn positionOf(end: *const layout.ChannelEnd) Position {
    return Position.load(&end.position, .acquire);
}

/// After a cell's change: its own, or one of somebody who has not moved the end yet.
///
/// SYNC: releases the cell, and is sequential before what the mover reads next: see
/// `broadcast.retire`. Pairs with `positionOf` and `broadcast.mayBeLast`.
pub inline fn moveOn(channel: *const Channel, end: *layout.ChannelEnd, from: Position) void {
    _ = Position.cas(&end.position, from, from.next(channel.capacity));
}

/// What an end at `position` says makes no sense. It counts only if the end is still there: else it
/// was passed by a lap or more meanwhile.
pub inline fn isStill(end: *const layout.ChannelEnd, position: Position) bool {
    return positionOf(end) == position;
}

const testing = std.testing;
const TestingPool = @import("../testing_pool.zig").TestingPool;

test "what was not made makes no channel, and no length is believed" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const shared = &blockOf(&pool.view, 3).channel;
    try testing.expectEqual(null, Channel.of(&pool.view, 3));
    shared.capacity = 4;
    const channel = Channel.of(&pool.view, 3).?;
    try testing.expectEqual(@as(u32, 4), channel.capacity);
    try testing.expect(channel.cellAt(.{ .place = 3, .lap = 9 }) != null);
    try testing.expectEqual(null, channel.cellAt(.{ .place = 4, .lap = 0 }));
    inline for (.{
        .{ "capacity", layout.channel_cells_max + 1 },
        .{ "history", 4 },
        .{ "mode", 2 },
        .{ "overflow", 3 },
    }) |damage| {
        const good = @field(shared, damage[0]);
        @field(shared, damage[0]) = damage[1];
        try testing.expectEqual(null, Channel.of(&pool.view, 3));
        @field(shared, damage[0]) = good;
    }
    shared.redeliver = 1;
    try testing.expectEqual(Kind.redelivering, Channel.of(&pool.view, 3).?.kind);
    shared.mode = @intFromEnum(words.ChannelMode.broadcast);
    try testing.expectEqual(null, Channel.of(&pool.view, 3));
}
