//! Deliberately broken variants of the protocol, one at a time, chosen when the library is built.
//! Each must be caught by the checker named beside it; a checker that never failed proves nothing.
//! `none` is the only variant that is ever shipped, and costs nothing: every use is comptime.

pub const Canary = enum {
    none,

    // Caught by the explorer.
    untagged_head,
    hold_before_cas,
    recovery_without_waiting,
    recovery_one_wait,
    rebuild_ignores_in_flight,
    rebuild_recycles_parked,
    rebuild_frees_private,
    wake_seq_after_try,
    push_gives_up_when_frozen,
    successor_may_defer,
    waiting_outside_bracket,
    dead_read_twice,
    private_without_row,
    row_after_bracket,

    // Caught by the explorer with store buffers: a handshake without its store-load order.
    bracket_not_sequential,
    push_not_sequential,
    freeze_not_sequential,

    // Caught by ThreadSanitizer.
    push_relaxed,
};
