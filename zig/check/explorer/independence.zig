//! Which accesses need no step of their own: those of which no other fiber can notice whether they
//! happened right after the access before them. Fewer steps, the same behaviours. Each rule says
//! why it is sound; where a rule rests on an invariant of the core, the oracle reports every access
//! that breaks it.

const channel_file = @import("core").protocol.channel.channel;
const fiber = @import("fiber.zig");
const layout = @import("core").format.layout;
const state = @import("state.zig");
const system = @import("system.zig");
const words = @import("core").format.words;

/// Words that the program's operations never change: loads of them are loads of a constant.
pub var rows_are_constant = false;
pub var gate_is_open = false;
pub var nobody_abandons = false;
pub var channels_are_constant = false;
pub var nothing_is_a_message = false;
pub var nothing_is_cached = false;

pub fn ofLoad(address: usize) bool {
    return isOwnRow(address) or isConstant(address) or isOwners(address) or
        standsStillForMe(address) or isMadeOf(address) or isRecoverers(address) or
        isOwnSubscription(address);
}

pub fn ofStore(address: usize) bool {
    // Only a recovery stores the same value there, into the rows of the dead.
    return isConstant(address) or isOwners(address) or isRecoverers(address) or
        isUnfinished(address);
}

/// A row's mutex is its owner's for as long as that lives; and once nobody can die, join or leave
/// any more, and nobody's death is still to be dealt with, it never changes again.
pub fn ofLook(address: usize) bool {
    if (fiber.direct) return true;
    if (state.now.ledgers[fiber.current].joined and
        address == @intFromPtr(&state.participants[fiber.current].row.mutex)) return true;
    if (rowOffset(address) == null) return false;
    if (!rows_are_constant or state.now.budget.deaths > 0) return false;
    for (state.view.rows[0..state.view.geometry.participant_count]) |*row| {
        if (system.isMarked(&row.mutex)) return false;
        const owner = system.ownerOf(&row.mutex) orelse continue;
        if (state.now.fibers[owner].status == .dead) return false;
    }
    return true;
}

/// Whether a row is locked by anybody, dead or alive, changes by joins and leaves, and by recovery.
pub fn ofLookForOwner(address: usize) bool {
    return ofLook(address) or (rows_are_constant and rowOffset(address) != null and
        system.ownerOf(&state.view.header.repair.mutex) == fiber.current);
}

/// The words of a live participant's own row are written by its own thread only, so that its loads
/// of them cannot meet anything. (Its stores can: recovery reads them.)
fn isOwnRow(address: usize) bool {
    if (fiber.direct or !state.now.ledgers[fiber.current].joined) return false;
    const participant = &state.participants[fiber.current];
    return address == @intFromPtr(&participant.row.busy) or
        address == @intFromPtr(&participant.row.working) or
        address == @intFromPtr(&participant.row.waiting[0]) or
        address == @intFromPtr(&participant.row.taking) or
        address == @intFromPtr(&participant.row.cache) or
        isWithin(address, participant.cache, @sizeOf(@TypeOf(participant.cache.*))) or
        isWithin(address, participant.holds, state.view.geometry.capacity * 2);
}

fn isConstant(address: usize) bool {
    const header = state.view.header;
    if (gate_is_open and address == @intFromPtr(&header.hot.gate)) return true;
    if (rows_are_constant and address == @intFromPtr(&header.hot.rows_used)) return true;
    // A cache is had before the first slot comes into it.
    if (rows_are_constant and address == @intFromPtr(&header.hot.cached)) return true;
    if (nothing_is_cached and rowOffset(address) == @offsetOf(layout.ParticipantRow, "cache"))
        return true;
    if (nothing_is_a_message and slotOffset(address) == @offsetOf(layout.Slot, "message")) return true;
    const offset = rowOffset(address) orelse return false;
    return (rows_are_constant and offset == @offsetOf(layout.ParticipantRow, "joined")) or
        (nobody_abandons and offset == @offsetOf(layout.ParticipantRow, "abandoned")) or
        (gate_is_open and offset == @offsetOf(layout.ParticipantRow, "flushing")) or
        // Bits of channels, of which a pool here has few.
        offset > @offsetOf(layout.ParticipantRow, "waiting");
}

