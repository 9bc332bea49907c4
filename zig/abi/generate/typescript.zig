//! The TypeScript side of Bun's form: an interface with what each call takes and says, and
//! the table by which `bun:ffi` finds it.

const std = @import("std");
const declarations = @import("declarations.zig");

const Function = declarations.Function;
const Writer = std.Io.Writer;

/// How a Zig type is passed: its name for `bun:ffi`, and the type that TypeScript passes or gets.
const Crossing = struct { zig: []const u8, ffi: []const u8, typescript: []const u8 };

const crossings = [_]Crossing{
    .{ .zig = "void", .ffi = "void", .typescript = "void" },
    .{ .zig = "u32", .ffi = "u32", .typescript = "number" },
    .{ .zig = "i32", .ffi = "i32", .typescript = "number" },
    .{ .zig = "f64", .ffi = "f64", .typescript = "number" },
    .{ .zig = "Descriptor", .ffi = "u32", .typescript = "Descriptor" },
    .{ .zig = "*const Options", .ffi = "ptr", .typescript = "Memory" },
};

/// An array is memory of the caller; a pointer to one thing is the library's.
fn crossingOf(zig: []const u8) ?Crossing {
    for (crossings) |crossing| if (std.mem.eql(u8, crossing.zig, zig)) return crossing;
    if (isMemory(zig)) return .{ .zig = zig, .ffi = "ptr", .typescript = "Memory" };
    if (std.mem.startsWith(u8, zig, "?*"))
        return .{ .zig = zig, .ffi = "ptr", .typescript = "Pointer | null" };
    if (std.mem.startsWith(u8, zig, "*"))
        return .{ .zig = zig, .ffi = "ptr", .typescript = "Pointer" };
    return null;
}

fn isMemory(zig: []const u8) bool {
    const many = std.mem.startsWith(u8, zig, "[*") or std.mem.startsWith(u8, zig, "*[") or
        std.mem.startsWith(u8, zig, "*const [");
    for ([_][]const u8{ "u8", "u32", "f64" }) |element| {
        if (many and std.mem.endsWith(u8, zig, element)) return true;
    }
    return false;
}

fn crossed(function: Function, zig: []const u8) !Crossing {
    return crossingOf(zig) orelse {
        std.debug.print("{s}: bun:ffi has no form here for the type {s}; " ++
            "see zig/abi/generate/typescript.zig\n", .{ function.name, zig });
        return error.UnknownType;
    };
}

pub fn write(out: *Writer, declared: []const declarations.Declaration) !void {
    try out.writeAll(
        \\// Generated from zig/abi/bun.zig by `bun run generate`. Do not edit.
        \\
        \\import type { FFIFunction, Pointer } from "bun:ffi";
        \\
        \\/** What the native side calls an open pool; see zig/process/descriptor.zig. */
        \\export type Descriptor = number;
        \\
        \\/** What a pointer argument may be: an array that the call reads or fills. */
        \\export type Memory = Uint8Array | Uint32Array | Float64Array;
        \\
        \\/** zig/abi/bun.zig, as TypeScript calls it. */
        \\export interface Native {
        \\
    );
    for (declared) |each| if (each == .function) try writeMethod(out, each.function);
    try out.writeAll(
        \\}
        \\
        \\/** The same, as `dlopen` wants to know it. */
        \\export const symbols: Record<keyof Native, FFIFunction> = {
        \\
    );
    for (declared) |each| if (each == .function) try writeSymbol(out, each.function);
    try out.writeAll("};\n");
}

/// The codes that users see, so that a program that lacks one, or has one too many, has a type
/// error.
pub fn writeErrorCodes(out: *Writer, comptime Code: type, internal_min: i32) !void {
    try out.writeAll(
        \\// Generated from zig/errors.zig by `bun run generate`. Do not edit.
        \\
        \\/** By its name, the number whose negative a failed call returns. */
        \\export const errorNumbers = {
        \\
    );
    for (std.enums.values(Code)) |code| {
        const number = @intFromEnum(code);
        if (number < internal_min) try out.print("  {t}: {d},\n", .{ code, number });
    }
    try out.writeAll(
        \\} as const;
        \\
        \\export type ErrorName = keyof typeof errorNumbers;
        \\
    );
}

fn writeMethod(out: *Writer, function: Function) !void {
    try writeDocs(out, function.docs);
    try out.print("  {s}(", .{function.name});
    for (function.parameters, 0..) |parameter, place| {
        if (place > 0) try out.writeAll(", ");
        const crossing = try crossed(function, parameter.type);
        // `number` in Zig, where a descriptor is a file.
        const is_descriptor = std.mem.eql(u8, crossing.typescript, "Descriptor");
        try writeCamel(out, if (is_descriptor) "descriptor" else parameter.name);
        try out.print(": {s}", .{crossing.typescript});
    }
    try out.print("): {s};\n", .{(try crossed(function, function.returns)).typescript});
}

fn writeDocs(out: *Writer, docs: declarations.Docs) !void {
    if (docs.len == 0) return;
    if (docs.len == 1) return out.print("  /** {s} */\n", .{docs[0]});
    try out.writeAll("  /**\n");
    for (docs) |line| {
        try out.print("   *{s}{s}\n", .{ if (line.len > 0) " " else "", line });
    }
    try out.writeAll("   */\n");
}

fn writeSymbol(out: *Writer, function: Function) !void {
    try out.print("  {s}: {{ args: [", .{function.name});
    for (function.parameters, 0..) |parameter, place| {
        if (place > 0) try out.writeAll(", ");
        try out.print("\"{s}\"", .{(try crossed(function, parameter.type)).ffi});
    }
    const returns = try crossed(function, function.returns);
    try out.print("], returns: \"{s}\" }},\n", .{returns.ffi});
}

fn writeCamel(out: *Writer, name: []const u8) !void {
    var upper = false;
    for (name) |byte| {
        if (byte != '_') try out.writeByte(if (upper) std.ascii.toUpper(byte) else byte);
        upper = byte == '_';
    }
}

test "a type that bun:ffi does not know is an error" {
    for ([_][]const u8{ "u64", "bool", "[]const u8", "usize", "[*]u64" }) |zig| {
        try std.testing.expectEqual(null, crossingOf(zig));
    }
    try std.testing.expectEqualStrings("Memory", crossingOf("*[constants.count]f64").?.typescript);
    try std.testing.expectEqualStrings("Pointer", crossingOf("*pool.Mapping").?.typescript);
}
