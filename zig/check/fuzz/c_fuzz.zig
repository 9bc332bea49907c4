//! A few operations through the form for C, on an open of their own. The promise is the same:
//! whatever is in shared memory, a call returns, and fails only with a public code.

const c = @import("core").abi.c;
const errors = @import("core").errors;
const operation_file = @import("operation_fuzz.zig");

const User = operation_file.User;
const fail = operation_file.fail;

pub fn use(user: *User) void {
    var pool: c.types.Pool = 0;
    const opened = c.pools.xmem_open(user.name, null, &pool);
    user.checkStatus(opened);
    if (opened != 0) return;
    var held: ?c.types.Handle = null;
    for (0..1 + user.random.uintLessThan(u32, 8)) |_| {
        switch (user.random.uintLessThan(u32, 6)) {
            0, 1 => held = hold(user, pool) orelse held,
            2 => if (held) |handle| {
                held = null;
                user.checkStatus(c.buffers.xmem_release(pool, handle));
            },
            3 => if (held) |handle| lookAt(user, pool, handle),
            4 => countByHand(user, pool),
            else => lookAtPool(user, pool),
        }
    }
    if (c.pools.xmem_close(pool) != 0) fail("a close through C failed", .{});
    if (c.pools.xmem_close(pool) != errors.negative(error.PoolClosed))
        fail("a pool that was closed through C is open", .{});
}

fn refOf(user: *User) u64 {
    return @intFromFloat(@max(user.ref(), 0));
}

fn hold(user: *User, pool: c.types.Pool) ?c.types.Handle {
    var handle: c.types.Handle = 0;
    const status = switch (user.random.uintLessThan(u32, 4)) {
        0 => c.buffers.xmem_acquire(pool, user.size(), &handle),
        1 => c.buffers.xmem_acquire_timed(
            pool,
            user.size(),
            user.random.uintLessThan(u64, 2),
            &handle,
        ),
        2 => c.sharing.xmem_get(pool, refOf(user), &handle),
        else => c.sharing.xmem_take(pool, refOf(user), &handle),
    };
    user.checkStatus(status);
    return if (status == 0) handle else null;
}

fn lookAt(user: *User, pool: c.types.Pool, handle: c.types.Handle) void {
    var data: ?*anyopaque = null;
    var size: usize = 0;
    const found = c.buffers.xmem_data(pool, handle, &data, &size);
    user.checkStatus(found);
    if (found == 0 and size > user.buffer_size) fail("a buffer of {d} bytes", .{size});
    var description: c.types.Description = .{};
    user.checkStatus(c.description.xmem_get_description(pool, handle, &description));
    if (description.shape_count > 8 or description.stride_count > 8)
        fail("{d} and {d} dimensions", .{ description.shape_count, description.stride_count });
    const shape = [_]u64{ 2, 3 };
    user.checkStatus(c.description.xmem_set_shape(pool, handle, &shape, 2));
    user.checkStatus(c.description.xmem_set_dtype(pool, handle, user.random.uintLessThan(u32, 12)));
    user.checkStatus(c.description.xmem_set_producer(pool, handle, "fuzz"));
    user.checkStatus(c.buffers.xmem_truncate(pool, handle, user.size()));
    if (user.random.boolean()) user.checkStatus(c.sharing.xmem_share(pool, handle));
}

fn countByHand(user: *User, pool: c.types.Pool) void {
    const ref = refOf(user);
    var count: u32 = 0;
    user.checkStatus(switch (user.random.uintLessThan(u32, 5)) {
        0 => c.sharing.xmem_add_ref(pool, ref, &count),
        1 => c.sharing.xmem_unref(pool, ref, &count),
        2 => c.sharing.xmem_release_by_hand(pool, ref, &count),
        3 => c.sharing.xmem_ref_count(pool, ref, &count),
        else => c.sharing.xmem_try_release(pool, ref, &count),
    });
    if (count > 65535) fail("a count of {d}", .{count});
}

fn lookAtPool(user: *User, pool: c.types.Pool) void {
    var stats: c.types.PoolStats = .{};
    user.checkStatus(c.looking.xmem_stats(pool, &stats));
    if (stats.free + stats.used != stats.capacity)
        fail("{d} + {d} of {d} buffers", .{ stats.free, stats.used, stats.capacity });
    var rows: [4]c.types.Participant = undefined;
    var count: u32 = 0;
    const row_size = @sizeOf(c.types.Participant);
    user.checkStatus(c.looking.xmem_participants(pool, &rows, row_size, rows.len, &count));
    if (count > rows.len) fail("{d} participants", .{count});
    var report: c.types.ReclaimReport = .{};
    user.checkStatus(c.upkeep.xmem_reclaim(pool, &report));
}
