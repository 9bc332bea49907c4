//! What must be true, judged from outside: from the results of the calls that returned, and from
//! the words in memory. Of the core's own functions it uses only a recovery, at the end of a run.

const std = @import("std");
const channel_oracle = @import("channel_oracle.zig");
const errors = @import("core").errors;
const fiber = @import("fiber.zig");
const full_oracle = @import("full_oracle.zig");
const independence = @import("independence.zig");
const memory_model = @import("memory_model.zig");
const message_oracle = @import("message_oracle.zig");
const naming = @import("naming.zig");
const place_file = @import("core").protocol.place;
const programs = @import("programs.zig");
const recovery = @import("core").protocol.recovery.recovery;
const state = @import("state.zig");
const system = @import("system.zig");
const words = @import("core").format.words;

const Control = words.Control;
const Handle = words.Handle;
const Head = words.Head;

/// What was found wrong in the step that just ran.
pub var violation: ?[]const u8 = null;

pub fn report(what: []const u8) void {
    if (violation == null) violation = what;
}

pub fn unexpected(err: errors.Error) void {
    report(switch (err) {
        inline else => |known| "a call answers " ++ @errorName(known) ++ " where it must not",
    });
}

fn require(truth: bool, otherwise: []const u8) void {
    if (!truth) report(otherwise);
}

// What calls returned, and what that promises.

pub fn acquired(me: u8, number: u64) void {
    const handle: Handle = @bitCast(number);
    const slot = handle.index;
    const facts = &state.now.slots[slot];
    require(handle.generation > facts.last_generation, "a buffer is acquired twice as one");
    facts.last_generation = handle.generation;
    message_oracle.acquired(slot);
    promiseNothing(facts);
    facts.set_by_hand = false;
    facts.in_flight_max = facts.shares;
    facts.parked = 0;
    const program = &programs.current;
    const size = programs.sizeOf(me);
    require(facts.backed >= size, "an acquired buffer lacks memory");
    const bytes = contents(slot);
    if (program.zero_on_release) for (bytes[0..size]) |byte| {
        require(byte == 0, "a buffer of a pool that zeroes is acquired with contents");
    };
    const mark = 0x11 * (me + 1);
    @memset(bytes[0..size], mark);
    holds(me, number);
    state.now.ledgers[me].contents[slot] = mark;
}

/// A pool's only buffer goes to the waiter that has a claim, when the claim stood from the begin of
/// somebody else's acquire to its end.
pub fn checkClaim(me: u8, result: errors.Error!u64) void {
    _ = result catch return;
    const gate = theGate();
    const participant = &state.participants[me];
    if (state.view.geometry.capacity > 1 or gate.claimant == 0) return;
    if (@as(u64, @bitCast(gate)) != state.now.ledgers[me].gate) return;
    if (gate.claimant == participant.index + 1) return;
    const claimant = theClaimant() orelse return;
    const comes = claimant.status == .asleep or claimant.status == .ready;
    require(!comes, "a buffer goes to another one than the waiter that has a claim");
}

/// Every buffer must have been somebody's, or about to be the buffer of an acquire under way.
pub fn toldFull(me: u8) void {
    // A claim may have been in the way.
    if (programs.current.caches() and !programs.current.claims)
        full_oracle.toldFull(me);
    if (!programs.current.full_is_exact) return;
    var held: u32 = 0;
    for (0..state.view.geometry.capacity) |slot| {
        for (&state.now.ledgers) |*ledger| {
            if (ledger.holds[slot] == 0) continue;
            held += 1;
            break;
        }
    }
    if (held == state.view.geometry.capacity) return;
    var acquiring: u32 = 0;
    for (&state.now.ledgers, 0..) |*ledger, index| {
        if (index != me and ledger.acquiring) acquiring += 1;
    }
    const capacity = state.view.geometry.capacity;
    require(held + acquiring >= capacity, "a pool is said to be full that is not");
    if (held + acquiring > capacity) return;
    for (&state.now.ledgers, 0..) |*ledger, index| {
        if (index != me and ledger.acquiring) ledger.must_acquire = true;
    }
}

