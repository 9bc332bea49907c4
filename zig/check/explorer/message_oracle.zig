//! What must be true of messages, judged from outside: each has one place, is delivered only where
//! it was sent, again only after a death, and before newer ones. See `channel_oracle.zig` for the
//! rest of a channel.

const std = @import("std");
const core = @import("core");
const channel_file = core.protocol.channel.channel;
const channel_oracle = @import("channel_oracle.zig");
const fiber = @import("fiber.zig");
const independence = @import("independence.zig");
const oracle = @import("oracle.zig");
const programs = @import("programs.zig");
const state = @import("state.zig");
const words = core.format.words;

const Handle = words.Handle;
const Message = words.Message;
const Returned = words.Returned;

fn require(truth: bool, otherwise: []const u8) void {
    if (!truth) oracle.report(otherwise);
}

fn count() u32 {
    return state.view.geometry.channel_count;
}

fn redelivers(number: usize) bool {
    return channel_file.blockOf(&state.view, @intCast(number)).channel.redeliver != 0;
}

fn rowOf(index: u8) u32 {
    return state.participants[index].index;
}

/// Read as it is: a load by the core's own function would be a step.
fn wordOf(slot: usize) Message {
    return @bitCast(state.view.slots[slot].message);
}

/// A send's change of its cell.
pub fn sent(number: usize, item: u64, ordinal: u8) void {
    if (!redelivers(number)) return;
    const handle: Handle = @bitCast(@as(u64, @as(state.Item, @bitCast(item)).handle));
    const facts = &state.now.messages[handle.index];
    require(facts.stage != .owed, "a message is sent that is in a channel");
    const own = facts.stage == .none or facts.owner == fiber.current;
    require(own, "a message is sent on that somebody else has");
    facts.* = .{
        .stage = .owed,
        .channel = @intCast(number),
        .owner = 0,
        .ordinal = ordinal,
        .item = item,
    };
}

/// A change of its cell by a receiver, or by a sender that makes room.
pub fn taken(number: usize, slot: usize, drops: bool) void {
    if (!redelivers(number)) return;
    delivered(number, slot, !drops);
}

/// From now on the fiber has it, and the message word follows: dead before that, it gives it back.
fn delivered(number: usize, slot: usize, in_order: bool) void {
    const facts = &state.now.messages[slot];
    const due = facts.stage == .owed and facts.channel == number;
    require(due, "a message is delivered that nobody sent there, or that somebody has");
    if (in_order and !hasDeadLetters()) for (&state.now.messages, 0..) |*other, other_slot| {
        const is_older = other.ordinal < facts.ordinal and other.stage == .owed;
        if (other_slot == slot or other.channel != number or !is_older) continue;
        require(!isListed(number, other_slot), "a message overtakes one that came back");
    };
    facts.stage = .held;
    facts.owner = fiber.current;
}

/// Before a change of any word but a cell.
pub fn beforeChange(address: usize, before: u64, after: u64) void {
    for (0..state.view.geometry.capacity) |slot| {
        if (address == @intFromPtr(&state.view.slots[slot].message))
            return messageChanges(slot, @bitCast(before), @bitCast(after));
    }
    for (0..count()) |number| {
        const block = channel_file.blockOf(&state.view, @intCast(number));
        if (address == @intFromPtr(&block.channel.head.returned))
            return listChanges(number, @bitCast(before), @bitCast(after));
    }
}

fn messageChanges(slot: usize, before: Message, after: Message) void {
    if (fiber.current >= state.fibers_max or independence.stillIsHeldBy(fiber.current)) return;
    const facts = &state.now.messages[slot];
    const row = rowOf(fiber.current);
    const owns = facts.owner == fiber.current;
    if (facts.stage == .held and owns and after.isNone()) {
        facts.stage = .none;
        return;
    }
    if (!after.isHeldBy(row)) return;
    facts.deliveries = @intCast(after.deliveries);
    // Given up, and taken up again.
    if (before.isNone() and facts.stage == .none and owns) facts.stage = .held;
}

fn listChanges(number: usize, before: Returned, after: Returned) void {
    const facts = &state.now.channels[number];
    if (!facts.live) return;
    facts.listed = !after.isEmpty();
    if (!independence.stillIsHeldBy(fiber.current) and before.index != after.index)
        pops(number, before);
    channel_oracle.lookAtAll();
}

