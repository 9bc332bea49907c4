//! Waiting without blocking an event loop: one native thread per open sleeps on `wake_seq` in the
//! loop's place, and makes a socket readable when a try is worth it. It only reads shared memory;
//! the acquire itself always runs on the participant's own thread.

const std = @import("std");
const atomic = @import("atomic.zig");
const errors = @import("errors.zig");
const free_list = @import("free_list.zig");
const futex = @import("system/futex.zig");
const participant_file = @import("participant.zig");
const system = @import("system.zig");
const thread = @import("system/thread.zig");
const waiting = @import("waiting.zig");

const Error = errors.Error;
const View = participant_file.View;

const parked: u32 = 0;
const armed: u32 = 1;
const stopping: u32 = 2;

pub const Waiter = struct {
    view: View,
    native: thread.Thread,
    /// The thread's end; the event loop has, and closes, the other.
    socket: i32,
    loop_socket: i32,
    /// What the thread shall do; it sleeps on this word while parked.
    command: u32 = parked,
    /// `wake_seq` as the event loop knew it before its last try.
    seen: u32 = 0,
    next: ?*Waiter = null,
};

/// This thread's waiters, for the end of a thread that never closes, as a terminated Worker's.
threadlocal var waiters: ?*Waiter = null;

pub fn start(view: View) Error!*Waiter {
    const waiter = std.heap.c_allocator.create(Waiter) catch return error.OutOfMemory;
    errdefer std.heap.c_allocator.destroy(waiter);
    const sockets = try thread.socketPair();
    errdefer for (sockets) |socket| thread.closeSocket(socket);
    waiter.* = .{
        .view = view,
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
    // It may be about to sleep on the pool's word: only a change of that keeps it awake. Others who
    // wait there look once more than they had to.
    waiting.wakeAll(&waiter.view);
    waiter.native.join();
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

/// The caller tries to acquire after this: a release before the load is found by the try, one after
/// it changes the word that the thread compares.
pub fn arm(waiter: *Waiter) void {
    // SYNC: before the caller's try, as in `acquire.slice`. Pairs with `waiting.wakeWaiter`.
    const seen = atomic.load(u32, &waiter.view.header.hot.wake_seq, .seq_cst);
    // SYNC: `seen` before the command that has it read. Pairs with `main` and `watch`.
    @atomicStore(u32, &waiter.seen, seen, .seq_cst);
    @atomicStore(u32, &waiter.command, armed, .seq_cst);
    _ = futex.wake(&waiter.command, 1);
}

pub fn disarm(waiter: *Waiter) void {
    // SYNC: pairs with `main` and `watch`, which may see it late: one signal too many.
    @atomicStore(u32, &waiter.command, parked, .seq_cst);
}

fn main(waiter: *Waiter) void {
    while (true) {
        // SYNC: pairs with `arm`, `disarm` and `end`.
        switch (@atomicLoad(u32, &waiter.command, .seq_cst)) {
            parked => _ = futex.wait(&waiter.command, parked, futex.never_ns),
            armed => watch(waiter),
            else => return,
        }
    }
}

fn watch(waiter: *Waiter) void {
    const wake_seq = &waiter.view.header.hot.wake_seq;
    // SYNC: pairs with `arm`.
    var seen = @atomicLoad(u32, &waiter.seen, .seq_cst);
    while (true) {
        // Before the look at the command: a stop after that look changes the word once more.
        // SYNC: pairs with `end`, `disarm`, `waiting.wakeWaiter`, `waiting.wakeAll` and
        // `recovery.start`.
        const now = @atomicLoad(u32, wake_seq, .seq_cst);
        if (@atomicLoad(u32, &waiter.command, .seq_cst) != armed) return;
        if (now != seen) {
            seen = now;
            _ = thread.signalSocket(waiter.socket);
        }
        const slice_end_ns = system.clock.monotonicNs() + waiting.slice_ns;
        const ended = futex.wait(wake_seq, seen, slice_end_ns);
        if (ended == .woken and @atomicLoad(u32, &waiter.command, .seq_cst) != armed) {
            // A wake that reached a thread whose loop no longer waits is the next waiter's.
            _ = futex.wake(wake_seq, 1);
            return;
        }
        if (ended != .timed_out) continue;
        // Losses are looked for by whoever tries to acquire: an idle loop has to be told to try.
        const losses = waiter.view.lease_timeout_ns != 0 or
            participant_file.anybodyDead(&waiter.view);
        if (losses or !free_list.isEmpty(&waiter.view)) _ = thread.signalSocket(waiter.socket);
    }
}
