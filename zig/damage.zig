//! Damage that nobody died of and no operation runs into: what a pool never shows unless somebody
//! wrote into its control area, and what would keep it closed for ever. Looked for only where an
//! acquire is refused or a user asks for a recovery; an ordinary recovery repairs it. Reads only.

const std = @import("std");
const build_options = @import("build_options");
const atomic = @import("atomic.zig");
const layout = @import("layout.zig");
const participant_file = @import("participant.zig");
const system = @import("system.zig");
const words = @import("words.zig");
const work = @import("work.zig");

const Control = words.Control;
const Head = words.Head;
const View = participant_file.View;

const is_checked = build_options.hook != .none or switch (build_options.canary) {
    .none, .index_unchecked, .damage_is_waited_for => false,
    else => true,
};

/// Somebody between a CAS and what follows it looks like damage: what was seen counts only where
/// everybody stood still meanwhile. A pool that never rests is not judged.
const looks_max = 3;

/// The list leads out of the pool, in a circle, to slots in use, or past free ones. Not repaired in
/// the builds of checkers, who must see what the protocol itself loses.
pub fn listIsBroken(view: *const View) bool {
    if (is_checked) return false;
    return seenAtRest(view, listDiffers);
}

/// The bytes that slots claim do not add up to the pool's sum.
pub fn committedSumIsWrong(view: *const View) bool {
    return seenAtRest(view, committedDiffers);
}

fn seenAtRest(view: *const View, comptime differs: fn (*const View) bool) bool {
    for (0..looks_max) |_| {
        const before = restingAt(view);
        if (!differs(view)) return false;
        if (before != null and before == restingAt(view)) return true;
        system.clock.relax();
    }
    return false;
}

/// A number that changes with every operation of anybody; null while one is under way.
pub fn restingAt(view: *const View) ?u64 {
    var sum: u64 = @bitCast(Head.load(&view.header.hot.free_head, .acquire));
    for (view.rows[0..view.rowsUsed()]) |*row| {
        const busy = atomic.load(u64, &row.busy, .acquire);
        if (busy & 1 != 0 and participant_file.isLive(row)) return null;
        sum +%= busy;
    }
    return sum;
}

/// A free slot was seen while the pool rested at `resting`. True: the list was empty.
pub fn fellOffList(view: *const View, resting: u64) bool {
    if (is_checked) return false;
    const head = Head.load(&view.header.hot.free_head, .acquire);
    return head.index == words.index_nil and restingAt(view) == resting;
}

fn isListed(slot: *const layout.Slot) bool {
    const control = Control.load(&slot.control, .monotonic);
    return control.state == .free or (control.state == .maintained and !control.isSetAside());
}

fn listDiffers(view: *const View) bool {
    const capacity = view.geometry.capacity;
    var free_count: u32 = 0;
    for (view.slots[0..capacity]) |*slot| {
        if (isListed(slot)) free_count += 1;
    }
    var index: u32 = Head.load(&view.header.hot.free_head, .acquire).index;
    var length: u32 = 0;
    while (index != words.index_nil) : (length += 1) {
        // As many as there are slots, and still no end: it runs in a circle.
        if (index >= capacity or length == capacity) return true;
        const slot = &view.slots[index];
        if (!isListed(slot)) return true;
        index = atomic.load(u32, &slot.next_free, .monotonic);
    }
    return length != free_count;
}

fn committedDiffers(view: *const View) bool {
    var sum: u64 = 0;
    for (view.slots[0..view.geometry.capacity]) |*slot| {
        const committed = atomic.load(u64, &slot.committed, .monotonic);
        if (committed > view.geometry.stride) return true;
        sum += committed;
    }
    return sum != atomic.load(u64, &view.header.repair.committed_bytes, .monotonic);
}

/// How many slots a part of the check takes in.
const slots_per_part = 16 * 1024;

