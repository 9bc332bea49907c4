// Two builds that disagree about the format refuse each other's pools, whatever part of it differs.

import { expect, test } from "bun:test";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, run, targetTriple, zig } from "../scripts/setup.ts";
import { withPool } from "./processes.ts";

const folder = join(root, "build", "other-format");
const file = process.platform === "darwin" ? "libxmem.dylib" : "libxmem.so";

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
  const library = join(folder, file);
  // Without optimisation and without zig/build.zig, which would be compiled again for the copy.
  run(
    zig(
      ...["build-lib", "-dynamic", "-target", targetTriple(), "-mcpu", "baseline", "-lc"],
      ...["--zig-lib-dir", join(root, "node_modules", "@zigc", "lib")],
      ...["--cache-dir", join(root, ".zig-cache"), `-femit-bin=${library}`],
      ...["--dep", "hooks", `-Mroot=${join(folder, "zig", "library.zig")}`],
      `-Mhooks=${join(folder, "zig", "hooks", "none.zig")}`,
    ),
  );
  return library;
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
