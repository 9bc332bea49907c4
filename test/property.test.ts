// Random calls on one pool through two opens of it, each compared with a model: what is returned or
// thrown, which buffer it is, and what the statistics say afterwards. A failure prints its seed,
// and the shortest calls that show it; PROPERTY_SEED repeats one.

import { beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { buildChecked } from "../scripts/checked.ts";
import { type BufferGuard, BufferPool, type ReadGuard, XmemError } from "../src/index.ts";
import { runAgain } from "./canary.ts";
import { type Hold, PoolModel, referencesMax, type Slot } from "./pool_model.ts";

const capacity = 4;
const bufferSize = 3 * 4096;

interface Real {
  readonly localCache: number;
  readonly pools: [BufferPool, BufferPool];
  /** The guard of each hold of the model. */
  guards: Map<Hold, BufferGuard | ReadGuard>;
}

/** The result of a call, or the code of its error. */
function outcome<Value>(body: () => Value): Value | string {
  try {
    return body();
  } catch (error) {
    if (error instanceof XmemError) return error.code;
    throw error;
  }
}

type Body = (model: PoolModel, real: Real, ...argv: number[]) => void;

class Step implements fc.Command<PoolModel, Real> {
  readonly #name: string;
  readonly #argv: readonly number[];
  readonly #body: Body;

  constructor(name: string, argv: readonly number[], body: Body) {
    this.#name = name;
    this.#argv = argv;
    this.#body = body;
  }

  check(): boolean {
    return true;
  }

  run(model: PoolModel, real: Real): void {
    this.#body(model, real, ...this.#argv);
    expectSame(model, real);
  }

  toString(): string {
    return `${this.#name}(${this.#argv.join(", ")})`;
  }
}

function expectSame(model: PoolModel, { pools }: Real): void {
  const { holds, ...sums } = model.sums();
  const { acquired, released } = model;
  const stats = pools[0].stats();
  expect(stats).toMatchObject({ ...sums, counters: { acquired, released } });
  expect(stats.participants).toMatchObject([{ holds, acquired, released }]);
}

const which = fc.nat({ max: 1 });
const any = fc.nat({ max: 1000 });
const sizes = fc.constantFrom(0, 1, 4096, 4097, bufferSize, bufferSize + 1);
const counts = fc.constantFrom(0, 1, 2, 3, 7, referencesMax - 1, referencesMax, referencesMax + 1);

const step = (name: string, argv: fc.Arbitrary<number>[], body: Body): fc.Arbitrary<Step> =>
  fc.tuple(...argv).map((values) => new Step(name, values, body));

const pick = <Value>(values: readonly Value[], n: number): Value | undefined =>
  values[n % (values.length || 1)];

/** Handles and bare indexes, of buffers in use and of others. */
function refOf(model: PoolModel, n: number): number {
  const handles = model.slots.flatMap(({ handle }) => handle ?? []);
  const indexes = model.slots.map(({ index }) => index);
  const all = [...handles, ...indexes, ...handles, ...model.stale.slice(-3), capacity];
  return pick(all, n) ?? 0;
}

function expectGuard(
  model: PoolModel,
  real: Real,
  hold: Hold,
  guard: BufferGuard | ReadGuard,
): void {
  const { handle, size, writable, slot } = hold;
  expect(guard).toMatchObject({ handle, size, writable, index: slot.index });
  expect(guard.bytes.length).toBe(size);
  real.guards.set(hold, guard);
  expect(model.resolve(guard.handle)).toBe(slot);
}

const acquire =
  (method: "acquire" | "tryAcquire"): Body =>
  (model, real, open = 0, size = 0) => {
    const found = outcome(() => real.pools[open as 0 | 1][method](size));
    const slot = size > bufferSize ? undefined : model.next(size);
    if (size > bufferSize) expect(found).toBe("TOO_LARGE");
    else if (slot === undefined) expect(found).toBe(method === "acquire" ? "POOL_FULL" : null);
    else {
      const guard = found as BufferGuard;
      expect(guard.index).toBe(slot.index);
      // The generation is new: no earlier buffer of this slot had this handle.
      expect(model.stale).not.toContain(guard.handle);
      expectGuard(model, real, model.acquire(open, guard.handle, size), guard);
    }
  };

/** A call by ref: what it must do to the slot that the ref names, and return. */
const byRef =
  (
    method:
      | "addRef"
      | "unref"
      | "release"
      | "refCount"
      | "setRefCount"
      | "tryRelease"
      | "releaseBuffer",
    onSlot: (model: PoolModel, slot: Slot, argument: number) => unknown,
  ): Body =>
  (model, real, open = 0, n = 0, argument = 0) => {
    const ref = refOf(model, n);
    const pool = real.pools[open as 0 | 1];
    const found = outcome(() => pool[method](ref, argument));
    const slot = model.resolve(ref);
    const bareAndFree = slot === "BUFFER_NOT_FOUND" && ref < capacity;
    if (typeof slot !== "string") expect(found).toBe(onSlot(model, slot, argument) as never);
    else if (argument > referencesMax) expect(found).toBe("INVALID_ARGUMENT");
    else if (bareAndFree && method === "refCount") expect(found).toBe(0);
    else if (bareAndFree && method === "tryRelease") expect(found).toBe(false);
    else expect(found).toBe(slot);
  };

/** Takes one in-flight reference away; undefined when there is none. */
function lessInFlight(model: PoolModel, slot: Slot): number | undefined {
  if (slot.inFlight === 0) return undefined;
  slot.inFlight--;
  return model.count(slot);
}

function addRef(model: PoolModel, slot: Slot): unknown {
  if (model.count(slot) === referencesMax) return "TOO_MANY_REFERENCES";
  slot.inFlight++;
  return model.count(slot);
}

function unref(model: PoolModel, slot: Slot): unknown {
  const left = lessInFlight(model, slot);
  if (left === 0) model.recycle(slot);
  return left ?? "NO_REFERENCE";
}

function setRefCount(_model: PoolModel, slot: Slot, count: number): unknown {
  if (count < slot.holds || count > referencesMax) return "INVALID_ARGUMENT";
  slot.inFlight = count - slot.holds;
  return count;
}

const recycleAtZero =
  (recycled: unknown, counted: unknown) =>
  (model: PoolModel, slot: Slot): unknown => {
    if (model.count(slot) > 0) return counted;
    model.recycle(slot);
    return recycled;
  };

const newHold =
  (method: "get" | "getMut" | "take"): Body =>
  (model, real, open = 0, n = 0) => {
    const ref = refOf(model, n);
    const found = outcome(() => real.pools[open as 0 | 1][method](ref));
    const slot = model.resolve(ref);
    if (typeof slot === "string") return expect(found).toBe(slot);
    if (method === "take" ? slot.inFlight === 0 : model.count(slot) === 0)
      return expect(found).toBe("NO_REFERENCE");
    if (method === "take") slot.inFlight--;
    else if (model.count(slot) === referencesMax) return expect(found).toBe("TOO_MANY_REFERENCES");
    expectGuard(model, real, model.hold(open, slot, method !== "get"), found as ReadGuard);
  };

/** A call on a guard, done or not. */
const onGuard =
  (
    body: (model: PoolModel, real: Real, hold: Hold, guard: BufferGuard | ReadGuard) => void,
  ): Body =>
  (model, real, n = 0) => {
    const hold = pick(model.holds, n);
    const guard = hold && real.guards.get(hold);
    if (hold !== undefined && guard !== undefined) body(model, real, hold, guard);
  };

const commands = [
  step("acquire", [which, sizes], acquire("acquire")),
  step("tryAcquire", [which, sizes], acquire("tryAcquire")),
  step(
    "guard.release",
    [any],
    onGuard((model, _real, hold, guard) => {
      guard.release();
      model.drop(hold);
    }),
  ),
  step(
    "guard.clone",
    [any],
    onGuard((model, real, hold, guard) => {
      const found = outcome(() => guard.clone());
      if (hold.refusal !== undefined) expect(found).toBe(hold.refusal);
      else if (model.count(hold.slot) === referencesMax) expect(found).toBe("TOO_MANY_REFERENCES");
      else
        expectGuard(
          model,
          real,
          model.hold(hold.open, hold.slot, hold.writable),
          found as BufferGuard,
        );
    }),
  ),
  step(
    "guard.share",
    [any],
    onGuard((model, _real, hold, guard) => {
      const found = outcome(() => guard.share());
      if (hold.refusal !== undefined) expect(found).toBe(hold.refusal);
      else if (addRef(model, hold.slot) === "TOO_MANY_REFERENCES")
        expect(found).toBe("TOO_MANY_REFERENCES");
      else expect(found).toBe(hold.handle);
    }),
  ),
  ...(["handOff", "forget"] as const).map((method) =>
    step(
      `guard.${method}`,
      [any],
      onGuard((model, _real, hold, guard) => {
        const found = outcome(() => guard[method]());
        if (hold.refusal !== undefined) return expect(found).toBe(hold.refusal);
        expect(found).toBe(method === "handOff" ? hold.handle : hold.slot.index);
        model.handOff(hold);
      }),
    ),
  ),
  ...(["get", "getMut", "take"] as const).map((method) =>
    step(method, [which, any], newHold(method)),
  ),
  step("addRef", [which, any], byRef("addRef", addRef)),
  step("unref", [which, any], byRef("unref", unref)),
  step(
    "release",
    [which, any],
    byRef("release", (model, slot) => lessInFlight(model, slot) ?? "NO_REFERENCE"),
  ),
  step(
    "refCount",
    [which, any],
    byRef("refCount", (model, slot) => model.count(slot)),
  ),
  step("setRefCount", [which, any, counts], byRef("setRefCount", setRefCount)),
  step("tryRelease", [which, any], byRef("tryRelease", recycleAtZero(true, false))),
  step(
    "releaseBuffer",
    [which, any],
    byRef("releaseBuffer", recycleAtZero(undefined, "BUFFER_IN_USE")),
  ),
  step("trim", [which], (model, real, open = 0) =>
    expect(real.pools[open as 0 | 1].trim()).toBe(model.trim()),
  ),
  step(
    "preallocate",
    [which, sizes, fc.nat({ max: 6 })],
    (model, real, open = 0, size = 0, n = 0) => {
      const found = outcome(() => real.pools[open as 0 | 1].preallocate(size, n));
      if (size > bufferSize) expect(found).toBe("TOO_LARGE");
      else expect(found).toBe(model.preallocate(size, n));
    },
  ),
  step("close and open", [], (model, { pools, localCache }) => {
    const { name } = pools[1];
    pools[1].close();
    pools[1] = BufferPool.open(name, { localCache });
    model.close(1);
  }),
  step("reclaim", [which], (_model, real, open = 0) => {
    const nothing = { participants: 0, references: 0, buffers: 0, deferred: false };
    expect(real.pools[open as 0 | 1].reclaim()).toEqual(nothing);
  }),
];

/** After any sequence, everything can be given back, and every buffer is there again. */
function expectWhole(model: PoolModel, real: Real): void {
  for (const [hold, guard] of real.guards) {
    guard.release();
    model.drop(hold);
  }
  for (const slot of model.slots) {
    if (!slot.used) continue;
    expect(real.pools[0].setRefCount(slot.index, 0)).toBe(0);
    slot.inFlight = 0;
    expect(real.pools[1].tryRelease(slot.index)).toBe(true);
    model.recycle(slot);
  }
  expectSame(model, real);
  for (let n = 0; n < capacity; n++) acquire("acquire")(model, real, n % 2, 1);
  expect(real.pools[0].tryAcquire(1)).toBeNull();
}

let made = 0;

function property(commandsRun: Iterable<fc.Command<PoolModel, Real>>, localCache = 0): void {
  const name = `property.${process.pid}.${++made}`;
  const options = { capacity, bufferSize, leaseTimeout: 0, maxParticipants: 2, localCache };
  using first = BufferPool.create(name, options);
  try {
    const model = new PoolModel(capacity, bufferSize, localCache);
    const real: Real = {
      pools: [first, BufferPool.open(name, { localCache })],
      guards: new Map(),
      localCache,
    };
    try {
      fc.modelRun(() => ({ model, real }), commandsRun);
      expectWhole(model, real);
    } finally {
      real.pools[1].close();
    }
  } finally {
    first.unlink();
  }
}

function check(localCache: number, numRuns: number): void {
  const seed = process.env["PROPERTY_SEED"];
  const run = (each: Iterable<fc.Command<PoolModel, Real>>): void => property(each, localCache);
  fc.assert(fc.property(fc.commands(commands, { maxCommands: 150, size: "max" }), run), {
    numRuns,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
  });
}

test("a random sequence of calls does what the model does", () => check(0, 300), 120_000);

test("with a cache of free slots it does, too", () => check(2, 200), 120_000);

const canaries = ["unref_keeps_reference", "generation_kept"];

beforeAll(() => buildChecked("breakable"), 300_000);

for (const canary of canaries) {
  test(`the same sequences catch a library with ${canary}`, () => {
    const pattern = "the model does";
    const { exitCode, output } = runAgain(import.meta.path, pattern, "breakable", canary);
    expect(exitCode, output).toBe(1);
    expect(output).toContain("Property failed after");
    expect(output).toMatch(/seed: -?\d+/);
  }, 120_000);
}
