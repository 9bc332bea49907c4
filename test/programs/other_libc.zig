//! A program of another libc than Bun's: makes a pool, or opens one, by the core that is linked into
//! it, and says the code and the words of what went wrong.

const std = @import("std");

const bun = @import("core").abi.bun;
const options_file = @import("core").process.options;

extern "c" fn printf(format: [*:0]const u8, ...) c_int;

pub export fn main(count: c_int, arguments: [*]const [*:0]const u8) c_int {
    if (count != 4) return 2;
    const creates = std.mem.eql(u8, std.mem.span(arguments[1]), "create");
    const options: options_file.Options = @splat(-1); // the default of each
    const how: u32 = if (creates) 0 else 1;
    const opened = bun.xmem_bun_open(how, arguments[2], arguments[3], "other", &options);
    if (opened <= 0) {
        var text: [512]u8 = undefined;
        const length: c_int = @intCast(bun.xmem_bun_error_text(&text, text.len));
        _ = printf("%d %.*s\n", opened, length, &text);
        return 0;
    }
    const pool: u32 = @intCast(opened);
    const handle = bun.xmem_bun_acquire(pool, 100);
    _ = printf("acquired %d\n", @as(c_int, @intFromBool(handle >= 0)));
    bun.xmem_bun_release(pool, handle);
    bun.xmem_bun_close(pool);
    return 0;
}
