// How long a recovery makes others wait, and how that grows with the pool: another process acquires
// and releases without a pause, and notes the longest time that one pair took while a recovery ran.
// The recovery drops an expired lease, so that no process has to die for each figure. Not by
// tinybench: what counts is the longest pair of another process. Arguments: the capacities.

import { BufferPool } from "../../src/index.ts";
import { answer, milliseconds } from "../suite/loop.ts";
import { median } from "../suite/statistics.ts";

const [role = "", ...rest] = process.argv.slice(2);

/** The bystander: publishes its longest pair, in ns, in the buffer that it is given. */
function standBy(name: string, handle: number): void {
  using pool = BufferPool.open(name);
  using board = pool.take(handle);
  // [0] the longest pair since it was set to 0, [1] the pairs done, [2] not 0: end.
  const figures = board.view("float64");
  while (Atomics.load(new Int32Array(figures.buffer, figures.byteOffset + 16, 1), 0) === 0) {
    for (let i = 0; i < 1000; i++) {
      const start = Bun.nanoseconds();
      pool.acquire(64).release();
      const took = Bun.nanoseconds() - start;
      if (took > (figures[0] ?? 0)) figures[0] = took;
    }
    figures[1] = (figures[1] ?? 0) + 1000;
  }
}

/** Microseconds. */
async function measure(capacity: number): Promise<number> {
  const name = `bench.${process.pid}.${capacity}`;
  using pool = BufferPool.create(name, {
    ...{ capacity, bufferSize: 64, leaseTimeout: 1, ephemeral: true },
  });
  const board = pool.acquire(64);
  board.bytes.fill(0);
  const figures = board.view("float64");
  const argv = ["bystander", name, String(board.share())];
  const child = Bun.spawn([process.execPath, import.meta.path, ...argv], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const moved = async (): Promise<void> => {
    const before = figures[1] ?? 0;
    while ((figures[1] ?? 0) < before + 2000) await Bun.sleep(1);
  };
  await moved();
  const pauses: number[] = [];
  const until = Bun.nanoseconds() + milliseconds * 1e6;
  while (pauses.length < 3 || Bun.nanoseconds() < until) {
    const lost = pool.acquire(64);
    lost.share();
    lost.release();
    await Bun.sleep(20);
    figures[0] = 0;
    const { references, deferred } = pool.reclaim();
    await moved();
    // The bystander had lost its core in the middle of an operation, which would measure
    // something else.
    if (deferred) continue;
    if (references < 1) throw new Error("nothing was recovered");
    pauses.push((figures[0] ?? Number.NaN) / 1e3);
  }
  new Int32Array(figures.buffer, figures.byteOffset + 16, 1)[0] = 1;
  await child.exited;
  board.release();
  return median(pauses);
}

if (role === "bystander") standBy(rest[0] ?? "", Number(rest[1]));
else {
  const figures: Record<string, number> = {};
  for (const capacity of [role, ...rest]) figures[capacity] = await measure(Number(capacity));
  answer(figures);
}
