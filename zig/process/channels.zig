//! The channels that one open of a pool has open, by number. Each is a `Channel` object of
//! TypeScript: it can wait at both ends, and has a subscription of its own where it reads a
//! broadcast. All of them are used on the thread that opened the pool.

const std = @import("std");
const blocking = @import("../protocol/waiting/blocking.zig");
const broadcast = @import("../protocol/channel/broadcast.zig");
const channel_file = @import("../protocol/channel/channel.zig");
const directory = @import("../protocol/channel/directory.zig");
const ends = @import("../protocol/channel/ends.zig");
const errors = @import("../errors.zig");
const holds = @import("holds.zig");
const member_file = @import("member.zig");
const messages = @import("messages.zig");
const open_pool = @import("open_pool.zig");
const redelivery = @import("../protocol/channel/redelivery.zig");
const references = @import("../protocol/pool/references.zig");
const ring = @import("../protocol/channel/ring.zig");
const sending = @import("../protocol/channel/sending.zig");
const register = @import("../system/register.zig");
const thaw = @import("../protocol/recovery/thaw.zig");
const words = @import("../format/words.zig");
const AsyncWait = @import("async_wait.zig").AsyncWait;

const Channel = channel_file.Channel;
const Error = errors.Error;
const Member = member_file.Member;
const Patience = thaw.Patience;
const Pool = open_pool.Pool;
const allocator = std.heap.c_allocator;

/// Channels that one open of a pool can have open at a time.
pub const opened_max = 1 << 16;

/// What a thread has of a channel, however often it has it open. It stays until the thread leaves
/// the pool, since the thread's row may owe the end of a wait at one of the ends.
pub const ThreadChannel = struct {
    number: u32,
    opens: u32,
    locals: ends.Locals,
    next: ?*ThreadChannel,
};

pub const OpenChannel = struct {
    channel: Channel,
    /// Tells this open from those that had its number before, and from those of other pools.
    serial: u16,
    /// Whether it receives; else it only sends.
    receives: bool,
    subscription: ?broadcast.Subscription,
    /// Nobody else's: it is closed when this open leaves it.
    is_own: bool = false,
    shared: *ThreadChannel,
    receiving: blocking.Wait = .{},
    sending: blocking.Wait = .{},
    async_receiving: AsyncWait = .{},
    async_sending: AsyncWait = .{},
    async_closing: AsyncWait = .{},
};

pub const List = []?*OpenChannel;

/// Opens the channel of that name, or makes it. Returns its number.
pub fn open(pool: *Pool, name: []const u8, asked: directory.Asked) Error!u32 {
    const number = try freeNumber(pool);
    const opened = allocator.create(OpenChannel) catch return error.OutOfMemory;
    errdefer allocator.destroy(opened);
    var found = try directory.open(&pool.participant, name, asked);
    const shared = prepare(pool, &found.channel) catch |err| {
        if (found.subscription) |own| broadcast.dropSubscriber(&found.channel, own.number);
        const again = known(pool, found.channel.number);
        if (again == null or again.?.opens == 0)
            directory.detach(&pool.participant, &found.channel);
        return err;
    };
    shared.opens += 1;
    found.channel.locals = &shared.locals;
    opened.* = .{
        .channel = found.channel,
        .serial = nextSerial(),
        .receives = asked.subscribe,
        .subscription = found.subscription,
        .shared = shared,
    };
    pool.channels[number] = opened;
    return number;
}

fn prepare(pool: *Pool, channel: *const Channel) Error!*ThreadChannel {
    if (channel.kind == .redelivering) try messages.prepare(pool);
    return threadChannel(pool, channel);
}

var serials: u32 = 0;

/// From 1 on, in turn, so that each comes again as late as possible.
fn nextSerial() u16 {
    const count = @atomicRmw(u32, &serials, .Add, 1, .monotonic);
    return @intCast(1 + count % std.math.maxInt(u16));
}

fn freeNumber(pool: *Pool) Error!u32 {
    for (pool.channels, 0..) |each, number| if (each == null) return @intCast(number);
    const length = pool.channels.len;
    if (length >= opened_max) return errors.fail(
        error.OutOfMemory,
        0,
        "{d} channels are open here",
        .{length},
    );
    const grown = allocator.realloc(pool.channels, @max(4, length * 2)) catch
        return error.OutOfMemory;
    @memset(grown[length..], null);
    pool.channels = grown;
    return @intCast(length);
}

