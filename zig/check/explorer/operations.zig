//! What a fiber does: its program's operations, one after the other, as the C interface would call
//! them. It keeps a ledger of what the calls returned, and reports a call that returns what it must
//! not.

const std = @import("std");
const acquire_file = @import("core").protocol.pool.acquire;
const blocking = @import("core").protocol.waiting.blocking;
const cache = @import("core").protocol.pool.cache;
const channel_operations = @import("channel_operations.zig");
const description = @import("core").protocol.pool.content;
const errors = @import("core").errors;
const fiber = @import("fiber.zig");
const full_oracle = @import("full_oracle.zig");
const flush_file = @import("core").protocol.pool.flush;
const membership = @import("core").protocol.recovery.membership;
const Name = @import("naming.zig").Name;
const names = @import("core").protocol.recovery.names;
const message_oracle = @import("message_oracle.zig");
const oracle = @import("oracle.zig");
const participant_file = @import("core").protocol.participant;
const preallocate_file = @import("core").protocol.pool.preallocate;
const programs = @import("programs.zig");
const recovery = @import("core").protocol.recovery.recovery;
const redelivery = @import("core").protocol.channel.redelivery;
const references = @import("core").protocol.pool.references;
const state = @import("state.zig");
const trim_file = @import("core").protocol.pool.trim;
const words = @import("core").format.words;

const Error = errors.Error;

pub const Operation = enum(u8) {
    acquire,
    /// As for an event loop, which gets PENDING while a recovery has the pool.
    acquire_at_once,
    acquire_blocking,
    /// Blocking, with a bound that ends before a slice of the wait does.
    acquire_timed,
    release,
    clone,
    share,
    hand_off,
    /// To 0 bytes, so that bytes that are zeroed later are zeroed because they were acquired.
    truncate,
    /// These four use the handle that was passed on last.
    get,
    take,
    add_ref,
    unref,
    release_by_hand,
    try_release,
    set_ref_count,
    preallocate,
    trim,
    flush,
    unflush,
    reclaim,
    join,
    leave,
    /// The thread ends without having closed anything.
    abandon,
    /// These three are about the pool's name. The first makes a newer pool where there is none.
    open_or_create,
    leave_at_exit,
    unlink,
    /// With the thread's channel. A buffer that is held is sent; of a broadcast an item is read.
    open_channel,
    leave_channel,
    close_channel,
    send,
    send_dropping,
    send_blocking,
    send_timed,
    /// To the thread's other channel.
    send_on,
    receive,
    receive_blocking,
    receive_timed,
    /// Of a buffer of which a hold is a message: another hold.
    release_other,
};

/// No operation of a set was possible.
pub const skipped: u8 = 255;

pub fn isPossible(index: u8, operation: Operation) bool {
    const ledger = &state.now.ledgers[index];
    if (operation == .unlink) return true;
    if (operation == .join or operation == .open_or_create) return !ledger.joined;
    if (!ledger.joined) return false;
    return switch (operation) {
        .release_other => heldSlot(ledger) != null and
            ledger.holds[heldSlot(ledger).?] > @intFromBool(ledger.messages[heldSlot(ledger).?]),
        .send_on => ledger.has_onward and heldSlot(ledger) != null,
        .release, .clone, .share, .hand_off, .truncate => heldSlot(ledger) != null,
        .get, .take, .add_ref, .unref => state.now.mail != 0,
        .open_channel => !ledger.channel.open,
        .leave_channel, .close_channel => ledger.channel.open,
        .send, .send_dropping, .send_blocking, .send_timed => ledger.channel.open and
            heldSlot(ledger) != null,
        .receive, .receive_blocking, .receive_timed => ledger.channel.open and
            channel_operations.isReader(index),
        .release_by_hand, .try_release, .set_ref_count => state.now.mail != 0,
        else => true,
    };
}

