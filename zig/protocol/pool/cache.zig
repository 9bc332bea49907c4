//! A participant's cache: free slots that its own releases put aside for its own acquires, instead
//! of on the list, so that neither touches the head that all share. A cached slot's word says FREE
//! and in whose cache it is; the row has entries that lead to it, and a count of them. The word is
//! the truth: whoever takes a slot out of a cache does it by a CAS on the word, its owner as well as
//! any other participant, and an entry whose word says something else leads nowhere. So a slot that
//! somebody needs is never out of reach, and the death of the owner changes nothing.
//!
//! A slot leaves a cache in two ways. Its owner acquires it. Or a participant that finds too little
//! on the list puts all of it there (`gather`): it takes nothing for itself, so that whatever is
//! decided at the list (claims, memory, work on free slots) needs to know of no caches. A slot comes
//! into a cache by a release that found nobody waiting. Waiters and releasers look for each other
//! as they do at the list.

const std = @import("std");
const atomic = @import("hooks");
const free_list = @import("free_list.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const thaw = @import("../recovery/thaw.zig");
const waiting = @import("waiting.zig");
const words = @import("../../format/words.zig");

const Bracket = participant_file.Bracket;
const Cache = words.Cache;
const Control = words.Control;
const Error = @import("../../errors.zig").Error;
const Handle = words.Handle;
const Head = words.Head;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const View = participant_file.View;

/// Gives the thread a cache of `count` slots, or a larger one than it has.
pub fn enable(participant: *Participant, count: u32) void {
    if (count == 0) return;
    const local = participant.local;
    local.cache_max = @max(local.cache_max, @min(count, layout.cached_slots_max));
    local.attention |= participant_file.attention_cache;
    // SYNC: before the first slot comes into the cache. Pairs with `isUsed`.
    atomic.store(u32, &participant.view.header.hot.cached, 1, .seq_cst);
}

/// Whether any participant has, or had, a cache.
///
/// SYNC: sequential, so that a waiter looks after it was counted. Pairs with `enable`.
fn isUsed(view: *const View) bool {
    return atomic.load(u32, &view.header.hot.cached, .seq_cst) != 0;
}

/// The slot that the owner put into its cache last.
pub const Top = struct {
    index: u32,
    slot: *layout.Slot,
    from: Control,
    cache: Cache,
};

/// In the caller's bracket. Null: there is none, or the last entry leads nowhere.
pub inline fn top(participant: *const Participant) ?Top {
    const row = participant.row;
    const cache = Cache.load(&row.cache, .monotonic);
    if (cache.count == 0 or cache.count > layout.cached_slots_max) return null;
    const index = atomic.load(u32, &participant.cache[cache.count - 1], .monotonic);
    if (index >= participant.view.geometry.capacity) return leadsNowhere(participant, cache);
    const slot = &participant.view.slots[index];
    // SYNC: acquires what the release of another's hold handed over. Pairs with `put`.
    const from = Control.load(&slot.control, .acquire);
    if (!from.isCachedBy(participant.index)) {
        // A recovery that gives up leaves the slot where it was.
        return if (from.frozen) null else leadsNowhere(participant, cache);
    }
    return .{ .index = index, .slot = slot, .from = from, .cache = cache };
}

noinline fn leadsNowhere(participant: *const Participant, cache: Cache) ?Top {
    @branchHint(.cold);
    Cache.store(&participant.row.cache, cache.withOneLess(), .monotonic);
    return null;
}

/// Takes the slot out of the cache: it is FREE, in no cache and not on the list, and the caller's
/// to use or to push. False: somebody else has it, or it is frozen.
pub inline fn take(participant: *const Participant, there: Top) bool {
    // SYNC: shows `busy` to the recovery that freezes the word, and to a maintainer that marks it;
    // sequential before the look at the head. Pairs with `section.freezeWord`,
    // `maintained_slots.mark`, `gather` and `put`.
    if (!Control.casSequential(&there.slot.control, there.from, there.from.freed())) return false;
    Cache.store(&participant.row.cache, there.cache.withOneLess(), .monotonic);
    if (atomic.broken(.cached_pop_while_frozen)) return true;
    // What follows stores the word without a look. A recovery may have frozen the head, seen nobody
    // in a bracket, and be about to freeze the words.
    //
    // SYNC: either this load sees the freeze, or the freezer sees `busy`. Pairs with
    // `phases.freezeHead`.
    if (!Head.load(&participant.view.header.hot.free_head, .seq_cst).frozen) return true;
    _ = free_list.push(&participant.view, there.index);
    return false;
}

/// The release of an only reference into the cache. False: nothing was done, since the cache is
/// full, or the handle names something else.
pub inline fn put(participant: *Participant, handle: Handle) bool {
    const view = &participant.view;
    if (view.zero_on_release) return false;
    const row = participant.row;
    const cache = Cache.load(&row.cache, .monotonic);
    if (cache.count >= participant.local.cache_max) return false;
    const index: u32 = handle.index;
    const sole = Control.soleHold(handle);
    const bracket = participant.enter();
    if (!atomic.broken(.cache_entry_after_word)) note(participant, cache, index);
    // SYNC: as in `references.releaseSole`; and whoever finds the word finds the entry and the
    // count, which were stored before it. Sequential before the load of `waiters`. Pairs with
    // `references.attempt`, `section.freezeWord`, `top`, `gather` and `waiter.mark`.
    if (!Control.casSequential(&view.slots[index].control, sole, sole.cachedBy(participant.index)))
        return failed(participant, bracket, cache);
    if (atomic.broken(.cache_entry_after_word)) note(participant, cache, index);
    participant.dropHold(index);
    bracket.count("released");
    bracket.leave();
    if (atomic.broken(.cached_release_wakes_nobody)) return true;
    // SYNC: as in `waiting.wakeOne`. Pairs with `waiter.mark`.
    if (atomic.load(u32, &view.header.hot.waiters, .seq_cst) != 0) serve(participant);
    return true;
}

inline fn note(participant: *const Participant, cache: Cache, index: u32) void {
    atomic.store(u32, &participant.cache[cache.count], index, .monotonic);
    // SYNC: the CAS on the word releases both. Pairs with `gather`.
    Cache.store(&participant.row.cache, cache.withOneMore(), .monotonic);
}

noinline fn failed(participant: *const Participant, bracket: Bracket, before: Cache) bool {
    @branchHint(.cold);
    const after: Cache = .{ .count = before.count, .puts = before.puts +% 1 };
    Cache.store(&participant.row.cache, after, .monotonic);
    bracket.leave();
    return false;
}

/// Somebody waits: what this thread keeps goes to the list, and who waits is told.
noinline fn serve(participant: *Participant) void {
    @branchHint(.cold);
    const moved = moveFrom(participant, participant.index).moved;
    // If another one has moved it, that one wakes for it, too.
    wakeFor(participant, @max(moved, 1));
}

fn wakeFor(participant: *const Participant, moved: u32) void {
    const waiters = atomic.load(u32, &participant.view.header.hot.waiters, .monotonic);
    for (0..@min(moved, waiters)) |_| waiting.wakeOne(participant);
}

const Moved = struct {
    moved: u32 = 0,
    /// Something in the cache is frozen, and stays there for now.
    frozen: bool = false,
};

/// Moves what is in a row's cache to the list, the slot that was released last on top. Its owner may
/// take from the cache, and put into it, at the same time.
fn moveFrom(participant: *const Participant, row_index: u32) Moved {
    const view = &participant.view;
    var result: Moved = .{};
    const row = &view.rows[row_index];
    const cache = Cache.load(&row.cache, .seq_cst);
    // SYNC: the hold row, in which the entries lie, is committed. Pairs with `membership.takeRow`.
    if (cache.count == 0 or atomic.load(u32, &row.joined, .acquire) == 0) return result;
    const entries = view.cacheOf(row_index);
    for (entries[0..@min(cache.count, layout.cached_slots_max)]) |*entry| {
        const index = atomic.load(u32, entry, .monotonic);
        if (index >= view.geometry.capacity) continue;
        const slot = &view.slots[index];
        const from = Control.load(&slot.control, .seq_cst);
        if (from.cachingRow() != row_index) continue;
        if (from.frozen) {
            result.frozen = true;
            continue;
        }
        const bracket = participant.enter();
        // SYNC: acquires what its last holder wrote, for the next one, which is reached through the
        // push; shows `busy` to the recovery that freezes the word. Pairs with `put`, `take` and
        // `section.freezeWord`.
        if (Control.casSequential(&slot.control, from, from.freed())) {
            _ = free_list.push(view, index);
            result.moved += 1;
        }
        bracket.leave();
    }
    return result;
}

/// Moves what is in all caches to the list; how much that was.
pub fn gatherAll(participant: *const Participant) u32 {
    const view = &participant.view;
    if (!isUsed(view) or atomic.broken(.caches_not_searched)) return 0;
    var moved: u32 = 0;
    for (0..view.rowsUsed()) |row| moved += moveFrom(participant, @intCast(row)).moved;
    if (moved > 0) wakeFor(participant, moved);
    return moved;
}

/// How often an acquire looks again because slots went from cache to cache while it looked. Each
/// time somebody else was served.
const looks_max = 64;

/// A look at all caches, for an acquire that found too little on the list.
pub const Search = struct {
    looks: u32 = 0,

    pub const Outcome = enum {
        /// There was nothing at a moment at which the list was as the caller found it.
        nothing,
        /// Something is on the list now, or may be.
        again,
        frozen,
    };

    /// `head` is the head that the caller found.
    ///
    /// A slot may come into a cache that was looked at before, while the last one is taken out of a
    /// cache that is looked at later. None did where the traces before and after are the same; and
    /// none came to the list where the head is. Then there was nothing anywhere in between.
    pub fn run(search: *Search, participant: *const Participant, head: Head) Outcome {
        const view = &participant.view;
        if (!isUsed(view) or atomic.broken(.caches_not_searched)) return .nothing;
        const before: Traces = .of(view);
        var moved: u32 = 0;
        var is_frozen = false;
        for (0..view.rowsUsed()) |row| {
            const result = moveFrom(participant, @intCast(row));
            moved += result.moved;
            is_frozen = is_frozen or result.frozen;
        }
        if (moved > 0) {
            wakeFor(participant, moved);
            return .again;
        }
        if (is_frozen) return .frozen;
        if (atomic.broken(.cache_moves_unseen)) return .nothing;
        const now: u64 = @bitCast(free_list.headOf(view.header));
        if (Traces.of(view).areThose(before) and now == @as(u64, @bitCast(head))) return .nothing;
        search.looks += 1;
        return if (search.looks < looks_max) .again else .nothing;
    }
};

/// What puts leave behind, over all rows: they raise `puts`, then they change the word that the last
/// entry leads to. A put that is between the two shows in that word, which stays the same for as
/// long as the owner does not go on.
const Traces = struct {
    puts: u64 = 0,
    /// Each slot's word differs from all that it was before, by its generation.
    last_words: u64 = 0,

    /// SYNC: a put that came before a look at its word is seen in a load after that. Pairs with
    /// `put` and `membership.takeRow`.
    fn of(view: *const View) Traces {
        var traces: Traces = .{};
        for (view.rows[0..view.rowsUsed()], 0..) |*row, row_index| {
            const cache = Cache.load(&row.cache, .seq_cst);
            traces.puts +%= cache.puts;
            if (cache.count == 0 or cache.count > layout.cached_slots_max) continue;
            if (atomic.load(u32, &row.joined, .acquire) == 0) continue;
            const entry = &view.cacheOf(@intCast(row_index))[cache.count - 1];
            const index = atomic.load(u32, entry, .monotonic);
            if (index >= view.geometry.capacity) continue;
            const control = Control.load(&view.slots[index].control, .seq_cst);
            traces.last_words +%= @as(u64, @bitCast(control));
        }
        return traces;
    }

    fn areThose(traces: Traces, others: Traces) bool {
        if (traces.puts != others.puts) return false;
        return traces.last_words == others.last_words or atomic.broken(.cache_put_unseen);
    }
};

/// The thread's last open ends, and nobody may come to take from its cache for a long time. False:
/// the pool stands still for too long, and a recovery has to do it.
pub fn close(participant: *Participant) bool {
    if (participant.local.cache_max == 0) return true;
    participant.local.cache_max = 0;
    participant.local.attention &= ~participant_file.attention_cache;
    if (atomic.broken(.cache_kept_at_close)) return true;
    var patience: Patience = .untimed;
    while (true) {
        const result = moveFrom(participant, participant.index);
        if (result.moved > 0) wakeFor(participant, result.moved);
        if (!result.frozen) return true;
        thaw.wait(participant, &patience) catch return false;
    }
}

/// Whether a slot is in the cache of somebody whose entries lead to it.
pub fn isReachable(view: *const View, index: u32, control: Control) bool {
    const row_index = control.cachingRow() orelse return false;
    if (row_index >= view.rowsUsed()) return false;
    const row = &view.rows[row_index];
    // SYNC: as in `moveFrom`. Pairs with `membership.takeRow`.
    if (atomic.load(u32, &row.joined, .acquire) == 0) return false;
    const cache = Cache.load(&row.cache, .seq_cst);
    for (view.cacheOf(row_index)[0..@min(cache.count, layout.cached_slots_max)]) |*entry| {
        if (atomic.load(u32, entry, .monotonic) == index) return true;
    }
    return false;
}

/// Whether any cache has a slot, for one who only reads.
pub fn hasAny(view: *const View) bool {
    if (!isUsed(view)) return false;
    for (view.rows[0..view.rowsUsed()], 0..) |*row, row_index| {
        const cache = Cache.load(&row.cache, .seq_cst);
        // SYNC: as in `moveFrom`. Pairs with `membership.takeRow`.
        if (cache.count == 0 or atomic.load(u32, &row.joined, .acquire) == 0) continue;
        const entries = view.cacheOf(@intCast(row_index));
        for (entries[0..@min(cache.count, layout.cached_slots_max)]) |*entry| {
            const index = atomic.load(u32, entry, .monotonic);
            if (index >= view.geometry.capacity) continue;
            const control = Control.load(&view.slots[index].control, .acquire);
            if (control.isCachedBy(@intCast(row_index))) return true;
        }
    }
    return false;
}
