// include/xmem.h, as C programs use it: compiled with the pinned compiler, and run together with this
// process on the same pools.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileObject } from "../scripts/cc.ts";
import { type BufferGuard, BufferPool } from "../src/index.ts";
import { documentedInC, mistaken } from "./c_documented.ts";
import { CPrograms } from "./c_programs.ts";
import { Lines } from "./lines.ts";
import { withPool } from "./processes.ts";

const sources = {
  producer: "examples/c/producer.c",
  consumer: "examples/c/consumer.c",
  fork: "test/programs/fork.c",
  interface: "test/programs/c_interface.c",
  channels: "test/programs/c_channels.c",
  handles: "test/programs/c_handles.c",
  misuse: "test/programs/c_misuse.c",
  requests: "test/programs/c_requests.c",
  waits: "test/programs/c_waits.c",
};
let programs: CPrograms<keyof typeof sources>;

const start: typeof programs.start = (...argv) => programs.start(...argv);
const outputOf: typeof programs.outputOf = (...argv) => programs.outputOf(...argv);

/** What the consumer says of `frames` frames of `bytes` bytes, the n-th filled with n. */
function consumed(frames: number, bytes: number): string[] {
  const lines = Array.from({ length: frames }, (_, frame) => {
    const sum = bytes * (frame % 256);
    return `frame ${frame}: ${bytes} bytes of example/frame, sum ${sum}`;
  });
  return [...lines, `${frames} of ${frames} frames received`];
}

async function linesOf(stream: ReadableStream<Uint8Array>): Promise<string[]> {
  return (await stream.text()).trimEnd().split("\n");
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(1);
}

/** A frame as the producer makes them. */
async function frameOf(pool: BufferPool, frame: number, bytes: number): Promise<BufferGuard> {
  const guard = await pool.acquireAsync(bytes);
  guard.bytes.fill(frame);
  guard.meta.sequence = frame;
  guard.meta.contentType = "example/frame";
  return guard;
}

function expectFrame(guard: BufferGuard, frame: number, bytes: number): void {
  expect(guard.bytes.length).toBe(bytes);
  expect(guard.bytes.every((byte) => byte === frame % 256)).toBe(true);
  expect(guard.meta.sequence).toBe(frame);
  expect(guard.meta.contentType).toBe("example/frame");
}

// The first build compiles the C library's part of every program, too.
beforeAll(() => {
  programs = new CPrograms(sources);
}, 600_000);

afterAll(() => programs[Symbol.dispose]());

describe("the header", () => {
  for (const [language, standard] of [
    ["c", "c99"],
    ["c++", "c++17"],
  ] as const) {
    test(`compiles as ${standard} without a warning`, () => {
      const source = join(programs.folder, `header.${standard}`);
      const use = "xmem_handle first(xmem_handle handle) { return xmem_index(handle); }";
      const declared = "xmem_handle first(xmem_handle handle);";
      writeFileSync(source, `#include <xmem.h>\n#include <xmem.h>\n${declared}\n${use}\n`);
      const compiled = compileObject(language, standard, source, `${source}.o`);
      expect(compiled).toEqual({ ok: true, messages: "" });
    }, 60_000);
  }
});

/** Each function, and each code that it returned, of the programs that check them. */
async function returned(): Promise<Set<string>> {
  const name = `test.c.${process.pid}`;
  const log = join(programs.folder, "statuses");
  process.env["XMEM_STATUS_LOG"] = log;
  try {
    for (const program of ["interface", "channels", "waits", "misuse"] as const) {
      expect([program, await outputOf(program, name)]).toEqual([program, "as expected\n"]);
    }
    expect(await outputOf("requests", "check", name)).toBe("as expected\n");
    return new Set((await Bun.file(log).text()).trimEnd().split("\n"));
  } finally {
    delete process.env["XMEM_STATUS_LOG"];
    BufferPool.unlink(name);
  }
}

/** Only damage, a stopped process, another user or a system without memory bring about these. */
const notProvoked = new Set([
  "XMEM_OUT_OF_MEMORY",
  "XMEM_PERMISSION_DENIED",
  "XMEM_POOL_BUSY",
  "XMEM_POOL_CORRUPT",
  "XMEM_SYSTEM",
  "XMEM_TOO_MANY_PARTICIPANTS",
  "XMEM_UNSUPPORTED_PLATFORM",
  "XMEM_VERSION_MISMATCH",
]);

