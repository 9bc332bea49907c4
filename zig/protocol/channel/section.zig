//! The channels as a section of a recovery; the functions that a section has are described in
//! `../recovery/phases.zig`. The rings themselves need no repair. Their cells and returned lists
//! freeze and thaw with the slots' words, what the dead had open and had still to read goes, their
//! messages go back (`returning.zig`), and each full cell and each place in a list counts as a
//! reference of its buffer.

const std = @import("std");
const atomic = @import("hooks");
const broadcast = @import("broadcast.zig");
const channel_file = @import("channel.zig");
const directory = @import("directory.zig");
const ends = @import("ends.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const phases = @import("../recovery/phases.zig");
const returning = @import("returning.zig");
const ring = @import("ring.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Cell = words.Cell;
const Channel = channel_file.Channel;
const Position = words.Position;
const Returned = words.Returned;
const Place = @import("../place.zig").Place;
const Report = phases.Report;
const Rows = phases.Rows;
const View = participant_file.View;

/// Every live channel, in the order of their blocks. A block that is damaged is left out: nobody
/// can open it, and whoever has it open works within the bounds that he checked.
const Walk = struct {
    view: *const View,
    next_number: u32 = 0,
    end: u32,

    fn over(view: *const View) Walk {
        return .{ .view = view, .end = directory.blocksUsed(view) };
    }

    fn next(walk: *Walk) ?Channel {
        while (walk.next_number < walk.end) {
            const number = walk.next_number;
            walk.next_number += 1;
            if (directory.isLive(walk.view, number)) {
                if (Channel.of(walk.view, number)) |channel| return channel;
            }
        }
        return null;
    }
};

/// Nothing in a channel keeps anybody from going on.
pub fn isDue(_: *const View) bool {
    return false;
}

/// Whether a recovery would remove a channel.
pub fn hasLosses(view: *const View, now_ns: u64) bool {
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
        if (directory.isOver(view, &channel, now_ns)) return true;
    }
    return false;
}

/// Every recovery empties damaged cells; nobody waits for that.
pub fn isDamaged(_: *const View) bool {
    return false;
}

pub fn freeze(view: *const View) void {
    if (atomic.broken(.cells_not_frozen)) return;
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
        for (channel.cells[0..channel.capacity]) |*cell_ptr| freezeCell(cell_ptr);
        if (channel.mode == .queue and !atomic.broken(.returned_not_frozen))
            freezeReturned(&channel.head.returned);
    }
}

/// SYNC: acquires every change of the cell, and with it the `busy` of who made it. Pairs with
/// `ring.change` and `ring.attemptClose`.
fn freezeCell(cell_ptr: *u64) void {
    while (true) {
        const cell = Cell.load(cell_ptr, .acquire);
        if (cell.frozen or Cell.cas(cell_ptr, cell, cell.withFrozen(true))) return;
    }
}

/// SYNC: as `freezeCell`, of a change by a receiver. The tag is for one whose `busy` is not seen
/// yet. Pairs with `redelivery.pop`.
fn freezeReturned(ptr: *u64) void {
    while (true) {
        const returned = Returned.load(ptr, .acquire);
        if (returned.frozen or Returned.cas(ptr, returned, returned.asFrozen())) return;
    }
}

pub fn thaw(view: *const View) void {
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
        if (channel.mode == .queue) thawReturned(&channel.head.returned);
        for (channel.cells[0..channel.capacity]) |*cell_ptr| thawCell(cell_ptr);
    }
}

/// SYNC: releases what was rewritten. Pairs with `ring.load`.
fn thawCell(cell_ptr: *u64) void {
    while (true) {
        const cell = Cell.load(cell_ptr, .acquire);
        if (!cell.frozen or Cell.cas(cell_ptr, cell, cell.withFrozen(false))) return;
    }
}

/// SYNC: as `thawCell`. Pairs with `redelivery.pop`.
fn thawReturned(ptr: *u64) void {
    while (true) {
        const returned = Returned.load(ptr, .acquire);
        if (!returned.frozen or Returned.cas(ptr, returned, returned.asThawed())) return;
    }
}

