//! One case of the corruption fuzzer: a small pool, some of its life, damage, every operation, and
//! at the end a recovery after which the pool has to work again or say that it is corrupt. All
//! that is random follows from the seed and the case's number, but for the interleaving of a
//! companion's work.

const std = @import("std");
const c = @import("core").abi.bun;
const channel_file = @import("channel_fuzz.zig");
const constants = @import("core").abi.constants;
const corruption_file = @import("corruption_fuzz.zig");
const descriptor = @import("core").process.descriptor;
const errors = @import("core").errors;
const geometry_file = @import("core").format.geometry;
const layout = @import("core").format.layout;
const operation_file = @import("operation_fuzz.zig");
const options_file = @import("core").process.options;
const statistics = @import("core").protocol.statistics;
const system = @import("core").system.door;

const Corruption = corruption_file.Corruption;
const User = operation_file.User;
const fail = operation_file.fail;

extern "c" fn fork() std.c.pid_t;

pub const dir = "/dev/shm";

pub const Context = struct {
    seed: u64,
    number: u64,
    verbose: bool,
    progress: *operation_file.Progress,
};

pub fn run(context: Context) void {
    // The generator mixes the two by itself.
    const mixed = context.seed *% 0x9e37_79b9_7f4a_7c15 +% context.number;
    var generator: std.Random.DefaultPrng = .init(mixed);
    var name_buffer: [64]u8 = undefined;
    const name = std.fmt.bufPrintSentinel(
        &name_buffer,
        "fuzz.{d}.{d}",
        .{ std.c.getpid(), context.number },
        0,
    ) catch unreachable;
    var case: Case = .{
        .context = context,
        .random = generator.random(),
        .name = name,
    };
    case.run();
}

