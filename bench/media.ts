// Filling buffers with 250 frames of 720p (I420) from another program, and emptying them into one:
// each way that Bun has, and those of FrameSource and FrameSink, one after another in one run. The
// processor's time is this process's own, native threads included. The loop's delay is the longest
// time for which a timer of 1 ms was late.

import { closeSync, mkdtempSync, openSync, read, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type BufferGuard, BufferPool, FrameSink, FrameSource } from "../src/index.ts";

const frameSize = 1280 * 720 * 1.5;
const frameCount = 250;
const total = frameSize * frameCount;
const readAsync = promisify(read);
const folder = mkdtempSync(join(tmpdir(), "xmem-bench-media-"));
const fifo = join(folder, "fifo");
Bun.spawnSync(["mkfifo", fifo]);
const producer = ["head", "-c", String(total), "/dev/zero"];
const consumer = ["dd", "of=/dev/null", "bs=1M", "iflag=fullblock", "status=none"];
using pool = BufferPool.create(`bench.media.${process.pid}`, {
  capacity: 4,
  bufferSize: frameSize,
  ephemeral: true,
});

/** The producer, which writes to the FIFO. */
function toFifo(): Bun.Subprocess {
  const command = ["sh", "-c", `exec ${producer.join(" ")} > ${fifo}`];
  return Bun.spawn(command, { stdin: "ignore" });
}

/** Takes every frame by `fill`, which returns how many bytes came; the frame is then released. */
async function everyFrame(fill: (guard: BufferGuard) => Promise<number> | number) {
  let bytes = 0;
  for (let count = -1; count !== 0; bytes += count) {
    using guard = pool.acquire(frameSize);
    count = await fill(guard);
  }
  if (bytes !== total) throw new Error(`${bytes} bytes instead of ${total}`);
}

/** Repeats short reads, until the frame is full or the source at its end. */
async function repeated(
  guard: BufferGuard,
  some: (bytes: Uint8Array, start: number) => Promise<number> | number,
): Promise<number> {
  const { bytes } = guard;
  let count = 0;
  while (count < bytes.length) {
    const more = await some(bytes, count);
    if (more === 0) break;
    count += more;
  }
  return count;
}

async function fromSource(source: FrameSource): Promise<void> {
  let bytes = 0;
  for await (using frame of source.frames(pool, frameSize)) bytes += frame.size;
  if (bytes !== total) throw new Error(`${bytes} bytes instead of ${total}`);
}

const filling: Record<string, () => Promise<void>> = {
  "FrameSource.pipe() as the subprocess's output": async () => {
    const { source, writable } = FrameSource.pipe();
    Bun.spawn(producer, { stdout: writable });
    closeSync(writable);
    await fromSource(source);
  },
  "FrameSource of a FIFO": async () => {
    toFifo();
    await fromSource(new FrameSource(fifo));
  },
  "FrameSource of a subprocess": () =>
    fromSource(new FrameSource(Bun.spawn(producer, { stdout: "pipe" }))),
  "FIFO, readSync": async () => {
    toFifo();
    const fd = openSync(fifo, "r");
    await everyFrame((guard) =>
      repeated(guard, (bytes, start) => readSync(fd, bytes, start, bytes.length - start, null)),
    );
    closeSync(fd);
  },
  "FIFO, fs.read": async () => {
    toFifo();
    const fd = openSync(fifo, "r");
    await everyFrame((guard) =>
      repeated(guard, async (bytes, start) => {
        const { bytesRead } = await readAsync(fd, bytes, start, bytes.length - start, null);
        return bytesRead;
      }),
    );
    closeSync(fd);
  },
  "stream of a subprocess, default reader and set": async () => {
    const reader = Bun.spawn(producer, { stdout: "pipe" }).stdout.getReader();
    let rest = new Uint8Array(0);
    await everyFrame((guard) =>
      repeated(guard, async (bytes, start) => {
        if (rest.length === 0) rest = (await reader.read()).value ?? rest;
        const count = Math.min(rest.length, bytes.length - start);
        bytes.set(rest.subarray(0, count), start);
        rest = rest.subarray(count);
        return count;
      }),
    );
  },
  "stream of the FIFO, default reader and set": async () => {
    toFifo();
    const reader = Bun.file(fifo).stream().getReader();
    let rest = new Uint8Array(0);
    await everyFrame((guard) =>
      repeated(guard, async (bytes, start) => {
        if (rest.length === 0) rest = ((await reader.read()).value as typeof rest) ?? rest;
        const count = Math.min(rest.length, bytes.length - start);
        bytes.set(rest.subarray(0, count), start);
        rest = rest.subarray(count);
        return count;
      }),
    );
  },
  "stdio[3] of a subprocess, readSync": async () => {
    const command = ["sh", "-c", `exec ${producer.join(" ")} >&3`];
    const child = Bun.spawn(command, { stdio: ["ignore", "inherit", "inherit", "pipe"] });
    const fd = child.stdio[3] as number;
    await everyFrame((guard) =>
      repeated(guard, async (bytes, start) => {
        while (true) {
          try {
            return readSync(fd, bytes, start, bytes.length - start, null);
          } catch (error) {
            if ((error as { code: string }).code !== "EAGAIN") throw error;
            await Bun.sleep(0);
          }
        }
      }),
    );
  },
};

