// The wrong runtime, or no library, is an error that names what was found and what is needed: for the
// installed package and for the tree.

import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { anotherBun } from "../scripts/borrowed.ts";
import { root } from "../scripts/setup.ts";
import * as xmem from "../src/index.ts";
import { bunNeeded, shortcoming } from "../src/native/runtime.ts";
import { tarball } from "./packed.ts";

const caught = `catch (error) { console.log(error.name, error.code, error.message); }`;
const importing = `try { const { BufferPool } = await import("xmem"); console.log(BufferPool); } ${caught}`;
const requiring = `try { console.log(require("xmem").BufferPool); } ${caught}`;
const naming = `import { BufferPool, XmemError } from "xmem"; console.log(BufferPool, XmemError);`;

let installed = "";
let tree = "";

beforeAll(async () => {
  const packed = await tarball();
  installed = mkdtempSync(join(tmpdir(), "xmem-runtimes-"));
  tree = mkdtempSync(join(tmpdir(), "xmem-runtimes-"));
  await new Bun.Archive(await Bun.file(packed).bytes()).extract(installed);
  for (const folder of [installed, tree]) {
    mkdirSync(join(folder, "node_modules"));
    writeFileSync(join(folder, "package.json"), `{ "name": "user", "type": "module" }`);
    writeFileSync(join(folder, "importing.js"), importing);
    writeFileSync(join(folder, "requiring.cjs"), requiring);
    writeFileSync(join(folder, "naming.js"), naming);
  }
  cpSync(join(installed, "package"), join(installed, "node_modules", "xmem"), { recursive: true });
  symlinkSync(root, join(tree, "node_modules", "xmem"));
}, 240_000);

afterAll(() => {
  for (const folder of [installed, tree]) rmSync(folder, { recursive: true, force: true });
});

function run(folder: string, command: string[]): { exitCode: number; out: string; err: string } {
  const child = Bun.spawnSync(command, {
    cwd: folder,
    env: { HOME: folder, PATH: process.env["PATH"] },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  const [out, err] = [child.stdout.toString(), child.stderr.toString()];
  return { exitCode: child.exitCode, out, err };
}

/** What each way to load it gives: the error where it can be caught, its report where not. */
function expectRefusal(runtime: string, found: string): void {
  const said = `loading xmem: this is ${found}, and xmem needs Bun ${bunNeeded} or later`;
  for (const folder of [installed, tree]) {
    for (const program of ["importing.js", "requiring.cjs"]) {
      const { out, err } = run(folder, [runtime, program]);
      expect(out, err).toStartWith(`XmemError UNSUPPORTED_PLATFORM ${said}`);
    }
    const { exitCode, out, err } = run(folder, [runtime, "naming.js"]);
    expect({ exitCode, out }).toEqual({ exitCode: 1, out: "" });
    expect(err).toContain(`XmemError: ${said}`);
    expect(err).toMatch(/code: ['"]UNSUPPORTED_PLATFORM['"]/);
  }
}

const node = Bun.which("node");
if (node === null) console.log("skipped, for want of Node on the PATH: what Node says");

test.skipIf(node === null)("Node is refused by name", () => {
  expectRefusal(
    node ?? "",
    `Node ${run(tree, [node ?? "", "-p", "process.versions.node"]).out.trim()}`,
  );
});

test.skipIf(node === null)("the command says under Node what it needs", () => {
  for (const program of [
    join(installed, "node_modules/xmem/dist/command.js"),
    join(root, "src/command/xmem.js"),
  ]) {
    const { exitCode, out, err } = run(installed, [node ?? "", program, "list"]);
    expect({ exitCode, out }).toEqual({ exitCode: 7, out: "" });
    expect(err).toMatch(/^xmem: UNSUPPORTED_PLATFORM: this is Node [^\n]+ needs Bun [^\n]+\n$/);
    expect(err).toContain(`Bun ${bunNeeded} or later`);
  }
});

const old = "1.3.14";
const oldBun = anotherBun(old);

test.skipIf(oldBun === null)("an older Bun is refused by name", () => {
  expectRefusal(oldBun ?? "", `Bun ${old}`);
});

test("a Bun that cannot transfer an ArrayBuffer is refused, and the lack named", () => {
  const program = `delete ArrayBuffer.prototype.transfer; ${importing}`;
  for (const folder of [installed, tree]) {
    const { out } = run(folder, [process.execPath, "-e", program]);
    expect(out).toStartWith("XmemError UNSUPPORTED_PLATFORM loading xmem: this Bun ");
    expect(out).toContain("has no ArrayBuffer.prototype.transfer");
    expect(out).toContain(`needs Bun ${bunNeeded} or later`);
  }
});

test("versions are told apart by their numbers, not by their letters", () => {
  for (const older of ["0.8.1", "1.3.14", "1.4.4"]) expect(shortcoming(older, true)).not.toBeNull();
  for (const fit of [bunNeeded, "1.4.10", "1.10.0", "2.0.0", `${bunNeeded}-debug`]) {
    expect(shortcoming(fit, true)).toBeNull();
  }
});

test("the manifest asks for the Bun that the library asks for", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect(manifest.engines.bun).toBe(`>=${bunNeeded}`);
  expect(readFileSync(join(root, "src/other_runtime.cjs"), "utf8")).toContain(
    `Bun ${bunNeeded} or`,
  );
});

test("every value that the library exports can be named where it is refused", () => {
  const source = readFileSync(join(root, "src/other_runtime.cjs"), "utf8");
  const named = [...source.matchAll(/^exports\.(\w+) =/gm)].map(([, name]) => name as string);
  expect(named.sort()).toEqual(Object.keys(xmem).sort());
});

test("a bundle for Node that Bun runs says how to bundle it", () => {
  const bundling = [
    process.execPath,
    "build",
    "--target=node",
    "naming.js",
    "--outfile",
    "bundle.js",
  ];
  expect(run(installed, bundling).exitCode).toBe(0);
  const { err } = run(installed, [process.execPath, "bundle.js"]);
  expect(err).toContain(`this is a bundle for Node, run by Bun ${Bun.version}`);
  expect(err).toContain("bun build --target=bun");
});

test("a package without its library names the platform, the places and the way out", () => {
  const library = join(installed, "node_modules", "xmem", "prebuilt");
  rmSync(library, { recursive: true });
  const { out } = run(installed, [process.execPath, "importing.js"]);
  const [platform] = /(?<=there is no library for )[\w-]+/.exec(out) ?? [];
  expect(platform).toStartWith(`${process.platform}-${process.arch}`);
  expect(out).toStartWith("XmemError UNSUPPORTED_PLATFORM loading xmem: ");
  expect(out).toContain(join(library, platform ?? "", "libxmem."));
  expect(out).toContain(`install xmem-${platform} of the same version`);
  expect(out).toContain("XMEM_LIBRARY");

  const bundling = [
    process.execPath,
    "build",
    "--target=bun",
    "importing.js",
    "--outfile",
    "bun.js",
  ];
  expect(run(installed, bundling).exitCode).toBe(0);
  const bundled = run(installed, [process.execPath, "bun.js"]).out;
  expect(bundled).toContain(`this program was bundled without the library for ${platform}`);
});
