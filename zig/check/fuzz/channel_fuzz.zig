//! Operations on channels of a pool, each chosen by a generator and its result checked: the number
//! of a channel, the index of a buffer of this pool, or one of the public error codes.

const std = @import("std");
const bun = @import("core").abi.bun;
const by_handle = @import("by_handle.zig");
const c = @import("core").abi.bun_channels;
const errors = @import("core").errors;
const descriptor = @import("core").process.descriptor;
const operation_file = @import("operation_fuzz.zig");
const statistics = @import("core").protocol.channel.statistics;
const words = @import("core").format.words;

const User = operation_file.User;
const fail = operation_file.fail;

pub const opened_max = 4;

/// The channels that a user has open, by their numbers within its pool.
pub const Opened = struct {
    numbers: [opened_max]u32 = undefined,
    count: u32 = 0,
};

/// Each is closed first, so that a recovery removes it with what is in it.
pub fn leaveAll(user: *User) void {
    const opened = &user.opened;
    for (opened.numbers[0..opened.count]) |number| {
        user.checkStatus(c.xmem_bun_channel_close(user.pool, number));
        c.xmem_bun_channel_leave(user.pool, number);
    }
    opened.count = 0;
}

pub fn use(user: *User) void {
    for (0..1 + user.random.uintLessThan(u32, 4)) |_| one(user);
}

fn one(user: *User) void {
    const opened = &user.opened;
    if (opened.count == 0 or user.random.uintLessThan(u32, 10) == 0) return open(user);
    const place = user.random.uintLessThan(u32, opened.count);
    const number = opened.numbers[place];
    switch (user.random.uintLessThan(u32, 32)) {
        0...10 => send(user, number),
        11...22 => receive(user, number),
        23, 24 => wait(user, number),
        25 => waitAtAll(user, number),
        26 => user.checkStatus(c.xmem_bun_channel_close(user.pool, number)),
        27, 28 => {
            opened.count -= 1;
            opened.numbers[place] = opened.numbers[opened.count];
            c.xmem_bun_channel_leave(user.pool, number);
        },
        29 => {
            const status = c.xmem_bun_channel_closed(user.pool, number);
            if (status != -@intFromEnum(errors.Code.CHANNEL_EMPTY)) user.checkStatus(status);
        },
        else => look(user, number),
    }
}

fn open(user: *User) void {
    const opened = &user.opened;
    if (opened.count == opened_max) return;
    const random = user.random;
    var options: [std.meta.fields(c.Option).len]f64 = @splat(-1);
    for (&options, [_]u32{ 5, 3, 4, 4, 2, 2, 2, 2, 4, 2 }) |*option, limit| {
        if (random.boolean()) option.* = @floatFromInt(random.uintLessThan(u32, limit));
    }
    const names = [_][:0]const u8{ "a", "b", "c" };
    const name = names[random.uintLessThan(usize, names.len)];
    const letters = names[random.uintLessThan(usize, names.len)];
    // Else few redeliver: most of what only such a channel has is refused for any other.
    if (random.uintLessThan(u32, 3) == 0) {
        options[@intFromEnum(c.Option.MODE)] = -1;
        options[@intFromEnum(c.Option.HISTORY)] = -1;
        options[@intFromEnum(c.Option.REDELIVER)] = 1;
    }
    const number = c.xmem_bun_channel_open(user.pool, name, &options, letters);
    user.checkStatus(number);
    if (number < 0) return;
    opened.numbers[opened.count] = @intCast(number);
    opened.count += 1;
}

/// A hold is sent as what it is, or as the message that it may not be.
fn send(user: *User, channel: u32) void {
    const is_message = user.random.boolean();
    const number = if (is_message) channel | c.channel_message else channel;
    const held = user.drop() orelse return;
    const handle: words.Handle = @bitCast(@as(u64, @intFromFloat(held)));
    const pool = user.pool;
    const index = handle.index;
    const generation = handle.generation;
    const status = switch (user.random.uintLessThan(u32, 4)) {
        0 => c.xmem_bun_channel_try_send(pool, number, index, generation),
        1 => c.xmem_bun_channel_send_at_once(pool, number, index, generation, isFirst(user)),
        2 => sendBlocking(user, number, handle),
        else => c.xmem_bun_channel_send(pool, number, index, generation),
    };
    if (status > 1) fail("a send returns {d}", .{status});
    if (status != -@intFromEnum(errors.Code.PENDING)) user.checkStatus(status);
    // The hold is the sender's again.
    if (status < 0) bun.xmem_bun_release(pool, held);
}

/// Whether the try is the first of an event loop's wait.
fn isFirst(user: *User) u32 {
    return @intFromBool(user.random.boolean());
}

