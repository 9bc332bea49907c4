//! A send, by what the channel is: to one receiver or to all subscribers, and with what it does when
//! there is no room.

const errors = @import("../../errors.zig");
const broadcast = @import("broadcast.zig");
const channel_file = @import("channel.zig");
const participant_file = @import("../participant.zig");
const references = @import("../pool/references.zig");
const ring = @import("ring.zig");
const thaw = @import("../recovery/thaw.zig");

const Channel = channel_file.Channel;
const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;

/// Whatever the channel does when it is full: on `full` and `closed` the hold stays the caller's.
pub inline fn trySend(
    participant: *Participant,
    channel: *const Channel,
    handle: u64,
    patience: *Patience,
) Error!ring.Sent {
    if (channel.mode == .queue) return ring.send(participant, channel, handle, patience);
    return broadcast.send(participant, channel, handle, patience);
}

/// `dropped`: the hold was given back, and counted. `full`: only where senders wait for room.
pub const Outcome = enum { sent, dropped, full, closed };

pub fn send(
    participant: *Participant,
    channel: *const Channel,
    handle: u64,
    patience: *Patience,
) Error!Outcome {
    while (true) switch (try trySend(participant, channel, handle, patience)) {
        .sent => return .sent,
        .closed => return .closed,
        .full => switch (channel.overflow) {
            .block => return .full,
            .drop_newest => {
                if (!references.giveBack(participant, handle)) return error.PoolCorrupt;
                _ = @atomicRmw(u64, &channel.tail.dropped, .Add, 1, .monotonic);
                return .dropped;
            },
            .drop_oldest => _ = try ring.dropOldest(participant, channel, patience),
        },
    };
}
