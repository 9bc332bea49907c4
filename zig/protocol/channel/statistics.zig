//! What a channel's words say of it to people. Reads only; of a busy channel each number is true
//! of some moment. How many were sent and received follows from where the ends are, so that no
//! operation counts.

const std = @import("std");
const broadcast = @import("broadcast.zig");
const channel_file = @import("channel.zig");
const directory = @import("directory.zig");
const layout = @import("../../format/layout.zig");
const owner_file = @import("../owner.zig");
const participant_file = @import("../participant.zig");
const ring = @import("ring.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Channel = channel_file.Channel;
const Position = words.Position;
const View = participant_file.View;

pub const Stat = enum {
    NUMBER,
    MODE,
    OVERFLOW,
    CAPACITY,
    HISTORY,
    REDELIVER,
    MAX_DELIVERIES,
    CLOSED,
    /// Participants that have it open.
    OPEN_BY,
    QUEUED,
    SENT,
    /// By receivers, or by each subscriber.
    RECEIVED,
    /// Refused by a full channel, taken out of it to make room, or received too often.
    DROPPED,
    /// What came back after its receiver died.
    REDELIVERED,
    WAITING_SENDERS,
    WAITING_RECEIVERS,
    SUBSCRIBERS,
};
pub const stat_count = std.meta.fields(Stat).len;

pub const Values = [stat_count]f64;

pub const name_room = layout.channel_name_bytes_max + 1;

pub fn collect(view: *const View, channel: *const Channel) Values {
    return collectWithin(view, channel, patience_ns);
}

fn collectWithin(view: *const View, channel: *const Channel, drop_ns: u64) Values {
    const shared = &channel.block.channel;
    const made_room = @atomicLoad(u64, &channel.head.dropped, .monotonic);
    const returned = @atomicLoad(u32, &channel.head.returned_count, .monotonic);
    const received_again = @atomicLoad(u64, &channel.head.received_again, .monotonic);
    const refused = @atomicLoad(u64, &channel.tail.dropped, .monotonic);
    const subscribed = if (channel.mode == .broadcast) countSubscribers(channel) else Subscribed{};
    var values: Values = undefined;
    for (std.enums.values(Stat)) |stat| {
        const value: u64 = switch (stat) {
            .NUMBER => channel.number,
            .MODE => @intFromEnum(channel.mode),
            .OVERFLOW => @intFromEnum(channel.overflow),
            .CAPACITY => channel.capacity,
            .HISTORY => channel.history,
            .REDELIVER => @intFromBool(channel.kind == .redelivering),
            .MAX_DELIVERIES => channel.max_deliveries,
            .CLOSED => @intFromBool(ring.looksClosed(channel)),
            .OPEN_BY => countOpen(view, channel),
            .QUEUED => queued(channel) +| returned,
            .SENT => afterLast(channel).ordinal(channel.capacity),
            .RECEIVED => switch (channel.mode) {
                .queue => receivedFromQueue(channel, drop_ns) +| received_again,
                .broadcast => subscribed.received,
            },
            .DROPPED => made_room +% refused,
            .REDELIVERED => @atomicLoad(u64, &shared.redelivered, .monotonic),
            .WAITING_SENDERS => @atomicLoad(u32, &channel.head.waiting.waiters, .monotonic),
            .WAITING_RECEIVERS => @atomicLoad(u32, &channel.tail.waiting.waiters, .monotonic),
            .SUBSCRIBERS => subscribed.count,
        };
        values[@intFromEnum(stat)] = @floatFromInt(value);
    }
    return values;
}

/// How often a look at a send is repeated, and for how long one at a drop waits. Both take some
/// hundred nanoseconds, unless their threads are stopped there.
const tries_max = 64;
const patience_ns = 2 * std.time.ns_per_ms;

/// What receivers took at the head: what has left there, but for what was taken out to make room.
/// The two are read while nobody is about to change both, so that the number does not fall.
/// SYNC: the position is read after all drops that have ended, and before the last look at those that
/// have begun. Pairs with `ring.beginDrop`, `ring.giveDropUp` and `ring.endDrop`.
fn receivedFromQueue(channel: *const Channel, drop_ns: u64) u64 {
    var deadline_ns: u64 = 0;
    while (true) {
        const dropped = @atomicLoad(u64, &channel.head.dropped, .acquire);
        const begun = @atomicLoad(u64, &channel.head.drops_begun, .acquire);
        const head: Position = @bitCast(@atomicLoad(u64, &channel.head.position, .acquire));
        const begun_since = @atomicLoad(u64, &channel.head.drops_begun, .acquire);
        const received = head.ordinal(channel.capacity) -| dropped;
        if (begun == dropped and begun_since == dropped) return received;
        const now_ns = system.clock.monotonicNs();
        if (deadline_ns == 0) deadline_ns = now_ns + drop_ns;
        // A thread that is stopped in a drop has hardly ever moved the position already.
        if (now_ns >= deadline_ns) return received;
        system.clock.relax();
    }
}

pub fn queued(channel: *const Channel) u64 {
    const head = positionIn(&channel.head.position);
    const tail = positionIn(&channel.tail.position);
    if (!head.isBefore(tail)) return 0;
    return @min(head.countTo(tail, channel.capacity), channel.capacity);
}

/// Behind the last item that was sent, also where its sender died before it moved the tail: who
/// counts on this number of items finds just those whose sends happened. Where the tail moved while
/// the cell was read, that may be of a later lap.
fn afterLast(channel: *const Channel) Position {
    for (0..tries_max) |_| {
        const tail = positionIn(&channel.tail.position);
        const cell_ptr = channel.cellAt(tail) orelse return tail;
        var cell = ring.load(cell_ptr);
        cell.frozen = false;
        if (!channel_file.isStill(channel.tail, tail)) continue;
        return if (ring.toSender(cell, tail) == .lagging) tail.next(channel.capacity) else tail;
    }
    return positionIn(&channel.tail.position);
}

/// The slots whose buffers are in the channel, the next one to be received first. Returns how many
/// were written.
pub fn queue(view: *const View, channel: *const Channel, out: []u32) u32 {
    var written: u32 = 0;
    // The list of what came back, which a damaged pool may have closed to a circle.
    var returned = words.Returned.load(&channel.head.returned, .monotonic).index;
    for (0..view.geometry.capacity) |_| {
        if (returned >= view.geometry.capacity or written == out.len) break;
        out[written] = returned;
        written += 1;
        returned = @truncate(@atomicLoad(u32, &view.slots[returned].next_free, .monotonic));
    }
    var position = positionIn(&channel.head.position);
    for (0..queued(channel)) |_| {
        const cell_ptr = channel.cellAt(position) orelse break;
        if (written == out.len) break;
        position = position.next(channel.capacity);
        const cell: words.Cell = @bitCast(@atomicLoad(u64, cell_ptr, .monotonic));
        if (!cell.full) continue;
        out[written] = cell.index;
        written += 1;
    }
    return written;
}

fn positionIn(word: *const u64) Position {
    return @bitCast(@atomicLoad(u64, word, .monotonic));
}

fn countOpen(view: *const View, channel: *const Channel) u64 {
    var count: u64 = 0;
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (directory.isOpenBy(channel, @intCast(index)) and participant_file.isLive(row))
            count += 1;
    }
    return count;
}

