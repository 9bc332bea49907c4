// Waiting for a buffer without blocking the event loop: a queue per session, first asked, first
// served, woken by the native thread through a socket that becomes readable when a try is worth it.

import type { Socket } from "bun";
import {
  ERROR_COMMIT_LIMIT,
  ERROR_PENDING,
  ERROR_POOL_BUSY,
  ERROR_POOL_FULL,
  ERROR_TIMEOUT,
} from "./constants.gen.ts";
import { make } from "./errors.ts";
import { type Descriptor, native } from "./native.ts";
import { closed, type Session } from "./session.ts";

/** As long as a call that blocks waits for a recovery that does not end; POOL_BUSY then. */
const busyPatience = 2000;

interface Waiter {
  size: number;
  resolve: (handle: number) => void;
  reject: (reason: unknown) => void;
  /** Milliseconds. */
  timeout: number;
  /** When it ends without a buffer; performance.now(). */
  deadline: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  signal: AbortSignal | undefined;
  onAbort: (() => void) | undefined;
}

/**
 * An open socket's handlers stay reachable, and with them all that was in scope where they were
 * made: hence a function of its own, which sees no queue but through the weak reference.
 */
function watch(fd: number, queue: WeakRef<WaitQueue>): Promise<Socket> {
  return Bun.connect({
    fd,
    socket: {
      data() {
        queue.deref()?.signalled();
      },
    },
  } as unknown as Parameters<typeof Bun.connect>[0]) as Promise<Socket>;
}

/** Whether a release may bring what an acquire lacked: a buffer, or memory under `maxCommitted`. */
export function helpsWaiting(handle: number): boolean {
  return handle === -ERROR_POOL_FULL || handle === -ERROR_COMMIT_LIMIT;
}

/** Queues with somebody in them stay reachable; an idle one goes with its session. */
const busy = new Set<WaitQueue>();

