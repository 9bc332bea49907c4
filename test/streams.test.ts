// Frames in and out: from pipes, FIFOs, files, streams and subprocesses, and into them, with real
// programs at the other end, which write in pieces, stop in the middle, and are killed.

import { afterAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type BufferPool,
  type ByteSink,
  type ByteSource,
  FrameSink,
  FrameSource,
} from "../src/index.ts";
import { codeOf, codeOfLater } from "./codes.ts";
import { withPool } from "./processes.ts";

const folder = mkdtempSync(join(tmpdir(), "xmem-streams-"));
afterAll(() => rmSync(folder, { recursive: true }));
let made = 0;

function path(): string {
  return join(folder, String(++made));
}

function fifo(): string {
  const name = path();
  expect(Bun.spawnSync(["mkfifo", name]).exitCode).toBe(0);
  return name;
}

/** Bytes that tell their place. */
function pattern(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 7) ^ (i >> 8) ^ (i >> 16);
  return bytes;
}

/** A program that writes `bytes` in pieces of odd sizes, as those that stream do. */
const writer = `
  const { readFileSync, writeSync } = require("node:fs");
  const bytes = readFileSync(process.argv[1]);
  const most = Number(process.argv[2]);
  for (let start = 0, turn = 1; start < bytes.length; turn++) {
    const end = Math.min(bytes.length, start + 1 + (turn * 7919) % most);
    while (start < end) {
      try {
        start += writeSync(1, bytes, start, end - start);
      } catch (error) {
        if (error.code !== "EAGAIN") throw error;
        Bun.sleepSync(1);
      }
    }
    if (turn % 16 === 0) Bun.sleepSync(1);
  }
  if (process.argv[3] === "stay") Bun.sleepSync(600_000);
`;

/** The command that writes `bytes` to its output. */
function writing(bytes: Uint8Array, ...rest: (string | number)[]): string[] {
  const file = path();
  writeFileSync(file, bytes);
  return [process.execPath, "-e", writer, file, ...(rest.length > 0 ? rest : [50_000]).map(String)];
}

function toFifo(name: string, bytes: Uint8Array, ...rest: (string | number)[]): Bun.Subprocess {
  const command = ["sh", "-c", 'to=$1; shift; exec "$@" > "$to"', "sh", name];
  return Bun.spawn([...command, ...writing(bytes, ...rest)]);
}

/** Every frame's bytes, one after another. */
async function collected(pool: BufferPool, source: FrameSource, size: number): Promise<Uint8Array> {
  const frames: Uint8Array[] = [];
  for await (using frame of source.frames(pool, size)) {
    expect(frame.size).toBe(size);
    expect(frame.meta.sequence).toBe(frames.length);
    frames.push(frame.bytes.slice());
  }
  return Buffer.concat(frames);
}

const size = 100_003;
const options = { capacity: 4, bufferSize: 8 * 1024 * 1024 };

function stream(bytes: Uint8Array, type?: "bytes"): ReadableStream {
  let start = 0;
  return new ReadableStream({
    type: type as undefined,
    async pull(controller) {
      await Bun.sleep(0);
      if (start >= bytes.length) {
        controller.close();
        (controller as unknown as ReadableByteStreamController).byobRequest?.respond(0);
        return;
      }
      const end = Math.min(bytes.length, start + 70_001);
      controller.enqueue(bytes.slice(start, end));
      start = end;
    },
  });
}

