//! The packed words of the shared memory: the free list's head, a slot's control word, a channel's
//! cells, ends and messages, and the handle that users hold. Every shift and mask of the project is
//! in these declarations.

const std = @import("std");
const atomic = @import("hooks");

/// The index that means "no slot". Capacities end below it.
pub const index_nil: u24 = std.math.maxInt(u24);
pub const capacity_max: u32 = (1 << 24) - 2;
pub const references_max: u16 = std.math.maxInt(u16);
pub const generation_max: u29 = std.math.maxInt(u29);

/// The free list's head. The tag grows with every change, so that a pop which slept through a pop
/// and a push of the same slot fails (the ABA problem). It wraps after 2^39 changes.
pub const Head = packed struct(u64) {
    index: u24,
    tag: u39,
    frozen: bool,

    pub inline fn load(ptr: *const u64, comptime order: atomic.Order) Head {
        return @bitCast(atomic.load(u64, ptr, order));
    }

    pub inline fn cas(ptr: *u64, from: Head, to: Head, comptime order: atomic.Order) bool {
        return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), order);
    }

    pub inline fn successor(head: Head, index: u24) Head {
        const tag = if (atomic.broken(.untagged_head)) head.tag else head.tag +% 1;
        return .{ .index = index, .tag = tag, .frozen = head.frozen };
    }

    /// The same of a head that is not frozen, in few steps.
    pub inline fn successorThawed(head: Head, index: u24) Head {
        var thawed = head;
        thawed.frozen = false;
        return thawed.successor(index);
    }
};

pub const State = enum(u2) {
    /// On the free list, or on its way there or from there in a bracket of somebody. Or in the cache
    /// of a row's owner: `in_flight` is that row + 1, and 0 otherwise.
    free = 0,
    /// Has an acquirer's content. At 0 references it is parked.
    used = 1,
    /// One row owns it while its memory is committed or zeroed.
    private = 2,
    /// FREE and on the list, while one row commits its memory or gives it back: not to be popped.
    /// `in_flight` is the row, `references` 1 where the slot was set aside, off the list.
    maintained = 3,
};

