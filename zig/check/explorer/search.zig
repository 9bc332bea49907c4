//! The search: depth first over everything that may happen, each state visited once. A state is
//! known by a 64-bit hash: with 30 million states the chance that two of them share one anywhere is
//! one in 40,000, and then some steps go unexplored.

const std = @import("std");
const choices = @import("choices.zig");
const full_oracle = @import("full_oracle.zig");
const oracle = @import("oracle.zig");
const programs = @import("programs.zig");
const state = @import("state.zig");

const allocator = std.heap.c_allocator;
const Choice = choices.Choice;

pub const Result = struct {
    states: u64 = 0,
    transitions: u64 = 0,
    ends: u64 = 0,
    depth_max: usize = 0,
    /// What was wrong, and the choices that led there.
    violation: ?[]const u8 = null,
    complete: bool = true,
    /// Processor time, since the machine may be busy.
    seconds: f64 = 0,
};

/// No program comes near to this length.
const depth_max = 5000;

const Frame = struct {
    image: usize,
    list: choices.List,
    next: u8,
};

var frames: std.ArrayList(Frame) = .empty;
var images: std.ArrayList(u8) = .empty;
var scratch: [state.image_max]u8 = undefined;

/// The way to where the search is: what a failure prints.
pub fn path(out: []Choice) []Choice {
    var count: usize = 0;
    for (frames.items) |*frame| {
        if (frame.next == 0) break;
        out[count] = frame.list.items[frame.next - 1];
        count += 1;
        if (count == out.len) break;
    }
    return out[0..count];
}

/// Explores `programs.current` to its end, to the first violation, or to `states_max`.
pub fn run(states_max: u64) Result {
    const start_ns = processorNs();
    var result: Result = .{};
    frames.clearRetainingCapacity();
    images.clearRetainingCapacity();
    var seen: Seen = .init(1 << 16);
    defer seen.deinit();
    oracle.violation = null;
    programs.begin();
    _ = arrive(&result, &seen);
    var here = true;
    while (frames.items.len > 0 and oracle.violation == null) {
        const frame = &frames.items[frames.items.len - 1];
        if (frame.next == frame.list.count) {
            images.shrinkRetainingCapacity(frame.image);
            _ = frames.pop();
            here = false;
            continue;
        }
        if (!here) state.restore(images.items[frame.image..]);
        const choice = frame.list.items[frame.next];
        frame.next += 1;
        result.transitions += 1;
        choices.carryOut(choice);
        if (oracle.violation != null) break;
        here = arrive(&result, &seen);
        if (result.states >= states_max) {
            result.complete = false;
            break;
        }
    }
    result.violation = oracle.violation;
    result.seconds = @as(f64, @floatFromInt(processorNs() - start_ns)) / std.time.ns_per_s;
    return result;
}

/// A state was reached. True when it is new, and stands on top of the stack.
fn arrive(result: *Result, seen: *Seen) bool {
    full_oracle.observe();
    if (!seen.add(state.hash())) return false;
    result.states += 1;
    const length = state.keep(&scratch);
    oracle.checkState();
    var frame: Frame = .{ .image = images.items.len, .list = .{}, .next = 0 };
    choices.collect(&frame.list);
    if (frame.list.at_end and oracle.violation == null) {
        result.ends += 1;
        oracle.checkEnd();
        state.restore(scratch[0..length]);
    }
    images.appendSlice(allocator, scratch[0..length]) catch @panic("out of memory");
    frames.append(allocator, frame) catch @panic("out of memory");
    result.depth_max = @max(result.depth_max, frames.items.len);
    if (frames.items.len == depth_max) oracle.report("a run goes on for ever");
    return true;
}

fn processorNs() u64 {
    var time: std.c.timespec = undefined;
    _ = std.c.clock_gettime(.PROCESS_CPUTIME_ID, &time);
    return @as(u64, @intCast(time.sec)) * std.time.ns_per_s + @as(u64, @intCast(time.nsec));
}

/// The hashes of the states that were visited: open addressing, at most half full.
const Seen = struct {
    table: []u64,
    count: usize = 0,

    fn init(size: usize) Seen {
        const table = allocator.alloc(u64, size) catch @panic("out of memory");
        @memset(table, 0);
        return .{ .table = table };
    }

    fn deinit(seen: *Seen) void {
        allocator.free(seen.table);
    }

    /// False: it was there.
    fn add(seen: *Seen, hash: u64) bool {
        const key = if (hash == 0) 1 else hash;
        if (seen.count * 2 >= seen.table.len) seen.grow();
        if (!insert(seen.table, key)) return false;
        seen.count += 1;
        return true;
    }

    fn insert(table: []u64, key: u64) bool {
        var place = key & (table.len - 1);
        while (table[place] != 0) : (place = (place + 1) & (table.len - 1)) {
            if (table[place] == key) return false;
        }
        table[place] = key;
        return true;
    }

    fn grow(seen: *Seen) void {
        const larger: Seen = .init(seen.table.len * 2);
        for (seen.table) |key| if (key != 0) {
            _ = insert(larger.table, key);
        };
        seen.deinit();
        seen.table = larger.table;
    }
};
