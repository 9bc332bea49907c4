// Compresses a file with several worker processes: chunks are read straight into pool buffers, only
// their handles travel, results come back the same way. Then the same job through copying IPC.

import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Presets, SingleBar } from "cli-progress";
import Table from "cli-table3";
import { BufferPool } from "../../src/index.ts";
import type { Job, Result } from "./worker.ts";

const root = join(import.meta.dir, "..", "..");
const defaultBytes = 64 * 1024 * 1024;

interface Options {
  file: string;
  bytes: number;
  workers: number;
  chunk: number;
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

function wholeNumber(text: string, what: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  fail(`${what} is "${text}", expected a whole number from 1 to ${most}`);
}

function options(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      workers: { type: "string", default: "2" },
      chunk: { type: "string", default: String(1024 * 1024) },
    },
  });
  const workers = wholeNumber(values.workers, "--workers", 32);
  const chunk = wholeNumber(values.chunk, "--chunk", 256 * 1024 * 1024);
  // By default the compiler that the installation brought, or as much of it as takes seconds.
  const compiler = join(
    root,
    "node_modules/@zigc",
    `${process.platform}-${process.arch}`,
    "bin/zig",
  );
  const file = positionals[0] ?? compiler;
  if (!existsSync(file) || !statSync(file).isFile()) fail(`${file} is not a file`);
  const { size } = statSync(file);
  const bytes = positionals[0] === undefined ? Math.min(size, defaultBytes) : size;
  return { file, bytes, workers, chunk };
}

interface Measured {
  seconds: number;
  compressed: number;
  digest: string;
}

/** Reads the next chunk of the input; 0 at its end. */
class Input {
  readonly #fd: number;
  readonly #hash = new Bun.CryptoHasher("sha256");
  #left: number;

  constructor({ file, bytes }: Options) {
    this.#fd = openSync(file, "r");
    this.#left = bytes;
  }

