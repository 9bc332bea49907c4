// Makes the pool and its channels, starts the stages, and closes each channel when the last of those
// who send into it has ended.

import { availableParallelism } from "node:os";
import { join } from "node:path";
import { BufferPool } from "../../src/index.ts";

const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: pipeline.ts <file>");
  process.exit(2);
}
const workers = availableParallelism();
using pool = BufferPool.create(`pipeline-${process.pid}`, {
  capacity: 4 * workers + 4,
  bufferSize: 256 * 1024,
  ephemeral: true,
});
using blocks = pool.channel("blocks", { capacity: 2 * workers });
using hashes = pool.channel("hashes");

function start(stage: string): Promise<number> {
  const command = [process.execPath, join(import.meta.dir, `${stage}.ts`), file as string];
  const env = { ...process.env, POOL: pool.name };
  return Bun.spawn(command, { env, stdio: ["ignore", "inherit", "inherit"] }).exited;
}

const source = start("source");
const working = Array.from({ length: workers }, () => start("worker"));
const sink = start("sink");
const codes = [await source];
blocks.close();
codes.push(...(await Promise.all(working)));
hashes.close();
codes.push(await sink);
process.exitCode = codes.find((code) => code !== 0) ?? 0;
