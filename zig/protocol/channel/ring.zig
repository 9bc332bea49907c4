//! A channel's ring, mode `queue`: one CAS on one cell is the whole send, one CAS on one cell the
//! whole receive. The ends only say where to look; whoever finds one lagging moves it on before
//! anything else, so that nobody depends on who moved last. The row changes after the cell, inside
//! the bracket (invariant 5), and the word of the buffer's slot is left alone: its reference passes
//! from the row to the cell, and from the cell to a row.

const std = @import("std");
const atomic = @import("hooks");
const broadcast = @import("broadcast.zig");
const channel_file = @import("channel.zig");
const ends = @import("ends.zig");
const errors = @import("../../errors.zig");
const participant_file = @import("../participant.zig");
const redelivery = @import("redelivery.zig");
const references = @import("../pool/references.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const words = @import("../../format/words.zig");

const Bracket = participant_file.Bracket;
const Cell = words.Cell;
const Channel = channel_file.Channel;
const Control = words.Control;
const Error = errors.Error;
const Handle = words.Handle;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const Position = words.Position;
const View = participant_file.View;

/// What the cell at the tail tells a sender.
pub const ToSender = enum { room, full, closed, lagging, frozen, impossible };

pub inline fn toSender(cell: Cell, tail: Position) ToSender {
    if (cell.frozen) return .frozen;
    const ahead = cell.lapsAhead(tail);
    if (cell.full) return switch (ahead) {
        0 => .lagging,
        -1 => if (cell.closed) .closed else .full,
        else => .impossible,
    };
    return switch (ahead) {
        0 => if (cell.closed) .closed else .room,
        1 => .lagging,
        else => .impossible,
    };
}

/// What the cell at the head tells a receiver.
pub const ToReceiver = enum { item, nothing, drained, lagging, frozen, impossible };

pub inline fn toReceiver(cell: Cell, head: Position) ToReceiver {
    if (cell.frozen) return .frozen;
    return switch (cell.lapsAhead(head)) {
        0 => if (cell.full) .item else if (cell.closed) .drained else .nothing,
        1 => .lagging,
        else => .impossible,
    };
}

pub const Sent = enum { sent, full, closed };

/// Moves the caller's hold into the channel; on `full` and `closed` it stays.
///
/// StaleHandle, BufferNotFound: `handle` names no buffer in use, or one that the caller does not
/// hold.
pub fn send(
    participant: *Participant,
    channel: *const Channel,
    handle: u64,
    patience: *Patience,
) Error!Sent {
    const index = try heldIndex(participant, handle);
    if (atomic.broken(.closed_beside_ring) and isFlagged(channel)) return .closed;
    const generation = @as(Handle, @bitCast(handle)).generation;
    const is_first_wake = atomic.broken(.wake_before_cell);
    if (!is_first_wake and sendStraight(participant, channel, index, generation)) {
        wakeReceivers(participant, channel);
        return .sent;
    }
    while (true) {
        const wakes = !atomic.broken(.wake_before_cell) or ends.isAwaited(channel, .tail);
        switch (attemptSend(participant, channel, index)) {
            .sent => {
                if (wakes) wakeReceivers(participant, channel);
                return .sent;
            },
            .full => return .full,
            .closed => return .closed,
            .frozen => try thaw.wait(participant, patience),
            .corrupt => return error.PoolCorrupt,
        }
    }
}

/// After a send.
pub inline fn wakeReceivers(participant: *const Participant, channel: *const Channel) void {
    ends.wake(participant, channel, .tail, switch (channel.mode) {
        .queue => .one,
        .broadcast => .all,
    });
}

/// The common send to a ring, without a call: it reads everything first, so that little is kept
/// across its two CAS. True: `wakeReceivers` has to follow. False: something stands in the way and
/// nothing was done; `send` finds out what it is.
pub inline fn sendStraight(
    participant: *const Participant,
    channel: *const Channel,
    index: u32,
    generation: u29,
) bool {
    const view = &participant.view;
    if (index >= view.geometry.capacity) return false;
    const control = Control.load(&view.slots[system.register.single(index)].control, .acquire);
    if (control.state != .used or control.generation != generation) return false;
    if (atomic.load(u16, &participant.holds[index], .monotonic) == 0) return false;
    const bracket = participant.enter();
    if (atomic.broken(.send_row_first)) participant.dropHold(index);
    const tail = channel_file.positionOf(channel.tail);
    if (channel.cellAt(tail)) |cell_ptr| {
        // The last receiver has the line: it comes once, to be changed, and not twice.
        system.prefetch.toWrite(cell_ptr);
        const cell = load(cell_ptr);
        if (cell.isPlainlyEmptyAt(tail)) {
            if (fillCell(participant, bracket, channel, index, tail, cell_ptr, cell)) return true;
        }
    }
    _ = refuse(participant, bracket, index, .full);
    return false;
}

/// A cell must never hold what its sender did not.
pub fn heldIndex(participant: *const Participant, number: u64) Error!u32 {
    const handle: Handle = @bitCast(number);
    if (handle.index >= participant.view.geometry.capacity) return error.BufferNotFound;
    const control = Control.load(&participant.view.slots[handle.index].control, .acquire);
    if (control.state != .used or control.generation != handle.generation) return error.StaleHandle;
    const held = atomic.load(u16, &participant.holds[handle.index], .monotonic);
    return if (held == 0) error.StaleHandle else handle.index;
}

const SendAttempt = enum { sent, full, closed, frozen, corrupt };

fn attemptSend(
    participant: *const Participant,
    channel: *const Channel,
    index: u32,
) SendAttempt {
    const bracket = participant.enter();
    if (atomic.broken(.send_row_first)) participant.dropHold(index);
    while (true) {
        const tail = channel_file.positionOf(channel.tail);
        const cell_ptr = channel.cellAt(tail) orelse
            return refuse(participant, bracket, index, .corrupt);
        // The last receiver has the line: it comes once, to be changed, and not twice.
        system.prefetch.toWrite(cell_ptr);
        const cell = load(cell_ptr);
        switch (toSender(cell, tail)) {
            .room => {},
            .lagging => {
                help(channel, channel.tail, tail);
                continue;
            },
            .full => return refuse(participant, bracket, index, .full),
            .closed => return refuse(participant, bracket, index, .closed),
            .frozen => return refuse(participant, bracket, index, .frozen),
            .impossible => {
                if (!channel_file.isStill(channel.tail, tail)) continue;
                return refuse(participant, bracket, index, .corrupt);
            },
        }
        if (fillCell(participant, bracket, channel, index, tail, cell_ptr, cell)) return .sent;
    }
}

/// The cell, the row, the end, and the end of the bracket. False: the cell has changed meanwhile, and
/// the bracket goes on.
inline fn fillCell(
    participant: *const Participant,
    bracket: Bracket,
    channel: *const Channel,
    index: u32,
    tail: Position,
    cell_ptr: *u64,
    cell: Cell,
) bool {
    const claims = atomic.broken(.send_claims_tail);
    if (claims and !Position.cas(&channel.tail.position, tail, tail.next(channel.capacity)))
        return false;
    if (!change(cell_ptr, cell, cell.filledWith(index))) return false;
    if (atomic.broken(.cell_row_after_bracket)) bracket.leave();
    if (!atomic.broken(.send_row_first)) participant.dropHold(index);
    if (!claims) channel_file.moveOn(channel, channel.tail, tail);
    if (!atomic.broken(.cell_row_after_bracket)) bracket.leave();
    return true;
}

inline fn refuse(
    participant: *const Participant,
    bracket: Bracket,
    index: u32,
    comptime answer: SendAttempt,
) SendAttempt {
    if (atomic.broken(.send_row_first)) participant.addHold(index);
    bracket.leave();
    return answer;
}

/// SYNC: acquires what was in the buffer when it was sent, and how the cell was thawed. Sequential,
/// so that a waiter's try comes after its count. Pairs with `change`, `attemptClose`
/// and `section.thawCell`.
pub inline fn load(cell_ptr: *const u64) Cell {
    return Cell.load(cell_ptr, .seq_cst);
}

/// The one step that a send or a receive is. False: the cell is another by now.
///
/// SYNC: release hands the content to who receives it and shows `busy` to who freezes the cell,
/// acquire takes the content. Sequential before the load of `waiters`, and before a sender looks at
/// the subscribers. Pairs with `load`, `ends.isAwaited`, `broadcast.hasSubscribers`,
/// `broadcast.isPassed` and `section.freezeCell`.
pub inline fn change(cell_ptr: *u64, from: Cell, to: Cell) bool {
    if (atomic.broken(.cell_lap_ignored)) {
        const now = Cell.load(cell_ptr, .acquire);
        var same = now;
        same.lap = from.lap;
        return same == from and Cell.cas(cell_ptr, now, to);
    }
    return Cell.cas(cell_ptr, from, to);
}

/// An end whose cell was changed by somebody who has not moved it yet.
pub inline fn help(channel: *const Channel, end: anytype, from: Position) void {
    if (atomic.broken(.lagging_end_awaited)) return system.clock.relax();
    channel_file.moveOn(channel, end, from);
}

pub const Received = union(enum) {
    /// The handle of a buffer that is the caller's hold now.
    item: u64,
    nothing,
    /// The channel is closed, and nothing is left in it for the caller.
    drained,
};

/// The oldest item. Of a queue only: of a broadcast subscribers read.
pub fn receive(
    participant: *Participant,
    channel: *const Channel,
    patience: *Patience,
) Error!Received {
    if (looksEmpty(channel)) return nothing(channel);
    if (receiveStraight(participant, channel)) |index| {
        wakeSenders(participant, channel);
        return .{ .item = try handleOf(&participant.view, index) };
    }
    while (true) switch (attemptTake(participant, channel, .receive)) {
        .item => |index| {
            wakeSenders(participant, channel);
            return .{ .item = try handleOf(&participant.view, index) };
        },
        .nothing, .kept => return nothing(channel),
        .drained => return .drained,
        .frozen => try thaw.wait(participant, patience),
        .corrupt => return error.PoolCorrupt,
    };
}

inline fn nothing(channel: *const Channel) Received {
    const beside = atomic.broken(.closed_beside_ring) and isFlagged(channel);
    return if (beside) .drained else .nothing;
}

/// Makes room, whatever subscribers have still to read. False: nothing was there. The reference
/// goes through the caller's row: one that is counted down straight from a cell would stand
/// nowhere where the word turns out to be frozen.
pub fn dropOldest(
    participant: *Participant,
    channel: *const Channel,
    patience: *Patience,
) Error!bool {
    return discard(participant, channel, .make_room, patience);
}

/// Around the CAS that takes an item out to make room, in its bracket. Only statistics read it.
/// SYNC: before the position moves. Pairs with `statistics.receivedFromQueue`.
pub inline fn beginDrop(channel: *const Channel) void {
    _ = @atomicRmw(u64, &channel.head.drops_begun, .Add, 1, .release);
}

/// Another participant took the item first. SYNC: as `beginDrop`. Pairs with
/// `statistics.receivedFromQueue`.
pub inline fn giveDropUp(channel: *const Channel) void {
    _ = @atomicRmw(u64, &channel.head.drops_begun, .Sub, 1, .release);
}

/// SYNC: after the position moved. Pairs with `statistics.receivedFromQueue`.
pub inline fn endDrop(channel: *const Channel) void {
    _ = @atomicRmw(u64, &channel.head.dropped, .Add, 1, .release);
}

/// Takes the oldest item and releases it. False: there was none to take.
pub fn discard(
    participant: *Participant,
    channel: *const Channel,
    comptime reason: Reason,
    patience: *Patience,
) Error!bool {
    while (true) switch (attemptTake(participant, channel, reason)) {
        .item => |index| {
            ends.wake(participant, channel, .head, .one);
            const handle = try handleOf(&participant.view, index);
            if (!references.giveBack(participant, handle)) return error.PoolCorrupt;
            return true;
        },
        .nothing, .drained, .kept => return false,
        .frozen => try thaw.wait(participant, patience),
        .corrupt => return error.PoolCorrupt,
    };
}

/// What an item is taken out for.
const Reason = enum {
    receive,
    make_room,
    /// Every subscriber has passed it, and only then.
    retire,
};

const TakeAttempt = union(enum) {
    /// The index of the slot.
    item: u32,
    nothing,
    drained,
    kept,
    frozen,
    corrupt,
};

fn attemptTake(
    participant: *const Participant,
    channel: *const Channel,
    comptime reason: Reason,
) TakeAttempt {
    const bracket = participant.enter();
    while (true) {
        const head = channel_file.positionOf(channel.head);
        const cell_ptr = channel.cellAt(head) orelse return leave(bracket, .corrupt);
        const cell = load(cell_ptr);
        switch (toReceiver(cell, head)) {
            .item => {},
            .lagging => {
                help(channel, channel.head, head);
                continue;
            },
            .nothing, .drained => |answer| {
                // What was received too often elsewhere comes by the list.
                if (reason == .receive) switch (redelivery.takeReturned(participant, channel)) {
                    .item => |index| return leave(bracket, .{ .item = index }),
                    .nothing => {},
                    .frozen => return leave(bracket, .frozen),
                    .corrupt => return leave(bracket, .corrupt),
                };
                return leave(bracket, if (answer == .nothing) .nothing else .drained);
            },
            .frozen => return leave(bracket, .frozen),
            .impossible => {
                if (!channel_file.isStill(channel.head, head)) continue;
                return leave(bracket, .corrupt);
            },
        }
        const index: u32 = cell.index;
        if (index >= participant.view.geometry.capacity) return leave(bracket, .corrupt);
        if (reason == .retire) switch (broadcast.isPassed(channel, head, .met)) {
            .passed => {},
            .awaited => return leave(bracket, .kept),
            .frozen => return leave(bracket, .frozen),
            .corrupt => return leave(bracket, .corrupt),
        };
        if (emptyCell(participant, bracket, channel, reason, index, head, cell_ptr, cell))
            return .{ .item = index };
    }
}

/// As `fillCell`, of a cell whose item becomes the caller's hold.
inline fn emptyCell(
    participant: *const Participant,
    bracket: Bracket,
    channel: *const Channel,
    comptime reason: Reason,
    index: u32,
    head: Position,
    cell_ptr: *u64,
    cell: Cell,
) bool {
    // The sender had these lines: they come while the cell changes.
    const view = &participant.view;
    system.prefetch.toWrite(&view.slots[index].control);
    if (reason == .receive) system.prefetch.toRead(view.data(index, 0).ptr);
    if (reason == .make_room) beginDrop(channel);
    if (!change(cell_ptr, cell, cell.emptied())) {
        if (reason == .make_room) giveDropUp(channel);
        return false;
    }
    if (atomic.broken(.cell_row_after_bracket)) bracket.leave();
    if (reason != .make_room or !atomic.broken(.drop_without_row)) participant.addHold(index);
    channel_file.moveOn(channel, channel.head, head);
    if (reason == .make_room) endDrop(channel);
    if (!atomic.broken(.cell_row_after_bracket)) bracket.leave();
    return true;
}

/// Whether a queue had nothing for a receiver at the moment of the look, without a bracket: the
/// cell at the head is where the next item comes first. False: perhaps it has.
pub inline fn looksEmpty(channel: *const Channel) bool {
    const head = channel_file.positionOf(channel.head);
    const cell_ptr = channel.cellAt(head) orelse return false;
    return load(cell_ptr).isPlainlyEmptyAt(head) and redelivery.returnsNothing(channel);
}

/// The common receive from a queue, without a call: the index of a buffer that is the caller's hold,
/// whose word nobody has looked at yet. `wakeSenders` has to follow. Null: something stands in the
/// way and nothing was done; `receive` finds out what it is.
pub inline fn receiveStraight(participant: *const Participant, channel: *const Channel) ?u32 {
    const bracket = participant.enter();
    const head = channel_file.positionOf(channel.head);
    if (channel.cellAt(head)) |cell_ptr| {
        const cell = load(cell_ptr);
        const index: u32 = cell.index;
        const is_in_bounds = index < participant.view.geometry.capacity;
        if (cell.isPlainlyFullAt(head) and is_in_bounds) {
            if (emptyCell(participant, bracket, channel, .receive, index, head, cell_ptr, cell))
                return index;
        }
    }
    bracket.leave();
    return null;
}

/// After a receive.
pub inline fn wakeSenders(participant: *const Participant, channel: *const Channel) void {
    ends.wake(participant, channel, .head, .one);
}

inline fn leave(bracket: Bracket, answer: TakeAttempt) TakeAttempt {
    bracket.leave();
    return answer;
}

/// Of a buffer that the caller holds, and that may yet have come from a damaged cell.
pub inline fn handleOf(view: *const View, index: u32) Error!u64 {
    const control = Control.load(&view.slots[index].control, .acquire);
    if (!control.isPlainlyHeld()) return error.PoolCorrupt;
    return control.handle(index);
}

/// No item comes after those that are in the ring now. False: it was closed before.
pub fn close(participant: *Participant, channel: *const Channel, patience: *Patience) Error!bool {
    while (true) switch (attemptClose(participant, channel)) {
        .closed => |now| {
            ends.wake(participant, channel, .tail, .all);
            ends.wake(participant, channel, .head, .all);
            return now;
        },
        .frozen => try thaw.wait(participant, patience),
        .corrupt => return error.PoolCorrupt,
    };
}

const CloseAttempt = union(enum) {
    /// Whether by this attempt.
    closed: bool,
    frozen,
    corrupt,
};

fn attemptClose(participant: *const Participant, channel: *const Channel) CloseAttempt {
    if (atomic.broken(.closed_beside_ring)) {
        atomic.store(u64, flagOf(channel), 1, .seq_cst);
        return .{ .closed = true };
    }
    const bracket = participant.enter();
    defer bracket.leave();
    while (true) {
        const tail = channel_file.positionOf(channel.tail);
        const cell_ptr = channel.cellAt(tail) orelse return .corrupt;
        const cell = load(cell_ptr);
        switch (toSender(cell, tail)) {
            .room, .full => {
                // SYNC: sequential before the load of `waiters`: either a waiter's try finds the
                // mark, or the waiter is found. Pairs with `load`, `ends.isAwaited` and
                // `section.freezeCell`.
                if (Cell.cas(cell_ptr, cell, cell.asClosed())) return .{ .closed = true };
            },
            .closed => return .{ .closed = false },
            .lagging => help(channel, channel.tail, tail),
            .frozen => return .frozen,
            .impossible => if (channel_file.isStill(channel.tail, tail)) return .corrupt,
        }
    }
}

/// While the pool stands still, frozen cells tell what they told before.
pub const Frozen = enum { met, ignored };

/// Where the next item goes, exactly: a tail that lags is moved on.
pub fn exactTail(
    channel: *const Channel,
    comptime frozen: Frozen,
) union(enum) { at: Position, frozen, corrupt } {
    while (true) {
        const tail = channel_file.positionOf(channel.tail);
        const cell_ptr = channel.cellAt(tail) orelse return .corrupt;
        const found = load(cell_ptr);
        const cell = if (frozen == .ignored) found.withFrozen(false) else found;
        switch (toSender(cell, tail)) {
            .room, .full, .closed => return .{ .at = tail },
            .lagging => help(channel, channel.tail, tail),
            .frozen => return .frozen,
            .impossible => if (channel_file.isStill(channel.tail, tail)) return .corrupt,
        }
    }
}

/// Whether the channel was closed: from then on for ever.
pub fn isClosed(channel: *const Channel) bool {
    return switch (exactTail(channel, .ignored)) {
        .at => |tail| load(&channel.cells[tail.place]).closed,
        .frozen, .corrupt => false,
    };
}

/// As `isClosed`, for somebody who only reads: a tail that lags is looked past, and stays.
pub fn looksClosed(channel: *const Channel) bool {
    const tail = channel_file.positionOf(channel.tail);
    if (tail.place >= channel.capacity) return false;
    for ([_]Position{ tail, tail.next(channel.capacity) }) |position| {
        const cell = load(&channel.cells[position.place]).withFrozen(false);
        if (toSender(cell, position) == .closed) return true;
    }
    return false;
}

/// For the broken variant that closes by a flag beside the ring.
fn flagOf(channel: *const Channel) *u64 {
    return @ptrCast(@alignCast(&channel.block.channel.reserved));
}

fn isFlagged(channel: *const Channel) bool {
    return atomic.load(u64, flagOf(channel), .acquire) != 0;
}

const testing = std.testing;
const bench_file = @import("testing_channel.zig");
const TestingChannel = bench_file.TestingChannel;

fn cellOf(lap: u37, full: bool, closed: bool) Cell {
    return .{ .index = 5, .lap = lap, .full = full, .closed = closed, .frozen = false };
}

/// What each cell tells, by how many laps it is ahead of the end.
const table = [_]struct { i37, bool, bool, ToSender, ToReceiver }{
    .{ 0, false, false, .room, .nothing },
    .{ 0, false, true, .closed, .drained },
    .{ 0, true, false, .lagging, .item },
    .{ 0, true, true, .lagging, .item },
    .{ -1, true, false, .full, .impossible },
    .{ -1, true, true, .closed, .impossible },
    .{ -1, false, false, .impossible, .impossible },
    .{ 1, false, false, .lagging, .lagging },
    .{ 1, false, true, .lagging, .lagging },
    .{ 1, true, false, .impossible, .lagging },
    .{ 1, true, true, .impossible, .lagging },
    .{ 2, true, false, .impossible, .impossible },
    .{ 2, false, false, .impossible, .impossible },
    .{ -2, true, false, .impossible, .impossible },
};

test "each cell tells a sender and a receiver what the table says, on every lap" {
    const last = std.math.maxInt(u37);
    for ([_]u40{ 0, 1, 2, 7, last, last + 1, std.math.maxInt(u40) }) |lap| {
        for (table) |row| {
            const ahead, const full, const closed, const to_sender, const to_receiver = row;
            const end: Position = .{ .place = 0, .lap = lap };
            const cell = cellOf(@bitCast(@as(i37, @bitCast(end.cellLap())) +% ahead), full, closed);
            try testing.expectEqual(to_sender, toSender(cell, end));
            try testing.expectEqual(to_receiver, toReceiver(cell, end));
            try testing.expectEqual(ToSender.frozen, toSender(cell.withFrozen(true), end));
            try testing.expectEqual(ToReceiver.frozen, toReceiver(cell.withFrozen(true), end));
        }
    }
}

test "items come out in order, through every wrap of a lap" {
    const last = std.math.maxInt(u40);
    for ([_]u40{ 0, std.math.maxInt(u37) - 1, last - 1 }) |lap| {
        for ([_]u32{ 1, 2, 3, 16 }) |capacity| {
            var bench: TestingChannel = undefined;
            try bench.init(2, .{ .capacity = capacity });
            defer bench.deinit();
            bench.startAt(lap);
            const channel = &bench.channel;
            var patience: Patience = .untimed;
            for (0..4) |_| {
                var sent: [bench_file.slots]u64 = undefined;
                for (sent[0..capacity]) |*handle| {
                    handle.* = bench.tryAcquire(0).?;
                    const answer = try send(&bench.participants[0], channel, handle.*, &patience);
                    try testing.expectEqual(Sent.sent, answer);
                    try testing.expectEqual(@as(u16, 0), bench.holds(0, handle.*));
                    try testing.expectEqual(@as(u16, 1), bench.control(handle.*).references);
                    try testing.expectEqual(@as(u16, 0), bench.control(handle.*).in_flight);
                }
                const more = bench.tryAcquire(0).?;
                const answer = try send(&bench.participants[0], channel, more, &patience);
                try testing.expectEqual(Sent.full, answer);
                try testing.expectEqual(@as(u16, 1), bench.holds(0, more));
                try bench.release(0, more);
                try bench.expectExact();
                for (sent[0..capacity]) |handle| {
                    try testing.expect(!looksEmpty(channel));
                    const received = try receive(&bench.participants[1], channel, &patience);
                    try testing.expectEqual(handle, received.item);
                    try testing.expectEqual(@as(u16, 1), bench.holds(1, handle));
                    try bench.release(1, handle);
                }
                const none = try receive(&bench.participants[1], channel, &patience);
                try testing.expectEqual(Received.nothing, none);
                try testing.expect(looksEmpty(channel));
                try bench.expectExact();
            }
        }
    }
}

test "a closed channel refuses what comes, and hands out what is in it" {
    for ([_]u32{ 1, 2, 3 }) |capacity| for (0..capacity + 1) |queued| {
        var bench: TestingChannel = undefined;
        try bench.init(2, .{ .capacity = capacity });
        defer bench.deinit();
        const channel = &bench.channel;
        const one = &bench.participants[0];
        const two = &bench.participants[1];
        var patience: Patience = .untimed;
        for (0..queued) |_| _ = try send(one, channel, bench.tryAcquire(0).?, &patience);
        try testing.expect(!isClosed(channel) and !looksClosed(channel));
        try testing.expect(try close(two, channel, &patience));
        try testing.expect(!try close(one, channel, &patience));
        try testing.expect(isClosed(channel) and looksClosed(channel));
        // It is drained, and not only empty.
        try testing.expect(!looksEmpty(channel));
        const more = bench.tryAcquire(0).?;
        for (0..queued) |_| {
            try testing.expectEqual(Sent.closed, try send(one, channel, more, &patience));
            const received = try receive(two, channel, &patience);
            try bench.release(1, received.item);
        }
        try testing.expectEqual(Sent.closed, try send(one, channel, more, &patience));
        for (0..2) |_|
            try testing.expectEqual(Received.drained, try receive(two, channel, &patience));
        try testing.expect(isClosed(channel));
        try testing.expectEqual(@as(u16, 1), bench.holds(0, more));
    };
}

test "an end that lags is moved on by whoever finds it" {
    var bench: TestingChannel = undefined;
    try bench.init(2, .{ .capacity = 2 });
    defer bench.deinit();
    const channel = &bench.channel;
    const one = &bench.participants[0];
    var patience: Patience = .untimed;
    // Each end is put back, as if its mover had died right after the cell.
    var sent: [4]u64 = undefined;
    for (sent[0..2]) |*handle| {
        handle.* = bench.tryAcquire(0).?;
        const before = channel.tail.position;
        try testing.expectEqual(Sent.sent, try send(one, channel, handle.*, &patience));
        channel.tail.position = before;
    }
    const more = bench.tryAcquire(0).?;
    try testing.expectEqual(Sent.full, try send(one, channel, more, &patience));
    for (sent[0..2]) |handle| {
        const before = channel.head.position;
        try testing.expectEqual(handle, (try receive(one, channel, &patience)).item);
        channel.head.position = before;
    }
    try testing.expectEqual(Received.nothing, try receive(one, channel, &patience));
    const tail = channel.tail.position;
    try testing.expectEqual(Sent.sent, try send(one, channel, more, &patience));
    channel.tail.position = tail;
    try testing.expect(try close(one, channel, &patience));
    channel.tail.position = tail;
    try testing.expect(isClosed(channel));
    try testing.expectEqual(more, (try receive(one, channel, &patience)).item);
    try testing.expectEqual(Received.drained, try receive(one, channel, &patience));
    try bench.expectExact();
}

test "the oldest makes room, and is released" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{ .capacity = 2 });
    defer bench.deinit();
    const channel = &bench.channel;
    const one = &bench.participants[0];
    var patience: Patience = .untimed;
    const first = bench.tryAcquire(0).?;
    const second = bench.tryAcquire(0).?;
    _ = try send(one, channel, first, &patience);
    _ = try send(one, channel, second, &patience);
    try testing.expect(try dropOldest(one, channel, &patience));
    try testing.expectEqual(words.State.free, bench.control(first).state);
    try testing.expectEqual(second, (try receive(one, channel, &patience)).item);
    try testing.expect(!try dropOldest(one, channel, &patience));
    try testing.expectEqual(@as(u64, 1), channel.head.dropped);
    try bench.expectExact();
}

