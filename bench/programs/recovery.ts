// How long a recovery makes others wait, and how that grows with the pool: another process acquires
// and releases without a pause, and notes the longest time that one pair took while a recovery ran.
// The recovery drops an expired lease, so that no process has to die for each figure.

import { BufferPool } from "../src/index.ts";

const [name = "", role = "lead"] = process.argv.slice(2);

/** The bystander: publishes its longest pair, in ns, in the buffer that it is given. */
function standBy(handle: number): void {
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

const median = (values: number[]): number =>
  values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function measure(capacity: number, rounds: number): Promise<[number, number, number]> {
  const poolName = `bench.${process.pid}.${capacity}`;
  using pool = BufferPool.create(poolName, { capacity, bufferSize: 64, leaseTimeout: 1 });
  let child: Bun.Subprocess | undefined;
  try {
    const board = pool.acquire(64);
    board.bytes.fill(0);
    const figures = board.view("float64");
    child = Bun.spawn([process.execPath, import.meta.path, poolName, String(board.share())], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    const moved = async (): Promise<void> => {
      const before = figures[1] ?? 0;
      while ((figures[1] ?? 0) < before + 2000) await Bun.sleep(1);
    };
    await moved();
    const pauses: number[] = [];
    const lengths: number[] = [];
    while (pauses.length < rounds) {
      const lost = pool.acquire(64);
      lost.share();
      lost.release();
      await Bun.sleep(20);
      figures[0] = 0;
      const start = Bun.nanoseconds();
      const { references, deferred } = pool.reclaim();
      const took = Bun.nanoseconds() - start;
      await moved();
      // The bystander had lost its core in the middle of an operation, which would measure
      // something else.
      if (deferred) continue;
      if (references < 1) throw new Error("nothing was recovered");
      lengths.push(took);
      pauses.push(figures[0] ?? Number.NaN);
    }
    new Int32Array(figures.buffer, figures.byteOffset + 16, 1)[0] = 1;
    await child.exited;
    board.release();
    return [median(lengths), median(pauses), Math.max(...pauses)];
  } finally {
    child?.kill("SIGKILL");
    pool.unlink();
  }
}

if (role !== "lead") standBy(Number(role));
else {
  const columns = ["slots", "recovery, us", "others wait, us", "at most, us", "ns a slot"];
  console.log(columns.map((column) => column.padStart(16)).join(""));
  for (const power of [6, 10, 14, 17, 20]) {
    const capacity = 2 ** power;
    const [length, pause, longest] = await measure(capacity, power > 16 ? 9 : 51);
    const cells = [
      capacity,
      (length / 1000).toFixed(1),
      (pause / 1000).toFixed(1),
      (longest / 1000).toFixed(1),
      (length / capacity).toFixed(1),
    ];
    console.log(cells.map((cell) => String(cell).padStart(16)).join(""));
  }
}
