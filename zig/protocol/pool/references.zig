//! Every operation on one slot's control word: references are counted up and down here, and
//! nowhere else. Each is one CAS on the word inside the caller's bracket, and the row changes after
//! it (invariant 5). A release that brings a slot to 0 ends in the free list, or first in PRIVATE
//! where the pool zeroes what is released.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const free_list = @import("free_list.zig");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const waiting = @import("waiting.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const Error = errors.Error;
const Handle = words.Handle;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;

pub const Operation = enum {
    release,
    get,
    share,
    hand_off,
    take,
    add_ref,
    unref,
    release_by_hand,
    set_ref_count,
    try_release,
};

/// What a word becomes, and what that does to the caller's row.
const Step = struct {
    to: Control,
    row: enum { unchanged, plus_one, minus_one } = .unchanged,
    /// The slot's last reference went, so that it must reach the free list.
    freed: bool = false,
};

pub const Result = struct {
    /// References after the call, in-flight ones included.
    count: u32,
    handle: u64,
};

/// Checks that a ref names a buffer in use, by what its word said.
inline fn identify(control: Control, ref: Handle) Error!void {
    if (control.state != .used) {
        return if (ref.isBare()) error.BufferNotFound else error.StaleHandle;
    }
    if (!ref.isBare() and ref.generation != control.generation) return error.StaleHandle;
    if (control.references < control.in_flight) return error.PoolCorrupt;
}

inline fn next(comptime operation: Operation, from: Control, argument: u32) Error!Step {
    var to = from;
    switch (operation) {
        .release => {
            if (from.references == from.in_flight) return error.PoolCorrupt;
            if (from.references == 1) return .{
                .to = from.freed(),
                .row = .minus_one,
                .freed = true,
            };
            to.references -= 1;
            return .{ .to = to, .row = .minus_one };
        },
        .get => {
            if (from.references == 0) return error.NoReference;
            if (from.references == words.references_max) return error.TooManyReferences;
            to.references += 1;
            return .{ .to = to, .row = .plus_one };
        },
        .share, .add_ref => {
            if (from.references == words.references_max) return error.TooManyReferences;
            to.references += 1;
            to.in_flight += 1;
            return .{ .to = to };
        },
        .hand_off => {
            if (from.references == from.in_flight) return error.PoolCorrupt;
            to.in_flight += 1;
            return .{ .to = to, .row = .minus_one };
        },
        .take => {
            if (from.in_flight == 0) return error.NoReference;
            to.in_flight -= 1;
            return .{ .to = to, .row = .plus_one };
        },
        .unref => {
            if (from.in_flight == 0) return error.NoReference;
            if (from.references == 1) return .{ .to = from.freed(), .freed = true };
            if (!atomic.broken(.unref_keeps_reference)) to.references -= 1;
            to.in_flight -= 1;
            return .{ .to = to };
        },
        .release_by_hand => {
            if (from.in_flight == 0) return error.NoReference;
            to.references -= 1;
            to.in_flight -= 1;
            return .{ .to = to };
        },
        .set_ref_count => {
            const holds = from.references - from.in_flight;
            if (argument < holds or argument > words.references_max) return error.InvalidArgument;
            to.references = @intCast(argument);
            to.in_flight = @intCast(argument - holds);
            return .{ .to = to };
        },
        .try_release => {
            if (from.references != 0) return error.BufferInUse;
            return .{ .to = from.freed(), .freed = true };
        },
    }
}

/// Whether the operation makes in-flight references or parks the slot: its lease is raised first.
fn raisesLease(comptime operation: Operation) bool {
    return switch (operation) {
        .share, .hand_off, .add_ref, .release_by_hand, .set_ref_count => true,
        else => false,
    };
}

