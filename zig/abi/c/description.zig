//! The form for C: what a buffer's bytes mean.

const std = @import("std");
const call = @import("call.zig");
const content = @import("../../protocol/pool/content.zig");
const errors = @import("../../errors.zig");
const layout = @import("../../format/layout.zig");
const types = @import("types.zig");

const Description = types.Description;
const Error = errors.Error;
const Handle = types.Handle;
const Pool = types.Pool;
const describer = call.describer;
const ended = call.ended;
const give = call.give;
const missing = call.missing;

/// Tells what a held buffer's bytes mean, as its holders described it.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold. XMEM_POOL_CORRUPT: the description is
/// damaged. XMEM_POOL_CLOSED: the pool is not open. XMEM_INVALID_ARGUMENT: another thread opened
/// it, or `size` is wrong.
pub export fn xmem_get_description(
    pool: Pool,
    handle: Handle,
    /// Gets everything. Set its `size` before.
    description: ?*Description,
) i32 {
    return ended(giveDescription(pool, handle, description));
}

fn giveDescription(pool: Pool, handle: Handle, description: ?*Description) Error!void {
    const out = description orelse return missing("description");
    const participant = try describer(pool, handle);
    var full: Description = .{
        .dtype = @intFromFloat(try content.number(participant, handle, .DTYPE)),
        .timestamp = @intFromFloat(try content.number(participant, handle, .TIMESTAMP)),
        .sequence = @intFromFloat(try content.number(participant, handle, .SEQUENCE)),
    };
    var numbers: [layout.dimensions_max]f64 = undefined;
    full.shape_count = try content.dims(participant, handle, .SHAPE, &numbers);
    for (numbers[0..full.shape_count], full.shape[0..full.shape_count]) |number, *to| {
        to.* = @intFromFloat(number);
    }
    full.stride_count = try content.dims(participant, handle, .STRIDES, &numbers);
    for (numbers[0..full.stride_count], full.strides[0..full.stride_count]) |number, *to| {
        to.* = saturated(number);
    }
    const type_length = try content.text(participant, handle, .CONTENT_TYPE, &full.content_type);
    full.content_type[type_length] = 0;
    const producer_length = try content.text(participant, handle, .PRODUCER, &full.producer);
    full.producer[producer_length] = 0;
    return give(out, full);
}

/// Strides are not bounded if the shape is damaged.
fn saturated(number: f64) i64 {
    return std.math.lossyCast(i64, number);
}

/// Sets the type of a held buffer's elements. Strides that are the contiguous ones change with it.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold. XMEM_POOL_CLOSED: the pool is not open.
/// XMEM_INVALID_ARGUMENT: `dtype` is unknown; or another thread opened the pool.
pub export fn xmem_set_dtype(
    pool: Pool,
    handle: Handle,
    /// One of XMEM_DTYPE_UINT8 ...
    dtype: u32,
) i32 {
    return ended(setNumber(pool, handle, .DTYPE, dtype));
}

/// Sets the time that a held buffer's content belongs to.
///
/// XMEM_INVALID_ARGUMENT: `timestamp` is above 2^53; or another thread opened the pool.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_timestamp(
    pool: Pool,
    handle: Handle,
    /// At most 2^53. The producer decides its unit.
    timestamp: u64,
) i32 {
    return ended(setNumber(pool, handle, .TIMESTAMP, timestamp));
}

/// Sets the number that a held buffer has in a sequence.
///
/// XMEM_INVALID_ARGUMENT: `sequence` is above 2^53; or another thread opened the pool.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_sequence(
    pool: Pool,
    handle: Handle,
    /// At most 2^53.
    sequence: u64,
) i32 {
    return ended(setNumber(pool, handle, .SEQUENCE, sequence));
}

fn setNumber(pool: Pool, handle: Handle, which: content.Number, value: u64) Error!void {
    const participant = try describer(pool, handle);
    if (value > 1 << 53)
        return errors.fail(error.InvalidArgument, 0, "{d} is above 2^53", .{value});
    return content.setNumber(participant, handle, which, @floatFromInt(value)) catch |err|
        return if (err == error.InvalidArgument)
            errors.fail(err, 0, "no dtype is {d}", .{value})
        else
            err;
}

/// Sets how many elements a held buffer has per dimension. Strides that are the contiguous ones
/// change with it.
///
/// XMEM_INVALID_ARGUMENT: there are more than 8 dimensions, or one is above 2^53; or another thread
/// opened the pool. The old shape stays.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_shape(
    pool: Pool,
    handle: Handle,
    /// As many numbers as `count` says; may be NULL where that is 0.
    shape: ?[*]const u64,
    /// Dimensions, at most 8.
    count: u32,
) i32 {
    return ended(setDims(u64, pool, handle, .SHAPE, shape, count));
}

/// Sets how many bytes a held buffer has from one element to the next, per dimension.
///
/// XMEM_INVALID_ARGUMENT: there are more than 8 dimensions, or one is beyond 2^53; or another
/// thread opened the pool. The old strides stay.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_strides(
    pool: Pool,
    handle: Handle,
    /// Bytes, as many numbers as `count` says; may be NULL where that is 0.
    strides: ?[*]const i64,
    /// Dimensions, at most 8.
    count: u32,
) i32 {
    return ended(setDims(i64, pool, handle, .STRIDES, strides, count));
}

fn setDims(
    comptime Number: type,
    pool: Pool,
    handle: Handle,
    which: content.Dims,
    values: ?[*]const Number,
    count: u32,
) Error!void {
    const participant = try describer(pool, handle);
    if (count > layout.dimensions_max)
        return errors.fail(error.InvalidArgument, 0, "{d} dimensions", .{count});
    var numbers: [layout.dimensions_max]f64 = undefined;
    if (count > 0) {
        const given = values orelse return missing("the array");
        for (given[0..count], numbers[0..count]) |value, *number| {
            if (@abs(value) > 1 << 53)
                return errors.fail(error.InvalidArgument, 0, "{d} is beyond 2^53", .{value});
            number.* = @floatFromInt(value);
        }
    }
    return content.setDims(participant, handle, which, numbers[0..count]);
}

/// Sets what kind of content a held buffer has, for example a MIME type.
///
/// XMEM_INVALID_ARGUMENT: it has more than 31 bytes; or another thread opened the pool. The old one
/// stays.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_content_type(
    pool: Pool,
    handle: Handle,
    /// UTF-8, at most 31 bytes; NULL: empty.
    content_type: ?[*:0]const u8,
) i32 {
    return ended(setText(pool, handle, .CONTENT_TYPE, content_type));
}

/// Sets the producer of a held buffer's content.
///
/// XMEM_INVALID_ARGUMENT: it has more than 31 bytes; or another thread opened the pool. The old one
/// stays.
/// Otherwise as `xmem_set_dtype`.
pub export fn xmem_set_producer(
    pool: Pool,
    handle: Handle,
    /// UTF-8, at most 31 bytes; NULL: empty.
    producer: ?[*:0]const u8,
) i32 {
    return ended(setText(pool, handle, .PRODUCER, producer));
}

fn setText(pool: Pool, handle: Handle, which: content.Text, text: ?[*:0]const u8) Error!void {
    const participant = try describer(pool, handle);
    const value = std.mem.span(text orelse "");
    if (value.len > layout.text_bytes_max)
        return errors.fail(error.InvalidArgument, 0, "the text has {d} bytes", .{value.len});
    return content.setText(participant, handle, which, value);
}
