//! Looking at single slots: what is in each, since when, and who holds it. It only reads, so that
//! it works on a mapping without write permission and on a damaged pool: nothing that it reads is
//! used as an index. In a busy pool each number is true of some moment.

const std = @import("std");
const layout = @import("../format/layout.zig");
const participant_file = @import("participant.zig");
const system = @import("../system/door.zig");
const words = @import("../format/words.zig");

const View = participant_file.View;

pub const Field = enum {
    INDEX,
    HANDLE,
    /// 1 while its memory is committed or zeroed, by its only holder.
    PRIVATE,
    REFERENCES,
    IN_FLIGHT,
    SIZE,
    COMMITTED,
    /// Milliseconds since its acquire, or rather since the tick of the clock before that.
    AGE_MS,
    /// Milliseconds until the references that nobody owns are dropped; infinite where they never
    /// are, NaN where there is none.
    LEASE_LEFT_MS,
    /// Milliseconds since the last of those was made; NaN where that is not known.
    HANDED_OVER_MS,
    /// The row of whoever made it; -1 where that is not known.
    HANDED_OVER_BY,
    /// The row of whoever has it as a message; -1 for nobody.
    MESSAGE_OF,
    /// Whether it is a message that came back, after its receiver died.
    RETURNED,
    /// The number of the channel to which it was sent as a message; -1 for none.
    SENT_TO,
    DELIVERIES,
    TIMESTAMP,
    SEQUENCE,
};
pub const field_count = std.meta.fields(Field).len;

/// A content type, and then a producer, each ended by a 0.
pub const texts_room = 2 * text_room;
const text_room = layout.text_bytes_max + 1;

/// The slots in use at and past `first`, in order, as many as there is room for. Returns how many
/// were written.
pub fn read(view: *const View, first: u32, values: []f64, texts: []u8) u32 {
    const now_ns = system.clock.coarseNs();
    const room = values.len / field_count;
    var written: u32 = 0;
    var index = first;
    while (written < room and index < view.geometry.capacity) : (index += 1) {
        const slot = &view.slots[index];
        const control: words.Control = @bitCast(@atomicLoad(u64, &slot.control, .monotonic));
        if (control.state != .used and control.state != .private) continue;
        const out = values[written * field_count ..][0..field_count];
        for (std.enums.values(Field)) |field| {
            out[@intFromEnum(field)] = valueOf(view, slot, control, index, now_ns, field);
        }
        readTexts(slot, texts[written * texts_room ..][0..texts_room]);
        written += 1;
    }
    return written;
}

fn valueOf(
    view: *const View,
    slot: *const layout.Slot,
    control: words.Control,
    index: u32,
    now_ns: u64,
    field: Field,
) f64 {
    const content: words.Content = @bitCast(@atomicLoad(u64, &slot.content, .monotonic));
    const message: words.Message = @bitCast(@atomicLoad(u64, &slot.message, .monotonic));
    const lease: words.Lease = @bitCast(@atomicLoad(u64, &slot.lease, .monotonic));
    return switch (field) {
        .INDEX => number(index),
        .HANDLE => number(control.handle(index)),
        .PRIVATE => number(@intFromBool(control.state == .private)),
        .REFERENCES => number(control.references),
        .IN_FLIGHT => number(@min(control.in_flight, control.references)),
        .SIZE => number(content.size),
        .COMMITTED => whole(&slot.committed),
        .AGE_MS => millisecondsSince(@atomicLoad(u64, &slot.acquired_at_ns, .monotonic), now_ns),
        .LEASE_LEFT_MS => if (control.isOnLease()) leftMs(lease, now_ns) else std.math.nan(f64),
        .HANDED_OVER_MS => handedOverMs(view, control, lease, now_ns),
        .HANDED_OVER_BY => if (control.isOnLease()) rowOrNone(lease.byRow()) else -1,
        .MESSAGE_OF => rowOrNone(message.ownerRow()),
        .RETURNED => number(@intFromBool(message.isReturned())),
        .SENT_TO => rowOrNone(message.channelTo()),
        .DELIVERIES => number(message.deliveries),
        .TIMESTAMP => if (content.described.timestamp)
            whole(&slot.description.timestamp)
        else
            0,
        .SEQUENCE => if (content.described.sequence)
            whole(&slot.description.sequence)
        else
            0,
    };
}

/// What stands in a damaged pool may be more than a double holds exactly.
fn whole(word: *const u64) f64 {
    return number(@min(@atomicLoad(u64, word, .monotonic), 1 << 53));
}

fn number(value: u64) f64 {
    return @floatFromInt(value);
}

fn rowOrNone(row: ?u32) f64 {
    return if (row) |known| number(known) else -1;
}

fn millisecondsSince(then_ns: u64, now_ns: u64) f64 {
    return number(now_ns -| then_ns) / std.time.ns_per_ms;
}

fn leftMs(lease: words.Lease, now_ns: u64) f64 {
    if (lease.isEndless()) return std.math.inf(f64);
    return (number(lease.endNs()) - number(now_ns)) / std.time.ns_per_ms;
}

/// A lease began `lease_timeout_ns` before its end.
fn handedOverMs(view: *const View, control: words.Control, lease: words.Lease, now_ns: u64) f64 {
    if (!control.isOnLease() or lease == words.Lease.none or lease.isEndless())
        return std.math.nan(f64);
    return millisecondsSince(lease.endNs() -| view.lease_timeout_ns, now_ns);
}

