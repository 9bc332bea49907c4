//! What recovery does about messages, while everything stands still: which of them the dead had,
//! and where each goes back to. A message has one place: a cell, a returned list, or a receiver's
//! hands. It goes back only after the death of who had it in hand, or was about to.
//!
//! First each message word says where its message is, then the lists are made anew from the words.
//! Every step can be repeated by a successor, which decides the same: a word that was decided stays
//! as it is, the rows of the dead are emptied after all is decided, and no link is believed.

const std = @import("std");
const atomic = @import("hooks");
const channel_file = @import("channel.zig");
const directory = @import("directory.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const phases = @import("../recovery/phases.zig");
const words = @import("../../format/words.zig");

const CameFrom = words.CameFrom;
const Cell = words.Cell;
const Channel = channel_file.Channel;
const Control = words.Control;
const Message = words.Message;
const Position = words.Position;
const Returned = words.Returned;
const Rows = phases.Rows;
const Taking = words.Taking;
const View = participant_file.View;

/// Channels by their number.
pub const Channels = std.StaticBitSet(layout.channels_max);

/// What is known while messages are settled.
const Scene = struct {
    view: *const View,
    dead: *const Rows,
    /// Channels that are about to be removed: nothing goes back there.
    over: *const Channels,

    /// Null: there is no such channel that messages could go back to.
    fn channel(scene: *const Scene, number: u32) ?Channel {
        if (number >= layout.channels_max or scene.over.isSet(number)) return null;
        return queueOf(scene.view, number);
    }

    fn slot(scene: *const Scene, index: u32) *layout.Slot {
        return &scene.view.slots[index];
    }
};

/// Also one that is about to be removed.
fn queueOf(view: *const View, number: u32) ?Channel {
    if (number >= directory.blocksUsed(view)) return null;
    if (!directory.isLive(view, number)) return null;
    const found = Channel.of(view, number) orelse return null;
    return if (found.mode == .queue) found else null;
}

/// For each buffer that is a message: where it is, and where it goes. Leaves in each slot's
/// `queued` on how many lists it is.
pub fn settle(view: *const View, dead: *const Rows, over: *const Channels) void {
    const scene: Scene = .{ .view = view, .dead = dead, .over = over };
    var returned: Sorter = .{ .view = view };
    for (view.slots[0..view.geometry.capacity], 0..) |*slot, index| {
        forget(&scene, slot);
        if (Message.load(&slot.message).isNone()) continue;
        settleOne(&scene, @intCast(index));
        if (Message.load(&slot.message).isReturned()) returned.add(@intCast(index));
    }
    relist(view, returned.sorted());
}

/// The count of the last recovery, and where a message came from whose channel is removed: whoever
/// has it, or takes it up again, has it for good.
fn forget(scene: *const Scene, slot: *layout.Slot) void {
    const came_from = CameFrom.load(&slot.came_from);
    var kept = came_from.withQueued(0);
    if (came_from.channelOf()) |number| {
        if (number < layout.channels_max and scene.over.isSet(number) and
            !atomic.broken(.removed_channel_remembered)) kept = kept.withChannel(null);
    }
    if (kept != came_from) CameFrom.store(&slot.came_from, kept);
}

/// The first of these that holds:
///
/// - the slot is not in use: it is no message;
/// - it was returned: it is on its list, or who took it from there died before saying so, and it
///   goes back there;
/// - it was sent, and stands in that cell: it stays;
/// - it was sent, and a dead receiver took it from the cell: it is returned to that channel;
/// - its owner is dead: it is returned to where it was received, or, never received, is no message;
/// - it stays.
///
/// Where it would go to a channel that is removed, it is no message any more.
fn settleOne(scene: *const Scene, index: u32) void {
    const slot = scene.slot(index);
    const message = Message.load(&slot.message);
    if (Control.load(&slot.control, .monotonic).state != .used)
        return Message.store(&slot.message, .none);
    if (message.isReturned()) {
        const number = message.channelTo() orelse return Message.store(&slot.message, .none);
        if (scene.channel(number) == null) Message.store(&slot.message, .none);
        return;
    }
    switch (whereSent(scene, message, index)) {
        .nowhere => {},
        .there => |number| {
            if (scene.channel(number) == null) Message.store(&slot.message, .none);
            return;
        },
        .taken => |number| {
            const channel = scene.channel(number) orelse
                return Message.store(&slot.message, .none);
            CameFrom.store(&slot.came_from, positionOf(&channel, message));
            return Message.store(&slot.message, .returnedTo(number, 0));
        },
    }
    if (isOwnerDead(scene, message, index)) returnFromDead(scene, index, message);
}

/// Of a message that was not returned.
fn whereSent(scene: *const Scene, message: Message, index: u32) union(enum) {
    /// It was received, or its send did not happen.
    nowhere,
    /// It stands in that channel's ring.
    there: u32,
    /// It was in that channel, and who took it is dead.
    taken: u32,
} {
    const number = message.channelTo() orelse return .nowhere;
    const channel = queueOf(scene.view, number) orelse return .nowhere;
    if (standsIn(&channel, message, index)) return .{ .there = number };
    return if (wasTaken(scene, message, index)) .{ .taken = number } else .nowhere;
}

/// As a sender wrote it before its CAS. Nothing else can be in that cell with this slot.
fn standsIn(channel: *const Channel, message: Message, index: u32) bool {
    const cell_ptr = channel.cellAt(.{ .place = message.place, .lap = 0 }) orelse return false;
    const cell = Cell.load(cell_ptr, .monotonic);
    return cell.full and cell.index == index and @as(u13, @truncate(cell.lap)) == message.lap;
}

/// Whether somebody dead was about to take just this message. It is not in its cell any more, so
/// that it was sent, and taken: by the dead, since whoever lives has said that it received it.
fn wasTaken(scene: *const Scene, message: Message, index: u32) bool {
    if (atomic.broken(.taking_ignored)) return false;
    if (atomic.broken(.not_in_ring_is_taken)) return true;
    var rows = scene.dead.iterator(.{});
    while (rows.next()) |row| {
        const taking = Taking.load(&scene.view.rows[row].taking);
        if (taking.isOf(message, index)) return true;
    }
    return false;
}

/// The whole position of a message that was sent and taken: none that is later than head. Exact
/// for 2^13 laps; beyond, only its place in the list may be wrong.
fn positionOf(channel: *const Channel, message: Message) CameFrom {
    const head = channel_file.positionOf(channel.head);
    const since: u13 = @as(u13, @truncate(head.lap)) -% message.lap;
    return .of(channel.number, .{ .place = message.place, .lap = head.lap -% since });
}

fn isOwnerDead(scene: *const Scene, message: Message, index: u32) bool {
    if (atomic.broken(.any_dead_holder_returns)) {
        var rows = scene.dead.iterator(.{});
        while (rows.next()) |row| {
            const holds = scene.view.holdRow(@intCast(row));
            if (atomic.load(u16, &holds[index], .monotonic) > 0) return true;
        }
        return false;
    }
    // No owner at all is damage.
    const row = message.ownerRow() orelse return true;
    return row >= scene.view.geometry.participant_count or scene.dead.isSet(row);
}

fn returnFromDead(scene: *const Scene, index: u32, message: Message) void {
    const slot = scene.slot(index);
    const origin = CameFrom.load(&slot.came_from).channelOf();
    if (message.deliveries == 0 or origin == null)
        return Message.store(&slot.message, .none);
    const channel = scene.channel(origin.?) orelse return Message.store(&slot.message, .none);
    if (atomic.broken(.order_of_unsent) and message.channelTo() == origin)
        CameFrom.store(&slot.came_from, positionOf(&channel, message));
    if (message.deliveries < channel.max_deliveries)
        return Message.store(&slot.message, .returnedTo(channel.number, message.deliveries));
    if (deadLetterOf(scene, &channel)) |letters|
        return Message.store(&slot.message, .returnedTo(letters.number, 0));
    Message.store(&slot.message, .none);
    // Where others hold the buffer still, it is theirs.
    _ = @atomicRmw(u64, &channel.tail.dropped, .Add, 1, .monotonic);
}

/// The channel for what was received too often, if it exists.
fn deadLetterOf(scene: *const Scene, channel: *const Channel) ?Channel {
    const number = directory.findDeadLetter(scene.view, channel) orelse return null;
    return scene.channel(number);
}

/// Slots that are linked by `next_free`. No link leads further than it was counted.
const Run = struct {
    first: u32 = words.index_nil,
    length: u32 = 0,

    fn isEmpty(run: Run) bool {
        return run.length == 0;
    }

    /// Takes the first one away; null: there is none.
    fn next(run: *Run, view: *const View) ?u32 {
        if (run.isEmpty() or run.first >= view.geometry.capacity) return null;
        const index = run.first;
        run.first = atomic.load(u32, &view.slots[index].next_free, .monotonic);
        run.length -= 1;
        return index;
    }
};

/// Puts slots in order as they come, by merging runs of equal length, without memory for it.
const Sorter = struct {
    view: *const View,
    /// Each is empty, or 2^i slots long.
    runs: [25]Run = @splat(.{}),

    fn add(sorter: *Sorter, index: u32) void {
        link(sorter.view, index, words.index_nil);
        var carried: Run = .{ .first = index, .length = 1 };
        for (&sorter.runs) |*run| {
            if (run.isEmpty()) {
                run.* = carried;
                return;
            }
            carried = merge(sorter.view, run.*, carried);
            run.* = .{};
        }
    }

    fn sorted(sorter: *const Sorter) Run {
        var all: Run = .{};
        for (sorter.runs) |run| all = merge(sorter.view, run, all);
        return all;
    }
};

fn merge(view: *const View, one: Run, other: Run) Run {
    if (one.isEmpty()) return other;
    if (other.isEmpty()) return one;
    var left = one;
    var right = other;
    var from_left = left.next(view);
    var from_right = right.next(view);
    var merged: Run = .{};
    var last: ?u32 = null;
    while (from_left != null or from_right != null) {
        const takes_right = if (from_left == null)
            true
        else if (from_right) |index|
            isBefore(view, index, from_left.?)
        else
            false;
        const index = (if (takes_right) from_right else from_left).?;
        if (takes_right) from_right = right.next(view) else from_left = left.next(view);
        if (last) |before| link(view, before, index) else merged.first = index;
        merged.length += 1;
        last = index;
    }
    return merged;
}

/// By the channel that it goes back to, then by where it came from.
fn isBefore(view: *const View, one: u32, other: u32) bool {
    const slots = .{ &view.slots[one], &view.slots[other] };
    const to = .{ Message.load(&slots[0].message).to, Message.load(&slots[1].message).to };
    if (to[0] != to[1]) return to[0] < to[1];
    if (atomic.broken(.returned_without_order)) return one > other;
    return CameFrom.load(&slots[0].came_from).isBefore(CameFrom.load(&slots[1].came_from));
}

fn link(view: *const View, index: u32, to: u32) void {
    const ptr = &view.slots[index].next_free;
    if (atomic.load(u32, ptr, .monotonic) != to) atomic.store(u32, ptr, to, .monotonic);
}

/// Every channel's list anew. What is in order is cut where the channel changes.
fn relist(view: *const View, returned: Run) void {
    var rest = returned;
    var first = rest.next(view);
    for (0..directory.blocksUsed(view)) |at| {
        const channel = queueOf(view, @intCast(at)) orelse continue;
        const head = first;
        var members: u32 = 0;
        var last: ?u32 = null;
        while (first) |index| : (first = rest.next(view)) {
            if (Message.load(&view.slots[index].message).channelTo() != channel.number) break;
            if (!atomic.broken(.returned_not_counted)) addQueued(view, index);
            members += 1;
            last = index;
        }
        if (last) |index| link(view, index, words.index_nil);
        setFirst(&channel, if (members == 0) words.index_nil else head.?);
        setCount(&channel, members);
    }
}

/// SYNC: what is linked was written before; a receiver finds it by the head. Pairs with
/// `redelivery.pop`.
fn setFirst(channel: *const Channel, index: u32) void {
    const ptr = &channel.head.returned;
    const before = Returned.load(ptr, .monotonic);
    if (before.index != index) Returned.store(ptr, before.leadingTo(index), .release);
}

/// What is more than there was came back.
fn setCount(channel: *const Channel, members: u32) void {
    const before = @atomicRmw(u32, &channel.head.returned_count, .Xchg, members, .monotonic);
    const redelivered = &channel.block.channel.redelivered;
    _ = @atomicRmw(u64, redelivered, .Add, members -| before, .monotonic);
}

pub fn addQueued(view: *const View, index: u32) void {
    const slot = &view.slots[index];
    const came_from = CameFrom.load(&slot.came_from);
    CameFrom.store(&slot.came_from, came_from.withQueued(came_from.queued +| 1));
}

const testing = std.testing;
const bench_file = @import("testing_channel.zig");
const redelivery = @import("redelivery.zig");
const references = @import("../pool/references.zig");
const ring = @import("ring.zig");
const section = @import("section.zig");
const thaw = @import("../recovery/thaw.zig");
const Handle = words.Handle;
const TestingChannel = bench_file.TestingChannel;

const position: Position = .{ .place = 1, .lap = 7 };

/// A channel that redelivers, with what a participant that died in the middle left: 0 lives, 1 and
/// 2 are dead.
const Bench = struct {
    base: TestingChannel,
    dead: Rows,
    patience: thaw.Patience,

    fn init(bench: *Bench, asked: directory.Asked) !void {
        var wanted = asked;
        wanted.redeliver = true;
        try bench.base.init(3, wanted);
        bench.base.startAt(position.lap + 1);
        bench.dead = .initEmpty();
        bench.dead.set(1);
        bench.dead.set(2);
        bench.patience = .untimed;
    }

    fn deinit(bench: *Bench) void {
        bench.base.deinit();
    }

    fn channel(bench: *Bench) *const Channel {
        return &bench.base.channel;
    }

    fn indexOf(handle: u64) u32 {
        return @as(Handle, @bitCast(handle)).index;
    }

    /// A buffer that nobody's row has, as between a cell and a row.
    fn nowhere(bench: *Bench) u64 {
        const handle = bench.base.tryAcquire(0).?;
        bench.base.participants[0].dropHold(indexOf(handle));
        return handle;
    }

    fn put(bench: *Bench, handle: u64, at: Position) void {
        bench.channel().cells[at.place] = @bitCast(Cell{
            .index = @intCast(indexOf(handle)),
            .lap = at.cellLap(),
            .full = true,
            .closed = false,
            .frozen = false,
        });
    }

    fn setMessage(bench: *Bench, handle: u64, message: Message) void {
        Message.store(&bench.base.slotOf(handle).message, message);
    }

    fn setReceived(bench: *Bench, handle: u64, row: u32, deliveries: u11, from: u32) void {
        bench.setMessage(handle, .receivedBy(row, deliveries));
        CameFrom.store(&bench.base.slotOf(handle).came_from, .of(from, position));
    }

    fn take(bench: *Bench, row: u32, at: Position, handle: u64) void {
        const taking: Taking = .of(bench.channel().number, at, indexOf(handle));
        Taking.store(&bench.base.participants[row].row.taking, taking);
    }

    /// A successor does it all again.
    fn settleTwice(bench: *Bench) void {
        for (0..2) |_| settle(&bench.base.pool.view, &bench.dead, &.initEmpty());
    }

    fn expect(bench: *Bench, on: *const Channel, handles: []const u64) !void {
        const listed = bench.base.returnedIn(on);
        try testing.expectEqual(handles.len, listed.length);
        for (handles, listed.slice()) |handle, index| {
            try testing.expectEqual(indexOf(handle), index);
            const message = Message.load(&bench.base.slotOf(handle).message);
            try testing.expect(message.isReturned());
            try testing.expectEqual(@as(?u32, on.number), message.channelTo());
        }
    }

    fn messageOf(bench: *Bench, handle: u64) Message {
        return Message.load(&bench.base.slotOf(handle).message);
    }
};

const sent = Message.none.sentTo(0, position, 1);

test "what is in no use is no message" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const handle = bench.base.tryAcquire(0).?;
    try bench.base.release(0, handle);
    bench.setReceived(handle, 1, 1, 0);
    bench.settleTwice();
    try testing.expect(bench.messageOf(handle).isNone());
    try bench.expect(bench.channel(), &.{});
}

