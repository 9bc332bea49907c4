//! The part of the stress that uses channels: all threads send on and receive from the same ones.
//! What is received bears the stamp of whoever acquired it, and only the cell orders the two.

const std = @import("std");
const bun = @import("core").abi.bun;
const c = @import("core").abi.bun_channels;
const errors = @import("core").errors;
const descriptor = @import("core").process.descriptor;
const statistics = @import("core").protocol.channel.statistics;
const stress = @import("stress.zig");
const words = @import("core").format.words;

const Code = errors.Code;
const Life = stress.Life;

const Made = struct {
    name: [:0]const u8,
    capacity: f64,
    mode: f64,
    overflow: f64,
    history: f64 = -1,
    redeliver: f64 = -1,
    max_deliveries: f64 = -1,
    dead_letter: ?[:0]const u8 = null,
};

const queue = 0;
const broadcast = 1;
const block = 0;
const drop_newest = 1;
const drop_oldest = 2;

/// All are small, so that both ends meet, and cells go round.
const made = [_]Made{
    .{ .name = "queue", .capacity = 2, .mode = queue, .overflow = block },
    .{ .name = "dropping", .capacity = 3, .mode = queue, .overflow = drop_oldest },
    .{ .name = "news", .capacity = 2, .mode = broadcast, .overflow = drop_oldest, .history = 1 },
    .{ .name = "for all", .capacity = 2, .mode = broadcast, .overflow = drop_newest },
    // What those have that die here comes back, and after that to somebody else.
    .{
        .name = "jobs",
        .capacity = 2,
        .mode = queue,
        .overflow = block,
        .redeliver = 1,
        .max_deliveries = 2,
        .dead_letter = "letters",
    },
    .{ .name = "letters", .capacity = 1, .mode = queue, .overflow = drop_oldest, .redeliver = 1 },
    // Closed now and then, so that it is removed and made again.
    .{ .name = "brief", .capacity = 1, .mode = queue, .overflow = block },
};
const brief = made.len - 1;

/// The channels that a life has open, by their numbers within its pool.
pub const Opened = [made.len]?u32;

pub fn openAll(life: *Life) void {
    for (0..made.len) |which| open(life, which);
}

pub fn operate(life: *Life) void {
    const which = life.below(made.len);
    const number = life.channels[which] orelse return open(life, which);
    switch (life.below(40)) {
        0...15 => send(life, number),
        16...34 => receive(life, number),
        35, 36 => look(life, number),
        37 => if (which == brief) {
            const closed: f64 = @floatFromInt(c.xmem_bun_channel_close(life.pool, number));
            _ = stress.allowed("close of a channel", closed, &.{});
            leave(life, which);
        },
        else => leave(life, which),
    }
}

fn open(life: *Life, which: usize) void {
    const asked = made[which];
    var options: [std.meta.fields(c.Option).len]f64 = @splat(-1);
    options[@intFromEnum(c.Option.CAPACITY)] = asked.capacity;
    options[@intFromEnum(c.Option.MODE)] = asked.mode;
    options[@intFromEnum(c.Option.OVERFLOW)] = asked.overflow;
    options[@intFromEnum(c.Option.HISTORY)] = asked.history;
    options[@intFromEnum(c.Option.REDELIVER)] = asked.redeliver;
    options[@intFromEnum(c.Option.MAX_DELIVERIES)] = asked.max_deliveries;
    if (asked.dead_letter != null) options[@intFromEnum(c.Option.DEAD_LETTER)] = 1;
    const letters = asked.dead_letter orelse "";
    const number = c.xmem_bun_channel_open(life.pool, asked.name, &options, letters);
    const opened = stress.allowed("open of a channel", @floatFromInt(number), &.{}) orelse return;
    life.channels[which] = @intFromFloat(opened);
}

fn leave(life: *Life, which: usize) void {
    c.xmem_bun_channel_leave(life.pool, life.channels[which].?);
    life.channels[which] = null;
}

/// What a receiver does first that is done with a message.
pub fn done(life: *Life, hold: stress.Hold) void {
    const handle: words.Handle = @bitCast(hold.word());
    c.xmem_bun_message_done(life.pool, handle.index);
}

pub fn handOff(life: *Life, hold: stress.Hold) i32 {
    const handle: words.Handle = @bitCast(hold.word());
    return c.xmem_bun_message_hand_off(life.pool, handle.index, handle.generation);
}

fn send(life: *Life, channel: u32) void {
    const hold = life.any() orelse return;
    const number = if (hold.is_message) channel | c.channel_message else channel;
    life.check(hold.*);
    const handle: words.Handle = @bitCast(hold.word());
    const pool = life.pool;
    const status = if (life.below(4) == 0)
        untilServed(life, sendBlocking, .{ pool, number, handle })
    else
        c.xmem_bun_channel_send(pool, number, handle.index, handle.generation);
    const codes = &.{ .CHANNEL_FULL, .CHANNEL_CLOSED, .TIMEOUT, .BUFFER_IN_USE };
    if (stress.allowed("send", @floatFromInt(status), codes) == null) return;
    life.forget(hold - &life.held[0]);
}

fn sendBlocking(pool: u32, number: u32, handle: words.Handle, deadline_ms: f64) i32 {
    const generation = handle.generation;
    return c.xmem_bun_channel_send_blocking(pool, number, handle.index, generation, deadline_ms);
}

fn receive(life: *Life, number: u32) void {
    if (life.held_count == life.held.len) return life.release(0);
    const pool = life.pool;
    const status = if (life.below(4) == 0)
        untilServed(life, c.xmem_bun_channel_receive_blocking, .{ pool, number })
    else
        c.xmem_bun_channel_receive(pool, number);
    const codes = &.{ .CHANNEL_EMPTY, .CHANNEL_CLOSED, .TIMEOUT };
    const index = stress.allowed("receive", @floatFromInt(status), codes) orelse return;
    const handle: words.Handle = .{
        .index = @intFromFloat(index),
        .generation = @intCast(descriptor.poolOf(pool).made.generation),
    };
    life.adopt(@floatFromInt(@as(u64, @bitCast(handle))));
    const deliveries = c.xmem_bun_deliveries(pool, handle.index, handle.generation);
    const hold = &life.held[life.held_count - 1];
    // Of several holds of one buffer here the one is the message that was received last.
    for (life.held[0 .. life.held_count - 1]) |other| {
        if (other.handle == hold.handle and other.is_message) return;
    }
    hold.is_message = deliveries > 0;
}

/// A wait of at most 2 ms, slice by slice.
fn untilServed(life: *Life, comptime slice: anytype, arguments: anytype) i32 {
    const deadline_ms = bun.xmem_bun_now() + @as(f64, @floatFromInt(life.below(3)));
    while (true) {
        const status = @call(.auto, slice, arguments ++ .{deadline_ms});
        if (status != -@intFromEnum(Code.PENDING)) return status;
    }
}

fn look(life: *Life, number: u32) void {
    var values: [statistics.stat_count]f64 = undefined;
    const status: f64 = @floatFromInt(c.xmem_bun_channel_stats(life.pool, number, &values));
    _ = stress.allowed("stats of a channel", status, &.{});
    _ = count(life.pool);
}

pub fn count(pool: u32) u32 {
    const most = 16;
    var values: [most * statistics.stat_count]f64 = undefined;
    var names: [most * statistics.name_room]u8 = undefined;
    return c.xmem_bun_channels(pool, &values, &names, most);
}
