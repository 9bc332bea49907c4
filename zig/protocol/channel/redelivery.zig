//! A queue that redelivers: what a receiver holds when it dies goes back to the channel, before
//! newer items. The ring is the one of `ring.zig`; besides, each buffer that was sent is a message,
//! and its slot's message word says whose, until its receiver gives it up. Only the message's owner
//! writes that word, and recovery, which finds out in `returning.zig` what the dead had.
//!
//! A message that came back stands on the channel's returned list, and receivers look there first.

const std = @import("std");
const atomic = @import("hooks");
const channel_file = @import("channel.zig");
const directory = @import("directory.zig");
const ends = @import("ends.zig");
const errors = @import("../../errors.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("../recovery/recovery.zig");
const references = @import("../pool/references.zig");
const ring = @import("ring.zig");
const thaw = @import("../recovery/thaw.zig");
const words = @import("../../format/words.zig");

const CameFrom = words.CameFrom;
const Channel = channel_file.Channel;
const Error = errors.Error;
const Message = words.Message;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const Position = words.Position;
const Returned = words.Returned;
const Taking = words.Taking;
const View = participant_file.View;

/// What a hold is to its holder. Of several holds of one buffer one may be the message.
pub const Hold = enum { ordinary, message };

/// Moves the caller's hold into the channel, and makes a message of it, or sends on the one that it
/// is. On `full` and `closed` everything is as it was.
///
/// Besides the errors of `ring.send`, BufferInUse: the buffer is another hold's message.
pub fn send(
    participant: *Participant,
    channel: *const Channel,
    handle: u64,
    hold: Hold,
    patience: *Patience,
) Error!ring.Sent {
    const index = try ring.heldIndex(participant, handle);
    while (true) switch (attemptSend(participant, channel, index, hold)) {
        .sent => {
            ends.wake(participant, channel, .tail, .one);
            return .sent;
        },
        .full => return .full,
        .closed => return .closed,
        .in_use => return errors.fail(
            error.BufferInUse,
            0,
            "it is a message of a channel that redelivers, and this is another hold of it",
            .{},
        ),
        .frozen => try thaw.wait(participant, patience),
        .corrupt => return error.PoolCorrupt,
    };
}

const SendAttempt = enum { sent, full, closed, in_use, frozen, corrupt };

fn attemptSend(
    participant: *const Participant,
    channel: *const Channel,
    index: u32,
    hold: Hold,
) SendAttempt {
    const bracket = participant.enter();
    defer bracket.leave();
    var addressed: Addressed = .of(participant, index, hold);
    while (true) {
        const tail = channel_file.positionOf(channel.tail);
        const cell_ptr = channel.cellAt(tail) orelse return addressed.refuse(.corrupt);
        const cell = ring.load(cell_ptr);
        switch (ring.toSender(cell, tail)) {
            .room => {},
            .lagging => {
                ring.help(channel, channel.tail, tail);
                continue;
            },
            .full => return addressed.refuse(.full),
            .closed => return addressed.refuse(.closed),
            .frozen => return addressed.refuse(.frozen),
            .impossible => {
                if (!channel_file.isStill(channel.tail, tail)) continue;
                return addressed.refuse(.corrupt);
            },
        }
        if (!addressed.to(channel, tail)) return .in_use;
        if (!ring.change(cell_ptr, cell, cell.filledWith(index))) continue;
        if (atomic.broken(.message_addressed_late)) addressed.store(channel, tail);
        participant.dropHold(index);
        channel_file.moveOn(channel, channel.tail, tail);
        return .sent;
    }
}

/// The message word of a buffer while it is being sent. It names the channel and the position
/// before the CAS on the cell, so that a recovery can tell whether a dead sender has sent.
const Addressed = struct {
    ptr: *u64,
    row: u32,
    /// Null: the buffer is no message of this hold.
    before: ?Message,
    is_changed: bool = false,

    fn of(participant: *const Participant, index: u32, hold: Hold) Addressed {
        const ptr = &participant.view.slots[index].message;
        const before = Message.load(ptr);
        const own = hold == .message and before.isHeldBy(participant.index);
        return .{ .ptr = ptr, .row = participant.index, .before = if (own) before else null };
    }

    /// Before each try. False: the buffer is somebody else's message.
    fn to(addressed: *Addressed, channel: *const Channel, position: Position) bool {
        if (addressed.before == null and !addressed.is_changed) {
            const claimed = Message.none.sentTo(channel.number, position, addressed.row);
            if (!claim(addressed.ptr, claimed)) return false;
        } else if (!atomic.broken(.message_not_addressed) and
            !atomic.broken(.message_addressed_late))
        {
            addressed.store(channel, position);
        }
        addressed.is_changed = true;
        return true;
    }

    fn store(addressed: *const Addressed, channel: *const Channel, position: Position) void {
        const kept = if (atomic.broken(.message_given_up_early)) null else addressed.before;
        const from = kept orelse Message.none;
        Message.store(addressed.ptr, from.sentTo(channel.number, position, addressed.row));
    }

    fn refuse(addressed: *const Addressed, answer: SendAttempt) SendAttempt {
        if (addressed.is_changed)
            Message.store(addressed.ptr, addressed.before orelse .none);
        return answer;
    }
};

/// Of two holders of one ordinary buffer that send it at once, one makes it a message. A holder
/// that is refused has done nothing.
fn claim(ptr: *u64, claimed: Message) bool {
    if (atomic.broken(.message_claim_not_atomic)) {
        if (!Message.load(ptr).isNone()) return false;
        Message.store(ptr, claimed);
        return true;
    }
    return Message.cas(ptr, .none, claimed);
}

/// What came back, or the oldest item. What a dead receiver had comes back first.
pub noinline fn receive(
    participant: *Participant,
    channel: *const Channel,
    patience: *Patience,
) Error!ring.Received {
    if (isAnyUserDead(&participant.view, channel)) _ = recovery.run(&participant.view, .{});
    while (true) switch (attemptReceive(participant, channel)) {
        .item => |index| {
            ends.wake(participant, channel, .head, .one);
            return .{ .item = try ring.handleOf(&participant.view, index) };
        },
        .returned => |index| return .{ .item = try ring.handleOf(&participant.view, index) },
        .nothing => if (!lookForTheDead(&participant.view)) return .nothing,
        .drained => if (!lookForTheDead(&participant.view)) return .drained,
        .frozen => try thaw.wait(participant, patience),
        .corrupt => return error.PoolCorrupt,
    };
}

/// Whether somebody died who has the channel open: a look at few rows, before each receive, so that
/// what came back is not overtaken for as long as the ring has something. Receivers that had let go
/// of the channel are found where nothing is left in it.
fn isAnyUserDead(view: *const View, channel: *const Channel) bool {
    const words_used = (view.rowsUsed() + 63) / 64;
    for (channel.block.channel.open_by[0..words_used], 0..) |*word, index| {
        var bits = atomic.load(u64, word, .monotonic);
        while (bits != 0) : (bits &= bits - 1) {
            const row = index * 64 + @ctz(bits);
            if (row >= view.geometry.participant_count) break;
            if (participant_file.isDead(&view.rows[row])) return true;
        }
    }
    return false;
}

/// True: a recovery ran, and something may have come back.
fn lookForTheDead(view: *const View) bool {
    return participant_file.anybodyDead(view) and recovery.run(view, .{}).ran;
}

const ReceiveAttempt = union(enum) {
    /// The index of the slot: from the ring, and from the returned list.
    item: u32,
    returned: u32,
    nothing,
    drained,
    frozen,
    corrupt,
};

/// The list is looked at first, and in the same bracket: no recovery adds to it meanwhile.
fn attemptReceive(participant: *const Participant, channel: *const Channel) ReceiveAttempt {
    const bracket = participant.enter();
    defer bracket.leave();
    if (!atomic.broken(.ring_before_returned)) switch (pop(&participant.view, channel)) {
        .item => |index| {
            receiveReturned(participant, channel, index);
            return .{ .returned = index };
        },
        .nothing => {},
        .frozen => return .frozen,
        .corrupt => return .corrupt,
    };
    const answer = takeFromRing(participant, channel, .receive);
    if (!atomic.broken(.ring_before_returned)) return answer;
    if (answer != .nothing and answer != .drained) return answer;
    switch (pop(&participant.view, channel)) {
        .item => |index| {
            receiveReturned(participant, channel, index);
            return .{ .returned = index };
        },
        .nothing => return answer,
        .frozen => return .frozen,
        .corrupt => return .corrupt,
    }
}

/// Where it came from stands in the slot already, as far as the position goes.
fn receiveReturned(participant: *const Participant, channel: *const Channel, index: u32) void {
    const slot = &participant.view.slots[index];
    const came_from = CameFrom.load(&slot.came_from);
    CameFrom.store(&slot.came_from, came_from.withChannel(channel.number));
    const deliveries = Message.load(&slot.message).deliveredOnceMore();
    Message.store(&slot.message, .receivedBy(participant.index, deliveries));
    participant.addHold(index);
}

/// What an item is taken from the ring for.
const Reason = enum { receive, make_room };

/// In the caller's bracket. What is about to be taken stands in the row before the CAS, so that a
/// recovery can tell which message a dead receiver took. Nobody before the winner, and it only
/// after its CAS, changes the message word: until then the buffer may be another's.
fn takeFromRing(
    participant: *const Participant,
    channel: *const Channel,
    comptime reason: Reason,
) ReceiveAttempt {
    const taking = &participant.row.taking;
    var noted = false;
    defer if (noted) Taking.store(taking, .nothing);
    while (true) {
        const head = channel_file.positionOf(channel.head);
        const cell_ptr = channel.cellAt(head) orelse return .corrupt;
        const cell = ring.load(cell_ptr);
        switch (ring.toReceiver(cell, head)) {
            .item => {},
            .lagging => {
                ring.help(channel, channel.head, head);
                continue;
            },
            .nothing => return .nothing,
            .drained => return .drained,
            .frozen => return .frozen,
            .impossible => {
                if (!channel_file.isStill(channel.head, head)) continue;
                return .corrupt;
            },
        }
        const index: u32 = cell.index;
        if (index >= participant.view.geometry.capacity) return .corrupt;
        noted = true;
        if (!atomic.broken(.taking_noted_late))
            Taking.store(taking, .of(channel.number, head, index));
        const slot = &participant.view.slots[index];
        if (atomic.broken(.message_received_early))
            receiveFromRing(participant, channel, slot, head);
        if (reason == .make_room) ring.beginDrop(channel);
        if (!ring.change(cell_ptr, cell, cell.emptied())) {
            if (reason == .make_room) ring.giveDropUp(channel);
            continue;
        }
        if (atomic.broken(.taking_noted_late))
            Taking.store(taking, .of(channel.number, head, index));
        switch (reason) {
            .receive => if (!atomic.broken(.message_received_early))
                receiveFromRing(participant, channel, slot, head),
            // From now on it is lost with its holder, as it shall be.
            .make_room => Message.store(&slot.message, .none),
        }
        participant.addHold(index);
        channel_file.moveOn(channel, channel.head, head);
        if (reason == .make_room) ring.endDrop(channel);
        return .{ .item = index };
    }
}

/// Where it came from first: nobody reads that before the message word says that it was received.
inline fn receiveFromRing(
    participant: *const Participant,
    channel: *const Channel,
    slot: *layout.Slot,
    head: Position,
) void {
    CameFrom.store(&slot.came_from, .of(channel.number, head));
    Message.store(&slot.message, .receivedBy(participant.index, 1));
}

/// Of a channel that is full: takes the oldest of the ring and releases it. False: there was none.
pub fn dropOldest(
    participant: *Participant,
    channel: *const Channel,
    patience: *Patience,
) Error!bool {
    while (true) switch (attemptDrop(participant, channel)) {
        .item => |index| {
            ends.wake(participant, channel, .head, .one);
            const handle = try ring.handleOf(&participant.view, index);
            if (!references.giveBack(participant, handle)) return error.PoolCorrupt;
            return true;
        },
        .returned => unreachable,
        .nothing, .drained => return false,
        .frozen => try thaw.wait(participant, patience),
        .corrupt => return error.PoolCorrupt,
    };
}

fn attemptDrop(participant: *const Participant, channel: *const Channel) ReceiveAttempt {
    const bracket = participant.enter();
    defer bracket.leave();
    return takeFromRing(participant, channel, .make_room);
}

/// Whether something came back. A look without a bracket.
pub fn hasReturned(channel: *const Channel) bool {
    return !Returned.load(&channel.head.returned, .acquire).isEmpty();
}

const Popped = union(enum) { item: u32, nothing, frozen, corrupt };

/// The first of the returned list. In the caller's bracket: nobody but recovery pushes, and it
/// changes the tag, so that a head which is the same is followed by the same.
///
/// SYNC: acquires what recovery linked and wrote, and releases `busy`. Pairs with
/// `returning.setFirst`, `section.freezeReturned` and `section.thawReturned`.
fn pop(view: *const View, channel: *const Channel) Popped {
    const ptr = &channel.head.returned;
    while (true) {
        const first = Returned.load(ptr, .acquire);
        if (first.frozen) return .frozen;
        if (first.isEmpty()) return .nothing;
        if (first.index >= view.geometry.capacity) return .corrupt;
        const next = atomic.load(u32, &view.slots[first.index].next_free, .monotonic);
        if (next >= view.geometry.capacity and next != words.index_nil) {
            if (Returned.load(ptr, .acquire) == first) return .corrupt;
            continue;
        }
        if (!Returned.cas(ptr, first, first.leadingTo(next))) continue;
        _ = @atomicRmw(u32, &channel.head.returned_count, .Sub, 1, .monotonic);
        _ = @atomicRmw(u64, &channel.head.received_again, .Add, 1, .monotonic);
        return .{ .item = first.index };
    }
}

/// For a channel that does not redeliver, and has a list only because another one names it as its
/// dead letters': what is received from it is no message any more. In the caller's bracket.
pub fn takeReturned(participant: *const Participant, channel: *const Channel) Popped {
    if (returnsNothing(channel)) return .nothing;
    return takeDeadLetter(participant, channel);
}

/// Whether the channel's list is empty, and no recovery is about to change that.
pub inline fn returnsNothing(channel: *const Channel) bool {
    const first = Returned.load(&channel.head.returned, .acquire);
    return first.isEmpty() and !first.frozen;
}

noinline fn takeDeadLetter(participant: *const Participant, channel: *const Channel) Popped {
    @branchHint(.cold);
    const popped = pop(&participant.view, channel);
    if (popped == .item) {
        Message.store(&participant.view.slots[popped.item].message, .none);
        participant.addHold(popped.item);
    }
    return popped;
}

/// The holder of a message is done with it: from now on its hold is an ordinary one, and goes with
/// it. It comes before the hold is given back, which is an ordinary release: nobody else gets the
/// slot while the message word names somebody.
///
/// It needs no bracket. Recovery leaves the message of a live owner where it is, whether it reads
/// this word before or after, and the hold keeps the slot from being another's.
pub fn acknowledge(participant: *const Participant, index: u32) void {
    _ = giveUpAt(participant, index);
}

/// Gives the hold of a message back, as `references.giveBack` does any other.
pub fn release(participant: *Participant, handle: u64) bool {
    const index = @as(words.Handle, @bitCast(handle)).index;
    if (index >= participant.view.geometry.capacity) return false;
    if (!atomic.broken(.message_cleared_late)) acknowledge(participant, index);
    const given = references.giveBack(participant, handle);
    if (atomic.broken(.message_cleared_late)) acknowledge(participant, index);
    return given;
}

/// A message that its holder gave up, and takes up again where it could not give the hold away.
pub const GivenUp = struct {
    index: u32,
    /// None: it was no message.
    message: Message,

    /// Its channel may have been removed meanwhile: then the slot has forgotten it, and the message
    /// goes back nowhere.
    pub fn takeUp(given: GivenUp, participant: *const Participant) void {
        if (given.message.isNone()) return;
        // Another holder may have made it a message of its own meanwhile.
        _ = Message.cas(&participant.view.slots[given.index].message, .none, given.message);
    }
};

/// Before the hold is given to somebody for whom it is no message.
pub fn giveUp(participant: *const Participant, handle: u64) Error!GivenUp {
    return giveUpAt(participant, try ring.heldIndex(participant, handle));
}

fn giveUpAt(participant: *const Participant, index: u32) GivenUp {
    const ptr = &participant.view.slots[index].message;
    const message = Message.load(ptr);
    if (!message.isHeldBy(participant.index)) return .{ .index = index, .message = .none };
    Message.store(ptr, .none);
    return .{ .index = index, .message = message };
}

/// Makes the caller's hold of a message an in-flight reference, which is no message.
pub fn handOff(participant: *Participant, handle: u64) Error!void {
    const given = try giveUp(participant, handle);
    _ = references.operate(participant, .hand_off, handle, 0) catch |err| {
        given.takeUp(participant);
        return err;
    };
}

/// How often the message was received that the caller's thread holds there; 0: it holds none.
pub fn deliveriesOf(participant: *const Participant, index: u32) u32 {
    const message = Message.load(&participant.view.slots[index].message);
    return if (message.isHeldBy(participant.index)) message.deliveries else 0;
}

/// Where the message stood in the channel that it was received from; the same at each delivery.
/// Null: the caller's thread holds no message there.
pub fn originOf(participant: *const Participant, index: u32) ?CameFrom {
    const slot = &participant.view.slots[index];
    if (!Message.load(&slot.message).isHeldBy(participant.index)) return null;
    return CameFrom.load(&slot.came_from);
}

const testing = std.testing;
const bench_file = @import("testing_channel.zig");
const sending = @import("sending.zig");
const Handle = words.Handle;
const TestingChannel = bench_file.TestingChannel;

/// A channel that redelivers, and three participants that have it open.
const Bench = struct {
    base: TestingChannel,
    patience: Patience,

    fn init(bench: *Bench, asked: directory.Asked) !void {
        var wanted = asked;
        wanted.redeliver = asked.redeliver orelse true;
        try bench.base.init(3, wanted);
        bench.patience = .untimed;
    }

    fn deinit(bench: *Bench) void {
        bench.base.deinit();
    }

    fn channel(bench: *Bench) *const Channel {
        return &bench.base.channel;
    }

    /// A new buffer of the participant's, in the channel.
    fn sendNew(bench: *Bench, row: usize) !u64 {
        const handle = bench.base.tryAcquire(row).?;
        const participant = &bench.base.participants[row];
        const answer = try sending.send(participant, bench.channel(), handle, &bench.patience);
        try testing.expectEqual(sending.Outcome.sent, answer);
        return handle;
    }

    fn sendFrom(bench: *Bench, row: usize, handle: u64, hold: Hold) !void {
        const participant = &bench.base.participants[row];
        const answer = try send(participant, bench.channel(), handle, hold, &bench.patience);
        try testing.expectEqual(ring.Sent.sent, answer);
    }

    fn receive(bench: *Bench, row: usize, from: *const Channel) !?u64 {
        const participant = &bench.base.participants[row];
        const answer = switch (from.kind) {
            .redelivering => try file.receive(participant, from, &bench.patience),
            else => try ring.receive(participant, from, &bench.patience),
        };
        return switch (answer) {
            .item => |handle| handle,
            .nothing, .drained => null,
        };
    }

    const file = @import("redelivery.zig");

    fn messageOf(bench: *Bench, handle: u64) Message {
        return Message.load(&bench.base.slotOf(handle).message);
    }

    fn deliveries(bench: *Bench, row: usize, handle: u64) u32 {
        return deliveriesOf(&bench.base.participants[row], @as(Handle, @bitCast(handle)).index);
    }

    fn kill(bench: *Bench, row: usize) !void {
        bench.base.kill(row);
        try bench.base.recover();
        try bench.base.expectExact();
    }
};

test "a message is its receiver's from its receipt to its release" {
    var bench: Bench = undefined;
    try bench.init(.{ .capacity = 2 });
    defer bench.deinit();
    const handle = try bench.sendNew(0);
    try testing.expectEqual(@as(?u32, 0), bench.messageOf(handle).channelTo());
    try testing.expectEqual(handle, (try bench.receive(1, bench.channel())).?);
    try testing.expect(bench.messageOf(handle).isHeldBy(1));
    try testing.expectEqual(@as(u32, 1), bench.deliveries(1, handle));
    try testing.expectEqual(@as(u32, 0), bench.deliveries(2, handle));
    try testing.expectEqual(@as(u64, 0), bench.base.participants[1].row.taking);
    try bench.base.expectExact();
    // Another hold's release leaves it alone.
    _ = try references.operate(&bench.base.participants[1], .get, handle, 0);
    try bench.base.release(1, handle);
    try testing.expect(bench.messageOf(handle).isHeldBy(1));
    try testing.expect(release(&bench.base.participants[1], handle));
    try bench.base.expectExact();
    try testing.expectEqual(words.State.free, bench.base.control(handle).state);
    // Its owner's death brings nothing back then.
    try bench.kill(1);
    try testing.expectEqual(null, try bench.receive(2, bench.channel()));
}

test "where a message came from is the same at each delivery, and another of each message" {
    var bench: Bench = undefined;
    try bench.init(.{ .capacity = 2 });
    defer bench.deinit();
    const row = &bench.base.participants[1];
    var before: ?CameFrom = null;
    for (0..5) |round| {
        const handle = try bench.sendNew(0);
        const index: u32 = @as(Handle, @bitCast(handle)).index;
        try testing.expectEqual(null, originOf(row, index));
        try testing.expectEqual(handle, (try bench.receive(1, bench.channel())).?);
        const origin = originOf(row, index).?;
        try testing.expectEqual(round, @as(u32, origin.lap) * 2 + origin.place);
        try testing.expectEqual(@as(?u32, 0), origin.channelOf());
        if (before) |other| try testing.expect(other.isBefore(origin));
        before = origin;
        try testing.expectEqual(null, originOf(&bench.base.participants[2], index));
        try testing.expect(release(row, handle));
        try testing.expectEqual(null, originOf(row, index));
    }
    const handle = try bench.sendNew(0);
    const index: u32 = @as(Handle, @bitCast(handle)).index;
    _ = (try bench.receive(1, bench.channel())).?;
    const origin = originOf(row, index).?;
    try bench.kill(1);
    try testing.expectEqual(handle, (try bench.receive(2, bench.channel())).?);
    const again = originOf(&bench.base.participants[2], index).?;
    try testing.expectEqual(origin.place, again.place);
    try testing.expectEqual(origin.lap, again.lap);
    try testing.expectEqual(origin.channelOf(), again.channelOf());
}

test "what a receiver held when it died comes before newer items, in order" {
    var bench: Bench = undefined;
    try bench.init(.{ .capacity = 8 });
    defer bench.deinit();
    for ([_]u40{ 1, 1 << 13, 1 << 21, 0 }) |wraps_at| {
        bench.base.startAt(wraps_at -% 1);
        for (0..3) |_| {
            var sent: [8]u64 = undefined;
            for (&sent) |*handle| handle.* = try bench.sendNew(0);
            for (sent[0..6]) |handle|
                try testing.expectEqual(handle, (try bench.receive(1, bench.channel())).?);
            const more = try bench.sendNew(0);
            // The second was done.
            try testing.expect(release(&bench.base.participants[1], sent[1]));
            try bench.kill(1);
            try bench.base.takeRowAgain(1);
            for ([_]u64{ sent[0], sent[2], sent[3], sent[4], sent[5] }) |handle| {
                try testing.expectEqual(handle, (try bench.receive(2, bench.channel())).?);
                try testing.expectEqual(@as(u32, 2), bench.deliveries(2, handle));
                try testing.expect(release(&bench.base.participants[2], handle));
            }
            for ([_]u64{ sent[6], sent[7], more }) |handle| {
                try testing.expectEqual(handle, (try bench.receive(2, bench.channel())).?);
                try testing.expectEqual(@as(u32, 1), bench.deliveries(2, handle));
                try testing.expect(release(&bench.base.participants[2], handle));
            }
            try testing.expectEqual(null, try bench.receive(2, bench.channel()));
            try bench.base.expectExact();
        }
    }
}

test "it comes back where the channel is full or closed, again and again" {
    var bench: Bench = undefined;
    try bench.init(.{ .capacity = 1, .max_deliveries = 9 });
    defer bench.deinit();
    const handle = try bench.sendNew(0);
    for (1..9) |times| {
        try testing.expectEqual(handle, (try bench.receive(1, bench.channel())).?);
        try testing.expectEqual(@as(u32, @intCast(times)), bench.deliveries(1, handle));
        if (times == 1) _ = try bench.sendNew(0);
        const one = &bench.base.participants[0];
        if (times == 2) _ = try ring.close(one, bench.channel(), &bench.patience);
        try bench.kill(1);
        try bench.base.takeRowAgain(1);
    }
    try testing.expectEqual(@as(u64, 8), bench.channel().block.channel.redelivered);
}

test "a receiver that finds nothing looks for the dead" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const handle = try bench.sendNew(0);
    _ = try bench.receive(1, bench.channel());
    try testing.expectEqual(null, try bench.receive(2, bench.channel()));
    // It had let go of the channel.
    directory.detach(&bench.base.participants[1], bench.channel());
    bench.base.kill(1);
    try testing.expectEqual(handle, (try bench.receive(2, bench.channel())).?);
}

