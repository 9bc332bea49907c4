//! Sleeping on a 32-bit word in shared memory until somebody wakes it, between processes. The core
//! decides what the word means and who is woken; there is no loop and no spinning here.
//!
//! The macOS half is compiled and linked by the build, and was never run.

const std = @import("std");
const builtin = @import("builtin");
const clock = @import("clock.zig");
const hooks = @import("hooks");

const linux = std.os.linux;
const is_darwin = builtin.os.tag.isDarwin();

/// Why a wait ended. In every case the caller has to look at the word again.
pub const Wait = enum {
    /// A wake, or (as futexes may) for no reason.
    woken,
    /// The word was not `expected` when the kernel looked, so nobody slept. macOS says `woken`.
    changed,
    /// The deadline has passed.
    timed_out,
    /// A signal handler ran on this thread.
    interrupted,
};

/// An ordinary sleeper, which an ordinary wake reaches.
const any_bits = std.math.maxInt(u32);

/// A deadline that never comes.
pub const never_ns = std.math.maxInt(u64);

/// Sleeps while `word` is `expected`, until a wake, a signal, or the moment `deadline_ns` of
/// `clock.monotonicNs`. A deadline in the past does not sleep, and still compares the word first.
pub fn wait(word: *const u32, expected: u32, deadline_ns: u64) Wait {
    return waitAs(word, expected, deadline_ns, any_bits);
}

/// The same for a sleeper that `wakeBits` can single out by any of its bits.
pub fn waitAs(word: *const u32, expected: u32, deadline_ns: u64, bits: u32) Wait {
    return if (is_darwin)
        darwin.wait(word, expected, deadline_ns)
    else
        linuxWait(word, expected, deadline_ns, bits);
}

/// Wakes at most `count` sleepers on `word`, and returns how many it woke. On macOS
/// a wake of everybody returns 1 for any number.
pub fn wake(word: *const u32, count: u32) u32 {
    hooks.call();
    return if (is_darwin) darwin.wake(word, count) else linuxWake(word, count);
}

/// Wakes all sleepers on `word` with one of these bits, and returns how many. macOS knows
/// no bits, and wakes all.
pub fn wakeBits(word: *const u32, bits: u32) u32 {
    hooks.call();
    return if (is_darwin)
        darwin.wake(word, std.math.maxInt(u32))
    else
        linuxWakeBits(word, bits);
}

/// As many words as one `waitAny` can watch.
pub const words_max = 128;

/// Sleeps while each of `words` is what `expected` says at its place, until a wake at any of them.
/// At most `words_max`. Where the system cannot watch several words, it sleeps for a millisecond at
/// most, so that the caller looks again: that is Linux before 5.16, macOS, and sandboxes.
pub fn waitAny(words: []const *const u32, expected: []const u32, deadline_ns: u64) Wait {
    if (words.len == 1) return wait(words[0], expected[0], deadline_ns);
    hooks.call();
    if (is_darwin or hooks.broken(.no_futex_waitv)) {
        sleepBriefly(deadline_ns);
        return .changed;
    }
    return linuxWaitAny(words, expected, deadline_ns);
}

/// Whether the system can watch several words, so that `waitAny` sleeps.
pub fn canWaitAny() bool {
    if (is_darwin or hooks.broken(.no_futex_waitv)) return false;
    // Of no words it says that there is nothing to wait for; where there is no such call, that.
    const result = linux.syscall5(sys_futex_waitv, 0, 0, 0, 0, 0);
    return linux.errno(result) == .INVAL;
}

/// `struct futex_waitv` of linux/futex.h.
const WaitWord = extern struct { expected: u64, address: u64, flags: u32, reserved: u32 };
const futex2_size_u32: u32 = 2;
/// The same on every architecture.
const sys_futex_waitv: linux.SYS = @enumFromInt(449);