/// What the dead had open and had still to read, their messages, and channels that are over; then
/// the count. Messages are settled while the channels that they were in are still there.
pub fn settle(view: *const View, dead: *const Rows, now_ns: u64, _: *Report) void {
    var over: returning.Channels = .initEmpty();
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
        dropDead(view, &channel, dead, now_ns);
        // Nobody is in the middle of a drop now, but for the dead.
        const dropped = @atomicLoad(u64, &channel.head.dropped, .monotonic);
        @atomicStore(u64, &channel.head.drops_begun, dropped, .monotonic);
        if (directory.isOver(view, &channel, now_ns)) over.set(channel.number);
    }
    if (atomic.broken(.takings_cleared_first)) clearTakings(view, dead);
    returning.settle(view, dead, &over);
    walk = .over(view);
    while (walk.next()) |channel| {
        if (over.isSet(channel.number)) {
            for (channel.cells[0..channel.capacity]) |*cell_ptr| empty(cell_ptr);
            directory.free(view, &channel);
        } else {
            emptyDamaged(view, &channel);
            if (channel.mode == .broadcast and !atomic.broken(.passed_cells_kept))
                emptyPassed(&channel);
        }
    }
    count(view);
}

/// For the broken variant that forgets what the dead were taking before it has looked.
fn clearTakings(view: *const View, dead: *const Rows) void {
    var rows = dead.iterator(.{});
    while (rows.next()) |row| words.Taking.store(&view.rows[row].taking, .nothing);
}

/// Its subscribers' entries, and that it has the channel open.
fn dropDead(view: *const View, channel: *const Channel, dead: *const Rows, now_ns: u64) void {
    var iterator = dead.iterator(.{});
    while (iterator.next()) |row| {
        const index: u32 = @intCast(row);
        if (directory.isOpenBy(channel, index)) directory.leave(channel, index, now_ns);
    }
    if (channel.mode != .broadcast or atomic.broken(.dead_cursors_kept)) return;
    for (&channel.block.subscribers, 0..) |*entry, number| {
        if (!broadcast.isSubscribed(channel, @intCast(number))) continue;
        const row = atomic.load(u32, &entry.participant, .monotonic);
        // A row that does not exist is damage.
        if (row < view.geometry.participant_count and !dead.isSet(row)) continue;
        broadcast.dropSubscriber(channel, @intCast(number));
    }
}

/// A cell that names no slot holds nothing.
fn emptyDamaged(view: *const View, channel: *const Channel) void {
    for (channel.cells[0..channel.capacity]) |*cell_ptr| {
        const cell = Cell.load(cell_ptr, .monotonic);
        if (cell.full and cell.index >= view.geometry.capacity) empty(cell_ptr);
    }
}

/// What no subscriber is left to read.
fn emptyPassed(channel: *const Channel) void {
    while (true) {
        const head = channel_file.positionOf(channel.head);
        const cell_ptr = channel.cellAt(head) orelse return;
        switch (ring.toReceiver(Cell.load(cell_ptr, .monotonic).withFrozen(false), head)) {
            .item => {
                if (broadcast.isPassed(channel, head, .ignored) != .passed) return;
                empty(cell_ptr);
            },
            .lagging => channel_file.moveOn(channel, channel.head, head),
            .nothing, .drained, .frozen, .impossible => return,
        }
    }
}

fn empty(cell_ptr: *u64) void {
    const cell = Cell.load(cell_ptr, .monotonic);
    if (cell.full) Cell.store(cell_ptr, cell.emptied(), .monotonic);
}

/// How many cells hold each slot, in the slots themselves, beside the lists that are counted there.
fn count(view: *const View) void {
    if (atomic.broken(.cells_not_counted)) return;
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
        for (channel.cells[0..channel.capacity]) |*cell_ptr| {
            const cell = Cell.load(cell_ptr, .monotonic);
            if (!cell.full or cell.index >= view.geometry.capacity) continue;
            returning.addQueued(view, cell.index);
        }
    }
}

pub fn referencesTo(view: *const View, index: u32) u16 {
    return words.CameFrom.load(&view.slots[index].came_from).queued;
}