test "what a recoverer decided before it died stays so" {
    for ([_]u32{ 0, 1 }) |to| {
        var bench: Bench = undefined;
        try bench.init(.{});
        defer bench.deinit();
        const letters = try bench.base.other("letters", .{ .redeliver = true });
        const list = if (to == 0) bench.channel() else &letters;
        // Its owner was dead, and nothing is linked yet.
        const handle = bench.nowhere();
        CameFrom.store(&bench.base.slotOf(handle).came_from, .of(0, position));
        bench.setMessage(handle, .returnedTo(to, 2));
        bench.settleTwice();
        try bench.expect(list, &.{handle});
        try testing.expectEqual(@as(u11, 2), bench.messageOf(handle).deliveries);
        const came_from = CameFrom.load(&bench.base.slotOf(handle).came_from);
        try testing.expectEqual(CameFrom.of(0, position), came_from.withQueued(0));
    }
}

test "what was taken from the ring by the dead comes as never received" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const handle = bench.nowhere();
    // Sent back to the channel that it was received from.
    const earlier: Position = .{ .place = 0, .lap = 3 };
    CameFrom.store(&bench.base.slotOf(handle).came_from, .of(0, earlier));
    bench.setMessage(handle, Message.receivedBy(1, 3).sentTo(0, position, 1));
    bench.take(2, position, handle);
    bench.settleTwice();
    try bench.expect(bench.channel(), &.{handle});
    try testing.expectEqual(@as(u11, 0), bench.messageOf(handle).deliveries);
    const came_from = CameFrom.load(&bench.base.slotOf(handle).came_from);
    try testing.expectEqual(CameFrom.of(0, position), came_from.withQueued(0));
}

