// Pools, guards and views that no variable holds: the program may still need them, or has lost
// them. And views that I/O has pinned when their guard, or their pool, is done.

import { expect, test } from "bun:test";
import { readFileSync, rmSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BufferGuard, BufferPool } from "../src/index.ts";
import { withPool } from "./processes.ts";
import { programFile } from "./program_files.ts";

const waysToOpen: Record<string, string> = {
  "a top-level variable": `
    const pool = BufferPool.create(name);
    const frame = pool.acquire();`,
  "a class instance": `
    class App { pool = BufferPool.create(name); frame = this.pool.acquire(); }
    const app = new App();`,
  "async main": `
    async function main() {
      const pool = BufferPool.create(name);
      const frame = await pool.acquireAsync();
      await Bun.sleep(1);
    }
    await main();`,
  "an ephemeral pool, serving": `
    const pool = BufferPool.create(name, { ephemeral: true });
    const frame = pool.acquire();
    Bun.serve({ port: 0, fetch: () => new Response() });`,
};

for (const [way, source] of Object.entries(waysToOpen)) {
  test(`a live process keeps its pool and its hold, though nothing reaches them: ${way}`, async () => {
    const name = `forgotten.${process.pid}.live`;
    const child = programFile(`const name = ${JSON.stringify(name)};
      ${source}
      setTimeout(() => {}, 60_000);
      let rounds = 0;
      const collect = setInterval(() => {
        Bun.gc(true);
        if (++rounds === 50) say("collected");
      }, 10);`);
    try {
      expect(await child.line()).toBe("collected");
      expect(BufferPool.inspect(name)).toMatchObject({ used: 1, participants: [{ holds: 1 }] });
    } finally {
      await child.end();
      BufferPool.unlink(name);
    }
  });
}

test("bytes that outlived their guard's variable stay the program's own", () =>
  withPool({ capacity: 4, bufferSize: 64 }, async (pool, name) => {
    const bytesOf = (): Uint8Array => BufferPool.open(name).acquire(8).bytes;
    const bytes = bytesOf();
    bytes.fill(7);
    for (let i = 0; i < 20; i++) {
      Bun.gc(true);
      await Bun.sleep(1);
    }
    for (const other of [pool.acquire(8), pool.acquire(8), pool.acquire(8)]) other.bytes.fill(9);
    expect(pool.tryAcquire(8)).toBeNull();
    expect([...bytes]).toEqual(Array(8).fill(7));
  }));

/** 32 MiB, so that I/O on them takes a while. */
const large = { capacity: 2, bufferSize: 32 << 20 };

async function settled(condition: () => boolean): Promise<void> {
  while (!condition()) {
    Bun.gc(true);
    await Bun.sleep(10);
  }
}

for (const views of ["shared", "detach"] as const) {
  test(`close() in mode "${views}" keeps the hold of a view that I/O has pinned, and no other`, () =>
    withPool(large, async (observer, name) => {
      const inode = mappingOf(name);
      const pool = BufferPool.open(name, { views });
      const [pinned, other] = [pool.acquire(), pool.acquire()];
      const { bytes } = pinned;
      bytes.fill(7);
      other.bytes.fill(8);
      const file = join(tmpdir(), name);
      const written = writeFile(file, bytes);
      pool.close();
      expect(observer.stats()).toMatchObject({ used: 1 });
      const next = observer.acquire();
      expect(next.index).toBe(other.index);
      expect(observer.tryAcquire()).toBeNull();
      await written;
      expect(readFileSync(file).every((byte) => byte === 7)).toBe(true);
      rmSync(file);
      await settled(() => bytes.length === 0 && observer.stats().used === 1);
      observer.close();
      expect(inode.test(readFileSync("/proc/self/maps", "utf8"))).toBe(false);
    }));
}

const ends: Record<string, (guard: BufferGuard, pool: BufferPool) => void> = {
  "release()": (guard) => guard.release(),
  "handOff() and unref()": (guard, pool) => void pool.unref(guard.handOff()),
};