/** Each way to read `bytes`, and what has to be done at its end. */
const sources: Record<string, (bytes: Uint8Array) => { from: ByteSource; end?: () => void }> = {
  "a FIFO by its path": (bytes) => {
    const name = fifo();
    toFifo(name, bytes);
    return { from: name };
  },
  "a Bun.file of a FIFO": (bytes) => {
    const name = fifo();
    toFifo(name, bytes);
    return { from: Bun.file(name) };
  },
  "a descriptor that blocks": (bytes) => {
    const name = fifo();
    toFifo(name, bytes);
    const fd = openSync(name, "r");
    return { from: fd, end: () => closeSync(fd) };
  },
  "a descriptor whose owner closes it": (bytes) => {
    const name = fifo();
    toFifo(name, bytes);
    const fd = openSync(name, "r");
    setTimeout(() => closeSync(fd), 1);
    return { from: fd };
  },
  "a file by its path": (bytes) => {
    const name = path();
    writeFileSync(name, bytes);
    return { from: name };
  },
  "a file's descriptor": (bytes) => {
    const name = path();
    writeFileSync(name, bytes);
    const fd = openSync(name, "r");
    return { from: fd, end: () => closeSync(fd) };
  },
  "a socket": (bytes) => {
    const command = ["sh", "-c", 'exec "$@" >&3', "sh", ...writing(bytes)];
    const child = Bun.spawn(command, { stdio: ["ignore", "inherit", "inherit", "pipe"] });
    return { from: child.stdio[3] as number };
  },
  "a subprocess": (bytes) => ({ from: Bun.spawn(writing(bytes)) }),
  "its stream": (bytes) => ({ from: Bun.spawn(writing(bytes)).stdout }),
  "a stream": (bytes) => ({ from: stream(bytes) }),
  "a stream of bytes": (bytes) => ({ from: stream(bytes, "bytes") }),
  "a reader": (bytes) => ({ from: stream(bytes).getReader() }),
  "a reader with buffers of its own": (bytes) => ({
    from: stream(bytes, "bytes").getReader({ mode: "byob" }),
  }),
  "a response's body": (bytes) => ({ from: new Response(bytes).body as ReadableStream }),
};

describe("exact frames come from", () => {
  test.each(Object.keys(sources))("%s", async (name) => {
    const bytes = pattern(9 * size);
    await withPool(options, async (pool) => {
      const { from, end } = sources[name]!(bytes);
      using source = new FrameSource(from);
      expect(Buffer.compare(await collected(pool, source, size), bytes)).toBe(0);
      end?.();
      expect(pool.stats().free).toBe(4);
    });
  });
});

test("a pipe for a subprocess carries frames larger than the pipe, and a collector disturbs none", async () => {
  const large = 5 * 1024 * 1024 + 1;
  const bytes = pattern(3 * large);
  await withPool(options, async (pool) => {
    const { source, writable } = FrameSource.pipe();
    const child = Bun.spawn(writing(bytes, 400_000), { stdout: writable });
    closeSync(writable);
    const timer = setInterval(() => Bun.gc(true), 5);
    expect(Buffer.compare(await collected(pool, source, large), bytes)).toBe(0);
    clearInterval(timer);
    expect(await child.exited).toBe(0);
  });
});

describe("a source that ends in the middle of a frame", () => {
  test.each(Object.keys(sources))("is INCOMPLETE, and its rest can be read: %s", async (name) => {
    const bytes = pattern(2 * size + 17);
    await withPool(options, async (pool) => {
      const { from, end } = sources[name]!(bytes);
      using source = new FrameSource(from);
      const frames = source.frames(pool, size);
      for (const _ of [1, 2]) (await frames.next()).value?.release();
      expect(await codeOfLater(() => frames.next())).toBe("INCOMPLETE");
      using guard = pool.acquire(size);
      expect(await source.readInto(guard)).toBe(17);
      guard.truncate(17);
      expect(Buffer.compare(guard.bytes, bytes.subarray(2 * size))).toBe(0);
      expect(await source.readInto(guard)).toBe(0);
      end?.();
      expect(pool.stats().free).toBe(3);
    });
  });

  test.each(["pipe", "stream"])("since its writer was killed: %s", async (kind) => {
    const bytes = pattern(size + 1000);
    await withPool(options, async (pool) => {
      const command = writing(bytes, 50_000, "stay");
      const { source: piped, writable } = FrameSource.pipe();
      const stdout = kind === "pipe" ? writable : "pipe";
      const child = Bun.spawn(command, { stdout });
      closeSync(writable);
      using source = kind === "pipe" ? piped : new FrameSource(child as { stdout: ReadableStream });
      using first = pool.acquire(size);
      expect(await source.readInto(first)).toBe(size);
      using second = pool.acquire(size);
      const reading = source.readInto(second);
      await Bun.sleep(50);
      child.kill("SIGKILL");
      expect(await reading).toBe(1000);
      expect(Buffer.compare(second.bytes.subarray(0, 1000), bytes.subarray(size))).toBe(0);
      expect(await source.readInto(second)).toBe(0);
      piped.close();
    });
  });
});

