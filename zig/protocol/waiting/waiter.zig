//! The waiter's side of a place: it is counted there from before its last try until it stops
//! waiting. `waiters` is the number of rows whose bit is set; both change in one bracket, after an
//! unfrozen head was read, so that recovery may rewrite them while nobody is busy.

const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const participant_file = @import("../participant.zig");
const place_file = @import("../place.zig");
const thaw = @import("../recovery/thaw.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Head = words.Head;
const Local = place_file.Local;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const Place = place_file.Place;

/// Makes this row one of those who wait. Nested waits of one thread count once: true for the first.
pub fn begin(local: *Local, participant: *Participant, patience: *Patience) Error!bool {
    const is_first = local.waits == 0;
    if (is_first) {
        if (local.owes_unwait) {
            local.owes_unwait = false;
        } else try mark(local.place, participant, .wait, patience);
    }
    local.waits += 1;
    return is_first;
}

/// Whether the next `end` makes the row one that does not wait.
pub fn isLast(local: *const Local) bool {
    return local.owes_unwait or local.waits == 1;
}

/// The end of a wait. Never fails: past its patience the change is owed, and until it is paid the
/// only harm is a wake more than needed.
pub fn end(local: *Local, participant: *Participant, patience: *Patience) void {
    if (!local.owes_unwait) {
        local.waits -= 1;
        if (local.waits > 0) return;
    }
    mark(local.place, participant, .stop, patience) catch {
        local.owes_unwait = true;
        participant.local.attention |= participant_file.attention_owed;
        return;
    };
    local.owes_unwait = false;
}

/// Pays what the thread owes at all its places, without patience. False: something is still owed.
pub fn settle(participant: *Participant) bool {
    var each: ?*Local = &participant.local.at_pool;
    while (each) |local| : (each = local.next) {
        if (!local.owes_unwait) continue;
        var impatient: Patience = .none;
        end(local, participant, &impatient);
        if (local.owes_unwait) return false;
    }
    return true;
}

/// The last thing before the try that a sleep follows. SYNC: sequential before that try: either it
/// finds what there is, or the waker sees that somebody may fall asleep. Pairs with `waker.wake`.
pub fn aboutToSleep(place: Place) void {
    const sleeps = place.sleeps;
    if (atomic.broken(.sleep_not_counted)) return;
    if (atomic.broken(.sleep_not_sequential)) {
        return atomic.store(u32, sleeps, atomic.load(u32, sleeps, .monotonic) + 1, .monotonic);
    }
    _ = atomic.fetchAdd(u32, sleeps, 1);
}

fn mark(
    place: Place,
    participant: *Participant,
    change: enum { wait, stop },
    patience: *Patience,
) Error!void {
    const waiters = place.waiters;
    const bits = place.wordOf(participant.row);
    while (true) {
        const bracket: ?participant_file.Bracket = if (atomic.broken(.waiting_outside_bracket))
            null
        else
            participant.enterSequential();
        // SYNC: this load and the store of `busy` before it are sequential: either it sees the
        // freeze, or the freezer sees `busy`. Pairs with `phases.freezeHead`.
        const frozen = Head.load(&participant.view.header.hot.free_head, .seq_cst).frozen;
        if (frozen and bracket != null) {
            bracket.?.leave();
            try thaw.wait(participant, patience);
            continue;
        }
        const now = atomic.load(u64, bits, .monotonic);
        if (change == .wait) {
            atomic.store(u64, bits, now | place.mask(), .monotonic);
            // SYNC: sequential before the waiter's next try: either that finds what was pushed, or
            // the releaser finds the count. Pairs with `free_list.link`, `waiting.wakeOne`,
            // `ends.isAwaited`, `commitment.missing`, `commitment.tellWaiters`,
            // `maintained_slots.end`, `cache.putStraight`, `cache.isAwaited`, `cache.moveFrom` and
            // `cache.wakeFor`.
            if (atomic.broken(.waiters_not_atomic)) {
                atomic.store(u32, waiters, atomic.load(u32, waiters, .monotonic) + 1, .monotonic);
            } else _ = atomic.fetchAdd(u32, waiters, 1);
        } else {
            _ = atomic.fetchSub(u32, waiters, 1);
            atomic.store(u64, bits, now & ~place.mask(), .monotonic);
        }
        if (bracket) |entered| entered.leave();
        return;
    }
}

const testing = @import("std").testing;
const TestingPool = @import("../testing_pool.zig").TestingPool;

test "waits at two places are counted apart, and nested ones once" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var participant = pool.participant(0);
    const at_pool = &participant.local.at_pool;
    var at_other: Local = .{ .place = pool.otherPlace() };
    var patience: Patience = .none;
    try testing.expect(try begin(at_pool, &participant, &patience));
    try testing.expect(try begin(&at_other, &participant, &patience));
    try testing.expect(!try begin(&at_other, &participant, &patience));
    try testing.expectEqual(@as(u64, 0b11), participant.row.waiting[0]);
    try testing.expectEqual(@as(u32, 1), at_other.place.waiters.*);
    try testing.expectEqual(@as(u32, 1), at_pool.place.waiters.*);
    end(at_pool, &participant, &patience);
    try testing.expectEqual(@as(u64, 0b10), participant.row.waiting[0]);
    try testing.expect(!isLast(&at_other));
    end(&at_other, &participant, &patience);
    try testing.expect(isLast(&at_other));
    try testing.expectEqual(@as(u32, 1), at_other.place.waiters.*);
    end(&at_other, &participant, &patience);
    try testing.expectEqual(@as(u64, 0), participant.row.waiting[0]);
    try testing.expectEqual(@as(u32, 0), at_other.place.waiters.*);
    try testing.expectEqual(@as(u32, 0), at_pool.place.waiters.*);
}

