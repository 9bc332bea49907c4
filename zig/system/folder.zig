//! A folder that has pools in it: opened once for all that is done in it, and listed.

const std = @import("std");
const builtin = @import("builtin");
const errors = @import("../errors.zig");
const file_call = @import("file_call.zig");
const hooks = @import("hooks");
const object_name = @import("object_name.zig");

const Error = errors.Error;
const c = std.c;
const is_darwin = builtin.os.tag.isDarwin();

pub fn open(dir: [:0]const u8) Error!i32 {
    // Everything in the folder is named relative to this descriptor, so that a link in the path
    // that is changed meanwhile makes no difference.
    const flags: c.O = if (is_darwin)
        .{ .DIRECTORY = true, .CLOEXEC = true }
    else
        .{ .DIRECTORY = true, .CLOEXEC = true, .PATH = true };
    while (true) {
        hooks.call();
        const fd = c.open(dir.ptr, flags);
        if (fd >= 0) return fd;
        const errno = c.errno(fd);
        switch (errno) {
            .INTR => continue,
            .NOENT => return file_call.failed(errno, "the directory {s} does not exist", .{dir}),
            .NOTDIR => return file_call.failed(errno, "{s} is not a directory", .{dir}),
            else => return file_call.failed(errno, "opening the directory {s} failed", .{dir}),
        }
    }
}

/// Calls `visit(context, name, fd)` for each readable file of a folder that has a pool's name,
/// of any owner, and closes `fd` afterwards. Does nothing for a folder that cannot be read. Only
/// three system calls for each file, since a folder can have many.
pub fn forEachObject(
    dir: [:0]const u8,
    context: anytype,
    comptime visit: fn (@TypeOf(context), []const u8, i32) void,
) void {
    forEachName(dir, context, struct {
        fn visitName(in: @TypeOf(context), name: [:0]const u8, dir_fd: i32) void {
            const entry = name.ptr - object_name.prefix.len;
            const fd = c.openat(dir_fd, entry, file_call.carefulFlags(.RDONLY));
            if (fd < 0) return;
            defer _ = c.close(fd);
            visit(in, name, fd);
        }
    }.visitName) catch errors.clear();
}

/// Calls `visit(context, name, dir_fd)` for each file of a folder that has a pool's name. In memory
/// the prefix stands before it. A folder that does not exist has none.
pub fn forEachName(
    dir: [:0]const u8,
    context: anytype,
    comptime visit: fn (@TypeOf(context), [:0]const u8, i32) void,
) Error!void {
    const stream = c.opendir(dir.ptr) orelse {
        const errno: c.E = @enumFromInt(c._errno().*);
        if (errno == .NOENT) return;
        return file_call.failed(errno, "the directory {s} cannot be read", .{dir});
    };
    defer _ = c.closedir(stream);
    while (c.readdir(stream)) |found| {
        if (found.type != c.DT.REG and found.type != c.DT.UNKNOWN) continue;
        const entry = std.mem.span(@as([*:0]const u8, @ptrCast(&found.name)));
        if (!std.mem.startsWith(u8, entry, object_name.prefix)) continue;
        const name = entry[object_name.prefix.len..];
        if (object_name.isValid(name)) visit(context, name, dirfd(stream));
    }
}

extern "c" fn dirfd(stream: *c.DIR) c_int;
