// The behaviour that the pool is modelled on: which buffer an acquire gets, and what references do.

import { expect, test } from "bun:test";
import { BufferPool, type XmemErrorCode } from "../src/index.ts";
import { codeOf } from "./codes.ts";
import { withPool } from "./processes.ts";

test("a new pool hands out 0, 1, 2; the buffer that was released last is next", () =>
  withPool({ capacity: 10, bufferSize: 64 }, (pool) => {
    const guards = [pool.acquire(1), pool.acquire(1), pool.acquire(1)];
    expect(guards.map(({ index }) => index)).toEqual([0, 1, 2]);
    guards[1]?.release();
    expect(pool.acquire(1).index).toBe(1);
    expect(pool.acquire(1).index).toBe(3);
  }));

test("a full pool of 3 is POOL_FULL, and gives 2, 1, 0 after 0, 1, 2 were released", () =>
  withPool({ capacity: 3, bufferSize: 64 }, (pool) => {
    const guards = [pool.acquire(1), pool.acquire(1), pool.acquire(1)];
    expect(codeOf(() => pool.acquire(1))).toBe("POOL_FULL");
    expect(pool.tryAcquire(1)).toBeNull();
    for (const guard of guards) guard.release();
    const next = [pool.acquire(1), pool.acquire(1), pool.acquire(1)];
    expect(next.map(({ index }) => index)).toEqual([2, 1, 0]);
  }));

test("an added reference holds back the return until tryRelease, which is true once", () =>
  withPool({ capacity: 4, bufferSize: 64 }, (pool) => {
    const guard = pool.acquire(1);
    const { handle, index } = guard;
    expect(pool.addRef(handle)).toBe(2);
    guard.release();
    expect(pool.refCount(handle)).toBe(1);
    expect(pool.acquire(1).index).not.toBe(index);
    expect(pool.release(handle)).toBe(0);
    expect(pool.stats().parked).toBe(1);
    expect(pool.tryRelease(handle)).toBe(true);
    expect(pool.tryRelease(index)).toBe(false);
    expect(codeOf(() => pool.tryRelease(handle))).toBe("STALE_HANDLE");
  }));

test("the by-hand family refuses to use up a reference that does not exist", () =>
  withPool({ capacity: 4, bufferSize: 64 }, (pool) => {
    using guard = pool.acquire(1);
    const { handle } = guard;
    for (const body of [
      () => pool.unref(handle),
      () => pool.release(handle),
      () => pool.take(handle),
    ]) {
      expect(codeOf(body)).toBe("NO_REFERENCE");
    }
    expect(codeOf(() => pool.setRefCount(handle, 0))).toBe("INVALID_ARGUMENT");
    expect(pool.setRefCount(handle, 65_535)).toBe(65_535);
    expect(codeOf(() => pool.addRef(handle))).toBe("TOO_MANY_REFERENCES");
    expect(codeOf(() => guard.clone())).toBe("TOO_MANY_REFERENCES");
    expect(codeOf(() => pool.setRefCount(handle, 65_536))).toBe("INVALID_ARGUMENT");
    expect(pool.setRefCount(handle, 1)).toBe(1);
    expect(codeOf(() => pool.releaseBuffer(handle))).toBe("BUFFER_IN_USE");
    expect(codeOf(() => pool.get(4))).toBe("BUFFER_NOT_FOUND");
    expect(codeOf(() => pool.get(3))).toBe("BUFFER_NOT_FOUND");
    expect(pool.refCount(3)).toBe(0);
  }));

test("a parked buffer is NO_REFERENCE for all but addRef, which revives it", () =>
  withPool({ capacity: 2, bufferSize: 64 }, (pool) => {
    const handle = pool.acquire(1).handOff();
    expect(pool.release(handle)).toBe(0);
    for (const body of [
      () => pool.get(handle),
      () => pool.getMut(handle),
      () => pool.take(handle),
      () => pool.unref(handle),
      () => pool.release(handle),
    ]) {
      expect(codeOf(body)).toBe("NO_REFERENCE");
    }
    expect(pool.addRef(handle)).toBe(1);
    expect(pool.unref(handle)).toBe(0);
    expect(pool.stats().free).toBe(2);
  }));

