// Runs examples/two-machines as its README says, with everything killed at random: in two network
// namespaces, where they are allowed, and in two folders, with frames that need no ffmpeg.

import { join } from "node:path";
import { hasFfmpeg } from "./parking.ts";
import { root, runRecorded, setup } from "./setup.ts";

const program = join(root, "examples", "two-machines", "main.ts");
const programs = [
  "decoder",
  "exporter of frames",
  "importer of frames",
  "detector",
  "exporter of results",
  "importer of results",
  "server",
];

/** One run; it checks itself. Whether all of them were killed is checked here. */
async function runs(...argv: string[]): Promise<boolean> {
  const seed = String(Date.now() % 1000);
  const command = [process.execPath, program, "--seed", seed, ...argv];
  const { ok, output } = await runRecorded(command);
  const words = output.replaceAll(/[\s│]+/g, " ");
  const missed = programs.filter((name) => !new RegExp(`${name} \\d`).test(words));
  if (missed.length > 0) console.log(`seed ${seed}: not killed: ${missed.join(", ")}`);
  return ok && missed.length === 0;
}

export async function machinesHold(): Promise<boolean> {
  if (!(await hasFfmpeg())) return false;
  const apart = await runs("--frames", "300", "--kills", "16");
  return (await runs("--folders", "--drawn", "--frames", "150", "--kills", "14")) && apart;
}

if (import.meta.main) {
  setup();
  const ok = await machinesHold();
  console.log(ok ? "the two machines hold" : "the two machines FAILED");
  process.exit(ok ? 0 : 1);
}
