//! The participants of this thread: one for each pool that it has open, however many opens share
//! it.

const std = @import("std");
const cache = @import("../protocol/pool/cache.zig");
const channels = @import("channels.zig");
const errors = @import("../errors.zig");
const layout = @import("../format/layout.zig");
const mapping_file = @import("mapping.zig");
const membership = @import("../protocol/recovery/membership.zig");
const names = @import("../protocol/recovery/names.zig");
const participant_file = @import("../protocol/participant.zig");
const pool_name = @import("pool_name.zig");
const references = @import("../protocol/pool/references.zig");
const system = @import("../system/door.zig");
const thread = @import("../system/thread.zig");

const Error = errors.Error;
const Mapping = mapping_file.Mapping;
const Participant = participant_file.Participant;
const View = participant_file.View;
const allocator = std.heap.c_allocator;

/// At most this many robust mutexes of one thread are marked at its death; one is for recovery.
const thread_rows_max = 2047;

/// A thread's participant in one pool, in the list of the thread.
pub const Member = struct {
    participant: Participant,
    local: participant_file.Local,
    mapping: *Mapping,
    opens: u32 = 1,
    /// The channels that the thread has, or had, open.
    channels: ?*channels.ThreadChannel = null,
    next: ?*Member = null,

    /// Whether its pool is closed by a fork: the row is that of the parent's thread.
    pub fn isForgotten(member: *const Member) bool {
        return member.local.attention & participant_file.attention_closed != 0;
    }
};

pub threadlocal var members: ?*Member = null;
pub threadlocal var rows_taken: u32 = 0;

/// This thread's participant in the pool: the one that it has, or a new row.
pub fn of(mapping: *Mapping, name: []const u8) Error!*Member {
    var each = members;
    while (each) |member| : (each = member.next) {
        if (member.mapping != mapping) continue;
        if (member.isForgotten()) continue;
        member.opens += 1;
        return member;
    }
    const capacity_bytes = @as(u64, mapping.view.geometry.capacity) * 2;
    const owed = system.memory.reserveLocal(capacity_bytes) orelse return error.OutOfMemory;
    errdefer system.memory.releaseLocal(owed, capacity_bytes);
    const member = allocator.create(Member) catch return error.OutOfMemory;
    errdefer allocator.destroy(member);
    const index = try join(&mapping.view, name);
    member.* = .{
        .participant = .{
            .view = mapping.view,
            .index = index,
            .row = &mapping.view.rows[index],
            .holds = mapping.view.holdRow(index),
            .cache = mapping.view.cacheRow(index),
            .local = &member.local,
        },
        .local = .{
            .owed = @ptrCast(@alignCast(owed)),
            .at_pool = .{ .place = .ofPool(mapping.view.header) },
        },
        .mapping = mapping,
        .next = members,
    };
    members = member;
    rows_taken += 1;
    return member;
}

/// Takes a row for this thread.
fn join(view: *const View, name: []const u8) Error!u32 {
    if (rows_taken >= thread_rows_max) return errors.fail(
        error.TooManyParticipants,
        0,
        "this thread has {d} pools open, and the kernel marks the rows of no more",
        .{rows_taken},
    );
    return membership.join(view, .{
        .pid = thread.processId(),
        .tid = thread.threadId(),
        .start_time = thread.processStartTime(),
        .name = name,
    });
}

pub fn release(member: *Member) void {
    member.opens -= 1;
    if (member.opens > 0) return;
    const forked = member.isForgotten();
    if (!forked) {
        cache.close(&member.participant);
        if (member.local.attention != 0) references.settle(&member.participant);
        membership.prepareToLeave(&member.participant);
        unlockRow(member.mapping, member.participant.row);
        rows_taken -= 1;
    }
    var link = &members;
    while (link.*) |each| : (link = &each.next) {
        if (each != member) continue;
        link.* = member.next;
        break;
    }
    destroy(member);
}

pub fn destroy(member: *Member) void {
    channels.destroyShared(member);
    const capacity = member.mapping.view.geometry.capacity;
    const owed: system.memory.Local = @ptrCast(@alignCast(member.local.owed));
    system.memory.releaseLocal(owed, @as(u64, capacity) * 2);
    allocator.destroy(member);
}

/// Gives the row back. The last participant of an ephemeral pool also removes its name.
pub fn unlockRow(mapping: *Mapping, row: *layout.ParticipantRow) void {
    if (mapping.identity.ephemeral == 0) return row.mutex.unlock();
    names.leave(&mapping.view, row, pool_name.of(mapping));
}