test "what stands in its cell stays, whoever is dead" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const handle = bench.nowhere();
    bench.setMessage(handle, sent);
    bench.put(handle, position);
    bench.take(2, position, handle);
    bench.settleTwice();
    try testing.expectEqual(sent, bench.messageOf(handle));
    try bench.expect(bench.channel(), &.{});
    // Another slot there, another lap, or an empty cell is no send.
    inline for (.{ "index", "lap", "full" }) |field| {
        bench.setMessage(handle, sent);
        bench.put(handle, position);
        var cell: Cell = @bitCast(bench.channel().cells[position.place]);
        @field(cell, field) = if (field[0] == 'f') false else @field(cell, field) + 1;
        bench.channel().cells[position.place] = @bitCast(cell);
        Taking.store(&bench.base.participants[2].row.taking, .nothing);
        bench.settleTwice();
        try testing.expect(bench.messageOf(handle).isNone());
        try bench.expect(bench.channel(), &.{});
    }
}

test "what the dead took from the ring or the list goes back there" {
    for ([_]bool{ false, true }) |from_list| {
        var bench: Bench = undefined;
        try bench.init(.{});
        defer bench.deinit();
        const handle = bench.nowhere();
        if (from_list) {
            CameFrom.store(&bench.base.slotOf(handle).came_from, .of(0, position));
            bench.setMessage(handle, .returnedTo(0, 2));
        } else {
            // Its sender lives.
            bench.setMessage(handle, Message.none.sentTo(0, position, 0));
            bench.take(1, position, handle);
        }
        bench.settleTwice();
        try bench.expect(bench.channel(), &.{handle});
        const came_from = CameFrom.load(&bench.base.slotOf(handle).came_from);
        try testing.expectEqual(CameFrom.of(0, position), came_from.withQueued(0));
        const deliveries: u11 = if (from_list) 2 else 0;
        try testing.expectEqual(deliveries, bench.messageOf(handle).deliveries);
    }
}