fn readTexts(slot: *const layout.Slot, out: *[texts_room]u8) void {
    @memset(out, 0);
    const content: words.Content = @bitCast(@atomicLoad(u64, &slot.content, .monotonic));
    inline for (.{ "content_type", "producer" }, 0..) |name, place| {
        const shared_length = &@field(slot.description, name ++ "_length");
        const length = if (@field(content.described, name))
            @min(@atomicLoad(u8, shared_length, .monotonic), layout.text_bytes_max)
        else
            0;
        const shared_text = @field(slot.description, name)[0..length];
        for (out[place * text_room ..][0..length], shared_text) |*byte, *shared|
            byte.* = @atomicLoad(u8, shared, .monotonic);
    }
}

/// What one row holds at and past slot `first`, in order: the slot's index, and how often, for each.
/// Returns how many were written.
pub fn heldBy(view: *const View, row: u32, first: u32, out: []u32) u32 {
    if (row >= view.rowsUsed()) return 0;
    // SYNC: a hold row is read only where `joined` says that it is committed. Pairs with
    // `membership.takeRow`.
    if (@atomicLoad(u32, &view.rows[row].joined, .acquire) == 0) return 0;
    if (first >= view.geometry.capacity) return 0;
    return nonzero(view.holdRow(row)[0..view.geometry.capacity], first, out);
}

/// The same of any such counts.
pub fn nonzero(counts: []const u16, first: u32, out: []u32) u32 {
    var written: u32 = 0;
    for (counts[first..], first..) |*count, index| {
        if (2 * written + 2 > out.len) break;
        const held = @atomicLoad(u16, count, .monotonic);
        if (held == 0) continue;
        out[2 * written ..][0..2].* = .{ @intCast(index), held };
        written += 1;
    }
    return written;
}

const testing = std.testing;
const TestingPool = @import("testing_pool.zig").TestingPool;

fn wordOf(state: words.State, references: u16, in_flight: u16) u64 {
    return @bitCast(words.Control{
        .generation = 5,
        .in_flight = in_flight,
        .references = references,
        .state = state,
        .frozen = false,
    });
}

fn fieldOf(values: []const f64, place: u32, field: Field) f64 {
    return values[place * field_count + @intFromEnum(field)];
}

test "each slot in use is described, a chunk at a time" {
    var pool: TestingPool = undefined;
    try pool.init(.{
        .capacity = 4,
        .buffer_size = 64,
        .participant_count = 2,
        .lease_timeout_ms = 1000,
    });
    defer pool.deinit();
    const slots = pool.view.slots;
    const now_ns = system.clock.coarseNs();
    slots[1].control = wordOf(.used, 3, 1);
    slots[1].acquired_at_ns = now_ns - 50 * std.time.ns_per_ms;
    slots[1].lease = @bitCast(words.Lease.endingAt(now_ns + 900 * std.time.ns_per_ms, 1));
    slots[1].content = @bitCast(words.Content{
        .size = 17,
        .dirty = false,
        .described = .{ .producer = true },
    });
    slots[1].description.producer_length = 200;
    slots[1].description.producer = @splat('p');
    slots[2].control = wordOf(.private, 1, 0);
    slots[3].control = wordOf(.maintained, 0, 1);
    var values: [2 * field_count]f64 = undefined;
    var texts: [2 * texts_room]u8 = undefined;
    try testing.expectEqual(@as(u32, 2), read(&pool.view, 0, &values, &texts));
    for ([_]struct { Field, f64 }{
        .{ .INDEX, 1 },
        .{ .HANDLE, 5 * (1 << 24) + 1 },
        .{ .PRIVATE, 0 },
        .{ .REFERENCES, 3 },
        .{ .IN_FLIGHT, 1 },
        .{ .SIZE, 17 },
        .{ .HANDED_OVER_BY, 1 },
        .{ .MESSAGE_OF, -1 },
        .{ .SENT_TO, -1 },
    }) |row| try testing.expectEqual(row[1], fieldOf(&values, 0, row[0]));
    try testing.expect(fieldOf(&values, 0, .AGE_MS) >= 50);
    try testing.expect(fieldOf(&values, 0, .LEASE_LEFT_MS) <= 900);
    try testing.expect(fieldOf(&values, 0, .HANDED_OVER_MS) >= 99);
    // The damaged length is not believed.
    const producer = std.mem.sliceTo(texts[text_room..texts_room], 0);
    try testing.expectEqual(@as(usize, layout.text_bytes_max), producer.len);
    try testing.expectEqual(@as(u8, 0), texts[0]);
    try testing.expectEqual(@as(f64, 1), fieldOf(&values, 1, .PRIVATE));
    try testing.expect(std.math.isNan(fieldOf(&values, 1, .LEASE_LEFT_MS)));
    try testing.expectEqual(@as(u32, 1), read(&pool.view, 2, &values, &texts));
    try testing.expectEqual(@as(u32, 0), read(&pool.view, 1 << 30, &values, &texts));
}

test "a row's holds are listed with their counts, a chunk at a time" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 8, .buffer_size = 64, .participant_count = 3 });
    defer pool.deinit();
    const participant = pool.participant(1);
    participant.holds[0] = 2;
    participant.holds[7] = 1;
    var out: [4]u32 = undefined;
    try testing.expectEqual(@as(u32, 2), heldBy(&pool.view, 1, 0, &out));
    try testing.expectEqualSlices(u32, &.{ 0, 2, 7, 1 }, &out);
    try testing.expectEqual(@as(u32, 1), heldBy(&pool.view, 1, 0, out[0..3]));
    try testing.expectEqual(@as(u32, 1), heldBy(&pool.view, 1, 1, &out));
    for ([_]u32{ 0, 2, 99 }) |row|
        try testing.expectEqual(@as(u32, 0), heldBy(&pool.view, row, 0, &out));
    try testing.expectEqual(@as(u32, 0), heldBy(&pool.view, 1, 8, &out));
}
