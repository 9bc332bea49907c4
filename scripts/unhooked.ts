// Checks that what checkers stand on costs nothing in the library that is shipped: it is built once
// more from a copy of the sources without any hook, and both must be the same, byte for byte.

import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, runRecorded, zigBuild } from "./setup.ts";

const folder = "build/unhooked";

/** The file of the copy without what matches, which must occur so many times. */
function without(file: string, pattern: RegExp, times: number): void {
  const path = join(root, folder, "zig", file);
  const text = readFileSync(path, "utf8");
  const found = text.match(pattern)?.length ?? 0;
  if (found !== times) throw new Error(`${file}: ${pattern} is there ${found} times, not ${times}`);
  writeFileSync(path, text.replace(pattern, ""));
}

export async function isUnhooked(): Promise<boolean> {
  rmSync(join(root, folder), { recursive: true, force: true });
  cpSync(join(root, "zig"), join(root, folder, "zig"), { recursive: true });
  // Every access: its step of the explorer, and its crash point.
  without(
    "atomic.zig",
    /^ +if \(build_options\.hook == \.explore\) return explorer\.\w+\(.*\n/gm,
    8,
  );
  without("atomic.zig", /^ +step\(\);\n/gm, 8);
  // Every door to the operating system: the model behind it.
  without("system.zig", /if \(explored\)\s+model\.\w+\s+else\s+/g, 5);
  without("system.zig", /^const (explored|model) = .*\n/gm, 2);
  rmSync(join(root, folder, "zig", "explorer"), { recursive: true });
  without("atomic.zig", /^const explorer = .*\n/gm, 1);
  without(
    "atomic.zig",
    /^ +if \(build_options\.hook == \.explore\) return explorer\.broken == .*\n/gm,
    1,
  );

  const copy = join(root, folder, "zig", "build.zig");
  const commands = [
    zigBuild(`${folder}/with`),
    zigBuild(`${folder}/without`).map((argument) =>
      argument === join(root, "zig", "build.zig") ? copy : argument,
    ),
    // One that must differ, or the comparison would prove nothing.
    zigBuild(`${folder}/crash`, "-Dhook=crash"),
  ];
  for (const command of commands) if (!(await runRecorded(command)).ok) return false;
  const library = readFileSync(built("with"));
  const same = library.equals(readFileSync(built("without")));
  const other = library.equals(readFileSync(built("crash")));
  if (!same) console.error("the library differs from one that is built without checkers' hooks");
  if (other) console.error("the library is the same as one that is built for crash points");
  return same && !other;
}

function built(which: string): string {
  const file = process.platform === "darwin" ? "libxmem.dylib" : "libxmem.so";
  return join(root, folder, which, file);
}
