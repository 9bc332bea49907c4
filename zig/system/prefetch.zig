//! Asks for a cache line that another processor may have, before it is needed. It changes nothing,
//! and never faults.

const builtin = @import("builtin");

/// A compare-and-swap follows: the line comes at once without the copies of others.
pub inline fn toWrite(ptr: *const anyopaque) void {
    // For a processor of which nothing else is known, the compiler would ask for reading. One that
    // does not know this instruction takes it for none. Zig's own back end for debug builds does
    // not know it, and asks for reading.
    if (builtin.cpu.arch == .x86_64 and builtin.zig_backend == .stage2_llvm)
        return asm volatile ("prefetchw (%[ptr])"
            :
            : [ptr] "r" (ptr),
        );
    @prefetch(@as([*]const u8, @ptrCast(ptr)), .{ .rw = .write });
}

pub inline fn toRead(ptr: *const anyopaque) void {
    @prefetch(@as([*]const u8, @ptrCast(ptr)), .{ .rw = .read });
}
