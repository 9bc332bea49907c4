//! A look at a pool from outside: without a row, without a recovery, and nothing is written.

const std = @import("std");
const descriptor = @import("descriptor.zig");
const errors = @import("../errors.zig");
const exit_and_fork = @import("exit_and_fork.zig");
const mapping_file = @import("mapping.zig");
const object = @import("../system/object.zig");
const open_pool = @import("open_pool.zig");
const options_file = @import("options.zig");
const participant_file = @import("../protocol/participant.zig");
const system = @import("../system/door.zig");
const thread = @import("../system/thread.zig");

const Error = errors.Error;
const Pool = open_pool.Pool;
const View = participant_file.View;

/// Root may look at the pools of every user.
pub fn observe(
    dir: [:0]const u8,
    name: []const u8,
    allow_owner: f64,
    allow_group: f64,
) Error!*Pool {
    errors.clear();
    try thread.onFork(exit_and_fork.forgetAfterFork);
    const found = try object.open(dir, name, .read_only, .{
        .owner = options_file.idOf(allow_owner),
        .group = options_file.idOf(allow_group),
        .anybody = std.c.geteuid() == 0,
    });
    errdefer object.close(found.fd);
    const identity = try mapping_file.readIdentity(found);
    const geometry = try mapping_file.checkIdentity(identity, found);
    const base = try system.memory.map(found.fd, geometry.total_size, false);
    errdefer system.memory.unmap(base, geometry.total_size);
    const view: View = .init(base, geometry, identity, found.fd, undefined);
    const pool = try descriptor.take();
    errdefer descriptor.giveBack(pool);
    const mapping = try mapping_file.allocate(view, identity, found, dir, name);
    // It keeps the participant of a closed pool, so that every other operation refuses it.
    pool.mapping = mapping;
    pool.is_observer = true;
    return pool;
}

pub fn unobserve(pool: *Pool) void {
    const mapping = pool.mapping orelse return;
    descriptor.giveBack(pool);
    mapping_file.destroy(mapping);
}
