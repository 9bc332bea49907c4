//! The numbers by which the outside names open pools: places in a table of this process, like file
//! descriptors. A number costs the engine less to pass than an address, a stale one is harmless,
//! and 0 is a pool that is closed, so that the fast path needs no check of its own for that.

const std = @import("std");
const clock = @import("../system/clock.zig");
const errors = @import("../errors.zig");
const open_pool = @import("open_pool.zig");
const participant_file = @import("../protocol/participant.zig");
const thread = @import("../system/thread.zig");

const Local = participant_file.Local;
const Pool = open_pool.Pool;

pub const Descriptor = u32;

/// Opens that one process can have at a time, and one more that is never opened.
pub const descriptors_max = 1 << 14;

/// In the zeroed part of the library's memory: what is not used costs nothing.
var table: [descriptors_max]Pool = undefined;
var used: [descriptors_max]bool = @splat(false);
/// Descriptors below it were once in use, and are fit to be looked at.
var end: u32 = 0;
/// The place that was taken last.
var last: usize = 0;
var lock: thread.Lock = .{};

/// Whose a closed pool is: every operation looks at its attention first, and ends there.
var nobody: Local = .{
    .owed = undefined,
    .at_pool = .{ .place = undefined },
    .attention = participant_file.attention_closed,
};

/// Filled with what no operation gets past: no index is in bounds.
var closed: Pool = .{
    .participant = .{
        .view = undefined,
        .index = 0,
        .row = undefined,
        .holds = undefined,
        .local = &nobody,
    },
    .mapping = null,
    .counts = undefined,
};

pub fn prepare() void {
    lock.lock();
    defer lock.unlock();
    if (end > 0) return;
    closed.participant.view.geometry.capacity = 0;
    table[0] = closed;
    used[0] = true;
    @atomicStore(u32, &end, 1, .monotonic);
}

/// Never fails: a number of no open pool names a closed one.
pub inline fn poolOf(descriptor: u32) *Pool {
    // Another thread may open a pool just now. The place of one's own was there before.
    if (descriptor >= @atomicLoad(u32, &end, .monotonic)) {
        @branchHint(.cold);
        // Keeps it a branch, which is predicted: all that follows would wait for a choice.
        asm volatile ("");
        return &table[0];
    }
    return &table[descriptor];
}

pub fn numberOf(pool: *const Pool) u32 {
    return @intCast(pool - &table[0]);
}

/// A place for a pool, closed until the caller fills it.
pub fn take() errors.Error!*Pool {
    lock.lock();
    defer lock.unlock();
    // In turn, so that a number stays the closed pool's for as long as possible.
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

/// Under the lock, since a thread that ends looks whose each place is.
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
/// the lock. Nothing where that is not to be had within some time: a process that ends does not
/// wait for a thread of its own that may have ended already.
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

/// The owner of what a parent opened: whichever thread of the child closes it, there is nobody
/// else.
pub const forked: usize = 1;

/// In a child of fork: what its parent opened, on whatever thread, is closed here. The lock may
/// have been somebody's who is not here; that one's place was not given to anybody yet.
pub fn forgetAfterFork() void {
    lock.reset();
    for (table[1..@max(end, 1)], used[1..@max(end, 1)]) |*pool, taken| {
        if (!taken) continue;
        pool.participant.local.attention |= participant_file.attention_closed;
        pool.owner = forked;
    }
}

test "a number that was given back names a closed pool" {
    prepare();
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
