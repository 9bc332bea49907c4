//! The live views that the JavaScript engine has of a pool's memory, counted per open and buffer. A
//! hold is kept while a view of its buffer is alive, wherever the view was transferred to, and a
//! mapping stays as long as any view of it. The engine reports the death of a view's contents on
//! any thread, also long after the open was closed.

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

/// The open ones of this thread: the end of the thread closes them, since a terminated Worker does
/// not.
threadlocal var opened: ?*Views = null;

pub fn open(pool: *Pool) ?*Views {
    const mapping = pool.mapping orelse return null;
    const geometry = &mapping.view.geometry;
    // The system zeroes large memory on use, so that many counts cost no memory at first.
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
    // The mapping stays for as long as views are counted.
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

/// SYNC: release, so that the next holder of the buffer finds the view's last write. Pairs with
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
