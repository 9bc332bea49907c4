//! Writes what other languages have to know of the core into the repository, whose root is its only
//! argument: for TypeScript the constants, the form for Bun and the error codes, for C the header, for
//! Python the same.
//! It prints the files that it changed.

const std = @import("std");
const constants = @import("core").abi.constants;
const declarations = @import("generate/declarations.zig");
const errors = @import("core").errors;
const header = @import("generate/header.zig");
const layout = @import("generate/layout.zig");
const python = @import("generate/python.zig");
const typescript = @import("generate/typescript.zig");

const Writer = std.Io.Writer;

const Output = struct {
    path: []const u8,
    write: *const fn (std.mem.Allocator, *Writer) anyerror!void,
};

const outputs = [_]Output{
    .{ .path = "src/generated/constants.gen.ts", .write = writeConstants },
    .{ .path = "src/generated/abi.gen.ts", .write = writeBun },
    .{ .path = "src/generated/layout.gen.ts", .write = layout.write },
    .{ .path = "src/generated/error_codes.gen.ts", .write = writeErrorCodes },
    .{ .path = "include/xmem.h", .write = writeHeader },
    .{ .path = "python/src/xmem/_generated.py", .write = writePython },
};

pub fn main(init: std.process.Init) !void {
    const gpa = init.arena.allocator();
    var arguments = init.minimal.args.iterate();
    _ = arguments.skip();
    const root = arguments.next() orelse return error.MissingRoot;
    const folder = try std.Io.Dir.cwd().openDir(init.io, root, .{});
    for (outputs) |output| {
        var text: Writer.Allocating = .init(gpa);
        try output.write(gpa, &text.writer);
        const path = output.path;
        const before = folder.readFileAlloc(init.io, path, gpa, .unlimited) catch "";
        if (std.mem.eql(u8, before, text.written())) continue;
        try folder.writeFile(init.io, .{ .sub_path = path, .data = text.written() });
        std.debug.print("wrote {s}\n", .{path});
    }
}

fn writeConstants(_: std.mem.Allocator, out: *Writer) !void {
    const from = "// Generated from zig/abi/constants.zig by `bun run generate`. Do not edit.\n\n";
    try out.writeAll(from);
    for (constants.all) |constant| {
        try out.print("export const {s} = {d};\n", .{ constant.name, constant.value });
    }
}

fn writeBun(gpa: std.mem.Allocator, out: *Writer) !void {
    const texts = [_][:0]const u8{
        @embedFile("bun.zig"),
        @embedFile("bun_channels.zig"),
        @embedFile("bun_looking.zig"),
        @embedFile("bun_streams.zig"),
    };
    var declared: std.ArrayList(declarations.Declaration) = .empty;
    for (texts) |text| try declared.appendSlice(gpa, try declarations.read(gpa, text));
    try typescript.write(out, declared.items);
}

fn writeErrorCodes(_: std.mem.Allocator, out: *Writer) !void {
    try typescript.writeErrorCodes(out, errors.Code, errors.internal_min);
}

/// In the order of the header.
const c_sources = [_][:0]const u8{
    @embedFile("c/types.zig"),
    @embedFile("c/pools.zig"),
    @embedFile("c/folder.zig"),
    @embedFile("c/buffers.zig"),
    @embedFile("c/windows.zig"),
    @embedFile("c/sharing.zig"),
    @embedFile("c/channels.zig"),
    @embedFile("c/requests.zig"),
    @embedFile("c/waits.zig"),
    @embedFile("c/description.zig"),
    @embedFile("c/upkeep.zig"),
    @embedFile("c/looking.zig"),
    @embedFile("c/failures.zig"),
};

fn writeHeader(gpa: std.mem.Allocator, out: *Writer) !void {
    try header.write(gpa, out, &c_sources, @embedFile("errors.zig"));
}

fn writePython(gpa: std.mem.Allocator, out: *Writer) !void {
    try python.write(gpa, out, &c_sources);
}
