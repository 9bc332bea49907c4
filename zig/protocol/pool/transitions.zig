//! What each operation on a buffer's references makes of the slot's word, and of the caller's row.
//! Numbers only: nothing in shared memory is read or written here.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const Error = errors.Error;
const Handle = words.Handle;

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

pub const RowChange = enum { unchanged, plus_one, minus_one };

/// The new word, and the change of the caller's row.
pub const Step = struct {
    to: Control,
    row: RowChange = .unchanged,
    /// The slot's last reference is gone, and it has to be pushed on the free list.
    freed: bool = false,
};

/// Checks by the slot's word that a ref names a buffer in use.
pub inline fn identify(control: Control, ref: Handle) Error!void {
    if (control.state != .used) {
        return if (ref.isBare()) error.BufferNotFound else error.StaleHandle;
    }
    if (!ref.isBare() and ref.generation != control.generation) return error.StaleHandle;
    if (control.references < control.in_flight) return error.PoolCorrupt;
}

pub inline fn next(comptime operation: Operation, from: Control, argument: u32) Error!Step {
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
pub fn raisesLease(comptime operation: Operation) bool {
    return switch (operation) {
        .share, .hand_off, .add_ref, .release_by_hand, .set_ref_count => true,
        else => false,
    };
}

/// Whether the operation is one of every message that goes from hand to hand, and has a straight
/// line.
pub fn isCommon(operation: Operation) bool {
    return switch (operation) {
        .get, .share, .take, .hand_off => true,
        else => false,
    };
}

/// The new word of a common operation that leaves references, in few steps. Null: something is
/// uncommon, and `identify` and `next` say what; where they refuse, it is null.
pub inline fn straight(comptime operation: Operation, from: Control, generation: u29) ?Control {
    if (from.state != .used or from.frozen) return null;
    if (from.generation != generation and generation != 0) return null;
    const references, const in_flight = .{ from.references, from.in_flight };
    if (references < in_flight) return null;
    const word: u64 = @bitCast(from);
    const to = switch (operation) {
        .get => to: {
            if (references == 0 or references == words.references_max) return null;
            break :to word + one_reference;
        },
        .share => to: {
            if (references == words.references_max) return null;
            break :to word + (one_reference + one_in_flight);
        },
        .take => to: {
            if (in_flight == 0) return null;
            break :to word - one_in_flight;
        },
        .hand_off => to: {
            if (references == in_flight) return null;
            break :to word + one_in_flight;
        },
        .release => to: {
            if (references == in_flight or references == 1) return null;
            break :to word - one_reference;
        },
        else => @compileError("it has no straight line"),
    };
    return @bitCast(to);
}

const one_reference: u64 = @as(u64, 1) << @bitOffsetOf(Control, "references");
const one_in_flight: u64 = @as(u64, 1) << @bitOffsetOf(Control, "in_flight");

/// What an operation with a straight line does to the caller's row.
pub inline fn rowChange(comptime operation: Operation) RowChange {
    return switch (operation) {
        .get, .take => .plus_one,
        .share => .unchanged,
        .hand_off, .release => .minus_one,
        else => @compileError("it has no straight line"),
    };
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

/// For each operation: the word before, its argument, the word after, and the change of the
/// caller's row.
const transitions = [_]struct { Operation, Control, u32, Control, RowChange }{
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

test "each operation changes each word as the table says" {
    inline for (transitions) |row| {
        const operation, const from, const argument, const to, const change = row;
        const step = try next(operation, from, argument);
        try testing.expectEqual(to, step.to);
        try testing.expectEqual(change, step.row);
        try testing.expectEqual(to.state == .free, step.freed);
    }
}

test "the straight line changes a word as the long one does, or not at all" {
    const counts = [_]u16{ 0, 1, 2, 3, most - 1, most };
    const operations = [_]Operation{ .get, .share, .take, .hand_off, .release };
    inline for (operations) |operation| {
        var changed: u32 = 0;
        for (counts) |references| for (counts) |in_flight| for ([_]u29{ 0, 6, 7 }) |generation| {
            var from = used(references, in_flight);
            const ref: Handle = .{ .index = 3, .generation = generation };
            const short = straight(operation, from, generation);
            const long: ?Step = step: {
                identify(from, ref) catch break :step null;
                const step = next(operation, from, 0) catch break :step null;
                break :step if (step.freed) null else step;
            };
            try testing.expectEqual(if (long) |step| step.to else null, short);
            if (long) |step| {
                try testing.expectEqual(step.row, rowChange(operation));
                changed += 1;
            }
            from.frozen = true;
            try testing.expectEqual(null, straight(operation, from, generation));
            from.frozen = false;
            for ([_]words.State{ .free, .private, .maintained }) |state| {
                from.state = state;
                try testing.expectEqual(null, straight(operation, from, generation));
            }
        };
        try testing.expect(changed > 0);
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
