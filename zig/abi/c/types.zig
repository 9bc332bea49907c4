//! The form for C: the types that its calls take and fill.

const std = @import("std");
const channel_statistics = @import("../../protocol/channel/statistics.zig");
const layout = @import("../../format/layout.zig");
const participant_file = @import("../../protocol/participant.zig");

const name_room = participant_file.name_room;

/// An open pool, like a file descriptor: a number above 0, good in the process and on the thread
/// that opened it, until it is closed. 0 and a stale one are refused.
pub const Pool = u32;

/// Names one use of one buffer: the handle of a buffer that was recycled since is refused. It is
/// below 2^53, so that it fits a double. A function that takes a `ref` also takes the buffer's bare
/// index, `xmem_index(handle)`, which names the buffer's present use, whichever that is.
pub const Handle = u64;

/// An open channel of an open pool: a number above 0, good for that pool until the channel is left
/// or the pool closed. 0 and a stale one are refused.
pub const Channel = u32;

/// `timeout_ms` of a wait without an end.
pub const forever = std.math.maxInt(u64);

/// `lease_timeout_ms` of in-flight references that never expire.
pub const lease_never = std.math.maxInt(u32);

/// How to make or open a pool. Set everything to 0, then `size` to `sizeof(xmem_options)`, then the
/// fields that shall differ from their default, which is 0.
pub const Options = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(Options),
    /// Buffers, 1 to 2^24 - 2; default 1024.
    capacity: u32 = 0,
    /// The most bytes that one buffer can have; default 1 MiB, virtual until used.
    buffer_size: u32 = 0,
    /// Threads that may have the pool open at once, 1 to 4096; default 64.
    max_participants: u32 = 0,
    /// Milliseconds that an in-flight reference lives; default 30000; XMEM_LEASE_NEVER: it never
    /// expires.
    lease_timeout_ms: u32 = 0,
    /// Bytes of data that may be committed at once; default: capacity times buffer size.
    max_committed_bytes: u64 = 0,
    /// How many channels the pool has room for, at most 1024; default 16.
    channels: u32 = 0,
    /// Permission bits, whatever the umask; default 0600, at most 0777.
    mode: u32 = 0,
    /// Not 0: a buffer's bytes are zeroed when it is recycled.
    zero_on_release: u32 = 0,
    /// Not 0: the last participant that leaves removes the name.
    ephemeral: u32 = 0,
    /// Not 0: `xmem_open_or_create` replaces a pool that has no live participant.
    replace_abandoned: u32 = 0,
    /// A user whose pools are trusted, besides those of this user and of root.
    allow_owner: u32 = 0,
    /// A group whose pools are trusted; one that is made belongs to it, by default with mode 0660.
    allow_group: u32 = 0,
    /// So many buffers that this thread gave back are kept for its own next acquires, at most 512, and
    /// go to others only where the pool has no more. Default 0.
    local_cache: u32 = 0,
    /// What `xmem_participants` shows for this thread, at most 31 bytes; NULL: nothing.
    participant_name: ?[*:0]const u8 = null,
};

/// What a pool was made with. The caller sets `size`.
pub const PoolInfo = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(PoolInfo),
    /// Buffers.
    capacity: u32,
    /// The most bytes that one buffer can have.
    buffer_size: u32,
    /// Threads that may have the pool open at once.
    max_participants: u32,
    /// Milliseconds that an in-flight reference lives; XMEM_LEASE_NEVER: it never expires.
    lease_timeout_ms: u32,
    /// Bytes of data that may be committed at once.
    max_committed_bytes: u64,
    /// Bytes of the object: address space, not memory.
    total_bytes: u64,
    /// When it was made, in milliseconds since 1970.
    created_at_ms: u64,
    /// How many channels it has room for.
    channels: u32,
    /// Permission bits.
    mode: u32,
    /// The user that owns it.
    owner: u32,
    /// 1: a buffer's bytes are zeroed when it is recycled.
    zero_on_release: u32,
    /// 1: the last participant that leaves removes the name.
    ephemeral: u32,
    /// The group that owns it.
    group: u32,
};

