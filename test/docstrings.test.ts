// Everything that a user can name is described in the declarations that the package ships, which an
// editor shows.

import { expect, test } from "bun:test";
import { declareAll } from "../scripts/declare.ts";
import { XmemError } from "../src/index.ts";
import { undocumented } from "./check_documented.ts";
import { everyDocumented, isDocumented, tried } from "./documented.ts";

const all = declareAll();
const declarations = Object.values(all).join("");

/** The comment that ends right before a place, without its stars. */
function commentBefore(place: number): string {
  const [comment = ""] =
    /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*$/.exec(declarations.slice(0, place)) ?? [];
  return comment.replace(/^\s*\/\*\*|\*\/\s*$|^\s*\* ?/gm, "").trim();
}

const anyMember = /^ +(?:(?:static|readonly|get|set|private) )*(\w+|\[Symbol\.dispose\])\??[:(<]/gm;
const ownMember = new RegExp(anyMember.source.replace("^ +", "^ {4}"), "gm");

/**
 * What a user can name: a class, a type, and each of their members, except those that the language
 * adds.
 */
function* named(): Generator<{ name: string; comment: string }> {
  const exported: string[] = /^export \{(.*)\};$/m.exec(declarations)?.[1]?.match(/\w+/g) ?? [];
  const blocks = /^(?:declare )?(?:class|interface|type) (\w+)[\s\S]*?^(?=\S)(?![}/ ])/gm;
  for (const { 0: block, 1: owner = "", index } of `${declarations}\n`.matchAll(blocks)) {
    if (!exported.includes(owner)) continue;
    yield { name: owner, comment: commentBefore(index) };
    if (/^type /.test(block)) continue;
    const seen = new Set<string>(["constructor"]);
    // Nested members, too; but the members of a parameter's own type are described by its function.
    const members = /^interface/.test(block) ? anyMember : ownMember;
    for (const { 0: member, 1: name = "", index: at } of block.matchAll(members)) {
      // Overloads, and a getter with its setter, are described once, at the first of them.
      if (seen.has(name) || member.includes("private ")) continue;
      seen.add(name);
      const start = index + at;
      if (!isInComment(start)) yield { name: `${owner}.${name}`, comment: commentBefore(start) };
    }
  }
}

function isInComment(place: number): boolean {
  const before = declarations.slice(0, place);
  return before.lastIndexOf("/**") > before.lastIndexOf("*/");
}

test("everything that a user can name has a docstring of at least a sentence", () => {
  const all = [...named()];
  expect(all.length).toBeGreaterThan(120);
  const bare = all.filter(({ comment }) => !/^[A-Z"`0-9][\s\S]+[.:]/.test(comment));
  expect(bare.map(({ name }) => name)).toEqual([]);
});

test("docstrings name only codes that exist, each with what it means there", () => {
  const codes = new Set(
    declarations.match(/(?<=\| |= |\*\/\n)"[A-Z_]+"/g)?.map((code) => code.slice(1, -1)),
  );
  expect(codes.size).toBeGreaterThan(20);
  const wrong: string[] = [];
  for (const [, line = ""] of declarations.matchAll(/@throws (.*)/g)) {
    const [, code = ""] = /^(\w+): \S.{9,}/.exec(line) ?? [];
    if (!codes.has(code)) wrong.push(line);
  }
  expect(wrong).toEqual([]);
});

test("a guard that is only read throws what its docstrings in both types say", () => {
  const throwsOf = (owner: string, name: string): string[] => {
    const all = [...named()].find((each) => each.name === `${owner}.${name}`);
    return [...(all?.comment.matchAll(/@throws (\w+)/g) ?? [])].map(([, code]) => code as string);
  };
  const members = [...named()].filter(({ name }) => name.startsWith("ReadGuard."));
  expect(members.length).toBeGreaterThan(8);
  for (const { name } of members) {
    const [, member = ""] = name.split(".");
    expect([member, throwsOf("ReadGuard", member)]).toEqual([
      member,
      throwsOf("BufferGuard", member),
    ]);
  }
});

test("an error whose code its function's docstring does not name is noticed", () => {
  // Nothing throws it: making it is enough.
  const found = undocumented.length;
  Error.captureStackTrace(new XmemError("POOL_FULL", "acquire() on pool: a made-up failure"));
  expect(undocumented.length).toBe(found);
  Error.captureStackTrace(new XmemError("POOL_EXISTS", "acquire() on pool: a made-up failure"));
  expect(undocumented.splice(found)).toEqual([
    "the docstring of acquire() does not name POOL_EXISTS: acquire() on pool: a made-up failure",
  ]);
});

test("the errors of every public function are looked at", () => {
  const methods = [...everyDocumented().keys()];
  for (const name of ["acquire()", "BufferPool.open()", "stats()", "bytes", "meta.dtype"]) {
    expect(methods).toContain(name);
  }
  expect(tried(`setting meta.shape of buffer 1: ...`)).toBe("meta.shape");
  expect(isDocumented("acquire()", "POOL_FULL")).toBe(true);
});
