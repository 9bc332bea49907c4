// Wrong values of every public argument, of every kind: the error has the code that the interface
// promises, and nothing is lost, changed or made.

import { expect, test } from "bun:test";
import { BufferPool, XmemError } from "../src/index.ts";
import { errorOfLater } from "./codes.ts";
import { withPool } from "./processes.ts";

type Call = (value: unknown) => unknown;
type Loose = Record<string, (...argv: unknown[]) => unknown>;

async function codeOf(body: () => unknown): Promise<string> {
  try {
    await body();
    return "none";
  } catch (error) {
    return error instanceof XmemError ? error.code : `not an XmemError: ${error}`;
  }
}

function shown(value: unknown): string {
  if (typeof value === "object" && value !== null) return JSON.stringify(value);
  return typeof value === "bigint" ? `${value}n` : String(value);
}

/** All rows at once, so that a failure shows every argument with a wrong code. */
async function expectCodes(rows: [what: string, code: string, call: Call, values: unknown[]][]) {
  const wrong: string[] = [];
  let calls = 0;
  for (const [what, code, call, values] of rows) {
    for (const value of values) {
      calls++;
      const found = await codeOf(() => call(value));
      if (found !== code) wrong.push(`${what} of ${shown(value)}: ${found}, not ${code}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(calls).toBeGreaterThan(0);
}

const ofWrongType = [null, "1", "", true, {}, [], [1], 1n, Symbol("1"), () => 1, Object(1)];
const noWholeNumbers = [Number.NaN, 0.5, -1, -(2 ** 31), Number.POSITIVE_INFINITY, ...ofWrongType];
const noUint32 = [2 ** 32, 2 ** 32 + 1, 2 ** 53, 1e300, ...noWholeNumbers];
const noObjects = [null, 3, "timeout", true, [], () => ({}), Symbol("options")];
const noFlags = [null, 0, 1, "true", {}, [], () => true];
const noTexts = [
  null,
  3,
  true,
  {},
  ["a"],
  "x".repeat(32),
  "é".repeat(16),
  "a\0b",
  "\ud800",
  "a\udc00b",
];
const noNames = [
  ...["", ".", "..", "a/b", "/a", "a/", "../a", "a\0", "\0", "a b", "a\n", "é", "a:b", "a\\b"],
  ...["x".repeat(201), null, undefined, 3, true, {}, ["a"], 1n, Symbol("a"), () => "a"],
];
const bad = "INVALID_ARGUMENT";

test("sizes, counts, timeouts, options and signals of the pool's methods", () =>
  withPool({ capacity: 4, bufferSize: 4096 }, async (pool) => {
    const loose = pool as unknown as Loose;
    const call =
      (method: string, ...before: unknown[]): Call =>
      (value) =>
        loose[method]?.apply(pool, [...before, value]);
    const timeout =
      (method: string): Call =>
      (value) =>
        loose[method]?.call(pool, 1, { timeout: value });
    const before = pool.stats();
    await expectCodes([
      ["acquire(size)", bad, call("acquire"), noUint32],
      ["tryAcquire(size)", bad, call("tryAcquire"), noUint32],
      ["acquireAsync(size)", bad, call("acquireAsync"), noUint32],
      [
        "acquireBlocking(size)",
        bad,
        (value) => loose["acquireBlocking"]?.call(pool, value, { timeout: 0 }),
        [undefined, ...noUint32],
      ],
      ["acquireBlocking(options)", bad, call("acquireBlocking", 1), [undefined, ...noObjects]],
      ["acquireBlocking(timeout)", bad, timeout("acquireBlocking"), [undefined, ...noUint32]],
      ["acquireAsync(options)", bad, call("acquireAsync", 1), noObjects],
      ["acquireAsync(timeout)", bad, timeout("acquireAsync"), noUint32],
      [
        "acquireAsync(signal)",
        bad,
        (signal) => loose["acquireAsync"]?.call(pool, 1, { signal }),
        [null, 3, "abort", true, {}, new AbortController(), new EventTarget(), () => {}],
      ],
      [
        "preallocate(size)",
        bad,
        (value) => loose["preallocate"]?.call(pool, value, 1),
        [undefined, ...noUint32],
      ],
      ["preallocate(count)", bad, call("preallocate", 1), [undefined, ...noUint32]],
      ["acquire(size)", "TOO_LARGE", call("acquire"), [4097, 2 ** 32 - 1]],
      ["tryAcquire(size)", "TOO_LARGE", call("tryAcquire"), [4097, 2 ** 32 - 1]],
      ["acquireAsync(size)", "TOO_LARGE", call("acquireAsync"), [4097, 2 ** 32 - 1]],
      ["preallocate(size)", "TOO_LARGE", (value) => loose["preallocate"]?.(value, 1), [4097]],
    ]);
    expect(pool.stats()).toEqual(before);
  }));

test("refs and counts of the methods that take them", () =>
  withPool({ capacity: 4, bufferSize: 64 }, async (pool) => {
    using held = pool.acquire(1);
    const loose = pool as unknown as Loose;
    const { free, inFlight, counters } = pool.stats();
    const methods = ["get", "getMut", "take", "addRef", "unref", "release"];
    for (const method of [...methods, "refCount", "setRefCount", "tryRelease", "releaseBuffer"]) {
      const call: Call = (value) => loose[method]?.call(pool, value, 1);
      const noRefs = [undefined, 2 ** 53, 2 ** 53 + 2, 1e300, ...noWholeNumbers];
      const otherHandles = [held.handle - 2 ** 24, 2 ** 24, 2 ** 32, 2 ** 53 - 2 ** 24];
      await expectCodes([
        [method, bad, call, noRefs],
        [method, "BUFFER_NOT_FOUND", call, [4, 5, 2 ** 24 - 1, held.handle + 4]],
        [method, "STALE_HANDLE", call, otherHandles],
      ]);
    }
    const setCount: Call = (value) => loose["setRefCount"]?.call(pool, held.handle, value);
    await expectCodes([["setRefCount(count)", bad, setCount, [undefined, 0, 65_536, ...noUint32]]]);
    expect(pool.stats()).toMatchObject({ free, inFlight, counters });
    expect(pool.refCount(held.handle)).toBe(1);
  }));

test("a free slot's bare index", () =>
  withPool({ capacity: 2, bufferSize: 64 }, async (pool) => {
    const loose = pool as unknown as Loose;
    for (const method of ["get", "getMut", "take", "addRef", "unref", "release"]) {
      await expectCodes([[method, "BUFFER_NOT_FOUND", (ref) => loose[method]?.(ref), [0, 1]]]);
    }
    await expectCodes([
      ["setRefCount", "BUFFER_NOT_FOUND", (ref) => loose["setRefCount"]?.(ref, 1), [0, 1]],
      ["releaseBuffer", "BUFFER_NOT_FOUND", (ref) => loose["releaseBuffer"]?.(ref), [0, 1]],
    ]);
    expect([pool.refCount(1), pool.tryRelease(1)]).toEqual([0, false]);
    expect(pool.stats()).toMatchObject({ free: 2, inFlight: 0 });
  }));

test("names", async () => {
  const statics = BufferPool as unknown as Loose;
  for (const method of ["create", "open", "openOrCreate", "unlink", "inspect"]) {
    await expectCodes([[method, bad, (name) => statics[method]?.(name), noNames]]);
  }
});

const optionRows: [option: string, values: unknown[]][] = [
  ["capacity", [0, 2 ** 24 - 1, ...noUint32]],
  ["bufferSize", [0, ...noUint32]],
  ["maxParticipants", [0, 4097, ...noUint32]],
  ["leaseTimeout", noUint32],
  ["maxCommitted", [2 ** 53, ...noWholeNumbers]],
  ["channels", [1025, ...noUint32]],
  ["zeroOnRelease", noFlags],
  ["mode", [0o1000, 0o1777, ...noUint32]],
  ["ephemeral", noFlags],
  ["views", [null, "", "none", "Shared", 0, true, {}, ["shared"]]],
  ["viewCache", [2 ** 53, ...noWholeNumbers]],
  ["participantName", noTexts],
  ["allowOwner", noUint32],
];

test("options of create, open and openOrCreate, and no pool is made", async () => {
  const name = `arguments.${process.pid}.options`;
  const statics = BufferPool as unknown as Loose;
  for (const method of ["create", "open", "openOrCreate"]) {
    await expectCodes([[`${method}(options)`, bad, (o) => statics[method]?.(name, o), noObjects]]);
    for (const [option, values] of optionRows) {
      const call: Call = (value) => statics[method]?.(name, { [option]: value });
      await expectCodes([[`${method}(${option})`, bad, call, values]]);
    }
  }
  const replace: Call = (value) => statics["openOrCreate"]?.(name, { replaceAbandoned: value });
  await expectCodes([["replaceAbandoned", bad, replace, noFlags]]);
  expect(await codeOf(() => BufferPool.open(name))).toBe("POOL_NOT_FOUND");
});

test("an option that does not exist is refused, by the name of the nearest one", () =>
  withPool({ capacity: 2, bufferSize: 64 }, async (pool, name) => {
    const statics = BufferPool as unknown as Loose;
    const loose = pool as unknown as Loose;
    const async: Call = (options) => loose["acquireAsync"]?.call(pool, 1, options);
    const blocking: Call = (options) =>
      loose["acquireBlocking"]?.call(pool, 1, Object.assign({ timeout: 0 }, options));
    const waits = [async, blocking];
    const create: Call = (options) => statics["create"]?.(name, options);
    const open: Call = (options) => statics["open"]?.(name, options);
    const openOrCreate: Call = (options) => statics["openOrCreate"]?.(name, options);
    const opens = [create, open, openOrCreate];
    const cases: [calls: Call[], option: string, advice: string][] = [
      [[create, openOrCreate], "capcity", 'did you mean "capacity"?'],
      [[create, openOrCreate], "buffersize", 'did you mean "bufferSize"?'],
      [[create, openOrCreate], "maxComitted", 'did you mean "maxCommitted"?'],
      [opens, "view", 'did you mean "views"?'],
      [opens, "viewcache", 'did you mean "viewCache"?'],
      [opens, "name", 'did you mean "participantName"?'],
      [opens, "somethingElse", 'the options are "'],
      [[openOrCreate], "replaceAbandonned", 'did you mean "replaceAbandoned"?'],
      [[create, open], "replaceAbandoned", "it is one of openOrCreate()"],
      [[open], "capacity", "it is one of create() and openOrCreate()"],
      [waits, "timeOut", 'did you mean "timeout"?'],
      [waits, "timeoutMs", 'did you mean "timeout"?'],
      [[async], "sginal", 'did you mean "signal"?'],
      [[blocking], "signal", 'the options are "timeout"'],
    ];
    const before = pool.stats();
    for (const [calls, option, advice] of cases) {
      for (const call of calls) {
        const error = await errorOfLater(() => call({ [option]: 8 }));
        expect(error.code).toBe(bad);
        expect(error.message).toContain(`there is no option "${option}"`);
        expect(error.message).toContain(advice);
      }
    }
    expect(pool.stats()).toEqual(before);
  }));

test("an option of another way to open passes where it is undefined", () =>
  withPool({ capacity: 2, bufferSize: 64 }, (_, name) => {
    const options = { capacity: undefined, replaceAbandoned: undefined, viewCache: undefined };
    BufferPool.open(name, options).close();
    BufferPool.openOrCreate(name, options).close();
  }));

test("an explicit undefined is the default, in every option", () => {
  const name = `arguments.${process.pid}.undefined`;
  const options = Object.fromEntries(optionRows.map(([option]) => [option, undefined]));
  using pool = BufferPool.create(name, { ...options, capacity: undefined });
  try {
    expect([pool.capacity, pool.bufferSize]).toEqual([1024, 1 << 20]);
    using other = BufferPool.open(name, undefined);
    using third = BufferPool.openOrCreate(name, { ...options, replaceAbandoned: undefined });
    expect(other.capacity + third.capacity).toBe(2048);
    expect(pool.acquire(undefined).size).toBe(1 << 20);
    expect(pool.tryAcquire(undefined)?.size).toBe(1 << 20);
  } finally {
    pool.unlink();
  }
});

test("the bounds themselves are legal", async () => {
  const base = { capacity: 1, bufferSize: 64, maxParticipants: 2 };
  const legal = [
    { bufferSize: 1 },
    { bufferSize: 2 ** 32 - 1 },
    { maxParticipants: 1 },
    { maxParticipants: 4096 },
    { leaseTimeout: 0 },
    { leaseTimeout: 2 ** 32 - 1 },
    { maxCommitted: 1 },
    { maxCommitted: 2 ** 53 - 1 },
    { channels: 0 },
    { channels: 1024 },
    { mode: 0 },
    { mode: 0o777 },
    { viewCache: 0 },
    { viewCache: 2 ** 53 - 1 },
    { participantName: "" },
    { participantName: "x".repeat(31) },
    { participantName: "é".repeat(15) },
    { allowOwner: 0 },
    { allowOwner: 2 ** 32 - 1 },
  ];
  const name = `a.B_c-9.${process.pid}.`.padEnd(200, "x");
  for (const options of legal) {
    try {
      const code = await codeOf(() => BufferPool.create(name, { ...base, ...options }).close());
      expect([options, code]).toEqual([options, "none"]);
    } finally {
      BufferPool.unlink(name);
    }
  }
});

test("-0 is 0", () =>
  withPool({ capacity: 2, bufferSize: 64 }, (pool) => {
    using guard = pool.acquire(-0);
    expect(Object.is(guard.size, 0)).toBe(true);
    expect(guard.index).toBe(0);
    expect(pool.refCount(-0)).toBe(1);
    expect(Object.is(pool.refCount(-0 + 1), 0)).toBe(true);
  }));

test("fields of meta, and the old value stays", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool) => {
    using guard = pool.acquire(24);
    const { meta } = guard;
    Object.assign(meta, { dtype: "float32", shape: [2, 3], timestamp: 7, sequence: 2 ** 53 });
    Object.assign(meta, { contentType: "é".repeat(15), producer: "x".repeat(31) });
    const before = meta.toJSON();
    expect(before).toMatchObject({ strides: [12, 4], sequence: 2 ** 53, producer: "x".repeat(31) });
    const noDims = [undefined, null, 3, "12", {}, { length: 1 }, new Uint8Array(2)];
    const elements = [undefined, 2 ** 53, ...noWholeNumbers];
    const set =
      (field: string): Call =>
      (value) =>
        Object.assign(meta, { [field]: value });
    const noCounts = [undefined, 2 ** 53 + 2, ...noWholeNumbers];
    const wholeOnly = elements.filter((each) => !(typeof each === "number" && each < 0));
    await expectCodes([
      ["dtype", bad, set("dtype"), [undefined, null, 0, "", "float8", "UINT8", "toString", {}]],
      ["timestamp", bad, set("timestamp"), noCounts],
      ["sequence", bad, set("sequence"), noCounts],
      ["shape", bad, set("shape"), [...noDims, Array(9).fill(1), Array(3)]],
      ["shape's element", bad, (each) => set("shape")([1, each]), elements],
      ["strides", bad, set("strides"), [...noDims, Array(9).fill(1), Array(3)]],
      ["strides' element", bad, (each) => set("strides")([1, each]), wholeOnly],
      ["contentType", bad, set("contentType"), [undefined, ...noTexts]],
      ["producer", bad, set("producer"), [undefined, ...noTexts]],
    ]);
    expect(meta.toJSON()).toEqual(before);
  }));

test("types that view() does not know, and sizes that they do not divide", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool) => {
    using guard = pool.acquire(12);
    const loose = guard as unknown as { view: Call };
    const unknown = [undefined, null, 0, "", "float8", "Uint8Array", "toString", {}, [], () => {}];
    const others = [DataView, ArrayBuffer, Array, class {}, Symbol("uint8"), 1n];
    const view: Call = (type) => loose.view.call(guard, type);
    const unfit = ["int64", "uint64", "float64", BigInt64Array, BigUint64Array, Float64Array];
    await expectCodes([["view(type)", bad, view, [...unknown, ...others, ...unfit]]]);
    expect(guard.view("float32").length).toBe(3);
  }));
