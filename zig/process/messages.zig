//! Which buffers of an open of a pool are messages that one of its holds received from a channel
//! that redelivers. Of several holds of one buffer TypeScript knows which one is the message; here
//! stands what has to end when the open is closed.

const channels = @import("channels.zig");
const errors = @import("../errors.zig");
const holds = @import("holds.zig");
const open_pool = @import("open_pool.zig");
const redelivery = @import("../protocol/channel/redelivery.zig");
const std = @import("std");
const words = @import("../format/words.zig");

const CameFrom = words.CameFrom;
const Error = errors.Error;
const Pool = open_pool.Pool;
const allocator = std.heap.c_allocator;

/// A bit per slot; none before the open has a channel that redelivers.
pub const Set = std.DynamicBitSetUnmanaged;

/// Before a channel that redelivers is opened.
pub fn prepare(pool: *Pool) Error!void {
    const capacity = pool.participant.view.geometry.capacity;
    if (pool.messages.bit_length == 0)
        pool.messages = Set.initEmpty(allocator, capacity) catch return error.OutOfMemory;
}

pub fn destroy(pool: *Pool) void {
    pool.messages.deinit(allocator);
    pool.messages = .{};
}

fn indexOf(handle: u64) u32 {
    return @as(words.Handle, @bitCast(handle)).index;
}

pub fn add(pool: *Pool, handle: u64) void {
    pool.messages.set(indexOf(handle));
}

/// It went elsewhere, as a message.
pub fn remove(pool: *Pool, handle: u64) void {
    if (has(pool, handle)) pool.messages.unset(indexOf(handle));
}

/// Whether the open has a message at the handle's index.
pub fn has(pool: *const Pool, handle: u64) bool {
    return isSet(pool, indexOf(handle));
}

fn isSet(pool: *const Pool, index: u32) bool {
    return index < pool.messages.bit_length and pool.messages.isSet(index);
}

/// The holder is done with it: its hold is an ordinary one from now on.
pub noinline fn acknowledge(pool: *Pool, index: u32) void {
    if (!isSet(pool, index)) return;
    pool.messages.unset(index);
    redelivery.acknowledge(&pool.participant, index);
}

/// Before the open gives up a hold without saying which one it is: with the last one of the buffer
/// its message ends.
pub inline fn aboutToEnd(pool: *Pool, handle: u64) void {
    if (pool.messages.bit_length != 0) endLast(pool, handle);
}

noinline fn endLast(pool: *Pool, handle: u64) void {
    const index = indexOf(handle);
    if (pool.counts[index] == 1 and holds.isCurrent(pool, handle)) acknowledge(pool, index);
}

/// All of the open: only its death would bring them back.
pub fn acknowledgeAll(pool: *Pool) void {
    var each = pool.messages.iterator(.{});
    while (each.next()) |index| acknowledge(pool, @intCast(index));
}

pub fn handOff(pool: *Pool, handle: u64) Error!void {
    try redelivery.handOff(&pool.participant, handle);
    remove(pool, handle);
}

pub fn deliveriesOf(pool: *const Pool, handle: u64) u32 {
    const index = indexOf(handle);
    return if (isSet(pool, index)) redelivery.deliveriesOf(&pool.participant, index) else 0;
}

pub fn originOf(pool: *const Pool, handle: u64) ?CameFrom {
    const index = indexOf(handle);
    return if (isSet(pool, index)) redelivery.originOf(&pool.participant, index) else null;
}
