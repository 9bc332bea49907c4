//! Creating a pool: a nameless object is sized, mapped, filled and joined, and gets its name last,
//! so that nobody sees half a pool. And what to say where the name is taken.

const std = @import("std");
const abandoned = @import("abandoned.zig");
const closing = @import("closing.zig");
const digest = @import("../format/digest.zig");
const draft_file = @import("../system/draft.zig");
const errors = @import("../errors.zig");
const new_object = @import("../format/new_object.zig");
const geometry_file = @import("../format/geometry.zig");
const layout = @import("../format/layout.zig");
const mapping_file = @import("mapping.zig");
const names = @import("../protocol/recovery/names.zig");
const object = @import("../system/object.zig");
const object_name = @import("../system/object_name.zig");
const open_pool = @import("open_pool.zig");
const options_file = @import("options.zig");
const random = @import("../system/random.zig");
const robust_mutex = @import("../system/robust_mutex.zig");
const system = @import("../system/door.zig");

const Error = errors.Error;
const Look = abandoned.Look;
const Options = options_file.Options;
const Pool = open_pool.Pool;

pub fn create(
    dir: [:0]const u8,
    name: []const u8,
    participant_name: []const u8,
    options: *const Options,
) Error!*Pool {
    const defaults: geometry_file.Options = .{};
    const whole = options_file.whole;
    const asked: geometry_file.Options = .{
        .capacity = whole(u32, options, .CAPACITY, defaults.capacity),
        .buffer_size = whole(u32, options, .BUFFER_SIZE, defaults.buffer_size),
        .participant_count = whole(u32, options, .MAX_PARTICIPANTS, defaults.participant_count),
        .channel_count = whole(u32, options, .CHANNELS, defaults.channel_count),
        .lease_timeout_ms = whole(u32, options, .LEASE_TIMEOUT, defaults.lease_timeout_ms),
        .max_committed = whole(u64, options, .MAX_COMMITTED, defaults.max_committed),
        .zero_on_release = options_file.given(options, .ZERO_ON_RELEASE) orelse 0 != 0,
        .ephemeral = options_file.given(options, .EPHEMERAL) orelse 0 != 0,
    };
    const page_size: u32 = @intCast(system.memory.pageSize());
    const geometry = try geometry_file.compute(asked, page_size);
    // A pool for a group is made so that the group can open it.
    const group = options_file.trustOf(options).group;
    const mode_default: u32 = if (group == null) 0o600 else 0o660;
    const mode = whole(u32, options, .MODE, mode_default) & 0o777;
    var draft = try draft_file.create(dir, geometry.total_size, mode, group);
    var owned = true;
    errdefer if (owned) draft.discard();
    const base = try system.memory.map(draft.fd, geometry.total_size, true);
    errdefer if (owned) system.memory.unmap(base, geometry.total_size);
    try system.memory.commit(draft.fd, base, 0, geometry.fixedBytes());
    const identity = identityOf(asked, geometry);
    new_object.fill(base, geometry, identity);

    const mapping = try mapping_file.make(base, geometry, identity, .{
        .fd = draft.fd,
        .identity = draft.identity,
        .size = geometry.total_size,
        .mode = mode,
        .owner = std.c.geteuid(),
        .group = group orelse std.c.getegid(),
    }, dir, name);
    // The creator has its row before anybody can see the pool. From here on the mapping owns the
    // descriptor and the memory.
    const cached = options_file.whole(u32, options, .LOCAL_CACHE, 0);
    const pool = open_pool.make(mapping, participant_name, cached) catch |err| {
        const detail = errors.detail();
        draft.fd = std.c.dup(draft.fd);
        mapping_file.release(mapping);
        draft.discard();
        owned = false;
        errors.restore(detail);
        return err;
    };
    owned = false;
    // SYNC: everything was written before; the kernel's lock on the folder, under which the name
    // appears and is looked up, orders it. Pairs with
    // `mapping.readIdentity`.
    draft.publish(name) catch |err| {
        const detail = errors.detail();
        draft.fd = std.c.dup(draft.fd);
        closing.close(pool);
        draft.discard();
        errors.restore(detail);
        return if (err == error.PoolExists) explainExists(dir, name, options) else err;
    };
    return pool;
}

/// Says what kind of file has the name, and how this user can go on.
fn explainExists(dir: [:0]const u8, name: []const u8, options: *const Options) Error {
    const errno = errors.lastErrno();
    const prefix = object_name.prefix;
    const trust = options_file.trustOf(options);
    const found = object.open(dir, name, .read_only, trust) catch |err| switch (err) {
        error.PermissionDenied => return errors.fail(
            error.PoolExists,
            errno,
            "{s}/{s}{s} exists and belongs to user {d}, and this is user {d}; choose another " ++
                "name, or see `mode`, `allowOwner` and `allowGroup` for opening it",
            .{ dir, prefix, name, object.ownerOf(dir, name) orelse 0, std.c.geteuid() },
        ),
        error.PoolCorrupt => {
            const why = errors.detail();
            const text = "{s}; choose another name, or remove that by hand";
            return errors.fail(error.PoolExists, errno, text, .{why.text[0..why.length]});
        },
        else => {
            const text = "{s}/{s}{s} exists";
            return errors.fail(error.PoolExists, errno, text, .{ dir, prefix, name });
        },
    };
    defer object.close(found.fd);
    var look = Look.at(found) catch |err| {
        const why = errors.detail();
        return errors.fail(
            error.PoolExists,
            errno,
            "{s}/{s}{s} exists and is no pool that can be opened here ({s}: {s}); " ++
                "BufferPool.unlink() removes it",
            .{ dir, prefix, name, @tagName(errors.codeOf(err)), why.text[0..why.length] },
        );
    };
    defer look.end();
    const live = names.countLive(&look.view);
    if (live == 0) return errors.fail(
        error.PoolExists,
        errno,
        "{s}/{s}{s} exists and nobody has it open; openOrCreate() opens it, and with " ++
            "replaceAbandoned: true replaces it",
        .{ dir, prefix, name },
    );
    return errors.fail(
        error.PoolExists,
        errno,
        "{s}/{s}{s} exists and {d} participant{s} it open; openOrCreate() opens it, and with " ++
            "replaceAbandoned: true replaces it once nobody has it",
        .{ dir, prefix, name, live, if (live == 1) " has" else "s have" },
    );
}

fn identityOf(options: geometry_file.Options, geometry: geometry_file.Geometry) layout.Identity {
    var identity = std.mem.zeroes(layout.Identity);
    identity.magic = layout.magic;
    identity.version = layout.version;
    identity.libc_kind = robust_mutex.libc_kind;
    identity.layout_hash = digest.digest;
    identity.pool_id = random.number();
    identity.created_at_ms = system.clock.realtimeMs();
    identity.max_committed = options.max_committed;
    identity.lease_timeout_ms = options.lease_timeout_ms;
    identity.zero_on_release = @intFromBool(options.zero_on_release);
    identity.ephemeral = @intFromBool(options.ephemeral);
    identity.state = layout.state_ready;
    geometry_file.describe(geometry, &identity);
    return identity;
}