const Case = struct {
    context: Context,
    random: std.Random,
    name: [:0]const u8,
    asked: geometry_file.Options = undefined,
    geometry: geometry_file.Geometry = undefined,
    user: User = undefined,
    corruption: Corruption = undefined,
    fd: c_int = -1,
    original: layout.Identity = undefined,

    fn run(case: *Case) void {
        case.choose();
        var options = case.optionArray();
        if (case.random.boolean()) options[@intFromEnum(options_file.Option.LOCAL_CACHE)] = 3;
        const hole = Hole.make(case.geometry.total_size);
        const pool = c.xmem_bun_open(0, dir, case.name, "fuzz", &options);
        if (pool < 0) fail("no pool to begin with: {d}", .{pool});
        case.user = case.userOf(@intCast(pool));
        if (hole.surrounds(case.user.data - case.geometry.data_offset)) {
            case.context.progress.guarded += 1;
        }
        case.openCorruption();
        case.liveThenDamaged();
        const closed_too = case.random.uintLessThan(u32, 3) == 0;
        if (closed_too) case.closedThenDamaged() else case.close();
        const began_ns = case.user.begin(.close);
        if (c.xmem_bun_unlink(dir, case.name, -1, 0, -1) < 0) fail("unlink failed", .{});
        case.user.end(.close, began_ns);
        _ = std.c.munmap(@ptrCast(case.corruption.bytes.ptr), case.corruption.bytes.len);
        _ = std.c.close(case.fd);
        std.heap.c_allocator.free(case.corruption.earlier);
        hole.close();
    }

    fn pick(case: *Case, comptime T: type, list: []const T) T {
        return list[case.random.uintLessThan(usize, list.len)];
    }

    fn choose(case: *Case) void {
        case.asked = .{
            .capacity = case.pick(u32, &.{ 1, 2, 3, 4, 5, 8, 16, 33, 64 }),
            .buffer_size = case.pick(u32, &.{ 1, 100, 4096, 5000 }),
            .participant_count = case.pick(u32, &.{ 2, 3, 4, 8 }),
            .channel_count = case.pick(u32, &.{ 0, 1, 1, 2 }),
            .lease_timeout_ms = case.pick(u32, &.{ 0, 1, 30_000 }),
            .max_committed = case.pick(u64, &.{ 0, 0, 8192, 65_536 }),
            .zero_on_release = case.random.boolean(),
            .ephemeral = case.random.uintLessThan(u32, 16) == 0,
        };
        const page_size: u32 = @intCast(system.memory.pageSize());
        case.geometry = geometry_file.compute(case.asked, page_size) catch unreachable;
        if (case.context.verbose) std.debug.print("  {}\n", .{case.asked});
    }

    fn optionArray(case: *const Case) options_file.Options {
        var options: options_file.Options = @splat(-1);
        const asked = case.asked;
        options[@intFromEnum(options_file.Option.CAPACITY)] = @floatFromInt(asked.capacity);
        options[@intFromEnum(options_file.Option.BUFFER_SIZE)] = @floatFromInt(asked.buffer_size);
        options[@intFromEnum(options_file.Option.MAX_PARTICIPANTS)] =
            @floatFromInt(asked.participant_count);
        options[@intFromEnum(options_file.Option.CHANNELS)] = @floatFromInt(asked.channel_count);
        options[@intFromEnum(options_file.Option.LEASE_TIMEOUT)] =
            @floatFromInt(asked.lease_timeout_ms);
        options[@intFromEnum(options_file.Option.MAX_COMMITTED)] =
            @floatFromInt(asked.max_committed);
        options[@intFromEnum(options_file.Option.ZERO_ON_RELEASE)] =
            @floatFromInt(@intFromBool(asked.zero_on_release));
        options[@intFromEnum(options_file.Option.EPHEMERAL)] =
            @floatFromInt(@intFromBool(asked.ephemeral));
        return options;
    }

    fn userOf(case: *Case, pool: u32) User {
        const progress = case.context.progress;
        var user: User = .init(pool, dir, case.name, case.random, progress, true);
        user.verbose = case.context.verbose;
        return user;
    }

    fn openCorruption(case: *Case) void {
        var path: [128]u8 = undefined;
        const text = std.fmt.bufPrintSentinel(&path, dir ++ "/xmem.{s}", .{case.name}, 0) catch
            unreachable;
        case.fd = std.c.open(text, .{ .ACCMODE = .RDWR, .CLOEXEC = true });
        if (case.fd < 0) fail("no object to damage", .{});
        const length = case.geometry.data_offset;
        const base = system.memory.map(case.fd, length, true) catch
            fail("no mapping to damage through", .{});
        case.corruption = .{
            .bytes = base[0..length],
            .geometry = case.geometry,
            .random = case.random,
            .verbose = case.context.verbose,
            .earlier = std.heap.c_allocator.alloc(u8, case.geometry.hold_rows_offset) catch
                fail("no memory", .{}),
        };
        case.corruption.remember();
        case.original = identityOf(case.corruption.bytes);
    }

    fn liveThenDamaged(case: *Case) void {
        var companion: Companion = .{ .case = case, .seed = case.random.int(u64) };
        companion.start(case.pick(Companion.Kind, &.{
            .none, .none, .none, .none,  .none,   .none,
            .none, .none, .idle, .ended, .killed, .working,
        }));
        case.user.someOperations(12);
        if (case.random.boolean()) case.corruption.remember();
        case.user.someOperations(6);
        for (0..1 + case.random.uintLessThan(u32, 3)) |_| {
            case.corruption.someWrites(true);
            case.user.someOperations(12);
        }
        companion.stop();
        case.verify();
    }

    /// After everybody has left: the identity too is damaged before the next open reads it.
    fn closedThenDamaged(case: *Case) void {
        case.close();
        if (case.random.boolean()) {
            case.corruption.someWrites(true);
        } else for (0..1 + case.random.uintLessThan(u32, 3)) |_| {
            case.corruption.identityWrite();
        }
        const must_refuse = differs(case.original, identityOf(case.corruption.bytes));
        const how: options_file.How = if (case.random.boolean()) .open else .open_or_create;
        var options: options_file.Options = @splat(-1);
        const replace = how == .open_or_create and case.random.boolean();
        if (replace) {
            options = case.optionArray();
            options[@intFromEnum(options_file.Option.REPLACE_ABANDONED)] = 1;
        }
        const began_ns = case.user.begin(.open);
        const opened = c.xmem_bun_open(@intFromEnum(how), dir, case.name, "again", &options);
        case.user.end(.open, began_ns);
        if (opened < 0) return case.checkRefusal(@enumFromInt(-opened));
        const pool: u32 = @intCast(opened);
        const same = isSame(pool, case.fd);
        if (same and must_refuse) fail("a pool with a changed header was opened", .{});
        if (!same) {
            // Made anew, since the old one was abandoned or taken away.
            c.xmem_bun_close(pool);
            return;
        }
        case.user = case.userOf(pool);
        case.user.someOperations(20);
        case.verify();
        case.close();
    }

    fn checkRefusal(case: *Case, code: errors.Code) void {
        switch (code) {
            .POOL_CORRUPT, .VERSION_MISMATCH, .POOL_NOT_FOUND, .OPTIONS_MISMATCH => {},
            // Damaged rows look like those of the dead, and a damaged time puts recovery off: for
            // a second at most.
            .TOO_MANY_PARTICIPANTS => {},
            else => fail("opening it: {s}", .{@tagName(code)}),
        }
        case.context.progress.refused += 1;
    }

    fn close(case: *Case) void {
        const began_ns = case.user.begin(.close);
        c.xmem_bun_close(case.user.pool);
        case.user.end(.close, began_ns);
        case.user.held_count = 0;
        case.user.opened.count = 0;
    }

    /// Now nobody else has the pool, and nothing more is damaged. All holds are given back and a
    /// recovery runs; then the pool has to work again, or to say that it is corrupt.
    fn verify(case: *Case) void {
        const user = &case.user;
        const began_ns = user.begin(.verify);
        defer user.end(.verify, began_ns);
        while (user.drop()) |handle| c.xmem_bun_release(user.pool, handle);
        channel_file.leaveAll(user);
        _ = c.xmem_bun_flush(user.pool, 0);
        var report: [constants.reclaim_count]f64 = undefined;
        var code: errors.Code = .POOL_FULL;
        for (0..3) |_| {
            const status = c.xmem_bun_reclaim(user.pool, &report);
            if (status < 0) fail("reclaim: {s}", .{operation_file.codeName(@floatFromInt(status))});
            if (report[3] == 0) break;
            // A damaged `busy` of this very thread: its next operation sets it right.
            const handle = c.xmem_bun_acquire(user.pool, 1);
            if (handle >= 0) c.xmem_bun_release(user.pool, handle);
        } else fail("recovery is deferred though nobody is there", .{});
        // The second try is after an operation of this thread, whose row may have been damaged.
        for (0..2) |again| {
            // Not after the last try, since a lease that ends just then would free what was
            // missing.
            if (again > 0) _ = c.xmem_bun_reclaim(user.pool, &report);
            const handle = c.xmem_bun_acquire(user.pool, 1);
            if (handle >= 0) {
                user.keep(handle);
                user.touch();
                c.xmem_bun_release(user.pool, user.drop().?);
                case.context.progress.usable += 1;
                return;
            }
            code = @enumFromInt(@as(i32, @intFromFloat(-handle)));
        }
        case.explain(code);
    }

    /// By the bound that this mapping knows, which may have been read from a damaged header.
    fn mayLackMemory(case: *const Case, free: f64) bool {
        const mapping = descriptor.poolOf(case.user.pool).mapping orelse return false;
        const bound = mapping.identity.max_committed;
        if (bound == 0) return false;
        // Buffers that damaged counts keep in use may have all the memory that maxCommitted allows.
        const capacity: f64 = @floatFromInt(case.asked.capacity);
        return bound < case.geometry.page_size or free < capacity;
    }

    fn explain(case: *Case, code: errors.Code) void {
        var values: [statistics.stat_count]f64 = undefined;
        _ = c.xmem_bun_stats(case.user.pool, &values);
        const free = values[@intFromEnum(statistics.Stat.FREE)];
        switch (code) {
            .POOL_CORRUPT => case.context.progress.still_corrupt += 1,
            .OUT_OF_MEMORY => if (!case.mayLackMemory(free))
                fail("OUT_OF_MEMORY with {d} free after a recovery", .{free}),
            .POOL_FULL => if (free != 0) fail("POOL_FULL with {d} free after a recovery", .{free}),
            else => fail("{s} after a recovery", .{@tagName(code)}),
        }
    }
};

