//! What a call that made a hold tells TypeScript: the index, and beside it the buffer's generation
//! and its size.

const holds = @import("../process/holds.zig");
const open_pool = @import("../process/open_pool.zig");
const words = @import("../format/words.zig");

/// Returns the buffer's index.
pub inline fn note(pool: *open_pool.Pool, held: holds.Held) i32 {
    const handle: words.Handle = @bitCast(held.handle);
    pool.made = .{ .generation = handle.generation, .size = held.size };
    return handle.index;
}
