// docs/layout.md names the sizes and offsets that zig/format/layout.zig asserts.

import { expect, test } from "bun:test";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const source = await Bun.file(join(root, "zig", "format", "layout.zig")).text();
const document = await Bun.file(join(root, "docs", "layout.md")).text();

/** What the pattern finds, as sorted lines of a name and a number. */
function facts(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), (found) => found.slice(1).join(" ")).sort();
}

test("every asserted size is documented, and no other", () => {
  const asserted = facts(source, /@sizeOf\((\w+)\) == (\d+)/g);
  expect(asserted.length).toBeGreaterThan(5);
  expect(facts(document, /^\| `(\w+)` +\| (\d+) +\|/gm)).toEqual(asserted);
});

test("every asserted offset is documented, and no other", () => {
  const asserted = facts(source, /@offsetOf\((\w+), "(\w+)"\) == (\d+)/g);
  expect(asserted.length).toBeGreaterThan(5);
  expect(facts(document, /^\| `(\w+)\.(\w+)` +\| (\d+) +\|/gm)).toEqual(asserted);
});

test("the documented format version is the current one", () => {
  const current = /version: u32 = (\d+)/.exec(source)?.[1];
  expect(/format version is (\d+)/.exec(document)?.[1]).toBe(current ?? "none");
});
