//! Delays: a thread sometimes sleeps before an access to shared memory, in the middle of an
//! operation. Most kills and stops of the soak then fall between two steps of a thread, and
//! operations of others fall there, too.

const std = @import("std");
const accesses = @import("accesses.zig");

pub const Canary = @import("canary.zig").Canary;
pub const Order = accesses.Order;
pub const stepped = false;
pub const modelled = false;
pub inline fn repairsSilently() bool {
    return false;
}

pub inline fn claimsAtOnce() bool {
    return false;
}

const delayed = accesses.After(step);
pub const load = delayed.load;
pub const store = delayed.store;
pub const cas = delayed.cas;
pub const fetchAdd = delayed.fetchAdd;
pub const fetchSub = delayed.fetchSub;
pub const fetchOr = delayed.fetchOr;
pub const fetchAnd = delayed.fetchAnd;
pub const fetchMax = delayed.fetchMax;
pub inline fn call() void {}

pub const broken = @import("chosen_canary.zig").broken;

/// One access in so many, on average.
const short_every = 128;
const long_every = 1 << 13;

/// A long one outlasts a recovery's patience with a participant inside an operation.
const short_ns_max = 400 * std.time.ns_per_us;
const long_ns = 15 * std.time.ns_per_ms;

/// xorshift64: 0 means that this thread has not begun.
threadlocal var random: u64 = 0;

fn step() void {
    if (random == 0) random = @intFromPtr(&random) ^ (@as(u64, @intCast(std.c.getpid())) << 32);
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    if (random % long_every == 0) return sleep(long_ns);
    if (random % short_every == 1) return sleep((random >> 32) % short_ns_max);
}

fn sleep(duration_ns: u64) void {
    const duration: std.c.timespec = .{ .sec = 0, .nsec = @intCast(duration_ns) };
    _ = std.c.nanosleep(&duration, null);
}
