//! What users ask of a pool as a whole beside its buffers: committing memory ahead, giving it back,
//! and flushing.

const std = @import("std");
const atomic = @import("atomic.zig");
const commitment = @import("commitment.zig");
const errors = @import("errors.zig");
const maintained = @import("maintained.zig");
const participant_file = @import("participant.zig");
const system = @import("system.zig");
const thaw = @import("thaw.zig");
const trim_file = @import("trim.zig");
const waiting = @import("waiting.zig");
const words = @import("words.zig");

const Batch = maintained.Batch;
const Control = words.Control;
const Error = errors.Error;
const Head = words.Head;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const View = participant_file.View;

/// Commits `size` bytes for each of the next `count` buffers that acquires will get, clamped to
/// what is free. Holds nothing afterwards. Returns the bytes newly committed.
pub fn preallocate(participant: *Participant, size: u32, count: u32) Error!u64 {
    errors.clear();
    const view = &participant.view;
    if (size > view.geometry.buffer_size) return error.TooLarge;
    const need = view.geometry.committedFor(size);
    var patience: Patience = .untimed;
    var added: u64 = 0;
    var walk: Walk = .from(view, count);
    while (true) {
        var batch: Batch = .{};
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
                error.Timeout => error.PoolBusy,
                else => err,
            };
        };
    }
}

/// The free list as it can be read while others change it: from the top down, as many free slots as
/// are wanted. Who was popped meanwhile leads nowhere in particular, so the walk begins again, and
/// ends after a number of steps in any case. Nothing is taken for true that it says.
const Walk = struct {
    view: *const View,
    next_index: u32,
    wanted: u32,
    steps_left: u64,

    fn from(view: *const View, count: u32) Walk {
        const capacity = view.geometry.capacity;
        return .{
            .view = view,
            .next_index = top(view),
            .wanted = @min(count, capacity),
            .steps_left = 4 * @as(u64, capacity),
        };
    }

    fn top(view: *const View) u32 {
        return Head.load(&view.header.hot.free_head, .acquire).index;
    }

    fn next(walk: *Walk) ?u32 {
        while (walk.wanted > 0 and walk.steps_left > 0) {
            const index = walk.next_index;
            if (index >= walk.view.geometry.capacity) return null;
            walk.steps_left -= 1;
            const slot = &walk.view.slots[index];
            const state = Control.load(&slot.control, .acquire).state;
            if (state != .free and state != .maintained) {
                walk.next_index = top(walk.view);
                continue;
            }
            walk.next_index = atomic.load(u32, &slot.next_free, .monotonic);
            walk.wanted -= 1;
            return index;
        }
        return null;
    }
};

/// Adds to `added` also where it fails half-way.
fn growAll(
    participant: *Participant,
    batch: *Batch,
    need: u64,
    added: *u64,
    patience: *Patience,
) Error!void {
    try maintained.begin(participant, batch, patience);
    defer maintained.end(participant);
    var result: Error!void = {};
    for (batch.members()) |index| {
        if (result) |_| {
            result = grow(participant, index, need, added, patience);
        } else |_| {}
        maintained.finish(participant, index, patience);
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
    system.memory.commit(view.fd, view.base, offset, need) catch {
        _ = system.memory.punch(view.fd, offset + before, need - before);
        commitment.lower(participant, index, before, patience);
        return error.OutOfMemory;
    };
    view.setPopulated(index, need);
    added.* += need - before;
}

/// Gives the memory of all free slots back to the system. Returns the bytes.
pub fn trim(participant: *Participant) Error!u64 {
    return trim_file.all(participant) catch |err| switch (err) {
        error.Timeout => error.PoolBusy,
        else => err,
    };
}

/// While it lasts every acquire fails with POOL_FLUSHING, and everybody who waits is told so.
pub fn flush(participant: *Participant, on: bool) Error!void {
    const value: u32 = if (on) participant.index + 1 else 0;
    // SYNC: before `wake_seq` changes. Pairs with `acquire.isFlushing`.
    atomic.store(u32, &participant.view.header.hot.flushing, value, .seq_cst);
    waiting.wakeAll(&participant.view);
}
