// Runs the benchmarks one after another, so that none disturbs another: all of them, or those whose
// names are given.

import { join } from "node:path";
import { root, run, setup } from "./setup.ts";

const benches = ["pool", "channel", "wake", "wait_race", "timeouts", "views", "recovery", "media"];

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !benches.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(", ")}; there are ${benches.join(", ")}`);
  process.exit(2);
}
setup();
for (const name of asked.length > 0 ? asked : benches) {
  console.log(`-- ${name}`);
  run([process.execPath, join(root, "bench", `${name}.ts`)]);
}
