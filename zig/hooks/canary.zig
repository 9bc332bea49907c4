//! Deliberately broken variants of the protocol, one at a time, chosen when a checker's library is
//! loaded. A checker that never failed proves nothing, so each variant names the checker that must
//! catch it. The library that is shipped knows of none: `hooks/none.zig` says of every rule, when it
//! is compiled, that it is kept.

pub const Canary = enum {
    none,

    // Caught by the explorer (`check/explorer/programs.zig` says by which program).
    untagged_head,
    push_gives_up_when_frozen,
    /// Also caught by the crash points: recovery leaves the holds of the dead.
    dead_rows_kept,
    dead_read_twice,
    recovery_without_waiting,
    recovery_one_wait,
    successor_may_defer,
    rebuild_ignores_in_flight,
    rebuild_recycles_parked,
    rebuild_frees_private,
    private_without_row,
    row_after_bracket,
    wake_seq_after_try,
    waiting_outside_bracket,
    /// A claim outlives its owner and its time.
    claim_never_ends,
    /// A claim holds nobody back.
    claim_ignored,
    /// A releaser does not notice that somebody is about to sleep.
    sleep_not_counted,
    /// Two participants that begin to wait at once may be counted as one.
    waiters_not_atomic,
    /// An ephemeral pool is marked as removed after its name has gone, instead of before.
    removed_after_name,
    /// Also caught by the crash points: a name is removed without a lock on the object that it
    /// leads to.
    name_unlocked,
    truncated_tail_kept,
    maintenance_without_waiting,
    refusal_pops_first,
    refusal_unchecked,
    memory_waiter_not_woken,
    memory_wake_kept,
    maintenance_wakes_nobody,

    // Of caches of free slots:
    /// A release into a cache does not look whether somebody waits.
    cached_release_wakes_nobody,
    /// Also caught by test/local_cache.test.ts: an acquire that finds the list empty asks no cache.
    caches_not_searched,
    /// A pool is called full although slots went from cache to cache while it was searched.
    cache_moves_unseen,
    /// The same, where a release into a cache has begun.
    cache_put_unseen,
    /// Also caught by test/local_cache.test.ts: a participant that leaves keeps what it has cached.
    cache_kept_at_close,
    /// A recovery lists a slot, and leaves it in a cache as well.
    cached_and_listed,
    /// A word says that a slot is in a cache before the cache's entries do.
    cache_entry_after_word,
    /// A slot is taken out of a cache while a recovery is about to freeze its word.
    cached_pop_while_frozen,
    /// A slot is taken for gone from a cache when a recovery freezes its word, and then gives up.
    cache_move_once,
    /// Slots on their way from a cache to the list are not seen, and the pool is called full.
    move_unseen,

    // Caught by the explorer with store buffers: harmless where memory is sequentially consistent.
    hold_before_cas,
    frozen_word_taken,
    bracket_not_sequential,
    sleep_not_sequential,
    leave_relaxed,
    maintenance_keeps_tag,
    /// The push of a free slot releases nothing, not even the link to the next one.
    push_relaxed,

    // Of channels. A send or a receive in the wrong order, or without what it needs:
    /// A sender's row changes before the cell.
    send_row_first,
    /// The bracket ends between the cell and the row.
    cell_row_after_bracket,
    /// A sender claims a place by the tail, and fills it then.
    send_claims_tail,
    /// Whoever finds an end that lags waits for somebody to move it.
    lagging_end_awaited,
    /// A change of a cell does not compare the lap.
    cell_lap_ignored,
    /// The oldest item goes from its cell to nothing without a row.
    drop_without_row,
    /// A sender looks for waiters before its change of the cell.
    wake_before_cell,
    /// A channel is closed by a flag beside the ring.
    closed_beside_ring,

    // Of broadcasts:
    /// A reader looks at the others' cursors before its own is stored.
    cursors_seen_before_own,
    /// Its cursor moves before it has its reference.
    cursor_before_reference,
    /// It does not look at the cell again after the word.
    cell_not_read_again,
    /// Its cursor's store is not sequential: harmless where memory is.
    cursor_not_sequential,
    /// How many items stay is counted from a tail that may lag.
    history_of_lagging_tail,
    /// A sender does not look whether its item makes another superfluous.
    sender_keeps_history,

    // Of what recovery does to channels:
    cells_not_frozen,
    cells_not_counted,
    dead_cursors_kept,
    passed_cells_kept,

    // Of messages, by who sends and receives:
    /// A receiver changes the message word before the cell.
    message_received_early,
    /// A message that is sent on keeps the word that it had.
    message_not_addressed,
    /// It gets the new one after the cell.
    message_addressed_late,
    /// It loses the channel that it came from before it is sent.
    message_given_up_early,
    /// Two that send one buffer may both make it a message.
    message_claim_not_atomic,
    /// A receiver says what it is about to take after it has.
    taking_noted_late,
    /// The message word is cleared after the hold was given back.
    message_cleared_late,
    /// The ring is looked at before the returned list.
    ring_before_returned,

    // Of messages, by recovery:
    taking_ignored,
    /// What a dead receiver was about to take is compared by its position, not by its slot.
    taking_without_slot,
    /// What is in no ring was taken.
    not_in_ring_is_taken,
    takings_cleared_first,
    /// Any dead holder returns a message, not its owner alone.
    any_dead_holder_returns,
    returned_not_counted,
    returned_not_frozen,
    /// A list's head looks after a recovery as it did before it.
    returned_untagged,
    /// A message remembers that it came from a channel that is gone.
    removed_channel_remembered,
    returned_without_order,
    /// The place in a list follows from a send that did not happen.
    order_of_unsent,
    /// Nobody who waits is woken.
    recovery_wakes_nobody,

    /// Caught by ThreadSanitizer: a change of a slot's word neither releases nor acquires, so that
    /// references pass from holder to holder without the content.
    word_relaxed,
    /// The same of a channel's cell.
    cell_relaxed,

    /// Caught by the corruption fuzzer: a pop follows what the list says without a check (a fault),
    /// and an operation that meets a frozen word only waits (a hang).
    index_unchecked,
    damage_is_waited_for,

    /// Caught by the comparison with a model (test/property.test.ts).
    unref_keeps_reference,
    generation_kept,

    /// Caught by test/native_waiter.test.ts: a native thread keeps a wake that its event loop has
    /// no use for, or no time.
    native_wake_kept,

    /// No rule, but a system like Linux before 5.16: a thread cannot sleep on several words.
    no_futex_waitv,
};
