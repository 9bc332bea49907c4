//! What the core needs to know of threads and processes: which one this is, when one ends or forks,
//! one native thread and the socket by which it signals an event loop, and a lock inside one
//! process. Nothing here is in shared memory.
//!
//! The macOS half is compiled and linked by the build, and was never run.

const std = @import("std");
const builtin = @import("builtin");
const errors = @import("../errors.zig");
const futex = @import("futex.zig");

const linux = std.os.linux;
const is_darwin = builtin.os.tag.isDarwin();

/// The calling thread's id, for people to read: ids collide between PID namespaces.
pub fn threadId() u32 {
    if (!is_darwin) return @intCast(linux.gettid());
    var id: u64 = 0;
    _ = std.c.pthread_threadid_np(null, &id);
    return @truncate(id);
}

threadlocal var place: u8 = 0;

/// Tells the calling thread from every other that lives, at the cost of one load: on Linux it is what
/// the system's libc finds its own thread by. The address of a thread's variable would be a call of
/// the loader's.
pub inline fn mark() usize {
    // Zig's own back end for debug builds does not assemble it.
    if (builtin.os.tag == .linux and builtin.zig_backend == .stage2_llvm) switch (builtin.cpu.arch) {
        .x86_64 => return asm ("mov %%fs:0, %[mark]"
            : [mark] "=r" (-> usize),
        ),
        .aarch64 => return asm ("mrs %[mark], tpidr_el0"
            : [mark] "=r" (-> usize),
        ),
        else => {},
    };
    return @intFromPtr(&place);
}

/// The calling process's id, for people to read as well.
pub fn processId() u32 {
    return @intCast(std.c.getpid());
}

/// When this process started, in clock ticks since boot: with the id it names a process for good. 0
/// where that is unknown (no /proc, macOS).
pub fn processStartTime() u64 {
    if (is_darwin) return 0;
    const fd = std.c.open("/proc/self/stat", .{ .ACCMODE = .RDONLY, .CLOEXEC = true });
    if (fd < 0) return 0;
    defer _ = std.c.close(fd);
    var buffer: [1024]u8 = undefined;
    const count = std.c.read(fd, &buffer, buffer.len);
    if (count <= 0) return 0;
    return startTimeIn(buffer[0..@intCast(count)]);
}

/// Field 22 of a line of /proc/PID/stat. The second is the program's name in parentheses, in which
/// anything may stand, parentheses and spaces too: counting begins after the last one.
fn startTimeIn(line: []const u8) u64 {
    const name_end = std.mem.lastIndexOfScalar(u8, line, ')') orelse return 0;
    var fields = std.mem.tokenizeScalar(u8, line[name_end + 1 ..], ' ');
    for (3..22) |_| _ = fields.next() orelse return 0;
    const field = fields.next() orelse return 0;
    return std.fmt.parseInt(u64, field, 10) catch 0;
}

/// Has `callback` called on the calling thread when that ends, by returning, by `pthread_exit` or
/// because a Worker was terminated. Not at the end of the process, where the kernel cleans up. Once
/// per thread, however often it was asked for; asked for again inside the callback, once more.
pub fn onThreadExit(comptime callback: fn () void) error{System}!void {
    const Exit = ThreadExit(callback);
    const key = Exit.key() orelse {
        return @errorCast(errors.fail(error.System, 0, "no thread key is left", .{}));
    };
    // Any value but null: null means that there is nothing to destroy.
    const errno = std.c.pthread_setspecific(key, &Exit.state);
    if (errno == 0) return;
    return @errorCast(errors.fail(error.System, errno, "pthread_setspecific failed", .{}));
}

fn ThreadExit(comptime callback: fn () void) type {
    return struct {
        /// 0 while there is no key, then the key + 1.
        var state: u64 = 0;

        /// No lock: a process that forks while another thread holds it would have it for ever.
        fn key() ?std.c.pthread_key_t {
            // SYNC: a thread that sees the key may use it. Pairs with the exchange below, in `key`.
            const found = @atomicLoad(u64, &state, .acquire);
            if (found != 0) return @intCast(found - 1);
            var made: std.c.pthread_key_t = undefined;
            if (std.c.pthread_key_create(&made, destroy) != .SUCCESS) return null;
            const value = @as(u64, made) + 1;
            // SYNC: of two threads that each made a key, the first one's is everybody's. Pairs with
            // the load above and with itself, in `key`.
            const winner = @cmpxchgStrong(u64, &state, 0, value, .acq_rel, .acquire) orelse
                return made;
            _ = std.c.pthread_key_delete(made);
            return @intCast(winner - 1);
        }

        fn destroy(_: *anyopaque) callconv(.c) void {
            callback();
        }
    };
}

