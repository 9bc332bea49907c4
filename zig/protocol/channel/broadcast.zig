//! The same ring, mode `broadcast`: what is in it is for every subscriber, each with a cursor of
//! its own. A cell's reference belongs to all of them, a read adds one of the reader's, and
//! whoever passes the oldest cell last takes it out: `retire`. With `history` the newest items
//! stay, for subscribers that come late.

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
    // Statistics read them at any time, and sum what all who had the entry received.
    const used = @atomicLoad(u32, &channel.block.channel.subscribers_used, .monotonic);
    if (number >= used) {
        // What is in it is of another channel, which was here before.
        @atomicStore(u64, &entry.received, 0, .monotonic);
        // SYNC: pairs with `statistics.countSubscribers`.
        const used_ptr = &channel.block.channel.subscribers_used;
        @atomicStore(u32, used_ptr, @intCast(number + 1), .release);
    }
    const received = @atomicLoad(u64, &entry.received, .monotonic);
    @atomicStore(u64, &entry.received_before, received, .monotonic);
    @atomicStore(u64, &entry.missed, 0, .monotonic);
    Position.store(&entry.since, tail, .monotonic);
    Position.store(&entry.cursor, tail.back(late, channel.capacity), .monotonic);
    // SYNC: after the cursor. Pairs with `isPassed`.
    _ = atomic.fetchOr(u64, &channel.block.channel.subscribed[number / 64], bitOf(number));
    // What was sent before the bit was set may have been retired before, and is not owed.
    const since = switch (ring.exactTail(channel, .ignored)) {
        .at => |now| now,
        .frozen, .corrupt => tail,
    };
    Position.store(&entry.since, since, .monotonic);
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
    const names_it = from.state == .used and from.generation != 0;
    if (!names_it or from.references == 0) return .corrupt;
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

/// Whether a reader that was at `cursor` can have been the last one to pass the oldest item. Head
/// may lag by one, and who took that one may not look for more.
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
        if (!at.isBefore(Position.load(&entry.cursor, .acquire))) return false;
    }
    return true;
}

const testing = std.testing;
const Asked = @import("directory.zig").Asked;
const bench_file = @import("testing_channel.zig");
const sending = @import("sending.zig");
const Handle = words.Handle;
const TestingChannel = bench_file.TestingChannel;

const table = [_]struct { i37, bool, bool, ToReader }{
    .{ 0, true, false, .item },
    .{ 0, true, true, .item },
    .{ 0, false, false, .nothing },
    .{ 0, false, true, .drained },
    .{ -1, true, false, .nothing },
    .{ -1, true, true, .drained },
    .{ -1, false, false, .impossible },
    .{ -2, true, false, .impossible },
    .{ 1, false, false, .gone },
    .{ 1, true, false, .gone },
    .{ 5, true, false, .gone },
    .{ 5, false, true, .gone },
};

test "each cell tells a reader what the table says, on every lap" {
    const last = std.math.maxInt(u37);
    for ([_]u40{ 0, 1, 7, last, last + 1, std.math.maxInt(u40) }) |lap| {
        for (table) |row| {
            const ahead, const full, const closed, const expected = row;
            const cursor: Position = .{ .place = 0, .lap = lap };
            const cell: Cell = .{
                .index = 0,
                .lap = @bitCast(@as(i37, @bitCast(cursor.cellLap())) +% ahead),
                .full = full,
                .closed = closed,
                .frozen = false,
            };
            try testing.expectEqual(expected, toReader(cell, cursor));
            try testing.expectEqual(ToReader.frozen, toReader(cell.withFrozen(true), cursor));
        }
    }
}