/// A slot's control word: the truth about its references. `references` includes `in_flight`.
pub const Control = packed struct(u64) {
    generation: u29,
    in_flight: u16,
    references: u16,
    state: State,
    frozen: bool,

    pub inline fn load(ptr: *const u64, comptime order: atomic.Order) Control {
        return @bitCast(atomic.load(u64, ptr, order));
    }

    pub inline fn store(ptr: *u64, control: Control, comptime order: atomic.Order) void {
        atomic.store(u64, ptr, @bitCast(control), order);
    }

    pub inline fn cas(ptr: *u64, from: Control, to: Control) bool {
        if (atomic.broken(.word_relaxed))
            return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .monotonic);
        return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .acq_rel);
    }

    pub inline fn freed(control: Control) Control {
        return .{
            .generation = control.generation,
            .in_flight = 0,
            .references = 0,
            .state = .free,
            .frozen = control.frozen,
        };
    }

    /// For a change that a load of another word follows, which must not come first.
    pub inline fn casSequential(ptr: *u64, from: Control, to: Control) bool {
        return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .seq_cst);
    }

    /// FREE, in the cache of the owner of `row` instead of on the list.
    pub inline fn cachedBy(control: Control, row: u32) Control {
        var cached = control.freed();
        cached.in_flight = @intCast(row + 1);
        return cached;
    }

    /// Whether an owner of `row` that put it into its cache can take it from there. A frozen word
    /// is not.
    pub inline fn isCachedBy(control: Control, row: u32) bool {
        var cached = control.cachedBy(row);
        cached.frozen = false;
        return @as(u64, @bitCast(control)) == @as(u64, @bitCast(cached));
    }

    /// The same, and its generation is not the last one before they begin again: one comparison.
    pub inline fn isPlainlyCachedBy(control: Control, row: u32) bool {
        const cached: u64 = @bitCast(freeOf(0).cachedBy(row));
        return @as(u64, @bitCast(control)) ^ cached < generation_max;
    }

    /// FREE, and in no cache.
    pub inline fn freeOf(generation: u29) Control {
        return @bitCast(@as(u64, generation));
    }

    /// The row in whose cache a FREE slot is; null: in none.
    pub fn cachingRow(control: Control) ?u32 {
        if (control.state != .free or control.in_flight == 0) return null;
        return control.in_flight - 1;
    }

    /// FREE, in nobody's cache and not frozen, and its generation is not the last one before they
    /// begin again: one comparison.
    pub inline fn isPlainlyFree(control: Control) bool {
        var looked_at = control;
        if (atomic.broken(.frozen_word_taken)) looked_at.frozen = false;
        return @as(u64, @bitCast(looked_at)) < generation_max;
    }

    /// One reference, and it is a hold.
    pub inline fn held(control: Control, state: State, generation: u29) Control {
        return .{
            .generation = generation,
            .in_flight = 0,
            .references = 1,
            .state = state,
            .frozen = control.frozen,
        };
    }

    /// A FREE word while `row` works on the slot's memory.
    pub inline fn maintainedBy(control: Control, row: u32) Control {
        var maintained = control.freed();
        maintained.state = .maintained;
        maintained.in_flight = @intCast(row);
        return maintained;
    }

    pub inline fn isMaintainedBy(control: Control, row: u32) bool {
        return control.state == .maintained and control.in_flight == row;
    }

    /// USED, by the one hold that the handle stands for.
    pub inline fn soleHold(generation: u29) Control {
        return .{
            .generation = generation,
            .in_flight = 0,
            .references = 1,
            .state = .used,
            .frozen = false,
        };
    }

    /// Taken off the list by an acquire that could not wait: its maintainer pushes it.
    pub inline fn setAside(control: Control) Control {
        var aside = control;
        aside.references = 1;
        return aside;
    }

    pub inline fn isSetAside(control: Control) bool {
        return control.references != 0;
    }

    /// Whether the buffer lives by its lease: somebody has handed it over, or counted it to 0 by
    /// hand.
    pub fn isOnLease(control: Control) bool {
        return control.state == .used and (control.in_flight > 0 or control.references == 0);
    }

    /// USED, with references, and of a generation that names it.
    pub inline fn isPlainlyHeld(control: Control) bool {
        return control.state == .used and control.generation != 0 and control.references != 0;
    }

    /// The handle that names this generation of the slot at `index`.
    pub inline fn handle(control: Control, index: u32) u64 {
        return @bitCast(Handle{ .index = @intCast(index), .generation = control.generation });
    }
};

/// How full a participant's cache is. Only the row's owner writes it.
pub const Cache = packed struct(u64) {
    /// Entries of the row's `caches` that may name a slot in the cache.
    count: u16,
    /// Grows before each slot that comes into the cache: while it is the same, none did.
    puts: u48,

    pub const empty: Cache = @bitCast(@as(u64, 0));

    pub inline fn load(ptr: *const u64, comptime order: atomic.Order) Cache {
        return @bitCast(atomic.load(u64, ptr, order));
    }

    pub inline fn store(ptr: *u64, cache: Cache, comptime order: atomic.Order) void {
        atomic.store(u64, ptr, @bitCast(cache), order);
    }

    /// Its count is below the most there may be.
    pub inline fn withOneMore(cache: Cache) Cache {
        const one_more: Cache = .{ .count = 1, .puts = 1 };
        return @bitCast(@as(u64, @bitCast(cache)) +% @as(u64, @bitCast(one_more)));
    }

    /// Its count is above 0.
    pub inline fn withOneLess(cache: Cache) Cache {
        return @bitCast(@as(u64, @bitCast(cache)) - 1);
    }
};

