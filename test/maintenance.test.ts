// Committing memory ahead and giving it back: what it must not disturb.

import { expect, test } from "bun:test";
import type { BufferPool } from "../src/index.ts";
import { start, withPool } from "./processes.ts";

/** The order in which acquires would get the free buffers, found out and restored. */
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

test("who acquires meanwhile finds seven eighths of the free buffers", () =>
  withPool({ capacity: 16, bufferSize: 4096 }, async (pool, name) => {
    // 8 are held here, and of the others at most an eighth is out of reach at any time.
    const held = Array.from({ length: 8 }, () => pool.acquire(1));
    const child = start(name, "maintain");
    await child.line();
    let tried = 0;
    let missed = 0;
    const until = performance.now() + 1000;
    while (performance.now() < until) {
      const taken = Array.from({ length: 7 }, () => pool.tryAcquire(1));
      missed += taken.filter((guard) => guard === null).length;
      for (const guard of taken) guard?.release();
      tried++;
    }
    child.kill("SIGKILL");
    await child.exited;
    expect(missed).toBe(0);
    expect(tried).toBeGreaterThan(10);
    for (const guard of held) guard.release();
    pool.reclaim();
    expect(pool.stats()).toMatchObject({ free: 16, used: 0 });
    expect(new Set(order(pool)).size).toBe(16);
  }));
