//! A schedule for people: every choice with the fiber, its operation and the access it makes, and
//! for machines: the choices alone, which `--replay` takes.

const std = @import("std");
const channel_file = @import("core").protocol.channel.channel;
const choices = @import("choices.zig");
const full_oracle = @import("full_oracle.zig");
const layout = @import("core").format.layout;
const operations = @import("operations.zig");
const oracle = @import("oracle.zig");
const programs = @import("programs.zig");
const state = @import("state.zig");
const words = @import("core").format.words;

const Choice = choices.Choice;

pub fn print(comptime format: []const u8, arguments: anytype) void {
    var line: [4096]u8 = undefined;
    const text = std.fmt.bufPrint(&line, format, arguments) catch line[0..];
    _ = std.c.write(1, text.ptr, text.len);
}

/// Runs the choices again from the beginning, and tells what each does.
pub fn replay(path: []const Choice) void {
    programs.begin();
    oracle.violation = null;
    for (path, 1..) |choice, number| {
        print("{d:>4} ", .{number});
        describe(choice);
        choices.carryOut(choice);
        full_oracle.observe();
        if (oracle.violation == null) oracle.checkState();
        print("\n", .{});
        if (oracle.violation != null) break;
    }
    describeEnd();
    if (oracle.violation == null) {
        var list: choices.List = .{};
        choices.collect(&list);
        if (list.at_end) oracle.checkEnd();
    }
    if (oracle.violation) |what| print("     {s}\n", .{what});
}

fn describe(choice: Choice) void {
    const each = &state.now.fibers[choice.who];
    switch (choice.kind) {
        .step => {},
        .mark => return print("the kernel marks {s} of thread {d}", .{
            if (choice.what == choices.recovery_mutex) "the recovery mutex" else "the row",
            choice.who,
        }),
        .store_leaves => {
            const stored = state.buffers[choice.who].stores[choice.what];
            print("thread {d}: its store becomes visible: ", .{choice.who});
            describeWord(stored.address);
            return describeValue(stored.address, stored.value);
        },
        .sleep_ends, .dies, .stops => return print("thread {d} {s}", .{
            choice.who,
            @tagName(choice.kind),
        }),
        else => return print("{s}", .{@tagName(choice.kind)}),
    }
    if (each.pending == .choose) {
        const set: [*]const operations.Operation = @ptrFromInt(each.address);
        const skipped = choice.what == operations.skipped;
        const name = if (skipped) "nothing" else @tagName(set[choice.what]);
        return print("thread {d} begins: {s}", .{ choice.who, name });
    }
    const operation: operations.Operation = @enumFromInt(each.operation);
    print("thread {d} {s}: {s} ", .{ choice.who, @tagName(operation), @tagName(each.pending) });
    switch (each.pending) {
        .commit, .punch, .zero => {
            print("{d} bytes{s}", .{ each.amount, if (choice.what == 1) ", which fails" else "" });
        },
        .begin, .in_futex, .relax, .end => {},
        else => {
            describeWord(each.address);
            if (each.pending != .load and each.pending != .look_at_mutex)
                describeValue(each.address, each.amount);
        },
    }
}

fn describeWord(address: usize) void {
    if (address == @intFromPtr(&state.now.name)) return print("where the name leads to", .{});
    if (address == @intFromPtr(&state.now.name_lock)) return print("the name's lock", .{});
    inline for (.{ layout.Hot, layout.Repair }, .{
        @intFromPtr(&state.view.header.hot),
        @intFromPtr(&state.view.header.repair),
    }) |Struct, start| {
        if (address >= start and address < start + @sizeOf(Struct))
            return print("{s}", .{fieldAt(Struct, address - start)});
    }
    const rows = @intFromPtr(state.view.rows);
    const slots = @intFromPtr(state.view.slots);
    const holds = @intFromPtr(state.view.holdRow(0));
    const geometry = state.view.geometry;
    if (address >= @intFromPtr(state.view.base) + geometry.channels_offset) {
        const offset = address - @intFromPtr(state.view.base) - geometry.channels_offset;
        const number = offset / geometry.channel_stride;
        describeWordOfChannel(offset % geometry.channel_stride);
        return print(" of channel {d}", .{number});
    }
    if (address >= holds) {
        const offset = address - holds;
        return print("holds of row {d} in slot {d}", .{
            offset / geometry.hold_row_stride,
            offset % geometry.hold_row_stride / 2,
        });
    }
    if (address >= slots) {
        const offset = address - slots;
        const field = fieldAt(layout.Slot, offset % @sizeOf(layout.Slot));
        return print("{s} of slot {d}", .{ field, offset / @sizeOf(layout.Slot) });
    }
    if (address < rows) return print("state of the pool", .{});
    const offset = address - rows;
    const field = fieldAt(layout.ParticipantRow, offset % @sizeOf(layout.ParticipantRow));
    print("{s} of row {d}", .{ field, offset / @sizeOf(layout.ParticipantRow) });
}