fn linuxWaitAny(words: []const *const u32, expected: []const u32, deadline_ns: u64) Wait {
    var waits: [words_max]WaitWord = undefined;
    for (waits[0..words.len], words, expected) |*each, word, value| each.* = .{
        .expected = value,
        .address = @intFromPtr(word),
        .flags = futex2_size_u32,
        .reserved = 0,
    };
    const deadline: linux.timespec = .{
        .sec = @intCast(deadline_ns / std.time.ns_per_s),
        .nsec = @intCast(deadline_ns % std.time.ns_per_s),
    };
    const result = linux.syscall5(
        sys_futex_waitv,
        @intFromPtr(&waits),
        words.len,
        0,
        @intFromPtr(&deadline),
        @intFromEnum(linux.clockid_t.MONOTONIC),
    );
    return switch (linux.errno(result)) {
        .SUCCESS => .woken,
        .AGAIN => .changed,
        .TIMEDOUT => .timed_out,
        .INTR => .interrupted,
        else => {
            sleepBriefly(deadline_ns);
            return .changed;
        },
    };
}

fn sleepBriefly(deadline_ns: u64) void {
    if (clock.monotonicNs() < deadline_ns) pauseBriefly();
}

fn linuxWait(word: *const u32, expected: u32, deadline_ns: u64, bits: u32) Wait {
    // Not PRIVATE: the sleepers are in other processes, which map the word at other addresses.
    // WAIT_BITSET, unlike WAIT, takes an absolute time, so that a wait cut short and started again
    // does not get longer. Even a wait for ever gets a time: without one the kernel goes back to
    // sleep by itself after an SA_RESTART handler, and a signal would never end the wait.
    const deadline: linux.timespec = .{
        .sec = @intCast(deadline_ns / std.time.ns_per_s),
        .nsec = @intCast(deadline_ns % std.time.ns_per_s),
    };
    const result = linux.futex(
        word,
        .{ .cmd = .WAIT_BITSET, .private = false },
        expected,
        .{ .timeout = &deadline },
        null,
        bits,
    );
    return switch (linux.errno(result)) {
        .SUCCESS => .woken,
        .AGAIN => .changed,
        .TIMEDOUT => .timed_out,
        .INTR => .interrupted,
        // This happens only in a sandbox that forbids futexes, or when the word's memory was
        // unmapped. The caller's loop then looks again until its own deadline, and must not use a
        // whole processor meanwhile.
        else => {
            pauseBriefly();
            return .changed;
        },
    };
}

fn linuxWake(word: *const u32, count: u32) u32 {
    // The kernel reads the count as a signed number, and wakes one sleeper where that is below 1.
    const count_signed = @min(count, std.math.maxInt(i32));
    if (count_signed == 0) return 0;
    const result = linux.futex_3arg(word, .{ .cmd = .WAKE, .private = false }, count_signed);
    return if (linux.errno(result) == .SUCCESS) @intCast(result) else 0;
}

fn linuxWakeBits(word: *const u32, bits: u32) u32 {
    const cmd: linux.FUTEX_OP = .{ .cmd = .WAKE_BITSET, .private = false };
    const everybody = std.math.maxInt(i32);
    const result = linux.futex(word, cmd, everybody, .{ .timeout = null }, null, bits);
    return if (linux.errno(result) == .SUCCESS) @intCast(result) else 0;
}

fn pauseBriefly() void {
    const pause: std.c.timespec = .{ .sec = 0, .nsec = std.time.ns_per_ms };
    _ = std.c.nanosleep(&pause, null);
}

