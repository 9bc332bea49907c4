//! Which channels a pool has, and how one comes and goes: found or made by its name, opened and
//! removed under the recovery mutex, so that no recovery and nobody else who does the same is in
//! the way. Whoever lets go of a channel needs no mutex. Its memory is committed when it is made.

const std = @import("std");
const atomic = @import("hooks");
const broadcast = @import("broadcast.zig");
const channel_file = @import("channel.zig");
const errors = @import("../../errors.zig");
const layout = @import("../../format/layout.zig");
const membership = @import("../recovery/membership.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("../recovery/recovery.zig");
const ring = @import("ring.zig");
const section = @import("section.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Channel = channel_file.Channel;
const Error = errors.Error;
const Participant = participant_file.Participant;
const Position = words.Position;
const View = participant_file.View;

/// What a channel is asked to be. What is not said has its default where the channel is made, and
/// is whatever it is where there is one.
pub const Asked = struct {
    capacity: ?u32 = null,
    mode: ?words.ChannelMode = null,
    overflow: ?words.ChannelOverflow = null,
    history: ?u32 = null,
    redeliver: ?bool = null,
    max_deliveries: ?u32 = null,
    /// A channel's name; empty: none.
    dead_letter: ?[]const u8 = null,
    /// Whether it is made where there is none; else that is ChannelClosed.
    make: bool = true,
    /// Of a broadcast: whether the caller reads it.
    subscribe: bool = true,

    const capacity_default = @min(16, layout.channel_cells_max);

    const max_deliveries_default = 5;

    fn check(asked: Asked, name: []const u8) Error!void {
        if (name.len == 0) return refuseName();
        for ([_][]const u8{ name, asked.dead_letter orelse "" }) |each| {
            if (each.len > layout.channel_name_bytes_max or
                std.mem.indexOfScalar(u8, each, 0) != null) return refuseName();
        }
        if (asked.max_deliveries == 0) return errors.fail(
            error.InvalidArgument,
            0,
            "maxDeliveries is 0; it is 1 or more",
            .{},
        );
        const capacity = asked.capacity orelse return;
        if (capacity < 1 or capacity > layout.channel_cells_max) return errors.fail(
            error.InvalidArgument,
            0,
            "capacity {d} of a channel; it is 1 to {d}",
            .{ capacity, layout.channel_cells_max },
        );
    }

    fn refuseName() Error {
        return errors.fail(
            error.InvalidArgument,
            0,
            "a channel's name has 1 to {d} bytes, and no NUL",
            .{layout.channel_name_bytes_max},
        );
    }

    /// What only a channel that redelivers has.
    fn checkRedelivery(asked: Asked, name: Name) Error!void {
        const letters: []const u8 = asked.dead_letter orelse "";
        if (!(asked.redeliver orelse false)) {
            if (asked.max_deliveries == null and letters.len == 0) return;
            return errors.fail(
                error.InvalidArgument,
                0,
                "maxDeliveries or deadLetter of a channel that does not redeliver",
                .{},
            );
        }
        if (asked.mode orelse .queue == .broadcast) return errors.fail(
            error.InvalidArgument,
            0,
            "a broadcast does not redeliver; only a queue does",
            .{},
        );
        if (std.meta.eql(paddedName(letters), name)) return errors.fail(
            error.InvalidArgument,
            0,
            "its deadLetter is itself",
            .{},
        );
    }
};

pub const Opened = struct {
    channel: Channel,
    subscription: ?broadcast.Subscription,
};

/// Opens the channel of that name, and makes it where there is none. The caller counts how often
/// its thread has it open, and calls `detach` for the last one.
///
/// OptionsMismatch: it was made otherwise. OutOfMemory: the pool has no room for another channel,
/// or the system none for its cells. TooManyParticipants: it has no room for another subscriber.
pub fn open(participant: *Participant, name: []const u8, asked: Asked) Error!Opened {
    const view = &participant.view;
    try asked.check(name);
    const inherited = try membership.lockRepair(view, 0);
    defer view.header.repair.mutex.unlock();
    _ = recovery.runLocked(view, .{}, inherited);
    const padded = paddedName(name);
    const found = find(view, padded);
    if (found == null and !asked.make) return error.ChannelClosed;
    const number = found orelse try make(view, padded, asked);
    const channel = Channel.of(view, number) orelse return error.PoolCorrupt;
    if (found != null) try agree(&channel, asked);
    try populate(view, &channel);
    const subscribes = channel.mode == .broadcast and asked.subscribe;
    const subscription = if (subscribes) try broadcast.subscribe(participant, &channel) else null;
    const bits = &channel.block.channel.open_by[participant.index / 64];
    _ = atomic.fetchOr(u64, bits, bitOf(participant.index));
    return .{ .channel = channel, .subscription = subscription };
}

/// The caller's thread lets go of the channel; it goes on for the others. Its subscriptions have
/// ended before.
pub fn detach(participant: *const Participant, channel: *const Channel) void {
    leave(channel, participant.index, system.clock.coarseNs());
}

/// The time before the bit: a channel that nobody has open is never taken for one that was left
/// long ago.
pub fn leave(channel: *const Channel, row: u32, now_ns: u64) void {
    const shared = &channel.block.channel;
    atomic.store(u64, &shared.last_user_gone_at_ns, now_ns, .monotonic);
    // SYNC: the last access to the channel. Pairs with `isOpenBy`.
    _ = atomic.fetchAnd(u64, &shared.open_by[row / 64], ~bitOf(row));
}

/// SYNC: before the time of leaving is read, and the channel is removed. Pairs with `leave`.
pub fn isOpenBy(channel: *const Channel, row: u32) bool {
    const bits = atomic.load(u64, &channel.block.channel.open_by[row / 64], .acquire);
    return bits & bitOf(row) != 0;
}

fn bitOf(row: u32) u64 {
    return @as(u64, 1) << @truncate(row);
}

/// Blocks at and past it must not be touched: they may lack memory. SYNC: pairs with `make`, which
/// commits a block before it counts it.
pub fn blocksUsed(view: *const View) u32 {
    const used = atomic.load(u32, &view.header.hot.channels_used, .acquire);
    return @min(used, view.geometry.channel_count);
}

/// SYNC: acquires what the channel was made as. Pairs with `make`.
pub fn isLive(view: *const View, number: u32) bool {
    const state = atomic.load(u32, &channel_file.blockOf(view, number).channel.state, .acquire);
    return state == @intFromEnum(words.ChannelState.live);
}

/// Closed, or left for as long as a lease lasts, and no live participant has it open.
pub fn isOver(view: *const View, channel: *const Channel, now_ns: u64) bool {
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (isOpenBy(channel, @intCast(index)) and participant_file.isLive(row)) return false;
    }
    if (ring.isClosed(channel)) return true;
    if (view.lease_timeout_ns == 0) return false;
    const shared = &channel.block.channel;
    const gone_at_ns = atomic.load(u64, &shared.last_user_gone_at_ns, .monotonic);
    return now_ns -| gone_at_ns >= view.lease_timeout_ns;
}

/// Nobody can find it from now on, and its block is the next one's. Nothing is in its cells.
pub fn free(view: *const View, channel: *const Channel) void {
    const shared = &channel.block.channel;
    atomic.store(u32, &shared.state, @intFromEnum(words.ChannelState.free), .monotonic);
    const first = @offsetOf(layout.ChannelBlock, "cells");
    const bytes = @as(u64, channel.capacity) * @sizeOf(u64);
    const offset = view.geometry.channelOffset(channel.number) + first;
    _ = system.memory.punch(view.fd, offset, bytes);
}

/// The channel that it names for what was received too often, if there is one.
pub fn findDeadLetter(view: *const View, channel: *const Channel) ?u32 {
    const name = deadLetterOf(&channel.block.channel);
    if (name[0] == 0) return null;
    return find(view, name);
}

fn deadLetterOf(channel: *layout.Channel) Name {
    var name: Name = undefined;
    for (nameIn(&channel.dead_letter), &name) |*word, *copy|
        copy.* = atomic.load(u64, word, .monotonic);
    return name;
}

const name_words = (layout.channel_name_bytes_max + 1) / 8;
const Name = [name_words]u64;

fn paddedName(name: []const u8) Name {
    var padded: Name = @splat(0);
    @memcpy(std.mem.asBytes(&padded)[0..name.len], name);
    return padded;
}

fn nameOf(channel: *layout.Channel) *Name {
    return nameIn(&channel.name);
}

fn nameIn(bytes: *[layout.channel_name_bytes_max + 1]u8) *Name {
    return @ptrCast(@alignCast(bytes));
}

fn find(view: *const View, name: Name) ?u32 {
    for (0..blocksUsed(view)) |at| {
        const number: u32 = @intCast(at);
        if (!isLive(view, number)) continue;
        const own = nameOf(&channel_file.blockOf(view, number).channel);
        const same = for (own, name) |*word, wanted| {
            if (atomic.load(u64, word, .monotonic) != wanted) break false;
        } else true;
        if (same) return number;
    }
    return null;
}

fn make(view: *const View, name: Name, asked: Asked) Error!u32 {
    const mode = asked.mode orelse .queue;
    const capacity = asked.capacity orelse Asked.capacity_default;
    const history = asked.history orelse 0;
    if (history > 0 and mode == .queue) return errors.fail(
        error.InvalidArgument,
        0,
        "history {d} of a queue; only a broadcast has one",
        .{history},
    );
    if (history >= capacity) return errors.fail(
        error.InvalidArgument,
        0,
        "history {d} of a channel of capacity {d}; it must be less",
        .{ history, capacity },
    );
    try asked.checkRedelivery(name);
    const redelivers = asked.redeliver orelse false;
    const max_deliveries = asked.max_deliveries orelse Asked.max_deliveries_default;
    const number = try freeBlock(view);
    const block = channel_file.blockOf(view, number);
    const shared = &block.channel;
    try commit(view, number, capacity, mode);
    inline for (.{
        .{ &shared.mode, @intFromEnum(mode) },
        .{ &shared.overflow, @intFromEnum(asked.overflow orelse .block) },
        .{ &shared.capacity, capacity },
        .{ &shared.history, history },
        .{ &shared.redeliver, @intFromBool(redelivers) },
        .{ &shared.max_deliveries, if (redelivers) max_deliveries else 0 },
    }) |pair| atomic.store(u32, pair[0], pair[1], .monotonic);
    for (nameOf(shared), name) |*word, value| atomic.store(u64, word, value, .monotonic);
    const letters = paddedName(asked.dead_letter orelse "");
    for (nameIn(&shared.dead_letter), letters) |*word, value|
        atomic.store(u64, word, value, .monotonic);
    atomic.store(u64, &shared.last_user_gone_at_ns, system.clock.coarseNs(), .monotonic);
    atomic.store(u64, &shared.redelivered, 0, .monotonic);
    @atomicStore(u32, &shared.subscribers_used, 0, .monotonic);
    for ([_]*layout.ChannelEnd{ &shared.head, &shared.tail }) |end| {
        Position.store(&end.position, .{ .place = 0, .lap = 0 }, .monotonic);
        atomic.store(u64, &end.dropped, 0, .monotonic);
        @atomicStore(u64, &end.drops_begun, 0, .monotonic);
        words.Returned.store(&end.returned, .empty, .monotonic);
        atomic.store(u32, &end.returned_count, 0, .monotonic);
        atomic.store(u64, &end.received_again, 0, .monotonic);
        // Who waits there stays as it is counted: a thread may still owe the end of a wait at the
        // channel that was here before.
    }
    for (&shared.subscribed) |*bits| atomic.store(u64, bits, 0, .monotonic);
    for (&shared.open_by) |*bits| @atomicStore(u64, bits, 0, .monotonic);
    // An empty cell of lap 0.
    for (block.cells[0..capacity]) |*cell_ptr| atomic.store(u64, cell_ptr, 0, .monotonic);
    // SYNC: after all that it was made as. Pairs with `isLive`.
    atomic.store(u32, &shared.state, @intFromEnum(words.ChannelState.live), .release);
    if (number >= blocksUsed(view)) {
        // SYNC: after the block was committed. Pairs with `blocksUsed`.
        atomic.store(u32, &view.header.hot.channels_used, number + 1, .release);
    }
    return number;
}

fn freeBlock(view: *const View) Error!u32 {
    if (section.hasLosses(view, system.clock.coarseNs()))
        _ = recovery.runLocked(view, .{ .forced = true, .leases = true }, false);
    const used = blocksUsed(view);
    for (0..used) |number| {
        if (!isLive(view, @intCast(number))) return @intCast(number);
    }
    if (used < view.geometry.channel_count) return used;
    return errors.fail(
        error.OutOfMemory,
        0,
        "all {d} channels of the pool are in use; make it with more `channels`",
        .{view.geometry.channel_count},
    );
}

fn commit(view: *const View, number: u32, capacity: u32, mode: words.ChannelMode) Error!void {
    const offset = view.geometry.channelOffset(number);
    try system.memory.commit(view.fd, view.base, offset, bytesTo(capacity));
    if (mode == .queue) return;
    const first = @offsetOf(layout.ChannelBlock, "subscribers");
    try system.memory.commit(view.fd, view.base, offset + first, subscribers_bytes);
}

/// So that no operation faults in its bracket.
fn populate(view: *const View, channel: *const Channel) Error!void {
    const offset = view.geometry.channelOffset(channel.number);
    try system.memory.populate(view.base, offset, bytesTo(channel.capacity));
    if (channel.mode == .queue) return;
    const first = @offsetOf(layout.ChannelBlock, "subscribers");
    try system.memory.populate(view.base, offset + first, subscribers_bytes);
}

/// The channel with so many cells.
fn bytesTo(capacity: u32) u64 {
    return @offsetOf(layout.ChannelBlock, "cells") + @as(u64, capacity) * @sizeOf(u64);
}

const subscribers_bytes = layout.channel_subscribers_max * @sizeOf(layout.Subscriber);

fn agree(channel: *const Channel, asked: Asked) Error!void {
    if (asked.capacity) |capacity| if (capacity > channel.capacity) return errors.fail(
        error.OptionsMismatch,
        0,
        "its capacity is {d}, and {d} was asked for",
        .{ channel.capacity, capacity },
    );
    inline for (.{ "mode", "overflow" }) |option| {
        const own = @field(channel, option);
        if (@field(asked, option)) |wanted| if (wanted != own) return errors.fail(
            error.OptionsMismatch,
            0,
            "its " ++ option ++ " is {s}, and {s} was asked for",
            .{ spelled(own), spelled(wanted) },
        );
    }
    if (asked.history) |history| if (history != channel.history) return errors.fail(
        error.OptionsMismatch,
        0,
        "its history is {d}, and {d} was asked for",
        .{ channel.history, history },
    );
    try agreeOnRedelivery(channel, asked);
}

fn agreeOnRedelivery(channel: *const Channel, asked: Asked) Error!void {
    const redelivers = channel.kind == .redelivering;
    const wants = asked.redeliver orelse redelivers;
    const letters: []const u8 = asked.dead_letter orelse "";
    const more = asked.max_deliveries != null or letters.len > 0;
    if (wants != redelivers or (more and !redelivers)) return errors.fail(
        error.OptionsMismatch,
        0,
        "it {s}, and redeliver {} was asked for",
        .{ if (redelivers) "redelivers" else "does not redeliver", wants or more },
    );
    if (asked.max_deliveries) |wanted| if (wanted != channel.max_deliveries) return errors.fail(
        error.OptionsMismatch,
        0,
        "its maxDeliveries is {d}, and {d} was asked for",
        .{ channel.max_deliveries, wanted },
    );
    const wanted = asked.dead_letter orelse return;
    const own = deadLetterOf(&channel.block.channel);
    if (!std.meta.eql(paddedName(wanted), own)) return errors.fail(
        error.OptionsMismatch,
        0,
        "its deadLetter is \"{s}\", and \"{s}\" was asked for",
        .{ std.mem.sliceTo(std.mem.asBytes(&own), 0), wanted },
    );
}

/// As users write it.
fn spelled(kind: anytype) []const u8 {
    switch (kind) {
        inline else => |each| {
            const name = comptime name: {
                var name = @tagName(each)[0..@tagName(each).len].*;
                std.mem.replaceScalar(u8, &name, '_', '-');
                break :name name;
            };
            return &name;
        },
    }
}

const testing = std.testing;
const allocatedBytes = @import("../../system/testing_os.zig").allocatedBytes;
const TestingPool = @import("../testing_pool.zig").TestingPool;
const Patience = @import("../recovery/thaw.zig").Patience;

fn poolOf(pool: *TestingPool, channels: u32) !void {
    try pool.init(.{
        .capacity = 4,
        .buffer_size = 64,
        .participant_count = 3,
        .channel_count = channels,
        .lease_timeout_ms = 1000,
    });
}

test "who asks for a name gets the channel that has it" {
    var pool: TestingPool = undefined;
    try poolOf(&pool, 3);
    defer pool.deinit();
    var one = pool.participant(0);
    var two = pool.participant(1);
    const long: [layout.channel_name_bytes_max]u8 = @splat('x');
    const a = (try open(&one, "a", .{ .capacity = 3, .overflow = .drop_oldest })).channel;
    const b = (try open(&two, "ab", .{})).channel;
    const c = (try open(&one, &long, .{ .mode = .broadcast, .history = 2 })).channel;
    try testing.expectEqual(a, (try open(&two, "a", .{})).channel);
    try testing.expectEqual(b, (try open(&one, "ab", .{ .capacity = 1 })).channel);
    try testing.expectEqual(c, (try open(&two, &long, .{ .subscribe = false })).channel);
    try testing.expect(a.number != b.number and b.number != c.number and a.number != c.number);
    try testing.expectEqual(@as(u32, 3), a.capacity);
    try testing.expectEqual(words.ChannelOverflow.drop_oldest, a.overflow);
    try testing.expectEqual(@as(u32, 16), b.capacity);
    try testing.expectEqual(words.ChannelMode.queue, b.mode);
    try testing.expectEqual(@as(u32, 2), c.history);
    try testing.expect(isOpenBy(&a, 0) and isOpenBy(&a, 1) and !isOpenBy(&a, 2));
    try testing.expectError(error.OutOfMemory, open(&one, "d", .{}));
}

test "memory is committed when a channel is made, and for what it has" {
    var pool: TestingPool = undefined;
    try poolOf(&pool, 16);
    defer pool.deinit();
    var one = pool.participant(0);
    const fd = pool.view.fd;
    const page_size = pool.view.geometry.page_size;
    const before = try allocatedBytes(fd);
    _ = try open(&one, "queue", .{ .capacity = 16 });
    const with_queue = try allocatedBytes(fd);
    try testing.expectEqual(before + page_size, with_queue);
    _ = try open(&one, "queue", .{});
    try testing.expectEqual(with_queue, try allocatedBytes(fd));
    _ = try open(&one, "broadcast", .{ .mode = .broadcast });
    const first = @offsetOf(layout.ChannelBlock, "subscribers");
    const last = first + subscribers_bytes;
    const pages = std.mem.alignForward(u64, last, page_size) -
        std.mem.alignBackward(u64, first, page_size);
    try testing.expectEqual(with_queue + page_size + pages, try allocatedBytes(fd));
}

test "what was explicitly asked for and is not so is refused, with what is" {
    var pool: TestingPool = undefined;
    try poolOf(&pool, 2);
    defer pool.deinit();
    var one = pool.participant(0);
    const made: Asked = .{ .capacity = 4, .mode = .broadcast, .history = 2 };
    _ = try open(&one, "a", made);
    const refused = [_]struct { Asked, []const u8 }{
        .{ .{ .capacity = 5 }, "its capacity is 4, and 5 was asked for" },
        .{ .{ .mode = .queue }, "its mode is broadcast, and queue was asked for" },
        .{ .{ .overflow = .drop_newest }, "its overflow is block, and drop-newest was asked for" },
        .{ .{ .history = 0 }, "its history is 2, and 0 was asked for" },
    };
    for (refused) |row| {
        errors.clear();
        try testing.expectError(error.OptionsMismatch, open(&one, "a", row[0]));
        try testing.expectEqualStrings(row[1], errors.lastText());
    }
    const agreed = [_]Asked{ .{}, .{ .capacity = 4 }, .{ .capacity = 1, .history = 2 }, made };
    for (agreed) |asked| _ = try open(&one, "a", asked);
}

test "what no channel can be is refused, and leaves nothing" {
    var pool: TestingPool = undefined;
    try poolOf(&pool, 1);
    defer pool.deinit();
    var one = pool.participant(0);
    const refused = [_]struct { []const u8, Asked }{
        .{ "", .{} },
        .{ "a\x00b", .{} },
        .{ &@as([layout.channel_name_bytes_max + 1]u8, @splat('x')), .{} },
        .{ "a", .{ .capacity = 0 } },
        .{ "a", .{ .capacity = layout.channel_cells_max + 1 } },
        .{ "a", .{ .history = 1 } },
        .{ "a", .{ .mode = .broadcast, .capacity = 3, .history = 3 } },
    };
    for (refused) |row|
        try testing.expectError(error.InvalidArgument, open(&one, row[0], row[1]));
    try testing.expectEqual(@as(u32, 0), blocksUsed(&pool.view));
    _ = try open(&one, "a", .{ .capacity = layout.channel_cells_max });
}

test "a channel is over when nobody has it open and it is closed, or was left long ago" {
    var pool: TestingPool = undefined;
    try poolOf(&pool, 1);
    defer pool.deinit();
    const view = &pool.view;
    var one = pool.participant(0);
    var two = pool.participant(1);
    var patience: Patience = .untimed;
    const channel = (try open(&one, "a", .{})).channel;
    _ = try open(&two, "a", .{});
    const now_ns = system.clock.coarseNs();
    const late_ns = now_ns + 2 * view.lease_timeout_ns;
    detach(&one, &channel);
    try testing.expect(!isOver(view, &channel, late_ns));
    detach(&two, &channel);
    try testing.expect(!isOver(view, &channel, now_ns));
    try testing.expect(isOver(view, &channel, late_ns));
    _ = try open(&two, "a", .{});
    try testing.expect(!isOver(view, &channel, late_ns));
    _ = try ring.close(&two, &channel, &patience);
    try testing.expect(!isOver(view, &channel, late_ns));
    // A row that nobody has any more has nothing open.
    two.row.mutex.unlock();
    try testing.expect(isOver(view, &channel, now_ns));
}

test "a block is taken again, and what was in it is gone" {
    var pool: TestingPool = undefined;
    try poolOf(&pool, 1);
    defer pool.deinit();
    const view = &pool.view;
    var one = pool.participant(0);
    var patience: Patience = .untimed;
    const first = (try open(&one, "a", .{ .capacity = 1000, .mode = .broadcast })).channel;
    _ = try ring.close(&one, &first, &patience);
    first.tail.dropped = 7;
    first.block.subscribers[0].received = 7;
    const committed = try allocatedBytes(view.fd);
    free(view, &first);
    // Whole pages of cells went back.
    try testing.expectEqual(committed - view.geometry.page_size, try allocatedBytes(view.fd));
    try testing.expectEqual(null, find(view, paddedName("a")));
    const second = (try open(&one, "b", .{ .capacity = 2 })).channel;
    try testing.expectEqual(first.number, second.number);
    try testing.expect(!ring.isClosed(&second));
    try testing.expectEqual(@as(u64, 0), second.tail.dropped);
    try testing.expectEqual(@as(u32, 0), second.block.channel.subscribers_used);
    for (second.block.channel.subscribed) |bits| try testing.expectEqual(@as(u64, 0), bits);
    try testing.expectEqual(@as(u64, 1), second.block.channel.open_by[0]);
}
