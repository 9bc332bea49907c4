// Tag and generation just below their wrap: written into the object of a pool that nobody has open.

import { expect, test } from "bun:test";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { BufferPool, XmemError } from "../src/index.ts";

const generationMax = 2 ** 29 - 1;
const tagMax = 2n ** 39n - 1n;
// docs/layout.md: where the identity keeps the slots' offset, and where the head lies.
const slotsOffsetAt = 80;
const headAt = 256;

function word(fd: number, at: number): bigint {
  const bytes = Buffer.alloc(8);
  readSync(fd, bytes, 0, 8, at);
  return bytes.readBigUInt64LE();
}

function setWord(fd: number, at: number, value: bigint): void {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  writeSync(fd, bytes, 0, 8, at);
}

test("after the last generation comes 1, after the last tag 0, and no handle is mistaken", () => {
  const name = `test.${process.pid}.wrap`;
  BufferPool.create(name, { capacity: 2, bufferSize: 64 }).close();
  const fd = openSync(join(process.env["XMEM_DIR"] ?? "/dev/shm", `xmem.${name}`), "r+");
  try {
    setWord(fd, Number(word(fd, slotsOffsetAt)), BigInt(generationMax - 1));
    setWord(fd, headAt, (tagMax - 1n) << 24n);
    using pool = BufferPool.open(name);
    const last = pool.acquire(1);
    expect(last.handle).toBe(generationMax * 2 ** 24);
    last.release();
    expect(word(fd, headAt) >> 24n).toBe(0n);
    using first = pool.acquire(1);
    expect(first.handle).toBe(2 ** 24);
    expect(() => pool.get(last.handle)).toThrow(XmemError);
    using second = pool.acquire(1);
    expect(second.index).toBe(1);
    expect(pool.tryAcquire(1)).toBeNull();
  } finally {
    closeSync(fd);
    BufferPool.unlink(name);
  }
});
