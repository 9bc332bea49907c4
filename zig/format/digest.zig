//! A digest of the whole format. Two builds whose formats differ in anything refuse each other's
//! pools. It is gathered by reflection over the files of this folder, so that a new struct, word or
//! number cannot be forgotten.

const std = @import("std");
const layout = @import("layout.zig");
const words = @import("words.zig");

/// Of every public declaration of `layout.zig` and `words.zig`.
pub const digest: u64 = of(.{ layout, words });

fn of(comptime files: anytype) u64 {
    return comptime sum: {
        @setEvalBranchQuota(1_000_000);
        var sum: Sum = .{};
        for (files) |file| sum.addDeclarations(file);
        break :sum sum.value;
    };
}

/// FNV-1a.
const Sum = struct {
    value: u64 = 0xcbf2_9ce4_8422_2325,

    fn addDeclarations(comptime sum: *Sum, comptime Container: type) void {
        for (std.meta.declarations(Container)) |declaration| {
            const value = @field(Container, declaration.name);
            switch (@typeInfo(@TypeOf(value))) {
                .type => sum.addType(declaration.name, value),
                .int, .comptime_int => {
                    sum.addText(declaration.name);
                    sum.addNumber(value);
                },
                else => {},
            }
        }
    }

    fn addType(comptime sum: *Sum, comptime name: []const u8, comptime Type: type) void {
        switch (@typeInfo(Type)) {
            .@"struct" => |info| {
                sum.addText(name);
                sum.addNumber(@bitSizeOf(Type));
                for (info.fields) |field| {
                    sum.addText(field.name);
                    sum.addNumber(@bitOffsetOf(Type, field.name));
                    sum.addNumber(@bitSizeOf(field.type));
                }
            },
            .@"enum" => |info| {
                sum.addText(name);
                for (info.fields) |field| {
                    sum.addText(field.name);
                    sum.addNumber(field.value);
                }
            },
            else => {},
        }
    }

    fn addText(comptime sum: *Sum, comptime text: []const u8) void {
        for (text) |byte| sum.addByte(byte);
        sum.addByte(0);
    }

    fn addNumber(comptime sum: *Sum, comptime number: u64) void {
        for (std.mem.toBytes(number)) |byte| sum.addByte(byte);
    }

    fn addByte(comptime sum: *Sum, comptime byte: u8) void {
        sum.value = (sum.value ^ byte) *% 0x100_0000_01b3;
    }
};

const testing = std.testing;

/// A file of a format, and the same with one thing changed.
fn Variant(comptime swapped: bool, comptime limit: u32, comptime used: u2) type {
    return struct {
        pub const limit_max = limit;
        pub const Word = if (swapped)
            packed struct(u64) { in_flight: u32, references: u32 }
        else
            packed struct(u64) { references: u32, in_flight: u32 };
        pub const State = enum(u2) { free = 0, used = used };
        pub fn untouched() void {}
    };
}

test "a swapped field, another limit and another state each make another format" {
    const format = of(.{Variant(false, 8, 1)});
    try testing.expectEqual(format, of(.{Variant(false, 8, 1)}));
    try testing.expect(format != of(.{Variant(true, 8, 1)}));
    try testing.expect(format != of(.{Variant(false, 9, 1)}));
    try testing.expect(format != of(.{Variant(false, 8, 2)}));
}