test "a receiver gets what the dead had before what is in the ring" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const handle = try bench.sendNew(0);
    _ = try bench.receive(1, bench.channel());
    const newer = try bench.sendNew(0);
    bench.base.kill(1);
    try testing.expectEqual(handle, (try bench.receive(2, bench.channel())).?);
    try testing.expectEqual(newer, (try bench.receive(2, bench.channel())).?);
}

test "sent on to another channel it comes back there, and begins anew" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const second = try bench.base.other("second", .{ .redeliver = true });
    const handle = try bench.sendNew(0);
    _ = try bench.receive(1, bench.channel());
    try bench.kill(1);
    _ = try bench.receive(2, bench.channel());
    const two = &bench.base.participants[2];
    const answer = try sending.trySendMessage(two, &second, handle, &bench.patience);
    try testing.expectEqual(ring.Sent.sent, answer);
    try bench.kill(2);
    try testing.expectEqual(null, try bench.receive(0, bench.channel()));
    try testing.expectEqual(handle, (try bench.receive(0, &second)).?);
    try testing.expectEqual(@as(u32, 1), bench.deliveries(0, handle));
    // Of the first channel's messages none is left.
    try bench.base.recover();
    try bench.base.expectExact();
    try testing.expect(bench.messageOf(handle).isHeldBy(0));
}

