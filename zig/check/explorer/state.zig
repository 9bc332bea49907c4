//! Everything that a step of an exploration can change, in one place: it can be kept, compared with
//! other states by a hash, and put back. A variable that is not here must not influence any step,
//! of the explorer or of the core.

const std = @import("std");
const broadcast = @import("core").protocol.channel.broadcast;
const channel_file = @import("core").protocol.channel.channel;
const ends = @import("core").protocol.channel.ends;
const layout = @import("core").format.layout;
const participant_file = @import("core").protocol.participant;

pub const fibers_max = 3;
pub const slots_max = 3;
/// Blocks of channels; and how many items each sends in one run, at most.
pub const channels_max = 2;
pub const items_max = 8;
pub const page_size = 8;
pub const buffer_size = 16;
/// The actor when no fiber acts: set-up and the oracle.
pub const outside: u8 = fibers_max;

pub const stack_bytes = 16 * 1024;
pub const Stack = [stack_bytes]u8;

pub const Status = enum(u8) {
    /// Not part of the program.
    absent,
    ready,
    /// In the futex.
    asleep,
    /// Waits for others without sleeping: not scheduled until what it looks at has changed.
    spinning,
    /// It did all its operations, is alive and has its row.
    ended,
    dead,
    /// It is not scheduled any more, and nobody is told.
    stopped,
};

/// What a fiber does when it is scheduled next.
pub const Pending = enum(u8) {
    begin,
    choose,
    load,
    store,
    cas,
    add,
    sub,
    max,
    look_at_mutex,
    try_lock,
    unlock,
    initialise,
    futex_wait,
    in_futex,
    futex_wake,
    relax,
    commit,
    punch,
    zero,
    end,
};

pub const Fiber = extern struct {
    context: std.Io.fiber.Context,
    address: u64,
    amount: u64,
    deadline_ns: u64,
    status: Status,
    pending: Pending,
    /// What the scheduler decided, where a step has more than one outcome.
    answer: u8,
    operation: u8,
    /// The bits by which a sleeper can be woken alone.
    bits: u32 = 0,
};

/// A store that other fibers do not see yet.
pub const BufferedStore = extern struct {
    address: u64,
    value: u64,
    bytes: u8,
    /// Leaves the buffer only when all that is older has left it.
    release: bool,
    padding: [6]u8 = @splat(0),
};
pub const buffer_max = 6;
pub const Buffer = extern struct {
    stores: [buffer_max]BufferedStore,
    count: u64,
};

/// What a fiber owns by the results of its calls, and nothing else.
pub const Ledger = extern struct {
    handles: [slots_max]u64,
    holds: [slots_max]u8,
    /// What it wrote into the buffer; 0: nothing that must still be there.
    contents: [slots_max]u8,
    /// One of its holds is a message that it received.
    messages: [slots_max]bool,
    joined: bool,
    /// The user's own bound of a wait ends before a slice does.
    timed: bool,
    /// The gate when its acquire began.
    gate: u64,
    /// It has the channel open to which it sends on.
    has_onward: bool,
    /// In an acquire; and somebody was told meanwhile that no buffer is free, so that it must get
    /// the one that is.
    acquiring: bool,
    must_acquire: bool,
    /// The moments without any free slot since its acquire began, and those that justify an answer
    /// that was given already: see `full_oracle.zig`.
    full_if: u8,
    full_said_if: u8,
    /// The acquire is of an event loop, which waits for a wake after the answer.
    tries_again: bool,
    channel: ChannelLedger,
};

/// Of the one channel that a fiber has open: see `channel_oracle.zig`.
pub const ChannelLedger = extern struct {
    open: bool,
    subscribed: bool,
    /// The position of its next item, and that from which on it is owed everything.
    next: u8,
    since: u8,
    /// What the operation under way is for, and what was true of the channel since it began.
    doing: Doing,
    seen: Seen,
    /// What it sends; it went into its cell.
    sending: u64,
    sent: bool,
    /// What it took out of a cell, and has not returned yet: `Item`, or 0.
    taken: u64,
};

pub const Doing = enum(u8) { nothing, send, send_dropping, send_on, receive };

pub const Seen = packed struct(u8) {
    full: bool = false,
    empty: bool = false,
    closed: bool = false,
    drained: bool = false,
    unused: u4 = 0,
};

/// A buffer in a channel: its handle, and what its sender wrote into it.
pub const Item = packed struct(u64) {
    handle: u56,
    contents: u8,
};

