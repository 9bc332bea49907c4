//! The mappings of this process: one of each object, shared by all opens and views of it here.

const std = @import("std");
const errors = @import("../errors.zig");
const geometry_file = @import("../format/geometry.zig");
const layout = @import("../format/layout.zig");
const object = @import("../system/object.zig");
const participant_file = @import("../protocol/participant.zig");
const robust_mutex = @import("../system/robust_mutex.zig");
const system = @import("../system/door.zig");
const thread = @import("../system/thread.zig");

const Error = errors.Error;
const View = participant_file.View;
const allocator = std.heap.c_allocator;

/// It is unmapped with the last open and the last view of it.
pub const Mapping = struct {
    view: View,
    identity: layout.Identity,
    object: object.Object,
    references: u32 = 1,
    views: u32 = 0,
    shared: bool,
    /// The name by which it was opened: the last participant of an ephemeral pool removes it.
    dir: [:0]const u8,
    name: [:0]const u8,
    next: ?*Mapping = null,
};

pub var mappings: ?*Mapping = null;
pub var list_lock: thread.Lock = .{};

pub fn of(found: object.Object, dir: [:0]const u8, name: []const u8) Error!*Mapping {
    {
        list_lock.lock();
        defer list_lock.unlock();
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
    return make(base, geometry, identity, found, dir, name);
}

pub fn checkIdentity(identity: layout.Identity, found: object.Object) Error!geometry_file.Geometry {
    const page_size: u32 = @intCast(system.memory.pageSize());
    return geometry_file.validate(identity, found.size, robust_mutex.libc_kind, page_size);
}

pub fn readIdentity(found: object.Object) Error!layout.Identity {
    var identity: layout.Identity = undefined;
    const bytes = std.mem.asBytes(&identity);
    // SYNC: the name was given by `creating.create`, which had written all of it. Pairs with
    // `creating.create`.
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

pub fn make(
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
    const mapping = try allocate(view, identity, found, dir, name);
    mapping.shared = true;
    list_lock.lock();
    defer list_lock.unlock();
    mapping.next = mappings;
    mappings = mapping;
    return mapping;
}

/// In no list yet.
pub fn allocate(
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

/// An open needs the mapping no longer.
pub fn release(mapping: *Mapping) void {
    list_lock.lock();
    mapping.references -= 1;
    const gone = unlistIfUnused(mapping);
    list_lock.unlock();
    if (gone) destroy(mapping);
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

pub fn destroy(mapping: *Mapping) void {
    const capacity = mapping.view.geometry.capacity;
    system.memory.unmap(mapping.view.base, mapping.view.geometry.total_size);
    if (mapping.shared) {
        const populated: system.memory.Local = @ptrCast(@alignCast(mapping.view.populated));
        system.memory.releaseLocal(populated, @as(u64, capacity) * 4);
    }
    object.close(mapping.object.fd);
    allocator.free(mapping.dir);
    allocator.free(mapping.name);
    allocator.destroy(mapping);
}

/// Counts a view over the mapping's bytes in the JavaScript engine.
pub fn viewAdd(mapping: *Mapping) void {
    list_lock.lock();
    defer list_lock.unlock();
    mapping.views += 1;
}

/// The engine dropped a view's contents. It may say so on any thread.
pub fn viewDone(mapping: *Mapping) void {
    list_lock.lock();
    mapping.views -= 1;
    const gone = unlistIfUnused(mapping);
    list_lock.unlock();
    if (gone) destroy(mapping);
}
