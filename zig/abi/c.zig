//! The interface in the form that suits C: every call returns 0 or the error's code negated, and
//! what it makes it puts where the caller says. `include/xmem.h` is generated from this file, whose
//! comments are the reference. The form for `bun:ffi` is in `bun.zig`; both make the same calls.
//!
//! Numbers are checked for range here and for meaning where they are used.

const std = @import("std");
const acquire_file = @import("../protocol/pool/acquire.zig");
const closing = @import("../process/closing.zig");
const content = @import("../protocol/pool/content.zig");
const descriptor = @import("../process/descriptor.zig");
const errors = @import("../errors.zig");
const flush_file = @import("../protocol/pool/flush.zig");
const holds = @import("../process/holds.zig");
const layout = @import("../format/layout.zig");
const object = @import("../system/object.zig");
const open_pool = @import("../process/open_pool.zig");
const opening = @import("../process/opening.zig");
const options_file = @import("../process/options.zig");
const participant_file = @import("../protocol/participant.zig");
const pool_name_file = @import("../process/pool_name.zig");
const preallocate_file = @import("../protocol/pool/preallocate.zig");
const recovery = @import("../protocol/recovery/recovery.zig");
const references = @import("../protocol/pool/references.zig");
const statistics = @import("../protocol/statistics.zig");
const system = @import("../system/door.zig");
const thread = @import("../system/thread.zig");
const trim_file = @import("../protocol/pool/trim.zig");
const words = @import("../format/words.zig");

const Error = errors.Error;
const allocator = std.heap.c_allocator;
const name_room = participant_file.name_room;

/// An open pool, like a file descriptor: a number above 0, good in the process and on the thread
/// that opened it, until it is closed. 0 and a stale one are refused.
pub const Pool = u32;

/// Names one use of one buffer: the handle of a buffer that was recycled since is refused. Below
/// 2^53, so that it fits a double. Where a function takes a `ref`, the buffer's bare index,
/// `xmem_index(handle)`, will do, too: it names whatever use the buffer is in.
pub const Handle = u64;

/// `timeout_ms` of a wait without an end.
pub const forever = std.math.maxInt(u64);
/// `lease_timeout_ms` of in-flight references that never expire.
pub const lease_never = std.math.maxInt(u32);

/// How to make or open a pool. Set everything to 0, then `size` to `sizeof(xmem_options)`, then
/// what is to differ from the default: 0 is the default of each field.
pub const Options = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(Options),
    /// Buffers, 1 to 2^24 - 2; default 1024.
    capacity: u32 = 0,
    /// The most bytes that one buffer can have; default 1 MiB, virtual until used.
    buffer_size: u32 = 0,
    /// Threads that may have the pool open at once, 1 to 4096; default 64.
    max_participants: u32 = 0,
    /// Milliseconds that an in-flight reference lives; default 30000; XMEM_LEASE_NEVER: it never
    /// expires.
    lease_timeout_ms: u32 = 0,
    /// Bytes of data that may be committed at once; default: capacity times buffer size.
    max_committed_bytes: u64 = 0,
    /// How many channels the pool has room for, at most 1024; default 16.
    channels: u32 = 0,
    /// Permission bits, whatever the umask; default 0600, at most 0777.
    mode: u32 = 0,
    /// Not 0: a buffer's bytes are zeroed when it is recycled.
    zero_on_release: u32 = 0,
    /// Not 0: the last participant that leaves removes the name.
    ephemeral: u32 = 0,
    /// Not 0: `xmem_open_or_create` replaces a pool that has no live participant.
    replace_abandoned: u32 = 0,
    /// A user whose pools are trusted, besides one's own and root's.
    allow_owner: u32 = 0,
    /// A group whose pools are trusted; one that is made belongs to it, by default with mode 0660.
    allow_group: u32 = 0,
    /// Always 0.
    reserved: u32 = 0,
    /// What `xmem_participants` shows for this thread, at most 31 bytes; NULL: nothing.
    participant_name: ?[*:0]const u8 = null,
};

/// What a pool was made with. The caller sets `size`.
pub const PoolInfo = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(PoolInfo),
    /// Buffers.
    capacity: u32,
    /// The most bytes that one buffer can have.
    buffer_size: u32,
    /// Threads that may have the pool open at once.
    max_participants: u32,
    /// Milliseconds that an in-flight reference lives; XMEM_LEASE_NEVER: it never expires.
    lease_timeout_ms: u32,
    /// Bytes of data that may be committed at once.
    max_committed_bytes: u64,
    /// Bytes of the object: address space, not memory.
    total_bytes: u64,
    /// When it was made, in milliseconds since 1970.
    created_at_ms: u64,
    /// How many channels it has room for.
    channels: u32,
    /// Permission bits.
    mode: u32,
    /// The user whose it is.
    owner: u32,
    /// 1: a buffer's bytes are zeroed when it is recycled.
    zero_on_release: u32,
    /// 1: the last participant that leaves removes the name.
    ephemeral: u32,
    /// The group whose it is.
    group: u32,
};

