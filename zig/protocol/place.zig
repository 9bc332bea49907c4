//! A place where participants wait: its words in shared memory, its bit in each row, and what one
//! thread remembers of it. The pool is a place, and so is each end of each channel. How a thread
//! waits there, and wakes others, is in `waiting/`; the work of a recovery on a place is here.

const std = @import("std");
const atomic = @import("hooks");
const layout = @import("../format/layout.zig");
const participant_file = @import("participant.zig");
const system = @import("../system/door.zig");

const View = participant_file.View;

pub const Place = struct {
    /// The number of rows whose bit is set.
    waiters: *u32,
    /// Changes with every wake; waiters sleep on it.
    wake_seq: *u32,
    /// Raised by every waiter that is about to sleep.
    sleeps: *u32,
    /// Of its bit in a row's `waiting`. 0 is the pool; the two ends of each channel follow.
    number: u32,

    pub fn ofPool(header: *layout.Header) Place {
        const hot = &header.hot;
        return .{
            .waiters = &hot.waiters,
            .wake_seq = &hot.wake_seq,
            .sleeps = &hot.sleeps,
            .number = 0,
        };
    }

    pub fn at(words: *layout.WaitingPlace, number: u32) Place {
        return .{
            .waiters = &words.waiters,
            .wake_seq = &words.wake_seq,
            .sleeps = &words.sleeps,
            .number = number,
        };
    }

    pub fn wordOf(place: Place, row: *layout.ParticipantRow) *u64 {
        return &row.waiting[place.number / 64];
    }

    pub fn mask(place: Place) u64 {
        return @as(u64, 1) << @truncate(place.number);
    }

    /// Whether the row's owner waits here.
    pub fn isMarked(place: Place, row: *layout.ParticipantRow) bool {
        return atomic.load(u64, place.wordOf(row), .acquire) & place.mask() != 0;
    }

    /// Everybody who waits here looks again.
    pub fn wakeAll(place: Place) void {
        // SYNC: after what everybody shall see. Pairs with `blocking.untilServed`,
        // `wait_any.untilWorthATry`, `Watch.lookArmed` and `Watch.isWoken`.
        _ = atomic.fetchAdd(u32, place.wake_seq, 1);
        _ = system.futex.wake(place.wake_seq, std.math.maxInt(i32));
    }

    /// One of those who sleep here looks again: a wake that came to somebody who has no use for it.
    pub fn wakeNext(place: Place) void {
        // SYNC: a native thread finds its wakes by the word alone. Pairs with `Watch.lookArmed` and
        // `blocking.untilServed`.
        _ = atomic.fetchAdd(u32, place.wake_seq, 1);
        _ = system.futex.wake(place.wake_seq, 1);
    }

    /// The same for the sleeper of one row.
    pub fn wakeRow(place: Place, row: u32) void {
        // SYNC: as in `wakeNext`. Pairs with `Watch.lookArmed` and `blocking.untilServed`.
        _ = atomic.fetchAdd(u32, place.wake_seq, 1);
        _ = system.futex.wakeBits(place.wake_seq, sleeperBit(row));
    }

    /// While the pool stands still, after the rows of the dead were emptied.
    pub fn recount(place: Place, view: *const View) void {
        var waiters: u32 = 0;
        for (view.rows[0..view.rowsUsed()]) |*row| {
            if (place.isMarked(row)) waiters += 1;
        }
        // SYNC: releasers outside their brackets read it at any time, and find every live waiter
        // counted before and after. Pairs with `waiting.wakeOne`.
        atomic.store(u32, place.waiters, waiters, .seq_cst);
    }
};

/// The bit that singles out a row's sleeper in the futex; several rows share one.
pub fn sleeperBit(row: u32) u32 {
    return @as(u32, 1) << @truncate(row);
}

/// After so many wakes in a row that reached nobody, a waker looks for the dead: at first, and at
/// most, since a waiter that is only stopped makes every look a vain one.
pub const barren_first = 8;
pub const barren_most = 4096;

/// A place as one thread knows it: its own waits there, and its wakes of others.
pub const Local = struct {
    place: Place,
    /// How many waits of this thread are under way here, blocking or not.
    waits: u32 = 0,
    /// Its row still says that it waits, because the pool stood still for too long.
    owes_unwait: bool = false,
    /// Wakes in a row that reached nobody, and at how many of them the dead are looked for.
    barren_wakes: u32 = 0,
    barren_look_at: u32 = barren_first,
    /// The count of sleeps before the last wake that reached nobody; above 32 bits: there was none.
    barren_sleeps: u64 = std.math.maxInt(u64),
    looking: Looking = .{},
    /// The thread's next place.
    next: ?*Local = null,
};

