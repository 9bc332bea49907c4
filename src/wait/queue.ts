// Waiting for a buffer without blocking the event loop: one queue per participant, that is, per pool
// and thread, however often the thread has it open. First asked, first served, woken by the native
// thread through a socket that becomes readable when a try is worth it.

import type { Socket } from "bun";
import { make } from "../errors/error.ts";
import {
  ERROR_COMMIT_LIMIT,
  ERROR_PENDING,
  ERROR_POOL_BUSY,
  ERROR_POOL_FULL,
  ERROR_TIMEOUT,
  PATIENCE_UNTIMED_MS,
} from "../generated/constants.gen.ts";
import { closed, native } from "../native/native.ts";
import type { Session } from "../session/session.ts";

/** As long as a call that blocks waits for a recovery that does not end; POOL_BUSY then. */
const busyPatience = PATIENCE_UNTIMED_MS;

interface Waiter {
  session: Session;
  size: number;
  resolve: (handle: number) => void;
  reject: (reason: unknown) => void;
  /** When it began; milliseconds of the core's clock, as all times here. */
  since: number;
  timeout: number;
  /** When it ends without a buffer. */
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

/** Queues with somebody in them stay reachable; an idle one goes with its carrier. */
const busy = new Set<WaitQueue>();

/** By participant. Weak, since a socket's handlers see this module's variables. */
const queues = new Map<string, WeakRef<WaitQueue>>();

/** The queue of the session's participant. */
export function queueOf(session: Session): WaitQueue {
  const known = queues.get(session.participant)?.deref();
  if (known !== undefined) return known;
  const made = new WaitQueue(session.participant);
  queues.set(session.participant, new WeakRef(made));
  return made;
}

/** The session closes: who waits through it is told, and nothing is taken. */
export function endWaits(session: Session): void {
  queues.get(session.participant)?.deref()?.close(session);
}

class WaitQueue {
  readonly #participant: string;
  readonly #waiting = new Set<Waiter>();
  /** The session whose native thread watches for all of them. */
  #carrier: Session | undefined;
  #socket: Socket | undefined;
  /** Whether the native thread watches in this loop's place. */
  #armed = false;
  /** Runs from when a recovery was found to have the pool until it is found to be over. */
  #busyTimer: ReturnType<typeof setTimeout> | undefined;
  #busySince = Number.POSITIVE_INFINITY;

