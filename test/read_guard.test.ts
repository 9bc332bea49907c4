// The types of guards that only read, checked by the compiler itself: it must refuse each wrong
// line of a fixture, with the error that the fixture says, and accept the other lines.

import { expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, tool } from "../scripts/setup.ts";

const fixture = join(import.meta.dir, "fixtures", "read_guard.ts");
// Beside the fixture, so that its imports and the compiler's options are the same.
const bare = join(import.meta.dir, "fixtures", `read_guard.${process.pid}.ts`);

test("a ReadGuard's types refuse every write and let every reader read", () => {
  const expected: string[] = [];
  const lines = readFileSync(fixture, "utf8").split("\n");
  const uncommented = lines.map((line, index) => {
    const code = /^ *\/\/ @ts-expect-error (TS\d+)/.exec(line)?.[1];
    if (code === undefined) return line;
    expected.push(`${index + 2} ${code}`);
    return "";
  });
  expect(expected.length).toBeGreaterThan(20);
  const config = join(root, `tsconfig.${process.pid}.json`);
  writeFileSync(bare, uncommented.join("\n"));
  writeFileSync(config, JSON.stringify({ extends: "./tsconfig.json", include: [bare] }));
  try {
    const child = Bun.spawnSync(tool("typescript/bin/tsc", "--noEmit", "-p", config), {
      cwd: root,
    });
    const output = child.stdout.toString();
    const found = [...output.matchAll(/^\S+\((\d+),\d+\): error (TS\d+)/gm)];
    expect(
      found.map(([, line, code]) => `${line} ${code}`),
      output,
    ).toEqual(expected);
  } finally {
    rmSync(bare);
    rmSync(config);
  }
}, 60_000);
