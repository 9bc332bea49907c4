//! The two ends of a channel as places to wait: senders wait at the head until an item is taken,
//! receivers wait at the tail until one is sent. How one waits at any place is in `../waiting/`.

const std = @import("std");
const atomic = @import("hooks");
const broadcast = @import("broadcast.zig");
const channel_file = @import("channel.zig");
const errors = @import("../../errors.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const place_file = @import("../place.zig");
const recovery = @import("../recovery/recovery.zig");
const redelivery = @import("redelivery.zig");
const ring = @import("ring.zig");
const sending = @import("sending.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const waiter = @import("../waiting/waiter.zig");
const waker = @import("../waiting/waker.zig");
const words = @import("../../format/words.zig");

const Cell = words.Cell;
const Channel = channel_file.Channel;
const Error = errors.Error;
const Local = place_file.Local;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const Place = place_file.Place;
const View = participant_file.View;

/// `head`: where senders wait. `tail`: where receivers wait.
pub const End = enum(u1) { head = 0, tail = 1 };

pub fn placeAt(channel: *const Channel, comptime end: End) Place {
    return switch (end) {
        .head => placeOf(channel.number, end, channel.head),
        .tail => placeOf(channel.number, end, channel.tail),
    };
}

pub fn placeOf(number: u32, comptime end: End, words_there: *layout.ChannelEnd) Place {
    return .at(&words_there.waiting, 1 + 2 * number + @intFromEnum(end));
}

/// Both ends as one thread knows them, however often it has the channel open.
pub const Locals = struct {
    at_head: Local,
    at_tail: Local,

    pub fn of(channel: *const Channel) Locals {
        return .{
            .at_head = .{ .place = placeAt(channel, .head) },
            .at_tail = .{ .place = placeAt(channel, .tail) },
        };
    }

    pub fn at(locals: *Locals, comptime end: End) *Local {
        return switch (end) {
            .head => &locals.at_head,
            .tail => &locals.at_tail,
        };
    }
};

/// After the CAS on the cell, and outside the bracket: those who wait at the end that was moved.
pub inline fn wake(
    participant: *const Participant,
    channel: *const Channel,
    comptime end: End,
    how_many: HowMany,
) void {
    if (isAwaited(channel, end)) wakeWaiters(participant, channel, end, how_many);
}

pub const HowMany = enum { one, all };

/// SYNC: sequential after the cell's CAS: either a waiter that was counted before its try finds
/// what the cell says, or the waiter is found. Pairs with `ring.change`, `ring.attemptClose` and
/// `waiter.mark`.
pub inline fn isAwaited(channel: *const Channel, comptime end: End) bool {
    const waiting = switch (end) {
        .head => &channel.head.waiting,
        .tail => &channel.tail.waiting,
    };
    return atomic.load(u32, &waiting.waiters, .seq_cst) != 0;
}

fn wakeWaiters(
    participant: *const Participant,
    channel: *const Channel,
    comptime end: End,
    how_many: HowMany,
) void {
    @branchHint(.cold);
    const local = channel.locals.at(end);
    switch (how_many) {
        .one => waker.wake(local, &participant.view, anyOne),
        .all => waker.wake(local, &participant.view, everybody),
    }
}

fn anyOne(_: *const View) waker.Whom {
    return .{ .some = 1 };
}

fn everybody(_: *const View) waker.Whom {
    return .{ .some = std.math.maxInt(i32) };
}

/// An end at which a thread or its event loop waits: see `process/async_wait.zig`.
pub fn At(comptime which: End) type {
    return struct {
        channel: *const Channel,

        const Self = @This();

        pub fn begin(at: Self, participant: *Participant, patience: *Patience) Error!void {
            _ = try waiter.begin(at.channel.locals.at(which), participant, patience);
        }

        pub fn end(at: Self, participant: *Participant, patience: *Patience) void {
            waiter.end(at.channel.locals.at(which), participant, patience);
        }

        pub fn passOn(at: Self, participant: *const Participant) void {
            if (isWakeDue(at.channel, which)) wake(participant, at.channel, which, .one);
        }

        pub fn watched(at: Self, _: *const View) place_file.Watched {
            return .{
                .place = placeAt(at.channel, which),
                .isWorthATry = isWorthATry,
                .isHeldBack = isNeverHeldBack,
                .passOn = passOnFrom,
            };
        }

        /// Of a broadcast the native thread does not know the cursor.
        fn isWorthATry(view: *const View, place: Place, _: *place_file.Looks) bool {
            const channel = channelOf(view, place) orelse return false;
            return switch (which) {
                .head => hasRoom(&channel),
                .tail => hasItem(&channel),
            };
        }

        fn passOnFrom(view: *const View, place: Place, _: u32) void {
            const channel = channelOf(view, place) orelse return;
            if (isWakeDue(&channel, which)) place.wakeNext();
        }
    };
}

/// At a channel nobody goes first.
fn isNeverHeldBack(_: *const View, _: u32) bool {
    return false;
}

/// Whether a wake that reached the wrong one was worth something. Of a broadcast all receivers are
/// woken.
fn isWakeDue(channel: *const Channel, comptime end: End) bool {
    return switch (end) {
        .head => hasRoom(channel),
        .tail => channel.mode == .queue and hasItem(channel),
    };
}

/// Where event loops wait for the channel's close, apart from those who wait for an item: the wake
/// of one of these must not reach a loop that has no use for the item.
pub const Closing = struct {
    channel: *const Channel,

    /// The number is the tail's: nobody is marked here, and it leads to the channel.
    pub fn place(at: Closing) Place {
        const tail = placeAt(at.channel, .tail);
        return .at(&at.channel.block.channel.closing, tail.number);
    }

    pub fn begin(_: Closing, _: *Participant, _: *Patience) Error!void {}

    pub fn end(_: Closing, _: *Participant, _: *Patience) void {}

    pub fn passOn(_: Closing, _: *const Participant) void {}

    pub fn watched(at: Closing, _: *const View) place_file.Watched {
        return .{
            .place = at.place(),
            .isWorthATry = isWorthATry,
            .isHeldBack = isNeverHeldBack,
            .passOn = passOnFrom,
        };
    }

    /// Who closed it may have died before the wake.
    fn isWorthATry(view: *const View, place_: Place, _: *place_file.Looks) bool {
        const channel = channelOf(view, place_) orelse return false;
        return ring.looksClosed(&channel);
    }

    fn passOnFrom(_: *const View, _: Place, _: u32) void {}
};

/// An item for a receiver, as `waiting/blocking.zig` and an event loop wait for it.
pub const Receiving = struct {
    participant: *Participant,
    local: *Local,
    at: At(.tail),
    channel: *const Channel,
    subscription: ?broadcast.Subscription,

    /// The handle of a buffer that is the caller's hold.
    pub const Result = u64;

    pub fn of(
        participant: *Participant,
        channel: *const Channel,
        subscription: ?broadcast.Subscription,
    ) Receiving {
        return .{
            .participant = participant,
            .local = channel.locals.at(.tail),
            .at = .{ .channel = channel },
            .channel = channel,
            .subscription = subscription,
        };
    }

    /// Null: nothing is there. ChannelClosed: and nothing comes.
    pub fn tryNow(want: *const Receiving, patience: *Patience) Error!?u64 {
        const received = if (want.channel.kind == .queue)
            try ring.receive(want.participant, want.channel, patience)
        else if (want.channel.kind == .redelivering)
            try redelivery.receive(want.participant, want.channel, patience)
        else if (want.subscription) |subscription|
            try broadcast.read(want.participant, want.channel, subscription, patience)
        else
            return errors.fail(error.InvalidArgument, 0, "this open only sends", .{});
        return switch (received) {
            .item => |handle| handle,
            .nothing => null,
            .drained => error.ChannelClosed,
        };
    }

    pub fn isWorthATry(want: *const Receiving) bool {
        const subscription = want.subscription orelse return hasItem(want.channel);
        const cursor = words.Position.load(&subscription.entry.cursor, .monotonic);
        return channel_file.positionOf(want.channel.tail) != cursor or
            ring.looksClosed(want.channel);
    }

    pub fn lookForLosses(want: *const Receiving) bool {
        return lookForTheDead(&want.participant.view);
    }

    pub fn begin(want: *const Receiving, patience: *Patience) Error!void {
        return want.at.begin(want.participant, patience);
    }

    pub fn end(want: *const Receiving, patience: *Patience) void {
        want.at.end(want.participant, patience);
    }

    pub fn goOn(_: *const Receiving, _: u64, _: u64) void {}

    pub fn passOn(want: *const Receiving) void {
        want.at.passOn(want.participant);
    }
};

/// Room for a buffer that the caller holds.
pub const Sending = struct {
    participant: *Participant,
    local: *Local,
    at: At(.head),
    channel: *const Channel,
    handle: u64,
    hold: redelivery.Hold = .ordinary,

    pub const Result = void;

    pub fn of(participant: *Participant, channel: *const Channel, handle: u64) Sending {
        return .{
            .participant = participant,
            .local = channel.locals.at(.head),
            .at = .{ .channel = channel },
            .channel = channel,
            .handle = handle,
        };
    }

    /// Null: the channel is full, and the hold is the caller's.
    pub fn tryNow(want: *const Sending, patience: *Patience) Error!?void {
        const answer = try switch (want.hold) {
            .ordinary => sending.trySend(want.participant, want.channel, want.handle, patience),
            .message => sending.trySendMessage(
                want.participant,
                want.channel,
                want.handle,
                patience,
            ),
        };
        return switch (answer) {
            .sent => {},
            .full => null,
            .closed => error.ChannelClosed,
        };
    }

    pub fn isWorthATry(want: *const Sending) bool {
        return hasRoom(want.channel);
    }

    pub fn lookForLosses(want: *const Sending) bool {
        return lookForTheDead(&want.participant.view);
    }

    pub fn begin(want: *const Sending, patience: *Patience) Error!void {
        return want.at.begin(want.participant, patience);
    }

    pub fn end(want: *const Sending, patience: *Patience) void {
        want.at.end(want.participant, patience);
    }

    pub fn goOn(_: *const Sending, _: u64, _: u64) void {}

    pub fn passOn(want: *const Sending) void {
        want.at.passOn(want.participant);
    }
};

/// A dead subscriber keeps what it had still to read, and a dead participant buffers. True when
/// there was somebody, and a recovery ran.
pub fn lookForTheDead(view: *const View) bool {
    return participant_file.anybodyDead(view) and recovery.run(view, .{}).ran;
}

/// A look without a bracket: what it finds may be gone at once. What is not plain is worth a try.
fn hasItem(channel: *const Channel) bool {
    const head = channel_file.positionOf(channel.head);
    const cell_ptr = channel.cellAt(head) orelse return true;
    if (ring.toReceiver(Cell.load(cell_ptr, .acquire), head) != .nothing) return true;
    return channel.mode == .queue and redelivery.hasReturned(channel);
}

fn hasRoom(channel: *const Channel) bool {
    const tail = channel_file.positionOf(channel.tail);
    const cell_ptr = channel.cellAt(tail) orelse return true;
    return ring.toSender(Cell.load(cell_ptr, .acquire), tail) != .full;
}

fn channelOf(view: *const View, place: Place) ?Channel {
    return Channel.of(view, (place.number - 1) / 2);
}

const testing = std.testing;
const blocking = @import("../waiting/blocking.zig");
const TestingChannel = @import("testing_channel.zig").TestingChannel;

test "each end of each channel has a place of its own" {
    var bench: TestingChannel = undefined;
    try bench.init(1, .{});
    defer bench.deinit();
    try testing.expectEqual(@as(u32, 1), placeAt(&bench.channel, .head).number);
    try testing.expectEqual(@as(u32, 2), placeAt(&bench.channel, .tail).number);
    var last = bench.channel;
    last.number = layout.channels_max - 1;
    const number = placeAt(&last, .tail).number;
    try testing.expectEqual(@as(u32, 2 * layout.channels_max), number);
    try testing.expect(number / 64 < layout.waiting_words);
}

test "a wait at either end is served, or ends in time, and is counted only meanwhile" {
    var bench: TestingChannel = undefined;
    try bench.init(2, .{ .capacity = 1 });
    defer bench.deinit();
    const one = &bench.participants[0];
    const row = &bench.pool.view.rows[0];
    var wait: blocking.Wait = .{};
    var receiving: Receiving = .of(one, &bench.channel, null);
    const soon_ns = system.clock.monotonicNs() + std.time.ns_per_ms;
    try testing.expectError(error.Timeout, blocking.slice(&receiving, &wait, soon_ns));
    const handle = bench.tryAcquire(0).?;
    var sending_: Sending = .of(one, &bench.channel, handle);
    try blocking.slice(&sending_, &wait, 0);
    var other: Sending = .of(one, &bench.channel, bench.tryAcquire(0).?);
    const later_ns = system.clock.monotonicNs() + std.time.ns_per_ms;
    try testing.expectError(error.Timeout, blocking.slice(&other, &wait, later_ns));
    try testing.expectEqual(@as(u64, 0), row.waiting[0]);
    try testing.expectEqual(handle, try blocking.slice(&receiving, &wait, 0));
    var patience: Patience = .untimed;
    _ = try ring.close(one, &bench.channel, &patience);
    try testing.expectError(error.ChannelClosed, blocking.slice(&receiving, &wait, 0));
    try testing.expectError(error.ChannelClosed, blocking.slice(&other, &wait, 0));
}

fn sendSoon(bench: *TestingChannel) void {
    const participant = &bench.participants[1];
    while (@atomicLoad(u32, &bench.channel.tail.waiting.waiters, .seq_cst) == 0)
        system.clock.relax();
    var patience: Patience = .untimed;
    _ = ring.send(participant, &bench.channel, bench.tryAcquire(1).?, &patience) catch {};
}

test "a receiver asleep is woken by a send" {
    var bench: TestingChannel = undefined;
    try bench.init(2, .{});
    defer bench.deinit();
    var want: Receiving = .of(&bench.participants[0], &bench.channel, null);
    for (0..20) |_| {
        const sender = try std.Thread.spawn(.{}, sendSoon, .{&bench});
        defer sender.join();
        var wait: blocking.Wait = .{};
        const handle = while (true) {
            break blocking.slice(&want, &wait, std.math.maxInt(u64)) catch |err| {
                try testing.expectEqual(error.Pending, err);
                continue;
            };
        };
        try bench.release(0, handle);
    }
    try testing.expectEqual(@as(u32, 0), bench.channel.tail.waiting.waiters);
}
