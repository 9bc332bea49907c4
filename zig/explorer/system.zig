//! The operating system as the core sees it, in a model: futex, clock, memory, robust mutexes.
//! Each call is one step. What the kernel does by itself (marking the dead, ending waits) is not
//! here but with the scheduler's other choices, in `choices.zig`.

const std = @import("std");
const fiber = @import("fiber.zig");
const independence = @import("independence.zig");
const memory_model = @import("memory_model.zig");
const oracle = @import("oracle.zig");
const state = @import("state.zig");

pub const futex = struct {
    pub const Wait = enum(u8) { woken, changed, timed_out, interrupted };
    pub const never_ns = std.math.maxInt(u64);

    const any_bits = std.math.maxInt(u32);

    pub fn wait(word: *const u32, expected: u32, deadline_ns: u64) Wait {
        return waitAs(word, expected, deadline_ns, any_bits);
    }

    pub fn waitAs(word: *const u32, expected: u32, deadline_ns: u64, bits: u32) Wait {
        if (fiber.direct) return .changed;
        fiber.pause(.futex_wait, @intFromPtr(word), expected);
        memory_model.beforeSystemCall();
        if (word.* != expected) return .changed;
        const self = fiber.self();
        self.status = .asleep;
        self.deadline_ns = deadline_ns;
        self.bits = bits;
        fiber.pause(.in_futex, @intFromPtr(word), expected);
        self.deadline_ns = 0;
        self.bits = 0;
        return @enumFromInt(self.answer);
    }

    pub fn wakeBits(word: *const u32, bits: u32) u32 {
        return wakeSome(word, std.math.maxInt(i32), bits);
    }

    pub fn wake(word: *const u32, count: u32) u32 {
        return wakeSome(word, count, any_bits);
    }

    fn wakeSome(word: *const u32, count: u32, bits: u32) u32 {
        fiber.pause(.futex_wake, @intFromPtr(word), count);
        if (fiber.direct) return 0;
        memory_model.beforeSystemCall();
        // Which one is woken, of several, is the scheduler's choice.
        var passed_over = if (count == 1) fiber.self().answer else 0;
        var woken: u32 = 0;
        for (&state.now.fibers) |*sleeper| {
            if (!sleepsOn(sleeper, word) or sleeper.bits & bits == 0) continue;
            if (passed_over > 0) {
                passed_over -= 1;
                continue;
            }
            if (woken == count) break;
            endSleep(sleeper, .woken);
            woken += 1;
        }
        return woken;
    }

    pub fn sleepsOn(sleeper: *const state.Fiber, word: *const u32) bool {
        return sleeper.status == .asleep and sleeper.address == @intFromPtr(word);
    }

    pub fn endSleep(sleeper: *state.Fiber, why: Wait) void {
        sleeper.status = .ready;
        sleeper.answer = @intFromEnum(why);
    }
};

/// The clock stands until the scheduler moves it, so that reading it is no step.
pub const clock = struct {
    pub fn monotonicNs() u64 {
        return state.now.clock_ns;
    }

    pub fn coarseNs() u64 {
        return state.now.clock_ns;
    }

    pub fn realtimeMs() u64 {
        return 0;
    }

    /// Who spins is not scheduled again until something that it may look at has changed: a look at
    /// what is unchanged changes nothing.
    pub fn relax() void {
        if (fiber.direct) {
            // The oracle waits for nobody.
            state.now.clock_ns += 20 * std.time.ns_per_ms;
            return;
        }
        fiber.self().status = .spinning;
        fiber.pause(.relax, 0, 0);
    }
};

/// What the clock said not long ago, for ages only.
pub const ticker = struct {
    pub fn recentNs() u64 {
        return state.now.clock_ns;
    }
};

