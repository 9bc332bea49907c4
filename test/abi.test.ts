// The files that are generated from the core agree with the loaded library.

import { dlopen } from "bun:ffi";
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { coreFilesAreCurrent } from "../scripts/generate.ts";
import { root } from "../scripts/setup.ts";
import { type Native, symbols } from "../src/generated/abi.gen.ts";
import { errorNumbers } from "../src/generated/error_codes.gen.ts";
import { libraryPath } from "../src/native/library.ts";
import { native } from "../src/native/native.ts";

const header = readFileSync(join(root, "include", "xmem.h"), "utf8");

/** Functions that the header declares. */
function declared(): string[] {
  const prototype = /^(?:const )?\w+ \*?(xmem_\w+)\(.*\);$/gm;
  return Array.from(header.matchAll(prototype), ([, name = ""]) => name);
}

/** Names in the library's table of strings that are not the end of a longer one. */
function exported(): string[] {
  const bytes = readFileSync(libraryPath(), "latin1");
  return [...new Set(Array.from(bytes.matchAll(/\0(xmem_\w+)(?=\0)/g), ([, name = ""]) => name))];
}

test("the files that are generated from the core are current", async () => {
  expect(await coreFilesAreCurrent()).toBe(true);
}, 300_000);

test("the library has each function of the header and of Bun's table, and no others", () => {
  const names = [...declared(), ...Object.keys(symbols)];
  expect(declared().length).toBeGreaterThan(30);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) {
    const found = dlopen(libraryPath(), { [name]: { args: [], returns: "void" } });
    expect(Object.keys(found.symbols)).toEqual([name]);
  }
  // A checker's build has functions of its hooks.
  const hooks = ["xmem_crash_arm", "xmem_stop_arm", "xmem_crash_steps"];
  expect(exported().filter((name) => !names.includes(name) && !hooks.includes(name))).toEqual([]);
});

test("every function of Bun's table can be called", () => {
  for (const name of Object.keys(symbols) as (keyof Native)[]) {
    expect(typeof native[name]).toBe("function");
  }
});

test("the header's codes are those of TypeScript", () => {
  const codes = Array.from(header.matchAll(/^ {4}XMEM_(\w+) = -(\d+),$/gm), ([, name, number]) => [
    name ?? "",
    Number(number),
  ]);
  expect(Object.fromEntries(codes)).toEqual(errorNumbers);
});
