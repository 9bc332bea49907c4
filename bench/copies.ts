// What copies the bytes that it is given, and what each way costs: the table of docs/guide.md. A
// buffer of 16 MiB, each way again and again in one run, the best time of each. The yardstick is one
// copy of the same bytes into memory that is in use already. With --brief it runs for a moment,
// with --json it prints JSON.
//
// "sees" is what somebody gets who reads the result after the program has written into the buffer
// once more: "new" bytes, since the memory is the same, or the "old" ones, since it is a copy.

import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type BufferGuard, BufferPool } from "../src/index.ts";

const size = 16 * 1024 * 1024;
const rounds = process.argv.includes("--brief") ? 2 : 15;
const path = join(process.env["XMEM_DIR"] || "/dev/shm", `bench-copies-${process.pid}`);
const file = openSync(path, "w");
const spare = new Uint8Array(size).fill(1);

/** Reads the first byte of a result. */
type Read = () => Promise<number | undefined> | number | undefined;

/** A way to give bytes away: null where nothing can be read later. */
type Way = (guard: BufferGuard) => Promise<Read | null> | Read | null;

const inMemory =
  (bytes: Uint8Array): Read =>
  () =>
    bytes[0];

const inBody =
  (body: Blob | Response): Read =>
  async () =>
    (await body.bytes())[0];

/** Keeps what it is sent, and says its first byte, now or when it is asked again. */
const keeper = `let kept; onmessage = ({ data }) => {
  if (data !== "again") kept = data;
  postMessage(kept[0]);
};`;
const worker = new Worker(URL.createObjectURL(new Blob([keeper])));

function ask(message: unknown): Promise<number> {
  return new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.postMessage(message);
  });
}

const ways: Record<string, Way> = {
  "one copy: spare.set(bytes)": ({ bytes }) => {
    spare.set(bytes);
    return inMemory(spare);
  },
  "bytes.subarray(0)": ({ bytes }) => inMemory(bytes.subarray(0)),
  "guard.view(Uint32Array)": (guard) => {
    const words = guard.view(Uint32Array);
    return () => words[0] as number & 0xff;
  },
  "Buffer.from(bytes.buffer, 0, size)": ({ bytes }) => inMemory(Buffer.from(bytes.buffer, 0, size)),
  "fs.writeSync(file, bytes)": ({ bytes }) => {
    writeSync(file, bytes, 0, size, 0);
    return null;
  },
  "bytes.slice()": ({ bytes }) => inMemory(bytes.slice()),
  "Buffer.from(bytes)": ({ bytes }) => inMemory(Buffer.from(bytes)),
  "structuredClone(bytes)": ({ bytes }) => inMemory(structuredClone(bytes)),
  "new Blob([bytes])": ({ bytes }) => inBody(new Blob([bytes])),
  "new Response(bytes)": ({ bytes }) => inBody(new Response(bytes)),
  "worker.postMessage(bytes)": async ({ bytes }) => {
    await ask(bytes);
    return () => ask("again");
  },
  "FileSink.write(bytes) of a subprocess": ({ bytes }) => {
    const child = Bun.spawn(["tail", "-c", "1"], { stdin: "pipe", stdout: "pipe" });
    child.stdin.write(bytes); // The pipe has room for the beginning only, and tail prints the end.
    return async () => {
      await child.stdin.end();
      return (await child.stdout.bytes())[0];
    };
  },
};

using pool = BufferPool.create(`bench.copies.${process.pid}`, {
  capacity: 1,
  bufferSize: size,
  ephemeral: true,
});
using guard = pool.acquire(size);
const rows: { way: string; ms: number; sees: string }[] = [];
for (const [way, give] of Object.entries(ways)) {
  let best = Number.POSITIVE_INFINITY;
  let sees = "";
  for (let round = 0; round < rounds; round++) {
    guard.bytes.fill(1);
    const start = Bun.nanoseconds();
    const read = await give(guard);
    best = Math.min(best, Bun.nanoseconds() - start);
    guard.bytes.fill(2);
    const found = await read?.();
    sees = found === undefined ? "" : (found & 0xff) === 2 ? "new" : "old";
  }
  rows.push({ way, ms: best / 1e6, sees });
}
const yardstick = rows[0]?.ms ?? 1;
const shown = rows.map(({ way, ms, sees }) => ({ way, copies: (ms / yardstick).toFixed(1), sees }));
if (process.argv.includes("--json")) console.log(JSON.stringify(shown));
else console.table(shown);
worker.terminate();
closeSync(file);
rmSync(path);
