//! A wait that blocks its thread, a slice at a time: so that a caller can look at what else it has
//! to do between two slices, and that the dead are looked for.
//!
//! The caller waits for its `want`, a pointer to a struct with:
//!
//! - `participant`, and `local`: the place as its thread knows it;
//! - `Result`: the type of what it brings;
//! - `tryNow(patience)`: the result of a try, or null where a wake may bring it;
//! - `isWorthATry()`: a look, while the thread spins;
//! - `lookForLosses()`: whether a recovery gave something back, so that a try is worth it;
//! - `begin(patience)` and `end(patience)`: those of the place;
//! - `goOn(now_ns, since_ns)`: the last try brought nothing, and a sleep follows;
//! - `passOn()`: a wake may have come too late for this wait.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const place_file = @import("../place.zig");
const system = @import("../../system/door.zig");
const thaw = @import("../recovery/thaw.zig");
const waiter = @import("waiter.zig");

const Error = errors.Error;
const Patience = thaw.Patience;

/// At each slice's end a waiter looks for the dead.
pub const slice_ns: u64 = 50 * std.time.ns_per_ms;
/// About as long as a sleep and a wake cost.
const spins_max = if (atomic.stepped) 1 else 2000;

/// What a wait remembers between its slices.
pub const Wait = struct {
    /// Counted as one who waits.
    counted: bool = false,
    since_ns: u64 = 0,
};

/// One slice, of at most `slice_ns`. PENDING: call again. Any other result ends the wait.
pub fn slice(want: anytype, wait: *Wait, deadline_ns: u64) Error!ResultOf(@TypeOf(want)) {
    if (!wait.counted) {
        // Before the clock, which costs more than a try.
        var impatient: Patience = .none;
        impatient.expiry = error.Pending;
        const tried = want.tryNow(&impatient) catch |err|
            if (err == error.Pending) null else return err;
        if (tried) |result| return result;
    }
    const now_ns = system.clock.monotonicNs();
    const slice_end_ns = @min(now_ns + slice_ns, deadline_ns);
    if (!wait.counted) wait.since_ns = now_ns;
    var patience: Patience = .{ .until_ns = @max(slice_end_ns, 1), .expiry = error.Pending };
    var result = untilServed(want, wait, now_ns, slice_end_ns, deadline_ns, &patience);
    if (result == error.Pending) {
        if (system.clock.monotonicNs() < deadline_ns) return result;
        result = error.Timeout;
    }
    if (wait.counted) {
        wait.counted = false;
        want.end(&patience);
        // A wake that came too late for this one is the next one's.
        if (result == error.Timeout) want.passOn();
    }
    return result;
}

fn ResultOf(comptime Want: type) type {
    return std.meta.Child(Want).Result;
}

fn untilServed(
    want: anytype,
    wait: *Wait,
    began_ns: u64,
    slice_end_ns: u64,
    deadline_ns: u64,
    patience: *Patience,
) Error!ResultOf(@TypeOf(want)) {
    const place = want.local.place;
    if (!wait.counted) {
        if (want.lookForLosses()) {
            if (try want.tryNow(patience)) |result| return result;
        }
        if (began_ns >= deadline_ns) {
            // A recovery may have kept the first try from an answer.
            if (try want.tryNow(patience)) |result| return result;
            return error.Timeout;
        }
        spin(want);
        try want.begin(patience);
        wait.counted = true;
    }
    patience.goes_first = true;
    // At first what was read before is new enough: a sleep that begins late ends at once.
    var clock_ns: ?u64 = began_ns;
    while (true) {
        // Read before the try: a wake after the try changes it, and the sleep does not begin.
        // SYNC: pairs with `waker.wake`, `place.wakeAll`, `place.wakeNext` and `place.wakeRow`.
        var seen = atomic.load(u32, place.wake_seq, .seq_cst);
        waiter.aboutToSleep(place);
        if (try want.tryNow(patience)) |result| return result;
        if (atomic.broken(.wake_seq_after_try)) seen = atomic.load(u32, place.wake_seq, .seq_cst);
        const now_ns = clock_ns orelse system.clock.monotonicNs();
        clock_ns = null;
        if (now_ns >= deadline_ns) return error.Timeout;
        if (now_ns >= slice_end_ns) {
            _ = want.lookForLosses();
            return error.Pending;
        }
        want.goOn(now_ns, wait.since_ns);
        const bit = place_file.sleeperBit(want.participant.index);
        const ended = system.futex.waitAs(place.wake_seq, seen, slice_end_ns, bit);
        if (ended == .interrupted) return error.Pending;
    }
}

/// A peer that runs now makes something available sooner than a sleep would begin.
pub fn spin(want: anytype) void {
    const looking = &want.local.looking;
    if (!atomic.stepped and !looking.isDue()) return;
    for (0..spins_max) |_| {
        if (want.isWorthATry()) {
            if (!atomic.stepped) looking.wasWorthIt();
            return;
        }
        std.atomic.spinLoopHint();
    }
    if (!atomic.stepped) looking.wasInVain(system.clock.monotonicNs());
}
