//! Opening and closing: how a process comes to have a pool's object mapped, a thread to have its
//! row, and both to let go. Everything here is cold; what an open pool does is in the files that
//! are named after it.

const std = @import("std");
const abandoned = @import("abandoned.zig");
const acquire_file = @import("../protocol/pool/acquire.zig");
const atomic = @import("hooks");
const descriptor = @import("descriptor.zig");
const digest = @import("../format/digest.zig");
const errors = @import("../errors.zig");
const fresh = @import("../format/fresh.zig");
const geometry_file = @import("../format/geometry.zig");
const layout = @import("../format/layout.zig");
const membership = @import("../protocol/recovery/membership.zig");
const names = @import("../protocol/recovery/names.zig");
const object = @import("../system/object.zig");
const participant_file = @import("../protocol/participant.zig");
const recovery = @import("../protocol/recovery/recovery.zig");
const references = @import("../protocol/pool/references.zig");
const robust_mutex = @import("../system/robust_mutex.zig");
const system = @import("../system/door.zig");
const thread = @import("../system/thread.zig");
const views_file = @import("views.zig");
const waiter_thread = @import("waiter_thread.zig");
const waiting = @import("../protocol/pool/waiting.zig");
const words = @import("../format/words.zig");

const Error = errors.Error;
const Look = abandoned.Look;
const Name = abandoned.Name;
const Participant = participant_file.Participant;
const View = participant_file.View;
const allocator = std.heap.c_allocator;

pub const How = enum(u32) { create = 0, open = 1, open_or_create = 2, _ };

/// Where each option stands in the array that `open` takes; -1 there means not given.
pub const Option = enum {
    CAPACITY,
    BUFFER_SIZE,
    MAX_PARTICIPANTS,
    LEASE_TIMEOUT,
    MAX_COMMITTED,
    CHANNELS,
    ZERO_ON_RELEASE,
    MODE,
    EPHEMERAL,
    REPLACE_ABANDONED,
    ALLOW_OWNER,
    ALLOW_GROUP,
};
pub const Options = [std.meta.fields(Option).len]f64;

pub const Info = enum {
    CAPACITY,
    BUFFER_SIZE,
    STRIDE,
    DATA_ADDRESS,
    DEVICE,
    INODE,
    MAX_PARTICIPANTS,
    LEASE_TIMEOUT,
    MAX_COMMITTED,
    CHANNELS,
    ZERO_ON_RELEASE,
    EPHEMERAL,
    CREATED_AT,
    ROW,
    TOTAL_SIZE,
    MODE,
    OWNER,
    GROUP,
    POOL_ID,
};

/// At most this many robust mutexes of one thread are marked at its death; one is for recovery.
const thread_rows_max = 2047;

/// One process's mapping of one object, shared by its threads. It goes with the last open and the
/// last view of it.
pub const Mapping = struct {
    view: View,
    identity: layout.Identity,
    object: object.Object,
    references: u32 = 1,
    views: u32 = 0,
    shared: bool,
    /// Where the name was when it was mapped, for an ephemeral pool's last participant.
    dir: [:0]const u8,
    name: [:0]const u8,
    next: ?*Mapping = null,
};

/// One `xmem_bun_open`.
pub const Pool = struct {
    /// A copy of its thread's. Aligned, so that a descriptor becomes an address by a shift.
    participant: Participant align(256),
    /// Null once closed.
    mapping: ?*Mapping,
    /// The thread that opened it, by `thread.mark`: the form for C refuses others. 0: not known.
    owner: usize = 0,
    /// This open's own part of its thread's holds, per slot.
    counts: [*]u16,
    wait: acquire_file.Wait = .{},
    waiter: ?*waiter_thread.Waiter = null,
    async_armed: bool = false,
    is_observer: bool = false,
};

/// A thread's participant, with the thread's own list around it.
const Member = struct {
    participant: Participant,
    local: participant_file.Local,
    mapping: *Mapping,
    opens: u32 = 1,
    next: ?*Member = null,
};

var mappings: ?*Mapping = null;
var mappings_lock: thread.Lock = .{};
threadlocal var members: ?*Member = null;
threadlocal var rows_taken: u32 = 0;