test "only a hold of the caller's is sent" {
    var bench: TestingChannel = undefined;
    try bench.init(2, .{ .capacity = 2 });
    defer bench.deinit();
    const channel = &bench.channel;
    const one = &bench.participants[0];
    const two = &bench.participants[1];
    var patience: Patience = .untimed;
    const handle = bench.tryAcquire(0).?;
    try testing.expectError(error.StaleHandle, send(two, channel, handle, &patience));
    try testing.expectError(
        error.BufferNotFound,
        send(one, channel, bench_file.slots | 1 << 24, &patience),
    );
    try bench.release(0, handle);
    try testing.expectError(error.StaleHandle, send(one, channel, handle, &patience));
    const next = bench.tryAcquire(0).?;
    try testing.expectError(error.StaleHandle, send(one, channel, handle, &patience));
    try testing.expectEqual(Sent.sent, try send(one, channel, next, &patience));
    // It stands in the cell now, and is no hold any more.
    try testing.expectError(error.StaleHandle, send(one, channel, next, &patience));
    try bench.expectExact();
}

test "a queued buffer is out of reach of what works on references in flight" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{ .capacity = 2 });
    defer bench.deinit();
    const one = &bench.participants[0];
    var patience: Patience = .untimed;
    const handle = bench.tryAcquire(0).?;
    _ = try send(one, &bench.channel, handle, &patience);
    inline for (.{ .take, .unref, .release_by_hand }) |operation| {
        const answer = references.operate(one, operation, handle, 0);
        try testing.expectError(error.NoReference, answer);
    }
    try testing.expectError(error.BufferInUse, references.operate(one, .try_release, handle, 0));
    // It counts as a hold.
    try testing.expectError(
        error.InvalidArgument,
        references.operate(one, .set_ref_count, handle, 0),
    );
    const raised = try references.operate(one, .set_ref_count, handle, 3);
    try testing.expectEqual(@as(u32, 3), raised.count);
    _ = try references.operate(one, .set_ref_count, handle, 1);
    try bench.expectExact();
}

