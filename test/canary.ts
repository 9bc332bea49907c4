// Tests that run again with a library that is broken on purpose: they must fail there.

/** Runs the tests of `file` whose names match `pattern`, with that library, at every step. */
export function runAgain(
  file: string,
  pattern: string,
  library: string,
): { exitCode: number | null; output: string } {
  const child = Bun.spawnSync([process.execPath, "test", file, "--test-name-pattern", pattern], {
    env: { ...process.env, XMEM_LIBRARY: library, XMEM_STEP_GAP: "1" },
    timeout: 100_000,
  });
  return { exitCode: child.exitCode, output: child.stderr.toString() };
}