const darwin = struct {
    // Public from macOS 14.4 on. Weak, so that the library loads on an older one, where they are
    // null and the private calls that they stand on take over.
    const WaitFn = fn (*anyopaque, u64, usize, u32, u32, u64) callconv(.c) c_int;
    const WakeFn = fn (*anyopaque, usize, u32) callconv(.c) c_int;

    /// Null where the system has no such function.
    fn weakFunction(comptime Function: type, comptime name: []const u8) ?*const Function {
        // Through a variable: the compiler takes the address of a function that it knows at compile
        // time for never null, weak or not, and would leave out both the check and the fallback.
        var function = @extern(?*const Function, .{ .name = name, .linkage = .weak });
        _ = &function;
        return function;
    }

    const flags_shared: u32 = 1; // OS_SYNC_WAIT_ON_ADDRESS_SHARED and OS_SYNC_WAKE_..._SHARED
    const clock_mach_absolute: u32 = 32; // OS_CLOCK_MACH_ABSOLUTE_TIME
    const timeout_max_ns: u64 = 24 * std.time.ns_per_hour;

    fn wait(word: *const u32, expected: u32, deadline_ns: u64) Wait {
        const now_ns = clock.monotonicNs();
        if (now_ns >= deadline_ns) {
            // A timeout of 0 is an error to the one call and for ever to the other.
            // SYNC: the same comparison as the kernel's; the caller's own load orders the rest.
            // Pairs with `darwin.wake`.
            return if (@atomicLoad(u32, word, .seq_cst) == expected) .timed_out else .changed;
        }
        // Small enough for every unit into which the kernel converts it.
        const timeout_ns = @min(deadline_ns - now_ns, timeout_max_ns);
        const address: *anyopaque = @ptrCast(@constCast(word));
        const name = "os_sync_wait_on_address_with_timeout";
        const result = if (weakFunction(WaitFn, name)) |call|
            call(address, expected, @sizeOf(u32), flags_shared, clock_mach_absolute, timeout_ns)
        else
            std.c.__ulock_wait2(
                .{ .op = .COMPARE_AND_WAIT_SHARED },
                address,
                expected,
                timeout_ns,
                0,
            );
        if (result >= 0) return .woken;
        return switch (std.c.errno(result)) {
            .TIMEDOUT => if (clock.monotonicNs() >= deadline_ns) .timed_out else .woken,
            .INTR => .interrupted,
            else => {
                pauseBriefly();
                return .changed;
            },
        };
    }

    /// SYNC: the kernel compares and wakes under one lock of its own, after the caller's change of
    /// the word. Pairs with `darwin.wait`.
    fn wake(word: *const u32, count: u32) u32 {
        if (count >= std.math.maxInt(i32)) return @intFromBool(wakeOnce(word, true));
        var woken: u32 = 0;
        while (woken < count) : (woken += 1) {
            if (!wakeOnce(word, false)) break;
        }
        return woken;
    }

    /// Both calls fail with ENOENT when nobody sleeps there.
    fn wakeOnce(word: *const u32, all: bool) bool {
        const address: *anyopaque = @ptrCast(@constCast(word));
        const wake_any = weakFunction(WakeFn, "os_sync_wake_by_address_any");
        const wake_all = weakFunction(WakeFn, "os_sync_wake_by_address_all");
        if (if (all) wake_all else wake_any) |call| {
            return call(address, @sizeOf(u32), flags_shared) >= 0;
        }
        return std.c.__ulock_wake(
            .{ .op = .COMPARE_AND_WAIT_SHARED, .WAKE_ALL = all },
            address,
            0,
        ) >= 0;
    }
};

const testing = std.testing;

const Sleeper = struct {
    word: *u32,
    ready: *u32,
    deadline_ns: u64,
    result: Wait = .changed,
    /// True: sleeps again for as long as the word is unchanged; false: takes the first answer.
    patient: bool = false,

    fn run(sleeper: *Sleeper) void {
        _ = @atomicRmw(u32, sleeper.ready, .Add, 1, .seq_cst);
        while (true) {
            sleeper.result = wait(sleeper.word, 0, sleeper.deadline_ns);
            if (!sleeper.patient or sleeper.result != .woken) return;
            if (@atomicLoad(u32, sleeper.word, .seq_cst) != 0) return;
        }
    }
};

fn inMs(milliseconds: u64) u64 {
    return clock.monotonicNs() + milliseconds * std.time.ns_per_ms;
}

test "a word that is not the expected one does not sleep" {
    const word: u32 = 7;
    try testing.expectEqual(Wait.changed, wait(&word, 8, never_ns));
    try testing.expectEqual(Wait.changed, wait(&word, 8, 0));
}

