//! The form for Bun of looking at single buffers: which are in use, and who has them. The pool may
//! be one that is only looked at. Also what a traced process says of its own.

const channel_statistics = @import("../protocol/channel/statistics.zig");
const descriptor = @import("../process/descriptor.zig");
const slots = @import("../protocol/slots.zig");
const traces = @import("../process/traces.zig");

const Descriptor = descriptor.Descriptor;

/// The buffers in use at and past the index `first`, in order: numbers, a content type and a
/// producer of each. Returns how many were written, fewer than `slots_max` where there are no more.
pub export fn xmem_bun_slots(
    number: Descriptor,
    first: u32,
    out: [*]f64,
    texts: [*]u8,
    slots_max: u32,
) u32 {
    const mapping = descriptor.poolOf(number).mapping orelse return 0;
    const values = out[0 .. slots_max * slots.field_count];
    return slots.read(&mapping.view, first, values, texts[0 .. slots_max * slots.texts_room]);
}

/// What a participant's row holds at and past the index `first`: two numbers for each buffer, its
/// index and how often. Returns how many buffers were written.
pub export fn xmem_bun_held_by(
    number: Descriptor,
    row: u32,
    first: u32,
    out: [*]u32,
    buffers_max: u32,
) u32 {
    const mapping = descriptor.poolOf(number).mapping orelse return 0;
    return slots.heldBy(&mapping.view, row, first, out[0 .. 2 * buffers_max]);
}

/// The same of what this open holds.
pub export fn xmem_bun_held_here(
    number: Descriptor,
    first: u32,
    out: [*]u32,
    buffers_max: u32,
) u32 {
    const pool = descriptor.poolOf(number);
    const mapping = pool.mapping orelse return 0;
    const capacity = mapping.view.geometry.capacity;
    if (pool.is_observer or first >= capacity) return 0;
    return slots.nonzero(pool.counts[0..capacity], first, out[0 .. 2 * buffers_max]);
}

/// The indexes of the buffers in a channel, which is named by its number within the pool; the next
/// one to be received first. Returns how many were written.
pub export fn xmem_bun_channel_queue(
    number: Descriptor,
    channel: u32,
    out: [*]u32,
    buffers_max: u32,
) u32 {
    const mapping = descriptor.poolOf(number).mapping orelse return 0;
    const found = channel_statistics.channelAt(&mapping.view, channel) orelse return 0;
    return channel_statistics.queue(&mapping.view, &found, out[0..buffers_max]);
}

/// Lets other processes of this user read a text, until it is dropped. Returns its number; -1 where
/// there is no room for it, or no such memory.
pub export fn xmem_bun_trace_put(text: [*]const u8, length: u32) i32 {
    return if (traces.put(text[0..length])) |place| @intCast(place) else -1;
}

pub export fn xmem_bun_trace_drop(place: u32) void {
    traces.drop(place);
}
