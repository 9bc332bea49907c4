// Memory: how it is committed and given back, what happens at the bound, and that zeroOnRelease
// leaves no byte of one holder to the next.

import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { BufferPool, type XmemErrorCode } from "../src/index.ts";
import { codeOfLater } from "./codes.ts";
import { start, withPool } from "./processes.ts";

/** The bytes of the pool's file, as the file system says. */
function bytesOnDisk(name: string): number {
  const path = BufferPool.list().find((info) => info.name === name)?.path ?? "";
  return statSync(path).blocks * 512;
}

const page = 4096;

test("committedBytes is what the file system gave, to the byte", () =>
  withPool({ capacity: 8, bufferSize: 16 * page }, (pool, name) => {
    const base = bytesOnDisk(name);
    const check = (expected: number): void => {
      expect(pool.stats().committedBytes).toBe(expected);
      expect(bytesOnDisk(name) - base).toBe(expected);
    };
    check(0);
    const guards = [pool.acquire(1), pool.acquire(page + 1), pool.acquire(16 * page)];
    check(19 * page);
    for (const guard of guards) guard.bytes.fill(1);
    check(19 * page);
    expect(pool.preallocate(2 * page, 2)).toBe(4 * page);
    check(23 * page);
    guards[2]?.release();
    expect(pool.trim()).toBe(20 * page);
    check(3 * page);
    expect(pool.trim()).toBe(0);
    expect(guards[1]?.bytes.every((byte) => byte === 1)).toBe(true);
    for (const guard of guards) guard.release();
    expect(pool.trim()).toBe(3 * page);
    check(0);
  }));

test("preallocate serves the next acquires, larger than before only by the difference", () =>
  withPool({ capacity: 4, bufferSize: 8 * page }, (pool) => {
    expect(pool.preallocate(page, 2)).toBe(2 * page);
    expect(pool.preallocate(3 * page, 2)).toBe(4 * page);
    expect(pool.preallocate(page, 2)).toBe(0);
    const guards = [pool.acquire(3 * page), pool.acquire(3 * page)];
    expect(pool.stats().committedBytes).toBe(6 * page);
    expect(guards.map(({ index }) => index)).toEqual([0, 1]);
    expect(pool.preallocate(0, 4)).toBe(0);
    expect(pool.preallocate(page, 0)).toBe(0);
    expect(pool.preallocate(page, 2 ** 32 - 1)).toBe(2 * page);
    expect(pool.stats()).toMatchObject({ free: 2, used: 2, counters: { acquired: 2 } });
  }));

test("preallocate and trim leave the order of the free buffers as it was", () =>
  withPool({ capacity: 5, bufferSize: page }, (pool) => {
    const guards = Array.from({ length: 5 }, () => pool.acquire(1));
    for (const place of [3, 0, 4, 1, 2]) guards[place]?.release();
    pool.trim();
    pool.preallocate(page, 3);
    pool.trim();
    const order = Array.from({ length: 5 }, () => pool.acquire(1).index);
    expect(order).toEqual([2, 1, 4, 0, 3]);
  }));

test("a buffer that was trimmed reads as zeros when it is acquired again", () =>
  withPool({ capacity: 1, bufferSize: page }, (pool) => {
    const guard = pool.acquire(page);
    guard.bytes.fill(7);
    guard.release();
    pool.trim();
    using again = pool.acquire(page);
    expect(again.bytes.every((byte) => byte === 0)).toBe(true);
  }));

