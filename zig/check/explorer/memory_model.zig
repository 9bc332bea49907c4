//! The order in which others see a fiber's stores. Sequential: at once. With store buffers (TSO,
//! what x86 does): a store waits in its fiber's buffer, in order, and leaves it at any later time;
//! the fiber's own loads find it there. With PSO, stores to different words also leave out of
//! order, unless the later one is a release: that is the part of a weaker machine (arm64) which
//! concerns stores. Loads are never reordered with each other, here.
//!
//! A sequentially consistent store, an exchange (CAS, add, ...), a system call, a fiber's death
//! and its stop empty the buffer first. In PSO, an exchange that is not a release empties only
//! what its own word has there.

const std = @import("std");
const fiber = @import("fiber.zig");
const oracle = @import("oracle.zig");
const state = @import("state.zig");

const Order = std.builtin.AtomicOrder;

pub const Model = enum { sequential, tso, pso };
pub var model: Model = .sequential;

fn buffers() bool {
    return model != .sequential and !fiber.direct;
}

pub fn load(address: usize, bytes: u8) u64 {
    if (buffers()) {
        const buffer = &state.buffers[fiber.current];
        var place = buffer.count;
        while (place > 0) {
            place -= 1;
            const stored = buffer.stores[place];
            if (stored.address == address) return cut(bytes, stored.value);
        }
    }
    return read(address, bytes);
}

/// The word as it is in memory.
pub fn read(address: usize, bytes: u8) u64 {
    return switch (bytes) {
        inline 2, 4, 8 => |size| @as(*const Word(size), @ptrFromInt(address)).*,
        else => unreachable,
    };
}

pub fn put(address: usize, bytes: u8, value: u64) void {
    switch (bytes) {
        inline 2, 4, 8 => |size| @as(*Word(size), @ptrFromInt(address)).* = @truncate(value),
        else => unreachable,
    }
}

/// The part of a number that the word can hold.
pub fn cut(bytes: u8, value: u64) u64 {
    return switch (bytes) {
        inline 2, 4, 8 => |size| @as(Word(size), @truncate(value)),
        else => unreachable,
    };
}

fn Word(comptime bytes: u8) type {
    return std.meta.Int(.unsigned, @as(u16, bytes) * 8);
}

/// What the word will be when every buffer is empty: for judging the results of calls, on which
/// their callers rely before others see the stores.
pub fn settled(ptr: *const u64) u64 {
    if (model == .sequential) return ptr.*;
    for (&state.buffers) |*buffer| {
        var place = buffer.count;
        while (place > 0) {
            place -= 1;
            if (buffer.stores[place].address == @intFromPtr(ptr)) return buffer.stores[place].value;
        }
    }
    return ptr.*;
}

pub fn store(address: usize, bytes: u8, value: u64, order: Order) void {
    if (!buffers()) return write(address, bytes, value);
    if (order == .seq_cst) {
        drain(fiber.current);
        return write(address, bytes, value);
    }
    const buffer = &state.buffers[fiber.current];
    // A real buffer is longer; where it matters a program is short enough.
    if (buffer.count == state.buffer_max) leave(fiber.current, 0);
    buffer.stores[buffer.count] = .{
        .address = address,
        .value = value,
        .bytes = bytes,
        .release = order == .release,
    };
    buffer.count += 1;
}

pub fn beforeExchange(address: usize, order: Order) void {
    if (!buffers()) return;
    if (model == .tso or order != .monotonic) return drain(fiber.current);
    const buffer = &state.buffers[fiber.current];
    var place: u8 = 0;
    while (place < buffer.count) {
        if (buffer.stores[place].address == address) leave(fiber.current, place) else place += 1;
    }
}

pub fn beforeSystemCall() void {
    if (buffers()) drain(fiber.current);
}

/// Whether the store at `place` may become visible next.
pub fn mayLeave(index: u8, place: u8) bool {
    if (place == 0) return true;
    if (model == .tso) return false;
    const buffer = &state.buffers[index];
    if (buffer.stores[place].release) return false;
    for (buffer.stores[0..place]) |older| {
        if (older.address == buffer.stores[place].address) return false;
    }
    return true;
}

/// The store at `place` becomes visible.
pub fn leave(index: u8, place: u8) void {
    const buffer = &state.buffers[index];
    const stored = buffer.stores[place];
    buffer.count -= 1;
    for (place..buffer.count) |each| buffer.stores[each] = buffer.stores[each + 1];
    buffer.stores[buffer.count] = std.mem.zeroes(state.BufferedStore);
    const before = fiber.current;
    fiber.current = index;
    write(stored.address, stored.bytes, stored.value);
    fiber.current = before;
}

pub fn drain(index: u8) void {
    while (state.buffers[index].count > 0) leave(index, 0);
}

fn write(address: usize, bytes: u8, value: u64) void {
    oracle.beforeChange(address, read(address, bytes), cut(bytes, value));
    put(address, bytes, value);
}