/// What goes on in a pool. In a busy one each number is true of some moment, not all of the same.
/// The caller sets `size`.
pub const PoolStats = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(PoolStats),
    /// Buffers: `free` and `used` ones.
    capacity: u64 = 0,
    /// Buffers that nobody uses.
    free: u64 = 0,
    /// Buffers that are in use, the parked ones too.
    used: u64 = 0,
    /// Buffers that were counted to 0 by hand and not recycled yet.
    parked: u64 = 0,
    /// References that are on their way between participants.
    in_flight: u64 = 0,
    /// Participants that wait for a buffer.
    waiters: u64 = 0,
    /// Bytes of data that have memory, without the control area.
    committed_bytes: u64 = 0,
    /// 1: somebody flushes the pool.
    flushing: u64 = 0,
    /// 1: the name still leads to this pool.
    linked: u64 = 0,
    /// Milliseconds since the oldest lease that has not ended began.
    oldest_lease_ms: u64 = 0,
    /// Milliseconds since the buffer was acquired that has been held for longest.
    longest_hold_ms: u64 = 0,
    /// Participants that live.
    alive: u64 = 0,
    /// Buffers acquired since the pool was made.
    acquired: u64 = 0,
    /// Buffers released since the pool was made.
    released: u64 = 0,
    /// Acquires that found the pool full.
    full: u64 = 0,
    /// Waits that began.
    waits: u64 = 0,
    /// Waits that ended without a buffer.
    timeouts: u64 = 0,
    /// Recoveries that ran.
    recoveries: u64 = 0,
    /// Recoveries that were put off because a participant stood still inside an operation.
    deferred: u64 = 0,
};

/// A thread that has the pool open, or had when it died.
pub const Participant = extern struct {
    /// The number of its row.
    row: u64 = 0,
    /// Its process's id, as that process knows it.
    pid: u64 = 0,
    /// Its thread's id, as that process knows it.
    tid: u64 = 0,
    /// 0: it is dead, and what it held is not given back yet.
    alive: u64 = 0,
    /// References that it owns.
    holds: u64 = 0,
    /// 1: it waits for a buffer.
    waiting: u64 = 0,
    /// When its process started, in clock ticks since boot; 0 where that is unknown.
    started: u64 = 0,
    /// Buffers that it acquired.
    acquired: u64 = 0,
    /// Buffers that it released.
    released: u64 = 0,
    /// Its waits.
    waits: u64 = 0,
    /// Its waits that ended without a buffer.
    timeouts: u64 = 0,
    /// The name that it gave itself, ended by a 0.
    name: [32]u8 = @splat(0),
};

/// What a buffer's bytes mean. Each acquire resets it. The caller sets `size`.
pub const Description = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(Description),
    /// One of XMEM_DTYPE_UINT8 ...; default XMEM_DTYPE_UINT8.
    dtype: u32 = 0,
    /// How many numbers of `shape` are used; default 1.
    shape_count: u32 = 0,
    /// Elements per dimension; default: one dimension of as many as the buffer has bytes.
    shape: [8]u64 = @splat(0),
    /// How many numbers of `strides` are used.
    stride_count: u32 = 0,
    /// Always 0.
    reserved: u32 = 0,
    /// Bytes from one element to the next, per dimension. They follow shape and dtype for as long
    /// as they are the contiguous ones.
    strides: [8]i64 = @splat(0),
    /// The unit is the producer's to say; default 0.
    timestamp: u64 = 0,
    /// Default 0.
    sequence: u64 = 0,
    /// UTF-8, ended by a 0; default empty.
    content_type: [32]u8 = @splat(0),
    /// UTF-8, ended by a 0; default empty.
    producer: [32]u8 = @splat(0),
};

/// What a recovery gave back. The caller sets `size`.
pub const ReclaimReport = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(ReclaimReport),
    /// Dead participants whose rows were emptied.
    participants: u32 = 0,
    /// Holds and expired in-flight references that were dropped.
    references: u32 = 0,
    /// Buffers that became free.
    buffers: u32 = 0,
    /// 1: a live participant stands still inside an operation; a later recovery finishes the job.
    deferred: u32 = 0,
};

comptime {
    // Programs are compiled with these: a struct may grow at its end, and that is all.
    std.debug.assert(@sizeOf(Options) == 72);
    std.debug.assert(@sizeOf(PoolInfo) == 72);
    std.debug.assert(@sizeOf(PoolStats) == 160);
    std.debug.assert(@sizeOf(Participant) == 120);
    std.debug.assert(@sizeOf(Description) == 232);
    std.debug.assert(@sizeOf(ReclaimReport) == 24);
    std.debug.assert(layout.dimensions_max == 8 and layout.text_bytes_max == 31);
    std.debug.assert(name_room == 32);
}

/// How a call ends: 0, or the code negated, recorded beside what more there is to say.
fn ended(result: Error!void) i32 {
    result catch |err| {
        errors.note(err);
        return errors.negative(err);
    };
    return 0;
}

/// How a call begins: the pool is open, and it is this thread's.
fn openPool(pool: Pool) Error!*open_pool.Pool {
    const found = try ownPool(pool);
    if (holds.attend(found)) |err| return err;
    return found;
}

/// The same for a close, which a child of fork may make.
fn ownPool(pool: Pool) Error!*open_pool.Pool {
    errors.clear();
    const found = descriptor.poolOf(pool);
    if (found.mapping == null) return error.PoolClosed;
    if (found.owner != thread.mark() and found.owner != descriptor.forked)
        return errors.fail(error.InvalidArgument, 0, "another thread opened the pool", .{});
    return found;
}

fn missing(comptime what: []const u8) Error {
    return errors.fail(error.InvalidArgument, 0, what ++ " is NULL", .{});
}