/// What goes on in a pool. In a busy one each number is true of some moment, not all of the same.
/// The caller sets `size`.
pub const PoolStats = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(PoolStats),
    /// Buffers: `free` and `used` ones.
    capacity: u64 = 0,
    /// Buffers that nobody uses.
    free: u64 = 0,
    /// Buffers that are in use, including parked ones.
    used: u64 = 0,
    /// Buffers that were counted to 0 by hand and not recycled yet.
    parked: u64 = 0,
    /// References that are on their way between participants.
    in_flight: u64 = 0,
    /// Participants that wait for a buffer.
    waiters: u64 = 0,
    /// Bytes of data that have memory, without the control area.
    committed_bytes: u64 = 0,
    /// 1: somebody flushes the pool.
    flushing: u64 = 0,
    /// 1: the name still leads to this pool.
    linked: u64 = 0,
    /// Milliseconds since the oldest lease that has not ended began.
    oldest_lease_ms: u64 = 0,
    /// Milliseconds since the buffer was acquired that has been held for longest.
    longest_hold_ms: u64 = 0,
    /// Participants that live.
    alive: u64 = 0,
    /// Buffers acquired since the pool was made.
    acquired: u64 = 0,
    /// Buffers released since the pool was made.
    released: u64 = 0,
    /// Acquires that found the pool full and did not wait.
    full: u64 = 0,
    /// Waits that began.
    waits: u64 = 0,
    /// Waits that ended without a buffer.
    timeouts: u64 = 0,
    /// Recoveries that ran.
    recoveries: u64 = 0,
    /// Recoveries that were put off because a participant stood still inside an operation.
    deferred: u64 = 0,
    /// Acquires that failed for want of memory.
    out_of_memory: u64 = 0,
    /// Dead participants whose rows recoveries emptied.
    recovered_participants: u64 = 0,
    /// Holds of the dead and references with expired leases that recoveries dropped.
    recovered_references: u64 = 0,
    /// Buffers that recoveries gave back.
    recovered_buffers: u64 = 0,
    /// Of those references, the ones with expired leases.
    expired_references: u64 = 0,
    /// Bytes of memory that buffers got since the pool was made.
    bytes_committed: u64 = 0,
    /// Bytes of memory that buffers lost again, by `xmem_trim` or since another buffer needed it.
    bytes_given_back: u64 = 0,
};

/// A thread that has the pool open, or had when it died.
pub const Participant = extern struct {
    /// The number of its row.
    row: u64 = 0,
    /// Its process's id, as that process knows it.
    pid: u64 = 0,
    /// Its thread's id, as that process knows it.
    tid: u64 = 0,
    /// 0: it is dead, and what it held is not given back yet.
    alive: u64 = 0,
    /// References that it owns.
    holds: u64 = 0,
    /// 1: it waits for a buffer.
    waiting: u64 = 0,
    /// When its process started, in clock ticks since boot; 0 where that is unknown.
    started: u64 = 0,
    /// Buffers that it acquired.
    acquired: u64 = 0,
    /// Buffers that it released.
    released: u64 = 0,
    /// Its waits.
    waits: u64 = 0,
    /// Its waits that ended without a buffer.
    timeouts: u64 = 0,
    /// The name that it gave itself, ended by a 0.
    name: [32]u8 = @splat(0),
};

/// What a buffer's bytes mean. Each acquire resets it. The caller sets `size`.
pub const Description = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(Description),
    /// One of XMEM_DTYPE_UINT8 ...; default XMEM_DTYPE_UINT8.
    dtype: u32 = 0,
    /// How many numbers of `shape` are used; default 1.
    shape_count: u32 = 0,
    /// Elements per dimension; default: one dimension of as many as the buffer has bytes.
    shape: [8]u64 = @splat(0),
    /// How many numbers of `strides` are used.
    stride_count: u32 = 0,
    /// Always 0.
    reserved: u32 = 0,
    /// Bytes from one element to the next, per dimension. Strides that are the contiguous ones
    /// change with shape and dtype.
    strides: [8]i64 = @splat(0),
    /// The producer decides its unit; default 0.
    timestamp: u64 = 0,
    /// Default 0.
    sequence: u64 = 0,
    /// UTF-8, ended by a 0; default empty.
    content_type: [32]u8 = @splat(0),
    /// UTF-8, ended by a 0; default empty.
    producer: [32]u8 = @splat(0),
};

/// What a channel is to be, and what this open of it does. Set everything to 0, then `size` to
/// `sizeof(xmem_channel_options)`, then the fields that shall differ from their default, which is
/// 0. A channel that exists has to be as the fields say that are not 0.
pub const ChannelOptions = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(ChannelOptions),
    /// How many buffers can be queued, 1 to 65536; default 16. One that exists may have more.
    capacity: u32 = 0,
    /// XMEM_MODE_QUEUE, the default: each buffer goes to one receiver. XMEM_MODE_BROADCAST: to
    /// every subscriber.
    mode: u32 = 0,
    /// What `xmem_send` does where the channel is full. XMEM_OVERFLOW_BLOCK, the default: it
    /// refuses the buffer. XMEM_OVERFLOW_DROP_NEWEST: it drops the buffer.
    /// XMEM_OVERFLOW_DROP_OLDEST: it drops the one that has been queued for longest.
    overflow: u32 = 0,
    /// Of a broadcast, how many of the newest buffers stay for subscribers that come late; below
    /// `capacity`.
    history: u32 = 0,
    /// Not 0: this open does not receive, and does not subscribe to a broadcast.
    sends_only: u32 = 0,
    /// Of a queue: not 0: what a receiver holds when it dies goes back to the channel, ahead of
    /// newer buffers. Its release, by `xmem_release` say, ends that.
    redeliver: u32 = 0,
    /// How often a buffer is received at most, where `redeliver` is not 0; default 5.
    max_deliveries: u32 = 0,
    /// Always 0.
    reserved: u32 = 0,
    /// The name of the channel to which a buffer goes that was received so often. NULL, or where
    /// there is no such queue just then: it is recycled, and counted as dropped.
    dead_letter: ?[*:0]const u8 = null,
};

