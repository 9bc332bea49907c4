// The costs of the pool's operations, beside a native pop + push of the same free list in the same
// run: figures are ratios to that. Each figure is the best of several rounds of a long loop, since
// one operation costs less than a timer's resolution. It is also the median of several processes,
// since code and data are placed by chance, which can cost a process a tenth for its whole life.

import { BufferPool } from "../src/index.ts";
import { native } from "../src/native/native.ts";

const processes = 7;
const operations = 2_000_000;
const rounds = 5;

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

type Row = [what: string, nanoseconds: number];

/** All figures of this process. */
function measure(): Row[] {
  const name = `bench.${process.pid}`;
  const pool = BufferPool.create(name, { capacity: 64, bufferSize: 65_536 });
  const rows: Row[] = [];
  const yardstick = best((count) => native.xmem_bun_bench_pop_push(count));
  const row = (what: string, nanoseconds: number): number => {
    rows.push([what, nanoseconds]);
    return nanoseconds;
  };

  row("native tagged pop + push (the yardstick)", yardstick);
  const untouched = row(
    "acquire + release",
    best((count) => {
      for (let i = 0; i < count; i++) {
        using frame = pool.acquire(4096);
        if (frame.size !== 4096) throw new Error("wrong size");
      }
    }),
  );
  const touched = row(
    "acquire + bytes[0] = i + release",
    best((count) => {
      for (let i = 0; i < count; i++) {
        using frame = pool.acquire(4096);
        frame.bytes[0] = i;
      }
    }),
  );
  row("  of that, touching the bytes", touched - untouched);
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
  // These come after the rows above: a program that views buffers in several ways makes the engine
  // keep slower code.
  row(
    "acquire + bytes[0] = i + release, 64 sizes in turn",
    best((count) => {
      for (let i = 0; i < count; i++) {
        using frame = pool.acquire(64 + (i & 63));
        frame.bytes[0] = i;
      }
    }),
  );
  row(
    "  the same of sizes that hardly repeat",
    best((count) => {
      let size = 1;
      for (let i = 0; i < count; i++) {
        size = (size * 75) % 65_537;
        using frame = pool.acquire(size & 65_535);
        frame.bytes[0] = i;
      }
    }),
  );
  {
    using detaching = BufferPool.open(name, { views: "detach" });
    for (const size of [1024, 65_536]) {
      row(
        `  the same of ${size} bytes, views: "detach"`,
        best((count) => {
          for (let i = 0; i < count; i++) {
            using frame = detaching.acquire(size);
            frame.bytes[0] = i;
          }
        }, 50_000),
      );
    }
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
  pool.close();
  BufferPool.unlink(name);
  return rows;
}

function measureInAnother(): Row[] {
  const { exitCode, stdout } = Bun.spawnSync([process.execPath, import.meta.path, "--once"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (exitCode !== 0) throw new Error(`a process of the benchmark ended with ${exitCode}`);
  return JSON.parse(stdout.toString());
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

if (process.argv.includes("--once")) {
  console.log(JSON.stringify(measure()));
} else {
  const runs = Array.from({ length: processes }, measureInAnother);
  console.log(`${"operation".padEnd(44)}${"ns".padStart(10)}${"ratio".padStart(9)}`);
  for (const [place, [what]] of (runs[0] ?? []).entries()) {
    const figures = runs.map((rows) => rows[place]?.[1] ?? Number.NaN);
    const ratios = runs.map((rows, run) => (figures[run] ?? Number.NaN) / (rows[0]?.[1] ?? 1));
    const nanoseconds = median(figures).toFixed(1).padStart(10);
    console.log(`${what.padEnd(44)}${nanoseconds}${median(ratios).toFixed(2).padStart(9)}`);
  }
}
