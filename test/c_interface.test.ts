// include/xmem.h, as C programs use it: compiled with the pinned compiler, and run together with this
// process on the same pools.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileC, compileObject } from "../scripts/cc.ts";
import { root } from "../scripts/setup.ts";
import { BufferPool } from "../src/index.ts";
import { Lines } from "./lines.ts";
import { withPool } from "./processes.ts";

let folder = "";
const sources = {
  producer: "examples/c/producer.c",
  consumer: "examples/c/consumer.c",
  fork: "test/programs/fork.c",
  interface: "test/programs/c_interface.c",
};
type Program = keyof typeof sources;

const path = (program: Program): string => join(folder, program);

function start(program: Program, ...argv: string[]) {
  // The environment as it is now: by default Bun passes on the one of its start.
  const options = { env: process.env, stderr: "inherit" } as const;
  return Bun.spawn([path(program), ...argv], { ...options, stdin: "pipe", stdout: "pipe" });
}

async function outputOf(program: Program, ...argv: string[]): Promise<string> {
  const child = start(program, ...argv);
  const output = await child.stdout.text();
  expect(await child.exited).toBe(0);
  return output;
}

/** The handles that a producer prints, as they come. */
async function* handlesFrom(stream: ReadableStream<Uint8Array>): AsyncGenerator<number> {
  const lines = new Lines(stream);
  for (let line = await lines.next(); line !== null; line = await lines.next()) yield Number(line);
}

/** What the consumer says of `frames` frames of `bytes` bytes, the n-th filled with n. */
function consumed(frames: number, bytes: number): string[] {
  return Array.from({ length: frames }, (_, frame) => {
    const sum = bytes * (frame % 256);
    return `frame ${frame}: ${bytes} bytes of example/frame, sum ${sum}`;
  });
}

// The first build compiles the C library's part of every program, too.
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "xmem-c-"));
  for (const [program, source] of Object.entries(sources)) {
    const compiled = compileC(join(root, source), join(folder, program));
    expect(compiled).toEqual({ ok: true, messages: "" });
  }
}, 600_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the header", () => {
  for (const [language, standard] of [
    ["c", "c99"],
    ["c++", "c++17"],
  ] as const) {
    test(`compiles as ${standard} without a warning`, () => {
      const source = join(folder, `header.${standard}`);
      const use = "xmem_handle first(xmem_handle handle) { return xmem_index(handle); }";
      const declared = "xmem_handle first(xmem_handle handle);";
      writeFileSync(source, `#include <xmem.h>\n#include <xmem.h>\n${declared}\n${use}\n`);
      const compiled = compileObject(language, standard, source, `${source}.o`);
      expect(compiled).toEqual({ ok: true, messages: "" });
    }, 60_000);
  }
});

test("every function of the C interface does what its reference says", async () => {
  const name = `test.c.${process.pid}`;
  try {
    expect(await outputOf("interface", name)).toBe("as expected\n");
  } finally {
    BufferPool.unlink(name);
  }
}, 60_000);

test("buffers go from a C producer to a C consumer, and the producer waits for it", async () => {
  const name = `test.c.pair.${process.pid}`;
  try {
    const pair = Bun.spawn(["sh", "-c", `"$0" "$2" 100 5000 | "$1" "$2"`, ...pairOf(name)], {
      env: process.env,
      stderr: "inherit",
    });
    const lines = (await pair.stdout.text()).trimEnd().split("\n");
    expect(await pair.exited).toBe(0);
    expect(lines).toEqual([...consumed(100, 5000), "free again: 4 of 4"]);
    // The consumer took the name away.
    expect(BufferPool.unlink(name)).toBe(false);
  } finally {
    BufferPool.unlink(name);
  }
}, 60_000);

const pairOf = (name: string): string[] => [path("producer"), path("consumer"), name];

test("buffers go from C to Bun, and C waits while Bun holds them all", async () => {
  await withPool({ capacity: 4, bufferSize: 3000 }, async (pool, name) => {
    const producer = start("producer", name, "20", "3000");
    let frame = 0;
    const held: Disposable[] = [];
    for await (const handle of handlesFrom(producer.stdout)) {
      const guard = pool.take(handle);
      expect(guard.bytes.length).toBe(3000);
      expect(guard.bytes.every((byte) => byte === frame)).toBe(true);
      expect(guard.meta.sequence).toBe(frame);
      expect(guard.meta.contentType).toBe("example/frame");
      held.push(guard);
      frame += 1;
      if (held.length < 4) continue;
      // This process has to give a buffer back before there is a next one.
      if (frame < 20) {
        while (pool.stats().waiters === 0) await Bun.sleep(1);
        expect(pool.stats().participants.map((each) => each.name)).toContain("producer");
      }
      for (const each of held.splice(0)) each[Symbol.dispose]();
    }
    expect(await producer.exited).toBe(0);
    expect(frame).toBe(20);
    expect(pool.stats().free).toBe(4);
  });
}, 60_000);

test("buffers go from Bun to C", async () => {
  await withPool({ capacity: 3, bufferSize: 100 }, async (pool, name) => {
    const consumer = start("consumer", name);
    for (let frame = 0; frame < 10; frame++) {
      const guard = await pool.acquireAsync(100);
      guard.bytes.fill(frame);
      guard.meta.sequence = frame;
      guard.meta.contentType = "example/frame";
      consumer.stdin.write(`${guard.handOff()}\n`);
      consumer.stdin.flush();
    }
    consumer.stdin.end();
    const lines = (await consumer.stdout.text()).trimEnd().split("\n");
    expect(await consumer.exited).toBe(0);
    expect(lines).toEqual([...consumed(10, 100), "free again: 3 of 3"]);
    expect(pool.stats().linked).toBe(false);
  });
}, 60_000);

test("a buffer that a killed C program held is given back", async () => {
  await withPool({ capacity: 4, bufferSize: 100 }, async (pool, name) => {
    // Nobody takes the buffers that it hands off: it waits, and is killed there.
    const producer = start("producer", name, "20", "100");
    while (pool.stats().waiters === 0) await Bun.sleep(1);
    producer.kill("SIGKILL");
    await producer.exited;
    // The kernel marks its death a little later.
    while (pool.reclaim().participants === 0) await Bun.sleep(1);
    const { waiters, inFlight, participants } = pool.stats();
    expect({ waiters, inFlight, participants: participants.length }).toEqual({
      waiters: 0,
      inFlight: 4,
      participants: 1,
    });
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
