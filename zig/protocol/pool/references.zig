//! Every operation on one slot's control word: references are counted up and down here, and
//! nowhere else. Each is one CAS on the word inside the caller's bracket, to what `transitions.zig`
//! says, and the row changes after it (invariant 5). A release that brings a slot to 0 ends in the
//! free list, or first in PRIVATE where the pool zeroes buffers.

const std = @import("std");
const atomic = @import("hooks");
const cache = @import("cache.zig");
const errors = @import("../../errors.zig");
const free_list = @import("free_list.zig");
const layout = @import("../../format/layout.zig");
const lease = @import("lease.zig");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const transitions = @import("transitions.zig");
const waiter = @import("../waiting/waiter.zig");
const waiting = @import("waiting.zig");
const words = @import("../../format/words.zig");

const Bracket = participant_file.Bracket;
const Control = words.Control;
const Error = errors.Error;
const Handle = words.Handle;
const Lease = words.Lease;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;

pub const Operation = transitions.Operation;

pub const Result = struct {
    /// References after the call, in-flight ones included.
    count: u32,
    handle: u64,
};

/// Runs one operation on the buffer that `ref` names. `argument` is `set_ref_count`'s count.
pub inline fn operate(
    participant: *Participant,
    comptime operation: Operation,
    ref_number: u64,
    argument: u32,
) Error!Result {
    if (comptime transitions.isCommon(operation)) {
        const ref: Handle = @bitCast(ref_number);
        const until = untilOf(operation, participant);
        const index: u32 = ref.index;
        if (changeStraight(participant, operation, index, ref.generation, until)) |control|
            return .{ .count = control.references, .handle = control.handle(index) };
    }
    return operateSlowly(participant, operation, ref_number, argument);
}

/// A call of its own, so that the straight line before it saves few registers.
noinline fn operateSlowly(
    participant: *Participant,
    comptime operation: Operation,
    ref_number: u64,
    argument: u32,
) Error!Result {
    var patience: Patience = .untimed;
    return operateWithin(participant, operation, ref_number, argument, &patience);
}

/// Until when the reference lives that an operation makes; nothing for those that make none.
pub fn Until(comptime operation: Operation) type {
    return if (transitions.raisesLease(operation)) Lease else void;
}

/// Read before the slot's word: see `raiseLease`.
inline fn untilOf(comptime operation: Operation, participant: *const Participant) Until(operation) {
    return if (comptime transitions.raisesLease(operation)) lease.fromNow(participant);
}

/// The common case of an operation that leaves references, and the new word. It reads everything
/// first, so that only stores follow its one CAS, and it makes no call. Null: something stands in the
/// way and nothing was done; `attempt` finds out what it is.
pub inline fn changeStraight(
    participant: *const Participant,
    comptime operation: Operation,
    index: u32,
    generation: u29,
    until: Until(operation),
) ?Control {
    const view = &participant.view;
    if (index >= view.geometry.capacity) return null;
    const slot = &view.slots[system.register.single(index)];
    const from = Control.load(&slot.control, .acquire);
    return changeFrom(participant, operation, index, slot, from, generation, until);
}

/// The same where the caller has read the slot's word.
pub inline fn changeFrom(
    participant: *const Participant,
    comptime operation: Operation,
    index: u32,
    slot: *layout.Slot,
    from: Control,
    generation: u29,
    until: Until(operation),
) ?Control {
    const to = transitions.straight(operation, from, generation) orelse return null;
    if (comptime transitions.raisesLease(operation)) {
        if (lease.isRaisedBy(slot, until)) return null;
    }
    const row = comptime transitions.rowChange(operation);
    const bracket = participant.enter();
    if (change(participant, bracket, operation, index, slot, from, to, row)) return to;
    bracket.leave();
    return null;
}

pub inline fn operateWithin(
    participant: *Participant,
    comptime operation: Operation,
    ref_number: u64,
    argument: u32,
    patience: *Patience,
) Error!Result {
    const ref: Handle = @bitCast(ref_number);
    if (ref.index >= participant.view.geometry.capacity) return error.BufferNotFound;
    while (true) {
        // At each attempt, since while the pool stood still the lease of the attempt before may
        // have passed.
        const raises = comptime transitions.raisesLease(operation);
        if (raises and !try raiseLease(participant, operation, ref, argument)) {
            try thaw.wait(participant, patience);
            continue;
        }
        switch (attempt(participant, operation, ref, argument)) {
            .done => |done| {
                if (done.freed) return finishFreed(participant, ref.index, done.control, patience);
                return .{
                    .count = done.control.references,
                    .handle = done.control.handle(ref.index),
                };
            },
            .frozen => try thaw.wait(participant, patience),
            .refused => |err| return err,
        }
    }
}

const Attempt = union(enum) {
    done: struct { control: Control, freed: bool },
    frozen,
    refused: Error,
};

