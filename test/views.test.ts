// The array buffers over a pool's memory: which of them are kept for the next holder, in what order
// they are dropped when the byte budget is full, and what a view shows after its guard is done.

import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { deflate } from "node:zlib";
import { BufferPool, type OpenOptions, type PoolOptions } from "../src/index.ts";
import { withPool } from "./processes.ts";

let made = 0;
/** A view's ArrayBuffer is whole pages long. */
const page = 4096;

function withViews(
  options: PoolOptions & OpenOptions,
  body: (pool: BufferPool, name: string) => void,
): void {
  const name = `views.${process.pid}.${++made}`;
  using pool = BufferPool.create(name, { capacity: 4, bufferSize: 4 * page, ...options });
  try {
    body(pool, name);
  } finally {
    pool.unlink();
  }
}

/** A new holder's view; the same array as before only where the cache kept it. */
function viewOf(pool: BufferPool, index: number): Uint8Array {
  using guard = pool.getMut(index);
  return guard.bytes;
}

function acquireAll(pool: BufferPool, size: number): void {
  while (pool.tryAcquire(size) !== null);
}

test("a slot's view is kept for the next holder of the same size", () =>
  withViews({}, (pool) => {
    const first = pool.acquire(100);
    const { bytes } = first;
    expect(first.bytes).toBe(bytes);
    expect(viewOf(pool, 0)).toBe(bytes);
    first.release();
    using same = pool.acquire(100);
    expect(same.bytes).toBe(bytes);
  }));

test("another size gets a view of its own length over the same bytes", () =>
  withViews({}, (pool) => {
    const small = pool.acquire(100);
    const old = small.bytes;
    small.release();
    using large = pool.acquire(200);
    expect([large.bytes.length, old.length]).toEqual([200, 100]);
    large.bytes[7] = 42;
    expect(old[7]).toBe(42);
  }));

test("within the budget every view is kept; past it the least recently used goes", () =>
  withViews({ viewCache: 3 * page }, (pool) => {
    acquireAll(pool, 1000);
    const views = [0, 1, 2].map((index) => viewOf(pool, index));
    for (const index of [0, 1, 2]) expect(viewOf(pool, index)).toBe(views[index] as Uint8Array);
    // All three were hit once, so that the first of them is dropped.
    const third = viewOf(pool, 3);
    expect(viewOf(pool, 3)).toBe(third);
    const kept = [1, 2].filter((index) => viewOf(pool, index) === views[index]);
    expect(kept).toEqual([1, 2]);
    expect(viewOf(pool, 0)).not.toBe(views[0] as Uint8Array);
  }));

test("a hit saves a view from the next eviction", () =>
  withViews({ viewCache: 2 * page }, (pool) => {
    acquireAll(pool, 1000);
    const [zero, one] = [viewOf(pool, 0), viewOf(pool, 1)];
    expect(viewOf(pool, 0)).toBe(zero);
    viewOf(pool, 2);
    expect(viewOf(pool, 0)).toBe(zero);
    expect(viewOf(pool, 1)).not.toBe(one);
  }));

test("one large view takes the place of several small ones", () =>
  withViews({ viewCache: 3 * page }, (pool) => {
    const guards = [1000, 1000, 1000, 2.5 * page].map((size) => pool.acquire(size));
    const views = guards.map(({ index }) => viewOf(pool, index));
    expect(viewOf(pool, 3)).toBe(views[3] as Uint8Array);
    expect(viewOf(pool, 0)).not.toBe(views[0] as Uint8Array);
    // The next views that do not fit beside it take its place.
    expect(viewOf(pool, 3)).not.toBe(views[3] as Uint8Array);
  }));

test("a view larger than the budget is not kept, and evicts nothing", () =>
  withViews({ viewCache: page }, (pool) => {
    pool.acquire(page);
    pool.acquire(page + 1);
    const small = viewOf(pool, 0);
    expect(viewOf(pool, 1)).not.toBe(viewOf(pool, 1));
    expect(viewOf(pool, 0)).toBe(small);
  }));

