//! What a fiber does with its channel, as the interface for Bun would: see `operations.zig`.

const std = @import("std");
const blocking = @import("core").protocol.waiting.blocking;
const Channel = @import("core").protocol.channel.channel.Channel;
const broadcast = @import("core").protocol.channel.broadcast;
const channel_oracle = @import("channel_oracle.zig");
const directory = @import("core").protocol.channel.directory;
const ends = @import("core").protocol.channel.ends;
const errors = @import("core").errors;
const operations = @import("operations.zig");
const oracle = @import("oracle.zig");
const programs = @import("programs.zig");
const redelivery = @import("core").protocol.channel.redelivery;
const ring = @import("core").protocol.channel.ring;
const sending = @import("core").protocol.channel.sending;
const state = @import("state.zig");
const thaw = @import("core").protocol.recovery.thaw;
const words = @import("core").format.words;

const Error = errors.Error;

pub const How = enum {
    /// Gives up where there is no room, or nothing there.
    at_once,
    /// Does what the channel does when it is full.
    dropping,
    blocking,
    /// Blocking, with a bound that ends before a slice of the wait does.
    timed,
};

pub fn open(me: u8) void {
    const thread = &programs.current.threads[me];
    const wanted = programs.current.channels[thread.channel];
    const before = channel_oracle.opens(me);
    const participant = &state.participants[me];
    var asked = wanted.asked;
    asked.subscribe = thread.subscribes;
    const found = directory.open(participant, wanted.name, asked) catch |err| return switch (err) {
        error.OutOfMemory => if (!programs.current.lacksBlocks()) oracle.unexpected(err),
        else => operations.mayBeBusy(err),
    };
    const opened = &state.opened[me];
    opened.channel = found.channel;
    opened.subscription = found.subscription;
    link(me);
    opened.channel.locals = &opened.locals;
    channel_oracle.opened(me, before);
}

/// A thread keeps what it knows of the ends, also of a channel that it left: see
/// `process/channels.zig`.
fn link(me: u8) void {
    const opened = &state.opened[me];
    const at_pool = &state.participants[me].local.at_pool;
    const place = ends.placeAt(&opened.channel, .head);
    if (at_pool.next != null and opened.locals.at_head.place.number == place.number) return;
    opened.locals = .of(&opened.channel);
    opened.locals.at_head.next = &opened.locals.at_tail;
    at_pool.next = &opened.locals.at_head;
}

/// The channel to which the thread sends on.
pub fn openOnward(me: u8) void {
    const thread = &programs.current.threads[me];
    const wanted = programs.current.channels[thread.onward.?];
    const participant = &state.participants[me];
    const found = directory.open(participant, wanted.name, wanted.asked) catch |err|
        return operations.mayBeBusy(err);
    const opened = &state.onward[me];
    opened.channel = found.channel;
    opened.subscription = null;
    opened.locals = .of(&opened.channel);
    opened.channel.locals = &opened.locals;
    state.now.ledgers[me].has_onward = true;
}

pub fn leaveOnward(me: u8) void {
    directory.detach(&state.participants[me], &state.onward[me].channel);
    state.now.ledgers[me].has_onward = false;
}

pub fn leave(me: u8) void {
    const participant = &state.participants[me];
    const opened = &state.opened[me];
    const ledger = &state.now.ledgers[me].channel;
    ledger.subscribed = false;
    var patience: thaw.Patience = .untimed;
    if (opened.subscription) |own|
        broadcast.unsubscribe(participant, &opened.channel, own, &patience);
    opened.subscription = null;
    directory.detach(participant, &opened.channel);
    ledger.open = false;
}

pub fn close(me: u8) void {
    var patience: thaw.Patience = .untimed;
    _ = ring.close(&state.participants[me], &state.opened[me].channel, &patience) catch |err|
        return operations.mayBeBusy(err);
    channel_oracle.closes(me);
}

pub fn isReader(me: u8) bool {
    const opened = &state.opened[me];
    return opened.channel.mode == .queue or opened.subscription != null;
}

pub fn send(me: u8, slot: usize, how: How) void {
    sendTo(me, &state.opened[me].channel, slot, how);
}

pub fn sendOn(me: u8, slot: usize) void {
    sendTo(me, &state.onward[me].channel, slot, .at_once);
}