/// The cells are right when they are settled.
pub fn rewrite(_: *const View, comptime _: phases.SumOf, _: u64, _: *Report) void {}

/// Both ends of each block, also of one that is no channel now: a row may still say that its owner
/// waits there.
pub fn forEachPlace(view: *const View, comptime visit: fn (Place, *const View) void) void {
    for (0..directory.blocksUsed(view)) |at| {
        const number: u32 = @intCast(at);
        const shared = &channel_file.blockOf(view, number).channel;
        visit(ends.placeOf(number, .head, &shared.head), view);
        visit(ends.placeOf(number, .tail, &shared.tail), view);
    }
}

const testing = std.testing;
const bench_file = @import("testing_channel.zig");
const Local = @import("../place.zig").Local;
const waiter = @import("../waiting/waiter.zig");
const sending = @import("sending.zig");
const TestingChannel = bench_file.TestingChannel;
const thaw_file = @import("../recovery/thaw.zig");

var report: Report = .{};

fn queuedOf(bench: *TestingChannel, handle: u64) u16 {
    return referencesTo(&bench.pool.view, @as(words.Handle, @bitCast(handle)).index);
}

fn rowsOf(rows: []const u32) Rows {
    var set: Rows = .initEmpty();
    for (rows) |row| set.set(row);
    return set;
}

test "cells freeze, are counted, and thaw as they were" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{ .capacity = 3 });
    defer bench.deinit();
    const view = &bench.pool.view;
    const one = &bench.participants[0];
    var patience: thaw_file.Patience = .untimed;
    const handle = bench.tryAcquire(0).?;
    const other = bench.tryAcquire(0).?;
    _ = try sending.send(one, &bench.channel, handle, &patience);
    const before = bench.channel.cells[0..3].*;
    // Each step may be a successor's.
    for (0..2) |_| freeze(view);
    for (bench.channel.cells[0..3]) |bits| try testing.expect(@as(Cell, @bitCast(bits)).frozen);
    for (0..2) |_| settle(view, &rowsOf(&.{}), 0, &report);
    try testing.expectEqual(@as(u16, 1), queuedOf(&bench, handle));
    try testing.expectEqual(@as(u16, 0), queuedOf(&bench, other));
    for (0..2) |_| thaw(view);
    try testing.expectEqual(before, bench.channel.cells[0..3].*);
    _ = try ring.receive(one, &bench.channel, &patience);
    settle(view, &rowsOf(&.{}), 0, &report);
    try testing.expectEqual(@as(u16, 0), queuedOf(&bench, handle));
}

test "what only the dead had still to read goes" {
    for ([_]u32{ 0, 1 }) |history| {
        var bench: TestingChannel = undefined;
        try bench.init(3, .{ .capacity = 4, .mode = .broadcast, .history = history });
        defer bench.deinit();
        const view = &bench.pool.view;
        var patience: thaw_file.Patience = .untimed;
        const one = &bench.participants[0];
        for (0..3) |_| {
            const sent = try sending.send(one, &bench.channel, bench.tryAcquire(0).?, &patience);
            try testing.expectEqual(sending.Outcome.sent, sent);
        }
        for ([_]struct { usize, u32 }{ .{ 0, 3 }, .{ 1, 1 } }) |pair| {
            const row, const reads = pair;
            for (0..reads) |_| {
                const subscription = bench.opened[row].subscription.?;
                const participant = &bench.participants[row];
                _ = try broadcast.read(participant, &bench.channel, subscription, &patience);
            }
        }
        // An end that was not moved, too.
        bench.channel.tail.position -= 1;
        freeze(view);
        settle(view, &rowsOf(&.{2}), 5, &report);
        try testing.expectEqual(@as(u32, 2), bench.queued());
        try testing.expect(!broadcast.isSubscribed(&bench.channel, 2));
        try testing.expect(!directory.isOpenBy(&bench.channel, 2));
        try testing.expectEqual(@as(u64, 5), bench.channel.block.channel.last_user_gone_at_ns);
        settle(view, &rowsOf(&.{ 1, 2 }), 6, &report);
        try testing.expectEqual(history, bench.queued());
        for (bench.channel.cells[0..4]) |bits| try testing.expect(@as(Cell, @bitCast(bits)).frozen);
        var received: u64 = 0;
        for (bench.channel.block.subscribers[0..3]) |*entry| received += entry.received;
        try testing.expectEqual(@as(u64, 4), received);
    }
}

