//! Damage that nobody died of and no operation runs into: what a pool never shows unless somebody
//! wrote into its control area, and what would keep it closed for ever. Looked for only where an
//! acquire is refused or a user asks for a recovery; an ordinary recovery repairs it. Reads only.

const std = @import("std");
const atomic = @import("hooks");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Control = words.Control;
const Head = words.Head;
const View = participant_file.View;

/// Somebody between a CAS and what follows it looks like damage: what was seen counts only where
/// everybody stood still meanwhile. A pool that never rests is not judged.
const looks_max = 3;

/// The list leads out of the pool, in a circle, to slots in use, or past free ones. Not repaired in
/// the builds of checkers, who must see what the protocol itself loses.
pub fn listIsBroken(view: *const View) bool {
    if (!atomic.repairs_silently) return false;
    return seenAtRest(view, listDiffers);
}

/// The bytes that slots claim do not add up to the pool's sum.
pub fn committedSumIsWrong(view: *const View) bool {
    return seenAtRest(view, committedDiffers);
}

fn seenAtRest(view: *const View, comptime differs: fn (*const View) bool) bool {
    for (0..looks_max) |_| {
        const before = restingAt(view);
        if (!differs(view)) return false;
        if (before != null and before == restingAt(view)) return true;
        system.clock.relax();
    }
    return false;
}

/// A number that changes with every operation of anybody; null while one is under way.
fn restingAt(view: *const View) ?u64 {
    var sum: u64 = @bitCast(Head.load(&view.header.hot.free_head, .acquire));
    for (view.rows[0..view.rowsUsed()]) |*row| {
        const busy = atomic.load(u64, &row.busy, .acquire);
        if (busy & 1 != 0 and participant_file.isLive(row)) return null;
        sum +%= busy;
    }
    return sum;
}

fn listDiffers(view: *const View) bool {
    const capacity = view.geometry.capacity;
    var free_count: u32 = 0;
    for (view.slots[0..capacity]) |*slot| {
        if (Control.load(&slot.control, .monotonic).state == .free) free_count += 1;
    }
    var index: u32 = Head.load(&view.header.hot.free_head, .acquire).index;
    var length: u32 = 0;
    while (index != words.index_nil) : (length += 1) {
        // As many as there are slots, and still no end: it runs in a circle.
        if (index >= capacity or length == capacity) return true;
        const slot = &view.slots[index];
        if (Control.load(&slot.control, .monotonic).state != .free) return true;
        index = atomic.load(u32, &slot.next_free, .monotonic);
    }
    return length != free_count;
}

fn committedDiffers(view: *const View) bool {
    var sum: u64 = 0;
    for (view.slots[0..view.geometry.capacity]) |*slot| {
        const committed = atomic.load(u64, &slot.committed, .monotonic);
        if (committed > view.geometry.stride) return true;
        sum += committed;
    }
    return sum != atomic.load(u64, &view.header.repair.committed_bytes, .monotonic);
}
