// Programs under `bun --hot` and `bun --watch`, whose files are written again while they run: the
// pools of replaced modules are given back, and nothing else is.

import { expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";
import { libraryPath } from "../src/native/library.ts";
import { withPool } from "./processes.ts";
import { type ProgramFile, type ProgramOptions, programFile } from "./program_files.ts";
import { until } from "./scripts.ts";

const reloads = 8;

/** Runs `source(1)`, then writes `source(2)` and so on into its file. Each says its version. */
async function reloaded(
  source: (version: number) => string,
  options: ProgramOptions,
  body: (child: ProgramFile) => Promise<void>,
): Promise<void> {
  const text = (version: number): string =>
    `${source(version)}\nglobalThis.collecting ??= setInterval(Bun.gc, 20, true);\nsay("version ${version}");`;
  const child = programFile(text(1), options);
  try {
    await child.lineOf("version 1");
    for (let version = 2; version <= 1 + reloads; version++) {
      child.replace(text(version));
      // A watcher may miss a write while it is at work.
      const again = setInterval(() => child.replace(text(version)), 3000);
      await child.lineOf(`version ${version}`);
      clearInterval(again);
    }
    await body(child);
  } finally {
    await child.end();
  }
}

const hot = { flags: ["--hot"] };

test(
  "--hot: the pools of a replaced module go back, also where one of its functions uses the pool",
  () =>
    withPool({ capacity: 64, bufferSize: 64 }, (pool, name) =>
      reloaded(
        (version) => `const pool = BufferPool.open(${JSON.stringify(name)});
        const held = pool.acquire(8);
        function use() { using frame = pool.acquire(8); return frame.size + held.size; }
        use();
        // Its timer reaches the listener, which reaches the pool.
        pool.on("full", () => pool.stats());
        if (${version} === 1) {
          // A pool that has waited has a socket open.
          const waited = BufferPool.create("${name}.waited", { capacity: 1, ephemeral: true });
          const only = waited.acquire(8);
          const next = waited.acquireAsync(8);
          await Bun.sleep(1);
          only.release();
          await next;
        }`,
        hot,
        async () => {
          await until(() => pool.stats().used === 1);
          await until(() => !BufferPool.list().some((info) => info.name === `${name}.waited`));
          await Bun.sleep(200);
          expect(pool.stats().used).toBe(1);
        },
      ),
    ),
  30_000,
);

test(
  "--hot: a pool that a view, a timer or a global of a replaced module reaches stays open",
  () =>
    withPool({ capacity: 64, bufferSize: 64 }, (pool, name) =>
      reloaded(
        (version) => `const pool = BufferPool.open(${JSON.stringify(name)});
        if (${version} === 1) globalThis.part = pool.acquire(8).bytes.subarray(2, 4);
        if (${version} === 2) globalThis.pool = pool;
        if (${version} === 3) setInterval(() => pool.stats(), 10);
        if (${version} === 4) globalThis.guard = pool.acquire(8);
        if (${version} <= 3) pool.acquire(8);
        if (${version} === 9) {
          // Everything of the old modules still works.
          globalThis.part[0] = 1;
          globalThis.pool.acquire(8).release();
          globalThis.guard.bytes[0] = 2;
        }`,
        hot,
        async () => {
          await until(() => pool.stats().used === 5);
          await Bun.sleep(200);
          expect(pool.stats().used).toBe(5);
        },
      ),
    ),
  30_000,
);

test(
  "two copies of the library in one program are not each other's replacements",
  () =>
    withPool({ capacity: 64, bufferSize: 64 }, async (pool, name) => {
      const folder = mkdtempSync(join(tmpdir(), "xmem-copies-"));
      const copies = ["one", "two"].map((copy) => {
        cpSync(join(import.meta.dir, "../src"), join(folder, copy, "src"), { recursive: true });
        return join(folder, copy, "src", "index.ts");
      });
      try {
        await reloaded(
          () => `const pool = BufferPool.open(${JSON.stringify(name)});
          pool.acquire(8);
          const other = (await import(${JSON.stringify(copies[1])})).BufferPool.open(${JSON.stringify(name)});
          other.acquire(8);
          setTimeout(() => {}, 100_000);`,
          { ...hot, library: copies[0] as string, env: { XMEM_LIBRARY: libraryPath() } },
          async () => {
            await until(() => pool.stats().used <= 2);
            await Bun.sleep(200);
            // One hold of the present module's in each copy.
            expect(pool.stats().used).toBe(2);
          },
        );
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
  30_000,
);

test("without --hot, a copy that is evaluated again gives nothing back", () =>
  withPool({ capacity: 4, bufferSize: 64 }, async (pool, name) => {
    const child = programFile(`
      (() => { BufferPool.open(${JSON.stringify(name)}).acquire(8); })();
      for (const path of Object.keys(require.cache)) delete require.cache[path];
      const again = await import(${JSON.stringify(join(import.meta.dir, "../src/index.ts"))});
      say(again.BufferPool === BufferPool);
      again.BufferPool.open(${JSON.stringify(name)});
      let rounds = 0;
      setInterval(() => { Bun.gc(true); if (++rounds === 30) say("collected"); }, 5);`);
    try {
      expect(await child.line()).toBe("false");
      await child.lineOf("collected");
      expect(pool.stats().used).toBe(1);
    } finally {
      await child.end();
    }
  }));

test(
  "a collected session closes its own descriptor once, and not its next owner's",
  () =>
    withPool({ capacity: 64, bufferSize: 64 }, async (pool, name) => {
      // A new open gets the next free number after the last one, and 16,383 opens go through all
      // numbers.
      const source = (version: number): string => `
      const name = ${JSON.stringify(name)};
      if (${version} === 1) {
        (() => { BufferPool.open(name).acquire(8); })();
      } else {
        while (BufferPool.inspect(name).used > 0) { Bun.gc(true); await Bun.sleep(5); }
        globalThis.opens = Array.from({ length: 16_383 }, () => BufferPool.open(name));
        globalThis.guards = [0, 8_000, 16_382].map((place) => globalThis.opens[place].acquire(8));
        for (let i = 0; i < 20; i++) { Bun.gc(true); await Bun.sleep(5); }
        say(globalThis.opens.filter((each) => { try { each.acquire(8).release(); return true; } catch { return false; } }).length);
      }
      setTimeout(() => {}, 100_000);
      say("version ${version}");`;
      const child = programFile(source(1), hot);
      try {
        await child.lineOf("version 1");
        expect(pool.stats().used).toBe(1);
        child.replace(source(2));
        expect(await child.line()).toBe("16383");
        expect(pool.stats().used).toBe(3);
      } finally {
        await child.end();
      }
    }),
  60_000,
);

/** The program that docs/operations.md recommends. */
const recipe = (name: string): string => `
  globalThis.frames?.close();
  const pool = BufferPool.openOrCreate(${JSON.stringify(name)}, { ephemeral: true, capacity: 4, bufferSize: 64 });
  globalThis.frames = pool;
  const held = pool.acquire(8);
  setInterval(() => held.size, 1000);`;

for (const flag of ["--hot", "--watch"]) {
  test(`${flag}: a program that closes what its last evaluation left has one hold, whenever`, async () => {
    const name = `reload.${process.pid}.${flag.slice(2)}`;
    await reloaded(
      () => recipe(name),
      { flags: [flag] },
      async (child) => {
        const { used, participants, linked } = BufferPool.inspect(name);
        expect({ used, linked, pids: participants.map(({ pid }) => pid) }).toEqual({
          used: 1,
          linked: true,
          pids: [child.pid],
        });
      },
    );
    // It was killed, so its name stays until somebody makes the next pool of that name.
    using next = BufferPool.create(name, { ephemeral: true });
    expect(next.stats()).toMatchObject({ used: 0, linked: true });
  }, 30_000);
}
