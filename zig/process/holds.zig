//! One open's own part of its thread's holds, and every operation that makes or ends one: both
//! forms of the interface call these, with numbers as the core has them. The straight lines of an
//! acquire and a release, in which single instructions count, are in `abi/bun.zig`.

const acquire_file = @import("../protocol/pool/acquire.zig");
const errors = @import("../errors.zig");
const messages = @import("messages.zig");
const open_pool = @import("open_pool.zig");
const participant_file = @import("../protocol/participant.zig");
const references = @import("../protocol/pool/references.zig");
const register = @import("../system/register.zig");
const words = @import("../format/words.zig");

const Error = errors.Error;
const Pool = open_pool.Pool;

/// Begins each operation: refuses a pool that is closed, also by a fork, and pays the holds that
/// are owed.
pub inline fn attend(pool: *Pool) ?Error {
    return if (needsAttention(pool)) attendSlowly(pool) else null;
}

/// Whether `attend` has something to do.
pub inline fn needsAttention(pool: *const Pool) bool {
    return pool.participant.local.attention & participant_file.attention_always != 0;
}

fn attendSlowly(pool: *Pool) ?Error {
    @branchHint(.cold);
    if (pool.participant.local.attention & participant_file.attention_closed != 0)
        return error.PoolClosed;
    references.settle(&pool.participant);
    return null;
}

inline fn indexOf(handle: u64) u32 {
    return @as(words.Handle, @bitCast(handle)).index;
}

/// Counts a hold that the thread has just got as this open's.
pub inline fn add(pool: *Pool, handle: u64) void {
    pool.counts[indexOf(handle)] +|= 1;
}

/// Whether this open has a hold of the buffer at the handle's index, of whatever generation.
pub inline fn has(pool: *const Pool, handle: u64) bool {
    return hasAt(pool, indexOf(handle));
}

pub inline fn hasAt(pool: *const Pool, index: u32) bool {
    if (index >= pool.participant.view.geometry.capacity) return false;
    return pool.counts[register.single(index)] > 0;
}

/// Whether the handle is that of a buffer that this open holds.
pub fn isCurrent(pool: *const Pool, handle: u64) bool {
    if (!has(pool, handle)) return false;
    const slot = &pool.participant.view.slots[indexOf(handle)];
    const control = words.Control.load(&slot.control, .monotonic);
    return control.state == .used and control.handle(indexOf(handle)) == handle;
}

/// False: this open has no such hold, and nothing was given back.
pub fn giveBack(pool: *Pool, handle: u64) bool {
    if (!has(pool, handle)) return false;
    messages.aboutToEnd(pool, handle);
    if (!references.giveBack(&pool.participant, handle)) return false;
    remove(pool, handle);
    return true;
}

pub const Held = struct { handle: u64, size: u32 };

/// A new hold by `operation`, of a buffer that may have been filled by another process.
pub fn hold(pool: *Pool, comptime operation: references.Operation, ref: u64) Error!Held {
    const done = try references.operate(&pool.participant, operation, ref, 0);
    return adopt(pool, done.handle);
}

/// The same in a straight line, which leaves the generation and the size in `pool.made`. False:
/// nothing was done, and `hold` does it or says what stands in the way.
pub inline fn holdStraight(
    pool: *Pool,
    comptime operation: references.Operation,
    index: u32,
    generation: u29,
) bool {
    const view = &pool.participant.view;
    if (index >= view.geometry.capacity) return false;
    // Read before the word changes, so that only stores follow. It is that of the generation which
    // the word still has then, and a holder may make it smaller at any time.
    const slot = &view.slots[register.single(index)];
    const from = words.Control.load(&slot.control, .acquire);
    const size = words.Content.load(&slot.content).size;
    if (size > view.geometry.buffer_size or view.populatedBytes(index) < size) return false;
    const participant = &pool.participant;
    const to = references.changeFrom(participant, operation, index, slot, from, generation, {});
    if (to == null) return false;
    pool.counts[index] +|= 1;
    pool.made = .{ .generation = from.generation, .size = size };
    return true;
}

/// Makes a hold that the thread has just got this open's.
pub fn adopt(pool: *Pool, handle: u64) Error!Held {
    add(pool, handle);
    acquire_file.ensurePopulated(&pool.participant, indexOf(handle));
    const size = sizeOf(pool, indexOf(handle)) catch |err| {
        _ = giveBack(pool, handle);
        return err;
    };
    return .{ .handle = handle, .size = size };
}

/// A hold that this open had went elsewhere.
pub inline fn remove(pool: *Pool, handle: u64) void {
    pool.counts[indexOf(handle)] -= 1;
}

/// The size of the buffer at an index below the capacity, in bytes.
pub inline fn sizeOf(pool: *const Pool, index: u32) Error!u32 {
    const view = &pool.participant.view;
    const size = words.Content.load(&view.slots[index].content).size;
    return if (size > view.geometry.buffer_size) error.PoolCorrupt else size;
}

/// Makes a hold of this open an in-flight reference.
pub fn handOff(pool: *Pool, handle: u64) Error!void {
    if (!has(pool, handle)) return error.StaleHandle;
    messages.aboutToEnd(pool, handle);
    _ = try references.operate(&pool.participant, .hand_off, handle, 0);
    remove(pool, handle);
}

/// Whether this call recycled the buffer. A bare index that is free already is no error.
pub fn tryRelease(pool: *Pool, ref: u64) Error!bool {
    _ = references.operate(&pool.participant, .try_release, ref, 0) catch |err| switch (err) {
        error.BufferInUse => return false,
        error.BufferNotFound => {
            const handle: words.Handle = @bitCast(ref);
            const known = handle.index < pool.participant.view.geometry.capacity;
            return if (handle.isBare() and known) false else err;
        },
        else => return err,
    };
    return true;
}