const Subscribed = struct { count: u64 = 0, received: u64 = 0 };

/// How many there are, and what they and all that left have received.
fn countSubscribers(channel: *const Channel) Subscribed {
    var all: Subscribed = .{};
    // SYNC: what stands in the entries is of this channel. Pairs with `broadcast.subscribe`.
    const used = @atomicLoad(u32, &channel.block.channel.subscribers_used, .acquire);
    for (0..@min(used, layout.channel_subscribers_max)) |number| {
        if (broadcast.isSubscribed(channel, @intCast(number))) all.count += 1;
        const entry = &channel.block.subscribers[number];
        all.received +%= @atomicLoad(u64, &entry.received, .monotonic);
    }
    return all;
}

/// The live channels. Returns how many were written.
pub fn channels(view: *const View, values: []f64, names: []u8, channels_max: u32) u32 {
    var written: u32 = 0;
    for (0..directory.blocksUsed(view)) |number| {
        if (written == channels_max) break;
        if (!directory.isLive(view, @intCast(number))) continue;
        const channel = Channel.of(view, @intCast(number)) orelse continue;
        values[written * stat_count ..][0..stat_count].* = collect(view, &channel);
        names[written * name_room ..][0..name_room].* = nameOf(&channel);
        written += 1;
    }
    return written;
}

