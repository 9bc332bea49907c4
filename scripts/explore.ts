// Explores every interleaving of the core's own code: `bun run explore [PROGRAM ...]` the programs
// that are named, or all of them; `bun run test` the small ones. Each program, and each broken rule
// that it must catch, is one check. What a check prints, and how a failure is replayed, is in
// docs/checking.md.

import { availableParallelism } from "node:os";
import { join } from "node:path";
import { root, run, setup, zigBuild } from "./setup.ts";
import type { Count } from "./test.ts";

const prefix = "build/explore";
const explorer = join(root, prefix, "bin", "explore");

/** Runs the explorer; what it printed, whole, so that programs which run beside each other do not mix. */
async function output(...argv: string[]): Promise<string> {
  const child = Bun.spawn([explorer, ...argv], { stdio: ["ignore", "pipe", "inherit"] });
  const text = await new Response(child.stdout).text();
  const code = await child.exited;
  // A failed check says so itself; anything else must not pass for one that found nothing.
  return code === 0 || code === 1 ? text : `${text}FAILED: the explorer ended with ${code}\n`;
}

/** Explores the programs of a set, as many at a time as there are processors. */
export async function explore(filters: string[], set?: "small"): Promise<Count> {
  run(zigBuild(prefix, "-Dhook=explore"));
  const listed = await output("--list", ...(set === undefined ? [] : ["--set", set]), ...filters);
  const programs = listed.trim().split("\n");
  const count: Count = { passed: 0, failed: 0 };
  const next = programs.values();
  const work = async () => {
    for (const program of next) {
      for (const what of [[], ["--canaries"]]) {
        const text = await output(program, ...what);
        process.stdout.write(text);
        count.passed += text.match(/^ok: /gm)?.length ?? 0;
        count.failed += text.match(/^FAILED: /gm)?.length ?? 0;
      }
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  if (count.passed + count.failed < programs.length) count.failed += 1;
  return count;
}

if (import.meta.main) {
  setup();
  const count = await explore(process.argv.slice(2));
  console.log(`${count.passed} passed, ${count.failed} failed`);
  process.exit(count.failed === 0 ? 0 : 1);
}
