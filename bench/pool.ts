// What an operation of the pool costs, beside a native pop + push of the same free list in the same
// run: figures are ratios to that. Each figure is the best of several rounds of a long loop, since
// what is measured costs less than a timer's resolution.

import { dlopen } from "bun:ffi";
import { BufferPool } from "../src/index.ts";
import { libraryPath } from "../src/library.ts";

const operations = 2_000_000;
const rounds = 7;

/** Nanoseconds per operation, the best round's. */
function best(body: (count: number) => void, count: number = operations): number {
  body(count);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const start = Bun.nanoseconds();
    body(count);
    least = Math.min(least, (Bun.nanoseconds() - start) / count);
  }
  return least;
}

const name = `bench.${process.pid}`;
const pool = BufferPool.create(name, { capacity: 64, bufferSize: 65_536 });
const { symbols } = dlopen(libraryPath(), {
  xmem_bench_pop_push: { args: ["u32"], returns: "void" },
});

const rows: [string, number][] = [];
const native = best((count) => symbols.xmem_bench_pop_push(count));
const row = (what: string, nanoseconds: number): void => {
  rows.push([what, nanoseconds]);
};

row("native tagged pop + push (the yardstick)", native);
row(
  "acquire + release",
  best((count) => {
    for (let i = 0; i < count; i++) {
      using frame = pool.acquire(4096);
      if (frame.size !== 4096) throw new Error("wrong size");
    }
  }),
);
row(
  "acquire + bytes[0] = i + release",
  best((count) => {
    for (let i = 0; i < count; i++) {
      using frame = pool.acquire(4096);
      frame.bytes[0] = i;
    }
  }),
);
{
  using held = pool.acquire(4096);
  const { handle } = held;
  row(
    "get + release",
    best((count) => {
      for (let i = 0; i < count; i++) {
        using again = pool.get(handle);
        if (again.size !== 4096) throw new Error("wrong size");
      }
    }),
  );
  row(
    "share + take + release",
    best((count) => {
      for (let i = 0; i < count; i++) {
        held.share();
        using taken = pool.take(handle);
        if (taken.size !== 4096) throw new Error("wrong size");
      }
    }),
  );
}
row(
  "open + close",
  best((count) => {
    for (let i = 0; i < count; i++) {
      using other = BufferPool.open(name);
      if (other.capacity !== 64) throw new Error("wrong capacity");
    }
  }, 2000),
);

row(
  "Bun.mmap of the same object, without a pool",
  best((count) => {
    for (let i = 0; i < count; i++) {
      if (Bun.mmap(`${process.env["XMEM_DIR"] ?? "/dev/shm"}/xmem.${name}`).length === 0)
        throw new Error("empty");
    }
    // The mappings go with the garbage.
    Bun.gc(true);
  }, 200),
);

console.log(`${"operation".padEnd(44)}${"ns".padStart(10)}${"ratio".padStart(9)}`);
for (const [what, nanoseconds] of rows) {
  const ratio = (nanoseconds / native).toFixed(2);
  console.log(`${what.padEnd(44)}${nanoseconds.toFixed(1).padStart(10)}${ratio.padStart(9)}`);
}
pool.close();
BufferPool.unlink(name);
