//! Flushing: stopping all acquires of a pool, and telling everybody who waits.

const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const gate = @import("../gate.zig");
const membership = @import("../recovery/membership.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("../recovery/recovery.zig");
const waiting = @import("waiting.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;

/// While a flush is on, every acquire fails with POOL_FLUSHING, and so does everybody who waits.
/// Each flusher has a mark in its row, so that a flusher that leaves does not lift the flush of
/// another. Turning it off lifts the flush of all.
pub fn set(participant: *Participant, on: bool) Error!void {
    const view = &participant.view;
    {
        const inherited = try membership.lockRepair(view, 0);
        defer view.header.repair.mutex.unlock();
        _ = recovery.runLocked(view, .{}, inherited);
        if (on) {
            atomic.store(u32, &participant.row.flushing, 1, .monotonic);
        } else for (view.rows[0..view.rowsUsed()]) |*row| {
            atomic.store(u32, &row.flushing, 0, .monotonic);
        }
        gate.settleFlusher(view);
    }
    waiting.wakeAll(view);
}
