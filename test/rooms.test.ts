// The house's rules: what each room of the core and of the interface may import.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const root = join(import.meta.dir, "..");

/** The rooms of the core, from the lowest: each may import itself and those before it. */
const storeys = [
  /^errors\.zig$/,
  /^system\//,
  /^format\//,
  /^protocol\/\w+\.zig$/,
  /^protocol\/recovery\//,
  /^protocol\/pool\//,
  /^protocol\/channel\//,
  /^process\//,
  /^abi\//,
];

function storeyOf(file: string): number {
  return storeys.findIndex((storey) => storey.test(file));
}

type Files = Record<string, string>;

function filesOf(folder: string, ending: string): Files {
  const files: Files = {};
  for (const entry of readdirSync(join(root, folder), { recursive: true })) {
    const file = String(entry);
    if (file.endsWith(ending)) files[file] = readFileSync(join(root, folder, file), "utf8");
  }
  return files;
}

/** What each file imports: files by their path in the folder, modules by their name. */
function importsOf(file: string, text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, name = ""]) => {
    if (!name.startsWith(".") && !name.endsWith(".zig")) return name;
    return normalize(join(dirname(file), name));
  });
}

const zigImport = /@import\("([^"]+)"\)/g;
const tsImport = /(?:from|import\(|^import) ?"([^"]+)"/gm;

/** Each import of the core that goes up, or out of its house. */
function zigFaults(files: Files): string[] {
  return Object.entries(files).flatMap(([file, text]) => {
    const faults: string[] = [];
    for (const imported of importsOf(file, text, zigImport)) {
      const fault = `${file} imports ${imported}`;
      const isFile = imported.endsWith(".zig");
      if (file.startsWith("hooks/")) {
        if (isFile && !imported.startsWith("hooks/")) faults.push(fault);
      } else if (file.startsWith("check/")) {
        // A checker reaches the core by the module's name, and only so.
        if (isFile && !imported.startsWith("check/")) faults.push(fault);
      } else if (file.startsWith("abi/generate")) {
        // The generator likewise.
        if (isFile && !imported.startsWith("abi/generate/")) faults.push(fault);
      } else if (storeyOf(file) >= 0) {
        const known = ["std", "builtin", "hooks"];
        const ok = isFile
          ? storeyOf(imported) >= 0 && storeyOf(imported) <= storeyOf(file)
          : known.includes(imported);
        if (!ok) faults.push(fault);
      }
    }
    return faults;
  });
}

/** Only the files named may know the foreign function interface. */
function tsFaults(files: Files, knowing: readonly string[]): string[] {
  return Object.entries(files).flatMap(([file, text]) =>
    importsOf(file, text, tsImport)
      .filter((imported) => imported === "bun:ffi" && !knowing.includes(file))
      .map((imported) => `${file} imports ${imported}`),
  );
}

test("the core's rooms import downwards only, and nobody imports a checker", () => {
  const files = filesOf("zig", ".zig");
  expect(Object.keys(files).length).toBeGreaterThan(30);
  expect(zigFaults(files)).toEqual([]);
});

test("every file of the core stands in a room", () => {
  const roots = ["build.zig", "library.zig", "tests.zig", "core.zig"];
  const homeless = Object.keys(filesOf("zig", ".zig")).filter(
    (file) =>
      storeyOf(file) < 0 &&
      !file.startsWith("hooks/") &&
      !file.startsWith("check/") &&
      !roots.includes(file),
  );
  expect(homeless).toEqual([]);
});

test("an import that goes up, into a checker or out of a module is found", () => {
  const planted = {
    "format/words.zig": 'const a = @import("../protocol/pool/acquire.zig");',
    "protocol/recovery/recovery.zig": 'const a = @import("../pool/acquire.zig");',
    "protocol/pool/acquire.zig": 'const a = @import("../../process/open.zig");',
    "process/open.zig": 'const a = @import("../check/stress.zig");',
    "abi/bun.zig": 'const a = @import("core");',
    "check/stress.zig": 'const a = @import("../abi/bun.zig");',
    "hooks/explored.zig": 'const a = @import("../check/explorer/access.zig");',
  };
  expect(zigFaults(planted).length).toBe(Object.keys(planted).length);
  const pool = { "pool.ts": 'import { dlopen } from "bun:ffi";' };
  expect(tsFaults(pool, ["native.ts"])).toEqual(["pool.ts imports bun:ffi"]);
});

test("only the native side of the interface imports bun:ffi", () => {
  const files = filesOf("src", ".ts");
  expect(tsFaults(files, ["native.ts", "abi.gen.ts"])).toEqual([]);
});
