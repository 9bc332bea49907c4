//! Free slots whose memory is worked on in place. They stay on the list and are marked, so that the
//! list keeps its order and the pool does not look empty meanwhile. And how an acquire treats such
//! a slot on top.
//!
//! A mark alone does not stop a pop that had read the slot's word before: it will store over the
//! mark. Such a pop is in a bracket until it has stored the word. So once everybody was seen
//! outside a bracket, or in a later one, a slot that is still marked belongs to its maintainer. But
//! others may see the beginning of a bracket late, until its first CAS. So the head's tag grows
//! before the look: a pop whose CAS comes later fails and reads again, and the bracket of a pop
//! whose CAS came earlier is seen. Nobody has to wait, nothing is frozen, and no mutex is taken.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const free_list = @import("free_list.zig");
const memory_work = @import("../memory_work.zig");
const participant_file = @import("../participant.zig");
const phases = @import("../recovery/phases.zig");
const recovery = @import("../recovery/recovery.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const waiting = @import("waiting.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const Error = errors.Error;
const Head = words.Head;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const View = participant_file.View;

/// How long an acquire waits for work on the slot on top before it looks at the one below.
const patience_ns: u64 = 10 * std.time.ns_per_ms;
/// The same for the try of a wait: the end of the work wakes waiters anyway.
const at_once_ns: u64 = if (atomic.stepped) 0 else 200 * std.time.ns_per_us;
const slice_ns: u64 = 5 * std.time.ns_per_ms;
/// How long a maintainer waits to see everybody outside a bracket: the machine may be busy.
const rest_patience_ns: u64 = 200 * std.time.ns_per_ms;
const spins_max = if (atomic.stepped) 0 else 500;

/// Slots that are worked on together. They cannot be popped meanwhile, or while the maintainer is
/// stopped. So a batch is small: at most an eighth of the free slots.
pub const Batch = struct {
    indexes: [size_max]u32 = undefined,
    count: u32 = 0,
    count_max: u32,
    bytes: u64 = 0,

    const size_max = if (atomic.modelled) 2 else 32;
    const bytes_max = 1 << 20;
    const share = 8;

    pub fn of(view: *const View) Batch {
        if (atomic.modelled) return .{ .count_max = size_max };
        var walk: Walk = .from(view, size_max * share);
        var free: u32 = 0;
        while (walk.next() != null) free += 1;
        return .{ .count_max = @max(1, free / share) };
    }

    pub fn add(batch: *Batch, index: u32, bytes: u64) void {
        batch.indexes[batch.count] = index;
        batch.count += 1;
        batch.bytes += bytes;
    }

    pub fn isFull(batch: *const Batch) bool {
        return batch.count == batch.count_max or batch.bytes >= bytes_max;
    }

    pub fn members(batch: *const Batch) []const u32 {
        return batch.indexes[0..batch.count];
    }
};

/// A walk down the free list while others change it, for as many free slots as are wanted. A slot
/// that was popped meanwhile leads anywhere, and then the walk begins again at the top; it ends
/// after a number of steps in any case. Its results are hints only.
pub const Walk = struct {
    view: *const View,
    next_index: u32,
    wanted: u32,
    steps_left: u64,

    pub fn from(view: *const View, count: u32) Walk {
        const capacity = view.geometry.capacity;
        return .{
            .view = view,
            .next_index = top(view),
            .wanted = @min(count, capacity),
            .steps_left = 4 * @as(u64, capacity),
        };
    }

    fn top(view: *const View) u32 {
        return Head.load(&view.header.hot.free_head, .acquire).index;
    }

    pub fn next(walk: *Walk) ?u32 {
        while (walk.wanted > 0 and walk.steps_left > 0) {
            const index = walk.next_index;
            if (index >= walk.view.geometry.capacity) return null;
            walk.steps_left -= 1;
            const slot = &walk.view.slots[index];
            const state = Control.load(&slot.control, .acquire).state;
            if (state != .free and state != .maintained) {
                walk.next_index = top(walk.view);
                continue;
            }
            walk.next_index = atomic.load(u32, &slot.next_free, .monotonic);
            walk.wanted -= 1;
            return index;
        }
        return null;
    }
};

/// Marks the batch's slots for the caller. Slots that are not free, or that were taken meanwhile,
/// are dropped from the batch. Each member has to go through `finish`, and then all of it through
/// `end`. Timeout: somebody stands still in the middle of an operation; then nothing is marked.
pub fn begin(participant: *Participant, batch: *Batch, patience: *Patience) Error!void {
    memory_work.begin(participant);
    errdefer end(participant);
    const begun_ns = system.clock.monotonicNs();
    const until_ns = if (patience.until_ns == 0)
        begun_ns + rest_patience_ns
    else
        @min(patience.until_ns, begun_ns + rest_patience_ns);
    while (true) {
        mark(participant, batch);
        errdefer for (batch.members()) |index| finish(participant, index, patience);
        if (batch.count == 0) return;
        if (!atomic.broken(.maintenance_keeps_tag)) try growTag(participant, patience);
        const now_ns = system.clock.monotonicNs();
        const look_ns = @min(until_ns -| now_ns, patience_ns);
        if (atomic.broken(.maintenance_without_waiting) or
            phases.waitUntilQuiet(&participant.view, look_ns)) break;
        // An acquire that meets a mark waits no longer than that.
        if (now_ns + look_ns >= until_ns) return error.Timeout;
        for (batch.members()) |index| finish(participant, index, patience);
    }
    keepMarked(participant, batch);
}

/// The error that a user gets for a Timeout of `begin`.
pub fn stoodStill() Error {
    const text = "another participant has stood still in the middle of an operation";
    return errors.fail(error.PoolBusy, 0, text, .{});
}

fn keepMarked(participant: *const Participant, batch: *Batch) void {
    var kept: u32 = 0;
    for (batch.members()) |index| {
        // SYNC: acquires the store of a pop that came before the mark. Pairs with `acquire.use` and
        // `acquire.reserve`.
        const control = Control.load(&participant.view.slots[index].control, .acquire);
        if (!control.isMaintainedBy(participant.index)) continue;
        batch.indexes[kept] = index;
        kept += 1;
    }
    batch.count = kept;
}

fn mark(participant: *Participant, batch: *Batch) void {
    const view = &participant.view;
    const bracket = participant.enter();
    defer bracket.leave();
    var marked: u32 = 0;
    for (batch.members()) |index| {
        const slot = &view.slots[index];
        const from = Control.load(&slot.control, .acquire);
        if (from.frozen or from.state != .free or from.references != 0) continue;
        // What came into a cache since the caller has gathered them is its owner's for now.
        if (from.cachingRow() != null) continue;
        // SYNC: before the tag grows: an acquire that reads that head reads the mark. Pairs with
        // `acquire.attempt`, `section.freezeWord` and `cache.take`.
        if (!Control.cas(&slot.control, from, from.maintainedBy(participant.index))) continue;
        batch.indexes[marked] = index;
        marked += 1;
    }
    batch.count = marked;
}

fn growTag(participant: *Participant, patience: *Patience) Error!void {
    const head_ptr = &participant.view.header.hot.free_head;
    while (true) {
        const bracket = participant.enterSequential();
        // SYNC: as in `waiter.mark`. Pairs with `phases.freezeHead`.
        const head = Head.load(head_ptr, .seq_cst);
        if (head.frozen) {
            bracket.leave();
            try thaw.wait(participant, patience);
            continue;
        }
        defer bracket.leave();
        // SYNC: releases the marks; sequential before the loads of `busy`, and acquires the `busy`
        // of each earlier pop. Pairs with `free_list.headOf` and `free_list.take`.
        if (Head.cas(head_ptr, head, head.successor(head.index), .seq_cst)) return;
    }
}

/// Makes a member FREE again, and pushes it if an acquire set it aside. Never fails: if a stopped
/// recoverer keeps it marked, a later recovery frees it, since nobody works on it after `end`.
pub fn finish(participant: *Participant, index: u32, patience: *Patience) void {
    const slot = &participant.view.slots[index];
    while (true) {
        const bracket = participant.enter();
        const from = Control.load(&slot.control, .acquire);
        if (from.frozen) {
            bracket.leave();
            thaw.wait(participant, patience) catch return;
            continue;
        }
        defer bracket.leave();
        if (!from.isMaintainedBy(participant.index)) return;
        // SYNC: releases what was done to the memory and what the slot claims to have. Pairs with
        // `acquire.acquireStraight`, `acquire.attempt`, `section.freezeWord` and `setAside`.
        if (!Control.cas(&slot.control, from, from.freed())) continue;
        if (from.isSetAside()) _ = free_list.push(&participant.view, index);
        return;
    }
}

pub fn end(participant: *Participant) void {
    memory_work.endForAll(participant);
    const view = &participant.view;
    if (atomic.broken(.maintenance_wakes_nobody)) return;
    // SYNC: sequential after the words: a waiter that met a mark is found. Pairs with
    // `waiter.mark` and `wait`.
    if (atomic.load(u32, &view.header.hot.waiters, .seq_cst) != 0) waiting.wakeAll(view);
}

/// For an acquire that found the slot on top marked: returns when a new attempt may succeed.
/// PoolFull: it is the only free slot, and the patience is over; or the caller waits for a release
/// anyway, and is woken when the work is done.
pub fn wait(participant: *Participant, index: u32, patience: *Patience) Error!void {
    @branchHint(.cold);
    const view = &participant.view;
    const slot = &view.slots[index];
    const epoch = memory_work.epochOf(view);
    // SYNC: sequential after a waiter was counted. Pairs with `end`.
    const control = Control.load(&slot.control, .seq_cst);
    if (control.state != .maintained) return;
    if (!memory_work.isUnderWay(view, control.in_flight)) {
        // The work was done meanwhile; or its maintainer died or gave up, and only a recovery frees
        // the slot.
        if (Control.load(&slot.control, .acquire) != control) return;
        if (recovery.run(view, .{ .damaged = true }).ran) return;
    }
    for (0..spins_max) |_| {
        if (Control.load(&slot.control, .monotonic) != control) return;
        std.atomic.spinLoopHint();
    }
    const now_ns = system.clock.monotonicNs();
    const waits = patience.isOfWait();
    if (patience.maintained_until_ns == 0)
        patience.maintained_until_ns = now_ns + if (waits) at_once_ns else patience_ns;
    if (now_ns < patience.maintained_until_ns) {
        if (waits) return system.clock.relax();
        return memory_work.wait(view, epoch, patience.maintained_until_ns);
    }
    if (setAside(participant, index)) return;
    if (waits) return error.PoolFull;
    if (patience.until_ns == 0) patience.until_ns = now_ns + thaw.patience_untimed_ns;
    if (now_ns >= patience.until_ns) return error.PoolFull;
    memory_work.wait(view, epoch, @min(now_ns + slice_ns, patience.until_ns));
}

/// Takes the slot on top off the list, so that others get the slots below it. False: there are
/// none. If the caller dies between the two CASes, a recovery lists the slot again.
fn setAside(participant: *Participant, index: u32) bool {
    const view = &participant.view;
    const slot = &view.slots[index];
    const bracket = participant.enter();
    const there = free_list.top(view, free_list.headOf(view.header)) orelse {
        bracket.leave();
        return true;
    };
    const from = Control.load(&slot.control, .acquire);
    if (there.index != index or from.frozen or from.state != .maintained) {
        bracket.leave();
        return true;
    }
    if (there.next == words.index_nil) {
        bracket.leave();
        return false;
    }
    if (!free_list.take(view.header, there)) {
        bracket.leave();
        return true;
    }
    // SYNC: the maintainer either finds this, or is done. Pairs with `finish`.
    const aside = Control.cas(&slot.control, from, from.setAside());
    if (!aside) _ = free_list.push(view, index);
    bracket.leave();
    if (!aside) waiting.wakeOne(participant);
    return true;
}
