//! What an open pool is: its numbers, those of its object, and its row.

const std = @import("std");
const object = @import("../system/object.zig");
const open_pool = @import("open_pool.zig");
const pool_name = @import("pool_name.zig");

const Pool = open_pool.Pool;

pub const Info = enum {
    CAPACITY,
    BUFFER_SIZE,
    STRIDE,
    DATA_ADDRESS,
    DEVICE,
    INODE,
    MAX_PARTICIPANTS,
    LEASE_TIMEOUT,
    MAX_COMMITTED,
    CHANNELS,
    ZERO_ON_RELEASE,
    EPHEMERAL,
    CREATED_AT,
    ROW,
    TOTAL_SIZE,
    MODE,
    OWNER,
    GROUP,
    POOL_ID,
};

pub fn read(pool: *const Pool, out: []f64) void {
    const mapping = pool.mapping orelse return;
    const geometry = mapping.view.geometry;
    const identity = mapping.identity;
    const found = object.stat(mapping.object.fd) catch mapping.object;
    const data_address = @intFromPtr(mapping.view.base) + geometry.data_offset;
    for (std.enums.values(Info)) |field| {
        out[@intFromEnum(field)] = switch (field) {
            .CAPACITY => number(geometry.capacity),
            .BUFFER_SIZE => number(geometry.buffer_size),
            .STRIDE => number(geometry.stride),
            .DATA_ADDRESS => number(data_address),
            .DEVICE => number(found.identity.device),
            .INODE => number(found.identity.inode),
            .MAX_PARTICIPANTS => number(geometry.participant_count),
            .LEASE_TIMEOUT => number(identity.lease_timeout_ms),
            .MAX_COMMITTED => number(mapping.view.max_committed),
            .CHANNELS => number(geometry.channel_count),
            .ZERO_ON_RELEASE => number(@intFromBool(identity.zero_on_release != 0)),
            .EPHEMERAL => number(@intFromBool(identity.ephemeral != 0)),
            .CREATED_AT => number(identity.created_at_ms),
            .ROW => if (pool.is_observer) -1 else number(pool.participant.index),
            .TOTAL_SIZE => number(geometry.total_size),
            .MODE => number(found.mode),
            .OWNER => number(found.owner),
            .GROUP => number(found.group),
            .POOL_ID => number(identity.pool_id & pool_name.pool_id_mask),
        };
    }
}

fn number(value: u64) f64 {
    return @floatFromInt(value);
}
