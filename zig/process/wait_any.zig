//! Waiting at several places at once, of pools and of channels, until a try at one of them is worth
//! it. It blocks its thread, a slice at a time, like the waits at one place.

const std = @import("std");
const cache = @import("../protocol/pool/cache.zig");
const blocking = @import("../protocol/waiting/blocking.zig");
const channels = @import("channels.zig");
const ends = @import("../protocol/channel/ends.zig");
const errors = @import("../errors.zig");
const free_list = @import("../protocol/pool/free_list.zig");
const futex = @import("../system/futex.zig");
const gate = @import("../protocol/gate.zig");
const losses = @import("../protocol/pool/losses.zig");
const open_pool = @import("open_pool.zig");
const place_file = @import("../protocol/place.zig");
const system = @import("../system/door.zig");
const thaw = @import("../protocol/recovery/thaw.zig");
const waiter = @import("../protocol/waiting/waiter.zig");
const waiting = @import("../protocol/pool/waiting.zig");

const Error = errors.Error;
const Patience = thaw.Patience;
const Place = place_file.Place;
const Pool = open_pool.Pool;

pub const sources_max = futex.words_max;
const spins_max = 200;

/// A buffer of the pool, or an item of the channel.
pub const Source = struct {
    pool: *Pool,
    channel: ?*channels.OpenChannel,

    fn isWorthATry(source: *const Source) bool {
        const participant = &source.pool.participant;
        if (source.channel) |opened| {
            const want: ends.Receiving = .of(participant, &opened.channel, opened.subscription);
            return want.isWorthATry();
        }
        const view = &participant.view;
        if (free_list.isEmpty(view) and !cache.hasAny(view)) return false;
        const claimant = gate.claimantOf(&participant.view) orelse return true;
        return claimant == participant.index;
    }

    fn place(source: *const Source) Place {
        if (source.channel) |opened| return ends.placeAt(&opened.channel, .tail);
        return .ofPool(source.pool.participant.view.header);
    }

    fn begin(source: *const Source, patience: *Patience) Error!void {
        const participant = &source.pool.participant;
        const opened = source.channel orelse return waiting.begin(participant, patience);
        return (ends.At(.tail){ .channel = &opened.channel }).begin(participant, patience);
    }

    fn end(source: *const Source) void {
        const participant = &source.pool.participant;
        var patience: Patience = .none;
        const opened = source.channel orelse return waiting.end(participant, &patience);
        (ends.At(.tail){ .channel = &opened.channel }).end(participant, &patience);
    }

    /// The wake may have been meant for a waiter at this place only.
    fn passOn(source: *const Source) void {
        const participant = &source.pool.participant;
        const opened = source.channel orelse return waiting.passOn(participant);
        (ends.At(.tail){ .channel = &opened.channel }).passOn(participant);
    }
};

/// One slice, of at most `blocking.slice_ns`: the place in `sources` of one that is worth a try.
/// PENDING: call again.
pub fn slice(sources: []const Source, deadline_ns: u64) Error!u32 {
    for (0..spins_max) |_| {
        if (firstWorthATry(sources)) |place| return place;
        std.atomic.spinLoopHint();
    }
    const now_ns = system.clock.monotonicNs();
    const slice_end_ns = @min(now_ns + blocking.slice_ns, deadline_ns);
    if (now_ns >= deadline_ns) return error.Timeout;
    var patience: Patience = .{ .until_ns = @max(slice_end_ns, 1), .expiry = error.Pending };
    var begun: usize = 0;
    defer for (sources[0..begun]) |*source| source.end();
    for (sources) |*source| {
        try source.begin(&patience);
        begun += 1;
    }
    const found = untilWorthATry(sources, slice_end_ns) orelse {
        if (system.clock.monotonicNs() >= deadline_ns) return error.Timeout;
        for (sources) |*source| _ = losses.lookForLosses(&source.pool.participant.view);
        return error.Pending;
    };
    // This thread takes from one source: wakes at the others go to the next waiters there.
    for (sources, 0..) |*source, place| if (place != found) source.passOn();
    return found;
}

fn firstWorthATry(sources: []const Source) ?u32 {
    for (sources, 0..) |*source, place| if (source.isWorthATry()) return @intCast(place);
    return null;
}

fn untilWorthATry(sources: []const Source, slice_end_ns: u64) ?u32 {
    var words: [sources_max]*const u32 = undefined;
    var seen: [sources_max]u32 = undefined;
    while (true) {
        for (sources, 0..) |*source, place| {
            const at = source.place();
            words[place] = at.wake_seq;
            // SYNC: before the look, as in `blocking.untilServed`: a wake after it changes the
            // word, and the sleep does not begin. Pairs with `waker.wake` and `place.wakeAll`.
            seen[place] = @atomicLoad(u32, at.wake_seq, .seq_cst);
            waiter.aboutToSleep(at);
        }
        if (firstWorthATry(sources)) |place| return place;
        const count = sources.len;
        switch (futex.waitAny(words[0..count], seen[0..count], slice_end_ns)) {
            .timed_out, .interrupted => return firstWorthATry(sources),
            .woken, .changed => {},
        }
        if (system.clock.monotonicNs() >= slice_end_ns) return firstWorthATry(sources);
    }
}