pub fn holds(me: u8, number: u64) void {
    const handle: Handle = @bitCast(number);
    const ledger = &state.now.ledgers[me];
    ledger.holds[handle.index] += 1;
    ledger.handles[handle.index] = number;
}

pub fn joined(me: u8) void {
    const participant = &state.participants[me];
    for (participant.holds[0..state.view.geometry.capacity]) |held|
        require(held == 0, "a row is taken with somebody's holds in it");
}

/// A call under way that makes or takes a reference in flight. Of a slot that somebody acquires
/// meanwhile it changes nothing any more.
pub const Claim = struct {
    slot: usize,
    generation: u32,
    until_ns: u64,

    fn of(slot: usize) Claim {
        const generation = state.now.slots[slot].last_generation;
        return .{ .slot = slot, .generation = generation, .until_ns = beginLease() };
    }

    fn isCurrent(claim: Claim) bool {
        return claim.generation == state.now.slots[claim.slot].last_generation;
    }
};

/// References in flight are promised by calls that returned, and no longer promised when a call
/// that takes one began. A call that makes one counts at most from its begin.
pub fn beginShare(slot: usize) Claim {
    const facts = &state.now.slots[slot];
    facts.shares += 1;
    facts.in_flight_max += 1;
    return .of(slot);
}

pub fn endShare(claim: Claim) void {
    if (!claim.isCurrent()) return failShare(claim);
    const facts = &state.now.slots[claim.slot];
    facts.shares -= 1;
    if (claim.until_ns <= state.now.clock_ns or facts.set_by_hand) return;
    facts.in_flight_min += 1;
    endLease(claim.slot, claim.until_ns);
}

pub fn failShare(claim: Claim) void {
    const facts = &state.now.slots[claim.slot];
    facts.shares -= 1;
    facts.in_flight_max -|= 1;
}

fn beginLease() u64 {
    return state.now.clock_ns + programs.lease_ns;
}

fn endLease(slot: usize, until_ns: u64) void {
    const facts = &state.now.slots[slot];
    facts.leased_until_ns = @max(facts.leased_until_ns, until_ns);
}

fn isLeased(slot: usize) bool {
    return state.now.clock_ns < state.now.slots[slot].leased_until_ns;
}

pub fn beginTake(slot: usize) Claim {
    const facts = &state.now.slots[slot];
    if (facts.takes == 0) facts.contested = false;
    facts.takes += 1;
    facts.in_flight_min -= 1;
    if (facts.in_flight_min < 0) facts.contested = true;
    return .of(slot);
}

pub fn endTake(claim: Claim) void {
    if (!claim.isCurrent()) {
        _ = failTake(claim);
        return;
    }
    const facts = &state.now.slots[claim.slot];
    facts.takes -= 1;
    facts.in_flight_max -|= 1;
}

/// True: there was a free buffer all the time, and the call should have got it.
pub fn failTake(claim: Claim) bool {
    const facts = &state.now.slots[claim.slot];
    facts.takes -= 1;
    facts.in_flight_min += 1;
    return claim.isCurrent() and !facts.contested;
}

pub fn beginSetCount(slot: usize, count: u8) void {
    const facts = &state.now.slots[slot];
    promiseNothing(facts);
    facts.set_by_hand = true;
    facts.in_flight_max += count;
}

fn promiseNothing(facts: *state.SlotFacts) void {
    facts.in_flight_min = -@as(i8, @intCast(facts.takes));
    facts.contested = true;
}

/// From now on a buffer that was counted to 0 may go.
pub fn beginRecycling(slot: usize) void {
    const facts = &state.now.slots[slot];
    facts.parked = 0;
    facts.recycles += 1;
    facts.recycling += 1;
}

pub fn endRecycling(slot: usize) void {
    state.now.slots[slot].recycling -= 1;
}

