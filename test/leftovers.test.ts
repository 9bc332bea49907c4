// Opens that are repeated, whether they succeed or fail, leave nothing behind in the process:
// neither descriptors, nor mappings, nor threads. They leave nothing in the pool either: its rows
// are free for the next open.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { withPool } from "./processes.ts";
import { script } from "./scripts.ts";

const shm = process.env["XMEM_DIR"] ?? "/dev/shm";

/**
 * Runs in the process that is looked at. `grows` says by how much each count grows over `rounds` of
 * an act.
 */
const census = `
  const { readdirSync, readFileSync, writeFileSync, chownSync } = await import("node:fs");
  const kinds = {
    descriptors: () => readdirSync("/proc/self/fd").length,
    // Mappings are told by their file: one that was made without a name shows no name.
    mappings: () => readFileSync("/proc/self/maps", "utf8").split("\\n")
      .filter((line) => line.includes(folder + "/")).length,
    threads: () => readdirSync("/proc/self/task").filter((task) => {
      try { return readFileSync("/proc/self/task/" + task + "/comm", "utf8").startsWith("xmem"); } catch { return false; }
    }).length,
    participants: () => BufferPool.inspect(name).participants.length,
  };
  const count = () => Object.fromEntries(Object.entries(kinds).map(([kind, now]) => [kind, now()]));
  const grows = async (act, rounds = 10) => {
    for (let round = 0; round < 2; round++) await act();
    await Bun.sleep(20);
    const before = count();
    for (let round = 0; round < rounds; round++) await act();
    let after = count();
    // A socket that was closed is gone after a turn of the loop, a thread a moment after its end.
    for (let look = 0; look < 100 && !Bun.deepEquals(before, after); look++) {
      await Bun.sleep(10);
      after = count();
    }
    return { before, after };
  };`;

interface Counts {
  descriptors: number;
  mappings: number;
  threads: number;
  participants: number;
}

