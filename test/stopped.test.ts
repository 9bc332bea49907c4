// Participants that are stopped, not dead: inside a recovery, inside an operation, all of them at
// once. The others wait with patience that ends, lose nothing, and go on.

import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import type { BufferPool } from "../src/index.ts";
import { withPool } from "./processes.ts";
import {
  buildCrashLibrary,
  crashing,
  isStopped,
  type Script,
  script,
  until,
  untilStopped,
} from "./scripts.ts";

beforeAll(buildCrashLibrary, 300_000);

/**
 * A process that recovers and stops itself at a step of that: an expression of `steps`, their
 * number.
 */
async function stoppedRecoverer(name: string, step: string, leaseMs = 1): Promise<Script> {
  const child = script(
    `const pool = BufferPool.open(${JSON.stringify(name)});
    const { steps } = recoverStopping(pool, ${leaseMs}, 0);
    say("recovering");
    say(recoverStopping(pool, ${leaseMs}, ${step}).report);
    pool.close();`,
    crashing,
  );
  expect(await child.line()).toBe("recovering");
  await untilStopped(child.pid);
  return child;
}

/** The results of one participant's calls while another is stopped. */
const otherHolds = 40;
const otherSource = (name: string): string =>
  `const pool = BufferPool.open(${JSON.stringify(name)});
  const guards = Array.from({ length: ${otherHolds} }, () => pool.acquire(1));
  say("holding");
  await heard();
  const untimed = [
    codeOf(() => pool.acquire(1).release()),
    codeOf(() => guards[0].clone().release()),
    codeOf(() => pool.reclaim()),
  ];
  const timed = [
    codeOf(() => pool.acquireBlocking(1, { timeout: 50 }).release()),
    await codeOfLater(async () => (await pool.acquireAsync(1, { timeout: 50 })).release()),
  ];
  // These never throw.
  guards[1].release();
  guards[2][Symbol.dispose]();
  say({ untimed, timed, used: pool.stats().used });
  await heard();
  pool.close();
  say("closed");`;

const parts = [0.02, 0.2, 0.4, 0.6, 0.8, 0.98];
const seen = new Set<string>();

async function endsWell(pool: BufferPool): Promise<void> {
  await until(() => !pool.reclaim().deferred);
  const { capacity } = pool;
  expect(pool.stats()).toMatchObject({ free: capacity, used: 0, inFlight: 0, waiters: 0 });
  expect(pool.stats().participants.length).toBe(1);
  const all = Array.from({ length: capacity }, () => pool.acquire(1));
  expect(new Set(all.map(({ index }) => index)).size).toBe(capacity);
  for (const guard of all) guard.release();
}

const scenarios = (["SIGCONT", "SIGKILL"] as const).flatMap((signal) =>
  parts.map((part) => [signal, part] as const),
);

describe("a recoverer that is stopped", () => {
  test.concurrent.each(scenarios)(
    "makes others wait until %s, at %d of its way",
    (signal, part) =>
      withPool({ capacity: 60, bufferSize: 64, leaseTimeout: 1 }, async (pool, name) => {
        const other = script(otherSource(name));
        expect(await other.line()).toBe("holding");
        const recoverer = await stoppedRecoverer(name, `Math.ceil(steps * ${part})`);
        const late = script(`say(codeOf(() => BufferPool.open(${JSON.stringify(name)}).close()))`);
        other.tell("go");
        const { untimed, timed, used } = JSON.parse(await other.line());
        for (const code of untimed) expect(["none", "POOL_BUSY"]).toContain(code);
        for (const code of timed) expect(["none", "TIMEOUT"]).toContain(code);
        for (const code of [...untimed, ...timed]) seen.add(code);
        expect(used).toBeGreaterThan(0);
        expect(await late.line()).toBe("POOL_BUSY");
        other.tell("close");
        expect(await other.line()).toBe("closed");
        await other.rest();
        expect(await other.ended).toBe(0);
        recoverer.kill(signal);
        const said = await recoverer.rest();
        if (signal === "SIGCONT") expect(JSON.parse(said[0] ?? "").deferred).toBe(false);
        await recoverer.ended;
        await Bun.sleep(20);
        await endsWell(pool);
      }),
    60_000,
  );

  test("gives POOL_BUSY to a call without a timeout and TIMEOUT to a call with one", () => {
    expect([...seen].sort()).toEqual(["POOL_BUSY", "TIMEOUT", "none"]);
  });

  test(
    "does not block an event loop that waits, and serves it when it goes on",
    () =>
      withPool({ capacity: 4, bufferSize: 64, leaseTimeout: 1 }, async (pool, name) => {
        const recoverer = await stoppedRecoverer(name, "Math.ceil(steps / 2)");
        let ticks = 0;
        const timer = setInterval(() => ticks++, 1);
        const codes: unknown[] = [];
        const wait = (timeout?: number) =>
          pool.acquireAsync(1, { timeout }).catch(({ code }) => codes.push(code));
        await Promise.all([wait(0), wait(300), wait(300)]);
        expect(codes).toEqual(["TIMEOUT", "TIMEOUT", "TIMEOUT"]);
        // A loop that is blocked ticks once a call.
        expect(ticks).toBeGreaterThan(20);
        await wait();
        expect(codes[3]).toBe("POOL_BUSY");
        const served = [pool.acquireAsync(1), pool.acquireAsync(1, { timeout: 60_000 })];
        recoverer.kill("SIGCONT");
        for (const guard of await Promise.all(served)) guard.release();
        clearInterval(timer);
        await recoverer.rest();
        await recoverer.ended;
        await endsWell(pool);
      }),
    60_000,
  );
});

