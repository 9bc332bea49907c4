//! The form for C: making, opening, closing and removing pools.

const std = @import("std");
const call = @import("call.zig");
const closing = @import("../../process/closing.zig");
const descriptor = @import("../../process/descriptor.zig");
const errors = @import("../../errors.zig");
const folder = @import("folder.zig");
const layout = @import("../../format/layout.zig");
const observing = @import("../../process/observing.zig");
const object = @import("../../system/object.zig");
const opening = @import("../../process/opening.zig");
const options_file = @import("../../process/options.zig");
const pool_name_file = @import("../../process/pool_name.zig");
const types = @import("types.zig");

const Error = errors.Error;
const Options = types.Options;
const Pool = types.Pool;
const PoolInfo = types.PoolInfo;
const ended = call.ended;
const give = call.give;
const lease_never = types.lease_never;
const missing = call.missing;
const openPool = call.openPool;
const ownPool = call.ownPool;
const readOptions = call.readOptions;
const seenPool = call.seenPool;

/// Makes a pool and opens it.
///
/// XMEM_POOL_EXISTS: something has that name; a pool, or what is left of one. XMEM_OUT_OF_MEMORY:
/// the control area does not fit into the file system, or the pool into the address space.
/// XMEM_INVALID_ARGUMENT: the name is not allowed, an option is out of range, or `size` is wrong.
/// XMEM_PERMISSION_DENIED: this user may not make files there. XMEM_TOO_MANY_PARTICIPANTS: this
/// thread has some 2000 pools open, or this process some 16000. XMEM_UNSUPPORTED_PLATFORM: the
/// system has no robust mutexes. XMEM_SYSTEM: a system call failed; see `xmem_error_errno`.
pub export fn xmem_create(
    /// 1 to 200 letters, digits, '.', '_' or '-'. The pool is the file `xmem.<name>` in /dev/shm,
    /// or in the folder that the environment's XMEM_DIR names.
    name: ?[*:0]const u8,
    /// NULL: all defaults.
    options: ?*const Options,
    /// Gets the open pool.
    pool: ?*Pool,
) i32 {
    return ended(open(.create, name, options, pool));
}

/// Opens a pool. A thread that opens it twice is one participant, with two descriptors.
///
/// XMEM_POOL_NOT_FOUND: there is no pool of that name. XMEM_POOL_CORRUPT: the file of that name is
/// no pool, or a damaged one. XMEM_VERSION_MISMATCH: it was made by another version, or by a
/// process of another libc. XMEM_PERMISSION_DENIED: this user may not read and write it, or its
/// owner is not trusted. XMEM_TOO_MANY_PARTICIPANTS: every row is taken by a live participant.
/// XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery. XMEM_OUT_OF_MEMORY:
/// there is no memory for this participant's row. XMEM_INVALID_ARGUMENT, XMEM_UNSUPPORTED_PLATFORM,
/// XMEM_SYSTEM: as in `xmem_create`.
pub export fn xmem_open(
    /// As in `xmem_create`.
    name: ?[*:0]const u8,
    /// NULL: all defaults. Only `participant_name`, `allow_owner`, `allow_group` and `local_cache`
    /// matter.
    options: ?*const Options,
    /// Gets the open pool.
    pool: ?*Pool,
) i32 {
    return ended(open(.open, name, options, pool));
}

/// Opens the pool of that name, or makes it. However many do so at once, they get the same one.
///
/// XMEM_OPTIONS_MISMATCH: the pool that exists has a smaller capacity or buffer size than was asked
/// for explicitly.
/// Otherwise as `xmem_open` and `xmem_create`, without XMEM_POOL_EXISTS and
/// XMEM_POOL_NOT_FOUND.
pub export fn xmem_open_or_create(
    /// As in `xmem_create`.
    name: ?[*:0]const u8,
    /// NULL: all defaults.
    options: ?*const Options,
    /// Gets the open pool.
    pool: ?*Pool,
) i32 {
    return ended(open(.open_or_create, name, options, pool));
}

fn open(
    how: options_file.How,
    name: ?[*:0]const u8,
    options: ?*const Options,
    pool: ?*Pool,
) Error!void {
    errors.clear();
    const out = pool orelse return missing("pool");
    const pool_name = name orelse return missing("name");
    const given = try readOptions(Options, options);
    const participant = std.mem.span(given.participant_name orelse "");
    if (participant.len > layout.name_bytes_max)
        return errors.fail(error.InvalidArgument, 0, "participant_name is too long", .{});
    const numbers = try optionNumbers(given);
    var buffer: folder.DirectoryBuffer = undefined;
    const dir = try folder.directory(&buffer);
    const opened = try opening.open(how, dir, std.mem.span(pool_name), participant, &numbers);
    call.own(opened);
    out.* = descriptor.numberOf(opened);
}

