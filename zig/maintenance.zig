//! Work on free slots and on the pool as a whole: committing memory ahead, giving it back, and
//! flushing. Slots that are worked on are PRIVATE to the caller's row, and go back in the order in
//! which they were found.

const std = @import("std");
const atomic = @import("atomic.zig");
const errors = @import("errors.zig");
const free_list = @import("free_list.zig");
const participant_file = @import("participant.zig");
const references = @import("references.zig");
const system = @import("system.zig");
const thaw = @import("thaw.zig");
const waiting = @import("waiting.zig");
const words = @import("words.zig");

const Control = words.Control;
const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;

/// Slots that were taken off the list, chained through `next_free`: the last one taken first.
const Taken = struct {
    top: u32 = words.index_nil,
    count: u32 = 0,
};

/// Commits `size` bytes for each of the next `count` buffers that acquires will get, clamped to
/// what is free. Holds nothing afterwards. Returns the bytes newly committed.
pub fn preallocate(participant: *Participant, size: u32, count: u32) Error!u64 {
    if (size > participant.view.geometry.buffer_size) return error.TooLarge;
    var patience: Patience = .untimed;
    var taken = try take(participant, count, &patience);
    var added: u64 = 0;
    var failure: ?Error = null;
    const need = participant.view.geometry.committedFor(size);
    var index = taken.top;
    for (0..taken.count) |_| {
        if (index == words.index_nil) break;
        added += grow(participant, index, need, &patience) catch |err| {
            failure = err;
            break;
        };
        index = chained(participant, index);
    }
    putBack(participant, &taken, &patience);
    if (failure) |err| if (added == 0) return err;
    return added;
}

/// Gives the memory of all free slots back to the system. Returns the bytes.
pub fn trim(participant: *Participant) Error!u64 {
    var patience: Patience = .untimed;
    var taken = try take(participant, participant.view.geometry.capacity, &patience);
    var freed: u64 = 0;
    var index = taken.top;
    for (0..taken.count) |_| {
        if (index == words.index_nil) break;
        freed += shrink(participant, index, &patience);
        index = chained(participant, index);
    }
    putBack(participant, &taken, &patience);
    return freed;
}

/// While it lasts every acquire fails with POOL_FLUSHING, and everybody who waits is told so.
pub fn flush(participant: *Participant, on: bool) Error!void {
    const value: u32 = if (on) participant.index + 1 else 0;
    atomic.store(u32, &participant.view.header.hot.flushing, value, .seq_cst);
    waiting.wakeAll(&participant.view);
}

fn chained(participant: *const Participant, index: u32) u32 {
    if (index >= participant.view.geometry.capacity) return words.index_nil;
    const next = atomic.load(u32, &participant.view.slots[index].next_free, .monotonic);
    return if (next < participant.view.geometry.capacity) next else words.index_nil;
}

fn take(participant: *Participant, count: u32, patience: *Patience) Error!Taken {
    const view = &participant.view;
    var taken: Taken = .{};
    while (taken.count < count) {
        participant.enter();
        const index: u32 = switch (free_list.pop(view)) {
            _ => |slot| @intFromEnum(slot),
            .empty => {
                participant.leave();
                break;
            },
            .frozen => {
                participant.leave();
                thaw.wait(participant, patience) catch |err| {
                    putBack(participant, &taken, patience);
                    return err;
                };
                continue;
            },
            .corrupt => {
                participant.leave();
                putBack(participant, &taken, patience);
                return error.PoolCorrupt;
            },
        };
        const slot = &view.slots[index];
        const from = Control.load(&slot.control, .monotonic);
        if (from.state != .free) {
            participant.leave();
            putBack(participant, &taken, patience);
            return error.PoolCorrupt;
        }
        const generation = words.generationAfter(from.generation);
        Control.store(&slot.control, from.held(.private, generation), .release);
        participant.addHold(index);
        atomic.store(u32, &slot.next_free, taken.top, .monotonic);
        participant.leave();
        taken.top = index;
        taken.count += 1;
    }
    return taken;
}

/// The last one taken goes back first, so that the first is on top again.
fn putBack(participant: *Participant, taken: *Taken, patience: *Patience) void {
    while (taken.top != words.index_nil and taken.count > 0) : (taken.count -= 1) {
        const index = taken.top;
        taken.top = chained(participant, index);
        references.finishPrivate(participant, index, patience) catch
            references.owe(participant, index);
    }
}

fn grow(participant: *Participant, index: u32, need: u64, patience: *Patience) Error!u64 {
    const view = &participant.view;
    const slot = &view.slots[index];
    const before = atomic.load(u64, &slot.committed, .monotonic);
    if (before >= need) return 0;
    try setCommitted(participant, index, need, patience);
    const offset = view.geometry.dataOffset(index);
    system.memory.commit(view.fd, view.base, offset, need) catch {
        _ = system.memory.punch(view.fd, offset + before, need - before);
        claimLess(participant, index, before, patience);
        return error.OutOfMemory;
    };
    view.populated[index] = @intCast(@min(need, std.math.maxInt(u32)));
    return need - before;
}

fn shrink(participant: *Participant, index: u32, patience: *Patience) u64 {
    const view = &participant.view;
    const claimed = atomic.load(u64, &view.slots[index].committed, .monotonic);
    const before = @min(claimed, view.geometry.stride);
    if (before == 0) return 0;
    // The claim goes first: memory that nobody counts is harmless, a count without memory is not.
    claimLess(participant, index, 0, patience);
    const offset = view.geometry.dataOffset(index);
    if (!system.memory.punch(view.fd, offset, view.geometry.stride)) return 0;
    view.populated[index] = 0;
    return before;
}

/// Never fails: where a stopped recoverer has the pool, the next recovery adds the sum up again.
fn claimLess(participant: *Participant, index: u32, bytes: u64, patience: *Patience) void {
    setCommitted(participant, index, bytes, patience) catch
        atomic.store(u64, &participant.view.slots[index].committed, bytes, .monotonic);
}

/// The slot's bytes and the pool's sum change in one bracket, so that nobody dies between them
/// without a recovery that adds the sum up again.
fn setCommitted(participant: *Participant, index: u32, bytes: u64, patience: *Patience) Error!void {
    const view = &participant.view;
    const slot = &view.slots[index];
    const total = &view.header.repair.committed_bytes;
    while (true) {
        participant.enterSequential();
        if (words.Head.load(&view.header.hot.free_head, .seq_cst).frozen) {
            participant.leave();
            try thaw.wait(participant, patience);
            continue;
        }
        defer participant.leave();
        const before = atomic.load(u64, &slot.committed, .monotonic);
        if (bytes > before) {
            const sum = atomic.fetchAdd(u64, total, bytes - before) +| (bytes - before);
            if (sum > view.max_committed) {
                _ = atomic.fetchSub(u64, total, bytes - before);
                return error.OutOfMemory;
            }
        } else _ = atomic.fetchSub(u64, total, before - bytes);
        atomic.store(u64, &slot.committed, bytes, .monotonic);
        return;
    }
}

/// A PRIVATE slot whose memory could not be committed goes back as it was.
pub fn giveBackPrivate(
    participant: *Participant,
    index: u32,
    committed: u64,
    patience: *Patience,
) void {
    claimLess(participant, index, committed, patience);
    references.finishPrivate(participant, index, patience) catch references.owe(participant, index);
}
