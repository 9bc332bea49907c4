//! A mutex in shared memory whose owner's death everybody can see: a process-shared, robust pthread
//! mutex of the libc that this library was built for. Its bytes are that libc's own, which is why
//! two libcs cannot share a pool. No call here ever blocks. The core decides when a mutex may be
//! taken, and cleans up behind a dead owner.
//!
//! macOS has no robust mutexes. There the mutex is a word with the owner's process id, and the
//! owner is dead if no such process exists. So the end of a thread whose process lives is not seen,
//! and neither is a death after which the process id was used again. That half is compiled and
//! linked by the build, and was never run.

const std = @import("std");
const builtin = @import("builtin");
const hooks = @import("hooks");

const is_darwin = builtin.os.tag.isDarwin();
const is_musl = builtin.target.isMuslLibC();

/// Whose bytes the mutexes are; part of a pool's layout. 1 glibc, 2 musl, 3 macOS.
pub const libc_kind: u32 = if (is_darwin) 3 else if (is_musl) 2 else 1;

pub const TryLock = enum {
    acquired,
    /// Its owner died. It is this thread's now, and ordinary again.
    acquired_from_dead,
    /// Somebody else has it, or this thread itself, or its bytes are damaged.
    busy,
};

/// Whether the kernel marks the mutexes of the dead. qemu-user does not, nor do some sandboxes;
/// a participant could die there unseen, so that a pool must not be opened.
pub fn supported() bool {
    if (is_darwin) return true;
    const linux = std.os.linux;
    var head: usize = 0;
    var length: usize = 0;
    const result = linux.syscall3(
        .get_robust_list,
        0, // this thread
        @intFromPtr(&head),
        @intFromPtr(&length),
    );
    return linux.errno(result) == .SUCCESS;
}

pub const RobustMutex = extern struct {
    /// Room for any libc's mutex; how much of it is used, and for what, only libc knows.
    storage: [64]u8 align(8),

    comptime {
        std.debug.assert(@sizeOf(RobustMutex) == 64);
        std.debug.assert(@alignOf(RobustMutex) == 8);
        std.debug.assert(@sizeOf(std.c.pthread_mutex_t) <= 64);
        std.debug.assert(@alignOf(std.c.pthread_mutex_t) <= 8);
    }

    /// Makes it unlocked and owned by nobody, whatever it was. Only for one that no live thread
    /// has locked: libc keeps a list of a thread's robust mutexes through their bytes.
    pub fn initialise(mutex: *RobustMutex) void {
        // libc fills a local one, and its words are then stored here one by one. So a process that
        // looks at the mutex meanwhile sees whole words, and ThreadSanitizer sees atomic stores,
        // where libc's own initialisation would be a race with `ownerDied`. A fresh mutex has no
        // pointer to itself in either libc, so that a copy of its bytes is as good.
        var template: [8]u64 = @splat(0);
        if (!is_darwin) initialiseInLibc(@ptrCast(&template));
        const words: *[8]u64 = @ptrCast(&mutex.storage);
        // SYNC: pairs with `load`.
        for (words, template) |*word, value| {
            hooks.call();
            @atomicStore(u64, word, value, .release);
        }
    }

    /// Takes it if nobody has it or its owner is dead. It never waits, and it asks libc only for a
    /// mutex that looks free: the kernel marks a mutex by the thread id that it finds in it, and of
    /// a process killed inside libc's lock *or trylock* it would mark a live owner that has the
    /// same id in another PID namespace. What is left is a kill in the nanoseconds after such an
    /// owner took it between the look and the try.
    pub fn tryLock(mutex: *RobustMutex) TryLock {
        hooks.call();
        if (is_darwin) return mutex.darwinTryLock();
        if (mutex.load() & mask_owner != 0) return .busy;
        // SYNC: libc's lock acquires, from a dead owner too. Pairs with `unlock`.
        switch (pthread_mutex_trylock(mutex)) {
            0 => return .acquired,
            owner_dead => {
                hooks.call();
                // At once: until then musl leaves the mark on a mutex that has a live owner again.
                _ = pthread_mutex_consistent(mutex);
                return .acquired_from_dead;
            },
            else => return .busy,
        }
    }

    /// Gives it back. Does nothing if this thread does not have it.
    pub fn unlock(mutex: *RobustMutex) void {
        hooks.call();
        if (is_darwin) return mutex.darwinUnlock();
        // SYNC: libc's unlock releases. Pairs with `tryLock` and `load`.
        _ = pthread_mutex_unlock(mutex);
    }

    /// Whether its owner died and nobody took it since: one load, no system call on Linux.
    pub fn ownerDied(mutex: *const RobustMutex) bool {
        const word = mutex.load();
        if (is_darwin) return word != 0 and !darwinIsAlive(word);
        // The kernel leaves the mark with no owner beside it. Mark *and* owner is musl's, between
        // a lock that found a dead owner and the `pthread_mutex_consistent` after it.
        return word & mark_owner_died != 0 and word & mask_owner == 0;
    }

    /// Whether it has an owner, alive or dead.
    pub fn isLocked(mutex: *const RobustMutex) bool {
        return mutex.load() != 0;
    }

    fn load(mutex: *const RobustMutex) u32 {
        // SYNC: what an owner wrote before it died, by the kernel's mark, or before it unlocked is
        // seen by all that see the word. Pairs with `initialise` and `unlock`.
        return @atomicLoad(u32, mutex.futexWord(), .acquire);
    }

    fn futexWord(mutex: *const RobustMutex) *const u32 {
        const offset = comptime if (is_musl) 4 else 0;
        return @ptrCast(@alignCast(&mutex.storage[offset]));
    }

    fn darwinTryLock(mutex: *RobustMutex) TryLock {
        const word: *u32 = @constCast(mutex.futexWord());
        const self: u32 = @intCast(std.c.getpid());
        // SYNC: as libc's lock; pairs with `darwinUnlock`.
        const found = @cmpxchgStrong(u32, word, 0, self, .acquire, .acquire) orelse
            return .acquired;
        if (darwinIsAlive(found)) return .busy;
        // SYNC: of two that saw the same dead owner, one gets it. Pairs with `darwinTryLock`.
        return if (@cmpxchgStrong(u32, word, found, self, .acquire, .monotonic) == null)
            .acquired_from_dead
        else
            .busy;
    }

    fn darwinUnlock(mutex: *RobustMutex) void {
        const word: *u32 = @constCast(mutex.futexWord());
        const self: u32 = @intCast(std.c.getpid());
        // SYNC: as libc's unlock; pairs with `darwinTryLock`.
        _ = @cmpxchgStrong(u32, word, self, 0, .release, .monotonic);
    }
};

