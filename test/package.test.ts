// What a user gets: the tarball, installed into an empty folder that knows neither the repository
// nor Zig, and the README's example run there in every form that Bun has.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../scripts/setup.ts";
import { tarball } from "./packed.ts";

const readme = readFileSync(join(root, "README.md"), "utf8");
const example = readme.match(/^```ts\n(.*?)^```$/ms)?.[1] ?? "";
const printed = readme.match(/^It prints:\n\n```\n(.*?)^```$/ms)?.[1] ?? "";

const worker = `
  import { BufferPool } from "xmem";
  using pool = BufferPool.openOrCreate("package-" + process.pid, { capacity: 2, ephemeral: true });
  if (Bun.isMainThread) {
    const thread = new Worker(new URL("./worker.ts", import.meta.url).href);
    const { handle } = await new Promise((resolve, reject) => {
      thread.onmessage = (event) => resolve(event.data);
      thread.onerror = (event) => reject(new Error(event.message));
    });
    using frame = pool.take(handle);
    console.log("from the worker: " + frame.bytes.at(-1));
    thread.terminate();
  } else {
    const frame = pool.acquire(100);
    frame.bytes.fill(5);
    postMessage({ handle: frame.handOff() });
  }
`;

const errs = `
  import { BufferPool } from "xmem";
  function mistaken() { BufferPool.open("never.made"); }
  try { mistaken(); } catch (error) { console.log(error.stack); }
`;

const main = `import "./worker.ts";`;

let folder = "";

/** Runs a program in the user's folder, with no tool of the repository on its PATH. */
function run(...command: string[]): string {
  const result = Bun.spawnSync(command, {
    cwd: folder,
    env: { HOME: folder, PATH: "/usr/bin:/bin", TMPDIR: folder },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  const output = result.stdout.toString();
  if (result.exitCode !== 0) throw new Error(`${command}: ${output}${result.stderr.toString()}`);
  return output;
}

/** Compiles entry points into one binary and runs it while the package is not there. */
function runCompiled(...entries: string[]): string {
  run(process.execPath, "build", "--compile", ...entries, "--outfile", "compiled");
  renameSync(join(folder, "node_modules"), join(folder, "hidden"));
  try {
    return run(join(folder, "compiled"));
  } finally {
    renameSync(join(folder, "hidden"), join(folder, "node_modules"));
  }
}

beforeAll(async () => {
  const packed = await tarball();
  folder = mkdtempSync(join(tmpdir(), "xmem-package-"));
  writeFileSync(join(folder, "package.json"), `{ "name": "user", "type": "module" }`);
  writeFileSync(join(folder, "example.ts"), example);
  writeFileSync(join(folder, "worker.ts"), worker);
  writeFileSync(join(folder, "main.ts"), main);
  run(process.execPath, "add", packed);
}, 240_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the README's example prints what the README says", () => {
  expect(example).toContain('from "xmem"');
  expect(run(process.execPath, "example.ts")).toBe(printed);
}, 60_000);

test("the README's example runs from a compiled binary", () => {
  expect(runCompiled("example.ts")).toBe(printed);
}, 60_000);

test("the installed package works in a Worker", () => {
  expect(run(process.execPath, "worker.ts")).toBe("from the worker: 5\n");
}, 60_000);

test("a Worker of a compiled binary finds the library", () => {
  expect(runCompiled("main.ts", "worker.ts")).toBe("from the worker: 5\n");
}, 60_000);

test("an error of the installed package begins at the line that called it", () => {
  writeFileSync(join(folder, "errs.ts"), errs);
  const first = (output: string): string | undefined => output.split("\n    at ")[1];
  expect(first(run(process.execPath, "errs.ts"))).toMatch(/^mistaken \(.*errs\.ts:3:/);
  expect(first(runCompiled("errs.ts"))).toMatch(/^mistaken /);
}, 60_000);

test("the tarball has a library for every platform that it claims", () => {
  const platforms = ["linux-x64-gnu", "linux-arm64-gnu", "linux-x64-musl", "linux-arm64-musl"];
  const machines = platforms.map((platform) => {
    const library = join(folder, "node_modules/xmem/prebuilt", platform, "libxmem.so");
    return readFileSync(library).readUInt16LE(18);
  });
  const [x64, arm64] = [62, 183]; // EM_X86_64 and EM_AARCH64 of the ELF header.
  expect(machines).toEqual([x64, arm64, x64, arm64]);
});

test("the tarball has the header for C", () => {
  const installed = readFileSync(join(folder, "node_modules/xmem/include/xmem.h"), "utf8");
  expect(installed).toBe(readFileSync(join(root, "include/xmem.h"), "utf8"));
});
