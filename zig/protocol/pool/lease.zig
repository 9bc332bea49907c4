//! The lease of a buffer: until when references that nobody owns keep it. Whatever makes an
//! in-flight reference, or counts a buffer to 0 by hand, raises the slot's deadline; a recovery
//! drops what is past it. An acquire begins at 0.

const std = @import("std");
const atomic = @import("hooks");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const View = participant_file.View;

/// Until when a reference that is made now lives. A pool with a timeout of 0 lets none expire.
pub fn deadlineFromNow(view: *const View) u64 {
    if (view.lease_timeout_ns == 0) return std.math.maxInt(u64);
    return system.clock.coarseNs() + view.lease_timeout_ns;
}

/// Before the CAS that makes the reference: a recovery that sees the reference sees a lease that
/// lasts. Never lowers it.
pub fn raise(slot: *layout.Slot, deadline_ns: u64) void {
    // Within one tick of the clock most calls find it raised: a load is cheaper.
    if (atomic.load(u64, &slot.lease_deadline_ns, .monotonic) >= deadline_ns) return;
    // SYNC: before the CAS. Pairs with `endOf`.
    _ = atomic.fetchMax(u64, &slot.lease_deadline_ns, deadline_ns);
}

/// Whether a recovery would drop something of the buffer.
pub fn isOver(slot: *const layout.Slot, control: Control, now_ns: u64) bool {
    return control.isOnLease() and hasExpired(slot, now_ns);
}

pub fn hasExpired(slot: *const layout.Slot, now_ns: u64) bool {
    return endOf(slot) <= now_ns;
}

/// SYNC: read after the word: a recovery that sees a reference sees the lease raised before it.
/// Pairs with `raise`.
pub fn endOf(slot: *const layout.Slot) u64 {
    return atomic.load(u64, &slot.lease_deadline_ns, .acquire);
}

const testing = std.testing;

test "a lease is never lowered, and is over at its deadline" {
    var slot = std.mem.zeroes(layout.Slot);
    raise(&slot, 7);
    raise(&slot, 5);
    try testing.expect(!hasExpired(&slot, 6));
    try testing.expect(hasExpired(&slot, 7));
    raise(&slot, 8);
    try testing.expect(!hasExpired(&slot, 7));
}
