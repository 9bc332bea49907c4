//! What may happen next: the scheduler's choices in a state, and carrying one out. Beside a step
//! of a fiber these are what the world does by itself: deaths, the kernel's marks, time, store
//! buffers.

const std = @import("std");
const fiber = @import("fiber.zig");
const memory_model = @import("memory_model.zig");
const operations = @import("operations.zig");
const message_oracle = @import("message_oracle.zig");
const oracle = @import("oracle.zig");
const programs = @import("programs.zig");
const state = @import("state.zig");
const system = @import("system.zig");

pub const Kind = enum(u8) {
    /// A fiber takes its step; `what` is the outcome, where there are several.
    step,
    /// A store leaves its fiber's buffer; `what` is its place there.
    store_leaves,
    /// The kernel marks a mutex of a dead fiber: row `what`, or recovery's.
    mark,
    /// A sleep ends at its time.
    sleep_ends,
    /// Time passes until a recovery loses patience with somebody who is in an operation.
    recovery_gives_up,
    /// Time passes until all leases have run out.
    leases_run_out,
    /// Nothing else can happen: time passes, longer than anybody's patience.
    long_wait,
    dies,
    stops,
};

pub const Choice = struct { kind: Kind, who: u8 = 0, what: u8 = 0 };
pub const choices_max = 64;
pub const recovery_mutex: u8 = 255;

pub const List = struct {
    items: [choices_max]Choice = undefined,
    count: u8 = 0,
    /// Nobody can move; what is left to choose are deaths.
    at_end: bool = false,

    fn add(list: *List, choice: Choice) void {
        list.items[list.count] = choice;
        list.count += 1;
    }
};

pub fn collect(list: *List) void {
    list.count = 0;
    for (&state.now.fibers, 0..) |*each, index| addOf(list, each, @intCast(index));
    const able = list.count;
    const spinning = oracle.isSomebody(.spinning);
    if (able == 0 and (spinning or isSomebodyStuck())) list.add(.{ .kind = .long_wait });
    list.at_end = list.count == 0;
    const budget = &state.now.budget;
    if (budget.deferrals > 0 and spinning) list.add(.{ .kind = .recovery_gives_up });
    if (budget.leases > 0 and isAnythingLeased()) list.add(.{ .kind = .leases_run_out });
    for (&state.now.fibers, 0..) |*each, index| {
        if (!isWorthKilling(each, @intCast(index))) continue;
        if (budget.deaths > 0) list.add(.{ .kind = .dies, .who = @intCast(index) });
        if (budget.stops > 0 and each.status != .ended)
            list.add(.{ .kind = .stops, .who = @intCast(index) });
    }
}

fn addOf(list: *List, each: *const state.Fiber, index: u8) void {
    switch (each.status) {
        .ready => addSteps(list, each, index),
        .asleep => if (mayEndSleep(each, index)) list.add(.{ .kind = .sleep_ends, .who = index }),
        .dead => {
            for (state.view.rows[0..state.view.geometry.participant_count], 0..) |*row, place| {
                if (system.ownerOf(&row.mutex) == index)
                    list.add(.{ .kind = .mark, .who = index, .what = @intCast(place) });
            }
            if (system.ownerOf(&state.view.header.repair.mutex) == index)
                list.add(.{ .kind = .mark, .who = index, .what = recovery_mutex });
        },
        else => {},
    }
    if (memory_model.model == .sequential) return;
    for (0..state.buffers[index].count) |place| {
        if (memory_model.mayLeave(index, @intCast(place)))
            list.add(.{ .kind = .store_leaves, .who = index, .what = @intCast(place) });
    }
}

fn addSteps(list: *List, each: *const state.Fiber, index: u8) void {
    switch (each.pending) {
        .choose => {
            const set: [*]const operations.Operation = @ptrFromInt(each.address);
            var possible = false;
            for (set[0..each.amount], 0..) |operation, place| {
                if (!operations.isPossible(index, operation)) continue;
                possible = true;
                list.add(.{ .kind = .step, .who = index, .what = @intCast(place) });
            }
            if (!possible)
                list.add(.{ .kind = .step, .who = index, .what = operations.skipped });
        },
        .futex_wake => {
            var sleepers: u8 = 0;
            const word: *const u32 = @ptrFromInt(each.address);
            for (&state.now.fibers) |*sleeper| {
                if (system.sleepsOn(sleeper, word)) sleepers += 1;
            }
            const outcomes = if (each.amount == 1) @max(sleepers, 1) else 1;
            for (0..outcomes) |which|
                list.add(.{ .kind = .step, .who = index, .what = @intCast(which) });
        },
        .commit => {
            list.add(.{ .kind = .step, .who = index });
            if (state.now.budget.commit_failures > 0)
                list.add(.{ .kind = .step, .who = index, .what = 1 });
        },
        else => list.add(.{ .kind = .step, .who = index }),
    }
}

