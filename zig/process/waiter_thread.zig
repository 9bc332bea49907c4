//! Waiting without blocking an event loop: a native thread sleeps at one place on the loop's
//! behalf, and makes a socket readable when a try is worth it. It only reads shared memory; the try
//! itself always runs on the participant's own thread.
//!
//! A loop that waits at several places has a thread for each. One thread for all could sleep in
//! `futex_waitv`, which singles nobody out by a bit: each wake that is meant for a claimant alone
//! would wake all such loops. And where there is no such call (Linux before 5.16, macOS, sandboxes)
//! it would still take a thread for each place. An idle one costs a look at the rows every 50 ms.

const std = @import("std");
const atomic = @import("hooks");
const errors = @import("../errors.zig");
const futex = @import("../system/futex.zig");
const blocking = @import("../protocol/waiting/blocking.zig");
const participant_file = @import("../protocol/participant.zig");
const place_file = @import("../protocol/place.zig");
const system = @import("../system/door.zig");
const thread = @import("../system/thread.zig");
const waiter_file = @import("../protocol/waiting/waiter.zig");

const Error = errors.Error;
const Participant = participant_file.Participant;
const View = participant_file.View;

/// The states of the thread.
const parked: u32 = 0;
/// It sleeps at the place on the loop's behalf.
const armed: u32 = 1;
/// The loop was told, and has not answered yet.
const signalled: u32 = 2;
const stopping: u32 = 3;

/// A loop that is not busy answers within this time. Past it, the wake goes to the next waiter.
const answer_ns = std.time.ns_per_ms;

pub const Waiter = struct {
    view: View,
    watched: place_file.Watched,
    /// The row on whose behalf the thread waits.
    row: u32,
    native: thread.Thread,
    /// The thread's end; the event loop has, and closes, the other.
    socket: i32,
    loop_socket: i32,
    /// One of the states above; the thread sleeps on this word while parked, and while signalled.
    command: u32 = parked,
    /// `wake_seq` as the event loop knew it before its last try.
    seen: u32 = 0,
    /// When the first of the loop's waits ends.
    due_ns: u64 = 0,
    next: ?*Waiter = null,
};

/// This thread's waiters, for the end of a thread that never closes, as a terminated Worker's.
threadlocal var waiters: ?*Waiter = null;

pub fn start(participant: *const Participant, watched: place_file.Watched) Error!*Waiter {
    const waiter = std.heap.c_allocator.create(Waiter) catch return error.OutOfMemory;
    errdefer std.heap.c_allocator.destroy(waiter);
    const sockets = try thread.socketPair();
    errdefer for (sockets) |socket| thread.closeSocket(socket);
    waiter.* = .{
        .view = participant.view,
        .watched = watched,
        .row = participant.index,
        .native = undefined,
        .socket = sockets[0],
        .loop_socket = sockets[1],
        .next = waiters,
    };
    waiter.native = try thread.Thread.spawn(Waiter, waiter, main);
    waiters = waiter;
    return waiter;
}

/// Asks the thread to end and waits for it: it never blocks for longer than a wake takes.
pub fn stop(waiter: *Waiter) void {
    var link = &waiters;
    while (link.*) |each| : (link = &each.next) {
        if (each != waiter) continue;
        link.* = waiter.next;
        break;
    }
    end(waiter);
}

fn end(waiter: *Waiter) void {
    // SYNC: before `wake_seq` changes in `wakeAll`. Pairs with `main` and `watch`.
    @atomicStore(u32, &waiter.command, stopping, .seq_cst);
    _ = futex.wake(&waiter.command, 1);
    // It may be about to sleep on the place's word: only a change of that keeps it awake. Other
    // waiters there look once more than they had to.
    waiter.watched.place.wakeAll();
    waiter.native.join();
    thread.closeSocket(waiter.socket);
    std.heap.c_allocator.destroy(waiter);
}

/// In a child of fork: what it has of its parent's thread, which does not exist here.
pub fn forget(waiter: *Waiter) void {
    thread.closeSocket(waiter.socket);
    std.heap.c_allocator.destroy(waiter);
}

pub fn stopAllOfThread() void {
    while (waiters) |waiter| {
        waiters = waiter.next;
        end(waiter);
    }
}

