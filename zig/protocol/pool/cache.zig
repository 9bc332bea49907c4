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
const memory_work = @import("../memory_work.zig");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const waiting = @import("waiting.zig");
const words = @import("../../format/words.zig");

const Cache = words.Cache;
const Control = words.Control;
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
    announce(&participant.view);
}

/// Says to those who search that there are caches.
noinline fn announce(view: *const View) void {
    @branchHint(.cold);
    // SYNC: before the first slot comes into the cache. Pairs with `isUsed`.
    atomic.store(u32, &view.header.hot.cached, 1, .seq_cst);
}

/// Whether any participant has, or had, a cache.
///
/// SYNC: sequential, so that a waiter looks after it was counted. Pairs with `announce`.
fn isUsed(view: *const View) bool {
    return atomic.load(u32, &view.header.hot.cached, .seq_cst) != 0;
}

/// The same for one who may have a cache itself: damage may have cleared the word.
fn isUsedFor(participant: *const Participant) bool {
    if (isUsed(&participant.view)) return true;
    if (participant.local.cache_max == 0) return false;
    announce(&participant.view);
    return true;
}

/// The slot that the owner put into its cache last.
pub const Top = struct {
    index: u32,
    slot: *layout.Slot,
    from: Control,
    cache: Cache,
};

/// In the caller's bracket. Null: there is none, it is frozen, or the last entry leads nowhere.
pub inline fn top(participant: *const Participant) ?Top {
    const cache = Cache.load(&participant.row.cache, .monotonic);
    const last = system.register.single(cache.count -% 1);
    if (last >= layout.cached_slots_max) return null;
    const index = atomic.load(u32, &participant.cache[last], .monotonic);
    if (index >= participant.view.geometry.capacity) return null;
    const slot = &participant.view.slots[system.register.single(index)];
    // SYNC: acquires what the release handed over. Pairs with `putStraight`.
    const from = Control.load(&slot.control, .acquire);
    if (!from.isPlainlyCachedBy(participant.index)) return null;
    return .{ .index = index, .slot = slot, .from = from, .cache = cache };
}

/// Drops the last entry where it leads nowhere, since somebody else has taken its slot. A frozen slot
/// stays: a recovery that gives up leaves it where it was.
pub fn dropStale(participant: *const Participant) void {
    const view = &participant.view;
    const cache = Cache.load(&participant.row.cache, .monotonic);
    const last = cache.count -% 1;
    if (last >= layout.cached_slots_max) return;
    const index = atomic.load(u32, &participant.cache[last], .monotonic);
    if (index < view.geometry.capacity) {
        const control = Control.load(&view.slots[index].control, .acquire);
        if (control.frozen or control.isCachedBy(participant.index)) return;
    }
    Cache.store(&participant.row.cache, cache.withOneLess(), .monotonic);
}

/// Takes the slot out of the cache: it is FREE, in no cache and not on the list, and the caller's
/// to use or to push. False: somebody else has it, or it is frozen.
pub inline fn take(participant: *const Participant, there: Top) bool {
    // SYNC: shows `busy` to the recovery that freezes the word, and to a maintainer that marks it;
    // sequential before the look at the head. Pairs with `section.freezeWord` and
    // `maintained_slots.mark`.
    const to = Control.freeOf(there.from.generation);
    if (!Control.casSequential(&there.slot.control, there.from, to)) return false;
    Cache.store(&participant.row.cache, there.cache.withOneLess(), .monotonic);
    if (atomic.broken(.cached_pop_while_frozen)) return true;
    // What follows stores the word without a look. A recovery may have frozen the head, seen nobody
    // in a bracket, and be about to freeze the words.
    //
    // SYNC: either this load sees the freeze, or the freezer sees `busy`. Pairs with
    // `phases.freezeHead`.
    if (!Head.load(&participant.view.header.hot.free_head, .seq_cst).frozen) return true;
    // Too late. No call, so that the caller saves few registers.
    _ = free_list.pushSlot(&participant.view, there.index, there.slot);
    return false;
}

/// The release of an only reference into the cache. False: nothing was done, since the cache is
/// full, or the handle names something else.
pub inline fn put(participant: *Participant, handle: Handle) bool {
    announceAgain(participant);
    if (!putStraight(participant, handle.index, handle.generation)) return false;
    if (isAwaited(&participant.view)) serve(participant);
    return true;
}

/// Damage may have cleared the word, and then nobody would look into caches.
pub inline fn announceAgain(participant: *const Participant) void {
    if (!isAnnounced(&participant.view)) announce(&participant.view);
}