async function everyWrite(empty: (guard: BufferGuard) => unknown): Promise<void> {
  for (let count = 0; count < frameCount; count++) {
    using guard = pool.acquire(frameSize);
    await empty(guard);
  }
}

const emptying: Record<string, () => Promise<void>> = {
  "FrameSink.pipe() as the subprocess's input": async () => {
    const { sink, readable } = FrameSink.pipe();
    const child = Bun.spawn(consumer, { stdin: readable });
    closeSync(readable);
    await everyWrite((guard) => sink.writeFrom(guard));
    await sink.end();
    await child.exited;
  },
  "FrameSink of a subprocess": async () => {
    const child = Bun.spawn(consumer, { stdin: "pipe" });
    const sink = new FrameSink(child);
    await everyWrite((guard) => sink.writeFrom(guard));
    await sink.end();
    await child.exited;
  },
  "FIFO, writeSync": async () => {
    const child = Bun.spawn(["sh", "-c", `exec ${consumer.join(" ")} < ${fifo}`]);
    const fd = openSync(fifo, "w");
    await everyWrite((guard) => {
      let count = 0;
      while (count < guard.size) count += writeSync(fd, guard.bytes, count);
    });
    closeSync(fd);
    await child.exited;
  },
  "FileSink of a subprocess, write and flush": async () => {
    const child = Bun.spawn(consumer, { stdin: "pipe" });
    await everyWrite(async (guard) => {
      child.stdin.write(guard.bytes);
      await child.stdin.flush();
    });
    await child.stdin.end();
    await child.exited;
  },
};

interface Figures {
  ms: number;
  cpu: number;
  late: number;
}

async function measured(way: () => Promise<void>): Promise<Figures> {
  let late = 0;
  let due = performance.now() + 1;
  const timer = setInterval(() => {
    const now = performance.now();
    late = Math.max(late, now - due);
    due = now + 1;
  }, 1);
  const before = process.cpuUsage();
  const start = performance.now();
  await way();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  await Bun.sleep(2);
  clearInterval(timer);
  return { ms, cpu: (user + system) / 1000, late };
}

for (const [what, ways] of Object.entries({ filling, emptying })) {
  const rounds = 3;
  const best = new Map<string, Figures>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of Object.entries(ways)) {
      const found = await measured(way);
      const known = best.get(name) ?? found;
      best.set(name, {
        ms: Math.min(found.ms, known.ms),
        cpu: Math.min(found.cpu, known.cpu),
        late: Math.min(found.late, known.late),
      });
    }
  }
  const [first] = best.values();
  if (first === undefined) continue;
  console.log(`${what}, the best of ${rounds}`.padEnd(50), "    ms ratio  cpu ms ratio  late ms");
  for (const [name, { ms, cpu, late }] of best) {
    const cells = [ms.toFixed(0), (ms / first.ms).toFixed(2), cpu.toFixed(0)];
    cells.push((cpu / first.cpu).toFixed(2), late.toFixed(1));
    console.log(name.padEnd(50), cells.map((cell) => cell.padStart(6)).join(" "));
  }
}
rmSync(folder, { recursive: true });