fn identityOf(bytes: []align(4096) const u8) layout.Identity {
    return std.mem.bytesToValue(layout.Identity, bytes[0..@sizeOf(layout.Identity)]);
}

/// Whether they differ in a number from which the sections' places follow, or in the format.
fn differs(a: layout.Identity, b: layout.Identity) bool {
    inline for (.{
        "magic",            "version",         "libc_kind",           "layout_hash",
        "stride",           "total_size",      "participants_offset", "slots_offset",
        "hold_rows_offset", "hold_row_stride", "channels_offset",     "channel_stride",
        "data_offset",      "capacity",        "participant_count",   "channel_count",
        "page_size",
    }) |field| {
        if (@field(a, field) != @field(b, field)) return true;
    }
    return false;
}

fn isSame(pool: u32, fd: c_int) bool {
    const mapping = descriptor.poolOf(pool).mapping orelse return false;
    const found = @import("core").system.object.stat(fd) catch return false;
    return found.identity.equals(mapping.object.identity);
}

/// Memory on both sides of the pool's mapping that nobody may touch, so that an access past either
/// end is a fault and not some other mapping's content.
const Hole = struct {
    base: [*]align(4096) u8,
    length: u64,
    /// Holes that lay before it in the kernel's order, filled until it is done with.
    filled: [fills_max][*]align(4096) u8 = undefined,
    filled_count: u32 = 0,

    const guard_bytes = 1 << 20;
    const fills_max = 64;

    fn make(length: u64) Hole {
        const inner = std.mem.alignForward(u64, length, 4096);
        const base = reserve(inner + 2 * guard_bytes);
        var hole: Hole = .{ .base = base, .length = inner };
        unmap(base + guard_bytes, inner);
        // The next mapping of that length goes into the first hole that it fits, hence into this
        // one when a try of the same length did.
        while (hole.filled_count < fills_max) {
            const probe = reserve(inner);
            if (probe == base + guard_bytes) {
                unmap(probe, inner);
                return hole;
            }
            hole.filled[hole.filled_count] = probe;
            hole.filled_count += 1;
        }
        return hole;
    }

    fn surrounds(hole: *const Hole, mapping: [*]u8) bool {
        return mapping == hole.base + guard_bytes;
    }

    fn close(hole: *const Hole) void {
        unmap(hole.base, guard_bytes);
        unmap(hole.base + guard_bytes + hole.length, guard_bytes);
        for (hole.filled[0..hole.filled_count]) |filled| unmap(filled, hole.length);
    }

    fn reserve(length: u64) [*]align(4096) u8 {
        const flags: std.c.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .NORESERVE = true };
        const base = std.c.mmap(null, length, .{}, flags, -1, 0);
        if (@intFromPtr(base) == std.math.maxInt(usize)) fail("no address space", .{});
        return @ptrCast(@alignCast(base));
    }

    fn unmap(base: [*]u8, length: u64) void {
        system.memory.unmap(@alignCast(base), length);
    }
};