fn pops(number: usize, from: Returned) void {
    if (from.index >= state.view.geometry.capacity)
        return oracle.report("a list is changed by somebody else than a receiver");
    const slot = from.index;
    delivered(number, slot, true);
    const ledger = &state.now.ledgers[fiber.current].channel;
    require(ledger.doing == .receive, "a message is taken by somebody who does not receive");
    require(ledger.taken == 0, "a receiver takes two items");
    ledger.taken = state.now.messages[slot].item;
}

/// What the dead had in hand is owed again, or goes to the dead letters.
pub fn died(index: u8) void {
    for (state.now.messages[0..state.view.geometry.capacity], 0..) |*facts, slot| {
        if (facts.stage != .held or facts.owner != index) continue;
        facts.stage = .owed;
        if (facts.channel == removed_channel) {
            facts.stage = .none;
            continue;
        }
        const message = wordOf(slot);
        if (!message.isHeldBy(rowOf(index)) and message.channelTo() == facts.channel) continue;
        const channel = programs.current.channels[facts.channel];
        if (facts.deliveries < channel.asked.max_deliveries orelse 5) continue;
        const letters = channel.asked.dead_letter orelse {
            facts.stage = .none;
            continue;
        };
        for (programs.current.channels, 0..) |other, number| {
            if (std.mem.eql(u8, other.name, letters)) facts.channel = @intCast(number);
        }
    }
}

const removed_channel = 255;

/// With a channel that goes, what is in it goes; what a receiver has of it is owed to nobody.
pub fn removed(number: usize) void {
    for (&state.now.messages) |*facts| {
        // Also of one that its holder gave up, and may take up again.
        if (facts.channel != number) continue;
        facts.channel = removed_channel;
        if (facts.stage == .owed) facts.stage = .none;
    }
}

fn hasDeadLetters() bool {
    for (programs.current.channels) |channel| if (channel.asked.dead_letter != null) return true;
    return false;
}

/// The buffer is new: nothing of a message is left.
pub fn acquired(slot: usize) void {
    require(state.now.messages[slot].stage == .none, "a message is recycled that is owed");
    const message = wordOf(slot);
    require(message.isNone(), "a new buffer is somebody's message");
}

fn isListed(number: usize, slot: usize) bool {
    return listedIn(number, slot) > 0;
}

fn listedIn(number: usize, slot: usize) u32 {
    const block = channel_file.blockOf(&state.view, @intCast(number));
    if (!state.now.channels[number].live) return 0;
    var found: u32 = 0;
    var steps: u32 = 0;
    var index: u32 = @as(Returned, @bitCast(block.channel.head.returned)).index;
    while (index < state.view.geometry.capacity) : (steps += 1) {
        if (steps > state.slots_max) {
            oracle.report("a returned list is a circle");
            break;
        }
        if (index == slot) found += 1;
        index = state.view.slots[index].next_free;
    }
    return found;
}

/// How often the slot is on a list. It must be what was sent there. While a recovery makes the lists
/// anew, the word says it.
pub fn listed(slot: usize, control: words.Control) u32 {
    var found: u32 = 0;
    if (state.view.header.repair.still == 0) {
        for (0..count()) |number| found += listedIn(number, slot);
    } else if (control.state == .used) {
        const message = wordOf(slot);
        found = @intFromBool(message.isReturned());
    }
    if (found == 0) return 0;
    const item: state.Item = @bitCast(state.now.messages[slot].item);
    const handle: Handle = @bitCast(@as(u64, item.handle));
    require(control.state == .used, "a message that came back is not in use");
    require(control.generation == handle.generation, "a message that came back is another one");
    if (item.contents != 0) for (state.view.data(@intCast(slot), programs.current.size)) |byte|
        require(byte == item.contents, "a message that came back lost its contents");
    return found;
}

/// No loss is left, and nobody is in an operation: what is owed is in its channel, once, and
/// nothing else is in any.
pub fn checkAccounts() void {
    for (state.now.messages[0..state.view.geometry.capacity], 0..) |*facts, slot| {
        var found: u32 = 0;
        var elsewhere: u32 = 0;
        for (0..count()) |number| {
            if (!state.now.channels[number].live) continue;
            var here = listedIn(number, slot);
            if (redelivers(number)) here += channel_oracle.inRing(number, slot);
            if (facts.channel == number) found += here else elsewhere += here;
        }
        require(elsewhere == 0, "a message is in a channel that it was not sent to");
        require(found == @intFromBool(facts.stage == .owed), "a message that is owed is not in its channel, once");
    }
    for (state.view.rows[0..state.view.geometry.participant_count]) |*row|
        require(row.taking == 0, "somebody at rest is receiving");
}
