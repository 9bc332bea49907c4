// A buffer that goes to another process and back through two channels, beside a word that two C
// programs pass each other in shared memory, in the same run: by doing nothing but looking where the
// channel's users find what they wait for at once; by sleeping on a futex, or in an event loop that
// a thread wakes, where each side thinks before it answers, so that the other one sleeps. The other
// ways to hand a buffer over are beside it: a handle by Bun's IPC, a Worker's message or a FIFO, and
// the bytes themselves by the first two. Each figure is the best of several batches: what else runs
// on a machine of few cores makes a batch a hundred times slower. Where somebody sleeps, one round
// trip can be measured by itself, and the figure is the median.

import { dlopen } from "bun:ffi";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { compileC } from "../scripts/cc.ts";
import { run } from "../scripts/setup.ts";
import { BufferPool, type Channel } from "../src/index.ts";

const frame = 6_220_800;
const sizes = [1, frame] as const;
const batches = 60;
const [role = "", name = "", folder = ""] = process.argv.slice(2);
const wait = { timeout: 60_000 };

type Guard = ReturnType<BufferPool["acquire"]>;

type Take = () => Guard | Promise<Guard>;

function hot(channel: Channel): Guard {
  while (true) {
    const guard = channel.tryReceive();
    if (guard !== null) return guard;
  }
}

type Takes = (channel: Channel) => Guard | Promise<Guard>;

const takes: Record<"hot" | "blocking" | "async", Takes> = {
  hot,
  blocking: (channel) => channel.receiveBlocking(wait),
  async: (channel) => channel.receive(),
};

/** The waits of somebody who sleeps, each with the processors of both sides. */
const sleeping: [way: string, kind: "blocking" | "async", processors: [number, number]][] = [];
for (const kind of ["blocking", "async"] as const) {
  sleeping.push([`${kind}, asleep, on one processor`, kind, [0, 0]]);
  if (availableParallelism() > 1)
    sleeping.push([`${kind}, asleep, on two processors`, kind, [0, 1]]);
}

const processorSet = new BigUint64Array(16);
const { symbols: libc } = dlopen("libc.so.6", {
  sched_setaffinity: { args: ["i32", "u64", "buffer"], returns: "i32" },
});

/** This thread and those that it starts; no processor: on any. */
function runOn(processor?: number): void {
  processorSet.fill(processor === undefined ? 2n ** 64n - 1n : 0n);
  if (processor !== undefined) processorSet[0] = 1n << BigInt(processor);
  if (libc.sched_setaffinity(0, BigInt(processorSet.byteLength), processorSet) !== 0)
    throw new Error(`no processor ${processor}`);
}

/** Longer than a waiter looks before it sleeps. */
const thoughtNs = 100_000;
const tripsAsleep = 500;
const turns = 5;

function think(): void {
  const until = Bun.nanoseconds() + thoughtNs;
  while (Bun.nanoseconds() < until);
}

/** Microseconds of a round trip. */
async function trips(count: number, pass: () => Guard, answer: Take): Promise<number> {
  const took: number[] = [];
  for (let batch = 0; batch < batches; batch++) {
    const start = Bun.nanoseconds();
    for (let i = 0; i < count; i++) {
      pass();
      // An await costs what the fastest ways cost.
      const answered = answer();
      const guard = answered instanceof Promise ? await answered : answered;
      guard.release();
    }
    took.push((Bun.nanoseconds() - start) / count / 1000);
  }
  return Math.min(...took);
}

/** Microseconds of a round trip to somebody who is asleep, without the thoughts of both sides. */
async function tripAsleep(pass: () => Guard, answer: Take): Promise<number> {
  const took: number[] = [];
  for (let trip = 0; trip < tripsAsleep; trip++) {
    think();
    const start = Bun.nanoseconds();
    pass();
    const answered = answer();
    const guard = answered instanceof Promise ? await answered : answered;
    took.push((Bun.nanoseconds() - start - thoughtNs) / 1000);
    guard.release();
  }
  took.sort((one, other) => one - other);
  return took[took.length >> 1] as number;
}

