// `xmem watch`: a line for each look at a pool, until it is gone.

import type { LookOptions } from "../index.ts";
import { gone } from "./failure.ts";
import { lookOf } from "./list.ts";
import { queuedIn, type Sample, sample } from "./sample.ts";
import { bytes, duration, rate } from "./text.ts";

export interface WatchOptions extends LookOptions {
  interval: number;
  count?: number;
  json?: boolean;
}

export async function watch(pool: string, options: WatchOptions): Promise<void> {
  const look = lookOf(options);
  let before: Sample | null = null;
  for (let looks = 0; looks < (options.count ?? Number.POSITIVE_INFINITY); looks++) {
    if (looks > 0) await Bun.sleep(options.interval);
    const now = sample(pool, look, before);
    if (now === null) throw gone(pool, before !== null);
    console.log(options.json === true ? JSON.stringify(recordOf(now)) : lineOf(now));
    before = now;
  }
}

function recordOf({ stats, rates }: Sample): object {
  const { participants, channels, ...numbers } = stats;
  const alive = participants.filter((each) => each.alive).length;
  const at = new Date().toISOString();
  return { at, ...numbers, participants: alive, queued: queuedIn(stats), perSecond: rates };
}

function lineOf({ stats, rates }: Sample): string {
  const time = new Date().toTimeString().slice(0, 8);
  return [
    time,
    `used ${stats.used}/${stats.capacity}`,
    `in flight ${stats.inFlight}`,
    `queued ${queuedIn(stats)}`,
    `waiting ${stats.waiters}`,
    `acquires/s ${rate(rates.acquired)}`,
    `waits/s ${rate(rates.waits)}`,
    `longest hold ${duration(stats.longestHoldMs)}`,
    `committed ${bytes(stats.committedBytes)}`,
  ].join("  ");
}
