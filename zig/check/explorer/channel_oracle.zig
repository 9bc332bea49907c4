//! What must be true of channels, judged from outside: by every change of a cell, by what calls
//! returned, and by the words in memory. The changes of its cells make a channel a strict queue:
//! its n-th item goes into the n-th cell, round and round, and is taken as the n-th.

const std = @import("std");
const core = @import("core");
const channel_file = core.protocol.channel.channel;
const fiber = @import("fiber.zig");
const independence = @import("independence.zig");
const layout = core.format.layout;
const message_oracle = @import("message_oracle.zig");
const oracle = @import("oracle.zig");
const programs = @import("programs.zig");
const section = core.protocol.channel.section;
const state = @import("state.zig");
const system = @import("system.zig");
const words = core.format.words;

const Cell = words.Cell;
const Handle = words.Handle;
const Position = words.Position;

fn require(truth: bool, otherwise: []const u8) void {
    if (!truth) oracle.report(otherwise);
}

fn count() u32 {
    return state.view.geometry.channel_count;
}

fn blockAt(number: usize) *layout.ChannelBlock {
    return channel_file.blockOf(&state.view, @intCast(number));
}

fn capacityOf(number: usize) u32 {
    return blockAt(number).channel.capacity;
}

fn isBroadcast(number: usize) bool {
    return blockAt(number).channel.mode == @intFromEnum(words.ChannelMode.broadcast);
}

fn dropsOldest(number: usize) bool {
    return blockAt(number).channel.overflow == @intFromEnum(words.ChannelOverflow.drop_oldest);
}

fn itemAt(facts: *state.ChannelFacts, ordinal: u8) *u64 {
    return &facts.items[ordinal % state.items_max];
}

fn numberOf(fiber_index: usize) u32 {
    return state.opened[fiber_index].channel.number;
}

// What changes in a channel's memory, before it does.

pub fn beforeChange(address: usize, before: u64, after: u64) void {
    for (0..count()) |number| {
        const block = blockAt(number);
        const first = @intFromPtr(block);
        if (address < first or address >= first + @sizeOf(layout.ChannelBlock)) continue;
        if (address == @intFromPtr(&block.channel.state)) return comesOrGoes(number, after);
        const cells = @intFromPtr(&block.cells);
        if (address < cells or address >= cells + @sizeOf(@TypeOf(block.cells))) return;
        const facts = &state.now.channels[number];
        if (!facts.live) return;
        const place: u8 = @intCast((address - cells) / 8);
        cellChanges(number, place, @bitCast(before), @bitCast(after));
        for (0..state.fibers_max) |index| look(index);
        return;
    }
}

fn comesOrGoes(number: usize, value: u64) void {
    const facts = &state.now.channels[number];
    if (value != @intFromEnum(words.ChannelState.live)) {
        require(facts.sent == facts.taken, "a channel is removed with something in it");
        require(!isOpenByAnybody(number), "a channel is removed that somebody has open");
        facts.live = false;
        message_oracle.removed(number);
        return;
    }
    const times = facts.times_made;
    facts.* = std.mem.zeroes(state.ChannelFacts);
    facts.live = true;
    facts.times_made = times + 1;
    for (blockAt(number).cells[0..capacityOf(number)]) |cell|
        require(cell == 0, "a channel is made with something in it");
}

fn isOpenByAnybody(number: usize) bool {
    for (&state.now.ledgers, 0..) |*ledger, index| {
        if (ledger.channel.open and numberOf(index) == number) return true;
        if (ledger.has_onward and state.onward[index].channel.number == number) return true;
    }
    return false;
}

fn cellChanges(number: usize, place: u8, from: Cell, to: Cell) void {
    const facts = &state.now.channels[number];
    if (from.full != to.full) {
        if (to.full) fills(number, place, to) else empties(number, place, from, to);
    } else {
        require(from.index == to.index, "an item is replaced in its cell");
        require(from.lap == to.lap, "a cell loses its lap");
    }
    if (!from.closed and to.closed) {
        require(!facts.closed, "a channel is closed twice");
        const is_next = place == facts.sent % capacityOf(number);
        require(is_next, "the closed mark is not at the next place");
        facts.closed = true;
    }
    require(to.closed or !from.closed, "the closed mark goes");
}

