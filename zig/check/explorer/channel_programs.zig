//! The programs that use channels: see `programs.zig`.

const directory = @import("core").protocol.channel.directory;
const programs = @import("programs.zig");

const Program = programs.Program;

fn queue(comptime capacity: u32) []const programs.Channel {
    return &.{.{ .asked = .{ .capacity = capacity } }};
}

fn broadcast(comptime asked: directory.Asked) []const programs.Channel {
    comptime var whole = asked;
    whole.mode = .broadcast;
    const made = whole;
    return &.{.{ .asked = made }};
}

pub const all = [_]Program{
    .{
        .name = "a send, a receive and a recovery",
        .channels = queue(2),
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.receive}} },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{
            .send_row_first,
            .cell_row_after_bracket,
            .cells_not_frozen,
            .cells_not_counted,
        },
    },
    .{
        .name = "two senders and a receiver",
        .channels = queue(2),
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
        },
        .catches = &.{.send_claims_tail},
    },
    .{
        .name = "a sender and two receivers",
        .channels = queue(1),
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .steps = &.{ &.{.send}, &.{.send} },
            },
            .{ .steps = &.{&.{.receive}} },
            .{ .steps = &.{&.{.receive}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.lagging_end_awaited},
    },
    .{
        .name = "an end that lags by a lap",
        .channels = queue(1),
        .threads = &.{
            .{
                .first = &.{ .acquire, .acquire },
                .steps = &.{ &.{.send}, &.{.receive}, &.{.send} },
            },
            .{ .first = &.{.acquire}, .steps = &.{ &.{.send}, &.{.receive} } },
        },
        .slots = 3,
        .catches = &.{.cell_lap_ignored},
    },
    .{
        .name = "a blocked receiver and a send",
        .channels = queue(1),
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.receive_blocking}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.wake_before_cell},
    },
    .{
        .name = "a blocked sender and a receive",
        .channels = queue(1),
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{.send_blocking}} },
            .{ .steps = &.{&.{.receive}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "two sends and a receiver that blocks twice",
        .channels = queue(2),
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{ &.{.receive_blocking}, &.{.receive_blocking} } },
        },
    },
    .{
        .name = "a blocked subscriber beside a send that a close follows",
        .channels = broadcast(.{ .capacity = 1 }),
        .threads = &.{
            .{
                .first = &.{.acquire},
                .subscribes = false,
                .steps = &.{ &.{.send}, &.{.close_channel} },
            },
            .{ .steps = &.{ &.{.receive_blocking}, &.{.receive_blocking} } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "two blocked receivers, one gives up",
        .channels = queue(1),
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.receive_timed}} },
            .{ .steps = &.{&.{.receive_blocking}} },
        },
        .budget = .{ .timeouts = 1 },
    },
    .{
        .name = "two blocked senders, one gives up",
        .channels = queue(1),
        .slots = 3,
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{.send_timed}} },
            .{ .first = &.{.acquire}, .steps = &.{&.{.send_blocking}} },
            .{ .steps = &.{&.{.receive}} },
        },
        .budget = .{ .timeouts = 1 },
    },
    .{
        .name = "two blocked receivers and two sends",
        .set = .medium,
        .channels = queue(1),
        .threads = &.{
            .{
                .first = &.{ .acquire, .acquire },
                .steps = &.{ &.{.send_blocking}, &.{.send_blocking} },
            },
            .{ .steps = &.{&.{.receive_blocking}} },
            .{ .steps = &.{&.{.receive_blocking}} },
        },
    },
    .{
        .name = "two blocked senders and receives",
        .set = .medium,
        .channels = queue(1),
        .slots = 3,
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{.send_blocking}} },
            .{ .first = &.{.acquire}, .steps = &.{&.{.send_blocking}} },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
        },
    },
    .{
        .name = "a close beside a send and a receive",
        .channels = queue(1),
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.close_channel}} },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
        },
        .catches = &.{.closed_beside_ring},
    },
    .{
        .name = "a close beside those who sleep at both ends",
        .set = .medium,
        .channels = queue(1),
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{.send_blocking}} },
            .{ .steps = &.{&.{.close_channel}} },
            .{ .steps = &.{ &.{.receive_blocking}, &.{.receive_blocking}, &.{.receive_blocking} } },
        },
    },
    .{
        .name = "senders that drop the oldest beside a receive",
        .channels = &.{.{ .asked = .{ .capacity = 1, .overflow = .drop_oldest } }},
        .slots = 3,
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{.send_dropping}} },
            .{ .first = &.{.acquire}, .steps = &.{&.{.send_dropping}} },
            .{ .steps = &.{&.{.receive}} },
        },
    },
    .{
        .name = "a sender that drops the oldest, a receive and a recovery",
        .channels = &.{.{ .asked = .{ .capacity = 1, .overflow = .drop_oldest } }},
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{.send_dropping}} },
            .{ .steps = &.{&.{.receive}} },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{.drop_without_row},
    },
    .{
        .name = "a full channel that drops what is newest",
        .channels = &.{.{ .asked = .{ .capacity = 1, .overflow = .drop_newest } }},
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{.send_dropping}} },
            .{ .steps = &.{&.{.receive}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "two subscribers that pass together",
        .channels = broadcast(.{ .capacity = 2 }),
        .threads = &.{
            .{ .first = &.{ .acquire, .send }, .steps = &.{&.{.receive}} },
            .{ .steps = &.{&.{.receive}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{
            .cursors_seen_before_own,
            .cursor_before_reference,
            .dead_cursors_kept,
            .passed_cells_kept,
        },
    },
    .{
        .name = "a broadcast send beside two subscribers",
        .set = .medium,
        .channels = broadcast(.{ .capacity = 1 }),
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .subscribes = false,
                .steps = &.{ &.{.send}, &.{.send} },
            },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
        },
    },
    .{
        .name = "a subscriber that dies beside a read",
        .set = .medium,
        .channels = broadcast(.{ .capacity = 2 }),
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire, .send },
                .subscribes = false,
                .steps = &.{&.{.reclaim}},
            },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
            .{ .steps = &.{&.{.receive}} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "a read beside a sender that drops the oldest",
        .channels = broadcast(.{ .capacity = 1, .overflow = .drop_oldest }),
        .threads = &.{
            .{
                .first = &.{ .acquire, .send },
                .subscribes = false,
                .steps = &.{ &.{.acquire}, &.{.send_dropping}, &.{.acquire}, &.{.send_dropping} },
            },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
        },
        .catches = &.{.cell_not_read_again},
    },
    .{
        .name = "a subscriber that leaves beside a send",
        .channels = broadcast(.{ .capacity = 2 }),
        .threads = &.{
            .{ .first = &.{.acquire}, .subscribes = false, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.leave_channel}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "a subscriber that leaves beside one that reads",
        .channels = broadcast(.{ .capacity = 2 }),
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .subscribes = false,
                .steps = &.{&.{.send}},
            },
            .{ .steps = &.{&.{.leave_channel}} },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
        },
    },
    .{
        .name = "a blocked sender beside the last subscriber",
        .channels = broadcast(.{ .capacity = 1 }),
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .subscribes = false,
                .steps = &.{&.{.send_blocking}},
            },
            .{ .steps = &.{&.{ .receive, .leave_channel }} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "a blocked subscriber beside a send",
        .channels = broadcast(.{ .capacity = 1 }),
        .threads = &.{
            .{ .first = &.{.acquire}, .subscribes = false, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.receive_blocking}} },
            .{ .steps = &.{&.{.receive_blocking}} },
        },
    },
    .{
        .name = "a late subscriber with history",
        .channels = broadcast(.{ .capacity = 3, .history = 1 }),
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .subscribes = false,
                .steps = &.{&.{.send}},
            },
            .{ .opens = false, .steps = &.{ &.{.open_channel}, &.{.receive}, &.{.receive} } },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.sender_keeps_history},
    },
    .{
        .name = "two senders and a history",
        .channels = broadcast(.{ .capacity = 3, .history = 1 }),
        .slots = 3,
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .subscribes = false,
                .steps = &.{&.{.send}},
            },
            .{ .first = &.{.acquire}, .subscribes = false, .steps = &.{&.{.send}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.history_of_lagging_tail},
    },
    .{
        .name = "a recovery that defers beside a broadcast send and a read",
        .channels = broadcast(.{ .capacity = 1 }),
        .threads = &.{
            .{ .first = &.{.acquire}, .subscribes = false, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.receive}} },
            .{ .opens = false, .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "channels that are made and removed beside each other",
        .channels = &.{
            .{ .name = "a", .asked = .{ .capacity = 1 } },
            .{ .name = "b", .asked = .{ .capacity = 2 } },
        },
        .blocks = 1,
        .threads = &.{
            .{ .steps = &.{ &.{.close_channel}, &.{.leave_channel} } },
            .{ .opens = false, .channel = 1, .steps = &.{&.{.open_channel}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "two that make a channel, and leave it",
        .channels = queue(1),
        .threads = &.{
            .{
                .opens = false,
                .steps = &.{ &.{.open_channel}, &.{.close_channel}, &.{.leave_channel} },
            },
            .{ .opens = false, .steps = &.{ &.{.open_channel}, &.{.leave_channel} } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "a receiver that serves a waiter at the pool",
        .set = .medium,
        .channels = queue(1),
        .slots = 1,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{ &.{.receive_blocking}, &.{.release} } },
            .{ .opens = false, .steps = &.{&.{.acquire_blocking}} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "store buffers: a send beside the freeze",
        .memory = .tso,
        .channels = queue(2),
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{ .receive, .reclaim }} },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
    },
    .{
        .name = "store buffers: a send beside a receiver that goes to sleep",
        .memory = .tso,
        .channels = queue(1),
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.receive_blocking}} },
        },
    },
    .{
        .name = "store buffers: two subscribers that pass together",
        .memory = .tso,
        .channels = broadcast(.{ .capacity = 2 }),
        .threads = &.{
            .{ .first = &.{ .acquire, .send }, .steps = &.{&.{.receive}} },
            .{ .steps = &.{&.{.receive}} },
        },
        .catches = &.{.cursor_not_sequential},
    },
    .{
        .name = "store buffers: a subscriber that leaves beside a send",
        .memory = .tso,
        .channels = broadcast(.{ .capacity = 2 }),
        .threads = &.{
            .{ .first = &.{.acquire}, .subscribes = false, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.leave_channel}} },
        },
    },
    .{
        .name = "stores out of order: a send beside leaving the bracket",
        .memory = .pso,
        .channels = queue(1),
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{ .receive, .reclaim }} },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
    },

    .{
        .name = "all of a queue by two",
        .set = .medium,
        .channels = queue(2),
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{ &of_a_queue, &of_a_queue } },
            .{ .steps = &.{ &of_a_queue, &of_a_queue } },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "two blocked senders and receives, 1 death",
        .set = .large,
        .channels = queue(1),
        .slots = 3,
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{.send_blocking}} },
            .{ .first = &.{.acquire}, .steps = &.{&.{.send_blocking}} },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "all of a full queue by three",
        .set = .large,
        .channels = queue(1),
        .slots = 3,
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{ .send, .send_blocking }} },
            .{ .first = &.{.acquire}, .steps = &.{&.{ .send, .send_blocking, .close_channel }} },
            .{ .steps = &.{&.{ .receive, .receive_blocking }} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "a send, a receive and a recovery, two deaths",
        .channels = queue(1),
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.receive}} },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 2, .deferrals = 2 },
    },
    .{
        .name = "all of a broadcast by two",
        .set = .medium,
        .channels = broadcast(.{ .capacity = 2 }),
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .steps = &.{ &of_a_broadcast, &of_a_broadcast },
            },
            .{ .steps = &.{ &of_a_broadcast, &of_a_broadcast } },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "two subscribers that read, leave or die beside a blocked sender",
        .set = .large,
        .channels = broadcast(.{ .capacity = 1 }),
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .subscribes = false,
                .steps = &.{&.{.send_blocking}},
            },
            .{ .steps = &.{&.{ .receive, .leave_channel }} },
            .{ .steps = &.{&.{ .receive, .leave_channel }} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "two readers beside a sender that drops the oldest",
        .set = .large,
        .channels = broadcast(.{ .capacity = 1, .overflow = .drop_oldest }),
        .slots = 3,
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .subscribes = false,
                .steps = &.{ &.{.send_dropping}, &.{.acquire}, &.{.send_dropping} },
            },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
            .{ .steps = &.{&.{.receive}} },
        },
    },
    .{
        .name = "a late subscriber beside a reader and a send, with history",
        .set = .medium,
        .channels = broadcast(.{ .capacity = 2, .history = 1 }),
        .slots = 3,
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .subscribes = false,
                .steps = &.{&.{.send}},
            },
            .{ .steps = &.{ &.{.receive}, &.{.receive} } },
            .{ .opens = false, .steps = &.{ &.{.open_channel}, &.{.receive} } },
        },
    },
    .{
        .name = "channels that are made, left, removed and found by three",
        .set = .medium,
        .channels = &.{
            .{ .name = "a", .asked = .{ .capacity = 1 } },
            .{ .name = "b", .asked = .{ .capacity = 2 } },
        },
        .blocks = 1,
        .threads = &.{
            .{ .steps = &.{ &.{.close_channel}, &.{.leave_channel} } },
            .{ .opens = false, .channel = 1, .steps = &.{ &.{.open_channel}, &.{.leave_channel} } },
            .{ .opens = false, .steps = &.{ &.{.open_channel}, &.{.close_channel} } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "somebody stops in a channel",
        .channels = queue(1),
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{ &.{.send}, &.{.receive} } },
            .{ .steps = &.{&.{ .receive, .reclaim }} },
            .{ .first = &.{ .acquire, .send, .abandon }, .steps = &.{} },
        },
        .budget = .{ .stops = 1 },
    },
    .{
        .name = "store buffers: a reader that was passed over beside the freeze",
        .memory = .tso,
        .channels = broadcast(.{ .capacity = 1, .overflow = .drop_oldest }),
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .subscribes = false,
                .steps = &.{&.{.send_dropping}},
            },
            .{ .steps = &.{&.{.receive}} },
            .{ .opens = false, .first = &.{.abandon}, .steps = &.{&.{.reclaim}} },
        },
    },
};

const Operation = @import("operations.zig").Operation;

const of_a_queue = [_]Operation{
    .acquire, .release,          .send,          .send_blocking, .send_dropping,
    .receive, .receive_blocking, .close_channel, .leave_channel, .reclaim,
};

const of_a_broadcast = [_]Operation{
    .acquire,       .release,       .send,         .send_blocking, .receive,
    .close_channel, .leave_channel, .open_channel, .reclaim,
};
