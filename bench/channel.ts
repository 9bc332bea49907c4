// A buffer that goes to another process and back through two channels, beside a word that two C
// programs pass each other in shared memory by doing nothing but looking, in the same run. The other
// ways to hand a buffer over are beside it: a handle by Bun's IPC, a Worker's message or a FIFO, and
// the bytes themselves by the first two. Each figure is the best of several batches: what else runs
// on a machine of few cores makes a batch a hundred times slower.

import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
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

const takes: Record<string, (channel: Channel) => Guard | Promise<Guard>> = {
  hot,
  blocking: (channel) => channel.receiveBlocking(wait),
  async: (channel) => channel.receive(),
};

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

/** Passes back what comes, until the other side closes the channel. */
async function echo(pool: BufferPool): Promise<void> {
  for (const [way, take] of Object.entries(takes)) {
    using ping = pool.channel(`${way} ping`);
    using pong = pool.channel(`${way} pong`);
    try {
      while (true) {
        const taken = take(ping);
        const guard = taken instanceof Promise ? await taken : taken;
        if (guard.size > 0 && guard.bytes[0] !== 7) throw new Error("another buffer");
        pong.send(guard);
      }
    } catch (error) {
      if ((error as { code?: string }).code !== "CHANNEL_CLOSED") throw error;
    }
  }
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
  await echo(pool);
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

const rows: [what: string, microseconds: number][] = [];
const dir = mkdtempSync(join(tmpdir(), "xmem-bench-"));
const poolName = `bench.channel.${process.pid}`;
using pool = BufferPool.create(poolName, { capacity: 8, bufferSize: frame, ephemeral: true });
pool.preallocate(frame, 4);

const { ok, messages } = compileC(join(import.meta.dir, "spin.c"), join(dir, "spin"));
if (!ok) throw new Error(messages);
const spun = Bun.spawnSync([join(dir, "spin")]);
const yardstick = Number(spun.stdout.toString()) / 1000;
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

console.log(`${"round trip".padEnd(60)}${"us".padStart(12)}${"ratio".padStart(11)}`);
for (const [what, microseconds] of rows) {
  const ratio = microseconds / yardstick;
  const digits = ratio < 100 ? 1 : 0;
  console.log(
    `${what.padEnd(60)}${microseconds.toFixed(3).padStart(12)}${ratio.toFixed(digits).padStart(11)}`,
  );
}
process.exit(0);
