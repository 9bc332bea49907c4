// Requests and their replies. A request is a buffer that says which one it is and on which channel its
// asker waits; a reply is a buffer that says which request it answers. Each open of a pool that asks
// has one channel for its replies, so that they reach nobody else.

import type { BufferGuard } from "../buffer/guard.ts";
import { holderOf } from "../buffer/guard.ts";
import { inNameOf, make, raise, renamed, XmemError } from "../errors/error.ts";
import * as constants from "../generated/constants.gen.ts";
import { closed, native } from "../native/native.ts";
import { bytes, cString, decodeText, float64s } from "../native/scratch.ts";
import type { Session } from "../session/session.ts";
import { checkSendable } from "./sending.ts";

/** Requests of one open that wait for a reply at a time, so that the channel of replies is never full. */
const outstandingMax = 1024;
/** Milliseconds between two looks for requests that nobody has any more. */
const lookInterval = 50;

/** A channel of replies, from either end. */
export interface Line {
  trySend(guard: BufferGuard): boolean;
  tryReceive(): BufferGuard | null;
  receive(options: { signal: AbortSignal }): Promise<BufferGuard>;
  stats(): { openBy: number };
  [Symbol.dispose](): void;
}

/** Opens the channel of that name, or makes it; where it must be there, CHANNEL_CLOSED. */
export type OpenLine = (name: string, capacity: number | null) => Line;

interface Letter {
  kind: number;
  request: number;
  replyTo: string;
}

const letterNumbers = float64s(2);
const letterName = bytes(constants.REPLY_NAME_ROOM);

/** Null for a buffer that is no letter, or that damage made one. */
function letterOf(session: Session, guard: BufferGuard): Letter | null {
  const { descriptor } = session;
  const result = native.xmem_bun_letter(descriptor, guard.handle, letterNumbers, letterName);
  const [kind = 0, request = 0] = letterNumbers;
  if (result < 0 || kind === constants.LETTER_NONE) return null;
  return { kind, request, replyTo: decodeText(letterName).split("\0", 1)[0] ?? "" };
}

/** Returns a negative number where the buffer is not in use. */
function writeLetter(
  session: Session,
  guard: BufferGuard,
  { kind, request, replyTo }: Letter,
): number {
  const { descriptor } = session;
  return native.xmem_bun_set_letter(descriptor, guard.handle, kind, request, cString(replyTo));
}

const noLetter: Letter = { kind: constants.LETTER_NONE, request: 0, replyTo: "" };

/** What one call of `request` waits for. */
interface Outstanding {
  readonly handle: number;
  readonly tried: string;
  /** Whether the request is in its channel, and not the caller's any more. */
  isSent: boolean;
  resolve(reply: BufferGuard): void;
  reject(reason: unknown): void;
}

/** The names on which this process waits for replies. */
const ownNames = new Set<string>();

/** The requests of one open of a pool. */
class Asker {
  readonly #session: Session;
  readonly #name: string;
  readonly #replies: Line;
  readonly #outstanding = new Map<number, Outstanding>();
  /** The handles of requests that were sent and that nobody waits for any more. */
  readonly #late = new Map<number, number>();
  #last = 0;
  #receiving: AbortController | undefined;
  #looking: ReturnType<typeof setInterval> | undefined;

