// Everything that must hold before a change lands: format, lint, types, the generated file, tests,
// and what is too heavy for `bun run test`. With --after-test the tests are left out, because
// `bun run test` has just run. Every check runs, also after one failed.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, runRecorded, setup, tool, zig, zigBuild } from "./setup.ts";
import { type Count, test } from "./test.ts";
import { sanitized } from "./tsan.ts";

const generated = join(root, "src", "constants.gen.ts");

/** Generates it again and compares; the committed file is what TypeScript was written against. */
async function generatedIsCurrent(): Promise<boolean> {
  const before = readFileSync(generated, "utf8");
  const { ok } = await runRecorded(zigBuild("build", "generate"));
  if (ok && readFileSync(generated, "utf8") === before) return true;
  console.error("src/constants.gen.ts was not current; `bun run generate` has written it again");
  return false;
}

async function succeeds(command: string[]): Promise<boolean> {
  return (await runRecorded(command)).ok;
}

const checks: Record<string, () => Promise<boolean>> = {
  "TypeScript's format and lint": () =>
    succeeds(tool("@biomejs/biome/bin/biome", "ci", "--error-on-warnings", "--colors=off")),
  "Zig's format": () => succeeds(zig("fmt", "--check", "zig")),
  types: () => succeeds(tool("typescript/bin/tsc", "--noEmit")),
  "generated constants": generatedIsCurrent,
  "libraries of all targets": () => succeeds(zigBuild("build/cross", "cross")),
  ThreadSanitizer: () => sanitized(Date.now() % 1_000_000),
};

setup();
const total: Count = { passed: 0, failed: 0 };
for (const [name, check] of Object.entries(checks)) {
  const start = performance.now();
  const ok = await check();
  console.log(`${ok ? "ok" : "FAILED"}: ${name} (${Math.round(performance.now() - start)} ms)`);
  if (ok) total.passed += 1;
  else total.failed += 1;
}
if (!process.argv.includes("--after-test")) {
  const tests = await test([]);
  total.passed += tests.passed;
  total.failed += tests.failed;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed === 0 ? 0 : 1);
