// stats(), inspect() and list() say what was done to a pool: each field is compared with known
// calls.

import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { BufferPool, type PoolStats } from "../src/index.ts";
import { start, withPool } from "./processes.ts";
import { programFile } from "./program_files.ts";

const options = { capacity: 4, bufferSize: 8192 };
/** A coarse clock ticks every 10 ms at most. */
const tick = 10;

test("a new pool is all free, with one participant and nothing counted", () =>
  withPool(options, (pool) => {
    expect(pool.stats()).toEqual({
      capacity: 4,
      bufferSize: 8192,
      free: 4,
      used: 0,
      parked: 0,
      inFlight: 0,
      waiters: 0,
      committedBytes: 0,
      maxCommitted: 4 * 8192,
      maxParticipants: 64,
      leaseTimeout: 30_000,
      flushing: false,
      linked: true,
      oldestLeaseMs: 0,
      longestHoldMs: 0,
      participants: [
        {
          pid: process.pid,
          tid: expect.any(Number),
          name: "",
          alive: true,
          holds: 0,
          waiting: false,
          acquired: 0,
          released: 0,
          waits: 0,
          timeouts: 0,
        },
      ],
      channels: [],
      counters: {
        acquired: 0,
        released: 0,
        full: 0,
        waits: 0,
        timeouts: 0,
        recoveries: 0,
        deferred: 0,
        outOfMemory: 0,
        recoveredParticipants: 0,
        recoveredReferences: 0,
        recoveredBuffers: 0,
        expiredReferences: 0,
        bytesCommitted: 0,
        bytesGivenBack: 0,
      },
    });
  }));

test("free, used, parked and inFlight follow each call", () =>
  withPool(options, (pool) => {
    const slots = (): Partial<PoolStats> => {
      const { free, used, parked, inFlight } = pool.stats();
      return { free, used, parked, inFlight };
    };
    const guard = pool.acquire(1);
    const { handle } = guard;
    expect(slots()).toEqual({ free: 3, used: 1, parked: 0, inFlight: 0 });
    guard.share();
    pool.addRef(handle);
    expect(slots()).toEqual({ free: 3, used: 1, parked: 0, inFlight: 2 });
    guard.handOff();
    expect(slots()).toEqual({ free: 3, used: 1, parked: 0, inFlight: 3 });
    pool.setRefCount(handle, 1);
    expect(slots()).toEqual({ free: 3, used: 1, parked: 0, inFlight: 1 });
    pool.release(handle);
    expect(slots()).toEqual({ free: 3, used: 1, parked: 1, inFlight: 0 });
    pool.releaseBuffer(handle);
    expect(slots()).toEqual({ free: 4, used: 0, parked: 0, inFlight: 0 });
  }));

test("acquired and released count buffers, in every way that they come back", () =>
  withPool(options, (pool) => {
    const guard = pool.acquire(1);
    guard.clone().release();
    guard.release();
    pool.unref(pool.acquire(1).handOff());
    pool.take(pool.acquire(1).handOff()).release();
    for (const end of [pool.tryRelease, pool.releaseBuffer]) {
      const handle = pool.acquire(1).handOff();
      pool.release(handle);
      end.call(pool, handle);
    }
    const { counters, participants } = pool.stats();
    expect(counters).toMatchObject({ acquired: 5, released: 5 });
    expect(participants).toMatchObject([{ acquired: 5, released: 5 }]);
  }));

test("full, waits and timeouts count each form of acquire", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool) => {
    using _held = pool.acquire(1);
    expect(() => pool.acquire(1)).toThrow();
    expect(pool.tryAcquire(1)).toBeNull();
    const full = pool.stats().counters.full;
    expect(full).toBe(2);
    const timeouts = (): number => pool.stats().counters.timeouts;
    for (const timeout of [0, 5]) {
      const before = timeouts();
      expect(() => pool.acquireBlocking(1, { timeout })).toThrow();
      expect(timeouts() - before).toBe(1);
      await expect(pool.acquireAsync(1, { timeout })).rejects.toThrow();
      expect(timeouts() - before).toBe(2);
    }
    const { waits } = pool.stats().counters;
    // A blocking wait of 5 ms may be over on a busy machine before it has begun.
    expect([1, 2]).toContain(waits);
    expect(pool.stats().participants).toMatchObject([{ timeouts: 4, waits, waiting: false }]);
  }));

