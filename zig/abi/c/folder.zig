//! The form for C: the folder of pools, and looking into it from outside.

const std = @import("std");
const abandoned = @import("../../process/abandoned.zig");
const call = @import("call.zig");
const descriptor = @import("../../process/descriptor.zig");
const errors = @import("../../errors.zig");
const object_name = @import("../../system/object_name.zig");
const observing = @import("../../process/observing.zig");
const options_file = @import("../../process/options.zig");
const pools = @import("pools.zig");
const system_folder = @import("../../system/folder.zig");
const types = @import("types.zig");

const Error = errors.Error;
const Options = types.Options;
const Pool = types.Pool;
const PoolName = types.PoolName;
const ended = call.ended;
const missing = call.missing;
const readOptions = call.readOptions;

pub const DirectoryBuffer = [std.c.PATH_MAX]u8;

/// Where pools are, by an absolute path: a later change of the working directory changes nothing.
pub fn directory(buffer: *DirectoryBuffer) Error![:0]const u8 {
    const named = std.mem.span(std.c.getenv("XMEM_DIR") orelse "");
    if (named.len == 0) return "/dev/shm";
    var length: usize = 0;
    if (named[0] != '/') {
        if (std.c.getcwd(buffer, buffer.len) == null)
            return errors.fail(error.System, std.c._errno().*, "getcwd failed", .{});
        length = std.mem.findScalar(u8, buffer, 0).?;
        buffer[length] = '/';
        length += 1;
    }
    if (length + named.len >= buffer.len)
        return errors.fail(error.InvalidArgument, 0, "XMEM_DIR is too long", .{});
    @memcpy(buffer[length..][0..named.len], named);
    buffer[length + named.len] = 0;
    return buffer[0 .. length + named.len :0];
}

/// The names of the pools that there are, of any user, in no order. What has a pool's name and is
/// none is listed, too: `xmem_observe` says what is wrong with it.
///
/// XMEM_PERMISSION_DENIED: this user may not read the folder.
/// XMEM_SYSTEM: a system call failed; see `xmem_error_errno`.
/// XMEM_INVALID_ARGUMENT: `row_size` is wrong, or an address is NULL.
pub export fn xmem_list(
    /// Gets the names; may be NULL where `rows_max` is 0.
    rows: ?[*]PoolName,
    /// `sizeof(xmem_pool_name)`.
    row_size: usize,
    /// For how many `rows` has room.
    rows_max: u32,
    /// Gets how many there are, which may be more than there is room for.
    count: ?*u32,
) i32 {
    return ended(list(rows, row_size, rows_max, count));
}

fn list(rows: ?[*]PoolName, row_size: usize, rows_max: u32, count: ?*u32) Error!void {
    errors.clear();
    const out = count orelse return missing("count");
    try call.checkSize(PoolName, row_size);
    if (rows == null and rows_max > 0) return missing("rows");
    var buffer: DirectoryBuffer = undefined;
    var found: Found = .{ .rows = rows, .row_size = row_size, .rows_max = rows_max };
    try system_folder.forEachName(try directory(&buffer), &found, Found.add);
    out.* = found.count;
}

const Found = struct {
    rows: ?[*]PoolName,
    row_size: usize,
    rows_max: u32,
    count: u32 = 0,

    fn add(found: *Found, name: [:0]const u8, _: i32) void {
        defer found.count += 1;
        if (found.count >= found.rows_max) return;
        var full: PoolName = .{};
        @memcpy(full.name[0..name.len], name);
        call.put(full, found.rows, found.row_size, found.count) catch unreachable;
    }
};

comptime {
    std.debug.assert(object_name.length_max < types.pool_name_room);
}

/// Removes a name, if it leads to a pool of this user's that no live participant has open. With the
/// names of `xmem_list` it prunes the folder.
///
/// XMEM_POOL_NOT_FOUND: there is no such name.
/// XMEM_POOL_CORRUPT: the file of that name is no pool, or a damaged one.
/// XMEM_VERSION_MISMATCH: the pool was made by another version, or by a process of another libc.
/// XMEM_PERMISSION_DENIED: this user may not use it, or its owner is not trusted.
/// XMEM_POOL_BUSY: somebody opens it, or removes its name, just now.
/// XMEM_OUT_OF_MEMORY: the pool does not fit into the address space.
/// XMEM_INVALID_ARGUMENT: no pool can have that name, or `pruned` is NULL.
/// XMEM_SYSTEM: a system call failed; see `xmem_error_errno`.
pub export fn xmem_prune(
    /// As in `xmem_create`.
    name: ?[*:0]const u8,
    /// Not 0: only looks, and removes nothing.
    dry_run: u32,
    /// Gets 1 where the name was removed, or would have been; 0 where the pool is in use, or
    /// another user's.
    pruned: ?*u32,
) i32 {
    return ended(prune(name, dry_run, pruned));
}

fn prune(name: ?[*:0]const u8, dry_run: u32, pruned: ?*u32) Error!void {
    errors.clear();
    const out = pruned orelse return missing("pruned");
    const pool_name = name orelse return missing("name");
    var buffer: DirectoryBuffer = undefined;
    const dir = try directory(&buffer);
    const removed = try abandoned.prune(dir, std.mem.span(pool_name), dry_run != 0);
    out.* = @intFromBool(removed);
}

/// Looks at a pool without taking part: it takes no row, starts no recovery and writes nothing.
/// `xmem_info`, `xmem_stats`, `xmem_participants`, `xmem_channels`, `xmem_subscribers` and
/// `xmem_close` work on it; to every other call it is closed. The end of its thread does not close
/// it. Root may look at everybody's pools.
///
/// XMEM_TOO_MANY_PARTICIPANTS: this process has some 16000 pools open. XMEM_OUT_OF_MEMORY: the pool
/// does not fit into the address space. XMEM_POOL_NOT_FOUND, XMEM_POOL_CORRUPT,
/// XMEM_VERSION_MISMATCH, XMEM_PERMISSION_DENIED, XMEM_INVALID_ARGUMENT, XMEM_SYSTEM: as in
/// `xmem_open`.
pub export fn xmem_observe(
    /// As in `xmem_create`.
    name: ?[*:0]const u8,
    /// NULL: all defaults. Only `allow_owner` and `allow_group` matter.
    options: ?*const Options,
    /// Gets the observed pool.
    pool: ?*Pool,
) i32 {
    return ended(observe(name, options, pool));
}

fn observe(name: ?[*:0]const u8, options: ?*const Options, pool: ?*Pool) Error!void {
    errors.clear();
    const out = pool orelse return missing("pool");
    const pool_name = name orelse return missing("name");
    const numbers = try pools.optionNumbers(try readOptions(Options, options));
    var buffer: DirectoryBuffer = undefined;
    const dir = try directory(&buffer);
    const opened = try observing.observe(
        dir,
        std.mem.span(pool_name),
        numbers[@intFromEnum(options_file.Option.ALLOW_OWNER)],
        numbers[@intFromEnum(options_file.Option.ALLOW_GROUP)],
    );
    call.own(opened);
    out.* = descriptor.numberOf(opened);
}
