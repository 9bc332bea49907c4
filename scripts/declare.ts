// Makes the declarations that the package ships: one file with all that src/index.ts exports and
// with the types that those need, and nothing else. The compiler writes a file for each source;
// declarations that no public signature reaches, such as the core's descriptors and pointers, are
// left out here.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, tool } from "./setup.ts";

/**
 * Types that a program's `lib` may lack. Bun has all of them, whatever `lib` says. An AbortSignal
 * comes from Bun's types, Node's or the DOM's; an empty interface adds nothing to theirs.
 */
const header = `/// <reference lib="esnext.disposable" />
/// <reference lib="esnext.float16" />
declare global {
    interface AbortSignal {
    }
}
`;

/** A declaration at the top of a file, with the comment before it. */
interface Statement {
  text: string;
  /** The same without comments. */
  code: string;
}

interface Module {
  statements: Map<string, Statement>;
  /** `import * as name` of another source: the prefix goes, since all becomes one file. */
  namespaces: string[];
  /** Names that other packages declare, with the package's. */
  foreign: Map<string, string>;
}

/** What one file of declarations is made of. */
export interface Part {
  /** The source whose exports it has. */
  index: string;
  /** Whether a source belongs to it. */
  has(source: string): boolean;
  /** Packages, and files beside it, whose names it may import. */
  imports: Readonly<Record<string, string>>;
}

const ofBridge = (source: string): boolean => source.startsWith("bridge/");
const ofPark = (source: string): boolean => source.startsWith("park/");
const ofTesting = (source: string): boolean => source.startsWith("testing/");

/** The library itself, which needs no other package's types. */
const library: Part = {
  index: "index",
  has: (source) => !ofBridge(source) && !ofPark(source) && !ofTesting(source),
  imports: {},
};

/** xmem/bridge, on the library and on the client of NATS. */
const bridge: Part = {
  index: "bridge/index",
  has: ofBridge,
  imports: { "../index.ts": "./xmem.js", "@nats-io/transport-node": "@nats-io/transport-node" },
};

/** xmem/park, on the library. */
const park: Part = { index: "park/index", has: ofPark, imports: { "../index.ts": "./xmem.js" } };

/** xmem/test, on the library. */
const testing: Part = {
  index: "testing/index",
  has: ofTesting,
  imports: { "../index.ts": "./xmem.js" },
};

/**
 * The statements of a file as the compiler writes it: no continuation begins a line, except the
 * comments of a union's members.
 */
function split(source: string): string[] {
  const pieces = source.split(/^(?=\/\*\*|export |declare |import |type |interface )/m);
  const statements: string[] = [];
  let comment = "";
  for (const piece of pieces) {
    const last = statements.at(-1);
    if (last !== undefined && !/[;}]\s*$/.test(last)) statements.push(statements.pop() + piece);
    else if (piece.startsWith("/**")) comment = piece;
    else {
      statements.push(comment + piece);
      comment = "";
    }
  }
  return statements;
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "");
}

function read(source: string, imports: Part["imports"]): Module {
  const module: Module = { statements: new Map(), namespaces: [], foreign: new Map() };
  for (const text of split(source)) {
    const code = withoutComments(text).trim();
    const imported = /^import (?:type )?(.*) from "(.*)";$/s.exec(code);
    const declared = /^(?:export )?(?:declare )?(?:class|interface|type|const|let|function) (\w+)/;
    if (imported !== null) {
      const [, names = "", from = ""] = imported;
      const namespace = /^\* as (\w+)$/.exec(names)?.[1];
      if (!from.startsWith(".") || from in imports) {
        for (const name of names.match(/\b(?!type\b)\w+/g) ?? []) module.foreign.set(name, from);
      } else if (namespace !== undefined) module.namespaces.push(namespace);
      if (/ as /.test(names) && namespace === undefined) throw new Error(`renamed: ${code}`);
    } else {
      const name = declared.exec(code)?.[1];
      // Overloads of a function are statements of one name; none is public.
      if (name !== undefined) module.statements.set(name, { text, code });
      else if (code !== "" && code !== "export {};") throw new Error(`not understood: ${code}`);
    }
  }
  return module;
}

/** The names that a declaration refers to: types begin with a capital, values come after typeof. */
function references(code: string): string[] {
  return [...code.matchAll(/\b[A-Z]\w*|(?<=\btypeof )\w+/g)].map(([name]) => name);
}

/** One file of declarations, from what the compiler wrote for each source. */
export function rollUp(
  sources: ReadonlyMap<string, string>,
  { index: indexName, has, imports }: Part = library,
): string {
  const index = sources.get(indexName) ?? "";
  const exported = [...index.matchAll(/^export (type )?\{(.*?)\} from/gms)].flatMap(
    ([, type = "", names = ""]) =>
      (names.match(/(?:type )?\w+/g) ?? []).map((name) =>
        name.startsWith(type) ? name : type + name,
      ),
  );
  const others = [...sources].filter(([name]) => name !== indexName && has(name));
  const modules = others.map(([, source]) => read(source, imports));
  const wanted = exported.map((name) => name.replace(/^type /, ""));
  const kept = new Set<string>();
  const imported = new Map<string, Set<string>>();
  for (const name of wanted) {
    if (kept.has(name)) continue;
    const home = modules.filter(({ statements }) => statements.has(name));
    if (home.length > 1) throw new Error(`${name} is declared twice`);
    const [module] = home;
    if (module === undefined) continue;
    kept.add(name);
    const found = references(module.statements.get(name)?.code ?? "");
    for (const each of found) {
      const from = module.foreign.get(each);
      const to = from === undefined ? undefined : imports[from];
      if (from === undefined)
        wanted.push(each); // The loop goes on with it.
      else if (to === undefined) throw new Error(`${name} needs ${each} of another package`);
      else imported.set(to, (imported.get(to) ?? new Set()).add(each));
    }
  }
  const body = modules.flatMap(({ statements, namespaces }) =>
    [...statements]
      .filter(([name]) => kept.has(name))
      .map(([, { text }]) => {
        const alone = text.replace(/^export (?:declare )?(?=class|const|function)/m, "declare ");
        const prefixes = new RegExp(`\\b(?:${namespaces.join("|") || "(?!)"})\\.(?=[A-Z])`, "g");
        return alone.replace(/^export /m, "").replace(prefixes, "");
      }),
  );
  const first = [...imported].map(
    ([from, names]) => `import type { ${[...names].sort().join(", ")} } from "${from}";\n`,
  );
  const parts = [header, ...first, ...body];
  return `${parts.join("")}export { ${exported.sort().join(", ")} };\n`;
}

/** The declarations of the sources as they are now: the library's, and those of each sub-path. */
export function declareAll(): { library: string; bridge: string; park: string; testing: string } {
  // One of its own, because several tests declare at a time.
  const folder = mkdtempSync(join(tmpdir(), "xmem-declarations-"));
  const project = ["--project", "scripts/declarations.tsconfig.json", "--outDir", folder];
  run(tool("typescript/bin/tsc", ...project));
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".d.ts"))
    .sort();
  const sources = new Map(
    files.map((file) => [file.replace(/\.d\.ts$/, ""), readFileSync(join(folder, file), "utf8")]),
  );
  rmSync(folder, { recursive: true });
  return {
    library: rollUp(sources),
    bridge: rollUp(sources, bridge),
    park: rollUp(sources, park),
    testing: rollUp(sources, testing),
  };
}

if (import.meta.main) {
  const all = declareAll();
  process.stdout.write(Object.values(all).join(""));
}
