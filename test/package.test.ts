// What a user gets: the tarball, installed into an empty folder that knows neither the repository nor
// Zig nor a registry, and programs run there in every form that Bun has.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../scripts/setup.ts";
import { BufferPool } from "../src/index.ts";
import { example, PackageUser, printed } from "./package_user.ts";
import { programFile } from "./program_files.ts";

const errs = `
  import { BufferPool } from "xmem";
  function mistaken() { BufferPool.open("never.made"); }
  try { mistaken(); } catch (error) { console.log(error.stack); }
`;

const bridge = `
  import { BufferPool, XmemError } from "xmem";
  import { exportChannel } from "xmem/bridge";
  using pool = BufferPool.create("bridge-" + process.pid, { capacity: 2, ephemeral: true });
  using frames = pool.channel("frames", { redeliver: true });
  const nats = { subscribe() {}, publish() {} };
  try { exportChannel(frames, nats, { stream: "S", subject: "a.*" }); }
  catch (error) { console.log(error.code, error instanceof XmemError && /wildcard/.test(error)); }
`;

const park = `
  import { rmSync } from "node:fs";
  import { BufferPool, XmemError } from "xmem";
  import { directoryStore, park, unpark } from "xmem/park";
  using pool = BufferPool.create("park-" + process.pid, { capacity: 2, ephemeral: true });
  using guard = pool.acquire(5);
  guard.bytes.fill(3);
  const store = directoryStore("parked");
  await park(guard, { key: "k", store, compress: true });
  using back = await unpark(pool, "k", { store });
  console.log(back.bytes.join(""));
  rmSync("parked/k.parked");
  await unpark(pool, "k", { store }).catch((error) => console.log(error instanceof XmemError, error.code));
`;

const leaky = `
  import { test } from "bun:test";
  import { failOnLeaks, testPool } from "xmem/test";
  failOnLeaks();
  test("leaks", () => {
    const pool = testPool({ capacity: 2 });
    pool.acquire(7).bytes.fill(1);
    pool.tryAcquire(1)?.release();
  });
`;

let user: PackageUser;
let folder = "";

beforeAll(async () => {
  user = await PackageUser.on({ bun: process.execPath });
  folder = user.folder;
}, 240_000);

afterAll(() => user[Symbol.dispose]());

test("the README's example prints what the README says", () => {
  expect(example).toContain('from "xmem"');
  expect(user.bun("example.ts")).toBe(printed);
}, 60_000);

test("the README's example runs from a compiled binary", () => {
  expect(user.runCompiled("example.ts")).toBe(printed);
}, 60_000);

test("the command runs from an empty folder in which the package was added", () => {
  using pool = BufferPool.create(`package.${process.pid}.command`, { capacity: 3 });
  using held = pool.acquire(100);
  expect(user.bun("x", "xmem", "list")).toMatch(new RegExp(`^${pool.name} +3 `, "m"));
  const info = JSON.parse(user.bun("x", "xmem", "info", pool.name, "--json"));
  expect(info.buffers).toMatchObject([{ index: held.index, holders: [{ pid: process.pid }] }]);
  expect(JSON.parse(user.bun("x", "xmem", "dump", pool.name)).problems).toEqual([]);
  pool.unlink();
}, 60_000);

