//! The native thread that sleeps on behalf of an event loop, at all places where somebody of the
//! loop waits, and tells the loop when a try is worth it. It reads shared memory, and wakes others
//! there; the try itself always runs on the loop's own thread.
//!
//! It sleeps in `futex_waitv`, on the `wake_seq` of each place and on a word of its own, the bell.
//! Such a sleeper is reached by every wake, also by one that is meant for the row of a claimant:
//! then it looks at the claim by itself, and sleeps on. It does not ask which word has ended its
//! sleep: it compares each. So whoever wakes has changed the word before, here too.
//!
//! Where there is no such call (Linux before 5.16, macOS, sandboxes) a thread watches one place.

const std = @import("std");
const atomic = @import("hooks");
const blocking = @import("../protocol/waiting/blocking.zig");
const errors = @import("../errors.zig");
const event_loop = @import("event_loop.zig");
const futex = @import("../system/futex.zig");
const participant_file = @import("../protocol/participant.zig");
const place_file = @import("../protocol/place.zig");
const system = @import("../system/door.zig");
const thread = @import("../system/thread.zig");
const waiter_file = @import("../protocol/waiting/waiter.zig");

const Error = errors.Error;
const Loop = event_loop.Loop;
const View = participant_file.View;

/// The bell is one more word of the sleep.
pub const places_max = futex.words_max - 1;

/// A loop that is not busy answers within this time. Past it, the wake goes to the next waiter.
const answer_ns = std.time.ns_per_ms;

/// What the loop and the thread know of a place. Only the thread changes `is_listed`; the loop
/// makes it idle, armed or leaving, and the thread the other two.
const State = packed struct(u32) {
    mode: enum(u8) {
        /// Nobody of the loop waits there.
        idle,
        armed,
        /// The loop was told that a try is worth it, and has not answered yet.
        signalled,
        /// The loop lets go of the place, and waits for the thread to do the same.
        leaving,
        gone,
    } = .idle,
    /// The thread sleeps on the place's word, or looks at the state again before it sleeps.
    is_listed: bool = false,
    unused: u23 = 0,

    const Mode = @FieldType(State, "mode");

    /// SYNC: each side acts on what the other wrote before. Pairs with `State.become` and
    /// `Watch.go`.
    fn load(word: *const u32) State {
        return @bitCast(@atomicLoad(u32, word, .seq_cst));
    }

    /// False: it was changed meanwhile. SYNC: as in `State.load`. Pairs with itself and with
    /// `State.load`.
    fn become(word: *u32, from: State, to: State) bool {
        if (from == to) return State.load(word) == from;
        return @cmpxchgStrong(u32, word, @bitCast(from), @bitCast(to), .seq_cst, .seq_cst) == null;
    }
};