/// Handles and bare indexes are below 2^53.
fn checkRef(ref: u64) Error!u64 {
    return if (ref < 1 << 53) ref else error.InvalidArgument;
}

/// Fills a struct of the caller's. What a later, longer one has besides is 0.
fn give(out: anytype, full: std.meta.Child(@TypeOf(out))) Error!void {
    const size = out.size;
    try checkSize(@TypeOf(full), size);
    const filled: [*]u8 = @ptrCast(out);
    out.* = full;
    out.size = size;
    @memset(filled[@sizeOf(@TypeOf(full))..size], 0);
}

/// Beyond what any struct will ever grow to: a size that was never set is rubbish, and not to be
/// followed. When a struct grows, its first size stays the least, and no more is copied than the
/// caller has.
const struct_bytes_max = 4096;

fn checkSize(comptime Struct: type, size: usize) Error!void {
    if (size >= @sizeOf(Struct) and size <= struct_bytes_max) return;
    return errors.fail(error.InvalidArgument, 0, "a struct's size is {d}", .{size});
}

/// Makes a pool and opens it.
///
/// XMEM_POOL_EXISTS: something has that name; a pool, or what is left of one.
/// XMEM_OUT_OF_MEMORY: the control area does not fit into the file system, or the pool into the
/// address space.
/// XMEM_INVALID_ARGUMENT: the name is none, an option is out of range, or `size` is wrong.
/// XMEM_PERMISSION_DENIED: this user may not make files there.
/// XMEM_TOO_MANY_PARTICIPANTS: this thread has some 2000 pools open, or this process some 16000.
/// XMEM_UNSUPPORTED_PLATFORM: the system has no robust mutexes.
/// XMEM_SYSTEM: a system call failed; see `xmem_error_errno`.
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
/// XMEM_POOL_NOT_FOUND: there is no pool of that name.
/// XMEM_POOL_CORRUPT: what has that name is no pool, or a damaged one.
/// XMEM_VERSION_MISMATCH: it was made by another version, or by a process of another libc.
/// XMEM_PERMISSION_DENIED: this user may not read and write it, or its owner is not trusted.
/// XMEM_TOO_MANY_PARTICIPANTS: every row is taken by a live participant.
/// XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery.
/// XMEM_OUT_OF_MEMORY: there is no memory for this participant's row.
/// XMEM_INVALID_ARGUMENT, XMEM_UNSUPPORTED_PLATFORM, XMEM_SYSTEM: as in `xmem_create`.
pub export fn xmem_open(
    /// As in `xmem_create`.
    name: ?[*:0]const u8,
    /// NULL: all defaults. Only `participant_name`, `allow_owner` and `allow_group` matter.
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
    const given = try readOptions(options);
    const participant = std.mem.span(given.participant_name orelse "");
    if (participant.len > layout.name_bytes_max)
        return errors.fail(error.InvalidArgument, 0, "participant_name is too long", .{});
    const numbers = try optionNumbers(given);
    var buffer: DirectoryBuffer = undefined;
    const dir = try directory(&buffer);
    const opened = try opening.open(how, dir, std.mem.span(pool_name), participant, &numbers);
    opened.owner = thread.mark();
    out.* = descriptor.numberOf(opened);
}

/// A caller that was compiled later may have more fields, which have to have their defaults.
fn readOptions(options: ?*const Options) Error!Options {
    const given = options orelse return .{};
    const bytes: [*]const u8 = @ptrCast(given);
    const size = given.size;
    try checkSize(Options, size);
    for (bytes[@sizeOf(Options)..size]) |byte| {
        if (byte != 0) return errors.fail(error.InvalidArgument, 0, "unknown options", .{});
    }
    return given.*;
}

fn optionNumbers(given: Options) Error!options_file.Options {
    if (given.mode > 0o777)
        return errors.fail(error.InvalidArgument, 0, "mode is {o}", .{given.mode});
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
    };
    var numbers: options_file.Options = @splat(-1);
    inline for (pairs) |pair| {
        if (pair[1] != 0) numbers[@intFromEnum(pair[0])] = @floatFromInt(pair[1]);
    }
    const lease = &numbers[@intFromEnum(options_file.Option.LEASE_TIMEOUT)];
    if (given.lease_timeout_ms == lease_never) lease.* = 0;
    return numbers;
}

const DirectoryBuffer = [std.c.PATH_MAX]u8;

