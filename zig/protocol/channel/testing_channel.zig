//! A channel in a pool of its own, for one unit test. Nothing that is not a test imports it.

const std = @import("std");
const testing = std.testing;
const acquire = @import("../pool/acquire.zig");
const channel_file = @import("channel.zig");
const directory = @import("directory.zig");
const ends = @import("ends.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("../recovery/recovery.zig");
const references = @import("../pool/references.zig");
const ring = @import("ring.zig");
const testing_pool = @import("../testing_pool.zig");
const thaw = @import("../recovery/thaw.zig");
const words = @import("../../format/words.zig");

const Participant = participant_file.Participant;

pub const slots = 32;
pub const participants_max = testing_pool.participants_max;

pub const TestingChannel = struct {
    pool: testing_pool.TestingPool,
    participants: [participants_max]Participant,
    opened: [participants_max]directory.Opened,
    locals: [participants_max]ends.Locals,
    opened_count: u32,
    channel: channel_file.Channel,
    others: std.ArrayList(channel_file.Channel),

    /// Opened by the first `count` participants. `bench` must not move afterwards.
    pub fn init(bench: *TestingChannel, count: u32, asked: directory.Asked) !void {
        try bench.pool.init(.{
            .capacity = slots,
            .buffer_size = 64,
            .participant_count = participants_max,
        });
        for (0..count) |index| {
            bench.participants[index] = bench.pool.participant(@intCast(index));
            const opened = &bench.opened[index];
            opened.* = try directory.open(&bench.participants[index], "test", asked);
            bench.locals[index] = .of(&opened.channel);
            opened.channel.locals = &bench.locals[index];
        }
        bench.opened_count = count;
        bench.others = .empty;
        bench.channel = bench.opened[0].channel;
    }

    pub fn deinit(bench: *TestingChannel) void {
        for (bench.others.items) |channel| testing.allocator.destroy(channel.locals);
        bench.others.deinit(testing.allocator);
        bench.pool.deinit();
    }

    /// All positions begin here, as after so many laps.
    pub fn startAt(bench: *TestingChannel, lap: u40) void {
        const channel = &bench.channel;
        for (0..channel.capacity) |place| {
            channel.cells[place] = @bitCast(words.Cell{
                .index = 0,
                .lap = @truncate(lap),
                .full = false,
                .closed = false,
                .frozen = false,
            });
        }
        const start: u64 = @bitCast(words.Position{ .place = 0, .lap = lap });
        channel.head.position = start;
        channel.tail.position = start;
        for (bench.opened[0..bench.opened_count]) |opened| {
            const subscription = opened.subscription orelse continue;
            subscription.entry.cursor = start;
            subscription.entry.since = start;
        }
    }

    /// A hold of a new buffer; null: there is none.
    pub fn tryAcquire(bench: *TestingChannel, index: usize) ?u64 {
        const participant = &bench.participants[index];
        const acquired = acquire.acquireStraight(participant, 0) orelse return null;
        return @bitCast(words.Handle{
            .index = @intCast(acquired.index),
            .generation = @truncate(acquired.generation),
        });
    }

    pub fn release(bench: *TestingChannel, index: usize, handle: u64) !void {
        if (!references.giveBack(&bench.participants[index], handle)) return error.PoolCorrupt;
    }

    /// From now on the participant is dead, as a thread is that ended without leaving.
    pub fn kill(bench: *TestingChannel, index: usize) void {
        bench.participants[index].row.abandoned = 1;
        bench.participants[index].row.mutex.unlock();
    }

    /// Another thread takes the row of one that is dead and was recovered.
    pub fn takeRowAgain(bench: *TestingChannel, index: usize) !void {
        try testing.expectEqual(.acquired, bench.participants[index].row.mutex.tryLock());
    }

    /// A whole recovery.
    pub fn recover(bench: *TestingChannel) !void {
        const report = recovery.run(&bench.pool.view, .{ .forced = true, .damaged = true });
        try testing.expect(report.ran);
    }

    /// Another channel, opened by the first participant.
    pub fn other(
        bench: *TestingChannel,
        name: []const u8,
        asked: directory.Asked,
    ) !channel_file.Channel {
        var opened = try directory.open(&bench.participants[0], name, asked);
        const locals = try testing.allocator.create(ends.Locals);
        locals.* = .of(&opened.channel);
        opened.channel.locals = locals;
        try bench.others.append(testing.allocator, opened.channel);
        return opened.channel;
    }

    pub fn slotOf(bench: *TestingChannel, handle: u64) *layout.Slot {
        return &bench.pool.view.slots[@as(words.Handle, @bitCast(handle)).index];
    }

    pub fn control(bench: *TestingChannel, handle: u64) words.Control {
        const index = @as(words.Handle, @bitCast(handle)).index;
        return words.Control.load(&bench.pool.view.slots[index].control, .acquire);
    }

    pub fn holds(bench: *TestingChannel, index: usize, handle: u64) u16 {
        return bench.participants[index].holds[@as(words.Handle, @bitCast(handle)).index];
    }

    /// Each slot's references are the holds of it, and the cells and lists with it; no slot that is
    /// free has any, nor is it a message.
    pub fn expectExact(bench: *TestingChannel) !void {
        for (0..slots) |index| {
            var expected: u32 = 0;
            for (0..participants_max) |row| {
                if (bench.pool.view.rows[row].joined != 0)
                    expected += bench.pool.view.holdRow(@intCast(row))[index];
            }
            expected += bench.standing(&bench.channel, @intCast(index));
            for (bench.others.items) |*channel|
                expected += bench.standing(channel, @intCast(index));
            const slot = &bench.pool.view.slots[index];
            const word = words.Control.load(&slot.control, .acquire);
            if (word.state == .free) try testing.expectEqual(@as(u64, 0), slot.message);
            try testing.expectEqual(expected, word.references);
            try testing.expectEqual(expected > 0, word.state == .used);
        }
    }

    /// How often a slot stands in a channel.
    fn standing(bench: *TestingChannel, channel: *const channel_file.Channel, index: u32) u32 {
        var found: u32 = 0;
        for (channel.cells[0..channel.capacity]) |bits| {
            const cell: words.Cell = @bitCast(bits);
            if (cell.full and cell.index == index) found += 1;
        }
        for (bench.returnedIn(channel).slice()) |listed| {
            if (listed == index) found += 1;
        }
        return found;
    }

    pub const Listed = struct {
        indexes: [slots]u32 = undefined,
        length: usize = 0,

        pub fn slice(listed: *const Listed) []const u32 {
            return listed.indexes[0..listed.length];
        }
    };

    /// The slots on a channel's returned list, in order.
    pub fn returnedIn(bench: *TestingChannel, channel: *const channel_file.Channel) Listed {
        var listed: Listed = .{};
        const first: words.Returned = @bitCast(channel.head.returned);
        var index: u32 = first.index;
        while (index != words.index_nil and listed.length < slots) {
            listed.indexes[listed.length] = index;
            listed.length += 1;
            index = bench.pool.view.slots[index].next_free;
        }
        return listed;
    }

    pub fn queued(bench: *const TestingChannel) u32 {
        var full: u32 = 0;
        for (bench.channel.cells[0..bench.channel.capacity]) |bits| {
            full += @intFromBool(@as(words.Cell, @bitCast(bits)).full);
        }
        return full;
    }
};

/// What a stress test sends: numbers in order, of each producer.
pub const Stamp = struct { producer: u32, number: u32 };
