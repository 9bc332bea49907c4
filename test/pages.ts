// The programs of a page of the documents: each runs as printed, and prints what the page shows.

import { expect } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "..");

/** The programs of a page that are followed by their output. */
export function programsOf(page: string): { example: string; output: string }[] {
  const text = readFileSync(join(root, page), "utf8");
  const printed = text.matchAll(
    /```ts\n((?:(?!```)[\s\S])*)```(?:(?!```)[\s\S])*```\n([\s\S]*?)```/g,
  );
  return Array.from(printed, ([, example = "", output = ""]) => ({ example, output }));
}

/**
 * `packages` are those that its user installed besides. Of a file of tests the page shows the counts,
 * which `bun test` prints among its times.
 */
export async function expectPrinted(
  example: string,
  output: string,
  options: { env?: Record<string, string>; packages?: string[] } = {},
): Promise<void> {
  const { env = {}, packages = [] } = options;
  const folder = mkdtempSync(join(tmpdir(), "xmem-readme-"));
  try {
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules", "xmem"));
    for (const name of packages) {
      symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
    }
    const isSuite = example.includes('from "bun:test"');
    const file = isSuite ? "./example.test.ts" : "example.ts";
    writeFileSync(join(folder, file), example);
    const command = [process.execPath, ...(isSuite ? ["test"] : []), file];
    const child = Bun.spawn(command, {
      cwd: folder,
      env: { ...process.env, ...env },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    expect(await child.exited, err).toBe(0);
    if (isSuite) expect(err).toContain(output);
    else expect(out).toBe(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
