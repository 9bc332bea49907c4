// Memory orders are right in pairs or not at all. Each line whose order matters has a comment
// `SYNC:` that ends in "Pairs with `place` ...", where a place is a function: `function` of the
// same file, `file.function`, or `Type.function`. Here both ends of each pair have to exist and to
// name each other, and no access that releases goes without such a comment.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

const folder = join(import.meta.dir, "..", "zig");

/**
 * Files that are not the protocol: the primitives themselves, programs of tests, and code that only
 * tests use.
 */
const exempt = /^build\.zig$|^(hooks|check)\/|^format\/words\.zig$|^system\/testing_os\.zig$/;

interface Place {
  file: string;
  /** The struct around it, if any; the file's own functions have none. */
  type: string | null;
  name: string;
}

interface Comment {
  place: Place;
  line: number;
  /** As written, resolved later: each is one or two names. */
  partners: string[];
}

interface Source {
  file: string;
  functions: Place[];
  comments: Comment[];
  /** Accesses that release, sequentially consistent loads among them, and where they stand. */
  releasing: { place: Place; line: number }[];
}

const indentOf = (line: string): number => line.length - line.trimStart().length;
const isComment = (line: string | undefined): boolean => /^\s*\/\//.test(line ?? "");
const functionIn = (line: string | undefined): string | undefined =>
  /\bfn (\w+)\(/.exec(line ?? "")?.[1];
const shown = ({ file, type, name }: Place): string => [file, type, name].filter(Boolean).join(":");

/** What encloses a line: the nearest line above that matches and is less indented. */
function enclosing(lines: string[], at: number, pattern: RegExp): number {
  let indent = indentOf(lines[at] ?? "");
  for (let above = at - 1; above >= 0; above--) {
    const line = lines[above] ?? "";
    if (line.trim() === "" || indentOf(line) >= indent || /^\s*[)}\]]/.test(line)) continue;
    if (pattern.test(line)) return above;
    indent = indentOf(line);
  }
  return -1;
}

function placeAt(file: string, lines: string[], functionLine: number): Place {
  const name = functionIn(lines[functionLine]);
  if (name === undefined) throw new Error(`${file}:${functionLine + 1}: no function`);
  const around = enclosing(lines, functionLine, /\bconst (\w+) = .*(struct|union|enum)/);
  const type = around < 0 ? null : (/const (\w+) =/.exec(lines[around] ?? "")?.[1] ?? null);
  return { file, type, name };
}

/** Tests stand at the end of the files that they test. */
function withoutTests(text: string): string[] {
  const lines = text.split("\n");
  const tests = lines.findIndex((line) => /^(test |const testing = )/.test(line));
  return tests < 0 ? lines : lines.slice(0, tests);
}

function parse(file: string, text: string): Source {
  const lines = withoutTests(text);
  const source: Source = { file, functions: [], comments: [], releasing: [] };
  const around = (at: number): Place => {
    const found = enclosing(lines, at, /\bfn \w+\(/);
    if (found < 0) throw new Error(`${file}:${at + 1}: stands in no function`);
    return placeAt(file, lines, found);
  };
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    if (isComment(line)) {
      const start = at;
      while (isComment(lines[at + 1])) at++;
      const block = lines.slice(start, at + 1).map((each) => each.replace(/^\s*\/\/[/!]?\s*/, ""));
      const sync = block.join(" ").split("SYNC:").slice(1);
      for (const one of sync) {
        const [, list = ""] = /\b[Pp]airs [^`]*(`.*)/.exec(one) ?? [];
        const partners = [...list.matchAll(/`([\w.]+)`/g)].map(([, name = ""]) => name);
        // Above a function the comment is the function's, elsewhere that of the one around it.
        const own = functionIn(lines[at + 1]) !== undefined;
        const place = own ? placeAt(file, lines, at + 1) : around(start);
        source.comments.push({ place, line: start + 1, partners });
      }
      continue;
    }
    if (functionIn(line) !== undefined) source.functions.push(placeAt(file, lines, at));
    else if (/\.(seq_cst|acq_rel)\b|\.release\)/.test(line)) {
      source.releasing.push({ place: around(at), line: at + 1 });
    }
  }
  return source;
}

/** The functions that a name may mean. `file.function` goes before `Type.function`. */
function resolve(name: string, from: string, sources: Source[]): Place[] {
  const parts = name.split(".");
  const wanted = parts.at(-1) ?? "";
  const owner = parts.at(-2);
  const all = sources.flatMap(({ functions }) => functions).filter((each) => each.name === wanted);
  if (owner === undefined) return all.filter(({ file }) => file === from);
  const ofFile = all.filter(({ file }) => basename(file, ".zig") === owner);
  return ofFile.length > 0 ? ofFile : all.filter(({ type }) => type === owner);
}