test(
  "a reference that waited for a stopped recoverer has its whole lease before it",
  () =>
    withPool({ capacity: 4, bufferSize: 64, leaseTimeout: 400 }, async (pool, name) => {
      const holder = script(
        `const pool = BufferPool.open(${JSON.stringify(name)});
      const guard = pool.acquire(1);
      say("holding");
      await heard();
      const shared = codeOf(() => guard.share());
      pool.reclaim();
      say({ shared, taken: codeOf(() => pool.take(guard.handle).release()) });
      pool.close();`,
      );
      expect(await holder.line()).toBe("holding");
      const recoverer = await stoppedRecoverer(name, "Math.ceil(steps / 2)", 400);
      holder.tell("share");
      // Longer than a lease, and less than the patience of a call.
      await Bun.sleep(900);
      recoverer.kill("SIGCONT");
      const { shared, taken } = JSON.parse(await holder.line());
      // On a machine that stood still itself the patience may have ended, and nothing was shared.
      expect(taken).toBe(shared === "none" ? "none" : "NO_REFERENCE");
      await holder.rest();
      await recoverer.rest();
      await until(() => {
        pool.reclaim();
        return pool.stats().inFlight === 0;
      });
      await endsWell(pool);
    }),
  60_000,
);

test(
  "a thread that needs memory from free buffers gets it while a recovery is stopped at its start",
  () =>
    withPool(
      { capacity: 4, bufferSize: 8192, maxCommitted: 16_384, leaseTimeout: 1 },
      async (pool, name) => {
        // The recovery mutex is taken, and nothing is frozen yet: both are seen below.
        const recoverer = await stoppedRecoverer(name, "Math.ceil(steps * 0.06)");
        expect(() => pool.reclaim()).toThrow("in the middle of a recovery");
        const held = [pool.acquire(4096), pool.acquire(4096), pool.acquire(4096)];
        for (const guard of held) guard.release();
        // This includes the buffer that the recoverer left in flight.
        expect(pool.stats().committedBytes).toBe(16_384);
        // None of these calls needs the mutex.
        for (const timeout of [0, 100, undefined]) {
          const guard = await pool.acquireAsync(8192, { timeout });
          guard.bytes.fill(1);
          guard.release();
          pool.trim();
          pool.preallocate(4096, 3);
        }
        pool.acquireBlocking(8192, { timeout: 100 }).release();
        pool.acquire(8192).release();
        recoverer.kill("SIGCONT");
        await recoverer.rest();
        await recoverer.ended;
        pool.trim();
        await endsWell(pool);
      },
    ),
  60_000,
);

