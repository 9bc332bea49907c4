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
    // 0 until one is open, and stale after it was left: both are refused.
    var channel: c.types.Channel = 0;
    for (0..1 + user.random.uintLessThan(u32, 8)) |_| {
        switch (user.random.uintLessThan(u32, 12)) {
            0, 1 => held = hold(user, pool) orelse held,
            2 => if (held) |handle| {
                held = null;
                user.checkStatus(c.buffers.xmem_release(pool, handle));
            },
            3 => if (held) |handle| lookAt(user, pool, handle),
            4 => countByHand(user, pool),
            5 => lookAtPool(user, pool),
            6 => channel = openChannel(user, pool) orelse channel,
            7 => if (held) |handle| {
                if (send(user, pool, channel, handle)) held = null;
            },
            8 => held = receive(user, pool, channel) orelse held,
            9 => if (held) |handle| {
                held = ask(user, pool, channel, handle);
            },
            10 => if (held) |handle| {
                held = answer(user, pool, handle);
            },
            else => useChannel(user, pool, &channel),
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

fn openChannel(user: *User, pool: c.types.Pool) ?c.types.Channel {
    const random = user.random;
    var options: c.types.ChannelOptions = .{
        .capacity = random.uintLessThan(u32, 5),
        .mode = random.uintLessThan(u32, 4),
        .overflow = random.uintLessThan(u32, 5),
        .history = random.uintLessThan(u32, 3),
        .sends_only = random.uintLessThan(u32, 2),
    };
    const names = [_][:0]const u8{ "a", "b", "c" };
    if (random.uintLessThan(u32, 3) == 0) {
        options.mode = 0;
        options.history = 0;
        options.redeliver = 1;
        options.max_deliveries = random.uintLessThan(u32, 3);
        if (random.boolean()) options.dead_letter = names[random.uintLessThan(usize, names.len)];
    }
    var channel: c.types.Channel = 0;
    const given = if (random.boolean()) &options else null;
    const name = names[random.uintLessThan(usize, names.len)];
    const status = c.channels.xmem_channel_open(pool, name, given, &channel);
    user.checkStatus(status);
    return if (status == 0) channel else null;
}

fn send(user: *User, pool: c.types.Pool, channel: c.types.Channel, handle: c.types.Handle) bool {
    var dropped: u32 = 0;
    const status = switch (user.random.uintLessThan(u32, 3)) {
        0 => c.channels.xmem_try_send(pool, channel, handle),
        1 => c.channels.xmem_send_timed(pool, channel, handle, user.random.uintLessThan(u64, 2)),
        else => c.channels.xmem_send(pool, channel, handle, &dropped),
    };
    user.checkStatus(status);
    if (dropped > 1) fail("a send drops {d}", .{dropped});
    return status == 0;
}

fn receive(user: *User, pool: c.types.Pool, channel: c.types.Channel) ?c.types.Handle {
    var handle: c.types.Handle = 0;
    const timed = user.random.boolean();
    const status = if (timed)
        c.channels.xmem_receive_timed(pool, channel, user.random.uintLessThan(u64, 2), &handle)
    else
        c.channels.xmem_receive(pool, channel, &handle);
    user.checkStatus(status);
    if (status != 0 and handle != 0) fail("a failed receive gives {d}", .{handle});
    if (status == 0 and timed and handle == 0) fail("a receive that waited gives nothing", .{});
    var deliveries: u32 = 0;
    if (handle != 0) user.checkStatus(c.channels.xmem_deliveries(pool, handle, &deliveries));
    return if (handle == 0) null else handle;
}

/// The reply, where one came. What could not be sent is left to the close.
fn ask(
    user: *User,
    pool: c.types.Pool,
    channel: c.types.Channel,
    handle: c.types.Handle,
) ?c.types.Handle {
    var reply: c.types.Handle = 0;
    const timeout_ms = user.random.uintLessThan(u64, 2);
    const status = c.requests.xmem_request(pool, channel, handle, timeout_ms, &reply);
    user.checkStatus(status);
    if ((status == 0) != (reply != 0)) fail("a request with {d} gives {d}", .{ status, reply });
    return if (reply == 0) null else reply;
}

/// With the request itself, which is held still where that fails.
fn answer(user: *User, pool: c.types.Pool, handle: c.types.Handle) ?c.types.Handle {
    var number: u64 = 0;
    user.checkStatus(c.requests.xmem_request_number(pool, handle, &number));
    const status = if (user.random.boolean())
        c.requests.xmem_reply(pool, handle, handle)
    else
        c.requests.xmem_refuse(pool, handle);
    user.checkStatus(status);
    return if (status == 0) null else handle;
}

fn useChannel(user: *User, pool: c.types.Pool, channel: *c.types.Channel) void {
    switch (user.random.uintLessThan(u32, 5)) {
        0 => user.checkStatus(c.channels.xmem_channel_close(pool, channel.*)),
        1 => {
            const left = c.channels.xmem_channel_leave(pool, channel.*);
            user.checkStatus(left);
            const again = c.channels.xmem_channel_leave(pool, channel.*);
            if (left == 0 and again != errors.negative(error.ChannelClosed))
                fail("a channel that was left is open", .{});
        },
        2 => {
            const sources = [_]c.types.Source{
                .{ .pool = pool, .channel = channel.* },
                .{ .pool = pool, .channel = 0 },
            };
            var place: u32 = 0;
            const timeout_ms = user.random.uintLessThan(u64, 2);
            user.checkStatus(c.channels.xmem_wait_any(&sources, 2, timeout_ms, &place));
            if (place > 1) fail("a wait at two gives {d}", .{place});
        },
        3 => lookAtChannels(user, pool),
        else => {
            var info: c.types.ChannelInfo = undefined;
            info.size = @sizeOf(c.types.ChannelInfo);
            user.checkStatus(c.channels.xmem_get_channel_info(pool, channel.*, &info));
            var stats: c.types.ChannelStats = .{};
            user.checkStatus(c.looking.xmem_get_channel_stats(pool, channel.*, &stats));
            if (stats.queued > stats.capacity)
                fail("{d} of {d} queued", .{ stats.queued, stats.capacity });
        },
    }
}

/// Through the open, or from outside.
fn lookAtChannels(user: *User, open: c.types.Pool) void {
    var pool = open;
    const observes = user.random.boolean();
    if (observes) {
        const status = c.folder.xmem_observe(user.name, null, &pool);
        user.checkStatus(status);
        if (status != 0) return;
    }
    var rows: [4]c.types.ChannelStats = undefined;
    var count: u32 = 0;
    const row_size = @sizeOf(c.types.ChannelStats);
    user.checkStatus(c.looking.xmem_channels(pool, &rows, row_size, rows.len, &count));
    if (count > rows.len) fail("{d} channels", .{count});
    for (rows[0..count]) |row| {
        var subscribers: [4]c.types.Subscriber = undefined;
        var written: u32 = 0;
        const size = @sizeOf(c.types.Subscriber);
        const most = subscribers.len;
        const number = row.number;
        user.checkStatus(
            c.looking.xmem_subscribers(pool, number, &subscribers, size, most, &written),
        );
        if (written > most) fail("{d} subscribers", .{written});
    }
    if (observes) user.checkStatus(c.pools.xmem_close(pool));
}