fn darwinIsAlive(pid: u32) bool {
    // A damaged word must not become a signal to a process group; signal 0 sends nothing.
    const target = std.math.cast(std.c.pid_t, pid) orelse return false;
    if (std.c.kill(target, @enumFromInt(0)) == 0) return true;
    return std.c.errno(@as(c_int, -1)) != .SRCH;
}

fn initialiseInLibc(mutex: *RobustMutex) void {
    var attributes: MutexAttributes align(8) = @splat(0);
    // None of these can fail with these values where `supported` said yes.
    _ = pthread_mutexattr_init(&attributes);
    _ = pthread_mutexattr_settype(&attributes, type_normal);
    _ = pthread_mutexattr_setpshared(&attributes, process_shared);
    _ = pthread_mutexattr_setrobust(&attributes, robust);
    _ = pthread_mutex_init(mutex, &attributes);
    _ = pthread_mutexattr_destroy(&attributes);
}

// What <pthread.h> and <linux/futex.h> say. Both libcs agree on the values.
const MutexAttributes = [16]u8; // 4 bytes on x86_64, 8 on aarch64; more does no harm
const type_normal: c_int = 0;
const process_shared: c_int = 1;
const robust: c_int = 1;
const owner_dead: c_int = @intFromEnum(std.os.linux.E.OWNERDEAD);
const mark_owner_died: u32 = 0x4000_0000;
const mask_owner: u32 = 0x3fff_ffff;