/// A broadcast of one sender, row 0, who reads nothing, and subscribers of the rows after it.
const Bench = struct {
    base: TestingChannel = undefined,

    fn init(bench: *Bench, subscribers: u32, asked: Asked) !void {
        var all = asked;
        all.mode = .broadcast;
        try bench.base.init(1 + subscribers, all);
        bench.dropSubscription(0);
    }

    fn dropSubscription(bench: *Bench, row: u32) void {
        dropSubscriber(&bench.base.channel, bench.base.opened[row].subscription.?.number);
    }

    fn trySend(bench: *Bench, handle: u64) !ring.Sent {
        var patience: Patience = .untimed;
        const one = &bench.base.participants[0];
        return sending.trySend(one, &bench.base.channel, handle, &patience);
    }

    fn sendNew(bench: *Bench) !u64 {
        const handle = bench.base.tryAcquire(0).?;
        try testing.expectEqual(ring.Sent.sent, try bench.trySend(handle));
        return handle;
    }

    fn next(bench: *Bench, row: u32) !ring.Received {
        var patience: Patience = .untimed;
        const subscription = bench.base.opened[row].subscription.?;
        const participant = &bench.base.participants[row];
        return read(participant, &bench.base.channel, subscription, &patience);
    }

    fn expectNext(bench: *Bench, row: u32, handle: u64) !void {
        try testing.expectEqual(ring.Received{ .item = handle }, try bench.next(row));
        try bench.base.release(row, handle);
    }

    fn leave(bench: *Bench, row: u32) void {
        var patience: Patience = .untimed;
        const subscription = bench.base.opened[row].subscription.?;
        unsubscribe(&bench.base.participants[row], &bench.base.channel, subscription, &patience);
    }

    fn join(bench: *Bench, row: u32) !void {
        const participant = &bench.base.participants[row];
        bench.base.opened[row].subscription = try subscribe(participant, &bench.base.channel);
    }

    fn missed(bench: *Bench, row: u32) u64 {
        return bench.base.opened[row].subscription.?.entry.missed;
    }
};

test "each subscriber reads all, in order, and the last one to pass an item takes it out" {
    for ([_]u40{ 0, std.math.maxInt(u37), std.math.maxInt(u40) }) |lap| {
        for ([_]u32{ 1, 2, 5 }) |capacity| {
            var bench: Bench = .{};
            try bench.init(2, .{ .capacity = capacity });
            defer bench.base.deinit();
            bench.base.startAt(lap);
            for (0..4) |_| {
                var sent: [5]u64 = undefined;
                for (sent[0..capacity]) |*handle| handle.* = try bench.sendNew();
                const more = bench.base.tryAcquire(0).?;
                try testing.expectEqual(ring.Sent.full, try bench.trySend(more));
                try bench.base.release(0, more);
                for (sent[0..capacity]) |handle| try bench.expectNext(1, handle);
                try testing.expectEqual(ring.Received.nothing, try bench.next(1));
                try testing.expectEqual(capacity, bench.base.queued());
                for (sent[0..capacity], 1..) |handle, passed| {
                    try bench.expectNext(2, handle);
                    try testing.expectEqual(capacity - passed, bench.base.queued());
                    try testing.expectEqual(words.State.free, bench.base.control(handle).state);
                }
                try bench.base.expectExact();
            }
            try testing.expectEqual(@as(u64, 0), bench.missed(1) + bench.missed(2));
        }
    }
}

test "what nobody subscribes to goes at once, and who leaves keeps nothing back" {
    var bench: Bench = .{};
    try bench.init(2, .{ .capacity = 4 });
    defer bench.base.deinit();
    const first = try bench.sendNew();
    const second = try bench.sendNew();
    try bench.expectNext(1, first);
    try testing.expectEqual(@as(u32, 2), bench.base.queued());
    bench.leave(2);
    try testing.expectEqual(@as(u32, 1), bench.base.queued());
    bench.leave(1);
    try testing.expectEqual(@as(u32, 0), bench.base.queued());
    try testing.expectEqual(words.State.free, bench.base.control(second).state);
    _ = try bench.sendNew();
    try testing.expectEqual(@as(u32, 0), bench.base.queued());
    try bench.join(1);
    try testing.expectEqual(ring.Received.nothing, try bench.next(1));
    const third = try bench.sendNew();
    try bench.expectNext(1, third);
    try bench.base.expectExact();
}

