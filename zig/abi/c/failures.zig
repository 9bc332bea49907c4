//! The form for C: what more there is to say of a failed call.

const std = @import("std");
const errors = @import("../../errors.zig");

/// A code's name without its XMEM_, as "POOL_FULL"; of 0 "OK", of what is no code "UNKNOWN".
pub export fn xmem_error_name(
    /// What a call returned.
    status: i32,
) [*:0]const u8 {
    if (status == 0) return "OK";
    inline for (comptime std.enums.values(errors.Code)) |code| {
        if (status == -@intFromEnum(code)) return @tagName(code);
    }
    return "UNKNOWN";
}

/// Why this thread's last call failed, for people, ended by a 0; empty where none failed. The next
/// call that works on a pool forgets it. Returns the length of the whole text, however much of it
/// there was room for.
pub export fn xmem_error_text(
    /// Gets the text; may be NULL where `size` is 0.
    text: ?[*]u8,
    /// Bytes that `text` has room for, the 0 included.
    size: usize,
) usize {
    const whole = errors.lastText();
    const to = text orelse return whole.len;
    if (size == 0) return whole.len;
    const copied = @min(whole.len, size - 1);
    @memcpy(to[0..copied], whole[0..copied]);
    to[copied] = 0;
    return whole.len;
}

/// The errno of the system call for which this thread's last call failed; 0: there was none. The
/// next call that works on a pool forgets it.
pub export fn xmem_error_errno() i32 {
    return errors.lastErrno();
}
