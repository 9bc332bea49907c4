//! A participant as its own thread sees it: where the pool's sections lie in this process, its row,
//! its holds, and the bracket that every operation stands in. What other participants may do to a
//! row when its owner is dead is in `recovery.zig`.

const std = @import("std");
const atomic = @import("hooks");
const geometry_file = @import("../format/geometry.zig");
const layout = @import("../format/layout.zig");
const place_file = @import("place.zig");
const words = @import("../format/words.zig");

/// The smallest page: the bytes of the largest buffer do not fit 32 bits, its pages do.
const populated_unit = if (atomic.modelled) 8 else 4096;

/// A process's view of a pool: pointers and checked numbers, so that nothing that is read from
/// shared memory later is ever used as an offset or a bound.
pub const View = struct {
    base: [*]align(4096) u8,
    geometry: geometry_file.Geometry,
    header: *layout.Header,
    rows: [*]layout.ParticipantRow,
    slots: [*]layout.Slot,
    lease_timeout_ns: u64,
    max_committed: u64,
    zero_on_release: bool,
    fd: c_int,
    /// Per slot, how much this process has mapped already, in units of 4 KiB: process-local.
    populated: [*]u32,

    pub fn init(
        base: [*]align(4096) u8,
        geometry: geometry_file.Geometry,
        identity: layout.Identity,
        fd: c_int,
        populated: [*]u32,
    ) View {
        const data_bytes = @as(u64, geometry.capacity) * geometry.stride;
        return .{
            .base = base,
            .geometry = geometry,
            .header = @ptrCast(@alignCast(base)),
            .rows = @ptrCast(@alignCast(base + geometry.participants_offset)),
            .slots = @ptrCast(@alignCast(base + geometry.slots_offset)),
            .lease_timeout_ns = @as(u64, identity.lease_timeout_ms) * std.time.ns_per_ms,
            .max_committed = switch (identity.max_committed) {
                0 => data_bytes,
                else => |bound| bound,
            },
            .zero_on_release = identity.zero_on_release != 0,
            .fd = fd,
            .populated = populated,
        };
    }

    pub fn holdRow(view: *const View, participant: u32) [*]u16 {
        return @ptrCast(@alignCast(view.base + view.geometry.holdRowOffset(participant)));
    }

    /// Where the entries of a row's cache lie: indexes of slots, and what is left of earlier ones.
    pub fn cacheRow(view: *const View, row: u32) *[layout.cached_slots_max]u32 {
        return @ptrCast(@alignCast(view.base + view.geometry.cacheOffset(row)));
    }

    /// The entries that may lead to a slot, where `cache` was read of the row.
    pub fn cacheEntries(view: *const View, row: u32, cache: words.Cache) []const u32 {
        if (cache.count == 0 or cache.count > layout.cached_slots_max) return &.{};
        // SYNC: the hold row, in which they lie, is committed. Pairs with `membership.takeRow`.
        if (atomic.load(u32, &view.rows[row].joined, .acquire) == 0) return &.{};
        return view.cacheRow(row)[0..cache.count];
    }

    /// Whether a slot is in the cache of a row whose entries lead to it.
    pub fn isCached(view: *const View, index: u32, control: words.Control) bool {
        const row = control.cachingRow() orelse return false;
        if (row >= view.rowsUsed()) return false;
        const cache = words.Cache.load(&view.rows[row].cache, .acquire);
        for (view.cacheEntries(row, cache)) |*entry| {
            if (atomic.load(u32, entry, .monotonic) == index) return true;
        }
        return false;
    }

    pub fn data(view: *const View, index: u32, size: u32) []u8 {
        return (view.base + view.geometry.dataOffset(index))[0..size];
    }

    /// How much of a slot this process has mapped: a hint. Atomic, since two threads of the process
    /// may hold the slot, and both find it unmapped.
    pub inline fn populatedBytes(view: *const View, index: u32) u64 {
        return @as(u64, @atomicLoad(u32, &view.populated[index], .monotonic)) * populated_unit;
    }

    /// `bytes` are whole pages, of which a slot has at most 2^32 bytes.
    pub inline fn setPopulated(view: *const View, index: u32, bytes: u64) void {
        const units: u32 = @intCast(bytes / populated_unit);
        @atomicStore(u32, &view.populated[index], units, .monotonic);
    }

    /// How many rows may ever have been joined. A value out of bounds is damage, and means all.
    pub fn rowsUsed(view: *const View) u32 {
        // SYNC: pairs with `membership.takeRow`, which initialises a row before it counts it.
        const used = atomic.load(u32, &view.header.hot.rows_used, .acquire);
        return @min(used, view.geometry.participant_count);
    }
};

