//! The form of the interface for Bun, which `bun:ffi` calls fast: handles and sizes are doubles.
//! The form for C is in `c.zig`. Numbers are checked for range here and for meaning where they are
//! used. A failed call returns the error's code negated; what more there is to say is in
//! `xmem_bun_error_text`. A pool is named by its number (descriptor.zig), and used on the thread
//! that opened it: one thread, one participant.
//!
//! What TypeScript has to know of it is generated: the types here are those of the table in
//! `generate/typescript.zig`.

const std = @import("std");
const abandoned = @import("../process/abandoned.zig");
const acquire_file = @import("../protocol/pool/acquire.zig");
const atomic = @import("hooks");
const cache = @import("../protocol/pool/cache.zig");
const closing = @import("../process/closing.zig");
const constants = @import("constants.zig");
const deaths = @import("../protocol/deaths.zig");
const description = @import("../protocol/pool/content.zig");
const descriptor = @import("../process/descriptor.zig");
const errors = @import("../errors.zig");
const event_loop = @import("../process/event_loop.zig");
const flush_file = @import("../protocol/pool/flush.zig");
const layout = @import("../format/layout.zig");
const lease = @import("../protocol/pool/lease.zig");
const new_object = @import("../format/new_object.zig");
const holds = @import("../process/holds.zig");
const info = @import("../process/info.zig");
const hold_result = @import("hold_result.zig");
const numbers = @import("numbers.zig");
const observing = @import("../process/observing.zig");
const occupancy = @import("../protocol/occupancy.zig");
const open_pool = @import("../process/open_pool.zig");
const opening = @import("../process/opening.zig");
const options_file = @import("../process/options.zig");
const participant_file = @import("../protocol/participant.zig");
const pool_name = @import("../process/pool_name.zig");
const preallocate_file = @import("../protocol/pool/preallocate.zig");
const recovery = @import("../protocol/recovery/recovery.zig");
const references = @import("../protocol/pool/references.zig");
const statistics = @import("../protocol/statistics.zig");
const system = @import("../system/door.zig");
const trim_file = @import("../protocol/pool/trim.zig");
const views = @import("../process/views.zig");
const waiting = @import("../protocol/pool/waiting.zig");
const words = @import("../format/words.zig");

const Descriptor = descriptor.Descriptor;
const Error = errors.Error;
const Options = options_file.Options;
const Pool = open_pool.Pool;
const dimensions_max = layout.dimensions_max;
const name_room = participant_file.name_room;
const text_room = layout.text_bytes_max + 1;
const attend = holds.attend;
const copyOut = numbers.copyOut;
const countOr = numbers.countOr;
const failed = numbers.failed;
const failedBare = numbers.failedBare;
const fromHandle = numbers.fromHandle;
const generationOf = numbers.generationOf;
const indexOf = numbers.indexOf;
const refOf = numbers.refOf;
const refused = numbers.refused;
const refusedBare = numbers.refusedBare;
const statusOf = numbers.statusOf;
const toNs = numbers.toNs;
const toRef = numbers.toRef;
const toUint32 = numbers.toUint32;

/// The pool's descriptor, above 0.
pub export fn xmem_bun_open(
    how: u32,
    dir: [*:0]const u8,
    name: [*:0]const u8,
    participant_name: [*:0]const u8,
    options: *const Options,
) i32 {
    const pool = opening.open(
        @enumFromInt(how),
        std.mem.span(dir),
        std.mem.span(name),
        std.mem.span(participant_name),
        options,
    ) catch |err| return refused(err);
    return @intCast(descriptor.numberOf(pool));
}

pub export fn xmem_bun_close(number: Descriptor) void {
    const pool = descriptor.poolOf(number);
    closing.close(pool);
}

/// The code of this thread's last failed call, to which the errno and the text belong.
pub export fn xmem_bun_error_code() i32 {
    return errors.lastCode();
}

