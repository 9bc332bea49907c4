// The pool's counters are sums over rows that many participants have had one after another. They
// stay exact, whichever way these participants left. Rows are few here, so that each is used again
// and again.

import { expect, test } from "bun:test";
import { BufferPool } from "../src/index.ts";
import { withPool } from "./processes.ts";
import { script } from "./scripts.ts";

const options = { capacity: 2, bufferSize: 64, maxParticipants: 3 };

/** What one visit to the pool adds to each counter. */
const visit = {
  source: `{
    const guards = [pool.acquire(1), pool.acquire(1)];
    for (let i = 0; i < 3; i++) codeOf(() => pool.acquire(1));
    pool.tryAcquire(1);
    codeOf(() => pool.acquireBlocking(1, { timeout: 0 }));
    await codeOfLater(() => pool.acquireAsync(1, { timeout: 0 }));
    guards[0].clone().release();
    guards[0].release();
    pool.unref(guards[1].handOff());
  }`,
  counts: { acquired: 2, released: 2, timeouts: 2, waits: 0 },
};

type Counters = Record<string, number>;

const times = (counts: Counters, factor: number): Counters =>
  Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, count * factor]));

/** One process opens and closes again and again; each open is another participant. */
const opens = (name: string, rounds: number): string =>
  `for (let round = 0; round < ${rounds}; round++) {
    const pool = BufferPool.open(${JSON.stringify(name)});
    ${visit.source}
    pool.close();
  }`;

test("participants that leave, one after another, are all counted, and once", () =>
  withPool(options, async (pool, name) => {
    await script(opens(name, 1)).rest();
    // An attempt may count the pool as full several times; each visit counts as many.
    const { full } = pool.stats().counters;
    expect(full).toBeGreaterThanOrEqual(4);
    const others = [script(opens(name, 20))];
    await Promise.all(others.map((other) => other.rest()));
    expect(pool.stats().counters).toMatchObject(times({ ...visit.counts, full }, 21));
    // No recovery ran: a recovery would mend a fault of our own so well that nobody would see it.
    expect(pool.stats().counters).toMatchObject({ recoveries: 0, deferred: 0 });
    // Nobody else counts in them.
    expect(pool.stats().participants).toMatchObject([{ acquired: 0, released: 0, timeouts: 0 }]);
  }));

test("participants that are killed are counted once, and a new owner of a row begins at 0", () =>
  withPool(options, async (pool, name) => {
    const rounds = 8;
    const visitor = async (): Promise<void> => {
      const child = script(
        `const pool = BufferPool.open(${JSON.stringify(name)});
        ${visit.source}
        const own = pool.stats().participants.find(({ pid }) => pid === process.pid);
        say([own.acquired, own.released, own.timeouts, own.waits]);
        globalThis.held = pool.acquire(1);
        say("held");
        await heard();`,
      );
      const { acquired, released, timeouts, waits } = visit.counts;
      expect(JSON.parse(await child.line())).toEqual([acquired, released, timeouts, waits]);
      expect(await child.line()).toBe("held");
      child.kill("SIGKILL");
      await child.ended;
    };
    for (let round = 0; round < rounds; round++) {
      await visitor();
      if (round % 2 === 0) pool.reclaim();
    }
    const { acquired, ...others } = visit.counts;
    const expected = { acquired: (acquired + 1) * rounds, ...times(others, rounds) };
    expect(pool.stats().counters).toMatchObject(expected);
    pool.close();
    expect(BufferPool.inspect(name).counters).toMatchObject(expected);
    using again = BufferPool.open(name);
    expect(again.stats().counters).toMatchObject(expected);
    // Nobody released the buffers that the killed ones held.
    expect(again.stats()).toMatchObject({ free: 2, used: 0 });
  }));

test("each wait that begins is counted, also of participants that have left", () =>
  withPool(options, async (pool, name) => {
    const held = [pool.acquire(1), pool.acquire(1)];
    const rounds = 10;
    await script(
      `for (let round = 0; round < ${rounds}; round++) {
        const pool = BufferPool.open(${JSON.stringify(name)});
        await codeOfLater(() => pool.acquireAsync(1, { timeout: 1 }));
        const controller = new AbortController();
        const wait = pool.acquireAsync(1, { signal: controller.signal }).catch(() => {});
        controller.abort();
        await wait;
        pool.close();
      }`,
    ).rest();
    expect(pool.stats().counters).toMatchObject({ waits: 2 * rounds, timeouts: rounds });
    expect(pool.stats().waiters).toBe(0);
    for (const guard of held) guard.release();
  }));

test("a flusher that leaves ends its flush itself, without a recovery", () =>
  withPool(options, async (pool, name) => {
    const source = `const pool = BufferPool.open(${JSON.stringify(name)}); pool.flush();
      say(codeOf(() => pool.acquire(1))); pool.close(); say("left");`;
    expect(await script(source).rest()).toEqual(["POOL_FLUSHING", "left"]);
    expect(pool.stats().flushing).toBe(false);
    pool.acquire(1).release();
    expect(pool.stats().counters.recoveries).toBe(0);
  }));
