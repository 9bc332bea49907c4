//! The C header of the form for C, with a reference of each function: what it does, its arguments
//! and their units, its errors and what each means there.

const std = @import("std");
const channels = @import("core").abi.c.channels;
const waits = @import("core").abi.c.waits;
const constants = @import("core").abi.constants;
const content = @import("core").protocol.pool.content;
const declarations = @import("declarations.zig");
const errors = @import("core").errors;
const words = @import("core").format.words;

const Allocator = std.mem.Allocator;
const Declaration = declarations.Declaration;
const Docs = declarations.Docs;
const Function = declarations.Function;
const Writer = std.Io.Writer;

/// How a Zig type crosses by value.
const primitives = [_][2][]const u8{
    .{ "void", "void" },
    .{ "anyopaque", "void" },
    .{ "u8", "char" },
    .{ "u32", "uint32_t" },
    .{ "i32", "int32_t" },
    .{ "u64", "uint64_t" },
    .{ "i64", "int64_t" },
    .{ "usize", "size_t" },
};

/// What begins a pointer's type. The callee checks each for null.
const pointers = [_][]const u8{ "?*", "?[*:0]", "?[*]", "[*:0]", "*" };

/// The comment of a parameter that has none of its own.
const usual_parameters = [_][2][]const u8{
    .{ "Pool", "The open pool." },
    .{ "Channel", "The open channel." },
    .{ "Handle", "Of a buffer that this descriptor holds." },
};

/// Constants of the core that C programs get, by their names without XMEM_.
const limits = [_][]const u8{
    "LIMIT_CAPACITY",
    "LIMIT_PARTICIPANTS",
    "LIMIT_CHANNELS",
    "LIMIT_REFERENCES",
    "LIMIT_NAME_BYTES",
    "LIMIT_TEXT_BYTES",
    "LIMIT_DIMENSIONS",
    "LIMIT_CHANNEL_CAPACITY",
    "LIMIT_CHANNEL_NAME_BYTES",
    "LIMIT_CHANNEL_SUBSCRIBERS",
    "LIMIT_WAIT_SOURCES",
};

const preamble =
    \\/*
    \\ * xmem: a pool of buffers in shared memory that processes and threads draw from and hand to
    \\ * each other without copying.
    \\ *
    \\ * Generated from zig/abi/c/ by `bun run generate`. Do not edit.
    \\ *
    \\ * Results. Every function that can fail returns 0 or a negative XMEM_... code, and where it
    \\ * fails it changes nothing at the addresses that it was given. What more there is to say of
    \\ * the failure of this thread's last call is in xmem_error_text and xmem_error_errno. Sizes
    \\ * are bytes. Times have their unit in the name.
    \\ *
    \\ * Threads. A pool is used on the thread that opened it: each thread opens it for itself, and
    \\ * is one participant. A call of another thread is XMEM_INVALID_ARGUMENT. No function may be
    \\ * called in a signal handler, or left by longjmp or by a thread's cancellation. Before a
    \\ * thread ends, it closes what it opened (xmem_close): that gives back its holds and its place
    \\ * among the participants at once. Where it ends without that, its pools are closed by
    \\ * themselves, pointers into their memory are invalid, and its holds are given back by the
    \\ * next recovery: that of an acquire that finds the pool full, of a wait, of an open, or of
    \\ * xmem_reclaim. Only pools that it observes (xmem_observe) stay open, and nobody can close
    \\ * them.
    \\ *
    \\ * Processes. What a process holds when it ends, or is killed, is given back in the same way
    \\ * by the others; what it sent is received as before.
    \\ *
    \\ * Fork. In the child every pool that the parent had open, on any thread, says
    \\ * XMEM_POOL_CLOSED to every call; the parent's goes on. The child closes it (on any thread)
    \\ * to unmap its memory, and opens the pool again to take part. It must not use the parent's
    \\ * pointers and handles. After an exec nothing is open.
    \\ *
    \\ * Structs. The caller sets `size` to `sizeof` of a struct as it was compiled with, and a
    \\ * row's size is given beside the rows. A struct may get more fields at its end in a later
    \\ * version: a program that knows fewer gets those that it knows, and for options that it does
    \\ * not know the defaults hold. A program that knows more than the library gets 0 in those
    \\ * fields, and may set none of them. What no version had is XMEM_INVALID_ARGUMENT.
    \\ *
    \\ * The library must not be unloaded (dlclose) before the process ends.
    \\ */
    \\#ifndef XMEM_H
    \\#define XMEM_H
    \\
    \\#include <stddef.h>
    \\#include <stdint.h>
    \\
    \\#ifdef __cplusplus
    \\extern "C" {
    \\#endif
    \\
    \\/** `timeout_ms` of a wait without an end. */
    \\#define XMEM_FOREVER UINT64_MAX
    \\
    \\/** `lease_timeout_ms` of in-flight references that never expire. */
    \\#define XMEM_LEASE_NEVER UINT32_MAX
    \\
    \\
;

comptime {
    const types = @import("core").abi.c.types;
    std.debug.assert(types.forever == std.math.maxInt(u64));
    std.debug.assert(types.lease_never == std.math.maxInt(u32));
}

const ending =
    \\#ifdef __cplusplus
    \\}
    \\#endif
    \\
    \\#endif
    \\
