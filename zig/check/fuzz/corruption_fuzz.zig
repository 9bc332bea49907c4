//! What the fuzzer writes into a pool's control area, through a mapping of its own: which place,
//! and which value. Never the bytes of a robust mutex, whose list pointers are libc's own and are
//! not protected. Everything follows from the generator that it is given.

const std = @import("std");
const geometry_file = @import("core").format.geometry;
const layout = @import("core").format.layout;
const RobustMutex = @import("core").system.door.RobustMutex;
const words = @import("core").format.words;

const Geometry = geometry_file.Geometry;

pub const Section = enum { identity, hot, repair, rows, slots, hold_rows, channels };

const Field = struct { name: []const u8, offset: u32, size: u32 };

/// The fields of a struct that are worth a write: no mutex, no padding.
fn fieldsOf(comptime Struct: type) []const Field {
    comptime {
        var list: []const Field = &.{};
        for (std.meta.fields(Struct)) |field| {
            if (field.type == RobustMutex) continue;
            const name = field.name;
            if (std.mem.endsWith(u8, name, "padding")) continue;
            if (std.mem.eql(u8, name, "reserved")) continue;
            list = list ++ [_]Field{.{
                .name = name,
                .offset = @offsetOf(Struct, name),
                .size = @sizeOf(field.type),
            }};
        }
        const whole = list;
        return whole;
    }
}

const fields = struct {
    const identity = fieldsOf(layout.Identity);
    const hot = fieldsOf(layout.Hot);
    const repair = fieldsOf(layout.Repair);
    const row = fieldsOf(layout.ParticipantRow);
    const slot = fieldsOf(layout.Slot);
    const description = fieldsOf(layout.Description);
    const channel = fieldsOf(layout.Channel);
    const channel_end = fieldsOf(layout.ChannelEnd);
    const subscriber = fieldsOf(layout.Subscriber);
};

/// A word of the control area: aligned, of 1, 2, 4 or 8 bytes.
const Place = struct { name: []const u8, offset: u64, width: u8 };

