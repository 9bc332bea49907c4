// Decodes the video into buffers of the pool, straight from ffmpeg's pipe. Its memory is the number of
// the next frame. A frame is sent before it is counted, so a kill between the two sends it twice, and
// the detector notices.

import { closeSync } from "node:fs";
import { FrameSource } from "../../src/index.ts";
import { frameSize, framesPerSecond } from "./lot.ts";
import { memoryOf, frames as open, pool } from "./stage.ts";

const memory = await memoryOf("decode");
const frames = open();
let next = memory[0] as number;
// Half a frame early, so that rounding never skips one.
const seek = next === 0 ? [] : ["-ss", String((next - 0.5) / framesPerSecond)];
const video = process.env["VIDEO"] ?? "";
const { source, writable } = FrameSource.pipe();
const decoder = Bun.spawn(
  [
    ...["ffmpeg", "-v", "fatal", ...seek, "-threads", "1", "-i", video],
    ...["-f", "rawvideo", "-pix_fmt", "yuv420p", "-"],
  ],
  { stdout: writable, stderr: "inherit" },
);
closeSync(writable);
for await (const frame of source.frames(pool, frameSize)) {
  frame.meta.sequence = next;
  await frames.sendAsync(frame);
  memory[0] = ++next;
}
if ((await decoder.exited) !== 0) throw new Error("ffmpeg could not decode the video");
frames.close();
