// How late a wait ends that nobody serves: the time that passed beyond the timeout. Not by tinybench:
// the timeout belongs to each figure, and it is the worst one that counts. The argument says how it
// waits.

import { BufferPool } from "../../src/index.ts";
import { answer, milliseconds } from "../suite/loop.ts";
import { quantile } from "../suite/statistics.ts";

const asked = [1, 5, 20, 50];
const repeats = Math.ceil(milliseconds / 10);
const [how = ""] = process.argv.slice(2);

const pool = BufferPool.create(`bench.timeouts.${process.pid}`, {
  capacity: 1,
  bufferSize: 64,
  ephemeral: true,
});
const _held = pool.acquire(1);
const late: number[] = [];

async function wait(timeout: number): Promise<void> {
  const start = performance.now();
  try {
    if (how === "blocking") pool.acquireBlocking(1, { timeout }).release();
    else (await pool.acquireAsync(1, { timeout })).release();
  } catch {
    late.push((performance.now() - start - timeout) * 1e3);
  }
}

for (let i = 0; i < repeats; i++) for (const timeout of asked) await wait(timeout);
answer({ "late p50": quantile(late, 0.5), "late most": Math.max(...late) });
