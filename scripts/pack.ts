// Makes the tarball that `bun add` installs: the sources, and the library built for every platform
// that it supports. The tree itself stays as it is; the package is put together in dist/package.

import { cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, run, setup, zigBuild } from "./setup.ts";

interface Manifest {
  name: string;
  version: string;
  [field: string]: unknown;
}

const platforms = ["linux-x64-gnu", "linux-arm64-gnu", "linux-x64-musl", "linux-arm64-musl"];

/** What only the development tree can use; an installed package has neither. */
const development = ["scripts", "devDependencies"];

export function pack(): string {
  run(zigBuild("build/cross", "cross"));
  const dist = join(root, "dist");
  const folder = join(dist, "package");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
  for (const field of development) delete manifest[field];
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const path of ["src", "CHANGELOG.md", "LICENSE", "README.md"]) {
    cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  for (const platform of platforms) {
    const library = join(platform, "libxmem.so");
    cpSync(join(root, "build", "cross", library), join(folder, "prebuilt", library));
  }
  run([process.execPath, "pm", "pack", "--quiet", "--destination", dist], { cwd: folder });
  return join(dist, `${manifest.name}-${manifest.version}.tgz`);
}

if (import.meta.main) {
  setup();
  const tarball = pack();
  console.log(`${tarball}: ${statSync(tarball).size} bytes`);
}