test("what recoveries gave back, and memory that came and went, is counted", () =>
  withPool({ capacity: 4, bufferSize: 8192, leaseTimeout: 30 }, async (pool, name) => {
    const guards = [pool.acquire(1), pool.acquire(8192)];
    for (const guard of guards) guard.release();
    expect(pool.stats().counters).toMatchObject({ bytesCommitted: 3 * 4096, bytesGivenBack: 0 });
    pool.trim();
    expect(pool.stats().counters).toMatchObject({ bytesGivenBack: 3 * 4096 });
    const child = start(name, "hoard");
    expect(await child.line()).toBe("held 4");
    child.kill("SIGKILL");
    await child.exited;
    pool.reclaim();
    const dead = { recoveredParticipants: 1, recoveredReferences: 4, recoveredBuffers: 4 };
    expect(pool.stats().counters).toMatchObject({ ...dead, expiredReferences: 0 });
    pool.acquire(1).handOff();
    await Bun.sleep(30 + 2 * tick);
    pool.reclaim();
    expect(pool.stats().counters).toMatchObject({
      recoveredParticipants: 1,
      recoveredReferences: 5,
      recoveredBuffers: 5,
      expiredReferences: 1,
    });
  }));

test("outOfMemory counts each form of acquire that failed for want of memory", () =>
  withPool({ ...options, maxCommitted: 8192 }, async (pool) => {
    using _all = pool.acquire(8192);
    expect(() => pool.acquire(1)).toThrow("maxCommitted");
    expect(() => pool.tryAcquire(1)).toThrow("maxCommitted");
    expect(pool.stats().counters).toMatchObject({ outOfMemory: 2, full: 0 });
  }));

test("a participant's counts stay in the pool's counters when it has left", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool, name) => {
    pool.acquire(1).release();
    expect(pool.tryAcquire(1)?.size).toBe(1);
    expect(pool.tryAcquire(1)).toBeNull();
    pool.close();
    const { counters, participants } = BufferPool.inspect(name);
    expect(counters).toMatchObject({ acquired: 2, full: 1 });
    expect(participants).toEqual([]);
  }));

test("waiters and `waiting` say who waits now", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool) => {
    const held = pool.acquire(1);
    const wait = pool.acquireAsync(1);
    const second = pool.acquireAsync(1);
    // Participants, not waits.
    expect(pool.stats()).toMatchObject({ waiters: 1, participants: [{ waiting: true }] });
    held.release();
    (await wait).release();
    (await second).release();
    expect(pool.stats()).toMatchObject({ waiters: 0, participants: [{ waiting: false }] });
  }));

test("longestHoldMs is the age of the oldest buffer that somebody holds", () =>
  withPool(options, async (pool) => {
    const old = pool.acquire(1);
    await Bun.sleep(60);
    using young = pool.acquire(1);
    expect(pool.stats().longestHoldMs).toBeGreaterThanOrEqual(60 - 2 * tick);
    pool.unref(old.handOff());
    const after = pool.stats().longestHoldMs;
    await Bun.sleep(60);
    expect(pool.stats().longestHoldMs).toBeGreaterThanOrEqual(after + 60 - 2 * tick);
    young.release();
    expect(pool.stats().longestHoldMs).toBe(0);
  }));

test("oldestLeaseMs is the age of the oldest lease, and a new reference renews a buffer's", () =>
  withPool(options, async (pool) => {
    const first = pool.acquire(1).handOff();
    await Bun.sleep(60);
    const second = pool.acquire(1).handOff();
    const age = pool.stats().oldestLeaseMs;
    expect(age).toBeGreaterThanOrEqual(60 - 2 * tick);
    expect(pool.stats().longestHoldMs).toBe(0);
    pool.addRef(first);
    // The second lease is the oldest now, and younger than the first was.
    const renewed = pool.stats().oldestLeaseMs;
    await Bun.sleep(60);
    expect(pool.stats().oldestLeaseMs).toBeGreaterThanOrEqual(renewed + 60 - 2 * tick);
    pool.unref(second);
    pool.take(first).release();
    pool.take(first).release();
    expect(pool.stats().oldestLeaseMs).toBe(0);
  }));

test("no age is greater than the time that has passed, also for a buffer that was used before", () =>
  withPool(options, async (pool) => {
    for (const size of [1, 1, 8192]) {
      const before = performance.now();
      const guard = pool.acquire(size);
      const handle = guard.handle;
      await Bun.sleep(5);
      const { longestHoldMs } = pool.stats();
      expect(longestHoldMs).toBeLessThanOrEqual(performance.now() - before + 2 * tick);
      guard.handOff();
      // Parked, it has a lease as well.
      pool.release(handle);
      await Bun.sleep(3 * tick);
      const { oldestLeaseMs } = pool.stats();
      expect(oldestLeaseMs).toBeGreaterThanOrEqual(tick);
      expect(oldestLeaseMs).toBeLessThanOrEqual(performance.now() - before + 2 * tick);
      pool.releaseBuffer(handle);
    }
  }));

