// Makes the two machines, starts their programs and the server, starts again each that is killed, and
// in the end accounts for every frame.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { jetstreamManager } from "@nats-io/jetstream";
import { BufferPool, type Channel } from "../../src/index.ts";
import { frameSize } from "../parking/lot.ts";
import { random, shoot } from "../parking/scene.ts";
import { connectToServer, type Place, passed } from "./machine.ts";
import { countsTable, timesTable } from "./tables.ts";

const { values } = parseArgs({
  options: {
    frames: { type: "string", default: "500" },
    rate: { type: "string", default: "25" },
    kills: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    drawn: { type: "boolean", default: false },
  },
});
const number = (name: "frames" | "rate" | "kills" | "seed", least: number): number => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= least && value < 1e6) return value;
  console.error(`--${name} is ${values[name]}, expected a whole number from ${least} to 999999`);
  process.exit(2);
};
const frameCount = number("frames", 1);
const rate = number("rate", 1);
const kills = number("kills", 0);
const seed = number("seed", 0);

/** Where "far" can be reached: another network namespace, or this machine. */
const address = process.env["FAR"];
const isApart = address !== undefined;
const shared = mkdtempSync(join(tmpdir(), "two-machines-"));
const folders = {
  near: `/dev/shm/two-machines-${process.pid}-near`,
  far: `/dev/shm/two-machines-${process.pid}-far`,
};
type Machine = keyof typeof folders;

/** Makes a machine's pool: XMEM_DIR says where pools are. */
function makePool(machine: Machine): BufferPool {
  mkdirSync(folders[machine]);
  process.env["XMEM_DIR"] = folders[machine];
  return BufferPool.create("pool", { capacity: 16, bufferSize: frameSize });
}

const near = makePool("near");
const far = makePool("far");
// What somebody who is killed had comes back as often as it takes.
const often = { capacity: 4, redeliver: true, maxDeliveries: 1000 };
const channels: Channel[] = [
  near.channel("frames", often),
  far.channel("frames", often),
  far.channel("results", often),
];
const results = near.channel("results", { capacity: 4 });

let film = "";
if (values.drawn || Bun.which("ffmpeg") === null) {
  const why = values.drawn ? "as was asked for" : "since there is no ffmpeg";
  console.log(`frames without a film, ${why}: the decoder draws them, each of one shade`);
} else {
  console.log(`drawing ${frameCount} frames of 720p, and encoding them`);
  film = join(shared, "lot.mp4");
  const truth = join(shared, "truth.json");
  await shoot(near, { video: film, truth, frames: frameCount, seed });
}
console.log(
  isApart
    ? `two network namespaces, and a wire between them to ${address}`
    : "no network namespaces: two folders of pools, and the loopback between them",
);

const port = isApart ? 4222 : await freePort();
const login = { user: "machines", pass: crypto.randomUUID() };
const config = join(shared, "server.conf");
writeFileSync(
  config,
  `listen: "${address ?? "127.0.0.1"}:${port}"
   max_payload: 2MB
   authorization { user: ${login.user}, password: "${login.pass}" }
   jetstream { store_dir: "${join(shared, "store")}" }`,
  { mode: 0o600 },
);
process.env["NATS"] = JSON.stringify({ servers: `${address ?? "127.0.0.1"}:${port}`, ...login });
process.env["PLACES"] = join(shared, "places");

