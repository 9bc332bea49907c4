// One of the processes around a channel that overflows: the producer, the consumer or the Parking between
// them. Its argument says which one.

import { openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { BufferPool } from "../../src/index.ts";
import { directoryStore, Parking, type ParkingStore, s3Store } from "../../src/park/index.ts";

export interface Task {
  role: "producer" | "consumer" | "parking";
  pool: string;
  messages: number;
  size: number;
  /** Of the producer: how many milliseconds it rests after each 64 messages. */
  rest?: number;
  /** Of the consumer: where it notes what it received. */
  notes: string;
  /** Of the Parking: where it says how it is. */
  report: string;
  /** A directory; without it the S3 of the environment. */
  directory?: string;
  options: { keep?: number; after?: number; compress?: boolean };
  /** Calls of the store in or after which the Parking may kill itself. */
  fatal: string[];
}

export function stamp(bytes: Uint8Array, sequence: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 8 <= bytes.length; at += bytes.length > 4096 ? 4096 : 48) {
    view.setUint32(at, sequence);
    view.setUint32(at + 4, at);
  }
}

function isStamped(bytes: Uint8Array, sequence: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 8 <= bytes.length; at += bytes.length > 4096 ? 4096 : 48) {
    if (view.getUint32(at) !== sequence || view.getUint32(at + 4) !== at) return false;
  }
  return true;
}

/** Memory that is this process' own, the pool's apart. */
function ownMemory(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

async function produce({ messages, size, rest = 0 }: Task, pool: BufferPool): Promise<void> {
  using inlet = pool.channel("in");
  // A send is one step, which the channel counts: a successor goes on where the last one was killed.
  for (let sequence = inlet.stats().sent; sequence < messages; sequence++) {
    const guard = await pool.acquireAsync(size);
    stamp(guard.bytes, sequence);
    guard.meta.sequence = sequence;
    if (!inlet.trySend(guard)) await inlet.sendAsync(guard);
    if (sequence % 64 === 0) await Bun.sleep(rest);
  }
}

async function consume({ messages, size, notes }: Task, pool: BufferPool): Promise<void> {
  using outlet = pool.channel("out");
  const file = openSync(notes, "a");
  const note = new Uint32Array(2);
  for (let count = 1; ; count++) {
    using guard = outlet.tryReceive() ?? (await outlet.receive());
    const { sequence } = guard.meta;
    if (guard.size !== size || !isStamped(guard.bytes, sequence)) {
      throw new Error(`message ${sequence} is damaged`);
    }
    note.set([sequence, guard.deliveries]);
    writeSync(file, note);
    if (sequence === messages - 1) return;
    if (count % 256 === 0) await Bun.sleep(0);
  }
}

/** Dies now and then at a call of the store, before it is made or after it was. */
function deadly(store: ParkingStore, fatal: string[]): ParkingStore {
  const dies = (call: string): void => {
    if (fatal.includes(call) && Math.random() < 0.3) process.kill(process.pid, "SIGKILL");
  };
  const wrapped = async <T>(call: string, body: Promise<T>): Promise<T> => {
    dies(`in ${call}`);
    const result = await body;
    dies(`after ${call}`);
    return result;
  };
  return {
    name: store.name,
    write: (key, pieces) => wrapped("write", store.write(key, pieces)),
    read: (...place) => wrapped("read", store.read(...place)),
    remove: (key) => wrapped("remove", store.remove(key)),
    list: (prefix) => store.list(prefix),
    sweep: (before) => store.sweep(before),
  };
}

async function park(task: Task, pool: BufferPool): Promise<void> {
  using inlet = pool.channel("in");
  using outlet = pool.channel("out");
  const { directory, fatal, report, options } = task;
  const store = directory === undefined ? s3Store() : directoryStore(directory);
  const parking = Parking.start(inlet, outlet, { store: deadly(store, fatal), ...options });
  let most = 0;
  const tell = (): void => {
    most = Math.max(most, ownMemory());
    writeFileSync(`${report}.new`, JSON.stringify({ ...parking.stats(), memory: most }));
    renameSync(`${report}.new`, report);
  };
  const telling = setInterval(tell, 50);
  void Bun.stdin.text().then(() => parking.close());
  await parking.done;
  clearInterval(telling);
  tell();
}

if (import.meta.main) {
  const task = JSON.parse(process.argv[2] ?? "") as Task;
  using pool = BufferPool.open(task.pool, { participantName: task.role });
  await { producer: produce, consumer: consume, parking: park }[task.role](task, pool);
}
