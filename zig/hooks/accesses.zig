//! The accesses to shared memory whose order or interleaving matters, each with a step before it.
//! The hook decides what the step does; an empty step costs nothing.

const std = @import("std");

pub const Order = std.builtin.AtomicOrder;

pub fn After(comptime step: anytype) type {
    return struct {
        pub inline fn load(comptime T: type, ptr: *const T, comptime order: Order) T {
            step();
            return @atomicLoad(T, ptr, order);
        }

        pub inline fn store(comptime T: type, ptr: *T, value: T, comptime order: Order) void {
            step();
            @atomicStore(T, ptr, value, order);
        }

        /// True when the value was `expected` and is now `desired`. A failure orders as an acquire
        /// load.
        pub inline fn cas(
            comptime T: type,
            ptr: *T,
            expected: T,
            desired: T,
            comptime success: Order,
        ) bool {
            step();
            const failure: Order = if (success == .monotonic) .monotonic else .acquire;
            return @cmpxchgStrong(T, ptr, expected, desired, success, failure) == null;
        }

        /// Returns what was there before, as all below. Sequentially consistent.
        pub inline fn fetchAdd(comptime T: type, ptr: *T, amount: T) T {
            step();
            return @atomicRmw(T, ptr, .Add, amount, .seq_cst);
        }

        pub inline fn fetchSub(comptime T: type, ptr: *T, amount: T) T {
            step();
            return @atomicRmw(T, ptr, .Sub, amount, .seq_cst);
        }

        pub inline fn fetchOr(comptime T: type, ptr: *T, bits: T) T {
            step();
            return @atomicRmw(T, ptr, .Or, bits, .seq_cst);
        }

        pub inline fn fetchAnd(comptime T: type, ptr: *T, bits: T) T {
            step();
            return @atomicRmw(T, ptr, .And, bits, .seq_cst);
        }

        pub inline fn fetchMax(comptime T: type, ptr: *T, value: T) T {
            step();
            return @atomicRmw(T, ptr, .Max, value, .seq_cst);
        }
    };
}
