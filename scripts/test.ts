// Runs the unit tests of the core, the small explorations of its interleavings and the tests of the
// interface, and ends with one line that sums up all. `bun run test PATTERN` runs only the
// interface's test files whose path matches.

import { explore } from "./explore.ts";
import { runRecorded, setup, zigBuild } from "./setup.ts";

export interface Count {
  passed: number;
  failed: number;
}

/** The numbers of the last line that matches: a program under test may have printed such lines too. */
function find(output: string, pattern: RegExp): number[] {
  const last = [...output.matchAll(pattern)].at(-1) ?? [];
  return last.slice(1).map((digits) => Number(digits ?? 0));
}

async function zigTests(): Promise<Count> {
  const { ok, output } = await runRecorded(zigBuild("build", "test", "--summary", "all"));
  const summary = /^Build Summary: .*?(\d+)\/(\d+) tests passed(?: \((\d+) skipped)?/gm;
  const [passed = 0, total = 0, skipped = 0] = find(output, summary);
  return judged("the core's unit tests", ok, { passed, failed: total - passed - skipped });
}

async function bunTests(filters: string[]): Promise<Count> {
  // The timeout only ends tests that hang: on a busy machine a short test can take many seconds.
  const command = [process.execPath, "test", "--timeout=60000", "--parallel", ...filters];
  const { ok, output } = await runRecorded(command);
  const [passed = 0] = find(output, /^ *(\d+) pass$/gm);
  const [failed = 0] = find(output, /^ *(\d+) fail$/gm);
  return judged("the interface's tests", ok, { passed, failed });
}

/** A runner that failed without a failed test, or that ran nothing, counts as one failure. */
function judged(what: string, ok: boolean, count: Count): Count {
  if (ok === (count.failed === 0) && count.passed + count.failed > 0) return count;
  console.error(
    `${what}: the runner ${ok ? "succeeded" : "failed"}, but its summary says otherwise`,
  );
  return { passed: count.passed, failed: count.failed + 1 };
}

export async function test(filters: string[]): Promise<Count> {
  const counts: Count[] =
    filters.length === 0 ? [await zigTests(), await explore({ set: "small" })] : [];
  counts.push(await bunTests(filters));
  return {
    passed: counts.reduce((sum, count) => sum + count.passed, 0),
    failed: counts.reduce((sum, count) => sum + count.failed, 0),
  };
}

if (import.meta.main) {
  setup();
  const count = await test(process.argv.slice(2));
  console.log(`${count.passed} passed, ${count.failed} failed`);
  process.exit(count.failed === 0 ? 0 : 1);
}
