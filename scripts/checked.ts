// Libraries of which a check breaks a rule on purpose, to see that it notices. There is one of each
// kind of hooks, and it breaks the rule that a process names in its environment.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, run, zigBuild } from "./setup.ts";

/** What stands at each access to shared memory there: nothing, the end of the process, a delay. */
export type Hooks = "breakable" | "crash" | "delay";

const file = process.platform === "darwin" ? "libxmem.dylib" : "libxmem.so";

const prefixOf = (hooks: Hooks): string => join("build", hooks);

/** Where that library is, and what is built beside it. */
export const folderOf = (hooks: Hooks): string => join(root, prefixOf(hooks));

export const libraryOf = (hooks: Hooks): string => join(folderOf(hooks), file);

/** The command that builds it. */
export const checkedBuild = (hooks: Hooks, ...steps: string[]): string[] =>
  zigBuild(prefixOf(hooks), `-Dhook=${hooks}`, ...steps);

export const buildChecked = (hooks: Hooks, ...steps: string[]): void =>
  run(checkedBuild(hooks, ...steps));

/** What a process needs in its environment to break that rule. */
export function breaking(hooks: Hooks, rule: string): Record<string, string> {
  const rules = readFileSync(join(root, "zig", "hooks", "canary.zig"), "utf8");
  if (!rules.includes(`\n    ${rule},\n`)) throw new Error(`no rule is called ${rule}`);
  return { XMEM_LIBRARY: libraryOf(hooks), XMEM_CANARY: rule };
}
