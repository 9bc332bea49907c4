// Each folder of the core and of the interface is a layer, and imports only downwards.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const root = join(import.meta.dir, "..");

/** The layers of the core, from the lowest: each may import itself and those before it. */
const coreLayers = [
  /^errors\.zig$/,
  /^system\//,
  /^format\//,
  /^protocol\/\w+\.zig$/,
  /^protocol\/recovery\//,
  /^protocol\/waiting\//,
  /^protocol\/pool\//,
  /^protocol\/channel\//,
  /^process\//,
  /^abi\//,
];

function coreLayerOf(file: string): number {
  return coreLayers.findIndex((layer) => layer.test(file));
}

/** The one look upwards: a recovery has a list of what it mends. */
function isListedSection(file: string, imported: string): boolean {
  return (
    file === "protocol/recovery/sections.zig" && /^protocol\/\w+\/section\.zig$/.test(imported)
  );
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

/** Each import of the core that goes up, or to another module than it may. */
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
      } else if (coreLayerOf(file) >= 0) {
        const known = ["std", "builtin", "hooks"];
        const isBelow = coreLayerOf(imported) >= 0 && coreLayerOf(imported) <= coreLayerOf(file);
        const ok = isFile ? isBelow || isListedSection(file, imported) : known.includes(imported);
        if (!ok) faults.push(fault);
      }
    }
    return faults;
  });
}

/** The layers of the interface, from the lowest: each may import itself and those before it. */
const layers = [
  "generated",
  "errors",
  "native",
  "arguments",
  "lifetime",
  "views",
  "session",
  "buffer",
  "wait",
  "channel",
  "pool",
  "streams",
  "index.ts",
  "command",
  "relay",
  "bridge",
  "park",
  "testing",
];

/** The folder of the interface that a file is in, however deep. */
function layerNameOf(file: string): string {
  return file.split("/", 1)[0] ?? "";
}

function layerOf(file: string): number {
  return layers.indexOf(layerNameOf(file));
}

/** What gives an address: the types and calls of the foreign function interface, and a constant. */
const address = /\b(?:Pointer|toArrayBuffer|INFO_DATA_ADDRESS)\b/;

/** Each import of the interface that goes up, and each file outside native/ that sees an address. */
function tsFaults(files: Files): string[] {
  return Object.entries(files).flatMap(([file, text]) => {
    const faults: string[] = [];
    const seesAddresses = ["native", "generated"].includes(dirname(file));
    for (const imported of importsOf(file, text, tsImport)) {
      const isAllowed = imported.endsWith(".ts")
        ? layerOf(imported) >= 0 && layerOf(imported) <= layerOf(file)
        : (seesAddresses || imported !== "bun:ffi") &&
          (dirname(file) === "bridge" || !imported.startsWith("@nats-io/"));
      if (!isAllowed) faults.push(`${file} imports ${imported}`);
    }
    if (!seesAddresses && address.test(text)) faults.push(`${file} sees an address`);
    return faults;
  });
}

/** The files of the interface that import themselves by way of others. */
function circles(files: Files): string[] {
  const importedBy = (file: string): string[] =>
    importsOf(file, files[file] ?? "", tsImport).filter((imported) => imported in files);
  return Object.keys(files).filter((file) => {
    const reached = new Set(importedBy(file));
    for (const each of reached) for (const next of importedBy(each)) reached.add(next);
    return reached.has(file);
  });
}

test("the core's layers import downwards only, and nobody imports a checker", () => {
  const files = filesOf("zig", ".zig");
  expect(Object.keys(files).length).toBeGreaterThan(30);
  expect(zigFaults(files)).toEqual([]);
});

test("every file of the core stands in a layer", () => {
  const roots = ["build.zig", "library.zig", "tests.zig", "core.zig"];
  const strays = Object.keys(filesOf("zig", ".zig")).filter(
    (file) =>
      coreLayerOf(file) < 0 &&
      !file.startsWith("hooks/") &&
      !file.startsWith("check/") &&
      !roots.includes(file),
  );
  expect(strays).toEqual([]);
});

test("every unit test of the core runs", () => {
  const files = filesOf("zig", ".zig");
  const run = new Set(importsOf("tests.zig", files["tests.zig"] ?? "", zigImport));
  const tested = Object.keys(files).filter((file) => /^test /m.test(files[file] ?? ""));
  expect(tested.length).toBeGreaterThan(30);
  expect(tested.filter((file) => file !== "tests.zig" && !run.has(file))).toEqual([]);
});

test("an import that goes up, into a checker or out of a module is found", () => {
  const planted = {
    "format/words.zig": 'const a = @import("../protocol/pool/acquire.zig");',
    "protocol/recovery/recovery.zig": 'const a = @import("../pool/section.zig");',
    "protocol/recovery/sections.zig": 'const a = @import("../pool/acquire.zig");',
    "protocol/pool/acquire.zig": 'const a = @import("../../process/open.zig");',
    "process/open.zig": 'const a = @import("../check/stress.zig");',
    "abi/bun.zig": 'const a = @import("core");',
    "check/stress.zig": 'const a = @import("../abi/bun.zig");',
    "hooks/explored.zig": 'const a = @import("../check/explorer/access.zig");',
  };
  expect(zigFaults(planted).length).toBe(Object.keys(planted).length);
});

test("the interface's layers import downwards only, and only native/ sees an address", () => {
  const files = filesOf("src", ".ts");
  expect(Object.keys(files).length).toBeGreaterThan(20);
  expect(tsFaults(files)).toEqual([]);
});

test("every file of the interface stands in a layer, and every layer has a file", () => {
  const files = Object.keys(filesOf("src", ".ts"));
  expect(files.filter((file) => layerOf(file) < 0)).toEqual([]);
  expect(
    layers.filter((layer) => !files.some((file) => [file, dirname(file)].includes(layer))),
  ).toEqual([]);
});

test("no file of the interface imports itself by way of others", () => {
  expect(circles(filesOf("src", ".ts"))).toEqual([]);
});

test("an import of the interface that goes up, in a circle or to an address is found", () => {
  const planted = {
    "errors/error.ts": 'import { native } from "../native/native.ts";',
    "views/view_cache.ts": 'import type { Session } from "../session/session.ts";',
    "wait/queue.ts": 'export { BufferPool } from "../pool/pool.ts";',
    "buffer/guard.ts": 'import { BufferPool } from "../index.ts";',
    "pool/pool.ts": 'import { dlopen } from "bun:ffi";',
    "session/session.ts": "const start = info[constants.INFO_DATA_ADDRESS];",
    "arguments/validate.ts": 'import { helper } from "../../test/helper.ts";',
    "channel/channel.ts": 'import { connect } from "@nats-io/transport-node";',
  };
  expect(tsFaults(planted).length).toBe(Object.keys(planted).length);
  const pair = {
    "pool/pool.ts": 'import type { A } from "./folder.ts";',
    "pool/folder.ts": 'import {\n  b,\n} from "./pool.ts";',
    "index.ts": 'export { b } from "./pool/pool.ts";',
  };
  expect(circles(pair)).toEqual(["pool/pool.ts", "pool/folder.ts"]);
});
