// Hands buffers to another process or Worker in one of the ways of side.ts. Arguments: "hand-over", the
// way and the sizes, which answers in microseconds of a round trip; "throughput", the way and how many
// frames side 1 fills and side 0 sums, which answers in GB/s; or "wake", the way and how many buffers
// side 1 sends, one a millisecond, which answers in microseconds until side 0 has them.

import { answer, nanoseconds } from "../suite/loop.ts";
import { quantile } from "../suite/statistics.ts";
import { check, fill, frameSize, now } from "./frames.ts";
import * as sides from "./side.ts";

interface Setting {
  way: string;
  name: string;
  size: number;
  /** 0: the other side sends back what comes; else it produces so many frames. */
  frames: number;
  /** It does not fill them, but sends one a millisecond with the time. */
  timed?: boolean;
}

declare const self: Worker;

const [role = "", way = "", ...rest] = process.argv.slice(2);
const worker = "worker: ";

function inbox(): { arrived: (message: unknown) => void; next: () => Promise<unknown> } {
  const early: unknown[] = [];
  let waiting: ((message: unknown) => void) | undefined;
  return {
    arrived: (message) => {
      if (waiting === undefined) early.push(message);
      else {
        const resolve = waiting;
        waiting = undefined;
        resolve(message);
      }
    },
    next: () => {
      if (early.length > 0) return Promise.resolve(early.shift());
      return new Promise((resolve) => {
        waiting = resolve;
      });
    },
  };
}

function sideOf(
  { way, name, size, frames }: Setting,
  side: 0 | 1,
  post: sides.Post,
  memory: SharedArrayBuffer | undefined,
): sides.Side {
  const place = { side, size, oneWay: frames > 0 };
  const [how = "", what = ""] = way.replace(worker, "").split(" ");
  if (how === "channel") return sides.channelSide(what, name, place);
  if (how === "handle") return sides.handleSide(name, place, post);
  if (how === "bytes") return sides.bytesSide(place, post);
  if (how === "transfer") return sides.transferSide(place, post);
  if (how === "ring" && memory !== undefined) {
    return sides.ringSide(what === "wait", memory, place);
  }
  throw new Error(`no way ${way}`);
}

/** Sends back what comes, for ever. */
function echo(side: sides.SyncSide): never {
  while (true) {
    side.receive();
    side.reply();
  }
}

/** Side 1: sends back what comes, for ever, or produces frames. */
async function serve(side: sides.Side, { frames, timed }: Setting): Promise<void> {
  if (frames === 0) {
    if (sides.isSync(side)) echo(side);
    while (true) {
      const received = side.receive();
      if (received instanceof Promise) await received;
      side.reply();
    }
  }
  for (let i = 0; i < frames; i++) {
    if (timed) Bun.sleepSync(1);
    const claimed = side.claim();
    const bytes = claimed instanceof Promise ? await claimed : claimed;
    if (timed) new DataView(bytes.buffer, bytes.byteOffset).setFloat64(0, now());
    else fill(bytes, i);
    const sent = side.send();
    if (sent instanceof Promise) await sent;
  }
}

interface Link {
  side: sides.Side;
  end: () => void;
}

async function begin(setting: Setting): Promise<Link> {
  const { arrived, next } = inbox();
  const memory = new SharedArrayBuffer(way.includes("ring") ? sides.sharedBytes(setting.size) : 0);
  if (way.startsWith(worker)) {
    const other = new Worker(import.meta.path);
    other.onmessage = ({ data }) => arrived(data);
    other.onerror = ({ message }) => {
      console.error(message);
      process.exit(1);
    };
    const post: sides.Post = {
      post: (message, transfer = []) => other.postMessage(message, transfer),
      next,
    };
    // The pool is made before the other side opens it.
    const side = sideOf(setting, 0, post, memory);
    other.postMessage({ setting, memory });
    await next();
    return { side, end: () => other.terminate() };
  }
  const post: sides.Post = { post: (message) => void child.send(message), next };
  const side = sideOf(setting, 0, post, memory);
  const child = Bun.spawn([process.execPath, import.meta.path, "side", JSON.stringify(setting)], {
    stdio: ["ignore", "inherit", "inherit"],
    serialization: "advanced",
    ipc: arrived,
  });
  await next();
  return { side, end: () => child.kill("SIGKILL") };
}

