// A channel as its users see it: each method checks its arguments, makes one native call, and says
// what went wrong where it did.

import {
  blockingTimeout,
  channelOptions,
  type WaitOptions,
  waitOptions,
} from "../arguments/options.ts";
import { channelName } from "../arguments/validate.ts";
import { BufferGuard, endPlain, generationHeld, isPlain } from "../buffer/guard.ts";
import type { ReadGuard } from "../buffer/read_guard.ts";
import { make, raise, renamed, XmemError } from "../errors/error.ts";
import { publish } from "../errors/user_frame.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import {
  closed,
  generationMade,
  native,
  receiveIndex,
  receiveIndexAtOnce,
  sendIndex,
  sendIndexAtOnce,
  sizeMade,
  trySendIndex,
} from "../native/native.ts";
import { cString, float64s } from "../native/scratch.ts";
import type { Session } from "../session/session.ts";
import { sinceCall } from "../wait/caller.ts";
import { endWaitsAt, queueOf } from "../wait/queue.ts";
import { MessageGuard } from "./message.ts";
import { type Places, placesOf, type Received } from "./places.ts";
import { askerOf, type OpenLine, Request } from "./requests.ts";
import { checkSendable, move, type Send } from "./sending.ts";
import {
  type ChannelInfo,
  type ChannelStats,
  channelStatsOf,
  modeOf,
  overflowOf,
} from "./statistics.ts";

/** The number of no channel: the native side refuses it by itself. */
const none = 2 ** 32 - 1;

/** Makes structuredClone and postMessage refuse a channel. */
const notCloned: unique symbol = Symbol("send channel.name instead");

/** A channel that was opened or made, as the constructor takes it. */
export interface OpenedChannel {
  number: number;
  name: string;
  on: string;
  subscribe: boolean;
  info: Float64Array;
}

/** The pool's descriptor and the channel's number; null for what is no channel. */
export let sourceIn: (channel: unknown, tried: string) => readonly [Descriptor, number] | null;

/**
 * A bounded queue of a pool's buffers, which processes and Workers have open by its name: what one
 * sends, another one receives, without a copy. In mode "queue" each buffer goes to one receiver, in
 * mode "broadcast" to every subscriber. A buffer in a channel is used and has no holder, so that it
 * outlives its sender.
 *
 * @example
 * ```ts
 * using frames = pool.channel("frames");
 * frames.send(pool.acquire(4096));
 * using received = frames.receiveBlocking({ timeout: 1000 });
 * ```
 */
export class Channel implements Disposable, AsyncIterable<BufferGuard> {
  /** A symbol, so that no structured clone is made of a channel: its name opens it elsewhere. */
  readonly uncloneable: symbol = notCloned;
  readonly #session: Session;
  /** `none` once this object let go of it. */
  #number: number;
  /** The same for receiving; `none` where this object only sends. */
  #source: number;
  readonly #receives: boolean;
  /** Whether what is received is to be written: what every subscriber gets is not. */
  readonly #writable: boolean;
  readonly #name: string;
  readonly #on: string;
  readonly #places: Places;
  readonly #redelivers: boolean;
  readonly #maxDeliveries: number;
  readonly #capacity: number;
  readonly #history: number;
  readonly #mode: ChannelInfo["mode"];
  readonly #overflow: ChannelInfo["overflow"];
  #closed: Promise<void> | undefined;

