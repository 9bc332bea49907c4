// How the rows that measure xmem are called.

import { join } from "node:path";
import { root } from "../../scripts/setup.ts";
import { built } from "./compile.ts";
import type { Row } from "./question.ts";

/** A program in TypeScript of bench/programs. */
export function typescript(program: string, ...argv: string[]): string[] {
  return [process.execPath, join(root, "bench", "programs", `${program}.ts`), ...argv];
}

/** A program in Python of bench/programs; it needs nothing but Python. */
export function python(
  program: string,
  ...argv: string[]
): Pick<Row, "command" | "env" | "absent"> {
  const path = Bun.which("python3");
  const command = [path ?? "python3", join(root, "bench", "programs", `${program}.py`), ...argv];
  const env = {
    XMEM_FRAMES: built,
    XMEM_LIBRARY: join(root, "build", "libxmem.so"),
    PYTHONPATH: join(root, "python", "src"),
    PYTHONDONTWRITEBYTECODE: "1",
  };
  return { command, env, ...(path === null ? { absent: "no python3 here" } : {}) };
}

export function xmemRow(name: string, program: string, ...argv: string[]): Row {
  return { name, kind: "xmem", command: typescript(program, ...argv) };
}
