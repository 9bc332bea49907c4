// The programs of docs/languages.md in C, and those beside them in TypeScript, run as printed.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileC } from "../scripts/cc.ts";
import { root } from "../scripts/setup.ts";

const page = readFileSync(join(root, "docs/languages.md"), "utf8");
let folder = "";

/** By the name in its first line. */
function program(file: string): string {
  const [, code = ""] =
    new RegExp(`\`\`\`\\w+\\n((?:/\\*|//) ${file}\\b[^\`]*(?:\`(?!\`\`)[^\`]*)*)\`\`\``).exec(
      page,
    ) ?? [];
  expect(code).toContain(file);
  return code;
}

/** What the page says that it prints. */
function printed(command: string): string {
  const [, output = ""] = page.split(`\`${command}\` prints:\n\n\`\`\`\n`);
  return output.slice(0, output.indexOf("```"));
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "xmem-languages-"));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules", "xmem"));
  for (const name of ["first", "answer"]) {
    const source = join(folder, `${name}.c`);
    writeFileSync(source, program(`${name}.c`));
    expect(compileC(source, join(folder, name))).toEqual({ ok: true, messages: "" });
  }
  writeFileSync(join(folder, "ask.ts"), program("ask.ts"));
}, 600_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ["./first frames", ["./first", `test.languages.${process.pid}`]],
  ["bun ask.ts", [process.execPath, "ask.ts"]],
])("%s prints what the page says", async (command, argv) => {
  const child = Bun.spawn(argv, { cwd: folder, env: process.env, stderr: "inherit" });
  const output = printed(command);
  expect(output).not.toBe("");
  expect(await child.stdout.text()).toBe(output);
  expect(await child.exited).toBe(0);
});
