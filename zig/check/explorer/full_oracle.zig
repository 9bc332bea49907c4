//! Whether an answer that a pool is full was true, in programs that have caches: whether there was a
//! moment within the call at which no slot was free.
//!
//! A slot that somebody has just taken out of a cache is either acquired, from that moment on, or on
//! its way to the list, and then it is free all the time. Which of the two shows only later, perhaps
//! after the answer. So a moment is known by the set of slots that were between cache and list: it
//! was one without a free slot if all of these turn out to be acquired. A ledger has a bit for each
//! such set, and bit 0 is that of the empty set: a moment that is beyond doubt.

const std = @import("std");
const fiber = @import("fiber.zig");
const independence = @import("independence.zig");
const memory_model = @import("memory_model.zig");
const oracle = @import("oracle.zig");
const programs = @import("programs.zig");
const state = @import("state.zig");
const words = @import("core").format.words;

const Control = words.Control;
const Head = words.Head;
const Ledger = state.Ledger;

comptime {
    std.debug.assert(1 << state.slots_max <= @bitSizeOf(@FieldType(Ledger, "full_if")));
}

/// An acquire begins. One that tries again after a wake may be told so by a moment in doubt: the
/// mover wakes it.
pub fn begin(me: u8, tries_again: bool) void {
    if (!programs.current.caches()) return;
    state.now.ledgers[me].tries_again = tries_again;
    see(&state.now.ledgers[me], momentNow());
}

fn see(ledger: *Ledger, moment: u8) void {
    ledger.full_if |= if (ledger.tries_again and moment != 0) 1 else moment;
}

pub fn end(me: u8) void {
    state.now.ledgers[me].full_if = 0;
    state.now.ledgers[me].tries_again = false;
}

/// Its answer is that the pool is full.
pub fn toldFull(me: u8) void {
    const ledger = &state.now.ledgers[me];
    if (ledger.full_if & 1 != 0) return;
    if (ledger.full_if == 0) return report();
    // Of several answers that are in doubt, the first is followed up.
    if (ledger.full_said_if == 0) ledger.full_said_if = ledger.full_if;
}

fn report() void {
    oracle.report("a pool is said to be full that never was");
}

/// At each change of a word, before it.
pub fn beforeChange(address: usize, before_word: u64, after_word: u64) void {
    if (fiber.direct or !programs.current.caches()) return;
    const slot = independence.slotOfControl(address) orelse return;
    const before: Control = @bitCast(before_word);
    const after: Control = @bitCast(after_word);
    const facts = &state.now.slots[slot];
    if (before.cachingRow() != null and after.cachingRow() == null and after.state == .free) {
        facts.taken_out_by = fiber.current + 1;
    } else if (facts.taken_out_by != 0 and after.state != .free) {
        settle(slot, .acquired);
    }
}

/// After each step, before the state is compared with others: what those in an acquire have seen.
pub fn observe() void {
    if (!programs.current.caches()) return;
    for (0..state.view.geometry.capacity) |slot| {
        const by = state.now.slots[slot].taken_out_by;
        if (by == 0) continue;
        // What somebody had in hand who does not go on is lost for now, as a buffer that is held.
        switch (state.now.fibers[by - 1].status) {
            .dead, .stopped => settle(slot, .acquired),
            else => if (isListed(slot)) settle(slot, .listed),
        }
    }
    const moment = momentNow();
    for (&state.now.ledgers) |*ledger| if (ledger.acquiring) {
        see(ledger, moment);
    };
}

/// The bit of this moment; 0: a slot is free.
fn momentNow() u8 {
    const head: Head = @bitCast(memory_model.settled(&state.view.header.hot.free_head));
    if (head.index != words.index_nil) return 0;
    var in_doubt: u3 = 0;
    for (state.view.slots[0..state.view.geometry.capacity], 0..) |*slot, index| {
        const control: Control = @bitCast(memory_model.settled(&slot.control));
        if (control.cachingRow() != null) return 0;
        if (state.now.slots[index].taken_out_by != 0) in_doubt |= @as(u3, 1) << @intCast(index);
    }
    return @as(u8, 1) << in_doubt;
}

fn isListed(slot: usize) bool {
    var index: u32 = @as(Head, @bitCast(memory_model.settled(&state.view.header.hot.free_head))).index;
    for (0..state.slots_max) |_| {
        if (index == slot) return true;
        if (index >= state.view.geometry.capacity) return false;
        index = state.view.slots[index].next_free;
    }
    return false;
}

fn settle(slot: usize, how: enum { acquired, listed }) void {
    state.now.slots[slot].taken_out_by = 0;
    for (&state.now.ledgers) |*ledger| {
        for ([_]*u8{ &ledger.full_if, &ledger.full_said_if }) |moments| {
            var after: u8 = 0;
            for (0..8) |set| {
                if (moments.* >> @intCast(set) & 1 == 0) continue;
                const bit = @as(usize, 1) << @intCast(slot);
                if (set & bit == 0 or how == .acquired)
                    after |= @as(u8, 1) << @intCast(set & ~bit);
            }
            const answered = moments == &ledger.full_said_if;
            if (answered and moments.* != 0 and after == 0) report();
            moments.* = if (answered and after & 1 != 0) 0 else after;
        }
    }
}
