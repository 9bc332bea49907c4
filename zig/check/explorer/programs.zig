//! The programs that are explored: for each thread the operations that it does, each from a set of
//! which every one is tried, and how often the world may interfere. Every program names the broken
//! variants that it has to catch.

const std = @import("std");
const geometry_file = @import("core").format.geometry;
const layout = @import("core").format.layout;
const new_object = @import("core").format.new_object;
const access = @import("access.zig");
const channel_operations = @import("channel_operations.zig");
const directory = @import("core").protocol.channel.directory;
const fiber = @import("fiber.zig");
const independence = @import("independence.zig");
const memory_model = @import("memory_model.zig");
const operations = @import("operations.zig");
const naming = @import("naming.zig");
const oracle = @import("oracle.zig");
const state = @import("state.zig");
const words = @import("core").format.words;
const Canary = @import("hooks").Canary;
const Operation = operations.Operation;

pub const clock_start_ns: u64 = 10 * std.time.ns_per_s;
pub const lease_ns: u64 = 1000 * std.time.ns_per_ms;
/// The user's own bound of a timed wait, well within a slice.
pub const short_ns: u64 = 20 * std.time.ns_per_ms;

pub const Thread = struct {
    /// Whether it has its row from the beginning.
    joined: bool = true,
    /// Done before the exploration begins.
    first: []const Operation = &.{},
    /// One of each set, in this order.
    steps: []const []const Operation,
    /// The size of each of its acquires, where it differs from the program's.
    size: ?u32 = null,
    /// Its channel, of the program's. It has it open from the beginning if it has its row, and
    /// reads it if it is a broadcast.
    channel: u8 = 0,
    opens: bool = true,
    subscribes: bool = true,
    /// The channel to which it sends on what it has received.
    onward: ?u8 = null,
    /// How many free slots it keeps for itself.
    cache: u32 = 0,
};

pub const Channel = struct { name: []const u8 = "a", asked: directory.Asked };

pub const Program = struct {
    name: []const u8,
    /// `bun run test` explores the small ones, CI also the medium ones.
    set: enum { small, medium, large } = .small,
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
    /// Waiters claim without having waited.
    claims: bool = false,
    /// The leases of what was passed on at first have run out already.
    leases_over: bool = false,
    /// Nothing is released, so that an answer that the pool is full can be proved wrong.
    full_is_exact: bool = false,
    /// A waiter has been refused for memory, and nobody has released anything since.
    memory_wanted: bool = false,
    channels: []const Channel = &.{},
    /// Of channels, where there are fewer than that.
    blocks: ?u32 = null,
    budget: state.Budget = .{},
    memory: memory_model.Model = .sequential,
    catches: []const Canary = &.{},

    pub fn does(program: *const Program, wanted: Operation) bool {
        for (program.threads) |thread| {
            for (thread.steps) |set| {
                for (set) |operation| if (operation == wanted) return true;
            }
        }
        return false;
    }

    pub fn caches(program: *const Program) bool {
        for (program.threads) |thread| if (thread.cache > 0) return true;
        return false;
    }

    pub fn flushes(program: *const Program) bool {
        return program.does(.flush);
    }

    fn waits(program: *const Program) bool {
        return program.does(.acquire_blocking) or program.does(.acquire_timed);
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
        return budget.deaths + budget.stops + budget.leases > 0 or program.leases_over or
            program.does(.reclaim) or program.does(.abandon) or program.begins(.abandon) or
            program.changesChannels();
    }

    pub fn lacksBlocks(program: *const Program) bool {
        return program.blockCount() < program.channels.len;
    }

    fn blockCount(program: *const Program) u32 {
        return program.blocks orelse @intCast(program.channels.len);
    }

    fn changesChannels(program: *const Program) bool {
        return program.does(.open_channel) or program.does(.leave_channel);
    }

    fn begins(program: *const Program, with: Operation) bool {
        for (program.threads) |thread| {
            for (thread.first) |operation| if (operation == with) return true;
        }
        return false;
    }

    fn redelivers(program: *const Program) bool {
        for (program.channels) |channel| if (channel.asked.redeliver orelse false) return true;
        return false;
    }

    fn changesRows(program: *const Program) bool {
        return program.does(.join) or program.does(.leave) or program.does(.abandon) or
            program.does(.open_or_create) or program.does(.leave_at_exit);
    }
};

