//! The form for C as Python's `ctypes` wants to know it: codes, structs and functions. An address
//! is a number there, also one where the callee puts something.

const std = @import("std");
const channels = @import("core").abi.c.channels;
const constants = @import("core").abi.constants;
const content = @import("core").protocol.pool.content;
const declarations = @import("declarations.zig");
const errors = @import("core").errors;
const waits = @import("core").abi.c.waits;
const words = @import("core").format.words;

const Allocator = std.mem.Allocator;
const Declaration = declarations.Declaration;
const Writer = std.Io.Writer;

/// How a Zig type crosses by value.
const primitives = [_][2][]const u8{
    .{ "void", "None" },
    .{ "u8", "ctypes.c_char" },
    .{ "u32", "ctypes.c_uint32" },
    .{ "i32", "ctypes.c_int32" },
    .{ "u64", "ctypes.c_uint64" },
    .{ "i64", "ctypes.c_int64" },
    .{ "usize", "ctypes.c_size_t" },
    .{ "?[*:0]const u8", "ctypes.c_char_p" },
    .{ "[*:0]const u8", "ctypes.c_char_p" },
};

const preamble =
    \\# Generated from zig/abi/c/ by `bun run generate`. Do not edit.
    \\"""The native library's interface for C, as ctypes wants to know it."""
    \\
    \\from __future__ import annotations
    \\
    \\import ctypes
    \\from typing import Any
    \\
    \\
;

const Python = struct {
    gpa: Allocator,
    out: *Writer,
    declared: []const Declaration,

    fn typeOf(python: Python, zig: []const u8) error{ OutOfMemory, UnknownType }![]const u8 {
        for (primitives) |pair| if (std.mem.eql(u8, pair[0], zig)) return pair[1];
        if (std.mem.startsWith(u8, zig, "[")) if (std.mem.findScalar(u8, zig, ']')) |end| {
            const count = std.fmt.parseInt(u32, zig[1..end], 10) catch 0;
            const element = try python.typeOf(zig[end + 1 ..]);
            if (count > 0) return std.fmt.allocPrint(python.gpa, "{s} * {d}", .{ element, count });
        };
        if (std.mem.startsWith(u8, zig, "?*") or std.mem.startsWith(u8, zig, "?[*]"))
            return "ctypes.c_void_p";
        for (python.declared) |each| if (each == .alias and std.mem.eql(u8, each.alias.name, zig))
            return python.typeOf(each.alias.type);
        const unknown = "ctypes has no form here for the type {s}; see abi/generate/python.zig\n";
        std.debug.print(unknown, .{zig});
        return error.UnknownType;
    }

    /// What Python reads in a struct's field.
    fn valueOf(python: Python, zig: []const u8) ![]const u8 {
        const made = try python.typeOf(zig);
        if (std.mem.startsWith(u8, made, "ctypes.c_char")) {
            return if (std.mem.eql(u8, made, "ctypes.c_char_p")) "bytes | None" else "bytes";
        }
        return if (std.mem.find(u8, made, " * ") == null) "int" else "ctypes.Array[Any]";
    }

    fn writeStruct(python: Python, structure: declarations.Struct) !void {
        const out = python.out;
        try out.print("\n\nclass {s}(ctypes.Structure):\n", .{structure.name});
        for (structure.fields) |field| {
            try out.print("    {s}: {s}\n", .{ field.name, try python.valueOf(field.type) });
        }
        try out.writeAll("\n    _fields_ = [\n");
        for (structure.fields) |field| {
            const crossing = try python.typeOf(field.type);
            try out.print("        (\"{s}\", {s}),\n", .{ field.name, crossing });
        }
        try out.writeAll("    ]\n");
    }

    fn writeFunction(python: Python, function: declarations.Function) !void {
        const out = python.out;
        const returns = try python.typeOf(function.returns);
        try out.print("    \"{s}\": (\n        {s},\n        [", .{ function.name, returns });
        for (function.parameters, 0..) |parameter, place| {
            if (place > 0) try out.writeAll(", ");
            try out.writeAll(try python.typeOf(parameter.type));
        }
        try out.writeAll("],\n    ),\n");
    }
};

pub fn write(gpa: Allocator, out: *Writer, sources: []const [:0]const u8) !void {
    var all: std.ArrayList(Declaration) = .empty;
    for (sources) |source| try all.appendSlice(gpa, try declarations.read(gpa, source));
    const python: Python = .{ .gpa = gpa, .out = out, .declared = all.items };
    try out.writeAll(preamble);
    try out.writeAll("CODES = {\n");
    for (std.enums.values(errors.Code)) |code| {
        const number = @intFromEnum(code);
        if (number < errors.internal_min) try out.print("    {d}: \"{t}\",\n", .{ number, code });
    }
    try out.writeAll("}\n\nDTYPES = (\n");
    for (std.enums.values(content.DType), 0..) |dtype, place| {
        if (@intFromEnum(dtype) != place) return error.DtypesWithGaps;
        var name: [32]u8 = undefined;
        const lower = std.ascii.lowerString(&name, @tagName(dtype));
        try out.print("    \"{s}\",\n", .{lower});
    }
    try out.writeAll(")\n\n");
    try writeKinds(out, words.ChannelMode, "MODES");
    try writeKinds(out, words.ChannelOverflow, "OVERFLOWS");
    try writeKinds(out, waits.End, "ENDS");
    for (constants.all) |constant| {
        if (!std.mem.startsWith(u8, constant.name, "LIMIT_")) continue;
        try out.print("{s} = {d}\n", .{ constant.name, constant.value });
    }
    for (all.items) |each| if (each == .structure) try python.writeStruct(each.structure);
    try out.writeAll("\n\nFUNCTIONS: dict[str, tuple[Any, list[Any]]] = {\n");
    for (all.items) |each| if (each == .function) try python.writeFunction(each.function);
    try out.writeAll("}\n");
}

/// By the names that users write.
fn writeKinds(out: *Writer, comptime Kind: type, comptime name: []const u8) !void {
    try out.writeAll(name ++ " = {\n");
    for (std.enums.values(Kind)) |kind| {
        var text: [32]u8 = undefined;
        const dashed = text[0..@tagName(kind).len];
        @memcpy(dashed, @tagName(kind));
        std.mem.replaceScalar(u8, dashed, '_', '-');
        try out.print("    \"{s}\": {d},\n", .{ dashed, channels.numberOf(kind) });
    }
    try out.writeAll("}\n\n");
}
