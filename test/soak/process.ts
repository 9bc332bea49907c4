// A process of the soak: an actor on its main thread, one on each of its Workers, and the messages
// between them and the parent.

import { readFileSync } from "node:fs";
import { Actor } from "./actor.ts";
import { markEnded, recordLeft } from "./journal.ts";
import type {
  Address,
  FromProcess,
  FromWorker,
  Parcel,
  ProcessTask,
  ThreadTask,
  ToProcess,
  ToWorker,
} from "./messages.ts";
import { Random } from "./random.ts";

const task = JSON.parse(process.argv[2] ?? "") as ProcessTask;
const random = new Random(task.seed);
const terminatePatienceMs = 60_000;

const tell = (message: FromProcess): void => {
  process.send?.(message);
};
const send = (to: Address, parcel: Parcel): void => tell({ what: "send", to, parcel });
const threadTask = (thread: string): ThreadTask => ({
  id: `${task.id}.${thread}`,
  seed: random.next(),
  directory: task.directory,
  pools: task.pools,
  leaseMs: task.leaseMs,
  processes: task.processes,
});

interface Member {
  worker: Worker;
  id: string;
  ended: Promise<void>;
}

let ending = false;
const members: (Member | null)[] = [];
let made = 0;

function startWorker(place: number): void {
  const thread = threadTask(`worker${place}-${made++}`);
  const worker = new Worker(new URL("worker.ts", import.meta.url));
  const ended = new Promise<void>((resolve) => {
    worker.addEventListener("close", () => {
      markEnded(task.directory, thread.id);
      resolve();
    });
  });
  worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
    if (data.what === "send") send(data.to, data.parcel);
  });
  worker.postMessage(thread);
  members[place] = { worker, id: thread.id, ended };
}

async function terminateWorker(place: number): Promise<void> {
  const member = members[place];
  if (!member || ending) return;
  members[place] = null;
  member.worker.terminate();
  const late = setTimeout(() => {
    throw new Error(`the terminated Worker ${member.id} did not end`);
  }, terminatePatienceMs);
  await member.ended;
  clearTimeout(late);
  if (!ending) startWorker(place);
}

function deliver(thread: number, parcel: Parcel): void {
  const place = thread % (task.workers + 1);
  if (place === 0) actor.deliver(parcel);
  else members[place - 1]?.worker.postMessage({ what: "deliver", parcel } satisfies ToWorker);
}

function end(): void {
  if (ending) return;
  ending = true;
  actor.end();
  for (const member of members) {
    member?.worker.postMessage({ what: "end" } satisfies ToWorker);
  }
}

process.on("message", (message: ToProcess) => {
  if (message.what === "deliver") deliver(message.thread, message.parcel);
  else if (message.what === "terminate") terminateWorker(message.worker);
  else end();
});
// The parent is gone.
process.on("disconnect", () => process.exit(1));
if (task.heedsTerm) process.on("SIGTERM", end);

const actor = new Actor(threadTask("main"), send);
for (let place = 0; place < task.workers; place++) startWorker(place);
await actor.run();
await Promise.all(members.map((member) => member?.ended));

/** Mappings of the pools' files; views that the engine has yet to drop keep one each. */
function mapsOfPools(): number {
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  return lines.filter((line) => task.pools.some((name) => line.endsWith(`/xmem.${name}`))).length;
}
for (let i = 0; i < 20 && mapsOfPools() > 0; i++) {
  Bun.gc(true);
  await Bun.sleep(10);
}
recordLeft(task.directory, task.id, mapsOfPools());
markEnded(task.directory, `${task.id}.main`);
process.exit(0);
