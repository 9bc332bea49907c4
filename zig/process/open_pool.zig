//! One open of a pool, from `xmem_bun_open` to its close: what a descriptor stands for.

const AsyncWait = @import("async_wait.zig").AsyncWait;
const cache = @import("../protocol/pool/cache.zig");
const channels = @import("channels.zig");
const blocking = @import("../protocol/waiting/blocking.zig");
const descriptor = @import("descriptor.zig");
const errors = @import("../errors.zig");
const mapping_file = @import("mapping.zig");
const member_file = @import("member.zig");
const participant_file = @import("../protocol/participant.zig");
const messages = @import("messages.zig");
const requests = @import("requests.zig");
const system = @import("../system/door.zig");

const Error = errors.Error;
const Mapping = mapping_file.Mapping;
const Participant = participant_file.Participant;

/// What a call that made a hold says beside its result. TypeScript sees it.
pub const Made = extern struct {
    generation: u32 = 0,
    /// Bytes. Not of an acquire, whose caller knows it.
    size: u32 = 0,
};

pub const Pool = struct {
    /// A copy of its thread's. Aligned, so that a descriptor becomes an address by a shift.
    participant: Participant align(256),
    /// Null once closed.
    mapping: ?*Mapping,
    /// The thread that opened it, as `thread.mark` returns it: the form for C refuses other
    /// threads. 0 where it is not known.
    owner: usize = 0,
    /// That thread's last failure, by `errors.ofThisThread`: good on that thread only.
    failure: *const i32 = &errors.none,
    /// This open's own part of its thread's holds, per slot.
    counts: [*]u16,
    made: Made = .{},
    wait: blocking.Wait = .{},
    async_wait: AsyncWait = .{},
    /// The channels that this open has open, by number; null where there is none.
    channels: channels.List = &.{},
    /// Which buffers are messages of this open.
    messages: messages.Set = .{},
    /// What this open needs to ask, once it has.
    requests: ?*requests.Requests = null,
    is_observer: bool = false,
};

/// `cached`: how many free slots this thread may keep for itself.
pub fn make(mapping: *Mapping, participant_name: []const u8, cached: u32) Error!*Pool {
    const member = try member_file.of(mapping, participant_name);
    errdefer member_file.release(member);
    cache.enable(&member.participant, cached);
    const capacity_bytes = @as(u64, mapping.view.geometry.capacity) * 2;
    const counts = system.memory.reserveLocal(capacity_bytes) orelse return error.OutOfMemory;
    errdefer system.memory.releaseLocal(counts, capacity_bytes);
    const pool = try descriptor.take();
    descriptor.fill(pool, .{
        .participant = member.participant,
        .mapping = mapping,
        .counts = @ptrCast(@alignCast(counts)),
    });
    return pool;
}

pub fn releaseCounts(mapping: *const Mapping, counts: [*]u16) void {
    const bytes = @as(u64, mapping.view.geometry.capacity) * 2;
    system.memory.releaseLocal(@ptrCast(@alignCast(counts)), bytes);
}
