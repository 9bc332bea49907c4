//! The gate: one word that every acquire reads before its bracket, and that is 0 in ordinary times.
//! It says that a participant flushes the pool, or that a waiter which has waited for too long goes
//! first: its claim. Nobody has to stand in a bracket to change it. How a waiter sleeps and is
//! woken is in `waiting/`.

const std = @import("std");
const atomic = @import("hooks");
const layout = @import("../format/layout.zig");
const participant_file = @import("participant.zig");
const Place = @import("place.zig").Place;
const system = @import("../system/door.zig");
const words = @import("../format/words.zig");

const Gate = words.Gate;
const Participant = participant_file.Participant;
const View = participant_file.View;

/// A waiter that has waited for so long claims the next buffer. It is so long that a busy pool
/// stays fast, and short beside the time for which others could overtake a waiter.
const starving_after_ns: u64 = 25 * std.time.ns_per_ms;

/// A claim lasts a quarter of the time that was waited, within these bounds: a claimant that is
/// stopped, or whose event loop is busy, keeps others waiting for no longer.
const claim_ms_min = 10;
const claim_ms_max = 75;

/// True in ordinary times: an acquire may go on without another look.
///
/// SYNC: a waiter that read the `wake_seq` after a flush sees the flush, or its end. Pairs with
/// `settleFlusher` and `claim`.
pub inline fn isOpen(header: *const layout.Header) bool {
    return atomic.load(u64, &header.hot.gate, .acquire) == 0;
}

pub const Verdict = union(enum) {
    /// Nothing stands in the way.
    open,
    flushing,
    /// Another waiter goes first: the last free buffer is that one's.
    claimed,
    /// Likewise, and it waits for memory: all that others would free or commit is that one's, too.
    memory_claimed,
    /// A claim whose owner can no longer use it: `drop` it, and go on.
    void: Gate,
};

/// The gate's answer to a participant that wants a buffer. `goes_first`: the buffer is for a wait
/// of this thread, which may have the claim. Other acquires of the thread stand behind the claim.
pub fn look(participant: *const Participant, goes_first: bool) Verdict {
    const view = &participant.view;
    // SYNC: as in `isOpen`. Pairs with `settleFlusher` and `claim`.
    const gate = Gate.load(&view.header.hot.gate, .acquire);
    if (gate.flusher != 0) return .flushing;
    if (gate.claimant == 0) return .open;
    if (goes_first and gate.claimant == numberOf(participant)) return .open;
    // Not the time that acquires are stamped with, which may be that of the last tick.
    if (isVoid(view, gate, system.clock.monotonicNs())) return .{ .void = gate };
    return if (gate.claims_memory) .memory_claimed else .claimed;
}

/// What claims leave for a row's owner.
pub const Left = enum { all, all_but_last, nothing };

/// SYNC: the end of a claim changes `wake_seq` afterwards. Pairs with `claim`.
pub fn leftFor(view: *const View, row: u32) Left {
    const gate = Gate.load(&view.header.hot.gate, .seq_cst);
    // Each who waits while somebody flushes is to be told so.
    if (gate.flusher != 0 or gate.claimant == 0 or gate.claimant == row + 1) return .all;
    if (isVoid(view, gate, system.clock.monotonicNs())) return .all;
    return if (gate.claims_memory) .nothing else .all_but_last;
}

/// A claim ends with its time, with its owner, and with its owner's wait. A claim that no waiter
/// can have written is damage, and counts as ended.
fn isVoid(view: *const View, gate: Gate, now_ns: u64) bool {
    if (atomic.broken(.claim_never_ends)) return false;
    if (gate.claimant > view.geometry.participant_count) return true;
    const left_ms = gate.claim_end_ms -% milliseconds(now_ns);
    if (left_ms == 0 or left_ms > claim_ms_max) return true;
    const row = &view.rows[gate.claimant - 1];
    if (!participant_file.isLive(row)) return true;
    return !Place.ofPool(view.header).isMarked(row);
}

/// True when this call ended the claim: then the caller wakes the next waiter, which may have been
/// passed over for it.
pub fn drop(view: *const View, gate: Gate) bool {
    return Gate.cas(&view.header.hot.gate, gate, gate.withoutClaim());
}

pub const Lack = enum { buffer, memory };

