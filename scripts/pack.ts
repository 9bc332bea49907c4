// Makes the tarball that `bun add` installs: the sources as one file of JavaScript, their
// declarations, and the library built for every platform that it supports. The tree itself stays as
// it is; the package is put together in dist/package.

import { cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { declare } from "./declare.ts";
import { root, run, setup, zigBuild } from "./setup.ts";

interface Manifest {
  name: string;
  version: string;
  [field: string]: unknown;
}

const platforms = ["linux-x64-gnu", "linux-arm64-gnu", "linux-x64-musl", "linux-arm64-musl"];

/** Fields that only the development tree can use; an installed package has neither. */
const development = ["scripts", "devDependencies"];

/** Files that the package has unchanged, so that the README's links lead somewhere. */
const copied = [
  "docs",
  "examples/c",
  "include",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "LICENSE",
  "README.md",
];

/** Where the package differs from the tree, which runs from the sources. */
const packaged = {
  exports: { ".": { types: "./dist/xmem.d.ts", default: "./dist/xmem.js" } },
  types: "./dist/xmem.d.ts",
  files: ["dist", "prebuilt", ...copied],
};

/**
 * One file, which a program loads several times faster than the sources. It is not minified: people
 * read it, and calls in tail position would hide where errors come from.
 */
async function bundle(folder: string): Promise<void> {
  const { outputs } = await Bun.build({
    entrypoints: [join(root, "src", "index.ts")],
    target: "bun",
    external: ["*.so"],
  });
  const [output] = outputs;
  if (output === undefined || outputs.length > 1)
    throw new Error(`${outputs.length} files, not one`);
  const code = await output.text();
  // The bundler of a program that uses the package must find the libraries, as in
  // src/native/library.ts, which lies one folder deeper.
  const paths = /\b__require\("\.\.\//g;
  writeFileSync(join(folder, "xmem.js"), code.replaceAll(paths, 'require("'));
  writeFileSync(join(folder, "xmem.d.ts"), declare());
}

export async function pack(): Promise<string> {
  run(zigBuild("build/cross", "cross"));
  const dist = join(root, "dist");
  const folder = join(dist, "package");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
  for (const field of development) delete manifest[field];
  const written = JSON.stringify({ ...manifest, ...packaged }, null, 2);
  writeFileSync(join(folder, "package.json"), `${written}\n`);
  mkdirSync(join(folder, "dist"));
  await bundle(join(folder, "dist"));
  for (const path of copied) {
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
  const tarball = await pack();
  console.log(`${tarball}: ${statSync(tarball).size} bytes`);
}
