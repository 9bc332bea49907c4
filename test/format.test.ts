// Two builds that disagree about the format refuse each other's pools, whatever part of it differs.

import { expect, test } from "bun:test";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, run, zigBuild } from "../scripts/setup.ts";
import { withPool } from "./processes.ts";

const folder = join(root, "build", "other-format");

/** A library of the same sources, but with two fields of the control word in each other's place. */
function buildWithSwappedFields(): string {
  rmSync(join(folder, "zig"), { recursive: true, force: true });
  cpSync(join(root, "zig"), join(folder, "zig"), { recursive: true });
  const path = join(folder, "zig", "format", "words.zig");
  const text = readFileSync(path, "utf8");
  const swapped = text.replace(
    "    in_flight: u16,\n    references: u16,\n",
    "    references: u16,\n    in_flight: u16,\n",
  );
  expect(swapped).not.toBe(text);
  writeFileSync(path, swapped);
  const original = join(root, "zig", "build.zig");
  const copy = join(folder, "zig", "build.zig");
  run(zigBuild("build/other-format").map((argument) => (argument === original ? copy : argument)));
  return join(folder, process.platform === "darwin" ? "libxmem.dylib" : "libxmem.so");
}

test("a build whose control word has two fields swapped is refused", async () => {
  const library = buildWithSwappedFields();
  await withPool({ capacity: 1, bufferSize: 64 }, (_, name) => {
    const source = `
      import { BufferPool } from ${JSON.stringify(join(root, "src", "index.ts"))};
      try { BufferPool.open(${JSON.stringify(name)}); console.log("opened"); }
      catch (error) { console.log(error.code); }`;
    const opened = (env: Record<string, string>): string =>
      Bun.spawnSync([process.execPath, "-e", source], { env: { ...process.env, ...env } })
        .stdout.toString()
        .trim();
    expect(opened({})).toBe("opened");
    expect(opened({ XMEM_LIBRARY: library })).toBe("VERSION_MISMATCH");
  });
}, 120_000);
