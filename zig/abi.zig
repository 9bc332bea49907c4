//! The C interface: every exported symbol, and nothing else. Numbers are checked for range here and
//! for meaning where they are used. A failed call returns the error's code negated; what more there
//! is to say is in `xmem_error_text`. A pool is named by its number (descriptor.zig), and used on the
//! thread that opened it: one thread, one participant.

const std = @import("std");
const build_options = @import("build_options");
const acquire_file = @import("acquire.zig");
const constants = @import("constants.zig");
const crash_point = @import("crash_point.zig");
const description = @import("description.zig");
const descriptor = @import("descriptor.zig");
const errors = @import("errors.zig");
const maintenance = @import("maintenance.zig");
const participant_file = @import("participant.zig");
const pool_file = @import("pool.zig");
const recovery = @import("recovery.zig");
const references = @import("references.zig");
const statistics = @import("statistics.zig");
const system = @import("system.zig");
const thaw = @import("thaw.zig");
const waiter_thread = @import("waiter_thread.zig");
const waiting = @import("waiting.zig");
const words = @import("words.zig");

const Error = errors.Error;
const Pool = pool_file.Pool;

pub const panic = std.debug.no_panic;

/// Handles and bare indexes are whole numbers below 2^53.
inline fn toRef(number: f64) ?u64 {
    if (!(number >= 0 and number < 1 << 53)) return null;
    // Through a signed integer, which is one instruction both ways.
    const whole: i64 = @intFromFloat(number);
    if (@as(f64, @floatFromInt(whole)) != number) return null;
    return @bitCast(whole);
}

inline fn toUint32(number: f64) ?u32 {
    const whole = toRef(number) orelse return null;
    return if (whole <= std.math.maxInt(u32)) @intCast(whole) else null;
}

fn refOf(number: f64) Error!u64 {
    return toRef(number) orelse error.InvalidArgument;
}

fn statusOf(result: Error!void) i32 {
    return if (result) |_| 0 else |err| errors.negative(err);
}

fn countOr(result: Error!u32) i32 {
    return if (result) |value| @intCast(value) else |err| errors.negative(err);
}

inline fn fromHandle(handle: u64) f64 {
    return @floatFromInt(@as(i64, @bitCast(handle)));
}

inline fn indexOf(handle: u64) u32 {
    return @as(words.Handle, @bitCast(handle)).index;
}

inline fn generationOf(handle: u64) u32 {
    return @as(words.Handle, @bitCast(handle)).generation;
}

inline fn failed(err: Error) f64 {
    return @floatFromInt(errors.negative(err));
}

/// For calls whose errors may have more to say: what an earlier one left is cleared.
fn refused(err: Error) i32 {
    errors.note(err);
    return errors.negative(err);
}

/// Before each operation: closed is closed, also by a fork, and what is owed is paid.
inline fn attend(pool: *Pool) ?Error {
    if (pool.participant.local.attention == 0) return null;
    return attendSlowly(pool);
}

fn attendSlowly(pool: *Pool) ?Error {
    @branchHint(.cold);
    if (pool.participant.local.attention & participant_file.attention_closed != 0)
        return error.PoolClosed;
    references.settle(&pool.participant);
    return null;
}

/// The pool's descriptor, above 0.
pub export fn xmem_open(
    how: u32,
    dir: [*:0]const u8,
    name: [*:0]const u8,
    participant_name: [*:0]const u8,
    options: *const pool_file.Options,
) i32 {
    const pool = pool_file.open(
        @enumFromInt(how),
        std.mem.span(dir),
        std.mem.span(name),
        std.mem.span(participant_name),
        options,
    ) catch |err| return refused(err);
    return @intCast(descriptor.numberOf(pool));
}

pub export fn xmem_close(number: u32) void {
    const pool = descriptor.poolOf(number);
    pool_file.close(pool);
}

pub export fn xmem_error_errno() i32 {
    return errors.lastErrno();
}

pub export fn xmem_error_text(buffer: [*]u8, length: u32) u32 {
    return copyOut(errors.lastText(), buffer, length);
}