test "what makes no sense is damage, and ends no later than a call" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{ .capacity = 2 });
    defer bench.deinit();
    const channel = &bench.channel;
    const one = &bench.participants[0];
    var patience: Patience = .untimed;
    const handle = bench.tryAcquire(0).?;
    const cells = [_]Cell{
        cellOf(7, true, false),
        cellOf(7, false, false),
        cellOf(std.math.maxInt(u37), false, false),
        cellOf(std.math.maxInt(u37) - 1, true, true),
    };
    for (cells) |cell| {
        channel.cells[0] = @bitCast(cell);
        try testing.expectError(error.PoolCorrupt, send(one, channel, handle, &patience));
        try testing.expectError(error.PoolCorrupt, receive(one, channel, &patience));
        try testing.expectError(error.PoolCorrupt, close(one, channel, &patience));
        try testing.expect(!isClosed(channel));
    }
    channel.cells[0] = 0;
    for ([_]*u64{ &channel.tail.position, &channel.head.position }) |end| {
        end.* = 2;
        if (end == &channel.tail.position) {
            try testing.expectError(error.PoolCorrupt, send(one, channel, handle, &patience));
            try testing.expectError(error.PoolCorrupt, close(one, channel, &patience));
        } else try testing.expectError(error.PoolCorrupt, receive(one, channel, &patience));
        end.* = 0;
    }
    // A slot that the pool does not have, and one that nobody holds.
    var full = cellOf(0, true, false);
    for ([_]u24{ bench_file.slots, words.index_nil, 20 }) |index| {
        full.index = index;
        channel.cells[0] = @bitCast(full);
        try testing.expectError(error.PoolCorrupt, receive(one, channel, &patience));
    }
    try testing.expectEqual(@as(u16, 1), bench.holds(0, handle));
}

