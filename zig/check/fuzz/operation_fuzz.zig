//! One thread that uses a pool through the C interface, each operation chosen by a generator and
//! its result checked: a count, a handle of this pool, or one of the public error codes.

const std = @import("std");
const by_handle = @import("by_handle.zig");
const c = @import("core").abi.bun;
const channel_file = @import("channel_fuzz.zig");
const c_file = @import("c_fuzz.zig");
const constants = @import("core").abi.constants;
const deaths = @import("core").protocol.deaths;
const description = @import("core").protocol.pool.content;
const errors = @import("core").errors;
const info_file = @import("core").process.info;
const options_file = @import("core").process.options;
const participant_file = @import("core").protocol.participant;
const statistics = @import("core").protocol.statistics;
const system = @import("core").system.door;

pub const Operation = enum(u32) {
    acquire,
    acquire_at_once,
    acquire_blocking,
    acquire_async,
    release,
    get,
    take,
    share,
    hand_off,
    add_ref,
    unref,
    release_by_hand,
    set_ref_count,
    ref_count,
    try_release,
    release_buffer,
    preallocate,
    trim,
    flush,
    unflush,
    reclaim,
    stats,
    inspect,
    open_again,
    create_over,
    describe,
    touch,
    through_c,
    channels,
    channels_again,
    // Not chosen, but shown where the fuzzer stands.
    open,
    close,
    verify,
    companion,
};
const chosen_count = @intFromEnum(Operation.open);

/// What happened so far, for the parent process to read.
pub const Progress = extern struct {
    case: u64 = 0,
    /// Changes with every operation. If it does not change, the operation hangs.
    step: u64 = 0,
    operation: u32 = 0,
    done: u32 = 0,
    operations: u64 = 0,
    succeeded: u64 = 0,
    refused: u64 = 0,
    usable: u64 = 0,
    still_corrupt: u64 = 0,
    guarded: u64 = 0,
    slowest_ns: u64 = 0,
    slowest_operation: u32 = 0,
    slowest_case: u64 = 0,
    /// Between a case and a companion in another process: starting, working, stopping.
    companion: u32 = 0,
};

/// A result that no damage explains: the child ends, and the parent goes on behind the case.
pub fn fail(comptime format: []const u8, arguments: anytype) noreturn {
    std.debug.print("  " ++ format ++ "\n", arguments);
    std.c._exit(exit_failed);
}
pub const exit_failed = 3;

const held_max = 64;