/// Memory that may be missing: what is not backed must not be touched, on a full system.
pub const memory = struct {
    pub const Error = error{ OutOfMemory, System };
    pub const Pointer = [*]align(4096) u8;

    pub fn pageSize() u64 {
        return state.page_size;
    }

    pub fn map(_: i32, _: u64, _: bool) Error!Pointer {
        unreachable;
    }

    pub fn unmap(_: [*]align(4096) const u8, _: u64) void {
        unreachable;
    }

    pub fn reserveLocal(_: u64) ?Pointer {
        unreachable;
    }

    pub fn releaseLocal(_: [*]align(4096) const u8, _: u64) void {
        unreachable;
    }

    pub fn commit(_: i32, _: Pointer, offset: u64, length: u64) Error!void {
        const slot = slotAt(offset) orelse return;
        fiber.pause(.commit, offset, length);
        memory_model.beforeSystemCall();
        if (!fiber.direct and fiber.self().answer != 0) {
            state.now.budget.commit_failures -= 1;
            return error.OutOfMemory;
        }
        const end = offset + length - dataOffset(slot);
        const facts = &state.now.slots[slot];
        facts.backed = @max(facts.backed, end);
    }

    pub fn populate(_: Pointer, offset: u64, length: u64) error{OutOfMemory}!void {
        const slot = slotAt(offset) orelse return;
        const end = offset + length - dataOffset(slot);
        if (state.now.slots[slot].backed < end)
            oracle.report("memory is brought into a mapping that the pool only claims to have");
    }

    pub fn zero(bytes: []u8) void {
        const offset = @intFromPtr(bytes.ptr) - @intFromPtr(&state.object);
        fiber.pause(.zero, offset, bytes.len);
        memory_model.beforeSystemCall();
        if (slotAt(offset)) |slot| {
            if (state.now.slots[slot].backed < bytes.len)
                oracle.report("memory is zeroed that the pool only claims to have");
        }
        @memset(bytes, 0);
    }

    pub fn punch(_: i32, offset: u64, length: u64) bool {
        fiber.pause(.punch, offset, length);
        memory_model.beforeSystemCall();
        @memset(state.object[offset..][0..length], 0);
        const slot = slotAt(offset) orelse return true;
        const facts = &state.now.slots[slot];
        const start = offset - dataOffset(slot);
        facts.backed = @min(facts.backed, start);
        return true;
    }

    fn dataOffset(slot: usize) u64 {
        return state.view.geometry.dataOffset(@intCast(slot));
    }

    fn slotAt(offset: u64) ?usize {
        const geometry = &state.view.geometry;
        if (offset < geometry.data_offset) return null;
        return (offset - geometry.data_offset) / geometry.stride;
    }
};

/// A word that is 0, or its owner's number + 1, or the kernel's mark that the owner died.
pub const RobustMutex = extern struct {
    word: u32 align(8),
    padding: [60]u8,

    pub const TryLock = enum { acquired, acquired_from_dead, busy };
    const mark_owner_died: u32 = 0x4000_0000;

    pub fn initialise(mutex: *RobustMutex) void {
        fiber.pause(.initialise, @intFromPtr(mutex), 0);
        memory_model.beforeSystemCall();
        mutex.become(0);
    }

    pub fn tryLock(mutex: *RobustMutex) TryLock {
        fiber.pause(.try_lock, @intFromPtr(mutex), 0);
        memory_model.beforeSystemCall();
        const result: TryLock = switch (mutex.word) {
            0 => .acquired,
            mark_owner_died => .acquired_from_dead,
            else => return .busy,
        };
        mutex.become(@as(u32, fiber.current) + 1);
        return result;
    }

    pub fn unlock(mutex: *RobustMutex) void {
        fiber.pause(.unlock, @intFromPtr(mutex), 0);
        // A release: what was stored before is visible to who sees it unlocked.
        memory_model.beforeSystemCall();
        if (mutex.owner() == fiber.current) mutex.become(0);
    }

    pub fn ownerDied(mutex: *const RobustMutex) bool {
        const address = @intFromPtr(mutex);
        if (!independence.ofLook(address)) fiber.pause(.look_at_mutex, address, 0);
        return mutex.isMarked();
    }

    pub fn isLocked(mutex: *const RobustMutex) bool {
        const address = @intFromPtr(mutex);
        if (!independence.ofLookForOwner(address)) fiber.pause(.look_at_mutex, address, 0);
        return mutex.word != 0;
    }

    /// What the kernel does some time after the owner's death.
    pub fn mark(mutex: *RobustMutex) void {
        mutex.become(mark_owner_died);
    }

    pub fn owner(mutex: *const RobustMutex) ?u8 {
        if (mutex.word == 0 or mutex.isMarked()) return null;
        return @intCast(mutex.word - 1);
    }

    pub fn isMarked(mutex: *const RobustMutex) bool {
        return mutex.word == mark_owner_died;
    }

    fn become(mutex: *RobustMutex, word: u32) void {
        oracle.beforeChange(@intFromPtr(mutex), mutex.word != word);
        mutex.word = word;
    }
};
