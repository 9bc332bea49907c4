//! The description of a buffer's content: typed numbers, shape, strides and texts that travel with
//! the buffer. Written by holders, read by holders, checked against rubbish at each read.

const std = @import("std");
const errors = @import("errors.zig");
const layout = @import("layout.zig");
const participant_file = @import("participant.zig");
const words = @import("words.zig");

const Description = layout.Description;
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

const integer_max: f64 = 1 << 53;

/// For the next acquirer: bytes, one dimension, nothing else. One cache line.
pub inline fn reset(description: *Description, size: u32) void {
    const words_of: *[5]u64 = @ptrCast(description);
    // dtype, shape count, stride count, then nothing.
    const first: u64 = @bitCast([8]u8{ 0, 1, 1, 0, 0, 0, 0, 0 });
    @atomicStore(u64, &words_of[0], first, .monotonic);
    @atomicStore(u64, &words_of[1], 0, .monotonic);
    @atomicStore(u64, &words_of[2], 0, .monotonic);
    @atomicStore(u64, &words_of[3], size, .monotonic);
    @atomicStore(u64, &words_of[4], 1, .monotonic);
}

fn of(participant: *Participant, handle_number: u64) Error!*Description {
    const handle: words.Handle = @bitCast(handle_number);
    if (handle.index >= participant.view.geometry.capacity) return error.BufferNotFound;
    const slot = &participant.view.slots[handle.index];
    // SYNC: pairs with `acquire.attempt`, which resets the description before it stores the word.
    const control = words.Control.load(&slot.control, .acquire);
    if (control.state != .used or control.generation != handle.generation) return error.StaleHandle;
    return &slot.description;
}

pub fn number(participant: *Participant, handle: u64, which: Number) Error!f64 {
    const description = try of(participant, handle);
    return switch (which) {
        .DTYPE => @floatFromInt(@intFromEnum(try dtypeOf(description))),
        .TIMESTAMP => integerOf(&description.timestamp),
        .SEQUENCE => integerOf(&description.sequence),
    };
}

fn integerOf(value: *const u64) Error!f64 {
    const integer = @atomicLoad(u64, value, .monotonic);
    if (integer > 1 << 53) return error.PoolCorrupt;
    return @floatFromInt(integer);
}

fn dtypeOf(description: *const Description) Error!DType {
    const code = @atomicLoad(u8, &description.dtype, .monotonic);
    return std.enums.fromInt(DType, code) orelse error.PoolCorrupt;
}

/// How many dimensions are used. Read once, since another participant's write between a check and
/// the use of the number would make the check worthless.
fn countOf(count: *const u8) Error!u8 {
    const dimensions = @atomicLoad(u8, count, .monotonic);
    return if (dimensions <= layout.dimensions_max) dimensions else error.PoolCorrupt;
}

pub fn setNumber(participant: *Participant, handle: u64, which: Number, value: f64) Error!void {
    const description = try of(participant, handle);
    if (!(value >= 0 and value <= integer_max)) return error.InvalidArgument;
    const integer: u64 = @intFromFloat(value);
    switch (which) {
        .TIMESTAMP => description.timestamp = integer,
        .SEQUENCE => description.sequence = integer,
        .DTYPE => {
            if (integer > @intFromEnum(DType.FLOAT64)) return error.InvalidArgument;
            const follow = contiguousCount(description);
            description.dtype = @intCast(integer);
            if (follow) |count| makeContiguous(description, count);
        },
    }
}

pub fn dims(
    participant: *Participant,
    handle: u64,
    which: Dims,
    out: *[layout.dimensions_max]f64,
) Error!u32 {
    const description = try of(participant, handle);
    const count = try countOf(
        if (which == .SHAPE) &description.shape_count else &description.stride_count,
    );
    for (description.dimensions[0..count], out[0..count]) |*dimension, *value| {
        value.* = switch (which) {
            .SHAPE => try integerOf(&dimension.length),
            .STRIDES => @floatFromInt(dimension.stride),
        };
    }
    return count;
}

/// Strides follow shape and dtype for as long as they are the contiguous ones.
pub fn setDims(
    participant: *Participant,
    handle: u64,
    which: Dims,
    values: []const f64,
) Error!void {
    const description = try of(participant, handle);
    if (values.len > layout.dimensions_max) return error.InvalidArgument;
    const least: f64 = if (which == .SHAPE) 0 else -integer_max;
    for (values) |value| {
        if (!(value >= least and value <= integer_max)) return error.InvalidArgument;
    }
    switch (which) {
        .SHAPE => {
            const follow = contiguousCount(description) != null or
                description.stride_count != values.len;
            for (values, description.dimensions[0..values.len]) |value, *dimension| {
                dimension.length = @intFromFloat(value);
            }
            description.shape_count = @intCast(values.len);
            if (follow) makeContiguous(description, @intCast(values.len));
        },
        .STRIDES => {
            for (values, description.dimensions[0..values.len]) |value, *dimension| {
                dimension.stride = @intFromFloat(value);
            }
            description.stride_count = @intCast(values.len);
        },
    }
}

/// The number of dimensions where the strides are the contiguous ones of shape and dtype.
fn contiguousCount(description: *const Description) ?u8 {
    const count = countOf(&description.shape_count) catch return null;
    if (count != description.stride_count) return null;
    const dtype = dtypeOf(description) catch return null;
    var expected: u64 = dtype.bytes();
    var place: usize = count;
    while (place > 0) {
        place -= 1;
        const dimension = description.dimensions[place];
        if (dimension.stride != @as(i64, @bitCast(expected))) return null;
        expected *%= dimension.length;
    }
    return count;
}

fn makeContiguous(description: *Description, count: u8) void {
    const dtype = dtypeOf(description) catch return;
    var stride: u64 = dtype.bytes();
    var place: usize = count;
    while (place > 0) {
        place -= 1;
        description.dimensions[place].stride = @bitCast(stride);
        stride *%= description.dimensions[place].length;
    }
    description.stride_count = count;
}

pub fn text(
    participant: *Participant,
    handle: u64,
    which: Text,
    out: *[layout.text_bytes_max + 1]u8,
) Error!u32 {
    const description = try of(participant, handle);
    const length_of, const bytes = switch (which) {
        .CONTENT_TYPE => .{ &description.content_type_length, &description.content_type },
        .PRODUCER => .{ &description.producer_length, &description.producer },
    };
    const length = @atomicLoad(u8, length_of, .monotonic);
    if (length > layout.text_bytes_max) return error.PoolCorrupt;
    @memcpy(out[0..length], bytes[0..length]);
    return length;
}

pub fn setText(participant: *Participant, handle: u64, which: Text, value: []const u8) Error!void {
    const description = try of(participant, handle);
    if (value.len > layout.text_bytes_max) return error.InvalidArgument;
    switch (which) {
        .CONTENT_TYPE => {
            @memcpy(description.content_type[0..value.len], value);
            description.content_type_length = @intCast(value.len);
        },
        .PRODUCER => {
            @memcpy(description.producer[0..value.len], value);
            description.producer_length = @intCast(value.len);
        },
    }
}
