// What of the documents goes into the package: what its users need. How the core works, how it is
// checked and how fast each part is stays in the repository, which would otherwise be a third of
// what they install; a link to it becomes its text.

import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { root } from "./setup.ts";

/** For those who work on xmem. */
const internal = [
  ...["architecture", "checking", "layout", "performance", "protocol"],
  // For those who choose, which they have done.
  ...["comparison", "scale"],
].map((name) => join("docs", `${name}.md`));

/** The reference: the package's declarations have the same text. */
const isReference = (path: string): boolean => /^docs\/api(?:-\w+)?\.md$/.test(path);

/** Pictures are larger than what they show; each stands alone between two empty lines. */
const pictures = [join("docs", "benchmarks"), join("docs", "serve.png")];
const shownPicture = /^!\[[^\]]*\]\((?!\w+:)[^)]*\)\n\n/gm;

function isPacked(path: string, copied: readonly string[]): boolean {
  if (internal.includes(path) || isReference(path)) return false;
  if (pictures.some((each) => path.startsWith(each))) return false;
  return copied.some((each) => path === each || path.startsWith(`${each}/`));
}

/** Copies files and folders of the repository into the package's folder. */
export function copyDocuments(copied: readonly string[], folder: string): void {
  for (const top of copied) {
    const filter = (from: string) =>
      statSync(from).isDirectory() || isPacked(relative(root, from), copied);
    cpSync(join(root, top), join(folder, top), { recursive: true, filter });
  }
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  for (const file of files.filter((each) => each.endsWith(".md"))) {
    const text = readFileSync(join(folder, file), "utf8");
    const shown = text.replaceAll(shownPicture, "");
    writeFileSync(join(folder, file), withoutLinks(shown, file, copied));
  }
  const header = join(folder, "include", "xmem.h");
  writeFileSync(header, withoutComments(readFileSync(header, "utf8")));
}

/** The header is the reference, too, and that is in the archives for C. */
function withoutComments(header: string): string {
  const [first = ""] = /^\/\*.*?\*\/\n/s.exec(header) ?? [];
  const rest = header.slice(first.length).replaceAll(/^ *\/\*\*?.*?\*\/\n/gms, "");
  return first + rest.replaceAll(/\n{3,}/g, "\n\n");
}

/** The same text, in which a link to a file that is not packed is only its text. */
function withoutLinks(text: string, file: string, copied: readonly string[]): string {
  return text.replaceAll(/(?<!!)\[([^\]]+)\]\(([^)#\s]+)[^)]*\)/g, (link, said, to) => {
    if (/^[a-z]+:/.test(to)) return link;
    const path = join(dirname(file), to).replace(/\/$/, "");
    return isPacked(path, copied) || copied.includes(path) ? link : said;
  });
}