/// In a child of fork the threads do not exist.
pub fn forgetAfterFork() void {
    waiters = null;
}

/// The loop tries after this: what came before the load is found by the try, a wake after it
/// changes the word that the thread compares. It is also the loop's answer to a signal.
pub fn arm(waiter: *Waiter, due_ns: u64) void {
    const place = waiter.watched.place;
    // SYNC: before the loop's try, as in `blocking.untilServed`. Pairs with `waker.wake`.
    const seen = atomic.load(u32, place.wake_seq, .seq_cst);
    waiter_file.aboutToSleep(place);
    @atomicStore(u64, &waiter.due_ns, due_ns, .monotonic);
    // SYNC: `seen` before the command that has it read. Pairs with `main`, `watch` and `signal`.
    @atomicStore(u32, &waiter.seen, seen, .seq_cst);
    if (@atomicRmw(u32, &waiter.command, .Xchg, armed, .seq_cst) == armed) return;
    _ = futex.wake(&waiter.command, 1);
}

pub fn disarm(waiter: *Waiter) void {
    // SYNC: pairs with `main`, `watch` and `signal`, which may see it late: one signal too many.
    @atomicStore(u32, &waiter.command, parked, .seq_cst);
}

fn main(waiter: *Waiter) void {
    while (true) {
        // SYNC: pairs with `arm`, `disarm` and `end`.
        switch (@atomicLoad(u32, &waiter.command, .seq_cst)) {
            parked => _ = futex.wait(&waiter.command, parked, futex.never_ns),
            armed => watch(waiter),
            signalled => awaitAnswer(waiter),
            else => return,
        }
    }
}

/// Returns when the loop was signalled, or no longer waits.
fn watch(waiter: *Waiter) void {
    const wake_seq = waiter.watched.place.wake_seq;
    // SYNC: pairs with `arm`.
    const seen = @atomicLoad(u32, &waiter.seen, .seq_cst);
    while (true) {
        // Before the look at the command: a stop after that look changes the word once more.
        // SYNC: pairs with `end`, `disarm`, `waker.wake` and `place.wakeAll`.
        const now = @atomicLoad(u32, wake_seq, .seq_cst);
        if (@atomicLoad(u32, &waiter.command, .seq_cst) != armed) return;
        if (now != seen) return signal(waiter);
        const slice_end_ns = system.clock.monotonicNs() + blocking.slice_ns;
        const bit = place_file.sleeperBit(waiter.row);
        switch (futex.waitAs(wake_seq, seen, slice_end_ns, bit)) {
            .woken => return signal(waiter),
            .timed_out => if (isWorthATry(waiter)) return signal(waiter),
            .changed, .interrupted => {},
        }
    }
}

/// Only a try looks for losses, so an idle loop has to be told to try. And a loop whose timers
/// stand still, as in a test with fake ones, has to be told that a wait is over.
fn isWorthATry(waiter: *const Waiter) bool {
    const view = &waiter.view;
    const due_ns = @atomicLoad(u64, &waiter.due_ns, .monotonic);
    return system.clock.monotonicNs() >= due_ns or participant_file.anybodyDead(view) or
        waiter.watched.isWorthATry(view, waiter.watched.place);
}

fn signal(waiter: *Waiter) void {
    // First, so that an answer can only come after it. SYNC: pairs with `arm` and `disarm`.
    const found = @cmpxchgStrong(u32, &waiter.command, armed, signalled, .seq_cst, .seq_cst);
    if (found == null) {
        _ = thread.signalSocket(waiter.socket);
    } else passOn(waiter); // The loop no longer waits.
}

/// Until the loop answers, no wake reaches this thread: the loop was told already. The one that it
/// had goes to the next waiter when the loop is busy.
fn awaitAnswer(waiter: *Waiter) void {
    const patience_end_ns = system.clock.monotonicNs() + answer_ns;
    if (futex.wait(&waiter.command, signalled, patience_end_ns) != .timed_out) return;
    passOn(waiter);
    _ = futex.wait(&waiter.command, signalled, futex.never_ns);
}

fn passOn(waiter: *const Waiter) void {
    waiter.watched.passOn(&waiter.view, waiter.watched.place, waiter.row);
}
