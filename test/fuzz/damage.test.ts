// Rubbish in the control area, through the public interface: faults that the fuzzer once found, and
// headers that were changed.

import { expect, test } from "bun:test";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import * as constants from "../../src/generated/constants.gen.ts";
import { BufferPool, type PoolOptions } from "../../src/index.ts";
import { codeOf } from "../codes.ts";

const directory = process.env["XMEM_DIR"] || "/dev/shm";
let made = 0;

type Write = (at: number, value: bigint, width: 4 | 8) => void;

function damaged(options: PoolOptions, body: (pool: BufferPool, write: Write) => void): void {
  const name = `damage.${process.pid}.${++made}`;
  const pool = BufferPool.create(name, options);
  const fd = openSync(join(directory, `xmem.${name}`), "r+");
  const bytes = Buffer.alloc(8);
  try {
    body(pool, (at, value, width) => {
      bytes.writeBigUInt64LE(value);
      writeSync(fd, bytes, 0, width, at);
    });
  } finally {
    closeSync(fd);
    pool.close();
    BufferPool.unlink(name);
  }
}

const small = { capacity: 4, bufferSize: 64 };

test("a list that ends too early does not lose the buffers behind its end", () =>
  damaged(small, (pool, write) => {
    write(constants.AT_HOT_FREE_HEAD, 2n ** 24n - 1n, 8);
    const guards = Array.from({ length: 4 }, () => pool.acquire());
    expect(new Set(guards.map(({ index }) => index)).size).toBe(4);
    expect(pool.tryAcquire()).toBeNull();
  }));

test("a list that leads out of the pool is rebuilt", () =>
  damaged(small, (pool, write) => {
    write(constants.AT_HOT_FREE_HEAD, 2n ** 24n - 2n, 8);
    const guards = Array.from({ length: 4 }, () => pool.acquire());
    expect(new Set(guards.map(({ index }) => index)).size).toBe(4);
  }));

test("a head that is frozen without a recovery thaws", () =>
  damaged(small, (pool, write) => {
    write(constants.AT_HOT_FREE_HEAD, 2n ** 63n, 8);
    expect(pool.acquire().index).toBe(0);
  }));

test("a flush by nobody does not keep the pool closed", () =>
  damaged(small, (pool, write) => {
    for (const flusher of [2n, 64n, 65n, 2n ** 13n - 1n]) {
      write(constants.AT_HOT_GATE, flusher, 8);
      pool.acquire().release();
      expect(pool.stats().flushing).toBe(false);
    }
  }));

test("a claim by nobody does not keep the last buffer from others", () =>
  damaged({ ...small, capacity: 1 }, (pool, write) => {
    const endMax = 2n ** 37n - 1n;
    for (const claimant of [1n, 2n, 64n, 65n, 2n ** 13n - 1n]) {
      for (const end of [0n, 1n, endMax / 2n, endMax]) {
        write(constants.AT_HOT_GATE, (claimant << 13n) | (end << 27n), 8);
        pool.acquire().release();
      }
    }
  }));

test("a wrong sum of committed bytes is not out of memory for ever", () =>
  damaged({ ...small, maxCommitted: 8192 }, (pool, write) => {
    write(constants.AT_REPAIR_COMMITTED_BYTES, 2n ** 63n, 8);
    pool.acquire();
    expect(pool.stats().committedBytes).toBe(4096);
  }));

test("a header that is changed while the pool is open changes nothing for those who have it", () =>
  damaged(small, (pool, write) => {
    write(constants.AT_IDENTITY_CAPACITY, 2n ** 24n, 4);
    write(constants.AT_IDENTITY_DATA_OFFSET, 2n ** 40n, 8);
    expect(pool.acquire().bytes.fill(7).length).toBe(64);
    expect(codeOf(() => BufferPool.inspect(pool.name))).toBe("POOL_CORRUPT");
    const info = BufferPool.list().find(({ name }) => name === pool.name);
    expect(info?.problem).toContain("POOL_CORRUPT");
  }));

test("a rubbish time of creation is still a date", () =>
  damaged(small, (pool, write) => {
    write(constants.AT_IDENTITY_CREATED_AT_MS, 2n ** 64n - 1n, 8);
    const info = BufferPool.list().find(({ name }) => name === pool.name);
    expect(info?.createdAt.toISOString()).toStartWith("+275760");
  }));
