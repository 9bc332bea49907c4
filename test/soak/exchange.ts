// Hands buffers over: to one thread that will write, or to several that only read, by messages that
// may never be read. A taken buffer is the one that was sent, or the take is refused after its
// lease.

import type { BufferGuard, BufferPool } from "../../src/index.ts";
import { native } from "../../src/native/native.ts";
import { type Context, isOneOf } from "./context.ts";
import type { Held, Holdings } from "./holdings.ts";
import type { Address, Parcel } from "./messages.ts";

const inboxMost = 50;

/**
 * The part of a lease, from the first share on, in which more shares follow. In-flight references
 * of a buffer cannot be told apart: a receiver whose own reference has expired takes that of a
 * later message. So none is made after the first could have expired.
 */
const sharingPart = 0.5;

export class Exchange {
  readonly #context: Context;
  readonly #holdings: Holdings;
  readonly #inbox: Parcel[] = [];

  constructor(context: Context, holdings: Holdings) {
    this.#context = context;
    this.#holdings = holdings;
  }

  deliver(parcel: Parcel): void {
    // A message that does not fit is lost, and its lease expires.
    if (this.#inbox.length < inboxMost) this.#inbox.push(parcel);
  }

  #receiver(): Address {
    const { random, task } = this.#context;
    return { process: random.below(task.processes), thread: random.below(6) };
  }

  /** Moves a buffer to another thread, which will write into it. */
  publish(): void {
    const held = this.#holdings.pickSole();
    if (held === null) return;
    const { journal, send } = this.#context;
    const { pool } = held;
    const [guard] = held.guards;
    this.#holdings.verify(held, "before handOff");
    this.#holdings.restamp(held, "published");
    const sentAtMs = native.xmem_bun_now();
    journal.step(`handOff ${pool}/${guard.index}`);
    try {
      const handle = guard.handOff();
      this.#holdings.drop(held);
      send(this.#receiver(), {
        pool,
        handle,
        kind: "exclusive",
        stamp: held.stamp,
        sentAtMs,
        sharedSinceMs: 0,
      });
    } catch (error) {
      this.#context.expect(error, []);
      this.#holdings.restamp(held, "claimed");
    }
  }

  /** From now on nobody writes, and several may read. */
  share(): void {
    const { random, task } = this.#context;
    const windowMs = sharingPart * task.leaseMs;
    const nowMs = native.xmem_bun_now();
    const held = this.#holdings.pick(
      ({ stamp, sharedSinceMs = nowMs }) =>
        stamp.state === "claimed" || (stamp.state === "shared" && nowMs - sharedSinceMs < windowMs),
    );
    if (held === null) return;
    this.#holdings.verify(held, "before share");
    if (held.stamp.state === "claimed") this.#holdings.restamp(held, "shared");
    held.sharedSinceMs ??= nowMs;
    for (let copies = random.between(1, 3); copies > 0; copies--) {
      this.#shareOnce(held, held.sharedSinceMs, windowMs);
    }
  }

  #shareOnce(held: Held, sharedSinceMs: number, windowMs: number): void {
    const { random, journal, send } = this.#context;
    const { pool, stamp } = held;
    const [guard] = held.guards;
    const kind = random.chance(0.2) ? "peek" : "shared";
    const sentAtMs = native.xmem_bun_now();
    journal.step(`share ${pool}/${guard.index}, ${kind}`);
    try {
      const handle = kind === "peek" ? guard.handle : guard.share();
      journal.count("shared");
      // Too late, because this thread was stopped: the reference is left to its lease.
      if (native.xmem_bun_now() - sharedSinceMs > windowMs) return;
      send(this.#receiver(), { pool, handle, kind, stamp, sentAtMs, sharedSinceMs });
    } catch (error) {
      this.#context.expect(error, []);
    }
  }

  /** Looks at one message. */
  receive(): void {
    const parcel = this.#inbox.shift();
    const pool = parcel === undefined ? null : this.#context.pools[parcel.pool];
    if (parcel === undefined || !pool) return;
    const { random } = this.#context;
    // Some are lost on the way.
    if (random.chance(0.03)) return;
    if (parcel.kind === "peek") this.#peek(pool, parcel);
    else if (parcel.kind === "shared" && random.chance(0.15)) this.#unref(pool, parcel);
    else this.#take(pool, parcel);
  }

  /** At the end, while the pools are still open. */
  receiveAll(): void {
    for (let left = this.#inbox.length; left > 0; left--) this.receive();
  }

  #take(pool: BufferPool, parcel: Parcel): void {
    const { kind, handle, stamp } = parcel;
    const { journal } = this.#context;
    journal.step(`take ${parcel.pool}/${handle}, ${kind} ${stamp.sequence}`);
    let guard: BufferGuard;
    try {
      guard = pool.take(handle);
    } catch (error) {
      this.#refused(error, parcel);
      return;
    }
    journal.count("taken");
    this.#holdings.compare(parcel.pool, guard, stamp, `on the way (${kind})`);
    if (kind === "exclusive") this.#holdings.claim(parcel.pool, guard);
    else if (this.#holdings.full) guard.release();
    else {
      const { sharedSinceMs } = parcel;
      this.#holdings.add({ pool: parcel.pool, guards: [guard], stamp, sharedSinceMs });
    }
    if (this.#holdings.full) this.#holdings.releaseOne();
  }

  #refused(error: unknown, parcel: Parcel): void {
    if (isOneOf(error, ["STALE_HANDLE", "NO_REFERENCE"])) {
      this.#context.checkLease(parcel.sentAtMs, `${error.code} for ${JSON.stringify(parcel)}`);
      return;
    }
    this.#context.expect(error, []);
    this.deliver(parcel);
  }

  #unref(pool: BufferPool, parcel: Parcel): void {
    this.#context.journal.step(`unref ${parcel.pool}/${parcel.handle}`);
    try {
      pool.unref(parcel.handle);
    } catch (error) {
      this.#refused(error, parcel);
    }
  }

  /** A handle without a reference: it may be stale, but never somebody else's buffer. */
  #peek(pool: BufferPool, parcel: Parcel): void {
    const { random, journal } = this.#context;
    journal.step(`get ${parcel.pool}/${parcel.handle}`);
    try {
      using guard = pool.get(parcel.handle);
      journal.count("peeked");
      this.#holdings.compare(parcel.pool, guard, parcel.stamp, "where it was peeked at");
      if (random.chance(0.3)) Bun.sleepSync(1);
      this.#holdings.compare(parcel.pool, guard, parcel.stamp, "while it was peeked at");
    } catch (error) {
      this.#context.expect(error, ["STALE_HANDLE", "NO_REFERENCE"]);
    }
  }
}