  // What a wait at several places needs of a channel. A program has no way to it.
  static {
    sourceIn = (channel, tried) => {
      if (typeof channel !== "object" || channel === null || !(#session in channel)) return null;
      return [channel.#openToReceive(tried), channel.#number];
    };
  }

  /** Made by the pool. @internal */
  constructor(session: Session, { number, name, on, subscribe, info }: OpenedChannel) {
    const field = (index: number): number => info[index] ?? Number.NaN;
    this.#session = session;
    this.#number = number;
    this.#source = subscribe ? number : none;
    this.#receives = subscribe;
    this.#name = name;
    this.#on = on;
    this.#places = placesOf(session, number, on);
    this.#capacity = field(constants.CHANNEL_INFO_CAPACITY);
    this.#history = field(constants.CHANNEL_INFO_HISTORY);
    this.#mode = modeOf(field(constants.CHANNEL_INFO_MODE));
    this.#overflow = overflowOf(field(constants.CHANNEL_INFO_OVERFLOW));
    this.#writable = this.#mode === "queue";
    this.#redelivers = field(constants.CHANNEL_INFO_REDELIVER) !== 0;
    this.#maxDeliveries = field(constants.CHANNEL_INFO_MAX_DELIVERIES);
    // From now on some guards of this open are messages.
    if (this.#redelivers) session.sendsStraight = false;
  }

  /** The name that opens it elsewhere, through the same pool. */
  get name(): string {
    return this.#name;
  }

  /** How many buffers can be queued. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Whether each buffer goes to one receiver, "queue", or to every subscriber, "broadcast". */
  get mode(): "queue" | "broadcast" {
    return this.#mode;
  }

  /** What `send` does where the channel is full. */
  get overflow(): "block" | "drop-newest" | "drop-oldest" {
    return this.#overflow;
  }

  /** How many of the newest buffers stay for subscribers that come late. */
  get history(): number {
    return this.#history;
  }

  /** Whether what a receiver holds when it dies comes back. */
  get redeliver(): boolean {
    return this.#redelivers;
  }

  /** How often a buffer is received at most; 0 where nothing comes back. */
  get maxDeliveries(): number {
    return this.#maxDeliveries;
  }

  /**
   * Sends a buffer: the guard's hold goes into the channel, and the guard is done. Never blocks.
   * Where the channel is full, its `overflow` says what happens. Returns false when the buffer that
   * was sent was dropped; the guard is done then, too.
   *
   * @throws CHANNEL_FULL: its overflow is "block", and it is full; the guard stays.
   * @throws CHANNEL_CLOSED: somebody closed the channel, or this object let go of it; the guard
   *   stays.
   * @throws INVALID_ARGUMENT: `guard` is no guard of this pool.
   * @throws BUFFER_IN_USE: the channel redelivers, and the buffer is a message already, which another
   *   guard received or somebody sent; the guard stays.
   * @throws RELEASED: the guard was released, sent, handed off or forgotten before.
   * @throws TOO_MANY_REFERENCES: views are detached, which takes one reference more, and the buffer
   *   has 65,535 already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  send(guard: BufferGuard | ReadGuard): boolean {
    const session = this.#session;
    if (!isPlain(guard, session)) return this.#sendOther(guard) === 0;
    const result = sendIndex(session.descriptor, this.#number, guard.index, generationHeld(guard));
    if (result < 0) throw this.#sendFailure(result, "send()");
    endPlain(guard);
    return result === 0;
  }

  /**
   * As `send`, but drops nothing: where the channel is full it returns false, and the guard stays.
   *
   * @throws CHANNEL_CLOSED: somebody closed the channel, or this object let go of it; the guard
   *   stays.
   * @throws INVALID_ARGUMENT: `guard` is no guard of this pool.
   * @throws BUFFER_IN_USE: the channel redelivers, and the buffer is a message already, which another
   *   guard received or somebody sent; the guard stays.
   * @throws RELEASED: the guard was released, sent, handed off or forgotten before.
   * @throws TOO_MANY_REFERENCES: views are detached, which takes one reference more, and the buffer
   *   has 65,535 already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  trySend(guard: BufferGuard | ReadGuard): boolean {
    const session = this.#session;
    if (!isPlain(guard, session)) return this.#trySendOther(guard) === 0;
    const { descriptor } = session;
    const result = trySendIndex(descriptor, this.#number, guard.index, generationHeld(guard));
    if (result >= 0) {
      endPlain(guard);
      return true;
    }
    if (result === -constants.ERROR_CHANNEL_FULL) return false;
    throw this.#sendFailure(result, "trySend()");
  }

  /**
   * As `send`, but blocks this thread until there is room, whatever the overflow, for at most
   * `options.timeout` milliseconds, 0 to 2^32 - 1; 0 tries once. On a thread with an event loop
   * prefer `sendAsync`: signal handlers run only after a wait that blocks.
   *
   * @throws TIMEOUT: there was no room in time; the guard stays.
   * @throws CHANNEL_CLOSED: somebody closed the channel, or this object let go of it; the guard
   *   stays.
   * @throws INVALID_ARGUMENT: `guard` is no guard of this pool, `timeout` is not a whole number
   *   from 0 to 2^32 - 1, or an option does not exist.
   * @throws BUFFER_IN_USE: the channel redelivers, and the buffer is a message already, which another
   *   guard received or somebody sent; the guard stays.
   * @throws RELEASED: the guard was released, sent, handed off or forgotten before.
   * @throws TOO_MANY_REFERENCES: views are detached, which takes one reference more, and the buffer
   *   has 65,535 already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  sendBlocking(guard: BufferGuard | ReadGuard, options: { timeout: number }): void {
    const tried = "sendBlocking()";
    this.#open(tried);
    checkSendable(this.#session, guard, `${tried} ${this.#on}`);
    const timeout = blockingTimeout(tried, options, this.#on);
    const number = this.#number;
    const session = this.#session;
    // Where there is room, reading the clock takes longer than sending. What this call refuses, the
    // wait refuses too, and says why.
    if (timeout > 0 && isPlain(guard, session)) {
      const generation = generationHeld(guard);
      const { descriptor } = session;
      if (sendIndexAtOnce(descriptor, number, guard.index, generation, 1) >= 0) {
        endPlain(guard);
        return;
      }
    }
    const deadline = native.xmem_bun_now() + timeout;
    const result = move(session, guard, number, (descriptor, channel, index, generation) => {
      while (true) {
        // A slice at a time, so that a Worker that waits can be terminated.
        const slice = native.xmem_bun_channel_send_blocking(
          descriptor,
          channel,
          index,
          generation,
          deadline,
        );
        if (slice !== -constants.ERROR_PENDING) return slice;
      }
    });
    if (result < 0) throw this.#sendFailure(result, tried, timeout);
  }

  /**
   * As `sendBlocking`, but waits without blocking the event loop. Until it is done the guard is its
   * caller's; when it is released before that, nothing is sent. The waits of one object are served
   * in the order in which they began. A wait keeps the process alive.
   *
   * @throws TIMEOUT: there was no room in time; the guard stays.
   * @throws CHANNEL_CLOSED: somebody closed the channel, or this object let go of it, before or
   *   while it waited; the guard stays.
   * @throws INVALID_ARGUMENT: `guard` is no guard of this pool, `timeout` is not a whole number
   *   from 0 to 2^32 - 1, `signal` is no AbortSignal, or an option does not exist.
   * @throws BUFFER_IN_USE: the channel redelivers, and the buffer is a message already, which another
   *   guard received or somebody sent; the guard stays.
   * @throws RELEASED: the guard was released, sent, handed off or forgotten, before or while it
   *   waited.
   * @throws TOO_MANY_REFERENCES: views are detached, which takes one reference more, and the buffer
   *   has 65,535 already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws OUT_OF_MEMORY: the system has no memory for the thread that waits.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: it waits without a timeout, and another participant has been stopped in the
   *   middle of a recovery for two seconds.
   * @throws POOL_CLOSED: the pool was closed here, before or while it waited, or was opened before
   *   this process was forked.
   * @throws SYSTEM: a system call failed, or the event loop cannot watch the wait's socket; `cause`
   *   names it.
   *
   * @example
   * ```ts
   * using frames = pool.channel("frames");
   * await frames.sendAsync(pool.acquire(4096), { timeout: 1000 });
   * ```
   */
  async sendAsync(guard: BufferGuard | ReadGuard, options?: WaitOptions): Promise<void> {
    const tried = "sendAsync()";
    this.#open(tried);
    checkSendable(this.#session, guard, `${tried} ${this.#on}`);
    const { timeout, signal } = waitOptions(tried, options, this.#on);
    signal?.throwIfAborted();
    const place = this.#places.sending;
    const waits = queueOf(this.#session, place);
    // A new wait overtakes none that began before it.
    if (timeout === 0) waits.signalled();
    if (waits.isEmpty) {
      const result = place.attempt(this.#session.descriptor, guard, 0);
      if (result >= 0) return;
      const mayPass = place.mayCome(result) || result === -constants.ERROR_PENDING;
      if (!mayPass) throw this.#sendFailure(result, tried);
    }
    if (timeout === 0) throw this.#sendFailure(-constants.ERROR_TIMEOUT, tried, timeout);
    const begin = () => waits.wait(this.#session, guard, timeout, signal);
    await sinceCall(Channel.prototype.sendAsync, signal, begin);
  }

  /**
   * Receives the next buffer; null where nothing is queued. In mode "broadcast" its guard is only
   * read, since every subscriber has the same buffer.
   *
   * @throws CHANNEL_CLOSED: the channel was closed and nothing is left in it, or this object let go
   *   of it.
   * @throws INVALID_ARGUMENT: this object only sends (`subscribe: false`).
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  tryReceive(): BufferGuard | null {
    const session = this.#session;
    const { descriptor } = session;
    const index = receiveIndex(descriptor, this.#source);
    // First what is common: where another value could be returned before it, the engine makes each
    // guard, and does not leave it out where nobody keeps it.
    if (index >= 0) {
      const generation = generationMade(descriptor);
      const size = sizeMade(descriptor);
      if (this.#redelivers) return new MessageGuard(session, index, generation, size);
      return new BufferGuard(session, index, generation, size, this.#writable);
    }
    if (index === -constants.ERROR_CHANNEL_EMPTY) return null;
    throw this.#receiveFailure(index, "tryReceive()");
  }

  /**
   * As `tryReceive`, but blocks this thread until there is a buffer, for at most `options.timeout`
   * milliseconds, 0 to 2^32 - 1; 0 tries once. On a thread with an event loop prefer `receive`:
   * signal handlers run only after a wait that blocks.
   *
   * @throws TIMEOUT: nothing was sent in time.
   * @throws CHANNEL_CLOSED: the channel was closed and nothing is left in it, or this object let go
   *   of it.
   * @throws INVALID_ARGUMENT: `timeout` is not a whole number from 0 to 2^32 - 1, an option does
   *   not exist, or this object only sends (`subscribe: false`).
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  receiveBlocking(options: { timeout: number }): BufferGuard {
    const tried = "receiveBlocking()";
    const descriptor = this.#openToReceive(tried);
    const timeout = blockingTimeout(tried, options, this.#on);
    const index = this.#receiveIndex(descriptor, timeout);
    if (index < 0) throw this.#receiveFailure(index, tried, timeout);
    return this.#guardOf(index, {
      generation: generationMade(descriptor),
      size: sizeMade(descriptor),
    });
  }

  #receiveIndex(descriptor: Descriptor, timeout: number): number {
    // What a running peer sends comes sooner than the clock is read.
    if (timeout > 0) {
      const index = receiveIndexAtOnce(descriptor, this.#source, 1);
      const mayCome =
        index === -constants.ERROR_CHANNEL_EMPTY || index === -constants.ERROR_PENDING;
      if (!mayCome) return index;
    }
    const deadline = native.xmem_bun_now() + timeout;
    while (true) {
      // A slice at a time, so that a Worker that waits can be terminated.
      const index = native.xmem_bun_channel_receive_blocking(descriptor, this.#source, deadline);
      if (index !== -constants.ERROR_PENDING) return index;
    }
  }

  /**
   * As `receiveBlocking`, but waits without blocking the event loop. The waits of one object are
   * served in the order in which they began. A wait keeps the process alive.
   *
   * @throws TIMEOUT: nothing was sent in time.
   * @throws CHANNEL_CLOSED: the channel was closed and nothing is left in it, or this object let go
   *   of it, before or while it waited.
   * @throws INVALID_ARGUMENT: `timeout` is not a whole number from 0 to 2^32 - 1, `signal` is no
   *   AbortSignal, an option does not exist, or this object only sends (`subscribe: false`).
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws OUT_OF_MEMORY: the system has no memory for the thread that waits.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: it waits without a timeout, and another participant has been stopped in the
   *   middle of a recovery for two seconds.
   * @throws POOL_CLOSED: the pool was closed here, before or while it waited, or was opened before
   *   this process was forked.
   * @throws SYSTEM: a system call failed, or the event loop cannot watch the wait's socket; `cause`
   *   names it.
   *
   * @example
   * ```ts
   * using frames = pool.channel("frames");
   * using received = await frames.receive({ signal: AbortSignal.timeout(1000) });
   * ```
   */
  async receive(options?: WaitOptions): Promise<BufferGuard> {
    const tried = "receive()";
    const descriptor = this.#openToReceive(tried);
    const { timeout, signal } = waitOptions(tried, options, this.#on);
    signal?.throwIfAborted();
    const place = this.#places.receiving;
    const waits = queueOf(this.#session, place);
    const received: Received = { generation: 0, size: 0 };
    // A new wait overtakes none that began before it.
    if (timeout === 0) waits.signalled();
    if (waits.isEmpty) {
      const index = place.attempt(descriptor, received, 0);
      if (index >= 0) return this.#guardOf(index, received);
      const mayPass = place.mayCome(index) || index === -constants.ERROR_PENDING;
      if (!mayPass) throw this.#receiveFailure(index, tried);
    }
    if (timeout === 0) throw this.#receiveFailure(-constants.ERROR_TIMEOUT, tried, timeout);
    const begin = () => waits.wait(this.#session, received, timeout, signal);
    const index = await sinceCall(Channel.prototype.receive, signal, begin);
    return this.#guardOf(index, received);
  }

  #guardOf(index: number, { generation, size }: Received): BufferGuard {
    return this.#redelivers
      ? new MessageGuard(this.#session, index, generation, size)
      : new BufferGuard(this.#session, index, generation, size, this.#writable);
  }

  /**
   * Iterates over what is received, until the channel is closed and nothing is left in it. Each
   * buffer is the loop's to release. It throws what `receive` throws, but for that end.
   *
   * @example
   * ```ts
   * using frames = pool.channel("frames");
   * for await (using received of frames) console.log(received.size);
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterator<BufferGuard> {
    return this.#iterate({});
  }

  #iterate(options: WaitOptions): AsyncIterator<BufferGuard> {
    const ending = new AbortController();
    const { signal } = ending;
    const given = options.signal;
    const both = given === undefined ? signal : AbortSignal.any([signal, given]);
    const waiting: WaitOptions = { ...options, signal: both };
    const done: IteratorReturnResult<undefined> = { value: undefined, done: true };
    return {
      next: async () => {
        if (signal.aborted) return done;
        try {
          const guard = await this.receive(waiting);
          if (!signal.aborted) return { value: guard, done: false };
          // The loop ended when the buffer was on its way.
          guard.release();
          return done;
        } catch (error) {
          if ((signal.aborted && error === signal.reason) || this.#isDrained(error)) return done;
          throw error;
        }
      },
      return: async () => {
        ending.abort();
        return done;
      },
    };
  }

  /**
   * Sends a buffer and waits for the reply to just this: the guard of the buffer that the receiver
   * passed to `Request.reply`. Without a timeout it waits for as long as somebody has the request.
   * A wait keeps the process alive. The open of the pool takes one more channel for its replies,
   * however many requests it makes.
   *
   * @throws PEER_DIED: its receiver died with the request, or let go of the buffer without a word.
   * @throws RELEASED: its receiver released the request without a reply; or the guard was released,
   *   sent, handed off or forgotten before.
   * @throws TIMEOUT: there was no reply in time. The request may still be answered; nobody gets
   *   that reply.
   * @throws CHANNEL_CLOSED: somebody closed the channel, or this object let go of it, before the
   *   request was in it; the guard stays.
   * @throws BUFFER_IN_USE: the channel redelivers, and the buffer is a message already, which another
   *   guard received or somebody sent; the guard stays.
   * @throws CHANNEL_FULL: 1024 requests of this open of the pool wait for a reply.
   * @throws INVALID_ARGUMENT: the channel is a broadcast, `guard` is no guard of this pool,
   *   `timeout` is not a whole number from 0 to 2^32 - 1, `signal` is no AbortSignal, or an option
   *   does not exist.
   * @throws READ_ONLY: the guard is only read, and a request is marked in its description.
   * @throws TOO_MANY_REFERENCES: views are detached, which takes one reference more, and the buffer
   *   has 65,535 already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws OUT_OF_MEMORY: the pool has no room for another channel (`channels`), or the system no
   *   memory for it.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, before or while it waited, or was opened before
   *   this process was forked.
   * @throws SYSTEM: a system call failed, or the event loop cannot watch the wait's socket; `cause`
   *   names it.
   *
   * @example
   * ```ts
   * using reply = await pool.channel("jobs").request(pool.acquire(4096), { timeout: 1000 });
   * ```
   */
  async request(guard: BufferGuard, options?: WaitOptions): Promise<BufferGuard> {
    const tried = "request()";
    this.#open(tried);
    this.#refuseBroadcast(tried);
    const on = `${tried} ${this.#on}`;
    checkSendable(this.#session, guard, on);
    if (!guard.writable) raise("READ_ONLY", on);
    const { timeout, signal } = waitOptions(tried, options, this.#on);
    signal?.throwIfAborted();
    const deadline = native.xmem_bun_now() + (timeout ?? Number.POSITIVE_INFINITY);
    const left = (): number => Math.max(0, Math.ceil(deadline - native.xmem_bun_now()));
    const send = (): Promise<void> =>
      this.sendAsync(guard, {
        ...(timeout !== undefined && { timeout: left() }),
        ...(signal && { signal }),
      });
    const failure = (): XmemError =>
      make("TIMEOUT", on, `there was no reply, and ${timeout} ms have passed`);
    const asker = askerOf(this.#session, lineOpener(this.#session));
    return sinceCall(Channel.prototype.request, signal, () =>
      asker.ask(on, guard, send, { signal, left, failure }),
    );
  }

  /**
   * Iterates over the requests that are received, until the channel is closed and nothing is left
   * in it. Each is the loop's to answer or to dispose of. `options` are those of each wait.
   *
   * @throws INVALID_ARGUMENT: the channel is a broadcast, an option does not exist or is out of
   *   range, or this object only sends (`subscribe: false`).
   * @throws TIMEOUT: no request came in time.
   * @throws CHANNEL_CLOSED: this object let go of the channel, before or while it waited.
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws OUT_OF_MEMORY: the system has no memory for the thread that waits.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: it waits without a timeout, and another participant has been stopped in the
   *   middle of a recovery for two seconds.
   * @throws POOL_CLOSED: the pool was closed here, before or while it waited, or was opened before
   *   this process was forked.
   * @throws SYSTEM: a system call failed, or the event loop cannot watch the wait's socket; `cause`
   *   names it.
   *
   * @example
   * ```ts
   * for await (using request of pool.channel("jobs").requests()) {
   *   request.reply(request.guard);
   * }
   * ```
   */
  requests(options: WaitOptions = {}): AsyncIterable<Request> {
    this.#open("requests()");
    this.#refuseBroadcast("requests()");
    waitOptions("requests()", options, this.#on);
    const open = lineOpener(this.#session);
    return {
      [Symbol.asyncIterator]: () => {
        const guards = this.#iterate(options);
        return {
          next: async () => {
            const next = await guards.next().catch((error: unknown) => {
              throw renamed(error, "requests()", options.signal);
            });
            if (next.done === true) return { value: undefined, done: true };
            return { value: new Request(this.#session, next.value, open, this.#on), done: false };
          },
          return: async () => {
            await guards.return?.();
            return { value: undefined, done: true };
          },
        };
      },
    };
  }

  #refuseBroadcast(tried: string): void {
    if (this.#mode === "queue") return;
    raise("INVALID_ARGUMENT", `${tried} ${this.#on}`, "a broadcast has no one receiver", {
      advice: 'make requests through a channel of mode "queue"',
    });
  }

  /**
   * Counts what is in the channel and who waits at it, without stopping anybody.
   *
   * @throws CHANNEL_CLOSED: this object let go of the channel.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  stats(): ChannelStats {
    const descriptor = this.#open("stats()");
    const values = float64s(constants.CHANNEL_STAT_COUNT);
    const result = native.xmem_bun_channel_stats(descriptor, this.#number, values);
    if (result < 0) throw this.#failure(result, "stats()");
    const stats = channelStatsOf(descriptor, values);
    return stats;
  }

  /**
   * Resolves when the channel is closed for everybody, whoever does that. What is left in it can
   * still be received then. It keeps no process alive, and never settles where this object lets go
   * of the channel before that.
   *
   * @throws OUT_OF_MEMORY: it is rejected, since the system has no memory for the thread that waits.
   * @throws SYSTEM: it is rejected, since a system call failed; `cause` names it.
   */
  get closed(): Promise<void> {
    this.#closed ??= this.#untilClosed();
    return this.#closed;
  }

  async #untilClosed(): Promise<void> {
    const place = this.#places.closing;
    const has = (): boolean => this.#number !== none && this.#session.descriptor !== closed;
    try {
      if (has()) {
        if (place.attempt(this.#session.descriptor, undefined, 0) === 0) return;
        await queueOf(this.#session, place).wait(this.#session, undefined, undefined, undefined);
        return;
      }
    } catch (error) {
      if (has()) throw error;
    }
    await new Promise(() => {});
  }

  /**
   * Closes the channel, for everybody: nothing is sent to it from now on, what is in it can still
   * be received, and then its receivers are told. A second call does nothing.
   *
   * @throws CHANNEL_CLOSED: this object let go of the channel.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  close(): void {
    const result = native.xmem_bun_channel_close(this.#open("close()"), this.#number);
    if (result < 0) throw this.#failure(result, "close()");
    this.#tellClosed();
  }

  /**
   * Lets go of the channel, which goes on for the others: this object's waits end with
   * CHANNEL_CLOSED, and so does its subscription. What is queued stays. A second call does nothing.
   */
  [Symbol.dispose](): void {
    if (this.#number === none) return;
    this.#tellClosed();
    const number = this.#number;
    this.#number = none;
    this.#source = none;
    const { receiving, sending, closing } = this.#places;
    for (const place of [receiving, sending, closing]) {
      endWaitsAt(this.#session, place, this.#lostFailure(place.call));
    }
    native.xmem_bun_channel_leave(this.#session.descriptor, number);
  }

  /** Where somebody waits for the close, and it has come, this object's promise need not wait for the socket. */
  #tellClosed(): void {
    if (this.#closed !== undefined) queueOf(this.#session, this.#places.closing).signalled();
  }

  /** Says which channel it is, and nothing of what is in it. */
  toJSON(): Record<string, unknown> {
    const { name, capacity, mode, overflow, history } = this;
    return { name, capacity, mode, overflow, history };
  }

  /** As the native call says it. */
  #sendOther(guard: unknown): number {
    const result = this.#moveBy("send()", guard, native.xmem_bun_channel_send);
    if (result < 0) throw this.#sendFailure(result, "send()");
    return result;
  }

  #trySendOther(guard: unknown): number {
    const result = this.#moveBy("trySend()", guard, native.xmem_bun_channel_try_send);
    if (result < 0 && result !== -constants.ERROR_CHANNEL_FULL) {
      throw this.#sendFailure(result, "trySend()");
    }
    return result;
  }

  #moveBy(tried: string, guard: unknown, call: Send): number {
    this.#open(tried);
    checkSendable(this.#session, guard, `${tried} ${this.#on}`);
    return move(this.#session, guard as BufferGuard, this.#number, call);
  }

  #open(tried: string): Descriptor {
    const { descriptor } = this.#session;
    if (descriptor === closed) raise("POOL_CLOSED", `${tried} ${this.#on}`);
    if (this.#number === none) throw this.#lostFailure(tried);
    return descriptor;
  }

  #openToReceive(tried: string): Descriptor {
    const descriptor = this.#open(tried);
    if (!this.#receives) {
      raise("INVALID_ARGUMENT", `${tried} ${this.#on}`, "this object only sends", {
        advice: "open the channel without { subscribe: false }",
      });
    }
    return descriptor;
  }

  /** Whether it says that the channel, which this object has open, is closed and drained. */
  #isDrained(error: unknown): boolean {
    const isClosed = error instanceof XmemError && error.code === "CHANNEL_CLOSED";
    return isClosed && this.#number !== none;
  }

  #lostFailure(tried: string): XmemError {
    return make("CHANNEL_CLOSED", `${tried} ${this.#on}`, "this object let go of the channel", {
      advice: "open it again by pool.channel()",
    });
  }

  #sendFailure(result: number, tried: string, timeout?: number): XmemError {
    return this.#failure(result, tried, "sending", timeout);
  }

  #receiveFailure(result: number, tried: string, timeout?: number): XmemError {
    // Native calls refuse what this object cannot do by the number alone.
    if (result === -constants.ERROR_CHANNEL_CLOSED) this.#openToReceive(tried);
    return this.#failure(result, tried, "receiving", timeout);
  }

  #failure(
    result: number,
    tried: string,
    end?: "sending" | "receiving",
    timeout?: number,
  ): XmemError {
    if (this.#session.descriptor !== closed && this.#number === none)
      return this.#lostFailure(tried);
    const channel = { on: this.#on, number: this.#number, ...(end && { end }) };
    return this.#session.failure(result, tried, {
      channel,
      ...(timeout !== undefined && { timeout }),
    });
  }
}

/** Opens or makes a channel of replies, which is its maker's own. */
function lineOpener(session: Session): OpenLine {
  return (name, capacity) => {
    if (capacity === null) return new Channel(session, openChannel(session, name, {}, { make: 0 }));
    return new Channel(session, openChannel(session, name, { capacity }, { own: 1 }));
  };
}

/**
 * Opens the channel of that name, for `pool.channel`; where there is none it makes it, unless `make`
 * is 0. Where `own` is 1, the channel is closed when this open of it ends.
 */
export function openChannel(
  session: Session,
  name: unknown,
  given: unknown,
  { make = 1, own = 0 }: { make?: number; own?: number } = {},
): OpenedChannel {
  const tried = "channel()";
  const checkedName = channelName(tried, name, session.on);
  const on = `on channel ${JSON.stringify(checkedName)} of pool "${session.name}"`;
  const { numbers, subscribe, deadLetter } = channelOptions(tried, given, on);
  numbers[constants.CHANNEL_OPTION_MAKE] = make;
  numbers[constants.CHANNEL_OPTION_OWN] = own;
  const { descriptor } = session;
  const number = native.xmem_bun_channel_open(
    descriptor,
    cString(checkedName),
    numbers,
    cString(deadLetter),
  );
  if (number < 0) throw session.failure(number, tried, { channel: { on } });
  const info = float64s(constants.CHANNEL_INFO_COUNT);
  native.xmem_bun_channel_info(descriptor, number, info);
  return { number, name: checkedName, on, subscribe, info };
}

publish(Channel.prototype);