test "the deadline is an absolute time and is never early" {
    const word: u32 = 7;
    try testing.expectEqual(Wait.timed_out, wait(&word, 7, 0));
    const deadline_ns = inMs(20);
    try testing.expectEqual(Wait.timed_out, wait(&word, 7, deadline_ns));
    try testing.expect(clock.monotonicNs() >= deadline_ns);
    // The same moment again: it has passed, so that this returns at once or the test hangs.
    for (0..1000) |_| try testing.expectEqual(Wait.timed_out, wait(&word, 7, deadline_ns));
}

test "a wake returns 0 where nobody sleeps" {
    const word: u32 = 0;
    try testing.expectEqual(@as(u32, 0), wake(&word, 1));
    try testing.expectEqual(@as(u32, 0), wake(&word, std.math.maxInt(u32)));
}

test "a wake wakes as many as it is asked for, and says how many" {
    var word: u32 = 0;
    var ready: u32 = 0;
    var sleepers: [5]Sleeper = undefined;
    var threads: [5]std.Thread = undefined;
    for (&sleepers, &threads) |*sleeper, *thread| {
        sleeper.* = .{ .word = &word, .ready = &ready, .deadline_ns = inMs(60_000) };
        thread.* = try std.Thread.spawn(.{}, Sleeper.run, .{sleeper});
    }
    // How many really sleep cannot be seen, so that wakes of a few go on until all are accounted
    // for: no wake may report more than it was asked for, nor the sum more than there are.
    var woken: u32 = 0;
    while (woken < sleepers.len) {
        try testing.expectEqual(@as(u32, 0), wake(&word, 0));
        const now = wake(&word, 2);
        try testing.expect(now <= 2);
        woken += now;
        if (now == 0) pauseBriefly();
    }
    for (threads) |thread| thread.join();
    try testing.expectEqual(@as(u32, sleepers.len), woken);
    for (sleepers) |sleeper| try testing.expectEqual(Wait.woken, sleeper.result);
}

test "a wake by bits reaches the sleepers that have one of them" {
    if (is_darwin) return error.SkipZigTest;
    const Chosen = struct {
        word: u32 = 0,
        woken: u32 = 0,

        fn run(chosen: *@This(), bits: u32) void {
            if (waitAs(&chosen.word, 0, inMs(60_000), bits) == .woken)
                _ = @atomicRmw(u32, &chosen.woken, .Add, bits, .seq_cst);
        }
    };
    var chosen: Chosen = .{};
    var threads: [3]std.Thread = undefined;
    for (&threads, [_]u32{ 1, 2, 4 }) |*thread, bits|
        thread.* = try std.Thread.spawn(.{}, Chosen.run, .{ &chosen, bits });
    while (wakeBits(&chosen.word, 2) == 0) pauseBriefly();
    threads[1].join();
    try testing.expectEqual(@as(u32, 2), @atomicLoad(u32, &chosen.woken, .seq_cst));
    var woken: u32 = 0;
    while (woken < 2) {
        woken += wakeBits(&chosen.word, 1 | 4);
        pauseBriefly();
    }
    threads[0].join();
    threads[2].join();
    try testing.expectEqual(@as(u32, 7), chosen.woken);
}

test "a wake of everybody wakes everybody" {
    var word: u32 = 0;
    var ready: u32 = 0;
    var sleepers: [4]Sleeper = undefined;
    var threads: [4]std.Thread = undefined;
    for (&sleepers, &threads) |*sleeper, *thread| {
        sleeper.* = .{ .word = &word, .ready = &ready, .deadline_ns = inMs(60_000) };
        sleeper.patient = true;
        thread.* = try std.Thread.spawn(.{}, Sleeper.run, .{sleeper});
    }
    while (@atomicLoad(u32, &ready, .seq_cst) < sleepers.len) pauseBriefly();
    @atomicStore(u32, &word, 1, .seq_cst);
    _ = wake(&word, std.math.maxInt(u32));
    for (threads) |thread| thread.join();
    for (sleepers) |sleeper| try testing.expect(sleeper.result != .timed_out);
}

fn ignoreSignal(_: std.c.SIG) callconv(.c) void {}