/** Passes back what comes, until the other side closes the channel. */
async function echo(pool: BufferPool, way: string, take: Takes, thinks: boolean): Promise<void> {
  using ping = pool.channel(`${way} ping`);
  using pong = pool.channel(`${way} pong`);
  try {
    while (true) {
      const taken = take(ping);
      const guard = taken instanceof Promise ? await taken : taken;
      if (guard.size > 0 && guard.bytes[0] !== 7) throw new Error("another buffer");
      if (thinks) think();
      pong.send(guard);
    }
  } catch (error) {
    if ((error as { code?: string }).code !== "CHANNEL_CLOSED") throw error;
  }
}

async function echoAll(pool: BufferPool): Promise<void> {
  for (const [way, take] of Object.entries(takes)) await echo(pool, way, take, false);
  for (const [way, kind, [, processor]] of sleeping) {
    runOn(processor);
    await echo(pool, way, takes[kind], true);
  }
  runOn();
}

function echoFifo(pool: BufferPool): void {
  const from = openSync(join(folder, "ping"), "r");
  const to = openSync(join(folder, "pong"), "w");
  const handle = new Float64Array(1);
  while (readSync(from, handle) > 0) {
    handle[0] = pool.take(handle[0] as number).handOff();
    writeSync(to, handle);
  }
}

if (role === "echo") {
  using pool = BufferPool.open(name);
  await echoAll(pool);
  echoFifo(pool);
  const back = Promise.withResolvers<void>();
  process.on("message", (message) => {
    if (message === "end") back.resolve();
    else if (typeof message !== "number") process.send?.(message);
    else process.send?.(pool.take(message).handOff());
  });
  process.send?.("ready");
  await back.promise;
  process.exit(0);
}

/** Each with the row that it is compared with, if that is not the word that is looked at. */
const rows: [what: string, microseconds: number, yardstick?: number][] = [];
const dir = mkdtempSync(join(tmpdir(), "xmem-bench-"));
const poolName = `bench.channel.${process.pid}`;
using pool = BufferPool.create(poolName, { capacity: 8, bufferSize: frame, ephemeral: true });
pool.preallocate(frame, 4);

for (const program of ["spin", "wakes"]) {
  const { ok, messages } = compileC(join(import.meta.dir, `${program}.c`), join(dir, program));
  if (!ok) throw new Error(messages);
}

/** Microseconds that one of the C programs measured. */
function measured(program: string, ...args: string[]): number {
  const { stdout } = Bun.spawnSync([join(dir, program), ...args]);
  return Number(stdout.toString()) / 1000;
}

const yardstick = measured("spin");
rows.push(["a word between two C programs, spinning (the yardstick)", yardstick]);

for (const end of ["ping", "pong"]) run(["mkfifo", join(dir, end)]);
let arrived: (message: unknown) => void = () => {};
const next = (): Promise<unknown> =>
  new Promise((resolve) => {
    arrived = resolve;
  });
const child = Bun.spawn([process.execPath, import.meta.path, "echo", poolName, dir], {
  stdio: ["ignore", "inherit", "inherit"],
  serialization: "advanced",
  ipc: (message) => arrived(message),
});

function acquired(size: number): Guard {
  const guard = pool.acquire(size);
  guard.bytes[0] = 7;
  return guard;
}

for (const [way, take] of Object.entries(takes)) {
  using ping = pool.channel(`${way} ping`);
  using pong = pool.channel(`${way} pong`);
  while (ping.stats().openBy < 2) await Bun.sleep(1);
  for (const size of sizes) {
    const pass = (): Guard => {
      const guard = acquired(size);
      ping.send(guard);
      return guard;
    };
    const count = way === "hot" ? 1000 : 300;
    rows.push([`channels, ${way}, ${size} B`, await trips(count, pass, () => take(pong))]);
  }
  ping.close();
}

