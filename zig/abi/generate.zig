//! Writes src/constants.gen.ts: the path is its only argument.

const std = @import("std");
const constants = @import("xmem").abi.constants;

pub fn main(init: std.process.Init.Minimal) !void {
    var arguments = init.args.iterate();
    _ = arguments.skip();
    const path = arguments.next() orelse return error.MissingPath;
    const file = std.c.fopen(path.ptr, "w") orelse return error.CannotWrite;
    defer _ = std.c.fclose(file);
    try write(file, "// Generated from zig/constants.zig by `bun run build`. Do not edit.\n\n");
    for (constants.all) |constant| {
        var line: [128]u8 = undefined;
        try write(file, try std.fmt.bufPrint(&line, "export const {s} = {d};\n", .{
            constant.name,
            constant.value,
        }));
    }
}

fn write(file: *std.c.FILE, text: []const u8) !void {
    if (std.c.fwrite(text.ptr, 1, text.len, file) != text.len) return error.CannotWrite;
}