/// Where pools are, by an absolute path: a later change of the working directory changes nothing.
fn directory(buffer: *DirectoryBuffer) Error![:0]const u8 {
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

/// Gives back the holds of this descriptor, and with the thread's last descriptor of the pool its
/// row. Pointers into the pool's memory are invalid afterwards, unless the process has it open
/// still.
///
/// XMEM_POOL_CLOSED: it is closed already.
/// XMEM_INVALID_ARGUMENT: another thread opened it.
pub export fn xmem_close(pool: Pool) i32 {
    return ended(close(pool));
}

fn close(pool: Pool) Error!void {
    closing.close(try ownPool(pool));
}

/// Removes a name, whatever it leads to: a pool, or what is left of one. Who has the pool open goes
/// on.
///
/// XMEM_POOL_NOT_FOUND: there is no such name.
/// XMEM_INVALID_ARGUMENT: no pool can have that name.
/// XMEM_PERMISSION_DENIED: this user may not remove it.
/// XMEM_POOL_BUSY: somebody who removes it is stopped.
/// XMEM_SYSTEM: a system call failed; see `xmem_error_errno`.
pub export fn xmem_unlink(
    /// As in `xmem_create`.
    name: ?[*:0]const u8,
) i32 {
    return ended(unlink(name));
}

fn unlink(name: ?[*:0]const u8) Error!void {
    errors.clear();
    const pool_name = name orelse return missing("name");
    var buffer: DirectoryBuffer = undefined;
    const dir = try directory(&buffer);
    if (!try pool_name_file.unlink(dir, std.mem.span(pool_name), -1, -1, -1)) return error.PoolNotFound;
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
    const opened = try openPool(pool);
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

/// A hold of a free buffer, at once. Its content is what its last user left, unless the pool
/// zeroes.
///
/// XMEM_POOL_FULL: every buffer is in use. Nothing else has happened: this is the call that tries.
/// XMEM_TOO_LARGE: no buffer of this pool is that large.
/// XMEM_OUT_OF_MEMORY: the file system or `max_committed_bytes` has no room for the buffer's bytes.
/// XMEM_SYSTEM: the system refused to commit memory for another reason; see `xmem_error_errno`.
/// XMEM_POOL_FLUSHING: somebody flushes the pool.
/// XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery.
/// XMEM_POOL_CORRUPT: the control area holds what xmem never wrote.
/// XMEM_POOL_CLOSED: the pool is not open here: closed, or opened before a fork.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is NULL.
pub export fn xmem_acquire(
    pool: Pool,
    /// Bytes, 0 to the pool's buffer size.
    size: u32,
    /// Gets the buffer's handle.
    handle: ?*Handle,
) i32 {
    return ended(acquire(pool, size, handle));
}

fn acquire(pool: Pool, size: u32, handle: ?*Handle) Error!void {
    const out = handle orelse return missing("handle");
    const opened = try openPool(pool);
    const acquired = try acquire_file.acquire(&opened.participant, size);
    holds.add(opened, acquired);
    out.* = acquired;
}

/// The same, but it waits for a buffer, and for memory that others use up to `max_committed_bytes`. A
/// signal handler runs, and the wait goes on.
///
/// XMEM_TIMEOUT: the time passed without a buffer, or without memory for one.
/// XMEM_POOL_FLUSHING: somebody flushes the pool, or began to while this thread waited.
/// XMEM_OUT_OF_MEMORY: `size` alone is above `max_committed_bytes`, or the file system has no room.
/// Otherwise as `xmem_acquire`, without XMEM_POOL_FULL and XMEM_POOL_BUSY: it waits for a participant
/// that is stopped in the middle of a recovery, too.
pub export fn xmem_acquire_timed(
    pool: Pool,
    /// Bytes, 0 to the pool's buffer size.
    size: u32,
    /// Milliseconds to wait at most. 0: tries once. XMEM_FOREVER: no limit.
    timeout_ms: u64,
    /// Gets the buffer's handle.
    handle: ?*Handle,
) i32 {
    return ended(acquireTimed(pool, size, timeout_ms, handle));
}

fn acquireTimed(pool: Pool, size: u32, timeout_ms: u64, handle: ?*Handle) Error!void {
    const out = handle orelse return missing("handle");
    const opened = try openPool(pool);
    const deadline_ns = system.clock.monotonicNs() +| (timeout_ms *| std.time.ns_per_ms);
    const participant = &opened.participant;
    const acquired = while (true) {
        const slice = acquire_file.acquireSlice(participant, &opened.wait, size, deadline_ns);
        // A slice ended, or a signal handler has run.
        break slice catch |err| if (err == error.Pending) continue else return err;
    };
    holds.add(opened, acquired);
    out.* = acquired;
}

/// Gives a hold back. With the last reference the buffer is recycled, and a waiter gets it.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold: given back already, or handed off.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is out of range.
pub export fn xmem_release(pool: Pool, handle: Handle) i32 {
    return ended(release(pool, handle));
}

fn release(pool: Pool, handle: Handle) Error!void {
    const opened = try openPool(pool);
    if (!holds.giveBack(opened, try checkRef(handle))) return error.StaleHandle;
}

/// Where a held buffer's bytes are in this process, and how many. They stay there for as long as
/// the buffer is held. Several holders may read and write at once: who does when is theirs to
/// arrange.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_POOL_CORRUPT: the control area holds what xmem never wrote.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `handle` is out of range.
pub export fn xmem_data(
    pool: Pool,
    handle: Handle,
    /// Gets the address, aligned to a page; NULL: not wanted.
    data: ?*?*anyopaque,
    /// Gets the bytes that it has; NULL: not wanted.
    size: ?*usize,
) i32 {
    return ended(giveData(pool, handle, data, size));
}

fn giveData(pool: Pool, handle: Handle, data: ?*?*anyopaque, size: ?*usize) Error!void {
    const opened = try openPool(pool);
    const view = &opened.participant.view;
    const index = try heldIndex(opened, handle);
    const bytes = try holds.sizeOf(opened, index);
    if (data) |out| out.* = view.data(index, bytes).ptr;
    if (size) |out| out.* = bytes;
}

/// Makes a held buffer smaller, for all its holders and for whoever gets it next.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_INVALID_ARGUMENT: `size` is more than the buffer has; or another thread opened the pool.
/// XMEM_POOL_CORRUPT: the control area holds what xmem never wrote.
/// XMEM_POOL_CLOSED: the pool is not open.
pub export fn xmem_truncate(
    pool: Pool,
    handle: Handle,
    /// Bytes, 0 to what the buffer has.
    size: u32,
) i32 {
    return ended(truncate(pool, handle, size));
}

fn truncate(pool: Pool, handle: Handle, size: u32) Error!void {
    return content.truncate(try describer(pool, handle), handle, size);
}

fn heldIndex(pool: *const open_pool.Pool, handle: Handle) Error!u32 {
    if (!holds.isCurrent(pool, try checkRef(handle))) return error.StaleHandle;
    return @as(words.Handle, @bitCast(handle)).index;
}

/// One more hold of a buffer in use.
///
/// XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
/// XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
/// XMEM_NO_REFERENCE: the buffer was counted to 0 by hand.
/// XMEM_TOO_MANY_REFERENCES: it has 65535 already.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
pub export fn xmem_get(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the buffer's handle; NULL: not wanted.
    handle: ?*Handle,
) i32 {
    return ended(hold(pool, .get, ref, handle));
}

/// Adopts an in-flight reference: somebody handed the buffer off, and it is this thread's now.
///
/// XMEM_STALE_HANDLE: the buffer was recycled since; its lease may have passed.
/// XMEM_NO_REFERENCE: no reference is in flight; somebody else may have taken it.
/// XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
pub export fn xmem_take(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the buffer's handle; NULL: not wanted.
    handle: ?*Handle,
) i32 {
    return ended(hold(pool, .take, ref, handle));
}

fn hold(
    pool: Pool,
    comptime operation: references.Operation,
    ref: u64,
    handle: ?*Handle,
) Error!void {
    const opened = try openPool(pool);
    const held = try holds.hold(opened, operation, try checkRef(ref));
    if (handle) |out| out.* = held.handle;
}

/// Makes an in-flight reference of a held buffer: send its handle to whoever is to take it. The
/// hold stays. The reference lives for the pool's lease timeout.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_TOO_MANY_REFERENCES: the buffer has 65535 already.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `handle` is out of range.
pub export fn xmem_share(pool: Pool, handle: Handle) i32 {
    return ended(share(pool, handle));
}

fn share(pool: Pool, handle: Handle) Error!void {
    const opened = try openPool(pool);
    _ = try heldIndex(opened, handle);
    _ = try references.operate(&opened.participant, .share, handle, 0);
}

/// Turns a hold into an in-flight reference: send the handle to whoever is to take it. The buffer
/// is no longer this thread's. The reference lives for the pool's lease timeout.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `handle` is out of range.
pub export fn xmem_hand_off(pool: Pool, handle: Handle) i32 {
    return ended(handOff(pool, handle));
}

fn handOff(pool: Pool, handle: Handle) Error!void {
    const opened = try openPool(pool);
    return holds.handOff(opened, try checkRef(handle));
}

/// Counts a buffer up by hand: one more in-flight reference, of a buffer that need not be held.
///
/// XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
/// XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
/// XMEM_TOO_MANY_REFERENCES: it has 65535 already.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
pub export fn xmem_add_ref(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the buffer's whole count, holds and in-flight references; NULL: not wanted.
    count: ?*u32,
) i32 {
    return ended(byHand(pool, .add_ref, ref, 0, count));
}

/// Counts a buffer down by hand: one in-flight reference fewer. At 0 the buffer is recycled.
///
/// XMEM_NO_REFERENCE: none is in flight.
/// Otherwise as `xmem_add_ref`, without XMEM_TOO_MANY_REFERENCES.
pub export fn xmem_unref(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the buffer's whole count, holds and in-flight references; NULL: not wanted.
    count: ?*u32,
) i32 {
    return ended(byHand(pool, .unref, ref, 0, count));
}

/// As `xmem_unref`, but at 0 the buffer is not recycled: it is parked until
/// `xmem_try_release`, or until its lease passes. You almost certainly want `xmem_unref`.
///
/// XMEM_NO_REFERENCE: none is in flight.
/// Otherwise as `xmem_add_ref`, without XMEM_TOO_MANY_REFERENCES.
pub export fn xmem_release_by_hand(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the buffer's whole count, holds and in-flight references; NULL: not wanted.
    count: ?*u32,
) i32 {
    return ended(byHand(pool, .release_by_hand, ref, 0, count));
}

/// Sets a buffer's whole count, by more or fewer in-flight references.
///
/// XMEM_INVALID_ARGUMENT: `count` is below the buffer's holds or above 65535; or another thread
/// opened the pool, or `ref` is out of range.
/// Otherwise as `xmem_add_ref`, without XMEM_TOO_MANY_REFERENCES.
pub export fn xmem_set_ref_count(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// The whole count, holds and in-flight references.
    count: u32,
) i32 {
    return ended(byHand(pool, .set_ref_count, ref, count, null));
}

fn byHand(
    pool: Pool,
    comptime operation: references.Operation,
    ref: u64,
    argument: u32,
    count: ?*u32,
) Error!void {
    const opened = try openPool(pool);
    const ref_checked = try checkRef(ref);
    const done = try references.operate(&opened.participant, operation, ref_checked, argument);
    if (count) |out| out.* = done.count;
}

/// A buffer's whole count, holds and in-flight references. That of a free buffer's index is 0.
///
/// XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
/// XMEM_BUFFER_NOT_FOUND: the pool has no buffer of that index.
/// XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
pub export fn xmem_ref_count(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets the count.
    count: ?*u32,
) i32 {
    return ended(refCount(pool, ref, count));
}

fn refCount(pool: Pool, ref: u64, count: ?*u32) Error!void {
    const out = count orelse return missing("count");
    const opened = try openPool(pool);
    out.* = try references.refCount(&opened.participant, try checkRef(ref));
}

/// Recycles a buffer that was counted to 0 by hand. Exactly one of those that try succeeds.
///
/// XMEM_STALE_HANDLE: the buffer was recycled since the handle was made.
/// XMEM_BUFFER_NOT_FOUND: the pool has no buffer of that index.
/// XMEM_POOL_BUSY, XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool, or `ref` is out of range.
pub export fn xmem_try_release(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
    /// Gets 1 where this call recycled it, 0 where somebody still counts it or it is free already;
    /// NULL: not wanted.
    recycled: ?*u32,
) i32 {
    return ended(tryRelease(pool, ref, recycled));
}

fn tryRelease(pool: Pool, ref: u64, recycled: ?*u32) Error!void {
    const opened = try openPool(pool);
    const done = try holds.tryRelease(opened, try checkRef(ref));
    if (recycled) |out| out.* = @intFromBool(done);
}

/// The same, for callers to whom it is an error when the buffer is not recycled.
///
/// XMEM_BUFFER_IN_USE: somebody still counts it.
/// XMEM_BUFFER_NOT_FOUND: no buffer in use has that index.
/// Otherwise as `xmem_try_release`.
pub export fn xmem_release_buffer(
    pool: Pool,
    /// A handle, or a bare index.
    ref: u64,
) i32 {
    return ended(byHand(pool, .try_release, ref, 0, null));
}

/// What a held buffer's bytes mean, as its holders have said.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_POOL_CORRUPT: the description holds what xmem never wrote.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
pub export fn xmem_get_description(
    pool: Pool,
    handle: Handle,
    /// Gets everything. Set its `size` before.
    description: ?*Description,
) i32 {
    return ended(giveDescription(pool, handle, description));
}

fn giveDescription(pool: Pool, handle: Handle, description: ?*Description) Error!void {
    const out = description orelse return missing("description");
    const participant = try describer(pool, handle);
    var full: Description = .{
        .dtype = @intFromFloat(try content.number(participant, handle, .DTYPE)),
        .timestamp = @intFromFloat(try content.number(participant, handle, .TIMESTAMP)),
        .sequence = @intFromFloat(try content.number(participant, handle, .SEQUENCE)),
    };
    var numbers: [layout.dimensions_max]f64 = undefined;
    full.shape_count = try content.dims(participant, handle, .SHAPE, &numbers);
    for (numbers[0..full.shape_count], full.shape[0..full.shape_count]) |number, *to| {
        to.* = @intFromFloat(number);
    }
    full.stride_count = try content.dims(participant, handle, .STRIDES, &numbers);
    for (numbers[0..full.stride_count], full.strides[0..full.stride_count]) |number, *to| {
        to.* = saturated(number);
    }
    const type_length = try content.text(participant, handle, .CONTENT_TYPE, &full.content_type);
    full.content_type[type_length] = 0;
    const producer_length = try content.text(participant, handle, .PRODUCER, &full.producer);
    full.producer[producer_length] = 0;
    return give(out, full);
}

/// Strides are not bounded where shapes are rubbish.
fn saturated(number: f64) i64 {
    return std.math.lossyCast(i64, number);
}

/// The participant, where this descriptor holds the buffer that is to be described.
fn describer(pool: Pool, handle: Handle) Error!*participant_file.Participant {
    const opened = try openPool(pool);
    _ = try heldIndex(opened, handle);
    return &opened.participant;
}

/// Says what a held buffer's elements are. Strides follow while they are the contiguous ones.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: `dtype` is none; or another thread opened the pool.
pub export fn xmem_set_dtype(
    pool: Pool,
    handle: Handle,
    /// One of XMEM_DTYPE_UINT8 ...
    dtype: u32,
) i32 {
    return ended(setNumber(pool, handle, .DTYPE, dtype));
}

/// Says when a held buffer's content is of.
///
/// XMEM_INVALID_ARGUMENT: `timestamp` is above 2^53; or another thread opened the pool.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_timestamp(
    pool: Pool,
    handle: Handle,
    /// At most 2^53. The unit is the producer's to say.
    timestamp: u64,
) i32 {
    return ended(setNumber(pool, handle, .TIMESTAMP, timestamp));
}

/// Says which one of a sequence a held buffer is.
///
/// XMEM_INVALID_ARGUMENT: `sequence` is above 2^53; or another thread opened the pool.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_sequence(
    pool: Pool,
    handle: Handle,
    /// At most 2^53.
    sequence: u64,
) i32 {
    return ended(setNumber(pool, handle, .SEQUENCE, sequence));
}

