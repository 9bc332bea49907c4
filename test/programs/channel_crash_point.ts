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
const other = operation.includes("the other") ? pool.channel("d") : undefined;

const withChannel: Record<string, (channel: Channel, guard: BufferGuard) => unknown> = {
  send: (channel, guard) => channel.send(guard),
  "blocking send": (channel, guard) => channel.sendBlocking(guard, { timeout: 60_000 }),
  "async send": (channel, guard) => channel.sendAsync(guard),
  receive: (channel) => channel.tryReceive(),
  "blocking receive": (channel) => channel.receiveBlocking({ timeout: 60_000 }),
  "async receive": (channel) => channel.receive(),
  close: (channel) => channel.close(),
  leave: (channel) => channel[Symbol.dispose](),
  "leave with the pool": () => pool.close(),
};

/** With what it received before it begins. */
const withMessage: Record<string, (channel: Channel, message: BufferGuard) => unknown> = {
  release: (_, message) => message.release(),
  "hand off": (_, message) => message.handOff(),
  share: (_, message) => message.share(),
  clone: (_, message) => message.clone(),
  "move to the end": (channel, message) => channel.send(message),
  "move to the other": (_, message) => other?.send(message),
  "try to move to the other": (_, message) => other?.trySend(message),
  "blocking move to the other": (_, message) => other?.sendBlocking(message, { timeout: 60_000 }),
  "close with a message": () => pool.close(),
  "leave with a message": (channel) => channel[Symbol.dispose](),
};

const withPool: Record<string, () => unknown> = {
  subscribe: () => pool.channel("c"),
  make: () => pool.channel("new", { capacity: 2, mode: "broadcast" }),
  "make one that redelivers": () =>
    pool.channel("jobs", { capacity: 2, redeliver: true, maxDeliveries: 2, deadLetter: "c" }),
  reclaim: () => pool.reclaim(),
  "reclaim alone": () => pool.reclaim(),
  "reclaim a channel with messages": () => pool.reclaim(),
};

if (operation === "reclaim") {
  // Nobody has it any more, and something is in it: the recovery removes it.
  const other = pool.channel("new", { capacity: 2 });
  other.send(pool.acquire(100));
  other.close();
  other[Symbol.dispose]();
}
if (operation === "reclaim a channel with messages") {
  // One is in it, and one was received by somebody who holds it still.
  const jobs = pool.channel("jobs", { capacity: 2, redeliver: true });
  for (const size of [100, 101]) jobs.send(pool.acquire(size));
  jobs.tryReceive();
  jobs.close();
  jobs[Symbol.dispose]();
}
const guard = pool.acquire(100);
if (!operation.includes("send")) guard.release();
console.log("ready");
readSync(0, new Uint8Array(1));
const message = withMessage[operation] === undefined ? null : (channel?.tryReceive() ?? null);
symbols.xmem_crash_arm(Number(step));
if (channel !== undefined) await withChannel[operation]?.(channel, guard);
if (channel !== undefined && message !== null) await withMessage[operation]?.(channel, message);
await withPool[operation]?.();
symbols.xmem_crash_arm(0);
// What it takes it holds until its death.
for (let left = Number(operation.match(/^hold (\d+)$/)?.[1] ?? 0); left > 0; left--)
  channel?.receiveBlocking({ timeout: 60_000 });
console.log("survived");
// The channel is in use until here, so that the engine does not collect it.
void channel?.name;
process.kill(process.pid, "SIGKILL");