/// Ended by a 0.
pub fn nameOf(channel: *const Channel) [name_room]u8 {
    var name: [name_room]u8 = undefined;
    for (&name, &channel.block.channel.name) |*byte, *shared|
        byte.* = @atomicLoad(u8, shared, .monotonic);
    name[name_room - 1] = 0;
    return name;
}

/// The live channel of that number; null: the pool has none.
pub fn channelAt(view: *const View, number: u64) ?Channel {
    if (number >= directory.blocksUsed(view)) return null;
    const known: u32 = @intCast(number);
    return if (directory.isLive(view, known)) Channel.of(view, known) else null;
}

pub const SubscriberField = enum { PID, TID, ALIVE, LAG, RECEIVED, MISSED };
pub const subscriber_field_count = std.meta.fields(SubscriberField).len;

/// Who reads a broadcast. Returns how many were written.
pub fn subscribers(
    view: *const View,
    channel: *const Channel,
    values: []f64,
    subscribers_max: u32,
) u32 {
    if (channel.mode == .queue) return 0;
    var written: u32 = 0;
    for (0..layout.channel_subscribers_max) |number| {
        if (written == subscribers_max) break;
        if (!broadcast.isSubscribed(channel, @intCast(number))) continue;
        const entry = &channel.block.subscribers[number];
        const index = @atomicLoad(u32, &entry.participant, .monotonic);
        if (index >= view.rowsUsed()) continue;
        const row = &view.rows[index];
        const owner = owner_file.read(row) orelse continue;
        const behind = behindOf(channel, entry);
        const received = @atomicLoad(u64, &entry.received, .monotonic);
        const received_before = @atomicLoad(u64, &entry.received_before, .monotonic);
        const out = values[written * subscriber_field_count ..][0..subscriber_field_count];
        for (std.enums.values(SubscriberField)) |field| {
            const value: u64 = switch (field) {
                .PID => owner.pid,
                .TID => owner.tid,
                .ALIVE => @intFromBool(owner.alive),
                .LAG => behind.lag,
                .RECEIVED => received -| received_before,
                .MISSED => @atomicLoad(u64, &entry.missed, .monotonic) +% behind.missed,
            };
            out[@intFromEnum(field)] = @floatFromInt(value);
        }
        // It left meanwhile, and the entry or the row may be another's.
        const still = broadcast.isSubscribed(channel, @intCast(number)) and
            @atomicLoad(u32, &entry.participant, .monotonic) == index and owner.stillHas(row);
        if (still) written += 1;
    }
    return written;
}

/// What is in the ring for a subscriber, and what it has missed without having noticed it yet.
fn behindOf(channel: *const Channel, entry: *const layout.Subscriber) struct {
    lag: u64,
    missed: u64,
} {
    const head = positionIn(&channel.head.position);
    const tail = positionIn(&channel.tail.position);
    const cursor = positionIn(&entry.cursor);
    const since = positionIn(&entry.since);
    const next = if (cursor.isBefore(head)) head else cursor;
    const owed = if (cursor.isBefore(since)) since else cursor;
    const lag = if (next.isBefore(tail)) next.countTo(tail, channel.capacity) else 0;
    return .{
        .lag = @min(lag, channel.capacity),
        .missed = if (owed.isBefore(head)) owed.countTo(head, channel.capacity) else 0,
    };
}

