// `bun run flood [--messages M] [--kills K] [--seed N] [--canary NAME]`: four producers send M
// messages to four consumers, three times: undisturbed; with K of them killed a minute; and so
// through a channel that redelivers. With `--canary` on a library that sometimes sleeps in the
// middle of an operation and is deliberately broken, which must fail.

import { parseArgs } from "node:util";
import { breaking, buildChecked } from "./checked.ts";
import { setup } from "./setup.ts";

const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "1000000" },
    kills: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    canary: { type: "string" },
  },
});
const [messages, kills, seed] = [values.messages, values.kills, values.seed].map(Number);
if (![messages, kills, seed].every((each) => Number.isInteger(each) && Number(each) > 0)) {
  console.error("M, K and N are whole numbers above 0");
  process.exit(2);
}

setup();
if (values.canary !== undefined) {
  buildChecked("delay");
  // The flood's processes inherit it.
  Object.assign(process.env, breaking("delay", values.canary));
}
// This import comes late, because it loads the library.
const { flood } = await import("../test/flood/flood.ts");
const results: boolean[] = [];
for (const [redeliver, each] of [
  [false, 0],
  [false, kills],
  [true, kills],
] as const) {
  results.push(
    await flood({
      messages: messages as number,
      redeliver,
      kills: each as number,
      seed: seed as number,
    }),
  );
}
process.exit(results.every(Boolean) ? 0 : 1);