/** A source to which the test itself writes. */
function handMade(kind: string): {
  source: FrameSource;
  write(bytes: Uint8Array): void;
  end(): void;
} {
  if (kind === "pipe") {
    const { source, writable } = FrameSource.pipe();
    return {
      source,
      write: (bytes) => void writeSync(writable, bytes),
      end: () => closeSync(writable),
    };
  }
  let controller: ReadableStreamDefaultController | undefined;
  const source = new FrameSource(
    new ReadableStream({
      start(given) {
        controller = given;
      },
    }),
  );
  return {
    source,
    write: (bytes) => controller?.enqueue(bytes),
    end: () => controller?.close(),
  };
}

describe.each(["pipe", "stream"])("a read from a %s that is given up", (kind) => {
  test.each(["abort", "timeout"])("by its %s takes nothing", async (why) => {
    await withPool(options, async (pool) => {
      const { source, write, end } = handMade(kind);
      const bytes = pattern(1000);
      using guard = pool.acquire(1000);
      for (const given of [300, 300]) {
        write(bytes.slice(0, given));
        bytes.copyWithin(0, given);
        const abort = new AbortController();
        const waits = why === "abort" ? { signal: abort.signal } : { timeout: 30 };
        const reading = source.readInto(guard, waits).catch((error: unknown) => error);
        await Bun.sleep(20);
        abort.abort(new Error("enough"));
        const reason = (await reading) as Error & { code?: string };
        expect(why === "abort" ? reason.message : reason.code).toBe(
          why === "abort" ? "enough" : "TIMEOUT",
        );
        expect(pool.stats().participants[0]?.holds).toBe(1);
      }
      write(bytes.slice(0, 400));
      // Other sizes than the read that was given up.
      using small = pool.acquire(450);
      expect(await source.readInto(small)).toBe(450);
      using rest = pool.acquire(550);
      expect(await source.readInto(rest)).toBe(550);
      expect(Buffer.compare(Buffer.concat([small.bytes, rest.bytes]), pattern(1000))).toBe(0);
      end();
      expect(await source.readInto(guard)).toBe(0);
      source.close();
    });
  });

  test("an aborted signal reads nothing, and a timeout of 0 takes what is there", async () => {
    await withPool(options, async (pool) => {
      const { source, write, end } = handMade(kind);
      using guard = pool.acquire(100);
      const reason = new Error("before");
      const aborted = source.readInto(guard, { signal: AbortSignal.abort(reason) });
      expect(await aborted.catch((error) => error)).toBe(reason);
      expect(await codeOfLater(() => source.readInto(guard, { timeout: 0 }))).toBe("TIMEOUT");
      write(pattern(100));
      await Bun.sleep(20);
      expect(await source.readInto(guard, { timeout: 0 })).toBe(100);
      end();
      source.close();
    });
  });

  test("by a close is RELEASED", async () => {
    await withPool(options, async (pool) => {
      const { source, end } = handMade(kind);
      using guard = pool.acquire(100);
      const reading = codeOfLater(() => source.readInto(guard));
      await Bun.sleep(10);
      source.close();
      expect(await reading).toBe("RELEASED");
      expect(await codeOfLater(() => source.readInto(guard))).toBe("RELEASED");
      if (kind === "pipe") end();
    });
  });

  test("a release meanwhile leaves the buffer with the read until that is over", async () => {
    await withPool({ ...options, capacity: 1 }, async (pool) => {
      const { source, write, end } = handMade(kind);
      const guard = pool.acquire(100);
      const reading = source.readInto(guard);
      guard.release();
      expect(pool.tryAcquire(100)).toBeNull();
      write(pattern(100));
      expect(await reading).toBe(100);
      pool.acquire(100).release();
      end();
      source.close();
    });
  });

  test("a close of the pool meanwhile is POOL_CLOSED", async () => {
    await withPool(options, async (pool) => {
      const { source, write, end } = handMade(kind);
      const reading = codeOfLater(() => source.readInto(pool.acquire(100)));
      write(pattern(50));
      await Bun.sleep(20);
      pool.close();
      write(pattern(50));
      expect(await reading).toBe("POOL_CLOSED");
      end();
      source.close();
    });
  });
});

test("timers run while a source has nothing, and two reads at once are refused", async () => {
  await withPool(options, async (pool) => {
    const { source, write, end } = handMade("pipe");
    using guard = pool.acquire(100);
    using other = pool.acquire(100);
    const reading = source.readInto(guard);
    expect(await codeOfLater(() => source.readInto(other))).toBe("INVALID_ARGUMENT");
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    while (ticks < 5) await Bun.sleep(1);
    clearInterval(timer);
    write(pattern(100));
    expect(await reading).toBe(100);
    end();
    source.close();
  });
});