pub export fn xmem_bun_error_errno() i32 {
    return errors.lastErrno();
}

pub export fn xmem_bun_error_text(buffer: [*]u8, length: u32) u32 {
    return copyOut(errors.lastText(), buffer, length);
}

pub export fn xmem_bun_info(number: Descriptor, out: [*]f64) void {
    const pool = descriptor.poolOf(number);
    info.read(pool, out[0..std.meta.fields(info.Info).len]);
}

pub export fn xmem_bun_unlink(
    dir: [*:0]const u8,
    name: [*:0]const u8,
    device: f64,
    inode: f64,
    pool_id: f64,
) i32 {
    const folder = std.mem.span(dir);
    const removed = pool_name.unlink(folder, std.mem.span(name), device, inode, pool_id) catch |err|
        return refused(err);
    return @intFromBool(removed);
}

/// Removes the names of the ephemeral pools of this user that the dead left in a folder.
pub export fn xmem_bun_remove_left_over(dir: [*:0]const u8) void {
    abandoned.removeLeftOver(std.mem.span(dir));
}

/// 1: this user's pool has no live participant, and its name was removed unless `dry`. 0: it stays.
pub export fn xmem_bun_prune(dir: [*:0]const u8, name: [*:0]const u8, dry: u32) i32 {
    const pruned = abandoned.prune(std.mem.span(dir), std.mem.span(name), dry != 0) catch |err|
        return refused(err);
    return @intFromBool(pruned);
}

/// Counts the views that this open makes; null when memory is short. The caller closes it.
pub export fn xmem_bun_views_open(number: Descriptor) ?*views.Views {
    return views.open(descriptor.poolOf(number));
}

pub export fn xmem_bun_views_close(opened: *views.Views) void {
    views.close(opened);
}

/// The engine is about to get a view of the buffer at `index`.
pub export fn xmem_bun_view_add(opened: *views.Views, index: u32) void {
    views.add(opened, index);
}

/// The signature is that of a deallocator, which the engine calls on any thread.
pub export fn xmem_bun_view_done(bytes: ?*const anyopaque, opened: *views.Views) void {
    views.done(opened, bytes);
}

/// How many views of the buffer are alive, wherever they were transferred to.
pub export fn xmem_bun_view_count(opened: *const views.Views, index: u32) u32 {
    return views.count(opened, index);
}

/// Gives this open's holds back, except for buffers that a view can still reach. Returns the number
/// of those.
pub export fn xmem_bun_give_back_unseen(number: Descriptor, opened: *const views.Views) u32 {
    const pool = descriptor.poolOf(number);
    if (attend(pool) != null) return 0;
    return closing.giveBackHolds(pool, opened);
}

pub export fn xmem_bun_acquire(number: Descriptor, size_number: f64) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failedBare(err);
    const size = toUint32(size_number) orelse return failedBare(error.InvalidArgument);
    const handle = acquire_file.acquire(&pool.participant, size) catch |err| return failed(err);
    holds.add(pool, handle);
    return fromHandle(handle);
}

/// For an event loop: never waits, PENDING while a recovery has the pool.
///
/// `waited_ms`: for how long this loop has waited, 0 at its first try.
pub export fn xmem_bun_acquire_at_once(number: Descriptor, size: u32, waited_ms: f64) f64 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    if (attend(pool)) |err| return failed(err);
    const participant = &pool.participant;
    const handle = acquire_file.acquireAtOnce(participant, size, toNs(waited_ms)) catch |err|
        return failed(err);
    holds.add(pool, handle);
    return fromHandle(handle);
}

pub export fn xmem_bun_release(number: Descriptor, handle_number: f64) void {
    const pool = descriptor.poolOf(number);
    if (attend(pool) != null) return;
    const handle = toRef(handle_number) orelse return;
    _ = holds.giveBack(pool, handle);
}

