// Programs that some checks run and nothing else needs: other Buns from npm, Debian's musl and qemu.
// They are kept in build/borrowed. Where one cannot be had, the reason is printed, and what needs it
// is left out.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { compileShim } from "./cc.ts";
import { root } from "./setup.ts";

/** A folder that `fill` fills once; null, and the reason printed, where that fails. */
function kept(name: string, fill: (folder: string) => void): string | null {
  const folder = join(root, "build", "borrowed", name);
  if (existsSync(folder)) return folder;
  mkdirSync(join(folder, ".."), { recursive: true });
  // Under another name until it is whole.
  const unfinished = mkdtempSync(`${folder}-`);
  try {
    fill(unfinished);
  } catch (error) {
    rmSync(unfinished, { recursive: true });
    console.log(`skipped, for want of ${name}: ${error instanceof Error ? error.message : error}`);
    return null;
  }
  renameSync(unfinished, folder);
  return folder;
}

function quietly(command: string[], cwd: string): void {
  const { success, stderr } = Bun.spawnSync(command, { cwd, stdio: ["ignore", "ignore", "pipe"] });
  if (!success) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
}

/** The folder of a package as npm's registry has it. */
export function fromNpm(name: string, version: string): string | null {
  const folder = kept(`${name.replace("/", "+")}@${version}`, (where) => {
    writeFileSync(join(where, "package.json"), "{}");
    // All kinds of machines: musl's would be refused on glibc.
    const any = ["--os=*", "--cpu=*"];
    quietly([process.execPath, "add", "--exact", ...any, `${name}@${version}`], where);
  });
  return folder && join(folder, "node_modules", name);
}

/** Bun itself in another version, for this machine. */
export function anotherBun(version: string): string | null {
  const arch = process.arch === "arm64" ? "aarch64" : process.arch;
  const folder = fromNpm(`@oven/bun-${process.platform}-${arch}`, version);
  return folder && join(folder, "bin", "bun");
}

/** A folder with the files of Debian packages, from which nothing is installed. */
export function fromDebian(...names: string[]): string | null {
  return kept(names.join("+"), (folder) => {
    const download = ["apt-get", "download", ...names];
    try {
      quietly(download, folder);
    } catch {
      // A fresh machine has no list of packages, or an old one.
      quietly(["apt-get", "update"], folder);
      quietly(download, folder);
    }
    for (const file of readdirSync(folder).filter((each) => each.endsWith(".deb"))) {
      quietly(["dpkg", "-x", file, folder], folder);
    }
  });
}

/** A Bun on musl, and what its processes need in their environment. */
export interface MuslBun {
  bun: string;
  env: Record<string, string>;
}

const loader = "/lib/ld-musl-x86_64.so.1";

/**
 * Puts Bun's musl build for x64 into a folder, to run where the system is glibc's: with Debian's musl,
 * and with Debian's C++ library, which a shim of test/programs lets run there. The folder's path must
 * be short, since it takes the place of the loader's in the binary.
 */
export function bunOnMusl(version: string, folder: string): MuslBun | null {
  const build = fromNpm("@oven/bun-linux-x64-musl", version);
  const musl = fromDebian("musl");
  const cxx = fromDebian("libstdc++6", "libgcc-s1");
  if (build === null || musl === null || cxx === null) return null;
  const own = join(folder, "ld");
  if (own.length > loader.length) throw new Error(`${own} is longer than ${loader}`);
  cpSync(join(musl, "lib", "x86_64-linux-musl", "libc.so"), own);
  for (const library of [
    "usr/lib/x86_64-linux-gnu/libstdc++.so.6",
    "lib/x86_64-linux-gnu/libgcc_s.so.1",
  ]) {
    cpSync(join(cxx, library), join(folder, basename(library)), { dereference: true });
  }
  // Both of them need the library of this name, so that it is loaded for them.
  const shim = join(folder, "ld-linux-x86-64.so.2");
  const { ok, messages } = compileShim(join(root, "test", "programs", "musl_shim.c"), shim);
  if (!ok) throw new Error(messages);
  const binary = readFileSync(join(build, "bin", "bun"));
  binary.write(own.padEnd(loader.length, "\0"), binary.indexOf(loader));
  const bun = join(folder, "bun");
  writeFileSync(bun, binary, { mode: 0o755 });
  return { bun, env: { LD_LIBRARY_PATH: folder } };
}

/** The emulator of arm64, which Zig finds by its name on the PATH of this folder. */
export function arm64Emulator(): string | null {
  const qemu = fromDebian("qemu-user-static");
  if (qemu === null) return null;
  const folder = join(qemu, "as-zig-names-it");
  if (!existsSync(folder)) {
    mkdirSync(folder);
    symlinkSync(join(qemu, "usr", "bin", "qemu-aarch64-static"), join(folder, "qemu-aarch64"));
  }
  return folder;
}
