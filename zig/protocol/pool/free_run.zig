//! Takes runs of slots out of the free list, wherever in it they lie, and puts them back where they
//! were. A pop reaches only the top, so pops are held up meanwhile: under the recovery mutex the
//! head is frozen, and its tag grows, so that a pop that had begun fails. Only pushes go on then, and
//! those leave every link below the top alone. Nobody has to be waited for. Whoever dies in here
//! leaves the recovery mutex marked, and the list is rebuilt.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const membership = @import("../recovery/membership.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("../recovery/recovery.zig");
const references = @import("references.zig");
const system = @import("../../system/door.zig");
const waiting = @import("waiting.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const Error = errors.Error;
const Head = words.Head;
const Participant = participant_file.Participant;
const View = participant_file.View;

/// Slots in a row of the list, PRIVATE to the caller's row, still chained in their order.
pub const Run = struct {
    first: u32,
    last: u32,
    count: u32,
    /// The slot that led to the first; `index_nil`: the list began with it.
    before: u32,

    pub fn indexes(run: Run, view: *const View) Chain {
        return .{ .view = view, .next_index = run.first, .left = run.count };
    }
};

/// A walk along links, of so many slots at most, since a damaged chain may have no end.
pub const Chain = struct {
    view: *const View,
    next_index: u32,
    left: u32,

    pub fn next(chain: *Chain) ?u32 {
        const index = chain.next_index;
        if (chain.left == 0 or index >= chain.view.geometry.capacity) return null;
        chain.left -= 1;
        chain.next_index = atomic.load(u32, &chain.view.slots[index].next_free, .monotonic);
        return index;
    }
};

/// Which slots of the list to take: the first that are alike in a row.
pub const Wanted = struct {
    /// Slots with less memory than this, in bytes; null: those that have any.
    less_than: ?u64,
    /// Only among so many slots from the top.
    depth: u32,
    /// A part of what is free, so that others find the rest: an eighth.
    const share = 8;

    fn has(wanted: Wanted, view: *const View, index: u32) bool {
        const committed = atomic.load(u64, &view.slots[index].committed, .monotonic);
        return if (wanted.less_than) |bytes| committed < bytes else committed > 0;
    }
};

/// The first run of wanted slots; null when there is none. `until_ns` bounds the wait for a
/// recovery that somebody else has begun, 0: two seconds.
pub fn take(participant: *Participant, wanted: Wanted, until_ns: u64) Error!?Run {
    const view = &participant.view;
    const inherited = try membership.lockRepair(view, until_ns);
    defer view.header.repair.mutex.unlock();
    _ = recovery.runLocked(view, .{}, inherited);
    holdUpPops(view);
    defer letPopsGoOn(view);
    const run = find(view, wanted) orelse return null;
    // First off the list: who dies in between leaves free slots that the next recovery finds, and
    // not slots on the list that are not free.
    unlink(view, run, atomic.load(u32, &view.slots[run.last].next_free, .monotonic));
    var chain = run.indexes(view);
    var taken: u32 = 0;
    while (chain.next()) |index| : (taken += 1) {
        const slot = &view.slots[index];
        const free = Control.load(&slot.control, .acquire);
        if (free.state != .free or free.references != 0) {
            // A slot that is not free, or one twice: damage, and nothing may stay in this row.
            _ = release(participant, .{ .view = view, .next_index = run.first, .left = taken });
            _ = recovery.runLocked(view, .{ .damaged = true }, false);
            return error.PoolCorrupt;
        }
        // SYNC: the word before the hold, as ever; who carries on after a death here has the mutex.
        // Pairs with `recovery.rewriteWord`.
        Control.store(&slot.control, free.held(.private, free.generation), .release);
        participant.addHold(index);
    }
    return run;
}

/// Makes the slots FREE again, which the caller has to link. False: damage, and they were not all
/// his.
fn release(participant: *Participant, slots: Chain) bool {
    var chain = slots;
    var whole_run = true;
    while (chain.next()) |index| {
        const slot = &participant.view.slots[index];
        const control = Control.load(&slot.control, .acquire);
        if (control.state != .private) {
            whole_run = false;
            continue;
        }
        // SYNC: likewise. Pairs with `recovery.rewriteWord`.
        Control.store(&slot.control, control.freed(), .release);
        participant.dropHold(index);
    }
    return whole_run and chain.left == 0;
}

/// Where the list no longer has the slot that led to the run, it goes on top. Where somebody else's
/// recovery stands still, the slots are owed, and go back one by one later.
pub fn putBack(participant: *Participant, run: Run, until_ns: u64) void {
    const view = &participant.view;
    const inherited = membership.lockRepair(view, until_ns) catch {
        var chain = run.indexes(view);
        while (chain.next()) |index| references.owe(participant, index);
        return;
    };
    {
        defer view.header.repair.mutex.unlock();
        _ = recovery.runLocked(view, .{}, inherited);
        holdUpPops(view);
        defer letPopsGoOn(view);
        if (release(participant, run.indexes(view))) {
            link(view, run);
        } else _ = recovery.runLocked(view, .{ .damaged = true }, false);
    }
    // SYNC: sequential after the head thawed. Pairs with `waiting.mark`.
    if (atomic.load(u32, &view.header.hot.waiters, .seq_cst) != 0) waiting.wakeAll(view);
}

/// The tag grows with the frozen bit, so that a pop which read the head before fails at its CAS,
/// and what it read of the links does not matter. SYNC: acquires the links of what was pushed.
/// Pairs with `free_list.take` and `free_list.push`.
fn holdUpPops(view: *const View) void {
    const head_ptr = &view.header.hot.free_head;
    while (true) {
        const head = Head.load(head_ptr, .acquire);
        var held_up = if (atomic.broken(.run_keeps_tag)) head else head.successor(head.index);
        held_up.frozen = true;
        if (Head.cas(head_ptr, head, held_up, .acq_rel)) return;
    }
}

/// SYNC: whoever finds the head thawed finds the links, and it is sequential before the load of
/// `waiters` in `putBack`. Pairs with `free_list.headOf` and `waiting.mark`.
fn letPopsGoOn(view: *const View) void {
    const head_ptr = &view.header.hot.free_head;
    while (true) {
        const head = Head.load(head_ptr, .acquire);
        var going = head;
        going.frozen = false;
        if (Head.cas(head_ptr, head, going, .seq_cst)) break;
    }
    _ = atomic.fetchAdd(u32, &view.header.repair.epoch, 1);
    _ = system.futex.wake(&view.header.repair.epoch, std.math.maxInt(i32));
}

fn whole(view: *const View) Chain {
    const head = Head.load(&view.header.hot.free_head, .acquire);
    return .{ .view = view, .next_index = head.index, .left = view.geometry.capacity };
}

fn find(view: *const View, wanted: Wanted) ?Run {
    var counted = whole(view);
    var free: u32 = 0;
    while (counted.next()) |_| free += 1;
    const count_max = @max(1, free / Wanted.share);
    var chain = whole(view);
    chain.left = @min(chain.left, wanted.depth);
    var before: u32 = words.index_nil;
    var run: ?Run = null;
    while (chain.next()) |index| {
        if (wanted.has(view, index)) {
            if (run) |*found| {
                found.last = index;
                found.count += 1;
            } else run = .{ .first = index, .last = index, .count = 1, .before = before };
            if (run.?.count == count_max) return run;
        } else if (run != null) return run;
        before = index;
    }
    return run;
}

fn unlink(view: *const View, run: Run, after: u32) void {
    if (run.before != words.index_nil) {
        atomic.store(u32, &view.slots[run.before].next_free, after, .monotonic);
        return;
    }
    replaceAtTop(view, run.first, after);
}

/// Makes `index` follow where `old` does: the head, or the last slot that was pushed since.
fn replaceAtTop(view: *const View, old: u32, index: u32) void {
    const head_ptr = &view.header.hot.free_head;
    const to: u24 = @intCast(@min(index, words.index_nil));
    while (true) {
        const head = Head.load(head_ptr, .acquire);
        // SYNC: as in `holdUpPops`, since pushes go on. Pairs with `free_list.push`.
        if (head.index == old) {
            if (Head.cas(head_ptr, head, head.successor(to), .acq_rel)) return;
            continue;
        }
        var chain = whole(view);
        while (chain.next()) |above| {
            if (chain.next_index != old) continue;
            atomic.store(u32, &view.slots[above].next_free, index, .monotonic);
            return;
        }
        return;
    }
}

fn link(view: *const View, run: Run) void {
    const last = &view.slots[run.last];
    if (run.before != words.index_nil) {
        var chain = whole(view);
        while (chain.next()) |index| {
            if (index != run.before) continue;
            atomic.store(u32, &last.next_free, chain.next_index, .monotonic);
            atomic.store(u32, &view.slots[index].next_free, run.first, .monotonic);
            return;
        }
    }
    const head_ptr = &view.header.hot.free_head;
    while (true) {
        const head = Head.load(head_ptr, .acquire);
        atomic.store(u32, &last.next_free, head.index, .monotonic);
        // SYNC: the whole run's links before the head. Pairs with `free_list.push`.
        if (Head.cas(head_ptr, head, head.successor(@intCast(run.first)), .acq_rel)) return;
    }
}
