//! The description of a buffer's content: typed numbers, shape, strides and texts that travel with
//! the buffer. Written by holders, read by holders, checked against rubbish at each read.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../participant.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;

pub const DType = enum(u8) {
    UINT8,
    INT8,
    UINT16,
    INT16,
    UINT32,
    INT32,
    UINT64,
    INT64,
    FLOAT16,
    FLOAT32,
    FLOAT64,

    fn bytes(dtype: DType) u64 {
        return switch (dtype) {
            .UINT8, .INT8 => 1,
            .UINT16, .INT16, .FLOAT16 => 2,
            .UINT32, .INT32, .FLOAT32 => 4,
            .UINT64, .INT64, .FLOAT64 => 8,
        };
    }
};

pub const Number = enum(u32) { DTYPE, TIMESTAMP, SEQUENCE };
pub const Dims = enum(u32) { SHAPE, STRIDES };
pub const Text = enum(u32) { CONTENT_TYPE, PRODUCER };

/// JavaScript's whole numbers are exact up to this.
const integer_max: f64 = 1 << 53;
const stride_max: u64 = 1 << 53;

/// A buffer's slot, of which its description is a part.
const Buffer = struct {
    slot: *layout.Slot,
    size_max: u64,

    fn of(participant: *Participant, handle_number: u64) Error!Buffer {
        const handle: words.Handle = @bitCast(handle_number);
        if (handle.index >= participant.view.geometry.capacity) return error.BufferNotFound;
        const slot = &participant.view.slots[handle.index];
        // SYNC: pairs with `acquire.use`, which says that nothing is described before it stores
        // the word.
        const control = words.Control.load(&slot.control, .acquire);
        if (control.state != .used or control.generation != handle.generation)
            return error.StaleHandle;
        return .{ .slot = slot, .size_max = participant.view.geometry.buffer_size };
    }

    /// SYNC: what it says is described was written. Pairs with `set`, `unset` and `truncate`.
    fn content(buffer: Buffer) words.Content {
        return @bitCast(atomic.load(u64, &buffer.slot.content, .acquire));
    }

    fn has(buffer: Buffer, comptime field: []const u8) bool {
        return @field(buffer.content().described, field);
    }

    /// Called after the field was written. Two holders may set two fields at once. SYNC: pairs with
    /// `content`.
    fn set(buffer: Buffer, comptime field: []const u8) void {
        _ = atomic.fetchOr(u64, &buffer.slot.content, bitOf(field));
    }

    /// The field has its default again. SYNC: pairs with `content`.
    fn unset(buffer: Buffer, comptime field: []const u8) void {
        _ = atomic.fetchAnd(u64, &buffer.slot.content, ~bitOf(field));
    }

    fn bitOf(comptime field: []const u8) u64 {
        var described: words.Described = .{};
        @field(described, field) = true;
        return @bitCast(words.Content{ .size = 0, .described = described, .dirty = false });
    }

    fn dtype(buffer: Buffer) Error!DType {
        if (!buffer.has("dtype")) return .UINT8;
        const code = @atomicLoad(u8, &buffer.slot.description.dtype, .monotonic);
        return std.enums.fromInt(DType, code) orelse error.PoolCorrupt;
    }

    fn shape(buffer: Buffer, lengths: *Lengths) Error![]const u64 {
        if (!buffer.has("shape")) {
            const size = buffer.content().size;
            if (size > buffer.size_max) return error.PoolCorrupt;
            lengths[0] = size;
            return lengths[0..1];
        }
        const count = try countOf(&buffer.slot.description.shape_count);
        const dimensions = buffer.slot.description.dimensions[0..count];
        for (dimensions, lengths[0..count]) |*dimension, *length| {
            length.* = @atomicLoad(u64, &dimension.length, .monotonic);
        }
        return lengths[0..count];
    }

    fn strides(buffer: Buffer, steps: *Steps) Error![]const i64 {
        if (!buffer.has("strides")) return buffer.contiguousStrides(steps);
        const count = try countOf(&buffer.slot.description.stride_count);
        const dimensions = buffer.slot.description.dimensions[0..count];
        for (dimensions, steps[0..count]) |*dimension, *step| {
            step.* = @atomicLoad(i64, &dimension.stride, .monotonic);
        }
        return steps[0..count];
    }

    /// The strides that follow from shape and dtype. A shape may be larger than any memory: a
    /// stride that is too large is the largest one that there is.
    fn contiguousStrides(buffer: Buffer, steps: *Steps) Error![]const i64 {
        var lengths: Lengths = undefined;
        const shaped = try buffer.shape(&lengths);
        var stride = (try buffer.dtype()).bytes();
        var place = shaped.len;
        while (place > 0) {
            place -= 1;
            steps[place] = @bitCast(stride);
            stride = @min(stride *| shaped[place], stride_max);
        }
        return steps[0..shaped.len];
    }

    /// Whether the strides are those that follow from shape and dtype.
    fn isContiguous(buffer: Buffer) bool {
        var followed: Steps = undefined;
        var steps: Steps = undefined;
        const expected = buffer.contiguousStrides(&followed) catch return false;
        const found = buffer.strides(&steps) catch return false;
        return std.mem.eql(i64, expected, found);
    }
};

