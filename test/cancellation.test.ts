// Waits that end without a buffer, by timeout, abort, close, flush or a signal: each ends as it
// should, takes nothing, and leaves the others in their order.

import { expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { join } from "node:path";
import { BufferPool, XmemError } from "../src/index.ts";
import { withPool } from "./processes.ts";
import { script } from "./scripts.ts";

const one = { capacity: 1, bufferSize: 64 };
const source = JSON.stringify(join(import.meta.dir, "../src/index.ts"));

async function outcome(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return "fulfilled";
  } catch (error) {
    return error instanceof XmemError ? error.code : error;
  }
}

/** Whether it settles within the time given. */
function settles(promise: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, Bun.sleep(milliseconds).then(() => false)]);
}

test("no wait ends before its timeout", () =>
  withPool(one, async (pool) => {
    using _held = pool.acquire(1);
    for (const timeout of [1, 20, 55]) {
      let before = performance.now();
      expect(() => pool.acquireBlocking(1, { timeout })).toThrow(/TIMEOUT|in time/);
      expect(performance.now() - before).toBeGreaterThanOrEqual(timeout - 0.5);
      before = performance.now();
      expect(await outcome(pool.acquireAsync(1, { timeout }))).toBe("TIMEOUT");
      expect(performance.now() - before).toBeGreaterThanOrEqual(timeout - 0.5);
    }
  }));

test("a timeout of 49 days is not over at once", () =>
  withPool(one, async (pool) => {
    const held = pool.acquire(1);
    const wait = pool.acquireAsync(1, { timeout: 2 ** 32 - 1 });
    expect(await settles(wait, 40)).toBe(false);
    held.release();
    (await wait).release();
    pool.acquireBlocking(1, { timeout: 2 ** 32 - 1 }).release();
  }));

test("every kind of abort rejects with the signal's own reason", () =>
  withPool(one, async (pool) => {
    using _held = pool.acquire(1);
    const wait = (signal: AbortSignal): Promise<unknown> =>
      outcome(pool.acquireAsync(1, { signal }));
    for (const reason of [new Error("mine"), "a text", 0, null, { code: 1 }]) {
      const controller = new AbortController();
      const pending = wait(controller.signal);
      controller.abort(reason);
      expect(await pending).toBe(reason);
      expect(await wait(controller.signal)).toBe(reason);
    }
    const controller = new AbortController();
    const pending = wait(controller.signal);
    controller.abort();
    expect(await pending).toMatchObject({ name: "AbortError" });
    expect(await wait(AbortSignal.timeout(5))).toMatchObject({ name: "TimeoutError" });
    expect(await wait(AbortSignal.any([controller.signal]))).toMatchObject({ name: "AbortError" });
    expect(await wait(AbortSignal.abort("before"))).toBe("before");
    const error = new XmemError("TIMEOUT", "of another kind");
    const { stack } = error;
    expect(await pool.acquireAsync(1, { signal: AbortSignal.abort(error) }).catch((e) => e)).toBe(
      error,
    );
    const late = new AbortController();
    const caught = pool.acquireAsync(1, { signal: late.signal }).catch((e) => e);
    late.abort(error);
    expect(await caught).toBe(error);
    expect(error.stack).toBe(stack);
    expect(pool.stats()).toMatchObject({ used: 1, waiters: 0 });
  }));

test("an aborted signal takes nothing though a buffer is free", () =>
  withPool(one, async (pool) => {
    expect(await outcome(pool.acquireAsync(1, { signal: AbortSignal.abort("no") }))).toBe("no");
    expect(pool.stats()).toMatchObject({ free: 1, counters: { acquired: 0 } });
  }));

test("an abort after the buffer came changes nothing", () =>
  withPool(one, async (pool) => {
    const controller = new AbortController();
    const guard = await pool.acquireAsync(8, { signal: controller.signal, timeout: 60_000 });
    controller.abort();
    expect(guard.bytes.length).toBe(8);
    guard.release();
    expect(pool.stats().free).toBe(1);
  }));

