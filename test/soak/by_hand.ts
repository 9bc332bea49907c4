// Counting references by hand, on buffers that this thread alone knows: so every count is known.

import type { BufferPool } from "../../src/index.ts";
import { native } from "../../src/native/native.ts";
import { type Context, isOneOf } from "./context.ts";
import type { Held, Holdings } from "./holdings.ts";

export class ByHand {
  readonly #context: Context;
  readonly #holdings: Holdings;

  constructor(context: Context, holdings: Holdings) {
    this.#context = context;
    this.#holdings = holdings;
  }

  #pick(): { held: Held; pool: BufferPool; handle: number } | null {
    const held = this.#holdings.pick(
      ({ stamp, received }) => stamp.state === "claimed" && !received,
    );
    return held === null ? null : this.#named(held);
  }

  #named(held: Held): { held: Held; pool: BufferPool; handle: number } | null {
    const pool = this.#context.pools[held.pool];
    return pool ? { held, pool, handle: held.guards[0].handle } : null;
  }

  /**
   * addRef, then unref. A reference that stays because the second call finds the pool busy goes
   * with its lease.
   */
  addAndDrop(): void {
    const found = this.#pick();
    if (found === null) return;
    const { held, pool, handle } = found;
    const { random, journal } = this.#context;
    const holds = held.guards.length;
    const sinceMs = native.xmem_bun_now();
    try {
      journal.step(`addRef ${held.pool}/${handle}`);
      const added = pool.addRef(handle);
      if (added <= holds) this.#context.fail(`addRef of ${handle} came to ${added}`);
      if (random.chance(0.1)) Bun.sleepSync(1);
      journal.step(`unref ${held.pool}/${handle}`);
      const left = pool.unref(handle);
      if (left < holds) this.#context.fail(`unref of ${handle} came to ${left}`);
    } catch (error) {
      if (isOneOf(error, ["NO_REFERENCE"])) this.#context.checkLease(sinceMs, `unref of ${handle}`);
      else this.#context.expect(error, []);
    }
  }

  setCount(): void {
    const found = this.#pick();
    if (found === null) return;
    const { held, pool, handle } = found;
    const holds = held.guards.length;
    try {
      for (const count of [holds + 2, holds]) {
        this.#context.journal.step(`setRefCount ${held.pool}/${handle} ${count}`);
        const result = pool.setRefCount(handle, count);
        if (result === count) continue;
        this.#context.fail(`setRefCount of ${handle} to ${count} came to ${result}`);
      }
    } catch (error) {
      this.#context.expect(error, []);
    }
  }

  /** Counts a buffer to 0 by hand, then recycles it, revives it, or leaves it to its lease. */
  park(): void {
    const sole = this.#holdings.pickSole();
    const found = sole === null ? null : this.#named(sole);
    if (found === null) return;
    const { held, pool, handle } = found;
    const { journal } = this.#context;
    this.#holdings.verify(held, "before it was parked");
    this.#holdings.restamp(held, "parked");
    const sinceMs = native.xmem_bun_now();
    journal.step(`handOff ${held.pool}/${handle}, to park it`);
    try {
      held.guards[0].handOff();
    } catch (error) {
      this.#context.expect(error, []);
      this.#holdings.restamp(held, "claimed");
      return;
    }
    this.#holdings.drop(held);
    try {
      journal.step(`release by hand ${held.pool}/${handle}`);
      const left = pool.release(handle);
      journal.count("parked");
      // More than 0: references by hand that this thread could not drop, as the pool stood still.
      if (left === 0) this.#endParked(held, pool, handle);
    } catch (error) {
      if (isOneOf(error, ["STALE_HANDLE", "NO_REFERENCE"])) {
        this.#context.checkLease(sinceMs, `the parked ${handle}`);
      } else this.#context.expect(error, []);
    }
  }

  #endParked(held: Held, pool: BufferPool, handle: number): void {
    const { random, journal } = this.#context;
    if (random.chance(0.1)) return;
    // Recoveries come and go, and must leave it as it is.
    if (random.chance(0.3)) Bun.sleepSync(random.below(10));
    if (random.chance(0.5)) {
      journal.step(`tryRelease ${held.pool}/${handle}`);
      if (!pool.tryRelease(handle)) this.#context.fail(`tryRelease of ${handle} was refused`);
      return;
    }
    journal.step(`addRef ${held.pool}/${handle}, to revive it`);
    pool.addRef(handle);
    const revived = pool.take(handle);
    this.#holdings.compare(held.pool, revived, held.stamp, "while it was parked");
    this.#holdings.claim(held.pool, revived);
  }
}