/// Has `child` called in every process that is forked off this one from now on, in the child, on
/// its only thread, before fork returns. (Not by vfork, posix_spawn or a raw clone, after which a
/// program is executed.) It may be called there more than once.
pub fn onFork(comptime child: fn () void) error{OutOfMemory}!void {
    const Fork = struct {
        var registered: bool = false;

        fn inChild() callconv(.c) void {
            child();
        }
    };
    // Two threads that both find it unset both register: twice is harmless, and a handler cannot
    // be taken back. SYNC: pairs with the release below, in `onFork`.
    if (@atomicLoad(bool, &Fork.registered, .acquire)) return;
    const errno = std.c.pthread_atfork(null, null, Fork.inChild);
    if (errno != 0) {
        return @errorCast(errors.fail(error.OutOfMemory, errno, "pthread_atfork failed", .{}));
    }
    @atomicStore(bool, &Fork.registered, true, .release);
}

/// Has `callback` called when this process ends by `exit` or `quick_exit`, as Bun does at the end
/// of a program, at process.exit and after an uncaught exception; not after a signal or `_exit`. On
/// the thread that ends it, while the others still run. It may be called more than once, and is
/// called in children of fork that end so.
pub fn onProcessExit(comptime callback: fn () void) error{OutOfMemory}!void {
    const Exit = struct {
        var registered: bool = false;

        fn atExit(_: ?*anyopaque) callconv(.c) void {
            callback();
        }

        fn atQuickExit() callconv(.c) void {
            callback();
        }
    };
    // SYNC: twice is harmless, as in `onFork`. Pairs with the release below, in `onProcessExit`.
    if (@atomicLoad(bool, &Exit.registered, .acquire)) return;
    // The handler is registered for the process and not for this library, which stays loaded to the
    // end.
    var errno = __cxa_atexit(Exit.atExit, null, null);
    if (errno == 0 and !is_darwin) errno = if (builtin.abi.isGnu())
        // glibc's at_quick_exit is in its static part, where an old one cannot be linked from.
        __cxa_at_quick_exit(Exit.atExit, null)
    else
        at_quick_exit(Exit.atQuickExit);
    if (errno != 0) {
        return @errorCast(errors.fail(error.OutOfMemory, 0, "no exit handler is left", .{}));
    }
    @atomicStore(bool, &Exit.registered, true, .release);
}

const ExitHandler = *const fn (?*anyopaque) callconv(.c) void;
extern "c" fn __cxa_atexit(handler: ExitHandler, argument: ?*anyopaque, dso: ?*anyopaque) c_int;
extern "c" fn __cxa_at_quick_exit(handler: ExitHandler, dso: ?*anyopaque) c_int;
extern "c" fn at_quick_exit(handler: *const fn () callconv(.c) void) c_int;

/// A native thread. No signal is ever handled on it: handlers are the host program's, and want one
/// of the host's own threads.
pub const Thread = struct {
    handle: std.c.pthread_t,

    /// `context` must live until `join`, or for ever.
    pub fn spawn(
        comptime Context: type,
        context: *Context,
        comptime main: fn (*Context) void,
    ) error{System}!Thread {
        const Start = struct {
            fn run(argument: ?*anyopaque) callconv(.c) ?*anyopaque {
                nameThread();
                main(@ptrCast(@alignCast(argument.?)));
                return null;
            }
        };
        // Blocked before it begins, since a new thread inherits the mask of the one that makes it.
        const mask = blockSignals();
        defer restoreSignals(mask);
        var thread: Thread = undefined;
        // libc's own stack size: glibc takes a thread's static data out of a smaller one.
        const result = std.c.pthread_create(&thread.handle, null, Start.run, context);
        if (result == .SUCCESS) return thread;
        return @errorCast(errors.fail(
            error.System,
            @intFromEnum(result),
            "a native thread could not be started",
            .{},
        ));
    }

    /// Waits until its main function has returned. Exactly once.
    pub fn join(thread: Thread) void {
        _ = std.c.pthread_join(thread.handle, null);
    }

    /// Instead of joining: it ends by itself, and what it touches lives as long as the process.
    pub fn detach(thread: Thread) void {
        _ = std.c.pthread_detach(thread.handle);
    }
};