test "what the dead were about to take is known by its channel, position and slot" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const handle = bench.nowhere();
    const other = bench.nowhere();
    const here: Taking = .of(0, position, Bench.indexOf(handle));
    var elsewhere = here;
    elsewhere.channel += 1;
    var before = here;
    before.lap -= 1;
    const of_other: Taking = .of(0, position, Bench.indexOf(other));
    for ([_]Taking{ elsewhere, before, of_other, .nothing }) |taking| {
        bench.setMessage(handle, sent);
        Taking.store(&bench.base.participants[2].row.taking, taking);
        bench.settleTwice();
        // Never sent, it is lost with its sender.
        try testing.expect(bench.messageOf(handle).isNone());
    }
    // Somebody who lives takes nothing away.
    bench.setMessage(handle, sent);
    bench.take(0, position, handle);
    bench.settleTwice();
    try testing.expect(bench.messageOf(handle).isNone());
    try bench.expect(bench.channel(), &.{});
}

test "what its owner had when it died goes back to where it was received" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const second = try bench.base.other("second", .{ .redeliver = true });
    const received = bench.nowhere();
    bench.setReceived(received, 1, 1, 0);
    // Being sent on: not to the second channel, and not for its position there.
    const forwarded = bench.nowhere();
    bench.setReceived(forwarded, 2, 4, 0);
    const later: Position = .{ .place = 0, .lap = 9 };
    bench.setMessage(forwarded, bench.messageOf(forwarded).sentTo(second.number, later, 2));
    const again = bench.nowhere();
    bench.setReceived(again, 2, 2, 0);
    bench.setMessage(again, bench.messageOf(again).sentTo(0, later, 2));
    // Claimed, and not sent.
    const claimed = bench.nowhere();
    bench.setMessage(claimed, Message.none.sentTo(0, later, 1));
    CameFrom.store(&bench.base.slotOf(claimed).came_from, .of(0, position));
    bench.settleTwice();
    try testing.expect(bench.messageOf(claimed).isNone());
    try bench.expect(&second, &.{});
    try bench.expect(bench.channel(), &.{ received, forwarded, again });
    for ([_]u64{ received, forwarded, again }, [_]u11{ 1, 4, 2 }) |handle, deliveries| {
        try testing.expectEqual(deliveries, bench.messageOf(handle).deliveries);
        const came_from = CameFrom.load(&bench.base.slotOf(handle).came_from);
        try testing.expectEqual(CameFrom.of(0, position), came_from.withQueued(0));
    }
    try testing.expectEqual(@as(u64, 3), bench.channel().block.channel.redelivered);
}

