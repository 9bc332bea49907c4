//! What fills a pool, for the message of an acquire that found no buffer: how many buffers this
//! thread holds, which participant holds most, what is in flight and until when. An error must cost
//! microseconds also in a pool of a million slots, and so only the first slots of a large pool are
//! looked at. It only reads; in a busy pool each number is true of some moment.

const std = @import("std");
const layout = @import("../format/layout.zig");
const owner_file = @import("owner.zig");
const participant_file = @import("participant.zig");
const system = @import("../system/door.zig");
const words = @import("../format/words.zig");

const Participant = participant_file.Participant;
const View = participant_file.View;
const name_room = owner_file.name_room;

pub const Field = enum {
    /// How many slots were looked at, from the first on, for everything but this thread's own
    /// holds.
    LOOKED_AT,
    USED,
    OWN_HOLDS,
    /// How many slots were looked at, from the first on, for this thread's own holds.
    OWN_LOOKED_AT,
    /// References, not buffers.
    IN_FLIGHT,
    /// Buffers that were counted down to 0 by hand.
    PARKED,
    /// Bytes of data, and the most that there may be.
    COMMITTED_BYTES,
    MAX_COMMITTED,
    /// Whether a waiter that has waited for long has a claim to the next buffer.
    CLAIMED,
    /// How long the lease that ends first still lasts: negative if it has ended, infinite if no
    /// lease ends, and not a number if there is no lease.
    LEASE_LEFT_MS,
    /// Holds of the participant that has most, in the slots that were looked at; 0: nobody has any.
    MOST_HOLDS,
    MOST_PID,
    MOST_TID,
    MOST_ALIVE,
    /// Whether that is this thread.
    MOST_OWN,
};
pub const field_count = std.meta.fields(Field).len;

/// Each costs a cache line.
const slots_max = 4096;
/// Over all rows, and over this thread's own: 128 KiB are read in some ten microseconds.
const holds_max = 1 << 16;

/// Fills `out`, and `name` with that of the participant that holds most.
pub fn look(participant: *const Participant, out: *[field_count]f64, name: *[name_room]u8) void {
    const view = &participant.view;
    const rows = view.rowsUsed();
    const looked_at = @min(view.geometry.capacity, slots_max, holds_max / @max(rows, 1));
    @memset(out, 0);
    @memset(name, 0);
    set(out, .LOOKED_AT, looked_at);
    const own_looked_at = @min(view.geometry.capacity, holds_max);
    set(out, .OWN_HOLDS, participant_file.sumHolds(view, participant.index, own_looked_at));
    set(out, .OWN_LOOKED_AT, own_looked_at);
    set(out, .COMMITTED_BYTES, @atomicLoad(u64, &view.header.repair.committed_bytes, .monotonic));
    set(out, .MAX_COMMITTED, view.max_committed);
    const gate: words.Gate = @bitCast(@atomicLoad(u64, &view.header.hot.gate, .monotonic));
    set(out, .CLAIMED, @intFromBool(gate.claimant != 0));
    lookAtSlots(view, looked_at, out);
    var most: u64 = 0;
    for (view.rows[0..rows], 0..) |*row, index| {
        const owner = owner_file.read(row) orelse continue;
        if (!owner.alive and !owner.dead) continue;
        // SYNC: a hold row is read only where `joined` says that it is committed. Pairs with
        // `membership.takeRow`.
        if (@atomicLoad(u32, &row.joined, .acquire) == 0) continue;
        const holds = participant_file.sumHolds(view, @intCast(index), looked_at);
        // Where its owner left meanwhile, they may be another's.
        if (holds <= most or !owner.stillHas(row)) continue;
        most = holds;
        set(out, .MOST_HOLDS, holds);
        set(out, .MOST_PID, owner.pid);
        set(out, .MOST_TID, owner.tid);
        set(out, .MOST_ALIVE, @intFromBool(owner.alive));
        set(out, .MOST_OWN, @intFromBool(index == participant.index));
        name.* = owner.name;
    }
}

fn set(out: *[field_count]f64, field: Field, value: u64) void {
    out[@intFromEnum(field)] = @floatFromInt(value);
}

fn lookAtSlots(view: *const View, looked_at: u32, out: *[field_count]f64) void {
    var used: u64 = 0;
    var in_flight: u64 = 0;
    var parked: u64 = 0;
    var first_end_ns: ?u64 = null;
    for (view.slots[0..looked_at]) |*slot| {
        const control: words.Control = @bitCast(@atomicLoad(u64, &slot.control, .monotonic));
        if (control.state == .free) continue;
        used += 1;
        if (control.state != .used) continue;
        in_flight += control.in_flight;
        if (control.references == 0) parked += 1;
        if (!control.isOnLease()) continue;
        const lease: words.Lease = @bitCast(@atomicLoad(u64, &slot.lease, .monotonic));
        const end_ns = if (lease.isEndless()) std.math.maxInt(u64) else lease.endNs();
        first_end_ns = @min(end_ns, first_end_ns orelse end_ns);
    }
    set(out, .USED, used);
    set(out, .IN_FLIGHT, in_flight);
    set(out, .PARKED, parked);
    out[@intFromEnum(Field.LEASE_LEFT_MS)] = leftMs(first_end_ns);
}

fn leftMs(end_ns: ?u64) f64 {
    const end = end_ns orelse return std.math.nan(f64);
    if (end == std.math.maxInt(u64)) return std.math.inf(f64);
    const now_ns: f64 = @floatFromInt(system.clock.coarseNs());
    return (@as(f64, @floatFromInt(end)) - now_ns) / std.time.ns_per_ms;
}
