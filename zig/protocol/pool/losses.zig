//! Looking for what was lost, where an acquire found no buffer or no memory.

const std = @import("std");
const atomic = @import("hooks");
const damage = @import("../recovery/damage.zig");
const lease = @import("lease.zig");
const memory_work = @import("../memory_work.zig");
const participant_file = @import("../participant.zig");
const place_file = @import("../place.zig");
const recovery = @import("../recovery/recovery.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const View = participant_file.View;

/// How many slots one look takes in: few enough that a look costs little, and enough that a round
/// of all slots is over soon. A waiter looks once a slice, and several waiters share one round.
const slots_per_look = if (atomic.modelled) 2 else 16 * 1024;
const look_interval_ns: u64 = 10 * std.time.ns_per_ms;

/// Called where a try found no buffer or no memory. True when something was given back, so that
/// another try is worth it. Deaths are found at once. Expired leases and damage are looked for in a
/// part of the slots, from where the last look of any participant stopped, at most once in an
/// interval. Only `reclaim` looks at all slots.
pub fn lookForLosses(view: *const View) bool {
    @branchHint(.cold);
    if (participant_file.anybodyDead(view)) return recovery.run(view, .{}).ran;
    const repair = &view.header.repair;
    const now_ns = system.clock.coarseNs();
    const scan_at_ns = atomic.load(u64, &repair.lease_scan_at_ns, .monotonic);
    if (now_ns < scan_at_ns and scan_at_ns - now_ns <= look_interval_ns) return false;
    atomic.store(u64, &repair.lease_scan_at_ns, now_ns + look_interval_ns, .monotonic);
    return switch (lookAtSome(view, now_ns)) {
        .nothing => false,
        .expired => recovery.run(view, .{ .expired = true }).ran,
        .damaged => recovery.run(view, .{ .damaged = true }).ran,
    };
}

/// For one who only reads: whether a try would find a lease that is over. A part of the slots at a
/// time, too; and once all were seen, not before the first of their leases ends, and none that is
/// made later ends sooner than the pool's leases last. But once a second it looks in any case.
pub fn isAnyLeaseOver(view: *const View, looks: *place_file.Looks) bool {
    if (view.lease_timeout_ns == 0) return false;
    const now_ns = system.clock.coarseNs();
    if (now_ns < looks.due_ns) return false;
    const capacity = view.geometry.capacity;
    if (looks.next == 0)
        looks.soonest_ns = now_ns + @min(view.lease_timeout_ns, std.time.ns_per_s);
    const last = @min(looks.next +| slots_per_look, capacity);
    for (view.slots[looks.next..last]) |*slot| {
        const control = Control.load(&slot.control, .acquire);
        if (!control.isOnLease()) continue;
        const found = lease.of(slot);
        // The next look begins here again, as in `lookAtSome`.
        if (found.isOver(now_ns)) return true;
        looks.soonest_ns = @min(looks.soonest_ns, found.endNs());
    }
    looks.next = if (last == capacity) 0 else last;
    if (looks.next == 0) looks.due_ns = looks.soonest_ns;
    return false;
}

fn lookAtSome(view: *const View, now_ns: u64) enum { nothing, expired, damaged } {
    const cursor = &view.header.repair.scan_cursor;
    const capacity = view.geometry.capacity;
    const seen = atomic.load(u32, cursor, .monotonic);
    const first = if (seen < capacity) seen else 0;
    const last = @min(first +| slots_per_look, capacity);
    const resting = damage.restingAt(view);
    var is_any_free = false;
    for (view.slots[first..last], first..) |*slot, index| {
        const control = Control.load(&slot.control, .acquire);
        if (isFree(view, @intCast(index), control)) is_any_free = true;
        // The next look begins here again: what is deferred now is due then.
        if (lease.isOver(slot, control, now_ns)) return .expired;
    }
    atomic.store(u32, cursor, last, .monotonic);
    if (!is_any_free or resting == null) return .nothing;
    return if (damage.fellOffList(view, resting.?)) .damaged else .nothing;
}

/// A slot that is marked, but on which nobody works, counts as free, too. A slot in a cache is where
/// it belongs.
fn isFree(view: *const View, index: u32, control: Control) bool {
    if (control.state == .free) return !view.isCached(index, control);
    return control.state == .maintained and !memory_work.isUnderWay(view, control.in_flight);
}
