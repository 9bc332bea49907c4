// Checks that the checkers' hooks cost nothing in the library that is shipped: it is the same, byte
// for byte, as one that has only the bare instructions in place of the hooks.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, runRecorded, zigBuild } from "./setup.ts";

const file = process.platform === "darwin" ? "libxmem.dylib" : "libxmem.so";

/** The library with these hooks; null when it could not be built. */
async function libraryWith(hook: string): Promise<Buffer | null> {
  const prefix = `build/hooks-${hook}`;
  const { ok } = await runRecorded(zigBuild(prefix, `-Dhook=${hook}`));
  return ok ? readFileSync(join(root, prefix, file)) : null;
}

export async function isUnhooked(): Promise<boolean> {
  const shipped = await libraryWith("none");
  const bare = await libraryWith("bare");
  // This library must differ, or the comparison would prove nothing.
  const crash = await libraryWith("crash");
  if (shipped === null || bare === null || crash === null) return false;
  const same = shipped.equals(bare);
  const other = shipped.equals(crash);
  if (!same) console.error("the library differs from one of the bare instructions");
  if (other) console.error("the library is the same as one that is built for crash points");
  return same && !other;
}