test("share, handOff, forget and take move a reference without losing one", () =>
  withPool({ capacity: 2, bufferSize: 64 }, (pool) => {
    const guard = pool.acquire(8);
    expect(guard.share()).toBe(guard.handle);
    expect(pool.refCount(guard.handle)).toBe(2);
    const index = guard.forget();
    expect(index).toBe(0);
    expect(codeOf(() => guard.bytes)).toBe("RELEASED");
    using first = pool.take(index);
    const second = pool.take(guard.handle);
    expect(codeOf(() => pool.take(index))).toBe("NO_REFERENCE");
    expect(first.writable && second.writable).toBe(true);
    second.release();
    second.release();
    expect(pool.refCount(index)).toBe(1);
  }));

test("a handle of a recycled buffer is refused, acquired again or not", () =>
  withPool({ capacity: 2, bufferSize: 64 }, (pool) => {
    const guard = pool.acquire(1);
    const { handle } = guard;
    guard.release();
    expect(codeOf(() => pool.get(handle))).toBe("STALE_HANDLE");
    using again = pool.acquire(1);
    expect(again.index).toBe(0);
    expect(codeOf(() => pool.get(handle))).toBe("STALE_HANDLE");
    expect(codeOf(() => pool.addRef(handle))).toBe("STALE_HANDLE");
  }));

test("a read-only guard reads, and does not write", () =>
  withPool({ capacity: 2, bufferSize: 64 }, (pool) => {
    using guard = pool.acquire(4);
    guard.bytes[0] = 9;
    using reader = pool.get(guard.handle);
    expect(reader.bytes[0]).toBe(9);
    expect(reader.writable).toBe(false);
    const writer = reader as unknown as typeof guard;
    expect(codeOf(() => writer.mutableBytes())).toBe("READ_ONLY");
    expect(
      codeOf(() => {
        writer.meta.sequence = 1;
      }),
    ).toBe("READ_ONLY");
    using copy = reader.clone();
    expect(copy.writable).toBe(false);
  }));

test("metadata is reset for the next acquirer, and a wrong value leaves the old one", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool) => {
    const fresh = {
      dtype: "uint8",
      shape: [16],
      strides: [1],
      timestamp: 0,
      sequence: 0,
      contentType: "",
      producer: "",
    };
    const guard = pool.acquire(16);
    const { meta } = guard;
    expect(meta.toJSON()).toEqual(fresh);
    meta.dtype = "float32";
    meta.shape = [2, 2];
    meta.timestamp = 2 ** 53;
    meta.contentType = "x".repeat(31);
    expect(meta.strides).toEqual([8, 4]);
    for (const wrong of [
      () => Object.assign(meta, { shape: [-1] }),
      () => Object.assign(meta, { shape: [1, 1, 1, 1, 1, 1, 1, 1, 1] }),
      () => Object.assign(meta, { shape: [1.5] }),
      () => Object.assign(meta, { timestamp: -1 }),
      () => Object.assign(meta, { sequence: 0.5 }),
      () => Object.assign(meta, { contentType: "é".repeat(16) }),
      () => Object.assign(meta, { dtype: "float8" }),
    ]) {
      expect(codeOf(wrong)).toBe("INVALID_ARGUMENT");
    }
    expect(meta.shape).toEqual([2, 2]);
    expect(meta.contentType.length).toBe(31);
    guard.release();
    expect(codeOf(() => meta.shape)).toBe("RELEASED");
    using next = pool.acquire(16);
    expect(next.meta.toJSON()).toEqual(fresh);
  }));

test("view() gives the typed array of a dtype or class, over the same bytes", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool) => {
    using guard = pool.acquire(16);
    guard.view("float32")[1] = 1.5;
    expect(guard.view(Float32Array)[1]).toBe(1.5);
    expect(guard.view("int64").length).toBe(2);
    expect(guard.view("float16").BYTES_PER_ELEMENT).toBe(2);
    const wrong = guard as unknown as { view(type: unknown): unknown };
    for (const type of ["float8", null, undefined, 3, {}, "toString"]) {
      expect(codeOf(() => wrong.view(type))).toBe("INVALID_ARGUMENT");
    }
  }));

