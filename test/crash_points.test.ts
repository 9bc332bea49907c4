// Every operation, killed at every step that it makes, by real processes: before each access to
// shared memory, and before each system call that others can see. The survivor recovers, keeps what
// it holds, and finds every buffer again, each exactly once. Recoveries are killed too, and so are
// the participants that carry them on. What happens at each step is in `crash_sweep.ts`.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { type BufferGuard, BufferPool, type PoolOptions } from "../src/index.ts";
import { runAgain } from "./canary.ts";
import { checkWhole, crashing, report, sweep, type Victim } from "./crash_sweep.ts";

const { directory, begin, end, startVictim } = crashing("crash_point.ts");

beforeAll(begin, 300_000);
afterAll(end);

const start = (name: string, operation: string, step: number, handle = 0, gate = ""): Victim =>
  startVictim(name, operation, String(step), String(handle), gate);

interface Scenario {
  options?: PoolOptions;
  /** Nothing is free when the victim begins, until it waits. */
  full?: "until it waits" | "for ever";
  /** The victim's handle is of a buffer that was counted to 0 by hand. */
  parked?: boolean;
  /** The operation of the program, if not of the scenario's name. */
  operation?: string;
}

function park(pool: BufferPool): number {
  const guard = pool.acquire(100);
  const handle = guard.handOff();
  expect(pool.release(handle)).toBe(0);
  return handle;
}

/** Kills one victim at `step`; checks that nothing is lost. True when the operation was shorter. */
async function survive(what: string, scenario: Scenario, step: number): Promise<boolean> {
  const name = `crash.${process.pid}.${what.replaceAll(" ", "-")}.${step}`;
  const leaseTimeout = scenario.full === undefined ? 1 : 0;
  const options = { capacity: 4, bufferSize: 65_536, leaseTimeout, ...scenario.options };
  using pool = BufferPool.create(name, options);
  try {
    // So that only the operation of that name commits memory.
    pool.preallocate(4096, pool.capacity);
    const held = pool.acquire(4096);
    held.bytes.fill(step % 251);
    const fillers: BufferGuard[] = [];
    while (scenario.full !== undefined && pool.stats().free > 0) fillers.push(pool.acquire(1));
    // Where a lease would expire, a wait would begin with a recovery.
    let handle = scenario.full === undefined ? held.share() : held.handle;
    if (scenario.parked) handle = park(pool);

    const victim = start(name, scenario.operation ?? what, step, handle);
    if (scenario.full === "until it waits") {
      while (!victim.ended() && pool.stats().waiters === 0) await Bun.sleep(1);
      fillers.pop()?.release();
    }
    const survived = await victim.survived;

    expect(pool.reclaim().deferred).toBe(false);
    expect(held.bytes.every((byte) => byte === step % 251)).toBe(true);
    expect(pool.refCount(held.handle)).toBeGreaterThanOrEqual(1);
    for (const guard of [held, ...fillers]) guard.release();
    await checkWhole(pool, scenario.options?.zeroOnRelease);
    return survived;
  } finally {
    BufferPool.unlink(name);
  }
}

const scenarios: Record<string, Scenario> = {
  acquire: {},
  "acquire from the cache": {},
  "acquire more than the cache has": {},
  "release into the cache": {},
  "trim of what the cache has": {},
  "close with a cache": {},
  "acquire that commits": {},
  release: {},
  "release that zeroes": { operation: "release", options: { zeroOnRelease: true } },
  share: {},
  handOff: {},
  forget: {},
  clone: {},
  truncate: {},
  "truncate and release": { options: { zeroOnRelease: true } },
  get: {},
  take: {},
  "take of an expired lease": {},
  addRef: {},
  unref: {},
  "release by hand": {},
  setRefCount: {},
  tryRelease: { parked: true },
  "tryRelease that zeroes": {
    operation: "tryRelease",
    parked: true,
    options: { zeroOnRelease: true },
  },
  releaseBuffer: { parked: true },
  "blocking wait": { full: "until it waits" },
  "blocking wait that times out": { full: "for ever" },
  "async wait": { full: "until it waits" },
  "async wait that times out": { full: "for ever" },
  preallocate: {},
  trim: {},
  flush: {},
  unflush: {},
  open: {},
  close: {},
  reclaim: {},
};

test("a recovery that keeps the rows of the dead is caught", () => {
  // The same sweep in a process whose library is broken on purpose.
  const { exitCode, output } = runAgain(
    import.meta.path,
    "every step acquire$",
    "crash",
    "dead_rows_kept",
  );
  expect(exitCode).toBe(1);
  expect(output).toContain("toEqual");
}, 120_000);

describe("killed at every step", () => {
  for (const [what, scenario] of Object.entries(scenarios)) {
    test(what, async () => {
      report(what, await sweep((step) => survive(what, scenario, step)));
    }, 120_000);
  }
});

