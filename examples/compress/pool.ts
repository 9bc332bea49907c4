// The job through the pool: chunks are read into buffers and results come back in buffers, both
// handed over by handle.
//
// The reader acquires a chunk's input buffer and its result buffer before it gives the job away, so
// a worker never waits for one, and a result that is early never keeps an earlier one from being
// made. Waiting in the reader alone is what keeps the job inside the pools' memory without deadlock.

import type { BufferPool } from "../../src/index.ts";
import { resultBound } from "./messages.ts";
import { readFully } from "./output.ts";
import { chunksOf, type Outcome, type Task } from "./run.ts";

export async function runPool(
  task: Task,
  inputs: BufferPool,
  results: BufferPool,
): Promise<Outcome> {
  const { fd, output, workers } = task;
  const signal = workers.failure;
  const count = Math.ceil(task.length / task.chunk);
  const finished = Promise.withResolvers<void>();
  if (count === 0) finished.resolve();
  workers.onReply = (reply) => {
    if (reply.kind !== "pool") return;
    const guard = results.take(reply.result);
    output.inOrder(reply.sequence, () => {
      using result = guard;
      output.append(result.bytes.subarray(0, reply.length));
      task.progress(Math.min(output.written * task.chunk, task.length));
      if (output.written === count) finished.resolve();
    });
  };
  let peak = 0;
  const start = performance.now();
  for (const { sequence, position, length } of chunksOf(task)) {
    using input = await inputs.acquireAsync(length, { signal });
    using result = await results.acquireAsync(resultBound(length), { signal });
    readFully(fd, input.bytes, position);
    peak = Math.max(peak, inputs.stats().used + results.stats().used);
    workers.give({ kind: "pool", sequence, input: input.handOff(), result: result.handOff() });
  }
  await workers.orFailure(finished.promise);
  const waits = inputs.stats().counters.waits + results.stats().counters.waits;
  return { seconds: (performance.now() - start) / 1000, peak, waits };
}