test("bytes that were transferred away leave the guard a view of its own", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool) => {
    using guard = pool.acquire(8);
    guard.bytes[3] = 7;
    const gone = structuredClone(guard.bytes.buffer, { transfer: [guard.bytes.buffer] });
    expect(guard.view("uint8")[3]).toBe(7);
    expect(new Uint8Array(gone)[3]).toBe(7);
  }));

test("size 0 is an empty buffer", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool) => {
    using guard = pool.acquire(0);
    expect(guard.bytes.length).toBe(0);
    expect(guard.view("float64").length).toBe(0);
  }));

test("a recycled slot can be larger the next time", () =>
  withPool({ capacity: 1, bufferSize: 1 << 20 }, (pool) => {
    pool.acquire(100).release();
    using guard = pool.acquire(1 << 20);
    guard.bytes.fill(3);
    expect(pool.stats().committedBytes).toBe(1 << 20);
  }));

test('views: "detach" empties a view at release, and leaves a clone its own', () => {
  const name = `test.${process.pid}.detach`;
  using pool = BufferPool.create(name, { capacity: 2, bufferSize: 64, views: "detach" });
  try {
    const guard = pool.acquire(8);
    const { bytes } = guard;
    using copy = guard.clone();
    const kept = copy.bytes;
    guard.release();
    expect(bytes.length).toBe(0);
    expect(kept.length).toBe(8);
    const other = pool.acquire(8);
    const gone = other.bytes;
    pool.unref(other.handOff());
    expect(gone.length).toBe(0);
  } finally {
    pool.unlink();
  }
});

test("zeroOnRelease: the next acquirer finds zeros", () =>
  withPool({ capacity: 1, bufferSize: 64, zeroOnRelease: true }, (pool) => {
    const guard = pool.acquire(64);
    guard.bytes.fill(255);
    pool.unref(guard.handOff());
    using next = pool.acquire(64);
    expect(next.bytes.every((byte) => byte === 0)).toBe(true);
  }));

