//! The hooks of the library that is shipped: nothing stands at any step, and no rule is broken.
//! `build.zig` chooses this file or one of those beside it as
//! the module `hooks`, and all of them declare the same names.

const accesses = @import("accesses.zig");

pub const Canary = @import("canary.zig").Canary;
pub const Order = accesses.Order;

/// Whether a checker counts each step: then loops that are long only for speed are short.
pub const stepped = false;
/// Whether a checker brings its own operating system.
pub const modelled = false;
/// Whether damage may be repaired silently: a checker that looks for broken rules must see it.
pub inline fn repairsSilently() bool {
    return true;
}

/// Whether a waiter claims its turn without having waited: for checkers in which no time passes.
pub inline fn claimsAtOnce() bool {
    return false;
}

inline fn nothing() void {}

const plain = accesses.After(nothing);
pub const load = plain.load;
pub const store = plain.store;
pub const cas = plain.cas;
pub const fetchAdd = plain.fetchAdd;
pub const fetchSub = plain.fetchSub;
pub const fetchOr = plain.fetchOr;
pub const fetchAnd = plain.fetchAnd;
pub const fetchMax = plain.fetchMax;

/// Before a system call that others can see.
pub const call = nothing;

/// Whether the rule named is broken on purpose.
pub inline fn broken(comptime rule: Canary) bool {
    _ = rule;
    return false;
}
