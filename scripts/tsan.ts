// ThreadSanitizer over the core: the unit tests, the threaded stress, and the stress once more on
// libraries that are broken on purpose, which must not pass. `bun scripts/tsan.ts SEED` repeats a
// run with the seed that it printed, as far as the scheduler lets it be repeated.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { breaking } from "./checked.ts";
import { root, runRecorded, setup, zigBuild } from "./setup.ts";

/** The end that each broken variant must have: a report of ThreadSanitizer, or a failed check. */
const canaries: Record<string, RegExp> = {
  word_relaxed: /^SUMMARY: ThreadSanitizer: data race/m,
  cell_relaxed: /^SUMMARY: ThreadSanitizer: data race/m,
  dead_rows_kept: /^stress: \d+ buffers are free in the end/m,
};

const threads = 4;

/** Null when the program could not be built. */
async function build(hook: "none" | "breakable"): Promise<string | null> {
  const prefix = `build/stress-${hook}`;
  const { ok } = await runRecorded(zigBuild(prefix, "stress", `-Dhook=${hook}`));
  return ok ? join(root, prefix, "stress") : null;
}

async function stress(program: string, seed: number, lives: number, zero: string, canary = "none") {
  const counts = [seed, threads, lives, 4000].map(String);
  const child = Bun.spawn([program, ...counts, zero], {
    env: { ...process.env, ...breaking("breakable", canary) },
    stderr: "pipe",
    timeout: 120_000,
  });
  const output = await child.stderr.text();
  const ok = (await child.exited) === 0;
  // A program that was killed, or whose library is broken, may leave its pools behind.
  for (const name of [`stress.${child.pid}`, `stress.${child.pid}.other`]) {
    rmSync(`/dev/shm/xmem.${name}`, { force: true });
  }
  return { ok, output };
}

/** Reports nothing on the core as it is. */
async function passes(seed: number): Promise<boolean> {
  const program = await build("none");
  if (program === null) return false;
  let passed = true;
  for (const zero of ["keep", "zero"]) {
    const { ok, output } = await stress(program, seed, 20, zero);
    console.log(output.trimEnd());
    passed &&= ok;
  }
  return passed;
}

async function catches(
  program: string,
  canary: string,
  expected: RegExp,
  seed: number,
): Promise<boolean> {
  // The end of a run depends on the threads' timing: a few seeds are tried, until one shows the
  // fault.
  for (let attempt = 0; attempt < 8; attempt++) {
    const { ok, output } = await stress(program, seed + attempt, 3, "keep", canary);
    const found = ok ? undefined : expected.exec(output)?.[0];
    console.log(`canary ${canary}: ${found === undefined ? output.trimEnd() : `caught: ${found}`}`);
    if (found !== undefined) return true;
  }
  return false;
}

export async function sanitized(seed: number): Promise<boolean> {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  if (process.platform !== "linux" || report.header?.glibcVersionRuntime === undefined) {
    console.log("ThreadSanitizer is skipped: its run-time library wants Linux and glibc");
    return true;
  }
  const tests = await runRecorded(zigBuild("build", "test", "-Dtsan", "--summary", "all"));
  let passed = tests.ok && (await passes(seed));
  const breakable = await build("breakable");
  if (breakable === null) return false;
  for (const [canary, expected] of Object.entries(canaries)) {
    passed = (await catches(breakable, canary, expected, seed)) && passed;
  }
  return passed;
}

if (import.meta.main) {
  setup();
  const seed = Number(process.argv[2] ?? Date.now() % 1_000_000);
  process.exit((await sanitized(seed)) ? 0 : 1);
}