/// A waiter that has waited for `waited_ns` goes first from now on, unless another one does. It
/// read `wake_seq` before its last try, so that a release which saw no claim yet does not let it
/// sleep. True when this ended a claim of its own instead: then the caller wakes the next waiter.
pub fn claim(participant: *const Participant, lack: Lack, now_ns: u64, waited_ns: u64) bool {
    const view = &participant.view;
    const own = numberOf(participant);
    // It may have claimed a buffer, and found by now that it also lacks memory.
    const lasts_ms = durationOf(lack, waited_ns) orelse return relinquish(participant);
    while (true) {
        const gate = Gate.load(&view.header.hot.gate, .acquire);
        if (gate.claimant != 0 and gate.claimant != own and !isVoid(view, gate, now_ns))
            return false;
        var claimed = gate;
        claimed.claimant = own;
        claimed.claims_memory = lack == .memory;
        claimed.claim_end_ms = milliseconds(now_ns) +% @as(u37, @intCast(lasts_ms));
        if (claimed == gate) return false;
        // SYNC: a participant that sees the claim sees that its owner waits. Pairs with
        // `claimantOf`, `isOpen`, `leftFor` and `look`.
        if (Gate.cas(&view.header.hot.gate, gate, claimed)) return false;
    }
}

/// How long a claim lasts that is made after so long a wait; null: not now. A buffer that lacks
/// memory for one waiter may serve others, so that a waiter for memory goes first in a quarter of
/// the time.
fn durationOf(lack: Lack, waited_ns: u64) ?u64 {
    if (waited_ns < starving_after_ns and !atomic.claimsAtOnce()) return null;
    const waited_ms = waited_ns / std.time.ns_per_ms;
    switch (lack) {
        .buffer => return std.math.clamp(waited_ms / 4, claim_ms_min, claim_ms_max),
        .memory => {
            const into_ms = waited_ms % (4 * claim_ms_max);
            return if (into_ms < claim_ms_max) claim_ms_max - into_ms else null;
        },
    }
}

/// The claimant was served, or waits no longer. True when there was a claim: then the caller wakes
/// the next waiter.
pub fn relinquish(participant: *const Participant) bool {
    const gate_ptr = &participant.view.header.hot.gate;
    while (true) {
        const gate = Gate.load(gate_ptr, .acquire);
        if (gate.claimant != numberOf(participant)) return false;
        if (Gate.cas(gate_ptr, gate, gate.withoutClaim())) return true;
    }
}

/// The row of the waiter that a release has to wake; null: any.
///
/// SYNC: sequential after the push. Pairs with `claim`.
pub fn claimantOf(view: *const View) ?u32 {
    const claimant = Gate.load(&view.header.hot.gate, .seq_cst).claimant;
    if (claimant == 0 or claimant > view.geometry.participant_count) return null;
    return claimant - 1;
}

/// Under the recovery mutex, after a row's `flushing` changed or its owner died: makes the gate
/// name a live flusher, not always the one that began, or none where no flusher is left.
///
/// SYNC: before `wake_seq` changes. Pairs with `isOpen` and `look`.
pub fn settleFlusher(view: *const View) void {
    const gate_ptr = &view.header.hot.gate;
    while (true) {
        const gate = Gate.load(gate_ptr, .acquire);
        const settled = gate.withFlusher(flusherOf(view));
        if (settled == gate or Gate.cas(gate_ptr, gate, settled)) return;
    }
}

fn flusherOf(view: *const View) u13 {
    for (view.rows[0..view.rowsUsed()], 1..) |*row, number| {
        if (atomic.load(u32, &row.flushing, .acquire) == 0) continue;
        if (participant_file.isLive(row)) return @intCast(number);
    }
    return 0;
}

/// While the pool stands still: no dead participant keeps others waiting.
pub fn dropDeadClaim(view: *const View) void {
    while (true) {
        const gate = Gate.load(&view.header.hot.gate, .acquire);
        if (gate.claimant == 0) return;
        const known = gate.claimant <= view.geometry.participant_count;
        if (known and participant_file.isLive(&view.rows[gate.claimant - 1])) return;
        if (drop(view, gate)) return;
    }
}

/// Whether acquires are refused for a flusher that is dead, or never was.
pub fn flushIsOrphaned(view: *const View) bool {
    const flusher = Gate.load(&view.header.hot.gate, .acquire).flusher;
    if (flusher == 0) return false;
    if (flusher > view.geometry.participant_count) return true;
    return !participant_file.isLive(&view.rows[flusher - 1]);
}

fn numberOf(participant: *const Participant) u13 {
    return @intCast(participant.index + 1);
}

fn milliseconds(now_ns: u64) u37 {
    return @truncate(now_ns / std.time.ns_per_ms);
}

const testing = std.testing;
const TestingPool = @import("testing_pool.zig").TestingPool;
const ms = std.time.ns_per_ms;

fn opened(pool: *TestingPool) ![2]Participant {
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    return .{ pool.participant(0), pool.participant(1) };
}