;

const Header = struct {
    gpa: Allocator,
    out: *Writer,
    declared: []const Declaration,

    /// The C type, or the unknown part of the Zig type as an error.
    fn typeOf(header: Header, zig: []const u8) error{ OutOfMemory, UnknownType }![]const u8 {
        for (primitives) |pair| if (std.mem.eql(u8, pair[0], zig)) return pair[1];
        for (pointers) |prefix| {
            if (!std.mem.startsWith(u8, zig, prefix)) continue;
            const target = zig[prefix.len..];
            const constant = std.mem.startsWith(u8, target, "const ");
            const element = try header.typeOf(if (constant) target["const ".len..] else target);
            const space = if (std.mem.endsWith(u8, element, "*")) "" else " ";
            const qualifier = if (constant) "const " else "";
            return std.fmt.allocPrint(header.gpa, "{s}{s}{s}*", .{ qualifier, element, space });
        }
        for (header.declared) |each| switch (each) {
            .function => {},
            inline .structure, .alias => |named| {
                if (std.mem.eql(u8, named.name, zig)) return header.nameOf(zig);
            },
        };
        std.debug.print("C has no form here for the type {s}; see zig/abi/generate/header.zig\n", .{
            zig,
        });
        return error.UnknownType;
    }

    /// `xmem_pool_stats` for `PoolStats`.
    fn nameOf(header: Header, zig: []const u8) error{OutOfMemory}![]const u8 {
        var name: std.ArrayList(u8) = .empty;
        try name.appendSlice(header.gpa, "xmem");
        for (zig) |byte| {
            if (std.ascii.isUpper(byte)) try name.append(header.gpa, '_');
            try name.append(header.gpa, std.ascii.toLower(byte));
        }
        return name.items;
    }

    fn writeDeclarator(header: Header, zig: []const u8, name: []const u8) !void {
        if (std.mem.startsWith(u8, zig, "[")) if (std.mem.findScalar(u8, zig, ']')) |end| {
            if (std.fmt.parseInt(u32, zig[1..end], 10)) |count| {
                const element = try header.typeOf(zig[end + 1 ..]);
                return header.out.print("{s} {s}[{d}]", .{ element, name, count });
            } else |_| {}
        };
        const c = try header.typeOf(zig);
        const space = if (std.mem.endsWith(u8, c, "*")) "" else " ";
        try header.out.print("{s}{s}{s}", .{ c, space, name });
    }

    fn writeFunction(header: Header, function: Function) !void {
        const out = header.out;
        const first_code = for (function.docs, 0..) |line, place| {
            if (std.mem.startsWith(u8, line, "XMEM_")) break place;
        } else function.docs.len;
        const what = trimmed(function.docs[0..first_code]);
        if (what.len == 0) return undocumented(function.name);
        try out.writeAll("/**\n");
        try header.writeLines("", what);
        if (function.parameters.len > 0) try out.writeAll(" *\n");
        for (function.parameters) |parameter| {
            const docs = if (parameter.docs.len > 0) parameter.docs else try usual(parameter);
            try out.print(" * @param {s} {s}\n", .{ parameter.name, docs[0] });
            try header.writeLines("    ", docs[1..]);
        }
        if (first_code < function.docs.len) {
            try out.writeAll(" *\n * @return 0, or\n");
            try header.writeLines("    ", function.docs[first_code..]);
        }
        try out.writeAll(" */\n");
        const returns = try header.typeOf(function.returns);
        const space = if (std.mem.endsWith(u8, returns, "*")) "" else " ";
        try out.print("{s}{s}{s}(", .{ returns, space, function.name });
        if (function.parameters.len == 0) try out.writeAll("void");
        for (function.parameters, 0..) |parameter, place| {
            if (place > 0) try out.writeAll(", ");
            try header.writeDeclarator(parameter.type, parameter.name);
        }
        try out.writeAll(");\n\n");
    }

    fn writeStruct(header: Header, structure: declarations.Struct) !void {
        const out = header.out;
        if (structure.docs.len == 0) return undocumented(structure.name);
        try header.writeDocs("", structure.docs);
        const name = try header.nameOf(structure.name);
        try out.print("typedef struct {s} {{\n", .{name});
        for (structure.fields) |field| {
            if (field.docs.len == 0) return undocumented(field.name);
            try header.writeDocs("    ", field.docs);
            try out.writeAll("    ");
            try header.writeDeclarator(field.type, field.name);
            try out.writeAll(";\n");
        }
        try out.print("}} {s};\n\n", .{name});
    }

    fn writeDocs(header: Header, indent: []const u8, docs: Docs) !void {
        const out = header.out;
        if (docs.len == 1) return out.print("{s}/** {s} */\n", .{ indent, docs[0] });
        try out.print("{s}/**\n", .{indent});
        for (docs) |line| {
            const space = if (line.len > 0) " " else "";
            try out.print("{s} *{s}{s}\n", .{ indent, space, line });
        }
        try out.print("{s} */\n", .{indent});
    }

    fn writeLines(header: Header, indent: []const u8, lines: Docs) !void {
        for (lines) |line| {
            if (line.len == 0) try header.out.writeAll(" *\n") else {
                try header.out.print(" * {s}{s}\n", .{ indent, line });
            }
        }
    }
};

