// xmem/test, as its users run it: suites of `bun test` that leave things behind, and others.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../scripts/setup.ts";
import { BufferPool } from "../src/index.ts";
import { libraryPath } from "../src/native/library.ts";
import { inUserFolder, runBun } from "./user_folder.ts";

interface Outcome {
  /** What the runner printed, without colours. */
  output: string;
  passed: string[];
  failed: string[];
}

const first = `
import { afterEach, beforeAll, beforeEach, describe, onTestFinished, test } from "bun:test";
import { BufferPool } from "xmem";
import { failOnLeaks, testPool } from "xmem/test";
`;

/** Runs a file of tests, whose source begins on line 5. */
async function suite(source: string, files: Record<string, string> = {}): Promise<Outcome> {
  const suites = { ...files, "leaky.test.ts": `${first}${source}` };
  return await inUserFolder(suites, async (folder) => {
    const env = { XMEM_DIR: folder, XMEM_LIBRARY: libraryPath(), NO_COLOR: "1" };
    const { out, err } = await runBun(folder, ["test", "--timeout=20000"], env);
    const output = out + err;
    const named = (result: string): string[] =>
      Array.from(
        output.matchAll(new RegExp(`^\\(${result}\\) (.*?)(?: \\[.*\\])?$`, "gm")),
        (found) => String(found[1]),
      );
    return { output, passed: named("pass"), failed: named("fail") };
  });
}