/// What an acquire says of a buffer's content: it writes the whole word. Later, holders set and
/// clear the bits of `described` and make the size smaller, and a release that zeroes clears
/// `dirty`.
pub const Content = packed struct(u64) {
    /// Bytes that were asked for, or what a truncation left of them.
    size: u32,
    /// The fields of the description that were set since; all others have their defaults.
    described: Described = .{},
    /// Whether a user may have written since the content was last zeroed (pools that zero only).
    dirty: bool,
    /// Whether the size was made smaller: what was asked for then stands in `Slot.truncated_from`.
    truncated: bool = false,
    unused: u22 = 0,

    pub inline fn load(ptr: *const u64) Content {
        return @bitCast(atomic.load(u64, ptr, .monotonic));
    }

    pub inline fn store(ptr: *u64, content: Content) void {
        atomic.store(u64, ptr, @bitCast(content), .monotonic);
    }

    pub inline fn cas(ptr: *u64, from: Content, to: Content) bool {
        return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .acq_rel);
    }

    /// Bytes that an acquirer may have written, whatever a truncation left of them.
    pub fn acquiredSize(content: Content, truncated_from: *const u32) u32 {
        if (!content.truncated or atomic.broken(.truncated_tail_kept)) return content.size;
        return @max(content.size, atomic.load(u32, truncated_from, .monotonic));
    }

    /// Only for a slot that nobody else changes: it is PRIVATE, or the pool stands still.
    pub fn storeClean(ptr: *u64) void {
        var content = load(ptr);
        content.dirty = false;
        store(ptr, content);
    }
};

pub const Described = packed struct(u8) {
    dtype: bool = false,
    timestamp: bool = false,
    sequence: bool = false,
    shape: bool = false,
    strides: bool = false,
    content_type: bool = false,
    producer: bool = false,
    letter: bool = false,
};

/// An acquire looks at it before its bracket. It is 0 in ordinary times, so that it costs one
/// comparison with 0.
pub const Gate = packed struct(u64) {
    /// 0, or the row + 1 of a participant that flushes.
    flusher: u13,
    /// 0, or the row + 1 of the waiter that goes first.
    claimant: u13,
    /// It waits for memory, which others may take with any buffer.
    claims_memory: bool,
    /// When the claim ends by itself, in milliseconds of the monotonic clock. It wraps after 4
    /// years.
    claim_end_ms: u37,

    pub const open: Gate = @bitCast(@as(u64, 0));

    pub inline fn load(ptr: *const u64, comptime order: atomic.Order) Gate {
        return @bitCast(atomic.load(u64, ptr, order));
    }

    pub inline fn cas(ptr: *u64, from: Gate, to: Gate) bool {
        return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .seq_cst);
    }

    pub fn withFlusher(gate: Gate, flusher: u13) Gate {
        var changed = gate;
        changed.flusher = flusher;
        return changed;
    }

    pub fn withoutClaim(gate: Gate) Gate {
        return open.withFlusher(gate.flusher);
    }
};

/// Generation 0 is never issued, so that a handle is never mistaken for a bare index.
pub inline fn generationAfter(generation: u29) u29 {
    if (atomic.broken(.generation_kept)) return generation;
    return if (generation == generation_max) 1 else generation + 1;
}

/// The same where it is not the last one, as of a word that `isPlainlyFree`.
pub inline fn generationAfterPlain(generation: u29) u29 {
    return if (atomic.broken(.generation_kept)) generation else generation + 1;
}

/// How many times `generationAfter` leads from one to the other.
pub fn generationsBetween(from: u29, to: u29) u32 {
    return if (to >= from) to - from else generation_max - (from - to);
}

/// The lease of a buffer. As a number it is the time at which it is over, in nanoseconds of the
/// monotonic clock, to within 8 microseconds: the lowest bits say who made the last reference.
pub const Lease = packed struct(u64) {
    /// 0, or the row + 1 of the participant that raised it last.
    by: u13,
    until: u51,

    const unit_ns = 1 << 13;

    /// That of a buffer which nobody has handed over since its acquire.
    pub const none: Lease = @bitCast(@as(u64, 0));

    pub inline fn load(ptr: *const u64, comptime order: atomic.Order) Lease {
        return @bitCast(atomic.load(u64, ptr, order));
    }

    pub inline fn cas(ptr: *u64, from: Lease, to: Lease) bool {
        return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .seq_cst);
    }

    pub inline fn endingAt(end_ns: u64, row: u32) Lease {
        // Whose it is changes nothing that a model of the protocol looks for.
        const by: u13 = if (atomic.modelled) 0 else @intCast(row + 1);
        return .{ .by = by, .until = @intCast(end_ns / unit_ns) };
    }

    pub inline fn endless(row: u32) Lease {
        return endingAt(std.math.maxInt(u64), row);
    }

    pub fn isEndless(lease: Lease) bool {
        return lease.until == std.math.maxInt(u51);
    }

    /// Whether `other` says something newer: a later end, or the same one for somebody else.
    pub inline fn isBehind(lease: Lease, other: Lease) bool {
        return lease.until < other.until or (lease.until == other.until and lease.by != other.by);
    }

    pub inline fn isOver(lease: Lease, now_ns: u64) bool {
        return @as(u64, @bitCast(lease)) <= now_ns;
    }

    pub fn endNs(lease: Lease) u64 {
        return @as(u64, lease.until) * unit_ns;
    }

    /// The row of whoever made the last reference; null where nobody has.
    pub fn byRow(lease: Lease) ?u32 {
        return if (lease.by == 0) null else lease.by - 1;
    }
};

