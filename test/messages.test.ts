// Messages say more than the code: what was found at this failure, and advice that fits it.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";
import { errorOf } from "./codes.ts";
import { poolsIn } from "./folders.ts";
import { withPool } from "./processes.ts";
import { script, unshare } from "./scripts.ts";

const source = join(import.meta.dir, "..", "src", "index.ts");
const mounting = unshare("--mount");

/** What the process prints, a value a line. */
async function outputOf(body: string, options: Parameters<typeof script>[1]): Promise<unknown[]> {
  const child = script(body, options);
  const lines = await child.rest();
  expect(await child.ended).toBe(0);
  return lines.map((line) => JSON.parse(line));
}

const sayMessage = `const sayMessage = (body) => {
  try { body(); say("nothing was thrown"); }
  catch (error) { say([error.code, error.message, error.cause?.message]); }
};`;

test("POOL_FULL and TIMEOUT name the largest holder, what is in flight, and when the first lease ends", () =>
  withPool({ capacity: 6, bufferSize: 64, leaseTimeout: 50_000 }, async (pool, name) => {
    const hog = script(
      `const pool = BufferPool.open(${JSON.stringify(name)}, { participantName: "hog" });
      const held = [pool.acquire(8), pool.acquire(8)];
      for (let i = 0; i < 4; i++) pool.acquire(8).handOff();
      say("full");
      await heard();
      say(held.length);`,
    );
    expect(await hog.line()).toBe("full");
    const found =
      `all 6 buffers are in use, 0 held by this thread, 2 by "hog" (pid ${hog.pid}), ` +
      "which holds most; 4 are in flight, and the oldest lease ends in ";
    const full = errorOf(() => pool.acquire(8)).message;
    const blocking = errorOf(() => pool.acquireBlocking(8, { timeout: 1 })).message;
    const waiting = await pool.acquireAsync(8, { timeout: 1 }).catch((error) => error.message);
    for (const message of [full, blocking, waiting]) {
      expect(message).toContain(found);
      const left = Number(/lease ends in (\d+) ms/.exec(message)?.[1]);
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(50_000);
    }
    expect(await hog.rest()).toEqual(["2"]);
    expect(await hog.ended).toBe(0);
  }));

test("POOL_FULL speaks of parked buffers, and of leases that never end", () =>
  withPool({ capacity: 2, bufferSize: 64, leaseTimeout: 0 }, (pool) => {
    const parked = pool.acquire(8).handOff();
    pool.release(parked);
    pool.acquire(8).handOff();
    const { message } = errorOf(() => pool.acquire(8));
    expect(message).toContain("1 is at count 0, and releaseBuffer() recycles them");
    expect(message).toContain("1 is in flight, and the leases never end");
    expect(message).not.toContain("which holds most");
  }));

test("POOL_FULL names another thread of this process by its thread, too", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool, name) => {
    const body = `const { BufferPool } = await import(${JSON.stringify(source)});
      globalThis.pool = BufferPool.open(${JSON.stringify(name)});
      globalThis.guard = pool.acquire(1);
      // The thread lives until it is terminated.
      setInterval(() => {}, 1000);
      postMessage(0);`;
    const url = URL.createObjectURL(new Blob([body], { type: "text/javascript" }));
    const worker = new Worker(url);
    await new Promise((resolve) => {
      worker.onmessage = resolve;
    });
    const [{ tid } = { tid: 0 }] = pool.stats().participants.filter(({ holds }) => holds > 0);
    const { message } = errorOf(() => pool.acquire(1));
    expect(message).toContain(`1 by pid ${process.pid}, thread ${tid}, which holds most`);
    worker.terminate();
  }));

test("POOL_FULL of a large pool says that it looked at the first buffers only", () =>
  withPool({ capacity: 70_000, bufferSize: 64, participantName: "me" }, (pool) => {
    const guards = Array.from({ length: 70_000 }, () => pool.acquire(0));
    guards[3]?.handOff();
    guards[69_999]?.handOff();
    const { message } = errorOf(() => pool.acquire(0));
    expect(message).toContain(
      `all 70000 buffers are in use, at least 65535 held by this thread, "me" (pid ${process.pid})`,
    );
    expect(message).toContain("1 of the first 4096 is in flight");
  }));

test("STALE_HANDLE tells a recycled buffer from one of another pool, and speaks of the lease", () =>
  withPool({ capacity: 2, bufferSize: 64, leaseTimeout: 12_345 }, (pool) =>
    withPool({ capacity: 2, bufferSize: 64 }, (other) => {
      const { handle } = pool.acquire(8);
      const message = (ref: number): string => errorOf(() => pool.take(ref)).message;
      pool.addRef(handle);
      pool.setRefCount(handle, 1);
      const guard = pool.acquire(8);
      guard.release();
      expect(message(guard.handle)).toContain("was recycled, and its slot is free");
      expect(message(guard.handle)).toContain("within the lease of 12345 ms");
      pool.acquire(8).release();
      expect(message(guard.handle)).toContain("its slot was used again 1 time;");
      pool.acquire(8).release();
      expect(message(guard.handle)).toContain("its slot was used again 2 times;");
      const foreign = other.acquire(8).handle;
      expect(message(foreign)).toContain(`no buffer of this pool had handle ${foreign}`);
      expect(message(foreign)).toContain("recycled long ago, or of another pool");
    }),
  ));

