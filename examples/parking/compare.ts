// The same frames from the same ffmpeg to the same detector three times: through the pool, through Bun's
// IPC, and through a pipe. Prints the processor's time of the two processes, ffmpeg's left out, and
// its ratio to the first.

import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BufferPool, FrameSource } from "../../src/index.ts";
import { readingOf } from "./detection.ts";
import { frameSize } from "./lot.ts";
import { shoot } from "./scene.ts";

const [role, way = "", video = ""] = process.argv.slice(2);
const input = ["ffmpeg", "-v", "fatal", "-threads", "1", "-i", video];
const decode = [...input, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"];
const poolName = `compare-${role === "decoder" ? process.ppid : process.pid}`;

/** Exact frames out of a stream, as a program writes it by hand. */
async function* framesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  let frame = new Uint8Array(frameSize);
  let length = 0;
  for await (let piece of stream) {
    while (piece.length > 0) {
      const part = piece.subarray(0, frameSize - length);
      frame.set(part, length);
      length += part.length;
      piece = piece.subarray(part.length);
      if (length < frameSize) continue;
      yield frame;
      frame = new Uint8Array(frameSize);
      length = 0;
    }
  }
}

const decoders: Record<string, () => Promise<void>> = {
  async pool() {
    using pool = BufferPool.open(poolName);
    using frames = pool.channel("frames");
    const { source, writable } = FrameSource.pipe();
    Bun.spawn(decode, { stdout: writable });
    closeSync(writable);
    for await (const frame of source.frames(pool, frameSize)) await frames.sendAsync(frame);
    frames.close();
  },
  async pipe() {
    const output = Bun.stdout.writer();
    for await (const frame of framesOf(Bun.spawn(decode, { stdout: "pipe" }).stdout)) {
      output.write(frame);
      await output.flush();
    }
    await output.end();
  },
  async ipc() {
    // Answered one by one: whatever is sent without waiting is kept in memory.
    let answered = Promise.withResolvers<void>();
    process.on("message", () => answered.resolve());
    for await (const frame of framesOf(Bun.spawn(decode, { stdout: "pipe" }).stdout)) {
      answered = Promise.withResolvers<void>();
      process.send?.(frame);
      await answered.promise;
    }
    process.disconnect?.();
  },
};

let readings = 0;
let count = 0;

function detect(frame: Uint8Array): void {
  readings += readingOf(frame);
  count++;
}

const decoder = [process.execPath, import.meta.path, "decoder", way, video];

/** Each starts its decoder, and hands every frame to `detect`. */
const detectors: Record<string, () => Promise<void>> = {
  async pool() {
    const options = { capacity: 8, bufferSize: frameSize, ephemeral: true };
    using pool = BufferPool.create(poolName, options);
    using frames = pool.channel("frames", { capacity: 4 });
    const child = Bun.spawn(decoder, { stderr: "inherit" });
    for await (using frame of frames) detect(frame.bytes);
    await child.exited;
  },
  async pipe() {
    const child = Bun.spawn(decoder, { stdout: "pipe", stderr: "inherit" });
    for await (const frame of framesOf(child.stdout)) detect(frame);
    await child.exited;
  },
  async ipc() {
    const child = Bun.spawn(decoder, {
      stderr: "inherit",
      serialization: "advanced",
      ipc(message, from) {
        detect(message as Uint8Array);
        from.send("next");
      },
    });
    await child.exited;
  },
};

if (role === "decoder" || role === "detector") {
  await (role === "decoder" ? decoders : detectors)[way]?.();
  // Of this process alone, without its children.
  const { user, system } = process.cpuUsage();
  if (role === "detector") console.error(`${count} frames, ${readings}`);
  console.error(`cpu ${user + system}`);
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), "xmem-compare-"));
const film = join(folder, "lot.mp4");
using pool = BufferPool.create(`scene-${process.pid}`, {
  capacity: 2,
  bufferSize: frameSize,
  ephemeral: true,
});
await shoot(pool, { video: film, truth: join(folder, "truth.json"), frames: 480, seed: 1 });
const results = new Set<string>();
const best = new Map<string, { cpu: number; seconds: number }>();
for (const round of [1, 2, 3]) {
  for (const each of Object.keys(detectors)) {
    const start = performance.now();
    const command = [process.execPath, import.meta.path, "detector", each, film];
    const child = Bun.spawn(command, { stdout: "ignore", stderr: "pipe" });
    const said = await child.stderr.text();
    const seconds = (performance.now() - start) / 1000;
    const times = [...said.matchAll(/^cpu (\d+)$/gm)].map(([, time]) => Number(time) / 1e6);
    if (times.length !== 2) throw new Error(`${each}, round ${round}: ${said}`);
    results.add(/^\d+ frames, \d+$/m.exec(said)?.[0] ?? said);
    const cpu = times.reduce((sum, time) => sum + time, 0);
    const known = best.get(each) ?? { cpu, seconds };
    best.set(each, { cpu: Math.min(cpu, known.cpu), seconds: Math.min(seconds, known.seconds) });
  }
}
rmSync(folder, { recursive: true });
if (results.size !== 1) throw new Error(`they differ: ${[...results].join("; ")}`);
const first = best.get("pool")?.cpu ?? Number.NaN;
console.log("decoder to detector, 480 frames of 720p, the best of 3");
for (const [each, { cpu, seconds }] of best) {
  const ratio = (cpu / first).toFixed(2);
  console.log(
    `${each.padEnd(6)}${cpu.toFixed(2)} s of CPU, ratio ${ratio}, ${seconds.toFixed(1)} s`,
  );
}