fn nameThread() void {
    const name = "xmem-waiter"; // what top and debuggers show; at most 15 bytes
    if (is_darwin) {
        _ = std.c.pthread_setname_np(name);
    } else {
        _ = linux.prctl(@intFromEnum(linux.PR.SET_NAME), @intFromPtr(name.ptr), 0, 0, 0);
    }
}

const SignalMask = if (is_darwin) std.c.sigset_t else u64;

fn blockSignals() SignalMask {
    var previous: SignalMask = undefined;
    if (is_darwin) {
        var all: SignalMask = std.math.maxInt(SignalMask);
        inline for (never_blocked) |signal| all &= ~(@as(SignalMask, 1) << (signal - 1));
        _ = std.c.pthread_sigmask(std.c.SIG.SETMASK, &all, &previous);
    } else {
        // The kernel's call, whose set is 64 bits: libc's own set differs between libcs.
        var all: u64 = std.math.maxInt(u64);
        inline for (never_blocked) |signal| all &= ~(@as(u64, 1) << (signal - 1));
        setKernelMask(&all, &previous);
    }
    return previous;
}

fn restoreSignals(mask: SignalMask) void {
    var current: SignalMask = undefined;
    if (is_darwin) {
        _ = std.c.pthread_sigmask(std.c.SIG.SETMASK, &mask, &current);
    } else {
        setKernelMask(&mask, &current);
    }
}

fn setKernelMask(mask: *const u64, previous: *u64) void {
    _ = linux.syscall4(
        .rt_sigprocmask,
        linux.SIG.SETMASK,
        @intFromPtr(mask),
        @intFromPtr(previous),
        @sizeOf(u64),
    );
}

/// Signals of a thread's own fault must reach the host's crash handler. And 32 to 34 are libc's own
/// on Linux: blocked, a setuid in any thread would wait for this one for ever.
const never_blocked = if (is_darwin)
    [_]u6{ 4, 5, 6, 8, 10, 11, 12 } // ILL TRAP ABRT FPE BUS SEGV SYS
else
    [_]u6{ 4, 5, 6, 7, 8, 11, 31, 32, 33, 34 }; // ILL TRAP ABRT BUS FPE SEGV SYS

/// Two connected stream sockets, non-blocking, closed on exec.
pub fn socketPair() error{System}![2]i32 {
    var pair: [2]i32 = undefined;
    const kind = if (is_darwin)
        std.c.SOCK.STREAM
    else
        std.c.SOCK.STREAM | std.c.SOCK.CLOEXEC | std.c.SOCK.NONBLOCK;
    if (std.c.socketpair(std.c.AF.UNIX, kind, 0, &pair) != 0) {
        const errno = std.c._errno().*;
        const text = "a socket pair could not be made";
        return @errorCast(errors.fail(error.System, errno, text, .{}));
    }
    if (is_darwin) for (pair) |fd| darwinPrepareSocket(fd);
    return pair;
}

fn darwinPrepareSocket(fd: i32) void {
    const nonblocking: std.c.O = .{ .NONBLOCK = true };
    _ = std.c.fcntl(fd, std.c.F.SETFD, @as(c_int, std.c.FD_CLOEXEC));
    _ = std.c.fcntl(fd, std.c.F.SETFL, @as(c_int, @bitCast(nonblocking)));
    // Its send has no MSG_NOSIGNAL.
    const on: c_int = 1;
    _ = std.c.setsockopt(fd, std.c.SOL.SOCKET, std.c.SO.NOSIGPIPE, &on, @sizeOf(c_int));
}

