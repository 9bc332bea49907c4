//! An event loop's wait at one place, through one open of the pool: the native thread that watches on
//! its behalf, and whether the row says that it waits. Called on the participant's own thread only.
//!
//! `at` is the place: the file `protocol/pool/waiting.zig`, or anything else on which `watched`, `begin`,
//! `end` and `passOn` can be called with the same arguments.

const errors = @import("../errors.zig");
const participant_file = @import("../protocol/participant.zig");
const thaw = @import("../protocol/recovery/thaw.zig");
const waiter_thread = @import("waiter_thread.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;
const Patience = thaw.Patience;

pub const AsyncWait = struct {
    waiter: ?*waiter_thread.Waiter = null,
    /// Counted as one who waits.
    counted: bool = false,

    /// The loop's end of a socket that becomes readable when a try is worth it.
    pub fn open(wait: *AsyncWait, at: anytype, participant: *const Participant) Error!i32 {
        if (wait.waiter == null)
            wait.waiter = try waiter_thread.start(participant, at.watched(&participant.view));
        return wait.waiter.?.loop_socket;
    }

    /// PENDING while a recovery has the pool: the thread watches, and is woken when it is time to arm
    /// again.
    pub fn arm(wait: *AsyncWait, at: anytype, participant: *Participant, due_ns: u64) Error!void {
        const waiter = wait.waiter orelse return error.InvalidArgument;
        defer waiter_thread.arm(waiter, due_ns);
        if (wait.counted) return;
        var patience: Patience = .none;
        patience.expiry = error.Pending;
        try at.begin(participant, &patience);
        wait.counted = true;
    }

    pub fn disarm(wait: *AsyncWait, at: anytype, participant: *Participant, pass_on: bool) void {
        if (wait.waiter) |waiter| waiter_thread.disarm(waiter);
        if (!wait.counted) return;
        wait.counted = false;
        var patience: Patience = .none;
        at.end(participant, &patience);
        if (pass_on) at.passOn(participant);
    }

    pub fn close(wait: *AsyncWait, at: anytype, participant: *Participant) void {
        if (wait.waiter) |waiter| waiter_thread.stop(waiter);
        wait.waiter = null;
        if (!wait.counted) return;
        wait.counted = false;
        var patience: Patience = .untimed;
        at.end(participant, &patience);
    }

    /// In a child of fork, where there is no such thread that could be waited for.
    pub fn forget(wait: *AsyncWait) void {
        if (wait.waiter) |waiter| waiter_thread.forget(waiter);
        wait.waiter = null;
    }
};
