// Everything that frees a buffer, or ends a wait in another way, wakes the waiter: at once, and not
// when the waiter looks for itself.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { BufferPool, type PoolOptions } from "../src/index.ts";
import { expectShort, expectSoon, kinds, now, rounds, Waiter } from "./latency.ts";
import { withPool } from "./processes.ts";
import {
  buildCrashLibrary,
  crashing,
  type Script,
  script,
  until,
  untilStopped,
} from "./scripts.ts";

const poolSource = JSON.stringify(join(import.meta.dir, "../src/index.ts"));
const nativeSource = JSON.stringify(join(import.meta.dir, "../src/native/native.ts"));

const waiters = [...kinds, ...kinds].map((kind) => new Waiter(kind));
const pair = waiters.slice(0, 2);
afterAll(() => Promise.all(waiters.map((waiter) => waiter.end())));

/** Leases that never end: else an idle event loop looks every 50 ms for those that did. */
const one: PoolOptions = { capacity: 1, bufferSize: 64, leaseTimeout: 0 };

/** Shorter than a sleep can be. */
function keepLoop(milliseconds: number): void {
  const until = now() + milliseconds;
  while (now() < until);
}

const timed = (body: () => unknown): number => {
  const from = now();
  body();
  return from;
};

/** Takes the pool's buffer, and returns a function that gives it back in one of many ways. */
const ways: Record<string, (pool: BufferPool, name: string) => () => unknown> = {
  "a release": (pool) => {
    const guard = pool.acquire(1);
    return () => guard.release();
  },
  "the release of the last of several holds": (pool) => {
    const guard = pool.acquire(1);
    const clones = [guard.clone(), pool.getMut(guard.handle)];
    return () => {
      for (const each of [guard, ...clones]) each.release();
    };
  },
  "a take and its release": (pool) => {
    const handle = pool.acquire(1).handOff();
    return () => pool.take(handle).release();
  },
  "unref of the last reference": (pool) => {
    const handle = pool.acquire(1).handOff();
    pool.addRef(handle);
    pool.unref(handle);
    return () => pool.unref(handle);
  },
  tryRelease: (pool) => {
    const handle = pool.acquire(1).handOff();
    pool.release(handle);
    return () => pool.tryRelease(handle);
  },
  "releaseBuffer after setRefCount": (pool) => {
    const handle = pool.acquire(1).handOff();
    pool.setRefCount(handle, 0);
    return () => pool.releaseBuffer(handle);
  },
  "the close of an open that holds": (_, name) => {
    const other = BufferPool.open(name);
    other.acquire(1);
    return () => other.close();
  },
  "the close of an open that has lost its hold to another": (pool, name) => {
    const other = BufferPool.open(name);
    const taken = pool.take(other.acquire(1).handOff());
    other.close();
    return () => taken.release();
  },
};

describe.each([false, true])("where zeroOnRelease is %p,", (zeroOnRelease) => {
  for (const [way, hold] of Object.entries(ways)) {
    test(`${way} wakes a waiter at once`, async () => {
      for (const waiter of pair) {
        await expectSoon({
          options: { ...one, zeroOnRelease },
          waiters: [waiter],
          round: (pool, name) => {
            const giveBack = hold(pool, name);
            return () => timed(giveBack);
          },
        });
      }
    });
  }
});

test("each release wakes another of several waiters at once", () =>
  expectSoon({
    options: { ...one, capacity: 4 },
    waiters,
    round: (pool) => {
      const guards = Array.from({ length: 4 }, () => pool.acquire(1));
      return () => timed(() => guards.map((guard) => guard.release()));
    },
  }));

test("flush ends the waits of all at once, and after unflush a release wakes as ever", () =>
  expectSoon({
    options: one,
    waiters,
    code: "POOL_FLUSHING",
    round: (pool) => {
      pool.unflush();
      const guard = pool.acquire(1);
      return () => {
        const from = timed(() => pool.flush());
        guard.release();
        return from;
      };
    },
  }));

