// A guard's life: what it can do while it is live, what is left of it afterwards, and that its hold
// goes back exactly once, whichever way it ends.

import { expect, test } from "bun:test";
import { OPTION_COUNT } from "../src/generated/constants.gen.ts";
import { type BufferGuard, type BufferMeta, BufferPool } from "../src/index.ts";
import { native } from "../src/native/native.ts";
import { cString, float64s } from "../src/native/scratch.ts";
import { codeOf } from "./codes.ts";
import { withPool } from "./processes.ts";

const options = { capacity: 4, bufferSize: 64 };

/** All that a guard offers, except the parts that work after its release. */
const uses: Record<string, (guard: BufferGuard) => unknown> = {
  bytes: (guard) => guard.bytes,
  mutableBytes: (guard) => guard.mutableBytes(),
  view: (guard) => guard.view("uint8"),
  meta: (guard) => guard.meta,
  clone: (guard) => guard.clone(),
  share: (guard) => guard.share(),
  handOff: (guard) => guard.handOff(),
  forget: (guard) => guard.forget(),
  truncate: (guard) => guard.truncate(0),
};

const endings: Record<string, (guard: BufferGuard, pool: BufferPool) => unknown> = {
  "release()": (guard) => guard.release(),
  "Symbol.dispose": (guard) => guard[Symbol.dispose](),
  "handOff()": (guard, pool) => pool.unref(guard.handOff()),
  "forget()": (guard, pool) => pool.unref(guard.forget()),
};

for (const [ending, end] of Object.entries(endings)) {
  test(`after ${ending} every use is RELEASED, and a second end does nothing`, () =>
    withPool(options, (pool) => {
      const guard = pool.acquire(8);
      const { handle, index, size, writable } = guard;
      const { meta } = guard;
      end(guard, pool);
      expect(pool.stats().free).toBe(4);
      // Another guard holds the slot now, and the finished one must not harm it.
      using other = pool.acquire(8);
      expect(other.index).toBe(index);
      for (const [name, use] of Object.entries(uses)) {
        expect([name, codeOf(() => use(guard))]).toEqual([name, "RELEASED"]);
      }
      for (const field of Object.keys(other.meta.toJSON()) as "sequence"[]) {
        expect([field, codeOf(() => meta[field])]).toEqual([field, "RELEASED"]);
        const value = other.meta[field];
        const set = (): unknown => {
          meta[field] = value;
          return meta;
        };
        expect([field, codeOf(set)]).toEqual([field, "RELEASED"]);
      }
      expect(codeOf(() => meta.toJSON())).toBe("RELEASED");
      guard.release();
      guard[Symbol.dispose]();
      expect(pool.refCount(other.handle)).toBe(1);
      expect(guard).toMatchObject({ handle, index, size, writable });
    }));
}

test("after pool.close() a guard's use is refused, and its end does nothing", () =>
  withPool(options, (pool, name) => {
    const guard = pool.acquire(8);
    const { meta } = guard;
    pool.close();
    using again = BufferPool.open(name);
    using other = again.acquire(8);
    expect(other.index).toBe(guard.index);
    for (const [what, use] of Object.entries(uses)) {
      expect([what, codeOf(() => use(guard))]).toEqual([what, "POOL_CLOSED"]);
    }
    expect(codeOf(() => meta.sequence)).toBe("POOL_CLOSED");
    guard.release();
    guard[Symbol.dispose]();
    expect(codeOf(() => guard.bytes)).toBe("RELEASED");
    expect(again.refCount(other.handle)).toBe(1);
  }));

/** All that a guard's owner may still do to it when its pool is closed. */
const lateUses: Record<string, (guard: BufferGuard, meta: BufferMeta) => unknown> = {
  ...uses,
  "setting meta": (_, meta) => {
    meta.sequence = 9;
    return meta;
  },
  release: (guard) => guard.release(),
};

test("a guard of a closed pool does nothing to the pool that got its descriptor", () =>
  withPool(options, (pool, name) => {
    const kept = pool.acquire(8);
    const descriptorNow = (): number => {
      const other = openRaw(name);
      native.xmem_bun_close(other);
      return other;
    };
    const before = descriptorNow();
    const closed = BufferPool.open(name);
    const guards = Object.keys(lateUses).map(() => {
      const guard = closed.getMut(kept.handle);
      return { guard, meta: guard.meta };
    });
    closed.close();
    // The numbers go round: the next open gets the one that `closed` had.
    while (descriptorNow() !== before);
    using next = BufferPool.open(name);
    const held = [next.getMut(kept.handle), next.getMut(kept.handle)];
    const count = pool.refCount(kept.handle);
    expect(count).toBe(3);
    for (const [place, [what, use]] of Object.entries(lateUses).entries()) {
      const { guard, meta } = guards[place] ?? { guard: kept, meta: kept.meta };
      expect([what, codeOf(() => use(guard, meta))]).toEqual([
        what,
        what === "release" ? "none" : "POOL_CLOSED",
      ]);
      guard.release();
      expect([what, pool.refCount(kept.handle), pool.stats().inFlight]).toEqual([what, count, 0]);
    }
    expect(kept.meta.sequence).toBe(0);
    for (const each of held) each.release();
    expect(pool.refCount(kept.handle)).toBe(1);
  }));