fn copyOut(text: []const u8, buffer: [*]u8, length: u32) u32 {
    const copied = @min(text.len, length);
    @memcpy(buffer[0..copied], text[0..copied]);
    return @intCast(copied);
}

pub export fn xmem_info(number: u32, out: [*]f64) void {
    const pool = descriptor.poolOf(number);
    pool_file.info(pool, out[0..std.meta.fields(pool_file.Info).len]);
}

pub export fn xmem_unlink(dir: [*:0]const u8, name: [*:0]const u8, device: f64, inode: f64) i32 {
    const folder = std.mem.span(dir);
    const removed = pool_file.unlink(folder, std.mem.span(name), device, inode) catch |err|
        return refused(err);
    return @intFromBool(removed);
}

/// What a live view of the pool's memory holds on to, so that no mapping goes under a view.
pub export fn xmem_mapping(number: u32) ?*pool_file.Mapping {
    const pool = descriptor.poolOf(number);
    return pool.mapping;
}

pub export fn xmem_view_add(mapping: *pool_file.Mapping) void {
    pool_file.viewAdd(mapping);
}

/// The signature is that of a deallocator: the engine calls it, on whatever thread it likes.
pub export fn xmem_view_done(bytes: ?*anyopaque, mapping: *pool_file.Mapping) void {
    _ = bytes;
    pool_file.viewDone(mapping);
}

pub export fn xmem_view_count(mapping: *pool_file.Mapping) u32 {
    return pool_file.viewCount(mapping);
}

pub export fn xmem_acquire(number: u32, size_number: f64) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failed(err);
    const size = toUint32(size_number) orelse return failed(error.InvalidArgument);
    const handle = acquire_file.acquire(&pool.participant, size) catch |err| return failed(err);
    pool.counts[indexOf(handle)] +|= 1;
    return fromHandle(handle);
}

/// For an event loop: never waits, PENDING while a recovery has the pool.
pub export fn xmem_acquire_at_once(number: u32, size: u32) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failed(err);
    const handle = acquire_file.acquireAtOnce(&pool.participant, size) catch |err|
        return failed(err);
    pool.counts[indexOf(handle)] +|= 1;
    return fromHandle(handle);
}

pub export fn xmem_release(number: u32, handle_number: f64) void {
    const pool = descriptor.poolOf(number);
    if (attend(pool) != null) return;
    const handle = toRef(handle_number) orelse return;
    const index = indexOf(handle);
    if (index >= pool.participant.view.geometry.capacity or pool.counts[index] == 0) return;
    if (references.giveBack(&pool.participant, handle)) pool.counts[index] -= 1;
}

/// What a call that made a hold has to say beside its result: the buffer's generation and its size,
/// each at the place of the pool's number.
const Made = extern struct {
    generation: [descriptor.descriptors_max]u32,
    size: [descriptor.descriptors_max]u32,
};
var made: Made = std.mem.zeroes(Made);

pub export fn xmem_made() *const Made {
    return &made;
}

/// As `xmem_acquire`, for callers to whom a handle costs more than an index: what follows an atomic
/// operation waits for it, and a number's way through floating point and back is long. The index.
///
/// All that is uncommon is a call in tail position, so that the common way saves few registers: what
/// it stores has to drain before the next atomic operation, like everything else.
pub export fn xmem_acquire_index(number: u32, size: u32) i32 {
    const pool = descriptor.poolOf(number);
    if (pool.participant.local.attention != 0) return acquireIndexSlowly(number, size);
    const now_ns = system.ticker.tickedNs();
    if (now_ns == 0) return acquireIndexSlowly(number, size);
    const acquired = acquire_file.acquireStraight(&pool.participant, size, now_ns) orelse
        return acquireIndexSlowly(number, size);
    pool.counts[acquired.index] +|= 1;
    made.generation[number] = acquired.generation;
    if (pool.participant.view.populatedBytes(acquired.index) < acquired.need)
        return populateIndex(number, acquired.index);
    return @intCast(acquired.index);
}