fn sendBlocking(user: *User, number: u32, handle: words.Handle) i32 {
    const deadline_ms = soon(user);
    while (true) {
        const pool = user.pool;
        const status = c.xmem_bun_channel_send_blocking(
            pool,
            number,
            handle.index,
            handle.generation,
            deadline_ms,
        );
        if (status != -@intFromEnum(errors.Code.PENDING)) return status;
        if (bun.xmem_bun_now() > deadline_ms + 9000) fail("a send overshot by 9 s", .{});
    }
}

fn soon(user: *User) f64 {
    return bun.xmem_bun_now() + @as(f64, @floatFromInt(user.random.uintLessThan(u32, 3)));
}

fn receive(user: *User, number: u32) void {
    const pool = user.pool;
    const index = switch (user.random.uintLessThan(u32, 3)) {
        0 => c.xmem_bun_channel_receive_at_once(pool, number, isFirst(user)),
        1 => receiveBlocking(user, number),
        else => c.xmem_bun_channel_receive(pool, number),
    };
    for ([_]errors.Code{ .PENDING, .CHANNEL_EMPTY }) |code| {
        if (index == -@intFromEnum(code)) return;
    }
    if (index < 0) return user.checkStatus(index);
    const handle: words.Handle = .{
        .index = @intCast(index),
        .generation = @intCast(descriptor.poolOf(pool).made.generation),
    };
    const held: f64 = @floatFromInt(@as(u64, @bitCast(handle)));
    _ = c.xmem_bun_deliveries(pool, handle.index, handle.generation);
    _ = c.xmem_bun_message_origin(pool, handle.index, handle.generation);
    // Of a message, its receiver says when it is done, or hands it off; the rest is left to the
    // close.
    switch (user.random.uintLessThan(u32, 5)) {
        0 => c.xmem_bun_message_done(pool, user.random.int(u24)),
        1 => c.xmem_bun_message_done(pool, handle.index),
        2 => {
            const status = c.xmem_bun_message_hand_off(pool, handle.index, handle.generation);
            user.checkStatus(status);
            if (status == 0) return user.keep(by_handle.take(pool, held));
        },
        else => {},
    }
    user.keep(held);
}

fn receiveBlocking(user: *User, number: u32) i32 {
    const deadline_ms = soon(user);
    while (true) {
        const index = c.xmem_bun_channel_receive_blocking(user.pool, number, deadline_ms);
        if (index != -@intFromEnum(errors.Code.PENDING)) return index;
        if (bun.xmem_bun_now() > deadline_ms + 9000) fail("a receive overshot by 9 s", .{});
    }
}

/// What the event loop does, without a loop: arm, wait for the signal or not, disarm.
fn wait(user: *User, number: u32) void {
    // Each open of a waiter is a thread; a few of them are enough.
    if (user.random.uintLessThan(u32, 8) != 0) return;
    const end = user.random.uintLessThan(u32, std.meta.fields(c.End).len);
    const loop = c.xmem_bun_channel_async_open(user.pool, number, end, user.loop, 0);
    if (loop < 0) return user.checkStatus(loop);
    const socket = user.signals(@intCast(loop));
    const armed = c.xmem_bun_channel_async_arm(user.pool, number, end, bun.xmem_bun_now());
    if (armed != -@intFromEnum(errors.Code.PENDING)) user.checkStatus(armed);
    var bytes: [8]u8 = undefined;
    _ = std.c.read(socket, &bytes, bytes.len);
    const passes_on = @intFromBool(user.random.boolean());
    c.xmem_bun_channel_async_disarm(user.pool, number, end, passes_on);
}

fn waitAtAll(user: *User, number: u32) void {
    const sources = [_]u32{ user.pool, number, user.pool, c.channel_none };
    const deadline_ms = soon(user);
    while (true) {
        const place = c.xmem_bun_wait_any(&sources, 2, deadline_ms);
        if (place > 1) fail("a wait at two returns {d}", .{place});
        if (place != -@intFromEnum(errors.Code.PENDING)) return user.checkStatus(place);
        if (bun.xmem_bun_now() > deadline_ms + 9000) fail("a wait at all overshot by 9 s", .{});
    }
}

fn look(user: *User, number: u32) void {
    var values: [statistics.stat_count]f64 = undefined;
    user.checkStatus(c.xmem_bun_channel_stats(user.pool, number, &values));
    var info: [std.meta.fields(c.Info).len]f64 = undefined;
    user.checkStatus(c.xmem_bun_channel_info(user.pool, number, &info));
    const most = 4;
    var all: [most * statistics.stat_count]f64 = undefined;
    var names: [most * statistics.name_room]u8 = undefined;
    const channels = c.xmem_bun_channels(user.pool, &all, &names, most);
    if (channels > most) fail("{d} channels", .{channels});
    var subscribers: [most * statistics.subscriber_field_count]f64 = undefined;
    const own: u32 = @intFromFloat(info[@intFromEnum(c.Info.NUMBER)]);
    const written = c.xmem_bun_channel_subscribers(user.pool, own, &subscribers, most);
    if (written > most) fail("{d} subscribers", .{written});
}
