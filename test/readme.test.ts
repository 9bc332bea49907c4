// The README's first example and the programs of docs/channels.md and docs/media.md run as printed, and
// print what the page says.

import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "..");

/** The programs of a page that are followed by their output. */
function programsOf(page: string): { example: string; output: string }[] {
  const text = readFileSync(join(root, page), "utf8");
  const printed = text.matchAll(
    /```ts\n((?:(?!```)[\s\S])*)```(?:(?!```)[\s\S])*```\n([\s\S]*?)```/g,
  );
  return Array.from(printed, ([, example = "", output = ""]) => ({ example, output }));
}

async function expectPrinted(example: string, output: string): Promise<void> {
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
}

test("the README's example prints the output that the README shows", async () => {
  const [first] = programsOf("README.md");
  expect(first?.example).toContain("import");
  await expectPrinted(first?.example ?? "", first?.output ?? "");
});

test.each([
  ["channels", 4],
  ["media", 3],
])("each program of the page about %s prints what the page shows", async (page, least) => {
  const all = programsOf(`docs/${page}.md`);
  expect(all.length).toBeGreaterThanOrEqual(least);
  for (const { example, output } of all) await expectPrinted(example, output);
});