pub const User = struct {
    /// The pool's descriptor.
    pool: u32,
    dir: [:0]const u8,
    name: [:0]const u8,
    random: std.Random,
    capacity: u32,
    buffer_size: u32,
    data: [*]u8,
    stride: u64,
    progress: *Progress,
    /// A companion's operations do not count: only one thread writes the progress.
    counts: bool,
    verbose: bool = false,
    /// The number of what waits without blocking, and its socket.
    loop: u32 = 0,
    socket: i32 = -1,
    held: [held_max]f64 = undefined,
    held_count: u32 = 0,
    opened: channel_file.Opened = .{},
    /// Handles that were seen once, stale or not.
    seen: [held_max]f64 = @splat(0),

    pub fn init(
        pool: u32,
        dir: [:0]const u8,
        name: [:0]const u8,
        random: std.Random,
        progress: *Progress,
        counts: bool,
    ) User {
        var info: [std.meta.fields(info_file.Info).len]f64 = undefined;
        c.xmem_bun_info(pool, &info);
        const field = struct {
            fn of(values: []const f64, which: info_file.Info) u64 {
                return @intFromFloat(values[@intFromEnum(which)]);
            }
        }.of;
        return .{
            .pool = pool,
            .dir = dir,
            .name = name,
            .random = random,
            .capacity = @intCast(field(&info, .CAPACITY)),
            .buffer_size = @intCast(field(&info, .BUFFER_SIZE)),
            .data = @ptrFromInt(field(&info, .DATA_ADDRESS)),
            .stride = field(&info, .STRIDE),
            .progress = progress,
            .counts = counts,
        };
    }

    pub fn begin(user: *User, operation: Operation) u64 {
        if (user.verbose) std.debug.print("    {s}\n", .{@tagName(operation)});
        if (!user.counts) return 0;
        const progress = user.progress;
        @atomicStore(u32, &progress.operation, @intFromEnum(operation), .monotonic);
        _ = @atomicRmw(u64, &progress.step, .Add, 1, .monotonic);
        return system.clock.monotonicNs();
    }

    pub fn end(user: *User, operation: Operation, began_ns: u64) void {
        if (!user.counts) return;
        const progress = user.progress;
        progress.operations += 1;
        const took_ns = system.clock.monotonicNs() - began_ns;
        if (took_ns <= progress.slowest_ns) return;
        progress.slowest_ns = took_ns;
        progress.slowest_operation = @intFromEnum(operation);
        progress.slowest_case = progress.case;
    }

    pub fn someOperations(user: *User, most: u32) void {
        for (0..1 + user.random.uintLessThan(u32, most)) |_| user.oneOperation();
    }

    pub fn oneOperation(user: *User) void {
        const operation: Operation = switch (user.random.uintLessThan(u32, 4)) {
            0 => .acquire,
            1 => if (user.random.boolean()) .release else .describe,
            else => @enumFromInt(user.random.uintLessThan(u32, chosen_count)),
        };
        const began_ns = user.begin(operation);
        user.run(operation);
        user.end(operation, began_ns);
    }

    fn run(user: *User, operation: Operation) void {
        const pool = user.pool;
        switch (operation) {
            .acquire => user.keep(c.xmem_bun_acquire(pool, @floatFromInt(user.size()))),
            .acquire_at_once => user.acquireAtOnce(),
            .acquire_blocking => user.acquireBlocking(),
            .acquire_async => user.acquireAsync(),
            .release => if (user.drop()) |handle| c.xmem_bun_release(pool, handle),
            .get => user.keep(by_handle.get(pool, user.ref())),
            .take => user.keep(by_handle.take(pool, user.ref())),
            .share => user.checkStatus(by_handle.share(pool, user.own())),
            .hand_off => user.handOff(),
            .add_ref => user.checkCount(c.xmem_bun_add_ref(pool, user.ref())),
            .unref => user.checkCount(c.xmem_bun_unref(pool, user.ref())),
            .release_by_hand => user.checkCount(c.xmem_bun_release_by_hand(pool, user.ref())),
            .set_ref_count => user.checkCount(
                c.xmem_bun_set_ref_count(pool, user.ref(), user.random.uintLessThan(u32, 4)),
            ),
            .ref_count => user.checkCount(c.xmem_bun_ref_count(pool, user.ref())),
            .try_release => user.checkStatus(c.xmem_bun_try_release(pool, user.ref())),
            .release_buffer => user.checkStatus(c.xmem_bun_release_buffer(pool, user.ref())),
            .preallocate => user.checkBytes(
                c.xmem_bun_preallocate(pool, user.size(), user.random.uintLessThan(u32, 8)),
            ),
            .trim => user.checkBytes(c.xmem_bun_trim(pool)),
            .flush => user.checkStatus(c.xmem_bun_flush(pool, @intFromBool(user.random.boolean()))),
            .unflush => user.checkStatus(c.xmem_bun_flush(pool, 0)),
            .reclaim => {
                var report: [constants.reclaim_count]f64 = undefined;
                user.checkStatus(c.xmem_bun_reclaim(pool, &report));
            },
            .stats => user.look(pool),
            .inspect => user.inspect(),
            .open_again => user.openAgain(),
            .create_over => user.createOver(),
            .describe => user.describe(),
            .touch => user.touch(),
            .through_c => c_file.use(user),
            .channels, .channels_again => channel_file.use(user),
            else => unreachable,
        }
    }

    pub fn size(user: *User) u32 {
        return switch (user.random.uintLessThan(u32, 8)) {
            0 => 0,
            1 => user.buffer_size,
            2 => user.buffer_size + 1,
            else => user.random.uintLessThan(u32, user.buffer_size) + 1,
        };
    }

    /// A handle that is held, one that was seen, or a bare index, in range or not.
    pub fn ref(user: *User) f64 {
        return switch (user.random.uintLessThan(u32, 8)) {
            0 => @floatFromInt(user.random.uintLessThan(u32, user.capacity + 2)),
            1, 2, 3 => user.seen[user.random.uintLessThan(u32, held_max)],
            4 => @floatFromInt(user.random.uintLessThan(u64, 1 << 53)),
            else => user.own(),
        };
    }

    fn own(user: *User) f64 {
        if (user.held_count == 0) return user.seen[0];
        return user.held[user.random.uintLessThan(u32, user.held_count)];
    }

    pub fn drop(user: *User) ?f64 {
        if (user.held_count == 0) return null;
        const place = user.random.uintLessThan(u32, user.held_count);
        const handle = user.held[place];
        user.held_count -= 1;
        user.held[place] = user.held[user.held_count];
        return handle;
    }

    /// A handle, or an error.
    pub fn keep(user: *User, handle: f64) void {
        if (handle < 0) return user.refused(handle);
        user.succeeded();
        const index = indexOf(handle);
        if (!(handle < 1 << 53)) fail("a handle of {d}", .{handle});
        if (index >= user.capacity) fail("a handle of slot {d} of {d}", .{ index, user.capacity });
        user.seen[index % held_max] = handle;
        if (user.held_count == held_max) return c.xmem_bun_release(user.pool, handle);
        user.held[user.held_count] = handle;
        user.held_count += 1;
    }

    fn succeeded(user: *User) void {
        if (user.counts) user.progress.succeeded += 1;
    }

    fn refused(user: *User, negative: f64) void {
        if (!(negative < 0 and negative > -@as(f64, errors.internal_min))) {
            fail("an error of {d}, which is no public code", .{negative});
        }
        if (user.verbose) std.debug.print("      {s}\n", .{codeName(negative)});
        if (user.counts) user.progress.refused += 1;
    }

    pub fn checkStatus(user: *User, status: i32) void {
        if (status < 0) return user.refused(@floatFromInt(status));
        user.succeeded();
    }

    fn checkCount(user: *User, count: f64) void {
        if (count < 0) return user.refused(count);
        if (!(count <= 65535)) fail("a count of {d}", .{count});
        user.succeeded();
    }

    fn checkBytes(user: *User, bytes: f64) void {
        if (bytes < 0) return user.refused(bytes);
        const most = @as(f64, @floatFromInt(user.stride)) * @as(f64, @floatFromInt(user.capacity));
        if (!(bytes <= most)) fail("{d} bytes of a pool of {d}", .{ bytes, most });
        user.succeeded();
    }

    fn acquireBlocking(user: *User) void {
        const timeout_ms: f64 = @floatFromInt(user.random.uintLessThan(u32, 3));
        const deadline_ms = c.xmem_bun_now() + timeout_ms;
        const length = user.size();
        while (true) {
            const handle = c.xmem_bun_acquire_blocking(user.pool, length, deadline_ms);
            if (handle != -@as(f64, @intFromEnum(errors.Code.PENDING))) return user.keep(handle);
            if (c.xmem_bun_now() > deadline_ms + 9000) fail("a wait overshot by 9 s", .{});
        }
    }

    /// The event loop gets PENDING while a pool is being recovered, and COMMIT_LIMIT if its memory
    /// is used up.
    fn acquireAtOnce(user: *User) void {
        const waited_ms: f64 = @floatFromInt(user.random.uintLessThan(u32, 400));
        const handle = c.xmem_bun_acquire_at_once(user.pool, user.size(), waited_ms);
        for ([_]errors.Code{ .PENDING, .COMMIT_LIMIT }) |code| {
            if (handle == -@as(f64, @intFromEnum(code))) return;
        }
        user.keep(handle);
    }

    /// The event loop's end of the socket: a loop that is gone has left its own open.
    pub fn signals(user: *User, loop: u32) i32 {
        if (loop == user.loop) return user.socket;
        if (user.socket >= 0) _ = std.c.close(user.socket);
        user.loop = loop;
        user.socket = c.xmem_bun_loop_socket(loop);
        return user.socket;
    }

    /// What the event loop does, without a loop: arm, try, wait for the signal or not, disarm.
    fn acquireAsync(user: *User) void {
        // Each open of a waiter is a thread; a few of them are enough.
        if (user.random.uintLessThan(u32, 8) != 0) return;
        const loop = c.xmem_bun_async_open(user.pool, user.loop, 0);
        if (loop < 0) return user.refused(@floatFromInt(loop));
        const socket = user.signals(@intCast(loop));
        const armed = c.xmem_bun_async_arm(user.pool, c.xmem_bun_now());
        if (armed != -@intFromEnum(errors.Code.PENDING)) user.checkStatus(armed);
        user.acquireAtOnce();
        var bytes: [8]u8 = undefined;
        _ = std.c.read(socket, &bytes, bytes.len);
        var tags: [1]u32 = undefined;
        _ = c.xmem_bun_loop_signalled(user.loop, &tags, tags.len);
        c.xmem_bun_async_disarm(user.pool, @intFromBool(user.random.boolean()));
        if (user.random.boolean()) c.xmem_bun_async_timed_out(user.pool);
    }

    fn handOff(user: *User) void {
        const handle = user.drop() orelse return;
        const status = by_handle.handOff(user.pool, handle);
        user.checkStatus(status);
        if (status < 0) c.xmem_bun_release(user.pool, handle);
    }

    pub fn look(user: *User, pool: u32) void {
        var values: [statistics.stat_count]f64 = undefined;
        user.checkStatus(c.xmem_bun_stats(pool, &values));
        const free = values[@intFromEnum(statistics.Stat.FREE)];
        const used = values[@intFromEnum(statistics.Stat.USED)];
        // Not always this user's pool: a damaged header can have had the name given to a new one.
        const capacity = values[@intFromEnum(statistics.Stat.CAPACITY)];
        if (free + used != capacity) fail("{d} + {d} of {d} slots", .{ free, used, capacity });
        const rows_max = 8;
        var numbers: [rows_max * statistics.participant_field_count]f64 = undefined;
        var names: [rows_max * participant_file.name_room]u8 = undefined;
        const rows = c.xmem_bun_participants(pool, &numbers, &names, rows_max);
        if (rows > rows_max) fail("{d} participants", .{rows});
        _ = c.xmem_bun_sums(pool, &values);
        var found: [rows_max * deaths.field_count]f64 = undefined;
        const told = c.xmem_bun_deaths(pool, &found, &names, rows_max);
        if (told > rows_max) fail("{d} rows", .{told});
    }

    fn inspect(user: *User) void {
        const observer = c.xmem_bun_observe(user.dir, user.name, -1, -1);
        if (observer < 0) return user.refused(@floatFromInt(observer));
        user.look(@intCast(observer));
        c.xmem_bun_unobserve(@intCast(observer));
    }

    fn openAgain(user: *User) void {
        const options: options_file.Options = @splat(-1);
        const how: options_file.How = if (user.random.boolean()) .open else .open_or_create;
        const opened = c.xmem_bun_open(@intFromEnum(how), user.dir, user.name, "second", &options);
        if (opened < 0) return user.refused(@floatFromInt(opened));
        const handle = c.xmem_bun_acquire(@intCast(opened), 1);
        if (handle < 0) user.refused(handle) else user.succeeded();
        c.xmem_bun_close(@intCast(opened));
    }

    fn createOver(user: *User) void {
        const options: options_file.Options = @splat(-1);
        const made = c.xmem_bun_open(0, user.dir, user.name, "over", &options);
        // Only where the name is gone, since a damaged header may say that it has to be removed.
        if (made > 0) return c.xmem_bun_close(@intCast(made));
        if (made != -@intFromEnum(errors.Code.POOL_EXISTS)) fail("create over it: {d}", .{made});
        user.refused(@floatFromInt(made));
    }

    fn describe(user: *User) void {
        const pool = user.pool;
        const handle = user.own();
        const random = user.random;
        const number = random.uintLessThan(u32, std.meta.fields(description.Number).len);
        const pair = random.uintLessThan(u32, 2);
        var dims: [8]f64 = undefined;
        var text: [32]u8 = undefined;
        switch (random.uintLessThan(u32, 6)) {
            0 => {
                const value = c.xmem_bun_meta_number(pool, handle, number);
                if (value < 0) return user.refused(value);
                if (!(value <= 1 << 53)) fail("a number of {d}", .{value});
            },
            1 => user.checkStatus(c.xmem_bun_meta_set_number(
                pool,
                handle,
                number,
                @floatFromInt(random.uintLessThan(u32, 11)),
            )),
            2 => {
                const length = c.xmem_bun_meta_dims(pool, handle, pair, &dims);
                if (length > 8) fail("{d} dimensions", .{length});
                user.checkStatus(length);
            },
            3 => {
                const length = random.uintLessThan(u32, 9);
                for (dims[0..length]) |*dim| dim.* = @floatFromInt(random.uintLessThan(u32, 100));
                user.checkStatus(c.xmem_bun_meta_set_dims(pool, handle, pair, &dims, length));
            },
            4 => {
                const length = c.xmem_bun_meta_text(pool, handle, pair, &text);
                if (length > 31) fail("{d} bytes of text", .{length});
                user.checkStatus(length);
            },
            else => {
                random.bytes(&text);
                const length = random.uintLessThan(u32, 32);
                user.checkStatus(c.xmem_bun_meta_set_text(pool, handle, pair, &text, length));
            },
        }
    }

    /// Reads and writes all of a buffer, as long as the pool says that it is.
    pub fn touch(user: *User) void {
        if (user.held_count == 0) return;
        const index = indexOf(user.own());
        const length = c.xmem_bun_size(user.pool, index);
        if (length < 0) return user.refused(length);
        const most: f64 = @floatFromInt(user.buffer_size);
        if (!(length <= most)) fail("a size of {d}", .{length});
        const bytes = user.data[index * user.stride ..][0..@intFromFloat(length)];
        @memset(bytes, @truncate(index));
        user.succeeded();
    }
};

pub fn indexOf(handle: f64) u32 {
    const whole: u64 = @intFromFloat(handle);
    return @intCast(whole & 0xff_ffff);
}

pub fn codeName(negative: f64) []const u8 {
    const code: i32 = @intFromFloat(-negative);
    inline for (std.meta.fields(errors.Code)) |field| {
        if (field.value == code) return field.name;
    }
    return "no code";
}
