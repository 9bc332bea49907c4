// What was forgotten is given back: pools that nobody closed, views that I/O had pinned at a close.

import { expect, test } from "bun:test";
import { readFileSync, rmSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";

test("an unreachable pool that once waited gives back its hold, its row and its mapping", async () => {
  const name = `forgotten.${process.pid}.waited`;
  const inode = await waitAndForget(name);
  try {
    for (let i = 0; i < 100 && BufferPool.inspect(name).participants.length > 0; i++) {
      Bun.gc(true);
      await Bun.sleep(10);
    }
    expect(BufferPool.inspect(name).participants).toEqual([]);
    expect(BufferPool.inspect(name).used).toBe(0);
    expect(inode.test(readFileSync("/proc/self/maps", "utf8"))).toBe(false);
  } finally {
    BufferPool.unlink(name);
  }
});

async function waitAndForget(name: string): Promise<RegExp> {
  const pool = BufferPool.create(name, { capacity: 1, bufferSize: 4096 });
  const held = pool.acquire();
  const waiting = pool.acquireAsync();
  await Bun.sleep(10);
  held.release();
  await waiting;
  return mappingOf(name);
}

test("a view pinned at close is detached once its I/O has settled, though it is still kept", async () => {
  const name = `forgotten.${process.pid}.pinned`;
  const file = join(tmpdir(), name);
  const pool = BufferPool.create(name, { capacity: 1, bufferSize: 32 << 20 });
  const inode = mappingOf(name);
  const { bytes } = pool.acquire();
  bytes.fill(7);
  try {
    const written = writeFile(file, bytes);
    pool.close();
    await written;
    expect(readFileSync(file).every((byte) => byte === 7)).toBe(true);
    for (let i = 0; i < 200 && bytes.length > 0; i++) await Bun.sleep(10);
    expect(bytes.length).toBe(0);
    expect(inode.test(readFileSync("/proc/self/maps", "utf8"))).toBe(false);
  } finally {
    rmSync(file, { force: true });
    pool.unlink();
  }
});

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

test("a symbol is no ref", () => {
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
