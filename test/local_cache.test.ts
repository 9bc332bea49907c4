// `localCache`: free buffers that a thread keeps for its own next acquires. They are free all the
// same: others get them where the pool has no more, and nothing is kept while anybody waits.

import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { buildChecked } from "../scripts/checked.ts";
import { type BufferGuard, BufferPool } from "../src/index.ts";
import { runAgain } from "./canary.ts";
import { codeOf, codeOfLater } from "./codes.ts";
import { withPool } from "./processes.ts";
import { type Script, script, until } from "./scripts.ts";

beforeAll(() => buildChecked("breakable"), 300_000);

const capacity = 8;
const options = { capacity, bufferSize: 4096, leaseTimeout: 0, maxParticipants: 4 };

/** Acquires until the pool is full; gives all back again unless told to keep them. */
function indexes(pool: BufferPool, keep: BufferGuard[] = []): number[] {
  for (let guard = pool.tryAcquire(1); guard !== null; guard = pool.tryAcquire(1)) keep.push(guard);
  return keep.map(({ index }) => index);
}

const every = Array.from({ length: capacity }, (_, index) => index);
const sorted = (list: number[]): number[] => list.toSorted((one, other) => one - other);

/** A process that has released all buffers of the pool into its cache, and waits. */
async function owner(name: string): Promise<Script> {
  const child = script(
    `const pool = BufferPool.open(${JSON.stringify(name)}, { localCache: ${capacity} });
    const guards = Array.from({ length: ${capacity} }, () => pool.acquire(1));
    for (const guard of guards) guard.release();
    say("cached");
    for (let line = await heard(); line !== ""; line = await heard()) {
      if (line === "close") pool.close();
      if (line === "cycle") for (let i = 0; i < 200_000; i++) pool.tryAcquire(1)?.release();
      say(line);
    }`,
    { quiet: true },
  );
  expect(await child.line()).toBe("cached");
  return child;
}

test("within one cache what was released last is acquired first", () =>
  withPool({ ...options, localCache: 3 }, (pool) => {
    const guards = Array.from({ length: 5 }, () => pool.acquire(1));
    for (const index of [1, 3, 0]) guards[index]?.release();
    const again = Array.from({ length: 3 }, () => pool.acquire(1).index);
    expect(again).toEqual([0, 3, 1]);
    expect(pool.acquire(1).index).toBe(5);
  }));

test("what is kept counts as free, and the pool is whole", () =>
  withPool({ ...options, localCache: 4 }, (pool) => {
    const kept: BufferGuard[] = [];
    expect(sorted(indexes(pool, kept))).toEqual(every);
    for (const guard of kept) guard.release();
    expect(pool.stats()).toMatchObject({ free: capacity, used: 0 });
    const nothing = { participants: 0, references: 0, buffers: 0, deferred: false };
    expect(pool.reclaim()).toEqual(nothing);
    expect(pool.stats().counters.recoveries).toBe(0);
    expect(sorted(indexes(pool))).toEqual(every);
    expect(codeOf(() => pool.acquire(1))).toBe("POOL_FULL");
    // A stale handle of a buffer that is kept is refused.
    const handle = kept[0]?.handle ?? 0;
    expect(codeOf(() => pool.get(handle))).toBe("STALE_HANDLE");
  }));

test("another process gets all that is kept, at once and without a recovery", () =>
  withPool(options, async (pool, name) => {
    const child = await owner(name);
    expect(pool.stats()).toMatchObject({ free: capacity, used: 0 });
    const kept: BufferGuard[] = [];
    expect(sorted(indexes(pool, kept))).toEqual(every);
    expect(pool.stats().counters.recoveries).toBe(0);
    // The owner's entries lead nowhere now: it gets nothing that is held here.
    child.tell("cycle");
    expect(await child.line()).toBe("cycle");
    for (const guard of kept) guard.release();
    child.tell("cycle");
    expect(await child.line()).toBe("cycle");
    await child.rest();
  }));

test(
  "what a killed process kept comes back, and each buffer once",
  () =>
    withPool(options, async (pool, name) => {
      for (const waits of [false, true]) {
        const child = await owner(name);
        child.kill("SIGKILL");
        await child.ended;
        if (waits) await until(() => pool.reclaim().participants === 1);
        const kept: BufferGuard[] = [];
        expect(sorted(indexes(pool, kept))).toEqual(every);
        for (const guard of kept) guard.release();
        await until(() => pool.stats().participants.length === 1 || pool.reclaim().deferred);
      }
    }),
  30_000,
);

test("a process that closes leaves nothing in its cache, also for one that takes its row", () =>
  withPool(options, async (pool, name) => {
    const child = await owner(name);
    child.tell("close");
    expect(await child.line()).toBe("close");
    // Takes the row of the one that closed, and has a cache of its own.
    using _other = BufferPool.open(name, { localCache: 1 });
    const next = await owner(name);
    next.tell("close");
    expect(await next.line()).toBe("close");
    expect(sorted(indexes(pool))).toEqual(every);
    await child.rest();
    await next.rest();
  }));

