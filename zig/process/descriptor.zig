//! The numbers that stand for open pools outside the core: places in a table of this process, like
//! file descriptors. JavaScript passes a number faster than an address, a stale number is harmless,
//! and 0 stands for a closed pool, so that the fast path needs no check for that.

const std = @import("std");
const clock = @import("../system/clock.zig");
const errors = @import("../errors.zig");
const open_pool = @import("open_pool.zig");
const participant_file = @import("../protocol/participant.zig");
const register = @import("../system/register.zig");
const thread = @import("../system/thread.zig");

const Local = participant_file.Local;
const Pool = open_pool.Pool;

pub const Descriptor = u32;

/// Opens that one process can have at a time, and one more that is never opened.
pub const descriptors_max = 1 << 14;

comptime {
    // A number becomes an address by a shift.
    std.debug.assert(std.math.isPowerOfTwo(@sizeOf(Pool)));
}

/// In the zeroed part of the library's memory: places that are not used cost nothing.
var table: [descriptors_max]Pool = undefined;
var used: [descriptors_max]bool = @splat(false);
/// Descriptors below it were in use at some time, and can be read.
var end: u32 = 0;
/// The place that was taken last.
var last: usize = 0;
var lock: thread.Lock = .{};

/// The owner of closed pools: every operation looks at its attention first, and ends there.
var nobody: Local = .{
    .owed = undefined,
    .at_pool = .{ .place = undefined },
    .attention = participant_file.attention_closed,
};

/// No operation gets past it: it has no capacity, so no index is in bounds.
var closed: Pool = .{
    .participant = .{
        .view = undefined,
        .index = 0,
        .row = undefined,
        .holds = undefined,
        .cache = undefined,
        .local = &nobody,
    },
    .mapping = null,
    .counts = undefined,
};

fn prepare() void {
    if (end > 0) return;
    closed.participant.view.geometry.capacity = 0;
    table[0] = closed;
    used[0] = true;
    @atomicStore(u32, &end, 1, .monotonic);
}

/// Never fails: a number that stands for no open pool gives a closed one.
pub inline fn poolOf(descriptor: u32) *Pool {
    // Another thread may be opening a pool now. The place of this thread's pool was counted before.
    if (descriptor >= @atomicLoad(u32, &end, .monotonic)) {
        @branchHint(.cold);
        // Keeps this a branch, which is predicted. All that follows would wait for a conditional
        // move.
        asm volatile ("");
        return &table[0];
    }
    return &table[register.single(descriptor)];
}

/// Where the first place says what a call made. Those of the others follow, `made_stride` bytes apart.
pub fn firstMade() *const open_pool.Made {
    return &table[0].made;
}

pub const made_stride = @sizeOf(Pool);

pub fn numberOf(pool: *const Pool) u32 {
    return @intCast(pool - &table[0]);
}

/// A place for a pool, closed until the caller fills it.
pub fn take() errors.Error!*Pool {
    lock.lock();
    defer lock.unlock();
    prepare();
    // In turn, so that the number of a closed pool is used again as late as possible.
    const place = for (0..descriptors_max - 1) |step| {
        const place = 1 + (last + step) % (descriptors_max - 1);
        if (!used[place]) break place;
    } else return errors.fail(
        error.TooManyParticipants,
        0,
        "this process has {d} pools open, and xmem can number no more in one process; close some",
        .{descriptors_max - 1},
    );
    last = place;
    table[place] = closed;
    used[place] = true;
    @atomicStore(u32, &end, @max(end, @as(u32, @intCast(place)) + 1), .monotonic);
    return &table[place];
}

/// Under the lock, since a thread that ends looks at the owner of each place.
pub fn fill(pool: *Pool, opened: Pool) void {
    lock.lock();
    defer lock.unlock();
    pool.* = opened;
}

pub fn giveBack(pool: *Pool) void {
    lock.lock();
    defer lock.unlock();
    pool.* = closed;
    used[numberOf(pool)] = false;
}

/// An open pool of the thread that `local` belongs to, null where it has none left.
pub fn anyOf(local: *const Local) ?*Pool {
    lock.lock();
    defer lock.unlock();
    for (table[1..@max(end, 1)], used[1..@max(end, 1)]) |*pool, taken| {
        if (taken and pool.participant.local == local) return pool;
    }
    return null;
}

/// Calls `visit(context, pool)` for each open pool of this process, whichever thread's it is, under
/// the lock. Does nothing if the lock stays taken for too long: a process that ends does not wait
/// for a thread that may have ended already.
pub fn forEachAtExit(
    context: anytype,
    comptime visit: fn (@TypeOf(context), *const Pool) void,
) void {
    for (0..lock_tries_at_exit) |_| {
        if (lock.tryLock()) break;
        clock.sleep(std.time.ns_per_ms);
    } else return;
    defer lock.unlock();
    for (table[1..@max(end, 1)], used[1..@max(end, 1)]) |*pool, taken| {
        if (taken) visit(context, pool);
    }
}

const lock_tries_at_exit = 100;

/// The owner of a pool that a parent process opened. Any thread of the child may close it.
pub const forked: usize = 1;

/// In a child of fork: all pools that the parent opened, on any thread, are closed. A thread of the
/// parent that does not exist here may have had the lock; the place that it was taking was not
/// given out yet.
pub fn forgetAfterFork() void {
    lock.reset();
    for (table[1..@max(end, 1)], used[1..@max(end, 1)]) |*pool, taken| {
        if (!taken) continue;
        pool.participant.local.attention |= participant_file.attention_closed;
        pool.owner = forked;
    }
}

test "a number that was given back stands for a closed pool" {
    const pool = try take();
    const descriptor = numberOf(pool);
    try std.testing.expect(descriptor > 0 and poolOf(descriptor) == pool);
    giveBack(pool);
    const attention = poolOf(descriptor).participant.local.attention;
    try std.testing.expectEqual(participant_file.attention_closed, attention);
    var beyond: u32 = descriptors_max;
    _ = &beyond;
    try std.testing.expectEqual(&table[0], poolOf(beyond));
}