fn describeWordOfChannel(offset: usize) void {
    const Block = layout.ChannelBlock;
    if (offset < @offsetOf(Block, "cells")) {
        inline for (.{ "head", "tail" }) |end| {
            const first = @offsetOf(layout.Channel, end);
            if (offset >= first and offset < first + @sizeOf(layout.ChannelEnd)) {
                const word = offset - first;
                const waiting = @offsetOf(layout.ChannelEnd, "waiting");
                if (word >= waiting and word < waiting + @sizeOf(layout.WaitingPlace)) {
                    const name = fieldAt(layout.WaitingPlace, word - waiting);
                    return print("{s} at the " ++ end, .{name});
                }
                return print("{s} of the " ++ end, .{fieldAt(layout.ChannelEnd, word)});
            }
        }
        return print("{s}", .{fieldAt(layout.Channel, offset)});
    }
    if (offset < @offsetOf(Block, "subscribers"))
        return print("cell {d}", .{(offset - @offsetOf(Block, "cells")) / 8});
    const entry = offset - @offsetOf(Block, "subscribers");
    print("{s} of subscriber {d}", .{
        fieldAt(layout.Subscriber, entry % @sizeOf(layout.Subscriber)),
        entry / @sizeOf(layout.Subscriber),
    });
}

fn fieldAt(comptime Struct: type, offset: usize) []const u8 {
    inline for (std.meta.fields(Struct)) |field| {
        const start = @offsetOf(Struct, field.name);
        if (offset >= start and offset < start + @sizeOf(field.type)) return field.name;
    }
    return "?";
}

fn describeValue(address: usize, value: u64) void {
    if (address == @intFromPtr(&state.view.header.hot.free_head)) {
        print(" <- ", .{});
        return describeHead(@bitCast(value));
    }
    for (state.view.slots[0..state.view.geometry.capacity]) |*slot| {
        if (address != @intFromPtr(&slot.control)) continue;
        print(" <- ", .{});
        return describeControl(@bitCast(value));
    }
    if (isCell(address)) return describeCell(@bitCast(value));
    if (isPosition(address)) {
        const position: words.Position = @bitCast(value);
        return print(" <- place {d}, lap {d}", .{ position.place, position.lap });
    }
    print(" <- {d}", .{value});
}

fn isCell(address: usize) bool {
    for (0..state.view.geometry.channel_count) |number| {
        const cells = &channel_file.blockOf(&state.view, @intCast(number)).cells;
        const first = @intFromPtr(cells);
        if (address >= first and address < first + @sizeOf(@TypeOf(cells.*))) return true;
    }
    return false;
}

fn isPosition(address: usize) bool {
    for (0..state.view.geometry.channel_count) |number| {
        const block = channel_file.blockOf(&state.view, @intCast(number));
        if (address == @intFromPtr(&block.channel.head.position)) return true;
        if (address == @intFromPtr(&block.channel.tail.position)) return true;
        for (&block.subscribers) |*entry| if (address == @intFromPtr(&entry.cursor)) return true;
    }
    return false;
}

fn describeCell(cell: words.Cell) void {
    print(" <- {s}", .{if (cell.full) "full" else "empty"});
    if (cell.full) print(" of slot {d}", .{cell.index});
    print(", lap {d}{s}{s}", .{
        cell.lap,
        if (cell.closed) ", closed" else "",
        if (cell.frozen) ", frozen" else "",
    });
}

fn describeHead(head: words.Head) void {
    const frozen = if (head.frozen) ", frozen" else "";
    if (head.index == words.index_nil) return print("nothing, tag {d}{s}", .{ head.tag, frozen });
    print("slot {d}, tag {d}{s}", .{ head.index, head.tag, frozen });
}

fn describeControl(control: words.Control) void {
    print("{s}, references {d}, in flight {d}, generation {d}{s}", .{
        std.enums.tagName(words.State, control.state) orelse "no state",
        control.references,
        control.in_flight,
        control.generation,
        if (control.frozen) ", frozen" else "",
    });
}

fn describeEnd() void {
    const hot = &state.view.header.hot;
    print("     in the end: list ", .{});
    describeHead(@bitCast(hot.free_head));
    print(", waiters {d}\n", .{hot.waiters});
    for (state.view.slots[0..state.view.geometry.capacity], 0..) |*slot, index| {
        print("     slot {d}: ", .{index});
        describeControl(@bitCast(slot.control));
        print(", next {d}, committed {d}\n", .{ slot.next_free, slot.committed });
    }
    for (0..state.view.geometry.participant_count) |index| {
        const row = &state.view.rows[index];
        const held = state.view.holdRow(@intCast(index))[0..state.view.geometry.capacity];
        print("     row {d}: mutex {x}, busy {d}, waiting {d}, holds {any}\n", .{
            index,
            row.mutex.word,
            row.busy,
            row.waiting[0],
            held,
        });
    }
    for (state.now.fibers[0..programs.current.threads.len], 0..) |*each, index| {
        print("     thread {d}: {s}\n", .{ index, @tagName(each.status) });
    }
}
