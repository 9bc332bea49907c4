// XMEM_TRACE=1 finds the guards that a program lost, and none that it can still reach.

import { expect, test } from "bun:test";
import { withPool } from "./processes.ts";
import { type ProgramFile, programFile } from "./program_files.ts";

const env = { XMEM_TRACE: "1" };

/** A program that has opened the pool; its first line is number 2. */
async function traced(name: string, source: string, run: (child: ProgramFile) => Promise<void>) {
  const child = programFile(
    `const collect = async (done) => { for (let i = 0; i < 100 && !done(); i++) { Bun.gc(true); await Bun.sleep(5); } };
     const used = () => BufferPool.inspect(${JSON.stringify(name)}).used;
     const open = (options) => BufferPool.open(${JSON.stringify(name)}, options);
     const held = setInterval(() => {}, 1000);
${source}`,
    { env },
  );
  try {
    await run(child);
  } finally {
    await child.end();
  }
}

function warnings(child: ProgramFile): number {
  return child.complaints().match(/was never released/g)?.length ?? 0;
}

async function warned(child: ProgramFile): Promise<void> {
  while (warnings(child) === 0) await Bun.sleep(5);
}

for (const views of ["shared", "detach"]) {
  test(`a lost guard is given back, with one warning that says where it is from: "${views}"`, () =>
    withPool({ capacity: 4, bufferSize: 64 }, (_pool, name) =>
      traced(
        name,
        `const pool = open({ views: "${views}" });
        (() => { pool.acquire(8).bytes[0] = 1; })();
        await collect(() => used() === 0);
        say(used());
        pool.stats();`,
        async (child) => {
          expect(await child.line()).toBe("0");
          await warned(child);
          expect(child.complaints()).toContain("program.ts:7");
          await Bun.sleep(50);
          expect(warnings(child)).toBe(1);
        },
      ),
    ));
}

const kept: Record<string, string> = {
  "the bytes": "bytes",
  "a view of another type": "new Uint16Array(bytes.buffer, 2, 1)",
  "a part of the bytes": "bytes.subarray(2, 4)",
  "a DataView": "new DataView(bytes.buffer)",
  "a Buffer": "Buffer.from(bytes.buffer, 0, 4)",
  "the ArrayBuffer": "bytes.buffer",
};

for (const [what, expression] of Object.entries(kept)) {
  test(`a guard is not given back while ${what} can be reached`, () =>
    withPool({ capacity: 4, bufferSize: 64 }, (_pool, name) =>
      traced(
        name,
        `const pool = open();
        globalThis.kept = (() => { const { bytes } = pool.acquire(8); return ${expression}; })();
        let rounds = 0;
        await collect(() => ++rounds === 30);
        say(used());
        globalThis.kept = undefined;
        await collect(() => used() === 0);
        say(used());
        pool.stats();`,
        async (child) => {
          expect(await child.line()).toBe("1");
          expect(await child.line()).toBe("0");
          await warned(child);
        },
      ),
    ));
}

test("a guard that was lost together with its pool is given back and warned of", () =>
  withPool({ capacity: 4, bufferSize: 64 }, (_pool, name) =>
    traced(
      name,
      `(() => { open().acquire(8); })();
      await collect(() => used() === 0);
      say(used());`,
      async (child) => {
        expect(await child.line()).toBe("0");
        await warned(child);
        expect(child.complaints()).toContain("program.ts:6");
      },
    ),
  ));

test("there is no warning of a guard that a close has given back, nor of one that was released", () =>
  withPool({ capacity: 4, bufferSize: 64 }, (_pool, name) =>
    traced(
      name,
      `(() => { const pool = open(); pool.acquire(8); pool.close(); })();
      (() => { const pool = open(); pool.acquire(8).release(); pool.unref(pool.acquire(8).handOff()); })();
      let rounds = 0;
      await collect(() => ++rounds === 20);
      say(used());`,
      async (child) => {
        expect(await child.line()).toBe("0");
        await Bun.sleep(50);
        expect(warnings(child)).toBe(0);
      },
    ),
  ));

test("a lost guard that was received is given back, and one that was sent is not missed", () =>
  withPool({ capacity: 4, bufferSize: 64 }, (pool, name) =>
    traced(
      name,
      `const pool = open({});
      const channel = pool.channel("test");
      (() => { for (const size of [1, 2]) channel.send(pool.acquire(size)); })();
      (() => { channel.tryReceive().bytes[0] = 1; })();
      await collect(() => used() === 1);
      say(used());
      channel.stats();`,
      async (child) => {
        expect(await child.line()).toBe("1");
        await warned(child);
        expect(child.complaints()).toContain("program.ts:9");
        await Bun.sleep(50);
        expect(warnings(child)).toBe(1);
        expect(pool.stats().channels[0]?.queued).toBe(1);
      },
    ),
  ));