fn setNumber(pool: Pool, handle: Handle, which: content.Number, value: u64) Error!void {
    const participant = try describer(pool, handle);
    if (value > 1 << 53) return error.InvalidArgument;
    return content.setNumber(participant, handle, which, @floatFromInt(value));
}

/// Says how many elements a held buffer has per dimension. Strides follow while they are the
/// contiguous ones.
///
/// XMEM_INVALID_ARGUMENT: there are more than 8 dimensions, or one is above 2^53; or another thread
/// opened the pool. The old shape stays.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_shape(
    pool: Pool,
    handle: Handle,
    /// As many numbers as `count` says; may be NULL where that is 0.
    shape: ?[*]const u64,
    /// Dimensions, at most 8.
    count: u32,
) i32 {
    return ended(setDims(u64, pool, handle, .SHAPE, shape, count));
}

/// Says how many bytes a held buffer has from one element to the next, per dimension.
///
/// XMEM_INVALID_ARGUMENT: there are more than 8 dimensions, or one is beyond 2^53; or another
/// thread opened the pool. The old strides stay.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_strides(
    pool: Pool,
    handle: Handle,
    /// Bytes, as many numbers as `count` says; may be NULL where that is 0.
    strides: ?[*]const i64,
    /// Dimensions, at most 8.
    count: u32,
) i32 {
    return ended(setDims(i64, pool, handle, .STRIDES, strides, count));
}

