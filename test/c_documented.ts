// The codes that include/xmem.h says each function of the interface for C can return.

import { readFileSync } from "node:fs";
import { join } from "node:path";

const header = readFileSync(join(import.meta.dir, "../include/xmem.h"), "utf8");

/** A function's comment after "@return 0, or", in one line. */
function returnsOf(): Map<string, string> {
  const found = new Map<string, string>();
  const functions = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nint32_t (xmem_\w+)\(/g;
  for (const [, comment = "", name = ""] of header.matchAll(functions)) {
    const text = comment.replaceAll(/\n \*\s*/g, " ");
    const [, codes] = text.split("@return 0, or");
    if (codes !== undefined) found.set(name, codes);
  }
  return found;
}

const returns = returnsOf();
const codesIn = (text: string): string[] => text.match(/XMEM_(?!FOREVER|LIMIT)[A-Z_]+/g) ?? [];

/** What stands before a colon is said there, or said to be as at another function. */
const said = /((?:XMEM_[A-Z_]+, )*XMEM_[A-Z_]+): (as in `(xmem_\w+)`)?/g;
const otherwise = /Otherwise as `(xmem_\w+)`(?: and `(xmem_\w+)`)?(?:, without ([^.:]*)[.:])?/;

/** Mistakes: a code is said to be as at a function that does not name it. */
export const mistaken: string[] = [];

function read(name: string): Set<string> {
  const text = returns.get(name);
  if (text === undefined) throw new Error(`${name} is no function that fails`);
  const codes = new Set<string>();
  for (const [, list = "", , other] of text.replace(otherwise, "").matchAll(said)) {
    for (const code of codesIn(list)) {
      codes.add(code);
      if (other !== undefined && !read(other).has(code)) {
        mistaken.push(`${name} has ${code} as ${other}, which does not have it`);
      }
    }
  }
  const [, one, two, without = ""] = otherwise.exec(text) ?? [];
  const left = new Set(codesIn(without));
  for (const other of [one, two]) {
    if (other === undefined) continue;
    for (const code of read(other)) if (!left.has(code)) codes.add(code);
  }
  return codes;
}

/** By function; without the functions that cannot fail. */
export const documentedInC: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  [...returns.keys()].map((name) => [name, read(name)]),
);
