// Draws what was seen into the frames, and encodes them. The other stages read the same buffers, so it
// waits until it is the last that holds one, and then draws into that: no frame is copied. A stage that
// is killed and restarted begins a new file, since a subscriber gets what is sent while it is there.

import { closeSync } from "node:fs";
import { FrameSink } from "../../src/index.ts";
import { draw } from "./drawing.ts";
import { framesPerSecond, height, seenIn, width } from "./lot.ts";
import { seen as open, pool } from "./stage.ts";

const seen = open({ subscribe: true });
const output = `${process.env["OUT"]}/annotated-${process.env["START"]}.ts`;
const { sink, readable } = FrameSink.pipe();
const raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", `${width}x${height}`];
const encoder = Bun.spawn(
  [
    ...["ffmpeg", "-v", "fatal", ...raw, "-r", String(framesPerSecond), "-i", "-"],
    ...["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"],
    output,
  ],
  { stdin: readable, stderr: "inherit" },
);
closeSync(readable);

let last = -1;
for await (using frame of seen) {
  // A frame that the detector looked at twice comes twice.
  if (frame.meta.sequence <= last) continue;
  last = frame.meta.sequence;
  while (pool.refCount(frame.handle) > 1) await Bun.sleep(1);
  using own = pool.getMut(frame.handle);
  draw(own.bytes, seenIn(own.meta.contentType).occupied);
  await sink.writeFrom(own);
}
await sink.end();
if ((await encoder.exited) !== 0) throw new Error("ffmpeg could not encode the frames");
