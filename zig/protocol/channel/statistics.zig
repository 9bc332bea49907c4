//! What a channel's words say of it to people. Reads only; of a busy channel each number is true
//! of some moment. How many were sent and received follows from where the ends are, so that no
//! operation counts.

const std = @import("std");
const broadcast = @import("broadcast.zig");
const channel_file = @import("channel.zig");
const layout = @import("../../format/layout.zig");
const words = @import("../../format/words.zig");

const Channel = channel_file.Channel;
const Position = words.Position;

pub const Stats = struct {
    queued: u64,
    sent: u64,
    /// By receivers, or by each subscriber.
    received: u64,
    /// Refused by a full channel, or taken out of it to make room.
    dropped: u64,
    waiting_receivers: u32,
    waiting_senders: u32,
    subscribers: u32,
};

pub fn collect(channel: *const Channel) Stats {
    const head: Position = @bitCast(@atomicLoad(u64, &channel.head.position, .monotonic));
    const tail: Position = @bitCast(@atomicLoad(u64, &channel.tail.position, .monotonic));
    const there = if (head.isBefore(tail)) head.countTo(tail, channel.capacity) else 0;
    const made_room = @atomicLoad(u64, &channel.head.dropped, .monotonic);
    const refused = @atomicLoad(u64, &channel.tail.dropped, .monotonic);
    var stats: Stats = .{
        .queued = @min(there, channel.capacity),
        .sent = tail.ordinal(channel.capacity),
        .received = head.ordinal(channel.capacity) -| made_room,
        .dropped = made_room +% refused,
        .waiting_receivers = @atomicLoad(u32, &channel.tail.waiting.waiters, .monotonic),
        .waiting_senders = @atomicLoad(u32, &channel.head.waiting.waiters, .monotonic),
        .subscribers = 0,
    };
    if (channel.mode == .broadcast) {
        stats.received = @atomicLoad(u64, &channel.block.channel.received_before, .monotonic);
        addSubscribers(channel, &stats);
    }
    return stats;
}

fn addSubscribers(channel: *const Channel, stats: *Stats) void {
    for (&channel.block.channel.subscribed, 0..) |*word, index| {
        var bits = @atomicLoad(u64, word, .monotonic);
        while (bits != 0) : (bits &= bits - 1) {
            const entry = &channel.block.subscribers[index * 64 + @ctz(bits)];
            stats.subscribers += 1;
            stats.received +%= @atomicLoad(u64, &entry.received, .monotonic);
        }
    }
}

const testing = std.testing;
const ring = @import("ring.zig");
const sending = @import("sending.zig");
const TestingChannel = @import("testing_channel.zig").TestingChannel;
const thaw = @import("../recovery/thaw.zig");

test "what a queue sent, handed out and dropped follows from its ends" {
    inline for (.{ .drop_newest, .drop_oldest }) |overflow| {
        var bench: TestingChannel = undefined;
        try bench.init(1, .{ .capacity = 3, .overflow = overflow });
        defer bench.deinit();
        const one = &bench.participants[0];
        var patience: thaw.Patience = .untimed;
        for (0..5) |_| _ = try sending.send(one, &bench.channel, bench.tryAcquire(0).?, &patience);
        _ = try ring.receive(one, &bench.channel, &patience);
        const stats = collect(&bench.channel);
        try testing.expectEqual(@as(u64, 2), stats.queued);
        try testing.expectEqual(@as(u64, if (overflow == .drop_newest) 3 else 5), stats.sent);
        try testing.expectEqual(@as(u64, 1), stats.received);
        try testing.expectEqual(@as(u64, 2), stats.dropped);
        try testing.expectEqual(@as(u32, 0), stats.subscribers);
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
    try testing.expectEqual(@as(u64, 2), collect(&bench.channel).received);
    try testing.expectEqual(@as(u32, 2), collect(&bench.channel).subscribers);
    broadcast.unsubscribe(one, &bench.channel, bench.opened[0].subscription.?, &patience);
    const stats = collect(&bench.channel);
    try testing.expectEqual(@as(u64, 2), stats.received);
    try testing.expectEqual(@as(u32, 1), stats.subscribers);
    try testing.expectEqual(@as(u64, 2), stats.queued);
    try testing.expectEqual(@as(u64, 3), stats.sent);
}
