//! The structs in shared memory, byte by byte: a wire format between processes, checked at compile
//! time. Sections are computed and validated in `geometry.zig`; what the words mean is in
//! `words.zig`. No code here reads or writes shared memory.

const std = @import("std");
const hooks = @import("hooks");
const RobustMutex = @import("../system/door.zig").RobustMutex;

pub const magic: u64 = 0x314d_454d_5f4c_4f50; // "POL_MEM1"
pub const version: u32 = 8;
pub const section_alignment: u64 = 128;

pub const dimensions_max = 8;
pub const text_bytes_max = 31;
pub const name_bytes_max = 31;
pub const participants_max = 4096;
pub const channels_max = 1024;
/// One bit for the pool, and one for each end of each channel.
pub const waiting_words = (1 + 2 * channels_max + 63) / 64;

pub const state_ready: u32 = 1;
/// The name was taken away, because nobody alive had the pool: see `names.zig`.
pub const state_removed: u32 = 2;

/// Written once, before anybody else can see the object, and never changed: all but `state`.
pub const Identity = extern struct {
    magic: u64,
    version: u32,
    libc_kind: u32,
    layout_hash: u64,
    pool_id: u64,
    created_at_ms: u64,
    buffer_size: u64,
    stride: u64,
    max_committed: u64,
    total_size: u64,
    participants_offset: u64,
    slots_offset: u64,
    hold_rows_offset: u64,
    hold_row_stride: u64,
    channels_offset: u64,
    channel_stride: u64,
    data_offset: u64,
    capacity: u32,
    participant_count: u32,
    channel_count: u32,
    page_size: u32,
    lease_timeout_ms: u32,
    zero_on_release: u32,
    ephemeral: u32,
    state: u32,
};

/// The words that every operation touches.
pub const Hot = extern struct {
    free_head: u64,
    waiters: u32,
    wake_seq: u32,
    /// The flusher, and the waiter that goes first: `words.Gate`.
    gate: u64,
    /// Rows at and past it were never joined. Grows only.
    rows_used: u32,
    /// Raised by each waiter that is about to sleep until a buffer is released.
    sleeps: u32,
    /// Blocks of channels at and past it were never committed, and must not be touched. Grows only.
    channels_used: u32,
    /// 1: somebody has, or had, a cache of free slots, so that an empty list is not all there is.
    cached: u32,
    reserved: [88]u8,
};

/// What recovery needs, away from the hot words.
pub const Repair = extern struct {
    mutex: RobustMutex,
    /// The pool stands still and is being rewritten: a successor goes on, and never defers.
    still: u32,
    /// Changes at the end of each recovery and of each work on free slots; a participant that met
    /// something frozen or marked sleeps on it.
    epoch: u32,
    /// When a deferred recovery may be tried again, and how long the last pause was.
    retry_at_ns: u64,
    retry_pause_ns: u64,
    /// When a pool without buffers or memory may next be searched for expired leases and damage.
    lease_scan_at_ns: u64,
    committed_bytes: u64,
    recoveries: u64,
    deferrals: u64,
    /// The slot at which the next look for expired leases goes on.
    scan_cursor: u32,
    /// Somebody waits for memory, which not every release gives: all who wait are woken.
    memory_wanted: u32,
};

pub const Header = extern struct {
    identity: Identity align(section_alignment),
    tally: Tally,
    hot: Hot align(section_alignment),
    repair: Repair align(section_alignment),
};

/// What the owners of a row counted, one after the other. Statistics are sums over the rows, which
/// never fall: no counter is set back.
pub const Counters = extern struct {
    acquired: u64,
    released: u64,
    full: u64,
    waits: u64,
    timeouts: u64,
    out_of_memory: u64,
};

/// What was done to the pool as a whole since it was made: sums that only grow, for people to read.
pub const Tally = extern struct {
    /// What recoveries gave back: `phases.Report`.
    recovered_participants: u64,
    recovered_references: u64,
    recovered_buffers: u64,
    expired_references: u64,
    /// Bytes that slots came to claim, and gave up again.
    bytes_committed: u64,
    bytes_given_back: u64,
};

pub const NameWords = [(name_bytes_max + 1) / 8]u64;