/// A sleep ends at its time only where somebody's death is then found. So a waiter whose wake was
/// lost sleeps for ever otherwise, and the lost wake is found. It would change nothing while
/// somebody has the recovery mutex: the work of the living ends with a wake of all, and the dead
/// are yet to be marked.
fn mayEndSleep(each: *const state.Fiber, index: u8) bool {
    if (each.deadline_ns <= state.now.clock_ns) return true;
    if (isTimed(index, each) and state.now.budget.timeouts > 0) return true;
    if (system.ownerOf(&state.view.header.repair.mutex) != null) return false;
    if (system.sleepsOn(each, &state.view.header.repair.epoch)) return !isWorkUnderWay();
    return oracle.isAnythingToFind(index);
}

/// Work on memory ends with a wake of all as well.
fn isWorkUnderWay() bool {
    for (state.view.rows[0..state.view.geometry.participant_count]) |*row| {
        if (row.working & 1 != 0 and system.ownerOf(&row.mutex) != null) return true;
    }
    return false;
}

fn isTimed(index: u8, each: *const state.Fiber) bool {
    return state.now.ledgers[index].timed and
        each.deadline_ns <= state.now.clock_ns + programs.short_ns;
}

/// A fiber that met something frozen, and waits for a stopped one.
fn isSomebodyStuck() bool {
    for (&state.now.fibers) |*each| {
        if (system.sleepsOn(each, &state.view.header.repair.epoch)) return true;
    }
    return false;
}

fn isAnythingLeased() bool {
    for (state.view.slots[0..state.view.geometry.capacity]) |*slot| {
        if (slot.lease > state.now.clock_ns) return true;
    }
    return false;
}

/// Death before a load is death before the next access that changes something: what others see is
/// the same.
fn isWorthKilling(each: *const state.Fiber, index: u8) bool {
    const between = each.status == .ended or each.pending == .choose;
    if (between and !state.now.ledgers[index].joined) return false;
    return switch (each.status) {
        .ready => switch (each.pending) {
            .begin, .load, .look_at_mutex => false,
            else => true,
        },
        .asleep, .spinning, .ended => true,
        .absent, .dead, .stopped => false,
    };
}

pub fn carryOut(choice: Choice) void {
    const each = &state.now.fibers[choice.who];
    switch (choice.kind) {
        .step => {
            // How a sleep ended is known already.
            if (each.pending != .in_futex) each.answer = choice.what;
            fiber.step(choice.who);
        },
        .store_leaves => memory_model.leave(choice.who, choice.what),
        .mark => if (choice.what == recovery_mutex)
            system.mark(&state.view.header.repair.mutex)
        else
            system.mark(&state.view.rows[choice.what].mutex),
        .sleep_ends => {
            const early = each.deadline_ns > state.now.clock_ns;
            if (early and isTimed(choice.who, each)) state.now.budget.timeouts -|= 1;
            // A sleeper on `epoch` only looks at the recovery mutex. That a little time has passed
            // matters to nobody, and would make states differ.
            const looks_at_clock = !system.sleepsOn(each, &state.view.header.repair.epoch);
            if (early and looks_at_clock) moveClockTo(@max(each.deadline_ns, pauseEnd()));
            system.endSleep(each, .timed_out);
        },
        .recovery_gives_up => {
            state.now.budget.deferrals -= 1;
            moveClockTo(state.now.clock_ns + 10 * std.time.ns_per_ms);
        },
        .leases_run_out => {
            state.now.budget.leases -= 1;
            moveClockTo(state.now.clock_ns + programs.lease_ns + 1);
        },
        .long_wait => moveClockTo(state.now.clock_ns + 2100 * std.time.ns_per_ms),
        .dies => {
            state.now.budget.deaths -= 1;
            end(choice.who, .dead);
            message_oracle.died(choice.who);
            @memset(std.mem.asBytes(&state.now.ledgers[choice.who]), 0);
            // The kernel gives a lock on a file back.
            if (state.now.name_lock == choice.who + 1) state.now.name_lock = 0;
        },
        .stops => {
            state.now.budget.stops -= 1;
            end(choice.who, .stopped);
        },
    }
}

fn end(index: u8, status: state.Status) void {
    if (memory_model.model != .sequential) memory_model.drain(index);
    state.now.fibers[index].status = status;
    state.forget(index);
}

/// When a recovery that was deferred may be tried again: a sleep ends after that, rather than
/// many times before it.
fn pauseEnd() u64 {
    return state.view.header.repair.retry_at_ns;
}

fn moveClockTo(time_ns: u64) void {
    state.now.clock_ns = time_ns;
    oracle.clockMoved();
    oracle.wakeSpinners();
}
