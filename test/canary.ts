// Tests that run again with a library that is broken on purpose: they must fail there.

import { breaking, type Hooks } from "../scripts/checked.ts";

/** Runs the tests of `file` whose names match `pattern`, with that rule broken, at every step. */
export function runAgain(
  file: string,
  pattern: string,
  hooks: Hooks,
  rule: string,
): { exitCode: number | null; output: string } {
  const child = Bun.spawnSync([process.execPath, "test", file, "--test-name-pattern", pattern], {
    env: { ...process.env, ...breaking(hooks, rule), XMEM_STEP_GAP: "1" },
    timeout: 100_000,
  });
  return { exitCode: child.exitCode, output: child.stderr.toString() };
}