test("every function returns what its reference says, and each code that it names", async () => {
  const found = await returned();
  const documented = [...documentedInC].flatMap(([name, codes]) =>
    Array.from(codes, (code) => `${name} ${code}`),
  );
  expect(mistaken).toEqual([]);
  const failures = [...found].filter((each) => !each.endsWith(" XMEM_OK"));
  expect(failures.filter((each) => !documented.includes(each))).toEqual([]);
  const expected = documented.filter((each) => !notProvoked.has(each.split(" ")[1] ?? ""));
  expect(expected.filter((each) => !found.has(each))).toEqual([]);
  // Each works, too.
  const names = [...documentedInC.keys()];
  expect(names.filter((name) => !found.has(`${name} XMEM_OK`))).toEqual([]);
}, 60_000);

test("buffers go from a C producer to a C consumer, whichever comes first", async () => {
  for (const first of ["producer", "consumer"] as const) {
    const name = `test.c.pair.${process.pid}`;
    try {
      const argv = { producer: [name, "100", "5000"], consumer: [name] };
      const children = [start(first, ...argv[first])];
      await until(() => BufferPool.list().some((each) => each.name === name));
      const second = first === "producer" ? "consumer" : "producer";
      children.push(start(second, ...argv[second]));
      const said = await Promise.all(children.map((child) => child.stdout.text()));
      expect(await Promise.all(children.map((child) => child.exited))).toEqual([0, 0]);
      expect(said.join("").trimEnd().split("\n")).toEqual(consumed(100, 5000));
      // The consumer took the name away.
      expect(BufferPool.unlink(name)).toBe(false);
    } finally {
      BufferPool.unlink(name);
    }
  }
}, 60_000);

test("buffers go from C to Bun, and C waits while Bun holds them all", async () => {
  await withPool({ capacity: 4, bufferSize: 3000 }, async (pool, name) => {
    using frames = pool.channel("frames");
    const producer = start("producer", name, "20", "3000");
    let frame = 0;
    const held: Disposable[] = [];
    for await (const guard of frames) {
      expectFrame(guard, frame, 3000);
      held.push(guard);
      frame += 1;
      if (held.length < 4) continue;
      // This process has to give a buffer back before there is a next one.
      if (frame < 20) {
        await until(() => pool.stats().waiters > 0);
        expect(pool.stats().participants.map((each) => each.name)).toContain("producer");
      }
      for (const each of held.splice(0)) each[Symbol.dispose]();
    }
    expect(await producer.exited).toBe(0);
    expect(frame).toBe(20);
    expect(pool.stats().free).toBe(4);
  });
}, 60_000);

test("single buffers go to and fro by their handles, and both see the same numbers", async () => {
  await withPool({ capacity: 2, bufferSize: 100 }, async (pool, name) => {
    const child = start("handles", name);
    const lines = new Lines(child.stdout);
    const tell = async (command: string, handle = 0): Promise<string | null> => {
      child.stdin.write(`${command} ${handle}\n`);
      child.stdin.flush();
      return await lines.next();
    };
    const own = pool.acquire(20);
    own.bytes.fill(2);
    expect(await tell("get", own.handle)).toBe("20 bytes, sum 40");
    expect(pool.refCount(own.handle)).toBe(2);
    expect(await tell("drop")).toBe("dropped");
    expect(await tell("take", own.share())).toBe("20 bytes, sum 40");
    expect(await tell("share")).toBe(String(own.handle));
    expect(await tell("stats")).toBe("1 used, 1 in flight, 2 alive");
    pool.take(own.handle).release();
    const { handle } = own;
    own.release();
    // Only C has it now.
    expect(pool.refCount(handle)).toBe(1);
    expect(await tell("give")).toBe(String(handle));
    pool.take(handle).release();
    expect(pool.stats()).toMatchObject({ free: 2, inFlight: 0 });

    expect(await tell("acquire")).toBe("acquired");
    const last = pool.acquire(1);
    expect(await tell("full")).toBe("TIMEOUT");
    last.release();
    using taken = pool.take(Number(await tell("give")));
    expect(taken.bytes).toEqual(new Uint8Array(10).fill(3));
    child.stdin.end();
    expect(await child.exited).toBe(0);
  });
}, 60_000);

test("C waits for room in a channel until Bun receives", async () => {
  await withPool({ capacity: 4, bufferSize: 100 }, async (pool, name) => {
    using frames = pool.channel("frames", { capacity: 1 });
    const producer = start("producer", name, "10", "100");
    for (let frame = 0; frame < 10; frame++) {
      // The next one is sent only after this receive.
      if (frame < 9) await until(() => frames.stats().waitingSenders === 1);
      using guard = frames.receiveBlocking({ timeout: 10_000 });
      expectFrame(guard, frame, 100);
    }
    expect(await frames.closed).toBeUndefined();
    expect(await producer.exited).toBe(0);
  });
}, 60_000);