noinline fn acquireIndexSlowly(number: u32, size: u32) i32 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return errors.negative(err);
    const handle = acquire_file.acquire(&pool.participant, size) catch |err|
        return errors.negative(err);
    const index = indexOf(handle);
    pool.counts[index] +|= 1;
    made.generation[number] = generationOf(handle);
    return @intCast(index);
}

noinline fn populateIndex(number: u32, index: u32) i32 {
    @branchHint(.cold);
    acquire_file.ensurePopulated(&descriptor.poolOf(number).participant, index);
    return @intCast(index);
}

pub export fn xmem_release_index(number: u32, index: u32, generation: u32) void {
    const pool = descriptor.poolOf(number);
    if (pool.participant.local.attention != 0) return releaseIndexSlowly(number, index, generation);
    const count = &pool.counts[index];
    if (index >= pool.participant.view.geometry.capacity or count.* == 0) return;
    count.* -= 1;
    if (!references.releaseSole(&pool.participant, handleOf(index, generation))) {
        count.* += 1;
        return releaseIndexSlowly(number, index, generation);
    }
}

noinline fn releaseIndexSlowly(number: u32, index: u32, generation: u32) void {
    @branchHint(.cold);
    const pool = descriptor.poolOf(number);
    if (attend(pool) != null) return;
    const count = &pool.counts[index];
    if (index >= pool.participant.view.geometry.capacity or count.* == 0) return;
    const handle: u64 = @bitCast(handleOf(index, generation));
    if (references.giveBackSlowly(&pool.participant, handle)) count.* -= 1;
}

inline fn handleOf(index: u32, generation: u32) words.Handle {
    return .{ .index = @truncate(index), .generation = @truncate(generation) };
}

pub export fn xmem_acquire_blocking(number: u32, size: u32, deadline_ms: f64) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failed(err);
    const handle = acquire_file.acquireSlice(
        &pool.participant,
        &pool.blocking,
        size,
        toNs(deadline_ms),
    ) catch |err| return failed(err);
    pool.counts[indexOf(handle)] +|= 1;
    return fromHandle(handle);
}

fn toNs(milliseconds: f64) u64 {
    const limit_ms = 1 << 44; // five hundred years
    if (!(milliseconds > 0)) return 0;
    return @intFromFloat(@min(milliseconds, limit_ms) * std.time.ns_per_ms);
}

pub export fn xmem_now() f64 {
    return @as(f64, @floatFromInt(system.clock.monotonicNs())) / std.time.ns_per_ms;
}

/// A new hold through `operation`: its handle.
inline fn hold(number: u32, comptime operation: references.Operation, ref_number: f64) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failed(err);
    const ref = toRef(ref_number) orelse return failed(error.InvalidArgument);
    const done = references.operate(&pool.participant, operation, ref, 0) catch |err|
        return failed(err);
    const index = indexOf(done.handle);
    pool.counts[index] +|= 1;
    acquire_file.ensurePopulated(&pool.participant, index);
    const view = &pool.participant.view;
    const size = words.Content.load(&view.slots[index].content).size;
    if (size > view.geometry.buffer_size) {
        xmem_release(number, fromHandle(done.handle));
        return failed(error.PoolCorrupt);
    }
    made.generation[number] = generationOf(done.handle);
    made.size[number] = size;
    return fromHandle(done.handle);
}

pub export fn xmem_get(number: u32, ref: f64) f64 {
    return hold(number, .get, ref);
}

pub export fn xmem_take(number: u32, ref: f64) f64 {
    return hold(number, .take, ref);
}

pub export fn xmem_size(number: u32, index: u32) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failed(err);
    const view = &pool.participant.view;
    if (index >= view.geometry.capacity) return failed(error.BufferNotFound);
    const size = words.Content.load(&view.slots[index].content).size;
    if (size > view.geometry.buffer_size) return failed(error.PoolCorrupt);
    return @floatFromInt(size);
}

pub export fn xmem_share(number: u32, handle: f64) i32 {
    const pool = descriptor.poolOf(number);
    const counted = byHand(pool, .share, handle, 0);
    return if (counted < 0) @intFromFloat(counted) else 0;
}