test "a frozen cell is left alone" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{ .capacity = 2 });
    defer bench.deinit();
    const channel = &bench.channel;
    const one = &bench.participants[0];
    // With the head, as in a recovery whose recoverer stands still.
    _ = bench.pool.view.header.repair.mutex.tryLock();
    defer bench.pool.view.header.repair.mutex.unlock();
    const handle = bench.tryAcquire(0).?;
    bench.pool.view.header.hot.free_head |= 1 << 63;
    const empty = (Cell{ .index = 0, .lap = 0, .full = false, .closed = false, .frozen = true });
    try testing.expect(looksEmpty(channel));
    channel.cells[0] = @bitCast(empty);
    try testing.expect(!looksEmpty(channel));
    var none: Patience = .none;
    try testing.expectError(error.PoolBusy, send(one, channel, handle, &none));
    try testing.expectError(error.PoolBusy, receive(one, channel, &none));
    try testing.expectError(error.PoolBusy, close(one, channel, &none));
    try testing.expectEqual(empty, @as(Cell, @bitCast(channel.cells[0])));
    try testing.expectEqual(@as(u16, 1), bench.holds(0, handle));
    try testing.expectEqual(@as(u64, 0), one.row.busy & 1);
}

/// Many producers and many consumers, all on threads of their own.
const Stress = struct {
    bench: TestingChannel = undefined,
    /// What was sent, in the buffer's place: ordered by nothing but the channel.
    stamps: [bench_file.slots]bench_file.Stamp = undefined,
    /// How many consumers received each item.
    received: []std.atomic.Value(u8),
    failed: std.atomic.Value(bool) = .init(false),
    per_producer: u32,

    fn produce(stress: *Stress, row: u32) void {
        stress.produceAll(row) catch stress.failed.store(true, .monotonic);
    }

    fn produceAll(stress: *Stress, row: u32) !void {
        var patience: Patience = .untimed;
        const participant = &stress.bench.participants[row];
        var number: u32 = 0;
        while (number < stress.per_producer) : (number += 1) {
            const handle = while (true) {
                if (stress.bench.tryAcquire(row)) |handle| break handle;
                try std.Thread.yield();
            };
            const index = @as(Handle, @bitCast(handle)).index;
            stress.stamps[index] = .{ .producer = row, .number = number };
            while (try send(participant, &stress.bench.channel, handle, &patience) != .sent) {
                if (stress.failed.load(.monotonic)) return;
                try std.Thread.yield();
            }
        }
    }

    fn consume(stress: *Stress, row: u32) void {
        stress.consumeAll(row) catch stress.failed.store(true, .monotonic);
    }

    fn consumeAll(stress: *Stress, row: u32) !void {
        var patience: Patience = .untimed;
        var next: [bench_file.participants_max]u32 = @splat(0);
        const participant = &stress.bench.participants[row];
        while (true) switch (try receive(participant, &stress.bench.channel, &patience)) {
            .item => |handle| {
                const stamp = stress.stamps[@as(Handle, @bitCast(handle)).index];
                const at = stamp.producer * stress.per_producer + stamp.number;
                _ = stress.received[at].fetchAdd(1, .monotonic);
                // Of one producer each consumer sees a part, in its order.
                if (stamp.number < next[stamp.producer]) return error.OutOfOrder;
                next[stamp.producer] = stamp.number + 1;
                try stress.bench.release(row, handle);
            },
            .nothing => try std.Thread.yield(),
            .drained => return,
        };
    }
};