test "a waiter claims after it has waited for long, and only one at a time" {
    var pool: TestingPool = undefined;
    const first, const second = try opened(&pool);
    defer pool.deinit();
    first.row.waiting[0] = 1;
    second.row.waiting[0] = 1;
    const now_ns = system.clock.monotonicNs();
    if (!atomic.claimsAtOnce()) {
        try testing.expect(!claim(&first, .buffer, now_ns, starving_after_ns - 1));
        try testing.expect(isOpen(pool.view.header));
    }
    _ = claim(&first, .buffer, now_ns, 60_000 * ms);
    _ = claim(&second, .buffer, now_ns, 60_000 * ms);
    try testing.expectEqual(@as(?u32, 0), claimantOf(&pool.view));
    try testing.expectEqual(Verdict.open, look(&first, true));
    // Other acquires of the same thread stand behind the claim, too.
    try testing.expectEqual(Verdict.claimed, look(&first, false));
    try testing.expectEqual(Verdict.claimed, look(&second, true));
    try testing.expect(!relinquish(&second));
    try testing.expect(relinquish(&first));
    try testing.expect(isOpen(pool.view.header));
}

test "a claim lasts a quarter of the wait, within bounds, and then nobody has to respect it" {
    var pool: TestingPool = undefined;
    const first, const second = try opened(&pool);
    defer pool.deinit();
    first.row.waiting[0] = 1;
    const waits = [_][2]u64{
        .{ 25, 10 }, .{ 40, 10 }, .{ 160, 40 }, .{ 300, 75 }, .{ 60_000, 75 },
    };
    for (waits) |each| {
        const waited_ms, const lasts_ms = each;
        const now_ns = system.clock.monotonicNs();
        _ = claim(&first, .buffer, now_ns, waited_ms * ms);
        const gate = Gate.load(&pool.view.header.hot.gate, .acquire);
        try testing.expectEqual(lasts_ms, gate.claim_end_ms -% milliseconds(now_ns));
        try testing.expect(!isVoid(&pool.view, gate, now_ns + (lasts_ms - 1) * ms));
        try testing.expect(isVoid(&pool.view, gate, now_ns + lasts_ms * ms));
        // A clock that was set back, or read long ago, does not make it last for ever.
        try testing.expect(isVoid(&pool.view, gate, now_ns - 1000 * ms));
        try testing.expect(drop(&pool.view, gate));
        try testing.expect(!drop(&pool.view, gate));
    }
    try testing.expectEqual(Verdict.open, look(&second, true));
}

test "a claim of memory holds in a quarter of the time, and gives up the rest" {
    var pool: TestingPool = undefined;
    const first, const second = try opened(&pool);
    defer pool.deinit();
    first.row.waiting[0] = 1;
    const now_ns = system.clock.monotonicNs();
    _ = claim(&first, .memory, now_ns, 605 * ms);
    const gate = Gate.load(&pool.view.header.hot.gate, .acquire);
    try testing.expectEqual(milliseconds(now_ns) +% 70, gate.claim_end_ms);
    try testing.expectEqual(Verdict.memory_claimed, look(&second, true));
    // In the other three quarters it ends the claim that it has, and says so.
    try testing.expect(claim(&first, .memory, now_ns, 675 * ms));
    try testing.expect(!claim(&first, .memory, now_ns, 899 * ms));
    try testing.expect(isOpen(pool.view.header));
}

test "a claim of nobody who waits, lives or exists is void" {
    var pool: TestingPool = undefined;
    const first, const second = try opened(&pool);
    defer pool.deinit();
    const now_ns = system.clock.monotonicNs();
    _ = claim(&first, .buffer, now_ns, 60_000 * ms);
    try testing.expect(look(&second, true) == .void);
    first.row.waiting[0] = 1;
    try testing.expectEqual(Verdict.claimed, look(&second, true));
    first.row.mutex.unlock();
    try testing.expect(look(&second, true) == .void);
    var beyond: Gate = .open;
    beyond.claimant = 3;
    beyond.claim_end_ms = milliseconds(now_ns) +% 50;
    pool.view.header.hot.gate = @bitCast(beyond);
    try testing.expect(look(&second, true) == .void);
    try testing.expectEqual(@as(?u32, null), claimantOf(&pool.view));
}

test "the flusher named is a live one with a mark" {
    var pool: TestingPool = undefined;
    const first, const second = try opened(&pool);
    defer pool.deinit();
    first.row.flushing = 1;
    second.row.flushing = 1;
    settleFlusher(&pool.view);
    try testing.expectEqual(Verdict.flushing, look(&first, true));
    first.row.flushing = 0;
    settleFlusher(&pool.view);
    try testing.expectEqual(Verdict.flushing, look(&first, true));
    try testing.expect(!flushIsOrphaned(&pool.view));
    second.row.mutex.unlock();
    try testing.expect(flushIsOrphaned(&pool.view));
    settleFlusher(&pool.view);
    try testing.expectEqual(Verdict.open, look(&first, true));
}
