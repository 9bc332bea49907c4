// The cost of live views for the rest of the program: 300,000 small JSON.parse after every buffer
// of a pool was touched and released, and while all of them are held, beside the same loop without
// a pool in the same run. The cache keeps views of released buffers as far as its budget allows;
// views of held buffers are alive, and the engine counts them as heap.

import { BufferPool } from "../src/index.ts";

const text = JSON.stringify({ id: 1, name: "frame", tags: ["a", "b"], size: { w: 640, h: 480 } });

function parseLoop(): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 7; round++) {
    const start = Bun.nanoseconds();
    let sum = 0;
    for (let i = 0; i < 300_000; i++) sum += JSON.parse(text).tags.length;
    if (sum !== 600_000) throw new Error("wrong sum");
    least = Math.min(least, Bun.nanoseconds() - start);
  }
  return least / 1e6;
}

parseLoop();
const without = parseLoop();
console.log(`without a pool${" ".repeat(36)}${without.toFixed(1)} ms`);
for (const [count, size] of [
  [64, 6 * 1024 * 1024],
  [4096, 4096],
] as const) {
  const name = `bench.views.${process.pid}`;
  const pool = BufferPool.create(name, { capacity: count, bufferSize: size });
  for (let round = 0; round < 2; round++) {
    const held = Array.from({ length: count }, () => pool.acquire(size));
    for (const guard of held) guard.bytes[0] = 1;
    for (const guard of held) guard.release();
  }
  const report = (state: string): void => {
    Bun.gc(true);
    const with_ = parseLoop();
    const what = `${count} buffers of ${size} bytes, ${state}`;
    console.log(`${what.padEnd(50)}${with_.toFixed(1)} ms, ratio ${(with_ / without).toFixed(2)}`);
  };
  report("released");
  const all = Array.from({ length: count }, () => pool.acquire(size));
  for (const guard of all) guard.bytes[0] = 1;
  report("held");
  for (const guard of all) guard.release();
  pool.close();
  BufferPool.unlink(name);
}
