// Only one Parking works between two channels. It holds the one message of a channel that redelivers;
// others wait for that message, and the death of its holder brings it to the next, together with all
// else that the dead one held.

import { type BufferGuard, type BufferPool, type Channel, XmemError } from "../index.ts";
import { pause } from "./failure.ts";

/** A place in a channel has 16 bits, and the count of the rounds before it 21. */
const places = 2 ** 37;

export class Claim {
  /** Tells the pool from all others, also from later ones of its name. */
  readonly poolId: string;
  readonly #line: Channel;
  readonly #token: BufferGuard;

  /** Waits until nobody else has it. Undefined where `signal` was aborted. */
  static async take(
    pool: BufferPool,
    name: string,
    signal: AbortSignal,
  ): Promise<Claim | undefined> {
    while (!signal.aborted) {
      const options = { capacity: 4, redeliver: true, maxDeliveries: 2 ** 32 - 1 };
      const line = pool.channel(name, options);
      try {
        return new Claim(line, await receiveToken(pool, line, signal));
      } catch (error) {
        line[Symbol.dispose]();
        const hasEnded = error instanceof XmemError && error.code === "CHANNEL_CLOSED";
        if (!hasEnded && !signal.aborted) throw error;
      }
      // The one before closed it. Once everybody has let go of it, it can be made anew.
      pool.reclaim();
      await pause(20, signal);
    }
    return undefined;
  }

  private constructor(line: Channel, token: BufferGuard) {
    this.#line = line;
    this.#token = token;
    this.poolId = token.messageId.split(".", 1)[0] ?? "";
  }

  /** For the next one. Where the pool was closed before, all of it went with that. */
  end(): void {
    this.#token.release();
    try {
      this.#line.close();
    } catch (error) {
      if (!(error instanceof XmemError) || error.code !== "POOL_CLOSED") throw error;
    }
    this.#line[Symbol.dispose]();
  }
}

async function receiveToken(
  pool: BufferPool,
  line: Channel,
  signal: AbortSignal,
): Promise<BufferGuard> {
  if (line.stats().sent === 0) line.send(await pool.acquireAsync(0, { signal }));
  while (true) {
    const token = await line.receive({ signal });
    // Of two that were made at the same moment the first one counts.
    if (Number.parseInt(token.messageId.split(".")[1] ?? "", 36) % places === 0) return token;
    token.release();
  }
}