for (const [end, perform] of Object.entries(ends)) {
  test(`views: "detach": after ${end} a view that I/O has pinned is nobody else's memory`, () =>
    withPool(large, async (observer, name) => {
      using pool = BufferPool.open(name, { views: "detach" });
      const guard = pool.acquire();
      const { bytes, index } = guard;
      // Bytes that cannot be compressed take long.
      for (let at = 0; at < bytes.length; at += 65_536) {
        crypto.getRandomValues(bytes.subarray(at, at + 65_536));
      }
      const expected = Bun.hash(bytes);
      const squeezing = Bun.zstdCompress(bytes, { level: 3 });
      perform(guard, pool);
      expect(observer.stats().used).toBe(1);
      const others = [observer.tryAcquire(), observer.tryAcquire()];
      expect(others[1]).toBeNull();
      others[0]?.bytes.fill(9);
      expect(Bun.hash(Bun.zstdDecompressSync(await squeezing))).toBe(expected);
      await settled(() => bytes.length === 0 && observer.stats().used === 1);
      const next = observer.acquire();
      expect(next.index).toBe(index);
    }));
}

test('views: "detach": a buffer whose bytes went to a Worker goes back when they are dead there', () =>
  withPool({ capacity: 1, bufferSize: 4096 }, async (observer, name) => {
    using pool = BufferPool.open(name, { views: "detach" });
    const source = `let kept; onmessage = ({ data }) => {
      if (data === "let go") kept = undefined;
      else { kept = new Uint8Array(data); kept[0] += 1; }
      Bun.gc(true); setTimeout(() => { Bun.gc(true); postMessage(kept?.[0] ?? -1); }, 1); };`;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const answer = (): Promise<number> =>
      new Promise((resolve) => {
        worker.onmessage = ({ data }) => resolve(data);
      });
    const guard = pool.acquire();
    guard.bytes[0] = 41;
    const { buffer } = guard.bytes;
    const first = answer();
    worker.postMessage(buffer, [buffer]);
    // The guard has bytes of its own again, and these do not keep the buffer.
    expect(guard.bytes[0]).toBe(41);
    guard.release();
    expect(await first).toBe(42);
    expect(observer.tryAcquire()).toBeNull();
    const second = answer();
    worker.postMessage("let go");
    expect(await second).toBe(-1);
    await settled(() => observer.stats().used === 0);
    worker.terminate();
  }));

test("close() keeps the hold of bytes that went to a Worker for as long as they live there", () =>
  withPool({ capacity: 1, bufferSize: 4096 }, async (observer, name) => {
    const pool = BufferPool.open(name);
    const source =
      "let kept; onmessage = ({ data }) => { kept = new Uint8Array(data); postMessage(0); };";
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const answer = new Promise((resolve) => {
      worker.onmessage = resolve;
    });
    const { buffer } = pool.acquire().bytes;
    worker.postMessage(buffer, [buffer]);
    await answer;
    pool.close();
    expect(observer.stats().used).toBe(1);
    const ended = new Promise((resolve) => worker.addEventListener("close", resolve));
    worker.terminate();
    await ended;
    await settled(() => observer.stats().used === 0);
  }));

test("timeout 0 behind a pending wait gets a buffer that is left over", async () => {
  const name = `forgotten.${process.pid}.zero`;
  using pool = BufferPool.create(name, { capacity: 2, bufferSize: 4096, ephemeral: true });
  const held = [pool.acquire(), pool.acquire()];
  const pending = pool.acquireAsync();
  for (const guard of held) guard.release();
  using second = await pool.acquireAsync(16, { timeout: 0 });
  using first = await pending;
  expect(new Set([first.index, second.index]).size).toBe(2);
});

test("a symbol is refused as a ref", () => {
  const name = `forgotten.${process.pid}.symbol`;
  using pool = BufferPool.create(name, { capacity: 1, bufferSize: 4096, ephemeral: true });
  for (const method of ["get", "getMut", "take"] as const) {
    const given = Symbol("ref") as unknown as number;
    expect(() => pool[method](given)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  }
});

function mappingOf(name: string): RegExp {
  const { path } = BufferPool.list().find((info) => info.name === name) ?? { path: "" };
  return new RegExp(` ${statSync(path).ino} `);
}