/// A participant: alone on its cache lines, written by its own thread and by recovery.
pub const ParticipantRow = extern struct {
    mutex: RobustMutex align(section_alignment),
    pid: u32,
    tid: u32,
    start_time: u64,
    name: [name_bytes_max + 1]u8,
    /// The row was taken at least once, and its hold row is committed.
    joined: u32,
    /// Its owner went away without giving everything back: its thread or process ended, or a
    /// stopped recoverer had the pool. Dead by agreement.
    abandoned: u32,
    /// Its owner flushes the pool. Changed under the recovery mutex only.
    flushing: u32,
    /// Raised at the beginning and at the end of work on memory, which takes system calls and so
    /// has no bracket: odd while slots or bytes may yet go back to where they came from.
    working: u32,

    /// Raised at the beginning and at the end of an operation, odd inside.
    busy: u64 align(section_alignment),
    counters: Counters,
    /// The message that the owner is about to receive from a channel that redelivers:
    /// `words.Taking`.
    taking: u64,
    /// How often a recovery emptied the row of an owner that died: for those who tell of deaths.
    deaths: u32,
    /// Odd while it is changed whose the row is, and another one after each such change: `owner.zig`.
    revision: u32,
    /// How full its cache of free slots is: `words.Cache`.
    cache: u64,
    busy_padding: [48]u8,

    /// One bit per place to wait; bit 0 is the pool.
    waiting: [waiting_words]u64 align(section_alignment),
    /// The counters as they were when its owner came.
    counters_before: Counters,
    waiting_padding: [384 - waiting_words * 8 - @sizeOf(Counters)]u8,

    /// The name as words, which can be read and written whole.
    pub fn nameWords(row: *const ParticipantRow) *const NameWords {
        return @ptrCast(@alignCast(&row.name));
    }
};

pub const Dimension = extern struct {
    length: u64,
    stride: i64,
};

/// The description of a buffer's content. A field counts only while its bit in `Slot.content` is
/// set, so that an acquire need not touch it.
pub const Description = extern struct {
    dtype: u8,
    shape_count: u8,
    stride_count: u8,
    content_type_length: u8,
    producer_length: u8,
    storage_kind: u8,
    reserved: [2]u8,
    timestamp: u64,
    sequence: u64,
    dimensions: [dimensions_max]Dimension,
    content_type: [text_bytes_max + 1]u8,
    producer: [text_bytes_max + 1]u8,
    device_handle: [64]u8,
    /// Of a request or a reply: which one, and the channel that waits for the reply.
    request: u64,
    reply_to: [reply_name_bytes_max + 1]u8,
    /// `words.Letter`.
    letter: u32,
    padding: [4]u8,
};

pub const Slot = extern struct {
    control: u64 align(128),
    /// Until when references that nobody owns keep it: `words.Lease`.
    lease: u64,
    acquired_at_ns: u64,
    committed: u64,
    /// Its size and what else an acquire says of it, in one store: `words.Content`.
    content: u64,
    next_free: u32,
    /// What was asked for, where `content` says that its size was made smaller since.
    truncated_from: u32,
    /// Whose message the buffer is: `words.Message`.
    message: u64,
    /// Where in a channel the message was received, and how many cells and lists of channels hold
    /// the buffer: `words.CameFrom`.
    came_from: u64,
    description: Description align(64),
};

/// Where participants sleep until something happens.
pub const WaitingPlace = extern struct {
    waiters: u32,
    wake_seq: u32,
    sleeps: u32,
    reserved: u32,
};

/// One end of a channel's ring, and the words that change with it.
pub const ChannelEnd = extern struct {
    /// Where to look next: `words.Position`. The cells are the truth, and it lags behind them by
    /// one at most.
    position: u64 align(section_alignment),
    /// Where participants wait until this end moves: receivers at the tail, senders at the head.
    waiting: WaitingPlace,
    /// At the tail items that were refused, at the head items that were taken out to make room.
    dropped: u64,
    /// At the head: the first of the messages that came back, `words.Returned`. They are linked by
    /// `Slot.next_free`.
    returned: u64,
    /// How many those are, and how many were received so far. Only statistics read both.
    returned_count: u32,
    unused: u32,
    received_again: u64,
    /// At the head: as `dropped`, but raised before an item is taken out to make room. While the two
    /// differ, the position may count an item as received that was not.
    drops_begun: u64,
    padding: [56]u8,
};

/// Of a channel: changed under the recovery mutex, all but the ends, the subscribers' bits and
/// what says when its last user left.
pub const Channel = extern struct {
    name: [channel_name_bytes_max + 1]u8 align(section_alignment),
    /// `words.ChannelState`.
    state: u32,
    /// `words.ChannelMode`.
    mode: u32,
    /// `words.ChannelOverflow`.
    overflow: u32,
    capacity: u32,
    /// So many of the newest items stay, for subscribers that come late.
    history: u32,
    /// 1: what a receiver held when it died comes back.
    redeliver: u32,
    /// What was received so often does not come back.
    max_deliveries: u32,
    unused: u32,
    last_user_gone_at_ns: u64,
    /// How many messages came back.
    redelivered: u64,
    /// Entries of subscribers at and past it were never used. Grows only.
    subscribers_used: u32,
    reserved: [12]u8,
    /// The name of the channel for what was received too often; empty: it is recycled.
    dead_letter: [channel_name_bytes_max + 1]u8,
    /// Where event loops wait for the channel's close. Nobody is counted there: who closes a channel
    /// always wakes.
    closing: WaitingPlace,
    closing_padding: [48]u8,

    head: ChannelEnd,
    tail: ChannelEnd,

    /// A bit per entry of `ChannelBlock.subscribers` that is in use.
    subscribed: [subscribed_words]u64 align(section_alignment),
    /// A bit per row whose owner has the channel open.
    open_by: [participants_max / 64]u64 align(section_alignment),
};