test("buffers go from Bun to C, and C receives what is left after the close", async () => {
  await withPool({ capacity: 4, bufferSize: 100 }, async (pool, name) => {
    using frames = pool.channel("frames", { subscribe: false });
    const consumer = start("consumer", name);
    await until(() => frames.stats().waitingReceivers === 1);
    for (let frame = 0; frame < 10; frame++) {
      frames.send(await frameOf(pool, frame, 100));
    }
    frames.close();
    expect(await linesOf(consumer.stdout)).toEqual(consumed(10, 100));
    expect(await consumer.exited).toBe(0);
    expect(pool.stats()).toMatchObject({ linked: false, free: 4 });
  });
}, 60_000);

test("every subscriber of a broadcast, in C and in Bun, gets what either sends", async () => {
  await withPool({ capacity: 8, bufferSize: 100 }, async (pool, name) => {
    using source = pool.channel("frames", { mode: "broadcast", subscribe: false });
    using own = pool.channel("frames");
    const consumer = start("consumer", name);
    await until(() => source.stats().subscriptions.length === 2);
    for (let frame = 0; frame < 20; frame++) {
      await source.sendAsync(await frameOf(pool, frame, 100), { timeout: 10_000 });
      using guard = await own.receive({ timeout: 10_000 });
      expect(guard.writable).toBe(false);
      expectFrame(guard, frame, 100);
    }
    source.close();
    const lines = await linesOf(consumer.stdout);
    expect(lines.slice(0, 20)).toEqual(consumed(20, 100).slice(0, 20));
    // Each subscriber's are counted.
    expect(lines.slice(20)).toEqual(["40 of 20 frames received"]);
    expect(await consumer.exited).toBe(0);
  });
  await withPool({ capacity: 4, bufferSize: 100 }, async (pool, name) => {
    const channels = [1, 2].map(() => pool.channel("frames", { mode: "broadcast" }));
    const producer = start("producer", name, "50", "100");
    const counts = await Promise.all(
      channels.map(async (channel) => {
        let frame = 0;
        for await (using guard of channel) expectFrame(guard, frame++, 100);
        return frame;
      }),
    );
    expect(counts).toEqual([50, 50]);
    expect(await producer.exited).toBe(0);
  });
}, 60_000);

test("what a killed C program sent is received, and what it held is given back", async () => {
  await withPool({ capacity: 4, bufferSize: 100 }, async (pool, name) => {
    using frames = pool.channel("frames", { capacity: 2 });
    // Nobody receives what it sends: it waits with a third buffer, and is killed there.
    const producer = start("producer", name, "20", "100");
    await until(() => frames.stats().waitingSenders === 1);
    expect(pool.stats().free).toBe(1);
    producer.kill("SIGKILL");
    await producer.exited;
    // The kernel marks its death a little later.
    await until(() => pool.reclaim().participants > 0);
    expect(pool.stats()).toMatchObject({ free: 2, inFlight: 0 });
    expect(pool.stats().participants.length).toBe(1);
    expect(frames.stats()).toMatchObject({ waitingSenders: 0, openBy: 1, queued: 2 });
    for (const frame of [0, 1]) {
      using guard = frames.receiveBlocking({ timeout: 0 });
      expectFrame(guard, frame, 100);
    }
    expect(frames.tryReceive()).toBeNull();
    expect(pool.stats().free).toBe(4);
  });
}, 60_000);

test("a C program that is killed while it waits to receive holds nobody up", async () => {
  await withPool({ capacity: 4, bufferSize: 100 }, async (pool, name) => {
    using queue = pool.channel("frames", { capacity: 2 });
    const killed = start("consumer", name);
    await until(() => queue.stats().waitingReceivers === 1);
    killed.kill("SIGKILL");
    await killed.exited;
    const next = start("consumer", name);
    for (let frame = 0; frame < 8; frame++) {
      queue.sendBlocking(await frameOf(pool, frame, 100), { timeout: 10_000 });
    }
    queue.close();
    expect(await linesOf(next.stdout)).toEqual(consumed(8, 100));
    expect(await next.exited).toBe(0);
  });
}, 60_000);

test.each([
  ["the thread that opened", []],
  ["another thread", ["thread"]],
])(
  "after a fork by %s a C child's opens say POOL_CLOSED, and its own work",
  async (_, argv) => {
    await withPool({ capacity: 4, bufferSize: 100 }, async (pool, name) => {
      const said = (await outputOf("fork", name, ...argv)).trimEnd().split("\n");
      expect(said).toEqual([
        "child acquire POOL_CLOSED",
        "child acquire_timed POOL_CLOSED",
        "child data POOL_CLOSED",
        "child release POOL_CLOSED",
        "child stats POOL_CLOSED",
        "child close OK",
        "child close again POOL_CLOSED",
        "child open OK",
        "child acquire of its own OK",
        "child close of its own OK",
        "parent release OK",
        "parent close OK",
      ]);
      expect(pool.stats().free).toBe(4);
    });
  },
  60_000,
);