fn setDims(
    comptime Number: type,
    pool: Pool,
    handle: Handle,
    which: content.Dims,
    values: ?[*]const Number,
    count: u32,
) Error!void {
    const participant = try describer(pool, handle);
    if (count > layout.dimensions_max) return error.InvalidArgument;
    var numbers: [layout.dimensions_max]f64 = undefined;
    if (count > 0) {
        const given = values orelse return missing("the array");
        for (given[0..count], numbers[0..count]) |value, *number| {
            if (@abs(value) > 1 << 53) return error.InvalidArgument;
            number.* = @floatFromInt(value);
        }
    }
    return content.setDims(participant, handle, which, numbers[0..count]);
}

/// Says what a held buffer's content is, as a MIME type say.
///
/// XMEM_INVALID_ARGUMENT: it has more than 31 bytes; or another thread opened the pool. The old one
/// stays.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_content_type(
    pool: Pool,
    handle: Handle,
    /// UTF-8, at most 31 bytes; NULL: empty.
    content_type: ?[*:0]const u8,
) i32 {
    return ended(setText(pool, handle, .CONTENT_TYPE, content_type));
}

/// Says who made a held buffer's content.
///
/// XMEM_INVALID_ARGUMENT: it has more than 31 bytes; or another thread opened the pool. The old one
/// stays.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_producer(
    pool: Pool,
    handle: Handle,
    /// UTF-8, at most 31 bytes; NULL: empty.
    producer: ?[*:0]const u8,
) i32 {
    return ended(setText(pool, handle, .PRODUCER, producer));
}

