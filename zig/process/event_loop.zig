//! The event loops of this thread that wait: each has a socket, which becomes readable when a try
//! is worth it at one of its places, and a native thread that watches these. A second thread begins
//! where one has no room for another place. Called on the loop's own thread, but for `tell`.

const std = @import("std");
const errors = @import("../errors.zig");
const futex = @import("../system/futex.zig");
const participant_file = @import("../protocol/participant.zig");
const place_file = @import("../protocol/place.zig");
const thread = @import("../system/thread.zig");
const waiter_thread = @import("waiter_thread.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;
const Waiter = waiter_thread.Waiter;
const Watch = waiter_thread.Watch;
const allocator = std.heap.c_allocator;

pub const Loop = struct {
    /// By which it is known outside.
    number: u31,
    /// The threads' end; the event loop has, and closes, the other. -1 where each place has its own.
    socket: i32,
    loop_socket: i32,
    /// How many places one thread watches.
    places_per_thread: u32,
    /// There is a byte in the socket, or somebody is about to write one.
    is_told: bool = false,
    waiters: ?*Waiter = null,
    next: ?*Loop = null,

    /// A native thread found that a try is worth it somewhere.
    pub fn tell(loop: *Loop) void {
        // SYNC: after the place's state: either the loop takes the mark away later, or it looks
        // later. Pairs with `Loop.signalled`.
        if (@atomicRmw(bool, &loop.is_told, .Xchg, true, .seq_cst)) return;
        _ = thread.signalSocket(loop.socket);
    }

    /// Writes the tags of places where a try is worth it, once the socket was read. As many as
    /// there is room for: call again.
    pub fn signalled(loop: *Loop, tags: []u32) u32 {
        // SYNC: before the look. Pairs with `Loop.tell`.
        @atomicStore(bool, &loop.is_told, false, .seq_cst);
        var count: u32 = 0;
        var each = loop.waiters;
        while (each) |waiter| : (each = waiter.next) {
            for (waiter.watches[0..waiter.watchesUsed()]) |*entry| {
                const watch = @atomicLoad(?*Watch, entry, .monotonic) orelse continue;
                if (!watch.isSignalled()) continue;
                if (count == tags.len) return count;
                tags[count] = watch.tag;
                count += 1;
            }
        }
        return count;
    }

    /// Ends with its last thread.
    pub fn remove(loop: *Loop, gone: *Waiter) void {
        var link = &loop.waiters;
        while (link.*) |each| : (link = &each.next) {
            if (each != gone) continue;
            link.* = gone.next;
            break;
        }
        if (loop.waiters == null) loop.end();
    }

    fn end(loop: *Loop) void {
        var link = &loops;
        while (link.*) |each| : (link = &each.next) {
            if (each != loop) continue;
            link.* = loop.next;
            break;
        }
        if (loop.socket >= 0) thread.closeSocket(loop.socket);
        allocator.destroy(loop);
    }

    fn withRoom(loop: *Loop) Error!*Waiter {
        var each = loop.waiters;
        while (each) |waiter| : (each = waiter.next) if (waiter.count < waiter.room) return waiter;
        const waiter = try Waiter.start(loop, loop.places_per_thread);
        waiter.next = loop.waiters;
        loop.waiters = waiter;
        return waiter;
    }
};

/// Also for the end of a thread that never closes, as that of a terminated Worker.
threadlocal var loops: ?*Loop = null;
var numbers: u32 = 0;

/// Of this thread.
pub fn find(number: u32) ?*Loop {
    var each = loops;
    while (each) |loop| : (each = loop.next) if (loop.number == number) return loop;
    return null;
}

/// Begins to watch a place, idly at first. `number`: the loop's; 0: a new one's. A loop that is new
/// ends with its last place.
pub fn begin(
    number: u32,
    tag: u32,
    participant: *const Participant,
    watched: place_file.Watched,
) Error!*Watch {
    const loop = find(number) orelse try open(placesPerThread());
    errdefer if (loop.waiters == null) {
        // Nobody knows of it.
        thread.closeSocket(loop.loop_socket);
        loop.end();
    };
    return add(loop, tag, participant, watched, null);
}

/// The same for an event loop that wants a socket for each of its places. A thread has one loop of
/// this kind.
pub fn beginApart(participant: *const Participant, watched: place_file.Watched) Error!*Watch {
    const sockets = try thread.socketPair();
    errdefer for (sockets) |socket| thread.closeSocket(socket);
    const loop = apart() orelse try openWith(placesPerThread(), .{ -1, -1 });
    errdefer if (loop.waiters == null) loop.end();
    return add(loop, 0, participant, watched, sockets);
}

fn apart() ?*Loop {
    var each = loops;
    while (each) |loop| : (each = loop.next) if (loop.socket < 0) return loop;
    return null;
}

fn placesPerThread() u32 {
    return if (futex.canWaitAny()) waiter_thread.places_max else 1;
}

fn add(
    loop: *Loop,
    tag: u32,
    participant: *const Participant,
    watched: place_file.Watched,
    sockets: ?[2]i32,
) Error!*Watch {
    const made = allocator.create(Watch) catch return error.OutOfMemory;
    errdefer allocator.destroy(made);
    const waiter = try loop.withRoom();
    made.* = .{
        .waiter = waiter,
        .view = participant.view,
        .watched = watched,
        .row = participant.index,
        .tag = tag,
        .sockets = sockets,
    };
    waiter.add(made);
    return made;
}

/// A loop without a place, so that its maker begins one at once.
pub fn open(places_per_thread: u32) Error!*Loop {
    const sockets = try thread.socketPair();
    errdefer for (sockets) |socket| thread.closeSocket(socket);
    return openWith(places_per_thread, sockets);
}

fn openWith(places_per_thread: u32, sockets: [2]i32) Error!*Loop {
    const loop = allocator.create(Loop) catch return error.OutOfMemory;
    loop.* = .{
        .number = nextNumber(),
        .socket = sockets[0],
        .loop_socket = sockets[1],
        .places_per_thread = places_per_thread,
        .next = loops,
    };
    loops = loop;
    return loop;
}

/// From 1 on, in turn, so that each comes again as late as possible.
fn nextNumber() u31 {
    const count = @atomicRmw(u32, &numbers, .Add, 1, .monotonic);
    return @intCast(1 + count % std.math.maxInt(u31));
}

/// The thread ends without having closed.
pub fn endAllOfThread() void {
    while (loops) |loop| {
        var waiter = loop.waiters;
        while (waiter) |each| {
            waiter = each.next;
            var watches = each.watches;
            // It ends the loop, too, when it is the last.
            each.end();
            for (&watches) |entry| if (entry) |watch| watch.destroy();
        }
    }
}

/// In a child of fork the threads do not exist.
pub fn forgetAfterFork() void {
    loops = null;
}

/// In a child of fork: what it has of its parent's watch, on whichever thread.
pub fn forget(forgotten: *Watch) void {
    const waiter = forgotten.waiter;
    const loop = waiter.loop;
    forgotten.destroy();
    waiter.count -= 1;
    if (waiter.count > 0) return;
    loop.remove(waiter);
    allocator.destroy(waiter);
}