test("the command leads from the full pool of its page to the process and the line", async () => {
  const page = readFileSync(join(root, "docs/command.md"), "utf8");
  const [, program = ""] = /```ts\n([\s\S]*?)```/.exec(page) ?? [];
  const name = `package.${process.pid}.full`;
  user.write("encoder.ts", program.replace('"frames"', JSON.stringify(name)));
  const encoder = Bun.spawn([process.execPath, "encoder.ts"], {
    cwd: folder,
    env: { ...process.env, XMEM_TRACE: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const { value } = await encoder.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("full\n");
    const info = user.bun("x", "xmem", "info", name);
    expect(info).toContain(`encoder (${encoder.pid}) holds most, 3.`);
    const line = program.split("\n").findIndex((text) => text.includes("Nobody releases it")) + 1;
    expect(info).toMatch(new RegExp(`3 acquired at .*/encoder\\.ts:${line}$`, "m"));
  } finally {
    encoder.kill("SIGKILL");
    await encoder.exited;
    BufferPool.unlink(name);
  }
}, 60_000);

test("xmem/bridge works on the library that the package has, and on a client of the user's", () => {
  user.write("bridge.ts", bridge);
  expect(() => user.bun("bridge.ts")).toThrow("@nats-io/");
  const client = join(user.folder, "node_modules", "@nats-io");
  symlinkSync(join(root, "node_modules", "@nats-io"), client);
  try {
    expect(user.bun("bridge.ts")).toBe("INVALID_ARGUMENT true\n");
  } finally {
    rmSync(client);
  }
}, 60_000);

test("the installed package works in a Worker", () => {
  expect(user.bun("worker.ts")).toBe("from the worker: 5\n");
}, 60_000);

test("a suite of bun test passes, with a child process", () => {
  // Throws where a test of it fails.
  expect(user.bun("test")).toStartWith("bun test ");
}, 60_000);

test("xmem/park works on the library that the package has, and needs no other", () => {
  user.write("park.ts", park);
  expect(user.bun("park.ts")).toBe("33333\ntrue BUFFER_NOT_FOUND\n");
}, 60_000);

test("xmem/test makes a suite fail that leaks, by its line, and one pass that does not", () => {
  user.write("leaky.test.ts", leaky);
  try {
    expect(() => user.bun("test", "./leaky.test.ts")).toThrow(/leaky\.test\.ts:7:/);
    user.write(
      "leaky.test.ts",
      leaky.replace("pool.acquire(7)", "using held = pool.acquire(7); held"),
    );
    expect(user.bun("test", "./leaky.test.ts")).toStartWith("bun test ");
  } finally {
    rmSync(join(folder, "leaky.test.ts"));
  }
}, 60_000);

for (const flag of ["--hot", "--watch"]) {
  test(`a program under ${flag} starts with the installed package again and again`, async () => {
    const name = `package.${process.pid}.${flag.slice(2)}`;
    const source = (version: number): string => `
      globalThis.frames?.close();
      globalThis.frames = BufferPool.openOrCreate("${name}", { ephemeral: true, capacity: 4 });
      globalThis.held = globalThis.frames.acquire(8);
      setInterval(() => {}, 1000);
      say("version ${version}");`;
    const library = join(folder, "node_modules/xmem/dist/xmem.js");
    const program = programFile(source(1), { flags: [flag], library });
    try {
      await program.lineOf("version 1");
      for (const version of [2, 3]) {
        program.replace(source(version));
        // A watcher may miss what is written while it is at work.
        const again = setInterval(() => program.replace(source(version)), 3000);
        await program.lineOf(`version ${version}`);
        clearInterval(again);
      }
      const { used, participants } = BufferPool.inspect(name);
      const pids = participants.map(({ pid }) => pid);
      expect({ used, pids }).toEqual({ used: 1, pids: [program.pid] });
    } finally {
      await program.end();
      BufferPool.prune();
    }
  }, 60_000);
}

test("a Worker of a compiled binary finds the library", () => {
  expect(user.runCompiled("main.ts", "worker.ts")).toBe("from the worker: 5\n");
}, 60_000);

test("an error of the installed package begins at the line that called it", () => {
  user.write("errs.ts", errs);
  const first = (output: string): string | undefined => output.split("\n    at ")[1];
  expect(first(user.bun("errs.ts"))).toMatch(/^mistaken \(.*errs\.ts:3:/);
  expect(first(user.runCompiled("errs.ts"))).toMatch(/^mistaken /);
}, 60_000);

test("the tarball has the header for C, without what is only for reading", () => {
  const installed = join(folder, "node_modules/xmem/include");
  const header = readFileSync(join(installed, "xmem.h"), "utf8");
  const code = (text: string) => text.replaceAll(/\/\*.*?\*\//gs, "").split(/\s+/);
  expect(code(header)).toEqual(code(readFileSync(join(root, "include/xmem.h"), "utf8")));
  expect(header.length).toBeLessThan(20_000);
});

test("every link of a document in the package leads to a file of the package", () => {
  const installed = join(folder, "node_modules/xmem");
  const files = readdirSync(installed, { recursive: true, encoding: "utf8" });
  const documents = files.filter((file) => file.endsWith(".md"));
  expect(documents).toContain("README.md");
  const links = documents.flatMap((document) => {
    const text = readFileSync(join(installed, document), "utf8");
    const targets = [...text.matchAll(/\]\((?![a-z]+:)([^)#\s]+)/g)];
    return targets.map(([, target = ""]) => join(dirname(document), target));
  });
  expect(links.length).toBeGreaterThan(20);
  expect(links.filter((path) => !existsSync(join(installed, path)))).toEqual([]);
});

test("the package runs nothing when it is installed, and depends on nothing", () => {
  const manifest = JSON.parse(readFileSync(join(folder, "node_modules/xmem/package.json"), "utf8"));
  for (const field of ["scripts", "dependencies", "devDependencies", "optionalDependencies"]) {
    expect(manifest).not.toHaveProperty(field);
  }
  const installed = readdirSync(join(folder, "node_modules"));
  expect(installed.filter((name) => name !== ".bin")).toEqual(["xmem"]);
});
