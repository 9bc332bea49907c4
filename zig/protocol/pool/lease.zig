//! The lease of a buffer: until when references that nobody owns keep it. Whatever makes an
//! in-flight reference, or counts a buffer to 0 by hand, raises the slot's lease, and says who
//! did; a recovery drops what is past it. An acquire begins at 0.

const std = @import("std");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const Lease = words.Lease;
const Participant = participant_file.Participant;

/// That of a reference which the participant makes now. A pool with a timeout of 0 lets none expire.
pub fn fromNow(participant: *const Participant) Lease {
    const view = &participant.view;
    if (view.lease_timeout_ns == 0) return .endless(participant.index);
    return .endingAt(system.clock.coarseNs() + view.lease_timeout_ns, participant.index);
}

/// Before the CAS that makes the reference: a recovery that sees the reference sees a lease that
/// lasts. Never shortens it.
pub fn raise(slot: *layout.Slot, lease: Lease) void {
    while (true) {
        // Within one tick of the clock most calls find it raised: a load is cheaper.
        const before: Lease = .load(&slot.lease, .monotonic);
        if (!before.isBehind(lease)) return;
        // SYNC: before the CAS of the reference. Pairs with `of`.
        if (Lease.cas(&slot.lease, before, lease)) return;
    }
}

/// Whether `raise` would change the slot's lease.
pub inline fn isRaisedBy(slot: *const layout.Slot, lease: Lease) bool {
    return Lease.load(&slot.lease, .monotonic).isBehind(lease);
}

/// Whether a recovery would drop something of the buffer.
pub fn isOver(slot: *const layout.Slot, control: Control, now_ns: u64) bool {
    return control.isOnLease() and hasExpired(slot, now_ns);
}

pub fn hasExpired(slot: *const layout.Slot, now_ns: u64) bool {
    return of(slot).isOver(now_ns);
}

/// SYNC: read after the word: a recovery that sees a reference sees the lease raised before it.
/// Pairs with `raise`.
pub fn of(slot: *const layout.Slot) Lease {
    return Lease.load(&slot.lease, .acquire);
}

const testing = std.testing;

test "a lease is never shortened, and is over at its end" {
    var slot = std.mem.zeroes(layout.Slot);
    const unit_ns = 1 << 13;
    raise(&slot, .endingAt(7 * unit_ns, 0));
    raise(&slot, .endingAt(5 * unit_ns, 0));
    try testing.expect(!hasExpired(&slot, 6 * unit_ns));
    try testing.expect(hasExpired(&slot, 8 * unit_ns));
    raise(&slot, .endingAt(8 * unit_ns, 0));
    try testing.expect(!hasExpired(&slot, 8 * unit_ns - 1));
    try testing.expect(hasExpired(&slot, 9 * unit_ns));
}

test "a lease says who raised it last, within one tick of the clock, too" {
    var slot = std.mem.zeroes(layout.Slot);
    try testing.expectEqual(null, Lease.load(&slot.lease, .monotonic).byRow());
    for ([_]u32{ 4095, 0, 3 }) |row| {
        raise(&slot, .endingAt(1 << 40, row));
        try testing.expectEqual(row, Lease.load(&slot.lease, .monotonic).byRow().?);
    }
    raise(&slot, .endingAt(1 << 39, 9));
    try testing.expectEqual(@as(u32, 3), Lease.load(&slot.lease, .monotonic).byRow().?);
    raise(&slot, .endless(1));
    const lease: Lease = .load(&slot.lease, .monotonic);
    try testing.expect(lease.isEndless() and !lease.isOver(std.math.maxInt(u64) - (1 << 13)));
}
