// Makes the wheels of the Python package, one for each platform, with the library inside. The
// libraries are those of `bun run pack`, which calls this.

import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { folder, tools } from "./python.ts";
import { root, run } from "./setup.ts";

/** The tag that a wheel bears, by the name of the platform as `zig/build.zig` has it. */
const tags: Record<string, string> = {
  "linux-x64-gnu": "manylinux_2_17_x86_64",
  "linux-arm64-gnu": "manylinux_2_17_aarch64",
  "linux-x64-musl": "musllinux_1_2_x86_64",
  "linux-arm64-musl": "musllinux_1_2_aarch64",
  "darwin-x64": "macosx_11_0_x86_64",
  "darwin-arm64": "macosx_11_0_arm64",
};

/** The tag of the wheels for machines like this. */
export const ownTag: string | undefined = tags[`${process.platform}-${process.arch}-gnu`];

const ignored = /\/(?:__pycache__|tests|requirements)$/;

/** The package as it is built: its folder, and what the repository has elsewhere. */
function stage(platform: string, libraries: string, stage: string): void {
  rmSync(stage, { recursive: true, force: true });
  cpSync(folder, stage, { recursive: true, filter: (from) => !ignored.test(from) });
  for (const file of ["LICENSE", "package.json"]) cpSync(join(root, file), join(stage, file));
  writeFileSync(join(stage, "PLATFORM"), `${tags[platform]}\n`);
  for (const library of readdirSync(join(libraries, platform))) {
    cpSync(join(libraries, platform, library), join(stage, "src", "xmem", library));
  }
}

/**
 * The paths of the wheels in dist/. Where there is no Python it says so, and returns none: the
 * packages for Bun need none.
 */
export function packWheels(libraries: string = join(root, "build", "cross")): string[] {
  const dist = join(root, "dist");
  mkdirSync(dist, { recursive: true });
  for (const file of readdirSync(dist)) if (file.endsWith(".whl")) rmSync(join(dist, file));
  const python = tools("pack");
  if (python === null) {
    const needed = "a Python from 3.9 to 3.13 with venv, and hatchling from a registry";
    console.log(`no wheels were built: that takes ${needed}`);
    return [];
  }
  for (const platform of Object.keys(tags)) {
    const staged = join(dist, "packages", "python", platform);
    stage(platform, libraries, staged);
    const build = [python, "-m", "hatchling", "build", "--target", "wheel", "--directory", dist];
    // Every file bears this time, so that a wheel made again has the same bytes.
    run(build, { cwd: staged, env: { SOURCE_DATE_EPOCH: "1580601600" } });
  }
  const wheels = readdirSync(dist).filter((file) => file.endsWith(".whl"));
  return wheels.sort().map((file) => join(dist, file));
}
