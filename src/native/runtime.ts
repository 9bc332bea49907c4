// Refuses a runtime that xmem was not made for, before the library is loaded. An older Bun would go
// on, and give views of length 0 or an error that names neither it nor xmem.

import { raise } from "../errors/error.ts";

/** The oldest Bun that every test passes on; `engines` of package.json says the same. */
export const bunNeeded = "1.4.5";

/** Throws UNSUPPORTED_PLATFORM, and names what was found and what is needed. */
export function requireRuntime(): void {
  const found = shortcoming(Bun.version, "transfer" in ArrayBuffer.prototype);
  if (found === null) return;
  const advice = "`bun upgrade` installs the newest, and `npx bun@latest` runs it";
  raise("UNSUPPORTED_PLATFORM", "loading xmem", found, { advice });
}

/** What is wrong with a Bun of this version; null when nothing is. */
export function shortcoming(version: string, transfers: boolean): string | null {
  const needed = `xmem needs Bun ${bunNeeded} or later`;
  if (isOlder(version, bunNeeded)) return `this is Bun ${version}, and ${needed}`;
  if (transfers) return null;
  return `this Bun ${version} has no ArrayBuffer.prototype.transfer, and ${needed}, which has it`;
}

/** By the three numbers; `Bun.semver` would take a debug build of the same version for older. */
function isOlder(version: string, than: string): boolean {
  const [ours = [], theirs = []] = [version, than].map((each) =>
    each.split(".", 3).map((part) => Number.parseInt(part, 10)),
  );
  const place = ours.findIndex((number, index) => number !== theirs[index]);
  return place >= 0 && (ours[place] ?? 0) < (theirs[place] ?? 0);
}
