// Checks that the packages depend on the sources alone: made again in another folder, from nothing,
// they are the same, byte for byte.

import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { platforms } from "../src/native/library.ts";
import { pack } from "./pack.ts";
import { packC } from "./pack_c.ts";
import { root, runRecorded } from "./setup.ts";
import { packWheels } from "./wheels.ts";

/** What is made from the sources, or is not theirs. */
const made = [".git", ".zig-cache", "build", "dist", "node_modules"];

function packages(folder: string): string[] {
  const files = readdirSync(join(folder, "dist"), { recursive: true, encoding: "utf8" });
  return files.filter((file) => /\.(?:tgz|tar\.gz|whl)$/.test(file)).sort();
}

export async function isReproducible(): Promise<boolean> {
  await pack();
  await packC(platforms);
  packWheels();
  const copy = mkdtempSync(join(tmpdir(), "xmem-reproducible-"));
  try {
    cpSync(root, copy, { recursive: true, filter: (from) => !made.includes(relative(root, from)) });
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    const packing = [process.execPath, join(copy, "scripts", "pack.ts")];
    if (!(await runRecorded(packing, { cwd: copy })).ok) return false;
    const files = packages(copy);
    const differing = files.filter((file) => {
      const path = join("dist", file);
      const here = join(root, path);
      return !existsSync(here) || !readFileSync(here).equals(readFileSync(join(copy, path)));
    });
    for (const file of differing) console.error(`${file} is not the same when it is made again`);
    return files.length > 0 && differing.length === 0;
  } finally {
    rmSync(copy, { recursive: true });
  }
}

if (import.meta.main) process.exit((await isReproducible()) ? 0 : 1);
