// The archive for C as a user gets it: unpacked in an empty folder, found by pkg-config, and linked by
// the system's compiler, or by the pinned one where the system has none.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { archiveOf, packC } from "../scripts/pack_c.ts";
import { root, zig } from "../scripts/setup.ts";
import type { BufferPool } from "../src/index.ts";
import { makesLibc } from "./other_libc.ts";
import { withPool } from "./processes.ts";

const cpu = process.arch;
const gnu = `linux-${cpu}-gnu`;
const musl = `linux-${cpu}-musl`;
const platforms = makesLibc ? [gnu, musl] : [gnu];
let folder = "";

const unpacked = (platform: string): string => {
  const [top = ""] = readdirSync(folder).filter((entry) => entry.endsWith(platform));
  return join(folder, top);
};

const environment = {
  ...process.env,
  ZIG_LIB_DIR: join(root, "node_modules", "@zigc", "lib"),
  ZIG_LOCAL_CACHE_DIR: join(root, ".zig-cache"),
};

function run(command: string[], env: Record<string, string | undefined> = environment): string {
  const child = Bun.spawnSync(command, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  expect({ command, failed: child.exitCode, messages: child.stderr.toString() }).toEqual({
    command,
    failed: 0,
    messages: "",
  });
  return child.stdout.toString();
}

/** What pkg-config says of the file where there is no pkg-config. */
function evaluated(file: string, isStatic: boolean): string[] {
  const fields = new Map([["pcfiledir", dirname(file)]]);
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const [, key = "", value = ""] = /^([\w.]+)[:=] ?(.*)$/.exec(line) ?? [];
    fields.set(
      key,
      value.replaceAll(/\$\{(\w+)\}/g, (_, name) => fields.get(name) ?? ""),
    );
  }
  const used = ["Cflags", "Libs", ...(isStatic ? ["Libs.private"] : [])];
  return used.flatMap((field) => (fields.get(field) ?? "").split(" "));
}

function flags(platform: string, isStatic: boolean): string[] {
  const pkgConfig = Bun.which("pkg-config");
  const lookIn = join(unpacked(platform), "lib/pkgconfig");
  const own = evaluated(join(lookIn, "xmem.pc"), isStatic);
  if (pkgConfig === null) return own;
  const options = ["--cflags", "--libs", ...(isStatic ? ["--static"] : [])];
  const env = { ...process.env, PKG_CONFIG_PATH: lookIn };
  expect(run([pkgConfig, "--modversion", "xmem"], env)).toMatch(/^\d+\.\d+\.\d+\n$/);
  const said = run([pkgConfig, ...options, "xmem"], env)
    .trim()
    .split(/\s+/);
  expect(said).toEqual(own);
  return said;
}

const systemCompiler = Bun.which("cc");
const compiler = systemCompiler === null ? zig("cc") : [systemCompiler];

/** Ten frames of a C producer reach this process. */
async function receive(pool: BufferPool, command: string[], env: Record<string, string>) {
  using frames = pool.channel("frames");
  const child = Bun.spawn(command, { env: { ...process.env, ...env }, stderr: "inherit" });
  let received = 0;
  for await (using frame of frames) {
    expect(frame.meta.sequence).toBe(received++);
    expect(frame.size).toBe(100);
  }
  expect(await child.exited).toBe(0);
  expect(received).toBe(10);
}

beforeAll(async () => {
  await packC(platforms);
  folder = mkdtempSync(join(tmpdir(), "xmem-c-package-"));
  for (const platform of platforms) {
    await new Bun.Archive(await Bun.file(archiveOf(platform)).bytes()).extract(folder);
  }
  // With nothing of the repository beside them.
  cpSync(join(root, "examples/c/producer.c"), join(folder, "producer.c"));
  for (const file of ["c_requests.c", "expect.h"]) {
    cpSync(join(root, "test/programs", file), join(folder, file));
  }
}, 600_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the archive has the header, both libraries, a file for pkg-config and this version", () => {
  const files = readdirSync(unpacked(gnu), { recursive: true, encoding: "utf8" }).sort();
  expect(files.filter((file) => file.includes("."))).toEqual([
    "README.md",
    "include/xmem.h",
    "lib/libxmem.a",
    "lib/libxmem.so",
    "lib/pkgconfig/xmem.pc",
  ]);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect(unpacked(gnu)).toEndWith(`xmem-${version}-c-${gnu}`);
  expect(readFileSync(join(unpacked(gnu), "lib/pkgconfig/xmem.pc"), "utf8")).toContain(
    `\nVersion: ${version}\n`,
  );
});

test("a program linked with the shared library works with a Bun process", async () => {
  run([...compiler, "producer.c", "-o", "shared", ...flags(gnu, false)]);
  await withPool({ capacity: 4, bufferSize: 100 }, (pool, name) =>
    receive(pool, [join(folder, "shared"), name, "10", "100"], {
      LD_LIBRARY_PATH: join(unpacked(gnu), "lib"),
    }),
  );
}, 120_000);

test("a program linked with the static library works with a Bun process", async () => {
  const library = join(unpacked(gnu), "lib");
  // The pinned compiler has no static glibc: only xmem is static then.
  rmSync(join(library, "libxmem.so"));
  expect(existsSync(join(library, "libxmem.a"))).toBe(true);
  const how = systemCompiler === null ? [] : ["-static"];
  run([...compiler, ...how, "producer.c", "-o", "static", ...flags(gnu, true)]);
  await withPool({ capacity: 4, bufferSize: 100 }, (pool, name) =>
    receive(pool, [join(folder, "static"), name, "10", "100"], {}),
  );
}, 120_000);

if (makesLibc) {
  test("a static program of musl runs anywhere", () => {
    const target = cpu === "arm64" ? "aarch64-linux-musl" : "x86_64-linux-musl";
    const how = ["-target", target, "-static", "-std=c99"];
    run([...zig("cc", ...how), "c_requests.c", "-o", "musl", ...flags(musl, true)]);
    const name = `test.c.musl.${process.pid}`;
    expect(run([join(folder, "musl"), "check", name], process.env)).toBe("as expected\n");
  }, 600_000);
}