fn setText(pool: Pool, handle: Handle, which: content.Text, text: ?[*:0]const u8) Error!void {
    const participant = try describer(pool, handle);
    return content.setText(participant, handle, which, std.mem.span(text orelse ""));
}

/// Commits memory for the next buffers that acquires will get, and holds nothing afterwards.
///
/// XMEM_TOO_LARGE: no buffer of this pool is that large.
/// XMEM_OUT_OF_MEMORY: the file system or `max_committed_bytes` has no room for even one.
/// XMEM_SYSTEM: the system refused to commit memory for another reason; see `xmem_error_errno`.
/// XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery, or of an operation.
/// XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool.
pub export fn xmem_preallocate(
    pool: Pool,
    /// Bytes per buffer, 0 to the pool's buffer size.
    size: u32,
    /// Buffers; of more than are free, as many as are.
    count: u32,
    /// Gets the bytes that were committed anew; NULL: not wanted.
    bytes: ?*u64,
) i32 {
    return ended(preallocate(pool, size, count, bytes));
}

fn preallocate(pool: Pool, size: u32, count: u32, bytes: ?*u64) Error!void {
    const opened = try openPool(pool);
    const added = try preallocate_file.preallocate(&opened.participant, size, count);
    if (bytes) |out| out.* = added;
}

/// Gives the memory of free buffers back to the system.
///
/// XMEM_POOL_BUSY: as in `xmem_preallocate`.
/// XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool.
pub export fn xmem_trim(
    pool: Pool,
    /// Gets the bytes that were given back; NULL: not wanted.
    bytes: ?*u64,
) i32 {
    return ended(trim(pool, bytes));
}

fn trim(pool: Pool, bytes: ?*u64) Error!void {
    const opened = try openPool(pool);
    const freed = try trim_file.all(&opened.participant);
    if (bytes) |out| out.* = freed;
}

/// Ends every wait of every process with XMEM_POOL_FLUSHING, and has every acquire fail with it,
/// until `xmem_unflush`, or until this participant is gone. It does not nest.
///
/// XMEM_POOL_BUSY, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool.
pub export fn xmem_flush(pool: Pool) i32 {
    return ended(flush(pool, true));
}

/// Ends a flush, whoever began it.
///
/// XMEM_POOL_BUSY, XMEM_POOL_CLOSED: as in `xmem_acquire`.
/// XMEM_INVALID_ARGUMENT: another thread opened the pool.
pub export fn xmem_unflush(pool: Pool) i32 {
    return ended(flush(pool, false));
}

fn flush(pool: Pool, on: bool) Error!void {
    const opened = try openPool(pool);
    return flush_file.set(&opened.participant, on);
}

