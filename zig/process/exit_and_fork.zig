//! A thread or a process that ends without having closed its pools, and a child of fork, which has
//! none.

const std = @import("std");
const atomic = @import("hooks");
const channels = @import("channels.zig");
const descriptor = @import("descriptor.zig");
const event_loop = @import("event_loop.zig");
const mapping_file = @import("mapping.zig");
const member_file = @import("member.zig");
const membership = @import("../protocol/recovery/membership.zig");
const messages = @import("messages.zig");
const names = @import("../protocol/recovery/names.zig");
const open_pool = @import("open_pool.zig");
const participant_file = @import("../protocol/participant.zig");
const pool_name = @import("pool_name.zig");
const requests = @import("requests.zig");
const system = @import("../system/door.zig");
const views_file = @import("views.zig");
const traces = @import("traces.zig");

const Mapping = mapping_file.Mapping;
const Pool = open_pool.Pool;

/// The thread ends without having closed, as that of a terminated Worker does. It says itself that
/// its rows are dead, so that the mapping need not stay until the kernel marks them.
pub fn abandonThread() void {
    event_loop.endAllOfThread();
    views_file.closeAllOfThread();
    var each = member_file.members;
    member_file.members = null;
    while (each) |member| {
        each = member.next;
        const mapping = member.mapping;
        const forked = member.isForgotten();
        if (!forked) {
            // SYNC: after the last access to the row. Pairs with `participant.isDead`.
            atomic.store(u32, &member.participant.row.abandoned, 1, .release);
        }
        while (descriptor.anyOf(&member.local)) |pool| {
            const counts = pool.counts;
            channels.forgetAll(pool);
            messages.destroy(pool);
            requests.destroy(pool);
            // First, so that no descriptor leads to memory that is gone.
            descriptor.giveBack(pool);
            open_pool.releaseCounts(mapping, counts);
        }
        if (!forked) {
            member_file.unlockRow(mapping, member.participant.row);
            membership.recoverForWaiters(&mapping.view);
        }
        const opens = member.opens;
        member_file.destroy(member);
        for (0..opens) |_| mapping_file.release(mapping);
    }
    member_file.rows_taken = 0;
}

/// The process ends without having closed. Its ephemeral pools lose their names now where nobody
/// else has them open; the kernel does the rest. Other threads of the process may still run, and so
/// only data under the lock is read.
pub fn leaveAtExit() void {
    const until_ns = system.clock.monotonicNs() + exit_patience_ns;
    while (!mapping_file.list_lock.tryLock()) {
        if (system.clock.monotonicNs() > until_ns) return;
        system.clock.sleep(std.time.ns_per_ms);
    }
    defer mapping_file.list_lock.unlock();
    var each = mapping_file.mappings;
    while (each) |mapping| : (each = mapping.next) {
        if (mapping.identity.ephemeral == 0) continue;
        var rows: ExitRows = .{ .mapping = mapping };
        descriptor.forEachAtExit(&rows, ExitRows.add);
        // In a child of fork, all rows may be the parent's.
        if (rows.own.count() == 0) continue;
        var member = member_file.members;
        while (member) |own| : (member = own.next) {
            if (own.mapping != mapping or !rows.own.isSet(own.participant.index)) continue;
            own.local.attention |= participant_file.attention_closed;
            rows.ending.set(own.participant.index);
        }
        names.leaveAtExit(&mapping.view, pool_name.of(mapping), &rows.own, &rows.ending, until_ns);
    }
}

const exit_patience_ns: u64 = 200 * std.time.ns_per_ms;

/// The rows that this process has in a pool, and which of them belong to the ending thread.
const ExitRows = struct {
    mapping: *const Mapping,
    own: names.Rows = .initEmpty(),
    ending: names.Rows = .initEmpty(),

    fn add(rows: *ExitRows, pool: *const Pool) void {
        if (pool.mapping != rows.mapping or pool.is_observer) return;
        if (pool.participant.local.attention & participant_file.attention_closed != 0) return;
        rows.own.set(pool.participant.index);
    }
};

/// In a child of fork: all rows belong to the parent's threads, and the opens of the child say
/// POOL_CLOSED from now on.
pub fn forgetAfterFork() void {
    mapping_file.list_lock.reset();
    descriptor.forgetAfterFork();
    system.ticker.forgetAfterFork();
    event_loop.forgetAfterFork();
    traces.forgetAfterFork();
    member_file.rows_taken = 0;
}
