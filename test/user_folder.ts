// A folder of somebody who uses the package: `xmem` is among its modules, as an install puts it there.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../scripts/setup.ts";

/** Runs `body` in a new folder with `files`, and with `packages` that its user installed besides. */
export async function inUserFolder<Result>(
  files: Readonly<Record<string, string>>,
  body: (folder: string) => Promise<Result>,
  packages: readonly string[] = [],
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "xmem-user-"));
  try {
    const modules = join(folder, "node_modules");
    mkdirSync(modules);
    symlinkSync(root, join(modules, "xmem"));
    for (const name of packages) symlinkSync(join(root, "node_modules", name), join(modules, name));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface Outcome {
  exitCode: number;
  out: string;
  err: string;
}

/** Runs Bun in a folder, to its end. */
export async function runBun(
  folder: string,
  given: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const child = Bun.spawn([process.execPath, ...given], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { exitCode: await child.exited, out, err };
}
