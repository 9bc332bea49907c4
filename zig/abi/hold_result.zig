//! What a call that made a hold says beside its result: the buffer's generation and its size, each
//! at the place of the pool's number in a table that TypeScript sees.

const descriptor = @import("../process/descriptor.zig");
const holds = @import("../process/holds.zig");
const words = @import("../format/words.zig");

pub const HoldResult = extern struct {
    generation: [descriptor.descriptors_max]u32,
    size: [descriptor.descriptors_max]u32,
};

pub var table: HoldResult = @import("std").mem.zeroes(HoldResult);

/// Returns the buffer's index.
pub inline fn note(number: u32, held: holds.Held) i32 {
    const handle: words.Handle = @bitCast(held.handle);
    table.generation[number] = handle.generation;
    table.size[number] = held.size;
    return handle.index;
}