/// Null: somebody may be recycling the slot already.
pub fn beginPark(slot: usize) ?u8 {
    const facts = &state.now.slots[slot];
    return if (facts.recycling > 0) null else facts.recycles;
}

/// A call that began when `recycles` was what is given counted the buffer to 0, and it stays.
pub fn endPark(claim: Claim, handle: u64, recycles: ?u8) void {
    const facts = &state.now.slots[claim.slot];
    if (claim.until_ns <= state.now.clock_ns or recycles != facts.recycles) return;
    endLease(claim.slot, claim.until_ns);
    facts.parked = handle;
}

/// After the clock was moved: no promise outlives its lease.
pub fn clockMoved() void {
    for (&state.now.slots, 0..) |*facts, slot| {
        if (isLeased(slot)) continue;
        promiseNothing(facts);
        facts.parked = 0;
    }
}

/// Somebody's patience may have ended: time was let pass, or somebody stands still.
pub fn patienceMayEnd() bool {
    return state.now.clock_ns - programs.clock_start_ns >= 1000 * std.time.ns_per_ms;
}

fn contents(slot: usize) []u8 {
    return state.view.data(@intCast(slot), state.buffer_size);
}

pub fn isLive(status: state.Status) bool {
    return switch (status) {
        .absent, .dead => false,
        else => true,
    };
}

/// At each change of a word, before it.
pub fn beforeChange(address: usize, before: u64, after: u64) void {
    if (before == after) return;
    channel_oracle.beforeChange(address, before, after);
    message_oracle.beforeChange(address, before, after);
    full_oracle.beforeChange(address, before, after);
    if (independence.isWatchedBySpinners(address)) wakeSpinners();
    if (fiber.direct or state.view.header.repair.still == 0) return;
    const recoverer = system.ownerOf(&state.view.header.repair.mutex) orelse return;
    if (recoverer == fiber.current or recoverer >= state.fibers_max) return;
    if (!isLive(state.now.fibers[recoverer].status)) return;
    if (independence.standsStill(address))
        report("a word is changed by somebody else while the pool stands still");
}

pub fn beforeNameGoes(by_hand: bool) void {
    require(state.now.name == naming.to_pool, "the name of a newer pool is removed");
    if (by_hand) state.now.unlinked = true;
}

/// Whoever has an ephemeral pool finds its name where it was, unless somebody removed it by hand.
fn checkName() void {
    if (!programs.current.ephemeral or state.now.unlinked) return;
    if (state.now.name == naming.to_pool) return;
    for (state.now.ledgers) |ledger|
        require(!ledger.joined, "somebody has a pool whose name is gone");
}

pub fn wakeSpinners() void {
    for (&state.now.fibers) |*each| if (each.status == .spinning) {
        each.status = .ready;
    };
}

// In every state.

pub fn checkState() void {
    checkName();
    channel_oracle.checkState();
    if (isFrozen()) require(programs.current.mayRecover(), "a recovery runs without a cause");
    const head: Head = @bitCast(state.view.header.hot.free_head);
    require(head.frozen or state.view.header.repair.still == 0, "a pool that stands still moves");
    for (0..state.view.geometry.capacity) |slot| {
        var control: Control = @bitCast(memory_model.settled(&state.view.slots[slot].control));
        if (control.state == .maintained or control.cachingRow() != null) control = control.freed();
        require(control.references >= control.in_flight, "more are in flight than there are");
        checkPromises(slot, control);
        if (control.state == .private) checkPrivate(slot, control);
    }
}