export class WaitQueue {
  readonly #session: Session;
  readonly #waiting = new Set<Waiter>();
  #socket: Socket | undefined;
  #connecting = false;
  /** Whether the native thread watches in this loop's place. */
  #armed = false;
  /** Whether those who release know that this participant waits. */
  #counted = false;
  /** Runs from when a recovery was found to have the pool until it is found to be over. */
  #busyTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Resolves with the handle of a new hold. */
  wait(
    size: number,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        size,
        resolve,
        reject,
        timeout: timeout ?? Number.POSITIVE_INFINITY,
        deadline: performance.now() + (timeout ?? Number.POSITIVE_INFINITY),
        timer: undefined,
        signal,
        onAbort: undefined,
      };
      this.#waiting.add(waiter);
      busy.add(this);
      if (timeout !== undefined) this.#setTimer(waiter);
      if (signal !== undefined) {
        waiter.onAbort = () => this.#giveUp(waiter, signal.reason);
        signal.addEventListener("abort", waiter.onAbort);
      }
      this.#begin();
    });
  }

  /** The socket became readable: a try is worth it. */
  signalled(): void {
    this.#serve();
  }

  /** Everybody is told; nothing is taken. */
  close(): void {
    for (const waiter of this.#waiting) {
      this.#remove(waiter);
      waiter.reject(make("POOL_CLOSED", `acquireAsync() ${this.#session.on}`));
    }
    busy.delete(this);
    this.#notBusy();
    this.#socket?.terminate();
    this.#socket = undefined;
  }

  #begin(): void {
    const { descriptor } = this.#session;
    const fd = native.xmem_async_open(descriptor);
    if (fd < 0) {
      this.#failAll(fd);
      return;
    }
    this.#socket?.ref();
    if (this.#socket === undefined && !this.#connecting) this.#connect(fd);
    this.#serve();
  }

  #connect(fd: number): void {
    this.#connecting = true;
    const opened = watch(fd, new WeakRef(this));
    opened.then(
      (socket) => {
        this.#connecting = false;
        if (this.#session.descriptor === closed) return socket.terminate();
        this.#socket = socket;
        this.#session.tether.socket = socket;
        if (this.isEmpty) socket.unref();
        this.#serve();
      },
      (cause: unknown) => {
        this.#connecting = false;
        for (const waiter of this.#waiting) {
          this.#remove(waiter);
          const tried = `acquireAsync() ${this.#session.on}`;
          waiter.reject(make("SYSTEM", tried, "the event loop cannot watch its socket", { cause }));
        }
        this.#rest(true);
      },
    );
  }

  /** Arms, then tries: a release between the two is found, one after them makes a signal. */
  #serve(): void {
    const { descriptor } = this.#session;
    if (descriptor === closed) return;
    while (!this.isEmpty) {
      if (!this.#counted) {
        const armed = native.xmem_async_arm(descriptor);
        if (armed < 0 && armed !== -ERROR_PENDING) {
          this.#failAll(armed);
          return;
        }
        this.#armed = true;
        this.#counted = armed === 0;
      }
      if (this.#serveInOrder(descriptor) === -ERROR_PENDING) {
        this.#busyTimer ??= setTimeout(() => this.#tellBusy(), busyPatience);
        return;
      }
      this.#notBusy();
      // Else a recovery ended between the two, and nobody knows yet that this one waits.
      if (this.#counted) break;
    }
    if (this.isEmpty) this.#rest(true);
  }

  /** Until the pool is empty or a recovery has it: what stood in the way, 0 when nothing did. */
  #serveInOrder(descriptor: Descriptor): number {
    for (const waiter of this.#waiting) {
      const handle = native.xmem_acquire_at_once(descriptor, waiter.size);
      if (helpsWaiting(handle) || handle === -ERROR_PENDING) return handle;
      this.#remove(waiter);
      if (handle >= 0) waiter.resolve(handle);
      else waiter.reject(this.#session.failure(handle, "acquireAsync()", { size: waiter.size }));
    }
    return 0;
  }

  /** Whoever stopped in the middle of a recovery may stay so: who has no timeout is told. */
  #tellBusy(): void {
    this.#busyTimer = undefined;
    for (const waiter of this.#waiting) {
      if (waiter.deadline !== Number.POSITIVE_INFINITY) continue;
      this.#remove(waiter);
      waiter.reject(this.#session.failure(-ERROR_POOL_BUSY, "acquireAsync()"));
    }
    if (this.isEmpty) this.#rest(true);
  }

  #notBusy(): void {
    clearTimeout(this.#busyTimer);
    this.#busyTimer = undefined;
  }

  /** A timer holds 2^31 - 1 ms at most, and may end a little early. */
  #setTimer(waiter: Waiter): void {
    const left = Math.ceil(waiter.deadline - performance.now());
    waiter.timer = setTimeout(() => this.#expire(waiter), Math.min(Math.max(left, 0), 2 ** 31 - 1));
  }

  #expire(waiter: Waiter): void {
    if (!this.#waiting.has(waiter)) return;
    if (performance.now() < waiter.deadline) {
      this.#setTimer(waiter);
      return;
    }
    // A last try, for whoever is first in the queue only: nobody overtakes.
    this.#serve();
    if (!this.#waiting.has(waiter)) return;
    native.xmem_async_timed_out(this.#session.descriptor);
    const { timeout } = waiter;
    this.#giveUp(waiter, this.#session.failure(-ERROR_TIMEOUT, "acquireAsync()", { timeout }));
  }

  #giveUp(waiter: Waiter, reason: unknown): void {
    if (!this.#waiting.has(waiter)) return;
    this.#remove(waiter);
    waiter.reject(reason);
    if (this.isEmpty) this.#rest(true);
  }

  #failAll(result: number): void {
    for (const waiter of this.#waiting) {
      this.#remove(waiter);
      waiter.reject(this.#session.failure(result, "acquireAsync()"));
    }
    this.#rest(false);
  }

  /** Nobody waits: the process may end, and a wake that was ours goes to the next participant. */
  #rest(passOn: boolean): void {
    busy.delete(this);
    this.#notBusy();
    this.#socket?.unref();
    if (!this.#armed || this.#session.descriptor === closed) return;
    this.#armed = false;
    this.#counted = false;
    native.xmem_async_disarm(this.#session.descriptor, passOn ? 1 : 0);
  }

  #remove(waiter: Waiter): void {
    this.#waiting.delete(waiter);
    if (waiter.timer !== undefined) clearTimeout(waiter.timer);
    if (waiter.onAbort !== undefined) waiter.signal?.removeEventListener("abort", waiter.onAbort);
  }
}