/// Attention: reasons to leave the fast path before an operation begins.
pub const attention_closed: u32 = 1;
pub const attention_owed: u32 = 2;
/// The thread has a cache of free slots, which acquire and release ask first. For other operations
/// it is no reason.
pub const attention_cache: u32 = 4;
pub const attention_always: u32 = attention_closed | attention_owed;

/// A thread's way round the slots, a part at a time, in search of memory to give back.
pub const Trimming = struct {
    /// The last slot that was looked at; the next is the one below.
    cursor: u32 = 0,
    /// Slots looked at in this round.
    looked: u32 = 0,
    /// Whether this round gave anything back.
    found: bool = false,
    /// `memory_work.memoryKey` when a round that gave nothing back began: while it is the same,
    /// nothing can have changed since. 0: there was none.
    key: u64 = 0,
    barren_key: u64 = 0,
};

/// A thread's check of the pool's sum of committed bytes, a part at a time.
pub const Audit = struct {
    cursor: u32 = 0,
    sum: u64 = 0,
    key: u64 = 0,
    /// `memory_work.memoryKey` at which the sum was right.
    clean_key: u64 = 0,
};

/// What changes in a participant besides its row. It belongs to the thread, and all its opens share
/// it.
pub const Local = struct {
    attention: u32 = 0,
    /// The pool as a place to wait; the thread's other places follow it.
    at_pool: place_file.Local,
    /// Holds that could not be given back because the pool stood still for too long, per slot.
    owed: [*]u16,
    owed_count: u32 = 0,
    /// The bytes that the slot which this thread is about to commit had before: to be restored on
    /// failure.
    committed_before: u64 = 0,
    /// When a wait of this thread's event loop was served last.
    served_ns: u64 = 0,
    /// Where this thread's trimming for acquires that lack memory goes on.
    trimming: Trimming = .{},
    audit: Audit = .{},
    /// How many free slots the thread keeps in its cache; 0: it has none.
    cache_max: u32 = 0,
};

/// The pointers to everything that a participant works on. They never change, so each open has a
/// copy, from which the fast path reads them at once.
pub const Participant = struct {
    view: View,
    index: u32,
    row: *layout.ParticipantRow,
    holds: [*]u16,
    /// The entries of the row's cache.
    cache: *[layout.cached_slots_max]u32,
    local: *Local,

    /// Between `enter` and `leave` there is no system call, no wait and no call back into
    /// JavaScript. SYNC: the next CAS on a freezable word releases the store; pairs with the loads
    /// in `phases.waitUntilQuiet`.
    pub inline fn enter(participant: *const Participant) Bracket {
        const row = participant.row;
        const busy = (atomic.load(u64, &row.busy, .monotonic) +% 1) | 1;
        atomic.store(u64, &row.busy, busy, .monotonic);
        return .of(row, busy);
    }

    /// A bracket in which no CAS on a freezable word follows: the store itself is ordered before
    /// the load of the head. SYNC: sequential; pairs with `phases.freezeHead` and
    /// `phases.waitUntilQuiet`.
    pub fn enterSequential(participant: *const Participant) Bracket {
        const row = participant.row;
        const busy = (atomic.load(u64, &row.busy, .monotonic) +% 1) | 1;
        if (atomic.broken(.bracket_not_sequential)) {
            atomic.store(u64, &row.busy, busy, .monotonic);
        } else {
            atomic.store(u64, &row.busy, busy, .seq_cst);
        }
        return .of(row, busy);
    }

    pub inline fn addHold(participant: *const Participant, index: u32) void {
        const held = atomic.load(u16, &participant.holds[index], .monotonic);
        atomic.store(u16, &participant.holds[index], held +| 1, .monotonic);
    }

    /// The row's one hold of a buffer that was in no row before.
    pub inline fn setSoleHold(participant: *const Participant, index: u32) void {
        atomic.store(u16, &participant.holds[index], 1, .monotonic);
    }

    pub inline fn dropSoleHold(participant: *const Participant, index: u32) void {
        atomic.store(u16, &participant.holds[index], 0, .monotonic);
    }

    pub inline fn dropHold(participant: *const Participant, index: u32) void {
        const held = atomic.load(u16, &participant.holds[index], .monotonic);
        atomic.store(u16, &participant.holds[index], held -| 1, .monotonic);
    }

    pub inline fn count(participant: *const Participant, comptime counter: []const u8) void {
        raise(participant.row, counter);
    }
};

