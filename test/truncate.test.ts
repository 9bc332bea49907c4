// guard.truncate() makes a buffer smaller than it was acquired, for its holders and for the next
// receivers. It is still zeroed whole.

import { expect, test } from "bun:test";
import { BufferPool } from "../src/index.ts";
import { codeOf } from "./codes.ts";
import { withPool } from "./processes.ts";
import { script } from "./scripts.ts";

const options = { capacity: 2, bufferSize: 8192 };

test("size, bytes, views and the shape follow a truncation", () =>
  withPool(options, (pool) => {
    for (const views of ["shared", "detach"] as const) {
      using own = BufferPool.open(pool.name, { views });
      using guard = own.acquire(6000);
      const before = guard.bytes;
      before.set([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(guard.meta.shape).toEqual([6000]);
      guard.truncate(8);
      expect([guard.size, guard.bytes.length, guard.meta.shape[0]]).toEqual([8, 8, 8]);
      expect([...guard.view("uint16")]).toEqual([0x201, 0x403, 0x605, 0x807]);
      expect([...guard.bytes]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      // The old view is over the same memory, which the guard has for as long as it lives.
      before[0] = 9;
      expect([before.length, guard.bytes[0]]).toEqual([6000, 9]);
      guard.truncate(8);
      guard.truncate(0);
      expect([guard.size, guard.bytes.length, guard.meta.shape]).toEqual([0, 0, [0]]);
      guard.release();
      using next = own.acquire(6000);
      expect([next.index, next.size, next.bytes.length]).toEqual([guard.index, 6000, 6000]);
      expect(next.meta.shape).toEqual([6000]);
    }
  }));

test("truncate only makes a buffer smaller, and a refused call changes nothing", () =>
  withPool(options, (pool) => {
    const guard = pool.acquire(100);
    const reader = pool.get(guard.handle);
    for (const size of [101, -1, 1.5, Number.NaN, 2 ** 32, "8", undefined] as number[]) {
      expect([size, codeOf(() => guard.truncate(size))]).toEqual([size, "INVALID_ARGUMENT"]);
    }
    guard.truncate(50);
    for (const size of [51, 100])
      expect(codeOf(() => guard.truncate(size))).toBe("INVALID_ARGUMENT");
    expect("truncate" in reader && codeOf(() => (reader as typeof guard).truncate(1))).toBe(
      "READ_ONLY",
    );
    expect([guard.size, guard.bytes.length, guard.meta.shape[0]]).toEqual([50, 50, 50]);
    guard.release();
    expect(codeOf(() => guard.truncate(1))).toBe("RELEASED");
    pool.close();
    expect(codeOf(() => guard.truncate(1))).toBe("RELEASED");
  }));

test("other guards keep their size, later guards have the new one, and no guard can make it larger again", () =>
  withPool(options, async (pool, name) => {
    const guard = pool.acquire(100);
    const [copy, other] = [guard.clone(), pool.getMut(guard.handle)];
    guard.meta.sequence = 3;
    guard.truncate(40);
    expect([copy.size, other.size, copy.bytes.length]).toEqual([100, 100, 100]);
    expect([pool.get(guard.handle).size, pool.take(guard.share()).size]).toEqual([40, 40]);
    expect(copy.meta).toMatchObject({ sequence: 3 });
    // 60 is below the clone's own size, and above what is left of the buffer.
    expect(codeOf(() => copy.truncate(60))).toBe("INVALID_ARGUMENT");
    copy.truncate(30);
    expect([guard.size, copy.size, pool.get(guard.handle).size]).toEqual([40, 30, 30]);
    const child = script(`
      const pool = BufferPool.open(${JSON.stringify(name)});
      const guard = pool.take(${guard.share()});
      guard.truncate(20);
      say([guard.size, guard.bytes.length, guard.meta.shape[0]]);
      guard.handOff();`);
    expect(await child.line()).toBe("[20,20,20]");
    await child.rest();
    expect(pool.take(guard.handle).size).toBe(20);
    expect([guard.size, guard.meta.shape[0]]).toEqual([40, 20]);
  }));

test("a shape that was set does not follow", () =>
  withPool(options, (pool) => {
    using guard = pool.acquire(96);
    guard.meta.shape = [8, 12];
    guard.truncate(48);
    expect([guard.meta.shape, guard.meta.strides]).toEqual([
      [8, 12],
      [12, 1],
    ]);
  }));

test("zeroOnRelease zeroes all bytes that were acquired, also after a truncation and a holder's death", () =>
  withPool({ ...options, zeroOnRelease: true }, async (pool, name) => {
    const clean = (): boolean => {
      const all = [pool.acquire(8192), pool.acquire(8192)];
      const zero = all.every(({ bytes }) => bytes.every((byte) => byte === 0));
      for (const guard of all) guard.release();
      return zero;
    };
    const dirty = (): ReturnType<BufferPool["acquire"]> => {
      const guard = pool.acquire(8000);
      guard.bytes.fill(255);
      guard.truncate(5000);
      guard.truncate(1);
      return guard;
    };
    dirty().release();
    expect(clean()).toBe(true);
    pool.unref(dirty().handOff());
    expect(clean()).toBe(true);
    const child = script(`
      const pool = BufferPool.open(${JSON.stringify(name)});
      const guard = pool.acquire(8000);
      guard.bytes.fill(255);
      guard.truncate(0);
      say("holds");
      await heard();`);
    expect(await child.line()).toBe("holds");
    child.kill("SIGKILL");
    await child.ended;
    pool.reclaim();
    expect(clean()).toBe(true);
  }));

test('views: "detach": views from before a truncation end with the guard, too', () =>
  withPool({ capacity: 1, bufferSize: 4096 }, (_, name) => {
    using pool = BufferPool.open(name, { views: "detach" });
    for (const size of [100, 0]) {
      for (const end of ["release", "handOff"] as const) {
        const guard = pool.acquire(4096);
        const views = [guard.bytes, guard.view("float32"), guard.bytes.subarray(5)];
        guard.truncate(size);
        views.push(guard.bytes, guard.view("uint8"));
        expect(guard.bytes.length).toBe(size);
        if (end === "release") guard.release();
        else pool.unref(guard.handOff());
        expect(views.map((view) => view.length)).toEqual([0, 0, 0, 0, 0]);
        pool.acquire().release();
      }
    }
  }));

test("an empty guard whose bytes were transferred away has a view of its own", () =>
  withPool({ capacity: 1, bufferSize: 4096 }, (pool) => {
    using guard = pool.acquire(4096);
    guard.bytes.buffer.transfer();
    guard.truncate(0);
    expect(guard.view("uint8").length).toBe(0);
    guard.bytes.set([]);
  }));
