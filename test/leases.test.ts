// In-flight and parked buffers outlive the process that left them, for as long as their lease
// lasts. The first recovery after that gives them back.

import { expect, test } from "bun:test";
import type { BufferPool } from "../src/index.ts";
import { withPool } from "./processes.ts";
import { script, until } from "./scripts.ts";

const short = { capacity: 3, bufferSize: 64, leaseTimeout: 20 };
/** Longer than the lease, with a coarse clock's tick. */
const passed = 50;
const nothing = { participants: 0, references: 0, buffers: 0, deferred: false };

test("a reference that nobody took is still there after its lease, until a recovery drops it", () =>
  withPool(short, async (pool) => {
    const handle = pool.acquire(1).handOff();
    await Bun.sleep(passed);
    pool.get(handle).release();
    pool.take(handle).release();
    expect(pool.stats().free).toBe(3);
    const lost = pool.acquire(1).handOff();
    await Bun.sleep(passed);
    expect(pool.reclaim()).toEqual({ ...nothing, references: 1, buffers: 1 });
    expect(() => pool.take(lost)).toThrow("recycled");
    expect(pool.reclaim()).toEqual(nothing);
  }));

test("reclaim counts each expired reference, and leaves the holds", () =>
  withPool(short, async (pool) => {
    using held = pool.acquire(8);
    held.bytes[0] = 5;
    held.share();
    pool.addRef(held.handle);
    const gone = pool.acquire(1);
    pool.setRefCount(gone.handle, 4);
    gone.handOff();
    expect(pool.stats().inFlight).toBe(6);
    await Bun.sleep(passed);
    expect(pool.reclaim()).toEqual({ ...nothing, references: 6, buffers: 1 });
    expect(pool.stats()).toMatchObject({ used: 1, inFlight: 0 });
    expect([pool.refCount(held.handle), held.bytes[0]]).toEqual([1, 5]);
    expect(() => pool.take(held.handle)).toThrow();
  }));

test("an operation that is refused renews no lease", async () => {
  /** Each makes a lease, and returns an operation that is refused. */
  const cases: Record<string, (pool: BufferPool) => () => unknown> = {
    "addRef by a stale handle": (pool) => {
      const { stale } = recycled(pool);
      return () => pool.addRef(stale);
    },
    "release by a stale handle": (pool) => {
      const { stale } = recycled(pool);
      return () => pool.release(stale);
    },
    "setRefCount by a stale handle": (pool) => {
      const { stale } = recycled(pool);
      return () => pool.setRefCount(stale, 5);
    },
    "setRefCount below the holds": (pool) => {
      const guard = pool.acquire(1);
      guard.share();
      return () => pool.setRefCount(guard.handle, 0);
    },
    "addRef at the limit": (pool) => {
      const guard = pool.acquire(1);
      pool.setRefCount(guard.handle, 65_535);
      return () => pool.addRef(guard.handle);
    },
    "share at the limit": (pool) => {
      const guard = pool.acquire(1);
      pool.setRefCount(guard.handle, 65_535);
      return () => guard.share();
    },
    "release of what is parked": (pool) => {
      const parked = pool.acquire(1).handOff();
      pool.release(parked);
      return () => pool.release(parked);
    },
  };
  for (const [name, prepare] of Object.entries(cases)) {
    await withPool({ ...short, capacity: 1, leaseTimeout: 60_000 }, async (pool) => {
      const refused = prepare(pool);
      await Bun.sleep(passed);
      expect(refused).toThrow();
      // The age since the lease was last renewed; the clock is a coarse one.
      expect([name, pool.stats().oldestLeaseMs >= passed - 20]).toEqual([name, true]);
    });
  }
});

/** A handle of a buffer that was recycled and is somebody else's now, in flight. */
function recycled(pool: BufferPool): { stale: number } {
  const guard = pool.acquire(1);
  const stale = guard.handle;
  guard.release();
  pool.acquire(1).handOff();
  return { stale };
}

test("a lease is found to be over wherever in a large pool the buffer is", () =>
  withPool({ ...short, capacity: 50_000 }, async (pool) => {
    const guards = Array.from({ length: 50_000 }, () => pool.acquire(0));
    for (const place of [49_999, 20_000, 0]) {
      const lost = guards[place]?.handOff() ?? -1;
      using found = pool.acquireBlocking(0, { timeout: 60_000 });
      expect(found.index).toBe(place);
      expect(() => pool.take(lost)).toThrow("recycled");
      guards[place] = found.clone();
    }
  }));

test("leaseTimeout 0: neither in-flight nor parked buffers ever expire", () =>
  withPool({ ...short, leaseTimeout: 0 }, async (pool) => {
    const flying = pool.acquire(1).handOff();
    const parked = pool.acquire(1).handOff();
    pool.release(parked);
    await Bun.sleep(passed);
    expect(pool.reclaim()).toEqual(nothing);
    pool.acquire(1);
    expect(pool.tryAcquire(1)).toBeNull();
    expect(pool.stats()).toMatchObject({ used: 3, parked: 1, inFlight: 1, oldestLeaseMs: 0 });
    pool.take(flying).release();
    expect(pool.tryRelease(parked)).toBe(true);
  }));