pub fn optionNumbers(given: Options) Error!options_file.Options {
    if (given.mode > 0o777)
        return errors.fail(error.InvalidArgument, 0, "mode is {o}", .{given.mode});
    if (given.local_cache > layout.cached_slots_max)
        return errors.fail(error.InvalidArgument, 0, "local_cache is {d}", .{given.local_cache});
    const pairs = .{
        .{ options_file.Option.CAPACITY, given.capacity },
        .{ options_file.Option.BUFFER_SIZE, given.buffer_size },
        .{ options_file.Option.MAX_PARTICIPANTS, given.max_participants },
        .{ options_file.Option.LEASE_TIMEOUT, given.lease_timeout_ms },
        .{ options_file.Option.MAX_COMMITTED, given.max_committed_bytes },
        .{ options_file.Option.CHANNELS, given.channels },
        .{ options_file.Option.MODE, given.mode },
        .{ options_file.Option.ZERO_ON_RELEASE, given.zero_on_release },
        .{ options_file.Option.EPHEMERAL, given.ephemeral },
        .{ options_file.Option.REPLACE_ABANDONED, given.replace_abandoned },
        .{ options_file.Option.ALLOW_OWNER, given.allow_owner },
        .{ options_file.Option.ALLOW_GROUP, given.allow_group },
        .{ options_file.Option.LOCAL_CACHE, given.local_cache },
    };
    var numbers: options_file.Options = @splat(-1);
    inline for (pairs) |pair| {
        if (pair[1] != 0) numbers[@intFromEnum(pair[0])] = @floatFromInt(pair[1]);
    }
    const lease = &numbers[@intFromEnum(options_file.Option.LEASE_TIMEOUT)];
    if (given.lease_timeout_ms == lease_never) lease.* = 0;
    return numbers;
}

/// Gives back the holds of this descriptor, leaves its channels, and with the thread's last
/// descriptor of the pool gives back its row. Pointers into the pool's memory are invalid
/// afterwards, unless the process has it open still.
///
/// XMEM_POOL_CLOSED: it is closed already.
/// XMEM_INVALID_ARGUMENT: another thread opened it.
pub export fn xmem_close(pool: Pool) i32 {
    return ended(close(pool));
}

fn close(pool: Pool) Error!void {
    const found = try ownPool(pool);
    if (found.is_observer) observing.unobserve(found) else closing.close(found);
}

/// Removes a name, whatever it leads to: a pool, or what is left of one. Participants that have the
/// pool open can go on using it.
///
/// XMEM_POOL_NOT_FOUND: there is no such name. XMEM_INVALID_ARGUMENT: no pool can have that name.
/// XMEM_PERMISSION_DENIED: this user may not remove it. XMEM_POOL_BUSY: another process that
/// removes it is stopped. XMEM_SYSTEM: a system call failed; see `xmem_error_errno`.
pub export fn xmem_unlink(
    /// As in `xmem_create`.
    name: ?[*:0]const u8,
) i32 {
    return ended(unlink(name));
}

fn unlink(name: ?[*:0]const u8) Error!void {
    errors.clear();
    const pool_name = name orelse return missing("name");
    var buffer: folder.DirectoryBuffer = undefined;
    const dir = try folder.directory(&buffer);
    const removed = try pool_name_file.unlink(dir, std.mem.span(pool_name), -1, -1, -1);
    if (!removed) return error.PoolNotFound;
}

/// Removes the name of an open pool, unless it leads to another one by now.
///
/// XMEM_POOL_NOT_FOUND: the name leads nowhere, or to another pool.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it.
/// XMEM_PERMISSION_DENIED, XMEM_POOL_BUSY, XMEM_SYSTEM: as in `xmem_unlink`.
pub export fn xmem_unlink_pool(pool: Pool) i32 {
    return ended(unlinkPool(pool));
}

fn unlinkPool(pool: Pool) Error!void {
    if (!try pool_name_file.unlinkOwn(try openPool(pool))) return error.PoolNotFound;
}

/// What the pool was made with.
///
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
pub export fn xmem_info(
    pool: Pool,
    /// Gets everything. Set its `size` before.
    info: ?*PoolInfo,
) i32 {
    return ended(giveInfo(pool, info));
}

fn giveInfo(pool: Pool, info: ?*PoolInfo) Error!void {
    const out = info orelse return missing("info");
    const opened = try seenPool(pool);
    const mapping = opened.mapping.?;
    const geometry = mapping.view.geometry;
    const found = object.stat(mapping.object.fd) catch mapping.object;
    return give(out, .{
        .capacity = geometry.capacity,
        .buffer_size = geometry.buffer_size,
        .max_participants = geometry.participant_count,
        .lease_timeout_ms = switch (mapping.identity.lease_timeout_ms) {
            0 => lease_never,
            else => |limit| limit,
        },
        .max_committed_bytes = mapping.view.max_committed,
        .total_bytes = geometry.total_size,
        .created_at_ms = mapping.identity.created_at_ms,
        .channels = geometry.channel_count,
        .mode = found.mode,
        .owner = found.owner,
        .group = found.group,
        .zero_on_release = @intFromBool(mapping.identity.zero_on_release != 0),
        .ephemeral = @intFromBool(mapping.identity.ephemeral != 0),
    });
}