/// A user's name for a buffer: below 2^53, so that a JavaScript number holds it exactly.
pub const Handle = packed struct(u64) {
    index: u24,
    generation: u29,
    zero: u11 = 0,

    /// A bare index is a handle without a generation.
    pub inline fn isBare(handle: Handle) bool {
        return handle.generation == 0;
    }
};

pub const ChannelState = enum(u32) { free = 0, live = 1 };

/// Each item to one receiver, or to every subscriber.
pub const ChannelMode = enum(u32) { queue = 0, broadcast = 1 };

/// What a buffer is to the one who asked. `refusal`: the request itself, which comes back without a
/// reply.
pub const Letter = enum(u32) { none = 0, request = 1, reply = 2, refusal = 3 };

/// What a send does that finds the channel full.
pub const ChannelOverflow = enum(u32) { block = 0, drop_newest = 1, drop_oldest = 2 };

/// Which item an end or a cursor of a channel means: the place of its cell, and how often the ring
/// was gone round before. As a number it is ordered, and the lap wraps.
pub const Position = packed struct(u64) {
    place: u24,
    lap: u40,

    pub inline fn load(ptr: *const u64, comptime order: atomic.Order) Position {
        return @bitCast(atomic.load(u64, ptr, order));
    }

    pub inline fn store(ptr: *u64, position: Position, comptime order: atomic.Order) void {
        atomic.store(u64, ptr, @bitCast(position), order);
    }

    pub inline fn cas(ptr: *u64, from: Position, to: Position) bool {
        return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .seq_cst);
    }

    pub inline fn next(position: Position, capacity: u32) Position {
        if (@as(u32, position.place) + 1 < capacity)
            return .{ .place = position.place + 1, .lap = position.lap };
        return .{ .place = 0, .lap = position.lap +% 1 };
    }

    /// `steps` is at most the capacity.
    pub fn back(position: Position, steps: u32, capacity: u32) Position {
        if (position.place >= steps)
            return .{ .place = @intCast(position.place - steps), .lap = position.lap };
        const place = @as(u32, position.place) + capacity - steps;
        return .{ .place = @intCast(place), .lap = position.lap -% 1 };
    }

    /// Of two that are less than 2^39 laps apart.
    pub inline fn isBefore(position: Position, other: Position) bool {
        const difference = @as(u64, @bitCast(position)) -% @as(u64, @bitCast(other));
        return @as(i64, @bitCast(difference)) < 0;
    }

    /// How many items there are from here on before `other`, which is no earlier.
    pub fn countTo(position: Position, other: Position, capacity: u32) u64 {
        const laps: u64 = other.lap -% position.lap;
        return laps *% capacity +% other.place -% position.place;
    }

    /// How many came before it since the channel was made, or since the lap wrapped.
    pub fn ordinal(position: Position, capacity: u32) u64 {
        return countTo(.{ .place = 0, .lap = 0 }, position, capacity);
    }

    /// As much of the lap as a cell has.
    pub inline fn cellLap(position: Position) u37 {
        return @truncate(position.lap);
    }
};