test("a stream's own failure, and what is no bytes, reach the reader", async () => {
  await withPool(options, async (pool) => {
    const failure = new Error("the stream broke");
    using guard = pool.acquire(10);
    const broken = new ReadableStream({ start: (controller) => controller.error(failure) });
    using source = new FrameSource(broken);
    expect(await source.readInto(guard).catch((error) => error)).toBe(failure);
    const words = new ReadableStream({ start: (controller) => controller.enqueue("words") });
    using texts = new FrameSource(words);
    expect(await codeOfLater(() => texts.readInto(guard))).toBe("INVALID_ARGUMENT");
  });
});

test("what cannot be read from or written to is refused", async () => {
  for (const wrong of [null, undefined, {}, true, [], { stdout: 1 }, { stdin: undefined }]) {
    expect(codeOf(() => new FrameSource(wrong as ByteSource))).toBe("INVALID_ARGUMENT");
    expect(codeOf(() => new FrameSink(wrong as ByteSink))).toBe("INVALID_ARGUMENT");
  }
  expect(() => new FrameSource("/nonexistent/fifo")).toThrow("ENOENT");
  expect(() => new FrameSource(123_456)).toThrow("EBADF");
  await withPool(options, async (pool) => {
    const { source, writable } = FrameSource.pipe();
    closeSync(writable);
    const { sink, readable } = FrameSink.pipe();
    closeSync(readable);
    for (const wrong of [null, 7, new Uint8Array(8)]) {
      expect(await codeOfLater(() => source.readInto(wrong as never))).toBe("INVALID_ARGUMENT");
      expect(await codeOfLater(() => sink.writeFrom(wrong as never))).toBe("INVALID_ARGUMENT");
    }
    const guard = pool.acquire(8);
    using readOnly = pool.get(guard.handle);
    expect(await codeOfLater(() => source.readInto(readOnly as never))).toBe("READ_ONLY");
    guard.release();
    expect(await codeOfLater(() => source.readInto(guard))).toBe("RELEASED");
    expect(await codeOfLater(() => sink.writeFrom(guard))).toBe("RELEASED");
    const wrong = { tiemout: 1 } as never;
    expect(await codeOfLater(() => source.readInto(guard, wrong))).toBe("INVALID_ARGUMENT");
    expect(await codeOfLater(() => source.frames(pool, 0).next())).toBe("INVALID_ARGUMENT");
    expect(await codeOfLater(() => source.frames({} as never, 1).next())).toBe("INVALID_ARGUMENT");
    for (const each of [source, sink]) each.close();
    expect(await codeOfLater(() => sink.end())).toBe("RELEASED");
  });
});

/** Reads its input slowly, and writes it to a file. */
const slow = `
  const { openSync, readSync, writeSync } = require("node:fs");
  const to = openSync(process.argv[1], "w");
  const from = process.argv[2] === undefined ? 0 : openSync(process.argv[2], "r");
  const bytes = new Uint8Array(90_001);
  for (let turn = 0; ; turn++) {
    const count = readSync(from, bytes);
    if (count === 0) break;
    writeSync(to, bytes, 0, count);
    if (turn % 4 === 0) Bun.sleepSync(1);
  }
`;

function reading(to: string, ...from: string[]): string[] {
  return [process.execPath, "-e", slow, to, ...from];
}

/** Each way to write to the file `to`; `over` resolves when all of it is there. */
const sinks: Record<string, (to: string) => { to: ByteSink; over?: () => Promise<unknown> }> = {
  "a FIFO by its path": (to) => {
    const name = fifo();
    const child = Bun.spawn(reading(to, name));
    return { to: name, over: () => child.exited };
  },
  "a descriptor that blocks": (to) => {
    const name = fifo();
    const child = Bun.spawn(reading(to, name));
    const fd = openSync(name, "w");
    const over = (): Promise<unknown> => {
      closeSync(fd);
      return child.exited;
    };
    return { to: fd, over };
  },
  "a file by its path": (to) => ({ to }),
  "a Bun.file": (to) => ({ to: Bun.file(to) }),
  "a file's descriptor": (to) => {
    const fd = openSync(to, "w");
    return { to: fd, over: async () => closeSync(fd) };
  },
  "a subprocess": (to) => {
    const child = Bun.spawn(reading(to), { stdin: "pipe" });
    return { to: child, over: () => child.exited };
  },
  "a FileSink": (to) => ({ to: Bun.file(to).writer() }),
  "a stream": (to) => {
    const file = Bun.file(to).writer();
    const stream = new WritableStream({
      async write(bytes: Uint8Array) {
        await Bun.sleep(1);
        file.write(bytes);
        await file.flush();
      },
      close: () => void file.end(),
    });
    return { to: stream };
  },
};

