// Writes the files that are generated from the core, which `outputs` in zig/abi/generate.zig names, and
// the reference, which is made of the docstrings.

import { referenceIsCurrent, writeReference } from "./reference.ts";
import { run, runRecorded, setup, zigBuild } from "./setup.ts";

const command = zigBuild("build", "generate");

/**
 * Generates the files again, and says whether they were current. The generator names those that
 * were not.
 */
export async function generatedIsCurrent(): Promise<boolean> {
  const { ok, output } = await runRecorded(command);
  return (await referenceIsCurrent()) && ok && !output.includes("wrote ");
}

if (import.meta.main) {
  setup();
  run(command);
  await writeReference();
}