/// Written by its own thread only, but for `participant`.
pub const Subscriber = extern struct {
    /// What it reads next: `words.Position`.
    cursor: u64 align(section_alignment),
    /// Where the tail was when it came: what was sent from there on is owed to it.
    since: u64,
    /// What all received that had the entry, one after the other: the channel's sum never falls.
    received: u64,
    /// What of that was there before this one.
    received_before: u64,
    missed: u64,
    /// Its row.
    participant: u32,
    padding: [84]u8,
};

pub const channel_name_bytes_max = 63;
/// Of a channel that replies are sent to.
pub const reply_name_bytes_max = 23;
/// The most free slots that one participant's cache has. This and the two below are small where
/// every step is explored.
pub const cached_slots_max = if (hooks.modelled) 2 else 512;
pub const channel_subscribers_max = if (hooks.modelled) 4 else 256;
pub const channel_cells_max = if (hooks.modelled) 4 else 1 << 16;
pub const subscribed_words = (channel_subscribers_max + 63) / 64;

/// Sparse. The channel and as many cells as it has are committed when it is made, the subscribers
/// where it is a broadcast.
pub const ChannelBlock = extern struct {
    channel: Channel,
    cells: [channel_cells_max]u64 align(section_alignment),
    subscribers: [channel_subscribers_max]Subscriber,
};

comptime {
    std.debug.assert(@sizeOf(Identity) == 160);
    std.debug.assert(@sizeOf(Hot) == 128);
    std.debug.assert(@sizeOf(Repair) == 128);
    std.debug.assert(@sizeOf(Header) == 512);
    std.debug.assert(@offsetOf(Header, "hot") == 256);
    std.debug.assert(@offsetOf(Header, "repair") == 384);
    std.debug.assert(@sizeOf(ParticipantRow) == 640);
    std.debug.assert(@offsetOf(ParticipantRow, "mutex") == 0);
    std.debug.assert(@offsetOf(ParticipantRow, "name") % @alignOf(NameWords) == 0);
    std.debug.assert(@offsetOf(ParticipantRow, "busy") == 128);
    std.debug.assert(@offsetOf(ParticipantRow, "cache") == 200);
    std.debug.assert(@offsetOf(ParticipantRow, "waiting") == 256);
    std.debug.assert(@sizeOf(Description) == 320);
    std.debug.assert(@offsetOf(Description, "dimensions") == 24);
    std.debug.assert(@sizeOf(Slot) == 384);
    std.debug.assert(@offsetOf(Slot, "control") == 0);
    std.debug.assert(@offsetOf(Slot, "content") == 32);
    std.debug.assert(@offsetOf(Slot, "next_free") == 40);
    std.debug.assert(@offsetOf(Slot, "truncated_from") == 44);
    std.debug.assert(@offsetOf(Slot, "description") == 64);
    std.debug.assert(@offsetOf(Slot, "message") == 48);
    std.debug.assert(@offsetOf(Slot, "came_from") == 56);
    std.debug.assert(@sizeOf(WaitingPlace) == 16);
    std.debug.assert(@sizeOf(ChannelEnd) == 128);
    std.debug.assert(@offsetOf(ChannelEnd, "waiting") == 8);
    std.debug.assert(@offsetOf(ChannelEnd, "returned") == 32);
    std.debug.assert(@sizeOf(Channel) == 1152);
    std.debug.assert(@offsetOf(Channel, "state") == 64);
    std.debug.assert(@offsetOf(Channel, "closing") == 192);
    std.debug.assert(@offsetOf(Channel, "head") == 256);
    std.debug.assert(@offsetOf(Channel, "tail") == 384);
    std.debug.assert(@offsetOf(Channel, "subscribed") == 512);
    std.debug.assert(@offsetOf(Channel, "open_by") == 640);
    std.debug.assert(@sizeOf(Subscriber) == 128);
    std.debug.assert(@alignOf(ChannelBlock) == section_alignment);
}
