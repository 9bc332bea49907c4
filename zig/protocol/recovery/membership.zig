//! Joining and leaving: how a thread comes to have a row in a pool that it has mapped, and gives it
//! back. Both stand under the recovery mutex where rows of others are looked at. What a process
//! keeps beside its rows (mappings, opens) is in `process/`, and when a name goes in `names.zig`.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const gate = @import("../gate.zig");
const layout = @import("../../format/layout.zig");
const owner = @import("../owner.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("recovery.zig");
const system = @import("../../system/door.zig");
const thaw = @import("thaw.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;
const View = participant_file.View;

const lock_slice_ns: u64 = 2 * std.time.ns_per_ms;

/// Takes a row, after a recovery where one is due; its index.
pub fn join(view: *const View, who: owner.Who) Error!u32 {
    const inherited = try lockRepair(view, 0);
    defer view.header.repair.mutex.unlock();
    _ = recovery.runLocked(view, .{}, inherited);
    // SYNC: pairs with `names.takeLocked`.
    if (atomic.load(u32, &view.header.identity.state, .acquire) == layout.state_removed) {
        return errors.fail(error.PoolNotFound, 0, "its last participant just took it away", .{});
    }
    for (view.rows[0..view.geometry.participant_count], 0..) |*row, index| {
        if (row.mutex.isLocked() or participant_file.isDead(row)) continue;
        try takeRow(view, row, @intCast(index), who);
        return @intCast(index);
    }
    return errors.fail(
        error.TooManyParticipants,
        0,
        "its maxParticipants of {d} have it open",
        .{view.geometry.participant_count},
    );
}

fn takeRow(view: *const View, row: *layout.ParticipantRow, index: u32, who: owner.Who) Error!void {
    const offset = view.geometry.holdRowOffset(index);
    try system.memory.commit(view.fd, view.base, offset, view.geometry.hold_row_stride);
    for (view.holdRow(index)[0..view.geometry.capacity]) |*held| {
        @atomicStore(u16, held, 0, .monotonic);
    }
    owner.beginChange(row);
    owner.introduce(row, who);
    atomic.store(u64, &row.busy, 0, .monotonic);
    atomic.store(u32, &row.flushing, 0, .monotonic);
    // Its last owner may have died at work. It only grows, since others compare it.
    const working = atomic.load(u32, &row.working, .monotonic);
    atomic.store(u32, &row.working, (working +% 1) & ~@as(u32, 1), .monotonic);
    for (&row.waiting) |*bits| atomic.store(u64, bits, 0, .monotonic);
    atomic.store(u64, &row.taking, 0, .monotonic);
    words.Cache.store(&row.cache, .empty, .monotonic);
    // SYNC: the row is whole before it is joined, and joined before it counts. Pairs with
    // `occupancy.look`, `section.holdsOf`, `slots.heldBy`, `statistics.participants`,
    // `View.cacheEntries` and `View.rowsUsed`.
    atomic.store(u32, &row.joined, 1, .release);
    if (atomic.load(u32, &view.header.hot.rows_used, .monotonic) <= index) {
        atomic.store(u32, &view.header.hot.rows_used, index + 1, .seq_cst);
    }
    row.mutex.initialise();
    if (row.mutex.tryLock() != .acquired) {
        return errors.fail(error.PoolCorrupt, 0, "row {d} cannot be locked", .{index});
    }
    // It is alive: a row that was emptied and has no owner still says whose it was.
    owner.endChange(row);
}

/// The first step of a thread that gives its row back, after its holds.
pub fn prepareToLeave(participant: *Participant) void {
    const view = &participant.view;
    // A stopped recoverer may have the pool. Then the next recovery gives back what this thread
    // could not, as it does for a dead participant.
    const flush_ended = endFlush(participant);
    const owes = participant.local.attention & participant_file.attention_owed != 0;
    // The next owner of the row would not know of what is left in its cache.
    const cached = words.Cache.load(&participant.row.cache, .monotonic).count;
    const keeps = cached > 0 and !atomic.broken(.cache_kept_at_close);
    if (owes or keeps or !flush_ended) {
        // SYNC: after the last access to the row. Pairs with `participant.isDead`.
        atomic.store(u32, &participant.row.abandoned, 1, .release);
    }
    if (participant_file.anybodyDead(view)) _ = recovery.run(view, .{});
}

/// A flush ends with its flusher, unless there is another one. False: a stopped recoverer has the
/// pool.
fn endFlush(participant: *Participant) bool {
    const view = &participant.view;
    if (atomic.load(u32, &participant.row.flushing, .monotonic) == 0) return true;
    const inherited = lockRepair(view, 0) catch return false;
    defer view.header.repair.mutex.unlock();
    if (inherited) _ = recovery.runLocked(view, .{ .forced = true }, true);
    atomic.store(u32, &participant.row.flushing, 0, .monotonic);
    gate.settleFlusher(view);
    return true;
}

/// After a thread ended without leaving, and gave its row up: waiters get what it held now, and not
/// when they next look for the dead.
pub fn recoverForWaiters(view: *const View) void {
    if (atomic.load(u32, &view.header.hot.waiters, .monotonic) == 0) return;
    _ = recovery.run(view, .{});
}

/// Takes the recovery mutex, waiting for it until `until_ns`; 0: for as long as untimed calls wait.
/// True when its last owner died with it: a recovery is due.
pub fn lockRepair(view: *const View, until_ns: u64) Error!bool {
    var deadline_ns = until_ns;
    while (true) {
        switch (view.header.repair.mutex.tryLock()) {
            .acquired => return false,
            .acquired_from_dead => return true,
            .busy => {},
        }
        const now_ns = system.clock.monotonicNs();
        if (deadline_ns == 0) deadline_ns = now_ns + thaw.patience_untimed_ns;
        if (now_ns >= deadline_ns) return errors.fail(
            error.PoolBusy,
            0,
            "another participant has been in the middle of a recovery for too long",
            .{},
        );
        // SYNC: as in `thaw.wait`. Pairs with `phases.start`.
        const epoch = atomic.load(u32, &view.header.repair.epoch, .acquire);
        _ = system.futex.wait(&view.header.repair.epoch, epoch, now_ns + lock_slice_ns);
    }
}

const testing = std.testing;
const statistics = @import("../statistics.zig");
const TestingPool = @import("../testing_pool.zig").TestingPool;

fn acquiredOf(view: *const View) f64 {
    var values: [statistics.stat_count]f64 = undefined;
    statistics.collectSums(view, &values);
    return values[@intFromEnum(statistics.Stat.ACQUIRED)];
}

const Joiner = struct {
    view: *const View,
    done: bool = false,

    /// Takes the row again and again, and counts one acquire at each time.
    fn run(joiner: *Joiner) Error!void {
        defer @atomicStore(bool, &joiner.done, true, .release);
        for (0..20_000) |_| {
            const index = try join(joiner.view, .{
                .pid = 1,
                .tid = 1,
                .start_time = 1,
                .name = "joiner",
            });
            const row = &joiner.view.rows[index];
            const acquired = @atomicLoad(u64, &row.counters.acquired, .monotonic);
            @atomicStore(u64, &row.counters.acquired, acquired +% 1, .monotonic);
            row.mutex.unlock();
        }
    }
};

test "sums of counters never fall, and have nothing twice, while rows are taken again" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 1 });
    defer pool.deinit();
    var joiner: Joiner = .{ .view = &pool.view };
    const thread = try std.Thread.spawn(.{}, Joiner.run, .{&joiner});
    var most: f64 = 0;
    var fell = false;
    while (!@atomicLoad(bool, &joiner.done, .acquire)) {
        const now = acquiredOf(&pool.view);
        if (now < most) fell = true;
        most = @max(most, now);
    }
    thread.join();
    try testing.expect(!fell);
    try testing.expectEqual(@as(f64, 20_000), acquiredOf(&pool.view));
    try testing.expect(most <= 20_000);
}
