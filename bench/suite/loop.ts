// The clock of the programs in TypeScript: tinybench, whose tasks are batches. A task costs some
// 50 ns by itself, so that a batch has to last for many microseconds.

import { Bench } from "tinybench";

/** How long one figure is measured, and how long the engine may compile before. */
export const milliseconds: number = Number(process.env["XMEM_BENCH_MS"] ?? 100);

/**
 * Milliseconds that the engine may take to compile: it does so in threads of its own, which get little
 * where other programs run as well. A smoke test does without.
 */
const compileTime = 150;
let compiled = false;

type Body = (count: number) => void | Promise<void>;

/** Nanoseconds of one operation: the median of the batches of `count` operations. */
export async function nanoseconds(count: number, body: Body): Promise<number> {
  const time = milliseconds;
  // A figure takes its time and not much more, also where a batch is long: by default tinybench runs
  // at least 64.
  const bench = new Bench({
    time,
    iterations: 3,
    warmupTime: compiled || time < 10 ? time / 2 : compileTime,
    warmupIterations: 2,
    timestampProvider: "bunNanoseconds",
    throws: true,
  });
  // Otherwise it would find that out by a call that runs beside the first batch.
  const isAsync = body.constructor === (async () => {}).constructor;
  const batch = isAsync ? async () => await body(count) : () => body(count);
  bench.add("batch", batch, { async: isAsync });
  await bench.run();
  compiled = true;
  const result = bench.tasks[0]?.result;
  if (result?.state !== "completed") throw new Error(`the batch ended as ${result?.state}`);
  return (result.latency.p50 * 1e6) / count;
}

/** Ends a program with its answer. */
export function answer(figures: Record<string, number>): never {
  console.log(JSON.stringify(figures));
  process.exit(0);
}