/// What runs on a fiber's stack.
pub fn body() callconv(.c) noreturn {
    const me = fiber.current;
    for (programs.current.threads[me].steps) |set| {
        fiber.pause(.choose, @intFromPtr(set.ptr), set.len);
        const answer = fiber.self().answer;
        if (answer == skipped) continue;
        fiber.self().operation = @intFromEnum(set[answer]);
        perform(me, set[answer]);
    }
    fiber.self().status = .ended;
    fiber.pause(.end, 0, 0);
    unreachable;
}

pub noinline fn perform(me: u8, operation: Operation) void {
    const participant = &state.participants[me];
    const joined = state.now.ledgers[me].joined;
    if (joined and participant.local.attention != 0) references.settle(participant);
    switch (operation) {
        .acquire => acquire(me),
        .acquire_at_once => acquiredAtOnce(me),
        .acquire_blocking => acquired(me, block(me, std.math.maxInt(u64))),
        .acquire_timed => {
            state.now.ledgers[me].timed = true;
            acquired(me, block(me, state.now.clock_ns + programs.short_ns));
            state.now.ledgers[me].timed = false;
        },
        .release => release(me, ownSlot(me)),
        .release_other => releaseOther(me, ownSlot(me)),
        .clone => gained(me, references.operate(participant, .get, ownHandle(me), 0), true),
        .share => share(me),
        .hand_off => handOff(me),
        .truncate => description.truncate(participant, ownHandle(me), 0) catch |err|
            oracle.unexpected(err),
        .get => gained(me, references.operate(participant, .get, state.now.mail, 0), false),
        .take => take(me),
        .add_ref => addRef(me),
        .unref => countDown(me, .unref),
        .release_by_hand => countDown(me, .release_by_hand),
        .try_release => tryRelease(me),
        .set_ref_count => setRefCount(me),
        .preallocate => tolerate(preallocate_file.preallocate(participant, state.buffer_size, 2)),
        .trim => tolerate(trim_file.all(participant)),
        .flush => flush_file.set(participant, true) catch |err| oracle.unexpected(err),
        .unflush => flush_file.set(participant, false) catch |err| oracle.unexpected(err),
        .reclaim => tolerate(recovery.runPatiently(&state.view)),
        .join => join(me),
        .leave => leave(me),
        .abandon => abandon(me),
        .open_or_create => openOrCreate(me),
        .leave_at_exit => leaveAtExit(me),
        .unlink => notRemoved((Name{ .me = me, .by_hand = true }).remove()),
        .open_channel => channel_operations.open(me),
        .leave_channel => channel_operations.leave(me),
        .close_channel => channel_operations.close(me),
        .send => channel_operations.send(me, ownSlot(me), .at_once),
        .send_dropping => channel_operations.send(me, ownSlot(me), .dropping),
        .send_blocking => channel_operations.send(me, ownSlot(me), .blocking),
        .send_timed => channel_operations.send(me, ownSlot(me), .timed),
        .send_on => channel_operations.sendOn(me, ownSlot(me)),
        .receive => channel_operations.receive(me, .at_once),
        .receive_blocking => channel_operations.receive(me, .blocking),
        .receive_timed => channel_operations.receive(me, .timed),
    }
}

fn heldSlot(ledger: *const state.Ledger) ?usize {
    for (ledger.holds, 0..) |holds, slot| if (holds > 0) return slot;
    return null;
}

fn ownSlot(me: u8) usize {
    return heldSlot(&state.now.ledgers[me]).?;
}

fn ownHandle(me: u8) u64 {
    return state.now.ledgers[me].handles[ownSlot(me)];
}

fn indexOf(handle: u64) usize {
    return @as(words.Handle, @bitCast(handle)).index;
}

fn block(me: u8, deadline_ns: u64) Error!u64 {
    const participant = &state.participants[me];
    var wait: blocking.Wait = .{};
    while (true) {
        const size = programs.sizeOf(me);
        return acquire_file.acquireSlice(participant, &wait, size, deadline_ns) catch |err| {
            if (err == error.Pending) continue;
            return err;
        };
    }
}