/// Where a call that made a hold puts the buffer's generation and its size, for the descriptor 0;
/// for each of the others LIMIT_MADE_STRIDE bytes further.
pub export fn xmem_bun_made() *const open_pool.Made {
    return descriptor.firstMade();
}

/// As `xmem_bun_acquire`, but returns the index. That is faster than a handle: everything after an
/// atomic operation waits for it, and converting a number to floating point and back takes long.
pub export fn xmem_bun_acquire_index(number: Descriptor, size: u32) i32 {
    // Each register that a function saves is a store that has to drain before its next atomic
    // operation, and a load after it. So everything uncommon is a call in tail position, and little
    // is kept across an atomic operation: docs/performance.md has the figures.
    const pool = descriptor.poolOf(number);
    if (pool.participant.local.attention != 0) return acquireIndexSlowly(pool, size);
    if (!system.ticker.isTicking()) return acquireIndexSlowly(pool, size);
    const bytes = system.register.single(size);
    const acquired = acquire_file.acquireStraight(&pool.participant, bytes) orelse
        return acquireIndexByAttempts(pool, @truncate(bytes));
    return noteStraight(pool, acquired);
}

/// The same for an open that has a cache of free slots. It is a call of its own, so that others do
/// not ask whether they have one.
pub export fn xmem_bun_acquire_index_cached(number: Descriptor, size: u32) i32 {
    const pool = descriptor.poolOf(number);
    if (pool.participant.local.attention != participant_file.attention_cache)
        return acquireIndexSlowly(pool, size);
    if (!system.ticker.isTicking()) return acquireIndexSlowly(pool, size);
    const bytes = system.register.single(size);
    const acquired = acquire_file.acquireCached(&pool.participant, bytes) orelse
        return acquireIndexSlowly(pool, @truncate(bytes));
    return noteStraight(pool, acquired);
}

/// The straight line alone, for a call that waits otherwise. PENDING: something is uncommon, and
/// nothing was done.
pub export fn xmem_bun_acquire_index_straight(number: Descriptor, size: u32) i32 {
    const pool = descriptor.poolOf(number);
    if (pool.participant.local.attention != 0) return errors.negative(error.Pending);
    if (!system.ticker.isTicking()) _ = system.ticker.recentNs();
    const acquired = acquire_file.acquireStraight(&pool.participant, size) orelse
        return errors.negative(error.Pending);
    return noteStraight(pool, acquired);
}

inline fn noteStraight(pool: *Pool, acquired: acquire_file.Acquired) i32 {
    // It was free, so that nobody had it.
    pool.counts[acquired.index] = 1;
    pool.made.generation = acquired.generation;
    return @intCast(acquired.index);
}

noinline fn acquireIndexSlowly(pool: *Pool, size: u32) i32 {
    errors.clear();
    if (attend(pool)) |err| return refused(err);
    return noteAcquired(pool, acquire_file.acquire(&pool.participant, size));
}

noinline fn acquireIndexByAttempts(pool: *Pool, size: u32) i32 {
    @branchHint(.cold);
    const now_ns = system.ticker.recentNs();
    return noteAcquired(pool, acquire_file.acquireByAttempts(&pool.participant, size, now_ns));
}

fn noteAcquired(pool: *Pool, acquired: Error!u64) i32 {
    const handle = acquired catch |err| return refused(err);
    const index = indexOf(handle);
    pool.counts[index] +|= 1;
    pool.made.generation = generationOf(handle);
    return @intCast(index);
}

pub export fn xmem_bun_release_index(number: Descriptor, index: u32, generation: u32) void {
    const pool = descriptor.poolOf(number);
    if (pool.participant.local.attention != 0) return releaseIndexSlowly(pool, index, generation);
    if (!holds.hasAt(pool, index)) return;
    if (!references.releaseSole(&pool.participant, index, @truncate(generation)))
        return releaseIndexOfSeveral(pool, index, generation);
    pool.counts[index] = 0;
    waiting.wakeOne(&pool.participant);
}