test "who is overtaken by a sender that drops the oldest goes on with what is there, and counts" {
    var bench: Bench = .{};
    try bench.init(2, .{ .capacity = 2, .overflow = .drop_oldest });
    defer bench.base.deinit();
    var patience: Patience = .untimed;
    var sent: [7]u64 = undefined;
    for (&sent) |*handle| {
        handle.* = bench.base.tryAcquire(0).?;
        const one = &bench.base.participants[0];
        const answer = try sending.send(one, &bench.base.channel, handle.*, &patience);
        try testing.expectEqual(sending.Outcome.sent, answer);
        try bench.expectNext(1, handle.*);
    }
    try testing.expectEqual(@as(u64, 5), bench.base.channel.head.dropped);
    try bench.expectNext(2, sent[5]);
    try testing.expectEqual(@as(u64, 5), bench.missed(2));
    try bench.expectNext(2, sent[6]);
    try testing.expectEqual(ring.Received.nothing, try bench.next(2));
    try testing.expectEqual(@as(u64, 0), bench.missed(1));
    try testing.expectEqual(@as(u32, 0), bench.base.queued());
    try bench.base.expectExact();
}

test "the newest items stay, and who comes late gets them first" {
    for ([_]u32{ 1, 2, 3 }) |history| {
        var bench: Bench = .{};
        try bench.init(2, .{ .capacity = 4, .history = history });
        defer bench.base.deinit();
        bench.leave(2);
        var sent: [9]u64 = undefined;
        for (&sent, 1..) |*handle, count| {
            handle.* = try bench.sendNew();
            try bench.expectNext(1, handle.*);
            try testing.expectEqual(@min(count, history), bench.base.queued());
        }
        try bench.join(2);
        for (sent[9 - history ..]) |handle| try bench.expectNext(2, handle);
        try testing.expectEqual(ring.Received.nothing, try bench.next(2));
        try testing.expectEqual(@as(u64, 0), bench.missed(2));
        try testing.expectEqual(history, bench.base.queued());
        // Without subscribers, too.
        bench.leave(1);
        bench.leave(2);
        for (0..3) |_| _ = try bench.sendNew();
        try testing.expectEqual(history, bench.base.queued());
        try bench.base.expectExact();
    }
}

test "a history is counted from where the tail must be, not from where it lags" {
    var bench: Bench = .{};
    try bench.init(1, .{ .capacity = 2, .history = 1 });
    defer bench.base.deinit();
    _ = try bench.sendNew();
    const before = bench.base.channel.tail.position;
    const second = bench.base.tryAcquire(0).?;
    var patience: Patience = .untimed;
    // As if the sender had died right after the cell.
    const one = &bench.base.participants[0];
    _ = try ring.send(one, &bench.base.channel, second, &patience);
    bench.base.channel.tail.position = before;
    _ = try bench.next(1);
    try testing.expectEqual(@as(u32, 1), bench.base.queued());
    _ = try bench.next(1);
    try testing.expectEqual(@as(u32, 1), bench.base.queued());
}

test "what was retired before a subscriber's first read is not missed" {
    var bench: Bench = .{};
    try bench.init(2, .{ .capacity = 2, .history = 1 });
    defer bench.base.deinit();
    const first = try bench.sendNew();
    try bench.expectNext(1, first);
    try bench.expectNext(2, first);
    bench.leave(2);
    try bench.join(2);
    const entry = bench.base.opened[2].subscription.?.entry;
    const at_first = entry.cursor;
    // A retirer that looked at the subscribers before this one came.
    entry.cursor = entry.since;
    const second = try bench.sendNew();
    try bench.expectNext(1, second);
    entry.cursor = at_first;
    try bench.expectNext(2, second);
    try testing.expectEqual(@as(u64, 0), entry.missed);
}