/// The same as `committedSumIsWrong`, for acquires that the sum refuses: a part at a time, which
/// together count where nothing changed meanwhile, and nothing again before something changes.
pub fn committedSumIsFoundWrong(view: *const View, audit: *participant_file.Audit) bool {
    if (is_checked) return false;
    const key = work.memoryKey(view) orelse return false;
    if (key == audit.clean_key) return false;
    if (key != audit.key) audit.* = .{ .key = key };
    const last = @min(audit.cursor +| slots_per_part, view.geometry.capacity);
    for (view.slots[audit.cursor..last]) |*slot| {
        const committed = atomic.load(u64, &slot.committed, .monotonic);
        if (committed > view.geometry.stride) return true;
        audit.sum += committed;
    }
    audit.cursor = last;
    const total = atomic.load(u64, &view.header.repair.committed_bytes, .monotonic);
    if (work.memoryKey(view) != key) {
        audit.* = .{};
        return false;
    }
    if (last < view.geometry.capacity) return false;
    const wrong = audit.sum != total;
    audit.* = .{ .clean_key = if (wrong) 0 else key };
    return wrong;
}

const testing = std.testing;
const acquire_file = @import("acquire.zig");
const errors = @import("errors.zig");
const pool_file = @import("pool.zig");
const recovery = @import("recovery.zig");
const references = @import("references.zig");
const thaw = @import("thaw.zig");

/// A pool in shared memory for one test, which damages it.
const Bench = struct {
    pool: *pool_file.Pool,
    name: [:0]const u8,

    const dir = "/dev/shm";
    var name_buffer: [64]u8 = undefined;

    fn open(capacity: u32, max_committed: ?u64) !Bench {
        var options: pool_file.Options = @splat(-1);
        options[@intFromEnum(pool_file.Option.CAPACITY)] = @floatFromInt(capacity);
        options[@intFromEnum(pool_file.Option.BUFFER_SIZE)] = 64;
        if (max_committed) |bytes| {
            options[@intFromEnum(pool_file.Option.MAX_COMMITTED)] = @floatFromInt(bytes);
        }
        const pid = std.c.getpid();
        const name = try std.fmt.bufPrintSentinel(&name_buffer, "test.damage.{d}", .{pid}, 0);
        return .{
            .pool = try pool_file.open(.create, dir, name, "", &options),
            .name = name,
        };
    }

    fn close(bench: Bench) void {
        pool_file.close(bench.pool);
        _ = pool_file.unlink(dir, bench.name, -1, 0, -1) catch {};
    }

    fn view(bench: Bench) *View {
        return &bench.pool.participant.view;
    }

    fn acquire(bench: Bench) errors.Error!u64 {
        return acquire_file.acquire(&bench.pool.participant, 64);
    }

    fn reclaim(bench: Bench) !recovery.Report {
        return recovery.runPatiently(bench.view());
    }
};

test "free slots that fell off the list are found when the pool looks empty" {
    const bench = try Bench.open(4, null);
    defer bench.close();
    bench.view().header.hot.free_head = @bitCast(Head{
        .index = words.index_nil,
        .tag = 0,
        .frozen = false,
    });
    for (0..4) |_| _ = try bench.acquire();
    try testing.expectError(error.PoolFull, bench.acquire());
    try testing.expect(!(try bench.reclaim()).ran);
}

test "a list that runs in a circle, or out of the pool, is rebuilt by the acquire that meets it" {
    for ([_]u32{ 0, 2, 4, words.index_nil - 1, std.math.maxInt(u32) }) |next| {
        const bench = try Bench.open(4, null);
        defer bench.close();
        bench.view().slots[2].next_free = next;
        for (0..4) |_| _ = try bench.acquire();
        try testing.expectError(error.PoolFull, bench.acquire());
    }
}

test "free slots that fell off the list do not keep memory from those on it" {
    const bench = try Bench.open(4, 4096);
    defer bench.close();
    const handle = try bench.acquire();
    _ = try references.operate(&bench.pool.participant, .release, handle, 0);
    bench.view().header.hot.free_head = @bitCast(Head{ .index = 2, .tag = 0, .frozen = false });
    _ = try bench.acquire();
}

