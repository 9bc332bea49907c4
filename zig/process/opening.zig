//! Opening a pool by its name: the object that is there, or a new one. Everything in this folder
//! but `holds.zig` is cold.

const abandoned = @import("abandoned.zig");
const creating = @import("creating.zig");
const errors = @import("../errors.zig");
const exit_and_fork = @import("exit_and_fork.zig");
const mapping_file = @import("mapping.zig");
const names = @import("../protocol/recovery/names.zig");
const object = @import("../system/object.zig");
const object_name = @import("../system/object_name.zig");
const open_pool = @import("open_pool.zig");
const options_file = @import("options.zig");
const pool_name = @import("pool_name.zig");
const robust_mutex = @import("../system/robust_mutex.zig");
const system = @import("../system/door.zig");
const thread = @import("../system/thread.zig");

const Error = errors.Error;
const How = options_file.How;
const Mapping = mapping_file.Mapping;
const Name = pool_name.Name;
const Options = options_file.Options;
const Pool = open_pool.Pool;

pub fn open(
    how: How,
    dir: [:0]const u8,
    name: []const u8,
    participant_name: []const u8,
    options: *const Options,
) Error!*Pool {
    errors.clear();
    try object_name.check(name);
    if (!robust_mutex.supported()) return errors.fail(
        error.UnsupportedPlatform,
        0,
        "this system does not mark the mutexes of dead threads (robust lists are missing)",
        .{},
    );
    try thread.onThreadExit(exit_and_fork.abandonThread);
    try thread.onFork(exit_and_fork.forgetAfterFork);
    try thread.onProcessExit(exit_and_fork.leaveAtExit);
    system.clock.prepare();
    if (how != .open) abandoned.removeLeftOver(dir);
    // A name can vanish and appear between two looks; each round is one look.
    for (0..100) |_| {
        if (how == .create) {
            abandoned.makeWay(dir, name, options_file.trustOf(options));
        } else {
            if (openExisting(dir, name, participant_name, options, how)) |pool| {
                return pool;
            } else |err| if (err != error.PoolNotFound or how == .open) return err;
        }
        return creating.create(dir, name, participant_name, options) catch |err| {
            if (err == error.PoolExists and how == .open_or_create) continue;
            return err;
        };
    }
    return errors.fail(error.System, 0, "the name keeps appearing and vanishing", .{});
}

fn openExisting(
    dir: [:0]const u8,
    name: []const u8,
    participant_name: []const u8,
    options: *const Options,
    how: How,
) Error!*Pool {
    const found = try object.open(dir, name, .read_write, options_file.trustOf(options));
    const mapping = try mapping_file.of(found, dir, name);
    errdefer mapping_file.release(mapping);
    const own_name: Name = .{ .dir = dir, .name = name, .identity = mapping.object.identity };
    if (mapping.identity.ephemeral != 0 and try names.takeIfNobody(&mapping.view, own_name, 0)) {
        return errors.fail(error.PoolNotFound, 0, "its last participant is gone", .{});
    }
    if (how == .open_or_create) {
        if (options_file.given(options, .REPLACE_ABANDONED) orelse 0 != 0) {
            if (try names.takeIfNobody(&mapping.view, own_name, 0)) {
                return errors.fail(error.PoolNotFound, 0, "it was abandoned, and is replaced", .{});
            }
        }
        try checkAsked(mapping, options);
    }
    const cached = options_file.whole(u32, options, .LOCAL_CACHE, 0);
    return open_pool.make(mapping, participant_name, cached) catch |err| {
        // Another process found it abandoned and is removing it, or died while doing so: help.
        if (err == error.PoolNotFound) {
            const detail = errors.detail();
            _ = try names.takeIfNobody(&mapping.view, own_name, 0);
            errors.restore(detail);
        }
        return err;
    };
}

fn checkAsked(mapping: *Mapping, options: *const Options) Error!void {
    const geometry = mapping.view.geometry;
    const asked = .{
        .{ "capacity", options_file.whole(u64, options, .CAPACITY, 0), geometry.capacity },
        .{ "bufferSize", options_file.whole(u64, options, .BUFFER_SIZE, 0), geometry.buffer_size },
    };
    inline for (asked) |row| {
        if (row[2] < row[1]) {
            return errors.fail(
                error.OptionsMismatch,
                0,
                "its {s} is {d}, smaller than the {d} that was asked for",
                .{ row[0], row[2], row[1] },
            );
        }
    }
}
