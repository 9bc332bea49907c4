//! Joining and leaving: how a thread comes to have a row in a pool that it has mapped, and gives it
//! back. Both stand under the recovery mutex where rows of others are looked at. What a process
//! keeps beside its rows (mappings, opens) is in `process/`, and when a name goes in `names.zig`.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const gate = @import("../gate.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("recovery.zig");
const system = @import("../../system/door.zig");
const thaw = @import("thaw.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;
const View = participant_file.View;

const lock_slice_ns: u64 = 2 * std.time.ns_per_ms;

/// The owner of a row, for people to read: nothing is decided by it.
pub const Who = struct {
    pid: u32,
    tid: u32,
    start_time: u64,
    name: []const u8,
};

/// Takes a row, after a recovery where one is due; its index.
pub fn join(view: *const View, who: Who) Error!u32 {
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

fn takeRow(view: *const View, row: *layout.ParticipantRow, index: u32, who: Who) Error!void {
    const offset = view.geometry.holdRowOffset(index);
    try system.memory.commit(view.fd, view.base, offset, view.geometry.hold_row_stride);
    retireCounters(view, row);
    for (view.holdRow(index)[0..view.geometry.capacity]) |*held| {
        @atomicStore(u16, held, 0, .monotonic);
    }
    introduce(row, who);
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
}

/// The counters of the row's last owner go into the pool's own. Atomic, since statistics read both
/// at any time; a sum that is read in between has some of them twice.
fn retireCounters(view: *const View, row: *layout.ParticipantRow) void {
    const counters: *[std.meta.fields(layout.Counters).len]u64 = @ptrCast(&row.counters);
    const retired: *[std.meta.fields(layout.Counters).len]u64 = @ptrCast(&view.header.retired);
    for (counters, retired) |*own, *sum| {
        const before = @atomicLoad(u64, sum, .monotonic);
        const more = @atomicLoad(u64, own, .monotonic);
        @atomicStore(u64, sum, before +% more, .monotonic);
        @atomicStore(u64, own, 0, .monotonic);
    }
}

/// Atomic for the same reason: a mixture of two owners may be read in passing, nothing worse.
fn introduce(row: *layout.ParticipantRow, who: Who) void {
    @atomicStore(u32, &row.pid, who.pid, .monotonic);
    @atomicStore(u32, &row.tid, who.tid, .monotonic);
    @atomicStore(u64, &row.start_time, who.start_time, .monotonic);
    var padded: layout.NameWords = @splat(0);
    const name_bytes = @min(who.name.len, layout.name_bytes_max);
    @memcpy(std.mem.asBytes(&padded)[0..name_bytes], who.name[0..name_bytes]);
    for (@constCast(row.nameWords()), padded) |*word, value| {
        @atomicStore(u64, word, value, .monotonic);
    }
}

/// The first step of a thread that gives its row back, after its holds.
pub fn prepareToLeave(participant: *Participant) void {
    const view = &participant.view;
    // A stopped recoverer may have the pool. Then the next recovery gives back what this thread
    // could not, as it does for a dead participant.
    const flush_ended = endFlush(participant);
    const owes = participant.local.attention & participant_file.attention_owed != 0;
    if (owes or !flush_ended) {
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
