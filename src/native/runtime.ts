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
  if (version.localeCompare(bunNeeded, "en", { numeric: true }) < 0) {
    return `this is Bun ${version}, and ${needed}`;
  }
  if (transfers) return null;
  return `this Bun ${version} has no ArrayBuffer.prototype.transfer, and ${needed}, which has it`;
}
