// Makes the pool, its channels and the scene, starts the stages, starts again each that is killed, and
// in the end compares what was stored with the truth.

import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { BufferPool } from "../../src/index.ts";
import { memorySize } from "./detection.ts";
import { bays, frameSize, framesPerSecond } from "./lot.ts";
import { type Change, random, shoot } from "./scene.ts";
import { keyOf, storeOf } from "./store.ts";

const { values } = parseArgs({
  options: {
    frames: { type: "string", default: "480" },
    seed: { type: "string", default: "1" },
    kills: { type: "string", default: "0" },
    detector: { type: "string", default: "ts" },
    out: { type: "string", default: join(import.meta.dir, "out") },
  },
});
const number = (name: "frames" | "seed" | "kills", most: number): number => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= 0 && value <= most) return value;
  console.error(`--${name} is ${values[name]}, expected a whole number up to ${most}`);
  process.exit(2);
};
const frameCount = number("frames", 65_535);
const seed = number("seed", 2 ** 32 - 1);
const kills = number("kills", 1000);
const folder = values.out;

/** A frame of the truth and one of an event may lie so far apart: driving, and making sure. */
const tolerance = 20;

const root = join(import.meta.dir, "../..");
const python = process.env["PYTHON"] ?? "python3";
const stage = (name: string): string[] => [process.execPath, join(import.meta.dir, `${name}.ts`)];
const detectors: Record<string, string[]> = {
  ts: stage("detect"),
  python: [python, join(import.meta.dir, "detect.py")],
};
const detect = detectors[values.detector];
if (detect === undefined) {
  console.error(
    `--detector is ${values.detector}, expected ${Object.keys(detectors).join(" or ")}`,
  );
  process.exit(2);
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const video = join(folder, "lot.mp4");
using pool = BufferPool.create(`parking-${process.pid}`, {
  capacity: 24,
  bufferSize: frameSize,
  ephemeral: true,
});
const store = storeOf({ ...process.env, OUT: folder });
if ((await store.keys()).length > 0) {
  console.error(`${store.name} has events already: give it an empty bucket`);
  process.exit(2);
}
console.log(`drawing ${frameCount} frames of 720p, and encoding them`);
const truth = await shoot(pool, {
  video,
  truth: join(folder, "truth.json"),
  frames: frameCount,
  seed,
});
const acquiredBefore = pool.stats().counters.acquired;

// What a killed stage had comes back as often as it takes; a frame that no detector survives does not.
const often = { redeliver: true, maxDeliveries: 100 };
using _frames = pool.channel("frames", { capacity: 4, ...often });
using seen = pool.channel("seen", { mode: "broadcast", capacity: 4 });
using events = pool.channel("events", { capacity: 4, ...often });
const memories = ["decode", "detect"].map((name) => {
  const memory = pool.acquire(memorySize);
  memory.bytes.fill(0);
  const always = { capacity: 1, redeliver: true, maxDeliveries: 2 ** 32 - 1 };
  const channel = pool.channel(`memory of ${name}`, always);
  channel.send(memory);
  return channel;
});

const env = {
  ...process.env,
  POOL: pool.name,
  VIDEO: video,
  OUT: folder,
  XMEM_LIBRARY: join(root, "build", "libxmem.so"),
  PYTHONPATH: join(root, "python", "src"),
};
const running = new Map<string, Bun.Subprocess>();
const killed = new Map<string, number>();
const usage = { decode: 0, detect: 0, annotate: 0, evidence: 0 };

/** Runs a stage to its end, and starts it again each time that it is killed. */
async function run(name: keyof typeof usage, command: string[]): Promise<void> {
  for (let starts = 1; ; starts++) {
    const child = Bun.spawn(command, {
      env: { ...env, START: String(starts) },
      stdio: ["ignore", "inherit", "inherit"],
    });
    running.set(name, child);
    const code = await child.exited;
    running.delete(name);
    // Microseconds; with those of its ffmpeg, where it saw that end.
    usage[name] += Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6;
    if (code === 0) return;
    if (child.signalCode !== "SIGKILL") {
      for (const other of running.values()) other.kill("SIGKILL");
      console.error(`${name} ended with ${code}`);
      process.exit(1);
    }
    killed.set(name, (killed.get(name) ?? 0) + 1);
  }
}

/** The other reader of the frames that annotate gets: each must come, and in order. */
const tally = { frames: 0, twice: 0, missing: 0 };

async function watch(): Promise<void> {
  let next = 0;
  for await (using frame of seen) {
    const { sequence } = frame.meta;
    if (sequence < next) tally.twice++;
    else {
      tally.missing += sequence - next;
      tally.frames++;
      next = sequence + 1;
    }
  }
}

/** Kills a stage at random, each time that so many more frames were seen. */
async function killAtRandom(): Promise<void> {
  const next = random(seed + 1);
  const names = Object.keys(usage);
  for (let count = 0; count < kills; count++) {
    const at = Math.floor(((count + next()) * frameCount) / kills);
    while (tally.frames < at && !isOver) await Bun.sleep(5);
    await Bun.sleep(next() * 20);
    // Every stage in turn, from a random one on, so that each is killed.
    const name = names[(count + seed) % names.length] as string;
    running.get(name)?.kill("SIGKILL");
  }
}

const start = performance.now();
let isOver = false;
const watching = watch();
const killing = killAtRandom();
const annotating = run("annotate", stage("annotate"));
const evidence = run("evidence", stage("evidence"));
const decoding = run("decode", stage("decode"));
await run("detect", detect);
isOver = true;
await decoding;
await killing;
seen.close();
events.close();
await Promise.all([annotating, evidence, watching]);
const seconds = (performance.now() - start) / 1000;

const keys = await store.keys();
const stored: Change[] = [];
for (const key of keys.filter((each) => each.endsWith(".json"))) {
  stored.push(JSON.parse(await store.text(key)));
}
const unmatched = [...stored];
const lost = truth.filter(({ bay, kind, frame }) => {
  const place = unmatched.findIndex(
    (each) => each.bay === bay && each.kind === kind && Math.abs(each.frame - frame) <= tolerance,
  );
  if (place >= 0) unmatched.splice(place, 1);
  return place < 0;
});
const pictures = stored.filter((event) => keys.includes(`${keyOf(event)}.jpg`)).length;
const stats = pool.stats();
const acquired = stats.counters.acquired - acquiredBefore - memories.length;

const lostByDecode = killed.get("decode") ?? 0;
const bought = `${acquired} for ${frameCount} frames, none for a copy (decode was killed ${lostByDecode} times)`;

const table = new Table({ style: { head: [], border: [] } });
const spent = Object.entries(usage).map(([name, time]) => `${name} ${time.toFixed(1)} s`);
const deaths = [...killed].map(([name, count]) => `${name} ${count}`).join(", ");
table.push(
  {
    "arrivals and departures": `${truth.length}, of which ${truth.length - lost.length} are stored`,
  },
  { "events that never were": unmatched.length },
  { "objects stored": `${keys.length}: ${stored.length} events, ${pictures} pictures of them` },
  { "stored in": store.name },
  {
    "frames seen": `${tally.frames} of ${frameCount}, ${tally.missing} missing, ${tally.twice} twice`,
  },
  { "frames per second": `${(frameCount / seconds).toFixed(0)}, of a camera's ${framesPerSecond}` },
  { "buffers acquired": bought },
  { "memory of the pool": `${(stats.committedBytes / 2 ** 20).toFixed(1)} MiB` },
  { "processor's time, ffmpeg's too": spent.join(", ") },
  { "stages killed": deaths === "" ? "none" : deaths },
);
console.log(table.toString());
const picture = join(folder, "annotated.jpg");
const parts = readdirSync(folder).filter((name) => /^annotated-\d+\.ts$/.test(name));
const size = (part: string): number => statSync(join(folder, part)).size;
const [longest = ""] = parts.sort((a, b) => size(b) - size(a));
Bun.spawnSync([
  ...["ffmpeg", "-v", "fatal", "-y", "-i", join(folder, longest), "-vf"],
  ...["select=gte(n\\,20),scale=640:-1", "-frames:v", "1", "-q:v", "6", picture],
]);
if (existsSync(picture)) console.log(`an annotated frame: ${picture}`);

const isRight =
  lost.length === 0 &&
  unmatched.length === 0 &&
  keys.length === 2 * stored.length &&
  pictures === stored.length &&
  tally.frames === frameCount &&
  tally.missing === 0 &&
  stored.every(({ bay }) => bay >= 1 && bay <= bays.length) &&
  stats.used <= memories.length;
if (!isRight) {
  console.error("NOT as it should be:", JSON.stringify({ lost, unmatched, used: stats.used }));
  process.exitCode = 1;
}
