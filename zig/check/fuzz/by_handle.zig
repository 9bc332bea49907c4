//! The calls of the form for Bun that name a buffer by index and generation, for checks that keep
//! handles as doubles, as `acquire` and the calls by hand have them.

const bun = @import("core").abi.bun;
const descriptor = @import("core").process.descriptor;
const words = @import("core").format.words;

/// The handle of a new hold, or an error.
pub fn get(pool: u32, ref: f64) f64 {
    return made(pool, bun.xmem_bun_get_by_ref(pool, ref));
}

pub fn take(pool: u32, ref: f64) f64 {
    return made(pool, bun.xmem_bun_take_by_ref(pool, ref));
}

pub fn share(pool: u32, ref: f64) i32 {
    const handle = split(ref);
    return bun.xmem_bun_share(pool, handle.index, handle.generation);
}

pub fn handOff(pool: u32, ref: f64) i32 {
    const handle = split(ref);
    return bun.xmem_bun_hand_off(pool, handle.index, handle.generation);
}

fn split(ref: f64) words.Handle {
    return @bitCast(@as(u64, @intFromFloat(ref)));
}

fn made(pool: u32, index: i32) f64 {
    if (index < 0) return @floatFromInt(index);
    const handle: words.Handle = .{
        .index = @intCast(index),
        .generation = @intCast(descriptor.poolOf(pool).made.generation),
    };
    return @floatFromInt(@as(u64, @bitCast(handle)));
}
