// `xmem bench`: five seconds that say what the pool costs here, each figure beside a copy of the same
// run. bench/ has the measurements that the documents cite.

import { BufferPool } from "../index.ts";
import { json, table } from "./text.ts";

const mebibyte = 1024 * 1024;
const parts = 5;

interface Figure {
  what: string;
  nanoseconds: number;
}

/** Repeats `body` for a fifth of the time: the nanoseconds of one. */
function measure(what: string, milliseconds: number, body: () => void): Figure {
  const batch = 64;
  for (let warm = 0; warm < 2000; warm++) body();
  const start = Bun.nanoseconds();
  const end = start + milliseconds * 1e6;
  let done = 0;
  let now = start;
  while (now < end) {
    for (let each = 0; each < batch; each++) body();
    done += batch;
    now = Bun.nanoseconds();
  }
  return { what, nanoseconds: (now - start) / done };
}

export function bench(options: { json?: boolean; seconds: number }): string {
  const milliseconds = (options.seconds * 1000) / parts;
  const name = `xmem-bench-${process.pid}`;
  using pool = BufferPool.create(name, { capacity: 8, bufferSize: mebibyte, ephemeral: true });
  using channel = pool.channel("bench", { capacity: 4 });
  const from = new Uint8Array(mebibyte).fill(7);
  const to = new Uint8Array(mebibyte);
  const figures = [
    measure("copy 1 MiB", milliseconds, () => to.set(from)),
    measure("clone 1 MiB (structuredClone)", milliseconds, () => structuredClone(from)),
    measure("acquire and release 1 MiB", milliseconds, () => pool.acquire(mebibyte).release()),
    measure("hand off and take", milliseconds, () => {
      pool.take(pool.acquire(mebibyte).handOff()).release();
    }),
    measure("send and receive", milliseconds, () => {
      channel.send(pool.acquire(mebibyte));
      channel.tryReceive()?.release();
    }),
  ];
  const copy = figures[0]?.nanoseconds ?? 1;
  const records = figures.map((each) => ({ ...each, ofACopy: each.nanoseconds / copy }));
  if (options.json === true) return json(records);
  const columns = [
    { title: "WHAT" },
    { title: "ONE TAKES", right: true },
    { title: "OF A COPY", right: true },
  ];
  const rows = records.map(({ what, nanoseconds, ofACopy }) => [
    what,
    nanoseconds < 10_000 ? `${nanoseconds.toFixed(0)} ns` : `${(nanoseconds / 1000).toFixed(0)} µs`,
    ofACopy >= 0.1 ? `${ofACopy.toFixed(1)} x` : `1/${Math.round(1 / ofACopy)}`,
  ]);
  return table(columns, rows).join("\n");
}