test("viewCache 0 keeps nothing, but a guard keeps its own view", () =>
  withViews({ viewCache: 0 }, (pool) => {
    using guard = pool.acquire(100);
    expect(guard.bytes).toBe(guard.bytes);
    expect(viewOf(pool, 0)).not.toBe(guard.bytes);
    expect(pool.acquire(0).bytes.length).toBe(0);
  }));

test("an evicted view stays valid for its owner", () =>
  withViews({ viewCache: page }, (pool) => {
    acquireAll(pool, 1000);
    const evicted = viewOf(pool, 0);
    viewOf(pool, 1);
    Bun.gc(true);
    viewOf(pool, 0)[5] = 77;
    expect(evicted[5]).toBe(77);
  }));

test("thousands of evicted views do not pile up", () =>
  withViews({ capacity: 64, viewCache: 0 }, (pool) => {
    acquireAll(pool, 4096);
    const round = (): void => {
      for (let i = 0; i < 10_000; i++) viewOf(pool, i % 64)[0] = i;
      Bun.gc(true);
    };
    round();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 4; i++) round();
    const grown = process.memoryUsage().rss - before;
    console.log(`40,000 evicted views: ${(grown / 2 ** 20).toFixed(1)} MiB more`);
    expect(grown).toBeLessThan(64 * 2 ** 20);
  }));

test("a cached view that was transferred away is not given to the next holder", () =>
  withViews({}, (pool) => {
    const guard = pool.acquire(64);
    const { bytes } = guard;
    bytes[1] = 9;
    const gone = structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    expect([bytes.length, gone.byteLength]).toEqual([0, page]);
    expect(guard.view("uint8")[1]).toBe(9);
    guard.release();
    using next = pool.acquire(64);
    expect(next.bytes.length).toBe(64);
    expect(new Uint8Array(gone)[1]).toBe(9);
  }));

test("a transfer of a guard's bytes takes them; the guard and its clones get another view", () => {
  for (const views of ["shared", "detach"] as const) {
    withViews({ views }, (pool) => {
      using guard = pool.acquire(64);
      using copy = guard.clone();
      guard.bytes[1] = 9;
      expect(copy.bytes[1]).toBe(9);
      const gone = new Uint8Array(guard.bytes.buffer.transfer());
      for (const each of [guard, copy, pool.getMut(guard.handle)]) {
        expect([each.bytes.length, each.bytes[1], each.view("uint16").length]).toEqual([64, 9, 32]);
      }
      guard.bytes[1] = 10;
      expect([gone[1], copy.bytes[1]]).toEqual([10, 10]);
    });
  }
});

test("views of any size show so many bytes of the slot, and no memory that is not committed", () =>
  withViews({ capacity: 1, bufferSize: 64 * page }, (pool) => {
    const committed = (): number => pool.stats().committedBytes;
    const sizes = Array.from({ length: 3000 }, (_, step) => (step * 7919) % (64 * page + 1));
    for (const [step, size] of sizes.entries()) {
      using guard = pool.acquire(size);
      const { bytes } = guard;
      expect([bytes.length, bytes.byteOffset]).toEqual([size, 0]);
      expect(bytes.buffer.byteLength).toBeLessThanOrEqual(committed());
      bytes.fill(step);
      expect(guard.bytes).toBe(bytes);
      using reader = pool.get(guard.handle);
      if (size > 0) expect(reader.bytes.at(-1)).toBe(step % 256);
      // A view of the next holder cannot reach the memory that a trim took away.
      reader.release();
      guard.release();
      if (step % 10 === 0) pool.trim();
    }
  }));

test("sizes that come again get the view that they had", () =>
  withViews({ capacity: 1, bufferSize: 64 * page }, (pool) => {
    const viewsOf = (): Uint8Array[] =>
      [100, 5 * page, 101, 64, page, 64 * page, 7].map((size) => {
        using guard = pool.acquire(size);
        return guard.bytes;
      });
    viewsOf();
    const first = viewsOf();
    expect(viewsOf().map((view, place) => view === first[place])).toEqual(first.map(() => true));
  }));

/** Objects that the engine has, of these classes. */
function alive(): number {
  Bun.gc(true);
  const { objectTypeCounts: counts } = heapStats();
  return (counts["ArrayBuffer"] ?? 0) + (counts["WeakRef"] ?? 0) + (counts["Uint8Array"] ?? 0);
}

