// Checks a pool that everybody has left: nothing is lost or frozen, each buffer can be acquired
// exactly once, and as much memory is in use as is counted.

import { statSync } from "node:fs";
import { BufferPool } from "../../src/index.ts";

const patienceMs = 15_000;

/** What is wrong with the pool; nothing when all is well. */
export async function settle(name: string, path: string): Promise<string[]> {
  using pool = BufferPool.open(name);
  const wrong: string[] = [];
  const check = (holds: boolean, what: string): void => {
    if (!holds) wrong.push(`pool ${name}: ${what}`);
  };
  // A reference that nobody took is in flight until its lease has passed.
  const deadline = performance.now() + patienceMs;
  let stats = pool.stats();
  while (performance.now() < deadline) {
    const { deferred } = pool.reclaim();
    stats = pool.stats();
    if (!deferred && stats.free === stats.capacity) break;
    await Bun.sleep(50);
  }
  const { free, used, parked, inFlight, waiters, flushing, capacity, committedBytes } = stats;
  check(free === capacity, `${free} of ${capacity} buffers are free`);
  check(used === 0 && parked === 0 && inFlight === 0, JSON.stringify({ used, parked, inFlight }));
  check(waiters === 0, `${waiters} waiters, of whom none is left`);
  check(!flushing, "it is flushing");
  check(stats.participants.length === 1, `${stats.participants.length} participants`);

  const all = Array.from({ length: capacity + 1 }, () => pool.tryAcquire(64));
  const got = all.filter((guard) => guard !== null);
  const indexes = new Set(got.map(({ index }) => index));
  check(got.length === capacity, `${got.length} of ${capacity} buffers could be acquired`);
  check(indexes.size === got.length, `${got.length - indexes.size} were acquired twice`);
  for (const guard of got) guard.release();

  const before = blocksOf(path);
  const counted = pool.stats().committedBytes;
  const trimmed = pool.trim();
  const after = blocksOf(path);
  check(committedBytes <= counted, `${committedBytes} bytes were counted, then ${counted}`);
  check(trimmed === counted, `${counted} bytes were counted, ${trimmed} were trimmed`);
  check(pool.stats().committedBytes === 0, `${pool.stats().committedBytes} are left of the sum`);
  check(before - after === counted, `${before - after} bytes were in use, ${counted} were counted`);
  return wrong;
}

/** The bytes that a file takes up. */
export function blocksOf(path: string): number {
  return statSync(path).blocks * 512;
}