const Lengths = [layout.dimensions_max]u64;
const Steps = [layout.dimensions_max]i64;

pub fn number(participant: *Participant, handle: u64, which: Number) Error!f64 {
    const buffer: Buffer = try .of(participant, handle);
    const description = &buffer.slot.description;
    return switch (which) {
        .DTYPE => @floatFromInt(@intFromEnum(try buffer.dtype())),
        .TIMESTAMP => if (buffer.has("timestamp")) integerOf(&description.timestamp) else 0,
        .SEQUENCE => if (buffer.has("sequence")) integerOf(&description.sequence) else 0,
    };
}

fn integerOf(value: *const u64) Error!f64 {
    return toNumber(@atomicLoad(u64, value, .monotonic));
}

fn toNumber(integer: u64) Error!f64 {
    if (integer > 1 << 53) return error.PoolCorrupt;
    return @floatFromInt(integer);
}

/// How many dimensions are used. Read once, since another participant's write between a check and
/// the use of the number would make the check worthless.
fn countOf(count: *const u8) Error!u8 {
    const dimensions = @atomicLoad(u8, count, .monotonic);
    return if (dimensions <= layout.dimensions_max) dimensions else error.PoolCorrupt;
}

pub fn setNumber(participant: *Participant, handle: u64, which: Number, value: f64) Error!void {
    const buffer: Buffer = try .of(participant, handle);
    const description = &buffer.slot.description;
    if (!(value >= 0 and value <= integer_max)) return error.InvalidArgument;
    const integer: u64 = @intFromFloat(value);
    switch (which) {
        .TIMESTAMP => {
            description.timestamp = integer;
            buffer.set("timestamp");
        },
        .SEQUENCE => {
            description.sequence = integer;
            buffer.set("sequence");
        },
        .DTYPE => {
            if (integer > @intFromEnum(DType.FLOAT64)) return error.InvalidArgument;
            const follow = buffer.isContiguous();
            description.dtype = @intCast(integer);
            buffer.set("dtype");
            if (follow) buffer.unset("strides");
        },
    }
}

pub fn dims(
    participant: *Participant,
    handle: u64,
    which: Dims,
    out: *[layout.dimensions_max]f64,
) Error!u32 {
    const buffer: Buffer = try .of(participant, handle);
    switch (which) {
        .SHAPE => {
            var lengths: Lengths = undefined;
            const shape = try buffer.shape(&lengths);
            for (shape, out[0..shape.len]) |length, *value| value.* = try toNumber(length);
            return @intCast(shape.len);
        },
        .STRIDES => {
            var steps: Steps = undefined;
            const strides = try buffer.strides(&steps);
            for (strides, out[0..strides.len]) |step, *value| value.* = @floatFromInt(step);
            return @intCast(strides.len);
        },
    }
}

/// Strides follow shape and dtype for as long as they are the contiguous ones.
pub fn setDims(
    participant: *Participant,
    handle: u64,
    which: Dims,
    values: []const f64,
) Error!void {
    const buffer: Buffer = try .of(participant, handle);
    const description = &buffer.slot.description;
    if (values.len > layout.dimensions_max) return error.InvalidArgument;
    const least: f64 = if (which == .SHAPE) 0 else -integer_max;
    for (values) |value| {
        if (!(value >= least and value <= integer_max)) return error.InvalidArgument;
    }
    const dimensions = description.dimensions[0..values.len];
    switch (which) {
        .SHAPE => {
            var steps: Steps = undefined;
            const strides = buffer.strides(&steps) catch &.{};
            const follow = buffer.isContiguous() or strides.len != values.len;
            for (values, dimensions) |value, *dimension| dimension.length = @intFromFloat(value);
            description.shape_count = @intCast(values.len);
            buffer.set("shape");
            if (follow) buffer.unset("strides");
        },
        .STRIDES => {
            for (values, dimensions) |value, *dimension| dimension.stride = @intFromFloat(value);
            description.stride_count = @intCast(values.len);
            buffer.set("strides");
        },
    }
}