fn fills(number: usize, place: u8, to: Cell) void {
    const facts = &state.now.channels[number];
    const capacity = capacityOf(number);
    require(!facts.closed, "an item is sent past the closed mark");
    require(facts.sent - facts.taken < capacity, "there are more items than cells");
    require(place == facts.sent % capacity, "an item goes into a cell that is not the next one");
    require(to.lap == facts.sent / capacity, "an item goes into another lap's cell");
    if (fiber.current >= state.fibers_max) return oracle.report("nobody sends an item");
    const ledger = &state.now.ledgers[fiber.current].channel;
    const sends = switch (ledger.doing) {
        .send, .send_dropping, .send_on => true,
        .nothing, .receive => false,
    };
    require(sends and !ledger.sent, "an item is sent that nobody asked to send");
    const item: state.Item = @bitCast(ledger.sending);
    const handle: Handle = @bitCast(@as(u64, item.handle));
    require(handle.index == to.index, "another buffer is sent than was given");
    ledger.sent = true;
    itemAt(facts, facts.sent).* = ledger.sending;
    message_oracle.sent(number, ledger.sending, facts.sent);
    facts.sent += 1;
}

fn empties(number: usize, place: u8, from: Cell, to: Cell) void {
    const facts = &state.now.channels[number];
    const capacity = capacityOf(number);
    if (facts.sent == facts.taken) return oracle.report("an item is taken that was never sent");
    require(to.lap == from.lap + 1, "a taken item's cell does not wait for the next lap");
    const recovers = independence.stillIsHeldBy(fiber.current);
    const ordinal = facts.taken;
    facts.taken += 1;
    // A channel that is over is emptied in any order.
    if (recovers and !isOpenByAnybody(number)) return;
    const item = itemAt(facts, ordinal).*;
    const in_order = place == ordinal % capacity and from.lap == ordinal / capacity;
    require(in_order, "an item is taken before an older one");
    const handle: Handle = @bitCast(@as(u64, @as(state.Item, @bitCast(item)).handle));
    require(handle.index == from.index, "another buffer is taken than was sent");
    const drops = !recovers and isDropping(number);
    if (isBroadcast(number)) {
        const newer = facts.sent - facts.taken;
        const keeps = newer < blockAt(number).channel.history;
        require(drops or !keeps, "an item of the history goes");
        return;
    }
    if (recovers) return oracle.report("a recovery takes what a receiver is owed");
    const ledger = &state.now.ledgers[fiber.current].channel;
    message_oracle.taken(number, handle.index, drops);
    if (drops) return;
    require(ledger.doing == .receive, "an item is taken by somebody who does not receive");
    require(ledger.taken == 0, "a receiver takes two items");
    ledger.taken = item;
}

/// To make room for an item where there was none.
fn isDropping(number: usize) bool {
    const ledger = &state.now.ledgers[fiber.current].channel;
    return dropsOldest(number) and ledger.doing == .send_dropping and ledger.seen.full;
}

// What calls return.

pub fn opens(me: u8) [state.channels_max][2]u8 {
    _ = me;
    var before: [state.channels_max][2]u8 = undefined;
    for (&state.now.channels, &before) |*facts, *each| each.* = .{ facts.times_made, facts.sent };
    return before;
}

pub fn opened(me: u8, before: [state.channels_max][2]u8) void {
    const number = numberOf(me);
    const facts = &state.now.channels[number];
    const ledger = &state.now.ledgers[me].channel;
    require(facts.live, "a channel is opened that is not there");
    ledger.open = true;
    const subscription = state.opened[me].subscription orelse return;
    const since = ordinalAt(number, &subscription.entry.since);
    const next = ordinalAt(number, &subscription.entry.cursor);
    const times, const sent = before[number];
    const first = if (times == facts.times_made) sent else 0;
    require(first <= since and since <= facts.sent, "a subscriber begins at no end of the ring");
    require(next <= since, "a subscriber misses what was sent before its first read");
    const history = blockAt(number).channel.history;
    require(next + history >= first, "a subscriber gets more than the history");
    ledger.subscribed = true;
    ledger.next = @intCast(next);
    ledger.since = @intCast(since);
}

fn ordinalAt(number: usize, ptr: *const u64) u64 {
    return @as(Position, @bitCast(ptr.*)).ordinal(capacityOf(number));
}

pub fn begin(me: u8, doing: state.Doing, sending: u64) void {
    const ledger = &state.now.ledgers[me].channel;
    ledger.doing = doing;
    ledger.sending = sending;
    look(me);
}

