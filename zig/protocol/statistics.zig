//! Looking at a pool: sums over slots and rows. It only reads, so that it works on a mapping
//! without write permission and on a damaged pool. In a busy pool each number is true of some
//! moment.

const std = @import("std");
const layout = @import("../format/layout.zig");
const owner_file = @import("owner.zig");
const participant_file = @import("participant.zig");
const Place = @import("place.zig").Place;
const system = @import("../system/door.zig");
const words = @import("../format/words.zig");

const View = participant_file.View;
const name_room = owner_file.name_room;

pub const Stat = enum {
    CAPACITY,
    FREE,
    USED,
    PARKED,
    IN_FLIGHT,
    WAITERS,
    COMMITTED_BYTES,
    FLUSHING,
    LINKED,
    OLDEST_LEASE_MS,
    LONGEST_HOLD_MS,
    ALIVE,
    ACQUIRED,
    RELEASED,
    FULL,
    WAITS,
    TIMEOUTS,
    RECOVERIES,
    DEFERRED,
    OUT_OF_MEMORY,
    RECOVERED_PARTICIPANTS,
    RECOVERED_REFERENCES,
    RECOVERED_BUFFERS,
    EXPIRED_REFERENCES,
    BYTES_COMMITTED,
    BYTES_GIVEN_BACK,
};
pub const stat_count = std.meta.fields(Stat).len;

pub const ParticipantField = enum {
    ROW,
    PID,
    TID,
    ALIVE,
    HOLDS,
    WAITING,
    STARTED,
    ACQUIRED,
    RELEASED,
    WAITS,
    TIMEOUTS,
};
pub const participant_field_count = std.meta.fields(ParticipantField).len;

const Out = struct {
    values: []f64,

    fn add(out: Out, stat: Stat, amount: u64) void {
        out.values[@intFromEnum(stat)] += @floatFromInt(amount);
    }

    fn raise(out: Out, stat: Stat, value: u64) void {
        const place = &out.values[@intFromEnum(stat)];
        place.* = @max(place.*, @as(f64, @floatFromInt(value)));
    }
};

/// Fills everything but LINKED, which the caller knows.
pub fn collect(view: *const View, values: []f64) void {
    collectSums(view, values);
    const out: Out = .{ .values = values };
    const now_ns = system.clock.coarseNs();
    for (view.slots[0..view.geometry.capacity]) |*slot| addSlot(out, view, slot, now_ns);
}

/// What no slot has to be looked at for; the rest is 0.
pub fn collectSums(view: *const View, values: []f64) void {
    @memset(values, 0);
    const out: Out = .{ .values = values };
    const header = view.header;
    out.add(.CAPACITY, view.geometry.capacity);
    out.add(.WAITERS, @atomicLoad(u32, &header.hot.waiters, .monotonic));
    out.add(.COMMITTED_BYTES, @atomicLoad(u64, &header.repair.committed_bytes, .monotonic));
    out.add(.FLUSHING, @intFromBool(isFlushing(header)));
    out.add(.RECOVERIES, @atomicLoad(u64, &header.repair.recoveries, .monotonic));
    out.add(.DEFERRED, @atomicLoad(u64, &header.repair.deferrals, .monotonic));
    addFields(out, &header.tally, .{
        .{ Stat.RECOVERED_PARTICIPANTS, "recovered_participants" },
        .{ Stat.RECOVERED_REFERENCES, "recovered_references" },
        .{ Stat.RECOVERED_BUFFERS, "recovered_buffers" },
        .{ Stat.EXPIRED_REFERENCES, "expired_references" },
        .{ Stat.BYTES_COMMITTED, "bytes_committed" },
        .{ Stat.BYTES_GIVEN_BACK, "bytes_given_back" },
    });
    for (view.rows[0..view.rowsUsed()]) |*row| {
        addCounters(out, &row.counters);
        if (participant_file.isLive(row)) out.add(.ALIVE, 1);
    }
}

fn isFlushing(header: *const layout.Header) bool {
    const gate: words.Gate = @bitCast(@atomicLoad(u64, &header.hot.gate, .monotonic));
    return gate.flusher != 0;
}