function came(back: Uint8Array, i: number): void {
  if (back[0] !== (i & 255)) throw new Error("another buffer came back");
}

/** The engine compiles a loop that awaits to slower code, whether it awaits anything or not. */
function tripsSync(side: sides.SyncSide, count: number): void {
  for (let i = 0; i < count; i++) {
    side.claim()[0] = i;
    side.send();
    came(side.receive(), i);
    side.done();
  }
}

async function handOver(size: number): Promise<number> {
  const name = `bench.carry.${process.pid}.${size}`;
  const { side, end } = await begin({ way, name, size, frames: 0 });
  const tripsAsync = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      // An await costs what the fastest ways cost.
      const claimed = side.claim();
      const bytes = claimed instanceof Promise ? await claimed : claimed;
      bytes[0] = i;
      const sent = side.send();
      if (sent instanceof Promise) await sent;
      const received = side.receive();
      const back = received instanceof Promise ? await received : received;
      came(back, i);
      side.done();
    }
  };
  const trips = sides.isSync(side) ? (count: number) => tripsSync(side, count) : tripsAsync;
  const start = Bun.nanoseconds();
  await trips(2);
  // A batch for tinybench: some hundred microseconds, or one trip.
  const count = Math.ceil(Math.min(100, 400e3 / (Bun.nanoseconds() - start)));
  const took = await nanoseconds(count, trips);
  end();
  return took / 1e3;
}

/** Not by tinybench: the time is that of another process's frames, from one of them to the last. */
async function throughput(frames: number): Promise<number> {
  const name = `bench.carry.${process.pid}`;
  const { side } = await begin({ way, name, size: frameSize, frames });
  const first = Math.floor(frames / 4);
  let start = 0;
  for (let i = 0; i < frames; i++) {
    const received = side.receive();
    check(received instanceof Promise ? await received : received, i);
    side.done();
    if (i === first) start = now();
  }
  return ((frames - 1 - first) * frameSize) / (now() - start);
}

/** Not by tinybench: each figure is the time between two processes. */
async function wake(frames: number): Promise<Record<string, number>> {
  const name = `bench.carry.${process.pid}`;
  const { side, end } = await begin({ way, name, size: 4096, frames, timed: true });
  const late: number[] = [];
  const cpu = process.cpuUsage();
  const start = now();
  for (let i = 0; i < frames; i++) {
    const received = side.receive();
    const { buffer, byteOffset } = received instanceof Promise ? await received : received;
    late.push((now() - new DataView(buffer, byteOffset).getFloat64(0)) / 1e3);
    side.done();
  }
  const { user, system } = process.cpuUsage(cpu);
  const used = (100 * (user + system) * 1e3) / (now() - start);
  end();
  const [p50, p99, p999] = [0.5, 0.99, 0.999].map((part) => quantile(late, part));
  return { p50: p50 ?? 0, p99: p99 ?? 0, "p99.9": p999 ?? 0, cpu: used };
}

if (!Bun.isMainThread) {
  const { arrived, next } = inbox();
  self.onmessage = ({ data }) => arrived(data);
  const { setting, memory } = (await next()) as { setting: Setting; memory: SharedArrayBuffer };
  const post: sides.Post = {
    post: (message, transfer = []) => postMessage(message, transfer),
    next,
  };
  const side = sideOf(setting, 1, post, memory);
  postMessage("ready");
  await serve(side, setting);
} else if (role === "side") {
  const { arrived, next } = inbox();
  process.on("message", arrived);
  const setting: Setting = JSON.parse(way);
  const post: sides.Post = { post: (message) => void process.send?.(message), next };
  const side = sideOf(setting, 1, post, undefined);
  process.send?.("ready");
  await serve(side, setting);
} else if (role === "throughput") {
  answer({ gbps: await throughput(Number(rest[0])) });
} else if (role === "wake") {
  answer(await wake(Number(rest[0])));
} else {
  const figures: Record<string, number> = {};
  for (const size of rest) figures[size] = await handOver(Number(size));
  answer(figures);
}
