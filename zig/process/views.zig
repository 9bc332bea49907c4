//! The live views that the JavaScript engine has of a pool's memory, counted per open and buffer: a
//! hold is not given back while a view of its buffer is alive, wherever the view was transferred
//! to, and a mapping does not go under one. The engine says that a view's contents are dead on
//! whatever thread it likes, also long after the open was closed.

const std = @import("std");
const mapping_file = @import("mapping.zig");
const open_pool = @import("open_pool.zig");

const Mapping = mapping_file.Mapping;
const Pool = open_pool.Pool;
const allocator = std.heap.c_allocator;

pub const Views = struct {
    mapping: *Mapping,
    data: usize,
    stride: u64,
    capacity: u32,
    /// Live views per slot.
    counts: [*]u32,
    /// Live views, and one more while it is open.
    references: u32 = 1,
    /// The next of the thread's that are open.
    next: ?*Views = null,
};

/// Those of this thread that are open: nobody closes them when a Worker is terminated.
threadlocal var opened: ?*Views = null;

pub fn open(pool: *Pool) ?*Views {
    const mapping = pool.mapping orelse return null;
    const geometry = &mapping.view.geometry;
    // Zeroed by the system where there are many, and so without memory until they are used.
    const counts = std.c.calloc(geometry.capacity, @sizeOf(u32)) orelse return null;
    const views = allocator.create(Views) catch {
        std.c.free(counts);
        return null;
    };
    views.* = .{
        .mapping = mapping,
        .data = @intFromPtr(mapping.view.base) + geometry.data_offset,
        .stride = geometry.stride,
        .capacity = geometry.capacity,
        .counts = @ptrCast(@alignCast(counts)),
        .next = opened,
    };
    opened = views;
    // Stays for as long as anybody counts in it.
    mapping_file.viewAdd(mapping);
    return views;
}

pub fn close(views: *Views) void {
    var link = &opened;
    while (link.*) |each| : (link = &each.next) {
        if (each != views) continue;
        link.* = views.next;
        break;
    }
    letGo(views);
}

pub fn closeAllOfThread() void {
    var each = opened;
    opened = null;
    while (each) |views| {
        each = views.next;
        letGo(views);
    }
}

pub fn add(views: *Views, index: u32) void {
    _ = @atomicRmw(u32, &views.references, .Add, 1, .monotonic);
    _ = @atomicRmw(u32, &views.counts[index], .Add, 1, .monotonic);
}

/// SYNC: release, so that whoever gets the buffer next finds the view's last write. Pairs with
/// `count`.
pub fn done(views: *Views, bytes: ?*const anyopaque) void {
    const index = (@intFromPtr(bytes) - views.data) / views.stride;
    _ = @atomicRmw(u32, &views.counts[index], .Sub, 1, .release);
    letGo(views);
}

/// SYNC: pairs with `done`.
pub fn count(views: *const Views, index: u32) u32 {
    if (index >= views.capacity) return 0;
    return @atomicLoad(u32, &views.counts[index], .acquire);
}

fn letGo(views: *Views) void {
    // SYNC: what others did with the counts is done before they are freed. Pairs with `letGo`.
    if (@atomicRmw(u32, &views.references, .Sub, 1, .acq_rel) > 1) return;
    std.c.free(views.counts);
    mapping_file.viewDone(views.mapping);
    allocator.destroy(views);
}
