// Writes the files that are generated from the core, which `outputs` in zig/abi/generate.zig names, and
// the reference, which is made of the docstrings.

import { referenceIsCurrent, writeReference } from "./reference.ts";
import { run, runRecorded, setup, zigBuild } from "./setup.ts";

const command = zigBuild("build", "generate");

/**
 * Generates the core's files again, and says whether they were current. The generator names those
 * that were not.
 */
export async function coreFilesAreCurrent(): Promise<boolean> {
  const { ok, output } = await runRecorded(command);
  return ok && !output.includes("wrote ");
}

/** The same of all files that are generated. */
export async function generatedIsCurrent(): Promise<boolean> {
  return (await referenceIsCurrent()) && (await coreFilesAreCurrent());
}

if (import.meta.main) {
  setup();
  run(command);
  await writeReference();
}