describe("a participant that is stopped inside an operation", () => {
  const operations: Record<string, [setup: string, run: string]> = {
    acquire: ["let guard;", "guard = pool.acquire(1);"],
    release: ["const guard = pool.acquire(1);", "guard.release();"],
    wait: ["", 'say(codeOf(() => pool.acquireBlocking(1, { timeout: 20 })) === "TIMEOUT");'],
    trim: ["pool.preallocate(64, 6);", "pool.trim();"],
    preallocate: ["pool.trim();", "pool.preallocate(64, 6);"],
  };

  /** The number of its steps when nothing stops it, on a pool as it will be then. */
  async function stepsOf(name: string, setup: string, run: string): Promise<number> {
    const child = script(
      `const pool = BufferPool.open(${JSON.stringify(name)});
      ${setup} stopAtStep(0); ${run} say(stepsTaken()); pool.close();`,
      crashing,
    );
    return Number((await child.rest()).at(-1));
  }

  async function stopAt(name: string, setup: string, run: string, step: number): Promise<Script> {
    const child = script(
      `const pool = BufferPool.open(${JSON.stringify(name)});
      ${setup} stopAtStep(${step}); ${run} stopAtStep(0); pool.close(); say("over");`,
      crashing,
    );
    await untilStopped(child.pid);
    return child;
  }

  /** Checks what the others can do meanwhile. Returns whether a recovery had to be deferred. */
  async function lookAround(pool: BufferPool): Promise<boolean> {
    const lost = pool.acquire(1).handOff();
    await Bun.sleep(20);
    const { deferred } = pool.reclaim();
    // The stopped participant keeps one slot at most.
    const guards = [pool.acquire(1), pool.acquireBlocking(1, { timeout: 60_000 })];
    guards.push(await pool.acquireAsync(1));
    for (const guard of guards) pool.take(guard.share()).release();
    for (const guard of guards) guard.release();
    expect(deferred ? pool.refCount(lost) : 0).toBe(deferred ? 1 : 0);
    return deferred;
  }

  for (const [operation, [setup, run]] of Object.entries(operations)) {
    test(
      `defers recoveries and nothing else, ${operation}`,
      () =>
        withPool({ capacity: 6, bufferSize: 64, leaseTimeout: 1 }, async (pool, name) => {
          const hoard =
            operation === "wait" ? Array.from({ length: 6 }, () => pool.acquire(1)) : [];
          const steps = await stepsOf(name, setup, run);
          const deferrals = new Set<boolean>();
          // All first steps, and some of the later ones of a long operation, which works slot by
          // slot.
          const stride = Math.max(1, Math.floor(steps / 40));
          const chosen = Array.from({ length: Math.min(steps, 14) }, (_, i) => 1 + i * stride);
          for (const step of chosen) {
            const child = await stopAt(name, setup, run, step);
            for (const guard of hoard.splice(0)) guard.release();
            const deferred = await lookAround(pool);
            deferrals.add(deferred);
            const signal = step % 2 === 0 ? "SIGKILL" : "SIGCONT";
            child.kill(signal);
            await child.rest();
            expect(await child.ended).toBe(signal === "SIGCONT" ? 0 : signal);
            // Recoveries that were put off are done now.
            await endsWell(pool);
            if (operation === "wait") {
              while (hoard.length < 6) hoard.push(pool.acquire(1));
            }
          }
          for (const guard of hoard) guard.release();
          expect(deferrals).toEqual(new Set([false, true]));
        }),
      60_000,
    );
  }
});

test(
  "a gap longer than every timeout costs no live process a hold, and waiters go on",
  () =>
    withPool({ capacity: 4, bufferSize: 64, leaseTimeout: 300 }, async (pool, name) => {
      const open = `const pool = BufferPool.open(${JSON.stringify(name)});`;
      const holder = script(`${open}
      const guards = [pool.acquire(64), pool.acquire(64)];
      for (const guard of guards) guard.bytes.fill(7);
      const handle = pool.acquire(64).handOff();
      say(handle);
      await heard();
      const whole = guards.every((guard) => guard.bytes.every((byte) => byte === 7));
      say([whole, codeOf(() => pool.take(handle))]);
      guards[0].clone().release();
      for (const guard of guards) guard.release();
      pool.close();`);
      const handle = Number(await holder.line());
      using own = pool.acquire(64);
      const waiters = [
        "pool.acquireBlocking(1, { timeout: 60_000 })",
        "await pool.acquireAsync(1, { timeout: 60_000 })",
        "await pool.acquireAsync(1)",
        "pool.acquireBlocking(1, { timeout: 400 })",
        "await pool.acquireAsync(1, { timeout: 400 })",
      ].map((wait) =>
        script(`${open} say("waits");
        say(await codeOfLater(async () => { (${wait}).release(); }));
        pool.close();`),
      );
      const recoverer = script(`${open} say("recovers");
      let over = false;
      heard().then(() => { over = true; });
      while (!over) { pool.reclaim(); await Bun.sleep(1); }
      pool.close();`);
      for (const waiter of waiters) expect(await waiter.line()).toBe("waits");
      expect(await recoverer.line()).toBe("recovers");
      const everybody = [holder, recoverer, ...waiters];
      for (const each of everybody) each.kill("SIGSTOP");
      // On a slow machine a short wait has ended already.
      const gone = (pid: number): boolean => !existsSync(`/proc/${pid}`);
      for (const { pid } of everybody) await until(() => isStopped(pid) || gone(pid));
      await Bun.sleep(700);
      for (const each of everybody) each.kill("SIGCONT");
      pool.reclaim();
      holder.tell("look");
      // The lease of the reference that nobody took has passed; the holders still have their holds.
      expect(JSON.parse(await holder.line())).toEqual([true, "STALE_HANDLE"]);
      const codes = await Promise.all(waiters.map(async (waiter) => (await waiter.rest())[0]));
      expect(codes.slice(0, 3) as string[]).toEqual(["none", "none", "none"]);
      for (const code of codes.slice(3)) expect(["none", "TIMEOUT"]).toContain(code ?? "");
      await Promise.all([holder, recoverer].map((each) => each.rest()));
      expect(await Promise.all(everybody.map((each) => each.ended))).toEqual(
        everybody.map(() => 0),
      );
      expect(own.bytes.length).toBe(64);
      expect(pool.refCount(own.handle)).toBe(1);
      expect(() => pool.take(handle)).toThrow();
      pool.reclaim();
      expect(pool.stats()).toMatchObject({ free: 3, used: 1, inFlight: 0, waiters: 0 });
    }),
  60_000,
);