/// Makes the content smaller: everybody who gets the buffer from now on sees `size` bytes. The size
/// that was acquired is noted first, since so many bytes have to be zeroed. The caller has a hold.
pub fn truncate(participant: *Participant, handle: u64, size: u32) Error!void {
    const buffer: Buffer = try .of(participant, handle);
    const slot = buffer.slot;
    while (true) {
        const from = buffer.content();
        if (size > from.size) return error.InvalidArgument;
        // Two holders that truncate first, at once, both note the size that was acquired.
        if (!from.truncated) atomic.store(u32, &slot.truncated_from, from.size, .monotonic);
        var to = from;
        to.size = size;
        to.truncated = true;
        // SYNC: a reader of "truncated" finds the size that was acquired; a release that zeroes has
        // acquired the control word from all holders besides. Pairs with `content`.
        if (words.Content.cas(&slot.content, from, to)) return;
    }
}

pub fn text(
    participant: *Participant,
    handle: u64,
    which: Text,
    out: *[layout.text_bytes_max + 1]u8,
) Error!u32 {
    const buffer: Buffer = try .of(participant, handle);
    const description = &buffer.slot.description;
    const there, const length_of, const bytes = switch (which) {
        .CONTENT_TYPE => .{
            buffer.has("content_type"),
            &description.content_type_length,
            &description.content_type,
        },
        .PRODUCER => .{
            buffer.has("producer"),
            &description.producer_length,
            &description.producer,
        },
    };
    if (!there) return 0;
    const length = @atomicLoad(u8, length_of, .monotonic);
    if (length > layout.text_bytes_max) return error.PoolCorrupt;
    @memcpy(out[0..length], bytes[0..length]);
    return length;
}

pub fn setText(participant: *Participant, handle: u64, which: Text, value: []const u8) Error!void {
    const buffer: Buffer = try .of(participant, handle);
    const description = &buffer.slot.description;
    if (value.len > layout.text_bytes_max) return error.InvalidArgument;
    switch (which) {
        .CONTENT_TYPE => {
            @memcpy(description.content_type[0..value.len], value);
            description.content_type_length = @intCast(value.len);
            buffer.set("content_type");
        },
        .PRODUCER => {
            @memcpy(description.producer[0..value.len], value);
            description.producer_length = @intCast(value.len);
            buffer.set("producer");
        },
    }
}

/// What a buffer is to the one who asked: see `words.Letter`.
pub const Letter = struct { kind: words.Letter, request: u64 = 0 };

/// Fills in the name of the channel that waits for the reply.
pub fn letter(
    participant: *Participant,
    handle: u64,
    reply_to: *[layout.reply_name_bytes_max + 1]u8,
) Error!Letter {
    const buffer: Buffer = try .of(participant, handle);
    if (!buffer.has("letter")) return .{ .kind = .none };
    const description = &buffer.slot.description;
    const kind = std.enums.fromInt(words.Letter, @atomicLoad(u32, &description.letter, .monotonic));
    const request = @atomicLoad(u64, &description.request, .monotonic);
    if (request > 1 << 53) return error.PoolCorrupt;
    reply_to.* = description.reply_to;
    if (reply_to[reply_to.len - 1] != 0) return error.PoolCorrupt;
    return .{ .kind = kind orelse return error.PoolCorrupt, .request = request };
}

pub fn setLetter(
    participant: *Participant,
    handle: u64,
    what: Letter,
    reply_to: []const u8,
) Error!void {
    const buffer: Buffer = try .of(participant, handle);
    const description = &buffer.slot.description;
    if (reply_to.len > layout.reply_name_bytes_max) return error.InvalidArgument;
    if (what.kind == .none) return buffer.unset("letter");
    description.letter = @intFromEnum(what.kind);
    description.request = what.request;
    description.reply_to = @splat(0);
    @memcpy(description.reply_to[0..reply_to.len], reply_to);
    buffer.set("letter");
}

const testing = std.testing;
const acquire_file = @import("acquire.zig");
const TestingPool = @import("../testing_pool.zig").TestingPool;

const Set = union(enum) {
    dtype: DType,
    shape: []const f64,
    strides: []const f64,
    size: u32,

    fn do(what: Set, participant: *Participant, handle: u64) Error!void {
        return switch (what) {
            .dtype => |dtype| setNumber(participant, handle, .DTYPE, @intFromEnum(dtype)),
            .shape => |values| setDims(participant, handle, .SHAPE, values),
            .strides => |values| setDims(participant, handle, .STRIDES, values),
            .size => |size| truncate(participant, handle, size),
        };
    }
};

