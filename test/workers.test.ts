// Threads of one process: each thread that opens a pool is a participant of its own, and only a
// handle has to travel from one to the other.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";
import { withPool } from "./processes.ts";

const source = JSON.stringify(join(import.meta.dir, "../src/index.ts"));

/** A Worker that runs `body` for each message, and posts what it returns. */
function startWorker(name: string, body: string): Worker {
  const code = `
    const { BufferPool } = await import(${source});
    const pool = BufferPool.open(${JSON.stringify(name)}, { participantName: "worker" });
    onmessage = async ({ data }) => postMessage(await (async () => { ${body} })());
    postMessage("ready");`;
  return new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
}

const answer = (worker: Worker): Promise<unknown> =>
  new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });

async function ended(worker: Worker): Promise<void> {
  const closing = new Promise((resolve) => worker.addEventListener("close", resolve));
  worker.terminate();
  await closing;
}

const options = { capacity: 8, bufferSize: 64 };

test("each thread has a row: the same pid, another tid, its own holds", () =>
  withPool(options, async (pool, name) => {
    using _held = pool.acquire(1);
    const worker = startWorker(name, "globalThis.kept = [pool.acquire(1), pool.acquire(1)];");
    await answer(worker);
    const done = answer(worker);
    worker.postMessage("acquire");
    await done;
    const { participants } = pool.stats();
    expect(participants).toMatchObject([
      { pid: process.pid, name: "", holds: 1 },
      { pid: process.pid, name: "worker", holds: 2 },
    ]);
    expect(participants[0]?.tid).not.toBe(participants[1]?.tid);
    await ended(worker);
    while (pool.stats().participants.length > 1) pool.reclaim();
    expect(pool.stats().used).toBe(1);
  }));

test("a handle goes to a Worker and back, and the bytes stay where they are", () =>
  withPool(options, async (pool, name) => {
    const worker = startWorker(
      name,
      `const guard = pool.take(data);
      guard.bytes[1] = guard.bytes[0] + 1;
      guard.meta.sequence += 1;
      return guard.handOff();`,
    );
    await answer(worker);
    const guard = pool.acquire(2);
    guard.bytes[0] = 41;
    let handle = guard.handOff();
    for (let i = 0; i < 100; i++) {
      const done = answer(worker);
      worker.postMessage(handle);
      handle = (await done) as number;
    }
    using back = pool.take(handle);
    expect([...back.bytes]).toEqual([41, 42]);
    expect(back.meta.sequence).toBe(100);
    expect(pool.stats()).toMatchObject({ used: 1, inFlight: 0, counters: { acquired: 1 } });
    await ended(worker);
  }));

test("a pool closed in one thread is open in the others, and a mapping serves them all", () =>
  withPool(options, async (pool, name) => {
    const worker = startWorker(
      name,
      "const guard = pool.acquire(1); guard.bytes[0] = 9; return guard.handOff();",
    );
    await answer(worker);
    pool.close();
    const done = answer(worker);
    worker.postMessage("go");
    const handle = (await done) as number;
    using again = BufferPool.open(name);
    using taken = again.take(handle);
    expect(taken.bytes[0]).toBe(9);
    await ended(worker);
  }));

test("a Worker that waits is woken by another thread of its process", () =>
  withPool({ ...options, capacity: 1 }, async (pool, name) => {
    const worker = startWorker(
      name,
      `const guard = data === "blocking"
        ? pool.acquireBlocking(1, { timeout: 60_000 })
        : await pool.acquireAsync(1);
      guard.release();
      return data;`,
    );
    await answer(worker);
    for (const form of ["blocking", "async"]) {
      const held = pool.acquire(1);
      const done = answer(worker);
      worker.postMessage(form);
      while (pool.stats().waiters === 0) await Bun.sleep(1);
      held.release();
      expect(await done).toBe(form);
    }
    await ended(worker);
  }));