fn acquire(me: u8) void {
    const ledger = &state.now.ledgers[me];
    ledger.gate = state.view.header.hot.gate;
    ledger.acquiring = true;
    full_oracle.begin(me, false);
    const result = acquire_file.acquire(&state.participants[me], programs.sizeOf(me));
    ledger.acquiring = false;
    if (result == error.PoolFull) oracle.toldFull(me);
    full_oracle.end(me);
    if (result) |_| {} else |_| if (ledger.must_acquire)
        oracle.report("a pool was said to be full for a buffer that an acquire then gave back");
    ledger.must_acquire = false;
    acquired(me, result);
    oracle.checkClaim(me, result);
    ledger.gate = 0;
}

fn acquiredAtOnce(me: u8) void {
    const size = programs.sizeOf(me);
    const ledger = &state.now.ledgers[me];
    if (programs.current.caches()) {
        ledger.acquiring = true;
        full_oracle.begin(me, true);
    }
    const result = acquire_file.acquireAtOnce(&state.participants[me], size, 0);
    if (programs.current.caches()) {
        if (result == error.PoolFull) oracle.toldFull(me);
        ledger.acquiring = false;
        full_oracle.end(me);
    }
    if (result == error.Pending and programs.current.mayRecover()) return;
    acquired(me, result);
}

fn acquired(me: u8, result: Error!u64) void {
    const handle = result catch |err| return switch (err) {
        error.PoolFull => {},
        error.PoolFlushing => if (!programs.current.flushes()) oracle.unexpected(err),
        error.OutOfMemory => if (programs.current.memoryIsPlenty()) oracle.unexpected(err),
        // The wait goes on; only an event loop is told so.
        error.CommitLimit => if (programs.current.max_committed == 0) oracle.unexpected(err),
        error.Timeout => if (!state.now.ledgers[me].timed) oracle.unexpected(err),
        else => mayBeBusy(err),
    };
    oracle.acquired(me, handle);
}

/// Allowed where a recoverer is stopped, or where the clock jumped beyond somebody's patience.
pub fn mayBeBusy(err: Error) void {
    if (err == error.PoolBusy and oracle.patienceMayEnd()) return;
    oracle.unexpected(err);
}

fn tolerate(result: anytype) void {
    _ = result catch |err| switch (err) {
        error.OutOfMemory => if (programs.current.memoryIsPlenty()) oracle.unexpected(err),
        else => mayBeBusy(err),
    };
}

/// `certain`: there is a hold already, so that one more cannot be refused.
fn gained(me: u8, result: Error!references.Result, certain: bool) void {
    const done = result catch |err| return switch (err) {
        error.StaleHandle, error.NoReference => if (certain) oracle.unexpected(err),
        else => mayBeBusy(err),
    };
    oracle.holds(me, done.handle);
}

fn release(me: u8, slot: usize) void {
    const ledger = &state.now.ledgers[me];
    if (!ledger.messages[slot]) return releaseOther(me, slot);
    ledger.messages[slot] = false;
    const handle = ledger.handles[slot];
    ledger.holds[slot] -= 1;
    if (ledger.holds[slot] == 0) ledger.contents[slot] = 0;
    if (!redelivery.release(&state.participants[me], handle))
        oracle.report("a message could not be given back");
}

fn releaseOther(me: u8, slot: usize) void {
    const ledger = &state.now.ledgers[me];
    const handle = ledger.handles[slot];
    // From here on the pool has to give it back.
    ledger.holds[slot] -= 1;
    if (ledger.holds[slot] == 0) ledger.contents[slot] = 0;
    if (!references.giveBack(&state.participants[me], handle))
        oracle.report("a hold could not be given back");
}

