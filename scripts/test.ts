// Runs the unit tests of the core, the small explorations of its interleavings and the tests of the
// interface, and ends with a list of what failed and one line that sums up all. `bun run test PATTERN`
// runs only the interface's test files whose path matches.

import { bunTests } from "./bun_tests.ts";
import { explore } from "./explore.ts";
import { type Count, type Failure, report } from "./failures.ts";
import { runRecorded, setup, zigBuild } from "./setup.ts";

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

export async function test(filters: string[]): Promise<Count> {
  const counts: Count[] =
    filters.length === 0 ? [await zigTests(), await explore({ set: "small" })] : [];
  counts.push(await bunTests(["--parallel", ...filters]));
  return {
    passed: counts.reduce((sum, count) => sum + count.passed, 0),
    failures: counts.flatMap((count) => count.failures),
  };
}

if (import.meta.main) {
  setup();
  const count = await test(process.argv.slice(2));
  report(count);
  process.exit(count.failures.length === 0 ? 0 : 1);
}