/// A hold that the fiber has while it waits for room.
pub fn offers(index: usize, slot: usize) u8 {
    const ledger = &state.now.ledgers[index].channel;
    if (ledger.sending == 0 or ledger.sent) return 0;
    const item: state.Item = @bitCast(ledger.sending);
    const handle: Handle = @bitCast(@as(u64, item.handle));
    return @intFromBool(handle.index == slot);
}

/// The operation returned, and this is what it saw.
pub fn end(me: u8) state.ChannelLedger {
    const ledger = &state.now.ledgers[me].channel;
    const done = ledger.*;
    ledger.doing = .nothing;
    ledger.seen = .{};
    ledger.sending = 0;
    ledger.sent = false;
    ledger.taken = 0;
    return done;
}

/// What an operation under way may say, because it was true at some time since it began.
fn look(index: usize) void {
    const ledger = &state.now.ledgers[index].channel;
    if (ledger.doing == .nothing) return;
    const number = if (ledger.doing == .send_on)
        state.onward[index].channel.number
    else
        numberOf(index);
    const facts = &state.now.channels[number];
    const empty = nextOf(facts, ledger) == facts.sent and !facts.listed;
    if (facts.sent - facts.taken == capacityOf(number)) ledger.seen.full = true;
    if (empty) ledger.seen.empty = true;
    if (facts.closed) ledger.seen.closed = true;
    if (facts.closed and empty) ledger.seen.drained = true;
}

pub fn lookAtAll() void {
    for (0..state.fibers_max) |index| look(index);
}

/// How many cells of the channel hold the slot.
pub fn inRing(number: usize, slot: usize) u32 {
    var found: u32 = 0;
    for (blockAt(number).cells[0..capacityOf(number)]) |bits| {
        const cell: Cell = @bitCast(bits);
        if (cell.full and cell.index == slot) found += 1;
    }
    return found;
}

/// The first item that is still there for its owner.
fn nextOf(facts: *const state.ChannelFacts, ledger: *const state.ChannelLedger) u8 {
    return if (ledger.subscribed) @max(ledger.next, facts.taken) else facts.taken;
}

/// What the receiver's buffer contains.
pub fn received(me: u8, done: state.ChannelLedger, handle: u64) u8 {
    const number = numberOf(me);
    const facts = &state.now.channels[number];
    if (!isBroadcast(number)) {
        const item: state.Item = @bitCast(done.taken);
        require(done.taken != 0 and item.handle == handle, "another buffer is received than taken");
        return item.contents;
    }
    const ledger = &state.now.ledgers[me].channel;
    while (ledger.next < facts.sent) {
        const item: state.Item = @bitCast(itemAt(facts, ledger.next).*);
        const ordinal = ledger.next;
        ledger.next += 1;
        if (item.handle == handle) return item.contents;
        const gone = ordinal < facts.taken;
        const may_miss = dropsOldest(number) or ordinal < ledger.since;
        require(gone and may_miss, "a subscriber misses an item");
    }
    oracle.report("a subscriber reads what was not sent, or reads it twice");
    return 0;
}

pub fn closes(me: u8) void {
    const facts = &state.now.channels[numberOf(me)];
    facts.closed = true;
    for (0..state.fibers_max) |index| look(index);
}

// In every state.

pub fn checkState() void {
    for (0..count()) |number| {
        const facts = &state.now.channels[number];
        if (!facts.live or !isOpenByAnybody(number)) continue;
        checkEnd(number, "head", facts.taken);
        checkEnd(number, "tail", facts.sent);
    }
}

fn checkEnd(number: usize, comptime which: []const u8, exact: u8) void {
    const at = ordinalAt(number, &@field(blockAt(number).channel, which).position);
    require(at == exact or at + 1 == exact, "the " ++ which ++ " is not where it may be");
}

/// How many cells hold the slot. Each must find its own buffer there.
pub fn queued(slot: usize, control: words.Control) u32 {
    var held: u32 = 0;
    for (state.now.channels[0..count()]) |*facts| {
        if (!facts.live) continue;
        for (facts.taken..facts.sent) |ordinal| {
            const item: state.Item = @bitCast(itemAt(facts, @intCast(ordinal)).*);
            const handle: Handle = @bitCast(@as(u64, item.handle));
            if (handle.index != slot) continue;
            held += 1;
            require(control.state == .used, "a queued buffer is not in use");
            require(control.generation == handle.generation, "a queued buffer is another one");
            if (item.contents == 0) continue;
            for (state.view.data(@intCast(slot), programs.current.size)) |byte|
                require(byte == item.contents, "a queued buffer lost its contents");
        }
    }
    return held;
}

