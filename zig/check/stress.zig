//! A stress of the core under ThreadSanitizer: threads that open one pool, do everything that a
//! participant can do in a seeded order, and end by closing, without closing, or dead. It calls
//! Bun's form of the interface, as TypeScript does. A buffer's content is plain memory, stamped
//! by its acquirer and compared by every holder, so that ThreadSanitizer sees where the core's
//! atomics do not order one holder after another. The program itself compares what it reads, and
//! counts at the end that every buffer is there once.
//!
//! Handles travel between the threads by monotonic loads and stores, which order nothing: all order
//! that a holder may rely on has to come from the core.

const std = @import("std");
const bun = @import("core").abi.bun;
const by_handle = @import("fuzz/by_handle.zig");
const channel_life = @import("stress_channels.zig");
const deaths = @import("core").protocol.deaths;
const descriptor = @import("core").process.descriptor;
const errors = @import("core").errors;
const options_file = @import("core").process.options;
const participant_file = @import("core").protocol.participant;
const statistics = @import("core").protocol.statistics;
const system = @import("core").system.door;
const testing_os = @import("core").system.testing_os;
const words = @import("core").format.words;

const Code = errors.Code;

/// What names an open pool, see descriptor.zig.
const Descriptor = u32;

extern fn __tsan_release(address: *const anyopaque) void;

/// Of ThreadSanitizer's run-time library. A mutex of a dead thread that recovery makes anew is, to
/// it, one that is still locked, so that the next lock would be reported as misuse of a mutex.
/// Data races, which are what this program is for, are reported all the same.
export fn __tsan_default_options() [*:0]const u8 {
    return "report_mutex_bugs=0:atexit_sleep_ms=0:exitcode=66";
}

const capacity = 16;
const buffer_size = 8192;
const lease_timeout_ms = 25;
const rows = 24;
const sequence_number = 2; // description.Number.SEQUENCE

/// Where threads leave handles for others. Monotonic only, see above.
const mailbox_size = 6;
var mailbox: [mailbox_size]u64 = @splat(0);
var lives_ended: u32 = 0;
var operations_done: u64 = 0;
var succeeded: u64 = 0;
/// How many operations were POOL_BUSY: a recoverer that the scheduler stopped for 2 seconds.
var busy: u64 = 0;
var endings: [3]u32 = @splat(0);

const Ending = enum { close, leave, die };

pub const Hold = struct {
    handle: f64,
    /// No other thread knows of it yet: it may still be written to.
    own: bool,
    /// It is a message of a channel that redelivers, and not another hold of its buffer.
    is_message: bool = false,

    pub fn word(hold: Hold) u64 {
        return @intFromFloat(hold.handle);
    }
};

const Plan = struct {
    seed: u64 = 1,
    threads: u32 = 4,
    lives: u32 = 10,
    operations: u32 = 4000,
    zero_on_release: bool = false,
};

const dir = "/dev/shm";
var name_buffer: [32]u8 = undefined;
var other_name_buffer: [32]u8 = undefined;
var name: [:0]const u8 = "";
var other_name: [:0]const u8 = "";

fn removeNames() void {
    _ = bun.xmem_bun_unlink(dir, name, -1, -1, -1);
    _ = bun.xmem_bun_unlink(dir, other_name, -1, -1, -1);
}

pub fn fail(comptime format: []const u8, arguments: anytype) noreturn {
    removeNames();
    std.debug.print("stress: " ++ format ++ "\n", arguments);
    std.c.exit(1);
}

/// Ends the program unless the call was a success or failed in one of the ways that are expected of
/// it; the number that it returned if it was a success.
pub fn allowed(comptime what: []const u8, value: f64, comptime codes: []const Code) ?f64 {
    if (value >= 0) {
        _ = @atomicRmw(u64, &succeeded, .Add, 1, .monotonic);
        return value;
    }
    const code: i32 = @intFromFloat(-value);
    if (code == @intFromEnum(Code.POOL_BUSY)) {
        _ = @atomicRmw(u64, &busy, .Add, 1, .monotonic);
        return null;
    }
    inline for (codes) |each| if (code == @intFromEnum(each)) return null;
    fail("{s} failed with {d}", .{ what, code });
}

fn opened(result: i32) Descriptor {
    if (result < 0) fail("open failed with {d}", .{result});
    return @intCast(result);
}

