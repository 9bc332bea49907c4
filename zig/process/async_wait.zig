//! An event loop's wait at one place, through one open of the pool: what the loop's native thread
//! watches on its behalf, and whether the row says that it waits. Called on the participant's own
//! thread only.
//!
//! `at` is the place: the file `protocol/pool/waiting.zig`, or anything else on which `watched`,
//! `begin`, `end` and `passOn` can be called with the same arguments.

const errors = @import("../errors.zig");
const event_loop = @import("event_loop.zig");
const participant_file = @import("../protocol/participant.zig");
const thaw = @import("../protocol/recovery/thaw.zig");
const waiter_thread = @import("waiter_thread.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;

pub const AsyncWait = struct {
    watch: ?*waiter_thread.Watch = null,
    /// Counted as one who waits.
    counted: bool = false,

    /// The number of the event loop that is told when a try is worth it: the one given, or, for 0, a
    /// new one. `tag`: what it is told.
    pub fn open(
        wait: *AsyncWait,
        at: anytype,
        participant: *const Participant,
        loop: u32,
        tag: u32,
    ) Error!i32 {
        if (wait.watch) |watch| watch.leave();
        wait.watch = null;
        const watched = at.watched(&participant.view);
        const watch = try event_loop.begin(loop, tag, participant, watched);
        wait.watch = watch;
        return watch.waiter.loop.number;
    }

    /// The loop's end of a socket of just this place, which becomes readable when a try is worth it:
    /// the same one each time.
    pub fn openApart(wait: *AsyncWait, at: anytype, participant: *const Participant) Error!i32 {
        if (wait.watch == null)
            wait.watch = try event_loop.beginApart(participant, at.watched(&participant.view));
        const sockets = wait.watch.?.sockets orelse return error.InvalidArgument;
        return sockets[1];
    }

    /// PENDING while a recovery has the pool: the thread watches, and is woken when it is time to
    /// arm again.
    pub fn arm(wait: *AsyncWait, at: anytype, participant: *Participant, due_ns: u64) Error!void {
        const watch = wait.watch orelse return error.InvalidArgument;
        defer watch.arm(due_ns);
        if (wait.counted) return;
        var patience: Patience = .none;
        patience.expiry = error.Pending;
        try at.begin(participant, &patience);
        wait.counted = true;
    }

    pub fn disarm(wait: *AsyncWait, at: anytype, participant: *Participant, pass_on: bool) void {
        if (wait.watch) |watch| watch.disarm();
        if (!wait.counted) return;
        wait.counted = false;
        var patience: Patience = .none;
        at.end(participant, &patience);
        if (pass_on) at.passOn(participant);
    }

    pub fn close(wait: *AsyncWait, at: anytype, participant: *Participant) void {
        if (wait.watch) |watch| watch.leave();
        wait.watch = null;
        if (!wait.counted) return;
        wait.counted = false;
        var patience: Patience = .untimed;
        at.end(participant, &patience);
    }

    /// In a child of fork, where there is no such thread that could be waited for.
    pub fn forget(wait: *AsyncWait) void {
        if (wait.watch) |watch| event_loop.forget(watch);
        wait.watch = null;
    }
};

const std = @import("std");
const testing = std.testing;
const place_file = @import("../protocol/place.zig");
const TestingPool = @import("../protocol/testing_pool.zig").TestingPool;
const thread = @import("../system/thread.zig");
const waiter_file = @import("../protocol/waiting/waiter.zig");
const waiting = @import("../protocol/pool/waiting.zig");
const words = @import("../format/words.zig");

/// Another place, where nothing ever comes but by a wake.
const Other = struct {
    local: *place_file.Local,

    var passed_on: u32 = 0;

    pub fn watched(other: *const Other, _: *const participant_file.View) place_file.Watched {
        return .{
            .place = other.local.place,
            .isWorthATry = never,
            .isHeldBack = isFree,
            .passOn = count,
        };
    }

    pub fn begin(other: *const Other, participant: *Participant, patience: *Patience) Error!void {
        _ = try waiter_file.begin(other.local, participant, patience);
    }

    pub fn end(other: *const Other, participant: *Participant, patience: *Patience) void {
        waiter_file.end(other.local, participant, patience);
    }

    pub fn passOn(_: *const Other, _: *const Participant) void {}

    fn never(_: *const participant_file.View, _: place_file.Place, _: *place_file.Looks) bool {
        return false;
    }

    fn isFree(_: *const participant_file.View, _: u32) bool {
        return false;
    }

    fn count(_: *const participant_file.View, _: place_file.Place, _: u32) void {
        _ = @atomicRmw(u32, &passed_on, .Add, 1, .seq_cst);
    }
};

/// Waits at most so long for the socket, and says whose tags the loop was told, as a set.
fn signalled(loop: *event_loop.Loop, within_ms: i32) u32 {
    var polled = [_]std.c.pollfd{
        .{ .fd = loop.loop_socket, .events = std.c.POLL.IN, .revents = 0 },
    };
    if (std.c.poll(&polled, 1, within_ms) == 1) {
        var bytes: [16]u8 = undefined;
        _ = std.c.read(loop.loop_socket, &bytes, bytes.len);
    }
    var tags: [8]u32 = undefined;
    var set: u32 = 0;
    for (tags[0..loop.signalled(&tags)]) |tag| set |= @as(u32, 1) << @intCast(tag);
    return set;
}

/// A pool that is empty and has no leases, so that only a wake makes a try worth it, and a second
/// place; and a loop for both.
const Bench = struct {
    pool: TestingPool,
    participant: Participant,
    at_other: place_file.Local,
    loop: *event_loop.Loop,
    socket: i32,

    fn init(bench: *Bench, places_per_thread: u32) !void {
        try bench.pool.init(.{
            .capacity = 1,
            .buffer_size = 64,
            .participant_count = 2,
            .lease_timeout_ms = 0,
        });
        bench.participant = bench.pool.participant(0);
        bench.pool.view.header.hot.free_head |= words.index_nil;
        bench.at_other = .{ .place = bench.pool.otherPlace() };
        bench.loop = try event_loop.open(places_per_thread);
        bench.socket = bench.loop.loop_socket;
    }

    fn deinit(bench: *Bench) void {
        thread.closeSocket(bench.socket);
        bench.pool.deinit();
    }

    fn other(bench: *Bench) Other {
        return .{ .local = &bench.at_other };
    }

    fn threads(bench: *const Bench) u32 {
        var count: u32 = 0;
        var each = bench.loop.waiters;
        while (each) |waiter| : (each = waiter.next) count += 1;
        return count;
    }
};

const far_ns = std.math.maxInt(u64);

fn waitAtTwo(places_per_thread: u32) !void {
    var bench: Bench = undefined;
    try bench.init(places_per_thread);
    defer bench.deinit();
    const participant = &bench.participant;
    const loop = bench.loop;
    const number = loop.number; // The loop ends with its last place.
    const other = bench.other();
    var for_pool: AsyncWait = .{};
    var for_other: AsyncWait = .{};
    for ([_]i32{
        try for_pool.open(waiting, participant, number, 0),
        try for_other.open(&other, participant, number, 1),
    }) |opened| try testing.expectEqual(@as(i32, number), opened);
    try testing.expectEqual(@as(u32, if (places_per_thread == 1) 2 else 1), bench.threads());
    try for_pool.arm(waiting, participant, far_ns);
    try for_other.arm(&other, participant, far_ns);
    try testing.expectEqual(@as(u64, 0b11), participant.row.waiting[0]);

    for (0..20) |_| {
        bench.at_other.place.wakeAll();
        try testing.expectEqual(@as(u32, 0b10), signalled(loop, 60_000));
        try for_other.arm(&other, participant, far_ns);
        waiting.wakeOne(participant);
        try testing.expectEqual(@as(u32, 0b01), signalled(loop, 60_000));
        try for_pool.arm(waiting, participant, far_ns);
    }
    bench.at_other.place.wakeAll();
    waiting.wakeOne(participant);
    var both: u32 = 0;
    while (both != 0b11) both |= signalled(loop, 60_000);

    for_pool.disarm(waiting, participant, true);
    try testing.expectEqual(@as(u64, 0b10), participant.row.waiting[0]);
    try for_pool.arm(waiting, participant, far_ns);
    waiting.wakeOne(participant);
    while (signalled(loop, 60_000) & 0b01 == 0) {}
    for_pool.close(waiting, participant);
    try testing.expectEqual(@as(u32, 1), bench.threads());
    try for_other.arm(&other, participant, far_ns);
    bench.at_other.place.wakeAll();
    try testing.expectEqual(@as(u32, 0b10), signalled(loop, 60_000));
    for_other.close(&other, participant);
    try testing.expectEqual(null, event_loop.find(number));
    try testing.expectEqual(@as(u64, 0), participant.row.waiting[0]);
    try testing.expectEqual(@as(u32, 0), bench.pool.view.header.hot.waiters);
    try testing.expectEqual(@as(u32, 0), bench.at_other.place.waiters.*);
}

test "one thread waits at two places at once, and says at which a wake came" {
    try waitAtTwo(2);
}

test "two threads do the same where each has room for one place" {
    try waitAtTwo(1);
}

fn keepBusy(places_per_thread: u32) !void {
    var bench: Bench = undefined;
    try bench.init(places_per_thread);
    defer bench.deinit();
    const other = bench.other();
    var wait: AsyncWait = .{};
    _ = try wait.open(&other, &bench.participant, bench.loop.number, 0);
    Other.passed_on = 0;
    try wait.arm(&other, &bench.participant, far_ns);
    bench.at_other.place.wakeAll();
    try testing.expectEqual(@as(u32, 1), signalled(bench.loop, 60_000));
    // The loop does not answer.
    while (@atomicLoad(u32, &Other.passed_on, .seq_cst) == 0) std.atomic.spinLoopHint();
    // From now on no wake reaches the thread, so that none has to be passed on.
    while (@import("../system/futex.zig").wake(bench.at_other.place.wake_seq, 1) > 0) {}
    try testing.expectEqual(@as(u32, 1), @atomicLoad(u32, &Other.passed_on, .seq_cst));
    // A wake that comes after the loop has given up is passed on at once.
    try wait.arm(&other, &bench.participant, far_ns);
    wait.disarm(&other, &bench.participant, false);
    bench.at_other.place.wakeAll();
    // The thread may have seen that nobody waits before that wake, which then reached nobody.
    wait.close(&other, &bench.participant);
    try testing.expect(@atomicLoad(u32, &Other.passed_on, .seq_cst) <= 2);
}

test "a wake of a loop that does not answer is passed on once" {
    for ([_]u32{ 2, 1 }) |places_per_thread| try keepBusy(places_per_thread);
}

/// Wakes at a place, until it is told to stop.
const Waking = struct {
    place: place_file.Place,
    count: u32 = 0,
    is_over: bool = false,

    fn run(waking: *Waking) void {
        while (!@atomicLoad(bool, &waking.is_over, .seq_cst)) {
            waking.place.wakeAll();
            _ = @atomicRmw(u32, &waking.count, .Add, 1, .seq_cst);
            thread.yield();
        }
    }
};

fn changeTheSet(places_per_thread: u32) !void {
    var bench: Bench = undefined;
    try bench.init(places_per_thread);
    defer bench.deinit();
    const other = bench.other();
    // The loop stays as long as this place is watched.
    var kept: AsyncWait = .{};
    _ = try kept.open(&other, &bench.participant, bench.loop.number, 0);
    try kept.arm(&other, &bench.participant, far_ns);
    var waking: Waking = .{ .place = bench.at_other.place };
    const waker = try std.Thread.spawn(.{}, Waking.run, .{&waking});
    var told: u32 = 0;
    for (0..300) |round| {
        var some: [5]AsyncWait = @splat(.{});
        for (&some, 1..) |*each, tag| {
            const number = bench.loop.number;
            _ = try each.open(&other, &bench.participant, number, @intCast(tag));
            if (round % 3 != 0) try each.arm(&other, &bench.participant, far_ns);
        }
        if (round % 2 == 0) told |= signalled(bench.loop, 1);
        for (&some) |*each| each.close(&other, &bench.participant);
        try kept.arm(&other, &bench.participant, far_ns);
    }
    while (told & 0b1 == 0) told |= signalled(bench.loop, 60_000);
    @atomicStore(bool, &waking.is_over, true, .seq_cst);
    waker.join();
    // The last wake of all is not lost, either.
    try kept.arm(&other, &bench.participant, far_ns);
    _ = signalled(bench.loop, 0);
    try kept.arm(&other, &bench.participant, far_ns);
    bench.at_other.place.wakeAll();
    while (signalled(bench.loop, 60_000) & 1 == 0) {}
    kept.close(&other, &bench.participant);
    try testing.expectEqual(@as(u32, 0), bench.at_other.place.waiters.*);
}

test "places come and go while others are woken" {
    for ([_]u32{ 64, 2, 1 }) |places_per_thread| try changeTheSet(places_per_thread);
}

test "a thread that ends without closing stops its native threads, whatever waits" {
    for ([_]u32{ 64, 1 }) |places_per_thread| {
        var bench: Bench = undefined;
        try bench.init(places_per_thread);
        defer bench.deinit();
        const other = bench.other();
        var waits: [3]AsyncWait = @splat(.{});
        const number = bench.loop.number;
        for (&waits, 0..) |*wait, tag| {
            _ = try wait.open(&other, &bench.participant, number, @intCast(tag));
            if (tag > 0) try wait.arm(&other, &bench.participant, far_ns);
        }
        event_loop.endAllOfThread();
        try testing.expectEqual(null, event_loop.find(number));
    }
}

test "a child of fork forgets its parent's loop, and the parent's goes on" {
    const testing_os = @import("../system/testing_os.zig");
    var bench: Bench = undefined;
    try bench.init(64);
    defer bench.deinit();
    const other = bench.other();
    var waits: [2]AsyncWait = @splat(.{});
    for (&waits, 0..) |*wait, tag| {
        const number = bench.loop.number;
        _ = try wait.open(&other, &bench.participant, number, @intCast(tag));
        try wait.arm(&other, &bench.participant, far_ns);
    }
    const ends = [_]i32{ bench.loop.socket, bench.loop.loop_socket };
    const child = testing_os.fork();
    if (child == 0) {
        event_loop.forgetAfterFork();
        for (&waits) |*wait| wait.forget();
        // The thread's end is closed, and the loop's is its owner's.
        const is_right = std.c.fcntl(ends[0], std.c.F.GETFD) < 0 and
            std.c.fcntl(ends[1], std.c.F.GETFD) >= 0 and waits[0].watch == null;
        std.c._exit(if (is_right) 0 else 1);
    }
    try testing.expectEqual(@as(?u8, 0), testing_os.exitCode(child));
    bench.at_other.place.wakeAll();
    var both: u32 = 0;
    while (both != 0b11) both |= signalled(bench.loop, 60_000);
    for (&waits) |*wait| wait.close(&other, &bench.participant);
}
