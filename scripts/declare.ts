// Makes the declarations that the package ships: one file with all that src/index.ts exports and
// with the types that those need, and nothing else. The compiler writes a file for each source;
// declarations that no public signature reaches, such as the core's descriptors and pointers, are
// left out here.

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root, run, tool } from "./setup.ts";

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
  /** Names that other packages declare. */
  foreign: string[];
}

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

function read(source: string): Module {
  const module: Module = { statements: new Map(), namespaces: [], foreign: [] };
  for (const text of split(source)) {
    const code = withoutComments(text).trim();
    const imported = /^import (?:type )?(.*) from "(.*)";$/s.exec(code);
    const declared = /^(?:export )?(?:declare )?(?:class|interface|type|const|let|function) (\w+)/;
    if (imported !== null) {
      const [, names = "", from = ""] = imported;
      const namespace = /^\* as (\w+)$/.exec(names)?.[1];
      if (!from.startsWith(".")) module.foreign.push(...(names.match(/\w+/g) ?? []));
      else if (namespace !== undefined) module.namespaces.push(namespace);
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
export function rollUp(sources: ReadonlyMap<string, string>): string {
  const index = sources.get("index") ?? "";
  const exported = [...index.matchAll(/^export (type )?\{(.*?)\} from/gms)].flatMap(
    ([, type = "", names = ""]) =>
      (names.match(/(?:type )?\w+/g) ?? []).map((name) =>
        name.startsWith(type) ? name : type + name,
      ),
  );
  const others = [...sources].filter(([name]) => name !== "index");
  const modules = others.map(([, source]) => read(source));
  const wanted = exported.map((name) => name.replace(/^type /, ""));
  const kept = new Set<string>();
  for (const name of wanted) {
    if (kept.has(name)) continue;
    const home = modules.filter(({ statements }) => statements.has(name));
    if (home.length > 1) throw new Error(`${name} is declared twice`);
    const [module] = home;
    if (module === undefined) continue;
    kept.add(name);
    const found = references(module.statements.get(name)?.code ?? "");
    const foreign = found.filter((each) => module.foreign.includes(each));
    if (foreign.length > 0) throw new Error(`${name} needs ${foreign} of another package`);
    // The loop goes on with these names.
    wanted.push(...found);
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
  return `${header}${body.join("")}export { ${exported.sort().join(", ")} };\n`;
}

/** The declarations of the sources as they are now. */
export function declare(): string {
  const folder = join(root, "dist", "declarations");
  rmSync(folder, { recursive: true, force: true });
  run(tool("typescript/bin/tsc", "--project", "scripts/declarations.tsconfig.json"));
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".d.ts"))
    .sort();
  return rollUp(
    new Map(
      files.map((file) => [file.replace(/\.d\.ts$/, ""), readFileSync(join(folder, file), "utf8")]),
    ),
  );
}

if (import.meta.main) process.stdout.write(declare());