fn participantOf(pool: Descriptor) *participant_file.Participant {
    return &descriptor.poolOf(pool).participant;
}

fn poolOptions(plan: *const Plan, ephemeral: bool) options_file.Options {
    var options: options_file.Options = @splat(-1);
    options[@intFromEnum(options_file.Option.CAPACITY)] = capacity;
    options[@intFromEnum(options_file.Option.BUFFER_SIZE)] = buffer_size;
    options[@intFromEnum(options_file.Option.MAX_PARTICIPANTS)] = rows;
    options[@intFromEnum(options_file.Option.LEASE_TIMEOUT)] = lease_timeout_ms;
    const zero = @intFromBool(plan.zero_on_release);
    options[@intFromEnum(options_file.Option.ZERO_ON_RELEASE)] = @floatFromInt(zero);
    options[@intFromEnum(options_file.Option.EPHEMERAL)] = @floatFromInt(@intFromBool(ephemeral));
    return options;
}

/// Every other participant keeps free slots for itself, more or fewer.
fn cacheOptions(life: *Life, options: options_file.Options) options_file.Options {
    var chosen = options;
    const caches = [_]f64{ 0, 0, 1, 4 };
    chosen[@intFromEnum(options_file.Option.LOCAL_CACHE)] = caches[life.below(caches.len)];
    return chosen;
}