/// A place of a channel's ring. Empty, it waits for the item of its lap; full, it holds it.
pub const Cell = packed struct(u64) {
    /// 0 in an empty cell.
    index: u24,
    lap: u37,
    full: bool,
    /// No item comes here any more, nor after it: on the place where the next one would go.
    closed: bool,
    frozen: bool,

    pub inline fn load(ptr: *const u64, comptime order: atomic.Order) Cell {
        return @bitCast(atomic.load(u64, ptr, order));
    }

    pub inline fn store(ptr: *u64, cell: Cell, comptime order: atomic.Order) void {
        atomic.store(u64, ptr, @bitCast(cell), order);
    }

    pub inline fn cas(ptr: *u64, from: Cell, to: Cell) bool {
        if (atomic.broken(.cell_relaxed))
            return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .monotonic);
        return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .seq_cst);
    }

    /// Empty, and nothing about it is uncommon: one comparison.
    pub inline fn isPlainlyEmptyAt(cell: Cell, position: Position) bool {
        return cell == Cell{
            .index = 0,
            .lap = position.cellLap(),
            .full = false,
            .closed = false,
            .frozen = false,
        };
    }

    /// Full, and nothing about it is uncommon.
    pub inline fn isPlainlyFullAt(cell: Cell, position: Position) bool {
        return cell == Cell{
            .index = cell.index,
            .lap = position.cellLap(),
            .full = true,
            .closed = false,
            .frozen = false,
        };
    }

    pub inline fn filledWith(cell: Cell, index: u32) Cell {
        var filled = cell;
        filled.index = @intCast(index);
        filled.full = true;
        return filled;
    }

    pub inline fn emptied(cell: Cell) Cell {
        var empty = cell;
        empty.index = 0;
        empty.lap +%= 1;
        empty.full = false;
        return empty;
    }

    pub fn asClosed(cell: Cell) Cell {
        var closed = cell;
        closed.closed = true;
        return closed;
    }

    pub fn withFrozen(cell: Cell, frozen: bool) Cell {
        var changed = cell;
        changed.frozen = frozen;
        return changed;
    }

    /// By how many laps it is ahead of a position's.
    pub inline fn lapsAhead(cell: Cell, position: Position) i37 {
        return @bitCast(cell.lap -% position.cellLap());
    }
};

/// The number of row + 1 that means: nobody, recovery put the message on a returned list.
const owner_returned: u13 = std.math.maxInt(u13);
pub const deliveries_max: u11 = std.math.maxInt(u11);

/// Whose message a buffer is, of channels that redeliver. 0: it is an ordinary buffer. Where it was
/// sent and the owner are one word, since a send changes both at once.
pub const Message = packed struct(u64) {
    /// The position to which it was sent, as far as it is needed to find the cell again.
    place: u16,
    lap: u13,
    /// 0, or the number + 1 of the channel that it was sent to, and was not received from since.
    to: u11,
    /// The row + 1 of the participant that sent or received it last.
    owner: u13,
    /// How often it was received from the channel that it came from. 0: it came from none.
    deliveries: u11,

    pub const none: Message = @bitCast(@as(u64, 0));

    pub inline fn load(ptr: *const u64) Message {
        return @bitCast(atomic.load(u64, ptr, .monotonic));
    }

    pub inline fn store(ptr: *u64, message: Message) void {
        atomic.store(u64, ptr, @bitCast(message), .monotonic);
    }

    pub inline fn cas(ptr: *u64, from: Message, to: Message) bool {
        return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .acq_rel);
    }

    pub fn isNone(message: Message) bool {
        return message == none;
    }

    /// On its way to a channel, by whoever has it.
    pub fn sentTo(message: Message, channel: u32, position: Position, row: u32) Message {
        return .{
            .place = @truncate(position.place),
            .lap = @truncate(position.lap),
            .to = @intCast(channel + 1),
            .owner = @intCast(row + 1),
            .deliveries = message.deliveries,
        };
    }

    pub fn receivedBy(row: u32, deliveries: u11) Message {
        return .{
            .place = 0,
            .lap = 0,
            .to = 0,
            .owner = @intCast(row + 1),
            .deliveries = deliveries,
        };
    }

    /// On the returned list of a channel.
    pub fn returnedTo(channel: u32, deliveries: u11) Message {
        return .{
            .place = 0,
            .lap = 0,
            .to = @intCast(channel + 1),
            .owner = owner_returned,
            .deliveries = deliveries,
        };
    }

    pub fn isReturned(message: Message) bool {
        return message.owner == owner_returned;
    }

    /// Whether the row's owner received it, and has neither released it nor sent it on.
    pub fn isHeldBy(message: Message, row: u32) bool {
        return message.owner == row + 1 and message.to == 0 and message.deliveries > 0;
    }

    /// The row of its owner; null where it has none.
    pub fn ownerRow(message: Message) ?u32 {
        if (message.owner == 0 or message.owner == owner_returned) return null;
        return message.owner - 1;
    }

    /// The number of the channel that it was sent to; null where there is none.
    pub fn channelTo(message: Message) ?u32 {
        return if (message.to == 0) null else message.to - 1;
    }

    /// After one more delivery.
    pub fn deliveredOnceMore(message: Message) u11 {
        return message.deliveries +| 1;
    }
};