fn share(me: u8) void {
    const handle = ownHandle(me);
    const claim = oracle.beginShare(indexOf(handle));
    const result = references.operate(&state.participants[me], .share, handle, 0);
    shared(handle, claim, result) catch |err| mayBeBusy(err);
}

fn shared(handle: u64, claim: oracle.Claim, result: Error!references.Result) Error!void {
    errdefer oracle.failShare(claim);
    _ = try result;
    oracle.endShare(claim);
    state.now.mail = handle;
}

fn handOff(me: u8) void {
    const handle = ownHandle(me);
    const slot = indexOf(handle);
    const ledger = &state.now.ledgers[me];
    const contents = ledger.contents[slot];
    ledger.holds[slot] -= 1;
    if (ledger.holds[slot] == 0) ledger.contents[slot] = 0;
    const claim = oracle.beginShare(slot);
    const is_message = ledger.messages[slot];
    ledger.messages[slot] = false;
    const participant = &state.participants[me];
    const given = if (is_message) redelivery.giveUp(participant, handle) catch null else null;
    const result = references.operate(participant, .hand_off, handle, 0);
    shared(handle, claim, result) catch |err| {
        if (given) |message| message.takeUp(participant);
        ledger.messages[slot] = is_message;
        ledger.holds[slot] += 1;
        ledger.contents[slot] = contents;
        mayBeBusy(err);
    };
}

fn addRef(me: u8) void {
    const handle = state.now.mail;
    const claim = oracle.beginShare(indexOf(handle));
    const result = references.operate(&state.participants[me], .add_ref, handle, 0);
    shared(handle, claim, result) catch |err| {
        if (err != error.StaleHandle) mayBeBusy(err);
    };
}

fn take(me: u8) void {
    const handle = state.now.mail;
    const claim = oracle.beginTake(indexOf(handle));
    if (references.operate(&state.participants[me], .take, handle, 0)) |done| {
        oracle.endTake(claim);
        oracle.holds(me, done.handle);
    } else |err| notTaken(claim, err);
}

fn notTaken(claim: oracle.Claim, err: Error) void {
    const certain = oracle.failTake(claim);
    switch (err) {
        error.StaleHandle, error.NoReference => if (certain) oracle.unexpected(err),
        else => mayBeBusy(err),
    }
}

fn countDown(me: u8, comptime operation: references.Operation) void {
    const handle = state.now.mail;
    const slot = indexOf(handle);
    if (operation == .unref) oracle.beginRecycling(slot);
    defer if (operation == .unref) oracle.endRecycling(slot);
    const park = oracle.beginPark(slot);
    const claim = oracle.beginTake(slot);
    if (references.operate(&state.participants[me], operation, handle, 0)) |done| {
        oracle.endTake(claim);
        if (operation == .release_by_hand and done.count == 0)
            oracle.endPark(claim, handle, park);
    } else |err| notTaken(claim, err);
}

fn tryRelease(me: u8) void {
    const handle = state.now.mail;
    oracle.beginRecycling(indexOf(handle));
    defer oracle.endRecycling(indexOf(handle));
    _ = references.operate(&state.participants[me], .try_release, handle, 0) catch |err| {
        switch (err) {
            error.StaleHandle, error.BufferInUse => {},
            else => mayBeBusy(err),
        }
    };
}

/// The count becomes this, or the number of holds where that is larger.
fn setRefCount(me: u8) void {
    const handle = state.now.mail;
    oracle.beginRecycling(indexOf(handle));
    defer oracle.endRecycling(indexOf(handle));
    oracle.beginSetCount(indexOf(handle), 1);
    _ = references.operate(&state.participants[me], .set_ref_count, handle, 1) catch |err| {
        switch (err) {
            error.StaleHandle, error.InvalidArgument => {},
            else => mayBeBusy(err),
        }
    };
}

