// Makes a fresh clone ready, then runs the lot: see run.ts.

import { setup } from "../../scripts/setup.ts";

if (Bun.which("ffmpeg") === null) {
  console.error("this needs ffmpeg, which is not on the PATH: apt-get install ffmpeg, for one");
  process.exit(2);
}
setup();
await import("./run.ts");