const testing = std.testing;
const sending = @import("sending.zig");
const TestingChannel = @import("testing_channel.zig").TestingChannel;
const thaw = @import("../recovery/thaw.zig");

fn expectStats(bench: *TestingChannel, expected: []const struct { Stat, f64 }) !void {
    const values = collect(&bench.pool.view, &bench.channel);
    for (expected) |row| try testing.expectEqual(row[1], values[@intFromEnum(row[0])]);
}

test "what a queue sent, handed out and dropped follows from its ends" {
    inline for (.{ .drop_newest, .drop_oldest }) |overflow| {
        var bench: TestingChannel = undefined;
        try bench.init(1, .{ .capacity = 3, .overflow = overflow });
        defer bench.deinit();
        const one = &bench.participants[0];
        var patience: thaw.Patience = .untimed;
        for (0..5) |_| _ = try sending.send(one, &bench.channel, bench.tryAcquire(0).?, &patience);
        _ = try ring.receive(one, &bench.channel, &patience);
        try expectStats(&bench, &.{
            .{ .QUEUED, 2 },
            .{ .SENT, if (overflow == .drop_newest) 3 else 5 },
            .{ .RECEIVED, 1 },
            .{ .DROPPED, 2 },
            .{ .SUBSCRIBERS, 0 },
            .{ .CLOSED, 0 },
            .{ .OPEN_BY, 1 },
        });
        _ = try ring.close(one, &bench.channel, &patience);
        try expectStats(&bench, &.{.{ .CLOSED, 1 }});
    }
}

test "what makes room never counts as received, not even for a moment" {
    inline for (.{ false, true }) |redeliver| {
        var bench: TestingChannel = undefined;
        try bench.init(1, .{ .capacity = 2, .overflow = .drop_oldest, .redeliver = redeliver });
        defer bench.deinit();
        const one = &bench.participants[0];
        var patience: thaw.Patience = .untimed;
        for (0..3) |_| _ = try sending.send(one, &bench.channel, bench.tryAcquire(0).?, &patience);
        try expectStats(&bench, &.{ .{ .RECEIVED, 0 }, .{ .DROPPED, 1 } });
        // A sender that is stopped, or killed, before it takes the item.
        bench.channel.head.drops_begun += 1;
        try expectStats(&bench, &.{ .{ .RECEIVED, 0 }, .{ .DROPPED, 1 } });
        try bench.recover();
        try testing.expectEqual(1, bench.channel.head.drops_begun);
        _ = try ring.receive(one, &bench.channel, &patience);
        try expectStats(&bench, &.{ .{ .RECEIVED, 1 }, .{ .DROPPED, 1 } });
    }
}

const Traffic = struct {
    bench: *TestingChannel,
    failed: bool = false,
    done: bool = false,

    fn run(traffic: *Traffic) void {
        traffic.go() catch @atomicStore(bool, &traffic.failed, true, .monotonic);
        @atomicStore(bool, &traffic.done, true, .release);
    }

    /// Each round ends a lap, drops an item and receives one.
    fn go(traffic: *Traffic) !void {
        const bench = traffic.bench;
        const one = &bench.participants[0];
        var patience: thaw.Patience = .untimed;
        for (0..rounds) |_| {
            for (0..2) |_| {
                const handle = bench.tryAcquire(0) orelse return error.PoolFull;
                _ = try sending.send(one, &bench.channel, handle, &patience);
            }
            const received = try ring.receive(one, &bench.channel, &patience);
            try bench.release(0, received.item);
        }
    }

    const rounds = 100_000;
};