/** Runs each act, and says which of them left something. Each starts from nothing. */
async function expectNothingLeft(acts: Record<string, string>, options = {}): Promise<void> {
  const dir = mkdtempSync(join(shm, "xmem-leftovers-"));
  try {
    const child = script(
      `const name = "census";
      const one = BufferPool.create(name, { capacity: 2, bufferSize: 64, maxParticipants: 2, leaseTimeout: 0 });
      one.close();
      ${census}
      const acts = { ${Object.entries(acts)
        .map(([act, body]) => `${JSON.stringify(act)}: async () => { ${body} }`)
        .join(",\n")} };
      for (const [act, body] of Object.entries(acts)) say([act, await grows(body)]);
      process.exit(0);`,
      { env: { XMEM_DIR: dir }, ...options },
    );
    const lines = await child.rest();
    const all = lines.map((line): [string, { before: Counts; after: Counts }] => JSON.parse(line));
    expect(all.map(([act]) => act)).toEqual(Object.keys(acts));
    for (const [act, { before, after }] of all) {
      expect([act, after]).toEqual([act, before]);
      expect([act, after]).toMatchObject([act, { mappings: 0, threads: 0, participants: 0 }]);
    }
    expect(await child.ended).toBe(0);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const fails = (code: string, call: string): string =>
  `{ const found = codeOf(() => ${call}); if (found !== "${code}") throw new Error(found); }`;

test("opens that succeed leave nothing, whatever their pool was used for", () =>
  expectNothingLeft({
    "open and close": "BufferPool.open(name).close();",
    "create, close and unlink":
      'const pool = BufferPool.create("made", { capacity: 1 }); pool.close(); pool.unlink();',
    "create where the name goes first":
      'const pool = BufferPool.create("made", { capacity: 1 }); pool.unlink(); pool.close();',
    ephemeral: 'BufferPool.create("made", { capacity: 1, ephemeral: true }).close();',
    openOrCreate: "BufferPool.openOrCreate(name).close();",
    replaceAbandoned: "BufferPool.openOrCreate(name, { replaceAbandoned: true }).close();",
    "several opens":
      "const pools = [0, 1, 2].map(() => BufferPool.open(name)); for (const pool of pools) pool.close();",
    "holds and views that are closed with it":
      "const pool = BufferPool.open(name); pool.acquire(1).bytes[0] = 1; pool.acquire(2).view(Uint8Array); pool.close();",
    "views that are detached":
      'const pool = BufferPool.open(name, { views: "detach" }); const g = pool.acquire(1); g.bytes[0] = 1; g.release(); pool.close();',
    "inspect, list and stats": "BufferPool.inspect(name); BufferPool.list();",
    "a wait that is served":
      "const pool = BufferPool.open(name); const held = [pool.acquire(1), pool.acquire(1)]; const wait = pool.acquireAsync(1); held[0].release(); (await wait).release(); pool.close();",
    "a wait that is aborted":
      "const pool = BufferPool.open(name); pool.acquire(1); pool.acquire(1); const c = new AbortController(); const wait = pool.acquireAsync(1, { signal: c.signal }).catch(() => {}); c.abort(); await wait; pool.close();",
    "a wait that times out":
      "const pool = BufferPool.open(name); pool.acquire(1); pool.acquire(1); await codeOfLater(() => pool.acquireAsync(1, { timeout: 1 })); pool.close();",
    "a wait that is closed at once":
      "const pool = BufferPool.open(name); pool.acquire(1); pool.acquire(1); const wait = codeOfLater(() => pool.acquireAsync(1)); pool.close(); await wait;",
    "a wait that is closed later":
      "const pool = BufferPool.open(name); pool.acquire(1); pool.acquire(1); const wait = codeOfLater(() => pool.acquireAsync(1)); await Bun.sleep(2); pool.close(); await wait;",
    "a wait that is flushed":
      "const pool = BufferPool.open(name); pool.acquire(1); pool.acquire(1); const wait = codeOfLater(() => pool.acquireAsync(1)); pool.flush(); await wait; pool.close();",
  }));

test("a view that the engine had pinned goes when it lets go, though somebody still has it", () =>
  expectNothingLeft({
    "a view that is written to a file": `const { promises } = await import("node:fs");
      const pool = BufferPool.create("pinned", { capacity: 1, bufferSize: 8 << 20 });
      const { bytes } = pool.acquire();
      (globalThis.kept ??= []).push(bytes);
      const writing = promises.writeFile(folder + "/written", bytes);
      pool.close();
      pool.unlink();
      await writing;
      for (let look = 0; look < 100 && bytes.length > 0; look++) await Bun.sleep(10);
      if (bytes.length > 0) throw new Error("it is still there");`,
  }));

test("calls that fail leave nothing, each for its own reason", () =>
  expectNothingLeft({
    POOL_NOT_FOUND: fails("POOL_NOT_FOUND", 'BufferPool.open("none")'),
    POOL_EXISTS: fails("POOL_EXISTS", "BufferPool.create(name)"),
    INVALID_ARGUMENT: fails("INVALID_ARGUMENT", "BufferPool.create(name, { capacity: 0 })"),
    "INVALID_ARGUMENT of the name": fails("INVALID_ARGUMENT", 'BufferPool.open("no/name")'),
    OPTIONS_MISMATCH: fails("OPTIONS_MISMATCH", "BufferPool.openOrCreate(name, { capacity: 3 })"),
    "OUT_OF_MEMORY of create": fails(
      "OUT_OF_MEMORY",
      'BufferPool.create("large", { capacity: 2 ** 24 - 2, bufferSize: 2 ** 32 - 1 })',
    ),
    "POOL_CORRUPT, too short": `writeFileSync(folder + "/xmem.short", "x"); ${fails("POOL_CORRUPT", 'BufferPool.open("short")')}`,
    "POOL_CORRUPT, zeros": `writeFileSync(folder + "/xmem.zeros", new Uint8Array(1 << 16)); ${fails("POOL_CORRUPT", 'BufferPool.open("zeros")')}`,
    "POOL_CORRUPT, cut off": `const bytes = readFileSync(folder + "/xmem." + name).subarray(0, 8192);
      writeFileSync(folder + "/xmem.cut", bytes); ${fails("POOL_CORRUPT", 'BufferPool.open("cut")')}
      ${fails("POOL_CORRUPT", 'BufferPool.inspect("cut")')}`,
    VERSION_MISMATCH: `const bytes = readFileSync(folder + "/xmem." + name); bytes[8] ^= 1;
      writeFileSync(folder + "/xmem.other", bytes);
      ${fails("VERSION_MISMATCH", 'BufferPool.open("other")')}
      ${fails("VERSION_MISMATCH", 'BufferPool.inspect("other")')} BufferPool.list();`,
    PERMISSION_DENIED: `if (process.geteuid() === 0) {
      BufferPool.create("foreign", { capacity: 1 }).close(); chownSync(folder + "/xmem.foreign", 12345, 12345);
      try { ${fails("PERMISSION_DENIED", 'BufferPool.open("foreign")')} } finally { BufferPool.unlink("foreign"); } }`,
    "what an open pool refuses": `const pool = BufferPool.open(name); const held = [pool.acquire(1), pool.acquire(1)];
      ${fails("POOL_FULL", "pool.acquire(1)")}
      codeOf(() => pool.acquire(65)); codeOf(() => pool.take(held[0].handle));
      await codeOfLater(() => pool.acquireAsync(65)); pool.close();`,
  }));

test("an open that is refused by TOO_MANY_PARTICIPANTS leaves nothing", () =>
  withPool({ capacity: 2, bufferSize: 64, maxParticipants: 1 }, async (pool, name) => {
    const lines = await script(
      `const name = ${JSON.stringify(name)}; ${census}
      say(await grows(() => { if (codeOf(() => BufferPool.open(name)) !== "TOO_MANY_PARTICIPANTS") throw new Error(); }));`,
    ).rest();
    const { before, after } = JSON.parse(lines[0] ?? "");
    expect(after).toEqual(before);
    expect(after).toMatchObject({ mappings: 0, threads: 0, participants: 1 });
    expect(pool.stats().participants.length).toBe(1);
  }));

test("Workers leave nothing, whether they close, end or are terminated, in a wait or not", () => {
  const worker = (body: string, end = ""): string =>
    `const source = \`const { BufferPool } = await import(${JSON.stringify(join(import.meta.dir, "../src/index.ts"))});
      const pool = BufferPool.open("census"); const held = [pool.acquire(1), pool.acquire(1)]; held[0].bytes[0] = 1;
      ${body} postMessage("done"); ${end}\`;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
    await new Promise((resolve) => { worker.onmessage = resolve; });
    worker.terminate();
    await closed;
    // The next participant that comes gives back the row of a thread that did not close.
    BufferPool.open(name).close();
    while (BufferPool.inspect(name).participants.length > 0) { await Bun.sleep(1); BufferPool.open(name).close(); }`;
  const waits = "pool.acquireAsync(1).catch(() => {});";
  return expectNothingLeft({
    "closes and ends": worker("pool.close();"),
    "closes in a wait": worker(`${waits} pool.close();`),
    "is terminated with holds": worker(""),
    "is terminated in a wait": worker(waits),
    "is terminated after a wait": worker(
      "await pool.acquireAsync(1, { timeout: 1 }).catch(() => {});",
    ),
    "exits in a wait": worker(waits, "process.exit(0);"),
  });
});

test("a thread opens and closes as often as it likes, more often than it may have open at once", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool, name) => {
    const lines = await script(
      `const open = () => BufferPool.open(${JSON.stringify(name)});
      // Each round takes the row of a participant that has left: a thread may have 2,047.
      for (let round = 0; round < 2100; round++) open().close();
      // Each round takes one more descriptor for the same participant: a process may have 16,383.
      const first = open();
      for (let round = 0; round < 16_500; round++) open().close();
      say(first.stats().participants.length);
      // Its descriptor belonged to earlier opens, which the collector finds only now.
      const last = open();
      for (let look = 0; look < 5; look++) { Bun.gc(true); await Bun.sleep(10); }
      say(codeOf(() => last.acquire(1).release()));
      last.close();
      first.close();`,
    ).rest();
    expect(lines).toEqual(["2", "none"]);
    expect(pool.stats().participants.length).toBe(1);
  }));

test("all rows of killed participants can be taken again and again", () =>
  withPool({ capacity: 4, bufferSize: 64, maxParticipants: 4 }, async (pool, name) => {
    const visit = `const pool = BufferPool.open(${JSON.stringify(name)});
      globalThis.held = pool.acquire(1);
      say("open");
      await heard();`;
    for (let round = 0; round < 4; round++) {
      // All rows but this process's own.
      const children = [1, 2, 3].map(() => script(visit));
      const said = await Promise.all(children.map((child) => child.line()));
      expect(said).toEqual(["open", "open", "open"]);
      expect(pool.stats().participants.length).toBe(4);
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map((child) => child.ended));
    }
    pool.reclaim();
    expect(pool.stats()).toMatchObject({ free: 4, waiters: 0 });
    expect(pool.stats().participants.length).toBe(1);
  }));