/// Makes the other end readable, without waiting and without SIGPIPE. If the socket is full, its
/// reader has not read yet, and is signalled already. False when the other end is closed.
pub fn signalSocket(fd: i32) bool {
    const flags = if (is_darwin) std.c.MSG.DONTWAIT else std.c.MSG.DONTWAIT | std.c.MSG.NOSIGNAL;
    while (true) {
        if (std.c.send(fd, "!", 1, flags) >= 0) return true;
        switch (std.c.errno(@as(isize, -1))) {
            .INTR => continue,
            .AGAIN, .NOBUFS => return true,
            else => return false,
        }
    }
}

pub fn closeSocket(fd: i32) void {
    _ = std.c.close(fd);
}

/// Lets another thread run.
pub fn yield() void {
    _ = std.c.sched_yield();
}

/// A lock between the threads of this process. Not for shared memory: its owner's death is not
/// seen. Not recursive. A child of fork must `reset` what another thread may have held.
pub const Lock = struct {
    word: u32 = free,

    const free: u32 = 0;
    const held: u32 = 1;
    const contended: u32 = 2;

    pub fn lock(self: *Lock) void {
        if (self.tryLock()) return;
        // From here on it is taken as `contended` even when nobody else waits any more, which costs
        // one wake too many and never one too few.
        // SYNC: acquires what the last owner did; pairs with `Lock.unlock` and `Lock.reset`.
        while (@atomicRmw(u32, &self.word, .Xchg, contended, .acquire) != free) {
            _ = futex.wait(&self.word, contended, futex.never_ns);
        }
    }

    pub fn tryLock(self: *Lock) bool {
        // SYNC: as in `lock`; pairs with `Lock.unlock`.
        return @cmpxchgStrong(u32, &self.word, free, held, .acquire, .monotonic) == null;
    }

    pub fn unlock(self: *Lock) void {
        // SYNC: releases what was done under it; pairs with `Lock.lock` and `Lock.tryLock`.
        const found = @atomicRmw(u32, &self.word, .Xchg, free, .release);
        std.debug.assert(found != free);
        if (found == contended) _ = futex.wake(&self.word, 1);
    }

    /// Unlocks it for any owner: in the child of a fork the owner does not exist.
    pub fn reset(self: *Lock) void {
        // SYNC: as in `unlock`. Pairs with `Lock.lock`.
        @atomicStore(u32, &self.word, free, .release);
    }
};

const testing = std.testing;
const testing_os = @import("testing_os.zig");

test "ids: each thread has one, the process another" {
    var other: u32 = 0;
    const thread = try std.Thread.spawn(.{}, struct {
        fn run(id: *u32) void {
            id.* = threadId();
        }
    }.run, .{&other});
    thread.join();
    try testing.expect(other != 0);
    try testing.expect(other != threadId());
    if (!is_darwin) try testing.expectEqual(processId(), threadId());
}

test "the start time is read past any program name" {
    const rest = " S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 20";
    try testing.expectEqual(@as(u64, 987654), startTimeIn("12 (bun)" ++ rest));
    try testing.expectEqual(@as(u64, 987654), startTimeIn("12 (a) S 1 (b c)" ++ rest));
    try testing.expectEqual(@as(u64, 0), startTimeIn("12 (bun) S 1 2 3"));
    try testing.expectEqual(@as(u64, 0), startTimeIn("12 bun"));
    try testing.expectEqual(@as(u64, 0), startTimeIn(""));
    if (is_darwin) return;
    const start_time = processStartTime();
    try testing.expect(start_time > 0);
    try testing.expectEqual(start_time, processStartTime());
}

test "the exit callback runs once, on the thread that ends, and only where it was asked for" {
    const Watch = struct {
        var calls: u32 = 0;
        var on_thread: u32 = 0;
        threadlocal var local: u32 = 0;

        fn ended() void {
            // The thread's own variables are still there.
            @atomicStore(u32, &on_thread, local, .seq_cst);
            _ = @atomicRmw(u32, &calls, .Add, 1, .seq_cst);
        }

        fn watched(id: *u32) void {
            local = threadId();
            id.* = local;
            for (0..3) |_| onThreadExit(ended) catch @panic("onThreadExit");
        }

        fn unwatched() void {}
    };
    var id: u32 = 0;
    (try std.Thread.spawn(.{}, Watch.watched, .{&id})).join();
    try testing.expectEqual(@as(u32, 1), Watch.calls);
    try testing.expectEqual(id, Watch.on_thread);
    (try std.Thread.spawn(.{}, Watch.unwatched, .{})).join();
    try testing.expectEqual(@as(u32, 1), Watch.calls);
}