fn memberOf(pool: *Pool) *Member {
    return @fieldParentPtr("local", pool.participant.local);
}

fn known(pool: *Pool, number: u32) ?*ThreadChannel {
    var each = memberOf(pool).channels;
    while (each) |shared| : (each = shared.next) if (shared.number == number) return shared;
    return null;
}

fn threadChannel(pool: *Pool, channel: *const Channel) Error!*ThreadChannel {
    if (known(pool, channel.number)) |shared| return shared;
    const member = memberOf(pool);
    const shared = allocator.create(ThreadChannel) catch return error.OutOfMemory;
    shared.* = .{
        .number = channel.number,
        .opens = 0,
        .locals = .of(channel),
        .next = member.channels,
    };
    member.channels = shared;
    // The thread settles what it owes at all its places.
    const at_pool = &member.local.at_pool;
    shared.locals.at_head.next = &shared.locals.at_tail;
    shared.locals.at_tail.next = at_pool.next;
    at_pool.next = &shared.locals.at_head;
    return shared;
}

/// Null: no channel is open under that number.
pub inline fn at(pool: *const Pool, number: u32) ?*OpenChannel {
    return if (number < pool.channels.len) pool.channels[number] else null;
}

/// Lets go of a channel, which goes on for the others, unless it is this open's own.
pub fn leave(pool: *Pool, number: u32) void {
    const opened = at(pool, number) orelse return;
    const participant = &pool.participant;
    pool.channels[number] = null;
    defer allocator.destroy(opened);
    const at_head: ends.At(.head) = .{ .channel = &opened.channel };
    const at_tail: ends.At(.tail) = .{ .channel = &opened.channel };
    if (memberOf(pool).isForgotten()) {
        opened.async_sending.forget();
        opened.async_receiving.forget();
        opened.async_closing.forget();
        return;
    }
    // Where the pool is stopped it stays until its lease is over.
    if (opened.is_own) close(pool, opened) catch {};
    opened.async_sending.close(at_head, participant);
    opened.async_receiving.close(at_tail, participant);
    opened.async_closing.close(ends.Closing{ .channel = &opened.channel }, participant);
    var patience: Patience = .untimed;
    if (opened.sending.counted) at_head.end(participant, &patience);
    if (opened.receiving.counted) at_tail.end(participant, &patience);
    // A wake that was this open's is another waiter's.
    at_head.passOn(participant);
    at_tail.passOn(participant);
    if (opened.subscription) |own| {
        broadcast.unsubscribe(participant, &opened.channel, own, &patience);
    }
    opened.shared.opens -= 1;
    if (opened.shared.opens == 0) directory.detach(participant, &opened.channel);
}

/// The pool is closed here, now or as soon as nobody sees its memory any more.
pub fn leaveAll(pool: *Pool) void {
    for (0..pool.channels.len) |number| leave(pool, @intCast(number));
    forgetAll(pool);
}

/// Only the memory: the thread ended, and its row says so.
pub fn forgetAll(pool: *Pool) void {
    for (pool.channels) |each| if (each) |opened| allocator.destroy(opened);
    allocator.free(pool.channels);
    pool.channels = &.{};
}

/// With the thread's participant.
pub fn destroyShared(member: *Member) void {
    var each = member.channels;
    member.channels = null;
    while (each) |shared| {
        each = shared.next;
        allocator.destroy(shared);
    }
}

pub const Sent = enum { sent, dropped };

/// Moves a hold of this open into the channel, or drops what the channel's overflow says. The hold
/// stays on every error. ChannelFull: of a channel whose senders wait for room. ChannelClosed.
pub fn send(
    pool: *Pool,
    opened: *OpenChannel,
    handle: u64,
    patience: *Patience,
) Error!Sent {
    if (!holds.has(pool, handle)) return error.StaleHandle;
    while (true) switch (try sending.send(&pool.participant, &opened.channel, handle, patience)) {
        .sent => {
            holds.remove(pool, handle);
            return .sent;
        },
        .dropped => {
            holds.remove(pool, handle);
            return .dropped;
        },
        .full => if (!lookForTheDead(pool)) return error.ChannelFull,
        .closed => return error.ChannelClosed,
    };
}