inline fn isAnnounced(view: *const View) bool {
    return @atomicLoad(u32, &view.header.hot.cached, .monotonic) != 0;
}

/// The same in a straight line, without a call. True: where `isAwaited`, `serve` has to follow.
pub inline fn putStraight(participant: *const Participant, index: u32, generation: u29) bool {
    const view = &participant.view;
    if (view.zero_on_release or !isAnnounced(view)) return false;
    const row = participant.row;
    const cache = Cache.load(&row.cache, .monotonic);
    if (cache.count >= participant.local.cache_max) return false;
    // Its next generation begins again: see `Control.isPlainlyCachedBy`.
    if (generation == words.generation_max) return false;
    const sole = Control.soleHold(generation);
    const slot = &view.slots[system.register.single(index)];
    // A CAS that fails costs as much as one that does not.
    if (Control.load(&slot.control, .monotonic) != sole) return false;
    const cached = sole.cachedBy(participant.index);
    const bracket = participant.enter();
    if (!atomic.broken(.cache_entry_after_word)) note(participant, row, cache, index);
    // SYNC: as in `references.releaseSole`; and whoever finds the word finds the entry and the
    // count, which were stored before it. Sequential before the load of `waiters`. Pairs with
    // `section.freezeWord`, `top`, `moveFrom`, `moveOne`, `Traces.of` and `waiter.mark`.
    if (!Control.casSequential(&slot.control, sole, cached)) {
        const after: Cache = .{ .count = cache.count, .puts = cache.puts +% 1 };
        Cache.store(&row.cache, after, .monotonic);
        bracket.leave();
        return false;
    }
    if (atomic.broken(.cache_entry_after_word)) note(participant, row, cache, index);
    participant.dropSoleHold(index);
    bracket.leaveCounted("released");
    return true;
}

inline fn note(
    participant: *const Participant,
    row: *layout.ParticipantRow,
    cache: Cache,
    index: u32,
) void {
    atomic.store(u32, &participant.cache[cache.count], index, .monotonic);
    // Both are released by the CAS on the word.
    Cache.store(&row.cache, cache.withOneMore(), .monotonic);
}

/// Whether somebody waits, for one who has put a slot into a cache.
///
/// SYNC: as in `waiting.wakeOne`. Pairs with `waiter.mark`.
pub inline fn isAwaited(view: *const View) bool {
    if (atomic.broken(.cached_release_wakes_nobody)) return false;
    return atomic.load(u32, &view.header.hot.waiters, .seq_cst) != 0;
}

/// Somebody waits: what this thread keeps goes to the list, and who waits is told.
pub noinline fn serve(participant: *const Participant) void {
    @branchHint(.cold);
    const moved = moveFrom(participant, participant.index).moved;
    // If another one has moved it, that one wakes for it, too.
    wakeFor(participant, @max(moved, 1));
}

fn wakeFor(participant: *const Participant, moved: u32) void {
    // SYNC: as in `waiting.wakeOne`. Pairs with `waiter.mark`.
    const waiters = atomic.load(u32, &participant.view.header.hot.waiters, .seq_cst);
    for (0..@min(moved, waiters)) |_| waiting.wakeOne(participant);
}

const Moved = struct {
    moved: u32 = 0,
    /// Something in the cache is frozen, and stays there for now.
    frozen: bool = false,
};

/// Moves what is in a row's cache to the list, the slot that was released last on top. Its owner may
/// take from the cache, and put into it, at the same time.
///
/// A slot that was taken out of a cache, and not pushed yet, is free all the time. So a move counts
/// as work, and nobody is told meanwhile that the pool is full. It is a short one, and ends without
/// a system call: whoever meets it looks again soon.
fn moveFrom(participant: *const Participant, row_index: u32) Moved {
    const view = &participant.view;
    var result: Moved = .{};
    var at_work = false;
    // SYNC: sequential, as the load of the word: a waiter looks after it was counted. Pairs with
    // `putStraight` and `waiter.mark`.
    const cache = Cache.load(&view.rows[row_index].cache, .seq_cst);
    for (view.cacheEntries(row_index, cache)) |*entry| {
        const index = atomic.load(u32, entry, .monotonic);
        if (index >= view.geometry.capacity) continue;
        switch (moveOne(participant, row_index, index, &at_work)) {
            .moved => result.moved += 1,
            .frozen => result.frozen = true,
            .elsewhere => {},
        }
    }
    if (at_work) memory_work.end(participant);
    // The entries of others' caches are their owners' to drop, when they find that they lead nowhere.
    if (row_index == participant.index and cache.count > 0 and !result.frozen)
        Cache.store(&participant.row.cache, .{ .count = 0, .puts = cache.puts }, .monotonic);
    return result;
}