/// What became of a channel, by the changes of its cells.
pub const ChannelFacts = extern struct {
    items: [items_max]u64,
    live: bool,
    closed: bool,
    /// How many items were sent and taken, and their places follow from that.
    sent: u8,
    taken: u8,
    /// How many channels the block has been.
    times_made: u8,
    /// Something is on the returned list.
    listed: bool,
    padding: [2]u8,
};

/// What became of a message: see `message_oracle.zig`.
pub const MessageFacts = extern struct {
    /// None: an ordinary buffer. Owed: in its channel, or had by the dead. Held: by its receiver.
    stage: enum(u8) { none, owed, held },
    channel: u8,
    /// The receiver that has it.
    owner: u8,
    /// Its place in the channel.
    ordinal: u8,
    deliveries: u8 = 0,
    padding: [3]u8 = @splat(0),
    item: u64,
};

/// What is known of a slot from outside.
pub const SlotFacts = extern struct {
    /// Bytes that really have memory.
    backed: u64,
    /// When the lease of references that somebody made runs out at the earliest.
    leased_until_ns: u64,
    /// Counted to 0 by hand and kept for that: the handle, or 0.
    parked: u64,
    last_generation: u32,
    /// By the results of calls: references in flight that nobody is about to take. Below 0: more
    /// calls are about to take one than there are for certain.
    in_flight_min: i8,
    /// At most so many.
    in_flight_max: u8,
    /// Calls under way that take one, and that make one.
    takes: u8,
    shares: u8,
    /// Since the first of the takes that are under way, one of them may have got another's.
    contested: bool,
    /// Calls that may recycle what is counted to 0: how many have begun, and are under way.
    recycles: u8,
    recycling: u8,
    /// Somebody set the count by hand, of this generation: nothing is promised.
    set_by_hand: bool,
    /// The fiber, + 1, that took it out of a cache: what it is for shows later.
    taken_out_by: u8,
    padding: [3]u8,
};

/// How often in one run each of these may still happen.
pub const Budget = extern struct {
    deaths: u8 = 0,
    stops: u8 = 0,
    /// A recovery loses patience with somebody who is in an operation.
    deferrals: u8 = 0,
    /// All leases run out.
    leases: u8 = 0,
    commit_failures: u8 = 0,
    /// A user's own bound of a wait is reached.
    timeouts: u8 = 0,
    padding: [2]u8 = @splat(0),
};

const State = extern struct {
    fibers: [fibers_max]Fiber,
    /// Of what each has on its stack: only the fiber that took a step has to be looked at again.
    stack_hashes: [fibers_max]u64,
    ledgers: [fibers_max]Ledger,
    slots: [slots_max]SlotFacts,
    channels: [channels_max]ChannelFacts,
    messages: [slots_max]MessageFacts,
    budget: Budget,
    clock_ns: u64,
    /// The last handle that somebody passed on, for the operations that need one.
    mail: u64,
    /// Where the pool's name leads to, and who has it locked, the fiber + 1: see `naming.zig`.
    name: u32,
    name_lock: u32,
    populated: [fibers_max][slots_max]u32,
    owed: [fibers_max][slots_max]u16,
    /// Somebody removed the name by hand.
    unlinked: bool,
    padding: [9]u8,

    comptime {
        std.debug.assert(@sizeOf(State) % 8 == 0);
    }
};

pub var now: State = undefined;
pub var buffers: [fibers_max]Buffer = undefined;
/// The pool's object, as all have it mapped.
pub var object: [16 * 1024]u8 align(4096) = undefined;
pub var participants: [fibers_max]participant_file.Participant = undefined;
pub var locals: [fibers_max]participant_file.Local = undefined;
/// The channel that each fiber has open.
pub const Opened = struct {
    channel: channel_file.Channel,
    subscription: ?broadcast.Subscription,
    locals: ends.Locals,
};
pub var opened: [fibers_max]Opened = undefined;
/// The channel to which it sends on what it has received.
pub var onward: [fibers_max]Opened = undefined;
pub var stacks: [fibers_max]Stack align(64) = undefined;
pub var view: participant_file.View = undefined;
pub var buffered = false;

/// The words of the object and of the participants that steps change. Left out are counters, names
/// and ids, the description and the time of the last acquire: no step depends on them.
var tracked: [640]*align(8) u64 = undefined;
var tracked_count: usize = 0;

