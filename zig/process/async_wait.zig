//! An event loop's wait at one place, through one open of the pool: the native thread that watches
//! on its behalf, and whether the row says that it waits. Called on the participant's own thread
//! only.
//!
//! `at` is the place: the file `protocol/pool/waiting.zig`, or anything else on which `watched`,
//! `begin`, `end` and `passOn` can be called with the same arguments.

const errors = @import("../errors.zig");
const participant_file = @import("../protocol/participant.zig");
const thaw = @import("../protocol/recovery/thaw.zig");
const waiter_thread = @import("waiter_thread.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;

pub const AsyncWait = struct {
    waiter: ?*waiter_thread.Waiter = null,
    /// Counted as one who waits.
    counted: bool = false,

    /// The loop's end of a socket that becomes readable when a try is worth it.
    pub fn open(wait: *AsyncWait, at: anytype, participant: *const Participant) Error!i32 {
        if (wait.waiter == null)
            wait.waiter = try waiter_thread.start(participant, at.watched(&participant.view));
        return wait.waiter.?.loop_socket;
    }

    /// PENDING while a recovery has the pool: the thread watches, and is woken when it is time to
    /// arm again.
    pub fn arm(wait: *AsyncWait, at: anytype, participant: *Participant, due_ns: u64) Error!void {
        const waiter = wait.waiter orelse return error.InvalidArgument;
        defer waiter_thread.arm(waiter, due_ns);
        if (wait.counted) return;
        var patience: Patience = .none;
        patience.expiry = error.Pending;
        try at.begin(participant, &patience);
        wait.counted = true;
    }

    pub fn disarm(wait: *AsyncWait, at: anytype, participant: *Participant, pass_on: bool) void {
        if (wait.waiter) |waiter| waiter_thread.disarm(waiter);
        if (!wait.counted) return;
        wait.counted = false;
        var patience: Patience = .none;
        at.end(participant, &patience);
        if (pass_on) at.passOn(participant);
    }

    pub fn close(wait: *AsyncWait, at: anytype, participant: *Participant) void {
        if (wait.waiter) |waiter| waiter_thread.stop(waiter);
        wait.waiter = null;
        if (!wait.counted) return;
        wait.counted = false;
        var patience: Patience = .untimed;
        at.end(participant, &patience);
    }

    /// In a child of fork, where there is no such thread that could be waited for.
    pub fn forget(wait: *AsyncWait) void {
        if (wait.waiter) |waiter| waiter_thread.forget(waiter);
        wait.waiter = null;
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

/// A second place, where nothing ever comes but by a wake.
const Other = struct {
    local: *place_file.Local,

    pub fn watched(other: *const Other, _: *const participant_file.View) place_file.Watched {
        return .{ .place = other.local.place, .isWorthATry = never, .passOn = toNobody };
    }

    pub fn begin(other: *const Other, participant: *Participant, patience: *Patience) Error!void {
        _ = try waiter_file.begin(other.local, participant, patience);
    }

    pub fn end(other: *const Other, participant: *Participant, patience: *Patience) void {
        waiter_file.end(other.local, participant, patience);
    }

    pub fn passOn(_: *const Other, _: *const Participant) void {}

    fn never(_: *const participant_file.View, _: place_file.Place) bool {
        return false;
    }

    fn toNobody(_: *const participant_file.View, _: place_file.Place, _: u32) void {}
};

/// Whether a socket is readable, now or within so many milliseconds; it is not any more afterwards.
fn isSignalled(socket: i32, within_ms: i32) bool {
    var polled = [_]std.c.pollfd{.{ .fd = socket, .events = std.c.POLL.IN, .revents = 0 }};
    if (std.c.poll(&polled, 1, within_ms) != 1) return false;
    var bytes: [16]u8 = undefined;
    return std.c.read(socket, &bytes, bytes.len) > 0;
}

test "one participant waits at two places at once, and each wake is signalled at its own" {
    var pool: TestingPool = undefined;
    try pool.init(.{
        .capacity = 1,
        .buffer_size = 64,
        .participant_count = 2,
        .lease_timeout_ms = 0,
    });
    defer pool.deinit();
    var participant = pool.participant(0);
    // Empty, and without leases, so that only a wake makes a try worth it.
    pool.view.header.hot.free_head |= words.index_nil;
    var at_other: place_file.Local = .{ .place = pool.otherPlace() };
    const other: Other = .{ .local = &at_other };
    const far_ns = std.math.maxInt(u64);

    var for_pool: AsyncWait = .{};
    var for_other: AsyncWait = .{};
    const pool_socket = try for_pool.open(waiting, &participant);
    const other_socket = try for_other.open(&other, &participant);
    defer for ([_]i32{ pool_socket, other_socket }) |socket| thread.closeSocket(socket);
    try testing.expect(pool_socket != other_socket);
    try for_pool.arm(waiting, &participant, far_ns);
    try for_other.arm(&other, &participant, far_ns);
    try testing.expectEqual(@as(u64, 0b11), participant.row.waiting[0]);

    at_other.place.wakeAll();
    try testing.expect(isSignalled(other_socket, 60_000));
    try testing.expect(!isSignalled(pool_socket, 0));
    try for_other.arm(&other, &participant, far_ns);
    waiting.wakeOne(&participant);
    try testing.expect(isSignalled(pool_socket, 60_000));
    try testing.expect(!isSignalled(other_socket, 0));

    for_pool.disarm(waiting, &participant, true);
    try testing.expectEqual(@as(u64, 0b10), participant.row.waiting[0]);
    try for_pool.arm(waiting, &participant, far_ns);
    for_pool.close(waiting, &participant);
    for_other.close(&other, &participant);
    try testing.expectEqual(@as(u64, 0), participant.row.waiting[0]);
    try testing.expectEqual(@as(u32, 0), pool.view.header.hot.waiters);
    try testing.expectEqual(@as(u32, 0), at_other.place.waiters.*);
}