test("committedBytes is whole pages of data, without the control area", () =>
  withPool(options, (pool) => {
    pool.acquire(1);
    expect(pool.stats().committedBytes).toBe(4096);
    pool.acquire(4097);
    expect(pool.stats().committedBytes).toBe(3 * 4096);
    pool.acquire(0);
    expect(pool.stats().committedBytes).toBe(3 * 4096);
  }));

test("a participant is seen by pid, name and holds, and as dead until it is recovered", () =>
  withPool(options, async (pool, name) => {
    using _held = pool.acquire(1);
    const child = start(name, "hoard");
    expect(await child.line()).toBe("held 3");
    const seen = (): unknown[] =>
      BufferPool.inspect(name).participants.map((each) => [each.name, each.alive, each.holds]);
    expect(seen()).toEqual([
      ["", true, 1],
      ["child hoard", true, 3],
    ]);
    const pids = pool.stats().participants.map(({ pid }) => pid);
    expect(pids[0]).toBe(process.pid);
    expect(pids[1]).not.toBe(process.pid);
    child.kill("SIGKILL");
    await child.exited;
    expect(seen()).toContainEqual(["child hoard", false, 3]);
    expect(BufferPool.list().find((info) => info.name === name)?.participants).toBe(1);
    expect(pool.reclaim()).toMatchObject({ participants: 1, references: 3, buffers: 3 });
    expect(seen()).toEqual([["", true, 1]]);
    expect(pool.stats().counters.recoveries).toBe(1);
  }));

test("the first open of a thread names the participant, in UTF-8 of at most 31 bytes", () => {
  const name = `stats.${process.pid}.name`;
  const participantName = `${"é".repeat(15)}!`;
  using pool = BufferPool.create(name, { ...options, participantName });
  try {
    using _other = BufferPool.open(name, { participantName: "second" });
    expect(pool.stats().participants).toMatchObject([{ name: participantName }]);
  } finally {
    pool.unlink();
  }
});

test("flushing and linked", () =>
  withPool(options, (pool, name) => {
    pool.flush();
    expect(pool.stats().flushing).toBe(true);
    pool.flush();
    pool.unflush();
    expect(pool.stats().flushing).toBe(false);
    pool.unflush();
    expect(pool.unlink()).toBe(true);
    expect(pool.stats().linked).toBe(false);
    expect(pool.acquire(1).size).toBe(1);
    using other = BufferPool.create(name, options);
    expect([pool.stats().linked, other.stats().linked]).toEqual([false, true]);
    expect(pool.unlink()).toBe(false);
    expect(other.stats().linked).toBe(true);
  }));

test("list tells name, path, size, capacity, bufferSize, memory, participants and age", () => {
  const before = Date.now();
  return withPool(options, (pool, name) => {
    pool.acquire(8192);
    const info = BufferPool.list().find((each) => each.name === name);
    expect(info).toMatchObject({
      name,
      capacity: 4,
      bufferSize: 8192,
      committedBytes: 8192,
      participants: 1,
    });
    expect(info).not.toHaveProperty("problem");
    expect(info?.path).toEndWith(`/xmem.${name}`);
    expect(statSync(info?.path ?? "").size).toBe(info?.size ?? 0);
    const created = info?.createdAt.getTime() ?? 0;
    expect(created).toBeGreaterThanOrEqual(before - 1);
    expect(created).toBeLessThanOrEqual(Date.now());
  });
});

test("inspect sees what stats sees, and changes nothing", () =>
  withPool(options, (pool, name) => {
    using _guard = pool.acquire(1);
    pool.acquire(1).handOff();
    const ageless = ({ longestHoldMs, oldestLeaseMs, ...rest }: PoolStats): unknown => rest;
    for (let i = 0; i < 3; i++)
      expect(ageless(BufferPool.inspect(name))).toEqual(ageless(pool.stats()));
    expect(pool.stats().participants.length).toBe(1);
  }));

test("a process that looks before it opens a pool is refused on a closed one, and goes on", () =>
  withPool(options, async (_, name) => {
    const program = programFile(`
      BufferPool.inspect(${JSON.stringify(name)});
      const pool = BufferPool.open(${JSON.stringify(name)});
      pool.close();
      try {
        pool.acquire(1);
      } catch ({ code }) {
        say(code);
      }`);
    try {
      expect(await program.line()).toBe("POOL_CLOSED");
    } finally {
      await program.end();
    }
  }));