fn checkPromises(slot: usize, control: Control) void {
    const facts = &state.now.slots[slot];
    var held: u32 = 0;
    for (&state.now.ledgers, &state.now.fibers, 0..) |*ledger, *each, index| {
        if (ledger.holds[slot] == 0 or !isLive(each.status)) continue;
        held += ledger.holds[slot];
        const handle: Handle = @bitCast(ledger.handles[slot]);
        require(control.state == .used, "a live participant's buffer is not in use");
        require(handle.generation == control.generation, "a held buffer is somebody else's");
        const mark = ledger.contents[slot];
        if (mark == 0) continue;
        const size = programs.sizeOf(@intCast(index));
        require(facts.backed >= size, "a held buffer lost its memory");
        for (contents(slot)[0..size]) |byte|
            require(byte == mark, "a held buffer lost its contents");
    }
    held += channel_oracle.queued(slot, control) + message_oracle.listed(slot, control);
    const counted = control.references - control.in_flight;
    require(held <= counted, "a live hold or a queued buffer is not counted");
    if (control.state != .used) {
        require(facts.in_flight_min <= 0, "a reference in flight was dropped before its lease");
        require(facts.parked == 0, "a buffer counted to 0 by hand was recycled before its lease");
        return;
    }
    require(control.in_flight >= facts.in_flight_min, "a reference in flight is not counted");
    require(control.in_flight <= facts.in_flight_max, "a reference in flight comes from nowhere");
}

fn checkPrivate(slot: usize, control: Control) void {
    require(control.references == 1 and control.in_flight == 0, "a PRIVATE slot is shared");
    var owners: u32 = 0;
    for (state.view.rows[0..state.view.geometry.participant_count], 0..) |*row, index| {
        // Within its bracket somebody may still have to count down a hold that it has released.
        if (row.joined == 0 or row.busy % 2 == 1) continue;
        if (state.view.holdRow(@intCast(index))[slot] != 0) owners += 1;
    }
    require(owners <= 1, "a PRIVATE slot has two owners");
}

// When no fiber can take a step.

pub fn checkEnd() void {
    checkSleepers();
    const repair = &state.view.header.repair;
    const stopped = isSomebody(.stopped);
    const recoverer_stopped = if (system.ownerOf(&repair.mutex)) |owner|
        state.now.fibers[owner].status == .stopped
    else
        false;
    if (isFrozen()) {
        require(system.isMarked(&repair.mutex) or recoverer_stopped, "something stays frozen");
    } else if (!isLossPending() and !stopped) checkAccounts(false);
    if (violation != null or recoverer_stopped) return;
    checkRecovered(stopped);
}

fn checkSleepers() void {
    const hot = &state.view.header.hot;
    const stopped = isSomebody(.stopped);
    for (&state.now.fibers, 0..) |*each, index| {
        require(each.status != .spinning, "a fiber waits for others for ever");
        if (each.status != .asleep) continue;
        if (channel_oracle.checkSleeper(index, stopped)) continue;
        if (!system.sleepsOn(each, &hot.wake_seq)) {
            report("an operation sleeps for ever on a pool that nobody recovers");
            continue;
        }
        require(theGate().flusher == 0, "a waiter sleeps on while the pool is flushed");
        const claimant = theClaimant();
        if (claimant) |owner| require(
            owner.status == .asleep or owner.status == .stopped,
            "a claim outlives its wait",
        );
        if (stopped) continue;
        const size = programs.sizeOf(@intCast(index));
        require(!wouldBeServed(size), "a waiter sleeps beside a free slot");
    }
}

/// There is a free slot, and memory for it once all other free slots have lost theirs.
fn wouldBeServed(size: u32) bool {
    var in_use: u64 = 0;
    var is_any_free = false;
    for (state.view.slots[0..state.view.geometry.capacity]) |*slot| {
        const control: Control = @bitCast(slot.control);
        if (control.state == .free) is_any_free = true else in_use += slot.committed;
    }
    const need = state.view.geometry.committedFor(size);
    return is_any_free and in_use + need <= state.view.max_committed;
}

pub fn isSomebody(status: state.Status) bool {
    for (&state.now.fibers) |*each| if (each.status == status) return true;
    return false;
}

fn isFrozen() bool {
    if (@as(Head, @bitCast(state.view.header.hot.free_head)).frozen) return true;
    for (state.view.slots[0..state.view.geometry.capacity]) |*slot| {
        if (@as(Control, @bitCast(slot.control)).frozen) return true;
    }
    return channel_oracle.isFrozen();
}