/// What is set, one after the other, in a new buffer of 24 bytes; and the shape and strides then.
const descriptions = .{
    .{ &[_]Set{}, &.{24}, &.{1} },
    .{ &[_]Set{.{ .dtype = .FLOAT64 }}, &.{24}, &.{8} },
    .{ &[_]Set{.{ .size = 10 }}, &.{10}, &.{1} },
    .{ &[_]Set{.{ .shape = &.{ 2, 3 } }}, &.{ 2, 3 }, &.{ 3, 1 } },
    .{ &[_]Set{ .{ .shape = &.{ 2, 3 } }, .{ .dtype = .UINT32 } }, &.{ 2, 3 }, &.{ 12, 4 } },
    .{ &[_]Set{ .{ .dtype = .UINT32 }, .{ .shape = &.{ 2, 3 } } }, &.{ 2, 3 }, &.{ 12, 4 } },
    // The size is that of the bytes, and a shape that was set stays.
    .{ &[_]Set{ .{ .shape = &.{ 2, 3 } }, .{ .size = 1 } }, &.{ 2, 3 }, &.{ 3, 1 } },
    // Strides that are not the contiguous ones stay for as long as they fit the shape.
    .{ &[_]Set{ .{ .strides = &.{-1} }, .{ .dtype = .INT16 } }, &.{24}, &.{-1} },
    .{ &[_]Set{ .{ .strides = &.{-1} }, .{ .shape = &.{7} } }, &.{7}, &.{-1} },
    .{ &[_]Set{ .{ .strides = &.{-1} }, .{ .shape = &.{ 2, 3 } } }, &.{ 2, 3 }, &.{ 3, 1 } },
    // Contiguous ones that were set follow like those that nobody set.
    .{ &[_]Set{ .{ .strides = &.{1} }, .{ .dtype = .INT16 } }, &.{24}, &.{2} },
    .{
        &[_]Set{
            .{ .shape = &.{ 2, 3 } },
            .{ .strides = &.{ 3, 1 } },
            .{ .shape = &.{ 2, 4 } },
        },
        &.{ 2, 4 },
        &.{ 4, 1 },
    },
    .{ &[_]Set{.{ .shape = &.{} }}, &.{}, &.{} },
    .{ &[_]Set{.{ .shape = &.{ 3, 0, 5 } }}, &.{ 3, 0, 5 }, &.{ 0, 5, 1 } },
    // A stride that is too large is the largest one.
    .{
        &[_]Set{.{ .shape = &.{ 1, 1 << 40, 1 << 40 } }},
        &.{ 1, 1 << 40, 1 << 40 },
        &.{ 1 << 53, 1 << 40, 1 },
    },
};

/// What is refused, and leaves everything as it was.
const refusals = .{
    .{ Set{ .shape = &.{-1} }, error.InvalidArgument },
    .{ Set{ .shape = &.{(1 << 53) + 2} }, error.InvalidArgument },
    .{ Set{ .shape = &.{std.math.nan(f64)} }, error.InvalidArgument },
    .{ Set{ .shape = &@as([9]f64, @splat(1)) }, error.InvalidArgument },
    .{ Set{ .strides = &.{-(1 << 53) - 2} }, error.InvalidArgument },
    .{ Set{ .strides = &@as([9]f64, @splat(1)) }, error.InvalidArgument },
    .{ Set{ .size = 25 }, error.InvalidArgument },
};

/// A buffer of 24 bytes in use, of which nothing is described yet.
fn newBuffer(pool: *TestingPool) u64 {
    const slot = &pool.view.slots[0];
    words.Content.store(&slot.content, .{ .size = 24, .dirty = true });
    const control: words.Control = .{
        .generation = 1,
        .in_flight = 0,
        .references = 1,
        .state = .used,
        .frozen = false,
    };
    slot.control = @bitCast(control);
    return control.handle(0);
}

fn expectDims(
    participant: *Participant,
    handle: u64,
    which: Dims,
    expected: []const f64,
) !void {
    var found: [layout.dimensions_max]f64 = undefined;
    const count = try dims(participant, handle, which, &found);
    try testing.expectEqualSlices(f64, expected, found[0..count]);
}

test "shape and strides are those that the table says" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var participant = pool.participant(0);
    inline for (descriptions) |row| {
        const sets, const shape, const strides = row;
        const handle = newBuffer(&pool);
        for (sets) |set| try set.do(&participant, handle);
        try expectDims(&participant, handle, .SHAPE, shape);
        try expectDims(&participant, handle, .STRIDES, strides);
    }
}