/// As `send`, but drops nothing. ChannelFull: there is no room.
pub fn trySend(
    pool: *Pool,
    opened: *OpenChannel,
    handle: u64,
    patience: *Patience,
) Error!void {
    if (!holds.has(pool, handle)) return error.StaleHandle;
    while (true) switch (try sending.trySend(&pool.participant, &opened.channel, handle, patience)) {
        .sent => return holds.remove(pool, handle),
        .full => if (!lookForTheDead(pool)) return error.ChannelFull,
        .closed => return error.ChannelClosed,
    };
}

/// As `send`, of a hold that is a message.
pub fn sendMessage(
    pool: *Pool,
    opened: *OpenChannel,
    handle: u64,
    patience: *Patience,
) Error!Sent {
    if (!holds.has(pool, handle)) return error.StaleHandle;
    const participant = &pool.participant;
    while (true) switch (try sending.sendMessage(participant, &opened.channel, handle, patience)) {
        .sent => {
            removeMessage(pool, handle);
            return .sent;
        },
        .dropped => {
            removeMessage(pool, handle);
            return .dropped;
        },
        .full => if (!lookForTheDead(pool)) return error.ChannelFull,
        .closed => return error.ChannelClosed,
    };
}

/// As `trySend`, likewise.
pub fn trySendMessage(
    pool: *Pool,
    opened: *OpenChannel,
    handle: u64,
    patience: *Patience,
) Error!void {
    if (!holds.has(pool, handle)) return error.StaleHandle;
    const participant = &pool.participant;
    const channel = &opened.channel;
    while (true) switch (try sending.trySendMessage(participant, channel, handle, patience)) {
        .sent => return removeMessage(pool, handle),
        .full => if (!lookForTheDead(pool)) return error.ChannelFull,
        .closed => return error.ChannelClosed,
    };
}

fn removeMessage(pool: *Pool, handle: u64) void {
    holds.remove(pool, handle);
    messages.remove(pool, handle);
}

/// A dead subscriber keeps what it had still to read. True: a try is worth it.
fn lookForTheDead(pool: *const Pool) bool {
    @branchHint(.unlikely);
    return ends.lookForTheDead(&pool.participant.view);
}

/// One slice of a wait for room. PENDING: call again.
pub fn sendSlice(pool: *Pool, opened: *OpenChannel, handle: u64, deadline_ns: u64) Error!void {
    if (!holds.has(pool, handle)) return error.StaleHandle;
    var want: ends.Sending = .of(&pool.participant, &opened.channel, handle);
    try blocking.slice(&want, &opened.sending, deadline_ns);
    holds.remove(pool, handle);
}

/// As `trySendMessage`, for an event loop: never waits.
pub fn sendMessageAtOnce(pool: *Pool, opened: *OpenChannel, handle: u64) Error!void {
    var patience: Patience = .none;
    patience.expiry = error.Pending;
    return trySendMessage(pool, opened, handle, &patience);
}

/// As `sendSlice`, of a hold that is a message.
pub fn sendMessageSlice(
    pool: *Pool,
    opened: *OpenChannel,
    handle: u64,
    deadline_ns: u64,
) Error!void {
    if (!holds.has(pool, handle)) return error.StaleHandle;
    var want: ends.Sending = .of(&pool.participant, &opened.channel, handle);
    want.hold = .message;
    try blocking.slice(&want, &opened.sending, deadline_ns);
    removeMessage(pool, handle);
}

/// A hold of this open of what comes next. ChannelEmpty: nothing is there. ChannelClosed: and
/// nothing comes.
pub fn receive(pool: *Pool, opened: *OpenChannel, patience: *Patience) Error!holds.Held {
    if (opened.channel.kind == .queue) {
        const received = try ring.receive(&pool.participant, &opened.channel, patience);
        return switch (received) {
            .item => |handle| holds.adopt(pool, handle),
            .nothing => error.ChannelEmpty,
            .drained => error.ChannelClosed,
        };
    }
    return receiveOtherwise(pool, opened, patience);
}

/// The same in a straight line, of a queue: the buffer's index, and the rest in `pool.made`. Null:
/// nothing was done, and `receive` does it or says what stands in the way. `adoptReceived` has to
/// follow where `made` is not told.
pub inline fn receiveStraight(pool: *Pool, opened: *const OpenChannel) ?Straight {
    if (opened.channel.kind != .queue) return null;
    const participant = &pool.participant;
    const index = ring.receiveStraight(participant, &opened.channel) orelse return null;
    const view = &participant.view;
    const slot = &view.slots[register.single(index)];
    const control = words.Control.load(&slot.control, .acquire);
    const size = words.Content.load(&slot.content).size;
    const is_told = control.isPlainlyHeld() and size <= view.geometry.buffer_size and
        view.populatedBytes(index) >= size;
    if (is_told) {
        pool.counts[index] +|= 1;
        pool.made = .{ .generation = control.generation, .size = size };
    }
    ring.wakeSenders(participant, &opened.channel);
    return .{ .index = index, .is_told = is_told };
}