function openRaw(name: string): number {
  const numbers = float64s(OPTION_COUNT).fill(-1);
  const dir = cString(process.env["XMEM_DIR"] ?? "/dev/shm");
  return native.xmem_bun_open(1, dir, cString(name), cString(""), numbers);
}

test("`using` gives a buffer back when its block ends, throws, or returns", () =>
  withPool(options, async (pool) => {
    {
      using guard = pool.acquire(1);
      expect(pool.refCount(guard.handle)).toBe(1);
    }
    expect(pool.stats().used).toBe(0);
    const thrown = new Error("in the block");
    const throws = (): void => {
      using _first = pool.acquire(1);
      using _second = pool.acquire(1);
      throw thrown;
    };
    expect(throws).toThrow(thrown);
    const rejects = async (): Promise<void> => {
      using _guard = await pool.acquireAsync(1);
      await Bun.sleep(1);
      throw thrown;
    };
    await expect(rejects()).rejects.toBe(thrown);
    expect(pool.stats()).toMatchObject({ used: 0, free: 4 });
  }));

test("a guard that was released inside its `using` block is not given back twice", () =>
  withPool(options, (pool) => {
    let next: BufferGuard;
    {
      using guard = pool.acquire(1);
      guard.release();
      next = pool.acquire(1);
      expect(next.index).toBe(guard.index);
    }
    expect(pool.refCount(next.handle)).toBe(1);
    expect(next.bytes.length).toBe(1);
  }));

test("a DisposableStack takes guards and pools", () =>
  withPool(options, (pool, name) => {
    const stack = new DisposableStack();
    const other = stack.use(BufferPool.open(name));
    stack.use(other.acquire(1));
    stack.use(pool.acquire(1));
    expect(pool.stats().used).toBe(2);
    stack.dispose();
    expect(pool.stats()).toMatchObject({ used: 0 });
    expect(codeOf(() => other.stats())).toBe("POOL_CLOSED");
  }));

test("a handle is generation x 2^24 + index, and the generation is at least 1", () =>
  withPool(options, (pool) => {
    const guards = [pool.acquire(3), pool.acquire(0), pool.acquire()];
    for (const { handle, index } of guards) {
      expect(handle % 2 ** 24).toBe(index);
      expect(Math.floor(handle / 2 ** 24)).toBeGreaterThanOrEqual(1);
      expect(handle).toBeLessThan(2 ** 53);
    }
    expect(guards.map(({ size }) => size)).toEqual([3, 0, 64]);
    const [first] = guards;
    const generation = Math.floor((first?.handle ?? 0) / 2 ** 24);
    first?.release();
    expect(pool.acquire(1).handle).toBe((generation + 1) * 2 ** 24);
  }));

test("clone, get, getMut and take add a hold each, as writable as they should be", () =>
  withPool(options, (pool) => {
    const guard = pool.acquire(5);
    const { handle, index } = guard;
    const reader = pool.get(handle);
    const held = [guard, guard.clone(), reader, reader.clone(), pool.getMut(index)];
    held.push(pool.take(guard.share()));
    expect(held.map(({ writable }) => writable)).toEqual([true, true, false, false, true, true]);
    expect(pool.refCount(handle)).toBe(6);
    expect(pool.stats().participants[0]?.holds).toBe(6);
    for (const each of held) {
      expect(each).toMatchObject({ handle, index, size: 5 });
      expect(each.bytes.length).toBe(5);
    }
    for (const each of held) each.release();
    expect(pool.stats()).toMatchObject({ free: 4, inFlight: 0 });
  }));

test("several holders of one buffer see each other's writes", () =>
  withPool(options, (pool) => {
    using one = pool.acquire(4);
    using two = pool.getMut(one.handle);
    using reader = pool.get(one.index);
    one.bytes[0] = 1;
    two.mutableBytes()[1] = 2;
    two.meta.sequence = 9;
    expect([...reader.bytes]).toEqual([1, 2, 0, 0]);
    expect(reader.meta.sequence).toBe(9);
  }));

test("a bare index finds the buffer that is in the slot now, a handle only its own", () =>
  withPool(options, (pool) => {
    const old = pool.acquire(1);
    old.release();
    using now = pool.acquire(2);
    expect(codeOf(() => pool.get(old.handle))).toBe("STALE_HANDLE");
    using found = pool.get(old.index);
    expect(found.handle).toBe(now.handle);
    expect(found.size).toBe(2);
  }));

test("without tracing, a guard that was lost is given back at close", () =>
  withPool(options, async (pool, name) => {
    const other = BufferPool.open(name);
    const lose = (): void => {
      other.acquire(1).clone();
    };
    lose();
    for (let i = 0; i < 5; i++) {
      Bun.gc(true);
      await Bun.sleep(1);
    }
    expect(pool.stats()).toMatchObject({ used: 1, participants: [{ holds: 2 }] });
    other.close();
    expect(pool.stats()).toMatchObject({ used: 0, participants: [{ holds: 0 }] });
  }));