const missing: Record<
  string,
  { views?: "detach"; viewCache?: number; size: (i: number) => number }
> = {
  "sizes that repeat": { size: (i) => 64 + (i & 63) },
  "sizes that never repeat": { size: (i) => 1 + ((i * 7919) % (64 * page)) },
  "buffers beyond the budget": { viewCache: 0, size: () => 100 },
  'views: "detach"': { views: "detach", size: (i) => 64 + (i & 63) },
};

for (const [what, { size, ...open }] of Object.entries(missing)) {
  test(`a loop that never ends its job leaves no views behind: ${what}`, () =>
    withViews({ capacity: 64, bufferSize: 64 * page, ...open }, (pool) => {
      const round = (): number => {
        for (let i = 0; i < 50_000; i++) {
          using guard = pool.acquire(size(i));
          guard.bytes[0] = 1;
        }
        return alive();
      };
      const before = alive();
      const grown = Math.max(round(), round()) - before;
      console.log(`${what}: ${grown} more views and references after 50,000 acquires`);
      expect(grown).toBeLessThan(1000);
    }));
}

test('views: "shared": an old view shows what the next holder writes', () =>
  withViews({}, (pool) => {
    const guard = pool.acquire(8);
    const old = guard.bytes;
    guard.release();
    using next = pool.acquire(8);
    next.bytes[0] = 3;
    expect(old[0]).toBe(3);
  }));

test('views: "detach": each end of a guard detaches its views, and no other\'s', () =>
  withViews({ views: "detach" }, (pool) => {
    const ends: ((guard: ReturnType<BufferPool["acquire"]>) => void)[] = [
      (guard) => guard.release(),
      (guard) => guard[Symbol.dispose](),
      (guard) => void pool.unref(guard.handOff()),
      (guard) => void pool.unref(guard.forget()),
    ];
    for (const end of ends) {
      const guard = pool.acquire(16);
      using copy = guard.clone();
      const views = [guard.bytes, guard.view("uint32"), guard.view(Uint8Array)];
      const kept = copy.bytes;
      kept[0] = 6;
      expect(views.map(({ length }) => length)).toEqual([16, 4, 16]);
      end(guard);
      expect(views.map(({ length }) => length)).toEqual([0, 0, 0]);
      expect([kept.length, copy.bytes[0]]).toEqual([16, 6]);
    }
    expect(pool.stats().free).toBe(4);
  }));

test("views: \"detach\" is this open's own, not the pool's", () =>
  withViews({ views: "detach" }, (pool, name) => {
    using other = BufferPool.open(name);
    using held = pool.acquire(8);
    const guard = other.get(held.handle);
    const { bytes } = guard;
    guard.release();
    expect(bytes.length).toBe(8);
    expect(held.bytes.length).toBe(8);
  }));

test("close detaches every view, whatever has been made of it", () =>
  withViews({ viewCache: 100 }, (pool) => {
    const guard = pool.acquire(64);
    const evicted = guard.bytes;
    const views = [evicted, guard.view("float64"), evicted.subarray(3), viewOf(pool, 0)];
    const over = pool.acquire(4096).bytes;
    const data = new DataView(evicted.buffer);
    pool.close();
    expect([...views, over].map(({ length }) => length)).toEqual([0, 0, 0, 0, 0]);
    expect(() => data.getUint8(0)).toThrow(TypeError);
    evicted[0] = 1;
    expect(evicted[0]).toBeUndefined();
  }));

test("buffers that short I/O has pinned come back while such releases go on", () =>
  withPool({ capacity: 200, bufferSize: 4096 }, async (_, name) => {
    using pool = BufferPool.open(name, { views: "detach" });
    let most = 0;
    for (let round = 0; round < 150; round++) {
      const guard = pool.acquire();
      const done = new Promise((resolve) => deflate(guard.bytes, resolve));
      guard.release();
      await Bun.sleep(4);
      await done;
      most = Math.max(most, pool.stats().used);
    }
    expect(most).toBeLessThan(50);
  }));
