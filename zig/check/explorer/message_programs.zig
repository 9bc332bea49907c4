//! The programs that use channels that redeliver: see `programs.zig`.

const directory = @import("core").protocol.channel.directory;
const programs = @import("programs.zig");

const Operation = @import("operations.zig").Operation;
const Program = programs.Program;

fn redelivering(comptime capacity: u32) programs.Channel {
    return .{ .asked = .{ .capacity = capacity, .redeliver = true } };
}

fn second(comptime asked: directory.Asked) programs.Channel {
    return .{ .name = "b", .asked = asked };
}

const one = [_]programs.Channel{redelivering(1)};
const two = [_]programs.Channel{redelivering(2)};
const pair = [_]programs.Channel{
    redelivering(1),
    second(.{ .capacity = 1, .redeliver = true }),
};

/// What a thread does at first to hold a message, and one more.
const held = [_]Operation{ .acquire, .send, .receive };
const held_two = [_]Operation{ .acquire, .send, .acquire, .send, .receive, .receive };

pub const all = [_]Program{
    .{
        .name = "a message, a receiver and a recovery",
        .set = .medium,
        .channels = &one,
        .threads = &.{
            .{ .first = &.{ .acquire, .send }, .steps = &.{ &.{.receive}, &.{.release} } },
            .{ .steps = &.{ &.{.receive}, &.{.release} } },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "a receive and a recovery",
        .channels = &one,
        .threads = &.{
            .{ .first = &.{ .acquire, .send }, .steps = &.{ &.{.receive}, &.{.release} } },
            .{ .steps = &.{&.{ .reclaim, .receive }} },
        },
        .budget = .{ .deaths = 2, .deferrals = 1 },
        .catches = &.{ .taking_ignored, .taking_noted_late, .returned_not_counted },
    },
    .{
        .name = "a message and two deaths",
        .set = .medium,
        .channels = &one,
        .threads = &.{
            .{ .first = &.{ .acquire, .send }, .steps = &.{&.{.receive}} },
            .{ .steps = &.{&.{ .reclaim, .receive }} },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 2 },
        .catches = &.{.takings_cleared_first},
    },
    .{
        .name = "two receivers of one message, and its slot's next buffer",
        .channels = &one,
        .slots = 1,
        .threads = &.{
            .{ .first = &.{ .acquire, .send }, .steps = &.{&.{.receive}} },
            .{ .steps = &.{ &.{.receive}, &.{.release}, &.{.acquire}, &.{.send} } },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.message_received_early},
    },
    .{
        .name = "a send and a recovery",
        .channels = &one,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{ &.{.reclaim}, &.{.receive} } },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{.not_in_ring_is_taken},
    },
    .{
        .name = "a message that is sent on, and a recovery",
        .channels = &pair,
        .threads = &.{
            .{ .first = &held, .onward = 1, .steps = &.{&.{.send_on}} },
            .{ .channel = 1, .steps = &.{&.{ .reclaim, .receive }} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{ .message_not_addressed, .message_given_up_early },
    },
    .{
        .name = "a message that is sent on, received, released and acquired again",
        .channels = &pair,
        .threads = &.{
            .{ .first = &held, .onward = 1, .steps = &.{&.{.send_on}} },
            .{ .channel = 1, .steps = &.{ &.{.receive}, &.{.release}, &.{.acquire} } },
        },
        .slots = 1,
        .budget = .{ .deaths = 1 },
        .catches = &.{.message_addressed_late},
    },
    .{
        .name = "a message that is sent on, two deaths",
        .set = .medium,
        .channels = &pair,
        .threads = &.{
            .{ .first = &held, .onward = 1, .steps = &.{&.{.send_on}} },
            .{ .channel = 1, .steps = &.{&.{.receive}} },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 2, .deferrals = 1 },
    },
    .{
        .name = "a message that is sent to a channel that does not redeliver",
        .channels = &.{ redelivering(1), second(.{ .capacity = 1 }) },
        .threads = &.{
            .{ .first = &held, .onward = 1, .steps = &.{ &.{.send_on}, &.{.acquire} } },
            .{
                .channel = 1,
                .first = &.{ .acquire, .send },
                .steps = &.{ &.{.receive}, &.{.reclaim} },
            },
        },
        .slots = 2,
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "a message and another hold of its buffer",
        .channels = &one,
        .threads = &.{
            .{
                .first = &(held ++ [_]Operation{.share}),
                .steps = &.{&.{ .release, .hand_off, .reclaim }},
            },
            .{ .first = &.{.take}, .steps = &.{&.{ .release, .reclaim }} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{ .any_dead_holder_returns, .message_cleared_late },
    },
    .{
        .name = "two that send one buffer",
        .channels = &two,
        .threads = &.{
            .{ .first = &.{ .acquire, .share }, .steps = &.{&.{.send}} },
            .{ .first = &.{.take}, .steps = &.{&.{.send}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.message_claim_not_atomic},
    },
    .{
        .name = "two that send what they hold, one receiver, two deaths",
        .set = .medium,
        .channels = &one,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{&.{.receive}} },
        },
        .budget = .{ .deaths = 2 },
        .catches = &.{.taking_without_slot},
    },
    .{
        .name = "a message that came back, beside a send and a recovery",
        .channels = &two,
        .threads = &.{
            .{ .first = &.{ .acquire, .send }, .steps = &.{ &.{.acquire}, &.{.send} } },
            .{ .first = &.{ .receive, .abandon }, .steps = &.{} },
            .{ .first = &.{.reclaim}, .steps = &.{&.{ .receive, .reclaim }} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "a message that came back, its receivers and a recovery",
        .channels = &two,
        .threads = &.{
            .{
                .first = &.{ .acquire, .send },
                .steps = &.{&.{.receive}},
            },
            .{ .first = &.{ .receive, .abandon }, .steps = &.{} },
            .{
                .first = &.{ .reclaim, .acquire, .send },
                .steps = &.{&.{ .receive, .reclaim }},
            },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{.ring_before_returned},
    },
    .{
        .name = "a message that came back, a receiver, and a recovery of a lease",
        .channels = &two,
        .leases_over = true,
        .threads = &.{
            .{ .first = &.{ .acquire, .send }, .steps = &.{&.{.receive}} },
            .{ .first = &.{ .receive, .abandon }, .steps = &.{} },
            .{ .first = &.{ .reclaim, .acquire, .hand_off }, .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
        .catches = &.{.returned_not_frozen},
    },
    .{
        .name = "two messages of one holder",
        .channels = &two,
        .threads = &.{
            .{ .first = &held_two, .steps = &.{&.{.release}} },
            .{ .steps = &.{ &.{ .receive, .reclaim }, &.{.receive} } },
        },
        .budget = .{ .deaths = 2 },
        .catches = &.{.returned_without_order},
    },
    .{
        .name = "two messages of one holder that sends one back",
        .channels = &two,
        .threads = &.{
            .{ .first = &held_two, .steps = &.{ &.{.send}, &.{.send} } },
            .{ .steps = &.{ &.{ .receive, .reclaim }, &.{.receive} } },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.order_of_unsent},
    },
    .{
        .name = "a receiver asleep, a message's holder and a recovery",
        .channels = &one,
        .threads = &.{
            .{ .first = &held, .steps = &.{&.{.release}} },
            .{ .steps = &.{&.{.receive_blocking}} },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.recovery_wakes_nobody},
    },
    .{
        .name = "a receiver asleep and a send of a message",
        .channels = &one,
        .threads = &.{
            .{ .first = &.{.acquire}, .steps = &.{&.{.send}} },
            .{ .steps = &.{ &.{.receive_blocking}, &.{.release} } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "a sender of a message asleep",
        .channels = &one,
        .slots = 3,
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .acquire },
                .steps = &.{&.{.send_blocking}},
            },
            .{ .steps = &.{ &.{.receive}, &.{ .release, .reclaim } } },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "a message that makes room",
        .set = .medium,
        .channels = &.{.{ .asked = .{
            .capacity = 1,
            .overflow = .drop_oldest,
            .redeliver = true,
        } }},
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{&.{.send_dropping}} },
            .{ .steps = &.{&.{.receive}} },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "a message that is handed off, and its lease",
        .set = .large,
        .channels = &one,
        .threads = &.{
            .{ .first = &held, .steps = &.{ &.{ .hand_off, .share }, &.{.release} } },
            .{ .steps = &.{ &.{.take}, &.{.send} } },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 1, .leases = 1 },
    },
    .{
        .name = "a message that was received too often",
        .channels = &.{
            .{ .asked = .{
                .capacity = 1,
                .redeliver = true,
                .max_deliveries = 1,
                .dead_letter = "b",
            } },
            second(.{ .capacity = 1, .redeliver = true }),
        },
        .threads = &.{
            .{ .first = &held, .steps = &.{&.{.release}} },
            .{ .channel = 1, .steps = &.{ &.{ .receive, .reclaim }, &.{.receive} } },
        },
        .budget = .{ .deaths = 2 },
    },
    .{
        .name = "a message that was received too often, for a channel that does not redeliver",
        .channels = &.{
            .{ .asked = .{
                .capacity = 1,
                .redeliver = true,
                .max_deliveries = 1,
                .dead_letter = "b",
            } },
            second(.{ .capacity = 1 }),
        },
        .threads = &.{
            .{ .first = &held, .steps = &.{&.{.release}} },
            .{ .channel = 1, .steps = &.{ &.{ .receive, .reclaim }, &.{.receive} } },
        },
        .budget = .{ .deaths = 2 },
    },
    .{
        .name = "a channel that is removed while a message of it is held",
        .channels = &one,
        .threads = &.{
            .{ .first = &held, .steps = &.{ &.{.leave_channel}, &.{ .release, .reclaim } } },
            .{
                .first = &.{.close_channel},
                .steps = &.{ &.{.leave_channel}, &.{.open_channel}, &.{.receive} },
            },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        .name = "a message that is given up and taken up again while its channel is removed",
        .channels = &.{ redelivering(1), second(.{ .capacity = 1 }) },
        .threads = &.{
            .{
                .first = &([_]Operation{ .acquire, .send_on } ++ held ++
                    [_]Operation{.leave_channel}),
                .onward = 1,
                .steps = &.{&.{.send_on}},
            },
            .{
                .first = &.{ .close_channel, .leave_channel },
                .steps = &.{ &.{.reclaim}, &.{.open_channel}, &.{.reclaim}, &.{.receive} },
            },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.removed_channel_remembered},
    },
    .{
        .name = "store buffers: a message that is released and acquired again",
        .memory = .pso,
        .slots = 1,
        .channels = &one,
        .threads = &.{
            .{ .first = &held, .steps = &.{&.{.release}} },
            .{ .steps = &.{ &.{.acquire}, &.{.send} } },
        },
    },
    .{
        // The word's change is seen before the buffer can be another's.
        .name = "store buffers: a message that is done while another releases its buffer",
        .memory = .pso,
        .slots = 1,
        .channels = &one,
        .threads = &.{
            .{ .first = &(held ++ [_]Operation{.share}), .steps = &.{&.{.release}} },
            .{ .first = &.{.take}, .steps = &.{ &.{.release}, &.{.acquire} } },
        },
        .catches = &.{.word_relaxed},
    },
    .{
        // The word that a sender wrote is seen before the item.
        .name = "store buffers: a message that is sent on and received",
        .memory = .pso,
        .slots = 1,
        .channels = &pair,
        .threads = &.{
            .{ .first = &held, .onward = 1, .steps = &.{&.{.send_on}} },
            .{ .channel = 1, .steps = &.{ &.{.receive}, &.{.release}, &.{.acquire} } },
        },
        .catches = &.{.cell_relaxed},
    },
    .{
        .name = "store buffers: a message that is received beside the freeze",
        .memory = .tso,
        .channels = &one,
        .threads = &.{
            .{ .first = &.{ .acquire, .send }, .steps = &.{&.{.receive}} },
            .{ .steps = &.{&.{.reclaim}} },
            .{ .first = &.{.abandon}, .steps = &.{} },
        },
        .budget = .{ .deaths = 1 },
    },
    .{
        // What a receiver wrote is seen before the end of its bracket.
        .name = "store buffers: a message that came back, received beside the freeze",
        .memory = .pso,
        .rows = 4,
        .slots = 1,
        .channels = &one,
        .threads = &.{
            .{
                .first = &.{ .acquire, .send, .receive, .abandon, .join },
                .steps = &.{&.{.reclaim}},
            },
            .{ .steps = &.{&.{.receive}} },
            .{ .steps = &.{} },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.leave_relaxed},
    },
    .{
        // The receiver's bracket is not seen by the recovery that links the first again.
        .name = "store buffers: a pop, two others and a recovery that links the first again",
        .set = .medium,
        .memory = .tso,
        .rows = 4,
        .channels = &two,
        .threads = &.{
            .{
                .first = &([_]Operation{ .acquire, .acquire, .release, .send, .acquire, .send } ++
                    [_]Operation{ .receive, .receive, .abandon, .join }),
                .steps = &.{&.{.reclaim}},
            },
            .{ .steps = &.{&.{.receive}} },
            .{ .steps = &.{ &.{.receive}, &.{.receive}, &.{.release} } },
        },
        .budget = .{ .deaths = 1 },
        .catches = &.{.returned_untagged},
    },
    .{
        .name = "all of a channel that redelivers by two",
        .set = .medium,
        .channels = &two,
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire }, .steps = &.{ &usual, &usual } },
            .{ .steps = &.{ &usual, &usual } },
        },
        .budget = .{ .deaths = 1, .deferrals = 1 },
    },
    .{
        .name = "messages that two send to and fro, two deaths",
        .set = .large,
        .channels = &pair,
        .threads = &.{
            .{
                .first = &held,
                .onward = 1,
                .steps = &.{ &.{ .send_on, .send }, &.{ .receive, .release } },
            },
            .{
                .channel = 1,
                .onward = 0,
                .steps = &.{ &.{.receive}, &.{ .send_on, .release } },
            },
            .{ .steps = &.{&.{.reclaim}} },
        },
        .budget = .{ .deaths = 2, .deferrals = 1 },
    },
    .{
        .name = "three receivers of two messages, two deaths",
        .set = .large,
        .channels = &two,
        .threads = &.{
            .{ .first = &.{ .acquire, .send, .acquire, .send }, .steps = &.{&.{.receive}} },
            .{ .steps = &.{ &.{.receive}, &.{ .release, .send } } },
            .{ .steps = &.{ &.{.receive}, &.{.reclaim} } },
        },
        .budget = .{ .deaths = 2, .deferrals = 1 },
    },
};

const usual = [_]Operation{
    .acquire, .release, .send,             .send_blocking, .send_dropping, .clone,
    .receive, .reclaim, .receive_blocking, .hand_off,      .release_other,
};