pub fn join(me: u8) void {
    tryJoin(me) catch |err| switch (err) {
        error.TooManyParticipants => {},
        error.PoolNotFound => if (!programs.current.ephemeral) oracle.unexpected(err),
        else => mayBeBusy(err),
    };
}

/// As `opening.open` does: opens the pool that the name leads to, or makes a newer one.
fn openOrCreate(me: u8) void {
    const name: Name = .{ .me = me };
    for (0..3) |_| {
        if (name.create() or !name.leadsHere()) return;
        const gone = names.takeIfNobody(&state.view, name, 0);
        if (gone catch return notRemoved(gone)) continue;
        return tryJoin(me) catch |err| {
            if (err != error.PoolNotFound) return mayBeBusy(err);
            const helped = names.takeIfNobody(&state.view, name, 0);
            _ = helped catch return notRemoved(helped);
            continue;
        };
    }
}

fn notRemoved(result: Error!bool) void {
    _ = result catch |err| if (err != error.PermissionDenied) mayBeBusy(err);
}

fn tryJoin(me: u8) Error!void {
    const index = try membership.join(&state.view, .{
        .pid = me,
        .tid = me,
        .start_time = 0,
        .name = "",
    });
    state.participants[me] = .{
        .view = state.view,
        .index = index,
        .row = &state.view.rows[index],
        .holds = state.view.holdRow(index),
        .cache = state.view.cacheRow(index),
        .local = &state.locals[me],
    };
    state.locals[me] = .{
        .owed = &state.now.owed[me],
        .at_pool = .{ .place = .ofPool(state.view.header) },
    };
    state.participants[me].view.populated = &state.now.populated[me];
    cache.enable(&state.participants[me], programs.current.threads[me].cache);
    state.now.ledgers[me].joined = true;
    oracle.joined(me);
}

fn leave(me: u8) void {
    const ledger = &state.now.ledgers[me];
    const participant = &state.participants[me];
    if (ledger.channel.open) channel_operations.leave(me);
    if (ledger.has_onward) channel_operations.leaveOnward(me);
    while (heldSlot(ledger)) |slot| release(me, slot);
    cache.close(participant);
    if (participant.local.attention != 0) references.settle(participant);
    membership.prepareToLeave(participant);
    ledger.joined = false;
    if (programs.current.ephemeral)
        names.leave(&state.view, participant.row, Name{ .me = me })
    else
        participant.row.mutex.unlock();
    @memset(&state.now.owed[me], 0);
}

/// It keeps its holds, and says itself that its row is dead.
fn leaveAtExit(me: u8) void {
    const ledger = &state.now.ledgers[me];
    @memset(&ledger.holds, 0);
    @memset(&ledger.contents, 0);
    message_oracle.died(me);
    @memset(&ledger.messages, false);
    ledger.has_onward = false;
    ledger.channel = std.mem.zeroes(state.ChannelLedger);
    ledger.joined = false;
    var own: names.Rows = .initEmpty();
    own.set(state.participants[me].index);
    names.leaveAtExit(&state.view, Name{ .me = me }, &own, &own, 0);
    @memset(&state.now.owed[me], 0);
    // Its last step. The kernel marks its row if it could not say so itself.
    fiber.self().status = .dead;
    fiber.pause(.end, 0, 0);
}

fn abandon(me: u8) void {
    const participant = &state.participants[me];
    const atomic = @import("hooks");
    const ledger = &state.now.ledgers[me];
    @memset(&ledger.holds, 0);
    @memset(&ledger.contents, 0);
    message_oracle.died(me);
    @memset(&ledger.messages, false);
    ledger.has_onward = false;
    ledger.channel = std.mem.zeroes(state.ChannelLedger);
    atomic.store(u32, &participant.row.abandoned, 1, .release);
    ledger.joined = false;
    participant.row.mutex.unlock();
    @memset(&state.now.owed[me], 0);
    membership.recoverForWaiters(&state.view);
}
