// Folders of pools: XMEM_DIR leads to another one for as long as a test needs that.

import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Sets XMEM_DIR to `folder`, for this process and its children; `using` puts it back. */
export function poolsIn(folder: string): Disposable {
  const before = process.env["XMEM_DIR"];
  process.env["XMEM_DIR"] = folder;
  return {
    [Symbol.dispose]() {
      if (before === undefined) delete process.env["XMEM_DIR"];
      else process.env["XMEM_DIR"] = before;
    },
  };
}

/** Runs `body` with XMEM_DIR set to a new folder of the same file system, which goes afterwards. */
export async function inPoolFolder(body: (dir: string) => unknown, mode = 0o700): Promise<void> {
  const dir = mkdtempSync(join(process.env["XMEM_DIR"] ?? "/dev/shm", "xmem-folder-"));
  chmodSync(dir, mode);
  try {
    using _ = poolsIn(dir);
    await body(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
