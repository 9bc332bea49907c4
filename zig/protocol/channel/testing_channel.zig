//! A channel in a pool of its own, for one unit test. Nothing that is not a test imports it.

const std = @import("std");
const testing = std.testing;
const acquire = @import("../pool/acquire.zig");
const channel_file = @import("channel.zig");
const directory = @import("directory.zig");
const ends = @import("ends.zig");
const participant_file = @import("../participant.zig");
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
        bench.channel = bench.opened[0].channel;
    }

    pub fn deinit(bench: *TestingChannel) void {
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
        const acquired = acquire.acquireStraight(participant, 0, 0) orelse return null;
        return @bitCast(words.Handle{
            .index = @intCast(acquired.index),
            .generation = acquired.generation,
        });
    }

    pub fn release(bench: *TestingChannel, index: usize, handle: u64) !void {
        if (!references.giveBack(&bench.participants[index], handle)) return error.PoolCorrupt;
    }

    pub fn control(bench: *TestingChannel, handle: u64) words.Control {
        const index = @as(words.Handle, @bitCast(handle)).index;
        return words.Control.load(&bench.pool.view.slots[index].control, .acquire);
    }

    pub fn holds(bench: *TestingChannel, index: usize, handle: u64) u16 {
        return bench.participants[index].holds[@as(words.Handle, @bitCast(handle)).index];
    }

    /// Each slot's references are the holds of it and the cells with it, and no slot that is free
    /// has any.
    pub fn expectExact(bench: *TestingChannel) !void {
        for (0..slots) |index| {
            var expected: u32 = 0;
            for (0..participants_max) |row| {
                if (bench.pool.view.rows[row].joined != 0)
                    expected += bench.pool.view.holdRow(@intCast(row))[index];
            }
            for (bench.channel.cells[0..bench.channel.capacity]) |bits| {
                const cell: words.Cell = @bitCast(bits);
                if (cell.full and cell.index == index) expected += 1;
            }
            const word = words.Control.load(&bench.pool.view.slots[index].control, .acquire);
            try testing.expectEqual(expected, word.references);
            try testing.expectEqual(expected > 0, word.state == .used);
        }
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
