// Another process of a test: does what its arguments say and reports by lines on standard output.

import { type BufferGuard, BufferPool, XmemError } from "../../src/index.ts";

const [name = "", command = "", argument = "0"] = process.argv.slice(2);
using pool = BufferPool.open(name, { participantName: `child ${command}` });

const commands: Record<string, () => unknown> = {
  /** Takes a handle and says what is in it. */
  read: () => {
    using guard = pool.take(Number(argument));
    console.log(JSON.stringify({ bytes: [...guard.bytes], meta: guard.meta, index: guard.index }));
  },
  /** Holds all free buffers until it is killed, or for the milliseconds given. */
  hoard: async () => {
    const held: BufferGuard[] = [];
    for (let guard = pool.tryAcquire(1); guard !== null; guard = pool.tryAcquire(1))
      held.push(guard);
    console.log(`held ${held.length}`);
    await Bun.sleep(Number(argument) || 60_000);
    for (const guard of held) guard.release();
    console.log("released");
  },
  /** Flushes the pool and waits to be killed. */
  flush: async () => {
    pool.flush();
    console.log("flushing");
    await Bun.sleep(60_000);
  },
  /** Flushes the pool, and closes it when it is signalled. */
  flushBriefly: async () => {
    const signalled = new Promise((resolve) => process.on("SIGUSR1", resolve));
    pool.flush();
    console.log("flushing");
    await signalled;
    pool.close();
    process.exit(0);
  },
  wait: () => {
    console.log("waiting");
    try {
      using guard = pool.acquireBlocking(1, { timeout: 60_000 });
      console.log(`got ${guard.index}`);
    } catch (error) {
      console.log((error as { code?: string }).code);
    }
  },
  /** Waits with an event loop that is busy for so many milliseconds, and sees nothing meanwhile. */
  busy: async () => {
    const wait = pool.acquireAsync(1);
    console.log("busy");
    Bun.sleepSync(Number(argument));
    (await wait).release();
  },
  /** Waits as soon as it is told to, and says when it was served, as milliseconds since 1970. */
  served: () => {
    console.log("waiting");
    const guard = pool.acquireBlocking(1, { timeout: 60_000 });
    console.log(performance.timeOrigin + performance.now());
    guard.release();
  },
  /** Commits and gives back memory until it is killed. */
  maintain: () => {
    console.log("maintaining");
    while (true) {
      pool.trim();
      pool.preallocate(4096, 16);
    }
  },
  /** Trims until it is killed. */
  trim: () => {
    console.log("trimming");
    while (true) pool.trim();
  },
  /** Is refused for want of memory until it is killed. */
  refused: () => {
    console.log("refused");
    while (true) {
      try {
        pool.acquire(Number(argument)).release();
      } catch (error) {
        const refusals = ["OUT_OF_MEMORY", "POOL_FULL"];
        if (!(error instanceof XmemError && refusals.includes(error.code))) throw error;
      }
    }
  },
  /** Random operations; leaves nothing behind. */
  churn: () => {
    const held: BufferGuard[] = [];
    let random = Number(argument) | 1;
    for (let i = 0; i < 1_000_000; i++) {
      random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
      const choice = (random >>> 16) % 5;
      const last = held.at(-1);
      if (choice < 2) {
        const guard = pool.tryAcquire(64);
        if (guard !== null) held.push(guard);
      } else if (choice === 2 && last !== undefined) held.push(last.clone());
      else if (choice === 3 && last !== undefined) held.push(pool.take(last.share()));
      else held.splice(random % (held.length || 1), 1)[0]?.release();
      if (held.length > 8) held.shift()?.release();
    }
    for (const guard of held) guard.release();
    console.log("done");
  },
};
await commands[command]?.();