test "a channel that is over is removed, with what is in it" {
    var bench: TestingChannel = undefined;
    try bench.init(2, .{ .capacity = 4 });
    defer bench.deinit();
    const view = &bench.pool.view;
    const one = &bench.participants[0];
    var patience: thaw_file.Patience = .untimed;
    const handle = bench.tryAcquire(0).?;
    _ = try sending.send(one, &bench.channel, handle, &patience);
    _ = try ring.close(one, &bench.channel, &patience);
    directory.detach(one, &bench.channel);
    try testing.expect(!hasLosses(view, 0));
    settle(view, &rowsOf(&.{}), 0, &report);
    try testing.expect(directory.isLive(view, 0));
    // The other one's row is dead.
    bench.participants[1].row.mutex.unlock();
    try testing.expect(hasLosses(view, 0));
    freeze(view);
    settle(view, &rowsOf(&.{1}), 0, &report);
    try testing.expect(!directory.isLive(view, 0));
    try testing.expectEqual(@as(u16, 0), queuedOf(&bench, handle));
    thaw(view);
    try testing.expect(!hasLosses(view, 0));
}

test "a cell that names no slot is emptied" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{ .capacity = 2 });
    defer bench.deinit();
    const view = &bench.pool.view;
    const empty_cell: Cell = @bitCast(bench.channel.cells[0]);
    bench.channel.cells[0] = @bitCast(empty_cell.filledWith(bench_file.slots));
    bench.channel.tail.position = @bitCast(Position{ .place = 1, .lap = 0 });
    settle(view, &rowsOf(&.{}), 0, &report);
    var patience: thaw_file.Patience = .untimed;
    const received = try ring.receive(&bench.participants[0], &bench.channel, &patience);
    try testing.expectEqual(ring.Received.nothing, received);
}

test "both ends of each channel are woken, and their waiters counted anew" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{});
    defer bench.deinit();
    const view = &bench.pool.view;
    bench.channel.tail.waiting.waiters = 7;
    bench.participants[0].row.waiting[0] = 0b010;
    forEachPlace(view, Place.recount);
    forEachPlace(view, wakeAll);
    const both = [_]*layout.ChannelEnd{ bench.channel.head, bench.channel.tail };
    for ([_]u32{ 1, 0 }, both) |waiters, end| {
        try testing.expectEqual(waiters, end.waiting.waiters);
        try testing.expectEqual(@as(u32, 1), end.waiting.wake_seq);
    }
}

fn wakeAll(place: Place, _: *const View) void {
    place.wakeAll();
}

test "whoever owes the end of a wait at a channel that was removed counts in the next one's" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{});
    defer bench.deinit();
    const view = &bench.pool.view;
    const one = &bench.participants[0];
    const at_tail = &bench.locals[0].at_tail;
    one.local.at_pool.next = at_tail;
    var patience: thaw_file.Patience = .none;
    _ = try waiter.begin(at_tail, one, &patience);
    const head: *words.Head = @ptrCast(&view.header.hot.free_head);
    head.frozen = true;
    _ = view.header.repair.mutex.tryLock();
    waiter.end(at_tail, one, &patience);
    head.frozen = false;
    view.header.repair.mutex.unlock();
    try testing.expect(at_tail.owes_unwait);

    patience = .untimed;
    _ = try ring.close(one, &bench.channel, &patience);
    directory.detach(one, &bench.channel);
    var other = bench.pool.participant(1);
    const next = try directory.open(&other, "next", .{});
    try testing.expectEqual(bench.channel.number, next.channel.number);
    var other_at_tail: Local = .{ .place = ends.placeAt(&next.channel, .tail) };
    _ = try waiter.begin(&other_at_tail, &other, &patience);
    try testing.expect(waiter.settle(one));
    try testing.expectEqual(@as(u32, 1), next.channel.tail.waiting.waiters);
}
