// Draws the lot and encodes it: a video in H.264, and the truth about it. Which cars come and go, their
// colours, the light and the noise follow from the seed alone.

import { closeSync, writeFileSync } from "node:fs";
import { type BufferPool, FrameSink } from "../../src/index.ts";
import { type Box, bays, digits, frameSize, framesPerSecond, height, width } from "./lot.ts";

export interface Change {
  /** 1 to 12. */
  bay: number;
  kind: "arrival" | "departure";
  /** Of an arrival when the car stands, of a departure when it begins to move. */
  frame: number;
}

interface Car {
  bay: number;
  /** Frames; below 0: it was there before the film begins. */
  arrives: number;
  /** Past the last frame: it stays. */
  departs: number;
  colour: readonly [y: number, u: number, v: number];
}

/** Frames that a car takes to drive in or out. */
const drive = 8;
/** Frames between two changes of one bay. */
const rest = 40;

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function plan(frames: number, next: () => number): Car[] {
  const cars: Car[] = [];
  for (let bay = 0; bay < bays.length; bay++) {
    let frame = next() < 0.5 ? -1000 : rest / 2 + Math.floor(next() * 120);
    while (frame < frames - rest) {
      const first = Math.max(frame, 0) + drive + rest;
      const departs = first + Math.floor(next() * 160);
      const leaves = departs < frames - rest;
      const light = 110 + Math.floor(next() * 110);
      const colour = [light, 90 + next() * 80, 90 + next() * 80] as const;
      cars.push({ bay, arrives: frame, departs: leaves ? departs : frames + 1000, colour });
      frame = leaves ? departs + drive + rest + Math.floor(next() * 100) : frames;
    }
  }
  return cars;
}

function truthOf(cars: Car[], frames: number): Change[] {
  const changes = cars.flatMap(({ bay, arrives, departs }): Change[] => [
    { bay: bay + 1, kind: "arrival", frame: arrives + drive },
    { bay: bay + 1, kind: "departure", frame: departs },
  ]);
  return changes
    .filter(({ frame }) => frame >= 0 && frame < frames)
    .sort((a, b) => a.frame - b.frame || a.bay - b.bay);
}

function fill(plane: Uint8Array, stride: number, box: Box, value: number): void {
  for (let y = Math.max(box.y, 0); y < box.y + box.height; y++) {
    plane.fill(value, y * stride + box.x, y * stride + box.x + box.width);
  }
}

function halved({ x, y, width, height }: Box): Box {
  return { x: x >> 1, y: y >> 1, width: width >> 1, height: height >> 1 };
}

/** The lot without cars. */
function empty(): Uint8Array {
  const frame = new Uint8Array(frameSize).fill(128);
  const luma = frame.subarray(0, width * height);
  luma.fill(96);
  for (const { x, y, width: wide, height: high } of bays) {
    for (const line of [x - 2, x + wide - 2]) {
      fill(luma, width, { x: line, y, width: 4, height: high }, 200);
    }
  }
  return frame;
}

function drawCar(frame: Uint8Array, { bay, colour: [y, u, v] }: Car, out: number): void {
  const box = bays[bay] as Box;
  // Cars of the upper row come from below, and those of the lower row from above.
  const shift = Math.round(out * 240) * (bay < 6 ? 1 : -1);
  const car = { x: box.x + 36, y: box.y + 20 + shift, width: 88, height: 180 };
  const luma = frame.subarray(0, width * height);
  const quarter = (width * height) / 4;
  const us = frame.subarray(width * height, width * height + quarter);
  const vs = frame.subarray(width * height + quarter);
  fill(luma, width, car, y);
  fill(us, width / 2, halved(car), u);
  fill(vs, width / 2, halved(car), v);
  const { x, y: top } = car;
  fill(luma, width, { x: x + 8, y: top + 34, width: 72, height: 26 }, 30);
  fill(luma, width, { x: x + 12, y: top + 136, width: 64, height: 18 }, 36);
  fill(luma, width, { x: x + 14, y: top + 66, width: 60, height: 60 }, Math.min(y + 25, 235));
}

/** Sensor noise, the same in each run: a triangle of -9 to 9. */
function noise(next: () => number): Int8Array {
  const table = new Int8Array(width * height + 65_536);
  for (let i = 0; i < table.length; i++) table[i] = Math.round((next() + next() - 1) * 9);
  return table;
}

/** Draws, encodes into `video`, and writes the truth into `truth`. */
export async function shoot(
  pool: BufferPool,
  { video, truth, frames, seed }: { video: string; truth: string; frames: number; seed: number },
): Promise<Change[]> {
  const next = random(seed);
  const cars = plan(frames, next);
  const grains = noise(next);
  const background = empty();
  const { sink, readable } = FrameSink.pipe();
  const raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", `${width}x${height}`];
  const h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-g", "30"];
  const encoder = Bun.spawn(
    [
      ...["ffmpeg", "-v", "fatal", "-y", ...raw, "-r", String(framesPerSecond), "-i", "-"],
      ...[...h264, "-threads", "1", video],
    ],
    { stdin: readable, stderr: "inherit" },
  );
  closeSync(readable);
  let cloud = 1;
  for (let number = 0; number < frames; number++) {
    using frame = await pool.acquireAsync(frameSize);
    const { bytes } = frame;
    bytes.set(background);
    for (const car of cars) {
      const coming = 1 - (number - car.arrives) / drive;
      const going = (number - car.departs) / drive;
      const out = Math.max(coming, going, 0);
      if (out < 1) drawCar(bytes, car, out);
    }
    // The sun moves slowly, and clouds come all at once.
    if (next() < 0.02) cloud = 0.8 + next() * 0.3;
    const light = cloud * (1 + 0.15 * Math.sin(number / 50));
    const offset = Math.floor(next() * 65_536);
    const gain = Math.round(light * 256);
    for (let i = 0; i < width * height; i++) {
      const value = (((bytes[i] as number) * gain) >> 8) + (grains[i + offset] as number);
      bytes[i] = Math.max(16, Math.min(value, 235));
    }
    const { count, size, pitch, x, y } = digits;
    for (let digit = 0; digit < count; digit++) {
      const box = { x: x + digit * pitch, y, width: size, height: size };
      fill(bytes, width, box, (number >> digit) & 1 ? 235 : 16);
    }
    await sink.writeFrom(frame);
  }
  await sink.end();
  if ((await encoder.exited) !== 0) throw new Error("ffmpeg could not encode the scene");
  const changes = truthOf(cars, frames);
  writeFileSync(truth, `${JSON.stringify({ frames, seed, changes }, null, 1)}\n`);
  return changes;
}