/// One thread's life as a participant.
pub const Life = struct {
    plan: *const Plan,
    random: std.Random.DefaultPrng,
    ending: Ending,
    pool: Descriptor = 0,
    held: [4]Hold = undefined,
    held_count: usize = 0,
    /// Of the asynchronous waits, once there was one.
    socket: i32 = -1,
    loop: u32 = 0,
    channels: channel_life.Opened = @splat(null),

    pub fn below(life: *Life, limit: u32) u32 {
        return life.random.random().uintLessThan(u32, limit);
    }

    fn run(life: *Life) void {
        const plan = life.plan;
        const options = cacheOptions(life, poolOptions(plan, false));
        life.pool = opened(bun.xmem_bun_open(1, dir, name, "stress", &options));
        channel_life.openAll(life);
        for (0..plan.operations) |_| {
            life.operate();
            _ = @atomicRmw(u64, &operations_done, .Add, 1, .monotonic);
        }
        life.end();
    }

    fn end(life: *Life) void {
        const pool = life.pool;
        if (life.socket >= 0) _ = std.c.close(life.socket);
        const ending = life.ending;
        _ = @atomicRmw(u32, &endings[@intFromEnum(ending)], .Add, 1, .monotonic);
        if (ending == .close) {
            // Half of the holds are left to the close itself.
            while (life.held_count > 2) life.release(0);
            bun.xmem_bun_close(pool);
        }
        std.heap.c_allocator.destroy(life);
        _ = @atomicRmw(u32, &lives_ended, .Add, 1, .monotonic);
        if (ending == .die) die(pool);
    }

    fn operate(life: *Life) void {
        if (life.below(4) == 0) return channel_life.operate(life);
        switch (life.below(100)) {
            0...19 => life.acquire(),
            20...22 => life.acquireBlocking(),
            23...24 => life.acquireAsync(),
            25...39 => if (life.held_count > 0) life.release(life.below(@intCast(life.held_count))),
            40...47 => life.rewrite(),
            48...55 => life.share(),
            56...59 => life.handOff(),
            60...67 => life.take(),
            68...73 => life.get(),
            74...87 => life.byHand(),
            88 => life.maintain(),
            89 => life.flush(),
            90 => life.reclaim(),
            91...93 => look(life.pool),
            94 => life.openTwice(),
            95 => life.openOther(),
            else => _ = std.c.sched_yield(),
        }
    }

    fn acquire(life: *Life) void {
        if (life.held_count == life.held.len) return life.release(0);
        const size: u32 = ([_]u32{ 64, 4096, 8192 })[life.below(3)];
        const codes = &.{ .POOL_FULL, .POOL_FLUSHING };
        const handle = bun.xmem_bun_acquire(life.pool, @floatFromInt(size));
        life.add(allowed("acquire", handle, codes), size);
    }

    fn acquireBlocking(life: *Life) void {
        if (life.held_count == life.held.len) return life.release(0);
        const deadline_ms = bun.xmem_bun_now() + @as(f64, @floatFromInt(life.below(3)));
        const handle = while (true) {
            const handle = bun.xmem_bun_acquire_blocking(life.pool, 64, deadline_ms);
            if (handle != -@as(f64, @floatFromInt(@intFromEnum(Code.PENDING)))) break handle;
        };
        life.add(allowed("blocking acquire", handle, &.{ .TIMEOUT, .POOL_FLUSHING }), 64);
    }

    /// As the event loop does it: arm, try, sleep until the socket is readable, try, disarm.
    fn acquireAsync(life: *Life) void {
        // The native thread of asynchronous waits would outlive a thread that dies unseen by libc;
        // a process that is killed takes both along.
        if (life.ending == .die) return;
        if (life.held_count == life.held.len) return life.release(0);
        const codes = &.{ .POOL_FULL, .POOL_FLUSHING };
        if (life.socket < 0) {
            const loop = bun.xmem_bun_async_open(life.pool, 0, 1);
            if (loop < 0) fail("async open failed with {d}", .{loop});
            life.loop = @intCast(loop);
            life.socket = bun.xmem_bun_loop_socket(life.loop);
        }
        // PENDING: a recovery is under way, whose end signals.
        const armed: f64 = @floatFromInt(bun.xmem_bun_async_arm(life.pool, 1e300));
        _ = allowed("async arm", armed, &.{.PENDING});
        var handle = allowed("acquire", bun.xmem_bun_acquire(life.pool, 64), codes);
        if (handle == null) {
            var poll: [1]std.c.pollfd = .{.{ .fd = life.socket, .events = 1, .revents = 0 }};
            _ = std.c.poll(&poll, 1, 2);
            var bytes: [64]u8 = undefined;
            if (poll[0].revents & 1 != 0) _ = std.c.read(life.socket, &bytes, bytes.len);
            var tags: [1]u32 = undefined;
            _ = bun.xmem_bun_loop_signalled(life.loop, &tags, tags.len);
            handle = allowed("acquire", bun.xmem_bun_acquire(life.pool, 64), codes);
        }
        bun.xmem_bun_async_disarm(life.pool, @intFromBool(handle == null));
        life.add(handle, 64);
    }

    fn add(life: *Life, acquired: ?f64, size: u32) void {
        const hold: Hold = .{ .handle = acquired orelse return, .own = true };
        if (bun.xmem_bun_size(life.pool, indexOf(hold.word())) != @as(f64, @floatFromInt(size)))
            fail("an acquired buffer has another size", .{});
        if (life.plan.zero_on_release) {
            for (life.content(hold)) |word| if (word != 0) fail("a buffer was not zeroed", .{});
        }
        life.stamp(hold);
        life.keep(hold);
    }

    fn keep(life: *Life, hold: Hold) void {
        life.held[life.held_count] = hold;
        life.held_count += 1;
    }

    /// The buffer's bytes, as 64-bit words: plain memory.
    fn content(life: *Life, hold: Hold) []u64 {
        const index = indexOf(hold.word());
        const size: u32 = @intFromFloat(bun.xmem_bun_size(life.pool, index));
        const bytes = participantOf(life.pool).view.data(index, size);
        return @as([*]u64, @ptrCast(@alignCast(bytes.ptr)))[0 .. size / 8];
    }

    fn stamp(life: *Life, hold: Hold) void {
        const all = life.content(hold);
        for ([_][]u64{ all[0..8], all[all.len - 8 ..] }) |part| {
            for (part, 0..) |*word, place| word.* = hold.word() + place;
        }
        const handle = hold.handle;
        const status = bun.xmem_bun_meta_set_number(life.pool, handle, sequence_number, handle);
        if (status != 0) fail("setting a held buffer's sequence failed with {d}", .{status});
    }

    pub fn check(life: *Life, hold: Hold) void {
        const all = life.content(hold);
        for ([_][]u64{ all[0..8], all[all.len - 8 ..] }) |part| {
            for (part, 0..) |word, place| if (word != hold.word() + place)
                fail("buffer {x} has {x} at {d}", .{ hold.word(), word, place });
        }
        const sequence = bun.xmem_bun_meta_number(life.pool, hold.handle, sequence_number);
        if (sequence != hold.handle) fail("buffer {x} has another sequence", .{hold.word()});
    }

    pub fn release(life: *Life, place: usize) void {
        const hold = life.held[place];
        life.check(hold);
        if (hold.is_message) channel_life.done(life, hold);
        bun.xmem_bun_release(life.pool, hold.handle);
        life.forget(place);
    }

    pub fn forget(life: *Life, place: usize) void {
        life.held_count -= 1;
        life.held[place] = life.held[life.held_count];
    }

    pub fn any(life: *Life) ?*Hold {
        if (life.held_count == 0) return null;
        return &life.held[life.below(@intCast(life.held_count))];
    }

    fn rewrite(life: *Life) void {
        const hold = life.any() orelse return;
        life.check(hold.*);
        if (hold.own) life.stamp(hold.*);
    }

    fn share(life: *Life) void {
        const hold = life.any() orelse return;
        const shared: f64 = @floatFromInt(by_handle.share(life.pool, hold.handle));
        if (allowed("share", shared, &.{}) == null) return;
        hold.own = false;
        life.post(hold.word());
    }

    fn handOff(life: *Life) void {
        const hold = life.any() orelse return;
        life.check(hold.*);
        const word = hold.word();
        const done: f64 = @floatFromInt(if (hold.is_message)
            channel_life.handOff(life, hold.*)
        else
            by_handle.handOff(life.pool, hold.handle));
        if (allowed("handOff", done, &.{}) == null) return;
        life.forget(hold - &life.held[0]);
        life.post(word);
    }

    /// Leaves an in-flight reference to others; what it replaces is dropped, or left to its lease.
    fn post(life: *Life, handle: u64) void {
        const place = &mailbox[life.below(mailbox_size)];
        const before = @atomicRmw(u64, place, .Xchg, handle, .monotonic);
        if (before == 0 or life.below(4) == 0) return;
        const number: f64 = @floatFromInt(before);
        const count = bun.xmem_bun_unref(life.pool, number);
        _ = allowed("unref", count, &.{ .STALE_HANDLE, .NO_REFERENCE });
    }

    fn seen(life: *Life) ?f64 {
        const handle = @atomicLoad(u64, &mailbox[life.below(mailbox_size)], .monotonic);
        return if (handle == 0) null else @floatFromInt(handle);
    }

    fn take(life: *Life) void {
        if (life.held_count == life.held.len) return life.release(0);
        const place = &mailbox[life.below(mailbox_size)];
        const handle = @atomicRmw(u64, place, .Xchg, 0, .monotonic);
        if (handle == 0) return;
        const taken = by_handle.take(life.pool, @floatFromInt(handle));
        life.adopt(allowed("take", taken, &.{ .STALE_HANDLE, .NO_REFERENCE }));
    }

    fn get(life: *Life) void {
        if (life.held_count == life.held.len) return life.release(0);
        const handle = life.seen() orelse return;
        const got = by_handle.get(life.pool, handle);
        life.adopt(allowed("get", got, &.{ .STALE_HANDLE, .NO_REFERENCE }));
    }

    pub fn adopt(life: *Life, handle: ?f64) void {
        const hold: Hold = .{ .handle = handle orelse return, .own = false };
        life.check(hold);
        life.keep(hold);
    }

    /// Bare indexes too, but where a reference is made nobody looks at the content: whoever does
    /// must have been given it after the content was written.
    fn byHand(life: *Life) void {
        const pool = life.pool;
        const bare: f64 = @floatFromInt(life.below(capacity));
        const handle = life.seen() orelse bare;
        const either = if (life.below(4) == 0) bare else handle;
        const gone = &.{ .STALE_HANDLE, .NO_REFERENCE, .BUFFER_NOT_FOUND };
        switch (life.below(7)) {
            0 => if (handle != bare) {
                _ = allowed("addRef", bun.xmem_bun_add_ref(pool, handle), &.{.STALE_HANDLE});
            },
            1 => _ = allowed("unref", bun.xmem_bun_unref(pool, either), gone),
            2 => {
                const count = bun.xmem_bun_release_by_hand(pool, either);
                _ = allowed("release by hand", count, gone);
            },
            3 => {
                const done: f64 = @floatFromInt(bun.xmem_bun_try_release(pool, either));
                _ = allowed("tryRelease", done, &.{.STALE_HANDLE});
            },
            4 => if (handle != bare) {
                const set = bun.xmem_bun_set_ref_count(pool, handle, life.below(4));
                _ = allowed("setRefCount", set, &.{ .STALE_HANDLE, .INVALID_ARGUMENT });
            },
            5 => if (allowed("get", by_handle.get(pool, bare), gone)) |got| {
                bun.xmem_bun_release(pool, got);
            },
            else => {
                const count = bun.xmem_bun_ref_count(pool, either);
                _ = allowed("refCount", count, &.{.STALE_HANDLE});
            },
        }
    }

    fn maintain(life: *Life) void {
        if (life.below(2) == 0) {
            _ = allowed("trim", bun.xmem_bun_trim(life.pool), &.{});
        } else {
            const bytes = bun.xmem_bun_preallocate(life.pool, buffer_size, 1 + life.below(3));
            _ = allowed("preallocate", bytes, &.{});
        }
    }

    fn flush(life: *Life) void {
        if (life.below(4) != 0) return;
        if (bun.xmem_bun_flush(life.pool, 1) != 0) fail("flush failed", .{});
        _ = std.c.sched_yield();
        if (bun.xmem_bun_flush(life.pool, 0) != 0) fail("unflush failed", .{});
    }

    fn reclaim(life: *Life) void {
        var report: [4]f64 = undefined;
        _ = allowed("reclaim", @floatFromInt(bun.xmem_bun_reclaim(life.pool, &report)), &.{});
    }

    /// A second open of this thread, which shares its row.
    fn openTwice(life: *Life) void {
        const plan = life.plan;
        const options = poolOptions(plan, false);
        const second = opened(bun.xmem_bun_open(1, dir, name, "again", &options));
        if (participantOf(second).row != participantOf(life.pool).row)
            fail("two rows for one thread", .{});
        const codes = &.{ .POOL_FULL, .POOL_FLUSHING };
        _ = allowed("acquire", bun.xmem_bun_acquire(second, 64), codes);
        bun.xmem_bun_close(second);
    }

    /// An ephemeral pool that comes and goes: made by who finds none, removed by the last.
    fn openOther(life: *Life) void {
        const plan = life.plan;
        const options = poolOptions(plan, true);
        const pool = opened(bun.xmem_bun_open(2, dir, other_name, "other", &options));
        const codes = &.{ .POOL_FULL, .POOL_FLUSHING };
        _ = allowed("acquire", bun.xmem_bun_acquire(pool, 64), codes);
        if (life.below(2) == 0) look(pool);
        bun.xmem_bun_close(pool);
    }
};

