// A blocking wake between two processes: a buffer goes back and forth through two pools of one slot,
// beside Bun's own IPC with an 8-byte message and the native pop + push loop, in the same run.

import { BufferPool } from "../src/index.ts";
import { native } from "../src/native/native.ts";

const rounds = 20_000;
const [role, pingName = "", pongName = ""] = process.argv.slice(2);
const options = { capacity: 1, bufferSize: 64 };
const wait = { timeout: 30_000 };

type Guard = ReturnType<BufferPool["acquire"]>;

/** Releases its buffer, then waits for the other pool's, which `answer` releases in turn. */
function ask(pools: readonly [BufferPool, BufferPool], held: Guard): void {
  let own = held;
  for (let i = 0; i < rounds; i++) {
    own.release();
    own = pools[i % 2 === 0 ? 1 : 0].acquireBlocking(8, wait);
  }
  own.release();
}

function answerAll(pools: readonly [BufferPool, BufferPool], held: Guard): void {
  let own = held;
  for (let i = 0; i < rounds; i++) {
    const next = pools[i % 2 === 0 ? 0 : 1].acquireBlocking(8, wait);
    own.release();
    own = next;
  }
  own.release();
}

if (role === "child") {
  using ping = BufferPool.open(pingName);
  using pong = BufferPool.open(pongName);
  const held = pong.acquire(8);
  process.on("message", (message) => process.send?.(message));
  process.send?.("ready");
  await Bun.sleep(200);
  answerAll([ping, pong], held);
} else {
  const names = [`bench.ping.${process.pid}`, `bench.pong.${process.pid}`] as const;
  const ping = BufferPool.create(names[0], options);
  const pong = BufferPool.create(names[1], options);
  const held = ping.acquire(8);
  let answer: (value: unknown) => void = () => {};
  const next = (): Promise<unknown> =>
    new Promise((resolve) => {
      answer = resolve;
    });
  const ready = next();
  const child = Bun.spawn([process.execPath, import.meta.path, "child", ...names], {
    stdio: ["ignore", "inherit", "inherit"],
    ipc: (message) => answer(message),
  });
  await ready;
  let count = 0;
  const startIpc = Bun.nanoseconds();
  while (Bun.nanoseconds() - startIpc < 100e6) {
    const reply = next();
    child.send("12345678");
    await reply;
    count++;
  }
  const ipc = (Bun.nanoseconds() - startIpc) / count / 1000;
  await Bun.sleep(300);
  const start = Bun.nanoseconds();
  ask([ping, pong], held);
  const trip = (Bun.nanoseconds() - start) / rounds / 1000;
  const pairs = 10_000_000;
  const startLoop = Bun.nanoseconds();
  native.xmem_bun_bench_pop_push(pairs);
  const loop = (Bun.nanoseconds() - startLoop) / pairs / 1000;
  for (const [what, microseconds] of [
    ["native tagged pop + push (the yardstick)", loop],
    ["round trip through two pools, blocking", trip],
    ["round trip through Bun's IPC, 8 bytes", ipc],
  ] as const) {
    const ratio = (microseconds / loop).toFixed(0);
    console.log(`${what.padEnd(44)}${microseconds.toFixed(3).padStart(10)} us${ratio.padStart(9)}`);
  }
  // Its listener for messages would keep it running.
  child.disconnect();
  await child.exited;
  for (const pool of [ping, pong]) {
    pool.unlink();
    pool.close();
  }
}
