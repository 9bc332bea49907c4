// The codes that each public function's docstring names, read from the sources. A docstring names
// a code in a line of its own: `@throws CODE: what it means there`.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const sources = join(import.meta.dir, "..", "src");

/** How messages name the members of a class, by the member's kind. */
const prefixes: Record<string, { fixed: string; own: string }> = {
  BufferPool: { fixed: "BufferPool.", own: "" },
  BufferGuard: { fixed: "BufferGuard.", own: "" },
  Channel: { fixed: "Channel.", own: "" },
  FrameSource: { fixed: "FrameSource.", own: "" },
  FrameSink: { fixed: "FrameSink.", own: "" },
  BufferMeta: { fixed: "BufferMeta.", own: "meta." },
};

interface Documented {
  /** Of which class: two have a `release()`. */
  owner: string;
  codes: string[];
}

/** A function or an accessor of a class, with its docstring where it has one. */
const member =
  /(?:^ {2}\/\*\*(?<text>(?:(?!\*\/)[\s\S])*)\*\/\n)?^ {2}(?<words>(?:(?:static|async|get|set) )*)\*?(?<name>[a-z]\w*)[(<]/gm;

function codesIn(docstring: string): string[] {
  return [...docstring.matchAll(/^ *\*? *@throws (\w+):/gm)].map(([, code]) => code as string);
}

/** By the name with which messages begin: `acquire()`, `BufferPool.open()`, `bytes`, `meta.shape`. */
function read(): Map<string, Documented[]> {
  const found = new Map<string, Documented[]>();
  for (const file of readdirSync(sources, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    const text = readFileSync(join(sources, file), "utf8");
    const classes = text.matchAll(/^export class (\w+)[\s\S]*?^\}/gm);
    for (const [body, owner = ""] of classes) {
      const prefix = prefixes[owner];
      if (prefix === undefined) continue;
      for (const { groups = {} } of body.matchAll(member)) {
        const { text: docstring = "", words = "", name = "" } = groups;
        if (name === "constructor") continue;
        const accessor = /\b[gs]et /.test(words);
        const start = words.includes("static ") ? prefix.fixed : prefix.own;
        const key = `${start}${name}${accessor ? "" : "()"}`;
        const codes = codesIn(docstring);
        found.set(key, [...(found.get(key) ?? []), { owner, codes }]);
      }
    }
  }
  return found;
}

const documented = read();

/** The function that a message speaks of; a setter shares its getter's docstring. */
export function tried(message: string): string | undefined {
  const name = /^(?:setting )?([\w.]+(?:\(\))?)/.exec(message)?.[1] ?? "";
  return documented.has(name) ? name : undefined;
}

/** Whether a public function's docstring names the code; two functions of one name share them. */
export function isDocumented(name: string, code: string): boolean {
  return (documented.get(name) ?? []).some(({ codes }) => codes.includes(code));
}

export function everyDocumented(): ReadonlyMap<string, readonly Documented[]> {
  return documented;
}