test("a test that leaves a buffer fails and names the line; one that releases it passes", async () => {
  const { output, passed, failed } = await suite(`
failOnLeaks();
let shared;
beforeAll(() => { shared = BufferPool.create("shared", { capacity: 4 }); shared.acquire(1); });
function leak() { const guard = shared.acquire(7); guard.bytes.fill(1); }
test("leaks", () => { leak(); });
test("releases", () => { using guard = shared.acquire(1); guard.clone().release(); });
test("hands off", () => { shared.unref(shared.acquire(1).handOff()); });
test("loses a clone", () => { using guard = shared.acquire(1); guard.clone(); });
test("releases later", async () => { const guard = shared.acquire(1); onTestFinished(() => guard.release()); });
test("rests", () => {});
`);
  expect(failed).toEqual(["leaks", "loses a clone"]);
  expect(passed).toEqual(["releases", "hands off", "releases later", "rests"]);
  expect(output).toMatch(
    /XmemLeak: this test left something behind:\s+buffer 1 of pool "shared" is held, 7 bytes; acquired\s+at leak \(.*leaky\.test\.ts:9:/,
  );
  expect(output).toMatch(/is held, 1 bytes; acquired\s+at .*leaky\.test\.ts:13:/);
}, 60_000);

test("a test that leaves a pool open fails and names the line; its successor begins clean", async () => {
  const { output, passed, failed } = await suite(`
failOnLeaks();
test("leaves it open", () => {
  BufferPool.openOrCreate("left", { capacity: 1 }).acquire(1);
});
test("finds it closed", () => {
  using pool = BufferPool.open("left");
  pool.acquire(1).release();
});
test("closes it", () => { BufferPool.open("left").close(); });
test("closes it over a buffer", () => {
  using pool = BufferPool.open("left");
  pool.acquire(1);
});
`);
  expect(failed).toEqual(["leaves it open", "closes it over a buffer"]);
  expect(passed).toEqual(["finds it closed", "closes it"]);
  expect(output).toMatch(/pool "left" is open; opened\s+at .*leaky\.test\.ts:8:/);
  expect(output).toMatch(
    /close\(\) on pool "left" gave 1 buffer back.*\s+at .*leaky\.test\.ts:17:/,
  );
}, 60_000);

test("a pool of a test's own has another name each time and is gone after it", async () => {
  const { output, passed, failed } = await suite(`
import { expect } from "bun:test";
failOnLeaks();
const names = [];
const make = (options) => { const pool = testPool(options); names.push(pool.name); return pool; };
test("one", () => { using guard = make({ capacity: 2 }).acquire(1); });
test("two", () => { make().channel("frames"); make().close(); });
test("fails by itself", () => { make(); throw new Error("of its own"); });
test("leaks", () => {
  const pool = make();
  pool.acquire(5);
});
describe("with a pool before each", () => {
  let pool;
  beforeEach(() => { pool = make(); });
  afterEach(() => { pool.acquire(1).release(); });
  test("three", () => {});
});
test("all are gone", () => {
  expect(new Set(names).size).toBe(6);
  expect(BufferPool.list()).toEqual([]);
  expect(BufferPool.opened()).toEqual([]);
});
`);
  expect(failed).toEqual(["fails by itself", "leaks"]);
  expect(passed).toEqual(["one", "two", "with a pool before each > three", "all are gone"]);
  expect(output).toMatch(/of its own/);
  expect(output).toMatch(/is held, 5 bytes; acquired\s+at .*leaky\.test\.ts:15:/);
}, 60_000);

test("a pool of a test's own is checked without failOnLeaks, too", async () => {
  const { output, passed, failed } = await suite(`
test("leaks", () => {
  const pool = testPool({ capacity: 2 });
  pool.acquire(3);
});
test("releases", () => {
  const pool = testPool({ capacity: 2 });
  const guard = pool.acquire(1);
  onTestFinished(() => guard.release());
});
test.concurrent("cannot", async () => { testPool(); });
test.concurrent("beside it", async () => {});
`);
  expect(failed).toEqual(["leaks", "cannot"]);
  expect(passed).toEqual(["releases", "beside it"]);
  expect(output).toMatch(/is held, 3 bytes; acquired\s+at .*leaky\.test\.ts:8:/);
  expect(output).toContain("failOnLeaks() at the top of the file");
}, 60_000);

test("tests that run side by side are checked when the last of them ends", async () => {
  const { output, passed, failed } = await suite(`
failOnLeaks();
describe("clean", () => {
  for (const ms of [5, 20, 10]) test.concurrent("sleeps " + ms, async () => {
    using guard = testPool().acquire(1);
    await Bun.sleep(ms);
  });
});
test("alone", () => {});
describe("leaky", () => {
  test.concurrent("long", async () => { using guard = testPool().acquire(1); await Bun.sleep(60); });
  test.concurrent("leaks", async () => { testPool().acquire(4); });
});
test("alone again", () => { using guard = testPool().acquire(1); });
`);
  expect(failed).toEqual(["leaky > long"]);
  expect(passed.length).toBe(6);
  expect(output).toMatch(/one of 2 tests that ran side by side left something behind/);
  expect(output).toMatch(/is held, 4 bytes; acquired\s+at .*leaky\.test\.ts:16:/);
}, 60_000);

const holder = `
import { BufferPool } from "xmem";
const pool = BufferPool.open(process.env.POOL ?? process.argv[2], { participantName: "left over" });
globalThis.held = pool.acquire(1);
if (globalThis.self && !Bun.isMainThread) postMessage("held"); else console.log("held");
setInterval(() => {}, 1000);
`;

test("a child process and a Worker that hold a buffer of the test's pool are named", async () => {
  const { output, passed, failed } = await suite(
    `
failOnLeaks();
const start = async (pool) => {
  const child = Bun.spawn([process.execPath, "holder.ts", pool.name], { stdout: "pipe" });
  for await (const _ of child.stdout) break;
  return child;
};
const children = [];
test("leaves a child", async () => { children.push(await start(testPool({ capacity: 2 }))); });
test("kills its child and does not wait", async () => {
  (await start(testPool({ capacity: 2 }))).kill("SIGKILL");
});
test("leaves a Worker", async () => {
  const pool = testPool({ capacity: 2 });
  const worker = new Worker("./holder.ts", { env: { ...process.env, POOL: pool.name } });
  await new Promise((resolve) => { worker.onmessage = resolve; });
  worker.unref();
  children.push({ kill: () => worker.terminate() });
});
test("ends them", () => { for (const child of children) child.kill(); });
`,
    { "holder.ts": holder },
  );
  expect(failed).toEqual(["leaves a child", "leaves a Worker"]);
  expect(passed).toEqual(["kills its child and does not wait", "ends them"]);
  expect(
    output.match(/process \d+, thread \d+ \("left over"\) still holds 1 of pool/g)?.length,
  ).toBe(2);
}, 60_000);

test("a call of failOnLeaks for all files, and one in a file, are one check", async () => {
  const { output, passed, failed } = await suite(
    `
failOnLeaks();
failOnLeaks();
describe("side by side", () => {
  for (const ms of [60, 5]) test.concurrent("sleeps " + ms, async () => {
    const guard = testPool().acquire(1);
    await Bun.sleep(ms);
    if (ms === 60) guard.release();
  });
});
describe("in a block that checks", () => {
  failOnLeaks();
  test("leaks", () => { testPool().acquire(2); });
  test("releases", () => { testPool().acquire(3).release(); });
});
`,
    {
      "bunfig.toml": '[test]\npreload = ["./checks.ts"]\n',
      "checks.ts": 'import { failOnLeaks } from "xmem/test";\nfailOnLeaks();\n',
    },
  );
  expect(failed).toEqual(["side by side > sleeps 60", "in a block that checks > leaks"]);
  expect(passed).toEqual(["side by side > sleeps 5", "in a block that checks > releases"]);
  expect(output.match(/left something behind/g)?.length).toBe(2);
  expect(output).toContain("one of 2 tests that ran side by side left something behind");
  for (const size of [1, 2]) {
    expect(output.match(new RegExp(`is held, ${size} bytes`, "g"))?.length).toBe(1);
  }
}, 60_000);

test("a preload checks every file", async () => {
  const { output, failed } = await suite(
    `
let pool;
beforeAll(() => { pool = BufferPool.openOrCreate("shared", { capacity: 4, ephemeral: true }); });
failOnLeaks();
test("leaks", () => { pool.acquire(9); });
test("does not", () => {});
`,
    {
      "bunfig.toml": '[test]\npreload = ["./checks.ts"]\n',
      "checks.ts": 'import { failOnLeaks } from "xmem/test";\nfailOnLeaks();\n',
      "another.test.ts": `import { test } from "bun:test";
import { BufferPool } from "xmem";
test("leaks elsewhere", () => { BufferPool.create("elsewhere", { ephemeral: true }); });`,
    },
  );
  expect(failed.sort()).toEqual(["leaks", "leaks elsewhere"]);
  expect(output.match(/left something behind/g)?.length).toBe(2);
  expect(output).toMatch(/opened\s+at .*another\.test\.ts:3:/);
}, 60_000);

test("a guard that the collector finds in the test is a leak, and a told one is told once", async () => {
  const { failed, passed } = await suite(`
failOnLeaks();
let shared;
beforeAll(() => { shared = BufferPool.create("shared", { capacity: 4, ephemeral: true }); });
const collect = async (left) => {
  for (let i = 0; i < 50 && shared.stats().used > left; i++) { Bun.gc(true); await Bun.sleep(5); }
};
test("loses", async () => { (() => { shared.acquire(1).bytes[0] = 1; })(); await collect(0); await Bun.sleep(5); });
test("leaks", () => { (() => { shared.acquire(2); })(); });
test("collects", async () => { await collect(0); await Bun.sleep(5); });
`);
  expect(failed).toEqual(["loses", "leaks"]);
  expect(passed).toEqual(["collects"]);
}, 60_000);

test("the suite of docs/testing.md runs as printed", async () => {
  const page = readFileSync(join(root, "docs", "testing.md"), "utf8");
  const [, source = "", printed = ""] =
    /```ts\n([\s\S]*?)```[\s\S]*?```\n([\s\S]*?)```/.exec(page) ?? [];
  const { output } = await suite("", { "frames.test.ts": source });
  const plain = output
    .replace(/\(node:[\s\S]*?was created\)\n/, "")
    .replace(/"test\.\d+\.\w+\.1"/, '"test.4711.c0ffee00.1"')
    .replace(/ \[[\d.]+ms\]/g, "")
    .replaceAll(/\/\S*\/(?=frames\.test\.ts)/g, "");
  expect(plain).toContain(printed);
}, 60_000);

test("opened lists this thread's pools, with their lines where they are traced", () => {
  const name = `opened.${process.pid}`;
  const own = (): (string | undefined)[] =>
    BufferPool.opened().flatMap(({ pool, stack }) => (pool.name === name ? [stack[0]] : []));
  using pool = BufferPool.create(name, { ephemeral: true });
  {
    using _again = BufferPool.open(name);
    expect(own().length).toBe(2);
  }
  expect(own().length).toBe(1);
  expect(BufferPool.opened().find(({ pool: { name: each } }) => each === name)?.pool).toBe(pool);
  pool.close();
  expect(own()).toEqual([]);
});
