// Every operation, killed at every access to shared memory that it makes, by real processes: the
// survivor recovers, keeps what it holds, and finds every buffer again, each exactly once.

import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { run, zigBuild } from "../scripts/setup.ts";
import { BufferPool } from "../src/index.ts";

const root = join(import.meta.dir, "..");
const capacity = 4;
const operations = [
  "acquire",
  "acquire that commits",
  "release",
  "release that zeroes",
  "share",
  "handOff",
  "clone",
  "get",
  "take",
  "addRef",
  "unref",
  "release by hand",
  "setRefCount",
  "preallocate",
  "trim",
  "open",
  "close",
  "reclaim",
];

const library = (canary: string): string => join(root, "build", `crash-${canary}`, "libxmem.so");

beforeAll(() => {
  for (const canary of ["none", "dead_rows_kept"]) {
    run(zigBuild(`build/crash-${canary}`, "-Dhook=crash", `-Dcanary=${canary}`));
  }
}, 300_000);

function killAt(name: string, operation: string, step: number, handle: number): boolean {
  const program = join(import.meta.dir, "programs", "crash_point.ts");
  const child = Bun.spawnSync(
    [process.execPath, program, name, operation, String(step), String(handle)],
    {
      env: { ...process.env, XMEM_LIBRARY: library("none") },
    },
  );
  // It dies by SIGKILL in any case, with or without having got through.
  if (child.signalCode !== "SIGKILL") throw new Error(child.stderr.toString());
  return child.stdout.toString().includes("survived");
}

/** Kills one child at `step`; checks that nothing is lost. True when the operation was shorter. */
function survive(operation: string, step: number): boolean {
  const name = `crash.${process.pid}.${operation.replaceAll(" ", "-")}.${step}`;
  const zeroOnRelease = operation === "release that zeroes";
  const options = { capacity, bufferSize: 65_536, leaseTimeout: 1, zeroOnRelease };
  using pool = BufferPool.create(name, options);
  try {
    // So that only the operation that is named after it has memory to commit.
    pool.preallocate(4096, capacity);
    const held = pool.acquire(4096);
    held.bytes.fill(step % 251);
    const handle = held.share();
    const survived = killAt(name, zeroOnRelease ? "release" : operation, step, handle);

    expect(pool.reclaim().deferred).toBe(false);
    expect(held.bytes.every((byte) => byte === step % 251)).toBe(true);
    expect(pool.refCount(handle)).toBeGreaterThanOrEqual(1);
    held.release();
    // Coarse clocks tick in milliseconds; a lease of 1 ms has passed after some of them.
    Bun.sleepSync(15);
    pool.reclaim();
    const { free, used, inFlight, participants } = pool.stats();
    expect({ free, used, inFlight }).toEqual({ free: capacity, used: 0, inFlight: 0 });
    expect(participants.length).toBe(1);
    const all = Array.from({ length: capacity }, () => pool.acquire(60_000));
    expect(new Set(all.map(({ index }) => index)).size).toBe(capacity);
    expect(pool.tryAcquire(1)).toBeNull();
    for (const guard of all) guard.release();
    return survived;
  } finally {
    BufferPool.unlink(name);
  }
}

test("a recovery that keeps the rows of the dead is caught", () => {
  // The same sweep in a process whose library is broken on purpose.
  const argv = [
    process.execPath,
    "test",
    import.meta.path,
    "--test-name-pattern",
    "every step acquire$",
  ];
  const child = Bun.spawnSync(argv, {
    env: { ...process.env, XMEM_LIBRARY: library("dead_rows_kept") },
  });
  expect(child.exitCode).not.toBe(0);
  expect(child.stderr.toString()).toContain("toEqual");
}, 120_000);

describe("killed at every step", () => {
  for (const operation of operations) {
    test(operation, () => {
      let step = 1;
      while (!survive(operation, step)) step++;
      console.log(`${operation}: ${step - 1} crash points`);
      expect(step).toBeGreaterThan(3);
    }, 120_000);
  }
});
