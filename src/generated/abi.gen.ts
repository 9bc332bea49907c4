// Generated from zig/abi/bun.zig by `bun run generate`. Do not edit.

import type { FFIFunction, Pointer } from "bun:ffi";

/** What the native side calls an open pool; see zig/process/descriptor.zig. */
export type Descriptor = number;

/** What a pointer argument may be: an array that the call reads or fills. */
export type Memory = Uint8Array | Uint32Array | Float64Array;

/** zig/abi/bun.zig, as TypeScript calls it. */
export interface Native {
  /** The pool's descriptor, above 0. */
  xmem_bun_open(how: number, dir: Memory, name: Memory, participantName: Memory, options: Memory): number;
  xmem_bun_close(descriptor: Descriptor): void;
  /** The code of this thread's last failed call, to which the errno and the text belong. */
  xmem_bun_error_code(): number;
  xmem_bun_error_errno(): number;
  xmem_bun_error_text(buffer: Memory, length: number): number;
  xmem_bun_info(descriptor: Descriptor, out: Memory): void;
  xmem_bun_unlink(dir: Memory, name: Memory, device: number, inode: number, poolId: number): number;
  /** Removes the names of the ephemeral pools of this user that the dead left in a folder. */
  xmem_bun_remove_left_over(dir: Memory): void;
  /** 1: this user's pool has no live participant, and its name was removed unless `dry`. 0: it stays. */
  xmem_bun_prune(dir: Memory, name: Memory, dry: number): number;
  /** Counts the views that this open makes; null when memory is short. The caller closes it. */
  xmem_bun_views_open(descriptor: Descriptor): Pointer | null;
  xmem_bun_views_close(opened: Pointer): void;
  /** The engine is about to get a view of the buffer at `index`. */
  xmem_bun_view_add(opened: Pointer, index: number): void;
  /** The signature is that of a deallocator, which the engine calls on any thread. */
  xmem_bun_view_done(bytes: Pointer | null, opened: Pointer): void;
  /** How many views of the buffer are alive, wherever they were transferred to. */
  xmem_bun_view_count(opened: Pointer, index: number): number;
  /**
   * Gives this open's holds back, except for buffers that a view can still reach. Returns the number
   * of those.
   */
  xmem_bun_give_back_unseen(descriptor: Descriptor, opened: Pointer): number;
  xmem_bun_acquire(descriptor: Descriptor, sizeNumber: number): number;
  /**
   * For an event loop: never waits, PENDING while a recovery has the pool.
   *
   * `waited_ms`: for how long this loop has waited, 0 at its first try.
   */
  xmem_bun_acquire_at_once(descriptor: Descriptor, size: number, waitedMs: number): number;
  xmem_bun_release(descriptor: Descriptor, handleNumber: number): void;
  /**
   * Where a call that made a hold puts the buffer's generation and its size, for the descriptor 0;
   * for each of the others LIMIT_MADE_STRIDE bytes further.
   */
  xmem_bun_made(): Pointer;
  /**
   * As `xmem_bun_acquire`, but returns the index. That is faster than a handle: everything after an
   * atomic operation waits for it, and converting a number to floating point and back takes long.
   */
  xmem_bun_acquire_index(descriptor: Descriptor, size: number): number;
  /**
   * The same for an open that has a cache of free slots. It is a call of its own, so that others do
   * not ask whether they have one.
   */
  xmem_bun_acquire_index_cached(descriptor: Descriptor, size: number): number;
  /**
   * The straight line alone, for a call that waits otherwise. PENDING: something is uncommon, and
   * nothing was done.
   */
  xmem_bun_acquire_index_straight(descriptor: Descriptor, size: number): number;
  xmem_bun_release_index(descriptor: Descriptor, index: number, generation: number): void;
  xmem_bun_release_index_cached(descriptor: Descriptor, index: number, generation: number): void;
  xmem_bun_acquire_blocking(descriptor: Descriptor, size: number, deadlineMs: number): number;
  xmem_bun_now(): number;
  xmem_bun_get(descriptor: Descriptor, index: number, generation: number): number;
  /** By a handle or a bare index, which are taken apart here faster than in JavaScript. */
  xmem_bun_get_by_ref(descriptor: Descriptor, ref: number): number;
  xmem_bun_take_by_ref(descriptor: Descriptor, ref: number): number;
  xmem_bun_size(descriptor: Descriptor, index: number): number;
  /** Bytes of a buffer that have memory: what a holder may look at. */
  xmem_bun_committed(descriptor: Descriptor, index: number): number;
  xmem_bun_truncate(descriptor: Descriptor, handleNumber: number, size: number): number;
  xmem_bun_share(descriptor: Descriptor, index: number, generation: number): number;
  xmem_bun_hand_off(descriptor: Descriptor, index: number, generation: number): number;
  xmem_bun_add_ref(descriptor: Descriptor, ref: number): number;
  xmem_bun_unref(descriptor: Descriptor, ref: number): number;
  xmem_bun_release_by_hand(descriptor: Descriptor, ref: number): number;
  xmem_bun_set_ref_count(descriptor: Descriptor, ref: number, count: number): number;
  xmem_bun_ref_count(descriptor: Descriptor, refNumber: number): number;
  /** 1: recycled by this call. 0: it still has references, or the bare index is free already. */
  xmem_bun_try_release(descriptor: Descriptor, ref: number): number;
  xmem_bun_release_buffer(descriptor: Descriptor, ref: number): number;
  /** What fills the pool; see `occupancy.zig`. `name` is that of the participant that holds most. */
  xmem_bun_filling(descriptor: Descriptor, out: Memory, name: Memory): number;
  /**
   * How many generations ago the slot had the handle's generation. -1: never, as far as is known:
   * generations begin again after 2^29.
   */
  xmem_bun_handle_age(descriptor: Descriptor, handleNumber: number): number;
  xmem_bun_preallocate(descriptor: Descriptor, size: number, count: number): number;
  xmem_bun_trim(descriptor: Descriptor): number;
  xmem_bun_flush(descriptor: Descriptor, on: number): number;
  xmem_bun_reclaim(descriptor: Descriptor, out: Memory): number;
  xmem_bun_stats(descriptor: Descriptor, out: Memory): number;
  /** Those of the same numbers for which no slot has to be looked at; the rest is 0. */
  xmem_bun_sums(descriptor: Descriptor, out: Memory): number;
  /**
   * Every row that was ever taken, in order, by `deaths.Field` and with a name. Returns how many were
   * written.
   */
  xmem_bun_deaths(descriptor: Descriptor, out: Memory, names: Memory, rowsMax: number): number;
  xmem_bun_participants(descriptor: Descriptor, out: Memory, names: Memory, rowsMax: number): number;
  /** `allow_owner` and `allow_group` below 0: nobody besides this user and root, to root everybody. */
  xmem_bun_observe(dir: Memory, name: Memory, allowOwner: number, allowGroup: number): number;
  xmem_bun_unobserve(descriptor: Descriptor): void;
  xmem_bun_meta_number(descriptor: Descriptor, handle: number, which: number): number;
  xmem_bun_meta_set_number(descriptor: Descriptor, handle: number, which: number, value: number): number;
  xmem_bun_meta_dims(descriptor: Descriptor, handle: number, which: number, out: Memory): number;
  xmem_bun_meta_set_dims(descriptor: Descriptor, handle: number, which: number, values: Memory, length: number): number;
  xmem_bun_meta_text(descriptor: Descriptor, handle: number, which: number, out: Memory): number;
  xmem_bun_meta_set_text(descriptor: Descriptor, handle: number, which: number, text: Memory, length: number): number;
  /**
   * Begins to watch the pool for an event loop of this thread. `loop`: its number; 0: a new one,
   * which ends with the last of its places. `tag`: what `xmem_bun_loop_signalled` says of this
   * place. Returns the loop's number.
   */
  xmem_bun_async_open(descriptor: Descriptor, loop: number, tag: number): number;
  /**
   * The event loop's end of a socket that becomes readable when a try is worth it somewhere; -1
   * where there is no such loop. Who asks for it has to close it.
   */
  xmem_bun_loop_socket(loop: number): number;
  /**
   * After the socket was read: writes the tags of the places where a try is worth it, and returns
   * their number. Where that is `room`, call again.
   */
  xmem_bun_loop_signalled(loop: number, tags: Memory, room: number): number;
  /**
   * PENDING while a recovery has the pool: its end makes the socket readable, and is the time to arm
   * again.
   *
   * `due_ms`: when the first of the loop's waits ends, so that the loop is told even if its own
   * timers stand still.
   */
  xmem_bun_async_arm(descriptor: Descriptor, dueMs: number): number;
  xmem_bun_async_disarm(descriptor: Descriptor, passOn: number): void;
  /** Counts a wait of an event loop that ended without a buffer. */
  xmem_bun_async_timed_out(descriptor: Descriptor): void;
  xmem_bun_constant_count(): number;
  xmem_bun_constant_name(index: number, buffer: Memory, length: number): number;
  xmem_bun_constant_value(index: number): number;
  /**
   * Opens the channel of that name, or makes it. Returns the number by which this open of the pool
   * knows it.
   */
  xmem_bun_channel_open(descriptor: Descriptor, name: Memory, options: Memory, deadLetter: Memory): number;
  /** Lets go of the channel; it goes on for the others. */
  xmem_bun_channel_leave(descriptor: Descriptor, channel: number): void;
  /** Lets go of all channels that the open has: it is about to be closed. */
  xmem_bun_channel_leave_all(descriptor: Descriptor): void;
  /** What the channel was made as. */
  xmem_bun_channel_info(descriptor: Descriptor, channel: number, out: Memory): number;
  /** For everybody: nothing is sent from now on. */
  xmem_bun_channel_close(descriptor: Descriptor, channel: number): number;
  /** 0: it was closed, for everybody. CHANNEL_EMPTY: it was not. */
  xmem_bun_channel_closed(descriptor: Descriptor, channel: number): number;
  /**
   * 0: the channel has the buffer. 1: it was dropped, as the channel's overflow says. CHANNEL_FULL:
   * the hold stays.
   */
  xmem_bun_channel_send(descriptor: Descriptor, channel: number, index: number, generation: number): number;
  /** As `xmem_bun_channel_send`, but drops nothing. */
  xmem_bun_channel_try_send(descriptor: Descriptor, channel: number, index: number, generation: number): number;
  /**
   * For an event loop: as `xmem_bun_channel_try_send`, but never waits. PENDING while a recovery has
   * the pool. `is_first`: 1 where a wait begins with it.
   */
  xmem_bun_channel_send_at_once(descriptor: Descriptor, channel: number, index: number, generation: number, isFirst: number): number;
  /** A slice of a wait for room, which ends at `deadline_ms`. PENDING: call again. */
  xmem_bun_channel_send_blocking(descriptor: Descriptor, channel: number, index: number, generation: number, deadlineMs: number): number;
  /**
   * The index of a buffer that this open holds now. CHANNEL_EMPTY: nothing is there.
   * CHANNEL_CLOSED: and nothing comes.
   */
  xmem_bun_channel_receive(descriptor: Descriptor, channel: number): number;
  /**
   * The message that this open holds at an index below the capacity is done: its hold is an ordinary
   * one from now on, and its death brings nothing back.
   */
  xmem_bun_message_done(descriptor: Descriptor, index: number): void;
  /** As `xmem_bun_hand_off`, of a message, which is none any more. */
  xmem_bun_message_hand_off(descriptor: Descriptor, index: number, generation: number): number;
  /** How often the message was received that this open holds at the index; 0 where it holds none. */
  xmem_bun_deliveries(descriptor: Descriptor, index: number, generation: number): number;
  /**
   * Where the message that this open holds at the index stood when it was sent, the same at each
   * delivery: the channel's number, the lap and the place in one whole number. -1: it holds none.
   */
  xmem_bun_message_origin(descriptor: Descriptor, index: number, generation: number): number;
  /**
   * For an event loop: never waits. PENDING while a recovery has the pool. `is_first`: 1 where a wait
   * begins with it.
   */
  xmem_bun_channel_receive_at_once(descriptor: Descriptor, channel: number, isFirst: number): number;
  /** A slice of a wait for an item, which ends at `deadline_ms`. PENDING: call again. */
  xmem_bun_channel_receive_blocking(descriptor: Descriptor, channel: number, deadlineMs: number): number;
  /** As `xmem_bun_async_open`. `end`: one of `End`. */
  xmem_bun_channel_async_open(descriptor: Descriptor, channel: number, end: number, loop: number, tag: number): number;
  /** As `xmem_bun_async_arm`. */
  xmem_bun_channel_async_arm(descriptor: Descriptor, channel: number, end: number, dueMs: number): number;
  xmem_bun_channel_async_disarm(descriptor: Descriptor, channel: number, end: number, passOn: number): void;
  /** What the channel looks like, as `xmem_bun_channels` says it of each. */
  xmem_bun_channel_stats(descriptor: Descriptor, channel: number, out: Memory): number;
  /**
   * All live channels of the pool, which may be one that is only looked at. Returns how many were
   * written.
   */
  xmem_bun_channels(descriptor: Descriptor, out: Memory, names: Memory, channelsMax: number): number;
  /**
   * Those who read a broadcast, which is named by its number within the pool. Returns how many were
   * written.
   */
  xmem_bun_channel_subscribers(descriptor: Descriptor, channel: number, out: Memory, subscribersMax: number): number;
  /**
   * A slice of a wait at several pools and channels, which ends at `deadline_ms`: the place of one
   * that is worth a try. PENDING: call again.
   *
   * `sources`: for each two numbers, the pool's and the channel's; the channel's is
   * `CHANNEL_NONE` for a buffer of the pool.
   */
  xmem_bun_wait_any(sources: Memory, count: number, deadlineMs: number): number;
  /**
   * What a buffer is to the one who asked: its kind in `out[0]`, the number of the request in
   * `out[1]`, and in `name` the channel that waits for the reply.
   */
  xmem_bun_letter(descriptor: Descriptor, handle: number, out: Memory, name: Memory): number;
  /** Of a buffer that the caller holds. `kind` 0 takes it off. */
  xmem_bun_set_letter(descriptor: Descriptor, handle: number, kindNumber: number, request: number, name: Memory): number;
  /**
   * The buffers in use at and past the index `first`, in order: numbers, a content type and a
   * producer of each. Returns how many were written, fewer than `slots_max` where there are no more.
   */
  xmem_bun_slots(descriptor: Descriptor, first: number, out: Memory, texts: Memory, slotsMax: number): number;
  /**
   * What a participant's row holds at and past the index `first`: two numbers for each buffer, its
   * index and how often. Returns how many buffers were written.
   */
  xmem_bun_held_by(descriptor: Descriptor, row: number, first: number, out: Memory, buffersMax: number): number;
  /** The same of what this open holds. */
  xmem_bun_held_here(descriptor: Descriptor, first: number, out: Memory, buffersMax: number): number;
  /**
   * The indexes of the buffers in a channel, which is named by its number within the pool; the next
   * one to be received first. Returns how many were written.
   */
  xmem_bun_channel_queue(descriptor: Descriptor, channel: number, out: Memory, buffersMax: number): number;
  /**
   * Lets other processes of this user read a text, until it is dropped. Returns its number; -1 where
   * there is no room for it, or no such memory.
   */
  xmem_bun_trace_put(text: Memory, length: number): number;
  xmem_bun_trace_drop(place: number): void;
  /**
   * A pipe: `ends` gets the end to read from and the one to write to. The one that writes (1) or
   * reads (0), as `writes` says, does not block.
   */
  xmem_bun_pipe(writes: number, ends: Memory): number;
  /** A descriptor of the caller's own for what `fd` leads to, non-blocking where the system can. */
  xmem_bun_end_adopt(fd: number, writes: number): number;
  /** Gives a pipe more room, where the system has it. */
  xmem_bun_end_enlarge(fd: number): void;
  /** How many bytes came into `bytes` from `start` on, 0 at the end; PENDING where none are there yet. */
  xmem_bun_end_read(fd: number, bytes: Memory, start: number, length: number): number;
  /** How many bytes went from `start` on; PENDING where there is no room yet. */
  xmem_bun_end_write(fd: number, bytes: Memory, start: number, length: number): number;
  /**
   * The caller's end of a socket. A byte that is sent through it is answered by one once `fd` is
   * ready. `fd` may be closed meanwhile.
   */
  xmem_bun_end_watch(fd: number, writes: number): number;
}

