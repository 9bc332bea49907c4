//! Giving memory of free slots back to the system: all of it for a user, or as much as an acquire
//! lacks. Slots are visited by index, from the last to the first, since a pool that is not full
//! hands out the first ones. An acquire's round goes on where the last one of its thread stopped,
//! so that each slot is visited once a round however small the parts are. At first it spares slots
//! that were used lately.

const std = @import("std");
const atomic = @import("hooks");
const cache = @import("cache.zig");
const commitment = @import("commitment.zig");
const errors = @import("../../errors.zig");
const maintained_slots = @import("maintained_slots.zig");
const memory_work = @import("../memory_work.zig");
const participant_file = @import("../participant.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const words = @import("../../format/words.zig");

const Batch = maintained_slots.Batch;
const Control = words.Control;
const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;
const View = participant_file.View;

/// A slot that was used within this time counts as warm.
const cold_after_ns: u64 = 1 * std.time.ns_per_s;
/// How often a walk looks at the clock.
const looks_per_clock = 256;

/// Gives the memory of all free slots back to the system. Returns the bytes by which the pool's sum
/// dropped.
pub fn all(participant: *Participant) Error!u64 {
    errors.clear();
    return giveBackAll(participant) catch |err| switch (err) {
        error.Timeout => maintained_slots.stoodStill(),
        else => err,
    };
}

fn giveBackAll(participant: *Participant) Error!u64 {
    var patience: Patience = .untimed;
    var freed: u64 = 0;
    // Only what is on the list can be worked on.
    _ = cache.gatherAll(participant);
    var batch: Batch = .of(&participant.view);
    var index = participant.view.geometry.capacity;
    while (index > 0) {
        index -= 1;
        const bytes = memoryOf(&participant.view, index);
        if (bytes > 0) batch.add(index, bytes);
        if (batch.count == 0 or !(batch.isFull() or index == 0)) continue;
        freed += giveBack(participant, &batch, &patience) catch |err|
            return if (freed == 0) err else freed;
        batch = .of(&participant.view);
    }
    return freed;
}

pub const Outcome = enum {
    /// As much as was asked for, or a part of it.
    freed,
    /// Time is over; there may be more.
    unfinished,
    /// No free slot has any memory.
    nothing,
};

/// Gives about `bytes` back, until `until_ns`.
pub fn some(
    participant: *Participant,
    bytes: u64,
    until_ns: u64,
    patience: *Patience,
) Error!Outcome {
    const trimming = &participant.local.trimming;
    var freed: u64 = 0;
    _ = cache.gatherAll(participant);
    var batch: Batch = .of(&participant.view);
    while (true) {
        if (trimming.looked == 0 and !beginRound(participant)) return .nothing;
        while (trimming.looked < looksOfRound(participant)) {
            const index = next(participant);
            const found = candidate(participant, index);
            if (found > 0) batch.add(index, found);
            const enough = freed + batch.bytes >= bytes;
            if (batch.count > 0 and (batch.isFull() or enough)) {
                freed += try giveBack(participant, &batch, patience);
                batch = .of(&participant.view);
                if (freed >= bytes) return .freed;
                if (system.clock.monotonicNs() >= until_ns) return .unfinished;
            }
            if (trimming.looked % looks_per_clock != 0) continue;
            if (system.clock.monotonicNs() >= until_ns) return .unfinished;
        }
        freed += try giveBack(participant, &batch, patience);
        batch = .of(&participant.view);
        trimming.looked = 0;
        if (freed > 0) return .freed;
        if (!trimming.found) {
            trimming.barren_key = trimming.key;
            return .nothing;
        }
    }
}

/// False: the last round found nothing, and nothing can have changed since.
fn beginRound(participant: *Participant) bool {
    const trimming = &participant.local.trimming;
    const key = memory_work.memoryKey(&participant.view) orelse 0;
    if (key != 0 and key == trimming.barren_key) return false;
    trimming.key = key;
    trimming.found = false;
    return true;
}

/// Two times round: first only for cold slots.
fn looksOfRound(participant: *const Participant) u32 {
    const capacity = participant.view.geometry.capacity;
    return if (atomic.modelled) capacity else capacity * 2;
}

fn next(participant: *Participant) u32 {
    const trimming = &participant.local.trimming;
    const below = if (trimming.cursor == 0) participant.view.geometry.capacity else trimming.cursor;
    trimming.cursor = below - 1;
    trimming.looked += 1;
    return below - 1;
}

fn candidate(participant: *const Participant, index: u32) u64 {
    const view = &participant.view;
    const bytes = memoryOf(view, index);
    if (bytes == 0 or atomic.modelled) return bytes;
    const is_first_time = participant.local.trimming.looked <= view.geometry.capacity;
    if (!is_first_time) return bytes;
    // The slot on top is the next to be acquired.
    if (words.Head.load(&view.header.hot.free_head, .monotonic).index == index) return 0;
    const used_ns = @atomicLoad(u64, &view.slots[index].acquired_at_ns, .monotonic);
    const is_warm = used_ns +| cold_after_ns > system.ticker.recentNs();
    return if (is_warm) 0 else bytes;
}

/// The committed bytes of a free slot; 0 for any other slot.
fn memoryOf(view: *const View, index: u32) u64 {
    const slot = &view.slots[index];
    const committed = atomic.load(u64, &slot.committed, .monotonic);
    if (committed == 0) return 0;
    const control = Control.load(&slot.control, .monotonic);
    return if (control.state == .free) @min(committed, view.geometry.stride) else 0;
}

fn giveBack(participant: *Participant, batch: *Batch, patience: *Patience) Error!u64 {
    if (batch.count == 0) return 0;
    try maintained_slots.begin(participant, batch, patience);
    defer maintained_slots.end(participant);
    var freed: u64 = 0;
    for (batch.members()) |index| {
        freed += shrink(participant, index, patience);
        maintained_slots.finish(participant, index, patience);
    }
    if (freed > 0) participant.local.trimming.found = true;
    return freed;
}

/// The claim is given up last, so that the next to claim it finds the memory. If the caller dies in
/// between, the slot is still marked, and a recovery gives up the claim as well.
fn shrink(participant: *Participant, index: u32, patience: *Patience) u64 {
    const view = &participant.view;
    const claimed = atomic.load(u64, &view.slots[index].committed, .monotonic);
    if (claimed == 0) return 0;
    if (!system.memory.punch(view.fd, view.geometry.dataOffset(index), view.geometry.stride))
        return 0;
    view.setPopulated(index, 0);
    commitment.lower(participant, index, 0, patience);
    // A claim of more than the slot is rubbish.
    return @min(claimed, view.geometry.stride);
}