pub fn open(
    how: How,
    dir: [:0]const u8,
    name: []const u8,
    participant_name: []const u8,
    options: *const Options,
) Error!*Pool {
    errors.clear();
    if (!object.isValidName(name)) return errors.fail(error.InvalidArgument, 0, "the name", .{});
    if (!robust_mutex.supported()) return errors.fail(
        error.UnsupportedPlatform,
        0,
        "this system does not mark the mutexes of dead threads (robust lists are missing)",
        .{},
    );
    try thread.onThreadExit(abandonThread);
    try thread.onFork(forgetAfterFork);
    try thread.onProcessExit(leaveAtExit);
    system.clock.prepare();
    descriptor.prepare();
    if (how != .open) abandoned.removeLeftOver(dir);
    // A name can vanish and appear between two looks; each round is one look.
    for (0..100) |_| {
        if (how == .create) {
            abandoned.makeWay(dir, name, trustOf(options));
        } else {
            if (openExisting(dir, name, participant_name, options, how)) |pool| {
                return pool;
            } else |err| if (err != error.PoolNotFound or how == .open) return err;
        }
        return createNew(dir, name, participant_name, options) catch |err| {
            if (err == error.PoolExists and how == .open_or_create) continue;
            return err;
        };
    }
    return errors.fail(error.System, 0, "the name appears and vanishes all the time", .{});
}

fn trustOf(options: *const Options) object.Trust {
    return .{
        .owner = idOf(options[@intFromEnum(Option.ALLOW_OWNER)]),
        .group = idOf(options[@intFromEnum(Option.ALLOW_GROUP)]),
    };
}

/// A user's or a group's number; below 0 where none is given.
fn idOf(number_or_none: f64) ?u32 {
    return if (number_or_none < 0) null else @intFromFloat(number_or_none);
}

fn option(options: *const Options, comptime which: Option) ?f64 {
    const value = options[@intFromEnum(which)];
    return if (value < 0) null else value;
}

fn whole(comptime T: type, options: *const Options, comptime which: Option, default: T) T {
    const value = option(options, which) orelse return default;
    return if (value >= 1 << @bitSizeOf(T)) std.math.maxInt(T) else @intFromFloat(value);
}

fn createNew(
    dir: [:0]const u8,
    name: []const u8,
    participant_name: []const u8,
    options: *const Options,
) Error!*Pool {
    const asked: geometry_file.Options = .{
        .capacity = whole(u32, options, .CAPACITY, 1024),
        .buffer_size = whole(u32, options, .BUFFER_SIZE, 1 << 20),
        .participant_count = whole(u32, options, .MAX_PARTICIPANTS, 64),
        .channel_count = whole(u32, options, .CHANNELS, 16),
        .lease_timeout_ms = whole(u32, options, .LEASE_TIMEOUT, 30_000),
        .max_committed = whole(u64, options, .MAX_COMMITTED, 0),
        .zero_on_release = option(options, .ZERO_ON_RELEASE) orelse 0 != 0,
        .ephemeral = option(options, .EPHEMERAL) orelse 0 != 0,
    };
    const page_size: u32 = @intCast(system.memory.pageSize());
    const geometry = try geometry_file.compute(asked, page_size);
    // A pool for a group is made so that the group can open it.
    const group = trustOf(options).group;
    const mode_default: u32 = if (group == null) 0o600 else 0o660;
    const mode = whole(u32, options, .MODE, mode_default) & 0o777;
    var draft = try object.create(dir, geometry.total_size, mode, group);
    var owned = true;
    errdefer if (owned) draft.discard();
    const base = try system.memory.map(draft.fd, geometry.total_size, true);
    errdefer if (owned) system.memory.unmap(base, geometry.total_size);
    try system.memory.commit(draft.fd, base, 0, geometry.fixedBytes());
    const identity = identityOf(asked, geometry);
    fresh.fill(base, geometry, identity);

    const mapping = try makeMapping(base, geometry, identity, .{
        .fd = draft.fd,
        .identity = draft.identity,
        .size = geometry.total_size,
        .mode = mode,
        .owner = std.c.geteuid(),
        .group = group orelse std.c.getegid(),
    }, dir, name);
    // The creator has its row before anybody can see the pool. From here on the mapping owns the
    // descriptor and the memory.
    const pool = makePool(mapping, participant_name) catch |err| {
        const detail = errors.detail();
        draft.fd = std.c.dup(draft.fd);
        releaseMapping(mapping);
        draft.discard();
        owned = false;
        errors.restore(detail);
        return err;
    };
    owned = false;
    // SYNC: everything was written before; the kernel's lock on the folder, under which the name
    // appears and is looked up, orders it. Pairs with `readIdentity`.
    draft.publish(name) catch |err| {
        const detail = errors.detail();
        draft.fd = std.c.dup(draft.fd);
        close(pool);
        draft.discard();
        errors.restore(detail);
        return if (err == error.PoolExists) explainExists(dir, name, options) else err;
    };
    return pool;
}

