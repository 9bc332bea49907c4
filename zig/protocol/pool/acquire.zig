//! Acquiring: from the free list's head to a buffer that the caller holds, in a straight line where
//! the slot's memory is there and nobody interferes; else by attempts, through PRIVATE where memory
//! must be committed first. And the blocking form, a slice at a time.

const std = @import("std");
const atomic = @import("hooks");
const blocking = @import("../waiting/blocking.zig");
const cache = @import("cache.zig");
const commitment = @import("commitment.zig");
const damage = @import("../recovery/damage.zig");
const errors = @import("../../errors.zig");
const free_list = @import("free_list.zig");
const gate = @import("../gate.zig");
const layout = @import("../../format/layout.zig");
const losses = @import("losses.zig");
const maintained_slots = @import("maintained_slots.zig");
const memory_work = @import("../memory_work.zig");
const participant_file = @import("../participant.zig");
const place_file = @import("../place.zig");
const recovery = @import("../recovery/recovery.zig");
const references = @import("references.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const trim = @import("trim.zig");
const waiting = @import("waiting.zig");
const words = @import("../../format/words.zig");

const Bracket = participant_file.Bracket;
const Control = words.Control;
const Error = errors.Error;
const Participant = participant_file.Participant;
const View = participant_file.View;
const Patience = thaw.Patience;

/// For how long an event loop may be kept by giving memory back, before it goes on at its next try.
const trim_at_once_ns: u64 = 300 * std.time.ns_per_us;

/// The buffer that was acquired.
pub const Acquired = struct {
    index: u32,
    /// Of 29 bits. A whole number of them would go through the stack.
    generation: u32,

    pub fn handle(acquired: Acquired) u64 {
        return @bitCast(words.Handle{
            .index = @intCast(acquired.index),
            .generation = @truncate(acquired.generation),
        });
    }
};

/// The whole of the common acquire. What may stand in the way is read first, so that little more than
/// stores follows its one CAS. It makes no call, so that a caller without calls saves few registers.
/// `system.ticker` has been asked for the time a moment ago. Null: something stands in the way and
/// nothing was done; `attempt` finds out what it is.
pub inline fn acquireStraight(participant: *const Participant, bytes: u64) ?Acquired {
    const view = &participant.view;
    if (bytes > view.geometry.buffer_size) return null;
    const header = view.header;
    if (!gate.isOpen(header)) return null;
    const bracket = participant.enter();
    const there = free_list.top(view, free_list.headOf(header)) orelse return leaveNull(bracket);
    // SYNC: acquires what a maintainer did before it freed the slot. Pairs with
    // `maintained_slots.finish`.
    const from = Control.load(&there.slot.control, .acquire);
    if (!from.isPlainlyFree()) return leaveNull(bracket);
    if (!hasMemory(view, there.index, there.slot, bytes)) return leaveNull(bracket);
    if (!free_list.take(header, there)) return leaveNull(bracket);
    const generation = words.generationAfterPlain(from.generation);
    const now_ns = system.ticker.latestNs();
    return use(participant, bracket, there, from, generation, @truncate(bytes), now_ns);
}

/// The same from the thread's own cache. Null: it has nothing that would do just now.
pub inline fn acquireCached(participant: *const Participant, bytes: u64) ?Acquired {
    const view = &participant.view;
    if (bytes > view.geometry.buffer_size) return null;
    if (!gate.isOpen(view.header)) return null;
    const bracket = participant.enter();
    const there = cache.top(participant) orelse return leaveNull(bracket);
    if (!hasMemory(view, there.index, there.slot, bytes)) return leaveNull(bracket);
    if (!cache.take(participant, there)) return leaveNull(bracket);
    const generation = words.generationAfterPlain(there.from.generation);
    const now_ns = system.ticker.latestNs();
    return use(participant, bracket, there, there.from, generation, @truncate(bytes), now_ns);
}

/// Whether the slot's memory is there for so many bytes, and mapped in this process. Both are counted
/// in whole pages, so that the size need not be rounded up to one.
inline fn hasMemory(view: *const View, index: u32, slot: *const layout.Slot, bytes: u64) bool {
    if (atomic.load(u64, &slot.committed, .monotonic) < bytes) return false;
    return view.populatedBytes(index) >= bytes;
}

inline fn leaveNull(bracket: Bracket) ?Acquired {
    @branchHint(.unlikely);
    bracket.leave();
    return null;
}

/// A frozen word does not count as free. When a recovery gives up, the head thaws after the words
/// and is the same as before, so that a CAS would not notice.
inline fn isFree(control: Control) bool {
    const frozen = control.frozen and !atomic.broken(.frozen_word_taken);
    return control.state == .free and control.references == 0 and !frozen;
}

/// The end of an acquire: the slot is off the list, or out of the cache, and becomes USED by this
/// row.
inline fn use(
    participant: *const Participant,
    bracket: Bracket,
    there: anytype,
    from: Control,
    generation: u29,
    size: u32,
    now_ns: u64,
) Acquired {
    describe(&participant.view, there.slot, size, now_ns);
    // SYNC: release, so that all that read the word find the size and the description. Pairs with
    // `references.attempt`, `content.of` and `maintained_slots.keepMarked`.
    const taken = if (atomic.broken(.frozen_word_taken))
        from.held(.used, generation)
    else
        Control.soleHold(generation);
    Control.store(&there.slot.control, taken, .release);
    participant.setSoleHold(there.index);
    bracket.leaveCounted("acquired");
    return .{ .index = there.index, .generation = generation };
}

const Attempt = union(enum) {
    acquired: Acquired,
    /// The index of a slot that is off the list and PRIVATE: its memory has to be committed.
    uncommitted: u32,
    /// `maxCommitted` is in the way: so many bytes of free slots would have to be given back.
    limited: u64,
    /// A waiter that lacks memory goes first.
    memory_claimed,
    /// The index of the slot on top, whose memory somebody works on.
    maintained: u32,
    /// There is nothing on the list with this head, or nothing that a claim leaves.
    empty: words.Head,
    frozen,
    corrupt,
    flushing,
    too_large,
    too_much,
};

/// Gets a hold of a free buffer of `size` bytes, and returns its handle.
pub fn acquire(participant: *Participant, size: u32) Error!u64 {
    const now_ns = system.ticker.recentNs();
    if (fromCache(participant, size)) |handle| return handle;
    if (acquireStraight(participant, size)) |acquired| {
        ensurePopulated(participant, acquired.index);
        return acquired.handle();
    }
    return acquireByAttempts(participant, size, now_ns);
}

inline fn fromCache(participant: *Participant, size: u32) ?u64 {
    if (participant.local.cache_max == 0) return null;
    // What follows reads the time without a call.
    _ = system.ticker.recentNs();
    const acquired = acquireCached(participant, size) orelse {
        cache.dropStale(participant);
        return null;
    };
    ensurePopulated(participant, acquired.index);
    return acquired.handle();
}

/// The same where the straight line has just failed.
pub fn acquireByAttempts(participant: *Participant, size: u32, now_ns: u64) Error!u64 {
    errors.clear();
    var patience: Patience = .untimed;
    const first = attempt(participant, size, now_ns, false);
    return carryOnOrRecover(participant, size, first, &patience) catch |err| {
        if (err == error.PoolFull) participant.count("full");
        if (err == error.OutOfMemory or err == error.CommitLimit)
            participant.count("out_of_memory");
        return if (err == error.CommitLimit) commitment.beyondLimit(&participant.view) else err;
    };
}

/// The same for an event loop, which must not be kept waiting: PENDING while a recovery has the
/// pool, and COMMIT_LIMIT where a release, or another try, may bring memory.
///
/// `waited_ns`: for how long the loop has waited for this buffer as a counted waiter.
pub fn acquireAtOnce(participant: *Participant, size: u32, waited_ns: u64) Error!u64 {
    if (participant.local.at_pool.waits == 0) {
        if (fromCache(participant, size)) |handle| return handle;
    }
    var patience: Patience = .none;
    patience.expiry = error.Pending;
    patience.goes_first = participant.local.at_pool.waits > 0 and waited_ns > 0;
    const first = attemptNow(participant, size, &patience);
    const result = carryOnOrRecover(participant, size, first, &patience);
    if (result == error.OutOfMemory) participant.count("out_of_memory");
    if (participant.local.at_pool.waits == 0) return result;
    const now_ns = system.clock.monotonicNs();
    if (result) |_| {
        // The next waits of the loop's queue go behind the waits of others.
        participant.local.served_ns = now_ns;
        waiting.endClaim(participant);
    } else |err| if (lackOf(err)) |lack| {
        const since_ns = @max(now_ns -| waited_ns, participant.local.served_ns);
        waiting.claim(participant, lack, now_ns, since_ns);
    }
    return result;
}

fn carryOnOrRecover(
    participant: *Participant,
    size: u32,
    first: Attempt,
    patience: *Patience,
) Error!u64 {
    var result = carryOn(participant, size, first, patience);
    if (mayRecover(participant, result)) result = tryWithin(participant, size, patience);
    return result;
}

/// Whether a recovery changed what stood in the way: losses in an empty pool or of memory, a
/// flusher that died, a damaged list or sum.
fn mayRecover(participant: *Participant, result: Error!u64) bool {
    const view = &participant.view;
    _ = result catch |err| switch (err) {
        error.PoolFull, error.OutOfMemory => return losses.lookForLosses(view),
        error.CommitLimit => {
            if (losses.lookForLosses(view)) return true;
            const wrong = damage.committedSumIsFoundWrong(view, &participant.local.audit);
            return wrong and recovery.run(view, .{ .damaged = true }).ran;
        },
        error.PoolFlushing => return gate.flushIsOrphaned(view) and recovery.run(view, .{}).ran,
        error.PoolCorrupt => return recovery.run(view, .{ .damaged = true }).ran,
        else => {},
    };
    return false;
}

/// One try, of as many attempts as it needs. It does not look for losses.
fn tryWithin(participant: *Participant, size: u32, patience: *Patience) Error!u64 {
    const first = attemptNow(participant, size, patience);
    return carryOn(participant, size, first, patience);
}

inline fn attemptNow(participant: *Participant, size: u32, patience: *const Patience) Attempt {
    return attempt(participant, size, system.ticker.recentNs(), patience.goes_first);
}

fn carryOn(participant: *Participant, size: u32, first: Attempt, patience: *Patience) Error!u64 {
    const need = participant.view.geometry.committedFor(size);
    var certainty: Certainty = .{};
    var search: cache.Search = .{};
    var tried = first;
    while (true) : (tried = attemptNow(participant, size, patience)) {
        switch (tried) {
            .acquired => |acquired| {
                ensurePopulated(participant, acquired.index);
                return acquired.handle();
            },
            .uncommitted => |index| return commit(participant, index, size, patience) catch |err| {
                if (err != error.OutOfMemory) return err;
                switch (try makeRoom(participant, need, patience)) {
                    .freed => continue,
                    .unfinished => return if (patience.isOfWait()) error.CommitLimit else err,
                    .nothing => return err,
                }
            },
            .limited => |bytes| if (try makeRoom(participant, bytes, patience) != .freed) {
                if (certainty.allows(participant, patience)) return error.CommitLimit;
            },
            .memory_claimed => return error.CommitLimit,
            .empty => |head| switch (search.run(participant, head)) {
                .nothing => if (certainty.allows(participant, patience)) return error.PoolFull,
                .again => {},
                .frozen => try thaw.wait(participant, patience),
            },
            .maintained => |index| if (cache.gatherAll(participant) == 0)
                try maintained_slots.wait(participant, index, patience),
            .frozen => try thaw.wait(participant, patience),
            .corrupt => return error.PoolCorrupt,
            .flushing => return error.PoolFlushing,
            .too_large => return error.TooLarge,
            .too_much => return commitment.beyondLimit(&participant.view),
        }
    }
}

/// An acquire may only say that a pool is full, or its memory used up, if that was true at some
/// moment: buffers that somebody took and then gave back do not count. So nobody may be at work
/// between two refusals.
const Certainty = struct {
    /// `memory_work.restingBeside` before the last attempt.
    resting: ?u64 = null,
    until_ns: u64 = 0,

    /// A participant that is at work for longer than this commits much memory, and will get it.
    const patience_ns = 100 * std.time.ns_per_ms;
    /// Short work, as a move out of a cache, ends without a wake.
    const look_ns = std.time.ns_per_ms;

    fn allows(certainty: *Certainty, participant: *const Participant, patience: *Patience) bool {
        const view = &participant.view;
        // A caller that waits for a release anyway is woken when something is given back.
        if (patience.isOfWait()) return true;
        const epoch = memory_work.epochOf(view);
        const now = memory_work.restingBeside(view, participant.index);
        if (certainty.resting != null and now == certainty.resting) return true;
        if (atomic.broken(.refusal_unchecked)) return true;
        certainty.resting = now;
        if (now != null) return false;
        const now_ns = system.clock.monotonicNs();
        if (certainty.until_ns == 0) certainty.until_ns = now_ns + patience_ns;
        if (now_ns >= certainty.until_ns) return true;
        memory_work.wait(view, epoch, @min(now_ns + look_ns, certainty.until_ns));
        return false;
    }
};

/// Gives memory of free slots back to the system: about as much as is asked for, if there is time.
fn makeRoom(participant: *Participant, bytes: u64, patience: *Patience) Error!trim.Outcome {
    const view = &participant.view;
    if (patience.trim_until_ns == 0) {
        const now_ns = system.clock.monotonicNs();
        patience.trim_until_ns = if (patience.until_ns > 1)
            patience.until_ns
        else
            now_ns + if (patience.isOfWait()) trim_at_once_ns else thaw.patience_untimed_ns;
    }
    const outcome = trim.some(participant, bytes, patience.trim_until_ns, patience) catch |err| {
        // Somebody stands still inside an operation: what can be given back shows later.
        return if (err == error.Timeout) .nothing else err;
    };
    // An event loop goes on at its next try, so it has to be woken for that.
    if (outcome == .unfinished and patience.isImpatient()) waiting.wakeAll(view);
    if (outcome == .nothing and patience.isOfWait()) waiting.forMemory(view);
    return outcome;
}

/// One attempt to acquire. It says what stands in the way, and leaves what takes longer to its
/// caller.
fn attempt(
    participant: *const Participant,
    size: u32,
    now_ns: u64,
    goes_first: bool,
) Attempt {
    const view = &participant.view;
    if (size > view.geometry.buffer_size) return .too_large;
    const leave_last = switch (gate.look(participant, goes_first)) {
        .open => false,
        .claimed => !atomic.broken(.claim_ignored),
        .memory_claimed => return .memory_claimed,
        .flushing => return .flushing,
        .void => |found| dropped: {
            if (gate.drop(view, found)) waiting.wakeOne(participant);
            break :dropped false;
        },
    };
    while (true) {
        const bracket = participant.enter();
        const head = free_list.headOf(view.header);
        const there = free_list.top(view, head) orelse {
            bracket.leave();
            if (head.frozen) return .frozen;
            if (head.index == words.index_nil) return .{ .empty = head };
            // Somebody may have popped the slot meanwhile, and then what was read is wrong.
            if (isStill(view, head)) return .corrupt;
            continue;
        };
        if (leave_last and there.next == words.index_nil) {
            bracket.leave();
            // As above: only while the head is the same was `next` this slot's.
            if (isStill(view, head)) return .{ .empty = head };
            continue;
        }
        // SYNC: acquires what a maintainer did before it freed the slot, and its mark under a head
        // whose tag it has grown. Pairs with `maintained_slots.mark` and `maintained_slots.finish`.
        const from = Control.load(&there.slot.control, .acquire);
        if (!isFree(from)) {
            bracket.leave();
            if (!isStill(view, head)) continue;
            if (from.frozen) return .frozen;
            return if (from.state == .maintained) .{ .maintained = there.index } else .corrupt;
        }
        const committed = atomic.load(u64, &there.slot.committed, .monotonic);
        const need = view.geometry.committedFor(size);
        if (committed < need) {
            if (reserve(participant, bracket, there, from, committed, need)) |outcome|
                return outcome;
            continue;
        }
        if (!free_list.take(view.header, there)) {
            bracket.leave();
            continue;
        }
        const generation = words.generationAfter(from.generation);
        return .{ .acquired = use(participant, bracket, there, from, generation, size, now_ns) };
    }
}

fn leaveWith(bracket: Bracket, outcome: Attempt) Attempt {
    bracket.leave();
    return outcome;
}

/// Whether what was read of the slot on top was true.
fn isStill(view: *const View, head: words.Head) bool {
    const again = words.Head.load(&view.header.hot.free_head, .acquire);
    return @as(u64, @bitCast(again)) == @as(u64, @bitCast(head));
}

inline fn describe(view: *const View, slot: *layout.Slot, size: u32, now_ns: u64) void {
    // This store also marks every description field as unset.
    words.Content.store(&slot.content, .{ .size = size, .dirty = view.zero_on_release });
    atomic.store(u64, &slot.lease, 0, .monotonic);
    atomic.store(u64, &slot.acquired_at_ns, now_ns, .monotonic);
}

/// For the first use of a slot in this process: its pages exist, but are not mapped here yet. Where
/// they cannot be, the caller's operation has succeeded all the same, and leaves no text.
fn populate(participant: *Participant, index: u32, need: u64) void {
    @branchHint(.cold);
    const view = &participant.view;
    system.memory.populate(view.base, view.geometry.dataOffset(index), need) catch
        return errors.clear();
    view.setPopulated(index, need);
}

/// For a hold of a buffer that another process filled: maps all its pages at once, instead of one
/// at each touch.
pub inline fn ensurePopulated(participant: *Participant, index: u32) void {
    const view = &participant.view;
    const committed = atomic.load(u64, &view.slots[index].committed, .monotonic);
    const size = words.Content.load(&view.slots[index].content).size;
    const need = view.geometry.committedFor(size);
    if (need > committed or need > view.geometry.stride) return;
    if (view.populatedBytes(index) < need) populate(participant, index, need);
}

/// Counts the bytes, then takes the slot, all in one bracket, and makes it PRIVATE to this row. So
/// `maxCommitted` holds whatever happens, and a refusal changes nothing. Null: somebody was faster.
fn reserve(
    participant: *const Participant,
    bracket: Bracket,
    there: free_list.Top,
    from: Control,
    committed: u64,
    need: u64,
) ?Attempt {
    const view = &participant.view;
    if (need > view.max_committed) return leaveWith(bracket, .too_much);
    const added = need - committed;
    const missing = commitment.missing(view, added);
    if (missing > 0) {
        if (atomic.broken(.refusal_pops_first) and free_list.take(view.header, there))
            _ = free_list.push(view, there.index);
        return leaveWith(bracket, .{ .limited = missing });
    }
    memory_work.begin(participant);
    const claimed = commitment.claim(view, added);
    if (!claimed or !free_list.take(view.header, there)) {
        if (claimed) commitment.unclaim(view, added);
        bracket.leave();
        memory_work.endForAll(participant);
        if (claimed) commitment.tellWaiters(view);
        return null;
    }
    const generation = words.generationAfter(from.generation);
    // SYNC: the word before the hold. Pairs with `section.rewriteWord` and
    // `maintained_slots.keepMarked`.
    Control.store(&there.slot.control, from.held(.private, generation), .release);
    if (!atomic.broken(.private_without_row)) participant.addHold(there.index);
    // Only now: if this thread died before the word was PRIVATE, the slot would claim memory that
    // is not there.
    atomic.store(u64, &there.slot.committed, need, .monotonic);
    bracket.leave();
    participant.local.committed_before = committed;
    return .{ .uncommitted = there.index };
}

/// Commits the memory of a PRIVATE slot, outside a bracket, and then makes it USED.
fn commit(
    participant: *Participant,
    index: u32,
    size: u32,
    patience: *Patience,
) Error!u64 {
    const view = &participant.view;
    const committed_before = participant.local.committed_before;
    const need = view.geometry.committedFor(size);
    const offset = view.geometry.dataOffset(index);
    system.memory.commit(view.fd, view.base, offset, need) catch |err| {
        if (committed_before < need) {
            const added = need - committed_before;
            _ = system.memory.punch(view.fd, offset + committed_before, added);
        }
        // A PRIVATE slot whose memory could not be committed goes back as it was.
        commitment.lower(participant, index, committed_before, patience);
        references.finishPrivate(participant, index, patience) catch
            references.owe(participant, index);
        memory_work.endForAll(participant);
        return err;
    };
    view.setPopulated(index, need);
    // From here on nothing of it is undone.
    memory_work.endForAll(participant);
    const now_ns = system.clock.coarseNs();
    const slot = &view.slots[index];
    while (true) {
        const bracket = participant.enter();
        const from = Control.load(&slot.control, .acquire);
        if (from.frozen) {
            bracket.leave();
            thaw.wait(participant, patience) catch |err| {
                references.owe(participant, index);
                return err;
            };
            continue;
        }
        defer bracket.leave();
        if (from.state != .private) return error.PoolCorrupt;
        describe(view, slot, size, now_ns);
        const to = from.held(.used, from.generation);
        // SYNC: as the store in `use`. Pairs with `references.attempt`.
        if (!Control.cas(&slot.control, from, to)) continue;
        participant.count("acquired");
        return to.handle(index);
    }
}

/// One slice of a blocking acquire. PENDING: call again. Any other result ends the wait.
pub fn acquireSlice(
    participant: *Participant,
    wait: *blocking.Wait,
    size: u32,
    deadline_ns: u64,
) Error!u64 {
    errors.clear();
    if (!wait.counted) {
        if (fromCache(participant, size)) |handle| return handle;
    }
    var want: Want = .{
        .participant = participant,
        .local = &participant.local.at_pool,
        .size = size,
    };
    const result = blocking.slice(&want, wait, deadline_ns);
    if (result == error.Timeout) participant.count("timeouts");
    if (result == error.OutOfMemory) participant.count("out_of_memory");
    return result;
}

/// A buffer, as `blocking` waits for it.
const Want = struct {
    participant: *Participant,
    local: *place_file.Local,
    size: u32,
    /// What the last attempt lacked.
    lack: gate.Lack = .buffer,

    pub const Result = u64;

    pub fn tryNow(want: *Want, patience: *Patience) Error!?u64 {
        const participant = want.participant;
        want.lack = .buffer;
        var result = tryWithin(participant, want.size, patience);
        if (result != error.PoolFull and mayRecover(participant, result)) {
            result = tryWithin(participant, want.size, patience);
        }
        return result catch |err| {
            want.lack = lackOf(err) orelse return err;
            return null;
        };
    }

    pub fn isWorthATry(want: *const Want) bool {
        return !free_list.isEmpty(&want.participant.view);
    }

    pub fn lookForLosses(want: *const Want) bool {
        return losses.lookForLosses(&want.participant.view);
    }

    pub fn begin(want: *const Want, patience: *Patience) Error!void {
        try waiting.begin(want.participant, patience);
    }

    pub fn end(want: *const Want, patience: *Patience) void {
        waiting.end(want.participant, patience);
    }

    pub fn goOn(want: *const Want, now_ns: u64, since_ns: u64) void {
        waiting.claim(want.participant, want.lack, now_ns, since_ns);
    }

    pub fn passOn(want: *const Want) void {
        waiting.passOn(want.participant);
    }
};

/// The thing that a refused caller lacks and that a release may bring; null: no release helps.
fn lackOf(err: Error) ?gate.Lack {
    return switch (err) {
        error.PoolFull => .buffer,
        error.CommitLimit => .memory,
        else => null,
    };
}

const testing = std.testing;
const TestingPool = @import("../testing_pool.zig").TestingPool;

/// A pool of two slots with memory for a page each, and its first participant.
fn opened(pool: *TestingPool) !Participant {
    try pool.init(.{ .capacity = 2, .buffer_size = 4096, .participant_count = 2 });
    for (pool.view.slots[0..2], 0..) |*slot, index| {
        slot.committed = 4096;
        pool.view.setPopulated(@intCast(index), 4096);
    }
    pool.view.header.repair.committed_bytes = 2 * 4096;
    return pool.participant(0);
}

test "the straight line and an attempt acquire the same, and a release brings it back" {
    var pool: TestingPool = undefined;
    var participant = try opened(&pool);
    defer pool.deinit();
    const slot = &pool.view.slots[0];
    var handles: [2]words.Handle = undefined;
    const now_ns = system.ticker.recentNs();
    for (&handles, 0..) |*handle, which| {
        const acquired = if (which == 0)
            acquireStraight(&participant, 100).?
        else
            attempt(&participant, 100, now_ns, false).acquired;
        handle.* = @bitCast(acquired.handle());
        try testing.expectEqual(@as(u32, 0), acquired.index);
        const control = Control.load(&slot.control, .monotonic);
        try testing.expectEqual(words.State.used, control.state);
        try testing.expectEqual(@as(u16, 1), control.references);
        try testing.expectEqual(control.generation, handle.generation);
        try testing.expectEqual(@as(u16, 1), participant.holds[0]);
        try testing.expectEqual(@as(u32, 100), words.Content.load(&slot.content).size);
        try testing.expect(slot.acquired_at_ns >= now_ns);
        try testing.expectEqual(@as(u64, 0), participant.row.busy & 1);
        try testing.expect(references.giveBack(&participant, @bitCast(handle.*)));
        try testing.expectEqual(@as(u16, 0), participant.holds[0]);
    }
    const between = words.generationsBetween(handles[0].generation, handles[1].generation);
    try testing.expectEqual(@as(u32, 1), between);
    try testing.expectEqual(@as(u64, 2), participant.row.counters.acquired);
    try testing.expectEqual(@as(u64, 2), participant.row.counters.released);
}

test "each obstacle ends the straight line, and an attempt names it" {
    const Obstacle = enum { size, head, word, marked, rubbish, list, flush };
    inline for (.{
        .{ Obstacle.size, Attempt.too_large },
        .{ Obstacle.head, Attempt.frozen },
        .{ Obstacle.word, Attempt.frozen },
        .{ Obstacle.marked, Attempt{ .maintained = 0 } },
        .{ Obstacle.rubbish, Attempt.corrupt },
        .{ Obstacle.list, Attempt{ .empty = .{
            .index = words.index_nil,
            .tag = 0,
            .frozen = false,
        } } },
        .{ Obstacle.flush, Attempt.flushing },
    }) |case| {
        var pool: TestingPool = undefined;
        const participant = try opened(&pool);
        defer pool.deinit();
        const hot = &pool.view.header.hot;
        const slot = &pool.view.slots[0];
        var head: words.Head = @bitCast(hot.free_head);
        var control: Control = @bitCast(slot.control);
        switch (case[0]) {
            .size => {},
            .head => head.frozen = true,
            .word => control.frozen = true,
            .marked => control = control.maintainedBy(1),
            .rubbish => control.state = .used,
            .list => head.index = words.index_nil,
            .flush => hot.gate = @bitCast(words.Gate.open.withFlusher(1)),
        }
        hot.free_head = @bitCast(head);
        slot.control = @bitCast(control);
        const size: u32 = if (case[0] == .size) 4097 else 100;
        try testing.expectEqual(null, acquireStraight(&participant, size));
        try testing.expectEqual(case[1], attempt(&participant, size, 9, false));
        try testing.expectEqual(@as(u64, 0), participant.row.busy & 1);
        try testing.expectEqual(@as(u16, 0), participant.holds[0]);
        try testing.expectEqual(@as(u64, @bitCast(head)), hot.free_head);
        try testing.expectEqual(@as(u64, @bitCast(control)), slot.control);
    }
}

test "memory that cannot be mapped now is no failure of the call that wanted it mapped" {
    var pool: TestingPool = undefined;
    var participant = try opened(&pool);
    defer pool.deinit();
    pool.view.setPopulated(0, 0);
    words.Content.store(&pool.view.slots[0].content, .{ .size = 100, .dirty = false });
    // Nothing can be mapped there.
    participant.view.geometry.data_offset = 1 << 47;
    errors.clear();
    ensurePopulated(&participant, 0);
    try testing.expectEqual(@as(u64, 0), participant.view.populatedBytes(0));
    try testing.expectEqual(@as(i32, 0), errors.lastCode());
    try testing.expectEqual(@as(usize, 0), errors.lastText().len);
}

test "a slot without enough memory becomes PRIVATE, as far as the bound allows" {
    var pool: TestingPool = undefined;
    const participant = try opened(&pool);
    defer pool.deinit();
    const slot = &pool.view.slots[0];
    slot.committed = 0;
    const total = &pool.view.header.repair.committed_bytes;
    total.* = 2 * 4096;
    try testing.expectEqual(Attempt{ .limited = 4096 }, attempt(&participant, 100, 9, false));
    try testing.expectEqual(words.State.free, Control.load(&slot.control, .monotonic).state);
    total.* = 4096;
    try testing.expectEqual(null, acquireStraight(&participant, 100));
    try testing.expectEqual(Attempt{ .uncommitted = 0 }, attempt(&participant, 100, 9, false));
    try testing.expectEqual(words.State.private, Control.load(&slot.control, .monotonic).state);
    try testing.expectEqual(@as(u64, 2 * 4096), total.*);
    try testing.expectEqual(@as(u64, 4096), slot.committed);
    try testing.expectEqual(@as(u16, 1), participant.holds[0]);
    try testing.expect(memory_work.isUnderWay(&pool.view, participant.index));
}