  constructor(participant: string) {
    this.#participant = participant;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Resolves with the handle of a new hold of the session's. */
  wait(
    session: Session,
    size: number,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const since = native.xmem_bun_now();
      const waiter: Waiter = {
        session,
        size,
        resolve,
        reject,
        since,
        timeout: timeout ?? Number.POSITIVE_INFINITY,
        deadline: since + (timeout ?? Number.POSITIVE_INFINITY),
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
    this.#sweep();
  }

  /** A test with fake timers must not make a real wait last for ever: Bun stops all its timers. */
  #sweep(): void {
    const now = native.xmem_bun_now();
    if (now < this.#due()) return;
    for (const waiter of this.#waiting) if (now >= waiter.deadline) this.#expire(waiter);
    if (now >= this.#busySince + busyPatience) this.#tellBusy();
  }

  /** When the first wait ends. */
  #due(): number {
    let due = this.#busySince + busyPatience;
    for (const { deadline } of this.#waiting) due = Math.min(due, deadline);
    return due;
  }

  close(session: Session): void {
    for (const waiter of this.#waiting) {
      if (waiter.session !== session) continue;
      this.#remove(waiter);
      waiter.reject(make("POOL_CLOSED", `acquireAsync() ${session.on}`));
    }
    if (session === this.#carrier) this.#dropCarrier();
    if (this.isEmpty) this.#rest(false);
    // The others wait on through a session of theirs.
    else if (this.#carrier === undefined) this.#begin();
  }

  #dropCarrier(): void {
    this.#socket?.terminate();
    this.#socket = undefined;
    if (this.#carrier !== undefined) this.#carrier.waits = undefined;
    this.#carrier = undefined;
    // The native thread ends with the session, and what it was armed for.
    this.#armed = false;
  }

  #begin(): void {
    for (const { session } of this.#waiting) {
      if (this.#carrier !== undefined) break;
      const fd = native.xmem_bun_async_open(session.descriptor);
      if (fd < 0) {
        this.#failAll(fd);
        return;
      }
      this.#carrier = session;
      session.waits = this;
      this.#connect(fd, session);
    }
    this.#socket?.ref();
    this.#serve();
  }

  #connect(fd: number, carrier: Session): void {
    watch(fd, new WeakRef(this)).then(
      (socket) => {
        if (this.#carrier !== carrier) return socket.terminate();
        this.#socket = socket;
        carrier.tether.socket = socket;
        if (this.isEmpty) socket.unref();
        this.#serve();
      },
      (cause: unknown) => {
        if (this.#carrier !== carrier) return;
        for (const waiter of this.#waiting) {
          this.#remove(waiter);
          const tried = `acquireAsync() ${waiter.session.on}`;
          const found = `the event loop cannot watch its socket: ${cause}`;
          waiter.reject(make("SYSTEM", tried, found, { cause }));
        }
        this.#rest(true);
        // The next wait tries again.
        this.#dropCarrier();
        queues.delete(this.#participant);
      },
    );
  }

  /** Arms, then tries: a release between the two is found, one after them makes a signal. */
  #serve(): void {
    const descriptor = this.#carrier?.descriptor ?? closed;
    if (descriptor === closed) return;
    while (!this.isEmpty) {
      const armed = native.xmem_bun_async_arm(descriptor, this.#due());
      if (armed < 0 && armed !== -ERROR_PENDING) {
        this.#failAll(armed);
        return;
      }
      this.#armed = true;
      if (this.#serveInOrder() === -ERROR_PENDING) {
        if (this.#busyTimer === undefined) {
          this.#busySince = native.xmem_bun_now();
          this.#busyTimer = setTimeout(() => this.#tellBusy(), busyPatience);
        }
        return;
      }
      this.#notBusy();
      // Else a recovery ended between the two, and nobody knows yet that this one waits.
      if (armed === 0) break;
    }
    if (this.isEmpty) this.#rest(true);
  }

  /** Until the pool is empty or a recovery has it: what stood in the way, 0 when nothing did. */
  #serveInOrder(): number {
    for (const waiter of this.#waiting) {
      const { session, size, since } = waiter;
      const waited = native.xmem_bun_now() - since;
      const handle = native.xmem_bun_acquire_at_once(session.descriptor, size, waited);
      if (helpsWaiting(handle) || handle === -ERROR_PENDING) return handle;
      this.#remove(waiter);
      if (handle >= 0) waiter.resolve(handle);
      else waiter.reject(session.failure(handle, "acquireAsync()", { size }));
    }
    return 0;
  }

  /** Whoever stopped in the middle of a recovery may stay so: who has no timeout is told. */
  #tellBusy(): void {
    this.#notBusy();
    for (const waiter of this.#waiting) {
      if (waiter.deadline !== Number.POSITIVE_INFINITY) continue;
      this.#remove(waiter);
      waiter.reject(waiter.session.failure(-ERROR_POOL_BUSY, "acquireAsync()"));
    }
    if (this.isEmpty) this.#rest(true);
  }

  #notBusy(): void {
    clearTimeout(this.#busyTimer);
    this.#busyTimer = undefined;
    this.#busySince = Number.POSITIVE_INFINITY;
  }

  /** A timer holds 2^31 - 1 ms at most, and may end a little early. */
  #setTimer(waiter: Waiter): void {
    const left = Math.ceil(waiter.deadline - native.xmem_bun_now());
    waiter.timer = setTimeout(() => this.#expire(waiter), Math.min(Math.max(left, 0), 2 ** 31 - 1));
  }

  #expire(waiter: Waiter): void {
    if (!this.#waiting.has(waiter)) return;
    if (native.xmem_bun_now() < waiter.deadline) {
      this.#setTimer(waiter);
      return;
    }
    // A last try, for whoever is first in the queue only: nobody overtakes.
    this.#serve();
    if (!this.#waiting.has(waiter)) return;
    const { session, timeout } = waiter;
    native.xmem_bun_async_timed_out(session.descriptor);
    this.#giveUp(waiter, session.failure(-ERROR_TIMEOUT, "acquireAsync()", { timeout }));
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
      waiter.reject(waiter.session.failure(result, "acquireAsync()"));
    }
    this.#rest(false);
  }

  /** Nobody waits: the process may end, and a wake that was ours goes to the next participant. */
  #rest(passOn: boolean): void {
    busy.delete(this);
    this.#notBusy();
    this.#socket?.unref();
    const descriptor = this.#carrier?.descriptor ?? closed;
    if (this.#carrier === undefined) queues.delete(this.#participant);
    if (!this.#armed || descriptor === closed) return;
    this.#armed = false;
    native.xmem_bun_async_disarm(descriptor, passOn ? 1 : 0);
  }

  #remove(waiter: Waiter): void {
    this.#waiting.delete(waiter);
    if (waiter.timer !== undefined) clearTimeout(waiter.timer);
    if (waiter.onAbort !== undefined) waiter.signal?.removeEventListener("abort", waiter.onAbort);
  }
}