/// Somebody else who has the pool open while it is damaged.
const Companion = struct {
    case: *Case,
    seed: u64,
    kind: Kind = .none,
    thread: ?std.Thread = null,
    child: std.c.pid_t = 0,
    ready: u32 = 0,
    stopping: u32 = 0,

    const Kind = enum {
        none,
        /// Has holds and does nothing.
        idle,
        /// Works while the pool is damaged under it.
        working,
        /// A thread that ended without a close.
        ended,
        /// A process that was killed with holds.
        killed,
        /// Another process, which works while the pool is damaged under it.
        process,
    };

    fn start(companion: *Companion, kind: Kind) void {
        companion.kind = kind;
        if (companion.case.context.verbose) std.debug.print("  companion: {t}\n", .{kind});
        switch (kind) {
            .none => {},
            .killed => companion.spawnKilled(),
            .process => companion.spawnProcess(),
            else => {
                companion.thread = std.Thread.spawn(.{}, main, .{companion}) catch return;
                while (@atomicLoad(u32, &companion.ready, .acquire) == 0) {
                    _ = std.c.sched_yield();
                }
                if (kind == .ended) companion.stop();
            },
        }
    }

    fn stop(companion: *Companion) void {
        const user = &companion.case.user;
        const began_ns = user.begin(.companion);
        companion.stopProcess();
        const thread = companion.thread orelse return;
        @atomicStore(u32, &companion.stopping, 1, .release);
        thread.join();
        companion.thread = null;
        user.end(.companion, began_ns);
    }

    fn main(companion: *Companion) void {
        const case = companion.case;
        var generator: std.Random.DefaultPrng = .init(companion.seed);
        var options: options_file.Options = @splat(-1);
        options[@intFromEnum(options_file.Option.LOCAL_CACHE)] = 2;
        defer @atomicStore(u32, &companion.ready, 1, .release);
        const opened = c.xmem_bun_open(1, dir, case.name, "companion", &options);
        if (opened < 0) return;
        const pool: u32 = @intCast(opened);
        const random = generator.random();
        var user: User = .init(pool, dir, case.name, random, case.context.progress, false);
        user.someOperations(8);
        @atomicStore(u32, &companion.ready, 1, .release);
        if (companion.kind == .ended) return;
        while (@atomicLoad(u32, &companion.stopping, .acquire) == 0) {
            if (companion.kind == .working) user.oneOperation() else _ = std.c.sched_yield();
        }
        c.xmem_bun_close(pool);
    }

    fn spawnKilled(companion: *Companion) void {
        const case = companion.case;
        const child = fork();
        if (child < 0) return;
        if (child == 0) {
            const options: options_file.Options = @splat(-1);
            const opened = c.xmem_bun_open(1, dir, case.name, "killed", &options);
            if (opened < 0) std.c._exit(0);
            const pool: u32 = @intCast(opened);
            var progress: operation_file.Progress = .{};
            var user: User = .init(pool, dir, case.name, case.random, &progress, false);
            for (0..4) |_| user.keep(c.xmem_bun_acquire(pool, 1));
            channel_file.use(&user);
            _ = c.xmem_bun_add_ref(pool, user.seen[0]);
            _ = std.c.kill(std.c.getpid(), .KILL);
        }
        _ = std.c.waitpid(child, null, 0);
    }

    fn spawnProcess(companion: *Companion) void {
        const case = companion.case;
        const progress = case.context.progress;
        @atomicStore(u32, &progress.companion, companion_starting, .release);
        companion.child = fork();
        if (companion.child == 0) companion.work();
        if (companion.child < 0) companion.child = 0;
        if (companion.child == 0) return;
        while (@atomicLoad(u32, &progress.companion, .acquire) == companion_starting) {
            _ = std.c.sched_yield();
        }
    }

    fn work(companion: *Companion) noreturn {
        const case = companion.case;
        // With the fuzzer's own process, however that ends.
        _ = std.os.linux.prctl(
            @intFromEnum(std.os.linux.PR.SET_PDEATHSIG),
            @intFromEnum(std.c.SIG.KILL),
            0,
            0,
            0,
        );
        const word = &case.context.progress.companion;
        var generator: std.Random.DefaultPrng = .init(companion.seed);
        const random = generator.random();
        const options: options_file.Options = @splat(-1);
        const opened = c.xmem_bun_open(1, dir, case.name, "process", &options);
        var own: operation_file.Progress = .{};
        if (opened > 0) {
            const pool: u32 = @intCast(opened);
            var user: User = .init(pool, dir, case.name, random, &own, false);
            user.someOperations(8);
            @atomicStore(u32, word, companion_working, .release);
            while (@atomicLoad(u32, word, .acquire) != companion_stopping) user.oneOperation();
            c.xmem_bun_close(pool);
        }
        @atomicStore(u32, word, companion_working, .release);
        std.c._exit(0);
    }

    fn stopProcess(companion: *Companion) void {
        if (companion.child == 0) return;
        const word = &companion.case.context.progress.companion;
        @atomicStore(u32, word, companion_stopping, .release);
        var status: c_int = 0;
        _ = std.c.waitpid(companion.child, &status, 0);
        companion.child = 0;
        if (status != 0) fail("the companion process ended with {x}", .{status});
    }
};

const companion_starting = 0;
const companion_working = 1;
const companion_stopping = 2;