/// What a channel was made as. The caller sets `size`.
pub const ChannelInfo = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(ChannelInfo),
    /// How many buffers can be queued.
    capacity: u32,
    /// XMEM_MODE_QUEUE or XMEM_MODE_BROADCAST.
    mode: u32,
    /// One of XMEM_OVERFLOW_BLOCK ...
    overflow: u32,
    /// Of a broadcast, how many of the newest buffers stay for subscribers that come late.
    history: u32,
    /// 1: what a receiver holds when it dies comes back.
    redeliver: u32,
    /// How often a buffer is received at most; 0 where nothing comes back.
    max_deliveries: u32,
};

/// What goes on in a channel. In a busy one each number is true of some moment, not all of the
/// same. The caller sets `size`.
pub const ChannelStats = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(ChannelStats),
    /// Its number in the pool, as `xmem_subscribers` takes it.
    number: u64 = 0,
    /// XMEM_MODE_QUEUE or XMEM_MODE_BROADCAST.
    mode: u64 = 0,
    /// One of XMEM_OVERFLOW_BLOCK ...
    overflow: u64 = 0,
    /// How many buffers can be queued.
    capacity: u64 = 0,
    /// Of a broadcast, how many of the newest buffers stay for subscribers that come late.
    history: u64 = 0,
    /// 1: what a receiver holds when it dies comes back.
    redeliver: u64 = 0,
    /// How often a buffer is received at most; 0 where nothing comes back.
    max_deliveries: u64 = 0,
    /// 1: somebody closed it.
    closed: u64 = 0,
    /// Participants that have it open.
    open_by: u64 = 0,
    /// Buffers that are in it.
    queued: u64 = 0,
    /// Buffers that were sent since it was made.
    sent: u64 = 0,
    /// Buffers that were received; of a broadcast the sum over all subscribers.
    received: u64 = 0,
    /// Buffers that were dropped because it was full, or because they had been received too often.
    dropped: u64 = 0,
    /// Buffers that came back after their receivers died.
    redelivered: u64 = 0,
    /// Participants that wait for room.
    waiting_senders: u64 = 0,
    /// Participants that wait for a buffer.
    waiting_receivers: u64 = 0,
    /// Opens that subscribe to a broadcast.
    subscribers: u64 = 0,
    /// Its name, ended by a 0.
    name: [64]u8 = @splat(0),
};

/// An open that subscribes to a broadcast.
pub const Subscriber = extern struct {
    /// Its process's id, as that process knows it.
    pid: u64 = 0,
    /// Its thread's id, as that process knows it.
    tid: u64 = 0,
    /// 0: its participant is dead.
    alive: u64 = 0,
    /// Buffers in the channel that it has still to receive.
    lag: u64 = 0,
    /// Buffers that it received.
    received: u64 = 0,
    /// Buffers that were dropped before it received them.
    missed: u64 = 0,
};

/// Where `xmem_wait_any` waits.
pub const Source = extern struct {
    /// An open pool.
    pool: Pool,
    /// An open channel of the pool that receives; 0: the wait is for a free buffer of the pool.
    channel: Channel,
};

/// The name of a pool.
pub const PoolName = extern struct {
    /// Ended by a 0.
    name: [208]u8 = @splat(0),
};
pub const pool_name_room = @sizeOf(PoolName);

/// What a recovery gave back. The caller sets `size`.
pub const ReclaimReport = extern struct {
    /// Bytes of this struct, as the caller was compiled with it.
    size: usize = @sizeOf(ReclaimReport),
    /// Dead participants whose rows were emptied.
    participants: u32 = 0,
    /// Holds and expired in-flight references that were dropped.
    references: u32 = 0,
    /// Buffers that became free.
    buffers: u32 = 0,
    /// 1: a live participant stands still inside an operation; a later recovery finishes the job.
    deferred: u32 = 0,
};

/// The size that each struct had in the first header: programs are compiled with it. A struct may
/// grow at its end, and must not change otherwise; this size stays the least that is accepted.
pub fn firstSize(comptime Struct: type) usize {
    return switch (Struct) {
        Options => 72,
        PoolInfo => 72,
        PoolStats => 216,
        Participant => 120,
        Description => 232,
        ChannelOptions => 48,
        ChannelInfo => 32,
        ChannelStats => 208,
        Subscriber => 48,
        PoolName => 208,
        ReclaimReport => 24,
        else => @compileError(@typeName(Struct) ++ " has no size of its own"),
    };
}

comptime {
    // As they are now: none has grown yet.
    const all = .{
        Options,
        PoolInfo,
        PoolStats,
        Participant,
        Description,
        ChannelOptions,
        ChannelInfo,
        ChannelStats,
        Subscriber,
        PoolName,
        ReclaimReport,
    };
    for (all) |Struct| std.debug.assert(@sizeOf(Struct) == firstSize(Struct));
    // An array of them has no size of a row beside it: it cannot grow.
    std.debug.assert(@sizeOf(Source) == 8);
    std.debug.assert(layout.dimensions_max == 8 and layout.text_bytes_max == 31);
    std.debug.assert(name_room == 32 and channel_statistics.name_room == 64);
}
