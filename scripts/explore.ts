// Explores every interleaving of the core's own code: `bun run explore [PROGRAM ...]` the programs
// that are named, or all of them; `bun run test` the small ones, and the broken rules of all; CI the
// medium ones besides. Each program, and each broken rule that it must catch, is one check. What a
// check prints, and how a failure is replayed, is in docs/checking.md.

import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Count, type Failure, report } from "./failures.ts";
import { root, runRecorded, setup, zigBuild } from "./setup.ts";

const prefix = "build/explorer";
const explorer = join(root, prefix, "bin", "explorer");

export const explorerBuild = (): string[] => zigBuild(prefix, "-Dhook=explored");

/**
 * Runs the explorer, and returns its output as a whole, so that programs which run at the same time
 * do not mix.
 */
async function output(...argv: string[]): Promise<string> {
  const child = Bun.spawn([explorer, ...argv], { stdio: ["ignore", "pipe", "inherit"] });
  const text = await new Response(child.stdout).text();
  const code = await child.exited;
  // A failed check says so itself; a run that ended in another way must not pass for one that found
  // nothing.
  return code === 0 || code === 1 ? text : `${text}FAILED: the explorer ended with ${code}\n`;
}

interface Exploration {
  /** Programs by name; all of them where none is named. */
  programs?: string[];
  set?: "small" | "medium";
  /** Whether the rules that programs catch are broken, also those of other sets. */
  canaries?: boolean;
}

/** Explores programs, as many at a time as there are processors. */
export async function explore(what: Exploration): Promise<Count> {
  const { programs = [], set, canaries = true } = what;
  const built = await runRecorded(explorerBuild());
  if (!built.ok) {
    return { passed: 0, failures: [{ name: "explorer: the build", detail: built.output }] };
  }
  const listed = async (...argv: string[]) =>
    (await output("--list", ...argv, ...programs)).trim().split("\n");
  const jobs = (await listed(...(set === undefined ? [] : ["--set", set]))).map((name) => [name]);
  if (canaries) jobs.push(...(await listed()).map((name) => [name, "--canaries"]));
  const count: Count = { passed: 0, failures: [] };
  const next = jobs.values();
  const work = async () => {
    for (const job of next) {
      const text = await output(...job);
      process.stdout.write(text);
      count.passed += text.match(/^ok: /gm)?.length ?? 0;
      count.failures.push(...failuresOf(text));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  const whole = jobs.filter(([, canary]) => canary === undefined).length;
  if (count.passed + count.failures.length < whole) {
    count.failures.push({ name: "explorer", detail: `it has not judged all of ${whole} programs` });
  }
  return count;
}

/** What a failed check prints after its name is how it can be replayed. */
function failuresOf(text: string): Failure[] {
  const parts = text.split(/^(?=(?:ok|FAILED): )/m).filter((part) => part.startsWith("FAILED: "));
  return parts.map((part) => {
    const [first = "", ...rest] = part.slice("FAILED: ".length).split("\n");
    return { name: `explorer: ${first}`, detail: rest.join("\n") };
  });
}

if (import.meta.main) {
  setup();
  const count = await explore({ programs: process.argv.slice(2) });
  report(count);
  process.exit(count.failures.length === 0 ? 0 : 1);
}
