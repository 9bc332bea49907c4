// On the near machine: ffmpeg decodes a film straight into buffers of the pool, at a camera's pace.

import { closeSync } from "node:fs";
import { type BufferGuard, FrameSource } from "../../src/index.ts";
import { frameSize, framesPerSecond } from "../parking/lot.ts";
import { checksum, openPool, passed } from "./machine.ts";

const { FILM = "", FRAMES, RATE } = process.env;
const count = Number(FRAMES);
const pool = openPool();
const frames = pool.channel("frames");
// A send is one atomic step, and this counts it: one who follows goes on exactly there.
const first = frames.stats().sent;
const start = performance.now();
let next = first;
for await (const frame of FILM === "" ? drawn() : decoded()) {
  await Bun.sleep(start + ((next - first) * 1000) / Number(RATE) - performance.now());
  frame.meta.sequence = next;
  passed("captured", next, undefined, checksum(frame.bytes));
  await frames.sendAsync(frame);
  next++;
}
frames.close();

async function* decoded(): AsyncGenerator<BufferGuard> {
  if (first === count) return;
  // Half a frame early, so that rounding never skips one.
  const seek = first === 0 ? [] : ["-ss", String((first - 0.5) / framesPerSecond)];
  const { source, writable } = FrameSource.pipe();
  const decoder = Bun.spawn(
    [
      ...["ffmpeg", "-v", "fatal", ...seek, "-threads", "1", "-i", FILM],
      ...["-f", "rawvideo", "-pix_fmt", "yuv420p", "-"],
    ],
    { stdout: writable, stderr: "inherit" },
  );
  closeSync(writable);
  yield* source.frames(pool, frameSize);
  if ((await decoder.exited) !== 0) throw new Error("ffmpeg could not decode the film");
}

/** Without ffmpeg: each frame is a shade of its own. */
async function* drawn(): AsyncGenerator<BufferGuard> {
  while (next < count) {
    const frame = await pool.acquireAsync(frameSize);
    frame.bytes.fill(16 + (next % 220));
    yield frame;
  }
}