test("each new in-flight reference renews the buffer's lease, and so does parking it", () =>
  withPool({ ...short, leaseTimeout: 60_000 }, async (pool) => {
    using held = pool.acquire(1);
    const { handle } = held;
    const renewals: Record<string, (pool: BufferPool) => unknown> = {
      share: () => held.share(),
      addRef: () => pool.addRef(handle),
      setRefCount: () => pool.setRefCount(handle, 9),
      handOff: () => held.clone().handOff(),
      forget: () => held.clone().forget(),
      release: () => pool.release(handle),
    };
    held.share();
    for (const [name, renew] of Object.entries(renewals)) {
      await Bun.sleep(40);
      const before = pool.stats().oldestLeaseMs;
      expect(before).toBeGreaterThanOrEqual(20);
      const start = performance.now();
      renew(pool);
      const { oldestLeaseMs } = pool.stats();
      // It is no older than the time that passed, but for the coarse clock's tick.
      expect([name, oldestLeaseMs <= performance.now() - start + 12]).toEqual([name, true]);
    }
  }));

test("a parked buffer goes back when its lease has passed", () =>
  withPool(short, async (pool) => {
    const handle = pool.acquire(1).handOff();
    expect(pool.release(handle)).toBe(0);
    expect(pool.stats()).toMatchObject({ free: 2, parked: 1, inFlight: 0 });
    await Bun.sleep(passed);
    expect(pool.reclaim()).toEqual({ ...nothing, buffers: 1 });
    expect(pool.stats()).toMatchObject({ free: 3, parked: 0 });
  }));

test("a parked buffer goes back after its lease when the process that parked it was killed", () =>
  withPool(short, async (pool, name) => {
    const child = script(
      `const pool = BufferPool.open(${JSON.stringify(name)});
      const handle = pool.acquire(8).handOff();
      pool.release(handle);
      say(handle);
      await heard();
      pool.close();`,
    );
    const handle = Number(await child.line());
    expect(pool.stats()).toMatchObject({ used: 1, parked: 1 });
    child.kill("SIGKILL");
    await child.ended;
    await until(() => pool.reclaim().deferred === false && pool.stats().free === 3);
    expect(pool.stats()).toMatchObject({ free: 3, parked: 0 });
    expect(() => pool.tryRelease(handle)).toThrow("recycled");
  }));

test("a buffer that a process handed off can be taken after that process ended or was killed", () =>
  withPool({ ...short, leaseTimeout: 60_000 }, async (pool, name) => {
    for (const signal of [undefined, "SIGKILL"] as const) {
      const child = script(
        `const pool = BufferPool.open(${JSON.stringify(name)});
        const sent = pool.acquire(3);
        sent.bytes.set([1, 2, 3]);
        sent.meta.producer = "child";
        const kept = pool.acquire(1);
        say(sent.handOff());
        await heard();
        kept.release();`,
      );
      const handle = Number(await child.line());
      // It ends by itself at the end of its input.
      if (signal === undefined) await child.rest();
      else child.kill(signal);
      await child.ended;
      await until(
        () => pool.reclaim().deferred === false && pool.stats().participants.length === 1,
      );
      expect(pool.stats()).toMatchObject({ used: 1, inFlight: 1 });
      using taken = pool.take(handle);
      expect([...taken.bytes, taken.meta.producer]).toEqual([1, 2, 3, "child"]);
    }
  }));

test("reclaim counts each hold of a killed process, clones included", () =>
  withPool({ ...short, leaseTimeout: 60_000 }, async (pool, name) => {
    const child = script(
      `const pool = BufferPool.open(${JSON.stringify(name)});
      const guard = pool.acquire(1);
      const all = [guard, guard.clone(), pool.get(guard.handle), pool.acquire(1)];
      say(all[3].share());
      await heard();
      // Without this use the engine could collect it earlier.
      for (const each of all) each.release();`,
    );
    const shared = Number(await child.line());
    child.kill("SIGKILL");
    await child.ended;
    let report = pool.reclaim();
    while (report.participants === 0) report = pool.reclaim();
    // The shared one stays: its reference in flight belongs to nobody.
    expect(report).toEqual({ ...nothing, participants: 1, references: 4, buffers: 1 });
    expect(pool.refCount(shared)).toBe(1);
    pool.take(shared).release();
    expect(pool.stats().free).toBe(3);
  }));

test("each form of acquire that finds the pool empty finds an expired lease", () =>
  withPool({ ...short, capacity: 1 }, async (pool) => {
    for (const acquire of [
      () => pool.acquire(1),
      () => pool.tryAcquire(1),
      () => pool.acquireBlocking(1, { timeout: 60_000 }),
      () => pool.acquireAsync(1, { timeout: 60_000 }),
    ]) {
      const handle = pool.acquire(1).handOff();
      await Bun.sleep(passed);
      const guard = await acquire();
      expect(guard?.index).toBe(0);
      expect(() => pool.take(handle)).toThrow("recycled");
      guard?.release();
    }
  }));