test "a send that is refused changes nothing" {
    inline for (.{ Hold.ordinary, Hold.message }) |hold| {
        var bench: Bench = undefined;
        try bench.init(.{});
        defer bench.deinit();
        const second = try bench.base.other("second", .{ .redeliver = true, .capacity = 1 });
        const one = &bench.base.participants[0];
        const handle = switch (hold) {
            .ordinary => bench.base.tryAcquire(0).?,
            .message => blk: {
                _ = try bench.sendNew(1);
                break :blk (try bench.receive(0, bench.channel())).?;
            },
        };
        const before = bench.messageOf(handle);
        const filler = bench.base.tryAcquire(0).?;
        _ = try send(one, &second, filler, .ordinary, &bench.patience);
        var answer = try send(one, &second, handle, hold, &bench.patience);
        try testing.expectEqual(ring.Sent.full, answer);
        try testing.expectEqual(before, bench.messageOf(handle));
        _ = try ring.close(one, &second, &bench.patience);
        answer = try send(one, &second, handle, hold, &bench.patience);
        try testing.expectEqual(ring.Sent.closed, answer);
        try testing.expectEqual(before, bench.messageOf(handle));
        try bench.base.expectExact();
        try bench.kill(0);
        const back = try bench.receive(1, bench.channel());
        try testing.expectEqual(if (hold == .message) handle else null, back);
    }
}

