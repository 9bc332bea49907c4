//! Every access to shared memory whose order or interleaving matters goes through here, so that a
//! checker can stand between any two of them. What must not live here: the meaning of any word.
//!
//! Built for use (`hook = none`) each function is the bare instruction. Built for crash points each
//! access counts, and the process kills itself at the one that was asked for. Built with delays a
//! thread sometimes sleeps before an access, which the soak makes use of. Built for the explorer
//! each access is a step that the explorer schedules, in the memory that it models.

const std = @import("std");
const build_options = @import("build_options");

pub const Order = std.builtin.AtomicOrder;
pub const Canary = @import("canary.zig").Canary;

/// The broken variant of this build, `none` in every build that is shipped.
const canary: Canary = std.meta.stringToEnum(Canary, @tagName(build_options.canary)).?;

pub const explored = build_options.hook == .explore;

/// Whether each step counts: then a loop whose length is a matter of speed alone is short.
pub const stepped = build_options.hook == .crash or build_options.hook == .explore;

const crash_point = @import("crash_point.zig");
const delay = @import("delay.zig");
const explorer = @import("explorer/access.zig");

/// Whether this build breaks the rule named. Known at compile time, but in the explorer, which
/// breaks one rule after another.
pub inline fn broken(comptime rule: Canary) bool {
    if (build_options.hook == .explore) return explorer.broken == rule;
    return canary == rule;
}

/// Whether waiters claim at once: always where each step counts, but in the explorer, where programs
/// say so.
pub inline fn claimsAtOnce() bool {
    if (build_options.hook == .explore) return explorer.claims_at_once;
    return build_options.hook == .crash;
}

inline fn step() void {
    crash_point.here();
    if (build_options.hook == .delay) delay.step();
}

pub inline fn load(comptime T: type, ptr: *const T, comptime order: Order) T {
    if (build_options.hook == .explore) return explorer.load(T, ptr);
    step();
    return @atomicLoad(T, ptr, order);
}

pub inline fn store(comptime T: type, ptr: *T, value: T, comptime order: Order) void {
    if (build_options.hook == .explore) return explorer.store(T, ptr, value, order);
    step();
    @atomicStore(T, ptr, value, order);
}

/// True when the value was `expected` and is now `desired`. A failure orders as an acquire load.
pub inline fn cas(
    comptime T: type,
    ptr: *T,
    expected: T,
    desired: T,
    comptime success: Order,
) bool {
    if (build_options.hook == .explore) return explorer.cas(T, ptr, expected, desired, success);
    step();
    const failure: Order = if (success == .monotonic) .monotonic else .acquire;
    return @cmpxchgStrong(T, ptr, expected, desired, success, failure) == null;
}

/// Returns what was there before. Sequentially consistent.
pub inline fn fetchAdd(comptime T: type, ptr: *T, amount: T) T {
    if (build_options.hook == .explore) return explorer.change(T, ptr, amount, .add);
    step();
    return @atomicRmw(T, ptr, .Add, amount, .seq_cst);
}

pub inline fn fetchSub(comptime T: type, ptr: *T, amount: T) T {
    if (build_options.hook == .explore) return explorer.change(T, ptr, amount, .sub);
    step();
    return @atomicRmw(T, ptr, .Sub, amount, .seq_cst);
}

pub inline fn fetchOr(comptime T: type, ptr: *T, bits: T) T {
    if (build_options.hook == .explore) return explorer.change(T, ptr, bits, .bit_or);
    step();
    return @atomicRmw(T, ptr, .Or, bits, .seq_cst);
}

pub inline fn fetchAnd(comptime T: type, ptr: *T, bits: T) T {
    if (build_options.hook == .explore) return explorer.change(T, ptr, bits, .bit_and);
    step();
    return @atomicRmw(T, ptr, .And, bits, .seq_cst);
}

pub inline fn fetchMax(comptime T: type, ptr: *T, value: T) T {
    if (build_options.hook == .explore) return explorer.change(T, ptr, value, .max);
    step();
    return @atomicRmw(T, ptr, .Max, value, .seq_cst);
}