fn indexOf(handle: u64) u32 {
    return @as(words.Handle, @bitCast(handle)).index;
}

fn look(pool: Descriptor) void {
    var values: [statistics.stat_count]f64 = undefined;
    _ = bun.xmem_bun_stats(pool, &values);
    var fields: [rows * statistics.participant_field_count]f64 = undefined;
    var names: [rows * participant_file.name_room]u8 = undefined;
    _ = bun.xmem_bun_participants(pool, &fields, &names, rows);
    _ = bun.xmem_bun_sums(pool, &values);
    var found: [rows * deaths.field_count]f64 = undefined;
    _ = bun.xmem_bun_deaths(pool, &found, &names, rows);
}

/// Ends the calling thread as SIGKILL would: nothing of libc's or of the core's runs, and the
/// kernel marks the thread's robust mutexes. It does so by a fully ordered read-modify-write of
/// each mutex's word, which ThreadSanitizer cannot see: the release stands for it.
fn die(pool: Descriptor) void {
    __tsan_release(&participantOf(pool).row.mutex.storage);
    _ = std.os.linux.syscall1(.exit, 0);
}

fn spawn(plan: *const Plan, number: u32) void {
    const life = std.heap.c_allocator.create(Life) catch fail("out of memory", .{});
    life.* = .{
        .plan = plan,
        .random = .init(plan.seed *% 1_000_003 +% number),
        .ending = @enumFromInt(number % 3),
    };
    const thread = std.Thread.spawn(.{}, Life.run, .{life}) catch |err|
        fail("a thread could not be started: {t}", .{err});
    // Never joined: a join would order the thread before everything that comes later.
    thread.detach();
}