inline fn attempt(
    participant: *Participant,
    comptime operation: Operation,
    ref: Handle,
    argument: u32,
) Attempt {
    const view = &participant.view;
    const index: u32 = ref.index;
    const slot = &view.slots[index];
    const bracket = participant.enter();
    while (true) {
        const from = Control.load(&slot.control, .acquire);
        if (from.frozen) {
            bracket.leave();
            return .frozen;
        }
        const step = checked(operation, from, ref, argument) catch |err| {
            bracket.leave();
            return .{ .refused = err };
        };
        if (!step.freed) {
            if (!change(participant, bracket, operation, index, slot, from, step.to, step.row))
                continue;
            return .{ .done = .{ .control = step.to, .freed = false } };
        }
        const zeroes = view.zero_on_release;
        const to = if (zeroes) from.held(.private, from.generation) else step.to;
        // SYNC: release hands the content to the next holder and shows `busy` to the recovery that
        // freezes the word, acquire takes the content from the last holder. Pairs with `attempt`,
        // `change`, `releaseSole`, `acquire.use`, `acquire.commit`, `broadcast.attemptRead`,
        // `broadcast.refer`, `section.freezeWord` and `section.thawWord`.
        if (!Control.cas(&slot.control, from, to)) continue;
        if (atomic.broken(.row_after_bracket)) bracket.leave();
        if (!zeroes) {
            changeRow(participant, index, step.row);
        } else if (step.row == .unchanged and !atomic.broken(.private_without_row)) {
            // The row keeps or gets the one reference that the PRIVATE word has.
            participant.addHold(index);
        }
        participant.count("released");
        if (!zeroes) _ = free_list.push(view, index);
        if (!atomic.broken(.row_after_bracket)) bracket.leave();
        return .{ .done = .{ .control = to, .freed = true } };
    }
}

/// A step that leaves references: the word, then the row, and the end of the bracket. False: the
/// word has changed meanwhile, and the bracket goes on.
inline fn change(
    participant: *const Participant,
    bracket: Bracket,
    comptime operation: Operation,
    index: u32,
    slot: *layout.Slot,
    from: Control,
    to: Control,
    row: transitions.RowChange,
) bool {
    const early = atomic.broken(.hold_before_cas) and operation == .get;
    if (early) participant.addHold(index);
    // SYNC: as in `attempt`. Pairs with `attempt`, `change` and `section.freezeWord`.
    if (!Control.cas(&slot.control, from, to)) {
        if (early) participant.dropHold(index);
        return false;
    }
    if (atomic.broken(.row_after_bracket)) bracket.leave();
    if (!early) changeRow(participant, index, row);
    if (!atomic.broken(.row_after_bracket)) bracket.leave();
    return true;
}

inline fn changeRow(participant: *const Participant, index: u32, row: transitions.RowChange) void {
    switch (row) {
        .unchanged => {},
        .plus_one => participant.addHold(index),
        .minus_one => participant.dropHold(index),
    }
}

inline fn checked(
    comptime operation: Operation,
    from: Control,
    ref: Handle,
    argument: u32,
) Error!transitions.Step {
    try transitions.identify(from, ref);
    return transitions.next(operation, from, argument);
}

/// Outside the bracket: wakes a waiter, or first zeroes the buffer where the pool promises that.
inline fn finishFreed(
    participant: *Participant,
    index: u32,
    control: Control,
    patience: *Patience,
) Result {
    if (!participant.view.zero_on_release) {
        waiting.wakeOne(participant);
        return .{ .count = 0, .handle = control.handle(index) };
    }
    zero(participant, index);
    finishPrivate(participant, index, patience) catch owe(participant, index);
    return .{ .count = 0, .handle = control.handle(index) };
}

fn zero(participant: *Participant, index: u32) void {
    const view = &participant.view;
    const slot = &view.slots[index];
    const acquired = words.Content.load(&slot.content).acquiredSize(&slot.truncated_from);
    const size = @min(acquired, view.geometry.buffer_size);
    if (@atomicLoad(u64, &slot.committed, .monotonic) >= size) {
        system.memory.zero(view.data(index, size));
    }
    words.Content.storeClean(&slot.content);
}

/// Makes a PRIVATE slot of this row FREE and puts it on the list, in a bracket of its own.
pub fn finishPrivate(participant: *Participant, index: u32, patience: *Patience) Error!void {
    const view = &participant.view;
    const slot = &view.slots[index];
    while (true) {
        const bracket = participant.enter();
        const from = Control.load(&slot.control, .acquire);
        if (from.frozen) {
            bracket.leave();
            try thaw.wait(participant, patience);
            continue;
        }
        if (from.state != .private or from.references != 1) {
            bracket.leave();
            return error.PoolCorrupt;
        }
        // SYNC: as in `attempt`. Pairs with `section.freezeWord`.
        if (!Control.cas(&slot.control, from, from.freed())) {
            bracket.leave();
            continue;
        }
        participant.dropHold(index);
        _ = free_list.push(view, index);
        bracket.leave();
        waiting.wakeOne(participant);
        return;
    }
}

