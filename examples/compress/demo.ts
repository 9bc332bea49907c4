// Compresses a file with several processes that share its chunks through xmem, then does the same
// by copying, and compares. README.md beside this file says how it works.

import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { basename, join } from "node:path";
import cliProgress from "cli-progress";
import Table from "cli-table3";
import { BufferPool } from "../../src/index.ts";
import { runCopying } from "./ipc.ts";
import { resultBound } from "./messages.ts";
import { type Options, readOptions, UsageError, usage } from "./options.ts";
import { Output, readFully } from "./output.ts";
import { runPool } from "./pool.ts";
import { type Outcome, type Task, window } from "./run.ts";
import { Workers } from "./workers.ts";

const mebibyte = 1024 * 1024;
const mib = (bytes: number): string => `${(bytes / mebibyte).toFixed(1)} MiB`;

/** Steps that Ctrl-C has to undo, too: in the order of making, and undone backwards. */
const cleanups: (() => void)[] = [];

function cleanUp(): void {
  for (let undo = cleanups.pop(); undo !== undefined; undo = cleanups.pop()) undo();
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    cleanUp();
    process.exit(128 + constants.signals[signal]);
  });
}

function makePool(name: string, bufferSize: number, workers: number): BufferPool {
  const pool = BufferPool.create(`demo-${process.pid}-${name}`, {
    capacity: window(workers),
    bufferSize,
    // A dead worker ends the demo; a slow one on large chunks is no reason to lose a chunk.
    leaseTimeout: 0,
    ephemeral: true,
    participantName: "demo",
  });
  cleanups.push(() => pool.unlink());
  return pool;
}

function digestOf(fd: number, length: number): string {
  const hasher = new Bun.CryptoHasher("sha256");
  const piece = new Uint8Array(mebibyte);
  for (let at = 0; at < length; at += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, length - at));
    readFully(fd, part, at);
    hasher.update(part);
  }
  return hasher.digest("hex");
}

async function withBar(
  label: string,
  length: number,
  job: (progress: (bytes: number) => void) => Promise<Outcome>,
): Promise<Outcome> {
  if (!process.stderr.isTTY) return await job(() => {});
  const format = `${label} {bar} {percentage}% | {value}/{total} MiB`;
  const bar = new cliProgress.SingleBar(
    { format, stream: process.stderr, hideCursor: false },
    cliProgress.Presets.shades_classic,
  );
  bar.start(Math.ceil(length / mebibyte), 0);
  try {
    return await job((bytes) => bar.update(Math.ceil(bytes / mebibyte)));
  } finally {
    bar.stop();
  }
}

async function compress(options: Options): Promise<boolean> {
  const { length, chunk } = options;
  const fd = openSync(options.file, "r");
  const folder = mkdtempSync(join(tmpdir(), "xmem-demo-"));
  if (!options.keep) cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  using inputs = makePool("in", chunk, options.workers);
  using results = makePool("out", resultBound(chunk), options.workers);
  const workers = new Workers(options.workers, inputs.name, results.name);
  cleanups.push(() => workers.kill());
  await workers.ready();
  // All workers have the pools open: from here on nothing, not even SIGKILL, can leave the names
  // behind.
  inputs.unlink();
  results.unlink();
  try {
    const output = new Output(join(folder, `${basename(options.file)}.zst`));
    const copied = new Output(join(folder, "copied.zst"));
    const task = { fd, length, chunk, workers };
    const run = (to: Output, label: string, job: (task: Task) => Promise<Outcome>) =>
      withBar(label, length, (progress) => job({ ...task, output: to, progress }));
    const pool = await run(output, "pool", (each) => runPool(each, inputs, results));
    const committed = inputs.stats().committedBytes + results.stats().committedBytes;
    const ipc = await run(copied, "copy", runCopying);

    const table = new Table({
      head: ["", "xmem", "copied through IPC"],
      style: { head: [], border: [] },
    });
    const speed = ({ seconds }: Outcome) => `${(length / mebibyte / seconds).toFixed(1)} MiB/s`;
    table.push(
      ["throughput", speed(pool), speed(ipc)],
      ["time", `${pool.seconds.toFixed(3)} s`, `${ipc.seconds.toFixed(3)} s`],
      [
        "buffers used, at most",
        `${pool.peak} of ${inputs.capacity + results.capacity}`,
        `${ipc.peak} chunks under way`,
      ],
      ["waits of the reader", pool.waits, ipc.waits],
      ["shared memory", mib(committed), "none"],
      ["compressed", mib(output.size), mib(copied.size)],
    );
    console.log(table.toString());

    const expected = digestOf(fd, length);
    const ok = [output, copied].every((each) => each.decompressedDigest() === expected);
    console.log(`SHA-256 ${ok ? "ok" : "MISMATCH"}: ${expected}`);
    if (options.keep) console.log(`kept ${output.path}`);
    output.close();
    copied.close();
    return ok;
  } finally {
    await workers.stop();
    closeSync(fd);
  }
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === null) {
    console.log(usage);
    return 0;
  }
  const { file, length, workers, chunk } = options;
  console.log(`${file}: ${mib(length)} in chunks of ${chunk} bytes, ${workers} worker processes`);
  return (await compress(options)) ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof UsageError) console.error(`demo: ${error.message}\n\n${usage}`);
  else console.error(`demo: ${error instanceof Error ? error.message : error}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
} finally {
  cleanUp();
}
process.exit();