const running = new Map<string, Bun.Subprocess>();
const killed = new Map<string, number>();
let isOver = false;
process.on("exit", () => {
  for (const child of running.values()) child.kill("SIGKILL");
  for (const folder of [shared, ...Object.values(folders)]) {
    rmSync(folder, { recursive: true, force: true });
  }
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

/** Runs a program on a machine to its end, and starts it again each time that it is killed. */
async function run(name: string, machine: Machine, command: string[]): Promise<void> {
  const on = machine === "far" && isApart ? ["ip", "netns", "exec", "far"] : [];
  const settings = {
    XMEM_DIR: folders[machine],
    FILM: film,
    FRAMES: values.frames,
    RATE: `${rate}`,
  };
  while (!isOver) {
    const child = Bun.spawn([...on, ...command], {
      env: { ...process.env, ...settings },
      stdio: ["ignore", "inherit", "inherit"],
    });
    running.set(name, child);
    const code = await child.exited;
    running.delete(name);
    if (code === 0 || isOver) return;
    if (child.signalCode !== "SIGKILL") {
      console.error(`${name} ended with ${code}`);
      process.exit(1);
    }
  }
}
const program = (file: string, ...argv: string[]): string[] => [
  ...[process.execPath, join(import.meta.dir, `${file}.ts`), ...argv],
];

const log = join(shared, "server.log");
const server = run("server", "far", [process.env["NATS_SERVER"] ?? "", "-c", config, "-l", log]);
const nats = await connectToServer();
const manager = await jetstreamManager(nats);
for (const name of ["frames", "results"]) {
  await manager.streams.add({
    name: name.toUpperCase(),
    subjects: [name],
    retention: "workqueue",
    max_bytes: 64 * 2 ** 20,
    discard: "new",
    // Tells when the server got a message, for the table.
    republish: { src: name, dest: `stored.${name}`, headers_only: true },
  });
}
nats.subscribe("stored.frames", {
  callback: (_, { headers }) => {
    const at = Date.parse(headers?.get("Nats-Time-Stamp") ?? "");
    passed("stored", Number(headers?.get("Xmem-Sequence") ?? 0), at * 1000);
  },
});

/** Each result that comes back, in the order in which it comes. */
const came: { sequence: number; checksum: string }[] = [];
async function collect(): Promise<void> {
  const seen = new Set<number>();
  // None for a minute: some are lost.
  while (seen.size < frameCount) take(await results.receive({ timeout: 60_000 }));
  // What comes twice may come late.
  while (true) take(await results.receive({ timeout: 1000 }));

  function take(result: Awaited<ReturnType<Channel["receive"]>>): void {
    using guard = result;
    const { sequence, contentType } = guard.meta;
    passed("back", sequence);
    seen.add(sequence);
    came.push({ sequence, checksum: contentType.split(" ")[1] ?? "" });
  }
}

/** Kills one after the other, each time that so many more results have come. */
async function killAtRandom(): Promise<void> {
  const next = random(seed + 1);
  const victims = [...running.keys(), ...(isApart ? ["wire"] : [])];
  for (let count = 0; count < kills && !isOver; count++) {
    // The last frames take everybody once more, so that all are there in the end.
    const at = Math.floor(((count + next()) * 0.9 * frameCount) / kills);
    while (came.length < at && !isOver) await Bun.sleep(5);
    await Bun.sleep(next() * 20);
    const victim = victims[(count + seed) % victims.length] as string;
    if (victim === "wire") await cutTheWire(next() * 1000);
    else if (!running.has(victim)) continue;
    running.get(victim)?.kill("SIGKILL");
    killed.set(victim, (killed.get(victim) ?? 0) + 1);
  }
}

async function cutTheWire(milliseconds: number): Promise<void> {
  await Bun.spawn(["ip", "link", "set", "wire", "down"]).exited;
  await Bun.sleep(milliseconds);
  await Bun.spawn(["ip", "link", "set", "wire", "up"]).exited;
}

const start = performance.now();
const programs = [
  run("decoder", "near", program("decoder")),
  run("exporter of frames", "near", program("bridge", "export", "frames")),
  run("importer of frames", "far", program("bridge", "import", "frames")),
  run("detector", "far", program("detector")),
  run("exporter of results", "far", program("bridge", "export", "results")),
  run("importer of results", "near", program("bridge", "import", "results")),
];
const killing = killAtRandom();
await collect().catch((error: unknown) => {
  if ((error as { code?: string }).code !== "TIMEOUT") throw error;
});
const seconds = (performance.now() - start) / 1000;
isOver = true;
await killing;
for (const channel of channels) channel.close();
for (const child of running.values()) child.kill("SIGTERM");
await nats.close();
await Promise.all([server, ...programs]);

/** When each frame was first where, in microseconds. */
const places = new Map<Place, Map<number, number>>();
const checksums = new Map<number, string>();
for (const line of readFileSync(process.env["PLACES"] ?? "", "utf8")
  .trim()
  .split("\n")) {
  const [place, sequence, at, more] = line.split(" ") as [Place, string, string, string];
  const times = places.get(place) ?? new Map<number, number>();
  places.set(place, times);
  if (!times.has(Number(sequence))) times.set(Number(sequence), Number(at));
  if (place === "captured") checksums.set(Number(sequence), more);
}
const distinct = new Set(came.map(({ sequence }) => sequence)).size;
const counts = {
  lost: frameCount - distinct,
  doubled: came.length - distinct,
  overtaken: came.filter(({ sequence }, at) => sequence < (came[at - 1]?.sequence ?? 0)).length,
  damaged: came.filter(({ sequence, checksum }) => checksum !== checksums.get(sequence)).length,
};
const buffersInUse = near.stats().used + far.stats().used;
console.log(
  countsTable({ ...counts, frameCount, seconds, buffersInUse, killed, isFilm: film !== "" }),
);
console.log(timesTable(places));
if (Object.values(counts).some((each) => each > 0) || buffersInUse > 0) {
  console.error("NOT as it should be");
  process.exitCode = 1;
}
near.close();
far.close();

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const listener = createServer().listen(0, "127.0.0.1", () => {
      const found = listener.address();
      listener.close(() => resolve(typeof found === "object" ? (found?.port ?? 0) : 0));
    });
  });
}