/// Keeps `plan.threads` lives running until all were lived.
fn liveAll(plan: *const Plan, keeper: Descriptor) void {
    const total = plan.threads * plan.lives;
    var started: u32 = 0;
    while (true) {
        const ended = @atomicLoad(u32, &lives_ended, .monotonic);
        if (ended == total) return;
        while (started < total and started - ended < plan.threads) : (started += 1) {
            spawn(plan, started);
        }
        look(keeper);
        testing_os.sleepMs(1);
    }
}

fn stat(pool: Descriptor, which: statistics.Stat) f64 {
    var values: [statistics.stat_count]f64 = undefined;
    _ = bun.xmem_bun_stats(pool, &values);
    return values[@intFromEnum(which)];
}

/// After the last life: everything that was left is given back, and each buffer is there once.
fn settle(keeper: Descriptor) void {
    const view = &participantOf(keeper).view;
    // A thread counts as ended a little before the kernel, or its last destructor, says so.
    while (stat(keeper, .ALIVE) != 1) testing_os.sleepMs(1);
    const end_ns = system.clock.monotonicNs() + 5 * std.time.ns_per_s;
    while (stat(keeper, .FREE) != capacity or participant_file.anybodyDead(view)) {
        if (system.clock.monotonicNs() > end_ns) {
            fail("{d} buffers are free in the end", .{stat(keeper, .FREE)});
        }
        testing_os.sleepMs(2 * lease_timeout_ms);
        var report: [4]f64 = undefined;
        _ = allowed("reclaim", @floatFromInt(bun.xmem_bun_reclaim(keeper, &report)), &.{});
    }
    inline for (.{ .USED, .PARKED, .IN_FLIGHT, .WAITERS, .FLUSHING }) |which| {
        const left = stat(keeper, which);
        if (left != 0) fail("{t} is {d} in the end", .{ @as(statistics.Stat, which), left });
    }
    const channels = channel_life.count(keeper);
    if (channels != 0) fail("{d} channels are left in the end", .{channels});
    var found: [capacity]bool = @splat(false);
    for (0..capacity) |_| {
        const acquired = bun.xmem_bun_acquire(keeper, 64);
        const handle = allowed("acquire", acquired, &.{}) orelse continue;
        const index = indexOf(@intFromFloat(handle));
        if (found[index]) fail("buffer {d} is on the list twice", .{index});
        found[index] = true;
    }
    const full = -@as(f64, @floatFromInt(@intFromEnum(Code.POOL_FULL)));
    if (bun.xmem_bun_acquire(keeper, 64) != full)
        fail("the list is longer than the pool", .{});
}

