//! The free list: a LIFO of slot indexes behind one tagged head, changed by CAS alone (a Treiber
//! stack). Callers stand in their bracket. What a slot's word says is not decided here.

const atomic = @import("atomic.zig");
const layout = @import("layout.zig");
const participant_file = @import("participant.zig");
const words = @import("words.zig");

const Head = words.Head;
const View = participant_file.View;

/// The slot on top of the list, and the head that says so: what is read of the slot is true if
/// `take` succeeds.
pub const Top = struct {
    head: Head,
    index: u32,
    slot: *layout.Slot,
    next: u32,
};

/// Null: none is there, or one that is not to be had.
pub inline fn top(view: *const View, head: Head) ?Top {
    if (head.frozen) return null;
    const checked = !atomic.broken(.index_unchecked);
    const capacity = view.geometry.capacity;
    if (head.index >= capacity and (checked or head.index == words.index_nil)) return null;
    const slot = &view.slots[head.index];
    const next = atomic.load(u32, &slot.next_free, .monotonic);
    if (checked and next != words.index_nil and next >= capacity) return null;
    return .{ .head = head, .index = head.index, .slot = slot, .next = next };
}

pub inline fn take(header: *layout.Header, there: Top) bool {
    const to = there.head.successor(@truncate(there.next));
    // SYNC: release for `busy`, which was raised before: a freeze that comes later in the head's
    // order sees it raised. Pairs with `recovery.freezeHead` and `maintained.growTag`.
    return Head.cas(&header.hot.free_head, there.head, to, .acq_rel);
}

/// SYNC: acquire, so that `next_free` is what was stored before the head; sequential, so that a
/// waiter's try comes after its count. Pairs with `push`, `recovery.rebuildList` and
/// `maintained.growTag`.
pub inline fn headOf(header: *const layout.Header) Head {
    return Head.load(&header.hot.free_head, .seq_cst);
}

/// Never refused: a frozen head stays frozen, and the slot is on the list. A push that gave up
/// would leave a FREE slot that nobody finds.
pub inline fn push(view: *const View, index: u32) bool {
    const head_ptr = &view.header.hot.free_head;
    while (true) {
        const head = Head.load(head_ptr, .monotonic);
        if (atomic.broken(.push_gives_up_when_frozen) and head.frozen) return false;
        atomic.store(u32, &view.slots[index].next_free, head.index, .monotonic);
        const pushed = head.successor(@intCast(index));
        if (atomic.broken(.push_relaxed)) {
            if (Head.cas(head_ptr, head, pushed, .monotonic)) return true;
            continue;
        }
        // SYNC: release for the content and `next_free`, sequential before the load of `waiters` in
        // `waiting.wakeOne`. Pairs with `headOf` and `waiting.mark`.
        if (Head.cas(head_ptr, head, pushed, .seq_cst)) return true;
    }
}

/// True when a pop would find nothing.
pub fn isEmpty(view: *const View) bool {
    return Head.load(&view.header.hot.free_head, .acquire).index == words.index_nil;
}
