// glibc and musl lay out a mutex differently, so that a process of one refuses a pool of the other
// and says why. A static program with the same core brings the other libc.

import { beforeAll, describe, expect, test } from "bun:test";
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { run, zigBuild } from "../scripts/setup.ts";
import { ERROR_VERSION_MISMATCH } from "../src/generated/constants.gen.ts";
import { BufferPool } from "../src/index.ts";
import { errorOf } from "./codes.ts";

const folder = process.env["XMEM_DIR"] ?? "/dev/shm";
const program = join(import.meta.dir, "../build/other-libc");

function onGlibc(): boolean {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  if (report.header?.glibcVersionRuntime !== undefined) return true;
  console.log("skipped: the program of the other libc is musl's, as this Bun is");
  return false;
}

function other(how: "create" | "open", name: string): string {
  const child = Bun.spawnSync([program, how, folder, name]);
  expect(child.exitCode).toBe(0);
  return child.stdout.toString().trim();
}

describe.skipIf(!onGlibc())("a pool of the other libc", () => {
  // The first build compiles that libc, too.
  beforeAll(() => run(zigBuild("build", "other-libc")), 600_000);

  test("is refused with what was found and expected, and left as it is", () => {
    const name = `libc.${process.pid}.musl`;
    try {
      expect(other("create", name)).toBe("acquired 1");
      const path = join(folder, `xmem.${name}`);
      const header = (): Buffer => {
        const fd = openSync(path, "r");
        const bytes = Buffer.alloc(64 * 1024);
        readSync(fd, bytes);
        closeSync(fd);
        return bytes;
      };
      const before = header();
      for (const open of [
        () => BufferPool.open(name),
        () => BufferPool.openOrCreate(name, { capacity: 2 }),
        () => BufferPool.openOrCreate(name, { replaceAbandoned: true }),
        () => BufferPool.inspect(name),
      ]) {
        const { code, message } = errorOf(open);
        expect(code).toBe("VERSION_MISMATCH");
        expect(message).toContain("it was made by a musl process, this is a glibc process");
      }
      expect(errorOf(() => BufferPool.create(name, { capacity: 2 })).code).toBe("POOL_EXISTS");
      const listed = BufferPool.list().find((each) => each.name === name);
      expect(listed?.problem).toContain("VERSION_MISMATCH");
      expect(header().equals(before)).toBe(true);
      expect(other("open", name)).toBe("acquired 1");
    } finally {
      expect(BufferPool.unlink(name)).toBe(true);
    }
  });

  test("is refused by the other libc as well, and goes on working here", () => {
    const name = `libc.${process.pid}.glibc`;
    using pool = BufferPool.create(name, { capacity: 2, bufferSize: 64 });
    try {
      using guard = pool.acquire(64);
      const found = "it was made by a glibc process, this is a musl process";
      expect(other("open", name)).toStartWith(`${-ERROR_VERSION_MISMATCH} ${found}`);
      expect(guard.bytes.length).toBe(64);
      expect(pool.stats().participants.length).toBe(1);
    } finally {
      pool.unlink();
    }
  });
});
