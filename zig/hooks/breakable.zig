//! The hooks of the library that is shipped, but for the rules, which can be broken.

const shipped = @import("none.zig");

pub const Canary = shipped.Canary;
pub const Order = shipped.Order;
pub const stepped = shipped.stepped;
pub const modelled = shipped.modelled;
pub const claimsAtOnce = shipped.claimsAtOnce;
pub const load = shipped.load;
pub const store = shipped.store;
pub const cas = shipped.cas;
pub const fetchAdd = shipped.fetchAdd;
pub const fetchSub = shipped.fetchSub;
pub const fetchOr = shipped.fetchOr;
pub const fetchAnd = shipped.fetchAnd;
pub const fetchMax = shipped.fetchMax;
pub const call = shipped.call;
pub const broken = @import("chosen_canary.zig").broken;

/// Only where the rule is about the repair itself.
pub inline fn repairsSilently() bool {
    return broken(.none) or broken(.index_unchecked) or broken(.damage_is_waited_for);
}
