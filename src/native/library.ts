// Chooses the native library for this machine. Nothing here opens it, and no other file names one.

import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { raise } from "../errors/error.ts";

// A bundle (`bun build`, with or without --compile) has no folder beside it to look into. There the
// library is an asset, and only a literal require() inside a try makes the bundler take it in and
// lets it leave out what does not exist. process.platform and process.arch are constants to the
// bundler, so that a binary carries only its own platform's libraries.
declare const require: (path: string) => string;

type Libc = "gnu" | "musl";

/** The report names glibc's version; under musl the field is missing. */
function libcKind(): Libc {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined ? "musl" : "gnu";
}

function embedded(libc: Libc): string | null {
  if (process.platform === "linux" && process.arch === "x64") {
    try {
      return libc === "gnu"
        ? require("../../prebuilt/linux-x64-gnu/libxmem.so")
        : require("../../prebuilt/linux-x64-musl/libxmem.so");
    } catch {
      return builtHere();
    }
  }
  if (process.platform === "linux" && process.arch === "arm64") {
    try {
      return libc === "gnu"
        ? require("../../prebuilt/linux-arm64-gnu/libxmem.so")
        : require("../../prebuilt/linux-arm64-musl/libxmem.so");
    } catch {
      return builtHere();
    }
  }
  return null;
}

/** Bundled from the development tree, which has no prebuilt libraries. */
function builtHere(): string | null {
  try {
    return require("../../build/libxmem.so");
  } catch {
    return null;
  }
}

/**
 * The file to load. XMEM_LIBRARY, an absolute path, overrides the choice (for checkers' builds).
 */
export function libraryPath(): string {
  const chosen = process.env["XMEM_LIBRARY"];
  if (chosen) return chosen;
  const libc = process.platform === "linux" ? libcKind() : "gnu";
  const kind = process.platform === "linux" ? `-${libc}` : "";
  const file = process.platform === "darwin" ? "libxmem.dylib" : "libxmem.so";
  const folder = `${process.platform}-${process.arch}${kind}`;
  // The folder of this file, and of the one that the package has in its place.
  const home = /^(.*)\/(?:src\/native\/library\.ts|dist\/xmem\.js)$/.exec(import.meta.path);
  const root = home?.[1] ?? import.meta.dir;
  const candidates = [join(root, "build", file), join(root, "prebuilt", folder, file)];
  if (home !== null) {
    for (const candidate of candidates) if (existsSync(candidate)) return candidate;
  }
  const asset = embedded(libc);
  if (asset !== null) return isAbsolute(asset) ? asset : join(import.meta.dir, asset);
  const found = `there is no library for ${folder}: none of ${candidates.join(", ")} exists`;
  const advice = "build one, and let XMEM_LIBRARY name it";
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