/// Where it is not the only reference. It is a call of its own, so that the common way saves few
/// registers.
noinline fn releaseIndexOfSeveral(pool: *Pool, index: u32, generation: u32) void {
    if (!references.releaseOfSeveral(&pool.participant, index, @truncate(generation)))
        return releaseIndexSlowly(pool, index, generation);
    pool.counts[index] -= 1;
}

pub export fn xmem_bun_release_index_cached(
    number: Descriptor,
    index: u32,
    generation: u32,
) void {
    const pool = descriptor.poolOf(number);
    if (pool.participant.local.attention != participant_file.attention_cache)
        return releaseIndexSlowly(pool, index, generation);
    if (!holds.hasAt(pool, index)) return;
    // Otherwise it is full, or there are more references.
    if (!cache.putStraight(&pool.participant, index, @truncate(generation)))
        return releaseIndexPastCache(pool, index, generation);
    pool.counts[index] = 0;
    if (cache.isAwaited(&pool.participant.view)) return cache.serve(&pool.participant);
}

noinline fn releaseIndexPastCache(pool: *Pool, index: u32, generation: u32) void {
    cache.announceAgain(&pool.participant);
    if (!references.giveBackStraight(&pool.participant, handleOf(index, generation)))
        return releaseIndexSlowly(pool, index, generation);
    pool.counts[index] -= 1;
}

noinline fn releaseIndexSlowly(pool: *Pool, index: u32, generation: u32) void {
    @branchHint(.cold);
    if (attend(pool) != null) return;
    if (!holds.hasAt(pool, index)) return;
    const handle: u64 = @bitCast(handleOf(index, generation));
    if (references.giveBackSlowly(&pool.participant, handle)) pool.counts[index] -= 1;
}

inline fn handleOf(index: u32, generation: u32) words.Handle {
    return .{ .index = @truncate(index), .generation = @truncate(generation) };
}

pub export fn xmem_bun_acquire_blocking(number: Descriptor, size: u32, deadline_ms: f64) f64 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    if (attend(pool)) |err| return failed(err);
    const handle = acquire_file.acquireSlice(
        &pool.participant,
        &pool.wait,
        size,
        toNs(deadline_ms),
    ) catch |err| return failed(err);
    holds.add(pool, handle);
    return fromHandle(handle);
}

pub export fn xmem_bun_now() f64 {
    return @as(f64, @floatFromInt(system.clock.monotonicNs())) / std.time.ns_per_ms;
}

/// A new hold through `operation`: its index. Generation 0: of whatever buffer is in the slot.
inline fn hold(
    pool: *Pool,
    comptime operation: references.Operation,
    index: u32,
    generation: u32,
) i32 {
    if (!holds.needsAttention(pool)) {
        if (holds.holdStraight(pool, operation, index, @truncate(generation)))
            return @intCast(index);
    }
    return Slowly(operation).hold(pool, index, generation);
}

fn Slowly(comptime operation: references.Operation) type {
    return struct {
        noinline fn hold(pool: *Pool, index: u32, generation: u32) i32 {
            if (attend(pool)) |err| return refusedBare(err);
            const ref: u64 = @bitCast(handleOf(index, generation));
            const held = holds.hold(pool, operation, ref) catch |err| return refusedBare(err);
            return hold_result.note(pool, held);
        }
    };
}

pub export fn xmem_bun_get(number: Descriptor, index: u32, generation: u32) i32 {
    return hold(descriptor.poolOf(number), .get, index, generation);
}

/// By a handle or a bare index, which are taken apart here faster than in JavaScript.
pub export fn xmem_bun_get_by_ref(number: Descriptor, ref: f64) i32 {
    return holdBy(number, .get, ref);
}

pub export fn xmem_bun_take_by_ref(number: Descriptor, ref: f64) i32 {
    return holdBy(number, .take, ref);
}