test "holds in a row that nobody has do not count" {
    const bench = try Bench.open(1, null);
    defer bench.close();
    const view = bench.view();
    view.header.hot.rows_used = 2;
    view.rows[1].joined = 1;
    view.holdRow(1)[0] = 7;
    _ = recovery.run(view, .{ .damaged = true });
    _ = try bench.acquire();
}

test "a flush by nobody does not keep the pool closed" {
    const bench = try Bench.open(1, null);
    defer bench.close();
    for ([_]u13{ 2, 65, std.math.maxInt(u13) }) |flusher| {
        bench.view().header.hot.gate = @bitCast(words.Gate.open.withFlusher(flusher));
        const handle = try bench.acquire();
        _ = try references.operate(&bench.pool.participant, .release, handle, 0);
    }
    const own: u13 = @intCast(bench.pool.participant.index + 1);
    bench.view().header.hot.gate = @bitCast(words.Gate.open.withFlusher(own));
    try testing.expectError(error.PoolFlushing, bench.acquire());
}

test "a wrong sum of committed bytes, or a claim beyond the slot, is not out of memory for ever" {
    const bench = try Bench.open(2, 8192);
    defer bench.close();
    bench.view().header.repair.committed_bytes = 1 << 40;
    const first = try bench.acquire();
    bench.view().slots[@as(words.Handle, @bitCast(first)).index].committed = 1 << 50;
    _ = try bench.reclaim();
    _ = try bench.acquire();
    try testing.expectEqual(@as(u64, 4096), bench.view().header.repair.committed_bytes);
}

test "`still` under a head that is not frozen does not let a recovery skip its waits" {
    const bench = try Bench.open(2, null);
    defer bench.close();
    const participant = &bench.pool.participant;
    bench.view().header.repair.still = 1;
    const bracket = participant.enter();
    try testing.expect(recovery.run(bench.view(), .{ .damaged = true }).deferred);
    bracket.leave();
    const report = recovery.run(bench.view(), .{ .damaged = true, .forced = true });
    try testing.expect(report.ran and !report.deferred);
}

test "more lost references than 32 bits count are not a wrapped number" {
    const bench = try Bench.open(65_538, null);
    defer bench.close();
    const view = bench.view();
    view.header.hot.rows_used = 2;
    view.rows[1].joined = 1;
    view.rows[1].abandoned = 1;
    @memset(view.holdRow(1)[0..65_538], std.math.maxInt(u16));
    const report = try bench.reclaim();
    try testing.expectEqual(@as(u32, std.math.maxInt(u32)), report.references);
}

test "a frozen word ends in POOL_BUSY while somebody keeps the recovery mutex" {
    const bench = try Bench.open(1, null);
    defer bench.close();
    const handle = try bench.acquire();
    const Keeper = struct {
        view: *View,
        word: u32 = 0,

        fn run(keeper: *@This()) void {
            _ = keeper.view.header.repair.mutex.tryLock();
            @atomicStore(u32, &keeper.word, 1, .seq_cst);
            while (@atomicLoad(u32, &keeper.word, .seq_cst) == 1) system.clock.relax();
            keeper.view.header.repair.mutex.unlock();
        }
    };
    var keeper: Keeper = .{ .view = bench.view() };
    const thread = try std.Thread.spawn(.{}, Keeper.run, .{&keeper});
    while (@atomicLoad(u32, &keeper.word, .seq_cst) == 0) system.clock.relax();
    var frozen = Control.load(&bench.view().slots[0].control, .seq_cst);
    frozen.frozen = true;
    Control.store(&bench.view().slots[0].control, frozen, .seq_cst);
    var patience: thaw.Patience = .{
        .until_ns = system.clock.monotonicNs() + 20 * std.time.ns_per_ms,
    };
    const participant = &bench.pool.participant;
    const result = references.operateWithin(participant, .get, handle, 0, &patience);
    @atomicStore(u32, &keeper.word, 2, .seq_cst);
    thread.join();
    try testing.expectError(error.PoolBusy, result);
    // Nobody keeps it now, and the damage is mended in passing.
    _ = try references.operate(participant, .get, handle, 0);
}