/// Whether a queue has nothing, at a glance: a receiver that asks again and again is told soon.
pub inline fn looksEmpty(opened: *const OpenChannel) bool {
    return opened.channel.kind == .queue and ring.looksEmpty(&opened.channel);
}

pub const Straight = struct { index: u32, is_told: bool };

/// The end of a receive of something uncommon, as its first use in this process, or of a damaged
/// buffer.
pub fn adoptReceived(pool: *Pool, index: u32) Error!holds.Held {
    return holds.adopt(pool, try ring.handleOf(&pool.participant.view, index));
}

/// A send to a queue in a straight line. False: nothing was done, and `send` does it or says what
/// stands in the way.
pub inline fn sendStraight(
    pool: *Pool,
    opened: *const OpenChannel,
    index: u32,
    generation: u29,
) bool {
    if (opened.channel.kind != .queue or !holds.hasAt(pool, index)) return false;
    if (!ring.sendStraight(&pool.participant, &opened.channel, index, generation)) return false;
    pool.counts[index] -= 1;
    ring.wakeReceivers(&pool.participant, &opened.channel);
    return true;
}

fn receiveOtherwise(pool: *Pool, opened: *OpenChannel, patience: *Patience) Error!holds.Held {
    const want: ends.Receiving = .of(&pool.participant, &opened.channel, opened.subscription);
    const handle = try want.tryNow(patience) orelse return error.ChannelEmpty;
    return adopt(pool, opened, handle);
}

fn adopt(pool: *Pool, opened: *const OpenChannel, handle: u64) Error!holds.Held {
    if (opened.channel.kind == .redelivering) {
        const index = @as(words.Handle, @bitCast(handle)).index;
        _ = holds.sizeOf(pool, index) catch |err| {
            _ = redelivery.release(&pool.participant, handle);
            return err;
        };
        messages.add(pool, handle);
    }
    return holds.adopt(pool, handle);
}

/// As `receive`, for an event loop: never waits for others. `is_first`: its wait begins, and what a
/// running peer sends comes sooner than the loop would be told. Of the dead it is told until
/// somebody has recovered.
pub fn receiveAtOnce(pool: *Pool, opened: *OpenChannel, is_first: bool) Error!holds.Held {
    var patience: Patience = .none;
    patience.expiry = error.Pending;
    return receive(pool, opened, &patience) catch |err| {
        if (err != error.ChannelEmpty) return err;
        if (is_first) {
            blocking.spin(&ends.Receiving.of(
                &pool.participant,
                &opened.channel,
                opened.subscription,
            ));
        } else if (!lookForTheDead(pool)) return err;
        return receive(pool, opened, &patience);
    };
}

/// As `trySend`, in the same way.
pub fn sendAtOnce(pool: *Pool, opened: *OpenChannel, handle: u64, is_first: bool) Error!void {
    var patience: Patience = .none;
    patience.expiry = error.Pending;
    return trySend(pool, opened, handle, &patience) catch |err| {
        if (err != error.ChannelFull or !is_first) return err;
        blocking.spin(&ends.Sending.of(&pool.participant, &opened.channel, handle));
        return trySend(pool, opened, handle, &patience);
    };
}

/// One slice of a wait for an item. PENDING: call again.
pub fn receiveSlice(pool: *Pool, opened: *OpenChannel, deadline_ns: u64) Error!holds.Held {
    var want: ends.Receiving = .of(&pool.participant, &opened.channel, opened.subscription);
    const handle = try blocking.slice(&want, &opened.receiving, deadline_ns);
    return adopt(pool, opened, handle);
}

/// For everybody: nothing is sent from now on.
pub fn close(pool: *Pool, opened: *OpenChannel) Error!void {
    var patience: Patience = .untimed;
    _ = try ring.close(&pool.participant, &opened.channel, &patience);
    const closing: ends.Closing = .{ .channel = &opened.channel };
    closing.place().wakeAll();
}
