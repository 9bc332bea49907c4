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
