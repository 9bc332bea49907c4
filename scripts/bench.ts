// Measures xmem beside others: `bun run bench` asks every question of bench/questions.ts, one after
// another, so that none disturbs another; names ask only those. It prints tables, and leaves JSON and
// plots in build/bench/results, or with --document in docs/benchmarks.

import { join } from "node:path";
import { parseArgs } from "node:util";
import { questions } from "../bench/questions.ts";
import { built, compileAll } from "../bench/suite/compile.ts";
import { type Length, runQuestion } from "../bench/suite/run.ts";
import { documented, keep } from "../bench/suite/store.ts";
import { terminalTable } from "../bench/suite/table.ts";
import { writeDocuments } from "./performance.ts";
import { root, run, setup } from "./setup.ts";

/** Programs that measure one thing in their own way; asked for by name only. */
const apart = ["channel", "bridge"];

const usage = `usage: bun run bench [name ...] [--peers] [--document] [--rounds N] [--milliseconds N]
  names            only those questions: ${questions.map(({ name }) => name).join(", ")};
                   with tables of their own, and by name only: ${apart.join(", ")}
  --peers          first install and build the peers (Debian's packages, crates)
  --document       keep the results in docs/benchmarks, and write docs/performance.md
  --rounds N       at least 7 for a figure that is to be believed (default 7)
  --milliseconds N how long a program measures for one figure (default 40)`;

/** All questions, once and shortly, without peers that must be installed: that the suite works. */
export async function benchmarksWork(): Promise<boolean> {
  compileAll();
  let whole = true;
  for (const question of questions) {
    const length = { rounds: 1, milliseconds: 2, withoutPeers: true };
    const result = await runQuestion(question, length);
    const failed = result.answers.filter(({ absent }) => absent?.startsWith("failed") ?? false);
    for (const { name, absent } of failed) console.error(`${question.name}: ${name}: ${absent}`);
    whole &&= failed.length === 0 && terminalTable(question, result).length > 0;
    keep(join(built, "smoke"), question, result);
  }
  return whole;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      peers: { type: "boolean", default: false },
      document: { type: "boolean", default: false },
      rounds: { type: "string", default: "7" },
      milliseconds: { type: "string", default: "40" },
    },
  });
  const known = new Set([...questions.map(({ name }) => name), ...apart]);
  const unknown = positionals.filter((name) => !known.has(name));
  const length: Length = {
    rounds: Number(values.rounds),
    milliseconds: Number(values.milliseconds),
    withoutPeers: false,
  };
  if (unknown.length > 0 || !(length.rounds >= 1) || !(length.milliseconds >= 1)) {
    console.error(unknown.length > 0 ? `no question ${unknown.join(", ")}\n${usage}` : usage);
    process.exit(2);
  }
  setup();
  compileAll();
  if (values.peers) run([process.execPath, join(root, "bench", "peers", "install.ts")]);
  for (const name of apart) {
    if (positionals.includes(name)) run([process.execPath, join(root, "bench", `${name}.ts`)]);
  }
  const folder = values.document ? documented : join(built, "results");
  for (const question of questions) {
    if (positionals.length > 0 && !positionals.includes(question.name)) continue;
    const result = await runQuestion(question, length);
    console.log(`\n${question.title}`);
    console.log(terminalTable(question, result));
    keep(folder, question, result);
  }
  if (values.document) writeDocuments();
  console.log(`results and plots: ${folder}`);
}