/// Again where the word changed after it was read: a recovery may have frozen it, and may give up,
/// and then the slot is where it was.
fn moveOne(
    participant: *const Participant,
    row_index: u32,
    index: u32,
    at_work: *bool,
) enum { moved, frozen, elsewhere } {
    const view = &participant.view;
    const slot = &view.slots[index];
    while (true) {
        const from = Control.load(&slot.control, .seq_cst);
        if (from.cachingRow() != row_index) return .elsewhere;
        if (from.frozen) return .frozen;
        if (!at_work.* and !atomic.broken(.move_unseen)) {
            memory_work.begin(participant);
            at_work.* = true;
        }
        const bracket = participant.enter();
        defer bracket.leave();
        // SYNC: acquires what its last holder wrote, for the next one, which is reached through the
        // push; shows `busy` to the recovery that freezes the word. Pairs with `putStraight` and
        // `section.freezeWord`.
        if (!Control.casSequential(&slot.control, from, from.freed())) {
            if (atomic.broken(.cache_move_once)) return .elsewhere;
            continue;
        }
        _ = free_list.push(view, index);
        return .moved;
    }
}

/// Moves what is in all caches to the list; how much that was.
pub fn gatherAll(participant: *const Participant) u32 {
    const view = &participant.view;
    if (!isUsedFor(participant) or atomic.broken(.caches_not_searched)) return 0;
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
        if (!isUsedFor(participant) or atomic.broken(.caches_not_searched)) return .nothing;
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
    /// `putStraight`.
    fn of(view: *const View) Traces {
        var traces: Traces = .{};
        for (view.rows[0..view.rowsUsed()], 0..) |*row, row_index| {
            const cache = Cache.load(&row.cache, .seq_cst);
            traces.puts +%= cache.puts;
            const entries = view.cacheEntries(@intCast(row_index), cache);
            if (entries.len == 0) continue;
            const index = atomic.load(u32, &entries[entries.len - 1], .monotonic);
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

/// The thread's last open ends: nothing is left in its cache. Where the pool stands still for too
/// long the rest stays, and `membership.prepareToLeave` leaves the row to the next recovery.
pub fn close(participant: *Participant) void {
    const local = participant.local;
    if (local.cache_max == 0) return;
    local.cache_max = 0;
    local.attention &= ~participant_file.attention_cache;
    if (atomic.broken(.cache_kept_at_close)) return;
    var patience: Patience = .untimed;
    while (true) {
        const result = moveFrom(participant, participant.index);
        if (result.moved > 0) wakeFor(participant, result.moved);
        if (!result.frozen) return;
        thaw.wait(participant, &patience) catch return;
    }
}

/// Whether any cache has a slot, for one who only reads.
pub fn hasAny(view: *const View) bool {
    if (!isUsed(view)) return false;
    for (view.rows[0..view.rowsUsed()], 0..) |*row, row_index| {
        const cache = Cache.load(&row.cache, .acquire);
        for (view.cacheEntries(@intCast(row_index), cache)) |*entry| {
            const index = atomic.load(u32, entry, .monotonic);
            if (index >= view.geometry.capacity) continue;
            const control = Control.load(&view.slots[index].control, .acquire);
            if (control.isCachedBy(@intCast(row_index))) return true;
        }
    }
    return false;
}

const membership = @import("../recovery/membership.zig");
const recovery = @import("../recovery/recovery.zig");
const references = @import("references.zig");
const testing = std.testing;
const TestingPool = @import("../testing_pool.zig").TestingPool;

/// Takes a slot off the list by hand: its handle, held by that participant.
fn hold(participant: *const Participant) Handle {
    const view = &participant.view;
    const there = free_list.top(view, free_list.headOf(view.header)).?;
    _ = free_list.take(view.header, there);
    const control = Control.load(&there.slot.control, .monotonic).held(.used, 7);
    Control.store(&there.slot.control, control, .monotonic);
    participant.addHold(there.index);
    return @bitCast(control.handle(there.index));
}

fn isListed(view: *const View) bool {
    return !free_list.isEmpty(view);
}

test "what is released last into a cache is taken out of it first, and no more than it has room for" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 3, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var participant = pool.participant(0);
    enable(&participant, 2);
    const handles = [_]Handle{ hold(&participant), hold(&participant), hold(&participant) };
    try testing.expect(put(&participant, handles[0]));
    try testing.expect(put(&participant, handles[2]));
    try testing.expect(!put(&participant, handles[1]));
    // Given back already.
    try testing.expect(!put(&participant, handles[0]));
    try testing.expect(!isListed(&pool.view));
    try testing.expect(hasAny(&pool.view));
    for ([_]u32{ 2, 0 }) |index| {
        const there = top(&participant).?;
        try testing.expectEqual(index, there.index);
        try testing.expect(pool.view.isCached(index, there.from));
        try testing.expect(take(&participant, there));
        try testing.expect(!take(&participant, there));
    }
    try testing.expectEqual(null, top(&participant));
    try testing.expect(!hasAny(&pool.view));
}

test "another participant moves all that is in a cache to the list, and its entries lead nowhere" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var owner = pool.participant(0);
    const other = pool.participant(1);
    enable(&owner, 2);
    const handles = [_]Handle{ hold(&owner), hold(&owner) };
    for (handles) |handle| try testing.expect(put(&owner, handle));
    const empty = free_list.headOf(pool.view.header);
    var search: Search = .{};
    try testing.expectEqual(Search.Outcome.again, search.run(&other, empty));
    const head = free_list.headOf(pool.view.header);
    try testing.expectEqual(@as(u24, 1), head.index);
    try testing.expectEqual(@as(u32, 0), pool.view.slots[1].next_free);
    for (0..2) |_| {
        try testing.expectEqual(null, top(&owner));
        dropStale(&owner);
    }
    try testing.expectEqual(@as(u16, 0), Cache.load(&owner.row.cache, .monotonic).count);
    // The list is not as the caller found it.
    try testing.expectEqual(Search.Outcome.again, search.run(&other, empty));
    try testing.expectEqual(Search.Outcome.nothing, search.run(&other, head));
}

test "what a frozen pool keeps in a cache is left there, and a slot is pushed that was taken too late" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var owner = pool.participant(0);
    enable(&owner, 2);
    const handles = [_]Handle{ hold(&owner), hold(&owner) };
    for (handles) |handle| try testing.expect(put(&owner, handle));
    const slot = &pool.view.slots[1];
    slot.control |= 1 << 63;
    try testing.expectEqual(null, top(&owner));
    dropStale(&owner);
    try testing.expectEqual(@as(u16, 2), Cache.load(&owner.row.cache, .monotonic).count);
    var search: Search = .{};
    _ = search.run(&owner, free_list.headOf(pool.view.header));
    try testing.expectEqual(
        Search.Outcome.frozen,
        search.run(&owner, free_list.headOf(pool.view.header)),
    );
    slot.control &= ~@as(u64, 1 << 63);
    var head = free_list.headOf(pool.view.header);
    head.frozen = true;
    pool.view.header.hot.free_head = @bitCast(head);
    try testing.expect(!take(&owner, top(&owner).?));
    try testing.expectEqual(@as(u24, 1), free_list.headOf(pool.view.header).index);
}

