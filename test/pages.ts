// The programs of a page of the documents: each runs as printed, and prints what the page shows.

import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../scripts/setup.ts";
import { inUserFolder, runBun } from "./user_folder.ts";

/** The programs of a page that are followed by their output. */
export function programsOf(page: string): { example: string; output: string }[] {
  const text = readFileSync(join(root, page), "utf8");
  const printed = text.matchAll(
    /```ts\n((?:(?!```)[\s\S])*)```(?:(?!```)[\s\S])*```\n([\s\S]*?)```/g,
  );
  return Array.from(printed, ([, example = "", output = ""]) => ({ example, output }));
}

/**
 * `packages` are those that its user installed besides. Of a file of tests the page shows the counts,
 * which `bun test` prints among its times.
 */
export async function expectPrinted(
  example: string,
  output: string,
  options: { env?: Record<string, string>; packages?: string[] } = {},
): Promise<void> {
  const { env = {}, packages = [] } = options;
  const isSuite = example.includes('from "bun:test"');
  const file = isSuite ? "./example.test.ts" : "example.ts";
  const given = [...(isSuite ? ["test"] : []), file];
  const { exitCode, out, err } = await inUserFolder(
    { [file]: example },
    (folder) => runBun(folder, given, env),
    packages,
  );
  expect(exitCode, err).toBe(0);
  if (isSuite) expect(err).toContain(output);
  else expect(out).toBe(output);
}
