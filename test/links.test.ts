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

/** The links of a document within the repository, as they are written. */
function linksOf(document: string): string[] {
  const text = withoutCode(readFileSync(join(root, document), "utf8")).replace(/`[^`\n]*`/g, "");
  return Array.from(text.matchAll(/\]\((?!https?:)([^)\s]*)\)/g), ([, link = ""]) => link);
}

function targetOf(document: string, link: string): string {
  const [file = ""] = link.split("#");
  return file === "" ? document : normalize(join(dirname(document), file));
}

test.each(documents)("the links of %s lead somewhere", (document) => {
  const broken = linksOf(document).filter((link) => {
    const target = targetOf(document, link);
    const [, anchor] = link.split("#");
    if (!existsSync(join(root, target))) return true;
    return anchor !== undefined && !anchorsOf(target).has(anchor);
  });
  expect(broken).toEqual([]);
});

test("every page of docs/ is reached from the README", () => {
  const reached = new Set(["README.md"]);
  for (const document of reached) {
    for (const link of linksOf(document)) {
      const target = targetOf(document, link);
      if (documents.includes(target)) reached.add(target);
    }
  }
  const pages = documents.filter((document) => document.startsWith("docs/"));
  expect(pages.length).toBeGreaterThan(10);
  expect(pages.filter((page) => !reached.has(page))).toEqual([]);
});
