// The browser that the tests of `xmem serve` run in: the program of XMEM_CHROMIUM, or one of the PATH.
// Run by itself, this installs Debian's.

import { existsSync } from "node:fs";
import { run } from "./setup.ts";

const names = ["chromium", "chromium-browser", "google-chrome"];

/** Its path; null where there is none. */
export function chromium(): string | null {
  const places = [process.env["XMEM_CHROMIUM"], ...names.map((name) => Bun.which(name))];
  return places.find((place) => place && existsSync(place)) ?? null;
}

/** Installs it where it is not there. False: that failed; the reason was printed. */
export function ensureChromium(): boolean {
  if (chromium() !== null) return true;
  // Without a font a page has no text.
  const packages = ["chromium", "fonts-dejavu-core"];
  const install = ["apt-get", "install", "--yes", "--no-install-recommends", ...packages];
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  try {
    // A fresh machine has no list of packages, or an old one.
    run(["apt-get", "update", "--quiet"]);
    run(install, { env });
  } catch (error) {
    console.error(String(error));
  }
  return chromium() !== null;
}

if (import.meta.main) {
  if (!ensureChromium()) process.exit(1);
  console.log(chromium());
}
