// What changes in a pool from one look to the next, for the commands that go on looking.

import { BufferPool, type LookOptions, type ParticipantStats, type PoolStats } from "../index.ts";
import { isCode } from "./failure.ts";

export interface Rates {
  acquired: number;
  released: number;
  full: number;
  waits: number;
  timeouts: number;
}

export interface Sample {
  at: number;
  stats: PoolStats;
  /** Per second since the look before; 0 at the first. */
  rates: Rates;
  /** By `keyOf`. */
  participantRates: Map<string, { acquired: number; released: number; waits: number }>;
}

export function keyOf({ pid, tid }: ParticipantStats): string {
  return `${pid}:${tid}`;
}

const noRates: Rates = { acquired: 0, released: 0, full: 0, waits: 0, timeouts: 0 };

/** Null where nothing has that name now. */
export function sample(pool: string, look: LookOptions, before: Sample | null): Sample | null {
  let stats: PoolStats;
  try {
    stats = BufferPool.inspect(pool, look);
  } catch (error) {
    if (isCode(error, "POOL_NOT_FOUND")) return null;
    throw error;
  }
  const at = performance.now();
  const seconds = before === null ? 0 : (at - before.at) / 1000;
  // A later pool of the same name counts from 0 again.
  const goesOn = before !== null && stats.counters.acquired >= before.stats.counters.acquired;
  const per = (now: number, then: number): number =>
    goesOn && seconds > 0 ? Math.max(0, now - then) / seconds : 0;
  const rates = { ...noRates };
  for (const name of Object.keys(rates) as (keyof Rates)[]) {
    rates[name] = per(stats.counters[name], before?.stats.counters[name] ?? 0);
  }
  const earlier = new Map(before?.stats.participants.map((each) => [keyOf(each), each]));
  const participantRates = new Map(
    stats.participants.map((each) => {
      const then = earlier.get(keyOf(each)) ?? each;
      return [
        keyOf(each),
        {
          acquired: per(each.acquired, then.acquired),
          released: per(each.released, then.released),
          waits: per(each.waits, then.waits),
        },
      ];
    }),
  );
  return { at, stats, rates, participantRates };
}

/** Buffers in channels. */
export function queuedIn({ channels }: PoolStats): number {
  return channels.reduce((sum, { queued }) => sum + queued, 0);
}
