// What a registry would give: the package without a library, which takes that of the machine's
// platform from a package of its own. A server on this machine stands for the registry.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pack } from "../scripts/pack.ts";
import { root } from "../scripts/setup.ts";
import { tarball } from "./packed.ts";

const megabyte = 1_000_000;

interface Manifest {
  name: string;
  version: string;
  optionalDependencies?: Record<string, string>;
  os?: string[];
  cpu?: string[];
  libc?: string[];
}

interface Package {
  manifest: Manifest;
  /** By their path in the package. */
  files: Map<string, Buffer>;
}

async function opened(path: string): Promise<Package> {
  const archive = await new Bun.Archive(await Bun.file(path).bytes()).files();
  const files = new Map<string, Buffer>();
  for (const [name, file] of archive) {
    files.set(name.replace(/^package\//, ""), Buffer.from(await file.arrayBuffer()));
  }
  return { manifest: JSON.parse(files.get("package.json")?.toString() ?? ""), files };
}

function sizeOf({ files }: Package): number {
  return [...files.values()].reduce((sum, { length }) => sum + length, 0);
}

let folder = "";
let standalone = "";
let shelf = "";
const packages = new Map<string, Package>();
let server: Bun.Server<undefined> | undefined;

beforeAll(async () => {
  standalone = await tarball();
  shelf = join(dirname(standalone), "registry");
  for (const file of readdirSync(shelf)) {
    const each = await opened(join(shelf, file));
    packages.set(each.manifest.name, each);
  }
  folder = mkdtempSync(join(tmpdir(), "xmem-registry-"));
  server = Bun.serve({ port: 0, fetch: serve });
}, 240_000);

afterAll(async () => {
  await server?.stop(true);
  rmSync(folder, { recursive: true, force: true });
});

function serve({ url }: Request): Response {
  const name = decodeURIComponent(new URL(url).pathname.slice(1));
  if (name.endsWith(".tgz")) return new Response(Bun.file(join(shelf, name)));
  const manifest = packages.get(name)?.manifest;
  if (manifest === undefined) return new Response("there is none", { status: 404 });
  const { version } = manifest;
  const dist = { tarball: new URL(`${name}-${version}.tgz`, url).href };
  const versions = { [version]: { ...manifest, dist } };
  return Response.json({ name, "dist-tags": { latest: version }, versions });
}

async function run(where: string, ...command: string[]): Promise<string> {
  const registry = server?.url.href ?? "";
  // Not synchronously: this process is the registry.
  const child = Bun.spawn(command, {
    cwd: where,
    env: { HOME: folder, PATH: "/usr/bin:/bin", TMPDIR: folder, BUN_CONFIG_REGISTRY: registry },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`${command}: ${out}${err}`);
  return out;
}

const program = `
  import { BufferPool } from "xmem";
  using pool = BufferPool.create("registry-" + process.pid, { capacity: 2, ephemeral: true });
  using frame = pool.acquire(4);
  console.log("acquired " + frame.bytes.length);
`;

/** An empty folder with a program, in which the package was added. */
async function user(name: string, ...flags: string[]): Promise<string> {
  const where = join(folder, name);
  mkdirSync(where);
  writeFileSync(join(where, "package.json"), `{ "name": "user", "type": "module" }`);
  writeFileSync(join(where, "program.ts"), program);
  await run(where, process.execPath, "add", "xmem", ...flags);
  return where;
}

for (const linker of ["hoisted", "isolated"]) {
  test(`the ${linker} linker installs the library of this machine, and it is found`, async () => {
    const where = await user(linker, "--linker", linker);
    expect(await run(where, process.execPath, "program.ts")).toBe("acquired 4\n");
    const compiling = ["build", "--compile", "program.ts", "--outfile", "compiled"];
    await run(where, process.execPath, ...compiling);
    rmSync(join(where, "node_modules"), { recursive: true });
    expect(await run(where, join(where, "compiled"))).toBe("acquired 4\n");
  }, 60_000);
}

test("another machine's library is installed by name of its system and processor", async () => {
  const where = await user("another", "--os=darwin", "--cpu=arm64");
  const all = readdirSync(join(where, "node_modules"));
  const installed = all.filter((each) => !each.startsWith("."));
  expect(installed.sort()).toEqual(["xmem", "xmem-darwin-arm64"]);
}, 60_000);

const elf = { x64: 62, arm64: 183 }; // EM_X86_64 and EM_AARCH64.
const mach = { x64: 0x01000007, arm64: 0x0100000c }; // CPU_TYPE_X86_64 and CPU_TYPE_ARM64.

test("there is a package for each platform, with a library for it and the fields that say so", () => {
  const { manifest } = packages.get("xmem") as Package;
  const wanted = Object.keys(manifest.optionalDependencies ?? {});
  expect(wanted.sort()).toEqual([...packages.keys()].filter((each) => each !== "xmem").sort());
  expect(wanted.length).toBe(6);
  for (const name of wanted) {
    const { files, manifest: own } = packages.get(name) as Package;
    const [, os = "", cpu = "", libc] = name.split("-");
    expect(own).toMatchObject({ version: manifest.version, os: [os], cpu: [cpu] });
    expect(manifest.optionalDependencies?.[name]).toBe(own.version);
    expect(own.libc).toEqual(libc === undefined ? undefined : [libc === "gnu" ? "glibc" : "musl"]);
    const library = files.get(os === "darwin" ? "libxmem.dylib" : "libxmem.so") as Buffer;
    const processor = os === "darwin" ? library.readUInt32LE(4) : library.readUInt16LE(18);
    expect(processor).toBe((os === "darwin" ? mach : elf)[cpu as "x64" | "arm64"]);
    // What each libc calls itself, in the names of what the library needs.
    if (libc !== undefined) expect(library.includes("libc.so.6")).toBe(libc === "gnu");
  }
});

test("glibc's libraries need no version of glibc after 2.17", () => {
  for (const cpu of ["x64", "arm64"]) {
    const { files } = packages.get(`xmem-linux-${cpu}-gnu`) as Package;
    const text = (files.get("libxmem.so") as Buffer).toString("latin1");
    const minors = [...text.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
    expect(minors.length).toBeGreaterThan(0);
    expect(Math.max(...minors)).toBeLessThanOrEqual(17);
  }
});

test("no platform's installation is larger than 1 MB, and none with two libraries than 1.3 MB", async () => {
  const main = sizeOf(packages.get("xmem") as Package);
  for (const machine of ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"]) {
    const libraries = [...packages].filter(([name]) => name.startsWith(`xmem-${machine}`));
    expect(libraries.length).toBeGreaterThan(0);
    const sizes = libraries.map(([, each]) => sizeOf(each));
    for (const size of sizes) expect(main + size).toBeLessThan(megabyte);
    // An installer that does not know `libc` takes both libraries of a system and processor.
    expect(sizes.reduce((sum, size) => sum + size, main)).toBeLessThan(1.3 * megabyte);
  }
  expect(sizeOf(await opened(standalone))).toBeLessThan(1.3 * megabyte);
});

test("packing again gives the same bytes", async () => {
  const paths = [standalone, ...readdirSync(shelf).map((file) => join(shelf, file))];
  const before = paths.map((path) => readFileSync(path));
  await pack(dirname(standalone));
  for (const [index, path] of paths.entries()) {
    expect(readFileSync(path).equals(before[index] as Buffer), path).toBe(true);
  }
  expect(
    readFileSync(join(dirname(standalone), "packages", "xmem", "package.json"), "utf8"),
  ).not.toContain(root);
}, 120_000);
