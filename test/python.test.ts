// Python and Bun on one pool, without anything installed: the standard library's memoryviews only. The
// package's own tests, with numpy and in every Python, are in python/tests; CI runs them.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { interpreters } from "../scripts/python.ts";
import { root } from "../scripts/setup.ts";
import { BufferPool } from "../src/index.ts";
import { withPool } from "./processes.ts";

const [python] = interpreters();
if (python === undefined) console.log("left out, for want of a Python: test/python.test.ts");

const doubled = `
import sys
from xmem import Pool, XmemError
with Pool.open(sys.argv[1]) as pool, pool.channel("in") as frames, pool.channel("out") as back:
    for frame in frames:
        for place, byte in enumerate(frame.buffer):
            frame.buffer[place] = 2 * byte
        frame.meta.producer = "python"
        left = frame.buffer
        back.send_blocking(frame)
        assert bytes(left) == bytes(len(left)), "it is detached"
    back.close()
try:
    Pool.open(sys.argv[1] + ".none")
except XmemError as error:
    print(error.code)
`;

function run(source: string, ...argv: string[]) {
  const env = { ...process.env, PYTHONPATH: join(root, "python", "src"), PYTHONWARNINGS: "error" };
  const command = [python?.path ?? "", "-c", source, ...argv];
  return Bun.spawn(command, { env, stdout: "pipe", stderr: "inherit" });
}

if (python !== undefined) {
  test("a process of Python changes the buffers of one of Bun where they lie", async () => {
    await withPool({ capacity: 2, bufferSize: 4096 }, async (pool) => {
      using frames = pool.channel("in");
      using back = pool.channel("out");
      const child = run(doubled, pool.name);
      for (const byte of [1, 2, 3]) {
        const frame = await pool.acquireAsync(100);
        frame.bytes.fill(byte);
        await frames.sendAsync(frame);
        using answer = await back.receive();
        expect(answer.bytes.every((each) => each === 2 * byte)).toBe(true);
        expect(answer.meta.producer).toBe("python");
      }
      frames.close();
      expect(await child.stdout.text()).toBe("POOL_NOT_FOUND\n");
      expect(await child.exited).toBe(0);
      expect(pool.stats().free).toBe(2);
    });
  }, 60_000);

  test("what a killed Python held comes back", async () => {
    const held = `
import sys, time
from xmem import Pool
pool = Pool.open(sys.argv[1])
guards = [pool.acquire(8) for _ in range(2)]
views = [guard.buffer for guard in guards]
print("holds", flush=True)
time.sleep(1000)`;
    await withPool({ capacity: 2, bufferSize: 4096 }, async (pool) => {
      const child = run(held, pool.name);
      const reader = child.stdout.getReader();
      await reader.read();
      expect(pool.tryAcquire(8)).toBeNull();
      const waiting = pool.acquireAsync(8);
      child.kill("SIGKILL");
      using frame = await waiting;
      expect(frame.size).toBe(8);
      expect(BufferPool.inspect(pool.name).used).toBe(1);
    });
  }, 60_000);
}