test("at maxCommitted a call that cannot wait is OUT_OF_MEMORY, a wait ends at its time, and trim makes room", () =>
  withPool({ capacity: 8, bufferSize: 4 * page, maxCommitted: 4 * page }, async (pool) => {
    const first = pool.acquire(3 * page);
    const second = pool.acquire(page);
    const forms: Partial<Record<XmemErrorCode, (() => unknown)[]>> = {
      OUT_OF_MEMORY: [
        () => pool.acquire(1),
        () => pool.tryAcquire(1),
        () => pool.preallocate(1, 1),
      ],
      TIMEOUT: [
        () => pool.acquireBlocking(1, { timeout: 0 }),
        () => pool.acquireBlocking(1, { timeout: 20 }),
        () => pool.acquireAsync(1, { timeout: 0 }),
        () => pool.acquireAsync(1, { timeout: 20 }),
      ],
    };
    for (const [code, tries] of Object.entries(forms)) {
      for (const form of tries) expect<string>(await codeOfLater(form)).toBe(code);
    }
    expect(pool.stats()).toMatchObject({ free: 6, waiters: 0, committedBytes: 4 * page });
    // A buffer that needs no more than it has is served.
    second.release();
    using same = pool.acquire(page);
    expect(same.index).toBe(second.index);
    same.release();
    // Here a free buffer must lose its memory for another one's.
    using larger = pool.acquire(1);
    first.release();
    using whole = pool.acquire(3 * page);
    expect(pool.stats().committedBytes).toBe(4 * page);
    whole.release();
    expect(pool.trim()).toBe(3 * page);
    expect(pool.preallocate(page, 3)).toBe(3 * page);
    expect(larger.size).toBe(1);
  }));

test("a pending acquireAsync for more than maxCommitted is rejected, and the next one is served", () =>
  withPool({ capacity: 2, bufferSize: 4 * page, maxCommitted: 2 * page }, async (pool) => {
    const [one, two] = [pool.acquire(page), pool.acquire(page)];
    const large = codeOfLater(() => pool.acquireAsync(4 * page));
    const small = pool.acquireAsync(1);
    one.release();
    expect(await large).toBe("OUT_OF_MEMORY");
    using served = await small;
    expect(served.size).toBe(1);
    two.release();
    expect(pool.stats().waiters).toBe(0);
  }));

test("one request for more than maxCommitted is OUT_OF_MEMORY at once in every form", () =>
  withPool({ capacity: 2, bufferSize: 4 * page, maxCommitted: 2 * page }, async (pool) => {
    const forms = [
      () => pool.acquire(3 * page),
      () => pool.tryAcquire(3 * page),
      () => pool.acquireBlocking(3 * page, { timeout: 600_000 }),
      () => pool.acquireAsync(3 * page),
    ];
    for (const form of forms) expect(await codeOfLater(form)).toBe("OUT_OF_MEMORY");
    expect(pool.stats()).toMatchObject({ free: 2, waiters: 0, committedBytes: 0 });
  }));

test("a waiter at maxCommitted is served by a release, here and in another process", () =>
  withPool({ capacity: 4, bufferSize: 2 * page, maxCommitted: 2 * page }, async (pool, name) => {
    const held = [pool.acquire(page), pool.acquire(page)];
    const child = start(name, "wait");
    await child.line();
    const served = pool.acquireAsync(page).then((guard) => guard.release());
    while (pool.stats().waiters < 2) await Bun.sleep(1);
    held[0]?.release();
    await served;
    expect(await child.line()).toStartWith("got ");
    await child.exited;
    held[1]?.release();
    expect(pool.stats()).toMatchObject({ free: 4, waiters: 0, committedBytes: 2 * page });
  }));

test("a release without memory reaches a waiter that needs little, past one that needs much", () =>
  withPool({ capacity: 2, bufferSize: 2 * page, maxCommitted: 3 * page }, async (pool, name) => {
    const [large, empty] = [pool.acquire(2 * page), pool.acquire(0)];
    const waits = pool.acquireAsync(2 * page);
    while (pool.stats().waiters < 1) await Bun.sleep(1);
    const child = start(name, "wait");
    await child.line();
    while (pool.stats().waiters < 2) await Bun.sleep(1);
    empty.release();
    expect(await child.line()).toStartWith("got ");
    await child.exited;
    large.release();
    (await waits).release();
    expect(pool.stats()).toMatchObject({ free: 2, waiters: 0 });
  }));