/// Says what has the name, and what this user can do about it.
fn explainExists(dir: [:0]const u8, name: []const u8, options: *const Options) Error {
    const errno = errors.lastErrno();
    const prefix = object.prefix;
    const found = object.open(dir, name, .read_only, trustOf(options)) catch |err| switch (err) {
        error.PermissionDenied => return errors.fail(
            error.PoolExists,
            errno,
            "{s}/{s}{s} exists and belongs to user {d}, and this is user {d}; choose another " ++
                "name, or see `mode`, `allowOwner` and `allowGroup` for opening it",
            .{ dir, prefix, name, object.ownerOf(dir, name) orelse 0, std.c.geteuid() },
        ),
        error.PoolCorrupt => {
            const why = errors.detail();
            const text = "{s}; choose another name, or remove that by hand";
            return errors.fail(error.PoolExists, errno, text, .{why.text[0..why.length]});
        },
        else => {
            const text = "{s}/{s}{s} exists";
            return errors.fail(error.PoolExists, errno, text, .{ dir, prefix, name });
        },
    };
    defer object.close(found.fd);
    var look = Look.at(found) catch |err| {
        const why = errors.detail();
        return errors.fail(
            error.PoolExists,
            errno,
            "{s}/{s}{s} exists and is no pool that can be opened here ({s}: {s}); " ++
                "BufferPool.unlink() removes it",
            .{ dir, prefix, name, @tagName(errors.codeOf(err)), why.text[0..why.length] },
        );
    };
    defer look.end();
    const live = names.countLive(&look.view);
    if (live == 0) return errors.fail(
        error.PoolExists,
        errno,
        "{s}/{s}{s} exists and nobody has it open; openOrCreate() opens it, and with " ++
            "replaceAbandoned: true replaces it",
        .{ dir, prefix, name },
    );
    return errors.fail(
        error.PoolExists,
        errno,
        "{s}/{s}{s} exists and {d} participant{s} it open; openOrCreate() opens it, and with " ++
            "replaceAbandoned: true replaces it once nobody has it",
        .{ dir, prefix, name, live, if (live == 1) " has" else "s have" },
    );
}

fn identityOf(options: geometry_file.Options, geometry: geometry_file.Geometry) layout.Identity {
    var pool_id: u64 = system.clock.monotonicNs() ^ (@as(u64, thread.threadId()) << 32);
    fillRandom(std.mem.asBytes(&pool_id));
    var identity = std.mem.zeroes(layout.Identity);
    identity.magic = layout.magic;
    identity.version = layout.version;
    identity.libc_kind = robust_mutex.libc_kind;
    identity.layout_hash = digest.digest;
    identity.pool_id = pool_id;
    identity.created_at_ms = system.clock.realtimeMs();
    identity.max_committed = options.max_committed;
    identity.lease_timeout_ms = options.lease_timeout_ms;
    identity.zero_on_release = @intFromBool(options.zero_on_release);
    identity.ephemeral = @intFromBool(options.ephemeral);
    identity.state = layout.state_ready;
    geometry_file.describe(geometry, &identity);
    return identity;
}

fn fillRandom(bytes: []u8) void {
    const fd = std.c.open("/dev/urandom", .{ .ACCMODE = .RDONLY, .CLOEXEC = true });
    if (fd < 0) return;
    defer _ = std.c.close(fd);
    var random: [8]u8 = undefined;
    if (std.c.read(fd, &random, bytes.len) == bytes.len) @memcpy(bytes, random[0..bytes.len]);
}

