// Several processes that get buffers of one pool and give them back, each as often as it can. Not by
// tinybench: it is the time that is given, and what is counted are the operations of all processes.

import { BufferPool } from "../../src/index.ts";
import { answer, milliseconds } from "../suite/loop.ts";
import { now } from "./frames.ts";

const [role = "", name = ""] = process.argv.slice(2);
const batch = 500;

function acquireAndRelease(pool: BufferPool): void {
  for (let i = 0; i < batch; i++) {
    using frame = pool.acquire(4096);
    if (frame.size !== 4096) throw new Error("wrong size");
  }
}

/** Says that it is ready, reads when to begin, and says how many it did until the time was over. */
async function contend(): Promise<void> {
  using pool = BufferPool.open(name, { localCache: Number(process.env["XMEM_BENCH_CACHE"] ?? 0) });
  for (let i = 0; i < 100; i++) acquireAndRelease(pool);
  console.log("ready");
  let begin = 0;
  for await (const line of console) {
    begin = Number(line);
    break;
  }
  const end = begin + milliseconds * 1e6;
  let done = 0;
  while (now() < begin);
  while (now() < end) {
    acquireAndRelease(pool);
    done += batch;
  }
  console.log(String(done));
}

async function measure(count: number): Promise<{ ops: number; share: number }> {
  const poolName = `bench.contend.${process.pid}.${count}`;
  using _pool = BufferPool.create(poolName, { capacity: 64, bufferSize: 4096, ephemeral: true });
  const children = Array.from({ length: count }, () =>
    Bun.spawn([process.execPath, import.meta.path, "contender", poolName], {
      stdio: ["pipe", "pipe", "inherit"],
    }),
  );
  const outs = children.map(({ stdout }) => stdout.getReader());
  const decoder = new TextDecoder();
  const said = (): Promise<string[]> =>
    Promise.all(outs.map(async (out) => decoder.decode((await out.read()).value)));
  await said();
  const begin = now() + 50e6;
  for (const { stdin } of children) {
    stdin.write(`${begin}\n`);
    await stdin.end();
  }
  const done = (await said()).map(Number);
  await Promise.all(children.map(({ exited }) => exited));
  const sum = done.reduce((all, each) => all + each, 0);
  return {
    ops: sum / milliseconds / 1e3,
    share: (100 * Math.min(...done)) / Math.max(1, ...done),
  };
}

if (role === "contender") {
  await contend();
  process.exit(0);
}
const figures: Record<string, number> = {};
for (const count of [1, 2, 4, 8]) {
  const { ops, share } = await measure(count);
  figures[`ops ${count}`] = ops;
  figures[`share ${count}`] = share;
}
answer(figures);
