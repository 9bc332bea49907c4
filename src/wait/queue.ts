// Waiting without blocking the event loop: one queue per place and participant, that is, per pool
// and thread, however often the thread has it open. First asked, first served, told by the thread's
// bell when a try is worth it. The place says what a try is.

import { make, type XmemError } from "../errors/error.ts";
import {
  ERROR_PENDING,
  ERROR_POOL_BUSY,
  ERROR_TIMEOUT,
  PATIENCE_UNTIMED_MS,
} from "../generated/constants.gen.ts";
import { closed, native } from "../native/native.ts";
import type { Session } from "../session/session.ts";
import { type Hearing, hear, type Listener } from "./bell.ts";
import type { Place } from "./place.ts";

/** As long as a call that blocks waits for a recovery that does not end; POOL_BUSY then. */
const busyPatience = PATIENCE_UNTIMED_MS;

interface Waiter<Request> {
  session: Session;
  request: Request;
  resolve: (result: number) => void;
  reject: (reason: unknown) => void;
  /** When it began; milliseconds of the core's clock, as all times here. */
  since: number;
  timeout: number;
  /** When it ends without a result. */
  deadline: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  signal: AbortSignal | undefined;
  onAbort: (() => void) | undefined;
}

/** Queues with somebody in them stay reachable; an idle one goes with its carrier. */
const busy = new Set<object>();

/** By the name of the place. Weak, since the bell's handlers see this module's variables. */
type Queues = Map<string, WeakRef<WaitQueue<unknown>>>;
const participants = new Map<string, Queues>();

/** The queue of the session's participant at a place. */
export function queueOf<Request>(session: Session, place: Place<Request>): WaitQueue<Request> {
  const { participant } = session;
  const queues: Queues = participants.get(participant) ?? new Map();
  const known = queues.get(place.name)?.deref();
  // One name is one place, and one place has one type of requests.
  if (known !== undefined) return known as WaitQueue<Request>;
  const made = new WaitQueue(participant, place);
  queues.set(place.name, new WeakRef(made));
  participants.set(participant, queues);
  return made;
}

function forget(participant: string, place: string): void {
  const queues = participants.get(participant);
  queues?.delete(place);
  if (queues?.size === 0) participants.delete(participant);
}

/** The session closes: its waits, at whichever place, are rejected, and no buffer is taken. */
export function endWaits(session: Session): void {
  const queues = participants.get(session.participant)?.values() ?? [];
  for (const queue of [...queues]) queue.deref()?.close(session);
}

/** The place goes away for this thread: who waits there is told why, and nothing is taken. */
export function endWaitsAt(session: Session, place: { name: string }, reason: unknown): void {
  participants.get(session.participant)?.get(place.name)?.deref()?.end(reason);
}

class WaitQueue<Request> implements Listener {
  readonly #participant: string;
  readonly #place: Place<Request>;
  readonly #waiting = new Set<Waiter<Request>>();
  /** The session whose place is watched for all of them. */
  #carrier: Session | undefined;
  #hearing: Hearing | undefined;
  /** Whether the native thread watches in this loop's place. */
  #armed = false;
  /** Runs from when a recovery was found to have the pool until it is found to be over. */
  #busyTimer: ReturnType<typeof setTimeout> | undefined;
  #busySince = Number.POSITIVE_INFINITY;