pub fn isFrozen() bool {
    for (0..count()) |number| {
        if (!state.now.channels[number].live) continue;
        for (blockAt(number).cells[0..capacityOf(number)]) |cell| {
            if (@as(Cell, @bitCast(cell)).frozen) return true;
        }
        const returned: words.Returned = @bitCast(blockAt(number).channel.head.returned);
        if (returned.frozen) return true;
    }
    return false;
}

// When no fiber can take a step.

/// True: it sleeps at an end of its channel.
pub fn checkSleeper(index: usize, stopped: bool) bool {
    const ledger = &state.now.ledgers[index].channel;
    if (!ledger.open) return false;
    const number = numberOf(index);
    const facts = &state.now.channels[number];
    const channel = &blockAt(number).channel;
    const each = &state.now.fibers[index];
    const full = facts.sent - facts.taken == capacityOf(number);
    const has_item = nextOf(facts, ledger) < facts.sent or facts.listed;
    if (system.sleepsOn(each, &channel.head.waiting.wake_seq)) {
        require(stopped or !facts.closed, "a sender sleeps beside the closed mark");
        require(stopped or full, "a sender sleeps beside a place");
    } else if (system.sleepsOn(each, &channel.tail.waiting.wake_seq)) {
        require(stopped or !facts.closed, "a receiver sleeps beside the closed mark");
        require(stopped or !has_item, "a receiver sleeps beside an item");
    } else return false;
    return true;
}

/// No loss is left, and nobody is in an operation.
pub fn checkAccounts() void {
    for (0..count()) |number| {
        const facts = &state.now.channels[number];
        if (!facts.live) continue;
        checkBits(number);
        var full: u32 = 0;
        for (blockAt(number).cells[0..capacityOf(number)]) |cell|
            full += @intFromBool(@as(Cell, @bitCast(cell)).full);
        require(full == facts.sent - facts.taken, "there are not as many items as were left");
        if (isBroadcast(number) and isOpenByAnybody(number)) checkKept(number);
    }
}

fn checkBits(number: usize) void {
    const channel = &blockAt(number).channel;
    var waiting: [2]u32 = @splat(0);
    for (state.view.rows[0..state.view.geometry.participant_count], 0..) |*row, index| {
        for (&waiting, 0..) |*each, end_| {
            each.* += @intCast(row.waiting[0] >> @intCast(1 + 2 * number + end_) & 1);
        }
        const is_open = if (liveOwnerOf(row)) |owner| hasOpen(owner, number) else false;
        const bit = channel.open_by[0] >> @intCast(index) & 1 != 0;
        require(bit == is_open, "a row's bit is not whether its owner has the channel open");
    }
    require(channel.head.waiting.waiters == waiting[0], "senders are not counted as they wait");
    require(channel.tail.waiting.waiters == waiting[1], "receivers are not counted as they wait");
}

fn hasOpen(index: u8, number: usize) bool {
    const ledger = &state.now.ledgers[index];
    if (ledger.channel.open and numberOf(index) == number) return true;
    return ledger.has_onward and state.onward[index].channel.number == number;
}

fn liveOwnerOf(row: *layout.ParticipantRow) ?u8 {
    return system.ownerOf(&row.mutex);
}

fn checkKept(number: usize) void {
    const facts = &state.now.channels[number];
    const channel = &blockAt(number).channel;
    var passed: u64 = facts.sent -| channel.history;
    var subscribers: u32 = 0;
    for (&state.now.ledgers, 0..) |*ledger, index| {
        const own = &ledger.channel;
        if (!own.subscribed or numberOf(index) != number) continue;
        subscribers += 1;
        passed = @min(passed, own.next);
        const owed = @max(own.next, own.since);
        require(dropsOldest(number) or facts.taken <= owed, "an item goes before all have read it");
        const entry = state.opened[index].subscription.?.entry;
        const cursor = ordinalAt(number, &entry.cursor);
        const in_order = own.next <= cursor and cursor <= nextOf(facts, own);
        require(in_order, "a cursor is somewhere else");
    }
    require(facts.taken >= passed, "an item stays that nobody has still to read");
    require(@popCount(channel.subscribed[0]) == subscribers, "a subscriber's entry is nobody's");
}

/// After one more recovery.
pub fn checkRecovered() void {
    const over = section.hasLosses(&state.view, state.now.clock_ns);
    require(!over, "a recovery leaves a channel that is over");
}
