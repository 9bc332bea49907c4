//! The explorer's hooks: each access is a step that it schedules, in the memory that it models, and
//! the operating system is its model. Only the doors are here; what stands behind them is linked in
//! from `check/explorer/`, so that the core does not import its checker.

const std = @import("std");

pub const Canary = @import("canary.zig").Canary;
pub const Order = @import("accesses.zig").Order;
pub const stepped = true;
pub const modelled = true;
pub const repairs_silently = false;

pub inline fn call() void {}

/// The rule that this run breaks: one run after another in one program.
extern var explorer_broken: u32;
/// In this run waiters claim without having waited.
extern var explorer_claims_at_once: bool;

pub inline fn broken(comptime rule: Canary) bool {
    return explorer_broken == @intFromEnum(rule);
}

pub inline fn claimsAtOnce() bool {
    return explorer_claims_at_once;
}

pub const Change = enum(u8) { add, sub, max, bit_or, bit_and };

extern fn explorer_load(address: usize, bytes: u8) u64;
extern fn explorer_store(address: usize, bytes: u8, value: u64, order: u8) void;
extern fn explorer_cas(address: usize, bytes: u8, from: u64, to: u64, order: u8) bool;
extern fn explorer_change(address: usize, bytes: u8, amount: u64, how: Change) u64;

pub inline fn load(comptime T: type, ptr: *const T, comptime order: Order) T {
    _ = order;
    return @truncate(explorer_load(@intFromPtr(ptr), @sizeOf(T)));
}

pub inline fn store(comptime T: type, ptr: *T, value: T, comptime order: Order) void {
    explorer_store(@intFromPtr(ptr), @sizeOf(T), value, @intFromEnum(order));
}

pub inline fn cas(comptime T: type, ptr: *T, from: T, to: T, comptime success: Order) bool {
    return explorer_cas(@intFromPtr(ptr), @sizeOf(T), from, to, @intFromEnum(success));
}

pub inline fn fetchAdd(comptime T: type, ptr: *T, amount: T) T {
    return change(T, ptr, amount, .add);
}

pub inline fn fetchSub(comptime T: type, ptr: *T, amount: T) T {
    return change(T, ptr, amount, .sub);
}

pub inline fn fetchOr(comptime T: type, ptr: *T, bits: T) T {
    return change(T, ptr, bits, .bit_or);
}

pub inline fn fetchAnd(comptime T: type, ptr: *T, bits: T) T {
    return change(T, ptr, bits, .bit_and);
}

pub inline fn fetchMax(comptime T: type, ptr: *T, value: T) T {
    return change(T, ptr, value, .max);
}

inline fn change(comptime T: type, ptr: *T, amount: T, how: Change) T {
    return @truncate(explorer_change(@intFromPtr(ptr), @sizeOf(T), amount, how));
}

pub const futex = struct {
    pub const Wait = enum(u8) { woken, changed, timed_out, interrupted };
    pub const never_ns = std.math.maxInt(u64);
    const any_bits = std.math.maxInt(u32);
    const everybody = std.math.maxInt(i32);

    extern fn explorer_futex_wait(word: *const u32, expected: u32, end_ns: u64, bits: u32) Wait;
    extern fn explorer_futex_wake(word: *const u32, count: u32, bits: u32) u32;

    pub fn wait(word: *const u32, expected: u32, deadline_ns: u64) Wait {
        return explorer_futex_wait(word, expected, deadline_ns, any_bits);
    }

    pub fn waitAs(word: *const u32, expected: u32, deadline_ns: u64, bits: u32) Wait {
        return explorer_futex_wait(word, expected, deadline_ns, bits);
    }

    pub fn wake(word: *const u32, count: u32) u32 {
        return explorer_futex_wake(word, count, any_bits);
    }

    pub fn wakeBits(word: *const u32, bits: u32) u32 {
        return explorer_futex_wake(word, everybody, bits);
    }
};

/// The clock stands still until the scheduler moves it, so reading it is no step.
pub const clock = struct {
    extern fn explorer_now() u64;
    extern fn explorer_relax() void;

    pub fn monotonicNs() u64 {
        return explorer_now();
    }

    pub fn coarseNs() u64 {
        return explorer_now();
    }

    /// A fiber that spins is not scheduled again until something that it may look at has changed.
    pub fn relax() void {
        explorer_relax();
    }
};

pub const ticker = struct {
    pub fn recentNs() u64 {
        return clock.monotonicNs();
    }

    pub fn latestNs() u64 {
        return clock.monotonicNs();
    }
};

/// Memory that may be missing: on a full system, a page without memory must not be touched.
pub const memory = struct {
    pub const Error = error{ OutOfMemory, System };
    pub const Pointer = [*]align(4096) u8;

    extern fn explorer_page_size() u64;
    extern fn explorer_commit(offset: u64, length: u64) bool;
    extern fn explorer_populate(offset: u64, length: u64) void;
    extern fn explorer_zero(bytes: [*]u8, length: u64) void;
    extern fn explorer_punch(offset: u64, length: u64) void;

    pub fn pageSize() u64 {
        return explorer_page_size();
    }

    pub fn commit(_: i32, _: Pointer, offset: u64, length: u64) Error!void {
        if (!explorer_commit(offset, length)) return error.OutOfMemory;
    }

    pub fn populate(_: Pointer, offset: u64, length: u64) error{OutOfMemory}!void {
        explorer_populate(offset, length);
    }

    pub fn zero(bytes: []u8) void {
        explorer_zero(bytes.ptr, bytes.len);
    }

    pub fn punch(_: i32, offset: u64, length: u64) bool {
        explorer_punch(offset, length);
        return true;
    }
};

/// A word that is 0, or its owner's number + 1, or the kernel's mark that the owner died.
pub const RobustMutex = extern struct {
    word: u32 align(8),
    padding: [60]u8,

    pub const TryLock = enum(u8) { acquired, acquired_from_dead, busy };

    extern fn explorer_mutex_initialise(mutex: *RobustMutex) void;
    extern fn explorer_mutex_try_lock(mutex: *RobustMutex) TryLock;
    extern fn explorer_mutex_unlock(mutex: *RobustMutex) void;
    extern fn explorer_mutex_owner_died(mutex: *const RobustMutex) bool;
    extern fn explorer_mutex_is_locked(mutex: *const RobustMutex) bool;

    pub const initialise = explorer_mutex_initialise;
    pub const tryLock = explorer_mutex_try_lock;
    pub const unlock = explorer_mutex_unlock;
    pub const ownerDied = explorer_mutex_owner_died;
    pub const isLocked = explorer_mutex_is_locked;
};
