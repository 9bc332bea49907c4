// The package as a user gets it, made once for all tests of a file that look at it. Each file has a
// folder of its own, because files run side by side. A release gives the tests the tarball that it has
// just made, in XMEM_TARBALL.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack } from "../scripts/pack.ts";

let made: Promise<string> | undefined;

/** The tarball's path. The first call builds for every platform, which can take minutes. */
export function tarball(): Promise<string> {
  made ??= packed();
  return made;
}

function packed(): Promise<string> {
  const given = process.env["XMEM_TARBALL"];
  if (given) return Promise.resolve(given);
  const folder = mkdtempSync(join(tmpdir(), "xmem-packed-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return pack(folder);
}