/// `deadline_ns` of the wait, and whether the handler asks the kernel to restart system calls.
fn interruptOne(deadline_ns: u64, restart: u32) !void {
    if (is_darwin) return error.SkipZigTest;
    var previous: std.posix.Sigaction = undefined;
    std.posix.sigaction(.USR1, &.{
        .handler = .{ .handler = ignoreSignal },
        .mask = std.posix.sigemptyset(),
        .flags = restart,
    }, &previous);
    defer std.posix.sigaction(.USR1, &previous, null);
    var word: u32 = 0;
    var ready: u32 = 0;
    var done: u32 = 0;
    var sleeper: Sleeper = .{ .word = &word, .ready = &ready, .deadline_ns = deadline_ns };
    const thread = try std.Thread.spawn(.{}, struct {
        fn run(one: *Sleeper, done_word: *u32) void {
            one.run();
            @atomicStore(u32, done_word, 1, .seq_cst);
        }
    }.run, .{ &sleeper, &done });
    // A signal before it sleeps does nothing, hence again and again. A thread that is done but not
    // joined may still be signalled.
    while (@atomicLoad(u32, &done, .seq_cst) == 0) {
        _ = std.c.pthread_kill(thread.getHandle(), .USR1);
        pauseBriefly();
    }
    thread.join();
    try testing.expectEqual(Wait.interrupted, sleeper.result);
}

test "a signal ends a wait with a deadline" {
    try interruptOne(inMs(60_000), 0);
    try interruptOne(inMs(60_000), std.c.SA.RESTART);
}

test "a signal ends a wait without a deadline, even where calls are restarted" {
    try interruptOne(never_ns, std.c.SA.RESTART);
}

test "a wake reaches another process through its own mapping" {
    if (is_darwin) return error.SkipZigTest;
    const memory = @import("memory.zig");
    const testing_os = @import("testing_os.zig");
    const fd = try testing_os.sharedFile(4096);
    defer _ = std.c.close(fd);
    const mine = try memory.map(fd, 4096, true);
    defer memory.unmap(mine, 4096);
    const theirs = try memory.map(fd, 4096, true);
    defer memory.unmap(theirs, 4096);
    const word: *u32 = @ptrCast(mine);
    const child = testing_os.fork();
    if (child == 0) {
        const child_word: *u32 = @ptrCast(theirs);
        while (@atomicLoad(u32, child_word, .seq_cst) == 0) {
            if (wait(child_word, 0, inMs(60_000)) == .timed_out) std.c._exit(1);
        }
        std.c._exit(0);
    }
    while (wake(word, 1) == 0) pauseBriefly();
    @atomicStore(u32, word, 1, .seq_cst);
    _ = wake(word, 1);
    try testing.expectEqual(@as(?u8, 0), testing_os.exitCode(child));
}

test "a wake at any of several words ends a wait, and so does the deadline" {
    var words: [3]u32 align(4) = .{ 1, 2, 3 };
    const pointers = [_]*const u32{ &words[0], &words[1], &words[2] };
    const soon_ns = clock.monotonicNs() + 2 * std.time.ns_per_ms;
    const ended = waitAny(&pointers, &words, soon_ns);
    try testing.expect(ended == .timed_out or ended == .changed);
    const other = [_]u32{ 1, 2, 4 };
    try testing.expectEqual(Wait.changed, waitAny(&pointers, &other, never_ns));
    var woken: u32 = 0;
    const sleeper = try std.Thread.spawn(.{}, struct {
        fn run(watched: []const *const u32, is_woken: *u32) void {
            const seen = [_]u32{ 1, 2, 3 };
            while (@atomicLoad(u32, watched[1], .seq_cst) == 2)
                _ = waitAny(watched, &seen, never_ns);
            @atomicStore(u32, is_woken, 1, .seq_cst);
        }
    }.run, .{ &pointers, &woken });
    @atomicStore(u32, &words[1], 5, .seq_cst);
    while (@atomicLoad(u32, &woken, .seq_cst) == 0) _ = wake(&words[1], 1);
    sleeper.join();
}
