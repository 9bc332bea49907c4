// Chooses the native library for this machine. Nothing here opens it, and no other file names one.

import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { raise } from "../errors/error.ts";
import { requireRuntime } from "./runtime.ts";

// A bundle (`bun build`, with or without --compile) has no folder beside it to look into. There the
// library is an asset, and only a literal require() inside a try makes the bundler take it in and
// lets it leave out what does not exist. process.platform and process.arch are constants to the
// bundler, so that a binary carries only its own platform's libraries.
declare const require: (path: string) => string;

/** All that there are libraries for. The package named `xmem-` and one of these has that library. */
export const platforms: readonly string[] = [
  "linux-x64-gnu",
  "linux-x64-musl",
  "linux-arm64-gnu",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
];

/** This machine's, whether or not there is a library for it. */
function platform(): string {
  const machine = `${process.platform}-${process.arch}`;
  if (process.platform !== "linux") return machine;
  // The report names glibc's version; under musl the field is missing.
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return `${machine}-${report.header?.glibcVersionRuntime === undefined ? "musl" : "gnu"}`;
}

/** What a bundle has taken in: from this package, from a platform's or from the development tree. */
function bundled(musl: boolean): string | null {
  if (process.platform === "linux" && process.arch === "x64") {
    try {
      return musl
        ? require("../../prebuilt/linux-x64-musl/libxmem.so")
        : require("../../prebuilt/linux-x64-gnu/libxmem.so");
    } catch {}
    try {
      return musl
        ? require("xmem-linux-x64-musl/libxmem.so")
        : require("xmem-linux-x64-gnu/libxmem.so");
    } catch {}
  }
  if (process.platform === "linux" && process.arch === "arm64") {
    try {
      return musl
        ? require("../../prebuilt/linux-arm64-musl/libxmem.so")
        : require("../../prebuilt/linux-arm64-gnu/libxmem.so");
    } catch {}
    try {
      return musl
        ? require("xmem-linux-arm64-musl/libxmem.so")
        : require("xmem-linux-arm64-gnu/libxmem.so");
    } catch {}
  }
  if (process.platform === "darwin") {
    try {
      return process.arch === "arm64"
        ? require("../../prebuilt/darwin-arm64/libxmem.dylib")
        : require("../../prebuilt/darwin-x64/libxmem.dylib");
    } catch {}
    try {
      return process.arch === "arm64"
        ? require("xmem-darwin-arm64/libxmem.dylib")
        : require("xmem-darwin-x64/libxmem.dylib");
    } catch {}
  }
  try {
    return process.platform === "darwin"
      ? require("../../build/libxmem.dylib")
      : require("../../build/libxmem.so");
  } catch {
    return null;
  }
}

function resolved(specifier: string): string | null {
  try {
    return Bun.resolveSync(specifier, import.meta.dir);
  } catch {
    return null;
  }
}

/**
 * The file to load. XMEM_LIBRARY, an absolute path, overrides the choice (for checkers' builds).
 */
export function libraryPath(): string {
  requireRuntime();
  const chosen = process.env["XMEM_LIBRARY"];
  if (chosen) return chosen;
  const here = platform();
  const file = process.platform === "darwin" ? "libxmem.dylib" : "libxmem.so";
  // The folder of this file, and of the one that the package has in its place.
  const home = /^(.*)\/(?:src\/native\/library\.ts|dist\/xmem\.js)$/.exec(import.meta.path)?.[1];
  const candidates =
    home === undefined ? [] : [join(home, "build", file), join(home, "prebuilt", here, file)];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found !== undefined) return found;
  const beside = home === undefined ? null : resolved(`xmem-${here}/${file}`);
  if (beside !== null) return beside;
  const asset = bundled(here.endsWith("-musl"));
  if (asset !== null) return isAbsolute(asset) ? asset : join(import.meta.dir, asset);
  return missing(here, candidates);
}

/** Says what there is no library for, where it was looked for, and what can be done. */
function missing(here: string, candidates: readonly string[]): never {
  const own = "let XMEM_LIBRARY name a build of your own, by an absolute path";
  if (!platforms.includes(here)) {
    const found = `this is ${here}, and there are libraries for ${platforms.join(", ")}`;
    raise("UNSUPPORTED_PLATFORM", "loading xmem", found, { advice: own });
  }
  const name = `xmem-${here}`;
  if (candidates.length === 0) {
    const found = `this program was bundled without the library for ${here}: ${import.meta.path}`;
    const advice = `bundle it again where the package ${name} is installed, or ${own}`;
    raise("UNSUPPORTED_PLATFORM", "loading xmem", found, { advice });
  }
  const found =
    `there is no library for ${here}: none of ${candidates.join(", ")} exists, and the package ` +
    `${name} is not installed where ${import.meta.dir} finds it`;
  const advice = `install ${name} of the same version (it is an optional dependency), or ${own}`;
  raise("UNSUPPORTED_PLATFORM", "loading xmem", found, { advice });
}

/** What can be done about a library that is there and that the system's loader refused. */
export function loadingAdvice(path: string, why: string): string {
  if (path.startsWith("/$bunfs/")) {
    return (
      "Bun copies it out of the program to the folder for temporary files, which needs room and " +
      "must not be mounted noexec: let BUN_TMPDIR name another folder"
    );
  }
  if (/map segment|not permitted|permission denied/i.test(why)) {
    return "it must lie where programs may be executed, not on what is mounted noexec";
  }
  if (path === process.env["XMEM_LIBRARY"]) {
    return "let XMEM_LIBRARY name a build of xmem for this system, by an absolute path, or unset it";
  }
  const system = `${process.platform}-${process.arch} and this libc`;
  return `it must be of this version of xmem, for ${system}; in a clone, \`bun run build\` makes it`;
}
