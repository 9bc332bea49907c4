// Where results are kept: one JSON per question with the machine that it was measured on, and the
// plot beside it.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/setup.ts";
import { svg } from "./plot.ts";
import type { Question, Result } from "./question.ts";

/** The results that the documents show. */
export const documented: string = join(root, "docs", "benchmarks");

export function keep(folder: string, question: Question, result: Result): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${question.name}.json`), `${JSON.stringify(result, null, 1)}\n`);
  writeFileSync(join(folder, `${question.name}.svg`), svg(question, result));
}

export function kept(folder: string, question: Question): Result | undefined {
  const path = join(folder, `${question.name}.json`);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Result) : undefined;
}
