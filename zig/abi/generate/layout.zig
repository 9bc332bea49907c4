//! What lies in shared memory, for tools that read it byte by byte: each struct's fields with their
//! offsets and types, and the fields of each packed word. All of it comes from the declarations
//! themselves.

const std = @import("std");
const layout = @import("core").format.layout;
const words = @import("core").format.words;

const Writer = std.Io.Writer;

const structs = [_]type{
    layout.Identity,
    layout.Hot,
    layout.Repair,
    layout.Counters,
    layout.Tally,
    layout.Header,
    layout.ParticipantRow,
    layout.Dimension,
    layout.Description,
    layout.Slot,
    layout.WaitingPlace,
    layout.ChannelEnd,
    layout.Channel,
    layout.Subscriber,
    layout.ChannelBlock,
};

/// The words whose bits mean something, by the field in which they lie.
const packed_words = .{
    .{ layout.Hot, "free_head", words.Head },
    .{ layout.Hot, "gate", words.Gate },
    .{ layout.ParticipantRow, "taking", words.Taking },
    .{ layout.Slot, "control", words.Control },
    .{ layout.Slot, "lease", words.Lease },
    .{ layout.Slot, "content", words.Content },
    .{ layout.Slot, "message", words.Message },
    .{ layout.Slot, "came_from", words.CameFrom },
    .{ layout.ChannelEnd, "position", words.Position },
    .{ layout.ChannelEnd, "returned", words.Returned },
    .{ layout.Channel, "state", words.ChannelState },
    .{ layout.Channel, "mode", words.ChannelMode },
    .{ layout.Channel, "overflow", words.ChannelOverflow },
    .{ layout.Subscriber, "cursor", words.Position },
    .{ layout.Subscriber, "since", words.Position },
    .{ layout.ChannelBlock, "cells", words.Cell },
};

pub fn write(_: std.mem.Allocator, out: *Writer) !void {
    @setEvalBranchQuota(100_000);
    try out.writeAll(
        \\// Generated from zig/format/ by `bun run generate`. Do not edit.
        \\
        \\/** A field of a struct: where it begins, of what it is, and how many of those follow. */
        \\export type Field = readonly [name: string, offset: number, type: string, count: number];
        \\
        \\/** A part of a word: how many bits, and the names of its values where those have any. */
        \\export type Part = readonly [name: string, bits: number, values?: readonly string[]];
        \\
        \\/** Each struct, with its size. */
        \\export const structs: Record<string, { size: number; fields: readonly Field[] }> = {
        \\
    );
    inline for (structs) |Struct| {
        try out.print("  {s}: {{\n    size: {d},\n    fields: [\n", .{ nameOf(Struct), @sizeOf(Struct) });
        inline for (@typeInfo(Struct).@"struct".fields) |field| {
            const Element, const count = comptime elementsOf(field.type);
            const offset = @offsetOf(Struct, field.name);
            try out.print(
                "      [\"{s}\", {d}, \"{s}\", {d}],\n",
                .{ field.name, offset, comptime typeOf(Struct, field.name, Element), count },
            );
        }
        try out.writeAll("    ],\n  },\n");
    }
    try out.writeAll(
        \\};
        \\
        \\/** Each word, from its lowest bit. */
        \\export const words: Record<string, readonly Part[]> = {
        \\
    );
    inline for (packed_words, 0..) |row, place| {
        if (comptime isFirst(row[2], place)) try writeWord(out, row[2]);
    }
    try out.writeAll("};\n");
}

fn isFirst(comptime Word: type, comptime place: usize) bool {
    inline for (packed_words, 0..) |row, each| {
        if (each < place and row[2] == Word) return false;
    }
    return true;
}

fn elementsOf(comptime Field: type) struct { type, usize } {
    return switch (@typeInfo(Field)) {
        .array => |array| .{ array.child, array.len },
        else => .{ Field, 1 },
    };
}

/// A name of a struct or of a word, `u64` and the like, or `bytes:N` for what only the system knows.
fn typeOf(comptime Struct: type, comptime field: []const u8, comptime Element: type) []const u8 {
    inline for (packed_words) |row| {
        if (row[0] == Struct and std.mem.eql(u8, row[1], field)) return nameOf(row[2]);
    }
    inline for (structs) |known| if (known == Element) return nameOf(Element);
    return switch (@typeInfo(Element)) {
        .int => @typeName(Element),
        else => std.fmt.comptimePrint("bytes:{d}", .{@sizeOf(Element)}),
    };
}

fn nameOf(comptime Type: type) []const u8 {
    const whole = @typeName(Type);
    return whole[(std.mem.lastIndexOfScalar(u8, whole, '.') orelse unreachable) + 1 ..];
}

fn writeWord(out: *Writer, comptime Word: type) !void {
    try out.print("  {s}: [\n", .{nameOf(Word)});
    switch (@typeInfo(Word)) {
        .@"enum" => try writePart(out, "", Word),
        else => inline for (@typeInfo(Word).@"struct".fields) |field| {
            if (@typeInfo(field.type) == .@"struct") {
                inline for (@typeInfo(field.type).@"struct".fields) |inner|
                    try writePart(out, field.name ++ "." ++ inner.name, inner.type);
            } else try writePart(out, field.name, field.type);
        },
    }
    try out.writeAll("  ],\n");
}

fn writePart(out: *Writer, name: []const u8, comptime Part: type) !void {
    try out.print("    [\"{s}\", {d}", .{ name, @bitSizeOf(Part) });
    if (@typeInfo(Part) == .@"enum") {
        try out.writeAll(", [");
        inline for (@typeInfo(Part).@"enum".fields, 0..) |field, place| {
            if (field.value != place) @compileError("values with gaps");
            try out.print("{s}\"{s}\"", .{ if (place > 0) ", " else "", field.name });
        }
        try out.writeAll("]");
    } else if (Part == bool) try out.writeAll(", [\"false\", \"true\"]");
    try out.writeAll("],\n");
}
