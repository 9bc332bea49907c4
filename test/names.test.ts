// A name is taken away from a pool that nobody has, and from no other: whoever opens, leaves, ends
// and removes at the same time, and wherever one of them is stopped or killed.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";
import { codeOf, errorOf } from "./codes.ts";
import {
  buildCrashLibrary,
  crashLibrary,
  isStopped,
  type Script,
  script,
  until,
} from "./scripts.ts";

const before = process.env["XMEM_DIR"];
const root = mkdtempSync(join(before ?? "/dev/shm", "xmem-names-"));
let made = 0;

beforeAll(buildCrashLibrary, 300_000);

afterAll(() => {
  if (before === undefined) delete process.env["XMEM_DIR"];
  else process.env["XMEM_DIR"] = before;
  const left = readdirSync(root);
  rmSync(root, { recursive: true });
  expect(left).toEqual([]);
});

/** A folder of its own, which must be empty at the end. */
async function inFolder<Result>(body: (dir: string) => Result | Promise<Result>): Promise<Result> {
  const dir = join(root, String(++made));
  mkdirSync(dir);
  const result = await body(dir);
  expect(readdirSync(dir)).toEqual([]);
  rmSync(dir, { recursive: true });
  return result;
}

/** The same, with XMEM_DIR set to it, for a body that does not wait for others that do so, too. */
function here<Result>(body: (dir: string) => Result | Promise<Result>): Promise<Result> {
  return inFolder((dir) => {
    process.env["XMEM_DIR"] = dir;
    return body(dir);
  });
}

const run = (dir: string, source: string, quiet = false): Script =>
  script(source, { env: { XMEM_DIR: dir, XMEM_LIBRARY: crashLibrary }, quiet });

const small = "{ capacity: 2, bufferSize: 64, maxParticipants: 4 }";
const ephemeral = "{ capacity: 2, bufferSize: 64, maxParticipants: 4, ephemeral: true }";

/** Tries every step, a few at a time, until the operation is over before it; how many it has. */
async function sweep(isOver: (step: number) => Promise<boolean>): Promise<number> {
  let next = 1;
  let end = 2000;
  const lane = async (): Promise<void> => {
    while (next < end) {
      const step = next++;
      if (await isOver(step)) end = Math.min(end, step);
    }
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  expect(end).toBeLessThan(2000);
  return end - 1;
}

test(
  "processes that open and close an ephemeral pool at once never have one without a name",
  () =>
    inFolder(async (dir) => {
      const program = join(import.meta.dir, "programs", "name_storm.ts");
      const rounds = 4000;
      const children = Array.from({ length: 6 }, () =>
        Bun.spawn([process.execPath, program, "storm", String(rounds)], {
          env: { ...process.env, XMEM_DIR: dir },
          stdout: "pipe",
        }),
      );
      const lost = await Promise.all(
        children.map(async ({ stdout }) => Number(await new Response(stdout).text())),
      );
      expect(lost).toEqual(Array(6).fill(0));
    }),
  120_000,
);

describe("stopped at every step", () => {
  /**
   * A process is stopped at a step of `operation`; another one runs `meanwhile`, which ends with a
   * pool of that name open in `pool` or with null in it; then the first goes on to its end. The
   * other's pool must still have its name.
   */
  async function isOver(operation: string, meanwhile: string, step: number): Promise<boolean> {
    return await inFolder(async (dir) => {
      const stopped = run(
        dir,
        `const pool = BufferPool.create("p", ${ephemeral});
        stopAtStep(${step}); ${operation}; stopAtStep(0); say("through"); await heard();`,
      );
      let over = false;
      const line = stopped.line().then(() => {
        over = true;
      });
      await until(() => over || isStopped(stopped.pid));
      const isShorter = over;
      const other = run(
        dir,
        `let pool = null;
        const busy = (body) => { const code = codeOf(body); if (code !== "none" && code !== "POOL_BUSY") throw code; };
        ${meanwhile}
        say("there"); await heard();
        say(pool === null || pool.stats().linked);
        pool?.unlink(); pool?.close();`,
      );
      expect(await other.line()).toBe("there");
      stopped.kill("SIGCONT");
      await line;
      other.tell("look");
      expect([operation, step, await other.line()]).toEqual([operation, step, "true"]);
      await other.rest();
      await stopped.rest();
      await stopped.ended;
      await other.ended;
      // What is left is a pool of somebody who was too late to be asked to remove it.
      rmSync(join(dir, "xmem.p"), { force: true });
      return isShorter;
    });
  }

  const openMeanwhile = `busy(() => { pool = BufferPool.openOrCreate("p", ${ephemeral}); });`;
  const replaceMeanwhile = `busy(() => BufferPool.unlink("p"));
    if (entries().length === 0) pool = BufferPool.create("p", ${ephemeral});`;

  test("the last participant's close leaves the pool that somebody opens meanwhile its name", async () => {
    const steps = await sweep((step) => isOver("pool.close()", openMeanwhile, step));
    console.log(`close: ${steps} steps`);
  }, 240_000);

  test("unlink() leaves a pool that was made under the name meanwhile its name", async () => {
    const steps = await sweep((step) => isOver("pool.unlink()", replaceMeanwhile, step));
    console.log(`unlink: ${steps} steps`);
  }, 240_000);
});