test "a live owner keeps what it has" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const handle = bench.base.tryAcquire(0).?;
    bench.setReceived(handle, 0, 3, 0);
    const before = bench.messageOf(handle);
    // Somebody dead holds it, too.
    bench.base.participants[1].addHold(Bench.indexOf(handle));
    bench.settleTwice();
    try testing.expectEqual(before, bench.messageOf(handle));
    try bench.expect(bench.channel(), &.{});
}

test "a list is in the order of the channel, also across every wrap, and with what was there" {
    const laps = [_]u40{ 3, std.math.maxInt(u13), std.math.maxInt(u21), std.math.maxInt(u40) };
    for (laps) |lap| {
        var bench: Bench = undefined;
        try bench.init(.{ .capacity = 3, .max_deliveries = 100 });
        defer bench.deinit();
        bench.base.startAt(lap -% 1);
        var handles: [9]u64 = undefined;
        // What is received later may stand in an earlier slot.
        for (&handles) |*handle| handle.* = bench.base.tryAcquire(0).?;
        std.mem.reverse(u64, handles[2..7]);
        for (handles) |handle| {
            const one = &bench.base.participants[0];
            const answer =
                try redelivery.send(one, bench.channel(), handle, .ordinary, &bench.patience);
            try testing.expectEqual(ring.Sent.sent, answer);
            const two = &bench.base.participants[1];
            _ = try redelivery.receive(two, bench.channel(), &bench.patience);
        }
        // Some were returned before.
        for ([_]u64{ handles[4], handles[1], handles[7] }) |handle| {
            bench.base.slotOf(handle).message = @bitCast(Message.receivedBy(2, 1));
        }
        bench.dead.unset(1);
        bench.settleTwice();
        try bench.expect(bench.channel(), &.{ handles[1], handles[4], handles[7] });
        bench.dead.set(1);
        bench.settleTwice();
        try bench.expect(bench.channel(), &handles);
    }
}