  read(into: Uint8Array): number {
    let filled = 0;
    const want = Math.min(into.length, this.#left);
    while (filled < want) {
      const count = readSync(this.#fd, into, filled, want - filled, null);
      if (count === 0) break;
      filled += count;
    }
    this.#left = filled < want ? 0 : this.#left - filled;
    this.#hash.update(into.subarray(0, filled));
    return filled;
  }

  end(): string {
    closeSync(this.#fd);
    return this.#hash.digest("hex");
  }
}

type Worker = ReturnType<typeof Bun.spawn>;
const running = new Set<Worker>();

function startWorkers(
  count: number,
  poolName: string,
  onResult: (result: Result, worker: number) => void,
): Promise<Worker[]> {
  const starting = Array.from({ length: count }, (_, number) => {
    const { promise, resolve, reject } = Promise.withResolvers<Worker>();
    const worker = Bun.spawn([process.execPath, join(import.meta.dir, "worker.ts"), poolName], {
      stdio: ["ignore", "inherit", "inherit"],
      ipc(message: Result | "ready", from) {
        if (message === "ready") resolve(from);
        else onResult(message, number);
      },
      onExit(_, code, signal) {
        const what = `worker ${number} ended with ${code ?? signal}`;
        reject(new Error(what));
        // Who was stopped on purpose is no longer among the running.
        if (running.delete(worker)) fail(what);
      },
    });
    running.add(worker);
    return promise;
  });
  return Promise.all(starting);
}

async function stop(workers: Worker[]): Promise<void> {
  for (const worker of workers) {
    running.delete(worker);
    worker.kill();
  }
  await Promise.all(workers.map(({ exited }) => exited));
}

/** One run: `send` gives a worker its next chunk, or false at the input's end. */
async function compress(
  { workers }: Options,
  poolName: string,
  output: string,
  input: Input,
  send: (worker: Worker, chunk: number) => Promise<boolean>,
  bytesOf: (result: Result) => { bytes: Uint8Array; [Symbol.dispose](): void },
  progress: (read: number) => void,
): Promise<Measured> {
  const out = openSync(output, "w");
  const early = new Map<number, Result>();
  let next = 0;
  let sent = 0;
  let ended = false;
  let compressed = 0;
  const { promise: finished, resolve: finish, reject } = Promise.withResolvers<void>();
  const feed = async (worker: Worker): Promise<void> => {
    if (ended) return;
    const chunk = sent++;
    if (await send(worker, chunk)) return;
    sent--;
    ended = true;
    if (next === sent) finish();
  };
  const all = await startWorkers(workers, poolName, (result, number) => {
    early.set(result.chunk, result);
    for (let ready = early.get(next); ready !== undefined; ready = early.get(next)) {
      using source = bytesOf(ready);
      writeSync(out, source.bytes);
      compressed += source.bytes.length;
      early.delete(next);
      progress(ready.read);
      next++;
    }
    if (ended && next === sent) finish();
    const worker = all[number];
    if (worker !== undefined) feed(worker).catch(reject);
  });
  const start = Bun.nanoseconds();
  for (const worker of all) await feed(worker);
  await finished;
  const seconds = (Bun.nanoseconds() - start) / 1e9;
  closeSync(out);
  await stop(all);
  return { seconds, compressed, digest: input.end() };
}

async function digestOfDecompressed(file: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  const stream = Bun.file(file).stream().pipeThrough(new DecompressionStream("zstd"));
  for await (const part of stream as unknown as AsyncIterable<Uint8Array>) hash.update(part);
  return hash.digest("hex");
}

const chosen = options();
const folder = mkdtempSync(join(tmpdir(), "xmem-demo-"));
const poolName = `demo.${process.pid}`;
// A chunk and its result per worker, and one chunk being read: whatever the file's size.
const capacity = 2 * chosen.workers + 1;
const pool = BufferPool.create(poolName, {
  capacity,
  bufferSize: chosen.chunk + Math.ceil(chosen.chunk / 128) + 1024,
  ephemeral: true,
});

function cleanUp(): void {
  for (const worker of running) {
    running.delete(worker);
    worker.kill("SIGKILL");
  }
  BufferPool.unlink(poolName);
  rmSync(folder, { recursive: true, force: true });
}
process.on("exit", cleanUp);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => process.exit(signal === "SIGINT" ? 130 : 143));
}

const bar = new SingleBar({ format: "{bar} {percentage}% | {title}" }, Presets.shades_classic);
const show = process.stderr.isTTY;
let read = 0;
const progress = (count: number): void => {
  read += count;
  if (show) bar.update(Math.min(read, 2 * chosen.bytes), { title: "compressing" });
};
if (show) bar.start(2 * chosen.bytes, 0, { title: "compressing" });

const input = new Input(chosen);
let mostUsed = 0;
const shared = await compress(
  chosen,
  poolName,
  join(folder, "shared.zst"),
  input,
  async (worker, chunk) => {
    const guard = await pool.acquireAsync(chosen.chunk);
    const length = input.read(guard.bytes);
    if (length === 0) {
      guard.release();
      return false;
    }
    mostUsed = Math.max(mostUsed, capacity - pool.stats().free);
    worker.send({ chunk, length, handle: guard.handOff() } satisfies Job);
    return true;
  },
  (result) => {
    const guard = pool.take(result.handle ?? -1);
    return {
      bytes: guard.bytes.subarray(0, result.length),
      [Symbol.dispose]: () => guard.release(),
    };
  },
  progress,
);
const { counters } = pool.stats();
pool.close();

const copyInput = new Input(chosen);
const buffer = new Uint8Array(chosen.chunk);
const copied = await compress(
  chosen,
  "",
  join(folder, "copied.zst"),
  copyInput,
  async (worker, chunk) => {
    const length = copyInput.read(buffer);
    if (length === 0) return false;
    worker.send({ chunk, length, bytes: buffer.slice(0, length) } satisfies Job);
    return true;
  },
  (result) => ({ bytes: result.bytes ?? new Uint8Array(), [Symbol.dispose]: () => {} }),
  progress,
);
if (show) bar.stop();

const digest = await digestOfDecompressed(join(folder, "shared.zst"));
const rate = ({ seconds }: Measured): string => `${(chosen.bytes / 1e6 / seconds).toFixed(0)} MB/s`;
const table = new Table({ head: ["", "xmem", "copied through IPC"], style: { head: [], border: [] } });
table.push(
  ["throughput", rate(shared), rate(copied)],
  ["seconds", shared.seconds.toFixed(2), copied.seconds.toFixed(2)],
  ["compressed bytes", shared.compressed, copied.compressed],
  ["buffers used, at most", `${mostUsed} of ${capacity}`, "-"],
  ["waits for a buffer", counters.waits, "-"],
);
console.log(
  `${chosen.file}: ${chosen.bytes} bytes, ${chosen.workers} workers, chunks of ${chosen.chunk}`,
);
console.log(table.toString());
const intact = digest === shared.digest;
console.log(
  `SHA-256 ${shared.digest} ${intact ? "is that of the output, decompressed: ok" : `but ${digest}: MISMATCH`}`,
);
process.exit(intact ? 0 : 1);
