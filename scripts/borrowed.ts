// Programs that some checks run and nothing else needs: other Buns from npm, Debian's musl and qemu.
// They are kept in build/borrowed. Where one cannot be had, the reason is printed, and what needs it
// is left out.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
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