test "what was taken keeps its whole position, as far as head is not 2^13 laps on" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const laps = [_]u40{ 0, 1, (1 << 13) - 1, 1 << 13, 1 << 21, std.math.maxInt(u40) };
    for (laps) |lap| for ([_]u40{ 0, 1, (1 << 13) - 1 }) |since| {
        bench.base.startAt(lap +% since);
        const at: Position = .{ .place = 1, .lap = lap };
        const message = Message.none.sentTo(0, at, 0);
        try testing.expectEqual(CameFrom.of(0, at), positionOf(bench.channel(), message));
    };
}

test "what was received too often goes to the dead letters, or is recycled and counted" {
    const Letters = enum { none, missing, queue, redelivering, broadcast };
    for (std.enums.values(Letters)) |letters| {
        var bench: Bench = undefined;
        const name: ?[]const u8 = if (letters == .none) null else "letters";
        try bench.init(.{ .max_deliveries = 2, .dead_letter = name });
        defer bench.deinit();
        const to: ?Channel = switch (letters) {
            .none, .missing => null,
            .queue => try bench.base.other("letters", .{}),
            .redelivering => try bench.base.other("letters", .{ .redeliver = true }),
            .broadcast => try bench.base.other("letters", .{ .mode = .broadcast }),
        };
        const one = &bench.base.participants[0];
        const handle = bench.base.tryAcquire(0).?;
        _ = try redelivery.send(one, bench.channel(), handle, .ordinary, &bench.patience);
        for (1..3) |times| {
            const two = &bench.base.participants[1];
            const got = try redelivery.receive(two, bench.channel(), &bench.patience);
            try testing.expectEqual(handle, got.item);
            const index = Bench.indexOf(handle);
            try testing.expectEqual(@as(u32, @intCast(times)), redelivery.deliveriesOf(two, index));
            bench.base.kill(1);
            try bench.base.recover();
            try bench.base.expectExact();
            try bench.base.takeRowAgain(1);
        }
        const left = try redelivery.receive(one, bench.channel(), &bench.patience);
        try testing.expectEqual(ring.Received.nothing, left);
        const is_kept = letters == .queue or letters == .redelivering;
        try testing.expectEqual(@as(u64, @intFromBool(!is_kept)), bench.channel().tail.dropped);
        try testing.expectEqual(is_kept, bench.base.control(handle).state == .used);
        if (!is_kept) continue;
        const got = switch (letters) {
            .queue => try ring.receive(one, &to.?, &bench.patience),
            else => try redelivery.receive(one, &to.?, &bench.patience),
        };
        try testing.expectEqual(handle, got.item);
        const deliveries = redelivery.deliveriesOf(one, Bench.indexOf(handle));
        try testing.expectEqual(@as(u32, if (letters == .queue) 0 else 1), deliveries);
        try bench.base.expectExact();
    }
}