/// A slot's size and the time of its acquire are written by the participant that has just taken the
/// slot off the list, and read by participants that got a handle from it, after the store of the
/// control word.
fn isOwners(address: usize) bool {
    const offset = slotOffset(address) orelse return false;
    // In a pool that zeroes, the word also says whether that is done. In any other, a recovery that
    // cleans up after a dead owner writes the same value again.
    return (offset == @offsetOf(layout.Slot, "content") and !state.view.zero_on_release) or
        offset == @offsetOf(layout.Slot, "acquired_at_ns");
}

/// What a channel was made as, and who has it open: loads of it stand under the recovery mutex, and
/// but for the bits of those who leave, so do the stores.
fn isMadeOf(address: usize) bool {
    const offset = channelOffset(address) orelse {
        const used = address == @intFromPtr(&state.view.header.hot.channels_used);
        return used and (fiber.direct or channels_are_constant or isRecoverer());
    };
    const first = @offsetOf(layout.Channel, "open_by");
    const of_users = offset == @offsetOf(layout.Channel, "last_user_gone_at_ns") or
        (offset >= first and offset < first + @sizeOf(@FieldType(layout.Channel, "open_by")));
    if (of_users) return channels_are_constant;
    const made = offset < @offsetOf(layout.Channel, "last_user_gone_at_ns");
    return made and (channels_are_constant or isRecoverer());
}

/// Whoever has the recovery mutex counts here, and nobody else looks. When a user left matters only
/// where channels come and go.
fn isRecoverers(address: usize) bool {
    // Where a message came from is read by its owner alone, but for the recoverer.
    if (slotOffset(address)) |offset|
        return offset == @offsetOf(layout.Slot, "came_from") and isRecoverer();
    const offset = channelOffset(address) orelse return false;
    return channels_are_constant and offset == @offsetOf(layout.Channel, "last_user_gone_at_ns");
}

/// A block that is no channel yet, or an entry that is nobody's: whoever has the recovery mutex
/// makes it, and a death in between leaves nothing.
fn isUnfinished(address: usize) bool {
    const offset = channelOffset(address) orelse return false;
    const block = blockAt(address).?;
    if (offset == @offsetOf(layout.Channel, "state")) return false;
    if (block.channel.state != @intFromEnum(words.ChannelState.live)) return true;
    const first = @offsetOf(layout.ChannelBlock, "subscribers");
    if (offset < first) return false;
    const number = (offset - first) / @sizeOf(layout.Subscriber);
    return block.channel.subscribed[0] >> @intCast(number) & 1 == 0;
}

/// A subscriber's own words are written by itself only, once it has its entry.
fn isOwnSubscription(address: usize) bool {
    if (fiber.direct or !state.now.ledgers[fiber.current].channel.subscribed) return false;
    const entry = state.opened[fiber.current].subscription.?.entry;
    return address == @intFromPtr(&entry.cursor) or address == @intFromPtr(&entry.since);
}

fn isRecoverer() bool {
    return system.ownerOf(&state.view.header.repair.mutex) == fiber.current;
}

/// While the pool stands still, nobody but the recoverer changes words, rows and list: the oracle
/// checks that. The recoverer's loads of them cannot meet anything. (It may die at its stores.)
fn standsStillForMe(address: usize) bool {
    return !fiber.direct and stillIsHeldBy(fiber.current) and standsStill(address);
}

pub fn stillIsHeldBy(index: u8) bool {
    const repair = &state.view.header.repair;
    return repair.still != 0 and system.ownerOf(&repair.mutex) == index;
}