fn openExisting(
    dir: [:0]const u8,
    name: []const u8,
    participant_name: []const u8,
    options: *const Options,
    how: How,
) Error!*Pool {
    const found = try object.open(dir, name, .read_write, trustOf(options));
    const mapping = try mappingOf(found, dir, name);
    errdefer releaseMapping(mapping);
    const own_name: Name = .{ .dir = dir, .name = name, .identity = mapping.object.identity };
    if (mapping.identity.ephemeral != 0 and try names.takeIfNobody(&mapping.view, own_name, 0)) {
        return errors.fail(error.PoolNotFound, 0, "its last participant is gone", .{});
    }
    if (how == .open_or_create) {
        if (option(options, .REPLACE_ABANDONED) orelse 0 != 0) {
            if (try names.takeIfNobody(&mapping.view, own_name, 0)) {
                return errors.fail(error.PoolNotFound, 0, "it was abandoned, and is replaced", .{});
            }
        }
        try checkAsked(mapping, options);
    }
    return makePool(mapping, participant_name) catch |err| {
        // Somebody who found it abandoned takes it away, or died while doing so: help.
        if (err == error.PoolNotFound) {
            const detail = errors.detail();
            _ = try names.takeIfNobody(&mapping.view, own_name, 0);
            errors.restore(detail);
        }
        return err;
    };
}

fn checkAsked(mapping: *Mapping, options: *const Options) Error!void {
    const geometry = mapping.view.geometry;
    const asked = .{
        .{ "capacity", option(options, .CAPACITY), geometry.capacity },
        .{ "bufferSize", option(options, .BUFFER_SIZE), geometry.buffer_size },
    };
    inline for (asked) |row| {
        if (row[1]) |wanted| if (@as(f64, @floatFromInt(row[2])) < wanted) {
            return errors.fail(
                error.OptionsMismatch,
                0,
                "its {s} is {d}, smaller than the {d} that was asked for",
                .{ row[0], row[2], wanted },
            );
        };
    }
}

pub fn mappingOf(found: object.Object, dir: [:0]const u8, name: []const u8) Error!*Mapping {
    {
        mappings_lock.lock();
        defer mappings_lock.unlock();
        var each = mappings;
        while (each) |mapping| : (each = mapping.next) {
            if (!mapping.object.identity.equals(found.identity)) continue;
            mapping.references += 1;
            object.close(found.fd);
            return mapping;
        }
    }
    errdefer object.close(found.fd);
    const identity = try readIdentity(found);
    const geometry = try checkIdentity(identity, found);
    const base = try system.memory.map(found.fd, geometry.total_size, true);
    errdefer system.memory.unmap(base, geometry.total_size);
    return makeMapping(base, geometry, identity, found, dir, name);
}

pub fn checkIdentity(identity: layout.Identity, found: object.Object) Error!geometry_file.Geometry {
    const page_size: u32 = @intCast(system.memory.pageSize());
    return geometry_file.validate(identity, found.size, robust_mutex.libc_kind, page_size);
}

pub fn readIdentity(found: object.Object) Error!layout.Identity {
    var identity: layout.Identity = undefined;
    const bytes = std.mem.asBytes(&identity);
    // SYNC: pairs with `createNew`, whose name led here.
    const length = if (found.size < @sizeOf(layout.Header))
        -1
    else
        std.c.pread(found.fd, bytes, bytes.len, 0);
    if (length != bytes.len) return errors.fail(
        error.PoolCorrupt,
        0,
        "it has {d} bytes, fewer than a pool's header",
        .{found.size},
    );
    return identity;
}

fn makeMapping(
    base: [*]align(4096) u8,
    geometry: geometry_file.Geometry,
    identity: layout.Identity,
    found: object.Object,
    dir: [:0]const u8,
    name: []const u8,
) Error!*Mapping {
    const populated_bytes = @as(u64, geometry.capacity) * 4;
    const populated = system.memory.reserveLocal(populated_bytes) orelse return error.OutOfMemory;
    errdefer system.memory.releaseLocal(populated, populated_bytes);
    const view: View = .init(base, geometry, identity, found.fd, @ptrCast(@alignCast(populated)));
    const mapping = try allocateMapping(view, identity, found, dir, name);
    mapping.shared = true;
    mappings_lock.lock();
    defer mappings_lock.unlock();
    mapping.next = mappings;
    mappings = mapping;
    return mapping;
}