describe("whole frames go into", () => {
  test.each(Object.keys(sinks))("%s", async (name) => {
    const bytes = pattern(9 * size);
    await withPool(options, async (pool) => {
      const file = path();
      const { to, over } = sinks[name]!(file);
      const sink = new FrameSink(to);
      for (let start = 0; start < bytes.length; start += size) {
        using frame = pool.acquire(size);
        frame.bytes.set(bytes.subarray(start, start + size));
        using read = pool.get(frame.handle);
        await sink.writeFrom(read);
        await sink.writeFrom(frame, { timeout: 60_000 });
      }
      await sink.end();
      await over?.();
      const found = readFileSync(file);
      expect(found.length).toBe(2 * bytes.length);
      for (let frame = 0; frame < 18; frame++) {
        const start = (frame >> 1) * size;
        const part = found.subarray(frame * size, (frame + 1) * size);
        expect(Buffer.compare(part, bytes.subarray(start, start + size))).toBe(0);
      }
    });
  });
});

describe("an end without a frame reaches the reader of", () => {
  test.each(Object.keys(sinks))("%s", async (name) => {
    const file = path();
    const { to, over } = sinks[name]!(file);
    const sink = new FrameSink(to);
    await sink.end();
    await over?.();
    expect(readFileSync(file).length).toBe(0);
  });

  test.each(["end", "close"] as const)("a pipe: by %s()", async (how) => {
    const { sink, readable } = FrameSink.pipe();
    const child = Bun.spawn(["cat"], { stdin: readable, stdout: "pipe" });
    closeSync(readable);
    await sink[how]();
    expect(await child.stdout.text()).toBe("");
  });
});

test("a pipe for a subprocess carries frames larger than the pipe to it", async () => {
  const bytes = pattern(5 * 1024 * 1024 + 1);
  await withPool(options, async (pool) => {
    const file = path();
    const { sink, readable } = FrameSink.pipe();
    const child = Bun.spawn(reading(file), { stdin: readable });
    closeSync(readable);
    using frame = pool.acquire(bytes.length);
    frame.bytes.set(bytes);
    await sink.writeFrom(frame);
    await sink.end();
    expect(await child.exited).toBe(0);
    expect(Buffer.compare(readFileSync(file), bytes)).toBe(0);
  });
});

test.each(["pipe", "FIFO"])("a %s that nobody reads any more is EPIPE", async (kind) => {
  await withPool(options, async (pool) => {
    const name = kind === "FIFO" ? fifo() : "";
    const { sink: piped, readable } = FrameSink.pipe();
    const command = ["sh", "-c", kind === "FIFO" ? `exec sleep 600 < ${name}` : "exec sleep 600"];
    const child = Bun.spawn(command, { stdin: readable });
    closeSync(readable);
    using sink = kind === "FIFO" ? new FrameSink(name) : piped;
    using frame = pool.acquire(4 * 1024 * 1024);
    const writing = sink.writeFrom(frame).catch((error: unknown) => error);
    await Bun.sleep(50);
    child.kill("SIGKILL");
    const error = (await writing) as { code: string; cause: { code: string } };
    expect([error.code, error.cause.code]).toEqual(["SYSTEM", "EPIPE"]);
    expect(await codeOfLater(() => sink.writeFrom(frame))).toBe("SYSTEM");
    piped.close();
  });
});

test("a subprocess that ends is an error of its FileSink, or all was taken", async () => {
  await withPool(options, async (pool) => {
    const child = Bun.spawn(["sleep", "600"], { stdin: "pipe" });
    using sink = new FrameSink(child);
    using frame = pool.acquire(4 * 1024 * 1024);
    const writing = sink.writeFrom(frame).then(
      () => "taken",
      (error: { code: string }) => error.code,
    );
    await Bun.sleep(50);
    child.kill("SIGKILL");
    expect(["taken", "EPIPE", "ECONNRESET"]).toContain(await writing);
  });
});