/// The place in a channel that a message was received from, and recovery's count.
pub const CameFrom = packed struct(u64) {
    place: u16,
    lap: u21,
    /// 0, or the channel's number + 1. It counts where the message word says that the message was
    /// received.
    channel: u11,
    /// How many cells and lists of channels hold the buffer: recovery's own, while everything
    /// stands still. Whoever receives the buffer later may overwrite it.
    queued: u16,

    pub inline fn load(ptr: *const u64) CameFrom {
        return @bitCast(atomic.load(u64, ptr, .monotonic));
    }

    pub inline fn store(ptr: *u64, came_from: CameFrom) void {
        atomic.store(u64, ptr, @bitCast(came_from), .monotonic);
    }

    pub fn of(channel: u32, position: Position) CameFrom {
        return .{
            .place = @truncate(position.place),
            .lap = @truncate(position.lap),
            .channel = @intCast(channel + 1),
            .queued = 0,
        };
    }

    /// The number of the channel; null where there is none.
    pub fn channelOf(came_from: CameFrom) ?u32 {
        return if (came_from.channel == 0) null else came_from.channel - 1;
    }

    pub fn withChannel(came_from: CameFrom, channel: ?u32) CameFrom {
        var changed = came_from;
        changed.channel = if (channel) |number| @intCast(number + 1) else 0;
        return changed;
    }

    pub fn withQueued(came_from: CameFrom, queued: u16) CameFrom {
        var changed = came_from;
        changed.queued = queued;
        return changed;
    }

    /// Of two of one channel that are less than 2^20 laps apart.
    pub fn isBefore(came_from: CameFrom, other: CameFrom) bool {
        const difference = came_from.order() -% other.order();
        return @as(i37, @bitCast(difference)) < 0;
    }

    fn order(came_from: CameFrom) u37 {
        return @as(u37, came_from.lap) << 16 | came_from.place;
    }
};

/// In a participant's row: the message that its owner is about to receive, as the cell says. 0:
/// none.
pub const Taking = packed struct(u64) {
    place: u16,
    lap: u13,
    /// The channel's number + 1.
    channel: u11,
    slot: u24,

    pub const nothing: Taking = @bitCast(@as(u64, 0));

    pub inline fn load(ptr: *const u64) Taking {
        return @bitCast(atomic.load(u64, ptr, .monotonic));
    }

    pub inline fn store(ptr: *u64, taking: Taking) void {
        atomic.store(u64, ptr, @bitCast(taking), .monotonic);
    }

    pub inline fn of(channel: u32, position: Position, slot: u32) Taking {
        return .{
            .place = @truncate(position.place),
            .lap = @truncate(position.lap),
            .channel = @intCast(channel + 1),
            .slot = @intCast(slot),
        };
    }

    /// Of a message that was sent, in that slot.
    pub fn isOf(taking: Taking, message: Message, slot: u32) bool {
        return taking == Taking{
            .place = message.place,
            .lap = message.lap,
            .channel = message.to,
            .slot = if (atomic.broken(.taking_without_slot)) taking.slot else @intCast(slot),
        };
    }
};

