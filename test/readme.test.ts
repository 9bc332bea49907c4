// The README's first example and the programs of the pages about channels, media and of the guide run as
// printed, and print what the page says.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expectPrinted, programsOf } from "./pages.ts";

test("the README's example prints the output that the README shows", async () => {
  const [first] = programsOf("README.md");
  expect(first?.example).toContain("import");
  await expectPrinted(first?.example ?? "", first?.output ?? "");
});

for (const [page, least] of [
  ["channels", 4],
  ["guide", 10],
  ["media", 3],
] as const) {
  const all = programsOf(`docs/${page}.md`);
  test(`docs/${page}.md has programs`, () => expect(all.length).toBeGreaterThanOrEqual(least));
  for (const [index, { example, output }] of all.entries()) {
    test(
      `program ${index + 1} of docs/${page}.md prints what the page shows`,
      () => expectPrinted(example, output),
      60_000,
    );
  }
}

test("the guide's table says of each way whether it copies, as Bun does it", async () => {
  const root = join(import.meta.dir, "..");
  const guide = readFileSync(join(root, "docs/guide.md"), "utf8");
  const table = guide.matchAll(/^\| (`.*?)\s*\| (the same|copied)\s*\|/gm);
  const written = Array.from(table, ([, way = "", bytes]) => [way.replaceAll("`", ""), bytes]);
  const command = [process.execPath, "bench/copies.ts", "--brief", "--json"];
  const child = Bun.spawn(command, { cwd: root, env: process.env, stderr: "inherit" });
  const found = (await child.stdout.json()) as { way: string; sees: string }[];
  expect(await child.exited).toBe(0);
  const copies: Record<string, string> = { new: "the same", old: "copied" };
  const seen = found.slice(1).filter(({ sees }) => sees !== "");
  expect(written).toEqual(seen.map(({ way, sees }) => [way, copies[sees]]));
});
