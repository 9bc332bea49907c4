// The README's first example runs as printed, and prints what the README says.

import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "..");

test("the README's example prints the output that the README shows", async () => {
  const readme = await Bun.file(join(root, "README.md")).text();
  const printed = /```ts\n([\s\S]*?)```[\s\S]*?```\n([\s\S]*?)```/.exec(readme);
  const [, example = "", output = ""] = printed ?? [];
  expect(example).not.toBe("");
  const folder = mkdtempSync(join(tmpdir(), "xmem-readme-"));
  try {
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules", "xmem"));
    writeFileSync(join(folder, "example.ts"), example);
    const command = [process.execPath, "example.ts"];
    const child = Bun.spawn(command, { cwd: folder, stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    expect(await child.exited, err).toBe(0);
    expect(out).toBe(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
