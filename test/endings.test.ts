// A thread or a process may end in any way: its holds, its wait and its row come back.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ERROR_POOL_CLOSED } from "../src/generated/constants.gen.ts";
import type { BufferPool } from "../src/index.ts";
import { libraryPath } from "../src/native/library.ts";
import { withPool } from "./processes.ts";
import { isStopped, script, until } from "./scripts.ts";

const source = JSON.stringify(join(import.meta.dir, "../src/index.ts"));

/** Everything is there again as soon as somebody needs it, without a reclaim() by hand. */
function allComeBack(pool: BufferPool): void {
  const guards = Array.from({ length: pool.capacity }, () =>
    pool.acquireBlocking(64, { timeout: 30_000 }),
  );
  expect(new Set(guards.map(({ index }) => index)).size).toBe(pool.capacity);
  for (const guard of guards) guard.release();
  expect(pool.stats()).toMatchObject({ used: 0, inFlight: 0, waiters: 0 });
  // A dead participant's row stays as it is until somebody needs it.
  pool.reclaim();
  expect(pool.stats().participants.length).toBe(1);
}

describe("a Worker that is terminated", () => {
  const states: Record<string, { last: string; waits: boolean }> = {
    "while it holds guards": { last: "await new Promise(() => {});", waits: false },
    "in acquireBlocking": { last: "pool.acquireBlocking(1, { timeout: 60_000 });", waits: true },
    "in acquireAsync": { last: "await pool.acquireAsync(1);", waits: true },
    "in many acquireAsync at once": {
      last: "await Promise.all(Array.from({ length: 50 }, () => pool.acquireAsync(1)));",
      waits: true,
    },
    "in a loop of acquires": {
      last: "for (;;) { using guard = pool.tryAcquire(1); guard?.bytes.fill(1); }",
      waits: false,
    },
  };

  for (const [state, { last, waits }] of Object.entries(states)) {
    test(
      `${state} leaves nothing`,
      () =>
        withPool({ capacity: 3, bufferSize: 64 }, async (pool, name) => {
          const held = waits ? pool.acquire(1) : undefined;
          const body = `
          const { BufferPool } = await import(${source});
          const pool = BufferPool.open(${JSON.stringify(name)});
          globalThis.kept = [pool, pool.acquire(1), pool.acquire(1)];
          postMessage("full");
          ${last}`;
          for (let round = 0; round < 3; round++) {
            const url = URL.createObjectURL(new Blob([body], { type: "text/javascript" }));
            const worker = new Worker(url);
            await new Promise((resolve) =>
              worker.addEventListener("message", resolve, { once: true }),
            );
            if (waits) await until(() => pool.stats().waiters === 1);
            const ended = new Promise((resolve) => worker.addEventListener("close", resolve));
            worker.terminate();
            await ended;
          }
          held?.release();
          allComeBack(pool);
        }),
      30_000,
    );
  }
});

describe("a process that ends", () => {
  const ends: Record<
    string,
    { how: string; signal?: NodeJS.Signals; code: number | NodeJS.Signals }
  > = {
    "by process.exit inside a using block": { how: "process.exit(3);", code: 3 },
    "by an uncaught exception": { how: 'throw new Error("on purpose");', code: 1 },
    "by an unhandled rejection": { how: "await Promise.reject(1);", code: 1 },
    "by SIGTERM": { how: "await heard();", signal: "SIGTERM", code: "SIGTERM" },
    "by SIGINT": { how: "await heard();", signal: "SIGINT", code: "SIGINT" },
    "by SIGHUP in a blocking wait": {
      how: "for (;;) codeOf(() => pool.acquireBlocking(1, { timeout: 60_000 }));",
      signal: "SIGHUP",
      code: "SIGHUP",
    },
    "by SIGABRT in an asynchronous wait": {
      how: "await pool.acquireAsync(1);",
      signal: "SIGABRT",
      code: "SIGABRT",
    },
    "by itself, with a wait aborted": {
      how: `const controller = new AbortController();
        const wait = pool.acquireAsync(1, { signal: controller.signal }).catch(() => {});
        controller.abort(); await wait; process.exit(0);`,
      code: 0,
    },
  };

  for (const [end, { how, signal, code }] of Object.entries(ends)) {
    test.concurrent(`${end} leaves nothing`, () =>
      withPool({ capacity: 3, bufferSize: 64 }, async (pool, name) => {
        const child = script(
          `const pool = BufferPool.open(${JSON.stringify(name)});
          using first = pool.acquire(1);
          { using second = pool.acquire(1); using third = pool.acquire(1); say("full"); ${how} }`,
          { quiet: true },
        );
        expect(await child.line()).toBe("full");
        if (signal !== undefined) {
          await Bun.sleep(30);
          child.kill(signal);
        }
        expect(await child.ended).toBe(code);
        allComeBack(pool);
      }));
  }
});

function hasPython(): boolean {
  if (Bun.spawnSync(["sh", "-c", "python3 -c 'import ctypes'"]).exitCode === 0) return true;
  console.log("skipped: it needs python3 with ctypes, which this machine has not");
  return false;
}

describe("fork without exec", () => {
  test("on another thread closes in the child what the openers opened, and takes nothing from them", () =>
    withPool({ capacity: 4, bufferSize: 64, ephemeral: true }, (pool, name) => {
      if (!hasPython()) return;
      const program = join(import.meta.dir, "programs/fork_threads.py");
      const dir = process.env["XMEM_DIR"] ?? "/dev/shm";
      const child = Bun.spawnSync(["python3", program, libraryPath(), dir, name]);
      expect(child.stdout.toString().trim().split("\n")).toEqual([
        `child [${-ERROR_POOL_CLOSED}] True 3`,
        "parent 4",
      ]);
      expect(pool.stats()).toMatchObject({ used: 0, linked: true });
      expect(pool.stats().participants.length).toBe(1);
    }));

  test(
    "amid another thread's operations leaves every child able to open its own",
    () =>
      withPool({ capacity: 4, bufferSize: 64 }, async (pool, name) => {
        if (!hasPython()) return;
        const program = join(import.meta.dir, "programs/fork_storm.py");
        const dir = process.env["XMEM_DIR"] ?? "/dev/shm";
        const child = Bun.spawn(["python3", program, libraryPath(), dir, name], { stdout: "pipe" });
        await until(() => child.exitCode !== null || isStopped(child.pid));
        expect(pool.stats().used).toBe(2);
        // Its child goes on alone from here, with a copy of the parent's memory.
        child.kill("SIGKILL");
        expect((await new Response(child.stdout).text()).trim().split("\n")).toEqual([
          "storm [0] True True",
          "survivor opened",
          "survivor has 4 True",
        ]);
        allComeBack(pool);
      }),
    60_000,
  );
});