test "one of several holds is the message, and only it is sent on" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const one = &bench.base.participants[0];
    const handle = bench.base.tryAcquire(0).?;
    _ = try references.operate(one, .get, handle, 0);
    try bench.sendFrom(0, handle, .ordinary);
    try testing.expectError(
        error.BufferInUse,
        send(one, bench.channel(), handle, .ordinary, &bench.patience),
    );
    try testing.expectEqual(handle, (try bench.receive(0, bench.channel())).?);
    // Of two holds of one thread, too.
    try testing.expectError(
        error.BufferInUse,
        send(one, bench.channel(), handle, .ordinary, &bench.patience),
    );
    try bench.sendFrom(0, handle, .message);
    try bench.base.expectExact();
    try testing.expectEqual(handle, (try bench.receive(1, bench.channel())).?);
    try testing.expect(release(&bench.base.participants[1], handle));
    // The other hold is an ordinary one again.
    try bench.sendFrom(0, handle, .ordinary);
    try bench.base.expectExact();
}

test "handed off, or sent to a channel that does not redeliver, it is no message any more" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const plain = try bench.base.other("plain", .{ .capacity = 1 });
    const one = &bench.base.participants[0];
    const first = try bench.sendNew(1);
    const second = try bench.sendNew(1);
    const third = try bench.sendNew(1);
    for (0..3) |_| _ = try bench.receive(0, bench.channel());
    var answer = try sending.trySendMessage(one, &plain, first, &bench.patience);
    try testing.expectEqual(ring.Sent.sent, answer);
    try testing.expect(bench.messageOf(first).isNone());
    // A refused one stays a message.
    answer = try sending.trySendMessage(one, &plain, second, &bench.patience);
    try testing.expectEqual(ring.Sent.full, answer);
    try testing.expect(bench.messageOf(second).isHeldBy(0));
    try handOff(one, third);
    try testing.expect(bench.messageOf(third).isNone());
    try testing.expectEqual(@as(u16, 1), bench.base.control(third).in_flight);
    try testing.expectError(error.StaleHandle, handOff(one, third));
    bench.base.kill(0);
    try bench.base.recover();
    try testing.expectEqual(first, (try bench.receive(1, &plain)).?);
    try testing.expectEqual(second, (try bench.receive(1, bench.channel())).?);
    try testing.expectEqual(null, try bench.receive(1, bench.channel()));
}

