//! The rule that this process breaks, by its name in the environment: XMEM_CANARY. So one library
//! serves every test that needs a broken one. Where nothing is named, nothing is broken.

const std = @import("std");
const builtin = @import("builtin");
const Canary = @import("canary.zig").Canary;

/// Written once, when the library is loaded.
var chosen: Canary = .none;

/// Whether this process breaks the rule named.
pub inline fn broken(comptime rule: Canary) bool {
    return chosen == rule;
}

fn choose() callconv(.c) void {
    const name = std.c.getenv("XMEM_CANARY") orelse return;
    // An unknown rule breaks nothing, so that the check that has to fail does not, and is noticed.
    chosen = std.meta.stringToEnum(Canary, std.mem.span(name)) orelse .none;
}

const at_load: *const fn () callconv(.c) void = &choose;

comptime {
    // The loader calls what it finds in this section.
    const section = if (builtin.os.tag.isDarwin()) "__DATA,__mod_init_func" else ".init_array";
    @export(&at_load, .{
        .name = "xmem_choose_canary",
        .section = section,
        .visibility = .hidden,
    });
}
