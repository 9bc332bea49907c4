// Runs the unit tests of the core, the small explorations of its interleavings and the tests of the
// interface, and ends with a list of what failed and one line that sums up all. `bun run test PATTERN`
// runs only the interface's test files whose path matches.

import { bunTests } from "./bun_tests.ts";
import { checkedBuild } from "./checked.ts";
import { explore, explorerBuild } from "./explore.ts";
import { type Count, type Failure, report } from "./failures.ts";
import { install, runRecorded, setup, zigBuild } from "./setup.ts";

async function zigTests(): Promise<Count> {
  const command = zigBuild("build", "test", "--summary", "all", "--test-timeout", "60s");
  const { ok, output } = await runRecorded(command);
  const [, passed = "0"] = /^Build Summary: .*?(\d+)\/\d+ tests passed/m.exec(output) ?? [];
  const errors = output.matchAll(/^error: '(.+?)'(.*(?:\n +.*)*)/gm);
  const failures: Failure[] = [...errors].map(([, test = "", detail = ""]) => ({
    name: `zig: ${test}`,
    detail,
  }));
  // A core that does not compile, or tests that do not run.
  if (failures.length === 0 && (!ok || passed === "0")) {
    const start = Math.max(0, output.search(/^.*error: /m));
    failures.push({ name: "zig: the core's unit tests", detail: output.slice(start) });
  }
  return { passed: Number(passed), failures };
}

/** Builds the library, and then the explorer, which `explore` finds then. */
async function buildFirst(): Promise<void> {
  const { ok } = await runRecorded(zigBuild("build"));
  if (!ok) throw new Error("the library could not be built");
  await runRecorded(explorerBuild());
}

/** Builds what tests of the interface need: they find it, or build it again and say what is wrong. */
async function buildForTests(): Promise<void> {
  await runRecorded(checkedBuild("crash"));
  await runRecorded(checkedBuild("breakable"));
  await runRecorded(zigBuild("build/cross", "cross"));
}

/**
 * A build mostly uses one processor. The unit tests, whose threads wait for each other, are slow
 * beside anything that uses all of them.
 */
async function coreTests(): Promise<Count[]> {
  const [counted] = await Promise.all([zigTests(), buildFirst()]);
  const [explored] = await Promise.all([explore({ set: "small" }), buildForTests()]);
  return [counted, explored];
}

/**
 * As many files at a time as there are processors: with more, waits of tests for each other take too
 * long for what they measure. The slowest begin first, so that none of them runs alone in the end.
 */
const inParallel = ["--parallel", "--timings=test/timings.json"];

export async function test(filters: string[]): Promise<Count> {
  const counts = filters.length === 0 ? await coreTests() : [];
  counts.push(await bunTests([...inParallel, ...filters]));
  return {
    passed: counts.reduce((sum, count) => sum + count.passed, 0),
    failures: counts.flatMap((count) => count.failures),
  };
}

if (import.meta.main) {
  const filters = process.argv.slice(2);
  // A whole run builds the library beside other work.
  if (filters.length === 0) install();
  else setup();
  const count = await test(filters);
  report(count);
  process.exit(count.failures.length === 0 ? 0 : 1);
}