test("a waiter that gives up is not served, and is not in the way of those behind it", () =>
  withPool(one, async (pool) => {
    const held = pool.acquire(1);
    const controller = new AbortController();
    const order: number[] = [];
    const wait = async (place: number, options = {}): Promise<unknown> => {
      const guard = await pool.acquireAsync(place, options);
      order.push(guard.size);
      guard.release();
      return "served";
    };
    const waits = [
      outcome(wait(1, { signal: controller.signal })),
      wait(2),
      outcome(wait(3, { timeout: 5 })),
      wait(4, { signal: new AbortController().signal, timeout: 60_000 }),
    ];
    controller.abort("first");
    expect(await waits[0]).toBe("first");
    expect(await waits[2]).toBe("TIMEOUT");
    held.release();
    expect(await Promise.all(waits)).toEqual(["first", "served", "TIMEOUT", "served"]);
    expect(order).toEqual([2, 4]);
  }));

test("one signal for many waits ends them all, and no listener stays", () =>
  withPool(one, async (pool) => {
    const held = pool.acquire(1);
    const controller = new AbortController();
    const { signal } = controller;
    const waits = Array.from({ length: 50 }, (_, place) =>
      outcome(pool.acquireAsync(1, place % 2 === 0 ? { signal } : { signal, timeout: 60_000 })),
    );
    const timed = outcome(pool.acquireAsync(1, { signal, timeout: 1 }));
    expect(await timed).toBe("TIMEOUT");
    expect(getEventListeners(signal, "abort").length).toBe(50);
    controller.abort("all");
    expect(new Set(await Promise.all(waits))).toEqual(new Set(["all"]));
    expect(getEventListeners(signal, "abort").length).toBe(0);
    held.release();
    expect(pool.stats()).toMatchObject({ free: 1, waiters: 0 });
  }));

test("a wait whose arguments are wrong adds no listener", () =>
  withPool(one, async (pool) => {
    using _held = pool.acquire(1);
    const { signal } = new AbortController();
    expect(await outcome(pool.acquireAsync(65, { signal }))).toBe("TOO_LARGE");
    expect(await outcome(pool.acquireAsync(1, { signal, timeout: -1 }))).toBe("INVALID_ARGUMENT");
    expect(await outcome(pool.acquireAsync(1, { signal, timeout: 0 }))).toBe("TIMEOUT");
    expect(getEventListeners(signal, "abort").length).toBe(0);
  }));

test("close rejects every pending wait of that open, and no other's", () =>
  withPool(one, async (pool, name) => {
    const held = pool.acquire(1);
    const other = BufferPool.open(name);
    const { signal } = new AbortController();
    const theirs = [other.acquireAsync(1), other.acquireAsync(1, { signal, timeout: 60_000 })];
    const outcomes = theirs.map(outcome);
    const mine = pool.acquireAsync(2);
    other[Symbol.dispose]();
    expect(await Promise.all(outcomes)).toEqual(["POOL_CLOSED", "POOL_CLOSED"]);
    expect(getEventListeners(signal, "abort").length).toBe(0);
    expect(await settles(mine, 20)).toBe(false);
    held.release();
    expect((await mine).size).toBe(2);
    expect(pool.stats()).toMatchObject({ used: 1, waiters: 0 });
  }));

test("waits through two opens of one thread are all served", () =>
  withPool({ capacity: 2, bufferSize: 64 }, async (pool, name) => {
    using other = BufferPool.open(name);
    const held = [pool.acquire(1), other.acquire(1)];
    const waits = Array.from({ length: 20 }, async (_, place) => {
      using _guard = await (place % 2 === 0 ? pool : other).acquireAsync(1);
      await Bun.sleep(place % 3);
    });
    for (const guard of held) guard.release();
    await Promise.all(waits);
    expect(pool.stats()).toMatchObject({ free: 2, waiters: 0 });
  }));

test("flush ends every wait and acquire with POOL_FLUSHING; after unflush they work again", () =>
  withPool(one, async (pool, name) => {
    using other = BufferPool.open(name);
    const held = pool.acquire(1);
    const waits = [pool.acquireAsync(1), other.acquireAsync(1), pool.acquireAsync(1)].map(outcome);
    pool.flush();
    expect(await Promise.all(waits)).toEqual(Array(3).fill("POOL_FLUSHING"));
    held.release();
    for (const acquire of [
      async () => other.acquire(1),
      async () => other.tryAcquire(1),
      async () => other.acquireBlocking(1, { timeout: 60_000 }),
      async () => other.acquireAsync(1, { timeout: 0 }),
      async () => other.acquireAsync(1),
    ]) {
      expect(await outcome(acquire())).toBe("POOL_FLUSHING");
    }
    // Buffers that are held can still be used and passed on.
    other.unflush();
    const again = pool.acquire(1);
    pool.flush();
    pool.take(again.handOff()).release();
    pool.unflush();
    (await other.acquireAsync(1)).release();
    expect(pool.stats()).toMatchObject({ free: 1, waiters: 0, flushing: false });
  }));