  constructor(participant: string, place: Place<Request>) {
    this.#participant = participant;
    this.#place = place;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Resolves with what a try of the session's brought. */
  wait(
    session: Session,
    request: Request,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const since = native.xmem_bun_now();
      const waiter: Waiter<Request> = {
        session,
        request,
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

  /** A try is worth it. */
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
      waiter.reject(make("POOL_CLOSED", this.#tried(waiter)));
    }
    if (session === this.#carrier) this.#dropCarrier();
    if (this.isEmpty) this.#rest(false);
    // The others wait on through a session of theirs.
    else if (this.#carrier === undefined) this.#begin();
  }

  end(reason: unknown): void {
    for (const waiter of this.#waiting) {
      this.#remove(waiter);
      waiter.reject(reason);
    }
    this.#rest(true);
    this.#dropCarrier();
    forget(this.#participant, this.#place.name);
  }

  /** What a waiter called, and on what. */
  #tried({ session, request }: Waiter<Request>): string {
    return `${this.#place.call} ${this.#place.asked(request).channel?.on ?? session.on}`;
  }

  #failure(waiter: Waiter<Request>, result: number): XmemError {
    const { session, request, timeout } = waiter;
    const asked = this.#place.asked(request);
    const about = result === -ERROR_TIMEOUT ? { ...asked, timeout } : asked;
    return session.failure(result, this.#place.call, about);
  }

  #dropCarrier(): void {
    if (this.#hearing !== undefined) {
      this.#hearing.terminate();
      this.#carrier?.tether.hearings.delete(this.#hearing);
    }
    this.#hearing = undefined;
    this.#carrier?.waits.delete(this);
    this.#carrier = undefined;
    // The place is watched no longer than the session has it, and what it was armed for.
    this.#armed = false;
  }

  #begin(): void {
    for (const { session } of this.#waiting) {
      if (this.#carrier !== undefined) break;
      const hearing = hear(this, (loop, tag) => this.#place.open(session.descriptor, loop, tag));
      if (typeof hearing === "number") {
        this.#failAll(hearing);
        return;
      }
      this.#carrier = session;
      this.#hearing = hearing;
      session.waits.add(this);
      session.tether.hearings.add(hearing);
    }
    if (this.#place.keepsAlive && this.#hearing !== undefined) this.#hearing.keeps = true;
    this.#serve();
  }

  deaf(cause: unknown): void {
    for (const waiter of this.#waiting) {
      this.#remove(waiter);
      const found = `the event loop cannot watch its socket: ${cause}`;
      waiter.reject(make("SYSTEM", this.#tried(waiter), found, { cause }));
    }
    this.#rest(true);
    // The next wait tries again.
    this.#dropCarrier();
    forget(this.#participant, this.#place.name);
  }

  /** Arms, then tries: a release between the two is found, one after them makes a signal. */
  #serve(): void {
    const descriptor = this.#carrier?.descriptor ?? closed;
    if (descriptor === closed) return;
    while (!this.isEmpty) {
      const armed = this.#place.arm(descriptor, this.#due());
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
      // Else a recovery ended between the two, and this thread is not counted as a waiter yet.
      if (armed === 0) break;
    }
    if (this.isEmpty) this.#rest(true);
  }

  /** Until a try brings nothing: what stood in its way, or 0 when nobody is left. */
  #serveInOrder(): number {
    for (const waiter of this.#waiting) {
      const { session, request, since } = waiter;
      const waited = native.xmem_bun_now() - since;
      const result = this.#place.attempt(session.descriptor, request, waited);
      if (this.#place.mayCome(result) || result === -ERROR_PENDING) return result;
      this.#remove(waiter);
      if (result >= 0) waiter.resolve(result);
      else waiter.reject(this.#failure(waiter, result));
    }
    return 0;
  }

  /** A recoverer that is stopped may stay so: waits without a timeout are rejected. */
  #tellBusy(): void {
    this.#notBusy();
    for (const waiter of this.#waiting) {
      if (waiter.deadline !== Number.POSITIVE_INFINITY) continue;
      this.#remove(waiter);
      waiter.reject(this.#failure(waiter, -ERROR_POOL_BUSY));
    }
    if (this.isEmpty) this.#rest(true);
  }

  #notBusy(): void {
    clearTimeout(this.#busyTimer);
    this.#busyTimer = undefined;
    this.#busySince = Number.POSITIVE_INFINITY;
  }

  /** A timer holds 2^31 - 1 ms at most, and may end a little early. */
  #setTimer(waiter: Waiter<Request>): void {
    const left = Math.ceil(waiter.deadline - native.xmem_bun_now());
    waiter.timer = setTimeout(() => this.#expire(waiter), Math.min(Math.max(left, 0), 2 ** 31 - 1));
  }

  #expire(waiter: Waiter<Request>): void {
    if (!this.#waiting.has(waiter)) return;
    if (native.xmem_bun_now() < waiter.deadline) {
      this.#setTimer(waiter);
      return;
    }
    // A last try, for the first in the queue only: nobody overtakes.
    this.#serve();
    if (!this.#waiting.has(waiter)) return;
    this.#place.timedOut(waiter.session.descriptor);
    this.#giveUp(waiter, this.#failure(waiter, -ERROR_TIMEOUT));
  }

  #giveUp(waiter: Waiter<Request>, reason: unknown): void {
    if (!this.#waiting.has(waiter)) return;
    this.#remove(waiter);
    waiter.reject(reason);
    if (this.isEmpty) this.#rest(true);
  }

  #failAll(result: number): void {
    for (const waiter of this.#waiting) {
      this.#remove(waiter);
      waiter.reject(this.#failure(waiter, result));
    }
    this.#rest(false);
  }

  /** Nobody waits: the process may end, and a wake that was ours goes to the next participant. */
  #rest(passOn: boolean): void {
    busy.delete(this);
    this.#notBusy();
    if (this.#hearing !== undefined) this.#hearing.keeps = false;
    const descriptor = this.#carrier?.descriptor ?? closed;
    if (this.#carrier === undefined) forget(this.#participant, this.#place.name);
    if (!this.#armed || descriptor === closed) return;
    this.#armed = false;
    this.#place.disarm(descriptor, passOn);
  }

  #remove(waiter: Waiter<Request>): void {
    this.#waiting.delete(waiter);
    if (waiter.timer !== undefined) clearTimeout(waiter.timer);
    if (waiter.onAbort !== undefined) waiter.signal?.removeEventListener("abort", waiter.onAbort);
  }
}