/// An operation under way.
pub const Bracket = struct {
    row: *layout.ParticipantRow,
    /// As it is inside: odd. The end of the operation reads it again, so that it takes no register
    /// meanwhile; where a checker models store buffers, that would be a step more.
    busy: if (atomic.modelled) u64 else void,

    inline fn of(row: *layout.ParticipantRow, busy: u64) Bracket {
        return .{ .row = row, .busy = if (atomic.modelled) busy };
    }

    /// SYNC: the release makes the row's change visible to a recovery that reads the even value.
    /// Pairs with `phases.waitUntilQuiet`.
    pub inline fn leave(bracket: Bracket) void {
        const ptr = &bracket.row.busy;
        const busy = if (atomic.modelled) bracket.busy else @atomicLoad(u64, ptr, .monotonic);
        const even = busy +% 1;
        if (atomic.broken(.leave_relaxed)) return atomic.store(u64, ptr, even, .monotonic);
        atomic.store(u64, ptr, even, .release);
    }

    /// The same, and the operation is counted.
    pub inline fn leaveCounted(bracket: Bracket, comptime counter: []const u8) void {
        raise(bracket.row, counter);
        bracket.leave();
    }
};

inline fn raise(row: *layout.ParticipantRow, comptime counter: []const u8) void {
    const ptr = &@field(row.counters, counter);
    @atomicStore(u64, ptr, @atomicLoad(u64, ptr, .monotonic) +% 1, .monotonic);
}

/// A participant's holds of the first `slots` slots.
pub fn sumHolds(view: *const View, participant: u32, slots: u32) u64 {
    return sum(view.holdRow(participant)[0..slots]);
}

/// Those of the slots from `first` on, which is a multiple of 4, and before `last`.
pub fn sumHoldsBetween(view: *const View, participant: u32, first: u32, last: u32) u64 {
    return sum(view.holdRow(participant)[first..last]);
}

/// Reads four counters by one load. Most are 0, and a row of a million is summed in tens of
/// microseconds. A hold row begins with a page, so that each group of four is aligned.
fn sum(holds: []const u16) u64 {
    var total: u64 = 0;
    var index: usize = 0;
    while (index + 4 <= holds.len) : (index += 4) {
        const four: *const u64 = @ptrCast(@alignCast(&holds[index]));
        const lanes: @Vector(4, u16) = @bitCast(@atomicLoad(u64, four, .monotonic));
        if (@reduce(.Or, lanes) == 0) continue;
        total += @reduce(.Add, @as(@Vector(4, u64), lanes));
    }
    for (holds[index..]) |*held| total += @atomicLoad(u16, held, .monotonic);
    return total;
}

/// The kernel marked the row's mutex when its owner died, or its owner gave up by itself.
pub inline fn isDead(row: *const layout.ParticipantRow) bool {
    if (row.mutex.ownerDied()) return true;
    // SYNC: what the owner wrote before it gave up is seen. Pairs with
    // `exit_and_fork.abandonThread`, `names.leaveAtExit`, `membership.prepareToLeave` and
    // `phases.rewrite`.
    return atomic.load(u32, &row.abandoned, .acquire) != 0 and !row.mutex.isLocked();
}

pub inline fn isLive(row: *const layout.ParticipantRow) bool {
    return row.mutex.isLocked() and !row.mutex.ownerDied();
}

/// The room of a participant's name, with the 0 that ends it.
pub const name_room = @sizeOf(layout.NameWords);

pub fn anybodyDead(view: *const View) bool {
    for (view.rows[0..view.rowsUsed()]) |*row| {
        if (isDead(row)) return true;
    }
    return false;
}

test "all holds are summed, also the last ones that are no group of four" {
    var holds: [4099]u16 align(8) = @splat(0);
    holds[0] = 65_535;
    holds[1] = 1;
    holds[4095] = 3;
    holds[4098] = 7;
    try std.testing.expectEqual(@as(u64, 65_546), sum(&holds));
    try std.testing.expectEqual(@as(u64, 65_536), sum(holds[0..2]));
    try std.testing.expectEqual(@as(u64, 0), sum(holds[4..4]));
}

test "the whole of the largest buffer can be noted as mapped" {
    var populated = [_]u32{ 0, 0 };
    var view: View = undefined;
    view.populated = &populated;
    view.setPopulated(1, 1 << 32);
    try std.testing.expectEqual(@as(u64, 1 << 32), view.populatedBytes(1));
    try std.testing.expectEqual(@as(u64, 0), view.populatedBytes(0));
}
