// The description that travels with a buffer: what is set through one guard is read through any
// other, and each dtype is viewed as the typed array of its name.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { BufferPool, type DType, type TypedArrayConstructor } from "../src/index.ts";
import { withPool } from "./processes.ts";
import { script } from "./scripts.ts";

const classes = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  float16: Float16Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;
const dtypes = Object.keys(classes) as DType[];

const whole = fc.maxSafeNat();
const text = fc
  .string({ unit: "grapheme", maxLength: 31 })
  .filter((value) => Buffer.byteLength(value) <= 31 && !value.includes("\0"));
const descriptions = fc.integer({ min: 0, max: 8 }).chain((rank) =>
  fc.record({
    dtype: fc.constantFrom(...dtypes),
    shape: fc.array(whole, { minLength: rank, maxLength: rank }),
    strides: fc.array(fc.maxSafeInteger(), { minLength: rank, maxLength: rank }),
    timestamp: fc.oneof(whole, fc.constant(2 ** 53)),
    sequence: fc.oneof(whole, fc.constant(2 ** 53)),
    contentType: text,
    producer: text,
  }),
);

test("any description is read by every holder as it was set", () =>
  withPool({ capacity: 2, bufferSize: 64 }, (pool, name) => {
    using other = BufferPool.open(name);
    fc.assert(
      fc.property(descriptions, fc.nat({ max: 64 }), (description, size) => {
        using guard = pool.acquire(size);
        using reader = other.get(guard.handle);
        using neighbour = pool.acquire(1);
        Object.assign(guard.meta, description);
        expect(guard.meta.toJSON()).toEqual(description);
        expect(reader.meta.toJSON()).toEqual(description);
        expect(neighbour.meta.toJSON()).toMatchObject({ shape: [1], strides: [1], sequence: 0 });
      }),
      { numRuns: 300 },
    );
    expect(pool.stats().free).toBe(2);
  }));

test("another process reads what was set", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool, name) => {
    const [description] = fc.sample(descriptions, 1);
    const guard = pool.acquire(64);
    Object.assign(guard.meta, description);
    const child = script(
      `const pool = BufferPool.open(${JSON.stringify(name)});
      using guard = pool.take(${guard.handOff()});
      say(guard.meta.toJSON());`,
    );
    expect(JSON.parse(await child.line())).toEqual(description);
    await child.rest();
  }));

test("strides follow shape and dtype for as long as they are the contiguous ones", () =>
  withPool({ capacity: 1, bufferSize: 4096 }, (pool) => {
    using guard = pool.acquire(4096);
    const { meta } = guard;
    expect([meta.shape, meta.strides]).toEqual([[4096], [1]]);
    meta.shape = [4, 8, 16];
    expect(meta.strides).toEqual([128, 16, 1]);
    meta.dtype = "float64";
    expect(meta.strides).toEqual([1024, 128, 8]);
    meta.shape = [];
    expect(meta.strides).toEqual([]);
    meta.shape = [2, 3];
    meta.strides = [8, 16];
    expect([meta.shape, meta.strides]).toEqual([
      [2, 3],
      [8, 16],
    ]);
  }));

test("a field is a value: an array that was read neither changes with it nor changes it", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool) => {
    using guard = pool.acquire(8);
    guard.meta.shape = [2, 4];
    const { shape } = guard.meta;
    shape[0] = 99;
    expect(guard.meta.shape).toEqual([2, 4]);
    const given = [8];
    guard.meta.shape = given;
    given[0] = 1;
    expect(guard.meta.shape).toEqual([8]);
    expect(shape).toEqual([99, 4]);
    expect(guard.meta).toBe(guard.meta);
  }));

test("view() knows each dtype and each class, over the same bytes", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool) => {
    using guard = pool.acquire(48);
    guard.bytes.set(Array.from({ length: 48 }, (_, place) => (place * 37) % 256));
    const expected = Uint8Array.from(guard.bytes).buffer;
    for (const dtype of dtypes) {
      const Class = classes[dtype];
      for (const view of [guard.view(dtype), guard.view(Class as TypedArrayConstructor)]) {
        expect(view).toBeInstanceOf(Class);
        expect(view).toEqual(new Class(expected));
        expect(view.buffer).toBe(guard.bytes.buffer);
      }
    }
    expect(guard.view(Uint8ClampedArray)).toEqual(new Uint8ClampedArray(expected));
    guard.view("uint32")[11] = 0xdead_beef;
    expect(guard.bytes[47]).toBe(0xde);
  }));

test("a text is read as it was set, a byte order mark at its start included", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool, name) => {
    using guard = pool.acquire(8);
    for (const value of ["\uFEFF", "\uFEFFtext/plain", "a\uFEFFb", "\uFEFF\uFEFF"]) {
      guard.meta.contentType = value;
      guard.meta.producer = value;
      expect([guard.meta.contentType, guard.meta.producer]).toEqual([value, value]);
    }
    const participantName = "\uFEFFcamera";
    const seen = (): string[] => pool.stats().participants.map((each) => each.name);
    pool.close();
    using _other = BufferPool.open(name, { participantName });
    using observer = BufferPool.open(name);
    expect(observer.stats().participants.map((each) => each.name)).toEqual([participantName]);
    expect(seen).toThrow();
  }));

test("the strides of a shape that no memory holds are the largest there are, never negative", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool) => {
    using guard = pool.acquire(8);
    const { meta } = guard;
    const most = 2 ** 53;
    meta.dtype = "float64";
    for (const [shape, strides] of [
      [
        [2 ** 40, 2 ** 40, 2 ** 40],
        [most, 2 ** 43, 8],
      ],
      [
        [most - 1, most - 1, 3],
        [most, 24, 8],
      ],
      [Array(8).fill(most - 1), [...Array(7).fill(most), 8]],
      [
        [2 ** 50, 1, 1],
        [8, 8, 8],
      ],
      [
        [2, 2 ** 50],
        [most, 8],
      ],
      [
        [3, 0, 2 ** 52],
        [0, most, 8],
      ],
    ] as const) {
      meta.shape = [...shape];
      expect([meta.shape, meta.strides]).toEqual([[...shape], [...strides]]);
    }
    // They still follow.
    meta.dtype = "uint8";
    meta.shape = [2, 3];
    expect(meta.strides).toEqual([3, 1]);
  }));

test("strides that were set to the contiguous ones follow shape and dtype, as unset ones do", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool) => {
    using guard = pool.acquire(64);
    const { meta } = guard;
    meta.shape = [4, 4];
    meta.strides = [4, 1];
    meta.shape = [2, 8];
    expect(meta.strides).toEqual([8, 1]);
    meta.strides = [8, 1];
    meta.dtype = "uint16";
    expect(meta.strides).toEqual([16, 2]);
    meta.strides = [2, 16];
    meta.shape = [8, 2];
    meta.dtype = "uint8";
    expect(meta.strides).toEqual([2, 16]);
  }));
