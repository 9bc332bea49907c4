// The README's first example and the programs of docs/channels.md and docs/media.md run as printed, and
// print what the page says.

import { expect, test } from "bun:test";
import { expectPrinted, programsOf } from "./pages.ts";

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
