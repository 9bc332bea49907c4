//! The programs that are explored: for each thread the operations that it does, each from a set of
//! which every one is tried, and how often the world may interfere. Every program names the broken
//! variants that it has to catch.

const std = @import("std");
const geometry_file = @import("../geometry.zig");
const layout = @import("../layout.zig");
const participant_file = @import("../participant.zig");
const pool_file = @import("../pool.zig");
const fiber = @import("fiber.zig");
const independence = @import("independence.zig");
const memory_model = @import("memory_model.zig");
const operations = @import("operations.zig");
const state = @import("state.zig");
const Canary = @import("../canary.zig").Canary;
const Operation = operations.Operation;

pub const clock_start_ns: u64 = 10 * std.time.ns_per_s;
pub const lease_ns: u64 = 1000 * std.time.ns_per_ms;
/// The user's own bound of a timed wait, well within a slice.
pub const short_ns: u64 = 20 * std.time.ns_per_ms;

pub const Thread = struct {
    /// Has its row from the beginning.
    joined: bool = true,
    /// Done before the exploration begins.
    first: []const Operation = &.{},
    /// One of each set, in this order.
    steps: []const []const Operation,
};

pub const Program = struct {
    name: []const u8,
    set: enum { small, large } = .small,
    threads: []const Thread,
    slots: u32 = 2,
    rows: ?u32 = null,
    /// Of each acquire.
    size: u32 = state.buffer_size,
    /// Bytes of each slot that have memory at first.
    committed: u64 = state.buffer_size,
    max_committed: u64 = 0,
    zero_on_release: bool = false,
    ephemeral: bool = false,
    budget: state.Budget = .{},
    memory: memory_model.Model = .sequential,
    catches: []const Canary = &.{},

    pub fn does(program: *const Program, wanted: Operation) bool {
        for (program.threads) |thread| {
            for (thread.first) |operation| if (operation == wanted) return true;
            for (thread.steps) |set| {
                for (set) |operation| if (operation == wanted) return true;
            }
        }
        return false;
    }

    pub fn flushes(program: *const Program) bool {
        return program.does(.flush);
    }

    pub fn parks(program: *const Program) bool {
        return program.does(.release_by_hand) or program.does(.set_ref_count);
    }

    pub fn memoryIsPlenty(program: *const Program) bool {
        return program.budget.commit_failures == 0 and program.max_committed == 0;
    }

    /// Without any of these, a recovery could only mend damage that the core did itself.
    pub fn mayRecover(program: *const Program) bool {
        const budget = program.budget;
        return budget.deaths + budget.stops + budget.leases > 0 or
            program.does(.reclaim) or program.does(.abandon);
    }

    fn changesRows(program: *const Program) bool {
        return program.does(.join) or program.does(.leave) or program.does(.abandon);
    }
};

pub var current: Program = undefined;

/// The state in which the exploration of `current` begins.
pub fn begin() void {
    fiber.direct = true;
    fiber.current = state.outside;
    state.clear();
    state.buffered = current.memory != .sequential;
    memory_model.model = current.memory;
    independence.rows_are_constant = false;
    independence.nobody_flushes = !current.flushes();
    independence.nobody_abandons = !current.changesRows();
    state.now.clock_ns = clock_start_ns;
    makePool();
    for (current.threads, 0..) |thread, index| {
        fiber.current = @intCast(index);
        if (thread.joined) operations.join(@intCast(index));
        for (thread.first) |operation| operations.perform(@intCast(index), operation);
    }
    fiber.current = state.outside;
    state.now.budget = current.budget;
    independence.rows_are_constant = !current.changesRows();
    for (0..current.threads.len) |index| fiber.prepare(@intCast(index), operations.body);
    state.track();
}

fn makePool() void {
    const geometry = geometry_file.compute(.{
        .capacity = current.slots,
        .buffer_size = state.buffer_size,
        .participant_count = current.rows orelse @intCast(current.threads.len),
        .channel_count = 0,
    }, state.page_size) catch unreachable;
    std.debug.assert(geometry.total_size <= state.object.len);
    var identity = std.mem.zeroes(layout.Identity);
    identity.pool_id = 1;
    identity.lease_timeout_ms = lease_ns / std.time.ns_per_ms;
    identity.max_committed = current.max_committed;
    identity.zero_on_release = @intFromBool(current.zero_on_release);
    identity.ephemeral = @intFromBool(current.ephemeral);
    identity.state = layout.state_ready;
    state.view = .init(&state.object, geometry, identity, -1, &state.now.populated[0]);
    pool_file.fill(&state.object, geometry, identity);
    for (state.view.slots[0..current.slots], state.now.slots[0..current.slots]) |*slot, *facts| {
        slot.committed = current.committed;
        facts.backed = current.committed;
        state.view.header.repair.committed_bytes += current.committed;
    }
    // Bringing memory into a mapping is nobody else's business.
    for (&state.now.populated) |*bytes| @memset(bytes, state.buffer_size);
}

pub const all = [_]Program{
    .{
        .name = "pop and push",
        .threads = &.{
            .{ .steps = &.{ &.{.acquire}, &.{.acquire} } },
            .{ .steps = &.{ &.{.acquire}, &.{.acquire}, &.{.release} } },
        },
        .catches = &.{.untagged_head},
    },
    .{
        .name = "two that acquire and release",
        .threads = &.{
            .{ .steps = &.{ &.{.acquire}, &.{.release} } },
            .{ .steps = &.{ &.{.acquire}, &.{.release} } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "release beside a recovery",
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{ &.{.release}, &.{.acquire} } },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{.dead_rows_kept},
    },
};