/// A release of the only reference: what the word must be follows from the handle alone,
/// so that one CAS both checks and changes it. False: nothing was done, and `operate` finds out
/// why.
///
/// True: `waiting.wakeOne` has to follow.
pub inline fn releaseSole(participant: *const Participant, index: u32, generation: u29) bool {
    const view = &participant.view;
    if (view.zero_on_release) return false;
    const sole = Control.soleHold(generation);
    // A CAS that fails costs as much as one that does not.
    const slot = &view.slots[index];
    const control = &slot.control;
    if (Control.load(control, .monotonic) != sole) return false;
    const bracket = participant.enter();
    // SYNC: as in `attempt`, of earlier holders; the next one is reached through the push. Pairs
    // with `attempt` and `section.freezeWord`.
    if (!Control.cas(control, sole, sole.freed())) {
        bracket.leave();
        return false;
    }
    participant.dropSoleHold(index);
    _ = free_list.pushSlot(view, index, slot);
    bracket.leaveCounted("released");
    return true;
}

/// A release of one reference among others. False: nothing was done.
pub inline fn releaseOfSeveral(
    participant: *const Participant,
    index: u32,
    generation: u29,
) bool {
    return changeStraight(participant, .release, index, generation, {}) != null;
}

/// The common release, whichever of the two it is.
pub inline fn giveBackStraight(participant: *Participant, handle: Handle) bool {
    const index: u32 = handle.index;
    if (!releaseSole(participant, index, handle.generation))
        return releaseOfSeveral(participant, index, handle.generation);
    waiting.wakeOne(participant);
    return true;
}

/// Gives one hold back. If the pool stays frozen until patience ends, the hold is owed, and given
/// back at this thread's next operation. False: the handle names no buffer in use, or a damaged
/// one, which recovery mends; nothing was given back.
pub fn giveBack(participant: *Participant, handle: u64) bool {
    if (participant.local.cache_max != 0 and cache.put(participant, @bitCast(handle))) return true;
    if (giveBackStraight(participant, @bitCast(handle))) return true;
    return giveBackSlowly(participant, handle);
}

/// The same where the straight line has just failed.
pub noinline fn giveBackSlowly(participant: *Participant, handle: u64) bool {
    // A thread that owes has waited in vain already, and would wait again for each of many holds.
    const owes = participant.local.attention & participant_file.attention_owed != 0;
    var patience: Patience = if (owes) .none else .untimed;
    _ = operateWithin(participant, .release, handle, 0, &patience) catch |err| switch (err) {
        error.PoolBusy, error.Timeout => owe(participant, @as(Handle, @bitCast(handle)).index),
        else => return false,
    };
    return true;
}

pub fn owe(participant: *Participant, index: u32) void {
    @branchHint(.cold);
    participant.local.owed[index] +|= 1;
    participant.local.owed_count += 1;
    participant.local.attention |= participant_file.attention_owed;
}

/// Gives back the holds that are owed, without waiting: those of frozen slots stay owed.
pub fn settle(participant: *Participant) void {
    @branchHint(.cold);
    if (!waiter.settle(participant)) return;
    var index: u32 = 0;
    const capacity = participant.view.geometry.capacity;
    while (participant.local.owed_count > 0 and index < capacity) : (index += 1) {
        while (participant.local.owed[index] > 0) {
            payOne(participant, index) catch return;
            participant.local.owed[index] -= 1;
            participant.local.owed_count -= 1;
        }
    }
    participant.local.owed_count = 0;
    participant.local.attention &= ~participant_file.attention_owed;
}

fn payOne(participant: *Participant, index: u32) Error!void {
    var impatient: Patience = .none;
    const control = Control.load(&participant.view.slots[index].control, .acquire);
    const paid = switch (control.state) {
        .used => releaseOwed(participant, index, &impatient),
        .private => finishPrivate(participant, index, &impatient),
        else => {},
    };
    paid catch |err| if (err == error.PoolBusy) return err;
}

fn releaseOwed(participant: *Participant, index: u32, patience: *Patience) Error!void {
    _ = try operateWithin(participant, .release, index, 0, patience);
}

/// An operation that is refused raises nothing, since the lease may be somebody else's. Where the
/// slot is recycled between the check and the raise, the time was read before the check, so that it
/// is no later than what the next owner's own references raise it to. False: the word is frozen.
fn raiseLease(
    participant: *Participant,
    comptime operation: Operation,
    ref: Handle,
    argument: u32,
) Error!bool {
    const slot = &participant.view.slots[ref.index];
    const raised = lease.fromNow(participant);
    const control = Control.load(&slot.control, .acquire);
    if (control.frozen) return false;
    _ = try checked(operation, control, ref, argument);
    lease.raise(slot, raised);
    return true;
}

/// The count of all references to a buffer; 0 for the bare index of a slot that is not in use.
pub fn refCount(participant: *Participant, ref_number: u64) Error!u32 {
    const ref: Handle = @bitCast(ref_number);
    if (ref.index >= participant.view.geometry.capacity) return error.BufferNotFound;
    const control = Control.load(&participant.view.slots[ref.index].control, .acquire);
    transitions.identify(control, ref) catch |err| {
        if (err == error.BufferNotFound) return 0;
        return err;
    };
    return control.references;
}