test("an acquire that lacks memory gives back as much as it lacks, and no more", () =>
  withPool({ capacity: 64, bufferSize: 8 * page, maxCommitted: 48 * page }, async (pool, name) => {
    const base = bytesOnDisk(name);
    const guards = Array.from({ length: 64 }, (_, i) => pool.acquire(i < 48 ? page : 0));
    for (const guard of guards) guard.release();
    // The next acquire gets a buffer without memory.
    using top = pool.acquire(0);
    const check = () => {
      const { committedBytes } = pool.stats();
      expect(bytesOnDisk(name) - base).toBe(committedBytes);
      expect(committedBytes).toBeGreaterThanOrEqual(46 * page);
      expect(committedBytes).toBeLessThanOrEqual(48 * page);
    };
    check();
    const forms = [
      () => pool.acquire(3 * page),
      () => pool.tryAcquire(3 * page),
      () => pool.acquireBlocking(3 * page, { timeout: 1000 }),
      () => pool.acquireAsync(3 * page),
    ];
    for (const form of forms) {
      using guard = await form();
      guard?.bytes.fill(1);
      check();
    }
    expect(top.size).toBe(0);
  }));

test("giving back much memory does not keep the event loop, and ends in an acquire", () =>
  withPool({ capacity: 8192, bufferSize: 8191 * page, maxCommitted: 8191 * page }, async (pool) => {
    const guards = Array.from({ length: 8192 }, (_, i) => pool.acquire(i === 0 ? 0 : page));
    for (const guard of guards.reverse()) guard.release();
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    // All other buffers lose their memory for it, which takes many times as long as the loop may be
    // kept.
    using guard = await pool.acquireAsync(8191 * page, { timeout: 60_000 });
    clearInterval(timer);
    expect(guard.size).toBe(8191 * page);
    expect(turns).toBeGreaterThan(4);
    expect(pool.stats().committedBytes).toBe(8191 * page);
  }));

test("a wait whose time is over does not go on giving memory back", () =>
  withPool(
    { capacity: 16_384, bufferSize: 16_383 * page, maxCommitted: 16_383 * page },
    async (pool) => {
      const guards = Array.from({ length: 16_384 }, (_, i) => pool.acquire(i === 0 ? 0 : page));
      for (const guard of guards.reverse()) guard.release();
      const code = await codeOfLater(() => pool.acquireBlocking(16_383 * page, { timeout: 1 }));
      expect(code).toBe("TIMEOUT");
      // It had time only for a part of them.
      expect(pool.stats().committedBytes).toBeGreaterThan(page);
      using guard = pool.acquire(16_383 * page);
      expect(guard.size).toBe(16_383 * page);
    },
  ));

test("a preallocate that is refused half-way leaves exact sums", () =>
  withPool({ capacity: 8, bufferSize: 4 * page, maxCommitted: 7 * page }, (pool, name) => {
    const base = bytesOnDisk(name);
    const check = (bytes: number): void => {
      expect(pool.stats().committedBytes).toBe(bytes);
      expect(bytesOnDisk(name) - base).toBe(bytes);
    };
    expect(pool.preallocate(2 * page, 8)).toBe(6 * page);
    check(6 * page);
    expect(() => pool.preallocate(4 * page, 1)).toThrow("maxCommitted");
    check(6 * page);
    expect(pool.preallocate(3 * page, 8)).toBe(page);
    check(7 * page);
    expect(pool.trim()).toBe(7 * page);
    check(0);
  }));

test("size 0 commits nothing, and works where nothing may be committed any more", () =>
  withPool({ capacity: 3, bufferSize: page, maxCommitted: page }, (pool) => {
    using full = pool.acquire(1);
    using empty = pool.acquire(0);
    expect(empty.bytes.length + full.size).toBe(1);
    expect(pool.stats().committedBytes).toBe(page);
  }));

const size = 3 * page + 100;

