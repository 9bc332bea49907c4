//! A folder of shared memory of its own for a unit test of objects.

const std = @import("std");

const c = std.c;

pub const TestFolder = struct {
    path_buffer: [64]u8 = undefined,
    path: [:0]const u8 = "",

    var count: u32 = 0;

    pub fn init(self: *TestFolder) !void {
        self.path = try std.fmt.bufPrintSentinel(
            &self.path_buffer,
            "/dev/shm/xmem-object-test.{d}.{d}",
            .{ @as(u32, @intCast(c.getpid())), @atomicRmw(u32, &count, .Add, 1, .monotonic) },
            0,
        );
        if (c.mkdir(self.path.ptr, 0o700) != 0) return error.SkipZigTest;
    }

    pub fn deinit(self: *TestFolder) void {
        _ = c.rmdir(self.path.ptr); // stays where a test left something in it
    }

    pub fn entries(self: *TestFolder) !u32 {
        const stream = c.opendir(self.path.ptr) orelse return error.System;
        defer _ = c.closedir(stream);
        var found: u32 = 0;
        while (c.readdir(stream)) |_| found += 1;
        return found - 2; // . and ..
    }

    pub fn at(self: *TestFolder, buffer: *[128]u8, name: []const u8) [:0]const u8 {
        return std.fmt.bufPrintSentinel(buffer, "{s}/{s}", .{ self.path, name }, 0) catch
            unreachable;
    }
};