pub fn clear() void {
    @memset(std.mem.asBytes(&now), 0);
    @memset(std.mem.asBytes(&buffers), 0);
    @memset(&object, 0);
    @memset(std.mem.asBytes(&participants), 0);
    @memset(std.mem.asBytes(&locals), 0);
    @memset(std.mem.asBytes(&opened), 0);
    @memset(std.mem.asBytes(&onward), 0);
    @memset(std.mem.asBytes(&stacks), 0);
}

/// After the view is there: lists what belongs to a state.
pub fn track() void {
    tracked_count = 0;
    const header = view.header;
    add(&header.identity.state, 4);
    add(&header.hot, @offsetOf(layout.Hot, "reserved"));
    add(&header.repair.mutex, 8);
    add(&header.repair.still, @offsetOf(layout.Repair, "recoveries") -
        @offsetOf(layout.Repair, "still"));
    add(&header.repair.scan_cursor, 8);
    for (view.rows[0..view.geometry.participant_count], 0..) |*row, index| {
        add(&row.mutex, 8);
        add(&row.joined, 8);
        add(&row.flushing, 4);
        add(&row.working, 4);
        add(&row.busy, 8);
        if (view.geometry.channel_count > 0) add(&row.taking, 8);
        add(&row.cache, 8);
        add(&row.waiting[0], 8);
        add(view.holdRow(@intCast(index)), view.geometry.hold_row_stride);
    }
    for (view.slots[0..view.geometry.capacity], 0..) |*slot, index| {
        add(slot, @offsetOf(layout.Slot, "acquired_at_ns"));
        add(&slot.committed, @offsetOf(layout.Slot, "description") -
            @offsetOf(layout.Slot, "committed"));
        add(view.data(@intCast(index), buffer_size).ptr, buffer_size);
    }
    for (&participants) |*participant| {
        const Participant = participant_file.Participant;
        inline for (std.meta.fields(Participant)) |field| {
            if (comptime std.mem.eql(u8, field.name, "view")) continue;
            add(&@field(participant, field.name), @sizeOf(field.type));
        }
    }
    for (&locals) |*local| add(local, @sizeOf(participant_file.Local));
    for (0..view.geometry.channel_count) |number| trackChannel(@intCast(number));
    if (view.geometry.channel_count == 0) return;
    for (&opened) |*each| add(each, @sizeOf(Opened));
    for (&onward) |*each| add(each, @sizeOf(Opened));
}

/// Statistics are left out again, and all that no program has.
fn trackChannel(number: u32) void {
    const block = channel_file.blockOf(&view, number);
    const channel = &block.channel;
    add(&channel.name, 8);
    const made_as = @offsetOf(layout.Channel, "redeliver") - @offsetOf(layout.Channel, "state");
    add(&channel.state, made_as);
    add(&channel.last_user_gone_at_ns, 8);
    for ([_]*layout.ChannelEnd{ &channel.head, &channel.tail }) |end|
        add(end, @offsetOf(layout.ChannelEnd, "dropped"));
    add(&channel.head.returned, 8);
    add(&channel.subscribed, 8);
    add(&channel.open_by, 8);
    add(&block.cells, @sizeOf(@TypeOf(block.cells)));
    for (&block.subscribers) |*entry| {
        add(entry, @offsetOf(layout.Subscriber, "received"));
        add(&entry.participant, 4);
    }
}

fn add(start: anytype, bytes: usize) void {
    const first = @intFromPtr(start) & ~@as(usize, 7);
    var address = first;
    while (address < @intFromPtr(start) + bytes) : (address += 8) {
        const word: *align(8) u64 = @ptrFromInt(address);
        const known = for (tracked[0..tracked_count]) |other| {
            if (other == word) break true;
        } else false;
        if (known) continue;
        tracked[tracked_count] = word;
        tracked_count += 1;
    }
}

/// The stack of a fiber that will run again, from its top of stack down.
fn liveStack(index: usize) []u8 {
    const pointer = stackPointer(&now.fibers[index].context);
    if (pointer == 0) return &.{};
    const end = @intFromPtr(&stacks[index]) + stack_bytes;
    return @as([*]u8, @ptrFromInt(pointer))[0 .. end - pointer];
}

pub fn stackPointer(context: *const std.Io.fiber.Context) usize {
    return switch (@import("builtin").cpu.arch) {
        .x86_64 => context.rsp,
        .aarch64, .riscv64 => context.sp,
        else => comptime unreachable,
    };
}

