// Checks the Python package: its types and style, and its tests, with the wheel as `bun run pack` makes
// it, installed into a new environment of each Python of this machine that the package is for.
// `bun scripts/pytest.ts` runs just this; with a version, as in `bun scripts/pytest.ts 3.12`, only there.

import { join } from "node:path";
import { pack } from "./pack.ts";
import {
  clean,
  folder,
  type Interpreter,
  install,
  interpreters,
  tools,
  versions,
} from "./python.ts";
import { runRecorded, setup } from "./setup.ts";
import { ownTag, packWheels } from "./wheels.ts";

/** False where a tool finds something; true, with a line on the console, where there is no Python. */
export async function pythonIsClean(): Promise<boolean> {
  const python = tools("lint");
  if (python === null) {
    console.log("Python's types and style were not checked: that takes a Python and a registry");
    return interpreters().length === 0;
  }
  let clean = true;
  for (const tool of ["mypy", "ruff check", "ruff format --check"]) {
    const command = [python, "-m", ...tool.split(" ")];
    clean = (await runRecorded(command, { cwd: folder })).ok && clean;
  }
  return clean;
}

/** What `pip install` of the wheel gives, tested without the sources. */
async function passesIn(interpreter: Interpreter, wheel: string): Promise<boolean> {
  const python = clean("test", interpreter);
  if (python === null) {
    console.log(`Python ${interpreter.version} makes no environment`);
    return false;
  }
  const pins = join(folder, "requirements", "test.txt");
  if (install(python, wheel) === null || install(python, "-r", pins) === null) return false;
  const { ok } = await runRecorded([python, "-m", "pytest", "-q"], {
    cwd: folder,
    // The wheel's own library, and this Bun as the other side.
    env: { XMEM_LIBRARY: "", PYTHONPATH: "", BUN: process.execPath },
  });
  console.log(`Python ${interpreter.version}: ${ok ? "passed" : "FAILED"}`);
  return ok;
}

/** Says which versions it did not run, since this machine does not have them. */
export async function passesInPythons(asked: readonly string[] = versions): Promise<boolean> {
  const found = interpreters().filter(({ version }) => asked.includes(version));
  const missing = asked.filter((version) => !found.some((each) => each.version === version));
  if (missing.length > 0) console.log(`not run, for want of it: Python ${missing.join(", ")}`);
  if (found.length === 0) return true;
  await pack();
  const wheel = packWheels().find((path) => ownTag !== undefined && path.includes(ownTag));
  if (wheel === undefined) {
    console.log("the Python package was not tested: there is no wheel for this machine");
    return true;
  }
  let passed = true;
  for (const interpreter of found) passed = (await passesIn(interpreter, wheel)) && passed;
  return passed;
}

if (import.meta.main) {
  setup();
  const asked = process.argv.slice(2);
  const clean = await pythonIsClean();
  const passed = await passesInPythons(asked.length > 0 ? asked : versions);
  process.exit(clean && passed ? 0 : 1);
}