test "of a busy queue, what was sent, received and dropped never falls" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{ .capacity = 1, .overflow = .drop_oldest });
    defer bench.deinit();
    var traffic: Traffic = .{ .bench = &bench };
    const thread = try std.Thread.spawn(.{}, Traffic.run, .{&traffic});
    const stats = [_]Stat{ .SENT, .RECEIVED, .DROPPED };
    var most: [stats.len]f64 = @splat(0);
    var fell: [stats.len]u32 = @splat(0);
    while (!@atomicLoad(bool, &traffic.done, .acquire)) {
        // Longer than a thread waits for its turn on a busy machine, also under a sanitizer.
        const values = collectWithin(&bench.pool.view, &bench.channel, 60 * std.time.ns_per_s);
        for (stats, &most, &fell) |which, *highest, *falls| {
            const value = values[@intFromEnum(which)];
            if (value < highest.*) falls.* += 1;
            highest.* = @max(highest.*, value);
        }
    }
    thread.join();
    try testing.expect(!traffic.failed);
    try testing.expectEqual([_]u32{ 0, 0, 0 }, fell);
    try expectStats(&bench, &.{
        .{ .SENT, 2 * Traffic.rounds },
        .{ .RECEIVED, Traffic.rounds },
        .{ .DROPPED, Traffic.rounds },
    });
}

test "an item whose sender died before it moved the tail was sent" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{ .capacity = 2 });
    defer bench.deinit();
    const one = &bench.participants[0];
    var patience: thaw.Patience = .untimed;
    for (1..6) |sent| {
        const tail = bench.channel.tail.position;
        _ = try sending.send(one, &bench.channel, bench.tryAcquire(0).?, &patience);
        const moved = bench.channel.tail.position;
        bench.channel.tail.position = tail;
        try expectStats(&bench, &.{.{ .SENT, @floatFromInt(sent) }});
        bench.channel.tail.position = moved;
        try expectStats(&bench, &.{.{ .SENT, @floatFromInt(sent) }});
        _ = try ring.receive(one, &bench.channel, &patience);
        try expectStats(&bench, &.{.{ .SENT, @floatFromInt(sent) }});
        bench.channel.tail.position = tail;
        try expectStats(&bench, &.{.{ .SENT, @floatFromInt(sent) }});
        bench.channel.tail.position = moved;
    }
}

test "what is in a queue is listed in the order in which it will be received" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{ .capacity = 3 });
    defer bench.deinit();
    const one = &bench.participants[0];
    const view = &bench.pool.view;
    var patience: thaw.Patience = .untimed;
    var sent: [3]u32 = undefined;
    for (&sent) |*index| {
        const handle = bench.tryAcquire(0).?;
        index.* = @as(words.Handle, @bitCast(handle)).index;
        _ = try sending.send(one, &bench.channel, handle, &patience);
    }
    _ = try ring.receive(one, &bench.channel, &patience);
    var found: [4]u32 = undefined;
    try testing.expectEqual(@as(u32, 2), queue(view, &bench.channel, &found));
    try testing.expectEqualSlices(u32, sent[1..], found[0..2]);
    try testing.expectEqual(@as(u32, 1), queue(view, &bench.channel, found[0..1]));
    // A list that damage has closed to a circle, and one that leads out of the pool.
    for ([_]u24{ 0, 1 << 23 }) |next| {
        view.slots[0].next_free = next;
        words.Returned.store(&bench.channel.head.returned, .{ .index = 0 }, .monotonic);
        try testing.expect(queue(view, &bench.channel, &found) >= 3);
    }
}

test "a broadcast counts what each subscriber received, those that left too" {
    var bench: TestingChannel = undefined;
    try bench.init(2, .{ .capacity = 3, .mode = .broadcast });
    defer bench.deinit();
    var patience: thaw.Patience = .untimed;
    const one = &bench.participants[0];
    for (0..3) |_| _ = try sending.send(one, &bench.channel, bench.tryAcquire(0).?, &patience);
    for (0..2) |row| {
        const subscription = bench.opened[row].subscription.?;
        const participant = &bench.participants[row];
        _ = try broadcast.read(participant, &bench.channel, subscription, &patience);
    }
    try expectStats(&bench, &.{ .{ .RECEIVED, 2 }, .{ .SUBSCRIBERS, 2 } });
    broadcast.unsubscribe(one, &bench.channel, bench.opened[0].subscription.?, &patience);
    try expectStats(&bench, &.{
        .{ .RECEIVED, 2 },
        .{ .SUBSCRIBERS, 1 },
        .{ .QUEUED, 2 },
        .{ .SENT, 3 },
    });
}

