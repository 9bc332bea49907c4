//! The free list: a LIFO of slot indexes behind one tagged head, changed by CAS alone (a Treiber
//! stack). Callers stand in their bracket. What a slot's word says is not decided here.

const atomic = @import("atomic.zig");
const participant_file = @import("participant.zig");
const words = @import("words.zig");

const Head = words.Head;
const View = participant_file.View;

/// The slot that was popped, or why none was: one number, so that it stays in a register.
pub const Popped = enum(u32) {
    empty = words.index_nil,
    /// A recovery is under way.
    frozen,
    corrupt,
    _,
};

pub inline fn pop(view: *const View) Popped {
    const head_ptr = &view.header.hot.free_head;
    while (true) {
        // SYNC: acquire, so that `next_free` is what was stored before the head; sequential, so
        // that a waiter's try comes after its count. Pairs with `push`,
        // `recovery.rebuildList` and `free_run.letPopsGoOn`.
        const head = Head.load(head_ptr, .seq_cst);
        if (head.frozen) return .frozen;
        if (head.index == words.index_nil) return .empty;
        const checked = !atomic.broken(.index_unchecked);
        if (checked and head.index >= view.geometry.capacity) return .corrupt;
        const next = atomic.load(u32, &view.slots[head.index].next_free, .monotonic);
        if (checked and next != words.index_nil and next >= view.geometry.capacity) {
            // Somebody may have popped the slot meanwhile; then it was not ours to read.
            const again = Head.load(head_ptr, .acquire);
            if (@as(u64, @bitCast(again)) == @as(u64, @bitCast(head))) return .corrupt;
            continue;
        }
        // SYNC: release for `busy`, which was raised before: a freeze that comes later in the
        // head's order sees it raised. Pairs with `recovery.freezeHead` and `free_run.holdUpPops`.
        if (Head.cas(head_ptr, head, head.successor(@truncate(next)), .acq_rel)) {
            return @enumFromInt(head.index);
        }
    }
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
        // `waiting.wakeOne`. Pairs with `pop`, `waiting.mark`, `free_run.holdUpPops`,
        // `free_run.replaceAtTop` and `free_run.link`.
        if (Head.cas(head_ptr, head, pushed, .seq_cst)) return true;
    }
}

/// True when a pop would find nothing.
pub fn isEmpty(view: *const View) bool {
    return Head.load(&view.header.hot.free_head, .acquire).index == words.index_nil;
}
