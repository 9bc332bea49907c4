// One participant at a time does something. It holds the one message of a channel that redelivers, the
// token; others wait for that, and the death of its holder brings it to the next, together with all else
// that the dead one held.

import { type BufferGuard, type BufferPool, type Channel, XmemError } from "../index.ts";
import { pause } from "./pause.ts";

/** A place in a channel has 16 bits, and the count of the rounds before it 21. */
const places = 2 ** 37;
/** Stands in the description of a token that its holder sent on. */
const handedOn = "handed on";

/** How a claim is waited for. */
export interface ClaimOptions {
  signal: AbortSignal;
  /** Makes the token, where there is none yet. */
  make: () => Promise<BufferGuard>;
}

export class Claim {
  readonly token: BufferGuard;
  /** Tells the pool from all others, also from later ones of its name. */
  readonly poolId: string;
  readonly #line: Channel;

  /** Waits until nobody else has it. Undefined where `signal` was aborted. */
  static async take(
    pool: BufferPool,
    name: string,
    { signal, make }: ClaimOptions,
  ): Promise<Claim | undefined> {
    while (!signal.aborted) {
      const options = { capacity: 4, redeliver: true, maxDeliveries: 2 ** 32 - 1 };
      const line = pool.channel(name, options);
      try {
        if (line.stats().sent === 0) line.send(await make());
        return new Claim(line, await receiveToken(line, signal));
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
    this.token = token;
    this.poolId = token.messageId.split(".", 1)[0] ?? "";
  }

  /** To the next one, with what stands in the token. */
  handOn(): void {
    this.token.meta.producer = handedOn;
    this.#line.send(this.token);
    this.#line[Symbol.dispose]();
  }

  /**
   * The next one makes a token of its own. Where the pool was closed before, all of it went with
   * that. The line is closed first: a process that is killed before the release leaves the token to
   * the next one, and a line without a token would be waited for without end.
   */
  end(): void {
    try {
      this.#line.close();
    } catch (error) {
      if (!(error instanceof XmemError) || error.code !== "POOL_CLOSED") throw error;
    }
    this.token.release();
    this.#line[Symbol.dispose]();
  }
}

async function receiveToken(line: Channel, signal: AbortSignal): Promise<BufferGuard> {
  while (true) {
    const token = await line.receive({ signal });
    // Of two that were made at the same moment the first one counts.
    const isFirst = Number.parseInt(token.messageId.split(".")[1] ?? "", 36) % places === 0;
    if (isFirst || token.meta.producer === handedOn) return token;
    token.release();
  }
}
