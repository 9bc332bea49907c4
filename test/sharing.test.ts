// Two real processes with one pool: what they see of each other, also after one of them was killed.

import { expect, test } from "bun:test";
import { BufferPool, XmemError } from "../src/index.ts";
import { start, withPool } from "./processes.ts";
import { untilStopped } from "./scripts.ts";

test("contents, description and counts are seen by another process", () =>
  withPool({ capacity: 4, bufferSize: 8192 }, async (pool, name) => {
    const frame = pool.acquire(5);
    frame.bytes.set([1, 2, 3, 4, 5]);
    frame.meta.contentType = "video/raw";
    frame.meta.sequence = 42;
    const handle = frame.handOff();
    expect(pool.refCount(handle)).toBe(1);
    const seen = JSON.parse(await start(name, "read", handle).line());
    expect(seen.bytes).toEqual([1, 2, 3, 4, 5]);
    expect(seen.meta.contentType).toBe("video/raw");
    expect(seen.meta.sequence).toBe(42);
    expect(seen.index).toBe(0);
  }));

test("a blocking acquire succeeds as soon as another process releases", () =>
  withPool({ capacity: 2, bufferSize: 64 }, async (pool, name) => {
    const child = start(name, "hoard", 200);
    expect(await child.line()).toBe("held 2");
    using guard = pool.acquireBlocking(1, { timeout: 30_000 });
    expect(guard.size).toBe(1);
    expect(await child.line()).toBe("released");
  }));

test("acquireAsync is woken by another process", () =>
  withPool({ capacity: 2, bufferSize: 64 }, async (pool, name) => {
    const child = start(name, "hoard", 100);
    expect(await child.line()).toBe("held 2");
    const guards = await Promise.all([pool.acquireAsync(1), pool.acquireAsync(1)]);
    expect(guards.map(({ index }) => index).sort()).toEqual([0, 1]);
  }));

test("the buffers of a killed process reach a blocked waiter and an acquire", () =>
  withPool({ capacity: 3, bufferSize: 64 }, async (pool, name) => {
    for (const acquire of [
      () => pool.acquire(1),
      () => pool.acquireBlocking(1, { timeout: 30_000 }),
      () => pool.acquireAsync(1, { timeout: 30_000 }),
    ]) {
      const child = start(name, "hoard");
      expect(await child.line()).toBe("held 3");
      child.kill("SIGKILL");
      await child.exited;
      const guard = await acquire();
      guard.release();
      expect(pool.stats().free).toBe(3);
    }
  }));

test("reclaim gives back the buffers of a killed process and counts them", () =>
  withPool({ capacity: 5, bufferSize: 64 }, async (pool, name) => {
    const child = start(name, "hoard");
    expect(await child.line()).toBe("held 5");
    child.kill("SIGKILL");
    await child.exited;
    const report = pool.reclaim();
    expect(report).toEqual({ participants: 1, references: 5, buffers: 5, deferred: false });
    expect(pool.stats().participants.length).toBe(1);
  }));

test("flush wakes a waiter of another process, and acquires fail until unflush", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool, name) => {
    using held = pool.acquire(1);
    const child = start(name, "wait");
    expect(await child.line()).toBe("waiting");
    while (pool.stats().waiters === 0) await Bun.sleep(5);
    pool.flush();
    expect(await child.line()).toBe("POOL_FLUSHING");
    expect(() => pool.tryAcquire(1)).toThrow(XmemError);
    pool.unflush();
    held.release();
    pool.acquire(1).release();
  }));

test("a flush ends with its flusher's death", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool, name) => {
    const child = start(name, "flush");
    expect(await child.line()).toBe("flushing");
    expect(() => pool.acquire(1)).toThrow(XmemError);
    child.kill("SIGKILL");
    await child.exited;
    pool.acquire(1).release();
    expect(pool.stats().flushing).toBe(false);
  }));

test("a lease that nobody took expires, and the buffer is free again", () =>
  withPool({ capacity: 1, bufferSize: 64, leaseTimeout: 30 }, async (pool) => {
    const handle = pool.acquire(1).handOff();
    expect(() => pool.acquire(1)).toThrow(XmemError);
    using guard = await pool.acquireAsync(1, { timeout: 30_000 });
    expect(guard.index).toBe(0);
    expect(() => pool.take(handle)).toThrow("recycled");
  }));

test("a stopped holder keeps its buffers", () =>
  withPool({ capacity: 2, bufferSize: 64 }, async (pool, name) => {
    const child = start(name, "hoard");
    expect(await child.line()).toBe("held 2");
    child.kill("SIGSTOP");
    await untilStopped(child.pid);
    expect(pool.reclaim().references).toBe(0);
    expect(pool.tryAcquire(1)).toBeNull();
    child.kill("SIGCONT");
    child.kill("SIGKILL");
    await child.exited;
    pool.acquire(1).release();
  }));

test("four processes at random leave every slot free and the list whole", () =>
  withPool({ capacity: 24, bufferSize: 64 }, async (pool, name) => {
    const children = [11, 22, 33, 44].map((seed) => start(name, "churn", seed));
    for (const child of children) expect(await child.line()).toBe("done");
    for (const child of children) expect(await child.exited).toBe(0);
    expect(pool.stats()).toMatchObject({ free: 24, used: 0, inFlight: 0, waiters: 0 });
    const all = Array.from({ length: 24 }, () => pool.acquire(1).index);
    expect(new Set(all).size).toBe(24);
    expect(pool.tryAcquire(1)).toBeNull();
  }));

test("a Worker terminated while it waits and holds harms nobody", () =>
  withPool({ capacity: 2, bufferSize: 64 }, async (pool, name) => {
    using held = pool.acquire(1);
    const source = `
      const { BufferPool } = await import(${JSON.stringify(`${import.meta.dir}/../src/index.ts`)});
      const pool = BufferPool.open(${JSON.stringify(name)});
      globalThis.kept = pool.acquire(1);
      postMessage("full");
      pool.acquireBlocking(1, { timeout: 60000 });
    `;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    await new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
    while (pool.stats().waiters === 0) await Bun.sleep(5);
    const ended = new Promise((resolve) => worker.addEventListener("close", resolve));
    worker.terminate();
    await ended;
    using again = pool.acquireBlocking(1, { timeout: 30_000 });
    expect(again.index).not.toBe(held.index);
    expect(pool.stats()).toMatchObject({ waiters: 0, used: 2 });
  }));

test("a pool outlives its participants and is healthy for the next", async () => {
  const name = `test.${process.pid}.outlives`;
  BufferPool.create(name, { capacity: 3, bufferSize: 64 }).close();
  try {
    const child = start(name, "hoard");
    expect(await child.line()).toBe("held 3");
    child.kill("SIGKILL");
    await child.exited;
    using pool = BufferPool.open(name);
    expect(pool.stats().free).toBe(3);
  } finally {
    BufferPool.unlink(name);
  }
});