test "producers and consumers on threads: nothing is lost, doubled or overtaken" {
    const producers = 4;
    const consumers = 4;
    for ([_]u32{ 1, 2, 16 }) |capacity| {
        const per_producer: u32 = if (capacity == 16) 100_000 else 10_000;
        const received =
            try testing.allocator.alloc(std.atomic.Value(u8), producers * per_producer);
        defer testing.allocator.free(received);
        @memset(received, .init(0));
        var stress: Stress = .{ .received = received, .per_producer = per_producer };
        try stress.bench.init(producers + consumers, .{ .capacity = capacity });
        defer stress.bench.deinit();
        var threads: [producers + consumers]std.Thread = undefined;
        for (&threads, 0..) |*thread, index| {
            const row: u32 = @intCast(index);
            thread.* = if (index < producers)
                try std.Thread.spawn(.{}, Stress.produce, .{ &stress, row })
            else
                try std.Thread.spawn(.{}, Stress.consume, .{ &stress, row });
        }
        for (threads[0..producers]) |thread| thread.join();
        var patience: Patience = .untimed;
        _ = try close(&stress.bench.participants[0], &stress.bench.channel, &patience);
        for (threads[producers..]) |thread| thread.join();
        try testing.expect(!stress.failed.load(.monotonic));
        for (received) |*times| try testing.expectEqual(@as(u8, 1), times.load(.monotonic));
        try stress.bench.expectExact();
        try testing.expectEqual(@as(u32, 0), stress.bench.queued());
    }
}
