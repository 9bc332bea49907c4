//! Requests and their replies, as the form for C makes them; TypeScript has its own
//! (`src/channel/requests.ts`). Both write the same into a buffer: `docs/languages.md` describes it.
//!
//! An open of a pool that asks has one channel for its replies, so that they reach nobody else. One
//! that answers keeps the channels of its askers open.

const std = @import("std");
const channels = @import("channels.zig");
const content = @import("../protocol/pool/content.zig");
const directory = @import("../protocol/channel/directory.zig");
const errors = @import("../errors.zig");
const holds = @import("holds.zig");
const layout = @import("../format/layout.zig");
const messages = @import("messages.zig");
const open_pool = @import("open_pool.zig");
const participant_file = @import("../protocol/participant.zig");
const random = @import("../system/random.zig");
const references = @import("../protocol/pool/references.zig");
const system = @import("../system/door.zig");
const thaw = @import("../protocol/recovery/thaw.zig");
const words = @import("../format/words.zig");

const Error = errors.Error;
const OpenChannel = channels.OpenChannel;
const Patience = thaw.Patience;
const Pool = open_pool.Pool;
const allocator = std.heap.c_allocator;

/// Late replies that wait for this open's next request, at most.
const replies_capacity = 1024;

const Name = [layout.reply_name_bytes_max + 1]u8;

/// What an open of a pool needs to ask; none before its first request.
pub const Requests = struct {
    /// The channel of its replies.
    replies: u32,
    name: Name,
    /// The number of the last request.
    last: u64 = 0,
};

/// The channel is left with all others of the open.
pub fn destroy(pool: *Pool) void {
    if (pool.requests) |requests| allocator.destroy(requests);
    pool.requests = null;
}

fn of(pool: *Pool) Error!*Requests {
    if (pool.requests) |requests| return requests;
    const requests = allocator.create(Requests) catch return error.OutOfMemory;
    errdefer allocator.destroy(requests);
    requests.* = .{ .replies = undefined, .name = @splat(0) };
    const number = random.number();
    const name = std.fmt.bufPrint(&requests.name, "replies {x:0>15}", .{number >> 4}) catch
        unreachable;
    requests.replies = try channels.open(pool, name, .{ .capacity = replies_capacity });
    channels.at(pool, requests.replies).?.is_own = true;
    pool.requests = requests;
    return requests;
}

/// The number of the request that a held buffer is; 0: it is none.
pub fn numberOf(pool: *Pool, handle: u64) Error!u64 {
    var name: Name = undefined;
    const letter = try content.letter(&pool.participant, handle, &name);
    return if (letter.kind == .request) letter.request else 0;
}

/// Sends a request, and waits for the reply to just this one. The hold stays only where it could
/// not be sent: ChannelFull says that there was no room in time. Timeout: there was no reply.
pub fn ask(pool: *Pool, opened: *OpenChannel, handle: u64, deadline_ns: u64) Error!holds.Held {
    if (opened.channel.mode == .broadcast) return errors.fail(
        error.InvalidArgument,
        0,
        "a broadcast has no one receiver; make requests through a queue",
        .{},
    );
    const requests = try of(pool);
    const replies = channels.at(pool, requests.replies).?;
    _ = try dropLate(pool, replies);
    requests.last += 1;
    const letter: content.Letter = .{ .kind = .request, .request = requests.last };
    const name = std.mem.sliceTo(&requests.name, 0);
    try content.setLetter(&pool.participant, handle, letter, name);
    sendInTime(pool, opened, handle, deadline_ns) catch |err| {
        content.setLetter(&pool.participant, handle, .{ .kind = .none }, "") catch {};
        return if (err == error.Timeout) error.ChannelFull else err;
    };
    return receiveReply(pool, replies, requests.last, handle, deadline_ns);
}

/// Gives back what came to requests that nobody waits for any more. Whether anything did.
fn dropLate(pool: *Pool, replies: *OpenChannel) Error!bool {
    var found = false;
    while (try receiveNow(pool, replies)) |held| {
        _ = holds.giveBack(pool, held.handle);
        found = true;
    }
    return found;
}

/// The same where the pool is full: a late reply has one of its buffers.
pub fn dropLateOf(pool: *Pool) bool {
    const requests = pool.requests orelse return false;
    const replies = channels.at(pool, requests.replies) orelse return false;
    return dropLate(pool, replies) catch false;
}

fn receiveNow(pool: *Pool, replies: *OpenChannel) Error!?holds.Held {
    var patience: Patience = .untimed;
    return channels.receive(pool, replies, &patience) catch |err|
        if (err == error.ChannelEmpty) null else err;
}