test "a release into a cache serves those who wait" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var owner = pool.participant(0);
    enable(&owner, 1);
    const handle = hold(&owner);
    pool.view.header.hot.waiters = 1;
    const before = pool.view.header.hot.wake_seq;
    try testing.expect(put(&owner, handle));
    try testing.expect(isListed(&pool.view));
    try testing.expect(pool.view.header.hot.wake_seq != before);
}

test "a row whose cache a frozen pool kept is left to the next recovery" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 3 });
    defer pool.deinit();
    const view = &pool.view;
    var participant = pool.participant(0);
    enable(&participant, 1);
    try testing.expect(put(&participant, hold(&participant)));
    // A recoverer that stands still: it has the mutex.
    _ = view.header.repair.mutex.tryLock();
    view.slots[0].control |= 1 << 63;
    close(&participant);
    references.settle(&participant);
    membership.prepareToLeave(&participant);
    participant.row.mutex.unlock();
    try testing.expect(participant_file.isDead(participant.row));
    view.slots[0].control &= ~@as(u64, 1 << 63);
    view.header.repair.mutex.unlock();
    _ = recovery.run(view, .{});
    const control = Control.load(&view.slots[0].control, .monotonic);
    try testing.expectEqual(null, control.cachingRow());
    try testing.expect(isListed(view));
}