fn trimmed(docs: Docs) Docs {
    var end = docs.len;
    while (end > 0 and docs[end - 1].len == 0) end -= 1;
    return docs[0..end];
}

fn usual(parameter: declarations.Member) !Docs {
    for (&usual_parameters) |*pair| {
        if (std.mem.eql(u8, pair[0], parameter.type)) return pair[1..2];
    }
    return undocumented(parameter.name);
}

fn undocumented(name: []const u8) error{Undocumented} {
    std.debug.print("{s} has no comment in zig/abi/c/\n", .{name});
    return error.Undocumented;
}

pub fn write(
    gpa: Allocator,
    out: *Writer,
    sources: []const [:0]const u8,
    errors_source: [:0]const u8,
) !void {
    var text: Writer.Allocating = .init(gpa);
    var all: std.ArrayList(Declaration) = .empty;
    for (sources) |source| try all.appendSlice(gpa, try declarations.read(gpa, source));
    const declared = all.items;
    const header: Header = .{ .gpa = gpa, .out = &text.writer, .declared = declared };
    try header.out.writeAll(preamble);
    try writeLimits(header.out);
    try writeCodes(header, try declarations.readEnum(gpa, errors_source, "Code"));
    try writeDtypes(header.out);
    try writeKinds(header.out, words.ChannelMode, "MODE", "To whom a channel hands a buffer.");
    try writeKinds(header.out, words.ChannelOverflow, "OVERFLOW", "What a full channel does.");
    try writeKinds(header.out, waits.End, "END", "Where an event loop waits at a channel.");
    for (declared) |each| if (each == .alias) {
        try header.writeDocs("", each.alias.docs);
        const name = try header.nameOf(each.alias.name);
        try header.out.print("typedef {s} {s};\n\n", .{ try header.typeOf(each.alias.type), name });
    };
    try writeIndex(header.out);
    for (declared) |each| if (each == .structure) try header.writeStruct(each.structure);
    for (declared) |each| if (each == .function) try header.writeFunction(each.function);
    try header.out.writeAll(ending);
    try checkNames(text.written());
    try out.writeAll(text.written());
}