fn sendTo(me: u8, channel: *const Channel, slot: usize, how: How) void {
    const ledger = &state.now.ledgers[me];
    const handle = ledger.handles[slot];
    const contents = ledger.contents[slot];
    // From here on the pool has to keep it for whom it is sent to.
    ledger.holds[slot] -= 1;
    if (ledger.holds[slot] == 0) ledger.contents[slot] = 0;
    const is_message = ledger.messages[slot];
    ledger.messages[slot] = false;
    const item: state.Item = .{ .handle = @intCast(handle), .contents = contents };
    const is_own = channel == &state.opened[me].channel;
    const doing: state.Doing = if (how == .dropping) .send_dropping else if (is_own) .send else .send_on;
    channel_oracle.begin(me, doing, @bitCast(item));
    const hold: redelivery.Hold = if (is_message) .message else .ordinary;
    const result = attempt(me, channel, handle, hold, how);
    const done = channel_oracle.end(me);
    const outcome = result catch |err| {
        if (done.sent) oracle.report("a send fails after it has sent");
        keep(ledger, slot, contents);
        ledger.messages[slot] = is_message;
        // Another hold of the buffer is the message.
        if (err == error.BufferInUse and channel.kind == .redelivering and !is_message) return;
        return operations.mayBeBusy(err);
    };
    if (outcome == .full or outcome == .closed) ledger.messages[slot] = is_message;
    if (done.sent != (outcome == .sent)) oracle.report("a send says that it was another one");
    switch (outcome) {
        .sent => {},
        .dropped => if (!done.seen.full) oracle.report("an item is refused by a channel with room"),
        .full => {
            if (!done.seen.full) oracle.report("a channel is said to be full that is not");
            keep(ledger, slot, contents);
        },
        .closed => {
            if (!done.seen.closed) oracle.report("a channel is said to be closed that is not");
            keep(ledger, slot, contents);
        },
    }
}

fn keep(ledger: *state.Ledger, slot: usize, contents: u8) void {
    ledger.holds[slot] += 1;
    ledger.contents[slot] = contents;
}

fn attempt(
    me: u8,
    channel: *const Channel,
    handle: u64,
    hold: redelivery.Hold,
    how: How,
) Error!sending.Outcome {
    const participant = &state.participants[me];
    var patience: thaw.Patience = .untimed;
    switch (how) {
        .at_once => {
            const answer = try switch (hold) {
                .ordinary => sending.trySend(participant, channel, handle, &patience),
                .message => sending.trySendMessage(participant, channel, handle, &patience),
            };
            return switch (answer) {
                .sent => .sent,
                .full => .full,
                .closed => .closed,
            };
        },
        .dropping => return switch (hold) {
            .ordinary => sending.send(participant, channel, handle, &patience),
            .message => sending.sendMessage(participant, channel, handle, &patience),
        },
        .blocking, .timed => {
            var want: ends.Sending = .of(participant, channel, handle);
            want.hold = hold;
            block(me, &want, how) catch |err| return switch (err) {
                error.ChannelClosed => .closed,
                error.Timeout => if (how == .timed) .full else err,
                else => err,
            };
            return .sent;
        },
    }
}

fn block(me: u8, want: anytype, how: How) Error!@TypeOf(want.*).Result {
    const ledger = &state.now.ledgers[me];
    ledger.timed = how == .timed;
    defer ledger.timed = false;
    const end_ns = state.now.clock_ns + programs.short_ns;
    const deadline_ns = if (how == .timed) end_ns else std.math.maxInt(u64);
    var wait: blocking.Wait = .{};
    while (true) {
        return blocking.slice(want, &wait, deadline_ns) catch |err| {
            if (err == error.Pending) continue;
            return err;
        };
    }
}

pub fn receive(me: u8, how: How) void {
    const opened = &state.opened[me];
    channel_oracle.begin(me, .receive, 0);
    var want: ends.Receiving =
        .of(&state.participants[me], &opened.channel, opened.subscription);
    const result = attemptToReceive(me, &want, how);
    const done = channel_oracle.end(me);
    const found = result catch |err| return switch (err) {
        error.ChannelClosed => nothingTaken(done, done.seen.drained),
        else => operations.mayBeBusy(err),
    };
    const handle = found orelse return nothingTaken(done, done.seen.empty);
    const contents = channel_oracle.received(me, done, handle);
    oracle.holds(me, handle);
    const ledger = &state.now.ledgers[me];
    const index = @as(words.Handle, @bitCast(handle)).index;
    ledger.contents[index] = contents;
    if (opened.channel.kind == .redelivering) ledger.messages[index] = true;
}

fn nothingTaken(done: state.ChannelLedger, was_so: bool) void {
    if (done.taken != 0) oracle.report("a receiver lost the item that it took");
    if (!was_so) oracle.report("a channel is said to have nothing that has an item");
}

fn attemptToReceive(me: u8, want: *ends.Receiving, how: How) Error!?u64 {
    if (how != .at_once) return block(me, want, how) catch |err|
        if (err == error.Timeout and how == .timed) null else err;
    var patience: thaw.Patience = .untimed;
    return want.tryNow(&patience);
}
