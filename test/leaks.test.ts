// A process that has closed its pools keeps no descriptor and no mapping of them. Both are counted
// exactly over many opens, over calls that fail, and over Workers that end without closing.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { script } from "./scripts.ts";

const index = JSON.stringify(join(import.meta.dir, "../src/index.ts"));

/** In each process: a count of what it has, and a loop after which the count must be the same. */
const counting = `
  const { readdirSync, readFileSync, writeFileSync } = require("node:fs");
  const dir = process.env["XMEM_DIR"];
  const small = { capacity: 2, bufferSize: 64, maxParticipants: 2 };
  const had = () => ({
    descriptors: readdirSync("/proc/self/fd").length,
    mappings: readFileSync("/proc/self/maps", "utf8").split("\\n").filter((line) => line.includes(dir)).length,
  });
  const settled = async (before) => {
    for (let i = 0; i < 300 && !Bun.deepEquals(had(), before); i++) { Bun.gc(true); await Bun.sleep(10); }
    return had();
  };
  const check = async (what, rounds, body) => {
    await body();
    await body();
    const before = await settled(had());
    for (let round = 0; round < rounds; round++) await body();
    const after = await settled(before);
    say([what, after.descriptors - before.descriptors, after.mappings - before.mappings]);
  };`;

async function grown(source: string): Promise<unknown[]> {
  const dir = mkdtempSync(join(process.env["XMEM_DIR"] ?? "/dev/shm", "xmem-leaks-"));
  try {
    // From the beginning: a Worker has the environment that its process began with.
    const child = script(`${counting}\n${source}`, { env: { XMEM_DIR: dir } });
    const lines = await child.rest();
    expect(await child.ended).toBe(0);
    return lines.map((line) => JSON.parse(line));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const nothing = (...names: string[]): unknown[] => names.map((name) => [name, 0, 0]);

test("opens and closes leave nothing", async () => {
  const source = `
    using kept = BufferPool.create("kept", small);
    await check("open", 100, () => BufferPool.open("kept").close());
    await check("create", 100, () => { const pool = BufferPool.create("p", small); pool.close(); pool.unlink(); });
    await check("ephemeral", 100, () => BufferPool.openOrCreate("e", { ...small, ephemeral: true }).close());
    await check("with views", 100, () => {
      using pool = BufferPool.open("kept", { views: "detach" });
      using guard = pool.acquire(64);
      guard.bytes.fill(1);
    });
    await check("with an async wait", 20, async () => {
      const pool = BufferPool.create("w", { capacity: 1, bufferSize: 64, ephemeral: true });
      const held = pool.acquire(1);
      const waiting = pool.acquireAsync(1);
      await Bun.sleep(1);
      held.release();
      (await waiting).release();
      pool.close();
    });
    await check("looks", 100, () => { BufferPool.list(); BufferPool.inspect("kept"); BufferPool.prune(); });`;
  const names = ["open", "create", "ephemeral", "with views", "with an async wait", "looks"];
  expect(await grown(source)).toEqual(nothing(...names));
}, 60_000);

test("opens, creates and looks that fail leave nothing", async () => {
  const source = `
    const expectCode = (code, body) => { const found = codeOf(body); if (found !== code) throw new Error(found + " is not " + code); };
    using full = BufferPool.create("full", { ...small, maxParticipants: 1 });
    const other = () => new Worker(URL.createObjectURL(new Blob([\`
      const { BufferPool } = await import(${index});
      for (let i = 0; i < 20; i++) try { BufferPool.open("full"); } catch ({ code }) { if (code !== "TOO_MANY_PARTICIPANTS") throw code; }\`])));
    await check("open of none", 100, () => expectCode("POOL_NOT_FOUND", () => BufferPool.open("none")));
    writeFileSync(dir + "/xmem.empty", "");
    writeFileSync(dir + "/xmem.rubbish", crypto.getRandomValues(new Uint8Array(16384)));
    const whole = readFileSync(dir + "/xmem.full");
    writeFileSync(dir + "/xmem.short", whole.subarray(0, whole.length - 4096));
    for (const name of ["empty", "rubbish", "short"]) {
      await check(name, 50, () => {
        expectCode("POOL_CORRUPT", () => BufferPool.open(name));
        expectCode("POOL_CORRUPT", () => BufferPool.openOrCreate(name, small));
        expectCode("POOL_CORRUPT", () => BufferPool.inspect(name));
        expectCode("POOL_EXISTS", () => BufferPool.create(name, small));
        BufferPool.list(); BufferPool.prune();
      });
    }
    await check("create of what exists", 100, () => {
      expectCode("POOL_EXISTS", () => BufferPool.create("full", small));
      expectCode("POOL_EXISTS", () => BufferPool.create("full", { ...small, ephemeral: true }));
    });
    await check("smaller than asked", 100, () => expectCode("OPTIONS_MISMATCH", () => BufferPool.openOrCreate("full", { capacity: 3 })));
    await check("too large", 100, () => expectCode("OUT_OF_MEMORY", () => BufferPool.create("p", { capacity: 16_000_000, bufferSize: 2 ** 32 - 1 })));
    await check("no rows", 3, async () => {
      const worker = other();
      await new Promise((resolve) => worker.addEventListener("close", resolve));
    });
    await check("no folder", 100, () => {
      process.env["XMEM_DIR"] = dir + "/none";
      expectCode("SYSTEM", () => BufferPool.create("p", small));
      expectCode("POOL_NOT_FOUND", () => BufferPool.open("p"));
      BufferPool.list(); BufferPool.prune(); BufferPool.unlink("p");
      process.env["XMEM_DIR"] = dir;
    });`;
  const names = ["open of none", "empty", "rubbish", "short", "create of what exists"];
  names.push("smaller than asked", "too large", "no rows", "no folder");
  expect(await grown(source)).toEqual(nothing(...names));
}, 60_000);

describe("Workers that end without closing leave nothing", () => {
  const ends: Record<string, string> = {
    "holding buffers and views": "kept.push(pool.acquire(1).bytes, pool.acquire(1).bytes);",
    "waiting asynchronously": "kept.push(pool.acquire(1), pool.acquire(1), pool.acquireAsync(1));",
    "having waited": `const held = [pool.acquire(1), pool.acquire(1)]; const waiting = pool.acquireAsync(1);
      await Bun.sleep(5); held.pop().release(); kept.push(await waiting, held);`,
    "with many opens": 'for (let i = 0; i < 30; i++) kept.push(BufferPool.open("kept"));',
    "with an ephemeral pool of its own":
      'kept.push(BufferPool.create("own", { capacity: 1, bufferSize: 64, ephemeral: true }));',
  };
  const ways: Record<string, { body: string; end: string }> = {
    "by terminate": { body: "setInterval(() => {}, 1000);", end: "worker.terminate();" },
    "by process.exit": { body: "process.exit(0);", end: "" },
  };
  for (const [state, uses] of Object.entries(ends)) {
    for (const [way, { body, end }] of Object.entries(ways)) {
      test(`${state}, ${way}`, async () => {
        const source = `
          using pool = BufferPool.create("kept", { capacity: 2, bufferSize: 64 });
          await check("Worker", 12, async () => {
            const worker = new Worker(URL.createObjectURL(new Blob([\`
              const { BufferPool } = await import(${index});
              const pool = BufferPool.open("kept");
              const kept = globalThis.kept = [pool];
              ${uses}
              postMessage("there");
              ${body}\`])));
            const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
            await new Promise((resolve, reject) => {
              worker.addEventListener("message", resolve);
              worker.addEventListener("error", ({ message }) => reject(new Error(message)));
            });
            ${end}
            await closed;
            while (pool.reclaim().deferred || pool.stats().participants.length > 1) await Bun.sleep(1);
            if (pool.stats().free !== 2 || entries().length !== 1) throw new Error("something is left");
          });`.replace("entries()", "readdirSync(dir)");
        expect(await grown(source)).toEqual(nothing("Worker"));
      }, 60_000);
    }
  }
});

test("a Worker that ends without closing gives back its address space, however large the pool", async () => {
  // A count for each slot and open, and one for each slot and thread: 4 bytes a slot.
  const capacity = 1 << 19;
  const source = `
    using pool = BufferPool.create("large", { capacity: ${capacity}, bufferSize: 1, maxParticipants: 2 });
    const addresses = () => Number(readFileSync("/proc/self/status", "utf8").match(/VmSize:\\s+(\\d+)/)[1]) * 1024;
    const once = async () => {
      const worker = new Worker(URL.createObjectURL(new Blob([\`
        const { BufferPool } = await import(${index});
        globalThis.pool = BufferPool.open("large");
        postMessage("there");
        setInterval(() => {}, 1000);\`])));
      const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
      await new Promise((resolve) => worker.addEventListener("message", resolve));
      worker.terminate();
      await closed;
      while (pool.stats().participants.filter(({ alive }) => alive).length > 1) await Bun.sleep(1);
      pool.reclaim();
      await Bun.sleep(20);
    };
    await once();
    await once();
    const before = addresses();
    for (let round = 0; round < 10; round++) await once();
    say((addresses() - before) / 10);`;
  const [perWorker] = await grown(source);
  expect(perWorker).toBeLessThan(capacity);
}, 60_000);