describe("a wake that reached a participant", () => {
  // This process is the participant. Its native thread waits before the waiter does, and so is the
  // first to be woken.
  for (const waiter of pair) {
    // After a wait, the thread of an event loop sleeps until its slice ends, and would be first.
    const comeFirst = () => (waiter.kind === "async" ? Bun.sleep(60) : undefined);

    test.each([
      ["whose last wait is aborted", 0.5, 0],
      // The abort comes when the wake has long been with somebody else.
      ["whose event loop is busy", 0, 25],
    ] as const)(`%s is passed on at once, ${waiter.kind}`, (_, before, after) =>
      expectSoon({
        options: one,
        waiters: [waiter],
        waiting: 2,
        round: async (pool) => {
          await comeFirst();
          const guard = pool.acquire(1);
          const controller = new AbortController();
          pool.acquireAsync(1, { signal: controller.signal }).catch(() => {});
          return () => {
            // Its thread is woken, but its loop, which is blocked here, does not hear of it.
            const from = timed(() => guard.release());
            keepLoop(before);
            if (after === 0) controller.abort();
            keepLoop(after);
            controller.abort();
            return from;
          };
        },
      }),
    );

    test(`that no longer waits is passed on at once, ${waiter.kind}`, () =>
      expectSoon({
        options: one,
        waiters: [waiter],
        round: async (pool) => {
          await comeFirst();
          const guard = pool.acquire(1);
          const controller = new AbortController();
          const wait = pool.acquireAsync(1, { signal: controller.signal }).catch(() => {});
          // Its thread sleeps, and goes on doing so.
          await Bun.sleep(2);
          controller.abort();
          await wait;
          return () => timed(() => guard.release());
        },
      }));

    test(`that closes is passed on at once, ${waiter.kind}`, () =>
      expectSoon({
        options: one,
        waiters: [waiter],
        waiting: 2,
        round: async (pool, name) => {
          await comeFirst();
          const guard = pool.acquire(1);
          const other = BufferPool.open(name);
          other.acquireAsync(1).catch(() => {});
          await Bun.sleep(2);
          return () => {
            guard.release();
            Bun.sleepSync(5);
            return timed(() => other.close());
          };
        },
      }));
  }
});

beforeAll(buildCrashLibrary, 300_000);

describe("the end of a thread that holds", () => {
  const ends: Record<string, string> = {
    "by close": "pool.close();",
    "by process.exit": "process.exit(0);",
  };
  for (const [end, code] of Object.entries(ends)) {
    test.each(pair)(`${end} wakes a waiter at once, $kind`, (waiter) =>
      expectSoon({
        options: one,
        waiters: [waiter],
        round: async (_, name) => {
          const worker = startWorker(name, code);
          await told(worker);
          return async () => {
            const ending = told(worker);
            worker.postMessage("end");
            return (await ending) as number;
          };
        },
      }),
    );
  }

  test.each(pair)("by terminate wakes a waiter at once, $kind", (waiter) =>
    expectSoon({
      options: one,
      waiters: [waiter],
      round: async (_, name) => {
        const worker = startWorker(name, "");
        await told(worker);
        return async () => {
          const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
          worker.terminate();
          await closed;
          return now();
        };
      },
    }),
  );
});

/** A thread that holds the pool's buffer, says so, and at the first message when it ends. */
function startWorker(name: string, code: string): Worker {
  const source = `
    const { BufferPool } = await import(${poolSource});
    const { native } = await import(${nativeSource});
    const pool = BufferPool.open(${JSON.stringify(name)});
    globalThis.kept = pool.acquire(1);
    onmessage = () => { postMessage(native.xmem_bun_now()); ${code} };
    postMessage("holds");`;
  return new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
}

const told = (worker: Worker): Promise<unknown> =>
  new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
  });

describe("a recovery", () => {
  const two: PoolOptions = { ...one, capacity: 2 };
  /** Holds all free buffers, again and again, until it is killed. */
  const startHolder = async (name: string): Promise<Script> => {
    const holder = script(
      `const pool = BufferPool.open(${JSON.stringify(name)});
      globalThis.kept = [pool.acquire(1), pool.acquire(1)];
      say("holds");
      await heard();`,
    );
    expect(await holder.line()).toBe("holds");
    return holder;
  };

  test("gives the buffers of a killed process to waiters at once", () =>
    expectSoon({
      options: two,
      waiters: pair,
      round: async (pool, name) => {
        const holder = await startHolder(name);
        return async () => {
          holder.kill("SIGKILL");
          await holder.ended;
          const from = now();
          while (pool.stats().participants.length > 3) pool.reclaim();
          return from;
        };
      },
    }));

  test.each(pair)("is begun by a waiter itself within a slice or two, $kind", (waiter) =>
    expectSoon({
      options: two,
      waiters: [waiter],
      below: 120,
      round: async (_, name) => {
        const holder = await startHolder(name);
        return async () => {
          const from = now();
          holder.kill("SIGKILL");
          await holder.ended;
          return from;
        };
      },
    }),
  );
});

