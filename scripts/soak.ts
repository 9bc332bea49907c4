// `bun run soak --minutes M [--seed N]`: processes that use pools and are killed and stopped at
// random. With XMEM_LIBRARY it runs on that library, a deliberately broken one for example.

import { parseArgs } from "node:util";
import { setup } from "./setup.ts";

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "2" }, seed: { type: "string" } },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
if (!(minutes > 0) || !Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
  console.error("usage: bun run soak --minutes M [--seed N]   (M > 0, N from 0 to 2^32 - 1)");
  process.exit(2);
}
if (process.env["XMEM_LIBRARY"] === undefined) setup();
// Only now: it loads the library.
const { soak } = await import("../test/soak/soak.ts");
process.exit((await soak({ minutes, seed })) ? 0 : 1);
