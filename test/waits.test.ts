// Backpressure within one thread: order, timeouts, aborts, and what a wait leaves behind.

import { expect, jest, spyOn, test } from "bun:test";
import { getEventListeners } from "node:events";
import { BufferPool, XmemError } from "../src/index.ts";
import { withPool } from "./processes.ts";

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return "fulfilled";
  } catch (error) {
    return error instanceof XmemError ? error.code : error;
  }
}

const one = { capacity: 1, bufferSize: 64 };

test("several acquireAsync of one thread are served in the order asked", () =>
  withPool(one, async (pool) => {
    const held = pool.acquire(1);
    const order: number[] = [];
    const waits = [1, 2, 3].map(async (place) => {
      using guard = await pool.acquireAsync(place);
      order.push(guard.size);
    });
    held.release();
    await Promise.all(waits);
    expect(order).toEqual([1, 2, 3]);
    expect(pool.stats().waiters).toBe(0);
  }));

test("fake timers of a test stop neither a timeout of acquireAsync nor a release", async () => {
  for (const leaseTimeout of [0, 30_000]) {
    await withPool({ ...one, leaseTimeout }, async (pool) => {
      const held = pool.acquire(1);
      jest.useFakeTimers();
      try {
        expect(await codeOf(pool.acquireAsync(1, { timeout: 20 }))).toBe("TIMEOUT");
        const waiting = pool.acquireAsync(1);
        held.release();
        (await waiting).release();
      } finally {
        jest.useRealTimers();
      }
    });
  }
});

test("acquireAsync does not block the event loop", () =>
  withPool(one, async (pool) => {
    const held = pool.acquire(1);
    let ticks = 0;
    const timer = setInterval(() => {
      ticks++;
      if (ticks === 5) held.release();
    }, 2);
    using guard = await pool.acquireAsync(1);
    clearInterval(timer);
    expect(guard.size).toBe(1);
    expect(ticks).toBeGreaterThanOrEqual(5);
  }));

test("a timeout is TIMEOUT, and 0 tries once, in each form", () =>
  withPool(one, async (pool) => {
    const held = pool.acquire(1);
    expect(await codeOf(pool.acquireAsync(1, { timeout: 20 }))).toBe("TIMEOUT");
    expect(await codeOf(pool.acquireAsync(1, { timeout: 0 }))).toBe("TIMEOUT");
    expect(() => pool.acquireBlocking(1, { timeout: 20 })).toThrow(XmemError);
    expect(() => pool.acquireBlocking(1, { timeout: 0 })).toThrow(XmemError);
    expect(pool.stats()).toMatchObject({ waiters: 0, used: 1 });
    held.release();
    pool.acquireBlocking(1, { timeout: 0 }).release();
    (await pool.acquireAsync(1, { timeout: 0 })).release();
  }));

test("an abort rejects with the signal's reason, takes nothing, and leaves no listener", () =>
  withPool(one, async (pool) => {
    const held = pool.acquire(1);
    const controller = new AbortController();
    const wait = pool.acquireAsync(1, { signal: controller.signal });
    expect(getEventListeners(controller.signal, "abort").length).toBe(1);
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await codeOf(wait)).toBe(reason);
    expect(getEventListeners(controller.signal, "abort").length).toBe(0);
    expect(await codeOf(pool.acquireAsync(1, { signal: controller.signal }))).toBe(reason);
    held.release();
    expect(pool.stats()).toMatchObject({ waiters: 0, free: 1 });
  }));

test("a served wait leaves no listener on its signal", () =>
  withPool(one, async (pool) => {
    const held = pool.acquire(1);
    const { signal } = new AbortController();
    const wait = pool.acquireAsync(1, { signal });
    held.release();
    (await wait).release();
    expect(getEventListeners(signal, "abort").length).toBe(0);
  }));

test("close rejects what is pending with POOL_CLOSED", () =>
  withPool(one, async (pool, name) => {
    using other = BufferPool.open(name);
    using held = other.acquire(1);
    const wait = codeOf(pool.acquireAsync(1));
    pool.close();
    expect(await wait).toBe("POOL_CLOSED");
    expect(held.size).toBe(1);
    expect(other.stats().waiters).toBe(0);
  }));

test("flush rejects what is pending with POOL_FLUSHING", () =>
  withPool(one, async (pool) => {
    using held = pool.acquire(1);
    const wait = codeOf(pool.acquireAsync(1));
    pool.flush();
    expect(await wait).toBe("POOL_FLUSHING");
    expect(await codeOf(pool.acquireAsync(1))).toBe("POOL_FLUSHING");
    pool.unflush();
    expect(held.size).toBe(1);
  }));

test("a wait that the event loop cannot watch is SYSTEM, and the next one is watched", () =>
  withPool({ capacity: 1, bufferSize: 8 }, async (pool) => {
    const guard = pool.acquire(1);
    const connect = spyOn(Bun, "connect");
    connect.mockImplementationOnce(() => Promise.reject(new Error("no watches are left")));
    try {
      const error = await pool.acquireAsync(1).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(XmemError);
      expect(error).toMatchObject({ code: "SYSTEM", message: expect.stringMatching(/no watches/) });
    } finally {
      connect.mockRestore();
    }
    const next = pool.acquireAsync(1, { timeout: 30_000 });
    await Bun.sleep(20);
    guard.release();
    (await next).release();
  }));

test("a pending wait keeps the process alive, and an ended wait does not", () =>
  withPool(one, (pool, name) => {
    using held = pool.acquire(1);
    const source = (body: string): string => `
      import { BufferPool } from ${JSON.stringify(`${import.meta.dir}/../src/index.ts`)};
      const pool = BufferPool.open(${JSON.stringify(name)});
      ${body}`;
    const runs = (body: string): string =>
      Bun.spawnSync([process.execPath, "-e", source(body)])
        .stdout.toString()
        .trim();
    const pending = `pool.acquireAsync(1, { timeout: 300 }).catch((e) => console.log(e.code));`;
    expect(runs(pending)).toBe("TIMEOUT");
    const done = `await pool.acquireAsync(1, { timeout: 5 }).catch(() => console.log("over"));`;
    expect(runs(done)).toBe("over");
    expect(held.size).toBe(1);
  }));

test("many waits that race with timeouts and aborts are all accounted for", () =>
  withPool({ capacity: 3, bufferSize: 64 }, async (pool) => {
    const asked = 3000;
    const outcomes = new Map<unknown, number>();
    const running = new Set<Promise<void>>();
    for (let i = 0; i < asked; i++) {
      const controller = new AbortController();
      if (i % 3 === 0) setTimeout(() => controller.abort("aborted"), i % 7);
      const options = { timeout: i % 2 === 0 ? i % 5 : 10_000, signal: controller.signal };
      const wait = (async () => {
        const code = await codeOf(
          pool.acquireAsync(8, options).then(async (guard) => {
            await Bun.sleep(i % 2);
            guard.release();
          }),
        );
        outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
      })();
      running.add(wait);
      wait.finally(() => running.delete(wait));
      if (running.size > 50) await Promise.race(running);
    }
    await Promise.all(running);
    const known = ["fulfilled", "TIMEOUT", "aborted"].map((code) => outcomes.get(code) ?? 0);
    expect(known.reduce((sum, count) => sum + count)).toBe(asked);
    expect(pool.stats()).toMatchObject({ free: 3, waiters: 0 });
  }));
