// A user's type checker and the installed package: programs check without an error, whatever
// tsconfig.json says, and nothing internal to xmem shows.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rollUp } from "../scripts/declare.ts";
import { root, tool } from "../scripts/setup.ts";
import { tarball } from "./packed.ts";

const newest = "typescript/bin/tsc";
/** The oldest compiler that the README names. It takes seconds for each program. */
const oldest = "typescript-5.8/bin/tsc";

const poorest = "ES2022 and nothing else";
const strict = { strict: true, noEmit: true, types: [] as string[] };
const settings: Record<string, Record<string, unknown>> = {
  "what bun init writes": {
    lib: ["ESNext"],
    target: "ESNext",
    module: "Preserve",
    moduleDetection: "force",
    jsx: "react-jsx",
    allowJs: true,
    types: ["bun"],
    moduleResolution: "bundler",
    allowImportingTsExtensions: true,
    verbatimModuleSyntax: true,
    noEmit: true,
    strict: true,
    noFallthroughCasesInSwitch: true,
    noUncheckedIndexedAccess: true,
    noImplicitOverride: true,
  },
  "strict NodeNext": { ...strict, module: "NodeNext", moduleResolution: "NodeNext" },
  "ES2022 and the DOM": {
    ...strict,
    target: "ES2022",
    lib: ["ES2022", "DOM"],
    module: "ESNext",
    moduleResolution: "Bundler",
  },
  [poorest]: {
    ...strict,
    target: "ES2022",
    lib: ["ES2022"],
    module: "ESNext",
    moduleResolution: "Bundler",
  },
  "exactOptionalPropertyTypes, isolatedModules and declarations": {
    ...strict,
    target: "ES2022",
    module: "Preserve",
    exactOptionalPropertyTypes: true,
    isolatedModules: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    declaration: true,
  },
};

let folder = "";
let declarations = "";