test("NO_REFERENCE says whether the buffer is parked, and that a lease may have passed", () =>
  withPool({ capacity: 2, bufferSize: 64, leaseTimeout: 12_345 }, (pool) => {
    using held = pool.acquire(8);
    const unreferenced = errorOf(() => pool.take(held.handle)).message;
    expect(unreferenced).toContain("has 1 reference, none of them in flight");
    expect(unreferenced).toContain("lease of 12345 ms passed");
    const parked = pool.acquire(8).handOff();
    pool.release(parked);
    const message = errorOf(() => pool.get(parked)).message;
    expect(message).toContain("is at count 0; addRef() revives it, releaseBuffer() recycles it");
  }));

test("no message says the same twice", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool, name) => {
    using guard = pool.acquire(1);
    const reader = pool.get(guard.handle);
    const bodies = [
      () => pool.acquire(1),
      () => pool.acquire(-1),
      () => pool.acquire(65),
      () => pool.acquireBlocking(1, { timeout: 0 }),
      () => pool.get(0.5),
      () => pool.get(9),
      () => pool.take(guard.handle),
      () => pool.releaseBuffer(guard.handle),
      () => guard.view("int16"),
      () => (reader as typeof guard).mutableBytes(),
      () => BufferPool.create(name),
      () => BufferPool.open("never.made"),
      () => BufferPool.openOrCreate(name, { capacity: 2 }),
    ];
    // Common words of codes, which add nothing where a message has details.
    const generic = [
      "an argument is out of range",
      "the existing pool is smaller than",
      "there is no pool of that name",
      "a pool of that name exists",
      "no buffer of this pool is that large",
      "every buffer is in use",
      "no buffer was released in time",
    ];
    for (const body of bodies) {
      const { message } = errorOf(body);
      const sentences = message.split("; ");
      expect(new Set(sentences).size).toBe(sentences.length);
      for (const words of generic) expect(message).not.toContain(words);
    }
    reader.release();
  }));

test("an errno is said by its name and its words, and is the cause", () => {
  {
    using _ = poolsIn("/proc");
    const error = errorOf(() => BufferPool.create("never.made"));
    expect(error.code).toBe("SYSTEM");
    expect(error.message).toContain("(ENOENT: no such file or directory)");
    expect(error.cause).toMatchObject({
      code: "ENOENT",
      message: "ENOENT: no such file or directory",
    });
  }
  using _ = poolsIn("/never/made");
  expect(errorOf(() => BufferPool.open("a")).message).toContain("make the folder /never/made");
});

describe.skipIf(mounting === null)("on a file system of its own", () => {
  const under = (options: string): string[] => [
    ...(mounting ?? []),
    ...["sh", "-c", `mount -t tmpfs -o ${options} none /mnt && exec "$0" "$@"`],
  ];

  test("OUT_OF_MEMORY tells a lack of bytes from a lack of inodes", async () => {
    const create = `sayMessage(() => BufferPool.create("p", { capacity: 1 }));`;
    const env = { XMEM_DIR: "/mnt" };
    const [inodes] = await outputOf(`${sayMessage} ${create}`, {
      under: under("size=1m,nr_inodes=1"),
      env,
    });
    const [bytes] = await outputOf(`${sayMessage} fillAllBut(0); ${create}`, {
      under: under("size=1m"),
      env,
    });
    for (const [found, has, hasNot] of [
      [inodes, "inodes", "trim()"],
      [bytes, "trim()", "inodes"],
    ] as const) {
      const [code, message, cause] = found as string[];
      expect(code).toBe("OUT_OF_MEMORY");
      expect(message).toContain(has);
      expect(message).not.toContain(hasNot);
      expect(cause).toContain("ENOSPC");
    }
  });

  test("a full file system under an open pool is told by the errno and the bytes left", async () => {
    const [acquired] = await outputOf(
      `${sayMessage}
      const pool = BufferPool.create("p", { capacity: 4, bufferSize: 1 << 16 });
      fillAllBut(0);
      sayMessage(() => pool.acquire(1 << 16));`,
      { under: under("size=1m"), env: { XMEM_DIR: "/mnt" } },
    );
    const [code, message, cause] = acquired as string[];
    expect(code).toBe("OUT_OF_MEMORY");
    expect(message).toContain("(ENOSPC: no space left on device)");
    expect(message).toContain("0 bytes are left in /mnt: release buffers, trim()");
    expect(cause).toContain("ENOSPC");
  });

  test("a compiled program that may not load its library says why, and the way out", () => {
    const folder = mkdtempSync(join(tmpdir(), "xmem-messages-"));
    try {
      const program = join(folder, "program.ts");
      writeFileSync(
        program,
        `import { BufferPool } from ${JSON.stringify(source)};
        console.log(typeof BufferPool);`,
      );
      const compiled = join(folder, "program");
      const built = Bun.spawnSync([
        ...[process.execPath, "build", "--compile", program, "--outfile", compiled],
      ]);
      expect(built.exitCode, built.stderr.toString()).toBe(0);
      const env = { ...process.env, BUN_TMPDIR: "/mnt", XMEM_LIBRARY: "" };
      const refused = Bun.spawnSync([...under("noexec"), compiled], { env });
      const said = refused.stderr.toString();
      expect(said).toContain("failed to map segment");
      expect(said).toContain("let BUN_TMPDIR name another folder");
      const loaded = Bun.spawnSync([...under("exec"), compiled], { env });
      expect(loaded.stdout.toString()).toBe("function\n");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