test("zeroOnRelease: whichever way a buffer comes back, the next holder finds zeros", () =>
  withPool(
    { capacity: 1, bufferSize: 4 * page, zeroOnRelease: true, leaseTimeout: 20 },
    async (pool) => {
      const filled = (): ReturnType<BufferPool["acquire"]> => {
        const guard = pool.acquire(size);
        guard.bytes.fill(0xff);
        return guard;
      };
      const parked = (): number => {
        const handle = filled().handOff();
        pool.release(handle);
        return handle;
      };
      const ways: Record<string, () => unknown> = {
        release: () => filled().release(),
        clone: () => {
          const guard = filled();
          const copy = guard.clone();
          guard.release();
          copy.release();
        },
        unref: () => pool.unref(filled().handOff()),
        take: () => pool.take(filled().forget()).release(),
        tryRelease: () => pool.tryRelease(parked()),
        releaseBuffer: () => pool.releaseBuffer(parked()),
        setRefCount: () => {
          const handle = filled().handOff();
          pool.setRefCount(handle, 0);
          pool.releaseBuffer(handle);
        },
        "an expired lease": async () => {
          filled().handOff();
          while (pool.stats().free === 0) {
            await Bun.sleep(5);
            pool.reclaim();
          }
        },
        "an expired parking": async () => {
          parked();
          while (pool.stats().free === 0) {
            await Bun.sleep(5);
            pool.reclaim();
          }
        },
      };
      for (const [way, end] of Object.entries(ways)) {
        await end();
        expect([way, pool.stats().free]).toEqual([way, 1]);
        // Larger than the last one, so that the bytes behind its end are seen, too.
        using next = pool.acquire(4 * page);
        expect([way, next.bytes.findIndex((byte) => byte !== 0)]).toEqual([way, -1]);
      }
    },
  ));

test("zeroOnRelease: a release wakes the waiter for the buffer", () =>
  withPool({ capacity: 1, bufferSize: page, zeroOnRelease: true }, async (pool) => {
    const times: number[] = [];
    for (let i = 0; i < 21; i++) {
      const held = pool.acquire(1);
      const wait = pool.acquireAsync(1);
      while (pool.stats().waiters === 0) await Bun.sleep(1);
      const begun = performance.now();
      held.release();
      (await wait).release();
      times.push(performance.now() - begun);
    }
    // Without a wake it would be found at the end of a slice, of 50 ms.
    const median = times.sort((a, b) => a - b)[10];
    expect(median).toBeLessThan(20);
  }));

test("zeroOnRelease: no byte of a smaller buffer shows after growth, trim or preallocate", () =>
  withPool({ capacity: 1, bufferSize: 4 * page, zeroOnRelease: true }, (pool) => {
    for (const [before, after] of [
      [1, 4 * page],
      [page, page + 1],
      [4 * page, 1],
      [4 * page, 4 * page],
      [0, 4 * page],
    ] as const) {
      const guard = pool.acquire(before);
      guard.bytes.fill(0xff);
      guard.release();
      if (before === page) pool.preallocate(2 * page, 1);
      using next = pool.acquire(after);
      expect(next.bytes.findIndex((byte) => byte !== 0)).toBe(-1);
      next.bytes.fill(0xff);
    }
    pool.trim();
    expect(pool.acquire().bytes.findIndex((byte) => byte !== 0)).toBe(-1);
  }));

test("zeroOnRelease: what a killed process wrote is zeroed before anybody gets it", () =>
  withPool({ capacity: 2, bufferSize: 4 * page, zeroOnRelease: true }, async (pool, name) => {
    const source = `
      import { BufferPool } from ${JSON.stringify(join(import.meta.dir, "../src/index.ts"))};
      const pool = BufferPool.open(${JSON.stringify(name)});
      for (const guard of [pool.acquire(), pool.acquire()]) guard.bytes.fill(255);
      process.kill(process.pid, "SIGKILL");`;
    const child = Bun.spawn([process.execPath, "-e", source]);
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
    for (const guard of [pool.acquire(), pool.acquire()]) {
      expect(guard.bytes.findIndex((byte) => byte !== 0)).toBe(-1);
    }
  }));

test("without zeroOnRelease a buffer shows what was left in it", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool) => {
    const guard = pool.acquire(8);
    guard.bytes.fill(9);
    guard.release();
    expect([...pool.acquire(8).bytes]).toEqual(Array(8).fill(9));
  }));

test("a bufferSize of 4 GiB less a byte costs address space, not memory", () =>
  withPool({ capacity: 2, bufferSize: 2 ** 32 - 1 }, (pool, name) => {
    using guard = pool.acquire(100);
    guard.bytes[99] = 1;
    expect(pool.stats().committedBytes).toBe(page);
    const info = BufferPool.list().find((each) => each.name === name);
    expect(info?.size).toBeGreaterThan(2 ** 33 - 1);
  }));
