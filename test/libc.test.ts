// glibc and musl lay out a mutex differently, so that a process of one refuses a pool of the other
// and says why. A static program with the same core brings the other libc. And Bun's musl build runs
// the installed package. `bun run ci` alone runs the first part: see other_libc.ts.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { bunOnMusl, type MuslBun } from "../scripts/borrowed.ts";
import { run, zigBuild } from "../scripts/setup.ts";
import { ERROR_VERSION_MISMATCH } from "../src/generated/constants.gen.ts";
import { BufferPool } from "../src/index.ts";
import { errorOf } from "./codes.ts";
import { makesLibc } from "./other_libc.ts";
import { PackageUser, printed } from "./package_user.ts";

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

describe.skipIf(!makesLibc || !onGlibc())("a pool of the other libc", () => {
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

// The path of Bun's musl build has to be short.
const muslFolder = mkdtempSync("/tmp/xmem-");
afterAll(() => rmSync(muslFolder, { recursive: true }));

function muslBun(): MuslBun | null {
  if (process.platform === "linux" && process.arch === "x64") {
    return bunOnMusl(Bun.version, muslFolder);
  }
  console.log("skipped: Debian's musl runs Bun's musl build on Linux x64");
  return null;
}

const onMusl = muslBun();

describe.skipIf(onMusl === null)("the package under Bun's musl build", () => {
  let user: PackageUser;
  beforeAll(async () => {
    user = await PackageUser.on(onMusl as MuslBun);
  }, 240_000);
  afterAll(() => user[Symbol.dispose]());

  test("runs on musl, not on glibc", () => {
    const report = "console.log(process.report.getReport().header.glibcVersionRuntime)";
    expect(user.bun("-e", report)).toBe("undefined\n");
  });

  test("runs the README's example", () => {
    expect(user.bun("example.ts")).toBe(printed);
  }, 60_000);

  test("runs a Worker", () => {
    expect(user.bun("worker.ts")).toBe("from the worker: 5\n");
  }, 60_000);

  test("runs a suite of bun test, with a child process", () => {
    expect(user.bun("test")).toStartWith("bun test ");
  }, 60_000);

  test("runs from a compiled binary, with a Worker", () => {
    expect(user.runCompiled("main.ts", "worker.ts")).toBe("from the worker: 5\n");
  }, 60_000);

  test("refuses a pool of this process", () => {
    const name = `libc.${process.pid}.bun`;
    using pool = BufferPool.create(name, { capacity: 2 });
    try {
      const open = `import { BufferPool } from "xmem";
        try { BufferPool.open("${name}"); } catch (error) { console.log(error.code, error.message); }`;
      user.write("open.ts", open);
      const out = user.bun("open.ts");
      expect(out).toStartWith("VERSION_MISMATCH");
      expect(out).toContain("it was made by a glibc process, this is a musl process");
    } finally {
      pool.unlink();
    }
  });
});