test "any number of messages is put in order, of several channels" {
    var bench: Bench = undefined;
    try bench.init(.{ .max_deliveries = 100 });
    defer bench.deinit();
    const second = try bench.base.other("second", .{ .redeliver = true });
    var handles: [bench_file.slots]u64 = undefined;
    for (&handles) |*handle| handle.* = bench.nowhere();
    var random: std.Random.DefaultPrng = .init(7);
    for (0..200) |_| {
        random.random().shuffle(u64, &handles);
        const length = random.random().uintAtMost(usize, handles.len);
        const split = random.random().uintAtMost(usize, length);
        for (handles, 0..) |handle, place| {
            const from: u32 = if (place < split) 0 else second.number;
            bench.setMessage(handle, if (place < length) .receivedBy(1, 1) else .none);
            const at: Position = .{ .place = 1, .lap = @intCast(place) };
            CameFrom.store(&bench.base.slotOf(handle).came_from, .of(from, at));
        }
        bench.settleTwice();
        try bench.expect(bench.channel(), handles[0..split]);
        try bench.expect(&second, handles[split..length]);
    }
}

test "a channel that is removed leaves no message that names it" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const view = &bench.base.pool.view;
    const second = try bench.base.other("second", .{ .redeliver = true });
    const kept = try bench.base.other("kept", .{ .redeliver = true });
    const queued = bench.nowhere();
    const queued_at: Position = .{ .place = 1, .lap = 0 };
    bench.setMessage(queued, Message.none.sentTo(second.number, queued_at, 0));
    second.cells[1] = @bitCast((Cell{
        .index = 0,
        .lap = 0,
        .full = false,
        .closed = false,
        .frozen = false,
    }).filledWith(Bench.indexOf(queued)));
    const listed = bench.nowhere();
    bench.setMessage(listed, .returnedTo(second.number, 1));
    second.head.returned = @bitCast(Returned{ .index = @intCast(Bench.indexOf(listed)) });
    bench.base.slotOf(listed).next_free = words.index_nil;
    const of_dead = bench.nowhere();
    bench.setReceived(of_dead, 1, 1, second.number);
    const of_live = bench.base.tryAcquire(0).?;
    bench.setReceived(of_live, 0, 1, second.number);
    const sent_on = bench.nowhere();
    bench.setReceived(sent_on, 1, 1, kept.number);
    bench.setMessage(sent_on, bench.messageOf(sent_on).sentTo(second.number, position, 1));

    _ = try ring.close(&bench.base.participants[0], &second, &bench.patience);
    directory.detach(&bench.base.participants[0], &second);
    var report: phases.Report = .{};
    for (0..2) |_| section.settle(view, &bench.dead, 0, &report);
    try testing.expect(!directory.isLive(view, second.number));
    for ([_]u64{ queued, listed, of_dead }) |handle| {
        try testing.expect(bench.messageOf(handle).isNone());
        try testing.expectEqual(@as(u16, 0), section.referencesTo(view, Bench.indexOf(handle)));
    }
    // What was never sent to it goes back, and who holds one of its messages holds it still.
    try bench.expect(&kept, &.{sent_on});
    try testing.expectEqual(@as(u16, 1), section.referencesTo(view, Bench.indexOf(sent_on)));
    try testing.expect(bench.messageOf(of_live).isHeldBy(0));
    bench.dead.set(0);
    bench.settleTwice();
    try testing.expect(bench.messageOf(of_live).isNone());
}