pub fn main(init: std.process.Init.Minimal) void {
    var plan: Plan = .{};
    var arguments = init.args.iterate();
    _ = arguments.skip();
    inline for (.{ "seed", "threads", "lives", "operations" }) |what| {
        if (arguments.next()) |text| {
            const field = &@field(plan, what);
            field.* = std.fmt.parseInt(@TypeOf(field.*), text, 10) catch
                fail("{s} is not a number: {s}", .{ what, text });
        }
    }
    if (arguments.next()) |text| plan.zero_on_release = std.mem.eql(u8, text, "zero");
    const id = std.c.getpid();
    name = std.fmt.bufPrintSentinel(&name_buffer, "stress.{d}", .{id}, 0) catch unreachable;
    other_name = std.fmt.bufPrintSentinel(&other_name_buffer, "stress.{d}.other", .{id}, 0) catch
        unreachable;
    const options = poolOptions(&plan, false);
    const keeper = opened(bun.xmem_bun_open(0, dir, name, "keeper", &options));
    liveAll(&plan, keeper);
    settle(keeper);
    removeNames();
    const format = "stress: seed {d}, {d} threads x {d} lives, {d} operations, {d} calls " ++
        "succeeded, {d} busy; {d} closed, {d} left, {d} died; {d} recoveries, {d} deferred\n";
    std.debug.print(format, .{ plan.seed, plan.threads, plan.lives } ++ .{
        @atomicLoad(u64, &operations_done, .monotonic),
        @atomicLoad(u64, &succeeded, .monotonic),
        @atomicLoad(u64, &busy, .monotonic),
        @atomicLoad(u32, &endings[0], .monotonic),
        @atomicLoad(u32, &endings[1], .monotonic),
        @atomicLoad(u32, &endings[2], .monotonic),
        stat(keeper, .RECOVERIES),
        stat(keeper, .DEFERRED),
    });
    bun.xmem_bun_close(keeper);
}