test("a signal neither ends a blocking wait nor is lost: its handler runs afterwards", () =>
  withPool(one, async (pool, name) => {
    const held = pool.acquire(1);
    const child = script(`
      const pool = BufferPool.open(${JSON.stringify(name)});
      let signals = 0;
      process.on("SIGINT", () => signals++);
      say("waiting");
      const guard = pool.acquireBlocking(1, { timeout: 60_000 });
      say("acquired " + guard.size);
      for (let i = 0; i < 200 && signals === 0; i++) await Bun.sleep(5);
      say(signals > 0 ? "handled" : "lost");
      process.exit(0);`);
    expect(await child.line()).toBe("waiting");
    while (pool.stats().waiters === 0) await Bun.sleep(2);
    for (let i = 0; i < 5; i++) {
      child.kill("SIGINT");
      await Bun.sleep(5);
    }
    expect(pool.stats().waiters).toBe(1);
    held.release();
    expect(await child.line()).toBe("acquired 1");
    expect(await child.line()).toBe("handled");
    expect(await child.ended).toBe(0);
  }));

test("a signal's handler runs while acquireAsync waits", () =>
  withPool(one, async (pool, name) => {
    using _held = pool.acquire(1);
    const child = script(`
      const pool = BufferPool.open(${JSON.stringify(name)});
      const controller = new AbortController();
      process.on("SIGINT", () => controller.abort("interrupted"));
      pool.acquireAsync(1, { signal: controller.signal }).catch(say);
      say("waiting");`);
    expect(await child.line()).toBe("waiting");
    child.kill("SIGINT");
    expect(await child.line()).toBe("interrupted");
    // Only the signal's own watcher could keep it alive.
    child.kill("SIGKILL");
    await child.ended;
  }));

test(
  "a process ends when its waits are over, however they ended",
  () =>
    withPool(one, async (pool, name) => {
      const held = pool.acquire(1);
      const ends = async (body: string): Promise<string> => {
        const child = script(`
        const pool = BufferPool.open(${JSON.stringify(name)});
        ${body}`);
        const said = await child.line();
        expect(await child.ended).toBe(0);
        return said;
      };
      const aborted = `
      const controller = new AbortController();
      pool.acquireAsync(1, { signal: controller.signal }).catch(say);
      setTimeout(() => controller.abort("aborted"), 20);`;
      expect(await ends(aborted)).toBe("aborted");
      const flushed = `pool.acquireAsync(1).catch(({ code }) => { pool.unflush(); say(code); });
      setTimeout(() => pool.flush(), 20);`;
      expect(await ends(flushed)).toBe("POOL_FLUSHING");
      const closed = `pool.acquireAsync(1).catch(({ code }) => say(code));
      setTimeout(() => pool.close(), 20);`;
      expect(await ends(closed)).toBe("POOL_CLOSED");
      setTimeout(() => held.release(), 100);
      expect(await ends("pool.acquireAsync(1).then(({ index }) => say(index));")).toBe("0");
      // It ended with its guard; the pool's statistics show that a moment later.
      while (pool.stats().free === 0) pool.reclaim();
      expect(pool.stats().waiters).toBe(0);
    }),
  30_000,
);

test("a Worker terminated in an asynchronous wait leaves no waiter", () =>
  withPool(one, async (pool, name) => {
    const held = pool.acquire(1);
    const body = `
      const { BufferPool } = await import(${source});
      const pool = BufferPool.open(${JSON.stringify(name)});
      pool.acquireAsync(1);
      postMessage("waiting");`;
    for (let i = 0; i < 5; i++) {
      const url = URL.createObjectURL(new Blob([body], { type: "text/javascript" }));
      const worker = new Worker(url);
      await new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
      expect(pool.stats().waiters).toBe(1);
      const ended = new Promise((resolve) => worker.addEventListener("close", resolve));
      worker.terminate();
      await ended;
      // The thread is gone a moment after its "close".
      while (pool.stats().participants.length > 1) pool.reclaim();
      expect(pool.stats().waiters).toBe(0);
    }
    held.release();
    pool.acquire(1).release();
  }));