pub var current: Program = undefined;

/// Of an acquire by this thread.
pub fn sizeOf(thread: u8) u32 {
    if (thread >= current.threads.len) return current.size;
    return current.threads[thread].size orelse current.size;
}

/// The state in which the exploration of `current` begins.
pub fn begin() void {
    fiber.direct = true;
    fiber.current = state.outside;
    state.clear();
    state.buffered = current.memory != .sequential;
    memory_model.model = current.memory;
    independence.rows_are_constant = false;
    access.claimAtOnce(current.claims);
    independence.gate_is_open = !current.flushes() and !current.waits();
    independence.nobody_abandons = false;
    independence.channels_are_constant = false;
    independence.nothing_is_a_message = !current.redelivers();
    independence.nothing_is_cached = !current.caches();
    state.now.clock_ns = clock_start_ns;
    state.now.name = naming.to_pool;
    makePool();
    for (current.threads, 0..) |thread, index| {
        fiber.current = @intCast(index);
        if (thread.joined) operations.join(@intCast(index));
        if (thread.joined and thread.opens and current.channels.len > 0)
            operations.perform(@intCast(index), .open_channel);
        if (thread.onward != null) channel_operations.openOnward(@intCast(index));
    }
    for (current.threads, 0..) |thread, index| {
        fiber.current = @intCast(index);
        for (thread.first) |operation| operations.perform(@intCast(index), operation);
    }
    fiber.current = state.outside;
    state.now.budget = current.budget;
    state.view.header.repair.memory_wanted = @intFromBool(current.memory_wanted);
    if (current.leases_over) state.now.clock_ns += lease_ns + 1;
    oracle.clockMoved();
    independence.rows_are_constant = !current.changesRows();
    independence.channels_are_constant = !current.changesRows() and !current.changesChannels();
    independence.nobody_abandons = !current.changesRows() and !current.begins(.abandon);
    for (0..current.threads.len) |index| fiber.prepare(@intCast(index), operations.body);
    state.track();
}

