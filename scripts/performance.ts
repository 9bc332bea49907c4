// Writes docs/performance.md, and the figures of the README and of docs/comparison.md, from the results in
// docs/benchmarks.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { questions } from "../bench/questions.ts";
import { reasons } from "../bench/reasons.ts";
import { type Asked, between, comparison, headline, performance } from "../bench/suite/document.ts";
import { documented, kept } from "../bench/suite/store.ts";
import { tried } from "../bench/tried.ts";
import { root } from "./setup.ts";

export interface Documents {
  performance: string;
  readme: string;
  comparison: string;
}

export const paths: Documents = {
  performance: join(root, "docs", "performance.md"),
  readme: join(root, "README.md"),
  comparison: join(root, "docs", "comparison.md"),
};

/** What the documents have to be. */
export function documents(): Documents {
  const all = questions.flatMap((question): Asked[] => {
    const result = kept(documented, question);
    return result === undefined ? [] : [{ question, result }];
  });
  return {
    performance: `${performance(all, reasons)}\n${tried}`,
    readme: between(readFileSync(paths.readme, "utf8"), headline(all)),
    comparison: between(readFileSync(paths.comparison, "utf8"), comparison(all)),
  };
}

export function writeDocuments(): void {
  const wanted = documents();
  writeFileSync(paths.performance, wanted.performance);
  writeFileSync(paths.readme, wanted.readme);
  writeFileSync(paths.comparison, wanted.comparison);
}

if (import.meta.main) writeDocuments();
