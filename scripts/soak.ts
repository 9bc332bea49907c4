// `bun run soak --minutes M [--seed N] [--delays] [--canary NAME]`: processes that use pools and are
// killed and stopped at random. With `--delays` on a library whose threads sometimes sleep in the
// middle of an operation, with `--canary` on such a one that is deliberately broken, which must fail.

import { parseArgs } from "node:util";
import { breaking, buildChecked } from "./checked.ts";
import { setup } from "./setup.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    seed: { type: "string" },
    delays: { type: "boolean", default: false },
    canary: { type: "string", default: "none" },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
if (!(minutes > 0) || !Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
  console.error("M is above 0, N from 0 to 2^32 - 1");
  process.exit(2);
}

setup();
if (values.delays || values.canary !== "none") {
  buildChecked("delay");
  // The soak's processes inherit it.
  Object.assign(process.env, breaking("delay", values.canary));
}
// This import comes late, because it loads the library.
const { soak } = await import("../test/soak/soak.ts");
process.exit((await soak({ minutes, seed })) ? 0 : 1);