test "what subscribers received is counted once, whoever of them comes, goes or is killed" {
    var bench: TestingChannel = undefined;
    try bench.init(2, .{ .capacity = 3, .mode = .broadcast });
    defer bench.deinit();
    var patience: thaw.Patience = .untimed;
    const one, const two = .{ &bench.participants[0], &bench.participants[1] };
    for (1..4) |round| {
        const subscription = if (round == 1)
            bench.opened[1].subscription.?
        else
            try broadcast.subscribe(two, &bench.channel);
        _ = try sending.send(one, &bench.channel, bench.tryAcquire(0).?, &patience);
        _ = try broadcast.read(two, &bench.channel, subscription, &patience);
        var values: [2 * subscriber_field_count]f64 = undefined;
        const written = subscribers(&bench.pool.view, &bench.channel, &values, 2);
        try testing.expectEqual(@as(u32, 2), written);
        const own = values[subscriber_field_count + @intFromEnum(SubscriberField.RECEIVED)];
        try testing.expectEqual(@as(f64, 1), own);
        // A recoverer is killed as soon as it has dropped one, and its successor does it again.
        const bits = bench.channel.block.channel.subscribed;
        broadcast.dropSubscriber(&bench.channel, subscription.number);
        bench.channel.block.channel.subscribed = bits;
        try expectStats(&bench, &.{.{ .RECEIVED, @floatFromInt(round) }});
        broadcast.dropSubscriber(&bench.channel, subscription.number);
        try expectStats(&bench, &.{.{ .RECEIVED, @floatFromInt(round) }});
    }
}

test "each subscriber is listed with what it lags behind, and what it missed" {
    var bench: TestingChannel = undefined;
    try bench.init(2, .{ .capacity = 3, .mode = .broadcast, .overflow = .drop_oldest });
    defer bench.deinit();
    var patience: thaw.Patience = .untimed;
    const one = &bench.participants[0];
    const reader = bench.opened[1].subscription.?;
    for (0..5) |sent| {
        _ = try sending.send(one, &bench.channel, bench.tryAcquire(0).?, &patience);
        if (sent >= 3) continue;
        _ = try broadcast.read(&bench.participants[1], &bench.channel, reader, &patience);
    }
    var values: [2 * subscriber_field_count]f64 = undefined;
    const written = subscribers(&bench.pool.view, &bench.channel, &values, 2);
    try testing.expectEqual(@as(u32, 2), written);
    const first, const second = .{ values[0..subscriber_field_count], values[subscriber_field_count..] };
    for ([_]struct { SubscriberField, f64, f64 }{
        .{ .ALIVE, 1, 1 },
        .{ .LAG, 3, 2 },
        .{ .RECEIVED, 0, 3 },
        .{ .MISSED, 2, 0 },
    }) |row| {
        try testing.expectEqual(row[1], first[@intFromEnum(row[0])]);
        try testing.expectEqual(row[2], second[@intFromEnum(row[0])]);
    }
}

test "live channels are listed with their names" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{ .capacity = 3 });
    defer bench.deinit();
    _ = try directory.open(&bench.participants[0], "other", .{ .capacity = 2 });
    const view = &bench.pool.view;
    var values: [2 * stat_count]f64 = undefined;
    var names: [2 * name_room]u8 = undefined;
    try testing.expectEqual(@as(u32, 2), channels(view, &values, &names, 2));
    try testing.expectEqualStrings("other", std.mem.sliceTo(names[name_room..], 0));
    try testing.expectEqual(@as(f64, 2), values[stat_count + @intFromEnum(Stat.CAPACITY)]);
    directory.free(view, &bench.channel);
    try testing.expectEqual(@as(u32, 1), channels(view, &values, &names, 2));
    try testing.expectEqualStrings("other", std.mem.sliceTo(&names, 0));
}
