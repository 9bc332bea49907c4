// Runs examples/parking as its README says, with the stages killed at random: with the detector in
// TypeScript and with that in Python, and with the evidence in a real S3, on loopback. Installs ffmpeg
// and the S3 server where they are missing; without Go, evidence goes to a folder, and it says so.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { whenInterrupted } from "./interrupted.ts";
import { tools } from "./python.ts";
import { ensureS3Server, Gateway, s3Server } from "./s3_server.ts";
import { root, runRecorded, setup } from "./setup.ts";

const program = join(root, "examples", "parking", "main.ts");

/** Installs it where it is missing and can be installed. */
export async function hasFfmpeg(): Promise<boolean> {
  if (Bun.which("ffmpeg") !== null) return true;
  if (Bun.which("apt-get") !== null) {
    await runRecorded(["apt-get", "update", "-qq"]);
    await runRecorded(["apt-get", "install", "-y", "-qq", "ffmpeg"]);
  }
  if (Bun.which("ffmpeg") !== null) return true;
  console.error("this example needs ffmpeg, and apt-get could not install it");
  return false;
}

/** One run with kills; it checks itself, against the truth. */
async function runs(detector: string, seed: number, env: Record<string, string>): Promise<boolean> {
  const out = mkdtempSync(join(tmpdir(), "xmem-parking-"));
  const forget = whenInterrupted(() => rmSync(out, { recursive: true, force: true }));
  const options = ["--kills", "16", "--seed", String(seed), "--detector", detector, "--out", out];
  const { ok, output } = await runRecorded([process.execPath, program, ...options], { env });
  forget();
  rmSync(out, { recursive: true });
  const killed = /stages killed\D*?((?:\w+ \d+(?:, )?)+)/.exec(output)?.[1] ?? "";
  const all = ["decode", "detect", "annotate", "evidence"].every((name) => killed.includes(name));
  if (ok && !all) console.log(`not every stage was killed: ${killed}`);
  return ok && all;
}

/** Without ffmpeg it says what is missing, and does nothing. */
async function saysWhatIsMissing(): Promise<boolean> {
  const child = Bun.spawn([process.execPath, program], {
    env: { ...process.env, PATH: "" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const said = await child.stderr.text();
  return (await child.exited) === 2 && said.includes("apt-get install ffmpeg");
}

export async function parkingHolds(): Promise<boolean> {
  if (!(await hasFfmpeg()) || !(await saysWhatIsMissing())) return false;
  const path = ensureS3Server() ? s3Server() : null;
  if (path === null) console.log("no S3 server: evidence goes to a folder");
  const python = tools("test");
  if (python === null) console.log("no Python with numpy: its detector does not run");
  let ok = true;
  for (const [detector, seed] of [
    ["ts", Date.now() % 1000],
    ["python", 2],
  ] as const) {
    if (detector === "python" && python === null) continue;
    await using storage = path === null ? null : await Gateway.start(path);
    ok = (await runs(detector, seed, { ...storage?.env, PYTHON: python ?? "" })) && ok;
  }
  return ok;
}

if (import.meta.main) {
  setup();
  const ok = await parkingHolds();
  console.log(ok ? "the parking lot holds" : "the parking lot FAILED");
  process.exit(ok ? 0 : 1);
}