pub export fn xmem_hand_off(number: u32, handle_number: f64) i32 {
    const pool = descriptor.poolOf(number);
    const handle = toRef(handle_number) orelse return errors.negative(error.InvalidArgument);
    const index = indexOf(handle);
    if (index >= pool.participant.view.geometry.capacity or pool.counts[index] == 0)
        return errors.negative(error.StaleHandle);
    const counted = byHand(pool, .hand_off, handle_number, 0);
    if (counted < 0) return @intFromFloat(counted);
    pool.counts[index] -= 1;
    return 0;
}

inline fn byHand(
    pool: *Pool,
    comptime operation: references.Operation,
    ref_number: f64,
    argument: u32,
) f64 {
    if (attend(pool)) |err| return failed(err);
    const ref = toRef(ref_number) orelse return failed(error.InvalidArgument);
    const done = references.operate(&pool.participant, operation, ref, argument) catch |err|
        return failed(err);
    return @floatFromInt(done.count);
}

pub export fn xmem_add_ref(number: u32, ref: f64) f64 {
    const pool = descriptor.poolOf(number);
    return byHand(pool, .add_ref, ref, 0);
}

pub export fn xmem_unref(number: u32, ref: f64) f64 {
    const pool = descriptor.poolOf(number);
    return byHand(pool, .unref, ref, 0);
}

pub export fn xmem_release_by_hand(number: u32, ref: f64) f64 {
    const pool = descriptor.poolOf(number);
    return byHand(pool, .release_by_hand, ref, 0);
}

pub export fn xmem_set_ref_count(number: u32, ref: f64, count: u32) f64 {
    const pool = descriptor.poolOf(number);
    return byHand(pool, .set_ref_count, ref, count);
}

pub export fn xmem_ref_count(number: u32, ref_number: f64) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failed(err);
    const ref = toRef(ref_number) orelse return failed(error.InvalidArgument);
    const counted = references.refCount(&pool.participant, ref) catch |err| return failed(err);
    return @floatFromInt(counted);
}

/// 1: recycled by this call. 0: somebody still counts it, or the bare index is free already.
pub export fn xmem_try_release(number: u32, ref: f64) i32 {
    const pool = descriptor.poolOf(number);
    const code = xmem_release_buffer(number, ref);
    if (code == 0) return 1;
    if (code == errors.negative(error.BufferInUse)) return 0;
    const bare = ref < 1 << 24;
    const known = bare and ref < @as(f64, @floatFromInt(pool.participant.view.geometry.capacity));
    if (known and code == errors.negative(error.BufferNotFound)) return 0;
    return code;
}

pub export fn xmem_release_buffer(number: u32, ref: f64) i32 {
    const pool = descriptor.poolOf(number);
    const counted = byHand(pool, .try_release, ref, 0);
    return if (counted < 0) @intFromFloat(counted) else 0;
}

pub export fn xmem_holds(number: u32) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failed(err);
    return @floatFromInt(pool.participant.holdsTotal());
}

pub export fn xmem_preallocate(number: u32, size: u32, count: u32) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failed(err);
    const bytes = maintenance.preallocate(&pool.participant, size, count) catch |err|
        return failed(err);
    return @floatFromInt(bytes);
}

pub export fn xmem_trim(number: u32) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failed(err);
    const bytes = maintenance.trim(&pool.participant) catch |err| return failed(err);
    return @floatFromInt(bytes);
}

pub export fn xmem_flush(number: u32, on: u32) i32 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return errors.negative(err);
    maintenance.flush(&pool.participant, on != 0) catch |err| return errors.negative(err);
    return 0;
}

pub export fn xmem_reclaim(number: u32, out: *[constants.reclaim_count]f64) i32 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return errors.negative(err);
    const report = recovery.runPatiently(&pool.participant.view) catch |err|
        return errors.negative(err);
    out.* = .{
        @floatFromInt(report.participants),
        @floatFromInt(report.references),
        @floatFromInt(report.buffers),
        @floatFromInt(@intFromBool(report.deferred)),
    };
    return 0;
}

