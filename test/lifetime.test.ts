// Long runs, forks and reloads leave nothing behind.

import { expect, test } from "bun:test";
import { mkdtempSync, promises, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ERROR_POOL_CLOSED } from "../src/generated/constants.gen.ts";
import { BufferPool } from "../src/index.ts";
import { libraryPath } from "../src/native/library.ts";
import { withPool } from "./processes.ts";

test("ten million acquires and releases leave memory flat", () =>
  withPool({ capacity: 8, bufferSize: 65_536 }, (pool) => {
    const loop = (count: number): void => {
      for (let i = 0; i < count; i++) {
        using guard = pool.acquire(4096);
        if (guard.size !== 4096) throw new Error("wrong size");
      }
    };
    loop(1_000_000);
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    loop(10_000_000);
    Bun.gc(true);
    const grown = process.memoryUsage().rss - before;
    const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    console.log(`after 1e6: ${mebibytes(before)}; 1e7 more: ${mebibytes(grown)} more`);
    expect(grown).toBeLessThan(16 * 1024 * 1024);
  }));

test("no mapping of a pool stays after its close", () =>
  withPool({ capacity: 8, bufferSize: 65_536 }, (pool, name) => {
    // By inode: a file that was nameless when it was mapped is not shown by its later name.
    const { path } = BufferPool.list().find((info) => info.name === name) ?? { path: "" };
    const inode = new RegExp(` ${statSync(path).ino} `);
    const mapped = (): boolean => inode.test(readFileSync("/proc/self/maps", "utf8"));
    const view = pool.acquire(100).bytes;
    using other = BufferPool.open(name);
    expect(mapped()).toBe(true);
    pool.close();
    expect(view.length).toBe(0);
    expect(mapped()).toBe(true);
    other.close();
    expect(mapped()).toBe(false);
  }));

test("a view that the engine still uses, or that went to a Worker, outlives the close", () =>
  withPool({ capacity: 3, bufferSize: 8 << 20 }, async (pool) => {
    const folder = mkdtempSync(join(tmpdir(), "xmem-pinned-"));
    const [written, squeezed, moved] = [pool.acquire(), pool.acquire(), pool.acquire(4096)];
    for (const guard of [written, squeezed, moved]) guard.bytes.fill(7);
    const file = join(folder, "frame");
    const writing = promises.writeFile(file, written.bytes);
    const squeezing = Bun.zstdCompress(squeezed.bytes);
    const source = "onmessage = (event) => postMessage(new Uint8Array(event.data)[4095]);";
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const answer = new Promise<MessageEvent>((resolve) => {
      worker.onmessage = resolve;
    });
    const { buffer } = moved.bytes;
    worker.postMessage(buffer, [buffer]);
    pool.close();
    await writing;
    expect((await squeezing).length).toBeGreaterThan(0);
    expect((await answer).data).toBe(7);
    worker.terminate();
    expect(statSync(file).size).toBe(8 << 20);
    rmSync(folder, { recursive: true });
  }));

test("two opens of one thread share a participant, and closing one leaves the other's guards", () =>
  withPool({ capacity: 4, bufferSize: 64 }, (pool, name) => {
    const other = BufferPool.open(name);
    expect(pool.stats().participants.length).toBe(1);
    const own = pool.acquire(8);
    other.acquire(8);
    own.bytes[0] = 5;
    expect(pool.stats().used).toBe(2);
    other.close();
    expect(pool.stats().used).toBe(1);
    expect(own.bytes[0]).toBe(5);
  }));

test("a child of fork finds its opens closed, opens again, and the parent goes on", () =>
  withPool({ capacity: 4, bufferSize: 64 }, (pool, name) => {
    const probe = Bun.spawnSync(["sh", "-c", "python3 -c 'import ctypes'"]);
    if (probe.exitCode !== 0) {
      console.log("skipped: it needs python3 with ctypes, which this machine has not");
      return;
    }
    const dir = process.env["XMEM_DIR"] ?? "/dev/shm";
    const program = join(import.meta.dir, "programs", "fork.py");
    const child = Bun.spawnSync(["python3", program, libraryPath(), dir, name]);
    expect(child.stdout.toString().trim().split("\n")).toEqual([
      "parent acquired True",
      `child acquire ${-ERROR_POOL_CLOSED}`,
      "child reopened True",
      "parent acquires again True",
    ]);
    expect(pool.stats()).toMatchObject({ used: 0 });
    expect(pool.stats().participants.length).toBe(1);
  }));