  constructor(session: Session, open: OpenLine) {
    this.#session = session;
    this.#name = `replies ${crypto.randomUUID().slice(0, 13)}`;
    this.#replies = open(this.#name, outstandingMax);
    ownNames.add(this.#name);
  }

  /** `send` sends the guard, which says from then on that it is a request. */
  async ask(
    tried: string,
    guard: BufferGuard,
    send: () => Promise<void>,
    timeLimit: { signal: AbortSignal | undefined; left: () => number; failure: () => XmemError },
  ): Promise<BufferGuard> {
    if (this.#outstanding.size >= outstandingMax) {
      const found = `${outstandingMax} requests wait for a reply`;
      raise("CHANNEL_FULL", tried, found, { advice: "wait for some of them first" });
    }
    this.#last += 1;
    const request = this.#last;
    const letter = { kind: constants.LETTER_REQUEST, request, replyTo: this.#name };
    const written = writeLetter(this.#session, guard, letter);
    if (written < 0) throw this.#session.failure(written, tried, { ref: guard.handle });
    const { promise, resolve, reject } = Promise.withResolvers<BufferGuard>();
    // It may be rejected before anybody awaits it.
    promise.catch(() => {});
    const outstanding = { handle: guard.handle, tried, isSent: false, resolve, reject };
    this.#outstanding.set(request, outstanding);
    this.#begin();
    const { signal } = timeLimit;
    const abort = (): void => reject(signal?.reason);
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      try {
        await send();
      } catch (error) {
        if (holderOf(guard)?.live === true) writeLetter(this.#session, guard, noLetter);
        throw renamed(error, "request()", signal);
      }
      outstanding.isSent = true;
      signal?.throwIfAborted();
      signal?.addEventListener("abort", abort);
      const left = timeLimit.left();
      if (left !== Number.POSITIVE_INFINITY) {
        timer = setTimeout(() => reject(timeLimit.failure()), Math.min(left, 2 ** 31 - 1));
      }
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      const isOpen = this.#outstanding.delete(request);
      if (isOpen && outstanding.isSent) this.#late.set(request, outstanding.handle);
      if (this.#outstanding.size === 0) this.#rest();
    }
  }

  #begin(): void {
    if (this.#receiving !== undefined) return;
    const receiving = new AbortController();
    this.#receiving = receiving;
    this.#looking ??= setInterval(() => this.#look(), lookInterval);
    this.#looking.ref();
    this.#receive(receiving.signal).catch((error: unknown) => {
      if (receiving.signal.aborted) return;
      for (const { reject } of this.#outstanding.values()) reject(error);
      // The next request begins anew.
      this.#rest();
    });
  }

  /** Nobody waits: the process may end. What comes late still goes back to the pool. */
  #rest(): void {
    this.#receiving?.abort();
    this.#receiving = undefined;
    if (this.#late.size > 0) this.#looking?.unref();
    else this.#stopLooking();
  }

  #stopLooking(): void {
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  async #receive(signal: AbortSignal): Promise<void> {
    while (true) this.#settle(await this.#replies.receive({ signal }));
  }

  /** A reply that nobody waits for any more goes back to the pool. */
  #settle(guard: BufferGuard): void {
    const letter = letterOf(this.#session, guard);
    const outstanding = this.#outstanding.get(letter?.request ?? 0);
    this.#late.delete(letter?.request ?? 0);
    if (letter === null || outstanding === undefined) {
      guard.release();
      return;
    }
    this.#outstanding.delete(letter.request);
    if (letter.kind === constants.LETTER_REPLY) {
      writeLetter(this.#session, guard, noLetter);
      outstanding.resolve(guard);
      return;
    }
    guard.release();
    const found = "its receiver released the request without a reply";
    const advice = "reply() sends one";
    outstanding.reject(make("RELEASED", outstanding.tried, found, { advice }));
  }

  /** A request that nobody has any more gets no reply, but for one that came before it went. */
  #look(): void {
    if (this.#session.descriptor === closed) {
      this.#stopLooking();
      return;
    }
    const late = [...this.#late].filter(([, handle]) => this.#isGone(handle));
    const lost = [...this.#outstanding].filter(
      ([, { handle, isSent }]) => isSent && this.#isGone(handle),
    );
    if (lost.length > 0 || this.#late.size > 0) this.#drain();
    for (const [request] of late) this.#late.delete(request);
    for (const [request, { tried, reject }] of lost) {
      if (!this.#outstanding.delete(request)) continue;
      reject(make("PEER_DIED", tried, "its receiver ended, or let go of the request"));
    }
    if (this.#outstanding.size + this.#late.size === 0) this.#stopLooking();
  }

  #isGone(handle: number): boolean {
    return native.xmem_bun_ref_count(this.#session.descriptor, handle) <= 0;
  }

  #drain(): void {
    for (let reply = this.#replies.tryReceive(); reply !== null; ) {
      this.#settle(reply);
      reply = this.#replies.tryReceive();
    }
  }
}

const askers = new WeakMap<Session, Asker>();

/** Of the open of the pool. */
export function askerOf(session: Session, open: OpenLine): Asker {
  const known = askers.get(session);
  if (known !== undefined) return known;
  const made = inNameOf("request()", () => new Asker(session, open));
  askers.set(session, made);
  return made;
}

/**
 * A request that was received: its buffer, and the way back to the asker. One that is disposed of
 * without a reply ends the asker's wait with an error.
 *
 * @example
 * ```ts
 * for await (using request of pool.channel("jobs").requests()) {
 *   request.guard.bytes.reverse();
 *   request.reply(request.guard);
 * }
 * ```
 */
export class Request implements Disposable {
  /** The buffer that the asker sent; it is released with the request, and by a reply. */
  readonly guard: BufferGuard;
  readonly #session: Session;
  readonly #open: OpenLine;
  readonly #letter: Letter | null;
  readonly #tried: string;
  #isDone = false;

  /** Made by the channel. @internal */
  constructor(session: Session, guard: BufferGuard, open: OpenLine, on: string) {
    this.guard = guard;
    this.#session = session;
    this.#open = open;
    const letter = letterOf(session, guard);
    this.#letter = letter?.kind === constants.LETTER_REQUEST ? letter : null;
    this.#tried = `reply() ${on}`;
  }

  /**
   * Sends the reply to the asker, and nobody else: `guard` is done, and the request's own guard is
   * released. It may be the request's own guard. Where the asker is gone, the reply goes back to
   * the pool.
   *
   * @throws INVALID_ARGUMENT: the request was answered before, or its sender waits for no reply;
   *   `guard` is no guard of this pool.
   * @throws RELEASED: `guard` was released, sent, handed off or forgotten before.
   * @throws CHANNEL_FULL: the asker's channel of replies is full; the guard stays.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  reply(guard: BufferGuard): void {
    if (this.#isDone) raise("INVALID_ARGUMENT", this.#tried, "the request was answered before");
    if (this.#letter === null) {
      raise("INVALID_ARGUMENT", this.#tried, "the sender of this buffer waits for no reply", {
        advice: "request() sends a buffer whose sender waits",
      });
    }
    checkSendable(this.#session, guard, this.#tried);
    if (!this.#send(guard, constants.LETTER_REPLY, this.#letter)) guard.release();
    this.#isDone = true;
    if (guard !== this.guard) this.guard.release();
  }

  /** Releases the request. The wait of an asker that got no reply ends with RELEASED. */
  [Symbol.dispose](): void {
    if (this.#isDone) return;
    this.#isDone = true;
    // Of a guard that went elsewhere, whoever has it replies.
    if (holderOf(this.guard)?.live !== true) return;
    try {
      const letter = this.#letter;
      if (letter !== null && this.#send(this.guard, constants.LETTER_REFUSAL, letter)) return;
    } catch {
      // Nobody can be told; the asker finds that its request is gone.
    }
    this.guard.release();
  }

  /** False: the asker is gone, and the guard stays. */
  #send(guard: BufferGuard, kind: number, { request, replyTo }: Letter): boolean {
    using line = this.#lineTo(replyTo);
    if (line === null) return false;
    const written = writeLetter(this.#session, guard, { kind, request, replyTo: "" });
    if (written < 0) throw this.#session.failure(written, this.#tried, { ref: guard.handle });
    try {
      if (line.trySend(guard)) return true;
    } catch (error) {
      if (isClosed(error)) return false;
      writeLetter(this.#session, guard, noLetter);
      throw renamed(error, "reply()");
    }
    writeLetter(this.#session, guard, noLetter);
    raise("CHANNEL_FULL", this.#tried, "the asker does not receive its replies");
  }

  /**
   * The asker's channel; null: the asker is gone. It is not kept open, since it would stay in the
   * pool for as long; to open it takes some microseconds.
   */
  #lineTo(name: string): Line | null {
    try {
      const line = this.#open(name, null);
      // The asker has it open, and this thread.
      if (ownNames.has(name) || line.stats().openBy > 1) return line;
      line[Symbol.dispose]();
      return null;
    } catch (error) {
      if (isClosed(error)) return null;
      throw renamed(error, "reply()");
    }
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof XmemError && error.code === "CHANNEL_CLOSED";
}