test "a damaged list is made anew" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const second = try bench.base.other("second", .{});
    var handles: [3]u64 = undefined;
    for (&handles) |*handle| handle.* = bench.nowhere();
    const free = bench.base.tryAcquire(0).?;
    try bench.base.release(0, free);
    // A circle, a slot that there is not, one that is free, one that is no message, one of another
    // list.
    const plain = bench.base.tryAcquire(0).?;
    const other = Bench.indexOf(handles[0]);
    const ends = [_]u32{
        Bench.indexOf(handles[1]),
        bench_file.slots,
        Bench.indexOf(free),
        Bench.indexOf(plain),
        other,
    };
    for (ends) |end| {
        for (handles, 0..) |handle, place| {
            bench.setMessage(handle, .returnedTo(0, 1));
            const at: Position = .{ .place = @intCast(place), .lap = 3 };
            CameFrom.store(&bench.base.slotOf(handle).came_from, .of(0, at));
        }
        second.head.returned = @bitCast(Returned.empty);
        bench.channel().head.returned = @bitCast(Returned{ .index = @intCast(other) });
        bench.base.slotOf(handles[0]).next_free = Bench.indexOf(handles[1]);
        bench.base.slotOf(handles[1]).next_free = end;
        if (end == other) second.head.returned = bench.channel().head.returned;
        bench.settleTwice();
        try bench.expect(bench.channel(), &handles);
        try testing.expectEqual(@as(usize, 0), bench.base.returnedIn(&second).length);
    }
    // A head that leads nowhere.
    bench.channel().head.returned = @bitCast(Returned{ .index = bench_file.slots });
    bench.settleTwice();
    try bench.expect(bench.channel(), &handles);
}

test "a word of rubbish sends nothing to where there is no channel" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    var random: std.Random.DefaultPrng = .init(1);
    const handle = bench.nowhere();
    const slot = bench.base.slotOf(handle);
    for (0..10_000) |_| {
        slot.message = random.random().int(u64) >> random.random().int(u6);
        slot.came_from = random.random().int(u64) >> random.random().int(u6);
        bench.settleTwice();
        const listed = bench.base.returnedIn(bench.channel());
        try testing.expect(listed.length <= 1);
        bench.channel().head.returned = @bitCast(Returned.empty);
    }
}
