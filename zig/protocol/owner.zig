//! The owner of a row as others see it. A row is taken by another thread at any time, also while it
//! is looked at: what is read here is of one owner, or nothing. Nothing is decided by it.

const std = @import("std");
const layout = @import("../format/layout.zig");
const participant_file = @import("participant.zig");
const system = @import("../system/door.zig");

const Row = layout.ParticipantRow;

/// A name with the 0 that ends it.
pub const name_room = participant_file.name_room;

/// What an owner says of itself.
pub const Who = struct {
    pid: u32,
    tid: u32,
    start_time: u64,
    name: []const u8,
};

/// The owner of a row, or its last one where it is neither alive nor dead.
pub const Owner = struct {
    /// That of the row when this was read.
    revision: u32,
    pid: u32,
    tid: u32,
    start_time: u64,
    name: [name_room]u8,
    alive: bool,
    /// It died, and no recovery has emptied the row yet.
    dead: bool,
    deaths: u32,
    /// What this owner counted.
    counters: layout.Counters,

    /// Whether the row has had this owner all the time since then.
    pub fn stillHas(owner: *const Owner, row: *const Row) bool {
        return @atomicLoad(u32, &row.revision, .acquire) == owner.revision;
    }
};

/// A change takes less than a microsecond, unless its thread is stopped or killed there.
const tries_max = 16;

/// Null: the row is between two owners.
pub fn read(row: *const Row) ?Owner {
    for (0..tries_max) |_| {
        if (tryRead(row)) |owner| return owner;
        system.clock.relax();
    }
    return null;
}

/// SYNC: all loads acquire, so that the last one sees the revision of whatever the others saw.
/// Pairs with `beginChange` and `endChange`, `introduce` and `phases.rewrite`.
fn tryRead(row: *const Row) ?Owner {
    const revision = @atomicLoad(u32, &row.revision, .acquire);
    if (revision & 1 == 1) return null;
    const alive = participant_file.isLive(row);
    const owner: Owner = .{
        .revision = revision,
        .pid = @atomicLoad(u32, &row.pid, .acquire),
        .tid = @atomicLoad(u32, &row.tid, .acquire),
        .start_time = @atomicLoad(u64, &row.start_time, .acquire),
        .name = readName(row),
        .alive = alive,
        .dead = !alive and participant_file.isDead(row),
        .deaths = @atomicLoad(u32, &row.deaths, .acquire),
        .counters = readCounters(row),
    };
    return if (owner.stillHas(row)) owner else null;
}

fn readName(row: *const Row) [name_room]u8 {
    var copy: layout.NameWords = undefined;
    for (row.nameWords(), &copy) |*word, *value| value.* = @atomicLoad(u64, word, .acquire);
    return @bitCast(copy);
}

/// The row's counters go on from owner to owner, so that their sums over the rows never fall.
fn readCounters(row: *const Row) layout.Counters {
    var own: layout.Counters = undefined;
    inline for (std.meta.fields(layout.Counters)) |field| {
        const before = @atomicLoad(u64, &@field(row.counters_before, field.name), .acquire);
        const now = @atomicLoad(u64, &@field(row.counters, field.name), .acquire);
        @field(own, field.name) = now -% before;
    }
    return own;
}

/// Before a thread that has the recovery mutex changes whose the row is, and what it says of that.
/// Every such change is a store that releases. One that was cut short is begun again: nobody reads
/// the row until then. SYNC: pairs with `tryRead`.
pub fn beginChange(row: *Row) void {
    const revision = @atomicLoad(u32, &row.revision, .monotonic);
    @atomicStore(u32, &row.revision, (revision +% 1) | 1, .release);
}

/// SYNC: after all of the change. Pairs with `tryRead`.
pub fn endChange(row: *Row) void {
    const revision = @atomicLoad(u32, &row.revision, .monotonic);
    @atomicStore(u32, &row.revision, revision +% 1, .release);
}

/// Within a change. SYNC: each store is after the beginning of the change. Pairs with `tryRead`.
pub fn introduce(row: *Row, who: Who) void {
    inline for (std.meta.fields(layout.Counters)) |field| {
        const now = @atomicLoad(u64, &@field(row.counters, field.name), .monotonic);
        @atomicStore(u64, &@field(row.counters_before, field.name), now, .release);
    }
    @atomicStore(u32, &row.pid, who.pid, .release);
    @atomicStore(u32, &row.tid, who.tid, .release);
    @atomicStore(u64, &row.start_time, who.start_time, .release);
    var padded: layout.NameWords = @splat(0);
    const name_bytes = @min(who.name.len, layout.name_bytes_max);
    @memcpy(std.mem.asBytes(&padded)[0..name_bytes], who.name[0..name_bytes]);
    for (@constCast(row.nameWords()), padded) |*word, value| {
        @atomicStore(u64, word, value, .release);
    }
}

const testing = std.testing;
const TestingPool = @import("testing_pool.zig").TestingPool;

fn whoIs(number: u32, name: []const u8) Who {
    return .{ .pid = number, .tid = number, .start_time = number, .name = name };
}

test "a row that is being changed says nothing, and what was counted before is not its owner's" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 1 });
    defer pool.deinit();
    const row = pool.participant(0).row;
    row.counters.acquired = 5;
    // The second one goes on where a killed one stopped.
    for (0..2) |_| {
        beginChange(row);
        introduce(row, whoIs(7, "seven"));
        try testing.expectEqual(null, read(row));
    }
    endChange(row);
    row.counters.acquired += 3;
    const owner = read(row).?;
    try testing.expectEqual(@as(u32, 7), owner.pid);
    try testing.expectEqualStrings("seven", std.mem.sliceTo(&owner.name, 0));
    try testing.expectEqual(@as(u64, 3), owner.counters.acquired);
    try testing.expect(owner.alive and !owner.dead and owner.stillHas(row));
    beginChange(row);
    try testing.expect(!owner.stillHas(row));
}

const Taker = struct {
    row: *Row,
    done: bool = false,

    fn run(taker: *Taker) void {
        var number: u32 = 0;
        var text: [10]u8 = undefined;
        while (number < 1_000_000) : (number += 1) {
            const name = std.fmt.bufPrint(&text, "{d:0>10}", .{number}) catch unreachable;
            beginChange(taker.row);
            introduce(taker.row, whoIs(number, name));
            endChange(taker.row);
        }
        @atomicStore(bool, &taker.done, true, .release);
    }
};

test "a reading is of one owner, however often the row is taken meanwhile" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 1 });
    defer pool.deinit();
    var taker: Taker = .{ .row = &pool.view.rows[0] };
    const thread = try std.Thread.spawn(.{}, Taker.run, .{&taker});
    defer thread.join();
    while (!@atomicLoad(bool, &taker.done, .acquire)) {
        const owner = read(taker.row) orelse continue;
        if (owner.revision == 0) continue;
        try testing.expectEqual(owner.pid, owner.tid);
        try testing.expectEqual(owner.pid, owner.start_time);
        const name = std.mem.sliceTo(&owner.name, 0);
        try testing.expectEqual(owner.pid, try std.fmt.parseInt(u32, name, 10));
    }
}
