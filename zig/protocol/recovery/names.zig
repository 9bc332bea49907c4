//! When a pool's name is taken away: by the last participant of an ephemeral pool, and by a process
//! that finds no live participant in a pool whose name may then go. All of it stands under the
//! recovery mutex, as a join does, so that nobody joins a pool whose name is being taken. How a
//! name is removed is in `system/removal.zig`; here `name` is anything with `remove` and
//! `leadsHere`.

const atomic = @import("hooks");
const errors = @import("../../errors.zig");
const layout = @import("../../format/layout.zig");
const membership = @import("membership.zig");
const participant_file = @import("../participant.zig");
const recovery = @import("recovery.zig");

const Error = errors.Error;
const View = participant_file.View;

/// The same as a recovery's.
pub const Rows = @import("phases.zig").Rows;

/// Takes the name away from a pool that no live participant has. True when it is gone: taken by
/// this call, or by another before. Waits for the recovery mutex as `membership.lockRepair` does.
/// On an error the name still leads to the pool, which can be opened as before.
pub fn takeIfNobody(view: *const View, name: anytype, until_ns: u64) Error!bool {
    try lock(view, until_ns);
    defer view.header.repair.mutex.unlock();
    return takeLocked(view, name, null);
}

/// Gives the row of an ephemeral pool back, and with the last row the name. A name that cannot be
/// removed stays, and so does the pool.
pub fn leave(view: *const View, row: *layout.ParticipantRow, name: anytype) void {
    lock(view, 0) catch return row.mutex.unlock();
    defer view.header.repair.mutex.unlock();
    row.mutex.unlock();
    _ = takeLocked(view, name, null) catch {};
}

/// The whole process ends: `own` are its rows, `ending` those of the thread that says so, which
/// alone can unlock them. Where others end at the same time, the last one still finds nobody else.
pub fn leaveAtExit(
    view: *const View,
    name: anytype,
    own: *const Rows,
    ending: *const Rows,
    until_ns: u64,
) void {
    lock(view, until_ns) catch return;
    defer view.header.repair.mutex.unlock();
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (!ending.isSet(index)) continue;
        // SYNC: after the last access to the row. Pairs with `participant.isDead`.
        atomic.store(u32, &row.abandoned, 1, .release);
        row.mutex.unlock();
    }
    _ = takeLocked(view, name, own) catch {};
}

fn lock(view: *const View, until_ns: u64) Error!void {
    const inherited = try membership.lockRepair(view, until_ns);
    if (inherited) _ = recovery.runLocked(view, .{ .forced = true }, true);
}

/// `removed` is stored before the name goes, so that a process which looked the name up earlier
/// cannot join after it went. A remover that dies in between leaves the mutex marked, the state,
/// and perhaps the name: the next remover takes it.
fn takeLocked(view: *const View, name: anytype, own: ?*const Rows) Error!bool {
    const state = &view.header.identity.state;
    if (atomic.load(u32, state, .acquire) != layout.state_removed) {
        if (isAnybodyLive(view, own)) return false;
        // SYNC: under the recovery mutex, as the load. Pairs with `membership.join`.
        if (!atomic.broken(.removed_after_name))
            atomic.store(u32, state, layout.state_removed, .release);
    }
    _ = name.remove() catch |err| {
        // Another user's folder, say. It is removed for good only when the name is gone.
        if (!name.leadsHere()) return true;
        // SYNC: as above. Pairs with `membership.join`.
        atomic.store(u32, state, layout.state_ready, .release);
        return err;
    };
    if (atomic.broken(.removed_after_name))
        atomic.store(u32, state, layout.state_removed, .release);
    return true;
}

/// Whether anybody alive has a row, the rows `own` apart.
pub fn isAnybodyLive(view: *const View, own: ?*const Rows) bool {
    for (view.rows[0..view.rowsUsed()], 0..) |*row, index| {
        if (own) |rows| if (rows.isSet(index)) continue;
        if (participant_file.isLive(row)) return true;
    }
    return false;
}

pub fn countLive(view: *const View) u32 {
    var count: u32 = 0;
    for (view.rows[0..view.rowsUsed()]) |*row| {
        if (participant_file.isLive(row)) count += 1;
    }
    return count;
}