/// Runs one operation on the buffer that `ref` names. `argument` is `set_ref_count`'s count.
pub inline fn operate(
    participant: *Participant,
    comptime operation: Operation,
    ref_number: u64,
    argument: u32,
) Error!Result {
    var patience: Patience = .untimed;
    return operateWithin(participant, operation, ref_number, argument, &patience);
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
        // At each attempt: while the pool stood still, the last one's lease may have passed.
        if (raisesLease(operation) and !try raiseLease(participant, operation, ref, argument)) {
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
        var to = step.to;
        if (step.freed and view.zero_on_release) to = from.held(.private, from.generation);
        if (atomic.broken(.hold_before_cas) and operation == .get) participant.addHold(index);
        // SYNC: release hands the content to the next holder and shows `busy` to who freezes the
        // word, acquire takes the content from the last holder. Pairs with `attempt` of others,
        // `releaseSole`, `acquire.use`, `acquire.commit`, `broadcast.attemptRead`,
        // `broadcast.refer`, `recovery.freezeWord` and `recovery.start`.
        if (!Control.cas(&slot.control, from, to)) {
            if (atomic.broken(.hold_before_cas) and operation == .get)
                participant.dropHold(index);
            continue;
        }
        if (atomic.broken(.row_after_bracket)) bracket.leave();
        if (step.freed and view.zero_on_release) {
            // The row keeps or gets the one reference that the PRIVATE word has.
            if (step.row == .unchanged and !atomic.broken(.private_without_row)) {
                participant.addHold(index);
            }
        } else switch (step.row) {
            .unchanged => {},
            .plus_one => if (!atomic.broken(.hold_before_cas) or operation != .get)
                participant.addHold(index),
            .minus_one => participant.dropHold(index),
        }
        if (step.freed) {
            participant.count("released");
            if (!view.zero_on_release) _ = free_list.push(view, index);
        }
        if (!atomic.broken(.row_after_bracket)) bracket.leave();
        return .{ .done = .{ .control = to, .freed = step.freed } };
    }
}

inline fn checked(
    comptime operation: Operation,
    from: Control,
    ref: Handle,
    argument: u32,
) Error!Step {
    try identify(from, ref);
    return next(operation, from, argument);
}

/// Outside the bracket: wakes a waiter, or first zeroes what the pool promised to zero.
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
        // SYNC: as in `attempt`. Pairs with `recovery.freezeWord`.
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

/// The common release, of the only reference: what the word must be follows from the handle alone,
/// so that one CAS both checks and changes it. False: nothing was done, and `operate` sorts it out.
pub inline fn releaseSole(participant: *Participant, handle: Handle) bool {
    const view = &participant.view;
    if (view.zero_on_release) return false;
    const index: u32 = handle.index;
    const sole: Control = .{
        .generation = handle.generation,
        .in_flight = 0,
        .references = 1,
        .state = .used,
        .frozen = false,
    };
    const bracket = participant.enter();
    // SYNC: as in `attempt`, of earlier holders; the next one is reached through the push. Pairs
    // with `attempt` and `recovery.freezeWord`.
    if (!Control.cas(&view.slots[index].control, sole, sole.freed())) {
        bracket.leave();
        return false;
    }
    participant.dropHold(index);
    bracket.count("released");
    _ = free_list.push(view, index);
    bracket.leave();
    waiting.wakeOne(participant);
    return true;
}

/// Gives one hold back, whatever stands in the way: where the pool stays frozen for longer than
/// patience lasts, the hold is owed, and paid at this thread's next operation. False: the handle
/// names no buffer in use, or a damaged one, which recovery sorts out; nothing was given back.
pub fn giveBack(participant: *Participant, handle: u64) bool {
    if (releaseSole(participant, @bitCast(handle))) return true;
    return giveBackSlowly(participant, handle);
}