/** The same, as `dlopen` wants to know it. */
export const symbols: Record<keyof Native, FFIFunction> = {
  xmem_bun_open: { args: ["u32", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  xmem_bun_close: { args: ["u32"], returns: "void" },
  xmem_bun_error_code: { args: [], returns: "i32" },
  xmem_bun_error_errno: { args: [], returns: "i32" },
  xmem_bun_error_text: { args: ["ptr", "u32"], returns: "u32" },
  xmem_bun_info: { args: ["u32", "ptr"], returns: "void" },
  xmem_bun_unlink: { args: ["ptr", "ptr", "f64", "f64", "f64"], returns: "i32" },
  xmem_bun_remove_left_over: { args: ["ptr"], returns: "void" },
  xmem_bun_prune: { args: ["ptr", "ptr", "u32"], returns: "i32" },
  xmem_bun_views_open: { args: ["u32"], returns: "ptr" },
  xmem_bun_views_close: { args: ["ptr"], returns: "void" },
  xmem_bun_view_add: { args: ["ptr", "u32"], returns: "void" },
  xmem_bun_view_done: { args: ["ptr", "ptr"], returns: "void" },
  xmem_bun_view_count: { args: ["ptr", "u32"], returns: "u32" },
  xmem_bun_give_back_unseen: { args: ["u32", "ptr"], returns: "u32" },
  xmem_bun_acquire: { args: ["u32", "f64"], returns: "f64" },
  xmem_bun_acquire_at_once: { args: ["u32", "u32", "f64"], returns: "f64" },
  xmem_bun_release: { args: ["u32", "f64"], returns: "void" },
  xmem_bun_made: { args: [], returns: "ptr" },
  xmem_bun_acquire_index: { args: ["u32", "u32"], returns: "i32" },
  xmem_bun_acquire_index_cached: { args: ["u32", "u32"], returns: "i32" },
  xmem_bun_acquire_index_straight: { args: ["u32", "u32"], returns: "i32" },
  xmem_bun_release_index: { args: ["u32", "u32", "u32"], returns: "void" },
  xmem_bun_release_index_cached: { args: ["u32", "u32", "u32"], returns: "void" },
  xmem_bun_acquire_blocking: { args: ["u32", "u32", "f64"], returns: "f64" },
  xmem_bun_now: { args: [], returns: "f64" },
  xmem_bun_get: { args: ["u32", "u32", "u32"], returns: "i32" },
  xmem_bun_get_by_ref: { args: ["u32", "f64"], returns: "i32" },
  xmem_bun_take_by_ref: { args: ["u32", "f64"], returns: "i32" },
  xmem_bun_size: { args: ["u32", "u32"], returns: "f64" },
  xmem_bun_committed: { args: ["u32", "u32"], returns: "f64" },
  xmem_bun_truncate: { args: ["u32", "f64", "u32"], returns: "i32" },
  xmem_bun_share: { args: ["u32", "u32", "u32"], returns: "i32" },
  xmem_bun_hand_off: { args: ["u32", "u32", "u32"], returns: "i32" },
  xmem_bun_add_ref: { args: ["u32", "f64"], returns: "f64" },
  xmem_bun_unref: { args: ["u32", "f64"], returns: "f64" },
  xmem_bun_release_by_hand: { args: ["u32", "f64"], returns: "f64" },
  xmem_bun_set_ref_count: { args: ["u32", "f64", "u32"], returns: "f64" },
  xmem_bun_ref_count: { args: ["u32", "f64"], returns: "f64" },
  xmem_bun_try_release: { args: ["u32", "f64"], returns: "i32" },
  xmem_bun_release_buffer: { args: ["u32", "f64"], returns: "i32" },
  xmem_bun_filling: { args: ["u32", "ptr", "ptr"], returns: "i32" },
  xmem_bun_handle_age: { args: ["u32", "f64"], returns: "f64" },
  xmem_bun_preallocate: { args: ["u32", "u32", "u32"], returns: "f64" },
  xmem_bun_trim: { args: ["u32"], returns: "f64" },
  xmem_bun_flush: { args: ["u32", "u32"], returns: "i32" },
  xmem_bun_reclaim: { args: ["u32", "ptr"], returns: "i32" },
  xmem_bun_stats: { args: ["u32", "ptr"], returns: "i32" },
  xmem_bun_sums: { args: ["u32", "ptr"], returns: "i32" },
  xmem_bun_deaths: { args: ["u32", "ptr", "ptr", "u32"], returns: "u32" },
  xmem_bun_participants: { args: ["u32", "ptr", "ptr", "u32"], returns: "u32" },
  xmem_bun_observe: { args: ["ptr", "ptr", "f64", "f64"], returns: "i32" },
  xmem_bun_unobserve: { args: ["u32"], returns: "void" },
  xmem_bun_meta_number: { args: ["u32", "f64", "u32"], returns: "f64" },
  xmem_bun_meta_set_number: { args: ["u32", "f64", "u32", "f64"], returns: "i32" },
  xmem_bun_meta_dims: { args: ["u32", "f64", "u32", "ptr"], returns: "i32" },
  xmem_bun_meta_set_dims: { args: ["u32", "f64", "u32", "ptr", "u32"], returns: "i32" },
  xmem_bun_meta_text: { args: ["u32", "f64", "u32", "ptr"], returns: "i32" },
  xmem_bun_meta_set_text: { args: ["u32", "f64", "u32", "ptr", "u32"], returns: "i32" },
  xmem_bun_async_open: { args: ["u32", "u32", "u32"], returns: "i32" },
  xmem_bun_loop_socket: { args: ["u32"], returns: "i32" },
  xmem_bun_loop_signalled: { args: ["u32", "ptr", "u32"], returns: "u32" },
  xmem_bun_async_arm: { args: ["u32", "f64"], returns: "i32" },
  xmem_bun_async_disarm: { args: ["u32", "u32"], returns: "void" },
  xmem_bun_async_timed_out: { args: ["u32"], returns: "void" },
  xmem_bun_constant_count: { args: [], returns: "u32" },
  xmem_bun_constant_name: { args: ["u32", "ptr", "u32"], returns: "u32" },
  xmem_bun_constant_value: { args: ["u32"], returns: "f64" },
  xmem_bun_channel_open: { args: ["u32", "ptr", "ptr", "ptr"], returns: "i32" },
  xmem_bun_channel_leave: { args: ["u32", "u32"], returns: "void" },
  xmem_bun_channel_leave_all: { args: ["u32"], returns: "void" },
  xmem_bun_channel_info: { args: ["u32", "u32", "ptr"], returns: "i32" },
  xmem_bun_channel_close: { args: ["u32", "u32"], returns: "i32" },
  xmem_bun_channel_closed: { args: ["u32", "u32"], returns: "i32" },
  xmem_bun_channel_send: { args: ["u32", "u32", "u32", "u32"], returns: "i32" },
  xmem_bun_channel_try_send: { args: ["u32", "u32", "u32", "u32"], returns: "i32" },
  xmem_bun_channel_send_at_once: { args: ["u32", "u32", "u32", "u32", "u32"], returns: "i32" },
  xmem_bun_channel_send_blocking: { args: ["u32", "u32", "u32", "u32", "f64"], returns: "i32" },
  xmem_bun_channel_receive: { args: ["u32", "u32"], returns: "i32" },
  xmem_bun_message_done: { args: ["u32", "u32"], returns: "void" },
  xmem_bun_message_hand_off: { args: ["u32", "u32", "u32"], returns: "i32" },
  xmem_bun_deliveries: { args: ["u32", "u32", "u32"], returns: "u32" },
  xmem_bun_message_origin: { args: ["u32", "u32", "u32"], returns: "f64" },
  xmem_bun_channel_receive_at_once: { args: ["u32", "u32", "u32"], returns: "i32" },
  xmem_bun_channel_receive_blocking: { args: ["u32", "u32", "f64"], returns: "i32" },
  xmem_bun_channel_async_open: { args: ["u32", "u32", "u32", "u32", "u32"], returns: "i32" },
  xmem_bun_channel_async_arm: { args: ["u32", "u32", "u32", "f64"], returns: "i32" },
  xmem_bun_channel_async_disarm: { args: ["u32", "u32", "u32", "u32"], returns: "void" },
  xmem_bun_channel_stats: { args: ["u32", "u32", "ptr"], returns: "i32" },
  xmem_bun_channels: { args: ["u32", "ptr", "ptr", "u32"], returns: "u32" },
  xmem_bun_channel_subscribers: { args: ["u32", "u32", "ptr", "u32"], returns: "u32" },
  xmem_bun_wait_any: { args: ["ptr", "u32", "f64"], returns: "i32" },
  xmem_bun_letter: { args: ["u32", "f64", "ptr", "ptr"], returns: "i32" },
  xmem_bun_set_letter: { args: ["u32", "f64", "u32", "f64", "ptr"], returns: "i32" },
  xmem_bun_slots: { args: ["u32", "u32", "ptr", "ptr", "u32"], returns: "u32" },
  xmem_bun_held_by: { args: ["u32", "u32", "u32", "ptr", "u32"], returns: "u32" },
  xmem_bun_held_here: { args: ["u32", "u32", "ptr", "u32"], returns: "u32" },
  xmem_bun_channel_queue: { args: ["u32", "u32", "ptr", "u32"], returns: "u32" },
  xmem_bun_trace_put: { args: ["ptr", "u32"], returns: "i32" },
  xmem_bun_trace_drop: { args: ["u32"], returns: "void" },
  xmem_bun_pipe: { args: ["u32", "ptr"], returns: "i32" },
  xmem_bun_end_adopt: { args: ["i32", "u32"], returns: "i32" },
  xmem_bun_end_enlarge: { args: ["i32"], returns: "void" },
  xmem_bun_end_read: { args: ["i32", "ptr", "f64", "f64"], returns: "i32" },
  xmem_bun_end_write: { args: ["i32", "ptr", "f64", "f64"], returns: "i32" },
  xmem_bun_end_watch: { args: ["i32", "u32"], returns: "i32" },
};