inline fn holdBy(number: u32, comptime operation: references.Operation, ref_number: f64) i32 {
    const pool = descriptor.poolOf(number);
    const ref = toRef(ref_number) orelse return refusedBare(error.InvalidArgument);
    const named: words.Handle = @bitCast(ref);
    return hold(pool, operation, named.index, named.generation);
}

pub export fn xmem_bun_size(number: Descriptor, index: u32) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failedBare(err);
    if (index >= pool.participant.view.geometry.capacity) return failedBare(error.BufferNotFound);
    const size = holds.sizeOf(pool, index) catch |err| return failedBare(err);
    return @floatFromInt(size);
}

/// Bytes of a buffer that have memory: what a holder may look at.
pub export fn xmem_bun_committed(number: Descriptor, index: u32) f64 {
    const pool = descriptor.poolOf(number);
    const view = &pool.participant.view;
    if (index >= view.geometry.capacity) return 0;
    const committed = atomic.load(u64, &view.slots[index].committed, .monotonic);
    return @floatFromInt(@min(committed, view.geometry.stride));
}

pub export fn xmem_bun_truncate(number: Descriptor, handle_number: f64, size: u32) i32 {
    const pool = descriptor.poolOf(number);
    return statusOf(truncate(pool, handle_number, size));
}

fn truncate(pool: *Pool, handle_number: f64, size: u32) Error!void {
    if (attend(pool)) |err| return err;
    return description.truncate(&pool.participant, try refOf(handle_number), size);
}

pub export fn xmem_bun_share(number: Descriptor, index: u32, generation: u32) i32 {
    const pool = descriptor.poolOf(number);
    if (holds.needsAttention(pool)) return shareSlowly(pool, index, generation);
    // The clock is a call. What follows is another one, in tail position, so that few registers are
    // saved for it.
    return shareUntil(pool, index, generation, lease.fromNow(&pool.participant));
}

noinline fn shareUntil(pool: *Pool, index: u32, generation: u32, until: words.Lease) i32 {
    const named: u29 = @truncate(generation);
    if (references.changeStraight(&pool.participant, .share, index, named, until) != null) return 0;
    return shareSlowly(pool, index, generation);
}

noinline fn shareSlowly(pool: *Pool, index: u32, generation: u32) i32 {
    if (attend(pool)) |err| return refusedBare(err);
    const handle: u64 = @bitCast(handleOf(index, generation));
    _ = references.operate(&pool.participant, .share, handle, 0) catch |err|
        return refusedBare(err);
    return 0;
}

pub export fn xmem_bun_hand_off(number: Descriptor, index: u32, generation: u32) i32 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return refusedBare(err);
    return statusOf(holds.handOff(pool, @bitCast(handleOf(index, generation))));
}

inline fn byHand(
    pool: *Pool,
    comptime operation: references.Operation,
    ref_number: f64,
    argument: u32,
) f64 {
    if (attend(pool)) |err| return failedBare(err);
    const ref = toRef(ref_number) orelse return failedBare(error.InvalidArgument);
    const done = references.operate(&pool.participant, operation, ref, argument) catch |err|
        return failedBare(err);
    return @floatFromInt(done.count);
}

pub export fn xmem_bun_add_ref(number: Descriptor, ref: f64) f64 {
    const pool = descriptor.poolOf(number);
    return byHand(pool, .add_ref, ref, 0);
}

pub export fn xmem_bun_unref(number: Descriptor, ref: f64) f64 {
    const pool = descriptor.poolOf(number);
    return byHand(pool, .unref, ref, 0);
}

pub export fn xmem_bun_release_by_hand(number: Descriptor, ref: f64) f64 {
    const pool = descriptor.poolOf(number);
    return byHand(pool, .release_by_hand, ref, 0);
}

pub export fn xmem_bun_set_ref_count(number: Descriptor, ref: f64, count: u32) f64 {
    const pool = descriptor.poolOf(number);
    return byHand(pool, .set_ref_count, ref, count);
}

