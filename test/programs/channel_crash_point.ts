// Runs one operation on a channel and, with the crash library, dies by SIGKILL at its k-th step: see
// `crash_point.ts`. Arguments: pool, operation, k. Says "ready" when it has the channel "c" open, and
// begins at the end of standard input. What it sends has 100 bytes.

import { dlopen } from "bun:ffi";
import { readSync } from "node:fs";
import { type BufferGuard, BufferPool, type Channel } from "../../src/index.ts";
import { libraryPath } from "../../src/native/library.ts";

const [name = "", operation = "", step = "0"] = process.argv.slice(2);
const { symbols } = dlopen(libraryPath(), {
  xmem_crash_arm: { args: ["f64"], returns: "void" },
});

const pool = BufferPool.open(name);
const subscribe = operation !== "subscribe" && !operation.includes("send");
const channel = operation === "subscribe" ? undefined : pool.channel("c", { subscribe });

const withChannel: Record<string, (channel: Channel, guard: BufferGuard) => unknown> = {
  send: (channel, guard) => channel.send(guard),
  "blocking send": (channel, guard) => channel.sendBlocking(guard, { timeout: 60_000 }),
  "async send": (channel, guard) => channel.sendAsync(guard),
  receive: (channel) => channel.tryReceive(),
  "blocking receive": (channel) => channel.receiveBlocking({ timeout: 60_000 }),
  "async receive": (channel) => channel.receive(),
  release: () => held?.release(),
  "move to the end": (channel) => held !== null && channel.send(held),
  close: (channel) => channel.close(),
  leave: (channel) => channel[Symbol.dispose](),
  "leave with the pool": () => pool.close(),
};

/** What it received before it begins. */
let held: BufferGuard | null = null;

const withPool: Record<string, () => unknown> = {
  subscribe: () => pool.channel("c"),
  make: () => pool.channel("new", { capacity: 2, mode: "broadcast" }),
  reclaim: () => pool.reclaim(),
};

if (operation === "reclaim") {
  // Nobody has it any more, and something is in it: the recovery removes it.
  const other = pool.channel("new", { capacity: 2 });
  other.send(pool.acquire(100));
  other.close();
  other[Symbol.dispose]();
}
const guard = pool.acquire(100);
if (!operation.includes("send")) guard.release();
console.log("ready");
readSync(0, new Uint8Array(1));
if (["release", "move to the end"].includes(operation)) held = channel?.tryReceive() ?? null;
symbols.xmem_crash_arm(Number(step));
if (channel !== undefined) await withChannel[operation]?.(channel, guard);
await withPool[operation]?.();
symbols.xmem_crash_arm(0);
console.log("survived");
// The channel is in use until here, so that the engine does not collect it.
void channel?.name;
process.kill(process.pid, "SIGKILL");