/// What a sleeper that wakes up will find.
pub fn isAnythingToFind(index: u8) bool {
    if (isFrozen() or isRowDead()) return true;
    // At a channel's end nobody looks for more.
    const each = &state.now.fibers[index];
    if (!system.sleepsOn(each, &state.view.header.hot.wake_seq)) return false;
    return isLeaseOver() or isClaimIdle(index);
}

fn theGate() words.Gate {
    return @bitCast(state.view.header.hot.gate);
}

/// The participant whose claim is at the gate.
fn theClaimant() ?*const state.Fiber {
    const claimant = theGate().claimant;
    if (claimant == 0) return null;
    const owner = system.ownerOf(&state.view.rows[claimant - 1].mutex) orelse return null;
    return &state.now.fibers[owner];
}

/// A free slot is kept for a claimant that does not come, or that lacks memory for it. Another
/// waiter that looks after the claim's end will get it.
fn isClaimIdle(index: u8) bool {
    const claimant = theClaimant() orelse return false;
    if (claimant == &state.now.fibers[index]) return false;
    const head: Head = @bitCast(state.view.header.hot.free_head);
    const idle = claimant.status == .stopped or theGate().claims_memory;
    return idle and head.index != words.index_nil;
}

/// Something that only a recovery puts right: a death, or a lease that has run out.
fn isLossPending() bool {
    return system.isMarked(&state.view.header.repair.mutex) or isRowDead() or isLeaseOver();
}

fn isRowDead() bool {
    for (state.view.rows[0..state.view.geometry.participant_count]) |*row| {
        if (system.isMarked(&row.mutex)) return true;
        if (row.abandoned != 0 and system.ownerOf(&row.mutex) == null) return true;
    }
    return false;
}

fn isLeaseOver() bool {
    for (state.view.slots[0..state.view.geometry.capacity]) |*slot| {
        const control: Control = @bitCast(slot.control);
        if (control.state != .used) continue;
        if (control.in_flight == 0 and control.references != 0) continue;
        if (slot.lease <= state.now.clock_ns) return true;
    }
    return false;
}

/// After one more recovery everything is exact, wherever a fiber died.
fn checkRecovered(stopped: bool) void {
    fiber.direct = true;
    const done = recovery.run(&state.view, .{ .forced = true, .leases = true, .damaged = true });
    require(!done.busy, "the recovery mutex is held by nobody who lives");
    require(!isFrozen(), "a recovery leaves something frozen");
    if (done.deferred) {
        require(stopped, "a recovery is deferred although nobody is in an operation");
        return;
    }
    require(!isLossPending(), "a recovery leaves a loss");
    clockMoved();
    channel_oracle.checkRecovered();
    checkAccounts(true);
}

/// `recovered`: what was parked or in flight without a lease is gone as well.
fn checkAccounts(recovered: bool) void {
    const geometry = &state.view.geometry;
    channel_oracle.checkAccounts();
    message_oracle.checkAccounts();
    var waiting: u32 = 0;
    for (0..geometry.participant_count) |row| waiting += checkRow(row, recovered);
    const waiters = state.view.header.hot.waiters;
    require(waiters == waiting, "`waiters` is not the number of those who wait");
    const listed = walkList();
    var committed: u64 = 0;
    for (0..geometry.capacity) |slot| {
        committed += state.view.slots[slot].committed;
        checkSlot(slot, listed[slot]);
    }
    const sum = state.view.header.repair.committed_bytes;
    require(sum == committed, "the pool's committed bytes are not the sum of the slots'");
}