const codeOf = (body: () => unknown): string | undefined => {
  try {
    body();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

const exists = (name: string): boolean => readdirSync(directory).includes(`xmem.${name}`);

/** A pool of that name can be made, and is whole. */
async function makeAnew(name: string): Promise<void> {
  using pool = BufferPool.create(name, { capacity: 4, bufferSize: 4096 });
  await checkWhole(pool);
  expect(BufferPool.unlink(name)).toBe(true);
}

describe("the name of a pool whose participant is killed at every step of", () => {
  test("create: it leads to a whole pool or to nothing", async () => {
    let whole = 0;
    const points = await sweep(async (step) => {
      const name = `create.${step}`;
      const survived = await start(name, "create", step).survived;
      const made = exists(name);
      if (survived) expect(made).toBe(true);
      if (made) {
        whole += 1;
        expect(codeOf(() => BufferPool.create(name))).toBe("POOL_EXISTS");
        using pool = BufferPool.open(name);
        await checkWhole(pool);
        pool.unlink();
      } else expect(codeOf(() => BufferPool.open(name))).toBe("POOL_NOT_FOUND");
      await makeAnew(name);
      return survived;
    });
    report("create", points);
    expect(whole).toBeGreaterThan(0);
  }, 120_000);

  for (const operation of ["create an ephemeral pool", "close an ephemeral pool"]) {
    test(`${operation}: it is free again`, async () => {
      const points = await sweep(async (step) => {
        const name = `${operation.replaceAll(" ", "-")}.${step}`;
        const survived = await start(name, operation, step).survived;
        if (step % 2 === 0) {
          // The open finds only dead participants, and takes the name away.
          expect(codeOf(() => BufferPool.open(name))).toBe("POOL_NOT_FOUND");
          expect(exists(name)).toBe(false);
        } else {
          using pool = BufferPool.openOrCreate(name, { capacity: 4, ephemeral: true });
          await checkWhole(pool);
        }
        expect(exists(name)).toBe(false);
        await makeAnew(name);
        return survived;
      });
      report(operation, points);
    }, 120_000);
  }

  test("openOrCreate over an abandoned pool: the old one, a whole new one, or nothing", async () => {
    const operation = "openOrCreate an abandoned pool";
    const points = await sweep(async (step) => {
      const name = `replace.${step}`;
      BufferPool.create(name, { capacity: 2, bufferSize: 4096 }).close();
      const survived = await start(name, operation, step).survived;
      using pool = BufferPool.openOrCreate(name, { capacity: 4, replaceAbandoned: true });
      expect(pool.capacity).toBe(4);
      await checkWhole(pool);
      pool.unlink();
      await makeAnew(name);
      return survived;
    });
    report(operation, points);
  }, 120_000);
});

/** Lets each die in turn. All open the pool before that, because a later open would recover it. */
async function letDie(...victims: Victim[]): Promise<boolean> {
  for (const victim of victims) await victim.ready;
  let survived = false;
  for (const victim of victims) {
    victim.go();
    survived = await victim.survived;
  }
  return survived;
}

interface Losses {
  options: PoolOptions;
  /** The programs that die first, each gated. */
  leave: (name: string, step: number) => Victim[];
}

/** A hold and an in-flight reference of one dead participant. */
const few: Losses = {
  options: { capacity: 2, bufferSize: 4096, leaseTimeout: 1, maxParticipants: 8 },
  leave: (name) => [start(name, "share", 0, 0, "gated")],
};

/**
 * Two dead participants: one with a hold, an in-flight reference, a parked buffer and a flush, one
 * that died at some step of a release that zeroes, at most of them with a PRIVATE or a dirty slot.
 */
const many: Losses = {
  options: { ...few.options, capacity: 6, zeroOnRelease: true },
  leave: (name, step) => [
    start(name, "release", 1 + (step % 20), 0, "gated"),
    start(name, "leave many losses", 0, 0, "gated"),
  ],
};

/** A participant dies, then the recoverers one after another; the last one at `step`. */
async function surviveAll(
  losses: Losses,
  step: number,
  recoverers: (name: string) => Victim[],
  last?: (name: string) => Victim,
): Promise<boolean> {
  const name = `losses.${process.pid}.${++poolsMade}`;
  using pool = BufferPool.create(name, losses.options);
  try {
    pool.preallocate(4096, pool.capacity);
    const held = pool.acquire(4096);
    held.bytes.fill(step % 251);
    let survived = await letDie(...losses.leave(name, step), ...recoverers(name));
    if (last !== undefined) survived = await letDie(last(name));
    expect(pool.reclaim().deferred).toBe(false);
    expect(held.bytes.every((byte) => byte === step % 251)).toBe(true);
    held.release();
    await checkWhole(pool, losses.options.zeroOnRelease);
    return survived;
  } finally {
    BufferPool.unlink(name);
  }
}

let poolsMade = 0;

describe("killed at every step, a recovery", () => {
  test("of many losses", async () => {
    const points = await sweep((step) =>
      surviveAll(many, step, (name) => [start(name, "reclaim", step, 0, "gated")]),
    );
    report("reclaim of many losses", points);
  }, 240_000);

  const reclaim = (name: string, step: number): Victim => start(name, "reclaim", step, 0, "gated");
  let whole: Promise<number> | undefined;
  const steps = (): Promise<number> => {
    whole ??= sweep((step) => surviveAll(few, step, (name) => [reclaim(name, step)]));
    return whole;
  };

  // The first recoverer dies when everything is frozen, amid its rewriting, and near its end.
  for (const [successor, parts] of [
    ["reclaim", [0.35, 0.6, 0.9]],
    ["acquire", [0.6]],
    ["open", [0.6]],
  ] as const) {
    test(`that ${successor} carries on after a dead recoverer`, async () => {
      for (const part of parts) {
        const first = Math.round((await steps()) * part);
        const points = await sweep((step) => {
          const next = (name: string): Victim => start(name, successor, step, 0, "gated");
          // A program that opens must begin after the recoverer's death; the others must begin
          // before it.
          return successor === "open"
            ? surviveAll(few, step, (name) => [reclaim(name, first)], next)
            : surviveAll(few, step, (name) => [reclaim(name, first), next(name)]);
        });
        report(`${successor} after a reclaim that died at step ${first}`, points);
      }
    }, 240_000);
  }
});