/// The head of a channel's returned list. Its tag grows with each freeze: what a receiver read
/// before a recovery that did not see its bracket is not popped after it.
pub const Returned = packed struct(u64) {
    index: u24,
    tag: u39 = 0,
    frozen: bool = false,

    pub const empty: Returned = .{ .index = index_nil };

    pub inline fn load(ptr: *const u64, comptime order: atomic.Order) Returned {
        return @bitCast(atomic.load(u64, ptr, order));
    }

    pub inline fn store(ptr: *u64, returned: Returned, comptime order: atomic.Order) void {
        atomic.store(u64, ptr, @bitCast(returned), order);
    }

    pub inline fn cas(ptr: *u64, from: Returned, to: Returned) bool {
        return atomic.cas(u64, ptr, @bitCast(from), @bitCast(to), .acq_rel);
    }

    pub fn isEmpty(returned: Returned) bool {
        return returned.index == index_nil;
    }

    pub fn leadingTo(returned: Returned, index: u32) Returned {
        var changed = returned;
        changed.index = @truncate(index);
        return changed;
    }

    pub fn asFrozen(returned: Returned) Returned {
        var frozen = returned;
        frozen.frozen = true;
        if (!atomic.broken(.returned_untagged)) frozen.tag +%= 1;
        return frozen;
    }

    pub fn asThawed(returned: Returned) Returned {
        var thawed = returned;
        thawed.frozen = false;
        return thawed;
    }
};

test "the fields of each word do not overlap" {
    inline for (.{
        Head,   Control, Content,  Gate,   Position, Cell,
        Handle, Message, CameFrom, Taking, Returned,
    }) |Word| {
        var seen: u64 = 0;
        inline for (std.meta.fields(Word)) |field| {
            const width = @bitSizeOf(field.type);
            const ones: u64 = ((1 << width) - 1) << @bitOffsetOf(Word, field.name);
            try std.testing.expectEqual(@as(u64, 0), seen & ones);
            seen |= ones;
        }
        try std.testing.expectEqual(@as(u64, std.math.maxInt(u64)), seen);
    }
}

test "what was acquired is known whatever a truncation left of it, and is never less" {
    var content: Content = .{ .size = 10, .dirty = true };
    for ([_]u32{ 0, 5, 10, 4000 }) |from| {
        content.truncated = false;
        try std.testing.expectEqual(@as(u32, 10), content.acquiredSize(&from));
        content.truncated = true;
        try std.testing.expectEqual(@max(from, 10), content.acquiredSize(&from));
    }
}

test "a buffer lives by its lease while something is in flight, or nothing is left" {
    const held: Control = .{
        .generation = 7,
        .in_flight = 0,
        .references = 1,
        .state = .used,
        .frozen = false,
    };
    var shared = held;
    shared.references = 2;
    shared.in_flight = 1;
    var parked = held;
    parked.references = 0;
    try std.testing.expect(!held.isOnLease());
    try std.testing.expect(shared.isOnLease());
    try std.testing.expect(parked.isOnLease());
    try std.testing.expect(!held.freed().isOnLease());
}

test "generations wrap to 1, tags to 0" {
    try std.testing.expectEqual(@as(u29, 1), generationAfter(generation_max));
    try std.testing.expectEqual(@as(u29, 6), generationAfter(5));
    try std.testing.expectEqual(@as(u32, 1), generationsBetween(generation_max, 1));
    const most: u32 = generation_max - 1;
    try std.testing.expectEqual(most, generationsBetween(1, generation_max));
    try std.testing.expectEqual(@as(u32, 0), generationsBetween(7, 7));
    const last: Head = .{ .index = 3, .tag = std.math.maxInt(u39), .frozen = true };
    const next = last.successor(7);
    try std.testing.expectEqual(@as(u39, 0), next.tag);
    try std.testing.expect(next.frozen and next.index == 7);
}

test "a handle is generation times 2^24 plus index" {
    const control: Control = .{
        .generation = 256,
        .in_flight = 0,
        .references = 1,
        .state = .used,
        .frozen = false,
    };
    try std.testing.expectEqual(@as(u64, 1 << 32), control.handle(0));
    const handle: Handle = @bitCast(@as(u64, (1 << 32) + 5));
    try std.testing.expect(handle.index == 5 and handle.generation == 256 and !handle.isBare());
    try std.testing.expect((1 << 24) * @as(u64, generation_max) + (1 << 24) - 1 < (1 << 53));
}