test "a closed broadcast is drained for each subscriber by itself" {
    var bench: Bench = .{};
    try bench.init(2, .{ .capacity = 1 });
    defer bench.base.deinit();
    var patience: Patience = .untimed;
    const only = try bench.sendNew();
    const channel = &bench.base.channel;
    try testing.expect(try ring.close(&bench.base.participants[2], channel, &patience));
    try bench.expectNext(1, only);
    try testing.expectEqual(ring.Received.drained, try bench.next(1));
    const more = bench.base.tryAcquire(0).?;
    try testing.expectEqual(ring.Sent.closed, try bench.trySend(more));
    try bench.expectNext(2, only);
    try testing.expectEqual(ring.Received.drained, try bench.next(2));
    try testing.expectEqual(ring.Received.drained, try bench.next(1));
}

test "a read is refused by damage, and where there are too many references" {
    var bench: Bench = .{};
    try bench.init(1, .{ .capacity = 2 });
    defer bench.base.deinit();
    const handle = try bench.sendNew();
    const slot = &bench.base.pool.view.slots[@as(Handle, @bitCast(handle)).index];
    const entry = bench.base.opened[1].subscription.?.entry;
    const word = slot.control;
    var most = bench.base.control(handle);
    most.references = words.references_max;
    slot.control = @bitCast(most);
    try testing.expectError(error.TooManyReferences, bench.next(1));
    slot.control = @bitCast(most.freed());
    try testing.expectError(error.PoolCorrupt, bench.next(1));
    slot.control = word;
    const good = entry.cursor;
    const cursors = [_]Position{
        // Out of the ring, ahead of all, and behind a head that is behind it.
        .{ .place = 2, .lap = 0 },
        .{ .place = 0, .lap = 9 },
        .{ .place = 1, .lap = 7 },
    };
    for (cursors) |cursor| {
        entry.cursor = @bitCast(cursor);
        try testing.expectError(error.PoolCorrupt, bench.next(1));
    }
    // A ring whose laps are far ahead of its ends is left at once.
    for (bench.base.channel.cells[0..2]) |*cell_ptr| {
        cell_ptr.* = @bitCast(Cell{
            .index = 0,
            .lap = 1 << 35,
            .full = false,
            .closed = false,
            .frozen = false,
        });
    }
    entry.cursor = good;
    try testing.expectError(error.PoolCorrupt, bench.next(1));
}

test "there is room for so many subscribers" {
    var bench: Bench = .{};
    try bench.init(0, .{ .capacity = 1 });
    defer bench.base.deinit();
    for (0..layout.channel_subscribers_max) |_| try bench.join(0);
    try testing.expectError(error.TooManyParticipants, bench.join(0));
    bench.dropSubscription(0);
    try bench.join(0);
}