pub export fn xmem_bun_ref_count(number: Descriptor, ref_number: f64) f64 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return failedBare(err);
    const ref = toRef(ref_number) orelse return failedBare(error.InvalidArgument);
    const counted = references.refCount(&pool.participant, ref) catch |err| return failedBare(err);
    return @floatFromInt(counted);
}

/// 1: recycled by this call. 0: it still has references, or the bare index is free already.
pub export fn xmem_bun_try_release(number: Descriptor, ref: f64) i32 {
    const pool = descriptor.poolOf(number);
    return countOr(tryRelease(pool, ref));
}

fn tryRelease(pool: *Pool, ref: f64) Error!u32 {
    if (attend(pool)) |err| return err;
    return @intFromBool(try holds.tryRelease(pool, try refOf(ref)));
}

pub export fn xmem_bun_release_buffer(number: Descriptor, ref: f64) i32 {
    const pool = descriptor.poolOf(number);
    const counted = byHand(pool, .try_release, ref, 0);
    return if (counted < 0) @intFromFloat(counted) else 0;
}

/// What fills the pool; see `occupancy.zig`. `name` is that of the participant that holds most.
pub export fn xmem_bun_filling(
    number: Descriptor,
    out: *[occupancy.field_count]f64,
    name: *[name_room]u8,
) i32 {
    const pool = descriptor.poolOf(number);
    if (attend(pool)) |err| return errors.negative(err);
    occupancy.look(&pool.participant, out, name);
    return 0;
}

/// How many generations ago the slot had the handle's generation. -1: never, as far as is known:
/// generations begin again after 2^29.
pub export fn xmem_bun_handle_age(number: Descriptor, handle_number: f64) f64 {
    const pool = descriptor.poolOf(number);
    const mapping = pool.mapping orelse return -1;
    const handle: words.Handle = @bitCast(toRef(handle_number) orelse return -1);
    const view = &mapping.view;
    if (handle.index >= view.geometry.capacity) return -1;
    const control = words.Control.load(&view.slots[handle.index].control, .monotonic);
    const first = new_object.firstGeneration(mapping.identity.pool_id, handle.index);
    const age = words.generationsBetween(handle.generation, control.generation);
    // The first one is the slot's before anybody acquired it.
    if (age >= words.generationsBetween(first, control.generation)) return -1;
    return @floatFromInt(age);
}

pub export fn xmem_bun_preallocate(number: Descriptor, size: u32, count: u32) f64 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    if (attend(pool)) |err| return failed(err);
    const bytes = preallocate_file.preallocate(&pool.participant, size, count) catch |err|
        return failed(err);
    return @floatFromInt(bytes);
}

pub export fn xmem_bun_trim(number: Descriptor) f64 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    if (attend(pool)) |err| return failed(err);
    const bytes = trim_file.all(&pool.participant) catch |err| return failed(err);
    return @floatFromInt(bytes);
}

pub export fn xmem_bun_flush(number: Descriptor, on: u32) i32 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    if (attend(pool)) |err| return refused(err);
    flush_file.set(&pool.participant, on != 0) catch |err| return refused(err);
    return 0;
}

pub export fn xmem_bun_reclaim(number: Descriptor, out: *[constants.reclaim_count]f64) i32 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    if (attend(pool)) |err| return refused(err);
    const report = recovery.runPatiently(&pool.participant.view) catch |err| return refused(err);
    out.* = .{
        @floatFromInt(report.participants),
        @floatFromInt(report.references),
        @floatFromInt(report.buffers),
        @floatFromInt(@intFromBool(report.deferred)),
    };
    return 0;
}

pub export fn xmem_bun_stats(number: Descriptor, out: [*]f64) i32 {
    const pool = descriptor.poolOf(number);
    const mapping = pool.mapping orelse return refusedBare(error.PoolClosed);
    const values = out[0..statistics.stat_count];
    statistics.collect(&mapping.view, values);
    const linked = @intFromBool(pool_name.linked(pool));
    values[@intFromEnum(statistics.Stat.LINKED)] = @floatFromInt(linked);
    return 0;
}