test "a message word says who has a message, and where it is" {
    const position: Position = .{ .place = 65_535, .lap = std.math.maxInt(u40) };
    const sent = Message.none.sentTo(1023, position, 4095);
    try std.testing.expectEqual(@as(?u32, 1023), sent.channelTo());
    try std.testing.expectEqual(@as(?u32, 4095), sent.ownerRow());
    try std.testing.expect(!sent.isHeldBy(4095) and !sent.isReturned() and !sent.isNone());
    const taking: Taking = .of(1023, position, capacity_max - 1);
    try std.testing.expect(taking.isOf(sent, capacity_max - 1));
    try std.testing.expect(!taking.isOf(sent, 0));
    const other_lap: Position = .{ .place = 65_535, .lap = 0 };
    const of_other_lap: Taking = .of(1023, other_lap, capacity_max - 1);
    try std.testing.expect(!of_other_lap.isOf(sent, capacity_max - 1));
    const received: Message = .receivedBy(4095, 1);
    try std.testing.expect(received.isHeldBy(4095) and !received.isHeldBy(4094));
    try std.testing.expectEqual(null, received.channelTo());
    // Sent on, it keeps how often it was received.
    try std.testing.expectEqual(@as(u11, 1), received.sentTo(0, position, 4095).deliveries);
    const returned: Message = .returnedTo(0, 3);
    try std.testing.expect(returned.isReturned() and !returned.isHeldBy(4095));
    try std.testing.expectEqual(null, returned.ownerRow());
    try std.testing.expectEqual(@as(u11, 4), returned.deliveredOnceMore());
    const often: Message = .receivedBy(0, deliveries_max);
    try std.testing.expectEqual(deliveries_max, often.deliveredOnceMore());
}

test "messages are ordered by where they came from, through every wrap" {
    for ([_]u32{ 1, 2, 1 << 16 }) |capacity| {
        for ([_]u40{ 0, std.math.maxInt(u13), std.math.maxInt(u21), std.math.maxInt(u40) }) |lap| {
            var position: Position = .{ .place = @intCast(capacity - 1), .lap = lap };
            for (0..3) |_| {
                const one: CameFrom = .of(3, position);
                position = position.next(capacity);
                const next: CameFrom = .of(3, position);
                try std.testing.expect(one.isBefore(next) and !next.isBefore(one));
                try std.testing.expect(!one.isBefore(one));
            }
        }
    }
    const came_from: CameFrom = .of(1023, .{ .place = 0, .lap = 0 });
    try std.testing.expectEqual(@as(?u32, 1023), came_from.withQueued(9).channelOf());
    try std.testing.expectEqual(null, came_from.withChannel(null).channelOf());
}

test "positions follow each other through places and laps, and back again" {
    for ([_]u32{ 1, 2, 3, 1 << 16 }) |capacity| {
        const starts = [_]Position{
            .{ .place = 0, .lap = 0 },
            .{ .place = @intCast(capacity - 1), .lap = std.math.maxInt(u37) },
            .{ .place = @intCast(capacity - 1), .lap = std.math.maxInt(u40) },
        };
        for (starts) |start| {
            var position = start;
            for (1..2 * @as(usize, capacity) + 1) |steps| {
                const next = position.next(capacity);
                try std.testing.expect(position.isBefore(next) and !next.isBefore(position));
                try std.testing.expectEqual(position, next.back(1, capacity));
                position = next;
                try std.testing.expect(start.isBefore(position));
                try std.testing.expectEqual(steps, start.countTo(position, capacity));
            }
            try std.testing.expectEqual(start, start.back(0, capacity));
        }
    }
}

test "a cell's lap and a position's wrap together" {
    const last: Position = .{ .place = 0, .lap = std.math.maxInt(u37) };
    const cell: Cell = .{
        .index = 7,
        .lap = last.cellLap(),
        .full = true,
        .closed = true,
        .frozen = false,
    };
    try std.testing.expectEqual(@as(i37, 0), cell.lapsAhead(last));
    const empty = cell.emptied();
    try std.testing.expect(!empty.full and empty.closed and empty.lap == 0 and empty.index == 0);
    try std.testing.expectEqual(@as(i37, 1), empty.lapsAhead(last));
    try std.testing.expectEqual(@as(i37, 0), empty.lapsAhead(last.next(1)));
    try std.testing.expectEqual(@as(i37, -1), cell.lapsAhead(last.next(1)));
}
