// On the far machine: looks at each frame, and sends what it saw back. The result is written into the
// description of the frame's own buffer, which then goes on without its pixels.

import { readingOf } from "../parking/detection.ts";
import { checksum, openPool, passed } from "./machine.ts";

const pool = openPool();
const results = pool.channel("results");
for await (const frame of pool.channel("frames")) {
  // One that was killed may have come as far as this; then only the sending is left.
  if (frame.size > 0) {
    const occupied = readingOf(frame.bytes).toString(16).padStart(3, "0");
    frame.meta.contentType = `${occupied} ${checksum(frame.bytes)}`;
    frame.truncate(0);
  }
  passed("detected", frame.meta.sequence);
  // Ends the frame in one queue and begins it in the other, in a single step.
  await results.sendAsync(frame);
}