test("a Worker that ends leaves nothing in its cache", () =>
  withPool(options, async (pool, name) => {
    const child = script(
      `const source = \`
        const { BufferPool } = await import(\${JSON.stringify(${JSON.stringify(join(import.meta.dir, "../src/index.ts"))})});
        const pool = BufferPool.open(${JSON.stringify(name)}, { localCache: 8 });
        for (let i = 0; i < 2; i++) {
          const guards = Array.from({ length: 8 }, () => pool.acquire(1));
          for (const guard of guards) guard.release();
        }
        postMessage("cached");
        setInterval(() => pool.name, 1000);\`;
      const worker = new Worker(URL.createObjectURL(new Blob([source])));
      await new Promise((resolve) => { worker.onmessage = resolve; });
      const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
      worker.terminate();
      await closed;
      say("ended");
      await heard();`,
    );
    expect(await child.line()).toBe("ended");
    expect(sorted(indexes(pool))).toEqual(every);
    await child.rest();
  }));

test(
  "waiters are served by a process that releases into its cache",
  () =>
    withPool({ ...options, capacity: 1 }, async (pool, name) => {
      const child = script(
        `const pool = BufferPool.open(${JSON.stringify(name)}, { localCache: 4 });
      let held = pool.acquire(1);
      say("held");
      for (let line = await heard(); line !== ""; line = await heard()) {
        held.release();
        say("released");
        await heard();
        held = pool.acquireBlocking(1, { timeout: 60_000 });
        say("held");
      }`,
      );
      expect(await child.line()).toBe("held");
      for (let round = 0; round < 20; round++) {
        const wait = pool.acquireAsync(1, { timeout: 60_000 });
        await until(() => pool.stats().waiters === 1);
        child.tell("release");
        expect(await child.line()).toBe("released");
        const guard = await wait;
        child.tell("acquire");
        await until(() => pool.stats().waiters === 1);
        guard.release();
        expect(await child.line()).toBe("held");
      }
      await child.rest();
    }),
  60_000,
);

test(
  "nobody is shut out by one that acquires from its cache again and again",
  () =>
    withPool({ ...options, capacity: 1 }, async (pool, name) => {
      const child = script(
        `const pool = BufferPool.open(${JSON.stringify(name)}, { localCache: 4 });
      say("open");
      for (let i = 0; ; i++) {
        pool.tryAcquire(1)?.release();
        if (i % 10_000 === 0) await Bun.sleep(0);
      }`,
      );
      expect(await child.line()).toBe("open");
      for (let round = 0; round < 20; round++) {
        pool.acquireBlocking(1, { timeout: 60_000 }).release();
        (await pool.acquireAsync(1, { timeout: 60_000 })).release();
      }
      child.kill("SIGKILL");
      await child.ended;
    }),
  60_000,
);

test("memory of what is kept is trimmed, preallocated and bounded as of all that is free", () =>
  withPool({ ...options, localCache: 8, maxCommitted: 4 * 4096 }, (pool) => {
    const guards = Array.from({ length: 4 }, () => pool.acquire(4096));
    for (const guard of guards) guard.release();
    expect(pool.stats().committedBytes).toBe(4 * 4096);
    // The four that nobody has used yet have no memory: it comes from those that are kept.
    const kept = Array.from({ length: 4 }, () => pool.acquire(4096));
    const empty = Array.from({ length: 4 }, () => pool.acquire(0));
    expect(codeOf(() => pool.acquire(1))).toBe("POOL_FULL");
    for (const guard of [...kept, ...empty]) guard.release();
    expect(pool.trim()).toBe(4 * 4096);
    expect(pool.stats().committedBytes).toBe(0);
    pool.acquire(4096).release();
    expect(pool.preallocate(4096, 2)).toBe(4096);
  }));

test("a flush refuses acquires from a cache", () =>
  withPool({ ...options, localCache: 2 }, async (pool) => {
    pool.acquire(1).release();
    pool.flush();
    expect(codeOf(() => pool.acquire(1))).toBe("POOL_FLUSHING");
    expect(await codeOfLater(() => pool.acquireAsync(1))).toBe("POOL_FLUSHING");
    pool.unflush();
    pool.acquire(1).release();
  }));

test("a pool that zeroes keeps nothing, and has the order of all pools", () =>
  withPool({ ...options, zeroOnRelease: true, localCache: 8 }, (pool, name) => {
    const guard = pool.acquire(4096);
    guard.bytes.fill(1);
    guard.release();
    using other = BufferPool.open(name);
    const again = other.acquire(4096);
    expect(again.index).toBe(guard.index);
    expect(again.bytes.every((byte) => byte === 0)).toBe(true);
  }));

test("a size of a cache that cannot be is refused", () =>
  withPool(options, (_, name) => {
    for (const localCache of [-1, 1.5, 513, Number.NaN, "8", null]) {
      expect(codeOf(() => BufferPool.open(name, { localCache: localCache as number }))).toBe(
        "INVALID_ARGUMENT",
      );
    }
    for (const localCache of [0, 1, 512, undefined]) BufferPool.open(name, { localCache }).close();
  }));

const caught = [
  ["caches_not_searched", "another process gets all"],
  ["cache_kept_at_close", "leaves nothing in its cache, also"],
] as const;

test.each(caught)(
  "a library with %s is caught",
  (canary, pattern) => {
    const { exitCode, output } = runAgain(import.meta.path, pattern, "breakable", canary);
    expect(exitCode).toBe(1);
    expect(output).toMatch(/^ 1 fail$/m);
  },
  120_000,
);
