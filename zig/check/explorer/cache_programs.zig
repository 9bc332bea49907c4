//! The programs in which participants keep free slots for themselves.

const Program = @import("programs.zig").Program;

pub const all = [_]Program{
    .{
        .name = "two that have caches",
        .threads = &.{
            .{ .cache = 1, .steps = &.{ &.{.acquire}, &.{.release}, &.{.acquire} } },
            .{ .cache = 2, .steps = &.{ &.{.acquire}, &.{.release}, &.{.acquire} } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "an acquire of what is in another's cache",
        .slots = 1,
        .threads = &.{
            .{
                .cache = 1,
                .first = &.{ .acquire, .release },
                .steps = &.{ &.{.acquire}, &.{.release} },
            },
            .{ .steps = &.{ &.{.acquire}, &.{.release} } },
        },
        .budget = .{ .deaths = 1, .stops = 1 },
        .catches = &.{.caches_not_searched},
    },
    .{
        .name = "an acquire while slots go from cache to cache",
        .set = .medium,
        .threads = &.{
            .{ .cache = 1, .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .cache = 1, .first = &.{ .acquire, .release }, .steps = &.{&.{.acquire}} },
            .{ .steps = &.{&.{ .acquire, .acquire_at_once }} },
        },
        .catches = &.{
            .cache_moves_unseen,
            .cache_put_unseen,
            .caches_not_searched,
            .cache_entry_after_word,
        },
    },
    .{
        .name = "two acquires of what is in another's cache",
        .slots = 1,
        .threads = &.{
            .{ .cache = 1, .first = &.{ .acquire, .release }, .steps = &.{} },
            .{ .steps = &.{&.{.acquire}} },
            .{ .steps = &.{&.{ .acquire, .acquire_at_once }} },
        },
        .catches = &.{.move_unseen},
    },
    .{
        .name = "a waiter and a release into a cache",
        .slots = 1,
        .threads = &.{
            .{ .cache = 1, .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.cached_release_wakes_nobody},
    },
    .{
        .name = "two waiters and two releases into caches",
        .set = .large,
        .threads = &.{
            .{ .cache = 2, .first = &.{ .acquire, .acquire }, .steps = &.{
                &.{.release},
                &.{.release},
            } },
            .{ .cache = 1, .steps = &.{ &.{.acquire_blocking}, &.{.release} } },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
    },
    .{
        .name = "a waiter beside one who acquires from its cache again",
        .set = .medium,
        .claims = true,
        .slots = 1,
        .threads = &.{
            .{
                .cache = 1,
                .first = &.{.acquire},
                .steps = &.{ &.{.release}, &.{.acquire}, &.{.release} },
            },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "leaving with a cache",
        .set = .medium,
        .slots = 1,
        .rows = 2,
        .threads = &.{
            .{
                .cache = 1,
                .first = &.{ .acquire, .release },
                .steps = &.{&.{ .leave, .abandon }},
            },
            .{ .steps = &.{&.{ .acquire, .reclaim }} },
            .{ .joined = false, .steps = &.{ &.{.join}, &.{.acquire} } },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.cache_kept_at_close},
    },
    .{
        .name = "a cache beside a recovery",
        .threads = &.{
            .{
                .cache = 2,
                .first = &.{ .acquire, .release },
                .steps = &.{ &.{.acquire}, &.{.release} },
            },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{ .acquire, .abandon }, .steps = &.{} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{ .cached_and_listed, .cached_pop_while_frozen },
    },
    .{
        .name = "two caches beside a recovery",
        .set = .large,
        .slots = 1,
        .threads = &.{
            .{
                .cache = 1,
                .first = &.{ .acquire, .release },
                .steps = &.{ &.{.acquire}, &.{.release} },
            },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .cache = 1, .steps = &.{ &.{.acquire}, &.{.release} } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "trim beside a cache",
        .threads = &.{
            .{
                .cache = 1,
                .first = &.{ .acquire, .release },
                .steps = &.{ &.{.acquire}, &.{.release} },
            },
            .{ .steps = &.{&.{ .trim, .preallocate }} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.maintenance_without_waiting},
    },
    .{
        .name = "an acquire of what trim moves from a cache to the list",
        .slots = 1,
        .threads = &.{
            .{ .cache = 1, .first = &.{ .acquire, .release }, .steps = &.{} },
            .{ .steps = &.{&.{ .trim, .preallocate }} },
            .{ .steps = &.{&.{.acquire}} },
        },
        .full_is_exact = true,
        .catches = &.{.move_unseen},
    },
    .{
        .name = "a cache that is emptied beside a recovery that gives up",
        .slots = 1,
        .threads = &.{
            .{ .cache = 1, .first = &.{ .acquire, .release }, .steps = &.{
                &.{ .leave, .preallocate },
            } },
            .{ .steps = &.{ &.{.reclaim}, &.{.acquire} } },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
        .budget = .{ .deferrals = 1 },
        .catches = &.{.cache_move_once},
    },
    .{
        .name = "a waiter for memory beside a release into a cache",
        .committed = 0,
        .max_committed = 16,
        .threads = &.{
            .{ .cache = 1, .size = 8, .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "a flush beside a cache",
        .set = .medium,
        .slots = 1,
        .threads = &.{
            .{ .cache = 1, .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{ &.{.flush}, &.{.unflush} } },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
    },
    .{
        .name = "store buffers: a waiter and a release into a cache",
        .memory = .pso,
        .slots = 1,
        .threads = &.{
            .{ .cache = 1, .first = &.{.acquire}, .steps = &.{&.{.release}} },
            .{ .steps = &.{&.{.acquire_blocking}} },
        },
    },
    .{
        .name = "store buffers: a cache beside a recovery",
        .set = .medium,
        .memory = .pso,
        .slots = 1,
        .threads = &.{
            .{ .cache = 1, .first = &.{ .acquire, .release }, .steps = &.{&.{.acquire}} },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
        .budget = .{ .deferrals = 1 },
    },
    .{
        .name = "store buffers: trim beside a cache",
        .set = .medium,
        .memory = .pso,
        .slots = 1,
        .threads = &.{
            .{ .cache = 1, .first = &.{ .acquire, .release }, .steps = &.{&.{.acquire}} },
            .{ .steps = &.{&.{.trim}} },
        },
    },
};