/// The row's owner, and whether it waits.
fn checkRow(index: usize, recovered: bool) u32 {
    const row = &state.view.rows[index];
    const held = state.view.holdRow(@intCast(index))[0..state.view.geometry.capacity];
    const owner = system.ownerOf(&row.mutex) orelse {
        for (held) |count| require(count == 0, "a row without an owner has holds");
        require(row.waiting[0] == 0, "a row without an owner waits");
        return 0;
    };
    const ledger = &state.now.ledgers[owner];
    const each = &state.now.fibers[owner];
    if (each.status == .stopped) return @intCast(row.waiting[0] & 1);
    for (held, 0..) |count, slot| {
        const owed = state.now.owed[owner][slot] + channel_oracle.offers(owner, slot);
        require(count == ledger.holds[slot] + owed, "a row is not what its owner has");
    }
    var place: ?*const place_file.Local = &state.locals[owner].at_pool;
    var waiting: u64 = 0;
    while (place) |local| : (place = local.next) {
        if (system.sleepsOn(each, local.place.wake_seq) or local.owes_unwait)
            waiting |= local.place.mask();
    }
    require(row.waiting[0] == waiting, "`waiting` is not where the row's owner waits");
    if (!recovered) require(row.busy & 1 == 0, "a participant at rest is busy");
    return @intCast(row.waiting[0] & 1);
}

fn walkList() [state.slots_max]u8 {
    var listed: [state.slots_max]u8 = @splat(0);
    var index: u32 = @as(Head, @bitCast(state.view.header.hot.free_head)).index;
    while (index != words.index_nil) {
        if (index >= state.view.geometry.capacity or listed[index] > 0) {
            report("the free list is broken");
            break;
        }
        listed[index] = 1;
        index = state.view.slots[index].next_free;
    }
    return listed;
}

/// The row has an owner, and an entry that leads to the slot.
fn isInCache(row_index: u32, slot: usize) bool {
    if (row_index >= state.view.geometry.participant_count) return false;
    const row = &state.view.rows[row_index];
    if (system.ownerOf(&row.mutex) == null) return false;
    const count = words.Cache.load(&row.cache, .monotonic).count;
    for (state.view.cacheRow(row_index)[0..count]) |entry| if (entry == slot) return true;
    return false;
}

fn checkSlot(index: usize, listed: u8) void {
    const slot = &state.view.slots[index];
    var control: Control = @bitCast(slot.control);
    const cached = if (control.cachingRow()) |row| isInCache(row, index) else false;
    if (cached) control = control.freed();
    const facts = &state.now.slots[index];
    // Memory is claimed before it is there, and the claim is given up after it has gone, by the
    // fiber that works on it.
    if (control.state == .free or control.state == .used)
        require(slot.committed <= facts.backed, "a slot claims memory that is not there");
    var rows: u32 = 0;
    for (state.view.rows[0..state.view.geometry.participant_count], 0..) |*row, each| {
        if (row.joined != 0) rows += state.view.holdRow(@intCast(each))[index];
    }
    const queued = channel_oracle.queued(index, control) + message_oracle.listed(index, control);
    const sum = rows + control.in_flight + queued;
    if (control.state != .maintained)
        require(control.references == sum, "references are not the sum of the rows and cells");
    switch (control.state) {
        .free => {
            require(listed + @intFromBool(cached) == 1, "a free slot is not on the list");
            require(control.references == 0, "a free slot has references");
            if (programs.current.zero_on_release) for (contents(index)) |byte|
                require(byte == 0, "a free slot of a pool that zeroes has contents");
        },
        .maintained => {
            const is_listed = !control.isSetAside();
            require((listed == 1) == is_listed, "a slot that is worked on is not where it says");
            require(isSomebody(.stopped), "a slot is worked on by nobody");
        },
        .used => require(listed == 0, "a slot in use is on the list"),
        .private => {
            require(listed == 0, "a PRIVATE slot is on the list");
            for (state.now.owed) |owed| {
                if (owed[index] > 0) break;
            } else require(isSomebody(.stopped), "a PRIVATE slot is nobody's work");
        },
    }
    if (control.state == .used and control.references == 0)
        require(programs.current.parks(), "a slot in use is nobody's");
}