fn addSlot(out: Out, view: *const View, slot: *const layout.Slot, now_ns: u64) void {
    const control: words.Control = @bitCast(@atomicLoad(u64, &slot.control, .monotonic));
    if (control.state == .free or control.state == .maintained) return out.add(.FREE, 1);
    out.add(.USED, 1);
    out.add(.IN_FLIGHT, control.in_flight);
    if (control.state != .used) return;
    if (control.references == 0) out.add(.PARKED, 1);
    if (control.references > control.in_flight) {
        const since_ns = @atomicLoad(u64, &slot.acquired_at_ns, .monotonic);
        out.raise(.LONGEST_HOLD_MS, (now_ns -| since_ns) / std.time.ns_per_ms);
    }
    if (control.isOnLease()) {
        // A lease began `lease_timeout_ns` before its end.
        const lease: words.Lease = @bitCast(@atomicLoad(u64, &slot.lease, .monotonic));
        if (lease.isEndless()) return;
        const age_ns = (now_ns +| view.lease_timeout_ns) -| lease.endNs();
        out.raise(.OLDEST_LEASE_MS, age_ns / std.time.ns_per_ms);
    }
}

fn addCounters(out: Out, counters: *const layout.Counters) void {
    addFields(out, counters, .{
        .{ Stat.ACQUIRED, "acquired" },
        .{ Stat.RELEASED, "released" },
        .{ Stat.FULL, "full" },
        .{ Stat.WAITS, "waits" },
        .{ Stat.TIMEOUTS, "timeouts" },
        .{ Stat.OUT_OF_MEMORY, "out_of_memory" },
    });
}

fn addFields(out: Out, sums: anytype, comptime pairs: anytype) void {
    inline for (pairs) |pair| {
        const stat, const name = pair;
        out.add(stat, @atomicLoad(u64, &@field(sums, name), .monotonic));
    }
}

/// The parts of all hold rows that can have something in them. To read a whole row for each of a
/// thousand participants costs much more than one look at each slot.
const Parts = struct {
    in_use: std.StaticBitSet(parts_max) = .initEmpty(),
    length: u32,
    capacity: u32,

    const parts_max = 1 << 12;
    /// For fewer rows it is cheaper to read them whole.
    const rows_min = 16;
    /// Slots whose counts are one cache line.
    const length_min = 32;

    fn of(view: *const View) Parts {
        const capacity = view.geometry.capacity;
        const length = std.mem.alignForward(u32, capacity / parts_max + 1, length_min);
        var parts: Parts = .{ .length = length, .capacity = capacity };
        if (view.rowsUsed() < rows_min) {
            const count = std.math.divCeil(u32, capacity, length) catch unreachable;
            parts.in_use.setRangeValue(.{ .start = 0, .end = count }, true);
            return parts;
        }
        for (view.slots[0..capacity], 0..) |*slot, index| {
            const control: words.Control = @bitCast(@atomicLoad(u64, &slot.control, .monotonic));
            if (control.state != .free) parts.in_use.set(index / length);
        }
        return parts;
    }

    fn sumHolds(parts: *const Parts, view: *const View, participant: u32) u64 {
        var total: u64 = 0;
        var each = parts.in_use.iterator(.{});
        while (each.next()) |part| {
            const first = @as(u32, @intCast(part)) * parts.length;
            const last = @min(first + parts.length, parts.capacity);
            total += participant_file.sumHoldsBetween(view, participant, first, last);
        }
        return total;
    }
};

/// The rows that a participant has, or had when it died. Returns how many were written.
pub fn participants(view: *const View, values: []f64, names: []u8, rows_max: u32) u32 {
    const place: Place = .ofPool(view.header);
    const parts: Parts = .of(view);
    var written: u32 = 0;
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (written == rows_max) break;
        const owner = owner_file.read(row) orelse continue;
        if (!owner.alive and !owner.dead) continue;
        const out = values[written * participant_field_count ..][0..participant_field_count];
        // SYNC: a hold row is read only where `joined` says that it is committed. Pairs with
        // `membership.takeRow`.
        for (std.enums.values(ParticipantField)) |field| {
            const value: u64 = switch (field) {
                .ROW => index,
                .PID => owner.pid,
                .TID => owner.tid,
                .ALIVE => @intFromBool(owner.alive),
                .HOLDS => if (@atomicLoad(u32, &row.joined, .acquire) == 0)
                    0
                else
                    parts.sumHolds(view, @intCast(index)),
                .WAITING => @intFromBool(waitsAt(place, row)),
                .STARTED => owner.start_time,
                .ACQUIRED => owner.counters.acquired,
                .RELEASED => owner.counters.released,
                .WAITS => owner.counters.waits,
                .TIMEOUTS => owner.counters.timeouts,
            };
            out[@intFromEnum(field)] = @floatFromInt(value);
        }
        names[written * name_room ..][0..name_room].* = owner.name;
        // It left meanwhile: its holds may be another's.
        if (owner.stillHas(row)) written += 1;
    }
    return written;
}

