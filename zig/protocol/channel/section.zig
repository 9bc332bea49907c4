//! What recovery does about channels, while it has the recovery mutex. The rings themselves need no
//! repair. Their cells freeze and thaw with the slots' words, what the dead had open and had still
//! to read goes, and each full cell counts as a reference of its buffer.

const std = @import("std");
const atomic = @import("hooks");
const broadcast = @import("broadcast.zig");
const channel_file = @import("channel.zig");
const directory = @import("directory.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const ring = @import("ring.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Cell = words.Cell;
const Channel = channel_file.Channel;
const Position = words.Position;
const View = participant_file.View;

/// Rows by their index.
pub const Rows = std.StaticBitSet(layout.participants_max);

/// Every live channel, in the order of their blocks. A block that is damaged is left out: nobody can
/// open it, and whoever has it open works within the bounds that he checked.
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

/// Together with the words of the slots, after the head and the first wait.
pub fn freeze(view: *const View) void {
    if (atomic.broken(.cells_not_frozen)) return;
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
        for (channel.cells[0..channel.capacity]) |*cell_ptr| freezeCell(cell_ptr);
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

/// Together with the words, before the head.
pub fn thaw(view: *const View) void {
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
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

/// While all stands still, when the rows of the dead are emptied and before the words are summed.
/// Removes channels that are over, too. Can be repeated.
pub fn settle(view: *const View, dead: *const Rows, now_ns: u64) void {
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
        dropDead(view, &channel, dead, now_ns);
        if (directory.isOver(view, &channel, now_ns)) {
            for (channel.cells[0..channel.capacity]) |*cell_ptr| empty(cell_ptr);
            directory.free(view, &channel);
        } else {
            emptyDamaged(view, &channel);
            if (channel.mode == .broadcast and !atomic.broken(.passed_cells_kept))
                emptyPassed(&channel);
        }
    }
}

/// Its subscribers' entries, and that it has the channel open.
fn dropDead(view: *const View, channel: *const Channel, dead: *const Rows, now_ns: u64) void {
    var iterator = dead.iterator(.{});
    while (iterator.next()) |row| {
        if (directory.isOpenBy(channel, @intCast(row))) directory.leave(channel, @intCast(row), now_ns);
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

/// While all stands still, after `settle`: how many cells hold each slot, in the slots themselves.
/// Each of them is a reference beside the holds and those in flight.
pub fn count(view: *const View) void {
    for (view.slots[0..view.geometry.capacity]) |*slot| {
        if (atomic.load(u32, &slot.queued, .monotonic) != 0)
            atomic.store(u32, &slot.queued, 0, .monotonic);
    }
    if (atomic.broken(.cells_not_counted)) return;
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
        for (channel.cells[0..channel.capacity]) |*cell_ptr| {
            const cell = Cell.load(cell_ptr, .monotonic);
            if (!cell.full or cell.index >= view.geometry.capacity) continue;
            const queued = &view.slots[cell.index].queued;
            atomic.store(u32, queued, atomic.load(u32, queued, .monotonic) +| 1, .monotonic);
        }
    }
}

/// Whether a recovery would remove a channel: a reason for one that a user asked for.
pub fn isAnyOver(view: *const View, now_ns: u64) bool {
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
        if (directory.isOver(view, &channel, now_ns)) return true;
    }
    return false;
}

/// After all is thawed: who waits at either end looks again.
pub fn wakeAll(view: *const View) void {
    var walk: Walk = .over(view);
    while (walk.next()) |channel| {
        for ([_]*layout.ChannelEnd{ channel.head, channel.tail }) |end| {
            _ = atomic.fetchAdd(u32, &end.waiting.wake_seq, 1);
            _ = system.futex.wake(&end.waiting.wake_seq, std.math.maxInt(i32));
        }
    }
}
