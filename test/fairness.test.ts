// A waiter gets a buffer in its turn, however fast others take it again; and a waiter that does not
// come for its buffer keeps nobody else waiting.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";
import { start, withPool } from "./processes.ts";
import { untilStopped } from "./scripts.ts";

const one = { capacity: 1, bufferSize: 64 };
const program = join(import.meta.dir, "programs", "contender.ts");

interface Share {
  kind: string;
  turns: number;
  longest: number;
}

/**
 * Lets processes take the one buffer of a pool for a second and a half. Returns each one's share.
 */
async function contend(kinds: string[], hold: number): Promise<Share[]> {
  const shares: Share[] = [];
  await withPool(one, async (_, name) => {
    const children = kinds.map((kind) =>
      Bun.spawn([process.execPath, program, name, kind, String(hold), "1500"], {
        env: process.env,
        stdio: ["pipe", "pipe", "inherit"],
      }),
    );
    const outputs = children.map(async (child) => {
      const lines: string[] = [];
      const decoder = new TextDecoder();
      for await (const piece of child.stdout) {
        lines.push(decoder.decode(piece));
        if (lines.length === 1) ready();
      }
      return JSON.parse(lines.join("").trim().split("\n").at(-1) ?? "") as Share;
    });
    let waitedFor = kinds.length;
    const ready = (): void => {
      waitedFor--;
      if (waitedFor > 0) return;
      for (const child of children) {
        child.stdin.write("begin\n");
        child.stdin.flush();
      }
    };
    shares.push(...(await Promise.all(outputs)));
  });
  return shares;
}

for (const hold of [1, 5]) {
  for (const hog of ["grab", "blocking"]) {
    test(`a waiter is not overtaken for ever by a ${hog} that holds for ${hold} ms`, async () => {
      const waits = ["blocking", "blocking", "async", "async"];
      const [, ...waiters] = await contend([hog, ...waits], hold);
      // In turn, each would have had the buffer for a fifth of the time, and waited for four others. A
      // tenth of that, and half of the run, are enough here: without turns it can be next to nothing,
      // and all of the run.
      for (const { turns, longest } of waiters) {
        expect(turns).toBeGreaterThan(1500 / (5 * hold) / 10);
        expect(longest / 1500).toBeLessThan(0.5);
      }
    });
  }
}

test("an event loop with many waits does not go first for ever", () =>
  withPool(one, async (pool, name) => {
    let stop = false;
    const loops = Array.from({ length: 10 }, async () => {
      while (!stop) {
        using guard = await pool.acquireAsync(1);
        await Bun.sleep(5 * guard.size);
      }
    });
    await Bun.sleep(100);
    const late: number[] = [];
    for (let round = 0; round < 5; round++) {
      const child = start(name, "served");
      expect(await child.line()).toBe("waiting");
      const asked = performance.timeOrigin + performance.now();
      late.push(Number(await child.line()) - asked);
      await child.exited;
    }
    stop = true;
    await Promise.all(loops);
    // Each round of the loop's own waits takes 50 ms; without turns it was seconds.
    expect(late.toSorted((a, b) => a - b)[2] ?? 10_000).toBeLessThan(250);
  }));

test("a thread's acquires at once come after its own long wait", () =>
  withPool(one, async (pool) => {
    let guard = pool.tryAcquire(1);
    let served = false;
    const wait = pool.acquireAsync(1).then((mine) => {
      served = true;
      mine.release();
    });
    let rounds = 0;
    while (!served && rounds < 400) {
      await Bun.sleep(5);
      guard?.release();
      guard = pool.tryAcquire(1);
      rounds++;
    }
    guard?.release();
    await wait;
    expect(rounds).toBeLessThan(100);
  }));

test("a claimant that is stopped or killed does not keep others from the buffer", () =>
  withPool(one, async (pool, name) => {
    for (const signal of ["SIGSTOP", "SIGKILL"] as const) {
      const held = pool.acquire();
      const first = start(name, "wait");
      expect(await first.line()).toBe("waiting");
      const second = start(name, "served");
      expect(await second.line()).toBe("waiting");
      while (pool.stats().waiters < 2) await Bun.sleep(1);
      // The wait is long enough for a claim.
      await Bun.sleep(60);
      first.kill(signal);
      await (signal === "SIGSTOP" ? untilStopped(first.pid) : first.exited);
      held.release();
      await second.line();
      await second.exited;
      pool.acquireBlocking(1, { timeout: 30_000 }).release();
      if (signal === "SIGSTOP") {
        first.kill("SIGCONT");
        expect(await first.line()).toBe("got 0");
      }
      await first.exited;
    }
    pool.reclaim();
    expect(pool.stats()).toMatchObject({ free: 1, waiters: 0 });
  }));