test("JSON of a guard has its handle, JSON of a pool its name", () =>
  withPool(options, (pool, name) => {
    using guard = pool.acquire(7);
    guard.meta.contentType = "text/plain";
    const { index, handle, size, writable } = guard;
    expect(JSON.parse(JSON.stringify(guard))).toEqual({ index, handle, size, writable });
    expect(JSON.parse(JSON.stringify(pool))).toEqual({ name, capacity: 4, bufferSize: 64 });
    expect(JSON.parse(JSON.stringify(guard.meta))).toMatchObject({
      dtype: "uint8",
      shape: [7],
      contentType: "text/plain",
    });
  }));

test("a structured clone of a guard, its meta or a pool is refused, not made without the hold", () =>
  withPool(options, (pool) => {
    using guard = pool.acquire(7);
    const channel = new MessageChannel();
    for (const object of [guard, pool.get(guard.handle), guard.meta, pool]) {
      const refused = expect.objectContaining({ name: "DataCloneError" });
      expect(() => structuredClone(object)).toThrow(refused);
      expect(() => structuredClone({ frames: [object] })).toThrow(refused);
      expect(() => channel.port1.postMessage(object)).toThrow(refused);
    }
    channel.port1.close();
  }));

test("nothing that is written to a guard, a pool or a description moves an address", () =>
  withPool(options, (pool, name) => {
    using guard = pool.acquire(8);
    using other = pool.acquire(8);
    using reader = pool.get(guard.handle);
    const { index, handle, size } = guard;
    for (const [object, fields] of [
      [guard, { size: 2 ** 31, index: 3, handle: other.handle, writable: false, bytes: null }],
      [reader, { writable: true, size: 0 }],
      [pool, { name: "other", capacity: 1, bufferSize: 2 ** 40 }],
    ] as const) {
      for (const [field, value] of Object.entries(fields)) {
        expect(() => Object.assign(object, { [field]: value })).toThrow(TypeError);
        expect(Reflect.set(object, field, value)).toBe(false);
        expect(Object.hasOwn(object, field)).toBe(false);
      }
    }
    expect(guard).toMatchObject({ index, handle, size, writable: true });
    expect(reader).toMatchObject({ index, handle, size, writable: false });
    expect(pool).toMatchObject({ name, capacity: 4, bufferSize: 64 });
    // There is not even a field of that name beside the getter.
    for (const field of ["index", "size", "handle"]) {
      Object.defineProperty(guard, field, { value: 3 });
    }
    guard.bytes.fill(7);
    expect(guard.bytes.length).toBe(size);
    expect([...other.bytes]).toEqual(Array(8).fill(0));
    expect(pool.refCount(handle)).toBe(2);
  }));

test("guards and pools are Disposable, and not AsyncDisposable", () =>
  withPool(options, (pool) => {
    using guard = pool.acquire(1);
    for (const object of [pool, guard]) {
      expect(Symbol.dispose in object).toBe(true);
      expect(Symbol.asyncDispose in object).toBe(false);
    }
  }));

test("a closed pool keeps its name and numbers, and close() twice does nothing", () =>
  withPool(options, (pool, name) => {
    using other = BufferPool.open(name);
    using kept = other.acquire(1);
    pool.close();
    pool.close();
    pool[Symbol.dispose]();
    expect(pool).toMatchObject({ name, capacity: 4, bufferSize: 64 });
    expect(kept.bytes.length).toBe(1);
    expect(other.stats().participants.length).toBe(1);
  }));

test("a reference that outlived its pool object is still in flight, and can be taken", () =>
  withPool(options, (pool, name) => {
    const guard = pool.acquire(3);
    guard.bytes.set([1, 2, 3]);
    const handle = guard.handOff();
    pool.close();
    using again = BufferPool.open(name);
    expect(again.stats()).toMatchObject({ used: 1, inFlight: 1 });
    using taken = again.take(handle);
    expect([...taken.bytes]).toEqual([1, 2, 3]);
  }));

test("a close through one open does not touch another open's guards in the same thread", () =>
  withPool(options, (pool, name) => {
    const other = BufferPool.open(name);
    using mine = pool.acquire(8);
    const same = other.getMut(mine.handle);
    const theirs = other.acquire(8);
    using mineToo = pool.getMut(theirs.handle);
    const [mineBytes, sameBytes] = [mine.bytes, same.bytes];
    mineBytes[0] = 5;
    expect(sameBytes[0]).toBe(5);
    expect(pool.stats().participants).toMatchObject([{ holds: 4 }]);
    other.close();
    expect(pool.stats().participants).toMatchObject([{ holds: 2 }]);
    expect(sameBytes.length).toBe(0);
    expect(mineBytes[0]).toBe(5);
    expect(pool.refCount(theirs.handle)).toBe(1);
    expect(mineToo.bytes.length).toBe(8);
    same.release();
    theirs.release();
    expect(pool.refCount(mine.handle)).toBe(1);
  }));