beforeAll(async () => {
  const packed = await tarball();
  folder = mkdtempSync(join(tmpdir(), "xmem-declarations-"));
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "xmem"), { recursive: true });
  const archive = new Bun.Archive(await Bun.file(packed).bytes());
  await archive.extract(folder);
  cpSync(join(folder, "package"), join(modules, "xmem"), { recursive: true });
  symlinkSync(join(root, "node_modules", "@types"), join(modules, "@types"));
  cpSync(join(root, "test", "programs", "typed.ts"), join(folder, "typed.ts"));
  await Bun.write(join(folder, "package.json"), `{ "name": "user", "type": "module" }`);
  declarations = readFileSync(join(modules, "xmem", "dist", "xmem.d.ts"), "utf8");
}, 240_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the compiler prints: nothing when all is well. */
async function check(
  compiler: string,
  compilerOptions: object,
  file = "typed.ts",
): Promise<string> {
  const config = JSON.stringify({ compilerOptions, files: [file] });
  await Bun.write(join(folder, "tsconfig.json"), config);
  const command = tool(compiler, "--project", folder);
  const result = Bun.spawnSync(command, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  return `${result.stdout}${result.stderr}`;
}

for (const [setting, options] of Object.entries(settings)) {
  for (const skipLibCheck of [true, false]) {
    const checked = skipLibCheck ? "declarations unchecked" : "declarations checked";
    test(`a program checks with ${setting}, ${checked}`, async () => {
      expect(await check(newest, { ...options, skipLibCheck })).toBe("");
    }, 120_000);
  }
}

test(`a program checks with TypeScript 5.8, ${poorest}, declarations checked`, async () => {
  expect(await check(oldest, { ...settings[poorest], skipLibCheck: false })).toBe("");
}, 120_000);

/** Each example in a scope of its own, with the variables that it takes for granted. */
function examples(): string[] {
  const found = [...declarations.matchAll(/^ *\* ```ts\n([\s\S]*?)^ *\* ```$/gm)];
  return found.map(([, lines = ""], index) => {
    const code = lines.replace(/^ *\* ?/gm, "");
    const granted = ["pool: BufferPool", "frame: BufferGuard"].filter(
      (each) => !code.includes(`using ${each.split(":")[0]} =`),
    );
    const given = [...granted, "message: Uint8Array", "send: (handle: number) => void"];
    return `export async function example${index}(${given.join(", ")}): Promise<void> {\n${code}}\n`;
  });
}

test("the examples of the docstrings check", async () => {
  const all = examples();
  expect(all.length).toBeGreaterThan(5);
  const names = "type BufferGuard, BufferPool, FrameSink, FrameSource, XmemError";
  const imports = `import { closeSync } from "node:fs";\nimport { ${names} } from "xmem";\n`;
  await Bun.write(join(folder, "examples.ts"), imports + all.join(""));
  expect(await check(newest, settings["what bun init writes"] ?? {}, "examples.ts")).toBe("");
}, 120_000);

test("tests with xmem/test check, and listeners of events know what these say", async () => {
  const written = `import { test } from "bun:test";
    import { BufferPool, type PoolEvent } from "xmem";
    import { failOnLeaks, testPool } from "xmem/test";
    failOnLeaks();
    test("a pool", () => {
      const pool: BufferPool = testPool({ capacity: 4, participantName: "test" });
      const log = (event: PoolEvent): string => event.type + event.pool;
      const count = ({ refused }: PoolEvent<"full">): number => refused;
      pool.on("full", count).on("full", log).off("full", log);
      pool.once("dead-participant", ({ name, pid }) => console.log(name.length + pid));
      // @ts-expect-error There is no such event.
      pool.on("ful", log);
      // @ts-expect-error It does not say that.
      pool.on("timeout", ({ refused }) => console.log(refused));
    });\n`;
  await Bun.write(join(folder, "suite.ts"), written);
  expect(await check(newest, settings["what bun init writes"] ?? {}, "suite.ts")).toBe("");
}, 120_000);

test("a program of xmem/bridge checks, and its docstrings' examples", async () => {
  const bridge = readFileSync(join(folder, "node_modules", "xmem", "dist", "bridge.d.ts"), "utf8");
  const found = [...bridge.matchAll(/^ *\* ```ts\n([\s\S]*?)^ *\* ```$/gm)];
  expect(found.length).toBeGreaterThan(3);
  const given = [
    ...["frames: Channel", "jobs: Channel", "job: BufferGuard", "nats: NatsConnection"],
    "show: (bytes: Uint8Array) => void",
  ];
  const all = found.map(([, lines = ""], index) => {
    const code = lines.replace(/^ *\* ?/gm, "");
    return `export async function example${index}(${given.join(", ")}): Promise<void> {\n${code}}\n`;
  });
  const imports = `import type { NatsConnection } from "@nats-io/transport-node";
    import type { BufferGuard, Channel } from "xmem";
    import { exportChannel, exportRequests, importChannel, importRequests } from "xmem/bridge";\n`;
  await Bun.write(join(folder, "bridge.ts"), imports + all.join(""));
  symlinkSync(join(root, "node_modules", "@nats-io"), join(folder, "node_modules", "@nats-io"));
  expect(await check(newest, settings["what bun init writes"] ?? {}, "bridge.ts")).toBe("");
  expect(bridge).not.toMatch(/Publisher|Puller|Ledger|@internal/);
}, 120_000);

test("every class and interface of the declarations can be imported by name", () => {
  const declared = declarations.matchAll(/^(?:declare class|interface) (\w+)/gm);
  const exported = /^export \{(.*)\};$/m.exec(declarations)?.[1]?.match(/\w+/g) ?? [];
  for (const [, name] of declared) expect(exported).toContain(name as string);
});

test("the declarations say nothing of sessions, descriptors, pointers or how guards are made", () => {
  expect(declarations).not.toMatch(
    /Session|Descriptor|Pointer|MetaAccess|native|bun:ffi|@internal/,
  );
  const [, guard = ""] = /^declare class BufferGuard (.*?)^\}/ms.exec(declarations) ?? [];
  expect(guard).toContain("#private");
  expect(guard).not.toContain("constructor");
});

test("a public signature that needs another package's type is refused", () => {
  const sources = new Map([
    ["index", `export { type Shown } from "./shown.ts";\n`],
    [
      "shown",
      `import { type Pointer } from "bun:ffi";\nexport interface Shown {\n    at: Pointer;\n}\n`,
    ],
  ]);
  expect(() => rollUp(sources)).toThrow("Shown needs Pointer");
});

test("a program of xmem/park checks, and its docstrings' examples", async () => {
  const park = readFileSync(join(folder, "node_modules", "xmem", "dist", "park.d.ts"), "utf8");
  const found = [...park.matchAll(/^ *\* ```ts\n([\s\S]*?)^ *\* ```$/gm)];
  expect(found.length).toBe(3);
  const all = found.map(([, lines = ""], index) => {
    const code = lines.replace(/^ *\* ?/gm, "");
    return `export async function example${index}(pool: BufferPool): Promise<void> {\n${code}}\n`;
  });
  const imports = `import type { BufferPool } from "xmem";
    import { directoryStore, Parking, park, s3Store, unpark } from "xmem/park";
    export const stores = [directoryStore("/tmp/x"), s3Store({ bucket: "b" })];\n`;
  await Bun.write(join(folder, "park.ts"), imports + all.join(""));
  expect(await check(newest, settings["what bun init writes"] ?? {}, "park.ts")).toBe("");
  expect(park).not.toMatch(/AwsClient|Claim|Segment|RecordReader|@internal/);
}, 120_000);