/// Whether a wait begins with looks, as long as a sleep and a wake cost. Where the last ones were in
/// vain some waits sleep at once: most of them where waits are rare, since what comes takes long. Of
/// those that follow each other soon, few: whoever answers may only have to get a processor of its
/// own, which the scheduler gives to those who run and not to those who sleep.
pub const Looking = struct {
    /// So many waits sleep at once.
    left: u8 = 0,
    /// As many as they were the last time,
    paused: u8 = 0,
    /// which was then.
    in_vain_ns: u64 = 0,

    const soon_ns = 60 * std.time.ns_per_us;
    const paused_max_soon = 3;
    const paused_max = 63;

    pub fn isDue(looking: *Looking) bool {
        if (looking.left == 0) return true;
        looking.left -= 1;
        return false;
    }

    pub fn wasWorthIt(looking: *Looking) void {
        looking.paused = 0;
    }

    pub fn wasInVain(looking: *Looking, now_ns: u64) void {
        const waits = @as(u64, looking.paused) + 1;
        const are_soon = (now_ns -| looking.in_vain_ns) / waits < soon_ns;
        const most: u8 = if (are_soon) paused_max_soon else paused_max;
        looking.paused = @min(2 * looking.paused + 1, most);
        looking.left = looking.paused;
        looking.in_vain_ns = now_ns;
    }
};

/// What a native thread remembers of its looks at a pool's slots.
pub const Looks = struct {
    /// At which slot the next look begins.
    next: u32 = 0,
    /// Before this time nothing is to be found; and the same of the slots of this round so far.
    due_ns: u64 = 0,
    soonest_ns: u64 = 0,
};

/// How a native thread, which makes no try, watches a place for an event loop.
pub const Watched = struct {
    place: Place,
    /// Nothing has changed for a slice, nobody is dead, and still a try may bring something.
    isWorthATry: *const fn (view: *const View, place: Place, looks: *Looks) bool,
    /// What has changed is for another waiter, who goes before the one of `row`.
    isHeldBack: *const fn (view: *const View, row: u32) bool,
    /// A wake was meant for the loop of `row`, which does not come: it goes to another waiter.
    passOn: *const fn (view: *const View, place: Place, row: u32) void,
};

const testing = std.testing;
const TestingPool = @import("testing_pool.zig").TestingPool;

test "each place has a bit of its own in a row" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const row = pool.participant(0).row;
    var words: layout.WaitingPlace = undefined;
    for ([_]u32{ 0, 1, 63, 64, 2 * layout.channels_max }) |number| {
        const place: Place = .at(&words, number);
        try testing.expect(!place.isMarked(row));
        place.wordOf(row).* |= place.mask();
        try testing.expect(place.isMarked(row));
    }
    var bits: u32 = 0;
    for (row.waiting) |word| bits += @popCount(word);
    try testing.expectEqual(@as(u32, 5), bits);
}

/// How many of so many waits look, each in vain, where one comes after so long.
fn looksOf(waits: u32, every_ns: u64) u32 {
    var looking: Looking = .{};
    var looks: u32 = 0;
    for (0..waits) |wait| {
        if (!looking.isDue()) continue;
        looks += 1;
        looking.wasInVain(wait * every_ns);
    }
    return looks;
}

test "looks that are in vain become rare, and not as rare where waits follow each other soon" {
    const rare = looksOf(6400, std.time.ns_per_ms);
    try testing.expect(rare >= 100 and rare < 120);
    const soon = looksOf(6400, std.time.ns_per_us);
    try testing.expect(soon >= 1600 and soon < 1610);
}

test "after a look that was worth it each wait looks" {
    var looking: Looking = .{};
    for (1..100) |wait| if (looking.isDue()) looking.wasInVain(wait * std.time.ns_per_s);
    while (!looking.isDue()) {}
    looking.wasWorthIt();
    for (0..100) |_| try testing.expect(looking.isDue());
    looking.wasInVain(std.math.maxInt(u64));
    try testing.expect(!looking.isDue());
    try testing.expect(looking.isDue());
}

test "a recount counts the rows that wait at just this place" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 4 });
    defer pool.deinit();
    const marks = [_]u64{ 0b01, 0b10, 0b11 };
    for (marks, 0..) |bits, index| pool.participant(@intCast(index)).row.waiting[0] = bits;
    // Never joined: what stands there does not count.
    pool.view.rows[3].waiting[0] = 0b11;
    const at_pool: Place = .ofPool(pool.view.header);
    const at_other = pool.otherPlace();
    for ([_]Place{ at_pool, at_other }) |place| {
        place.waiters.* = 9;
        place.recount(&pool.view);
        try testing.expectEqual(@as(u32, 2), place.waiters.*);
    }
}
