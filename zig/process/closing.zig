//! Closing a pool: its waits end, its holds go back, and with the last open of the thread its row.

const channels = @import("channels.zig");
const descriptor = @import("descriptor.zig");
const mapping_file = @import("mapping.zig");
const member_file = @import("member.zig");
const messages = @import("messages.zig");
const open_pool = @import("open_pool.zig");
const requests = @import("requests.zig");
const references = @import("../protocol/pool/references.zig");
const thaw = @import("../protocol/recovery/thaw.zig");
const views_file = @import("views.zig");
const waiting = @import("../protocol/pool/waiting.zig");
const words = @import("../format/words.zig");

const Member = member_file.Member;
const Patience = thaw.Patience;
const Pool = open_pool.Pool;

pub fn close(pool: *Pool) void {
    const mapping = pool.mapping orelse return;
    const member: *Member = @fieldParentPtr("local", pool.participant.local);
    const forked = member.isForgotten();
    channels.leaveAll(pool);
    if (forked) {
        pool.async_wait.forget();
    } else {
        pool.async_wait.close(waiting, &pool.participant);
        var patience: Patience = .untimed;
        if (pool.wait.counted) waiting.end(&pool.participant, &patience);
        _ = giveBackHolds(pool, null);
    }
    messages.destroy(pool);
    requests.destroy(pool);
    const counts = pool.counts;
    // First, so that no descriptor leads to a participant that is gone.
    descriptor.giveBack(pool);
    open_pool.releaseCounts(mapping, counts);
    member_file.release(member);
    mapping_file.release(mapping);
}

/// Gives back all holds of this open, except for buffers of which `seen` counts live views. Returns
/// the number of those buffers.
pub fn giveBackHolds(pool: *Pool, seen: ?*const views_file.Views) u32 {
    const view = &pool.participant.view;
    messages.acknowledgeAll(pool);
    var kept: u32 = 0;
    for (pool.counts[0..view.geometry.capacity], 0..) |*count, place| {
        if (count.* == 0) continue;
        const index: u32 = @intCast(place);
        if (seen) |views| if (views_file.count(views, index) > 0) {
            kept += 1;
            continue;
        };
        while (count.* > 0) : (count.* -= 1) {
            const control = words.Control.load(&view.slots[index].control, .acquire);
            _ = references.giveBack(&pool.participant, control.handle(index));
        }
    }
    return kept;
}
