// How the rows that measure xmem are called.

import { join } from "node:path";
import { root } from "../../scripts/setup.ts";
import type { Row } from "./question.ts";

/** A program in TypeScript of bench/programs. */
export function typescript(program: string, ...argv: string[]): string[] {
  return [process.execPath, join(root, "bench", "programs", `${program}.ts`), ...argv];
}

export function xmemRow(name: string, program: string, ...argv: string[]): Row {
  return { name, kind: "xmem", command: typescript(program, ...argv) };
}
