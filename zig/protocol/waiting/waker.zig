//! The waker's side of a place. The caller has made something available there, and has seen that
//! somebody waits. None of this is on a fast path.

const atomic = @import("hooks");
const participant_file = @import("../participant.zig");
const place_file = @import("../place.zig");
const recovery = @import("../recovery/recovery.zig");
const system = @import("../../system/door.zig");

const Local = place_file.Local;
const View = participant_file.View;

pub const Whom = union(enum) {
    /// At most so many, whoever they are.
    some: u32,
    /// One row, since nobody else may have what there is.
    row: u32,
};

/// Wakes those that `whom` names, which is asked after `wake_seq` has changed.
pub fn wake(local: *Local, view: *const View, comptime whom: fn (*const View) Whom) void {
    const place = local.place;
    // SYNC: after what was made available, and before `wake_seq` changes: a waiter that counts its
    // sleep later tries later, and finds it. Pairs with `waiter.aboutToSleep`.
    const sleeps = atomic.load(u32, place.sleeps, .seq_cst);
    // The last wake found nobody asleep, and nobody has gone to sleep since: those who are counted
    // are awake, stopped or dead.
    if (sleeps == local.barren_sleeps) return countBarren(local, view);
    // SYNC: after what was made available: a waiter that reads the new value finds it, and one that
    // read the old value does not fall asleep. Pairs with `blocking.untilServed`,
    // `wait_any.untilWorthATry`, `Watch.arm`, `Watch.lookArmed` and `Watch.isWoken`.
    _ = atomic.fetchAdd(u32, place.wake_seq, 1);
    switch (whom(view)) {
        .row => |row| _ = system.futex.wakeBits(place.wake_seq, place_file.sleeperBit(row)),
        .some => |count| {
            if (system.futex.wake(place.wake_seq, count) > 0) {
                local.barren_wakes = 0;
                local.barren_look_at = place_file.barren_first;
                return;
            }
            // A waiter between its look and its sleep needs no wake: `wake_seq` has changed.
            local.barren_sleeps = sleeps;
            countBarren(local, view);
        },
    }
}

/// A killed waiter leaves the count too high until somebody recovers.
fn countBarren(local: *Local, view: *const View) void {
    local.barren_wakes += 1;
    if (local.barren_wakes < local.barren_look_at) return;
    local.barren_wakes = 0;
    local.barren_look_at = @min(local.barren_look_at * 8, place_file.barren_most);
    if (participant_file.anybodyDead(view)) _ = recovery.run(view, .{});
}

const std = @import("std");
const testing = std.testing;
const TestingPool = @import("../testing_pool.zig").TestingPool;
const waiter = @import("waiter.zig");

fn anyone(_: *const View) Whom {
    return .{ .some = 1 };
}

fn secondRow(_: *const View) Whom {
    return .{ .row = 1 };
}

/// Asleep at a place until a wake ends that, whatever the word says.
const Sleeper = struct {
    place: place_file.Place,
    row: u32,
    is_woken: bool = false,

    fn run(sleeper: *Sleeper) void {
        const word = sleeper.place.wake_seq;
        const bit = place_file.sleeperBit(sleeper.row);
        while (true) {
            const seen = @atomicLoad(u32, word, .seq_cst);
            const until_ns = system.clock.monotonicNs() + 60 * std.time.ns_per_s;
            if (system.futex.waitAs(word, seen, until_ns, bit) == .woken) break;
        }
        @atomicStore(bool, &sleeper.is_woken, true, .seq_cst);
    }

    fn isWoken(sleeper: *Sleeper) bool {
        return @atomicLoad(bool, &sleeper.is_woken, .seq_cst);
    }
};

test "a wake at one place does not reach a sleeper at another" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const at_pool = &pool.participant(0).local.at_pool;
    const other = pool.otherPlace();
    const before = other.wake_seq.*;
    var sleeper: Sleeper = .{ .place = other, .row = 0 };
    const thread = try std.Thread.spawn(.{}, Sleeper.run, .{&sleeper});
    for (0..100) |_| {
        waiter.aboutToSleep(at_pool.place);
        wake(at_pool, &pool.view, anyone);
        at_pool.place.wakeAll();
        system.clock.relax();
    }
    try testing.expect(!sleeper.isWoken());
    try testing.expectEqual(before, other.wake_seq.*);
    while (!sleeper.isWoken()) {
        other.wakeAll();
        system.clock.relax();
    }
    thread.join();
}

test "a wake for one row passes over the sleepers of others" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var local: Local = .{ .place = pool.otherPlace() };
    var sleepers: [2]Sleeper = undefined;
    var threads: [2]std.Thread = undefined;
    for (&sleepers, &threads, 0..) |*sleeper, *thread, row| {
        sleeper.* = .{ .place = local.place, .row = @intCast(row) };
        thread.* = try std.Thread.spawn(.{}, Sleeper.run, .{sleeper});
    }
    while (!sleepers[1].isWoken()) {
        wake(&local, &pool.view, secondRow);
        system.clock.relax();
    }
    threads[1].join();
    try testing.expect(!sleepers[0].isWoken());
    while (!sleepers[0].isWoken()) {
        waiter.aboutToSleep(local.place);
        wake(&local, &pool.view, anyone);
        system.clock.relax();
    }
    threads[0].join();
}

test "a wake that reached nobody is the last until somebody is about to sleep at that place" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const at_pool = &pool.participant(0).local.at_pool;
    var at_other: Local = .{ .place = pool.otherPlace() };
    const wake_seq = at_other.place.wake_seq;
    const before = wake_seq.*;
    wake(&at_other, &pool.view, anyone);
    wake(&at_other, &pool.view, anyone);
    try testing.expectEqual(before + 1, wake_seq.*);
    // A sleep at another place does not count here.
    waiter.aboutToSleep(at_pool.place);
    wake(&at_other, &pool.view, anyone);
    try testing.expectEqual(before + 1, wake_seq.*);
    try testing.expectEqual(@as(u32, 3), at_other.barren_wakes);
    try testing.expectEqual(@as(u32, 0), at_pool.barren_wakes);
    waiter.aboutToSleep(at_other.place);
    wake(&at_other, &pool.view, anyone);
    try testing.expectEqual(before + 2, wake_seq.*);
}
