//! The form for C: windows, for languages whose views of memory outlive the holds of it.

const call = @import("call.zig");
const errors = @import("../../errors.zig");
const holds = @import("../../process/holds.zig");
const memory = @import("../../system/memory.zig");
const types = @import("types.zig");
const window_file = @import("../../system/window.zig");

const Error = errors.Error;
const Handle = types.Handle;
const Pool = types.Pool;
const ended = call.ended;
const missing = call.missing;

/// Maps a held buffer once more, at an address of its own: a window. It stays until
/// `xmem_window_close`, on whatever thread, also when the hold was given back and the pool closed:
/// for languages whose views of memory cannot be kept from outliving a hold. Make one for each
/// buffer and keep it: it costs two calls of the system. The next use of the same buffer has it in
/// the same window.
///
/// XMEM_STALE_HANDLE: this descriptor has no such hold.
/// XMEM_OUT_OF_MEMORY: there is no address space, or the process has too many mappings.
/// XMEM_SYSTEM: the system refused it; see `xmem_error_errno`.
/// XMEM_POOL_CORRUPT, XMEM_POOL_CLOSED, XMEM_INVALID_ARGUMENT: as in `xmem_data`.
pub export fn xmem_window_open(
    pool: Pool,
    handle: Handle,
    /// Gets the address, aligned to a page.
    data: ?*?*anyopaque,
    /// Gets the bytes of the window: the most that the buffer can ever have, in whole pages.
    length: ?*usize,
) i32 {
    return ended(openWindow(pool, handle, data, length));
}

fn openWindow(pool: Pool, handle: Handle, data: ?*?*anyopaque, length: ?*usize) Error!void {
    const to_data = data orelse return missing("data");
    const to_length = length orelse return missing("length");
    const opened = try call.openPool(pool);
    const index = try call.heldIndex(opened, handle);
    const bytes = try holds.sizeOf(opened, index);
    const view = &opened.participant.view;
    const stride = view.geometry.stride;
    const offset = view.geometry.dataOffset(index);
    const window = try window_file.open(opened.mapping.?.object.fd, offset, stride);
    errdefer memory.unmap(window, stride);
    try memory.populate(window, 0, bytes);
    to_data.* = window;
    to_length.* = stride;
}

/// Takes a window away from those who still look through it: its addresses read as zeros from now
/// on, and what is written there is seen by nobody else. They stay until `xmem_window_close`.
///
/// XMEM_OUT_OF_MEMORY: the process has too many mappings. The window is as it was.
/// XMEM_SYSTEM: the system refused it; see `xmem_error_errno`. The window is as it was.
/// XMEM_INVALID_ARGUMENT: `moved` is NULL.
pub export fn xmem_window_detach(
    /// Of a window.
    data: ?*anyopaque,
    /// Of the same window.
    length: usize,
    /// Gets the address at which the buffer has a window of that length now; NULL: it has none,
    /// since the system cannot move it (Linux before 5.13, macOS).
    moved: ?*?*anyopaque,
) i32 {
    return ended(detachWindow(data, length, moved));
}

fn detachWindow(data: ?*anyopaque, length: usize, moved: ?*?*anyopaque) Error!void {
    errors.clear();
    const out = moved orelse return missing("moved");
    const window = try windowAt(data, length);
    out.* = if (try window_file.detach(window, length)) |other| other else null;
}

/// Unmaps a window. Its addresses are good for nothing afterwards.
///
/// XMEM_INVALID_ARGUMENT: there can be no window of that address and length.
pub export fn xmem_window_close(
    /// Of a window.
    data: ?*anyopaque,
    /// Of the same window.
    length: usize,
) i32 {
    return ended(closeWindow(data, length));
}

fn closeWindow(data: ?*anyopaque, length: usize) Error!void {
    errors.clear();
    memory.unmap(try windowAt(data, length), length);
}

fn windowAt(data: ?*anyopaque, length: usize) Error!memory.Pointer {
    const address = @intFromPtr(data);
    const page_size = memory.pageSize();
    if (address == 0 or length == 0 or address % page_size != 0 or length % page_size != 0)
        return errors.fail(error.InvalidArgument, 0, "no window has that address and length", .{});
    return @ptrFromInt(address);
}
