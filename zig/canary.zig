//! Deliberately broken variants of the protocol, one at a time, chosen when the library is built
//! with `-Dcanary=`. A checker that never failed proves nothing: each names what must catch it.
//! `none` is the only variant that is ever shipped, and costs nothing: every use is comptime.

pub const Canary = enum {
    none,

    /// Caught by the crash points: recovery leaves the holds of the dead.
    dead_rows_kept,

    // For a checker of interleavings, which the project does not have yet: switched by hand until
    // then, and none of them counts as checked.
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
    run_keeps_tag,
    private_without_row,
    row_after_bracket,
    bracket_not_sequential,

    /// For ThreadSanitizer, likewise.
    push_relaxed,
};
