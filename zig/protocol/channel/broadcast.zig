//! The same ring, mode `broadcast`: what is in it is for every subscriber, each with a cursor of its
//! own. A cell's reference belongs to all of them, a read adds one of the reader's, and whoever
//! passes the oldest cell last takes it out: `retire`. With `history` the newest items stay, for
//! subscribers that come late.

const std = @import("std");
const atomic = @import("hooks");
const channel_file = @import("channel.zig");
const errors = @import("../../errors.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const ring = @import("ring.zig");
const thaw = @import("../recovery/thaw.zig");
const words = @import("../../format/words.zig");

const Cell = words.Cell;
const Channel = channel_file.Channel;
const Control = words.Control;
const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const Position = words.Position;

/// An entry of the channel's subscribers that is the caller's.
pub const Subscription = struct { number: u32, entry: *layout.Subscriber };

/// Under the recovery mutex, so that nobody else takes the same entry.
pub fn subscribe(participant: *const Participant, channel: *const Channel) Error!Subscription {
    const number = for (0..layout.channel_subscribers_max) |number| {
        if (!isSubscribed(channel, @intCast(number))) break number;
    } else return errors.fail(
        error.TooManyParticipants,
        0,
        "the channel has {d} subscribers",
        .{layout.channel_subscribers_max},
    );
    const tail = switch (ring.exactTail(channel, .ignored)) {
        .at => |tail| tail,
        .frozen, .corrupt => return error.PoolCorrupt,
    };
    const head = channel_file.positionOf(channel.head);
    if (head.place >= channel.capacity) return error.PoolCorrupt;
    const there = if (head.isBefore(tail)) head.countTo(tail, channel.capacity) else 0;
    const late: u32 = @intCast(@min(there, channel.history));
    const entry = &channel.block.subscribers[number];
    atomic.store(u32, &entry.participant, participant.index, .monotonic);
    // Statistics read both at any time.
    @atomicStore(u64, &entry.received, 0, .monotonic);
    @atomicStore(u64, &entry.missed, 0, .monotonic);
    Position.store(&entry.since, tail, .monotonic);
    Position.store(&entry.cursor, tail.back(late, channel.capacity), .monotonic);
    // SYNC: after the cursor. Pairs with `isPassed`.
    _ = atomic.fetchOr(u64, &channel.block.channel.subscribed[number / 64], bitOf(number));
    return .{ .number = @intCast(number), .entry = entry };
}

pub fn isSubscribed(channel: *const Channel, number: u32) bool {
    const bits = atomic.load(u64, &channel.block.channel.subscribed[number / 64], .acquire);
    return bits & bitOf(number) != 0;
}

pub fn bitOf(number: usize) u64 {
    return @as(u64, 1) << @truncate(number);
}

/// The entry is free afterwards; what only this subscriber had still to read goes.
pub fn unsubscribe(
    participant: *Participant,
    channel: *const Channel,
    subscription: Subscription,
    patience: *Patience,
) void {
    dropSubscriber(channel, subscription.number);
    retire(participant, channel, patience);
}

/// Of one that leaves, or was found dead.
pub fn dropSubscriber(channel: *const Channel, number: u32) void {
    const shared = &channel.block.channel;
    const received = @atomicLoad(u64, &channel.block.subscribers[number].received, .monotonic);
    _ = @atomicRmw(u64, &shared.received_before, .Add, received, .monotonic);
    // SYNC: sequential before the look at the other cursors, and at what is in the ring. Pairs with
    // `isPassed` and `hasSubscribers`.
    _ = atomic.fetchAnd(u64, &shared.subscribed[number / 64], ~bitOf(number));
}

/// To every subscriber, or to none.
pub fn send(
    participant: *Participant,
    channel: *const Channel,
    handle: u64,
    patience: *Patience,
) Error!ring.Sent {
    while (true) switch (try ring.send(participant, channel, handle, patience)) {
        .sent => {
            // What all have read stays until enough that is newer has come.
            const keeps = channel.history > 0 and !atomic.broken(.sender_keeps_history);
            if (keeps or !hasSubscribers(channel)) retire(participant, channel, patience);
            return .sent;
        },
        .closed => return .closed,
        // A reader whose patience ended may have left what it was the last to read.
        .full => if (!try retireOne(participant, channel, patience)) return .full,
    };
}

/// SYNC: sequential after the cell's CAS: of a sender and the last subscriber that leaves, one sees
/// the other. Pairs with `dropSubscriber` and `ring.change`.
fn hasSubscribers(channel: *const Channel) bool {
    for (&channel.block.channel.subscribed) |*bits| {
        if (atomic.load(u64, bits, .seq_cst) != 0) return true;
    }
    return false;
}

/// What the cell at a cursor tells its subscriber.
pub const ToReader = enum { item, nothing, drained, gone, frozen, impossible };

pub inline fn toReader(cell: Cell, cursor: Position) ToReader {
    if (cell.frozen) return .frozen;
    const ahead = cell.lapsAhead(cursor);
    if (ahead > 0) return .gone;
    if (cell.full and ahead == 0) return .item;
    // Where the next item goes: empty, or still full of the lap before.
    const is_next = ahead == @as(i37, if (cell.full) -1 else 0);
    if (!is_next) return .impossible;
    return if (cell.closed) .drained else .nothing;
}

/// The subscriber's next item, as one more hold of the caller.
pub fn read(
    participant: *Participant,
    channel: *const Channel,
    subscription: Subscription,
    patience: *Patience,
) Error!ring.Received {
    const entry = subscription.entry;
    while (true) switch (attemptRead(participant, channel, entry)) {
        .item => |read_| {
            if (read_.looks_last and mayBeLast(channel, read_.position))
                retire(participant, channel, patience);
            return .{ .item = read_.handle };
        },
        .nothing => return .nothing,
        .drained => return .drained,
        .too_many => return error.TooManyReferences,
        .frozen => try thaw.wait(participant, patience),
        .corrupt => return error.PoolCorrupt,
    };
}

const ReadAttempt = union(enum) {
    item: struct { handle: u64, position: Position, looks_last: bool },
    nothing,
    drained,
    too_many,
    frozen,
    corrupt,
};

fn attemptRead(
    participant: *const Participant,
    channel: *const Channel,
    entry: *layout.Subscriber,
) ReadAttempt {
    const bracket = participant.enter();
    defer bracket.leave();
    while (true) {
        // Nobody else writes it.
        const cursor = Position.load(&entry.cursor, .monotonic);
        const cell_ptr = channel.cellAt(cursor) orelse return .corrupt;
        const cell = ring.load(cell_ptr);
        switch (toReader(cell, cursor)) {
            .item => {},
            .nothing => return .nothing,
            .drained => return .drained,
            .gone => {
                if (!catchUp(channel, entry, cursor)) return .corrupt;
                continue;
            },
            .frozen => return .frozen,
            .impossible => return .corrupt,
        }
        const index: u32 = cell.index;
        if (index >= participant.view.geometry.capacity) return .corrupt;
        const slot = &participant.view.slots[index];
        if (atomic.broken(.cursor_before_reference))
            storeCursor(entry, cursor.next(channel.capacity));
        // SYNC: acquires the word before the cell is looked at again. Pairs with
        // `references.attempt`.
        const from = Control.load(&slot.control, .acquire);
        const answer = refer(slot, cell_ptr, cell, from);
        if (answer != .done) {
            if (atomic.broken(.cursor_before_reference)) storeCursor(entry, cursor);
            switch (answer) {
                .done => unreachable,
                .again => continue,
                .too_many => return .too_many,
                .frozen => return .frozen,
                .corrupt => return .corrupt,
            }
        }
        participant.addHold(index);
        const looks_last = !atomic.broken(.cursors_seen_before_own) or
            areOthersPast(channel, entry, cursor);
        if (!atomic.broken(.cursor_before_reference))
            storeCursor(entry, cursor.next(channel.capacity));
        const received = @atomicLoad(u64, &entry.received, .monotonic);
        @atomicStore(u64, &entry.received, received +% 1, .monotonic);
        return .{ .item = .{
            .handle = from.handle(index),
            .position = cursor,
            .looks_last = looks_last,
        } };
    }
}

/// One more reference to what was in the cell, if it is there still: the cell is looked at again
/// after the word, since the slot may have become another buffer's before the word was read.
inline fn refer(
    slot: *layout.Slot,
    cell_ptr: *const u64,
    cell: Cell,
    from: Control,
) enum { done, again, too_many, frozen, corrupt } {
    if (from.frozen) return .frozen;
    if (!atomic.broken(.cell_not_read_again)) {
        if (ring.load(cell_ptr) != cell) return .again;
    }
    if (from.state != .used or from.references == 0) return .corrupt;
    if (from.references == words.references_max) return .too_many;
    var to = from;
    to.references += 1;
    // SYNC: as in `references.attempt`. Pairs with `references.attempt`.
    return if (Control.cas(&slot.control, from, to)) .done else .again;
}

/// Of two that pass the oldest item together one sees the other. SYNC: sequential before the loads
/// of head and of the other cursors. Pairs with `isPassed` and `mayBeLast`.
inline fn storeCursor(entry: *layout.Subscriber, cursor: Position) void {
    if (atomic.broken(.cursor_not_sequential))
        return Position.store(&entry.cursor, cursor, .release);
    Position.store(&entry.cursor, cursor, .seq_cst);
}

/// What was in the cell at the cursor was dropped, or retired before the subscriber came. False: it
/// was neither, since head is not there yet.
fn catchUp(channel: *const Channel, entry: *layout.Subscriber, cursor: Position) bool {
    @branchHint(.unlikely);
    const head = channel_file.positionOf(channel.head);
    if (head.isBefore(cursor) or head.place >= channel.capacity) return false;
    // Head lags where it is still at the cursor.
    const to = if (head == cursor) cursor.next(channel.capacity) else head;
    const since = Position.load(&entry.since, .monotonic);
    const first = if (cursor.isBefore(since)) since else cursor;
    if (first.isBefore(to)) {
        const missed = @atomicLoad(u64, &entry.missed, .monotonic);
        const more = first.countTo(to, channel.capacity);
        @atomicStore(u64, &entry.missed, missed +% more, .monotonic);
    }
    storeCursor(entry, to);
    return true;
}

/// Whether a reader that was at `cursor` can have been the last one to pass the oldest item. Head may
/// lag by one, and who took that one may not look for more.
///
/// SYNC: sequential after the cursor's store. Pairs with `storeCursor` and `channel.moveOn`.
fn mayBeLast(channel: *const Channel, cursor: Position) bool {
    const head = Position.load(&channel.head.position, .seq_cst);
    return head == cursor or head.next(channel.capacity) == cursor;
}

/// Takes out what every subscriber has passed, and releases it. What stands in the way is no reason
/// to fail: a recovery, which does the same, or damage, which the next operation finds.
fn retire(participant: *Participant, channel: *const Channel, patience: *Patience) void {
    while (true) {
        const more = retireOne(participant, channel, patience) catch return;
        if (!more) return;
    }
}

fn retireOne(participant: *Participant, channel: *const Channel, patience: *Patience) Error!bool {
    return ring.discard(participant, channel, .retire, patience);
}

/// Whether nobody is left to read the oldest item, which is at `head`, nor to come for it.
///
/// SYNC: the loads are sequential after the caller's own cursor, bit or cell. Pairs with
/// `storeCursor`, `subscribe`, `dropSubscriber` and `ring.change`.
pub fn isPassed(
    channel: *const Channel,
    head: Position,
    comptime frozen: ring.Frozen,
) enum { passed, awaited, frozen, corrupt } {
    if (channel.history > 0) {
        const tail = if (atomic.broken(.history_of_lagging_tail))
            channel_file.positionOf(channel.tail)
        else switch (ring.exactTail(channel, frozen)) {
            .at => |tail| tail,
            .frozen => return .frozen,
            .corrupt => return .corrupt,
        };
        const count = head.countTo(tail, channel.capacity);
        if (!head.isBefore(tail) or count <= channel.history) return .awaited;
    }
    for (&channel.block.channel.subscribed, 0..) |*word, index| {
        var bits = atomic.load(u64, word, .seq_cst);
        while (bits != 0) : (bits &= bits - 1) {
            const entry = &channel.block.subscribers[index * 64 + @ctz(bits)];
            if (!head.isBefore(Position.load(&entry.cursor, .seq_cst))) return .awaited;
        }
    }
    return .passed;
}

/// For the broken variant that looks before its own cursor is stored.
fn areOthersPast(channel: *const Channel, own: *const layout.Subscriber, at: Position) bool {
    for (&channel.block.subscribers, 0..) |*entry, number| {
        if (entry == own or !isSubscribed(channel, @intCast(number))) continue;
        if (!at.isBefore(Position.load(&entry.cursor, .seq_cst))) return false;
    }
    return true;
}
