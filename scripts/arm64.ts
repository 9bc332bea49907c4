// Runs the core's unit tests for Linux arm64 in qemu-user. It has no robust lists, which are how a
// death is noticed: no pool opens there, so that a test that needs one is refused and does not count.

import { delimiter } from "node:path";
import { arm64Emulator } from "./borrowed.ts";
import { runRecorded, zigBuild } from "./setup.ts";

/** Why a test may fail there; each is looked for in what Zig prints of that test. */
const excuses = [
  // The refusal of a system without robust lists.
  /if \(!robust_mutex\.supported\(\)\) return/,
  /^error: 'system\.robust_mutex\.test\./,
  // The emulator knows no MADV_POPULATE_WRITE.
  /^error: 'system\.memory\.test\.populating past the end of the file/,
  /^error: 'protocol\.pool\.acquire\.test\.memory that cannot be mapped now/,
];

export async function passesOnArm64(): Promise<boolean> {
  const emulator = arm64Emulator();
  // The reason is printed. It is a check of another machine, and not of this one.
  if (emulator === null) return true;
  const tests = ["test", "-Dtarget=aarch64-linux-musl", "-fqemu", "--summary", "all"];
  const path = `${emulator}${delimiter}${process.env["PATH"] ?? ""}`;
  const { output } = await runRecorded(zigBuild("build", ...tests), { env: { PATH: path } });
  return judged(output);
}

/** Whether every failure is excused, and most tests passed. */
export function judged(output: string): boolean {
  const [, passed = 0, total = 0] = (
    /^Build Summary: .*?(\d+)\/(\d+) tests passed/m.exec(output) ?? []
  ).map(Number);
  const failures = output.split(/^(?=error: ')/m).filter((each) => each.startsWith("error: '"));
  const unexcused = failures.filter((each, at) => {
    // What a test prints may be torn: its end stands behind the next one's first line then.
    const rest = failures[at + 1]?.replace(/^.*\n/, "").slice(0, 80) ?? "";
    const all = each.trimEnd() + rest;
    return !excuses.some((excuse) => excuse.test(each) || excuse.test(all));
  });
  for (const each of unexcused) console.error(`not for want of robust lists: ${each}`);
  console.log(`arm64 in qemu-user: ${passed} of ${total} passed, ${failures.length} failed`);
  return unexcused.length === 0 && passed + failures.length === total && passed > total / 2;
}

if (import.meta.main) process.exit((await passesOnArm64()) ? 0 : 1);