/// A place that the thread watches.
pub const Watch = struct {
    waiter: *Waiter,
    view: View,
    watched: place_file.Watched,
    /// The row on whose behalf the thread waits.
    row: u32,
    /// By which the loop knows it.
    tag: u32,
    /// Those of its own, where each place of the loop has some: the thread's end, and the loop's.
    sockets: ?[2]i32 = null,
    state: u32 = @bitCast(State{}),
    /// `wake_seq` as the event loop knew it before its last try.
    seen: u32 = 0,
    /// When the first of the loop's waits ends.
    due_ns: u64 = 0,
    /// The rest is the thread's own: the `wake_seq` that its sleep compares, or compared,
    expected: u32 = 0,
    /// when it told the loop,
    told_ns: u64 = 0,
    /// and what it remembers of its looks.
    looks: place_file.Looks = .{},

    /// The loop tries after this: what came before the load is found by the try, a wake after it
    /// changes the word that the thread compares. It is also the loop's answer to a signal.
    pub fn arm(watch: *Watch, due_ns: u64) void {
        const place = watch.watched.place;
        // SYNC: before the loop's try, as in `blocking.untilServed`. Pairs with `waker.wake`.
        const seen = atomic.load(u32, place.wake_seq, .seq_cst);
        waiter_file.aboutToSleep(place);
        @atomicStore(u64, &watch.due_ns, due_ns, .monotonic);
        // SYNC: before the state that has it read. Pairs with `Watch.lookArmed`.
        @atomicStore(u32, &watch.seen, seen, .seq_cst);
        // A thread that sleeps on the word already sleeps well: whatever changes the word wakes it.
        if (!watch.change(.armed)) watch.waiter.ring();
    }

    /// The thread may see it late: one signal too many, or one wake that it passes on.
    pub fn disarm(watch: *Watch) void {
        _ = watch.change(.idle);
    }

    pub fn isSignalled(watch: *const Watch) bool {
        return State.load(&watch.state).mode == .signalled;
    }

    /// Waits until the thread does not look at the place any more. It never blocks for longer than
    /// a wake takes.
    pub fn leave(watch: *Watch) void {
        const waiter = watch.waiter;
        _ = watch.change(.leaving);
        if (waiter.count == 1) {
            waiter.end();
        } else {
            waiter.ring();
            while (true) {
                const found = State.load(&watch.state);
                if (found.mode == .gone) break;
                _ = futex.wait(&watch.state, @bitCast(found), futex.never_ns);
            }
            waiter.count -= 1;
        }
        watch.destroy();
    }

    /// The loop closes its own end.
    pub fn destroy(watch: *Watch) void {
        if (watch.sockets) |sockets| thread.closeSocket(sockets[0]);
        std.heap.c_allocator.destroy(watch);
    }

    fn tell(watch: *const Watch) void {
        const sockets = watch.sockets orelse return watch.waiter.loop.tell();
        _ = thread.signalSocket(sockets[0]);
    }

    /// True where the thread sleeps on the place's word, or will look.
    fn change(watch: *Watch, mode: State.Mode) bool {
        while (true) {
            const found = State.load(&watch.state);
            if (State.become(&watch.state, found, .{ .mode = mode, .is_listed = found.is_listed }))
                return found.is_listed;
        }
    }

    fn look(watch: *Watch, at: *Round) void {
        while (true) {
            const found = State.load(&watch.state);
            const is_settled = switch (found.mode) {
                .idle => watch.rest(found),
                .armed => watch.lookArmed(found, at),
                .signalled => watch.awaitAnswer(found, at),
                .leaving => {
                    if (found.is_listed) watch.passOnIfWoken();
                    return watch.go();
                },
                .gone => return,
            };
            if (is_settled) return;
        }
    }

    /// Each of these is false where the state has changed meanwhile.
    fn rest(watch: *Watch, found: State) bool {
        if (!found.is_listed) return true;
        watch.passOnIfWoken();
        return State.become(&watch.state, found, .{});
    }

    fn lookArmed(watch: *Watch, found: State, at: *Round) bool {
        const place = watch.watched.place;
        // SYNC: before `wake_seq`, which then is no older. Pairs with `Watch.arm`.
        const seen = @atomicLoad(u32, &watch.seen, .seq_cst);
        // SYNC: pairs with `waker.wake`, `place.wakeAll`, `place.wakeNext` and `place.wakeRow`.
        var now = @atomicLoad(u32, place.wake_seq, .seq_cst);
        var is_worth_a_try = now != seen;
        if (is_worth_a_try and watch.isHeldBack()) {
            // As a waiter before its last try: the end of the claim is seen now, or wakes.
            waiter_file.aboutToSleep(place);
            // SYNC: as above. Pairs with `waker.wake`.
            now = @atomicLoad(u32, place.wake_seq, .seq_cst);
            is_worth_a_try = !watch.isHeldBack();
        }
        if (!is_worth_a_try and at.is_slice_over) is_worth_a_try = watch.isDueAnyway(at);
        const mode: State.Mode = if (is_worth_a_try) .signalled else .armed;
        // Also where nothing changes: a thread that sleeps at one place, and not on its bell, must
        // not miss a change that came before the load of `wake_seq`.
        if (!State.become(&watch.state, found, .{ .mode = mode, .is_listed = true })) return false;
        watch.expected = now;
        at.list(watch);
        if (!is_worth_a_try) {
            at.is_any_armed = true;
            return true;
        }
        watch.tell();
        watch.told_ns = at.now_ns;
        at.wakeBy(at.now_ns + answer_ns);
        return true;
    }

    /// A loop that is not busy answers soon, and then the thread sleeps already where it has to. A
    /// wake that comes before is one too many for the loop, and goes to the next waiter; and so
    /// does the one that the loop was told of, once the loop proves to be busy. From then on none
    /// reaches this thread until the loop answers.
    fn awaitAnswer(watch: *Watch, found: State, at: *Round) bool {
        if (!found.is_listed) return true;
        const answers_by_ns = watch.told_ns + answer_ns;
        if (!watch.isWoken() and at.now_ns < answers_by_ns) {
            // As in `lookArmed`.
            if (State.load(&watch.state) != found) return false;
            at.list(watch);
            at.wakeBy(answers_by_ns);
            return true;
        }
        watch.passOn();
        return State.become(&watch.state, found, .{ .mode = .signalled });
    }

    fn go(watch: *Watch) void {
        const waiter = watch.waiter;
        for (waiter.watches[0..waiter.watchesUsed()]) |*entry| {
            // SYNC: the loop frees it once it is gone. Pairs with `Waiter.add` and `Waiter.only`.
            if (@atomicLoad(?*Watch, entry, .acquire) == watch)
                @atomicStore(?*Watch, entry, null, .seq_cst);
        }
        const word = &watch.state;
        // SYNC: after the last access. Pairs with `State.load`.
        @atomicStore(u32, word, @bitCast(State{ .mode = .gone }), .seq_cst);
        _ = futex.wake(word, 1);
    }

    /// Since its sleep began.
    fn isWoken(watch: *const Watch) bool {
        // SYNC: as in `lookArmed`. Pairs with `waker.wake` and `place.wakeAll`.
        const now = @atomicLoad(u32, watch.watched.place.wake_seq, .seq_cst);
        return now != watch.expected;
    }

    fn passOnIfWoken(watch: *const Watch) void {
        if (watch.isWoken()) watch.passOn();
    }

    fn passOn(watch: *const Watch) void {
        if (atomic.broken(.native_wake_kept)) return;
        watch.watched.passOn(&watch.view, watch.watched.place, watch.row);
    }

    fn isHeldBack(watch: *const Watch) bool {
        return watch.watched.isHeldBack(&watch.view, watch.row);
    }

    /// Only a try looks for losses, so an idle loop has to be told to try. And a loop whose timers
    /// stand still, as in a test with fake ones, has to be told that a wait is over.
    fn isDueAnyway(watch: *Watch, at: *Round) bool {
        const due_ns = @atomicLoad(u64, &watch.due_ns, .monotonic);
        return at.now_ns >= due_ns or at.isAnybodyDead(&watch.view) or
            watch.watched.isWorthATry(&watch.view, watch.watched.place, &watch.looks);
    }
};

