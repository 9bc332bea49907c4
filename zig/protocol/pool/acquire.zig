//! Acquiring: from the free list's head to a buffer that the caller holds, in a straight line where
//! the slot's memory is there and nobody interferes; else by attempts, through PRIVATE where memory
//! must be committed first. And the blocking form, a slice at a time.

const std = @import("std");
const atomic = @import("hooks");
const damage = @import("../recovery/damage.zig");
const errors = @import("../../errors.zig");
const free_list = @import("free_list.zig");
const gate = @import("../gate.zig");
const layout = @import("../../format/layout.zig");
const maintenance = @import("maintenance.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("../recovery/recovery.zig");
const references = @import("references.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const waiting = @import("waiting.zig");
const words = @import("../../format/words.zig");

const Bracket = participant_file.Bracket;
const Control = words.Control;
const Error = errors.Error;
const Participant = participant_file.Participant;
const View = participant_file.View;
const Patience = thaw.Patience;

/// About as long as a sleep and a wake cost.
const spins_max = if (atomic.stepped) 1 else 2000;

/// The buffer that was acquired.
pub const Acquired = struct {
    index: u32,
    generation: u29,
    /// Its bytes, in whole pages: committed, and perhaps not mapped in this process yet.
    need: u64,

    fn handle(acquired: Acquired) u64 {
        return @bitCast(words.Handle{
            .index = @intCast(acquired.index),
            .generation = acquired.generation,
        });
    }
};

/// The common acquire, whole: all that it has to know is read first, so that after its one CAS
/// nothing is left but stores, and no call stands in it, so that a caller without one saves few
/// registers. Null: something stands in the way, nothing was done, and `attempt` sees what it is.
pub inline fn acquireStraight(participant: *const Participant, size: u32, now_ns: u64) ?Acquired {
    const view = &participant.view;
    if (size > view.geometry.buffer_size) return null;
    const header = view.header;
    if (!gate.isOpen(header)) return null;
    const bracket = participant.enter();
    const there = free_list.top(view, free_list.headOf(header)) orelse return leaveNull(bracket);
    const from = Control.load(&there.slot.control, .monotonic);
    const committed = atomic.load(u64, &there.slot.committed, .monotonic);
    const need = view.geometry.committedFor(size);
    if (!isFree(from)) return leaveNull(bracket);
    if (committed < need) return leaveNull(bracket);
    if (!free_list.take(header, there)) return leaveNull(bracket);
    const generation = use(participant, bracket, there.slot, there.index, from, size, now_ns);
    return .{ .index = there.index, .generation = generation, .need = need };
}

inline fn leaveNull(bracket: Bracket) ?Acquired {
    @branchHint(.unlikely);
    bracket.leave();
    return null;
}

/// A frozen word is none: where a recovery gives up, the head thaws after the words and is the same
/// again, so that a CAS would not notice.
inline fn isFree(control: Control) bool {
    const frozen = control.frozen and !atomic.broken(.frozen_word_taken);
    return control.state == .free and control.references == 0 and !frozen;
}

/// The end of an acquire: the slot is off the list, and becomes USED by this row. Its generation.
inline fn use(
    participant: *const Participant,
    bracket: Bracket,
    slot: *layout.Slot,
    index: u32,
    from: Control,
    size: u32,
    now_ns: u64,
) u29 {
    const generation = words.generationAfter(from.generation);
    describe(&participant.view, slot, size, now_ns);
    // SYNC: release, so that whoever reads the word finds the size and the description. Pairs with
    // `references.attempt` and `content.of`.
    Control.store(&slot.control, from.held(.used, generation), .release);
    participant.addHold(index);
    bracket.count("acquired");
    bracket.leave();
    return generation;
}

const Attempt = union(enum) {
    acquired: Acquired,
    /// The index: off the list, and the caller still in the bracket; memory is to be reserved.
    unreserved: u32,
    /// The index: off the list, and PRIVATE; its memory has to be committed.
    uncommitted: u32,
    empty,
    frozen,
    corrupt,
    flushing,
    too_large,
    out_of_memory,
};

/// A hold of a free buffer of `size` bytes; its handle.
pub fn acquire(participant: *Participant, size: u32) Error!u64 {
    const now_ns = system.ticker.recentNs();
    if (acquireStraight(participant, size, now_ns)) |acquired| {
        ensurePopulated(participant, acquired.index);
        return acquired.handle();
    }
    errors.clear();
    var patience: Patience = .untimed;
    return carryOnOrRecover(participant, size, attempt(participant, size, now_ns), &patience);
}

/// The same for an event loop, which must not be kept: PENDING while a recovery has the pool.
///
/// `waited_ns`: for how long the loop has waited for this buffer, counted as one who waits.
pub fn acquireAtOnce(participant: *Participant, size: u32, waited_ns: u64) Error!u64 {
    var patience: Patience = .none;
    patience.expiry = error.Pending;
    const first = attempt(participant, size, system.ticker.recentNs());
    const result = carryOnOrRecover(participant, size, first, &patience);
    if (participant.local.waits == 0) return result;
    if (result) |_| {
        waiting.endClaim(participant);
    } else |err| if (err == error.PoolFull) {
        gate.claim(participant, system.clock.monotonicNs(), waited_ns);
    }
    return result;
}

fn carryOnOrRecover(
    participant: *Participant,
    size: u32,
    first: Attempt,
    patience: *Patience,
) Error!u64 {
    var result = carryOn(participant, size, first, patience);
    if (mayRecover(participant, result)) result = tryWithin(participant, size, patience);
    if (result == error.PoolFull) participant.count("full");
    return result;
}

/// Whether a recovery changed what stood in the way: losses in an empty pool, a flusher that died,
/// a damaged list or sum.
fn mayRecover(participant: *Participant, result: Error!u64) bool {
    const view = &participant.view;
    if (result == error.PoolFull) return recovery.lookForLosses(view);
    if (result == error.PoolFlushing and gate.flushIsOrphaned(view))
        return recovery.run(view, .{}).ran;
    if (result == error.OutOfMemory and
        (damage.committedSumIsWrong(view) or damage.listIsBroken(view)))
        return recovery.run(view, .{ .damaged = true }).ran;
    if (result == error.PoolCorrupt) return recovery.run(view, .{ .damaged = true }).ran;
    return false;
}

/// One try, however many attempts it takes; it does not look for losses.
fn tryWithin(participant: *Participant, size: u32, patience: *Patience) Error!u64 {
    const first = attempt(participant, size, system.ticker.recentNs());
    return carryOn(participant, size, first, patience);
}

fn carryOn(participant: *Participant, size: u32, first: Attempt, patience: *Patience) Error!u64 {
    var tried = first;
    var trimmed = false;
    while (true) : (tried = attempt(participant, size, system.ticker.recentNs())) {
        if (tried == .unreserved) tried = reserve(participant, tried.unreserved, size);
        const result: Error!u64 = switch (tried) {
            .acquired => |acquired| {
                ensurePopulated(participant, acquired.index);
                return acquired.handle();
            },
            .unreserved => unreachable,
            .uncommitted => |index| commit(participant, index, size, patience),
            .empty => error.PoolFull,
            .frozen => {
                try thaw.wait(participant, patience);
                continue;
            },
            .corrupt => error.PoolCorrupt,
            .flushing => error.PoolFlushing,
            .too_large => error.TooLarge,
            .out_of_memory => maintenance.beyondMaxCommitted(&participant.view),
        };
        if (result != error.OutOfMemory or trimmed) return result;
        // Memory that lies in free slots may be what is missing.
        trimmed = true;
        const given_back = maintenance.trim(participant, patience.until_ns) catch |err| switch (err) {
            // Whether memory can be given back shows when the other is done.
            error.PoolBusy => return patience.expiry,
            else => 0,
        };
        if (given_back == 0) return result;
    }
}

/// An acquire that says what stands in the way, and leaves what takes longer to its caller.
fn attempt(participant: *const Participant, size: u32, now_ns: u64) Attempt {
    const view = &participant.view;
    if (size > view.geometry.buffer_size) return .too_large;
    const leave_last = switch (gate.look(participant, now_ns)) {
        .open => false,
        .claimed => !atomic.broken(.claim_ignored),
        .flushing => return .flushing,
        .void => |found| dropped: {
            if (gate.drop(view, found)) waiting.wakeOne(participant);
            break :dropped false;
        },
    };
    const bracket = participant.enter();
    const index: u32 = switch (free_list.pop(view, leave_last)) {
        .empty => return leaveWith(bracket, .empty),
        .frozen => return leaveWith(bracket, .frozen),
        .corrupt => return leaveWith(bracket, .corrupt),
        _ => |slot| @intFromEnum(slot),
    };
    const slot = &view.slots[index];
    const from = Control.load(&slot.control, .monotonic);
    if (!isFree(from)) return leaveWith(bracket, .corrupt);
    const committed = atomic.load(u64, &slot.committed, .monotonic);
    const need = view.geometry.committedFor(size);
    if (committed < need) return .{ .unreserved = index };
    const generation = use(participant, bracket, slot, index, from, size, now_ns);
    return .{ .acquired = .{ .index = index, .generation = generation, .need = need } };
}

fn leaveWith(bracket: Bracket, outcome: Attempt) Attempt {
    bracket.leave();
    return outcome;
}

inline fn describe(view: *const View, slot: *layout.Slot, size: u32, now_ns: u64) void {
    // What it says of the description is that there is none.
    words.Content.store(&slot.content, .{ .size = size, .dirty = view.zero_on_release });
    atomic.store(u64, &slot.lease_deadline_ns, 0, .monotonic);
    atomic.store(u64, &slot.acquired_at_ns, now_ns, .monotonic);
}

/// The first use of a slot in this process: its pages exist, and only the mapping must learn it.
fn populate(participant: *Participant, index: u32, need: u64) void {
    @branchHint(.cold);
    const view = &participant.view;
    system.memory.populate(view.base, view.geometry.dataOffset(index), need) catch return;
    view.setPopulated(index, need);
}

/// For a hold of a buffer that another process filled: maps what there is at once, instead of a
/// page at each touch.
pub inline fn ensurePopulated(participant: *Participant, index: u32) void {
    const view = &participant.view;
    const committed = atomic.load(u64, &view.slots[index].committed, .monotonic);
    const size = words.Content.load(&view.slots[index].content).size;
    const need = view.geometry.committedFor(size);
    if (need > committed or need > view.geometry.stride) return;
    if (view.populatedBytes(index) < need) populate(participant, index, need);
}

/// Still in the bracket of the pop: counts the bytes before they are committed, so that the bound
/// holds whatever happens, and makes the slot PRIVATE to this row.
fn reserve(participant: *Participant, index: u32, size: u32) Attempt {
    const bracket = participant.entered();
    const view = &participant.view;
    const slot = &view.slots[index];
    const from = Control.load(&slot.control, .monotonic);
    const committed = atomic.load(u64, &slot.committed, .monotonic);
    const need = view.geometry.committedFor(size);
    // Nobody changes them: this is damage.
    if (!isFree(from) or committed >= need) return leaveWith(bracket, .corrupt);
    const total = &view.header.repair.committed_bytes;
    if (atomic.fetchAdd(u64, total, need - committed) +| (need - committed) > view.max_committed) {
        _ = atomic.fetchSub(u64, total, need - committed);
        _ = free_list.push(view, index);
        bracket.leave();
        waiting.wakeOne(participant);
        return .out_of_memory;
    }
    const generation = words.generationAfter(from.generation);
    // SYNC: the word before the hold. Pairs with `recovery.rewriteWord`.
    Control.store(&slot.control, from.held(.private, generation), .release);
    if (!atomic.broken(.private_without_row)) participant.addHold(index);
    // Only now: dead before the word said PRIVATE, the claim would be of memory that is not there.
    atomic.store(u64, &slot.committed, need, .monotonic);
    bracket.leave();
    participant.local.committed_before = committed;
    return .{ .uncommitted = index };
}

/// Outside the bracket: commits the memory of a PRIVATE slot, then makes it USED.
fn commit(
    participant: *Participant,
    index: u32,
    size: u32,
    patience: *Patience,
) Error!u64 {
    const view = &participant.view;
    const committed_before = participant.local.committed_before;
    const need = view.geometry.committedFor(size);
    const offset = view.geometry.dataOffset(index);
    system.memory.commit(view.fd, view.base, offset, need) catch {
        if (committed_before < need) {
            const added = need - committed_before;
            _ = system.memory.punch(view.fd, offset + committed_before, added);
        }
        maintenance.giveBackPrivate(participant, index, committed_before, patience);
        return error.OutOfMemory;
    };
    view.setPopulated(index, need);
    const now_ns = system.clock.coarseNs();
    const slot = &view.slots[index];
    while (true) {
        const bracket = participant.enter();
        const from = Control.load(&slot.control, .acquire);
        if (from.frozen) {
            bracket.leave();
            thaw.wait(participant, patience) catch |err| {
                references.owe(participant, index);
                return err;
            };
            continue;
        }
        defer bracket.leave();
        if (from.state != .private) return error.PoolCorrupt;
        describe(view, slot, size, now_ns);
        const to = from.held(.used, from.generation);
        // SYNC: as the store in `use`. Pairs with `references.attempt`.
        if (!Control.cas(&slot.control, from, to)) continue;
        participant.count("acquired");
        return to.handle(index);
    }
}

/// What a blocking acquire remembers between its slices.
pub const Wait = struct {
    /// Counted as one who waits.
    counted: bool = false,
    since_ns: u64 = 0,
};

/// One slice of a blocking acquire, of at most `waiting.slice_ns`. PENDING: call again. Any other
/// result ends the wait.
pub fn acquireSlice(
    participant: *Participant,
    wait: *Wait,
    size: u32,
    deadline_ns: u64,
) Error!u64 {
    errors.clear();
    const now_ns = system.clock.monotonicNs();
    const slice_end_ns = @min(now_ns + waiting.slice_ns, deadline_ns);
    if (!wait.counted) wait.since_ns = now_ns;
    var patience: Patience = .{ .until_ns = @max(slice_end_ns, 1), .expiry = error.Pending };
    var result = slice(participant, wait, size, slice_end_ns, deadline_ns, &patience);
    if (result == error.Pending) {
        if (system.clock.monotonicNs() < deadline_ns) return result;
        result = error.Timeout;
    }
    if (wait.counted) {
        wait.counted = false;
        waiting.end(participant, &patience);
        // A wake that came too late for this one is the next one's.
        if (result == error.Timeout) waiting.passOn(participant);
    }
    if (result == error.Timeout) participant.count("timeouts");
    return result;
}

fn slice(
    participant: *Participant,
    wait: *Wait,
    size: u32,
    slice_end_ns: u64,
    deadline_ns: u64,
    patience: *Patience,
) Error!u64 {
    const view = &participant.view;
    const wake_seq = &view.header.hot.wake_seq;
    if (!wait.counted) {
        if (try tryUnlessFull(participant, size, patience)) |handle| return handle;
        if (recovery.lookForLosses(view)) {
            if (try tryUnlessFull(participant, size, patience)) |handle| return handle;
        }
        if (system.clock.monotonicNs() >= deadline_ns) return error.Timeout;
        spin(participant);
        try waiting.begin(participant, patience);
        wait.counted = true;
    }
    while (true) {
        // Read before the try: a release after the try changes it, and the sleep does not begin.
        // SYNC: pairs with `waiting.wakeWaiter`, `waiting.wakeAll` and `recovery.start`.
        var seen = atomic.load(u32, wake_seq, .seq_cst);
        waiting.aboutToSleep(view);
        if (try tryUnlessFull(participant, size, patience)) |handle| return handle;
        if (atomic.broken(.wake_seq_after_try)) seen = atomic.load(u32, wake_seq, .seq_cst);
        const now_ns = system.clock.monotonicNs();
        if (now_ns >= deadline_ns) return error.Timeout;
        if (now_ns >= slice_end_ns) {
            _ = recovery.lookForLosses(view);
            return error.Pending;
        }
        gate.claim(participant, now_ns, now_ns - wait.since_ns);
        const bit = waiting.bitOf(participant.index);
        const ended = system.futex.waitAs(wake_seq, seen, slice_end_ns, bit);
        if (ended == .interrupted) return error.Pending;
    }
}

fn tryUnlessFull(participant: *Participant, size: u32, patience: *Patience) Error!?u64 {
    var result = tryWithin(participant, size, patience);
    if (result != error.PoolFull and mayRecover(participant, result)) {
        result = tryWithin(participant, size, patience);
    }
    return result catch |err| if (err == error.PoolFull) null else err;
}

/// A release by a running peer comes sooner than a sleep would begin.
fn spin(participant: *Participant) void {
    for (0..spins_max) |_| {
        if (!free_list.isEmpty(&participant.view)) return;
        std.atomic.spinLoopHint();
    }
}