fn sendInTime(pool: *Pool, opened: *OpenChannel, handle: u64, deadline_ns: u64) Error!void {
    while (true) {
        const slice = if (messages.has(pool, handle))
            channels.sendMessageSlice(pool, opened, handle, deadline_ns)
        else
            channels.sendSlice(pool, opened, handle, deadline_ns);
        return slice catch |err| if (err == error.Pending) continue else err;
    }
}

fn receiveReply(
    pool: *Pool,
    replies: *OpenChannel,
    request: u64,
    handle: u64,
    deadline_ns: u64,
) Error!holds.Held {
    while (true) {
        const held = channels.receiveSlice(pool, replies, deadline_ns) catch |err| {
            if (err != error.Pending and err != error.Timeout) return err;
            if (try isAnybodys(pool, handle)) {
                if (err == error.Timeout) return err;
                continue;
            }
            // A reply comes before its request is let go.
            while (try receiveNow(pool, replies)) |held| {
                if (try settle(pool, held, request)) |reply| return reply;
            }
            return error.PeerDied;
        };
        if (try settle(pool, held, request)) |reply| return reply;
    }
}

/// Whether somebody has the request still, or it is in the channel.
fn isAnybodys(pool: *Pool, handle: u64) Error!bool {
    const count = references.refCount(&pool.participant, handle) catch |err| switch (err) {
        error.StaleHandle, error.BufferNotFound => return false,
        else => return err,
    };
    return count > 0;
}

/// The reply to the request; null for what came to an earlier one, which goes back to the pool.
fn settle(pool: *Pool, held: holds.Held, request: u64) Error!?holds.Held {
    var name: Name = undefined;
    const letter = content.letter(&pool.participant, held.handle, &name) catch
        content.Letter{ .kind = .none };
    const is_own = letter.request == request;
    if (letter.kind == .reply and is_own) {
        try content.setLetter(&pool.participant, held.handle, .{ .kind = .none }, "");
        return held;
    }
    _ = holds.giveBack(pool, held.handle);
    return if (letter.kind == .refusal and is_own) error.Released else null;
}

/// Sends a held buffer as the reply to a request, and gives the request back. It may be the request
/// itself. Where the asker is gone, both go back to the pool. On every error both holds stay.
pub fn answer(pool: *Pool, request: u64, handle: u64) Error!void {
    var name: Name = undefined;
    const letter = try content.letter(&pool.participant, request, &name);
    if (letter.kind != .request) return errors.fail(
        error.InvalidArgument,
        0,
        "the buffer is no request: its sender waits for no reply",
        .{},
    );
    const what: content.Letter = .{ .kind = .reply, .request = letter.request };
    if (!try send(pool, &name, handle, what)) _ = holds.giveBack(pool, handle);
    if (handle != request) _ = holds.giveBack(pool, request);
}

/// Gives a request back, and tells its asker. What is no request is only given back.
pub fn refuse(pool: *Pool, request: u64) void {
    var name: Name = undefined;
    const letter = content.letter(&pool.participant, request, &name) catch
        content.Letter{ .kind = .none };
    const refusal: content.Letter = .{ .kind = .refusal, .request = letter.request };
    // An asker that cannot be told finds that its request is gone.
    const is_told = letter.kind == .request and (send(pool, &name, request, refusal) catch false);
    if (!is_told) _ = holds.giveBack(pool, request);
}

/// False: the asker is gone, and the hold stays. Its channel is not kept open: it would stay in the
/// pool for as long. To open it takes some microseconds.
fn send(pool: *Pool, name: *const Name, handle: u64, what: content.Letter) Error!bool {
    const asker = std.mem.sliceTo(name, 0);
    const number = channels.open(pool, asker, .{ .make = false }) catch |err|
        return if (err == error.ChannelClosed) false else err;
    defer channels.leave(pool, number);
    const opened = channels.at(pool, number).?;
    if (!hasAsker(pool, opened)) return false;
    const participant = &pool.participant;
    var name_before: Name = undefined;
    const before = try content.letter(participant, handle, &name_before);
    try content.setLetter(participant, handle, what, "");
    var patience: Patience = .untimed;
    (if (messages.has(pool, handle))
        channels.trySendMessage(pool, opened, handle, &patience)
    else
        channels.trySend(pool, opened, handle, &patience)) catch |err| {
        // The caller may try again, with the request itself.
        const named = std.mem.sliceTo(&name_before, 0);
        content.setLetter(participant, handle, before, named) catch {};
        return if (err == error.ChannelClosed) false else err;
    };
    return true;
}

/// Whether another thread has it open: only its asker does, and for a moment those who answer it. A
/// thread that answers its own request waits for no reply any more.
fn hasAsker(pool: *const Pool, opened: *const OpenChannel) bool {
    const view = &pool.participant.view;
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (index == pool.participant.index) continue;
        if (!participant_file.isLive(row)) continue;
        if (directory.isOpenBy(&opened.channel, @intCast(index))) return true;
    }
    return false;
}