test("a stopped waiter does not slow down those who do not wait", () =>
  withPool({ capacity: 2, bufferSize: 64 }, async (pool, name) => {
    const loop = (): number => {
      const begin = Bun.nanoseconds();
      for (let i = 0; i < 100_000; i++) pool.acquire(1).release();
      return Bun.nanoseconds() - begin;
    };
    const best = (): number => Math.min(...Array.from({ length: 9 }, loop));
    const held = [pool.acquire(), pool.acquire()];
    const waiter = start(name, "wait");
    expect(await waiter.line()).toBe("waiting");
    while (pool.stats().waiters < 1) await Bun.sleep(1);
    waiter.kill("SIGSTOP");
    await untilStopped(waiter.pid);
    for (const guard of held) guard.release();
    loop();
    const beside = best();
    waiter.kill("SIGKILL");
    await waiter.exited;
    pool.reclaim();
    // A wake of a waiter that cannot come would cost as much as eight acquires.
    expect(beside / best()).toBeLessThan(3);
  }));

test("event loops that are busy do not keep a buffer from a waiter that is not", () =>
  withPool(one, async (pool, name) => {
    const held = pool.acquire();
    const busy = [1, 2, 3].map(() => start(name, "busy", 3000));
    for (const child of busy) expect(await child.line()).toBe("busy");
    while (pool.stats().waiters < 3) await Bun.sleep(1);
    let next = held;
    const late: number[] = [];
    for (let round = 0; round < 10; round++) {
      const waiter = start(name, "served");
      expect(await waiter.line()).toBe("waiting");
      while (pool.stats().waiters < 4) await Bun.sleep(1);
      await Bun.sleep(15);
      const released = performance.timeOrigin + performance.now();
      next.release();
      late.push(Number(await waiter.line()) - released);
      await waiter.exited;
      next = pool.acquireBlocking(1, { timeout: 30_000 });
    }
    next.release();
    // Far below the 50 ms after which a waiter looks by itself.
    expect(late.toSorted((a, b) => a - b)[4] ?? 1000).toBeLessThan(20);
    for (const child of busy) await child.exited;
  }));

test("acquireAsync through two opens of one thread is served in the order asked", () =>
  withPool(one, async (pool, name) => {
    using other = BufferPool.open(name);
    const held = pool.acquire();
    const order: number[] = [];
    const opens = [pool, other, pool, other, other, pool];
    const waits = opens.map(async (open, place) => {
      using guard = await open.acquireAsync(place);
      order.push(guard.size);
    });
    held.release();
    await Promise.all(waits);
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
    expect(pool.stats().waiters).toBe(0);
  }));

test("a wait through one open is served though another open, whose wait began first, is closed", () =>
  withPool(one, async (pool, name) => {
    const other = BufferPool.open(name);
    const held = pool.acquire();
    const ended = other.acquireAsync(1).then(
      () => "served",
      (error) => error.code,
    );
    const wait = pool.acquireAsync(1);
    other.close();
    expect(await ended).toBe("POOL_CLOSED");
    await Bun.sleep(5);
    held.release();
    (await wait).release();
    expect(pool.stats()).toMatchObject({ free: 1, waiters: 0 });
  }));

for (const flusher of ["first", "second"] as const) {
  for (const ending of ["closes", "is killed"] as const) {
    test(`of two that flush the ${flusher} ${ending}, and the flush goes on`, () =>
      withPool(one, async (pool, name) => {
        if (flusher === "second") pool.flush();
        const child = start(name, ending === "closes" ? "flushBriefly" : "flush");
        expect(await child.line()).toBe("flushing");
        if (flusher === "first") pool.flush();
        child.kill(ending === "closes" ? "SIGUSR1" : "SIGKILL");
        await child.exited;
        pool.reclaim();
        expect(pool.stats().flushing).toBe(true);
        expect(() => pool.acquire()).toThrow("flushed");
        pool.unflush();
        pool.acquire().release();
        expect(pool.stats().flushing).toBe(false);
      }));
  }
}