pub const Corruption = struct {
    /// The control area, up to the data.
    bytes: []align(4096) u8,
    geometry: Geometry,
    random: std.Random,
    verbose: bool,
    /// What stood there earlier, to be written again.
    earlier: []u8,

    /// Takes the control area as it is now for later writes of stale words.
    pub fn remember(corruption: *Corruption) void {
        @memcpy(corruption.earlier, corruption.bytes[0..corruption.earlier.len]);
    }

    pub fn someWrites(corruption: *Corruption, with_identity: bool) void {
        const count = 1 + corruption.random.uintLessThan(u32, 1 + corruption.below(8));
        for (0..count) |_| corruption.oneWrite(with_identity);
    }

    pub fn identityWrite(corruption: *Corruption) void {
        const to = corruption.place(.identity);
        corruption.store(to, corruption.value(to));
    }

    fn oneWrite(corruption: *Corruption, with_identity: bool) void {
        switch (corruption.below(16)) {
            0 => corruption.fillRegion(),
            1 => corruption.rewind(),
            2, 3 => corruption.makeCycle(),
            4, 5 => corruption.copyWord(),
            else => corruption.writeField(with_identity),
        }
    }

    fn below(corruption: *Corruption, limit: u32) u32 {
        return corruption.random.uintLessThan(u32, limit);
    }

    fn section(corruption: *Corruption, with_identity: bool) Section {
        return switch (corruption.below(28)) {
            0...6 => .hot,
            7...9 => .repair,
            10...12 => .rows,
            13...19 => .slots,
            20...21 => .hold_rows,
            22...26 => if (corruption.geometry.channel_count > 0) .channels else .slots,
            else => if (with_identity) .identity else .hot,
        };
    }

    /// Most often the rows that somebody has.
    fn row(corruption: *Corruption) u32 {
        const count = corruption.geometry.participant_count;
        return corruption.below(if (corruption.below(4) == 0) count else @min(count, 3));
    }

    fn slotOffset(corruption: *Corruption, index: u32) u64 {
        return corruption.geometry.slots_offset + @as(u64, index) * @sizeOf(layout.Slot);
    }

    fn place(corruption: *Corruption, where: Section) Place {
        const geometry = corruption.geometry;
        return switch (where) {
            .identity => corruption.within(fields.identity, 0),
            .hot => corruption.within(fields.hot, @offsetOf(layout.Header, "hot")),
            .repair => corruption.within(fields.repair, @offsetOf(layout.Header, "repair")),
            .rows => corruption.within(fields.row, geometry.participants_offset +
                @as(u64, corruption.row()) * @sizeOf(layout.ParticipantRow)),
            .slots => corruption.inSlot(corruption.below(geometry.capacity)),
            .hold_rows => if (corruption.below(3) == 0) .{
                .name = "cached",
                // Most often an entry that somebody has.
                .offset = geometry.cacheOffset(corruption.row()) + 4 * corruption.below(4),
                .width = 4,
            } else .{
                .name = "hold",
                .offset = geometry.holdRowOffset(corruption.row()) +
                    2 * corruption.below(geometry.capacity),
                .width = 2,
            },
            .channels => corruption.inChannel(corruption.below(geometry.channel_count)),
        };
    }

    /// Most often a cell or a subscriber that the channel has: it has few.
    fn inChannel(corruption: *Corruption, number: u32) Place {
        const base = corruption.geometry.channelOffset(number);
        const few = corruption.below(4);
        switch (corruption.below(8)) {
            0, 1 => return corruption.within(fields.channel, base),
            2 => return corruption.within(
                fields.channel_end,
                base + @offsetOf(layout.Channel, "head"),
            ),
            3 => return corruption.within(
                fields.channel_end,
                base + @offsetOf(layout.Channel, "tail"),
            ),
            4, 5 => {
                const offset = base + @offsetOf(layout.ChannelBlock, "cells");
                return .{ .name = "cell", .offset = offset + 8 * few, .width = 8 };
            },
            6 => {
                const offset = base + @offsetOf(layout.ChannelBlock, "subscribers");
                const entry = offset + few * @sizeOf(layout.Subscriber);
                return corruption.within(fields.subscriber, entry);
            },
            else => {
                const offset = corruption.below(@sizeOf(layout.ChannelBlock) / 8) * 8;
                return .{ .name = "channel", .offset = base + offset, .width = 8 };
            },
        }
    }

    fn inSlot(corruption: *Corruption, index: u32) Place {
        const base = corruption.slotOffset(index);
        if (corruption.below(4) != 0) return corruption.within(fields.slot, base);
        // By its own fields, of which the counts and lengths are a small part of its bytes.
        const offset = @offsetOf(layout.Slot, "description");
        return corruption.within(fields.description, base + offset);
    }

    fn within(corruption: *Corruption, list: []const Field, base: u64) Place {
        const field = list[corruption.below(@intCast(list.len))];
        const width: u8 = switch (field.size) {
            1, 2, 4, 8 => @intCast(field.size),
            else => if (field.size % 8 == 0) 8 else 1,
        };
        const inside = corruption.below(field.size / width) * width;
        const offset = base + field.offset + inside;
        if (offset % width == 0) return .{ .name = field.name, .offset = offset, .width = width };
        return .{ .name = field.name, .offset = offset, .width = 1 };
    }

    fn writeField(corruption: *Corruption, with_identity: bool) void {
        const where = corruption.section(with_identity);
        const to = corruption.place(where);
        corruption.store(to, corruption.value(to));
    }

    fn value(corruption: *Corruption, to: Place) u64 {
        const random = corruption.random;
        const now = corruption.load(to);
        const Kind = enum {
            control,
            free_head,
            cell,
            position,
            cursor,
            message,
            came_from,
            taking,
            returned,
        };
        const kind = std.meta.stringToEnum(Kind, to.name);
        return switch (corruption.below(8)) {
            0, 1 => now ^ (@as(u64, 1) << @intCast(corruption.below(@as(u32, to.width) * 8))),
            2 => random.int(u64),
            3 => if (to.width == 8) corruption.time() else now +% 1,
            4 => now -% 1,
            else => switch (kind orelse return corruption.interesting()) {
                .control => corruption.controlWord(@bitCast(now)),
                .free_head => corruption.headWord(@bitCast(now)),
                .cell => corruption.cellWord(@bitCast(now)),
                .position, .cursor => corruption.positionWord(@bitCast(now)),
                .message => corruption.messageWord(@bitCast(now)),
                .came_from => corruption.cameFromWord(@bitCast(now)),
                .taking => corruption.takingWord(@bitCast(now)),
                .returned => corruption.returnedWord(@bitCast(now)),
            },
        };
    }

    /// With one field of the word as it was, or two of them changed.
    fn messageWord(corruption: *Corruption, now: words.Message) u64 {
        var changed = if (corruption.below(4) == 0) words.Message.none else now;
        for (0..2) |_| switch (corruption.below(5)) {
            0 => changed.to = @truncate(corruption.below(4)),
            1 => changed.owner = corruption.ownerOfMessage(),
            2 => changed.deliveries = @truncate(corruption.interesting()),
            3 => changed.place = @truncate(corruption.below(5)),
            else => changed.lap = @truncate(corruption.below(4)),
        };
        return @bitCast(changed);
    }

    fn ownerOfMessage(corruption: *Corruption) u13 {
        const returned: words.Message = .returnedTo(0, 0);
        const rows = corruption.geometry.participant_count;
        const list = [_]u13{ 0, 1, 2, 3, @truncate(rows + 1), returned.owner, returned.owner - 1 };
        return list[corruption.below(list.len)];
    }

    fn cameFromWord(corruption: *Corruption, now: words.CameFrom) u64 {
        var changed = now;
        switch (corruption.below(4)) {
            0 => changed.channel = @truncate(corruption.below(4)),
            1 => changed.queued = @truncate(corruption.interesting()),
            2 => changed.place = @truncate(corruption.below(5)),
            else => changed.lap +%= 1 << 20,
        }
        return @bitCast(changed);
    }

    /// As somebody would note it who takes what a cell may hold.
    fn takingWord(corruption: *Corruption, _: words.Taking) u64 {
        return @bitCast(words.Taking{
            .place = @truncate(corruption.below(5)),
            .lap = @truncate(corruption.below(3)),
            .channel = @truncate(corruption.below(4)),
            .slot = @truncate(corruption.below(corruption.geometry.capacity + 2)),
        });
    }

    fn returnedWord(corruption: *Corruption, now: words.Returned) u64 {
        const capacity = corruption.geometry.capacity;
        const indexes = [_]u32{ words.index_nil, capacity, corruption.below(capacity) };
        return @bitCast(words.Returned{
            .index = @truncate(indexes[corruption.below(indexes.len)]),
            .tag = now.tag +% @as(u39, @truncate(corruption.below(2))),
            .frozen = corruption.below(4) == 0,
        });
    }

    fn cellWord(corruption: *Corruption, now: words.Cell) u64 {
        const capacity = corruption.geometry.capacity;
        const laps = [_]u37{ 0, 1, now.lap, now.lap +% 1, now.lap -% 1, std.math.maxInt(u37) };
        return @bitCast(words.Cell{
            .index = @intCast(corruption.below(capacity + 2)),
            .lap = laps[corruption.below(laps.len)],
            .full = corruption.below(2) == 0,
            .closed = corruption.below(4) == 0,
            .frozen = corruption.below(4) == 0,
        });
    }

    fn positionWord(corruption: *Corruption, now: words.Position) u64 {
        const laps = [_]u40{ 0, 1, now.lap, now.lap +% 1, now.lap -% 1, std.math.maxInt(u40) };
        return @bitCast(words.Position{
            .place = @intCast(corruption.below(6)),
            .lap = laps[corruption.below(laps.len)],
        });
    }

    fn interesting(corruption: *Corruption) u64 {
        const capacity = corruption.geometry.capacity;
        const list = [_]u64{
            0,                                             1,
            2,                                             3,
            std.math.maxInt(u64),                          std.math.maxInt(u32),
            std.math.maxInt(u64) - 1,                      std.math.maxInt(u16),
            1 << 31,                                       1 << 63,
            1 << 53,                                       words.index_nil,
            capacity,                                      capacity - 1,
            capacity + 1,                                  corruption.geometry.stride,
            corruption.geometry.total_size,                corruption.geometry.buffer_size,
            @as(u64, corruption.geometry.buffer_size) + 1, corruption.geometry.participant_count,
        };
        return list[corruption.below(list.len)];
    }

    /// A moment a little before or after now, or so far away that it never comes.
    fn time(corruption: *Corruption) u64 {
        const now_ns = @import("core").system.door.clock.monotonicNs();
        return switch (corruption.below(4)) {
            0 => now_ns -% corruption.random.uintLessThan(u64, 2 * std.time.ns_per_s),
            1 => now_ns +% corruption.random.uintLessThan(u64, 2 * std.time.ns_per_s),
            2 => now_ns +% std.time.ns_per_day,
            else => std.math.maxInt(u64),
        };
    }

    fn referenceCount(corruption: *Corruption) u16 {
        const list = [_]u16{ 0, 1, 1, 2, words.references_max - 1, words.references_max };
        return list[corruption.below(list.len)];
    }

    fn controlWord(corruption: *Corruption, now: words.Control) u64 {
        const own = now.generation;
        const generations = [_]u29{ 0, 1, words.generation_max, own, own +% 1 };
        return @bitCast(words.Control{
            .generation = generations[corruption.below(generations.len)],
            .in_flight = corruption.referenceCount(),
            .references = corruption.referenceCount(),
            .state = @enumFromInt(corruption.below(4)),
            .frozen = corruption.below(4) == 0,
        });
    }

    fn headWord(corruption: *Corruption, now: words.Head) u64 {
        const capacity: u24 = @intCast(corruption.geometry.capacity);
        const indexes = [_]u24{
            0,               capacity - 1, capacity,
            words.index_nil, now.index,    @intCast(corruption.below(capacity)),
        };
        return @bitCast(words.Head{
            .index = indexes[corruption.below(indexes.len)],
            .tag = if (corruption.below(2) == 0) now.tag else corruption.random.int(u39),
            .frozen = corruption.below(4) == 0,
        });
    }

    /// Makes the free list or a returned one run into itself, or into a slot of another kind.
    fn makeCycle(corruption: *Corruption) void {
        const capacity = corruption.geometry.capacity;
        const offset = corruption.slotOffset(corruption.below(capacity)) +
            @offsetOf(layout.Slot, "next_free");
        const to: Place = .{ .name = "next_free", .offset = offset, .width = 4 };
        corruption.store(to, corruption.below(capacity));
    }

    /// Copies a word of one slot or row to another one, or swaps the two.
    fn copyWord(corruption: *Corruption) void {
        const capacity = corruption.geometry.capacity;
        const one = corruption.place(.slots);
        const index = (one.offset - corruption.geometry.slots_offset) / @sizeOf(layout.Slot);
        var other = one;
        other.offset -= index * @sizeOf(layout.Slot);
        other.offset += @as(u64, corruption.below(capacity)) * @sizeOf(layout.Slot);
        const before = corruption.load(one);
        corruption.store(one, corruption.load(other));
        if (corruption.below(2) == 0) corruption.store(other, before);
    }

    fn fillRegion(corruption: *Corruption) void {
        const range = corruption.region();
        if (corruption.verbose) print("fill {d} bytes at {d}", .{ range[1], range[0] });
        const zeros = corruption.below(4) == 0;
        for (range[0]..range[0] + range[1]) |offset| {
            const byte = if (zeros) 0 else corruption.random.int(u8);
            corruption.storeByte(offset, byte);
        }
    }

    /// Undoes writes that were done already.
    fn rewind(corruption: *Corruption) void {
        const range = corruption.region();
        if (corruption.verbose) print("rewind {d} bytes at {d}", .{ range[1], range[0] });
        for (range[0]..range[0] + range[1]) |offset| {
            if (offset < corruption.earlier.len) {
                corruption.storeByte(offset, corruption.earlier[offset]);
            }
        }
    }

    /// Offset and length of a stretch behind the identity: within a section, or all of it.
    fn region(corruption: *Corruption) [2]u64 {
        const geometry = corruption.geometry;
        const first: u64 = @offsetOf(layout.Header, "hot");
        if (corruption.below(8) == 0) return .{ first, geometry.hold_rows_offset - first };
        const lengths = [_]u64{ 8, 64, 128, 384, 640 };
        const length = lengths[corruption.below(lengths.len)];
        if (geometry.channel_count > 0 and corruption.below(4) == 0) {
            // Its cells too, as far as it has any.
            const base = geometry.channelOffset(corruption.below(geometry.channel_count));
            return .{ base + corruption.below(@sizeOf(layout.Channel) / 8) * 8, length };
        }
        const end = geometry.hold_rows_offset;
        const start = corruption.random.intRangeLessThan(u64, first / 8, end / 8) * 8;
        return .{ start, @min(length, end - start) };
    }

    fn load(corruption: *Corruption, from: Place) u64 {
        const bytes = corruption.bytes[from.offset..];
        switch (from.width) {
            inline 1, 2, 4, 8 => |width| {
                const Word = std.meta.Int(.unsigned, width * 8);
                const word: *const Word = @ptrCast(@alignCast(bytes.ptr));
                return @atomicLoad(Word, word, .monotonic);
            },
            else => unreachable,
        }
    }

    fn store(corruption: *Corruption, to: Place, number: u64) void {
        if (corruption.touchesMutex(to.offset, to.width)) return;
        if (corruption.verbose) print("{s} at {d}: {x} becomes {x}", .{
            to.name, to.offset, corruption.load(to), number,
        });
        const bytes = corruption.bytes[to.offset..];
        switch (to.width) {
            inline 1, 2, 4, 8 => |width| {
                const Word = std.meta.Int(.unsigned, width * 8);
                const word: *Word = @ptrCast(@alignCast(bytes.ptr));
                @atomicStore(Word, word, @truncate(number), .monotonic);
            },
            else => unreachable,
        }
    }

    fn storeByte(corruption: *Corruption, offset: u64, byte: u8) void {
        if (corruption.touchesMutex(offset, 1)) return;
        @atomicStore(u8, &corruption.bytes[offset], byte, .monotonic);
    }

    fn touchesMutex(corruption: *const Corruption, offset: u64, length: u64) bool {
        const first = @offsetOf(layout.Header, "repair");
        if (offset + length > first and offset < first + @sizeOf(RobustMutex)) return true;
        const geometry = corruption.geometry;
        if (offset < geometry.participants_offset or offset >= geometry.slots_offset) return false;
        const in_row = (offset - geometry.participants_offset) % @sizeOf(layout.ParticipantRow);
        return in_row < @sizeOf(RobustMutex);
    }
};

fn print(comptime format: []const u8, arguments: anytype) void {
    std.debug.print("    " ++ format ++ "\n", arguments);
}

comptime {
    std.debug.assert(@offsetOf(layout.Repair, "mutex") == 0);
    std.debug.assert(@offsetOf(layout.ParticipantRow, "mutex") == 0);
}