fn writeLimits(out: *Writer) !void {
    try out.writeAll("/* The most of each that there can be. */\n");
    for (limits) |name| {
        const value = for (constants.all) |constant| {
            if (std.mem.eql(u8, constant.name, name)) break constant.value;
        } else return error.UnknownLimit;
        try out.print("#define XMEM_{s} {d}\n", .{ name, value });
    }
    try out.writeByte('\n');
}

fn writeCodes(header: Header, members: []const declarations.EnumMember) !void {
    try header.out.writeAll("/** What a failed call returns. */\nenum {\n");
    for (members) |member| {
        const code = std.meta.stringToEnum(errors.Code, member.name) orelse return error.NoSuchCode;
        if (@intFromEnum(code) >= errors.internal_min) continue;
        if (member.docs.len == 0) return undocumented(member.name);
        try header.writeDocs("    ", member.docs);
        try header.out.print("    XMEM_{s} = -{d},\n", .{ member.name, @intFromEnum(code) });
    }
    try header.out.writeAll("    XMEM_OK = 0\n};\n\n");
}

fn writeDtypes(out: *Writer) !void {
    try out.writeAll("/** What the elements of a buffer are. */\nenum {\n");
    const last = std.enums.values(content.DType).len - 1;
    for (std.enums.values(content.DType), 0..) |dtype, place| {
        const comma = if (place < last) "," else "";
        try out.print("    XMEM_DTYPE_{t} = {d}{s}\n", .{ dtype, @intFromEnum(dtype), comma });
    }
    try out.writeAll("};\n\n");
}

/// From 1 on: 0 is not given.
fn writeKinds(
    out: *Writer,
    comptime Kind: type,
    comptime what: []const u8,
    comptime docs: []const u8,
) !void {
    try out.writeAll("/** " ++ docs ++ " */\nenum {\n");
    const last = std.enums.values(Kind).len - 1;
    for (std.enums.values(Kind), 0..) |kind, place| {
        var name: [32]u8 = undefined;
        const upper = std.ascii.upperString(&name, @tagName(kind));
        const comma = if (place < last) "," else "";
        const number = channels.numberOf(kind);
        try out.print("    XMEM_" ++ what ++ "_{s} = {d}{s}\n", .{ upper, number, comma });
    }
    try out.writeAll("};\n\n");
}

fn writeIndex(out: *Writer) !void {
    const bits = @bitSizeOf(@FieldType(words.Handle, "index"));
    comptime std.debug.assert(@bitOffsetOf(words.Handle, "index") == 0);
    try out.print(
        \\/** The bare index of a handle's buffer: its place in the pool. */
        \\static inline uint32_t xmem_index(xmem_handle handle) {{
        \\    return (uint32_t)(handle & 0x{x});
        \\}}
        \\
        \\
    , .{(1 << bits) - 1});
}

/// A comment that names a code, or anything in capitals, that the header does not define.
fn checkNames(text: []const u8) !void {
    var rest = text;
    while (std.mem.find(u8, rest, "XMEM_")) |start| {
        var end = start;
        while (end < rest.len and isOfName(rest[end])) end += 1;
        const name = rest[start..end];
        rest = rest[end..];
        if (!isKnown(text, name)) {
            std.debug.print("zig/abi/c/ speaks of {s}, which is nothing\n", .{name});
            return error.UnknownName;
        }
    }
}

fn isOfName(byte: u8) bool {
    return std.ascii.isAlphanumeric(byte) or byte == '_';
}

fn isKnown(text: []const u8, name: []const u8) bool {
    for ([_][]const u8{ "XMEM_", "XMEM_DIR", "XMEM_H" }) |each| {
        if (std.mem.eql(u8, each, name)) return true;
    }
    var buffer: [96]u8 = undefined;
    inline for (.{ "    {s} = ", "#define {s} " }) |definition| {
        const line = std.fmt.bufPrint(&buffer, definition, .{name}) catch return false;
        if (std.mem.find(u8, text, line) != null) return true;
    }
    return false;
}