pub export fn xmem_stats(number: u32, out: [*]f64) i32 {
    const pool = descriptor.poolOf(number);
    const mapping = pool.mapping orelse return errors.negative(error.PoolClosed);
    const values = out[0..statistics.stat_count];
    statistics.collect(&mapping.view, values);
    const linked = @intFromBool(pool_file.linked(pool));
    values[@intFromEnum(statistics.Stat.LINKED)] = @floatFromInt(linked);
    return 0;
}

pub export fn xmem_participants(number: u32, out: [*]f64, names: [*]u8, rows_max: u32) u32 {
    const pool = descriptor.poolOf(number);
    const mapping = pool.mapping orelse return 0;
    const values = out[0 .. rows_max * statistics.participant_field_count];
    return statistics.participants(&mapping.view, values, names[0 .. rows_max * 32], rows_max);
}

pub export fn xmem_observe(dir: [*:0]const u8, name: [*:0]const u8) i32 {
    const pool = pool_file.observe(std.mem.span(dir), std.mem.span(name)) catch |err|
        return refused(err);
    return @intCast(descriptor.numberOf(pool));
}

pub export fn xmem_unobserve(number: u32) void {
    const pool = descriptor.poolOf(number);
    pool_file.unobserve(pool);
}

/// A description's field by its number, for a pool that this process may use.
inline fn field(comptime Field: type, pool: *Pool, number: u32) Error!Field {
    if (attend(pool)) |err| return err;
    return std.enums.fromInt(Field, number) orelse error.InvalidArgument;
}

pub export fn xmem_meta_number(number: u32, handle: f64, which: u32) f64 {
    const pool = descriptor.poolOf(number);
    return metaNumber(pool, handle, which) catch |err| failed(err);
}

fn metaNumber(pool: *Pool, handle: f64, which: u32) Error!f64 {
    const number = try field(description.Number, pool, which);
    return description.number(&pool.participant, try refOf(handle), number);
}

pub export fn xmem_meta_set_number(number: u32, handle: f64, which: u32, value: f64) i32 {
    const pool = descriptor.poolOf(number);
    return statusOf(metaSetNumber(pool, handle, which, value));
}

fn metaSetNumber(pool: *Pool, handle: f64, which: u32, value: f64) Error!void {
    const number = try field(description.Number, pool, which);
    return description.setNumber(&pool.participant, try refOf(handle), number, value);
}

pub export fn xmem_meta_dims(number: u32, handle: f64, which: u32, out: *[8]f64) i32 {
    const pool = descriptor.poolOf(number);
    return countOr(metaDims(pool, handle, which, out));
}

fn metaDims(pool: *Pool, handle: f64, which: u32, out: *[8]f64) Error!u32 {
    const dims = try field(description.Dims, pool, which);
    return description.dims(&pool.participant, try refOf(handle), dims, out);
}

pub export fn xmem_meta_set_dims(
    number: u32,
    handle: f64,
    which: u32,
    in: [*]const f64,
    length: u32,
) i32 {
    const pool = descriptor.poolOf(number);
    return statusOf(metaSetDims(pool, handle, which, in[0..length]));
}

fn metaSetDims(pool: *Pool, handle: f64, which: u32, values: []const f64) Error!void {
    const dims = try field(description.Dims, pool, which);
    return description.setDims(&pool.participant, try refOf(handle), dims, values);
}

pub export fn xmem_meta_text(number: u32, handle: f64, which: u32, out: *[32]u8) i32 {
    const pool = descriptor.poolOf(number);
    return countOr(metaText(pool, handle, which, out));
}

fn metaText(pool: *Pool, handle: f64, which: u32, out: *[32]u8) Error!u32 {
    const text = try field(description.Text, pool, which);
    return description.text(&pool.participant, try refOf(handle), text, out);
}

pub export fn xmem_meta_set_text(
    number: u32,
    handle: f64,
    which: u32,
    in: [*]const u8,
    length: u32,
) i32 {
    const pool = descriptor.poolOf(number);
    return statusOf(metaSetText(pool, handle, which, in[0..length]));
}