/// One look at all places, and the sleep that follows.
const Round = struct {
    now_ns: u64,
    /// At each slice's end the thread looks for what nobody wakes it for.
    is_slice_over: bool,
    is_any_armed: bool = false,
    until_ns: u64 = futex.never_ns,
    words: [places_max + 1]*const u32 = undefined,
    expected: [places_max + 1]u32 = undefined,
    count: usize = 0,
    /// The pool of the last look for the dead, and what that found.
    looked_at: ?*const anyopaque = null,
    is_anybody_dead: bool = false,

    fn add(round: *Round, word: *const u32, expected: u32) void {
        round.words[round.count] = word;
        round.expected[round.count] = expected;
        round.count += 1;
    }

    fn list(round: *Round, watch: *const Watch) void {
        round.add(watch.watched.place.wake_seq, watch.expected);
    }

    fn wakeBy(round: *Round, at_ns: u64) void {
        round.until_ns = @min(round.until_ns, at_ns);
    }

    /// Places of one pool follow each other, mostly.
    fn isAnybodyDead(round: *Round, view: *const View) bool {
        if (round.looked_at != @as(*const anyopaque, view.header)) {
            round.looked_at = view.header;
            round.is_anybody_dead = participant_file.anybodyDead(view);
        }
        return round.is_anybody_dead;
    }
};

