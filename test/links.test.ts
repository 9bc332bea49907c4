// Every link of a document leads to a file of the repository and, where it names one, to a heading of
// it, by the anchors that GitHub makes.

import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import GithubSlugger from "github-slugger";

const root = join(import.meta.dir, "..");
const documents = ["*.md", "docs/*.md", "examples/*/*.md", "python/*.md"]
  .flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(root)])
  .sort();

function withoutCode(markdown: string): string {
  return markdown.replace(/^( *)```[\s\S]*?^\1```$/gm, "").replace(/^<!--[\s\S]*?-->$/gm, "");
}

function anchorsOf(path: string): Set<string> {
  const slugger = new GithubSlugger();
  const headings = withoutCode(readFileSync(join(root, path), "utf8")).matchAll(/^#+ (.*)$/gm);
  return new Set(
    Array.from(headings, ([, text = ""]) =>
      slugger.slug(text.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[`\\]/g, "")),
    ),
  );
}

test.each(documents)("the links of %s lead somewhere", (document) => {
  const text = withoutCode(readFileSync(join(root, document), "utf8")).replace(/`[^`\n]*`/g, "");
  const broken = Array.from(
    text.matchAll(/\]\((?!https?:)([^)\s]*)\)/g),
    ([, link = ""]) => link,
  ).filter((link) => {
    const [file = "", anchor] = link.split("#");
    const target = file === "" ? document : normalize(join(dirname(document), file));
    if (!existsSync(join(root, target))) return true;
    return anchor !== undefined && !anchorsOf(target).has(anchor);
  });
  expect(broken).toEqual([]);
});

test("there are documents", () => {
  expect(documents).toContain("docs/guide.md");
});
