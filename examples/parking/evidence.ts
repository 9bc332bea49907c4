// Stores each arrival and departure: the frame as a JPEG, then the event as JSON. A frame is done when
// both are stored; when this is killed before, the frame comes back, and the same goes to the same keys.

import { closeSync } from "node:fs";
import { type BufferGuard, FrameSink } from "../../src/index.ts";
import { bays, framesPerSecond, height, seenIn, width } from "./lot.ts";
import type { Change } from "./scene.ts";
import { events } from "./stage.ts";
import { keyOf, storeOf } from "./store.ts";

const store = storeOf(process.env);
const raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", `${width}x${height}`];
const jpeg = ["-frames:v", "1", "-c:v", "mjpeg", "-q:v", "5", "-f", "image2pipe"];
const command = ["ffmpeg", "-v", "fatal", ...raw, "-i", "-", ...jpeg, "-"];

async function pictureOf(frame: BufferGuard): Promise<Uint8Array> {
  const { sink, readable } = FrameSink.pipe();
  const encoder = Bun.spawn(command, { stdin: readable, stdout: "pipe", stderr: "inherit" });
  closeSync(readable);
  const picture = new Response(encoder.stdout).bytes();
  await sink.writeFrom(frame);
  await sink.end();
  if ((await encoder.exited) !== 0) throw new Error("ffmpeg could not make a picture");
  return picture;
}

for await (using frame of events()) {
  const { occupied, changed } = seenIn(frame.meta.contentType);
  const picture = await pictureOf(frame);
  for (const bay of bays.keys()) {
    if (((changed >> bay) & 1) === 0) continue;
    const kind = ((occupied >> bay) & 1) === 1 ? "arrival" : "departure";
    const event: Change = { bay: bay + 1, kind, frame: frame.meta.sequence };
    const key = keyOf(event);
    const seconds = event.frame / framesPerSecond;
    await store.put(`${key}.jpg`, "image/jpeg", picture);
    await store.put(`${key}.json`, "application/json", JSON.stringify({ ...event, seconds }));
  }
}
