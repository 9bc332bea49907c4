// Committing memory ahead and giving it back disturb nothing else.

import { expect, test } from "bun:test";
import type { BufferGuard, BufferPool, PoolOptions } from "../src/index.ts";
import { start, withPool } from "./processes.ts";

/** Finds out the order in which acquires would get the free buffers, and restores it. */
function order(pool: BufferPool): number[] {
  const guards = [];
  for (let guard = pool.tryAcquire(1); guard !== null; guard = pool.tryAcquire(1)) {
    guards.push(guard);
  }
  const indexes = guards.map(({ index }) => index);
  for (const guard of guards.reverse()) guard.release();
  return indexes;
}

test("trim and preallocate leave the free list in the order in which they found it", () =>
  withPool({ capacity: 20, bufferSize: 16_384 }, (pool) => {
    // Shuffled, some buffers with memory and some without, some in use.
    const guards = Array.from({ length: 20 }, (_, i) => pool.acquire(i % 3 === 0 ? 16_384 : 0));
    for (const i of [7, 3, 18, 0, 11, 12, 5, 19, 9, 1, 14, 2, 16]) guards[i]?.release();
    const before = [16, 2, 14, 1, 9, 19, 5, 12, 11, 0, 18, 3, 7];
    expect(pool.trim()).toBe(5 * 16_384);
    expect(pool.trim()).toBe(0);
    expect(pool.preallocate(8192, 10)).toBe(10 * 8192);
    expect(pool.preallocate(8192, 12)).toBe(2 * 8192);
    expect(order(pool)).toEqual(before);
    expect(pool.stats()).toMatchObject({ free: 13, used: 7 });
    pool.trim();
    expect(order(pool)).toEqual(before);
  }));

/** Counts how often `acquire` found nothing in one second in which another process runs `command`. */
async function refusals(
  pool: BufferPool,
  name: string,
  command: string,
  argument: number,
  acquire: () => (BufferGuard | null)[],
): Promise<{ tried: number; refused: number }> {
  const child = start(name, command, argument);
  await child.line();
  const count = { tried: 0, refused: 0 };
  const until = performance.now() + 1000;
  while (performance.now() < until) {
    const taken = acquire();
    count.tried += 1;
    count.refused += taken.filter((guard) => guard === null).length;
    for (const guard of taken) guard?.release();
  }
  child.kill("SIGKILL");
  await child.exited;
  pool.reclaim();
  return count;
}

test("an acquire finds every free buffer while another process trims and preallocates", () =>
  withPool({ capacity: 16, bufferSize: 4096 }, async (pool, name) => {
    const held = Array.from({ length: 8 }, () => pool.acquire(1));
    const { tried, refused } = await refusals(pool, name, "maintain", 0, () =>
      Array.from({ length: 8 }, () => pool.tryAcquire(1)),
    );
    expect(refused).toBe(0);
    expect(tried).toBeGreaterThan(10);
    for (const guard of held) guard.release();
    expect(pool.stats()).toMatchObject({ free: 16, used: 0 });
    expect(new Set(order(pool)).size).toBe(16);
  }));

test("the only free buffer is found while another process trims it", () =>
  withPool({ capacity: 1, bufferSize: 4096 }, async (pool, name) => {
    const { tried, refused } = await refusals(pool, name, "trim", 0, () => [pool.tryAcquire(1)]);
    expect(refused).toBe(0);
    expect(tried).toBeGreaterThan(10);
  }));

test("the only free buffer is found while another process is refused for maxCommitted", () =>
  withPool({ capacity: 2, bufferSize: 4096, maxCommitted: 4096 }, async (pool, name) => {
    using _held = pool.acquire(1);
    // It needs no memory, so that it is not refused itself.
    const { tried, refused } = await refusals(pool, name, "refused", 1, () => [pool.tryAcquire(0)]);
    expect(refused).toBe(0);
    expect(tried).toBeGreaterThan(10);
  }));

/** Processor time in ms, the least of some runs, each with a pool of its own. */
async function leastTime(
  options: PoolOptions,
  prepare: (pool: BufferPool) => void,
  run: (pool: BufferPool) => void,
): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    await withPool(options, (pool) => {
      prepare(pool);
      const begun = process.cpuUsage();
      run(pool);
      const { user, system } = process.cpuUsage(begun);
      best = Math.min(best, (user + system) / 1000);
    });
  }
  return best;
}

/** Every other buffer has memory, and all are free. */
function alternate(pool: BufferPool): void {
  const guards = Array.from({ length: pool.capacity }, (_, i) => pool.acquire(i % 2));
  for (const guard of guards) guard.release();
}

test("trim and preallocate of four times as many buffers take about four times as long", async () => {
  const runs = {
    trim: (pool: BufferPool) => pool.trim(),
    preallocate: (pool: BufferPool) => pool.preallocate(1, pool.capacity),
  };
  for (const [name, run] of Object.entries(runs)) {
    const times = [];
    for (const capacity of [2048, 8192]) {
      times.push(await leastTime({ capacity, bufferSize: 4096 }, alternate, run));
    }
    const [few = 0, many = 0] = times;
    // It would be 16 if each part began with the first buffer again.
    expect([name, many / few < 9]).toEqual([name, true]);
  }
}, 60_000);