/// The same for a hold that may not be the only one.
pub noinline fn giveBackSlowly(participant: *Participant, handle: u64) bool {
    // Who owes has waited in vain already; once more for each hold of many would add up.
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

/// Pays what is owed, without patience: what is still frozen stays owed.
pub fn settle(participant: *Participant) void {
    @branchHint(.cold);
    if (participant.local.owes_unwait) {
        var impatient: Patience = .none;
        waiting.end(participant, &impatient);
        if (participant.local.owes_unwait) return;
    }
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

/// A fetch-max before the CAS that makes the reference: a recovery that sees the reference sees a
/// lease that lasts. An operation that is refused raises nothing, since the lease may be somebody
/// else's. Where the slot is recycled between the check and the raise, the time was read before the
/// check, so that it is no later than what the next owner's own references raise it to. False: the
/// word is frozen.
fn raiseLease(
    participant: *Participant,
    comptime operation: Operation,
    ref: Handle,
    argument: u32,
) Error!bool {
    const slot = &participant.view.slots[ref.index];
    const deadline_ns = if (participant.view.lease_timeout_ns == 0)
        std.math.maxInt(u64)
    else
        system.clock.coarseNs() + participant.view.lease_timeout_ns;
    const control = Control.load(&slot.control, .acquire);
    if (control.frozen) return false;
    _ = try checked(operation, control, ref, argument);
    // SYNC: before the CAS. Pairs with `recovery.leaseExpired`.
    _ = atomic.fetchMax(u64, &slot.lease_deadline_ns, deadline_ns);
    return true;
}

/// The whole count of a buffer; 0 for the bare index of a slot that is not in use.
pub fn refCount(participant: *Participant, ref_number: u64) Error!u32 {
    const ref: Handle = @bitCast(ref_number);
    if (ref.index >= participant.view.geometry.capacity) return error.BufferNotFound;
    const control = Control.load(&participant.view.slots[ref.index].control, .acquire);
    identify(control, ref) catch |err| {
        if (err == error.BufferNotFound) return 0;
        return err;
    };
    return control.references;
}

const testing = std.testing;

/// A USED word of generation 7 with so many references, of which so many are in flight.
fn used(references: u16, in_flight: u16) Control {
    return .{
        .generation = 7,
        .in_flight = in_flight,
        .references = references,
        .state = .used,
        .frozen = false,
    };
}

const most = words.references_max;

/// What each operation makes of a word, and of the caller's row.
const Row = std.meta.fieldInfo(Step, .row).type;
const transitions = [_]struct { Operation, Control, u32, Control, Row }{
    .{ .release, used(1, 0), 0, used(1, 0).freed(), .minus_one },
    .{ .release, used(2, 1), 0, used(1, 1), .minus_one },
    .{ .release, used(most, 0), 0, used(most - 1, 0), .minus_one },
    .{ .get, used(1, 1), 0, used(2, 1), .plus_one },
    .{ .get, used(most - 1, 0), 0, used(most, 0), .plus_one },
    .{ .share, used(1, 0), 0, used(2, 1), .unchanged },
    .{ .add_ref, used(0, 0), 0, used(1, 1), .unchanged },
    .{ .hand_off, used(1, 0), 0, used(1, 1), .minus_one },
    .{ .hand_off, used(3, 2), 0, used(3, 3), .minus_one },
    .{ .take, used(1, 1), 0, used(1, 0), .plus_one },
    .{ .unref, used(1, 1), 0, used(1, 1).freed(), .unchanged },
    .{ .unref, used(2, 1), 0, used(1, 0), .unchanged },
    .{ .release_by_hand, used(1, 1), 0, used(0, 0), .unchanged },
    .{ .release_by_hand, used(3, 2), 0, used(2, 1), .unchanged },
    .{ .set_ref_count, used(2, 1), 1, used(1, 0), .unchanged },
    .{ .set_ref_count, used(2, 1), 5, used(5, 4), .unchanged },
    .{ .set_ref_count, used(1, 1), 0, used(0, 0), .unchanged },
    .{ .set_ref_count, used(0, 0), most, used(most, most), .unchanged },
    .{ .try_release, used(0, 0), 0, used(0, 0).freed(), .unchanged },
};

test "each operation makes of each word what the table says" {
    inline for (transitions) |row| {
        const operation, const from, const argument, const to, const change = row;
        const step = try next(operation, from, argument);
        try testing.expectEqual(to, step.to);
        try testing.expectEqual(change, step.row);
        try testing.expectEqual(to.state == .free, step.freed);
    }
}

const refusals = [_]struct { Operation, Control, u32, Error }{
    .{ .release, used(1, 1), 0, error.PoolCorrupt },
    .{ .release, used(0, 0), 0, error.PoolCorrupt },
    .{ .get, used(0, 0), 0, error.NoReference },
    .{ .get, used(most, 0), 0, error.TooManyReferences },
    .{ .share, used(most, 0), 0, error.TooManyReferences },
    .{ .add_ref, used(most, most), 0, error.TooManyReferences },
    .{ .hand_off, used(2, 2), 0, error.PoolCorrupt },
    .{ .take, used(1, 0), 0, error.NoReference },
    .{ .unref, used(1, 0), 0, error.NoReference },
    .{ .unref, used(0, 0), 0, error.NoReference },
    .{ .release_by_hand, used(2, 0), 0, error.NoReference },
    .{ .set_ref_count, used(2, 0), 1, error.InvalidArgument },
    .{ .set_ref_count, used(0, 0), @as(u32, most) + 1, error.InvalidArgument },
    .{ .try_release, used(1, 1), 0, error.BufferInUse },
    .{ .try_release, used(1, 0), 0, error.BufferInUse },
};

test "each operation refuses each word that the table says" {
    inline for (refusals) |row| {
        const operation, const from, const argument, const expected = row;
        try testing.expectError(expected, next(operation, from, argument));
    }
}

test "a ref names a buffer in use by its generation, or by its bare index" {
    const own: Handle = .{ .index = 3, .generation = 7 };
    const stale: Handle = .{ .index = 3, .generation = 6 };
    const bare: Handle = .{ .index = 3, .generation = 0 };
    try identify(used(1, 0), own);
    try identify(used(0, 0), bare);
    try testing.expectError(error.StaleHandle, identify(used(1, 0), stale));
    try testing.expectError(error.StaleHandle, identify(used(1, 0).freed(), own));
    try testing.expectError(error.BufferNotFound, identify(used(1, 0).freed(), bare));
    try testing.expectError(error.PoolCorrupt, identify(used(1, 2), own));
}