fn metaSetText(pool: *Pool, handle: f64, which: u32, value: []const u8) Error!void {
    const text = try field(description.Text, pool, which);
    return description.setText(&pool.participant, try refOf(handle), text, value);
}

/// The event loop's end of a socket that becomes readable when a try is worth it.
pub export fn xmem_async_open(number: u32) i32 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return errors.negative(err);
    if (pool.waiter == null) {
        pool.waiter = waiter_thread.start(pool.participant.view) catch |err|
            return refused(err);
    }
    return pool.waiter.?.loop_socket;
}

/// PENDING while a recovery has the pool: its end makes the socket readable, and is the time to arm
/// again.
pub export fn xmem_async_arm(number: u32) i32 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return errors.negative(err);
    const waiter = pool.waiter orelse return errors.negative(error.InvalidArgument);
    var result: i32 = 0;
    if (!pool.async_armed) {
        var patience: thaw.Patience = .none;
        patience.expiry = error.Pending;
        if (waiting.begin(&pool.participant, &patience)) {
            pool.async_armed = true;
        } else |err| {
            result = errors.negative(err);
        }
    }
    waiter_thread.arm(waiter);
    return result;
}

pub export fn xmem_async_disarm(number: u32, pass_on: u32) void {
    const pool = descriptor.poolOf(number);
    if (attend(pool) != null) return;
    if (pool.waiter) |waiter| waiter_thread.disarm(waiter);
    if (!pool.async_armed) return;
    pool.async_armed = false;
    var patience: thaw.Patience = .none;
    waiting.end(&pool.participant, &patience);
    if (pass_on != 0) waiting.passOn(&pool.participant);
}

/// A wait of an event loop ended without a buffer; the loop itself knows when.
pub export fn xmem_async_timed_out(number: u32) void {
    const pool = descriptor.poolOf(number);
    if (attend(pool) != null) return;
    pool.participant.count("timeouts");
}

pub export fn xmem_constant_count() u32 {
    return constants.all.len;
}

pub export fn xmem_constant_name(index: u32, buffer: [*]u8, length: u32) u32 {
    return copyOut(constants.all[index].name, buffer, length);
}

pub export fn xmem_constant_value(index: u32) f64 {
    return constants.all[index].value;
}

comptime {
    if (build_options.hook == .crash) {
        @export(&crashArm, .{ .name = "xmem_crash_arm" });
        @export(&crashSteps, .{ .name = "xmem_crash_steps" });
        @export(&stopArm, .{ .name = "xmem_stop_arm" });
    }
}

fn crashArm(steps: f64) callconv(.c) void {
    crash_point.arm(@intFromFloat(steps), .KILL);
}

fn stopArm(steps: f64) callconv(.c) void {
    crash_point.arm(@intFromFloat(steps), .STOP);
}

fn crashSteps() callconv(.c) f64 {
    return @floatFromInt(crash_point.stepsTaken());
}

/// The yardstick of the benchmarks: `count` pops and pushes of a tagged free list of its own, the
/// least that any pool of this kind can cost.
pub export fn xmem_bench_pop_push(count: u32) void {
    const Node = extern struct { next: u32 align(64) };
    const capacity = 64;
    const state = struct {
        var head: u64 align(64) = 0;
        var nodes: [capacity]Node = undefined;
    };
    for (&state.nodes, 0..) |*node, place| node.next = @intCast(place + 1);
    @atomicStore(u64, &state.head, 0, .monotonic);
    for (0..count) |_| {
        const index = while (true) {
            const head: words.Head = @bitCast(@atomicLoad(u64, &state.head, .acquire));
            const next = @atomicLoad(u32, &state.nodes[head.index].next, .monotonic);
            const to = head.successor(@intCast(next));
            if (words.Head.cas(&state.head, head, to, .acq_rel)) break head.index;
        };
        while (true) {
            const head: words.Head = @bitCast(@atomicLoad(u64, &state.head, .monotonic));
            @atomicStore(u32, &state.nodes[index].next, head.index, .monotonic);
            if (words.Head.cas(&state.head, head, head.successor(index), .seq_cst)) break;
        }
    }
}
