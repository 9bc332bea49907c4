//! What a new object contains: every slot free and on the list, in order; every mutex initialised.

const geometry_file = @import("geometry.zig");
const layout = @import("layout.zig");
const words = @import("words.zig");

/// The memory is all zeros, committed, and nobody else's yet.
pub fn fill(
    base: [*]align(4096) u8,
    geometry: geometry_file.Geometry,
    identity: layout.Identity,
) void {
    const header: *layout.Header = @ptrCast(@alignCast(base));
    const slots: [*]layout.Slot = @ptrCast(@alignCast(base + geometry.slots_offset));
    const first_row = base + geometry.participants_offset;
    const rows: [*]layout.ParticipantRow = @ptrCast(@alignCast(first_row));
    header.repair.mutex.initialise();
    for (rows[0..geometry.participant_count]) |*row| row.mutex.initialise();
    for (slots[0..geometry.capacity], 0..) |*slot, index| {
        const next: u32 = @intCast(index + 1);
        slot.next_free = if (next == geometry.capacity) words.index_nil else next;
        const control: words.Control = .{
            .generation = firstGeneration(identity.pool_id, @intCast(index)),
            .in_flight = 0,
            .references = 0,
            .state = .free,
            .frozen = false,
        };
        slot.control = @bitCast(control);
    }
    header.hot.free_head = @bitCast(words.Head{ .index = 0, .tag = 0, .frozen = false });
    header.identity = identity;
}

/// Drawn from the pool's random id, so that a handle of another pool is refused.
pub fn firstGeneration(pool_id: u64, index: u32) u29 {
    const mixed = (pool_id ^ index) *% 0x9e37_79b9_7f4a_7c15;
    return @intCast(1 + (mixed >> 35) % words.generation_max);
}

const std = @import("std");

test "first generations are never 0, and differ by pool and by slot" {
    var seen: [64]u29 = undefined;
    for (0..8) |pool| for (0..8) |index| {
        const generation = firstGeneration(0x1234_5678_9abc_def0 +% pool * 0x1_0001, @intCast(index));
        try std.testing.expect(generation != 0);
        const count = pool * 8 + index;
        for (seen[0..count]) |other| try std.testing.expect(other != generation);
        seen[count] = generation;
    };
}