/// Process-local, and in no list yet.
fn allocateMapping(
    view: View,
    identity: layout.Identity,
    found: object.Object,
    dir: [:0]const u8,
    name: []const u8,
) Error!*Mapping {
    const own_dir = allocator.dupeZ(u8, dir) catch return error.OutOfMemory;
    errdefer allocator.free(own_dir);
    const own_name = allocator.dupeZ(u8, name) catch return error.OutOfMemory;
    errdefer allocator.free(own_name);
    const mapping = allocator.create(Mapping) catch return error.OutOfMemory;
    mapping.* = .{
        .view = view,
        .identity = identity,
        .object = found,
        .shared = false,
        .dir = own_dir,
        .name = own_name,
    };
    return mapping;
}

/// An open lets go.
pub fn releaseMapping(mapping: *Mapping) void {
    mappings_lock.lock();
    mapping.references -= 1;
    const gone = unlistIfUnused(mapping);
    mappings_lock.unlock();
    if (gone) destroyMapping(mapping);
}

fn unlistIfUnused(mapping: *Mapping) bool {
    if (mapping.references != 0 or mapping.views != 0) return false;
    var link = &mappings;
    while (link.*) |each| : (link = &each.next) {
        if (each != mapping) continue;
        link.* = mapping.next;
        return true;
    }
    // An observer's mapping is in no list.
    return true;
}

fn destroyMapping(mapping: *Mapping) void {
    const capacity = mapping.view.geometry.capacity;
    system.memory.unmap(mapping.view.base, mapping.view.geometry.total_size);
    if (mapping.shared) {
        const populated: [*]align(4096) u8 = @ptrCast(@alignCast(mapping.view.populated));
        system.memory.releaseLocal(populated, @as(u64, capacity) * 4);
    }
    object.close(mapping.object.fd);
    allocator.free(mapping.dir);
    allocator.free(mapping.name);
    allocator.destroy(mapping);
}

/// A view over the mapping's bytes begins to live in the JavaScript engine.
pub fn viewAdd(mapping: *Mapping) void {
    mappings_lock.lock();
    defer mappings_lock.unlock();
    mapping.views += 1;
}

/// The engine dropped a view's contents, on whatever thread it did.
pub fn viewDone(mapping: *Mapping) void {
    mappings_lock.lock();
    mapping.views -= 1;
    const gone = unlistIfUnused(mapping);
    mappings_lock.unlock();
    if (gone) destroyMapping(mapping);
}

fn makePool(
    mapping: *Mapping,
    participant_name: []const u8,
) Error!*Pool {
    const member = try memberOf(mapping, participant_name);
    errdefer releaseMember(member);
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

/// This thread's participant in the pool: the one that it has, or a new row.
fn memberOf(mapping: *Mapping, name: []const u8) Error!*Member {
    var each = members;
    while (each) |member| : (each = member.next) {
        if (member.mapping != mapping) continue;
        if (member.local.attention & participant_file.attention_closed != 0) continue;
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
            .local = &member.local,
        },
        .local = .{ .owed = @ptrCast(@alignCast(owed)) },
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
        "this thread has {d} pools open, and the kernel watches over no more",
        .{rows_taken},
    );
    return membership.join(view, .{
        .pid = thread.processId(),
        .tid = thread.threadId(),
        .start_time = thread.processStartTime(),
        .name = name,
    });
}

pub fn close(pool: *Pool) void {
    const mapping = pool.mapping orelse return;
    const forked = pool.participant.local.attention & participant_file.attention_closed != 0;
    if (pool.waiter) |waiter| {
        pool.waiter = null;
        // In a child of fork there is no such thread that could be waited for.
        if (forked) waiter_thread.forget(waiter) else waiter_thread.stop(waiter);
    }
    if (!forked) {
        var patience: @import("../protocol/recovery/thaw.zig").Patience = .untimed;
        if (pool.async_armed) waiting.end(&pool.participant, &patience);
        if (pool.wait.counted) waiting.end(&pool.participant, &patience);
        _ = giveBackHolds(pool, null);
    }
    const counts = pool.counts;
    const member: *Member = @fieldParentPtr("local", pool.participant.local);
    // First, so that no place names a participant that is no more.
    descriptor.giveBack(pool);
    releaseCounts(mapping, counts);
    releaseMember(member);
    releaseMapping(mapping);
}

fn releaseCounts(mapping: *const Mapping, counts: [*]u16) void {
    const bytes = @as(u64, mapping.view.geometry.capacity) * 2;
    system.memory.releaseLocal(@ptrCast(@alignCast(counts)), bytes);
}

