// Counts the instructions of the hot operations, by valgrind, which finds the same numbers on a busy
// machine as on an idle one, and compares them with bench/instructions.json: a change that makes an
// operation longer by more than a twentieth fails. `bun scripts/instructions.ts --update` writes the
// file; commit it with the reason.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LIMIT_MADE_STRIDE } from "../src/generated/constants.gen.ts";
import { compileC } from "./cc.ts";
import { root, runRecorded, setup } from "./setup.ts";

type Counts = Record<string, number>;

const file = join(root, "bench", "instructions.json");
const source = join(root, "bench", "instructions.c");
const program = join(root, "build", "bench", "instructions");
const flags = ["-O2", "-rdynamic", `-DMADE_STRIDE=${LIMIT_MADE_STRIDE}`];
const tolerance = 0.05;
const repeats = 2000;
/** In a run whose threads came in an unlucky order the time is read anew by each acquire. */
const runs = 3;

async function hasValgrind(): Promise<boolean> {
  if (Bun.which("valgrind") === null && Bun.which("apt-get") !== null) {
    await runRecorded(["apt-get", "update", "-qq"]);
    await runRecorded(["apt-get", "install", "-y", "-qq", "valgrind"]);
  }
  if (Bun.which("valgrind") !== null) return true;
  console.error("instructions are counted by valgrind, and apt-get could not install it");
  return false;
}

async function countOf(operation: string): Promise<number> {
  const tool = [
    "valgrind",
    "--tool=callgrind",
    "--callgrind-out-file=/dev/null",
    "--fair-sched=yes",
  ];
  const child = Bun.spawn(
    [...tool, "--toggle-collect=measured", program, operation, `${repeats}`],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const output = await new Response(child.stderr).text();
  const collected = /Collected : (\d+)/.exec(output)?.[1];
  if ((await child.exited) !== 0 || collected === undefined) throw new Error(output);
  return Math.round(Number(collected) / repeats);
}

/** Of each operation, for one call of each function that it names, the loop around them included. */
async function count(): Promise<Counts> {
  mkdirSync(join(root, "build", "bench"), { recursive: true });
  const { ok, messages } = compileC(source, program, "gnu11", ...flags);
  if (!ok) throw new Error(messages);
  const operations = Bun.spawnSync([program]).stdout.toString().trim().split("\n");
  const counts: Counts = {};
  for (const operation of operations) {
    const found = [];
    for (let run = 0; run < runs; run++) found.push(await countOf(operation));
    counts[operation] = Math.min(...found);
  }
  return counts;
}

/** Prints each operation beside its committed figure; false where one is longer than that. */
export async function instructionsHold(): Promise<boolean> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    console.log("instructions were not counted: the committed figures are of linux-x64");
    return true;
  }
  if (!(await hasValgrind())) return false;
  const counts = await count();
  const committed = JSON.parse(readFileSync(file, "utf8")) as Counts;
  const rows = Object.entries(counts).map(([operation, now]) => {
    const before = committed[operation];
    const fine = before !== undefined && now <= before * (1 + tolerance);
    console.log(`${fine ? "ok" : "LONGER"}: ${operation}: ${now} instructions, ${before} before`);
    return fine;
  });
  return rows.length > 0 && !rows.includes(false);
}

if (import.meta.main) {
  setup();
  if (!process.argv.includes("--update")) process.exit((await instructionsHold()) ? 0 : 1);
  if (!(await hasValgrind())) process.exit(1);
  writeFileSync(file, `${JSON.stringify(await count(), null, 2)}\n`);
}
