// The same job with the chunks copied through Bun's IPC, to compare: the same workers, the same
// number of chunks under way.

import { readFully } from "./output.ts";
import { chunksOf, type Outcome, type Task, window } from "./run.ts";

export async function runCopying(task: Task): Promise<Outcome> {
  const { fd, output, workers } = task;
  const count = Math.ceil(task.length / task.chunk);
  const most = window(workers.count);
  let given = 0;
  let changed = Promise.withResolvers<void>();
  workers.onReply = (reply) => {
    if (reply.kind !== "copy") return;
    output.inOrder(reply.sequence, () => {
      output.append(reply.bytes);
      task.progress(Math.min(output.written * task.chunk, task.length));
    });
    changed.resolve();
  };
  const nextReply = async () => {
    await workers.orFailure(changed.promise);
    changed = Promise.withResolvers<void>();
  };
  let peak = 0;
  let waits = 0;
  const start = performance.now();
  for (const { sequence, position, length } of chunksOf(task)) {
    if (given - output.written >= most) waits++;
    while (given - output.written >= most) await nextReply();
    const bytes = new Uint8Array(length);
    readFully(fd, bytes, position);
    workers.give({ kind: "copy", sequence, bytes });
    given++;
    peak = Math.max(peak, given - output.written);
  }
  while (output.written < count) await nextReply();
  return { seconds: (performance.now() - start) / 1000, peak, waits };
}