test("a write that is given up in the middle of a frame goes on first, so that frames stay whole", async () => {
  await withPool(options, async (pool) => {
    const bytes = pattern(3 * 1024 * 1024);
    const { sink, readable } = FrameSink.pipe();
    using frame = pool.acquire(bytes.length);
    frame.bytes.set(bytes);
    const reason = new Error("enough");
    const abort = new AbortController();
    setTimeout(() => abort.abort(reason), 20);
    const writing = sink.writeFrom(frame, { signal: abort.signal });
    expect(await writing.catch((error) => error)).toBe(reason);
    const { unsent } = sink;
    expect(unsent).toBeGreaterThan(0);
    expect(unsent).toBeLessThan(bytes.length);
    expect(await codeOfLater(() => sink.end({ timeout: 10 }))).toBe("TIMEOUT");
    // Not begun, since the rest of the first one did not go.
    expect(await codeOfLater(() => sink.writeFrom(frame, { timeout: 10 }))).toBe("TIMEOUT");
    expect(sink.unsent).toBe(unsent);
    expect(pool.stats().participants[0]?.holds).toBe(1);
    const file = path();
    const child = Bun.spawn(reading(file), { stdin: readable });
    closeSync(readable);
    using last = pool.acquire(3);
    last.bytes.set([1, 2, 3]);
    await sink.writeFrom(last);
    expect(sink.unsent).toBe(0);
    await sink.end();
    await child.exited;
    expect(Buffer.compare(readFileSync(file), Buffer.concat([bytes, last.bytes]))).toBe(0);
  });
});

test("a stream that still reads a frame keeps its buffer after the write was given up", async () => {
  await withPool({ ...options, capacity: 1 }, async (pool) => {
    const done = Promise.withResolvers<void>();
    const seen: number[] = [];
    const stream = new WritableStream({
      async write(bytes: Uint8Array) {
        await done.promise;
        seen.push(bytes[0] as number);
      },
    });
    const sink = new FrameSink(stream);
    const frame = pool.acquire(10);
    frame.bytes[0] = 7;
    expect(await codeOfLater(() => sink.writeFrom(frame, { timeout: 10 }))).toBe("TIMEOUT");
    frame.release();
    expect(pool.tryAcquire(10)).toBeNull();
    done.resolve();
    (await pool.acquireAsync(10)).release();
    expect(seen).toEqual([7]);
    await sink.end();
  });
});

test("closing leaves no descriptor and no thread behind, also where nothing was read", async () => {
  const counts = (): number[] =>
    ["fd", "task"].map((each) => readdirSync(`/proc/self/${each}`).length);
  await withPool(options, async (pool) => {
    const round = async (): Promise<void> => {
      const { source, writable } = FrameSource.pipe();
      const { sink, readable } = FrameSink.pipe();
      using guard = pool.acquire(8 * 1024 * 1024);
      expect(await codeOfLater(() => source.readInto(guard, { timeout: 1 }))).toBe("TIMEOUT");
      expect(await codeOfLater(() => sink.writeFrom(guard, { timeout: 1 }))).toBe("TIMEOUT");
      for (const each of [source, sink]) each.close();
      for (const each of [writable, readable]) closeSync(each);
    };
    for (let count = 0; count < 3; count++) await round();
    const [descriptors = 0, threads = 0] = counts();
    for (let count = 0; count < 20; count++) await round();
    // The native threads end a little later. A few of either are the engine's.
    while (counts()[1]! > threads + 5 || counts()[0]! > descriptors + 5) await Bun.sleep(5);
  });
});

test("a Worker that is terminated in the middle of a read endangers nobody", async () => {
  await withPool(options, async (pool, name) => {
    const { source, writable } = FrameSource.pipe();
    const program = path();
    writeFileSync(
      program,
      `import { BufferPool, FrameSource } from ${JSON.stringify(join(import.meta.dir, "../src/index.ts"))};
       const pool = BufferPool.open(${JSON.stringify(name)});
       const { source, writable } = FrameSource.pipe();
       Bun.file(writable).writer().write(new Uint8Array(10));
       setTimeout(() => postMessage("reading"), 20);
       await source.readInto(pool.acquire(100));`,
    );
    for (let count = 0; count < 3; count++) {
      const worker = new Worker(program);
      await new Promise((resolve) => worker.addEventListener("message", resolve));
      const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
      worker.terminate();
      await closed;
      pool.reclaim();
    }
    while (pool.stats().free < 4) await Bun.sleep(5);
    closeSync(writable);
    using guard = pool.acquire(10);
    expect(await source.readInto(guard)).toBe(0);
  });
});