/// Those of the same numbers for which no slot has to be looked at; the rest is 0.
pub export fn xmem_bun_sums(number: Descriptor, out: [*]f64) i32 {
    const mapping = descriptor.poolOf(number).mapping orelse return refusedBare(error.PoolClosed);
    statistics.collectSums(&mapping.view, out[0..statistics.stat_count]);
    return 0;
}

/// Every row that was ever taken, in order, by `deaths.Field` and with a name. Returns how many were
/// written.
pub export fn xmem_bun_deaths(
    number: Descriptor,
    out: [*]f64,
    names: [*]u8,
    rows_max: u32,
) u32 {
    const mapping = descriptor.poolOf(number).mapping orelse return 0;
    const values = out[0 .. rows_max * deaths.field_count];
    return deaths.read(&mapping.view, values, names[0 .. rows_max * name_room]);
}

pub export fn xmem_bun_participants(
    number: Descriptor,
    out: [*]f64,
    names: [*]u8,
    rows_max: u32,
) u32 {
    const pool = descriptor.poolOf(number);
    const mapping = pool.mapping orelse return 0;
    const values = out[0 .. rows_max * statistics.participant_field_count];
    const names_all = names[0 .. rows_max * name_room];
    return statistics.participants(&mapping.view, values, names_all, rows_max);
}

/// `allow_owner` and `allow_group` below 0: nobody besides this user and root, to root everybody.
pub export fn xmem_bun_observe(
    dir: [*:0]const u8,
    name: [*:0]const u8,
    allow_owner: f64,
    allow_group: f64,
) i32 {
    const folder = std.mem.span(dir);
    const pool = observing.observe(folder, std.mem.span(name), allow_owner, allow_group) catch |err|
        return refused(err);
    return @intCast(descriptor.numberOf(pool));
}

pub export fn xmem_bun_unobserve(number: Descriptor) void {
    const pool = descriptor.poolOf(number);
    observing.unobserve(pool);
}

/// A description's field by its number, for a pool that this process may use.
inline fn field(comptime Field: type, pool: *Pool, number: u32) Error!Field {
    if (attend(pool)) |err| return err;
    return std.enums.fromInt(Field, number) orelse error.InvalidArgument;
}

pub export fn xmem_bun_meta_number(number: Descriptor, handle: f64, which: u32) f64 {
    const pool = descriptor.poolOf(number);
    return metaNumber(pool, handle, which) catch |err| failedBare(err);
}

fn metaNumber(pool: *Pool, handle: f64, which: u32) Error!f64 {
    const number = try field(description.Number, pool, which);
    return description.number(&pool.participant, try refOf(handle), number);
}

pub export fn xmem_bun_meta_set_number(
    number: Descriptor,
    handle: f64,
    which: u32,
    value: f64,
) i32 {
    const pool = descriptor.poolOf(number);
    return statusOf(metaSetNumber(pool, handle, which, value));
}

fn metaSetNumber(pool: *Pool, handle: f64, which: u32, value: f64) Error!void {
    const number = try field(description.Number, pool, which);
    return description.setNumber(&pool.participant, try refOf(handle), number, value);
}

pub export fn xmem_bun_meta_dims(
    number: Descriptor,
    handle: f64,
    which: u32,
    out: *[dimensions_max]f64,
) i32 {
    const pool = descriptor.poolOf(number);
    return countOr(metaDims(pool, handle, which, out));
}

fn metaDims(pool: *Pool, handle: f64, which: u32, out: *[dimensions_max]f64) Error!u32 {
    const dims = try field(description.Dims, pool, which);
    return description.dims(&pool.participant, try refOf(handle), dims, out);
}

pub export fn xmem_bun_meta_set_dims(
    number: Descriptor,
    handle: f64,
    which: u32,
    values: [*]const f64,
    length: u32,
) i32 {
    const pool = descriptor.poolOf(number);
    return statusOf(metaSetDims(pool, handle, which, values[0..length]));
}

