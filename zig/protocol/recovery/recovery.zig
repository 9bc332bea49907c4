//! Recovery: gives back what dead participants and expired leases left, by stopping the pool,
//! rewriting its words and list from the rows, and letting it go on. When one is due and who runs
//! it is here; how is in `phases.zig`. Never reached from an operation's fast path.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const participant_file = @import("../participant.zig");
const phases = @import("phases.zig");
const sections = @import("sections.zig").all;
const system = @import("../../system/door.zig");
const thaw = @import("thaw.zig");
const words = @import("../../format/words.zig");

const Head = words.Head;
const View = participant_file.View;

const retry_pause_first_ns: u64 = 100 * std.time.ns_per_ms;
const retry_pause_last_ns: u64 = 1000 * std.time.ns_per_ms;

pub const Request = struct {
    /// Something is frozen although nobody recovers: run even if nobody died.
    damaged: bool = false,
    /// Only carry on what a dead recoverer began.
    successor: bool = false,
    /// A user asked: the pause after a deferred recovery does not count.
    forced: bool = false,
    /// Expired leases are a reason, too: all slots are looked at.
    leases: bool = false,
    /// One was seen already.
    expired: bool = false,
};

pub const Report = phases.Report;

pub fn run(view: *const View, request: Request) Report {
    switch (view.header.repair.mutex.tryLock()) {
        .busy => return .{ .busy = true },
        .acquired => {
            const report = runLocked(view, request, false);
            view.header.repair.mutex.unlock();
            return report;
        },
        .acquired_from_dead => {
            const report = runLocked(view, request, true);
            view.header.repair.mutex.unlock();
            return report;
        },
    }
}

/// A user asked: everything is looked for, and another's recovery is waited for.
pub fn runPatiently(view: *const View) errors.Error!Report {
    const deadline_ns = system.clock.monotonicNs() + thaw.patience_untimed_ns;
    while (true) {
        const epoch = atomic.load(u32, &view.header.repair.epoch, .acquire);
        const report = run(view, .{ .forced = true, .leases = true });
        if (!report.busy) return report;
        const now_ns = system.clock.monotonicNs();
        if (now_ns >= deadline_ns) return error.PoolBusy;
        const slice_end_ns = now_ns + 2 * std.time.ns_per_ms;
        _ = system.futex.wait(&view.header.repair.epoch, epoch, slice_end_ns);
    }
}

/// For callers that hold the recovery mutex already: join, leave, and `run`.
pub fn runLocked(view: *const View, request: Request, inherited: bool) Report {
    const repair = &view.header.repair;
    const frozen = Head.load(&view.header.hot.free_head, .acquire).frozen;
    // Set after the head is frozen and cleared before it thaws. Under a head that is not frozen it
    // is damage: a recovery that believed it would rewrite words under participants at work.
    const claimed_still = atomic.load(u32, &repair.still, .acquire) != 0;
    if (claimed_still and !frozen) atomic.store(u32, &repair.still, 0, .seq_cst);
    const still = claimed_still and frozen;
    const needed = inherited or frozen or request.damaged or request.expired or
        (!request.successor and participant_file.anybodyDead(view)) or
        isAny("isDue", .{view}) or
        (request.leases and isAny("hasLosses", .{ view, system.clock.coarseNs() })) or
        (request.forced and isAny("isDamaged", .{view}));
    if (!needed) return .{};
    const may_defer = !still or atomic.broken(.successor_may_defer);
    if (may_defer) {
        const retry_at_ns = atomic.load(u64, &repair.retry_at_ns, .monotonic);
        const now_ns = system.clock.monotonicNs();
        // A time too far ahead is damage, and counts as past.
        const pausing = now_ns < retry_at_ns and retry_at_ns - now_ns <= retry_pause_last_ns;
        if (pausing and !request.forced and !frozen and !inherited) return .{ .deferred = true };
        if (!phases.stop(sections, view)) {
            postpone(view);
            phases.start(sections, view);
            return .{ .deferred = true };
        }
        // SYNC: before the first word is rewritten. Pairs with the load in `runLocked` of a
        // successor.
        atomic.store(u32, &repair.still, 1, .seq_cst);
    }
    const report = phases.rewrite(sections, view);
    atomic.store(u64, &repair.retry_pause_ns, 0, .monotonic);
    atomic.store(u64, &repair.retry_at_ns, 0, .monotonic);
    raise(&repair.recoveries);
    note(view, report);
    // SYNC: after the last word was rewritten, before the first is thawed. Pairs likewise with
    // `runLocked`.
    atomic.store(u32, &repair.still, 0, .seq_cst);
    phases.start(sections, view);
    return report;
}

fn isAny(comptime look: []const u8, arguments: anytype) bool {
    inline for (sections) |section| if (@call(.auto, @field(section, look), arguments)) return true;
    return false;
}

/// A counter that only the recovery mutex's holder changes.
fn raise(counter: *u64) void {
    atomic.store(u64, counter, atomic.load(u64, counter, .monotonic) +% 1, .monotonic);
}

/// For statistics: nothing is decided by it, and so it has no step of its own.
fn note(view: *const View, report: Report) void {
    const tally = &view.header.tally;
    inline for (.{
        .{ &tally.recovered_participants, report.participants },
        .{ &tally.recovered_references, report.references },
        .{ &tally.recovered_buffers, report.buffers },
        .{ &tally.expired_references, report.expired },
    }) |each| {
        const sum, const more = each;
        if (more > 0) _ = @atomicRmw(u64, sum, .Add, more, .monotonic);
    }
}

/// The time of the next try stands in the header, for everybody.
fn postpone(view: *const View) void {
    const repair = &view.header.repair;
    const pause_ns = atomic.load(u64, &repair.retry_pause_ns, .monotonic);
    const next_ns = std.math.clamp(pause_ns *| 2, retry_pause_first_ns, retry_pause_last_ns);
    atomic.store(u64, &repair.retry_pause_ns, next_ns, .monotonic);
    atomic.store(u64, &repair.retry_at_ns, system.clock.monotonicNs() + next_ns, .monotonic);
    raise(&repair.deferrals);
}
