// A wait keeps its process and its listener on a signal alive, and no longer than it lasts. The
// first wait of an open differs from later ones, which find the socket and the thread already
// there.

import { describe, expect, test } from "bun:test";
import { BufferPool } from "../src/index.ts";
import { codeOf, codeOfLater } from "./codes.ts";
import { withPool } from "./processes.ts";
import { script } from "./scripts.ts";

/** Ends of a first wait, in a process that holds one of two buffers, as `own`; the other is ours. */
const firsts: Record<string, string> = {
  "that never was": "",
  "that was served":
    "const wait = pool.acquireAsync(1); own.release(); globalThis.own = await wait;",
  "that was served later":
    "const wait = pool.acquireAsync(1); await Bun.sleep(5); own.release(); globalThis.own = await wait;",
  "that timed out": "await codeOfLater(() => pool.acquireAsync(1, { timeout: 5 }));",
  "that timed out at once": "await codeOfLater(() => pool.acquireAsync(1, { timeout: 0 }));",
  "that was aborted at once":
    "const c = new AbortController(); const wait = pool.acquireAsync(1, { signal: c.signal }).catch(() => {}); c.abort(); await wait;",
  "that was aborted later":
    "const c = new AbortController(); const wait = pool.acquireAsync(1, { signal: c.signal }).catch(() => {}); await Bun.sleep(5); c.abort(); await wait;",
  "that was flushed":
    "const wait = codeOfLater(() => pool.acquireAsync(1)); pool.flush(); await wait; pool.unflush();",
  "of another open, which was closed":
    "const other = BufferPool.open(name); const wait = codeOfLater(() => other.acquireAsync(1)); await Bun.sleep(5); other.close(); await wait;",
};

describe.each(Object.keys(firsts))("after a wait %s,", (first) => {
  const begin = (name: string): string =>
    `const name = ${JSON.stringify(name)};
    const pool = BufferPool.open(name);
    let own = pool.acquire(1);
    ${firsts[first]}`;
  const two = { capacity: 2, bufferSize: 64, leaseTimeout: 0 };

  test.concurrent("a process whose wait is pending lives, and ends when it is served", () =>
    withPool(two, async (pool, name) => {
      const held = pool.acquire(1);
      const child = script(
        `${begin(name)}
        pool.acquireAsync(1).then(({ index }) => say(index));
        say("waits");`,
      );
      expect(await child.line()).toBe("waits");
      // Long enough for the end of a process that nothing keeps alive.
      await Bun.sleep(60);
      held.release();
      expect(await child.line()).toBe(String(held.index));
      expect(await child.ended).toBe(0);
    }));

  test.concurrent("a process in which none is pending ends, with its pool open", () =>
    withPool(two, async (pool, name) => {
      const held = pool.acquire(1);
      const child = script(`${begin(name)} say("over");`);
      expect(await child.line()).toBe("over");
      expect(await child.ended).toBe(0);
      expect(held.size).toBe(1);
    }));
});

test("the longest timeout of a wait that was served keeps no process", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (_pool, name) => {
    const child = script(
      `const pool = BufferPool.open(${JSON.stringify(name)});
      for (let round = 0; round < 3; round++) {
        const held = pool.acquire(1);
        const wait = pool.acquireAsync(1, { timeout: 2 ** 32 - 1 });
        held.release();
        (await wait).release();
        const again = pool.acquire(1);
        const c = new AbortController();
        const aborted = pool.acquireAsync(1, { timeout: 600_000, signal: c.signal }).catch(() => {});
        c.abort();
        await aborted;
        const other = BufferPool.open(${JSON.stringify(name)});
        const closed = codeOfLater(() => other.acquireAsync(1, { timeout: 600_000 }));
        other.close();
        await closed;
        again.release();
      }
      say("over");`,
    );
    expect(await child.line()).toBe("over");
    expect(await child.ended).toBe(0);
  }));

/** A signal that counts its listeners. */
function counted(): { controller: AbortController; added: () => number; left: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  const listening: unknown[] = [];
  let added = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...argv: Parameters<typeof addEventListener>): void => {
    added++;
    listening.push(argv[1]);
    addEventListener.apply(signal, argv);
  };
  signal.removeEventListener = (...argv: Parameters<typeof removeEventListener>): void => {
    const place = listening.indexOf(argv[1]);
    if (place >= 0) listening.splice(place, 1);
    removeEventListener.apply(signal, argv);
  };
  return { controller, added: () => added, left: () => listening.length };
}

describe("a wait's listener is gone as soon as the wait is over,", () => {
  type Ends = (pool: BufferPool, giveBack: () => void, controller: AbortController) => void;
  const ends: Record<string, Ends> = {
    "served by a release": (_pool, giveBack) => giveBack(),
    aborted: (_pool, _giveBack, controller) => controller.abort(),
    flushed: (pool) => pool.flush(),
    closed: (pool) => pool.close(),
    "timed out": () => {},
  };
  test.each(Object.keys(ends))("%s", (end) =>
    withPool({ capacity: 1, bufferSize: 64 }, async (pool, name) => {
      using other = BufferPool.open(name);
      const held = other.acquire(1);
      const { controller, added, left } = counted();
      const timeout = end === "timed out" ? 5 : 60_000;
      const options = { signal: controller.signal, timeout };
      const waits = [0, 1, 2].map(() =>
        pool.acquireAsync(1, options).then(
          (guard) => guard.release(),
          () => {},
        ),
      );
      expect([added(), left()]).toEqual([3, 3]);
      ends[end]?.(pool, () => held.release(), controller);
      await Promise.all(waits);
      expect([added(), left()]).toEqual([3, 0]);
    }),
  );

  test("and a call that cannot wait adds no listener", () =>
    withPool({ capacity: 1, bufferSize: 64 }, async (pool) => {
      const { controller, added } = counted();
      const { signal } = controller;
      (await pool.acquireAsync(1, { signal })).release();
      const held = pool.acquire(1);
      expect(await codeOfLater(() => pool.acquireAsync(65, { signal }))).toBe("TOO_LARGE");
      expect(await codeOfLater(() => pool.acquireAsync(1, { signal, timeout: 0 }))).toBe("TIMEOUT");
      pool.flush();
      expect(await codeOfLater(() => pool.acquireAsync(1, { signal }))).toBe("POOL_FLUSHING");
      pool.close();
      expect(await codeOfLater(() => pool.acquireAsync(1, { signal }))).toBe("POOL_CLOSED");
      expect(codeOf(() => held.release())).toBe("none");
      expect(added()).toBe(0);
    }));
});