/// Gives back what dead participants and expired leases left. An acquire that finds the pool full
/// does so by itself.
///
/// XMEM_POOL_BUSY: another participant is stopped in the middle of a recovery.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
pub export fn xmem_reclaim(
    pool: Pool,
    /// Gets what was given back; set its `size` before. NULL: not wanted.
    report: ?*ReclaimReport,
) i32 {
    return ended(reclaim(pool, report));
}

fn reclaim(pool: Pool, report: ?*ReclaimReport) Error!void {
    const opened = try openPool(pool);
    if (report) |out| try checkSize(ReclaimReport, out.size);
    const done = try recovery.runPatiently(&opened.participant.view);
    if (report) |out| try give(out, .{
        .participants = done.participants,
        .references = done.references,
        .buffers = done.buffers,
        .deferred = @intFromBool(done.deferred),
    });
}

/// What goes on in the pool. It looks at every buffer: not a call for each frame.
///
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `size` is wrong.
pub export fn xmem_stats(
    pool: Pool,
    /// Gets everything. Set its `size` before.
    stats: ?*PoolStats,
) i32 {
    return ended(giveStats(pool, stats));
}

fn giveStats(pool: Pool, stats: ?*PoolStats) Error!void {
    const out = stats orelse return missing("stats");
    const opened = try openPool(pool);
    var values: [statistics.stat_count]f64 = undefined;
    statistics.collect(&opened.mapping.?.view, &values);
    values[@intFromEnum(statistics.Stat.LINKED)] =
        @floatFromInt(@intFromBool(pool_name_file.linked(opened)));
    var full: PoolStats = .{};
    assign(statistics.Stat, &full, &values);
    return give(out, full);
}

/// Each field by its name: one that the struct lacks does not compile.
fn assign(comptime Field: type, to: anytype, values: []const f64) void {
    inline for (comptime std.enums.values(Field)) |field| {
        const name = comptime lower(@tagName(field));
        // What comes from a damaged pool may be more than there is.
        @field(to, &name) = std.math.lossyCast(u64, values[@intFromEnum(field)]);
    }
}

fn lower(comptime name: []const u8) [name.len]u8 {
    var made: [name.len]u8 = undefined;
    _ = std.ascii.lowerString(&made, name);
    return made;
}

/// The threads that have the pool open, or had when they died.
///
/// XMEM_OUT_OF_MEMORY: there is no memory for the answer.
/// XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: another thread opened it, or `row_size` is wrong.
pub export fn xmem_participants(
    pool: Pool,
    /// Gets the participants; may be NULL where `rows_max` is 0.
    rows: ?[*]Participant,
    /// `sizeof(xmem_participant)`.
    row_size: usize,
    /// For how many `rows` has room.
    rows_max: u32,
    /// Gets how many were written.
    count: ?*u32,
) i32 {
    return ended(giveParticipants(pool, rows, row_size, rows_max, count));
}

fn giveParticipants(
    pool: Pool,
    rows: ?[*]Participant,
    row_size: usize,
    rows_max: u32,
    count: ?*u32,
) Error!void {
    const out = count orelse return missing("count");
    try checkSize(Participant, row_size);
    const opened = try openPool(pool);
    const view = &opened.mapping.?.view;
    const field_count = statistics.participant_field_count;
    const limit = @min(rows_max, view.geometry.participant_count);
    const values = allocator.alloc(f64, limit * field_count) catch return error.OutOfMemory;
    defer allocator.free(values);
    const names = allocator.alloc([name_room]u8, limit) catch return error.OutOfMemory;
    defer allocator.free(names);
    const written = statistics.participants(view, values, std.mem.sliceAsBytes(names), limit);
    if (written > 0) {
        const to: [*]u8 = @ptrCast(rows orelse return missing("rows"));
        for (0..written) |row| {
            var full: Participant = .{ .name = names[row] };
            const fields = values[row * field_count ..][0..field_count];
            assign(statistics.ParticipantField, &full, fields);
            const place = to[row * row_size ..][0..row_size];
            @memcpy(place[0..@sizeOf(Participant)], std.mem.asBytes(&full));
            @memset(place[@sizeOf(Participant)..], 0);
        }
    }
    out.* = written;
}

/// A code's name without its XMEM_, as "POOL_FULL"; of 0 "OK", of what is no code "UNKNOWN".
pub export fn xmem_error_name(
    /// What a call returned.
    status: i32,
) [*:0]const u8 {
    if (status == 0) return "OK";
    inline for (comptime std.enums.values(errors.Code)) |code| {
        if (status == -@intFromEnum(code)) return @tagName(code);
    }
    return "UNKNOWN";
}

/// Why this thread's last call failed, as far as its code does not say it: ended by a 0, and empty
/// where there is nothing to add. The next call that works on a pool forgets it. Returns the length
/// of the whole text, however much of it there was room for.
pub export fn xmem_error_text(
    /// Gets the text; may be NULL where `size` is 0.
    text: ?[*]u8,
    /// Bytes that `text` has room for, the 0 included.
    size: usize,
) usize {
    const whole = errors.lastText();
    const to = text orelse return whole.len;
    if (size == 0) return whole.len;
    const copied = @min(whole.len, size - 1);
    @memcpy(to[0..copied], whole[0..copied]);
    to[copied] = 0;
    return whole.len;
}

/// The errno of the system call for which this thread's last call failed; 0: there was none. The
/// next call that works on a pool forgets it.
pub export fn xmem_error_errno() i32 {
    return errors.lastErrno();
}