test "a value out of range is refused and changes nothing" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var participant = pool.participant(0);
    const handle = newBuffer(&pool);
    inline for (refusals) |row| {
        const set: Set, const expected = row;
        try testing.expectError(expected, set.do(&participant, handle));
        try expectDims(&participant, handle, .SHAPE, &.{24});
        try expectDims(&participant, handle, .STRIDES, &.{1});
    }
    for ([_]f64{ -1, (1 << 53) + 2, std.math.nan(f64) }) |value| {
        const refused = setNumber(&participant, handle, .TIMESTAMP, value);
        try testing.expectError(error.InvalidArgument, refused);
    }
    try testing.expectEqual(@as(f64, 0), try number(&participant, handle, .TIMESTAMP));
}

test "a new buffer has none of the last one's description" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var participant = pool.participant(0);
    var handle = newBuffer(&pool);
    var read: [layout.text_bytes_max + 1]u8 = undefined;
    try setNumber(&participant, handle, .SEQUENCE, 1 << 53);
    try setText(&participant, handle, .PRODUCER, "camera");
    try testing.expectEqual(@as(f64, 1 << 53), try number(&participant, handle, .SEQUENCE));
    try testing.expectEqual(@as(f64, 0), try number(&participant, handle, .TIMESTAMP));
    try testing.expectEqual(@as(u32, 6), try text(&participant, handle, .PRODUCER, &read));
    try testing.expectEqualStrings("camera", read[0..6]);
    try testing.expectEqual(@as(u32, 0), try text(&participant, handle, .CONTENT_TYPE, &read));
    handle = newBuffer(&pool);
    try testing.expectEqual(@as(f64, 0), try number(&participant, handle, .SEQUENCE));
    try testing.expectEqual(@as(u32, 0), try text(&participant, handle, .PRODUCER, &read));
}

test "rubbish in a description is POOL_CORRUPT" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 2 });
    defer pool.deinit();
    var participant = pool.participant(0);
    const handle = newBuffer(&pool);
    const slot = &pool.view.slots[0];
    var found: [layout.dimensions_max]f64 = undefined;
    var read: [layout.text_bytes_max + 1]u8 = undefined;
    const description = &slot.description;
    words.Content.store(&slot.content, .{
        .size = 24,
        .described = @bitCast(@as(u8, 0x7f)),
        .dirty = true,
    });
    description.dtype = @intFromEnum(DType.FLOAT64) + 1;
    description.shape_count = layout.dimensions_max + 1;
    description.stride_count = layout.dimensions_max + 1;
    description.content_type_length = layout.text_bytes_max + 1;
    description.timestamp = (1 << 53) + 1;
    const corrupt = error.PoolCorrupt;
    try testing.expectError(corrupt, number(&participant, handle, .DTYPE));
    try testing.expectError(corrupt, number(&participant, handle, .TIMESTAMP));
    try testing.expectError(corrupt, dims(&participant, handle, .SHAPE, &found));
    try testing.expectError(corrupt, dims(&participant, handle, .STRIDES, &found));
    try testing.expectError(corrupt, text(&participant, handle, .CONTENT_TYPE, &read));
    words.Content.store(&slot.content, .{ .size = 65, .dirty = true });
    try testing.expectError(corrupt, dims(&participant, handle, .SHAPE, &found));
}

test "a letter says what it is until it is taken off or the buffer is another one" {
    var pool: TestingPool = undefined;
    try pool.init(.{ .capacity = 1, .buffer_size = 64, .participant_count = 1 });
    defer pool.deinit();
    var participant = pool.participant(0);
    const handle = try acquire_file.acquire(&participant, 8);
    var name: [layout.reply_name_bytes_max + 1]u8 = undefined;
    try testing.expectEqual(words.Letter.none, (try letter(&participant, handle, &name)).kind);
    const sent: Letter = .{ .kind = .request, .request = 7 };
    try setLetter(&participant, handle, sent, "replies");
    try testing.expectEqual(sent, try letter(&participant, handle, &name));
    try testing.expectEqualStrings("replies", std.mem.sliceTo(&name, 0));
    const long = "a" ** (layout.reply_name_bytes_max + 1);
    try testing.expectError(error.InvalidArgument, setLetter(&participant, handle, sent, long));
    pool.view.slots[0].description.letter = 9;
    try testing.expectError(error.PoolCorrupt, letter(&participant, handle, &name));
    try setLetter(&participant, handle, .{ .kind = .none }, "");
    try testing.expectEqual(words.Letter.none, (try letter(&participant, handle, &name)).kind);
}
