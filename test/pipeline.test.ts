// The example of a pipeline: its result is that of one process which does all by itself.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";

const program = join(import.meta.dir, "../examples/pipeline/pipeline.ts");
const blockSize = 256 * 1024;

function expected(bytes: Uint8Array): string {
  const root = new Bun.CryptoHasher("sha256");
  let count = 0;
  for (let start = 0; start < bytes.length; start += blockSize, count++) {
    const hash = new Bun.CryptoHasher("sha256");
    root.update(hash.update(bytes.subarray(start, start + blockSize)).digest());
  }
  return `${root.digest("hex")}  ${count} blocks\n`;
}

test.each([0, 1, blockSize, 100 * blockSize + 7])("it hashes a file of %d bytes", async (size) => {
  const folder = mkdtempSync(join(tmpdir(), "xmem-pipeline-"));
  try {
    const bytes = new Uint8Array(size);
    for (let start = 0; start < size; start += 65_536) {
      crypto.getRandomValues(bytes.subarray(start, start + 65_536));
    }
    writeFileSync(join(folder, "input"), bytes);
    const child = Bun.spawn([process.execPath, program, join(folder, "input")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    expect(await new Response(child.stdout).text()).toBe(expected(bytes));
    expect(await child.exited).toBe(0);
    expect(BufferPool.list().filter(({ name }) => name === `pipeline-${child.pid}`)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
