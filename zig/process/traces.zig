//! What a traced process says of the buffers that it holds: a text for each, in memory that the
//! command `xmem` can read while the process is busy, blocked or stopped. Only a process that traces
//! has it.

const std = @import("std");
const published = @import("../system/published.zig");
const thread = @import("../system/thread.zig");

/// By this name others find the memory.
pub const name = "xmem.trace";

pub const record_bytes = 4096;
pub const text_bytes_max = record_bytes - @sizeOf(u32);
/// Buffers beyond these are not found from outside. The first record is no text.
pub const records_max = 1 << 14;

const Record = extern struct {
    /// 0: free.
    length: u32,
    text: [text_bytes_max]u8,
};

/// In place of the first record.
const Title = extern struct {
    /// The process: a child of fork has its parent's memory, too.
    owner: u32,
    /// Records at and past it were never used.
    end: u32,
};

var lock: thread.Lock = .{};
var records: ?*[records_max]Record = null;
/// The system has no such memory, or refused it.
var refused = false;
/// The numbers of dropped records.
var free: [records_max]u16 = undefined;
var free_count: u32 = 0;

comptime {
    std.debug.assert(records_max - 1 <= std.math.maxInt(u16));
}

/// Returns the record's number; null where there is no room, or no such memory.
pub fn put(text: []const u8) ?u32 {
    if (text.len == 0 or text.len > text_bytes_max) return null;
    lock.lock();
    defer lock.unlock();
    const all = ready() orelse return null;
    const title = titleOf(all);
    const place: u32 = if (free_count > 0) taken: {
        free_count -= 1;
        break :taken free[free_count];
    } else if (title.end < records_max) title.end else return null;
    const record = &all[place];
    @memcpy(record.text[0..text.len], text);
    // A reader in another process may see a part of a text: it is then no JSON, and passed over.
    @atomicStore(u32, &record.length, @intCast(text.len), .monotonic);
    if (place == title.end) @atomicStore(u32, &title.end, place + 1, .monotonic);
    return place;
}

pub fn drop(place: u32) void {
    lock.lock();
    defer lock.unlock();
    const all = records orelse return;
    if (place == 0 or place >= titleOf(all).end or all[place].length == 0) return;
    @atomicStore(u32, &all[place].length, 0, .monotonic);
    free[free_count] = @intCast(place);
    free_count += 1;
}

fn titleOf(all: *[records_max]Record) *Title {
    return @ptrCast(&all[0]);
}

fn ready() ?*[records_max]Record {
    if (records == null and !refused) {
        const base = published.make(name, @sizeOf([records_max]Record)) orelse {
            refused = true;
            return null;
        };
        const all: *[records_max]Record = @ptrCast(base);
        titleOf(all).* = .{ .owner = thread.processId(), .end = 1 };
        records = all;
    }
    return records;
}

/// In a child of fork: the memory is the parent's. What the parent held is nothing of the child's.
pub fn forgetAfterFork() void {
    lock.reset();
    records = null;
    free_count = 0;
}

test "a text is found until it is dropped, and its place is used again" {
    const first = put("one") orelse return;
    const second = put("two").?;
    try std.testing.expect(first != second);
    const all = records.?;
    try std.testing.expectEqual(thread.processId(), titleOf(all).owner);
    try std.testing.expectEqualStrings("one", all[first].text[0..all[first].length]);
    drop(first);
    drop(first);
    try std.testing.expectEqual(@as(u32, 0), all[first].length);
    try std.testing.expectEqual(first, put("three").?);
    for (first + 2..records_max) |_| try std.testing.expect(put("more") != null);
    try std.testing.expectEqual(null, put("too many"));
    drop(second);
    try std.testing.expectEqual(null, put(&@as([text_bytes_max + 1]u8, @splat('x'))));
    try std.testing.expectEqual(second, put("again").?);
    for ([_]u32{ 0, records_max }) |place| drop(place);
    try std.testing.expectEqual(@as(u32, records_max), titleOf(all).end);
    forgetAfterFork();
    try std.testing.expectEqual(@as(u32, 1), put("in the child").?);
    try std.testing.expect(records.? != all);
}
