// The contents of an error: its code, what was tried on which pool, what was found, what to do, the
// cause, and a stack that begins at the caller, also in a bundle.

import { expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";
import { errorOf } from "./codes.ts";
import { isDocumented } from "./documented.ts";
import { withPool } from "./processes.ts";

const program = join(import.meta.dir, "programs", "callers.ts");
const source = join(import.meta.dir, "..", "src", "index.ts");

interface Run {
  code: number;
  out: string;
  err: string;
}

function run(command: string[], env: Record<string, string> = {}): Run {
  const all = { ...process.env, ...env };
  const child = Bun.spawnSync([process.execPath, ...command], { env: all, timeout: 60_000 });
  return { code: child.exitCode, out: child.stdout.toString(), err: child.stderr.toString() };
}

function inFolder(body: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "xmem-errors-"));
  try {
    body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Failed {
  tried: string;
  code: string;
  message: string;
  found: string[];
  expected: string[];
  ok: boolean;
}

function expectCallers(file: string): void {
  const { out, err, code } = run([file]);
  expect([code, err]).toEqual([0, ""]);
  const failed = out
    .trim()
    .split("\n")
    .map((line): Failed => JSON.parse(line));
  expect(failed.length).toBeGreaterThan(100);
  expect(failed.filter(({ ok }) => !ok)).toEqual([]);
  for (const { tried, code, message } of failed) {
    expect([message, isDocumented(tried.replace("setting ", ""), code)]).toEqual([message, true]);
    expect([`${tried} `, `${tried}:`]).toContain(message.slice(0, tried.length + 1));
  }
}

test("a pool that is made by `new` is refused, before anything is called without one", () => {
  const Constructible = BufferPool as unknown as new (name: string) => BufferPool;
  const error = errorOf(() => new Constructible("frames"));
  expect(error.code).toBe("INVALID_ARGUMENT");
  expect(error.message).toContain("call BufferPool.create(), open() or openOrCreate()");
});

test("the stack of every public function's error begins at the caller", () => {
  expectCallers(program);
});

test("so it does in a bundle, minified or not", () =>
  inFolder((folder) => {
    for (const flags of [[], ["--minify"]]) {
      const built = run(["build", "--target=bun", ...flags, program, "--outdir", folder]);
      expect(built.code, built.err).toBe(0);
      expectCallers(join(folder, "callers.js"));
    }
  }));

test("XMEM_TRACE=1 names the acquirer in a bundle, too", () =>
  inFolder((folder) => {
    const name = `errors.${process.pid}.trace`;
    const file = join(folder, "loses.ts");
    writeFileSync(
      file,
      `import { BufferPool } from ${JSON.stringify(source)};
      using pool = BufferPool.create(${JSON.stringify(name)}, { capacity: 8, ephemeral: true });
      async function lose() {
        pool.acquire(8);
        pool.tryAcquire(8);
        pool.acquireBlocking(8, { timeout: 0 });
        await pool.acquireAsync(8);
        using kept = pool.acquire(8);
        kept.clone();
        pool.get(kept.handle);
        pool.getMut(kept.handle);
        pool.take(kept.share());
      }
      await lose();
      for (let i = 0; i < 100 && pool.stats().used > 0; i++) {
        await Bun.sleep(10);
        Bun.gc(true);
      }`,
    );
    const built = run(["build", "--target=bun", file, "--outdir", folder]);
    expect(built.code, built.err).toBe(0);
    const { err } = run([join(folder, "loses.js")], { XMEM_TRACE: "1" });
    const warnings = err.split("never released").slice(1);
    expect(warnings.length).toBe(8);
    for (const warning of warnings) {
      const [, first] = warning.split("\n");
      expect(first).toMatch(/^ {4}at (async )?lose /);
    }
  }));

test("an uncaught error shows the line that called, not the library's", () => {
  const body = `import { BufferPool } from ${JSON.stringify(source)};
    function mistaken() { BufferPool.open("never.made"); }
    mistaken();`;
  const { err, code } = run(["-e", body]);
  expect(code).not.toBe(0);
  expect(err).toContain("at mistaken");
  expect(err).toContain('code: "ENOENT"');
  for (const own of ["pool.ts", "errors.ts", "system_error.ts"]) expect(err).not.toContain(own);
});

test("an XmemError is an Error with a name and a code", () => {
  const error = errorOf(() => BufferPool.open("never.made"));
  expect(error).toBeInstanceOf(Error);
  expect(error.name).toBe("XmemError");
  expect(error.code).toBe("POOL_NOT_FOUND");
  expect(String(error)).toStartWith("XmemError: BufferPool.open()");
  expect(error.stack).toStartWith(String(error));
});

test("a failed system call is the cause", () => {
  const missing = errorOf(() => BufferPool.open("never.made"));
  expect(missing.cause).toMatchObject({ code: "ENOENT", errno: -2 });
  expect(errorOf(() => BufferPool.open("a/b")).cause).toBeUndefined();
});

test("a loader's refusal is the cause of UNSUPPORTED_PLATFORM", () =>
  inFolder((folder) => {
    const notLibrary = join(folder, "libxmem.so");
    writeFileSync(notLibrary, "not a library");
    const body = `await import(${JSON.stringify(source)}).catch((error) => {
      console.log(error.name, error.code, error.cause.code, error.message);
    });`;
    for (const library of [notLibrary, join(folder, "nothing.so")]) {
      const { out } = run(["-e", body], { XMEM_LIBRARY: library });
      expect(out).toStartWith("XmemError UNSUPPORTED_PLATFORM ERR_DLOPEN_FAILED loading xmem: ");
      expect(out).toContain(library);
    }
  }));

test("a platform without a library is UNSUPPORTED_PLATFORM, and says which it is", () =>
  inFolder((folder) => {
    // A copy, since beside the original lies what was built for this very machine.
    cpSync(join(source, ".."), join(folder, "src"), { recursive: true });
    const library = join(folder, "src", "native", "library.ts");
    for (const [platform, arch] of [
      ["win32", "x64"],
      ["linux", "riscv64"],
    ] as const) {
      const body = `
        Object.defineProperty(process, "platform", { value: ${JSON.stringify(platform)} });
        Object.defineProperty(process, "arch", { value: ${JSON.stringify(arch)} });
        const { libraryPath } = await import(${JSON.stringify(library)});
        try { console.log(libraryPath()); }
        catch (error) { console.log(error.name, error.code, error.message); }`;
      const { out } = run(["-e", body], { XMEM_LIBRARY: "" });
      expect(out).toStartWith("XmemError UNSUPPORTED_PLATFORM loading xmem");
      expect(out).toContain(`${platform}-${arch}`);
    }
  }));

const small = { capacity: 2, bufferSize: 64, maxCommitted: 4096 };

test("a message names the pool, the numbers and the way out", () =>
  withPool(small, async (pool, name) => {
    const guard = pool.acquire(8);
    const { handle } = guard;
    const generation = Math.floor(handle / 2 ** 24);
    const cases: [() => unknown, ...string[]][] = [
      [() => pool.acquire(65), "TOO_LARGE", "65 bytes", "at most 64", "larger bufferSize"],
      [() => pool.tryAcquire(65), "TOO_LARGE", "65 bytes"],
      [() => pool.acquireBlocking(65, { timeout: 1 }), "TOO_LARGE", "65 bytes"],
      [() => pool.preallocate(65, 1), "TOO_LARGE", "65 bytes"],
      [() => pool.acquire(-1), "INVALID_ARGUMENT", "size is -1", "0 to 4294967295"],
      [() => pool.acquire(8), "OUT_OF_MEMORY", "maxCommitted of 4096 bytes", "trim()"],
      [() => pool.preallocate(8, 1), "OUT_OF_MEMORY", "maxCommitted of 4096 bytes"],
      [() => pool.get(7), "BUFFER_NOT_FOUND", "index 7", "has 2 buffers"],
      [() => pool.get(1), "BUFFER_NOT_FOUND", "index 1"],
      [() => pool.unref(handle), "NO_REFERENCE", `handle ${handle}`, "index 0"],
      [() => pool.get(handle - 2 ** 24), "STALE_HANDLE", `generation ${generation - 1}`],
      [() => pool.releaseBuffer(handle), "BUFFER_IN_USE", `generation ${generation}`],
      [() => pool.setRefCount(handle, 0), "INVALID_ARGUMENT", "count is 0"],
      [() => pool.setRefCount(handle, 65_536), "INVALID_ARGUMENT", "65536", "0 to 65535"],
      [() => pool.take("x" as never), "INVALID_ARGUMENT", 'the handle or index is "x"'],
    ];
    for (const [body, code, ...words] of cases) {
      const error = errorOf(body);
      expect([error.code, error.message]).toEqual([code as never, error.message]);
      expect(error.message).toContain(`pool "${name}"`);
      for (const word of words) expect(error.message).toContain(word);
    }
    guard.release();
  }));

test("POOL_FULL and TIMEOUT say how many buffers this thread holds, and how long it waited", () =>
  withPool({ capacity: 2, bufferSize: 64, participantName: "me" }, async (pool, name) => {
    using _first = pool.acquire(1);
    using _second = pool.acquire(1);
    using _clone = _first.clone();
    const full = `all 2 buffers are in use, 3 held by this thread, "me" (pid ${process.pid}), which holds most`;
    expect(errorOf(() => pool.acquire(1)).message).toContain(`": ${full}; release some`);
    const blocking = errorOf(() => pool.acquireBlocking(1, { timeout: 7 }));
    const waiting = await pool.acquireAsync(1, { timeout: 7 }).catch((error) => error);
    const once = await pool.acquireAsync(1, { timeout: 0 }).catch((error) => error);
    for (const error of [blocking, waiting]) {
      expect(error.code).toBe("TIMEOUT");
      expect(error.message).toContain(`7 ms have passed; ${full}; release some, wait longer`);
      expect(error.message).toContain(`pool "${name}"`);
    }
    expect(once.message).toContain(`it was tried once; ${full}`);
  }));

test("a failure does not repeat the system's detail of an earlier one", () =>
  withPool(small, (pool) => {
    const large = { capacity: 2 ** 24 - 2, bufferSize: 2 ** 32 - 1 };
    expect(errorOf(() => BufferPool.create("never.made", large)).message).toContain(
      "do not fit the address space",
    );
    using _guard = pool.acquire(64);
    const { message, cause } = errorOf(() => pool.acquire(64));
    expect(message).not.toContain("address space");
    expect(cause).toBeUndefined();
  }));
