// Every example has a README, and something that runs it: a test here, or a check of `bun run ci`.

import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const examples = readdirSync(join(root, "examples"));

const runners = ["test", "scripts"]
  .flatMap((folder) => readdirSync(join(root, folder)).map((file) => join(root, folder, file)))
  .filter((path) => path.endsWith(".ts") && path !== import.meta.path)
  .map((path) => readFileSync(path, "utf8"));

test("there are examples", () => {
  expect(examples).toContain("pipeline");
});

test.each(examples)("examples/%s has a README, and something that runs it", (name) => {
  expect(existsSync(join(root, "examples", name, "README.md"))).toBe(true);
  const mention = new RegExp(`examples(?:/|", ")${name}\\b`);
  expect(runners.some((text) => mention.test(text))).toBe(true);
});
