//! Waiting for a frozen pool. An operation that meets a frozen word leaves its bracket and waits
//! here until the pool moves again, with patience that ends. It carries on a recovery whose
//! recoverer died.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("recovery.zig");
const system = @import("../../system/door.zig");
const words = @import("../../format/words.zig");

const Error = errors.Error;
const Head = words.Head;
const Participant = participant_file.Participant;

/// How long a call without a deadline waits for a participant that stands still: a recoverer that
/// is stopped, and not dead, makes everybody wait.
pub const patience_untimed_ns: u64 = 2 * std.time.ns_per_s;
const slice_ns: u64 = 5 * std.time.ns_per_ms;
/// A frozen word under a head that is not frozen is either read in passing or damage.
const passings_max = 100;

pub const Patience = struct {
    /// Absolute; 0: begins with the first thing that is met frozen.
    until_ns: u64 = 0,
    expiry: Error = error.PoolBusy,
    passings: u32 = 0,
    /// The try is for a counted waiter, which may have claimed the next buffer.
    goes_first: bool = false,
    /// Likewise absolute, for work on the slot on top, and for giving memory back.
    maintained_until_ns: u64 = 0,
    trim_until_ns: u64 = 0,

    pub const untimed: Patience = .{};
    /// For callers that must not be kept waiting: they look once.
    pub const none: Patience = .{ .until_ns = 1 };

    pub fn isImpatient(patience: *const Patience) bool {
        return patience.until_ns == 1;
    }

    /// Whether the try belongs to a wait, which comes again, and which a wake ends.
    pub fn isOfWait(patience: *const Patience) bool {
        return patience.expiry == error.Pending;
    }
};

/// Returns when it is worth starting the operation again from its first step.
pub fn wait(participant: *Participant, patience: *Patience) Error!void {
    @branchHint(.cold);
    const view = &participant.view;
    // SYNC: before the head: if that is still frozen here, `epoch` changes after the load, and the
    // sleep ends. Pairs with `phases.start`.
    const epoch = atomic.load(u32, &view.header.repair.epoch, .acquire);
    const head_frozen = Head.load(&view.header.hot.free_head, .seq_cst).frozen;
    var repaired = false;
    if (!head_frozen) {
        patience.passings += 1;
        if (patience.passings % passings_max != 0) return;
        if (atomic.broken(.damage_is_waited_for)) return;
        // It comes back without effect while somebody else recovers, or puts recovery off.
        repaired = recovery.run(view, .{ .damaged = true }).ran;
    }
    const now_ns = system.clock.monotonicNs();
    if (patience.until_ns == 0) patience.until_ns = now_ns + patience_untimed_ns;
    if (now_ns >= patience.until_ns) {
        // A caller that never sleeps here carries on, too: perhaps nobody else does.
        if (head_frozen and recovery.run(view, .{ .successor = true }).ran) return;
        return patience.expiry;
    }
    if (repaired) return;
    const slice_end_ns = @min(now_ns + slice_ns, patience.until_ns);
    const ended = system.futex.wait(&view.header.repair.epoch, epoch, slice_end_ns);
    if (ended == .timed_out and head_frozen) _ = recovery.run(view, .{ .successor = true });
}