test "many threads that ask at once share one key" {
    const Watch = struct {
        var calls: u32 = 0;

        fn ended() void {
            _ = @atomicRmw(u32, &calls, .Add, 1, .seq_cst);
        }

        fn watched() void {
            onThreadExit(ended) catch @panic("onThreadExit");
        }
    };
    for (0..20) |_| {
        var threads: [8]std.Thread = undefined;
        for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, Watch.watched, .{});
        for (threads) |thread| thread.join();
    }
    try testing.expectEqual(@as(u32, 160), Watch.calls);
}

test "the fork callback runs in the child and not in the parent" {
    if (is_darwin) return error.SkipZigTest;
    const Watch = struct {
        var calls: u8 = 0;

        fn forked() void {
            calls += 1;
        }
    };
    try onFork(Watch.forked);
    try onFork(Watch.forked);
    const child = testing_os.fork();
    if (child == 0) std.c._exit(Watch.calls);
    try testing.expectEqual(@as(?u8, 1), testing_os.exitCode(child));
    try testing.expectEqual(@as(u8, 0), Watch.calls);
}

test "a native thread runs with every signal blocked, and the maker's mask is as before" {
    if (is_darwin) return error.SkipZigTest;
    const Probe = struct {
        id: u32 = 0,
        mask: u64 = 0,

        fn run(probe: *@This()) void {
            probe.id = threadId();
            probe.mask = kernelMask();
        }

        fn kernelMask() u64 {
            var mask: u64 = 0;
            _ = linux.syscall4(.rt_sigprocmask, 0, 0, @intFromPtr(&mask), @sizeOf(u64));
            return mask;
        }
    };
    const before = Probe.kernelMask();
    var probe: Probe = .{};
    const thread = try Thread.spawn(Probe, &probe, Probe.run);
    try testing.expectEqual(before, Probe.kernelMask());
    thread.join();
    try testing.expect(probe.id != threadId());
    const term: u64 = 1 << (15 - 1);
    const usr1: u64 = 1 << (10 - 1);
    const segv: u64 = 1 << (11 - 1);
    const setxid: u64 = 1 << (33 - 1);
    try testing.expectEqual(term | usr1, probe.mask & (term | usr1 | segv | setxid));
}

test "a signalled socket is readable, a full one is signalled, a closed one says so" {
    const pair = try socketPair();
    defer closeSocket(pair[0]);
    var buffer: [16]u8 = undefined;
    try testing.expectEqual(@as(isize, -1), std.c.read(pair[1], &buffer, buffer.len));
    try testing.expect(signalSocket(pair[0]));
    try testing.expectEqual(@as(isize, 1), std.c.read(pair[1], &buffer, buffer.len));
    // Far more than a socket's buffer holds.
    for (0..100_000) |_| try testing.expect(signalSocket(pair[0]));
    closeSocket(pair[1]);
    try testing.expect(!signalSocket(pair[0]));
}

test "sockets are not inherited by another program" {
    const pair = try socketPair();
    defer for (pair) |fd| closeSocket(fd);
    for (pair) |fd| {
        try testing.expect(std.c.fcntl(fd, std.c.F.GETFD) & std.c.FD_CLOEXEC != 0);
    }
}

test "the lock lets one in at a time" {
    const Shared = struct {
        lock: Lock = .{},
        count: u64 = 0,

        fn run(shared: *@This()) void {
            for (0..20_000) |round| {
                shared.lock.lock();
                defer shared.lock.unlock();
                shared.count += 1;
                // Now and then let others run into it.
                if (round % 1000 == 0) yield();
            }
        }
    };
    var shared: Shared = .{};
    var threads: [4]std.Thread = undefined;
    for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, Shared.run, .{&shared});
    for (threads) |thread| thread.join();
    try testing.expectEqual(@as(u64, 80_000), shared.count);
    try testing.expect(shared.lock.tryLock());
    try testing.expect(!shared.lock.tryLock());
    shared.lock.reset();
    try testing.expect(shared.lock.tryLock());
    shared.lock.unlock();
}