extern "c" fn pthread_mutexattr_init(attributes: *align(8) MutexAttributes) c_int;
extern "c" fn pthread_mutexattr_settype(attributes: *align(8) MutexAttributes, kind: c_int) c_int;
extern "c" fn pthread_mutexattr_setpshared(attributes: *align(8) MutexAttributes, on: c_int) c_int;
extern "c" fn pthread_mutexattr_setrobust(attributes: *align(8) MutexAttributes, on: c_int) c_int;
extern "c" fn pthread_mutexattr_destroy(attributes: *align(8) MutexAttributes) c_int;
extern "c" fn pthread_mutex_init(mutex: *RobustMutex, attributes: *align(8) MutexAttributes) c_int;
extern "c" fn pthread_mutex_trylock(mutex: *RobustMutex) c_int;
extern "c" fn pthread_mutex_consistent(mutex: *RobustMutex) c_int;
extern "c" fn pthread_mutex_unlock(mutex: *RobustMutex) c_int;

const testing = std.testing;
const testing_os = @import("testing_os.zig");

test "a mutex is taken once, also by the same thread, and given back" {
    try testing.expect(supported());
    var mutex: RobustMutex = undefined;
    mutex.initialise();
    try testing.expect(!mutex.isLocked());
    try testing.expectEqual(TryLock.acquired, mutex.tryLock());
    try testing.expect(mutex.isLocked());
    try testing.expect(!mutex.ownerDied());
    try testing.expectEqual(TryLock.busy, mutex.tryLock());
    mutex.unlock();
    try testing.expect(!mutex.isLocked());
    try testing.expectEqual(TryLock.acquired, mutex.tryLock());
    mutex.unlock();
}

test "another thread cannot unlock it" {
    // ThreadSanitizer would report that as a mistake: see `sanitizerOptions`.
    if (is_darwin) return error.SkipZigTest;
    var mutex: RobustMutex = undefined;
    mutex.initialise();
    try testing.expectEqual(TryLock.acquired, mutex.tryLock());
    const thread = try std.Thread.spawn(.{}, RobustMutex.unlock, .{&mutex});
    thread.join();
    try testing.expect(mutex.isLocked());
    mutex.unlock();
}

test "a thread that ends with it marks it, and the next owner makes it ordinary" {
    if (is_darwin) return error.SkipZigTest;
    var mutex: RobustMutex = undefined;
    mutex.initialise();
    const thread = try std.Thread.spawn(.{}, struct {
        fn run(held: *RobustMutex) void {
            std.debug.assert(held.tryLock() == .acquired);
        }
    }.run, .{&mutex});
    thread.join();
    // Joining waits for the same kernel code that walks the list of the dead thread's mutexes,
    // which comes before it.
    try testing.expect(mutex.ownerDied());
    try testing.expect(mutex.isLocked());
    try testing.expectEqual(TryLock.acquired_from_dead, mutex.tryLock());
    try testing.expect(!mutex.ownerDied());
    try testing.expect(mutex.isLocked());
    mutex.unlock();
    try testing.expect(!mutex.isLocked());
    try testing.expectEqual(TryLock.acquired, mutex.tryLock());
    mutex.unlock();
}

test "initialising takes the mark away" {
    // ThreadSanitizer goes on taking the dead thread for the owner: see `sanitizerOptions`.
    if (is_darwin) return error.SkipZigTest;
    var mutex: RobustMutex = undefined;
    mutex.initialise();
    const thread = try std.Thread.spawn(.{}, struct {
        fn run(held: *RobustMutex) void {
            _ = held.tryLock();
        }
    }.run, .{&mutex});
    thread.join();
    mutex.initialise();
    try testing.expect(!mutex.ownerDied());
    try testing.expect(!mutex.isLocked());
    try testing.expectEqual(TryLock.acquired, mutex.tryLock());
    mutex.unlock();
}

test "a process killed with it marks it for every other mapping" {
    if (is_darwin) return error.SkipZigTest;
    const memory = @import("memory.zig");
    const fd = try testing_os.sharedFile(4096);
    defer _ = std.c.close(fd);
    const mine = try memory.map(fd, 4096, true);
    defer memory.unmap(mine, 4096);
    const mutex: *RobustMutex = @ptrCast(mine);
    mutex.initialise();
    const child = testing_os.fork();
    if (child == 0) {
        // A mapping of its own, as another program would have.
        const theirs = memory.map(fd, 4096, true) catch std.c._exit(1);
        const held: *RobustMutex = @ptrCast(theirs);
        if (held.tryLock() != .acquired) std.c._exit(2);
        while (true) testing_os.sleepMs(1000);
    }
    while (!mutex.isLocked()) testing_os.sleepMs(1);
    try testing.expect(!mutex.ownerDied());
    try testing.expectEqual(TryLock.busy, mutex.tryLock());
    _ = std.c.kill(child, .KILL);
    try testing.expectEqual(@as(?u8, null), testing_os.exitCode(child));
    try testing.expect(mutex.ownerDied());
    try testing.expectEqual(TryLock.acquired_from_dead, mutex.tryLock());
    mutex.unlock();
    try testing.expect(!mutex.isLocked());
}

