// How late a wait ends that nobody serves: compares the timeout with the time that passed, for
// blocking and asynchronous waits.

import { BufferPool } from "../src/index.ts";

const asked = [1, 5, 20, 50, 120];
const repeats = 40;

const pool = BufferPool.create(`bench.timeouts.${process.pid}`, { capacity: 1, bufferSize: 64 });
const held = pool.acquire(1);

function row(how: string, timeout: number, lateMs: readonly number[]): void {
  const sorted = lateMs.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const [least = Number.NaN] = sorted;
  const most = sorted.at(-1) ?? Number.NaN;
  const figures = [least, median, most].map((late) => `${late.toFixed(3).padStart(8)} ms`);
  console.log(
    `${how} ${String(timeout).padStart(4)} ms, late by: least, median, most ${figures.join("")}`,
  );
}

for (const timeout of asked) {
  const late: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    try {
      pool.acquireBlocking(1, { timeout }).release();
    } catch {
      late.push(performance.now() - start - timeout);
    }
  }
  row("acquireBlocking", timeout, late);
}
for (const timeout of asked) {
  const late: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    const wait = pool.acquireAsync(1, { timeout }).then((guard) => guard.release());
    await wait.catch(() => late.push(performance.now() - start - timeout));
  }
  row("acquireAsync   ", timeout, late);
}
held.release();
pool.unlink();
pool.close();
