//! A whole pool for one unit test of the protocol: an object that nobody else can find, and the
//! participants that the test asks for, all on its own thread. Nothing that is not a test imports
//! it.

const std = @import("std");
const new_object = @import("../format/new_object.zig");
const geometry_file = @import("../format/geometry.zig");
const layout = @import("../format/layout.zig");
const participant_file = @import("participant.zig");
const Place = @import("place.zig").Place;
const system = @import("../system/door.zig");
const testing_os = @import("../system/testing_os.zig");

const View = participant_file.View;

pub const capacity_max = 64;
pub const participants_max = 10;
const page_size = 4096;

pub const TestingPool = struct {
    view: View,
    populated: [capacity_max]u32 = @splat(0),
    owed: [capacity_max]u16 = @splat(0),
    locals: [participants_max]participant_file.Local = undefined,

    /// `pool` must not move afterwards.
    pub fn init(pool: *TestingPool, options: geometry_file.Options) !void {
        const geometry = try geometry_file.compute(options, page_size);
        const fd = try testing_os.sharedFile(geometry.total_size);
        const base = try system.memory.map(fd, geometry.total_size, true);
        var identity = std.mem.zeroes(layout.Identity);
        identity.lease_timeout_ms = options.lease_timeout_ms;
        identity.max_committed = options.max_committed;
        identity.zero_on_release = @intFromBool(options.zero_on_release);
        identity.state = layout.state_ready;
        new_object.fill(base, geometry, identity);
        pool.* = .{ .view = undefined };
        pool.view = .init(base, geometry, identity, fd, &pool.populated);
    }

    pub fn deinit(pool: *TestingPool) void {
        const rows = @min(pool.view.geometry.participant_count, participants_max);
        for (pool.view.rows[0..rows]) |*row| row.mutex.unlock();
        system.memory.unmap(pool.view.base, pool.view.geometry.total_size);
        _ = std.c.close(pool.view.fd);
    }

    /// A second place to wait at: an end of the first channel.
    pub fn otherPlace(pool: *TestingPool) Place {
        const offset = pool.view.geometry.channels_offset;
        const block: *layout.ChannelBlock = @ptrCast(@alignCast(pool.view.base + offset));
        return .at(&block.channel.head.waiting, 1);
    }

    /// A participant with the row of that number, which it locks.
    pub fn participant(pool: *TestingPool, index: u32) participant_file.Participant {
        const row = &pool.view.rows[index];
        _ = row.mutex.tryLock();
        row.joined = 1;
        pool.view.header.hot.rows_used = @max(pool.view.header.hot.rows_used, index + 1);
        pool.locals[index] = .{
            .owed = &pool.owed,
            .at_pool = .{ .place = .ofPool(pool.view.header) },
        };
        return .{
            .view = pool.view,
            .index = index,
            .row = row,
            .holds = pool.view.holdRow(index),
            .cache = pool.view.cacheRow(index),
            .local = &pool.locals[index],
        };
    }
};