/// A fiber that never runs again has no stack, and no registers.
pub fn forget(index: usize) void {
    const fiber = &now.fibers[index];
    fiber.context = std.mem.zeroes(std.Io.fiber.Context);
    fiber.address = 0;
    fiber.amount = 0;
    fiber.deadline_ns = 0;
    fiber.bits = 0;
    fiber.answer = 0;
    now.stack_hashes[index] = 0;
}

/// Before a step. What was called and has returned leaves rubbish below the top of stack, of which
/// the next calls would make part of a state. Deeper rubbish, of the formatting of errors, may
/// stay: it makes states differ that do not, and nothing worse.
pub fn scrub(index: usize) void {
    const live = liveStack(index);
    const rubbish = 2 * 1024;
    const top = @intFromPtr(&stacks[index]) + stack_bytes - live.len;
    const Wide = @Vector(2, u64);
    comptime std.debug.assert(rubbish % @sizeOf(Wide) == 0);
    var address = top - rubbish;
    while (address < top) : (address += @sizeOf(Wide)) {
        // Volatile, or it becomes a call of a memset that is written for size.
        const place: *align(8) volatile Wide = @ptrFromInt(address);
        place.* = @splat(0);
    }
}

/// After a step.
pub fn hashStack(index: usize) void {
    var sum: Sum = .{};
    sum.add(liveStack(index));
    now.stack_hashes[index] = sum.end();
}

pub fn hash() u64 {
    var sum: Sum = .{};
    sum.add(std.mem.asBytes(&now));
    if (buffered) sum.add(std.mem.asBytes(&buffers));
    var place: usize = 0;
    while (place + 1 < tracked_count) : (place += 2) {
        sum.addPair(tracked[place].*, tracked[place + 1].*);
    }
    if (place < tracked_count) sum.addPair(tracked[place].*, 0);
    return sum.end();
}

/// Two words at a time are multiplied, and the halves of the product folded, in two lanes.
const Sum = struct {
    even: u64 = 0x9e37_79b9_7f4a_7c15,
    odd: u64 = 0xc2b2_ae3d_27d4_eb4f,

    inline fn addPair(sum: *Sum, first: u64, second: u64) void {
        const mixed = folded(first ^ sum.even, second ^ 0xa076_1d64_78bd_642f);
        sum.even = sum.odd;
        sum.odd = mixed ^ std.math.rotl(u64, first, 29);
    }

    fn add(sum: *Sum, bytes: []const u8) void {
        @setRuntimeSafety(false);
        const words: []align(1) const u64 = @ptrCast(bytes);
        var place: usize = 0;
        while (place + 1 < words.len) : (place += 2) sum.addPair(words[place], words[place + 1]);
        if (place < words.len) sum.addPair(words[place], 1);
    }

    fn end(sum: Sum) u64 {
        return folded(sum.even ^ 0xe703_7ed1_a0b4_28db, sum.odd ^ 0x8ebc_6af0_9c88_c6e3);
    }

    inline fn folded(a: u64, b: u64) u64 {
        const product = @as(u128, a) * b;
        return @as(u64, @truncate(product)) ^ @as(u64, @truncate(product >> 64));
    }
};

pub const image_max = 16 * 1024 + fibers_max * 4096;

/// Writes the state to `image`; its length.
pub fn keep(image: []u8) usize {
    var length: usize = 0;
    put(image, &length, std.mem.asBytes(&now));
    if (buffered) put(image, &length, std.mem.asBytes(&buffers));
    const words: [*]align(1) u64 = @ptrCast(image[length..].ptr);
    for (tracked[0..tracked_count], 0..) |word, place| words[place] = word.*;
    length += tracked_count * 8;
    for (0..fibers_max) |index| put(image, &length, liveStack(index));
    return length;
}

fn put(image: []u8, length: *usize, bytes: []const u8) void {
    @memcpy(image[length.*..][0..bytes.len], bytes);
    length.* += bytes.len;
}

pub fn restore(image: []const u8) void {
    var length: usize = 0;
    get(image, &length, std.mem.asBytes(&now));
    if (buffered) get(image, &length, std.mem.asBytes(&buffers));
    const words: [*]align(1) const u64 = @ptrCast(image[length..].ptr);
    for (tracked[0..tracked_count], 0..) |word, place| word.* = words[place];
    length += tracked_count * 8;
    for (0..fibers_max) |index| get(image, &length, liveStack(index));
}

fn get(image: []const u8, length: *usize, bytes: []u8) void {
    @memcpy(bytes, image[length.*..][0..bytes.len]);
    length.* += bytes.len;
}
