//! A program of another libc than Bun's: makes a pool, or opens one, by the core that is linked into
//! it, and says the code and the words of what went wrong.

const std = @import("std");

comptime {
    _ = @import("xmem").abi.engine; // for its exported symbols
}

extern fn xmem_open(
    how: u32,
    dir: [*:0]const u8,
    name: [*:0]const u8,
    participant_name: [*:0]const u8,
    options: *const [32]f64,
) i32;
extern fn xmem_close(pool: u32) void;
extern fn xmem_acquire(pool: u32, size: f64) f64;
extern fn xmem_release(pool: u32, handle: f64) void;
extern fn xmem_error_text(buffer: [*]u8, length: u32) u32;
extern "c" fn printf(format: [*:0]const u8, ...) c_int;

pub export fn main(count: c_int, arguments: [*]const [*:0]const u8) c_int {
    if (count != 4) return 2;
    const creates = std.mem.eql(u8, std.mem.span(arguments[1]), "create");
    const options: [32]f64 = @splat(-1); // the default of each
    const how: u32 = if (creates) 0 else 1;
    const opened = xmem_open(how, arguments[2], arguments[3], "other", &options);
    if (opened <= 0) {
        var text: [512]u8 = undefined;
        const length: c_int = @intCast(xmem_error_text(&text, text.len));
        _ = printf("%d %.*s\n", opened, length, &text);
        return 0;
    }
    const pool: u32 = @intCast(opened);
    const handle = xmem_acquire(pool, 100);
    _ = printf("acquired %d\n", @as(c_int, @intFromBool(handle >= 0)));
    xmem_release(pool, handle);
    xmem_close(pool);
    return 0;
}