pub const Waiter = struct {
    loop: *Loop,
    native: thread.Thread,
    /// How many places it can watch: all that fit, or one.
    room: u32,
    /// Changes when the thread has to look at its places again.
    bell: u32 = 0,
    is_ending: bool = false,
    /// The loop adds to it; the thread takes out what leaves.
    watches: [places_max]?*Watch = @splat(null),
    /// Up to which place there was ever one.
    used: u32 = 0,
    /// How many there are. The loop's own.
    count: u32 = 0,
    /// When the slice ends; 0 where nothing is armed. The thread's own.
    slice_end_ns: u64 = 0,
    next: ?*Waiter = null,

    pub fn start(loop: *Loop, room: u32) Error!*Waiter {
        const waiter = std.heap.c_allocator.create(Waiter) catch return error.OutOfMemory;
        errdefer std.heap.c_allocator.destroy(waiter);
        waiter.* = .{ .loop = loop, .native = undefined, .room = room };
        waiter.native = try thread.Thread.spawn(Waiter, waiter, main);
        return waiter;
    }

    /// Where it has room.
    pub fn add(waiter: *Waiter, watch: *Watch) void {
        const index = for (&waiter.watches, 0..) |*entry, index| {
            // SYNC: the thread looks at it no more. Pairs with `Watch.go`.
            if (@atomicLoad(?*Watch, entry, .acquire) == null) break index;
        } else unreachable;
        waiter.count += 1;
        // SYNC: after what is in it. Pairs with `Waiter.lookAtAll`, `Waiter.only`,
        // `Waiter.passAllOn` and `Watch.go`.
        @atomicStore(?*Watch, &waiter.watches[index], watch, .release);
        if (index < waiter.used) return;
        // SYNC: likewise. Pairs with `Waiter.watchesUsed`.
        @atomicStore(u32, &waiter.used, @intCast(index + 1), .release);
    }

    /// SYNC: pairs with `Waiter.add`.
    pub fn watchesUsed(waiter: *const Waiter) u32 {
        return @atomicLoad(u32, &waiter.used, .acquire);
    }

    fn ring(waiter: *Waiter) void {
        // SYNC: after what the thread shall see. Pairs with `Waiter.main`.
        _ = @atomicRmw(u32, &waiter.bell, .Add, 1, .seq_cst);
        _ = futex.wake(&waiter.bell, 1);
    }

    /// Asks the thread to end, waits for it and frees it.
    pub fn end(waiter: *Waiter) void {
        // SYNC: before the bell, and before `wake_seq`. Pairs with `Waiter.main`.
        @atomicStore(bool, &waiter.is_ending, true, .seq_cst);
        waiter.ring();
        if (waiter.room == 1) {
            // It may be about to sleep on its place's word: only a change of that keeps it awake.
            // Other waiters there look once more than they had to.
            if (waiter.only()) |watch| watch.watched.place.wakeAll();
        }
        waiter.native.join();
        waiter.loop.remove(waiter);
        std.heap.c_allocator.destroy(waiter);
    }

    fn main(waiter: *Waiter) void {
        while (true) {
            // SYNC: before the look: what the loop changes later changes the bell, too. Pairs with
            // `Waiter.ring`.
            const bell = @atomicLoad(u32, &waiter.bell, .seq_cst);
            var round: Round = undefined;
            waiter.lookAtAll(&round, bell);
            // SYNC: after each `wake_seq` that the sleep compares. Pairs with `Waiter.end`.
            if (@atomicLoad(bool, &waiter.is_ending, .seq_cst)) return waiter.passAllOn();
            waiter.sleep(&round);
        }
    }

    fn lookAtAll(waiter: *Waiter, round: *Round, bell: u32) void {
        const now_ns = system.clock.monotonicNs();
        const slice_end_ns = waiter.slice_end_ns;
        round.* = .{
            .now_ns = now_ns,
            .is_slice_over = slice_end_ns != 0 and now_ns >= slice_end_ns,
        };
        round.add(&waiter.bell, bell);
        for (waiter.watches[0..waiter.watchesUsed()]) |*entry| {
            // SYNC: pairs with `Waiter.add`.
            const watch = @atomicLoad(?*Watch, entry, .acquire) orelse continue;
            watch.look(round);
        }
        if (!round.is_any_armed) {
            waiter.slice_end_ns = 0;
        } else if (slice_end_ns == 0 or round.is_slice_over) {
            waiter.slice_end_ns = now_ns + blocking.slice_ns;
        }
        if (waiter.slice_end_ns != 0) round.wakeBy(waiter.slice_end_ns);
    }

    fn sleep(waiter: *const Waiter, round: *const Round) void {
        if (waiter.room > 1) {
            const words = round.words[0..round.count];
            _ = futex.waitAny(words, round.expected[0..round.count], round.until_ns);
            return;
        }
        // At its only place, or, where nobody waits there, on the bell.
        const at = round.count - 1;
        const bits = if (at == 0) 1 else place_file.sleeperBit(waiter.only().?.row);
        _ = futex.waitAs(round.words[at], round.expected[at], round.until_ns, bits);
    }

    /// The place of a thread that has room for one.
    fn only(waiter: *const Waiter) ?*Watch {
        // SYNC: pairs with `Waiter.add` and `Watch.go`.
        return @atomicLoad(?*Watch, &waiter.watches[0], .acquire);
    }

    /// The thread ends: a wake that reached it is another waiter's.
    fn passAllOn(waiter: *const Waiter) void {
        for (waiter.watches[0..waiter.watchesUsed()]) |*entry| {
            // SYNC: pairs with `Waiter.add`.
            const watch = @atomicLoad(?*Watch, entry, .acquire) orelse continue;
            const found = State.load(&watch.state);
            if (found.mode == .signalled) watch.passOn();
            if (found.mode != .signalled and found.is_listed) watch.passOnIfWoken();
        }
    }
};