/** Everything that is wrong, one line each. */
function faults(files: Record<string, string>): string[] {
  const sources = Object.entries(files).map(([file, text]) => parse(file, text));
  const found: string[] = [];
  const comments = sources.flatMap((source) => source.comments);
  const same = (a: Place, b: Place): boolean => shown(a) === shown(b);
  for (const { place, line, partners } of comments) {
    const where = `${place.file}:${line}`;
    if (partners.length === 0) found.push(`${where}: pairs with nothing`);
    for (const partner of partners) {
      const meant = resolve(partner, place.file, sources);
      if (meant.length !== 1) {
        found.push(`${where}: ${partner} is ${meant.length} functions`);
        continue;
      }
      const back = comments.some(
        (other) =>
          meant.some((each) => same(each, other.place)) &&
          other.partners.some((name) =>
            resolve(name, other.place.file, sources).some((each) => same(each, place)),
          ),
      );
      if (!back) found.push(`${where}: ${partner} does not name ${shown(place)}`);
    }
  }
  for (const { place, line } of sources.flatMap(({ releasing }) => releasing)) {
    if (comments.some((comment) => same(comment.place, place))) continue;
    found.push(`${place.file}:${line}: an access that releases, without SYNC`);
  }
  return found;
}

function core(): Record<string, string> {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const sources = paths.filter((path) => path.endsWith(".zig") && !exempt.test(path));
  return Object.fromEntries(
    sources.map((path) => [path, readFileSync(join(folder, path), "utf8")]),
  );
}

describe("SYNC comments", () => {
  test("each names an existing place that names it back", () => {
    const files = core();
    expect(faults(files)).toEqual([]);
    const count = Object.entries(files).flatMap(
      ([file, text]) => parse(file, text).comments,
    ).length;
    console.log(`${count} SYNC comments in ${Object.keys(files).length} files`);
    expect(count).toBeGreaterThan(40);
  });

  const one = (body: string): string =>
    `pub const Box = struct {\n    pub fn put(box: *Box) void {\n${body}\n    }\n};\n`;
  const other = (body: string): string => `fn get() u32 {\n${body}\n}\n`;
  const store = "        @atomicStore(u32, &box.word, 1, .seq_cst);";
  const load = "    return @atomicLoad(u32, &word, .acquire);";

  test("a good pair passes, by file and by type, in comments of one line and of two", () => {
    const comment = "        // SYNC: the content\n        // comes first. Pairs with `b.get`.";
    const put = `${comment}\n${store}`;
    const get = `    // SYNC: pairs with \`Box.put\`.\n${load}`;
    expect(faults({ "a.zig": one(put), "b.zig": other(get) })).toEqual([]);
  });

  test("a comment above a function is the function's", () => {
    const get = `/// Gets. SYNC: pairs with \`a.put\`.\n${other(load)}`;
    const put = `        // SYNC: pairs with \`b.get\`.\n${store}`;
    expect(faults({ "a.zig": one(put), "b.zig": get })).toEqual([]);
  });

  test("a broken one is rejected", () => {
    const good = `    // SYNC: pairs with \`Box.put\`.\n${load}`;
    const broken = (comment: string): string[] =>
      faults({ "a.zig": one(`        // ${comment}\n${store}`), "b.zig": other(good) });
    expect(broken("SYNC: this orders things.")).toContain("a.zig:3: pairs with nothing");
    expect(broken("SYNC: pairs with `b.got`.")).toContain("a.zig:3: b.got is 0 functions");
    expect(broken("SYNC: pairs with `c.get`.")).toContain("a.zig:3: c.get is 0 functions");
    expect(broken("SYNC: pairs with `put`.")).toContain("b.zig:2: Box.put does not name b.zig:get");
    expect(broken("Sync is a nice word.")).toEqual([
      "b.zig:2: Box.put does not name b.zig:get",
      "a.zig:4: an access that releases, without SYNC",
    ]);
  });

  test("a comment that lost its partner is found in the core itself", () => {
    const files = core();
    const text = files["protocol/waiting/waiter.zig"] ?? "";
    files["protocol/waiting/waiter.zig"] = text.replace(
      "`free_list.link`, `waiting.wakeOne`",
      "`waiting.wakeOne`",
    );
    expect(faults(files)).toEqual([
      expect.stringMatching(/free_list.zig:\d+: waiter.mark does not name .*free_list.zig:link$/),
    ]);
  });
});