fn metaSetDims(pool: *Pool, handle: f64, which: u32, values: []const f64) Error!void {
    const dims = try field(description.Dims, pool, which);
    return description.setDims(&pool.participant, try refOf(handle), dims, values);
}

pub export fn xmem_bun_meta_text(
    number: Descriptor,
    handle: f64,
    which: u32,
    out: *[text_room]u8,
) i32 {
    const pool = descriptor.poolOf(number);
    return countOr(metaText(pool, handle, which, out));
}

fn metaText(pool: *Pool, handle: f64, which: u32, out: *[text_room]u8) Error!u32 {
    const text = try field(description.Text, pool, which);
    return description.text(&pool.participant, try refOf(handle), text, out);
}

pub export fn xmem_bun_meta_set_text(
    number: Descriptor,
    handle: f64,
    which: u32,
    text: [*]const u8,
    length: u32,
) i32 {
    const pool = descriptor.poolOf(number);
    return statusOf(metaSetText(pool, handle, which, text[0..length]));
}

fn metaSetText(pool: *Pool, handle: f64, which: u32, value: []const u8) Error!void {
    const text = try field(description.Text, pool, which);
    return description.setText(&pool.participant, try refOf(handle), text, value);
}

/// Begins to watch the pool for an event loop of this thread. `loop`: its number; 0: a new one,
/// which ends with the last of its places. `tag`: what `xmem_bun_loop_signalled` says of this
/// place. Returns the loop's number.
pub export fn xmem_bun_async_open(number: Descriptor, loop: u32, tag: u32) i32 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    if (attend(pool)) |err| return refused(err);
    return pool.async_wait.open(waiting, &pool.participant, loop, tag) catch |err| refused(err);
}

/// The event loop's end of a socket that becomes readable when a try is worth it somewhere; -1
/// where there is no such loop. Who asks for it has to close it.
pub export fn xmem_bun_loop_socket(loop: u32) i32 {
    const found = event_loop.find(loop) orelse return -1;
    return found.loop_socket;
}

/// After the socket was read: writes the tags of the places where a try is worth it, and returns
/// their number. Where that is `room`, call again.
pub export fn xmem_bun_loop_signalled(loop: u32, tags: [*]u32, room: u32) u32 {
    const found = event_loop.find(loop) orelse return 0;
    return found.signalled(tags[0..room]);
}

/// PENDING while a recovery has the pool: its end makes the socket readable, and is the time to arm
/// again.
///
/// `due_ms`: when the first of the loop's waits ends, so that the loop is told even if its own
/// timers stand still.
pub export fn xmem_bun_async_arm(number: Descriptor, due_ms: f64) i32 {
    const pool = descriptor.poolOf(number);
    errors.clear();
    if (attend(pool)) |err| return refused(err);
    pool.async_wait.arm(waiting, &pool.participant, toNs(due_ms)) catch |err| return refused(err);
    return 0;
}

pub export fn xmem_bun_async_disarm(number: Descriptor, pass_on: u32) void {
    const pool = descriptor.poolOf(number);
    if (attend(pool) != null) return;
    pool.async_wait.disarm(waiting, &pool.participant, pass_on != 0);
}

/// Counts a wait of an event loop that ended without a buffer.
pub export fn xmem_bun_async_timed_out(number: Descriptor) void {
    const pool = descriptor.poolOf(number);
    if (attend(pool) != null) return;
    pool.participant.count("timeouts");
}

pub export fn xmem_bun_constant_count() u32 {
    return constants.all.len;
}

pub export fn xmem_bun_constant_name(index: u32, buffer: [*]u8, length: u32) u32 {
    return copyOut(constants.all[index].name, buffer, length);
}

pub export fn xmem_bun_constant_value(index: u32) f64 {
    return constants.all[index].value;
}