fn makePool() void {
    const geometry = geometry_file.compute(.{
        .capacity = current.slots,
        .buffer_size = state.buffer_size,
        .participant_count = current.rows orelse @intCast(current.threads.len),
        .channel_count = current.blockCount(),
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
    new_object.fill(&state.object, geometry, identity);
    for (state.view.slots[0..current.slots], state.now.slots[0..current.slots]) |*slot, *facts| {
        slot.control = @bitCast(words.Control.freed(@bitCast(@as(u64, 1))));
        slot.committed = current.committed;
        facts.backed = current.committed;
        state.view.header.repair.committed_bytes += current.committed;
    }
    // No other fiber notices that memory is brought into a mapping.
    for (&state.now.populated) |*bytes| @memset(bytes, state.buffer_size);
}

pub const all = of_the_pool ++ @import("cache_programs.zig").all ++ @import("channel_programs.zig").all ++
    @import("message_programs.zig").all;

const of_the_pool = [_]Program{
    .{
        .name = "pop and push",
        .threads = &.{
            .{ .steps = &.{ &.{.acquire}, &.{.acquire} } },
            .{ .steps = &.{ &.{.acquire}, &.{.acquire}, &.{.release} } },
        },
        .catches = &.{.untagged_head},
    },
    .{
        .name = "acquire and release",
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
    .{
        .name = "operations beside a recovery of a third",
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{ &.{ .release, .clone, .share }, &.{.acquire} } },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{.acquire}, .steps = &.{} },
        },
        .slots = 3,
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{
            .recovery_without_waiting,
            .push_gives_up_when_frozen,
            .row_after_bracket,
        },
    },
    .{
        .name = "an acquire and what follows beside a recovery of a third",
        .threads = &.{
            .{ .steps = &.{ &.{.acquire}, &.{ .release, .clone, .share } } },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{.acquire}, .steps = &.{} },
        },
        .slots = 3,
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{ .recovery_without_waiting, .recovery_one_wait },
    },
    .{
        .name = "references in flight",
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{ .share, .hand_off }} },
            .{ .steps = &.{ &.{ .take, .unref, .get, .add_ref }, &.{.release} } },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1, .leases = 1 },
        .catches = &.{.rebuild_ignores_in_flight},
    },
    .{
        .name = "references by hand",
        .threads = &.{
            .{
                .first = &.{ .acquire, .hand_off },
                .steps = &.{ &.{ .release_by_hand, .set_ref_count }, &.{.try_release} },
            },
            .{ .steps = &.{&.{ .add_ref, .unref, .release_by_hand }} },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.rebuild_recycles_parked},
    },
    .{
        .name = "memory to commit",
        .set = .medium,
        .threads = &.{
            .{ .steps = &.{ &.{.acquire}, &.{.release} } },
            .{ .steps = &.{&.{ .acquire, .reclaim }} },
            .{ .steps = &.{} },
        },
        .committed = 0,
        .budget = .{ .deaths = 1, .commit_failures = 1 },
        .catches = &.{ .rebuild_frees_private, .private_without_row },
    },
    .{
        .name = "a pool that zeroes",
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{ &.{ .release, .hand_off }, &.{.acquire} } },
            .{ .steps = &.{&.{ .acquire, .unref, .reclaim }} },
            .{ .steps = &.{} },
        },
        .zero_on_release = true,
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "truncations in a pool that zeroes",
        .slots = 1,
        .threads = &.{
            .{
                .first = &.{ .acquire, .share },
                .steps = &.{ &.{.truncate}, &.{.release}, &.{.acquire} },
            },
            .{ .first = &.{.take}, .steps = &.{ &.{.truncate}, &.{.release} } },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .zero_on_release = true,
        .budget = .{ .deaths = 1 },
        .catches = &.{.truncated_tail_kept},
    },
    .{
        .name = "a waiter and a release",
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.wake_seq_after_try},
    },
    .{
        .name = "two waiters, one gives up",
        .set = .medium,
        .claims = true,
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{&.{.acquire_timed}} },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .timeouts = 1 },
        .catches = &.{.waiters_not_atomic},
    },
    .{
        .name = "a waiter beside one who acquires again",
        .claims = true,
        .slots = 1,
        .threads = &.{
            .{
                .first = &.{.acquire},
                .steps = &.{ &.{.release}, &.{.acquire}, &.{.release}, &.{.acquire} },
            },
            .{ .steps = &.{ &.{.acquire_blocking}, &.{.release} } },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{ .claim_ignored, .sleep_not_counted },
    },
    .{
        .name = "two waiters, one dies",
        .claims = true,
        .set = .large,
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{ &.{.acquire_blocking}, &.{.release} } },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "two waiters, one stops",
        .set = .medium,
        .claims = true,
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{ &.{.acquire_blocking}, &.{.release} } },
            .{ .steps = &.{ &.{.acquire_blocking}, &.{.release} } },
        },
        .budget = .{ .stops = 1 },
        .catches = &.{.claim_never_ends},
    },
    .{
        .name = "two that flush, and a waiter",
        .set = .large,
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.flush}, .steps = &.{&.{ .leave, .unflush, .abandon }} },
            .{ .steps = &.{ &.{.flush}, &.{ .unflush, .leave } } },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "a waiter beside a recovery",
        .set = .medium,
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{&.{.acquire_blocking}} },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{.waiting_outside_bracket},
    },
    .{
        .name = "recoverers that die",
        .threads = &.{
            .{ .steps = &.{&.{.reclaim}} },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{.acquire}, .steps = &.{&.{.release}} },
        },
        .budget = .{ .deaths = 2, .deferrals = 1 },
        .catches = &.{.dead_read_twice},
    },
    .{
        .name = "a recoverer's successor",
        .set = .medium,
        .slots = 1,
        .threads = &.{
            .{ .steps = &.{&.{.reclaim}} },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{ .acquire, .share }, .steps = &.{&.{.clone}} },
        },
        .leases_over = true,
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{.successor_may_defer},
    },
    .{
        .name = "a thread that ends, and a waiter",
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.abandon}} },
            .{ .steps = &.{ &.{.acquire_blocking}, &.{ .release, .abandon } } },
        },
        .budget = .{ .deferrals = 1 },
    },
    .{
        .name = "join and leave",
        .rows = 2,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{ .leave, .abandon }} },
            .{ .steps = &.{&.{ .acquire, .reclaim }} },
            .{ .joined = false, .steps = &.{ &.{.join}, &.{.acquire} } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "the last of an ephemeral pool",
        .rows = 2,
        .ephemeral = true,
        .threads = &.{
            .{ .steps = &.{&.{ .leave, .leave_at_exit }} },
            .{ .joined = false, .steps = &.{ &.{.open_or_create}, &.{ .leave, .leave_at_exit } } },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.removed_after_name},
    },
    .{
        .name = "an ephemeral pool left by one, opened by one, unlinked by one",
        .rows = 3,
        .ephemeral = true,
        .threads = &.{
            .{ .steps = &.{&.{.leave}} },
            .{ .joined = false, .steps = &.{&.{.open_or_create}} },
            .{ .joined = false, .steps = &.{&.{.unlink}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.name_unlocked},
    },
    .{
        .name = "two that leave an ephemeral pool, and one that opens it",
        .set = .large,
        .rows = 3,
        .ephemeral = true,
        .threads = &.{
            .{ .steps = &.{&.{ .leave, .leave_at_exit, .abandon }} },
            .{ .steps = &.{&.{ .leave, .leave_at_exit }} },
            .{ .joined = false, .steps = &.{ &.{.open_or_create}, &.{ .leave, .unlink } } },
        },
        .budget = .{ .deaths = 2 },
    },
    .{
        .name = "trim beside an acquire",
        .threads = &.{
            .{ .steps = &.{&.{.acquire}} },
            .{ .steps = &.{&.{.trim}} },
        },
        .catches = &.{.maintenance_without_waiting},
    },
    .{
        .name = "trim beside an acquire of the only free buffer",
        .slots = 1,
        .threads = &.{
            .{ .steps = &.{&.{.acquire}} },
            .{ .steps = &.{&.{ .trim, .preallocate }} },
        },
        .committed = 8,
        .full_is_exact = true,
        .budget = .{ .commit_failures = 1 },
    },
    .{
        .name = "trim that dies or stops beside an acquire",
        .threads = &.{
            .{ .steps = &.{ &.{.acquire}, &.{.acquire} } },
            .{ .steps = &.{&.{.trim}} },
        },
        .budget = .{ .deaths = 1, .stops = 1 },
    },
    .{
        .name = "a refused acquire beside an acquire",
        .committed = 0,
        .max_committed = state.buffer_size,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{ .acquire, .acquire_at_once }} },
            .{ .steps = &.{&.{.acquire}} },
        },
        .full_is_exact = true,
        .catches = &.{.refusal_pops_first},
    },
    .{
        .name = "an acquire that the system refuses beside an acquire",
        .committed = 0,
        .slots = 1,
        .threads = &.{
            .{ .steps = &.{&.{.acquire}} },
            .{ .steps = &.{&.{.acquire}} },
        },
        .full_is_exact = true,
        .budget = .{ .commit_failures = 1 },
        .catches = &.{.refusal_unchecked},
    },
    .{
        .name = "waiters for memory of two sizes",
        .set = .large,
        .committed = 0,
        .max_committed = 24,
        .threads = &.{
            .{ .size = 0, .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .size = 16, .first = &.{.acquire}, .steps = &.{&.{.acquire_blocking}} },
            .{ .size = 8, .steps = &.{&.{.acquire_blocking}} },
        },
        .catches = &.{.memory_wake_kept},
    },
    .{
        .name = "waiters for memory of two sizes that claim",
        .set = .large,
        .claims = true,
        .committed = 0,
        .max_committed = 24,
        .threads = &.{
            .{ .size = 0, .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .size = 16, .first = &.{.acquire}, .steps = &.{&.{.acquire_blocking}} },
            .{ .size = 8, .steps = &.{&.{.acquire_blocking}} },
        },
    },
    .{
        .name = "waiters for memory of two sizes, one of which was refused before",
        .set = .large,
        .committed = 0,
        .max_committed = 24,
        .threads = &.{
            .{ .size = 0, .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .size = 16, .first = &.{.acquire}, .steps = &.{&.{.acquire_blocking}} },
            .{ .size = 8, .steps = &.{&.{.acquire_blocking}} },
        },
        .memory_wanted = true,
        .catches = &.{.memory_waiter_not_woken},
    },
    .{
        .name = "a waiter for memory beside a trim",
        .set = .medium,
        .committed = 8,
        .max_committed = 16,
        .threads = &.{
            .{ .steps = &.{&.{.trim}} },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.maintenance_wakes_nobody},
    },
    .{
        .name = "a waiter for memory beside a release",
        .committed = 0,
        .max_committed = 16,
        .threads = &.{
            .{ .size = 8, .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "a waiter that claims memory beside one who acquires again",
        .set = .medium,
        .claims = true,
        .committed = 0,
        .max_committed = 16,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{ &.{.release}, &.{.acquire}, &.{.release} } },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "preallocate beside a release",
        .committed = 8,
        .size = 8,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{&.{.preallocate}} },
        },
        .budget = .{ .deaths = 1, .commit_failures = 1 },
    },
    .{
        .name = "trim beside an acquire and a release",
        .set = .large,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{ &.{.release}, &.{.acquire} } },
            .{ .steps = &.{&.{ .trim, .preallocate }} },
        },
        .committed = 8,
        .budget = .{ .deaths = 1, .commit_failures = 1 },
    },
    .{
        .name = "trim beside two",
        .set = .large,
        .threads = &.{
            .{ .steps = &.{&.{.acquire}} },
            .{ .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{&.{.trim}} },
        },
    },
    .{
        .name = "trim and preallocate beside a recovery",
        .set = .large,
        .committed = 8,
        .threads = &.{
            .{ .steps = &.{&.{ .preallocate, .trim }} },
            .{ .steps = &.{&.{ .acquire, .reclaim }} },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "flush beside a waiter",
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{ &.{.flush}, &.{.release}, &.{.unflush} } },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "somebody stops",
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{ &.{.release}, &.{ .acquire, .leave } } },
            .{ .steps = &.{&.{ .reclaim, .acquire }} },
            .{ .first = &.{ .acquire, .abandon }, .steps = &.{} },
        },
        .budget = .{ .stops = 1 },
    },
    .{
        .name = "a timed waiter, and somebody stops",
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{ .release, .share, .leave }} },
            .{ .steps = &.{ &.{.acquire_timed}, &.{.release} } },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
        .budget = .{ .stops = 1, .timeouts = 1 },
    },
    .{
        .name = "memory to its bound",
        .committed = 0,
        .max_committed = state.buffer_size,
        .threads = &.{
            .{ .steps = &.{ &.{.acquire}, &.{.release} } },
            .{ .steps = &.{ &.{.acquire}, &.{.release} } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "an event loop's acquire beside a recovery",
        .threads = &.{
            .{ .steps = &.{ &.{.acquire_at_once}, &.{.release} } },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{ .acquire, .abandon }, .steps = &.{} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "store buffers: a waiter's bracket beside the freeze",
        .memory = .tso,
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{ &.{.reclaim}, &.{.release} } },
            .{ .steps = &.{&.{.acquire_blocking}} },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
        .catches = &.{.bracket_not_sequential},
    },
    .{
        .name = "store buffers: a push beside a waiter",
        .memory = .tso,
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{ &.{.release}, &.{.acquire}, &.{.release} } },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .catches = &.{.sleep_not_sequential},
    },
    .{
        .name = "store buffers: an operation beside the freeze",
        .memory = .tso,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.clone}} },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
        .catches = &.{.hold_before_cas},
    },
    .{
        .name = "store buffers: an acquire beside the freeze",
        .set = .medium,
        .memory = .tso,
        .threads = &.{
            .{ .steps = &.{ &.{.acquire}, &.{.release} } },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
        .budget = .{ .deferrals = 1 },
        .catches = &.{.frozen_word_taken},
    },
    .{
        .name = "store buffers: trim beside an acquire",
        .memory = .tso,
        .slots = 1,
        .threads = &.{
            .{ .steps = &.{&.{.acquire}} },
            .{ .steps = &.{&.{.trim}} },
        },
        .full_is_exact = true,
        .catches = &.{.maintenance_keeps_tag},
    },
    .{
        .name = "stores out of order: a hold beside leaving the bracket",
        .memory = .pso,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{ .clone, .share, .release }} },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
        .catches = &.{.leave_relaxed},
    },
    .{
        .name = "stores out of order: a push and a pop",
        .memory = .pso,
        .threads = &.{
            .{ .first = &.{ .acquire, .acquire }, .steps = &.{&.{.release}} },
            .{ .steps = &.{ &.{.acquire}, &.{.acquire} } },
        },
        .catches = &.{.push_relaxed},
    },
    .{
        .name = "one of all operations by two",
        .set = .large,
        .threads = &.{
            .{ .first = &.{ .acquire, .share }, .steps = &.{&everything} },
            .{ .steps = &.{&everything} },
        },
        .budget = .{ .deaths = 2, .deferrals = 1, .leases = 1 },
    },
    .{
        .name = "two of all operations by two",
        .set = .large,
        .threads = &.{
            .{ .first = &.{ .acquire, .share }, .steps = &.{ &everything, &everything } },
            .{ .steps = &.{ &everything, &everything } },
        },
        .budget = .{ .leases = 1 },
    },
    .{
        .name = "one of the usual operations by three",
        .set = .large,
        .threads = &.{
            .{ .first = &.{ .acquire, .share }, .steps = &.{&usual} },
            .{ .steps = &.{&usual} },
            .{ .steps = &.{&usual} },
        },
        .leases_over = true,
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "three that acquire and release",
        .set = .large,
        .threads = &.{
            .{ .steps = &.{ &.{.acquire}, &.{.release}, &.{.acquire} } },
            .{ .steps = &.{ &.{.acquire}, &.{.release} } },
            .{ .steps = &.{ &.{.acquire}, &.{.release} } },
        },
    },
    .{
        .name = "two waiters and two releases",
        .set = .large,
        .threads = &.{
            .{ .first = &.{ .acquire, .acquire }, .steps = &.{ &.{.release}, &.{.release} } },
            .{ .steps = &.{ &.{.acquire_blocking}, &.{.release} } },
            .{ .steps = &.{ &.{.acquire_blocking}, &.{.release} } },
        },
    },
    .{
        .name = "two recoverers and two deaths",
        .set = .large,
        .threads = &.{
            .{ .steps = &.{&.{.reclaim}} },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{.acquire}, .steps = &.{ &.{.release}, &.{.acquire} } },
        },
        .budget = .{ .deaths = 2, .deferrals = 2 },
    },
    .{
        .name = "two that join, and two deaths",
        .set = .large,
        .rows = 2,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{ .leave, .abandon, .share }} },
            .{ .joined = false, .steps = &.{ &.{.join}, &.{.acquire}, &.{.leave} } },
            .{ .joined = false, .steps = &.{ &.{.join}, &.{.acquire} } },
        },
        .budget = .{ .deaths = 2 },
    },
};

const usual = [_]Operation{ .acquire, .release, .clone, .share, .take, .unref };

const everything = [_]Operation{
    .acquire, .acquire_blocking, .release,     .clone,           .share,
    .get,     .take,             .add_ref,     .hand_off,        .unref,
    .reclaim, .set_ref_count,    .try_release, .release_by_hand,
};