test "the successor of a dead owner can die too" {
    if (is_darwin) return error.SkipZigTest;
    var mutex: RobustMutex = undefined;
    mutex.initialise();
    for (0..3) |round| {
        const thread = try std.Thread.spawn(.{}, struct {
            fn run(held: *RobustMutex, expected: TryLock) void {
                std.debug.assert(held.tryLock() == expected);
            }
        }.run, .{ &mutex, if (round == 0) TryLock.acquired else .acquired_from_dead });
        thread.join();
        try testing.expect(mutex.ownerDied());
    }
}

/// What the processes of the next test share.
const Rivals = extern struct {
    mutex: RobustMutex,
    /// By which the latest one can be killed from here; -1 where no namespace may be made.
    pid: i32,
    tries: u32,

    /// Runs `body` in the first process of a PID namespace of its own, where its thread id is 1.
    /// Returns the process that waits for it, null where this user may make no such namespace.
    fn runAsFirst(rivals: *Rivals, comptime body: fn (*Rivals) void) ?std.c.pid_t {
        const linux = std.os.linux;
        const CLONE = linux.CLONE;
        @atomicStore(i32, &rivals.pid, 0, .seq_cst);
        const outer = testing_os.fork();
        if (outer == 0) {
            // Not this process but its children are in the new namespace.
            const made = linux.errno(linux.unshare(CLONE.NEWPID)) == .SUCCESS or
                linux.errno(linux.unshare(CLONE.NEWUSER | CLONE.NEWPID)) == .SUCCESS;
            const inner = if (made) testing_os.fork() else -1;
            if (inner == 0) {
                if (linux.gettid() == 1) body(rivals);
                std.c._exit(1);
            }
            @atomicStore(i32, &rivals.pid, inner, .seq_cst);
            if (inner > 0) _ = testing_os.exitCode(inner);
            std.c._exit(0);
        }
        while (@atomicLoad(i32, &rivals.pid, .seq_cst) == 0) testing_os.sleepMs(1);
        if (@atomicLoad(i32, &rivals.pid, .seq_cst) > 0) return outer;
        _ = testing_os.exitCode(outer);
        return null;
    }

    fn hold(rivals: *Rivals) void {
        if (rivals.mutex.tryLock() != .acquired) return;
        while (true) testing_os.sleepMs(1000);
    }

    fn tryForEver(rivals: *Rivals) void {
        while (rivals.mutex.tryLock() == .busy) {
            _ = @atomicRmw(u32, &rivals.tries, .Add, 1, .seq_cst);
        }
    }
};

test "a process killed while it tries does not mark a live owner with the same thread id" {
    if (is_darwin) return error.SkipZigTest;
    const memory = @import("memory.zig");
    const fd = try testing_os.sharedFile(4096);
    defer _ = std.c.close(fd);
    const base = try memory.map(fd, 4096, true);
    defer memory.unmap(base, 4096);
    const rivals: *Rivals = @ptrCast(base);
    rivals.mutex.initialise();
    const holder = rivals.runAsFirst(Rivals.hold) orelse return error.SkipZigTest;
    const holder_pid = rivals.pid;
    errdefer _ = std.c.kill(holder_pid, .KILL);
    while (!rivals.mutex.isLocked()) testing_os.sleepMs(1);
    // At a random moment of a loop that does hardly anything else.
    for (0..50) |_| {
        @atomicStore(u32, &rivals.tries, 0, .seq_cst);
        const killed = rivals.runAsFirst(Rivals.tryForEver).?;
        while (@atomicLoad(u32, &rivals.tries, .seq_cst) == 0) testing_os.sleepMs(1);
        _ = std.c.kill(rivals.pid, .KILL);
        _ = testing_os.exitCode(killed);
        try testing.expect(!rivals.mutex.ownerDied());
    }
    _ = std.c.kill(holder_pid, .KILL);
    _ = testing_os.exitCode(holder);
    try testing.expect(rivals.mutex.ownerDied());
}
