//! Damage in the control area of a whole pool, and how each operation treats it: the tests of
//! `protocol/recovery/damage.zig`, which need a pool that is open.

const std = @import("std");
const testing = std.testing;
const system = @import("../system/door.zig");
const words = @import("../format/words.zig");
const Control = words.Control;
const Head = words.Head;
const acquire_file = @import("../protocol/pool/acquire.zig");
const closing = @import("closing.zig");
const errors = @import("../errors.zig");
const open_pool = @import("open_pool.zig");
const opening = @import("opening.zig");
const options_file = @import("options.zig");
const pool_name = @import("pool_name.zig");
const recovery = @import("../protocol/recovery/recovery.zig");
const references = @import("../protocol/pool/references.zig");
const thaw = @import("../protocol/recovery/thaw.zig");
const View = @import("../protocol/participant.zig").View;

/// A pool in shared memory for one test, which damages it.
const Bench = struct {
    pool: *open_pool.Pool,
    name: [:0]const u8,

    const dir = "/dev/shm";
    var name_buffer: [64]u8 = undefined;

    fn open(capacity: u32, max_committed: ?u64) !Bench {
        var options: options_file.Options = @splat(-1);
        options[@intFromEnum(options_file.Option.CAPACITY)] = @floatFromInt(capacity);
        options[@intFromEnum(options_file.Option.BUFFER_SIZE)] = 64;
        if (max_committed) |bytes| {
            options[@intFromEnum(options_file.Option.MAX_COMMITTED)] = @floatFromInt(bytes);
        }
        const pid = std.c.getpid();
        const name = try std.fmt.bufPrintSentinel(&name_buffer, "test.damage.{d}", .{pid}, 0);
        return .{
            .pool = try opening.open(.create, dir, name, "", &options),
            .name = name,
        };
    }

    fn close(bench: Bench) void {
        closing.close(bench.pool);
        _ = pool_name.unlink(dir, bench.name, -1, 0, -1) catch {};
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

test "a slot marked as maintained that nobody works on is found" {
    for ([_]u16{ 0, 1, 2 }) |count| {
        const bench = try Bench.open(1, null);
        defer bench.close();
        var marked = Control.load(&bench.view().slots[0].control, .seq_cst);
        marked.state = .maintained;
        marked.in_flight = 512;
        marked.references = count;
        Control.store(&bench.view().slots[0].control, marked, .seq_cst);
        bench.view().header.hot.free_head = @bitCast(Head{
            .index = words.index_nil,
            .tag = 0,
            .frozen = false,
        });
        _ = try bench.acquire();
    }
}

test "an acquire rebuilds a list that runs in a circle or out of the pool" {
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

test "a count of lost references beyond 32 bits does not wrap" {
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
