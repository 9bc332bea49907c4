//! The pool as a place to wait: a participant that finds it empty, or without memory, waits here
//! until somebody releases, and a releaser wakes one of those who wait. How one waits at any place
//! is in `../waiting/`; here is what only the pool has: a waiter that goes first, and waits for
//! memory.

const std = @import("std");
const atomic = @import("hooks");
const cache = @import("cache.zig");
const errors = @import("../../errors.zig");
const free_list = @import("free_list.zig");
const gate = @import("../gate.zig");
const losses = @import("losses.zig");
const participant_file = @import("../participant.zig");
const place_file = @import("../place.zig");
const thaw = @import("../recovery/thaw.zig");
const waiter = @import("../waiting/waiter.zig");
const waker = @import("../waiting/waker.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const Place = place_file.Place;
const View = participant_file.View;

/// Makes this row one of those who wait. Nested waits of one thread count once.
pub fn begin(participant: *Participant, patience: *Patience) Error!void {
    const is_first = try waiter.begin(&participant.local.at_pool, participant, patience);
    if (is_first) participant.count("waits");
}

/// The end of a wait, and with the last of them of the row's claim.
pub fn end(participant: *Participant, patience: *Patience) void {
    const local = &participant.local.at_pool;
    if (waiter.isLast(local)) endClaim(participant);
    waiter.end(local, participant, patience);
}

/// The participant was refused, and waits on: it may go first from now on.
pub fn claim(participant: *const Participant, lack: gate.Lack, now_ns: u64, since_ns: u64) void {
    if (gate.claim(participant, lack, now_ns, now_ns -| since_ns)) wakeOne(participant);
}

/// The participant was served, or gives up: a waiter that its claim held back looks again.
pub fn endClaim(participant: *const Participant) void {
    if (gate.relinquish(participant)) wakeOne(participant);
}

/// After a push and outside the bracket. SYNC: the load is sequential after the push's CAS, and a
/// recovery that counts again leaves no live waiter out. Pairs with `waiter.mark` and
/// `place.recount`.
pub inline fn wakeOne(participant: *const Participant) void {
    if (atomic.load(u32, &participant.view.header.hot.waiters, .seq_cst) == 0) return;
    wakeWaiter(participant);
}

fn wakeWaiter(participant: *const Participant) void {
    @branchHint(.cold);
    waker.wake(&participant.local.at_pool, &participant.view, whom);
}

fn whom(view: *const View) waker.Whom {
    // The buffer is the claimant's.
    if (gate.claimantOf(view)) |row| return .{ .row = row };
    return .{ .some = wakesDue(view) };
}

/// One, or all where somebody waits for memory: the buffer may lack what the one that is woken
/// needs, and serve another.
///
/// SYNC: after `wake_seq` changed: a waiter that sets `memory_wanted` later, and read `wake_seq`
/// before, does not fall asleep. Pairs with `forMemory`.
fn wakesDue(view: *const View) u32 {
    const wanted = &view.header.repair.memory_wanted;
    if (atomic.broken(.memory_waiter_not_woken)) return 1;
    if (atomic.load(u32, wanted, .seq_cst) == 0) return 1;
    atomic.store(u32, wanted, 0, .seq_cst);
    return std.math.maxInt(i32);
}

/// A waiter found no memory, and sleeps on. The wake that it got might have brought a buffer to a
/// waiter that needs less memory. So the first waiter that is refused after a release wakes all;
/// the others find the flag set.
///
/// SYNC: before the sleep. Pairs with `wakesDue`.
pub fn forMemory(view: *const View) void {
    const wanted = &view.header.repair.memory_wanted;
    if (!atomic.cas(u32, wanted, 0, 1, .seq_cst)) return;
    if (atomic.broken(.memory_wake_kept)) return;
    if (atomic.load(u32, &view.header.hot.waiters, .seq_cst) != 0) wakeAll(view);
}

/// Everybody who waits looks again, as after a flush.
pub fn wakeAll(view: *const View) void {
    Place.ofPool(view.header).wakeAll();
}

/// Hands a wake that may have been meant for this thread to the next who waits.
pub fn passOn(participant: *const Participant) void {
    if (!free_list.isEmpty(&participant.view)) wakeOne(participant);
}

/// For the native thread of an event loop.
pub fn watched(view: *const View) place_file.Watched {
    return .{
        .place = .ofPool(view.header),
        .isWorthATry = isWorthATry,
        .isHeldBack = isHeldBack,
        .passOn = passOnFrom,
    };
}

/// A try recovers what a lease that is over has kept.
fn isWorthATry(view: *const View, _: Place, looks: *place_file.Looks) bool {
    return !free_list.isEmpty(view) or cache.hasAny(view) or losses.isAnyLeaseOver(view, looks);
}

/// Whether a claim keeps all that there is from the row's owner.
fn isHeldBack(view: *const View, row: u32) bool {
    return switch (gate.leftFor(view, row)) {
        .all => false,
        .all_but_last => !free_list.hasSeveral(view),
        .nothing => true,
    };
}

fn passOnFrom(view: *const View, place: Place, row: u32) void {
    if (free_list.isEmpty(view)) return;
    const claimant = gate.claimantOf(view) orelse return place.wakeNext();
    if (claimant != row) place.wakeRow(claimant);
}
