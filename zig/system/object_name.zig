//! The names of pools, and of the files that they are: `xmem.<name>` in a folder.

const std = @import("std");
const errors = @import("../errors.zig");

const Error = errors.Error;

pub const length_max = 200;
pub const prefix = "xmem.";

/// The file's name: the prefix, the user's name, and a 0.
pub const EntryBuffer = [prefix.len + length_max + 1]u8;

/// 1 to 200 letters, digits, `.`, `_` and `-`, but not `.` or `..`: so a name never leads out of
/// its folder.
pub fn isValid(name: []const u8) bool {
    if (name.len == 0 or name.len > length_max) return false;
    if (std.mem.eql(u8, name, ".") or std.mem.eql(u8, name, "..")) return false;
    for (name) |byte| {
        switch (byte) {
            'a'...'z', 'A'...'Z', '0'...'9', '.', '_', '-' => {},
            else => return false,
        }
    }
    return true;
}

pub fn check(name: []const u8) Error!void {
    if (!isValid(name)) return errors.fail(
        error.InvalidArgument,
        0,
        "a pool's name is 1 to {d} letters, digits, '.', '_' or '-', and not '.' or '..'",
        .{length_max},
    );
}

pub fn entryOf(name: []const u8, buffer: *EntryBuffer) Error![:0]const u8 {
    try check(name);
    return std.fmt.bufPrintSentinel(buffer, prefix ++ "{s}", .{name}, 0) catch unreachable;
}

const testing = std.testing;

test "a name that could lead out of the folder is refused" {
    for ([_][]const u8{ "a", "Z9._-", "...", ".hidden", "x" ** 200 }) |name| {
        try testing.expect(isValid(name));
    }
    for ([_][]const u8{ "", ".", "..", "a/b", "a b", "a\x00", "\xc3\xa4", "x" ** 201 }) |name| {
        try testing.expect(!isValid(name));
    }
    var buffer: EntryBuffer = undefined;
    try testing.expectError(error.InvalidArgument, entryOf("a/b", &buffer));
    try testing.expect(errors.lastText().len > 0);
}