test("preallocate commits for the next acquires, a repeat commits nothing, trim gives back", () =>
  withPool({ capacity: 8, bufferSize: 65_536 }, (pool) => {
    expect(pool.preallocate(8192, 3)).toBe(3 * 8192);
    expect(pool.preallocate(8192, 3)).toBe(0);
    expect(pool.stats()).toMatchObject({ committedBytes: 3 * 8192, free: 8 });
    const guards = [pool.acquire(8192), pool.acquire(8192), pool.acquire(8192)];
    expect(guards.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(pool.stats().committedBytes).toBe(3 * 8192);
    for (const guard of guards.slice(1)) guard.release();
    expect(pool.trim()).toBe(2 * 8192);
    expect(pool.stats().committedBytes).toBe(8192);
    expect(pool.acquire(1).index).toBe(2);
    expect(pool.preallocate(1, 1000)).toBe(6 * 4096);
  }));

test("maxCommitted bounds the memory, and nothing is lost at the bound", () =>
  withPool({ capacity: 4, bufferSize: 65_536, maxCommitted: 65_536 }, (pool) => {
    const first = pool.acquire(65_536);
    expect(codeOf(() => pool.acquire(1))).toBe("OUT_OF_MEMORY");
    expect(pool.stats()).toMatchObject({ free: 3, committedBytes: 65_536 });
    first.release();
    pool.trim();
    const halves = [pool.acquire(32_768), pool.acquire(32_768)];
    for (const half of halves) half.release();
    // The memory of free slots is given back first.
    expect(pool.acquire(65_536).size).toBe(65_536);
    expect(pool.stats()).toMatchObject({ free: 3, committedBytes: 65_536 });
  }));

test("wrong arguments have their code, and cost nothing", () =>
  withPool({ capacity: 2, bufferSize: 4096 }, (pool) => {
    const loose = pool as unknown as Record<string, (...argv: unknown[]) => unknown>;
    const wrongNumbers = [Number.NaN, 1.5, -1, 2 ** 32, 2 ** 53, "1", null, {}, [], true, 1n];
    const call = (method: string, ...argv: unknown[]): XmemErrorCode | "none" =>
      codeOf(() => loose[method]?.apply(pool, argv));
    for (const wrong of wrongNumbers) {
      for (const method of ["acquire", "tryAcquire"]) {
        expect([method, wrong, call(method, wrong)]).toEqual([method, wrong, "INVALID_ARGUMENT"]);
      }
      expect(call("acquireBlocking", wrong, { timeout: 0 })).toBe("INVALID_ARGUMENT");
      expect(call("acquireBlocking", 1, { timeout: wrong })).toBe("INVALID_ARGUMENT");
      expect(call("preallocate", wrong, 1)).toBe("INVALID_ARGUMENT");
      expect(call("preallocate", 1, wrong)).toBe("INVALID_ARGUMENT");
      expect(call("setRefCount", 0, wrong)).toBe("INVALID_ARGUMENT");
    }
    const refs = ["get", "getMut", "take", "addRef", "unref", "release", "refCount"];
    for (const method of [...refs, "tryRelease", "releaseBuffer"]) {
      for (const wrong of [Number.NaN, 1.5, -1, 2 ** 53, "1", null, undefined, {}, true]) {
        expect([method, wrong, call(method, wrong)]).toEqual([method, wrong, "INVALID_ARGUMENT"]);
      }
      expect([method, call(method, 2)]).toEqual([method, "BUFFER_NOT_FOUND"]);
      expect([method, call(method, 2 ** 32)]).toEqual([method, "STALE_HANDLE"]);
    }
    expect(call("acquire", 4097)).toBe("TOO_LARGE");
    expect(call("acquireBlocking", 1)).toBe("INVALID_ARGUMENT");
    expect(pool.stats()).toMatchObject({ free: 2, used: 0 });
  }));

test("wrong names and options are INVALID_ARGUMENT", () => {
  const create = BufferPool.create as (name: unknown, options?: unknown) => BufferPool;
  for (const name of ["", "a/b", "a\0b", "..", ".", "x".repeat(201), "é", 3, null, undefined]) {
    expect(codeOf(() => create(name))).toBe("INVALID_ARGUMENT");
    expect(codeOf(() => BufferPool.open(name as string))).toBe("INVALID_ARGUMENT");
    expect(codeOf(() => BufferPool.unlink(name as string))).toBe("INVALID_ARGUMENT");
    expect(codeOf(() => BufferPool.inspect(name as string))).toBe("INVALID_ARGUMENT");
  }
  const wrongOptions: unknown[] = [
    null,
    3,
    { capacity: 0 },
    { capacity: 2 ** 24 - 1 },
    { bufferSize: 0 },
    { bufferSize: Number.POSITIVE_INFINITY },
    { maxParticipants: 4097 },
    { leaseTimeout: -1 },
    { mode: 0o1000 },
    { channels: 1025 },
    { zeroOnRelease: 1 },
    { ephemeral: "yes" },
    { views: "none" },
    { views: null },
    { participantName: "x".repeat(32) },
  ];
  for (const options of wrongOptions) {
    expect([options, codeOf(() => create("never.made", options))]).toEqual([
      options,
      "INVALID_ARGUMENT",
    ]);
  }
  expect(codeOf(() => BufferPool.open("never.made"))).toBe("POOL_NOT_FOUND");
  expect(
    codeOf(() => create("never.made", { capacity: 2 ** 24 - 2, bufferSize: 2 ** 32 - 1 })),
  ).toBe("OUT_OF_MEMORY");
});

test("a closed pool says so, and its guards are harmless", () => {
  const name = `test.${process.pid}.closed`;
  const pool = BufferPool.create(name, { capacity: 2, bufferSize: 64 });
  const guard = pool.acquire(8);
  pool.close();
  pool.close();
  expect(codeOf(() => pool.acquire(1))).toBe("POOL_CLOSED");
  expect(codeOf(() => pool.stats())).toBe("POOL_CLOSED");
  expect(codeOf(() => guard.bytes)).toBe("POOL_CLOSED");
  guard.release();
  expect(BufferPool.inspect(name)).toMatchObject({ free: 2, participants: [] });
  expect(pool.unlink()).toBe(true);
  expect(pool.unlink()).toBe(false);
});