test("a close in a wait takes no slice, though others sleep before it", () =>
  withPool(one, async (pool, name) => {
    const [waiter] = pair as [Waiter];
    await waiter.open(name);
    const held = pool.acquire(1);
    await waiter.wait();
    await until(() => pool.stats().waiters === 1);
    const took: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const other = BufferPool.open(name);
      const wait = other.acquireAsync(1).catch(() => {});
      await Bun.sleep(5);
      const from = now();
      other.close();
      took.push(now() - from);
      await wait;
    }
    held.release();
    expect((await waiter.outcome()).code).toBe("none");
    await waiter.giveBack();
    await waiter.close();
    expectShort("close", took);
  }));

/** A process that works on pools, and stops itself at a step of it. Tell it "NAME STEP". */
function startStopper(before: string, work: string): Script {
  return script(
    `for (let order = await heard(); order !== ""; order = await heard()) {
      const [name, step] = order.split(" ");
      const pool = BufferPool.open(name);
      ${before}
      stopAtStep(Number(step));
      ${work}
      const steps = stepsTaken();
      stopAtStep(0);
      say(steps);
      pool.close();
      say("closed");
    }`,
    crashing,
  );
}

/** Lets it go on to the end of its operation. Returns when that began. */
async function goOn(stopper: Script): Promise<number> {
  const from = now();
  stopper.kill("SIGCONT");
  expect(Number(await stopper.line())).toBeGreaterThan(0);
  expect(await stopper.line()).toBe("closed");
  return from;
}

async function endStopper(stopper: Script): Promise<void> {
  await stopper.rest();
  expect(await stopper.ended).toBe(0);
}

test("a call that finds the pool in the middle of a recovery goes on as soon as that ends", async () => {
  // Its own expired lease has to be recovered.
  const stopper = startStopper("pool.acquire(1).handOff(); Bun.sleepSync(21);", "pool.reclaim();");
  for (const waiter of pair) {
    let step = 0;
    await expectSoon({
      options: { ...one, capacity: 2, leaseTimeout: 1 },
      waiters: [waiter],
      // Nobody can be counted.
      waiting: 0,
      round: async (_, name) => {
        if (step === 0) {
          stopper.tell(`${name} 0`);
          step = Math.ceil(Number(await stopper.line()) / 2);
          expect(await stopper.line()).toBe("closed");
        }
        stopper.tell(`${name} ${step}`);
        await untilStopped(stopper.pid);
        return async () => {
          // Longer than one sleep of a call that meets a frozen word.
          await Bun.sleep(8);
          return await goOn(stopper);
        };
      },
    });
  }
  await endStopper(stopper);
});

describe("a slot that is worked on", () => {
  const works: Record<string, [before: string, work: string]> = {
    trim: ["pool.acquire(1).release();", "pool.trim();"],
    preallocate: ["pool.trim();", "pool.preallocate(1, 1);"],
  };
  const options: PoolOptions = { ...one, bufferSize: 8192 };

  /** Whether the pool is empty meanwhile, and no recovery keeps anybody from waiting. */
  function isWorkedOn(pool: BufferPool): boolean {
    const controller = new AbortController();
    const wait = pool.acquireAsync(0, { signal: controller.signal });
    wait.then(
      (guard) => guard.release(),
      () => {},
    );
    const { waiters: counted } = pool.stats();
    controller.abort();
    return counted === 1;
  }

  /** A step in the middle of this state, so that a few steps more or less do not matter. */
  async function stepOf(stopper: Script): Promise<number> {
    const steps: number[] = [];
    await withPool(options, async (pool, name) => {
      for (let step = 1; steps.length === 0 || steps.includes(step - 1); step++) {
        stopper.tell(`${name} ${step}`);
        await untilStopped(stopper.pid);
        if (isWorkedOn(pool)) steps.push(step);
        await goOn(stopper);
      }
    });
    return steps[steps.length >> 1] ?? 0;
  }

  for (const [work, [before, call]] of Object.entries(works)) {
    test(`by ${work} goes to its waiter as soon as it is put back`, async () => {
      const stopper = startStopper(before, call);
      const step = await stepOf(stopper);
      for (const waiter of pair) {
        await expectSoon({
          options,
          // A size for which no memory is needed.
          size: 0,
          waiters: [waiter],
          round: async (_, name) => {
            stopper.tell(`${name} ${step}`);
            await untilStopped(stopper.pid);
            return () => goOn(stopper);
          },
        });
      }
      await endStopper(stopper);
    });
  }
});