test "a place beyond the first word has a bit of its own" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var participant = pool.participant(0);
    var local: Local = .{ .place = pool.otherPlace() };
    local.place.number = 64 + 5;
    var patience: Patience = .none;
    _ = try begin(&local, &participant, &patience);
    try testing.expectEqual(@as(u64, 0), participant.row.waiting[0]);
    try testing.expectEqual(@as(u64, 1 << 5), participant.row.waiting[1]);
    end(&local, &participant, &patience);
    try testing.expectEqual(@as(u64, 0), participant.row.waiting[1]);
}

test "ends that a frozen pool kept are owed at each place, and paid once it has thawed" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var participant = pool.participant(0);
    const at_pool = &participant.local.at_pool;
    var at_other: Local = .{ .place = pool.otherPlace() };
    at_pool.next = &at_other;
    var patience: Patience = .none;
    _ = try begin(at_pool, &participant, &patience);
    _ = try begin(&at_other, &participant, &patience);
    // A recoverer that stands still: it has the mutex.
    const repair = &pool.view.header.repair;
    _ = repair.mutex.tryLock();
    var head = Head.load(&pool.view.header.hot.free_head, .seq_cst);
    head.frozen = true;
    pool.view.header.hot.free_head = @bitCast(head);
    end(at_pool, &participant, &patience);
    end(&at_other, &participant, &patience);
    try testing.expect(at_pool.owes_unwait and at_other.owes_unwait);
    try testing.expectEqual(participant_file.attention_owed, participant.local.attention);
    try testing.expect(!settle(&participant));
    head.frozen = false;
    pool.view.header.hot.free_head = @bitCast(head);
    repair.mutex.unlock();
    try testing.expect(settle(&participant));
    try testing.expect(!at_pool.owes_unwait and !at_other.owes_unwait);
    try testing.expectEqual(@as(u64, 0), participant.row.waiting[0]);
    try testing.expectEqual(@as(u32, 0), at_other.place.waiters.*);
}

test "a wait that begins while the end of the last one is owed takes that over" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var participant = pool.participant(0);
    var local: Local = .{ .place = pool.otherPlace() };
    var patience: Patience = .none;
    _ = try begin(&local, &participant, &patience);
    local.waits = 0;
    local.owes_unwait = true;
    _ = try begin(&local, &participant, &patience);
    try testing.expect(!local.owes_unwait);
    try testing.expectEqual(@as(u32, 1), local.place.waiters.*);
    end(&local, &participant, &patience);
    try testing.expectEqual(@as(u32, 0), local.place.waiters.*);
}
