//! Committing memory ahead, so that the acquires that follow need not.

const atomic = @import("hooks");
const cache = @import("cache.zig");
const commitment = @import("commitment.zig");
const errors = @import("../../errors.zig");
const maintained_slots = @import("maintained_slots.zig");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");

const Batch = maintained_slots.Batch;
const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;

/// Commits `size` bytes for each of the next `count` buffers that acquires will get, clamped to
/// what is free. Holds nothing afterwards. Returns the bytes newly committed.
pub fn preallocate(participant: *Participant, size: u32, count: u32) Error!u64 {
    errors.clear();
    const view = &participant.view;
    if (size > view.geometry.buffer_size) return error.TooLarge;
    const need = view.geometry.committedFor(size);
    var patience: Patience = .untimed;
    var added: u64 = 0;
    _ = cache.gatherAll(participant);
    var walk: maintained_slots.Walk = .from(view, count);
    while (true) {
        var batch: Batch = .of(view);
        while (!batch.isFull()) {
            const index = walk.next() orelse break;
            const committed = atomic.load(u64, &view.slots[index].committed, .monotonic);
            if (committed < need) batch.add(index, need - committed);
        }
        if (batch.count == 0) return added;
        growAll(participant, &batch, need, &added, &patience) catch |err| {
            if (added > 0) return added;
            return switch (err) {
                error.CommitLimit => commitment.beyondLimit(view),
                error.Timeout => maintained_slots.stoodStill(),
                else => err,
            };
        };
    }
}

/// Adds to `added` what was committed, also if it fails half-way.
fn growAll(
    participant: *Participant,
    batch: *Batch,
    need: u64,
    added: *u64,
    patience: *Patience,
) Error!void {
    try maintained_slots.begin(participant, batch, patience);
    defer maintained_slots.end(participant);
    var result: Error!void = {};
    for (batch.members()) |index| {
        if (result) |_| {
            result = grow(participant, index, need, added, patience);
        } else |_| {}
        maintained_slots.finish(participant, index, patience);
    }
    return result;
}

fn grow(
    participant: *Participant,
    index: u32,
    need: u64,
    added: *u64,
    patience: *Patience,
) Error!void {
    const view = &participant.view;
    const before = atomic.load(u64, &view.slots[index].committed, .monotonic);
    if (before >= need) return;
    try commitment.set(participant, index, need, patience);
    const offset = view.geometry.dataOffset(index);
    system.memory.commit(view.fd, view.base, offset, need) catch |err| {
        _ = system.memory.punch(view.fd, offset + before, need - before);
        commitment.lower(participant, index, before, patience);
        return err;
    };
    view.setPopulated(index, need);
    added.* += need - before;
}