/// All of this open, but for those of buffers that `seen` has live views of: how many those are.
pub fn giveBackHolds(pool: *Pool, seen: ?*const views_file.Views) u32 {
    const view = &pool.participant.view;
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

fn releaseMember(member: *Member) void {
    member.opens -= 1;
    if (member.opens > 0) return;
    const forked = member.local.attention & participant_file.attention_closed != 0;
    if (!forked) {
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
    destroyMember(member);
}

fn destroyMember(member: *Member) void {
    const capacity = member.mapping.view.geometry.capacity;
    const owed: [*]align(4096) u8 = @ptrCast(@alignCast(member.local.owed));
    system.memory.releaseLocal(owed, @as(u64, capacity) * 2);
    allocator.destroy(member);
}

/// Gives the row back; the last one of an ephemeral pool takes the name with it.
fn unlockRow(mapping: *Mapping, row: *layout.ParticipantRow) void {
    if (mapping.identity.ephemeral == 0) return row.mutex.unlock();
    names.leave(&mapping.view, row, nameOf(mapping));
}

fn nameOf(mapping: *const Mapping) Name {
    return .{
        .dir = mapping.dir,
        .name = mapping.name,
        .identity = mapping.object.identity,
    };
}

/// The thread ends without having closed, as a terminated Worker's does: its rows are dead by
/// agreement, so that the kernel's mark, and with it the mapping, need not be waited for.
fn abandonThread() void {
    waiter_thread.stopAllOfThread();
    views_file.closeAllOfThread();
    var each = members;
    members = null;
    while (each) |member| {
        each = member.next;
        const mapping = member.mapping;
        const forked = member.local.attention & participant_file.attention_closed != 0;
        if (!forked) {
            // SYNC: after the last access to the row. Pairs with `participant.isDead`.
            atomic.store(u32, &member.participant.row.abandoned, 1, .release);
        }
        while (descriptor.anyOf(&member.local)) |pool| {
            const counts = pool.counts;
            // First, so that no place names memory that is no more.
            descriptor.giveBack(pool);
            releaseCounts(mapping, counts);
        }
        if (!forked) {
            unlockRow(mapping, member.participant.row);
            membership.recoverForWaiters(&mapping.view);
        }
        const opens = member.opens;
        destroyMember(member);
        for (0..opens) |_| releaseMapping(mapping);
    }
    rows_taken = 0;
}

/// The process ends without having closed: its ephemeral pools lose their names now where nobody
/// else has them. Everything else the kernel does. Other threads of the process may still run, so
/// that only what is locked here is looked at.
fn leaveAtExit() void {
    const until_ns = system.clock.monotonicNs() + exit_patience_ns;
    while (!mappings_lock.tryLock()) {
        if (system.clock.monotonicNs() > until_ns) return;
        system.clock.sleep(std.time.ns_per_ms);
    }
    defer mappings_lock.unlock();
    var each = mappings;
    while (each) |mapping| : (each = mapping.next) {
        if (mapping.identity.ephemeral == 0) continue;
        var rows: ExitRows = .{ .mapping = mapping };
        descriptor.forEachAtExit(&rows, ExitRows.add);
        // In a child of fork, all may be its parent's.
        if (rows.own.count() == 0) continue;
        var member = members;
        while (member) |own| : (member = own.next) {
            if (own.mapping != mapping or !rows.own.isSet(own.participant.index)) continue;
            own.local.attention |= participant_file.attention_closed;
            rows.ending.set(own.participant.index);
        }
        names.leaveAtExit(&mapping.view, nameOf(mapping), &rows.own, &rows.ending, until_ns);
    }
}

const exit_patience_ns: u64 = 200 * std.time.ns_per_ms;

/// The rows that this process has in a pool, and those of them that are the ending thread's.
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

/// In a child of fork: the rows are the parent's, whichever of its threads took them. What is open
/// here says POOL_CLOSED from now on.
fn forgetAfterFork() void {
    mappings_lock.reset();
    descriptor.forgetAfterFork();
    system.ticker.forgetAfterFork();
    waiter_thread.forgetAfterFork();
    rows_taken = 0;
}

/// A look from outside: no row, no recovery, nothing written.
/// Root looks at everybody's.
pub fn observe(
    dir: [:0]const u8,
    name: []const u8,
    allow_owner: f64,
    allow_group: f64,
) Error!*Pool {
    errors.clear();
    const found = try object.open(dir, name, .read_only, .{
        .owner = idOf(allow_owner),
        .group = idOf(allow_group),
        .anybody = std.c.geteuid() == 0,
    });
    errdefer object.close(found.fd);
    const identity = try readIdentity(found);
    const geometry = try checkIdentity(identity, found);
    const base = try system.memory.map(found.fd, geometry.total_size, false);
    errdefer system.memory.unmap(base, geometry.total_size);
    const view: View = .init(base, geometry, identity, found.fd, undefined);
    const pool = try descriptor.take();
    errdefer descriptor.giveBack(pool);
    const mapping = try allocateMapping(view, identity, found, dir, name);
    // Its participant stays nobody, so that every other operation finds it closed.
    pool.mapping = mapping;
    pool.is_observer = true;
    return pool;
}

pub fn unobserve(pool: *Pool) void {
    const mapping = pool.mapping orelse return;
    descriptor.giveBack(pool);
    destroyMapping(mapping);
}

pub fn linked(pool: *const Pool) bool {
    const mapping = pool.mapping orelse return false;
    return object.linked(mapping.dir, mapping.name, mapping.object.identity);
}

/// `device` below 0: whatever the name leads to. `pool_id`, as `info` gives it, tells a pool that is
/// closed here from a later one that got its inode; below 0 for one that is open here.
pub fn unlink(
    dir: [:0]const u8,
    name: []const u8,
    device: f64,
    inode: f64,
    pool_id: f64,
) Error!bool {
    errors.clear();
    if (device < 0) return object.remove(dir, name, null, unlink_patience_ns);
    const stamp: object.Stamp = .{
        .offset = @offsetOf(layout.Identity, "pool_id"),
        .value = @intFromFloat(@max(pool_id, 0)),
        .mask = pool_id_mask,
    };
    return object.remove(dir, name, .{
        .identity = .{ .device = @intFromFloat(device), .inode = @intFromFloat(inode) },
        .stamp = if (pool_id < 0) null else stamp,
    }, unlink_patience_ns);
}

/// Removes the name of an open pool, unless it leads to another one by now.
pub fn unlinkOwn(pool: *const Pool) Error!bool {
    errors.clear();
    const mapping = pool.mapping orelse return error.PoolClosed;
    return object.remove(mapping.dir, mapping.name, .{
        .identity = mapping.object.identity,
        .stamp = .{
            .offset = @offsetOf(layout.Identity, "pool_id"),
            .value = mapping.identity.pool_id & pool_id_mask,
            .mask = pool_id_mask,
        },
    }, unlink_patience_ns);
}

const unlink_patience_ns: u64 = 2 * std.time.ns_per_s;
/// The bits of a pool's id that a number keeps whole.
const pool_id_mask: u64 = (1 << 53) - 1;

pub fn info(pool: *const Pool, out: []f64) void {
    const mapping = pool.mapping orelse return;
    const geometry = mapping.view.geometry;
    const identity = mapping.identity;
    const found = object.stat(mapping.object.fd) catch mapping.object;
    const data_address = @intFromPtr(mapping.view.base) + geometry.data_offset;
    for (std.enums.values(Info)) |field| {
        out[@intFromEnum(field)] = switch (field) {
            .CAPACITY => number(geometry.capacity),
            .BUFFER_SIZE => number(geometry.buffer_size),
            .STRIDE => number(geometry.stride),
            .DATA_ADDRESS => number(data_address),
            .DEVICE => number(found.identity.device),
            .INODE => number(found.identity.inode),
            .MAX_PARTICIPANTS => number(geometry.participant_count),
            .LEASE_TIMEOUT => number(identity.lease_timeout_ms),
            .MAX_COMMITTED => number(mapping.view.max_committed),
            .CHANNELS => number(geometry.channel_count),
            .ZERO_ON_RELEASE => number(@intFromBool(identity.zero_on_release != 0)),
            .EPHEMERAL => number(@intFromBool(identity.ephemeral != 0)),
            .CREATED_AT => number(identity.created_at_ms),
            .ROW => if (pool.is_observer) -1 else number(pool.participant.index),
            .TOTAL_SIZE => number(geometry.total_size),
            .MODE => number(found.mode),
            .OWNER => number(found.owner),
            .GROUP => number(found.group),
            .POOL_ID => number(identity.pool_id & pool_id_mask),
        };
    }
}

fn number(value: u64) f64 {
    return @floatFromInt(value);
}
