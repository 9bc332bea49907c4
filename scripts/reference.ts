// Writes docs/api.md, the reference of what xmem exports, and docs/api-*.md, that of xmem/bridge and what
// else stands beside it, from the declarations that the package ships. TypeDoc makes it; it runs on the older compiler here, since the
// newer one has no interface for programs. What a signature says already is then left out.

import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plugin } from "bun";
import { declareAll } from "./declare.ts";
import { root, setup } from "./setup.ts";

interface Page {
  file: string;
  /** What a program imports from. */
  from: string;
  begin: string;
}

/** By the part of the declarations that each is made of. */
const pages: Readonly<Record<string, Page>> = {
  library: {
    file: "api.md",
    from: "xmem",
    begin: "The [guide](guide.md) says how to use it.",
  },
  bridge: {
    file: "api-bridge.md",
    from: "xmem/bridge",
    begin: "[Bridge](bridge.md) says how to use it, and [xmem](api.md) has the rest.",
  },
  park: {
    file: "api-park.md",
    from: "xmem/park",
    begin: "[Beyond memory](parking.md) says how to use it, and [xmem](api.md) has the rest.",
  },
  testing: {
    file: "api-test.md",
    from: "xmem/test",
    begin: "It is for `bun test`; [xmem](api.md) has the rest.",
  },
};

const note =
  "<!-- Written by `bun run generate` from the docstrings of src/. Change those, and run it. -->";

const options = {
  name: "xmem",
  plugin: ["typedoc-plugin-markdown"],
  readme: "none",
  disableSources: true,
  disableGit: true,
  // The declarations are checked by tests; here the types of other packages may be missing.
  skipErrorChecking: true,
  excludeExternals: true,
  excludePrivate: true,
  expandParameters: true,
  sort: ["source-order" as const],
  logLevel: "Warn" as const,
  outputFileStrategy: "modules",
  hidePageHeader: true,
  hideBreadcrumbs: true,
  hidePageTitle: true,
  parametersFormat: "table",
  interfacePropertiesFormat: "table",
  typeAliasPropertiesFormat: "table",
  propertyMembersFormat: "table",
};

/** The declarations of each part import those of the library by this name. */
const moduleOf = (part: string): string => (part === "library" ? "xmem" : part);

async function markdownOf(folder: string, modules: readonly string[]): Promise<void> {
  const { default: compiler } = await import("typescript-5.8");
  plugin({
    name: "TypeDoc's compiler",
    setup(build) {
      const exports = { default: compiler, ...compiler };
      build.module("typescript", () => ({ loader: "object", exports }));
    },
  });
  const { Application } = await import("typedoc");
  const given = {
    ...options,
    entryPoints: modules.map((name) => join(folder, `${name}.d.ts`)),
    tsconfig: join(folder, "tsconfig.json"),
    outputs: [{ name: "markdown", path: join(folder, "out") }],
  };
  const application = await Application.bootstrapWithPlugins(given);
  const project = await application.convert();
  if (project === undefined) throw new Error("TypeDoc could not read the declarations");
  await application.generateOutputs(project);
}

const listed = (throws: string): string => {
  const codes = throws.split("###### Throws\n\n").slice(1);
  return `Throws:\n\n${codes.map((each) => `- ${each.trim().replace(/^(\w+):/, "`$1`:")}\n`).join("")}\n`;
};

/** Without what the signature above it says, and with one list of codes in place of many headings. */
function shortened(markdown: string): string {
  return (
    `${markdown}\n`
      .replace(/^###### Parameters\n\n\| Parameter \| Type \|\n(?:\|.*\n)+\n/gm, "")
      .replace(/^###### Returns\n\n.*\n\n(?=#|\*\*\*|$)/gm, "")
      .replace(/^###### (?:Implementation of|Overrides)\n\n.*\n\n/gm, "")
      .replace(/^###### [GS]et Signature\n\n/gm, "")
      .replace(/(?:^###### Throws\n\n[\s\S]+?\n\n(?=[#*>]|\n|$(?![\s\S])))+/gm, listed)
      .replace(/<a id="[^"]*"><\/a> /g, "")
      .replace(/\[(`[^`]*`)\]\((?:\w+\.md)?#property-[^)]*\)/g, "$1")
      // Of the headings that it counted some are gone.
      .replace(/\(#([a-z]+)-\d+\)/g, "(#$1)")
      .replace(/^\*\*\*\n\n/gm, "")
      .replace(/\n{3,}/g, "\n\n")
      .trimEnd()
  );
}

/** The pages as they should be, by their file in docs/. */
async function reference(): Promise<Map<string, string>> {
  const folder = mkdtempSync(join(tmpdir(), "xmem-reference-"));
  try {
    const parts = Object.entries(declareAll()).map(([part, text]): [string, Page] => {
      writeFileSync(join(folder, `${moduleOf(part)}.d.ts`), text);
      const page = pages[part];
      if (page === undefined) throw new Error(`no page of the reference is for the part ${part}`);
      return [moduleOf(part), page];
    });
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    const compilerOptions = {
      ...{ target: "ESNext", lib: ["ESNext"], types: ["bun"] },
      ...{ module: "Preserve", moduleResolution: "Bundler" },
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
    await markdownOf(
      folder,
      parts.map(([module]) => module),
    );
    const others = parts.filter(([, { file }]) => file !== "api.md");
    const links = others.map(([, { file, from }]) => `- [\`${from}\`](${file})`).join("\n");
    return new Map(
      parts.map(([module, { file, from, begin }]) => {
        const text = shortened(readFileSync(join(folder, "out", `${module}.md`), "utf8"));
        const own = parts.reduce(
          (all, [other, page]) => all.replaceAll(`(${other}.md#`, `(${page.file}#`),
          text.replaceAll(`(${module}.md#`, "(#"),
        );
        const first = `# Reference of ${from}\n\n${note}\n\n`;
        const has = `What \`import ... from "${from}"\` has. ${begin}`;
        const beside = file === "api.md" ? `\n\nBeside it:\n\n${links}` : "";
        return [file, `${first}${has}${beside}\n\n${own}\n`];
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function writeReference(): Promise<void> {
  for (const [file, text] of await reference()) writeFileSync(join(root, "docs", file), text);
}

export async function referenceIsCurrent(): Promise<boolean> {
  const old = [...(await reference())].filter(([file, text]) => {
    const path = join(root, "docs", file);
    return !existsSync(path) || readFileSync(path, "utf8") !== text;
  });
  for (const [file] of old) console.error(`docs/${file} is not current: bun run generate`);
  return old.length === 0;
}

if (import.meta.main) {
  setup();
  await writeReference();
}