test "a message that is taken up again goes back to its channel, and to no later one" {
    for ([_]bool{ false, true }) |is_removed| {
        var bench: Bench = undefined;
        try bench.init(.{});
        defer bench.deinit();
        const one = &bench.base.participants[0];
        const two = &bench.base.participants[1];
        _ = try bench.sendNew(0);
        const handle = (try bench.receive(0, bench.channel())).?;
        const given = try giveUp(one, handle);
        try testing.expect(bench.messageOf(handle).isNone());
        if (is_removed) {
            _ = try ring.close(one, bench.channel(), &bench.patience);
            for (bench.base.participants[0..3]) |*each| directory.detach(each, bench.channel());
            try bench.base.recover();
            const later = try directory.open(two, "later", .{ .redeliver = true });
            try testing.expectEqual(bench.channel().number, later.channel.number);
        }
        given.takeUp(one);
        try testing.expect(bench.messageOf(handle).isHeldBy(0));
        try bench.kill(0);
        const back = try bench.receive(1, bench.channel());
        try testing.expectEqual(if (is_removed) null else handle, back);
    }
}

test "what is dropped to make room, or for want of it, is no message any more" {
    for ([_]words.ChannelOverflow{ .drop_oldest, .drop_newest }) |overflow| {
        var bench: Bench = undefined;
        try bench.init(.{ .capacity = 1, .overflow = overflow });
        defer bench.deinit();
        const one = &bench.base.participants[0];
        _ = try bench.sendNew(0);
        // One that is a message already is dropped as well.
        const moved = (try bench.receive(0, bench.channel())).?;
        const first = try bench.sendNew(0);
        const answer = try sending.sendMessage(one, bench.channel(), moved, &bench.patience);
        const left, const gone = switch (overflow) {
            .drop_oldest => .{ moved, first },
            else => .{ first, moved },
        };
        try testing.expectEqual(overflow == .drop_oldest, answer == .sent);
        try testing.expectEqual(words.State.free, bench.base.control(gone).state);
        const dropped = bench.channel().head.dropped + bench.channel().tail.dropped;
        try testing.expectEqual(@as(u64, 1), dropped);
        try bench.base.expectExact();
        try bench.kill(0);
        try testing.expectEqual(left, (try bench.receive(1, bench.channel())).?);
        try testing.expectEqual(null, try bench.receive(1, bench.channel()));
    }
}

test "a list that leads out of the pool is damage, and ends no later than a call" {
    var bench: Bench = undefined;
    try bench.init(.{});
    defer bench.deinit();
    const plain = try bench.base.other("plain", .{});
    const one = &bench.base.participants[0];
    for ([_]*const Channel{ bench.channel(), &plain }) |channel| {
        channel.head.returned = @bitCast(Returned{ .index = bench_file.slots });
        try testing.expectError(error.PoolCorrupt, bench.receive(0, channel));
        channel.head.returned = @bitCast(Returned{ .index = 3 });
        bench.base.pool.view.slots[3].next_free = bench_file.slots;
        try testing.expectError(error.PoolCorrupt, bench.receive(0, channel));
        bench.base.pool.view.slots[3].next_free = words.index_nil;
    }
    try testing.expectEqual(@as(u64, 0), one.row.busy & 1);
    try bench.base.recover();
    try testing.expectEqual(null, try bench.receive(0, bench.channel()));
}
