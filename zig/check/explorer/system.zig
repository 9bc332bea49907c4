//! The operating system as the core sees it, in a model: futex, clock, memory, robust mutexes.
//! Each call is one step. What the kernel does by itself (marking the dead, ending waits) is not
//! here but with the scheduler's other choices, in `choices.zig`. The core calls these through
//! `hooks/explored.zig`.

const std = @import("std");
const hooks = @import("hooks");
const fiber = @import("fiber.zig");
const independence = @import("independence.zig");
const memory_model = @import("memory_model.zig");
const oracle = @import("oracle.zig");
const state = @import("state.zig");

const RobustMutex = hooks.RobustMutex;
pub const Wait = hooks.futex.Wait;

export fn explorer_futex_wait(word: *const u32, expected: u32, deadline_ns: u64, bits: u32) Wait {
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

export fn explorer_futex_wake(word: *const u32, count: u32, bits: u32) u32 {
    fiber.pause(.futex_wake, @intFromPtr(word), count);
    if (fiber.direct) return 0;
    memory_model.beforeSystemCall();
    // The scheduler chooses which one of several is woken.
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

export fn explorer_now() u64 {
    return state.now.clock_ns;
}

/// A fiber that spins is not scheduled again until something that it may look at has changed.
export fn explorer_relax() void {
    if (fiber.direct) {
        // The oracle waits for nobody.
        state.now.clock_ns += 20 * std.time.ns_per_ms;
        return;
    }
    fiber.self().status = .spinning;
    fiber.pause(.relax, 0, 0);
}

export fn explorer_page_size() u64 {
    return state.page_size;
}

export fn explorer_commit(offset: u64, length: u64) bool {
    const slot = slotAt(offset) orelse return true;
    fiber.pause(.commit, offset, length);
    memory_model.beforeSystemCall();
    if (!fiber.direct and fiber.self().answer != 0) {
        state.now.budget.commit_failures -= 1;
        return false;
    }
    const end = offset + length - dataOffset(slot);
    const facts = &state.now.slots[slot];
    facts.backed = @max(facts.backed, end);
    return true;
}

export fn explorer_populate(offset: u64, length: u64) void {
    const slot = slotAt(offset) orelse return;
    const end = offset + length - dataOffset(slot);
    if (state.now.slots[slot].backed < end)
        oracle.report("memory is brought into a mapping that the pool only claims to have");
}

export fn explorer_zero(bytes: [*]u8, length: u64) void {
    const offset = @intFromPtr(bytes) - @intFromPtr(&state.object);
    fiber.pause(.zero, offset, length);
    memory_model.beforeSystemCall();
    if (slotAt(offset)) |slot| {
        if (state.now.slots[slot].backed < length)
            oracle.report("memory is zeroed that the pool only claims to have");
    }
    @memset(bytes[0..length], 0);
}

export fn explorer_punch(offset: u64, length: u64) void {
    fiber.pause(.punch, offset, length);
    memory_model.beforeSystemCall();
    @memset(state.object[offset..][0..length], 0);
    const slot = slotAt(offset) orelse return;
    const facts = &state.now.slots[slot];
    const start = offset - dataOffset(slot);
    facts.backed = @min(facts.backed, start);
}

fn dataOffset(slot: usize) u64 {
    return state.view.geometry.dataOffset(@intCast(slot));
}

fn slotAt(offset: u64) ?usize {
    const geometry = &state.view.geometry;
    if (offset < geometry.data_offset) return null;
    return (offset - geometry.data_offset) / geometry.stride;
}

const mark_owner_died: u32 = 0x4000_0000;

export fn explorer_mutex_initialise(mutex: *RobustMutex) void {
    fiber.pause(.initialise, @intFromPtr(mutex), 0);
    memory_model.beforeSystemCall();
    become(mutex, 0);
}

export fn explorer_mutex_try_lock(mutex: *RobustMutex) RobustMutex.TryLock {
    fiber.pause(.try_lock, @intFromPtr(mutex), 0);
    memory_model.beforeSystemCall();
    const result: RobustMutex.TryLock = switch (mutex.word) {
        0 => .acquired,
        mark_owner_died => .acquired_from_dead,
        else => return .busy,
    };
    become(mutex, @as(u32, fiber.current) + 1);
    return result;
}

export fn explorer_mutex_unlock(mutex: *RobustMutex) void {
    fiber.pause(.unlock, @intFromPtr(mutex), 0);
    // A release: earlier stores are visible to a fiber that sees it unlocked.
    memory_model.beforeSystemCall();
    if (ownerOf(mutex) == fiber.current) become(mutex, 0);
}

export fn explorer_mutex_owner_died(mutex: *const RobustMutex) bool {
    const address = @intFromPtr(mutex);
    if (!independence.ofLook(address)) fiber.pause(.look_at_mutex, address, 0);
    return isMarked(mutex);
}

export fn explorer_mutex_is_locked(mutex: *const RobustMutex) bool {
    const address = @intFromPtr(mutex);
    if (!independence.ofLookForOwner(address)) fiber.pause(.look_at_mutex, address, 0);
    return mutex.word != 0;
}

/// What the kernel does some time after the owner's death.
pub fn mark(mutex: *RobustMutex) void {
    become(mutex, mark_owner_died);
}

pub fn ownerOf(mutex: *const RobustMutex) ?u8 {
    if (mutex.word == 0 or isMarked(mutex)) return null;
    return @intCast(mutex.word - 1);
}

pub fn isMarked(mutex: *const RobustMutex) bool {
    return mutex.word == mark_owner_died;
}

fn become(mutex: *RobustMutex, word: u32) void {
    oracle.beforeChange(@intFromPtr(mutex), mutex.word, word);
    mutex.word = word;
}