fn waitsAt(place: Place, row: *layout.ParticipantRow) bool {
    return @atomicLoad(u64, place.wordOf(row), .monotonic) & place.mask() != 0;
}

const testing = std.testing;
const TestingPool = @import("testing_pool.zig").TestingPool;

fn wordOf(references: u16, in_flight: u16) u64 {
    return @bitCast(words.Control{
        .generation = 1,
        .in_flight = in_flight,
        .references = references,
        .state = .used,
        .frozen = false,
    });
}

test "slots are counted by their words" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 5, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    _ = pool.participant(0);
    const view = &pool.view;
    view.slots[0].control = wordOf(1, 0);
    view.slots[1].control = wordOf(3, 2);
    view.slots[2].control = wordOf(0, 0);
    var values: [stat_count]f64 = undefined;
    collect(view, &values);
    const expected = [_]struct { Stat, f64 }{
        .{ .CAPACITY, 5 },
        .{ .FREE, 2 },
        .{ .USED, 3 },
        .{ .PARKED, 1 },
        .{ .IN_FLIGHT, 2 },
        .{ .ALIVE, 1 },
        .{ .FLUSHING, 0 },
    };
    for (expected) |row| try testing.expectEqual(row[1], values[@intFromEnum(row[0])]);
}

test "counters are the sums of the rows', also of what their earlier owners counted" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const view = &pool.view;
    _ = pool.participant(0);
    _ = pool.participant(1);
    view.rows[0].counters.acquired = 3;
    view.rows[1].counters.acquired = 9;
    view.rows[1].counters_before.acquired = 5;
    var values: [stat_count]f64 = undefined;
    collect(view, &values);
    try testing.expectEqual(@as(f64, 12), values[@intFromEnum(Stat.ACQUIRED)]);
    var rows: [2 * participant_field_count]f64 = undefined;
    var names: [2 * name_room]u8 = undefined;
    try testing.expectEqual(@as(u32, 2), participants(view, &rows, &names, 2));
    for ([_]f64{ 3, 4 }, 0..) |acquired, row| {
        const own = rows[row * participant_field_count ..];
        try testing.expectEqual(acquired, own[@intFromEnum(ParticipantField.ACQUIRED)]);
    }
}

test "holds are summed wherever in a row they stand" {
    const capacity = 3 * Parts.parts_max + 5;
    var pool: TestingPool = undefined;
    const rows = Parts.rows_min;
    try pool.init(.{ .capacity = capacity, .buffer_size = 8, .participant_count = rows });
    defer pool.deinit();
    const participant = pool.participant(0);
    for ([_]u32{ 0, 31, 32, 5000, capacity - 1 }) |index| {
        participant.addHold(index);
        pool.view.slots[index].control = wordOf(1, 0);
    }
    for ([_]u32{ 1, rows }) |used| {
        pool.view.header.hot.rows_used = used;
        try testing.expectEqual(@as(u64, 5), Parts.of(&pool.view).sumHolds(&pool.view, 0));
    }
}

test "only rows of live and of dead participants are listed" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 2, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    const participant = pool.participant(1);
    participant.addHold(0);
    participant.addHold(1);
    participant.addHold(1);
    for (pool.view.slots[0..2]) |*slot| slot.control = wordOf(1, 0);
    var values: [2 * participant_field_count]f64 = undefined;
    var names: [2 * name_room]u8 = undefined;
    try testing.expectEqual(@as(u32, 1), participants(&pool.view, &values, &names, 2));
    try testing.expectEqual(@as(f64, 1), values[@intFromEnum(ParticipantField.ROW)]);
    try testing.expectEqual(@as(f64, 3), values[@intFromEnum(ParticipantField.HOLDS)]);
    try testing.expectEqual(@as(f64, 1), values[@intFromEnum(ParticipantField.ALIVE)]);
    try testing.expectEqual(@as(u32, 0), participants(&pool.view, &values, &names, 0));
}