for (const [way, kind, processors] of sleeping) {
  using ping = pool.channel(`${way} ping`);
  using pong = pool.channel(`${way} pong`);
  while (ping.stats().openBy < 2) await Bun.sleep(1);
  runOn(processors[0]);
  const sleep = kind === "blocking" ? "futex" : "loop";
  const args = [thoughtNs / 1000, ...processors].map(String);
  const pass = (): Guard => {
    const guard = acquired(1);
    ping.send(guard);
    return guard;
  };
  // Several times, in turn, since a machine is not equally fast all the time.
  const taken: [natively: number, channels: number][] = [];
  for (let turn = 0; turn < turns; turn++) {
    const natively = measured("wakes", sleep, ...args);
    taken.push([natively, await tripAsleep(pass, () => takes[kind](pong))]);
  }
  const natively = Math.min(...taken.map(([each]) => each));
  const channels = Math.min(...taken.map(([, each]) => each));
  rows.push([
    `a word between two C programs, ${sleep}${way.slice(kind.length)}`,
    natively,
    natively,
  ]);
  rows.push([`channels, ${way}`, channels, natively]);
  ping.close();
}
runOn();

const passBy =
  (send: (handle: number) => void, size = 1): (() => Guard) =>
  () => {
    const guard = acquired(size);
    send(guard.handOff());
    return guard;
  };

{
  const to = openSync(join(dir, "ping"), "w");
  const from = openSync(join(dir, "pong"), "r");
  const handle = new Float64Array(1);
  const pass = passBy((each) => {
    handle[0] = each;
    writeSync(to, handle);
  });
  const ready = next();
  const answer: Take = () => {
    readSync(from, handle);
    return pool.take(handle[0] as number);
  };
  rows.push(["a handle through two FIFOs, readSync", await trips(300, pass, answer)]);
  closeSync(to);
  await ready;
  closeSync(from);
}
{
  let reply = next();
  const pass = passBy((handle) => {
    reply = next();
    child.send(handle);
  });
  const answer: Take = async () => pool.take((await reply) as number);
  rows.push(["a handle by Bun's IPC", await trips(100, pass, answer)]);
  const bytes = new Uint8Array(frame);
  const whole: number[] = [];
  for (let i = 0; i < 7; i++) {
    const start = Bun.nanoseconds();
    reply = next();
    child.send(bytes);
    await reply;
    whole.push((Bun.nanoseconds() - start) / 1000);
  }
  rows.push([`the bytes by Bun's IPC, ${frame} B`, Math.min(...whole)]);
  child.send("end");
  await child.exited;
}
{
  const library = JSON.stringify(join(import.meta.dir, "../src/index.ts"));
  const source = `
    const { BufferPool } = await import(${library});
    const pool = globalThis.pool = BufferPool.open(${JSON.stringify(poolName)});
    onmessage = ({ data }) =>
      postMessage(typeof data === "number" ? pool.take(data).handOff() : data);
    postMessage("ready");`;
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  const message = (): Promise<unknown> =>
    new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
    });
  await message();
  let reply = message();
  const pass = passBy((handle) => {
    reply = message();
    worker.postMessage(handle);
  });
  const answer: Take = async () => pool.take((await reply) as number);
  rows.push(["a handle by a Worker's messages", await trips(300, pass, answer)]);
  const bytes = new Uint8Array(frame);
  const whole: number[] = [];
  for (let i = 0; i < 21; i++) {
    const start = Bun.nanoseconds();
    reply = message();
    worker.postMessage(bytes);
    await reply;
    whole.push((Bun.nanoseconds() - start) / 1000);
  }
  rows.push([`the bytes by a Worker's messages, ${frame} B`, Math.min(...whole)]);
  worker.terminate();
}
{
  using channel = pool.channel("one thread");
  const pass = (): Guard => {
    const guard = pool.acquire(1);
    channel.trySend(guard);
    return guard;
  };
  const both = await trips(20_000, pass, () => channel.tryReceive() as Guard);
  rows.push(["acquire, trySend, tryReceive, release in one thread", both]);
}
rmSync(dir, { recursive: true });

console.log(`${"round trip".padEnd(66)}${"us".padStart(12)}${"ratio".padStart(11)}`);
for (const [what, microseconds, other] of rows) {
  const ratio = microseconds / (other ?? yardstick);
  const digits = ratio >= 100 ? 0 : other === undefined ? 1 : 2;
  console.log(
    `${what.padEnd(66)}${microseconds.toFixed(3).padStart(12)}${ratio.toFixed(digits).padStart(11)}`,
  );
}
process.exit(0);