/// Words that only the recoverer may change while the pool stands still.
pub fn standsStill(address: usize) bool {
    const hot = &state.view.header.hot;
    if (address == @intFromPtr(&hot.free_head) or address == @intFromPtr(&hot.waiters)) return true;
    if (slotOffset(address)) |offset| return offset == @offsetOf(layout.Slot, "control") or
        offset == @offsetOf(layout.Slot, "next_free");
    if (rowOffset(address)) |offset| return offset == @offsetOf(layout.ParticipantRow, "waiting");
    if (channelOffset(address)) |offset| return channelStandsStill(offset);
    return isHold(address);
}

/// A counter in a hold row; the entries of caches, which say nothing by themselves, lie there, too.
fn isHold(address: usize) bool {
    const geometry = state.view.geometry;
    const bytes = geometry.participant_count * geometry.hold_row_stride;
    if (!isWithin(address, state.view.holdRow(0), bytes)) return false;
    const offset = (address - @intFromPtr(state.view.holdRow(0))) % geometry.hold_row_stride;
    return offset < geometry.capacity * 2;
}

/// Cells, returned lists, and the counts of those who wait at the ends. The ends and cursors may still be moved on
/// by somebody who saw a cell before it was frozen, and in a memory with store buffers later.
fn channelStandsStill(offset: usize) bool {
    const cells = @offsetOf(layout.ChannelBlock, "cells");
    if (offset >= cells) return offset < @offsetOf(layout.ChannelBlock, "subscribers");
    inline for (.{ "head", "tail" }) |end| {
        const waiting = @offsetOf(layout.Channel, end) + @offsetOf(layout.ChannelEnd, "waiting");
        if (offset == waiting + @offsetOf(layout.WaitingPlace, "waiters")) return true;
        const returned = @offsetOf(layout.Channel, end) + @offsetOf(layout.ChannelEnd, "returned");
        if (offset == returned) return true;
    }
    return false;
}

/// Whether a fiber that spins may be waiting for this word: `busy` of a row, or a mutex.
pub fn isWatchedBySpinners(address: usize) bool {
    if (address == @intFromPtr(&state.view.header.repair.mutex)) return true;
    const offset = rowOffset(address) orelse return false;
    return offset == @offsetOf(layout.ParticipantRow, "busy") or
        offset == @offsetOf(layout.ParticipantRow, "mutex");
}

fn rowOffset(address: usize) ?usize {
    const bytes = state.view.geometry.participant_count * @sizeOf(layout.ParticipantRow);
    if (!isWithin(address, state.view.rows, bytes)) return null;
    return (address - @intFromPtr(state.view.rows)) % @sizeOf(layout.ParticipantRow);
}

fn slotOffset(address: usize) ?usize {
    const bytes = state.view.geometry.capacity * @sizeOf(layout.Slot);
    if (!isWithin(address, state.view.slots, bytes)) return null;
    return (address - @intFromPtr(state.view.slots)) % @sizeOf(layout.Slot);
}

/// The slot whose control word stands there.
pub fn slotOfControl(address: usize) ?usize {
    if (slotOffset(address) != @offsetOf(layout.Slot, "control")) return null;
    return (address - @intFromPtr(state.view.slots)) / @sizeOf(layout.Slot);
}

fn blockAt(address: usize) ?*layout.ChannelBlock {
    const geometry = &state.view.geometry;
    const bytes = geometry.channel_count * geometry.channel_stride;
    const start = state.view.base + geometry.channels_offset;
    if (!isWithin(address, start, bytes)) return null;
    const number = (address - @intFromPtr(start)) / geometry.channel_stride;
    return channel_file.blockOf(&state.view, @intCast(number));
}

fn channelOffset(address: usize) ?usize {
    const block = blockAt(address) orelse return null;
    return address - @intFromPtr(block);
}

fn isWithin(address: usize, start: anytype, bytes: usize) bool {
    const first = @intFromPtr(start);
    return address >= first and address < first + bytes;
}
