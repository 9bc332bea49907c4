// Creators that are killed on the way: afterwards there is no pool or a whole one, and nothing else
// is in the folder.

import { beforeAll, expect, test } from "bun:test";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";
import { poolsIn } from "./folders.ts";
import { buildCrashLibrary, crashLibrary, script } from "./scripts.ts";

beforeAll(buildCrashLibrary, 300_000);

const capacity = 3;
const creations: Record<string, string> = {
  create: `BufferPool.create("p", { capacity: ${capacity}, bufferSize: 64, maxParticipants: 2 })`,
  "openOrCreate of none": `BufferPool.openOrCreate("p", { capacity: ${capacity}, bufferSize: 64,
    maxParticipants: 2 })`,
};

/** Runs `body` with XMEM_DIR set to a folder of its own, as long as it does not wait. */
function inFolder<Result>(folder: string, body: () => Result): Result {
  using _ = poolsIn(folder);
  return body();
}

/**
 * Says what is left after a creator was killed at `step`: "nothing" or "a pool"; "over" if it
 * finished before.
 */
async function killedAt(folder: string, creation: string, step: number): Promise<string> {
  mkdirSync(folder);
  const env = { XMEM_DIR: folder, XMEM_LIBRARY: crashLibrary };
  const source = `killAtStep(${step}); const pool = ${creation}; killAtStep(0); say("through");
    process.kill(process.pid, "SIGKILL");`;
  const child = script(source, { env });
  const lines = await child.rest();
  expect(await child.ended).toBe("SIGKILL");
  const found = inFolder(folder, () => {
    const entries = readdirSync(folder);
    expect(["[]", '["xmem.p"]']).toContain(JSON.stringify(entries));
    if (entries.length === 0) {
      using pool = BufferPool.create("p", { capacity, bufferSize: 64 });
      pool.acquire(64).release();
      return "nothing";
    }
    // The pool is whole: its creator is dead, and every buffer is there.
    using pool = BufferPool.open("p");
    const all = Array.from({ length: capacity }, () => pool.acquire(64));
    expect(pool.tryAcquire(1)).toBeNull();
    for (const guard of all) guard.bytes.fill(1);
    expect(pool.stats().participants.length).toBe(1);
    return "a pool";
  });
  rmSync(folder, { recursive: true });
  if (lines.length === 0) return found;
  expect(found).toBe("a pool");
  return "over";
}

for (const [name, creation] of Object.entries(creations)) {
  test(`${name}: killed at every step`, async () => {
    const root = process.env["XMEM_DIR"] ?? "/dev/shm";
    const prefix = join(root, `creation.${process.pid}.${name.replaceAll(" ", "-")}`);
    const found: string[] = [];
    let next = 1;
    // As many run at a time as there are processors; each takes the next step that is not taken.
    const worker = async (): Promise<void> => {
      while (!found.includes("over")) {
        const step = next++;
        found[step] = await killedAt(`${prefix}.${step}`, creation, step);
      }
    };
    await Promise.all(Array.from({ length: Math.min(cpus().length, 8) + 1 }, worker));
    const steps = found.slice(1, found.indexOf("over"));
    // The first steps leave nothing. From the step after the naming on there is a pool.
    const named = steps.indexOf("a pool");
    console.log(`${name}: ${steps.length} crash points, ${named} of them before the naming`);
    expect(named).toBeGreaterThan(20);
    expect(new Set(steps.slice(0, named))).toEqual(new Set(["nothing"]));
    expect(new Set(steps.slice(named))).toEqual(new Set(["a pool"]));
  }, 120_000);
}
