//! A send, by what the channel is: to one receiver or to all subscribers, and with what it does
//! when there is no room.

const errors = @import("../../errors.zig");
const broadcast = @import("broadcast.zig");
const channel_file = @import("channel.zig");
const participant_file = @import("../participant.zig");
const redelivery = @import("redelivery.zig");
const references = @import("../pool/references.zig");
const ring = @import("ring.zig");
const thaw = @import("../recovery/thaw.zig");

const Channel = channel_file.Channel;
const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;

/// Whatever the channel does when it is full: on `full` and `closed` the hold stays the caller's.
pub fn trySend(
    participant: *Participant,
    channel: *const Channel,
    handle: u64,
    patience: *Patience,
) Error!ring.Sent {
    if (channel.kind == .queue) return ring.send(participant, channel, handle, patience);
    if (channel.kind == .redelivering)
        return redelivery.send(participant, channel, handle, .ordinary, patience);
    return broadcast.send(participant, channel, handle, patience);
}

/// Of a hold that is a message. Sent to a channel that does not redeliver, it is none any more.
pub fn trySendMessage(
    participant: *Participant,
    channel: *const Channel,
    handle: u64,
    patience: *Patience,
) Error!ring.Sent {
    if (channel.kind == .redelivering)
        return redelivery.send(participant, channel, handle, .message, patience);
    const given = try redelivery.giveUp(participant, handle);
    const answer = trySend(participant, channel, handle, patience) catch |err| {
        given.takeUp(participant);
        return err;
    };
    if (answer != .sent) given.takeUp(participant);
    return answer;
}

/// `dropped`: the hold was given back, and counted. `full`: only where senders wait for room.
pub const Outcome = enum { sent, dropped, full, closed };

pub fn send(
    participant: *Participant,
    channel: *const Channel,
    handle: u64,
    patience: *Patience,
) Error!Outcome {
    return sendAs(.ordinary, participant, channel, handle, patience);
}

pub fn sendMessage(
    participant: *Participant,
    channel: *const Channel,
    handle: u64,
    patience: *Patience,
) Error!Outcome {
    return sendAs(.message, participant, channel, handle, patience);
}

inline fn sendAs(
    comptime hold: redelivery.Hold,
    participant: *Participant,
    channel: *const Channel,
    handle: u64,
    patience: *Patience,
) Error!Outcome {
    const attempt = if (hold == .message) trySendMessage else trySend;
    while (true) switch (try attempt(participant, channel, handle, patience)) {
        .sent => return .sent,
        .closed => return .closed,
        .full => switch (channel.overflow) {
            .block => return .full,
            .drop_newest => {
                const given = switch (hold) {
                    .ordinary => references.giveBack(participant, handle),
                    .message => redelivery.release(participant, handle),
                };
                if (!given) return error.PoolCorrupt;
                _ = @atomicRmw(u64, &channel.tail.dropped, .Add, 1, .monotonic);
                return .dropped;
            },
            .drop_oldest => _ = if (channel.kind == .redelivering)
                try redelivery.dropOldest(participant, channel, patience)
            else
                try ring.dropOldest(participant, channel, patience),
        },
    };
}

const testing = @import("std").testing;
const TestingChannel = @import("testing_channel.zig").TestingChannel;
const words = @import("../../format/words.zig");

test "a full channel keeps the caller's hold, drops it, or drops what is oldest" {
    inline for (.{
        .{ words.ChannelOverflow.block, Outcome.full, true, 0 },
        .{ words.ChannelOverflow.drop_newest, Outcome.dropped, false, 0 },
        .{ words.ChannelOverflow.drop_oldest, Outcome.sent, false, 1 },
    }) |row| {
        const overflow, const expected, const keeps, const first_left = row;
        var bench: TestingChannel = undefined;
        try bench.init(1, .{ .capacity = 2, .overflow = overflow });
        defer bench.deinit();
        const one = &bench.participants[0];
        var patience: Patience = .untimed;
        var handles: [3]u64 = undefined;
        for (&handles) |*handle| handle.* = bench.tryAcquire(0).?;
        for (handles[0..2]) |handle| {
            const answer = try send(one, &bench.channel, handle, &patience);
            try testing.expectEqual(Outcome.sent, answer);
        }
        // This one never drops anything.
        const refused = try trySend(one, &bench.channel, handles[2], &patience);
        try testing.expectEqual(ring.Sent.full, refused);
        try testing.expectEqual(expected, try send(one, &bench.channel, handles[2], &patience));
        try testing.expectEqual(keeps, bench.holds(0, handles[2]) == 1);
        try bench.expectExact();
        for (handles[first_left..][0..2]) |handle| {
            const received = try ring.receive(one, &bench.channel, &patience);
            try testing.expectEqual(ring.Received{ .item = handle }, received);
        }
        _ = try ring.close(one, &bench.channel, &patience);
        const answer = try send(one, &bench.channel, handles[1], &patience);
        try testing.expectEqual(Outcome.closed, answer);
    }
}
