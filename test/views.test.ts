// The array buffers over a pool's memory: which are kept for the next holder, in what order they go
// when the byte budget is full, and what a view still shows when its guard is done.

import { expect, test } from "bun:test";
import { BufferPool, type OpenOptions, type PoolOptions } from "../src/index.ts";

let made = 0;

function withViews(
  options: PoolOptions & OpenOptions,
  body: (pool: BufferPool, name: string) => void,
): void {
  const name = `views.${process.pid}.${++made}`;
  using pool = BufferPool.create(name, { capacity: 4, bufferSize: 4096, ...options });
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
  withViews({ viewCache: 3000 }, (pool) => {
    acquireAll(pool, 1000);
    const views = [0, 1, 2].map((index) => viewOf(pool, index));
    for (const index of [0, 1, 2]) expect(viewOf(pool, index)).toBe(views[index] as Uint8Array);
    // All three were hit once, so that the first of them goes.
    const third = viewOf(pool, 3);
    expect(viewOf(pool, 3)).toBe(third);
    const kept = [1, 2].filter((index) => viewOf(pool, index) === views[index]);
    expect(kept).toEqual([1, 2]);
    expect(viewOf(pool, 0)).not.toBe(views[0] as Uint8Array);
  }));

test("a hit saves a view from the next eviction", () =>
  withViews({ viewCache: 2000 }, (pool) => {
    acquireAll(pool, 1000);
    const [zero, one] = [viewOf(pool, 0), viewOf(pool, 1)];
    expect(viewOf(pool, 0)).toBe(zero);
    viewOf(pool, 2);
    expect(viewOf(pool, 0)).toBe(zero);
    expect(viewOf(pool, 1)).not.toBe(one);
  }));

test("one large view takes the place of several small ones", () =>
  withViews({ viewCache: 3000 }, (pool) => {
    const guards = [1000, 1000, 1000, 2500].map((size) => pool.acquire(size));
    const views = guards.map(({ index }) => viewOf(pool, index));
    expect(viewOf(pool, 3)).toBe(views[3] as Uint8Array);
    expect(viewOf(pool, 0)).not.toBe(views[0] as Uint8Array);
    // What does not fit beside it took its place in turn.
    expect(viewOf(pool, 3)).not.toBe(views[3] as Uint8Array);
  }));

test("a view larger than the budget is not kept, and evicts nothing", () =>
  withViews({ viewCache: 1000 }, (pool) => {
    pool.acquire(1000);
    pool.acquire(1001);
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

test("an evicted view stays valid for who has it", () =>
  withViews({ viewCache: 1000 }, (pool) => {
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
    expect([bytes.length, gone.byteLength]).toEqual([0, 64]);
    expect(guard.view("uint8")[1]).toBe(9);
    guard.release();
    using next = pool.acquire(64);
    expect(next.bytes.length).toBe(64);
    expect(new Uint8Array(gone)[1]).toBe(9);
  }));

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