/// Senders and subscribers, all on threads of their own.
const Stress = struct {
    bench: TestingChannel = undefined,
    stamps: [bench_file.slots]bench_file.Stamp = undefined,
    /// What each subscriber read, in order.
    seen: []bench_file.Stamp,
    failed: std.atomic.Value(bool) = .init(false),
    per_sender: u32,

    const senders = 2;
    const subscribers = 3;

    fn sendAll(stress: *Stress, row: u32) void {
        sendEach(stress, row) catch stress.failed.store(true, .monotonic);
    }

    fn sendEach(stress: *Stress, row: u32) !void {
        var patience: Patience = .untimed;
        const participant = &stress.bench.participants[row];
        const channel = &stress.bench.channel;
        for (0..stress.per_sender) |number| {
            const handle = while (true) {
                if (stress.bench.tryAcquire(row)) |handle| break handle;
                if (stress.failed.load(.monotonic)) return;
                try std.Thread.yield();
            };
            const index = @as(Handle, @bitCast(handle)).index;
            stress.stamps[index] = .{ .producer = row, .number = @intCast(number) };
            while (true) switch (try sending.send(participant, channel, handle, &patience)) {
                .sent => break,
                .full => {
                    if (stress.failed.load(.monotonic)) return;
                    try std.Thread.yield();
                },
                .dropped, .closed => return error.Refused,
            };
        }
    }

    fn readAll(stress: *Stress, row: u32) void {
        readEach(stress, row) catch stress.failed.store(true, .monotonic);
    }

    fn readEach(stress: *Stress, row: u32) !void {
        var patience: Patience = .untimed;
        const participant = &stress.bench.participants[row];
        const channel = &stress.bench.channel;
        const subscription = stress.bench.opened[row].subscription.?;
        const all = senders * stress.per_sender;
        var count: u32 = 0;
        while (true) switch (try read(participant, channel, subscription, &patience)) {
            .item => |handle| {
                const stamp = stress.stamps[@as(Handle, @bitCast(handle)).index];
                const at = subscription.entry.missed + count;
                if (at >= all) return error.Doubled;
                stress.seen[(row - senders) * all + at] = stamp;
                count += 1;
                try stress.bench.release(row, handle);
            },
            .nothing => try std.Thread.yield(),
            .drained => return,
        };
    }

    fn run(stress: *Stress, asked: Asked) !void {
        var all = asked;
        all.mode = .broadcast;
        try stress.bench.init(senders + subscribers, all);
        for (stress.bench.opened[0..senders]) |opened| {
            dropSubscriber(&stress.bench.channel, opened.subscription.?.number);
        }
        var threads: [senders + subscribers]std.Thread = undefined;
        for (&threads, 0..) |*thread, index| {
            const row: u32 = @intCast(index);
            thread.* = if (index < senders)
                try std.Thread.spawn(.{}, Stress.sendAll, .{ stress, row })
            else
                try std.Thread.spawn(.{}, Stress.readAll, .{ stress, row });
        }
        for (threads[0..senders]) |thread| thread.join();
        var patience: Patience = .untimed;
        _ = try ring.close(&stress.bench.participants[0], &stress.bench.channel, &patience);
        for (threads[senders..]) |thread| thread.join();
        try testing.expect(!stress.failed.load(.monotonic));
        try stress.bench.expectExact();
    }
};

const unread: bench_file.Stamp = .{ .producer = std.math.maxInt(u32), .number = 0 };

test "subscribers on threads read the same, in the same order" {
    const asked = [_]Asked{
        .{ .capacity = 1 },
        .{ .capacity = 4 },
        .{ .capacity = 4, .history = 2 },
        .{ .capacity = 1, .overflow = .drop_oldest },
        .{ .capacity = 3, .overflow = .drop_oldest },
        .{ .capacity = 3, .history = 2, .overflow = .drop_oldest },
    };
    for (asked) |each| {
        const per_sender = 10_000;
        const all = Stress.senders * per_sender;
        const seen = try testing.allocator.alloc(bench_file.Stamp, Stress.subscribers * all);
        defer testing.allocator.free(seen);
        @memset(seen, unread);
        var stress: Stress = .{ .seen = seen, .per_sender = per_sender };
        defer stress.bench.deinit();
        try stress.run(each);
        const drops = each.overflow != null;
        var next: [Stress.senders]u32 = @splat(0);
        for (0..all) |at| {
            // What was sent as the item of this position, by all who read it.
            var stamp = unread;
            for (0..Stress.subscribers) |reader| {
                const own = seen[reader * all + at];
                if (std.meta.eql(own, unread)) {
                    try testing.expect(drops);
                } else if (std.meta.eql(stamp, unread)) {
                    stamp = own;
                } else try testing.expectEqual(stamp, own);
            }
            if (std.meta.eql(stamp, unread)) continue;
            if (!drops) try testing.expectEqual(next[stamp.producer], stamp.number);
            try testing.expect(stamp.number >= next[stamp.producer]);
            next[stamp.producer] = stamp.number + 1;
        }
        // Only what stays for the late is left.
        try testing.expectEqual(each.history orelse 0, stress.bench.queued());
    }
}
