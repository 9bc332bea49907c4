// Makes what programs in C install: for each platform the header, the library as a shared and as a
// static one, and a file for pkg-config. It can be unpacked anywhere: pkg-config finds all by the
// place of its own file.
//
//   dist/xmem-<version>-c-<platform>.tar.gz

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { pack as tarPack } from "tar-stream";
import { root, run, zig, zigBuild } from "./setup.ts";

const shared = join(root, "build", "cross");
const objects = join(root, "build", "static");
const dist = join(root, "dist");

interface Manifest {
  name: string;
  version: string;
  license: string;
}

const { name, version, license } = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8"),
) as Manifest;

const pkgConfig = `prefix=\${pcfiledir}/../..

Name: ${name}
Description: A zero-copy buffer pool in shared memory
Version: ${version}
License: ${license}
Cflags: -I\${prefix}/include
Libs: -L\${prefix}/lib -lxmem
Libs.private: -pthread
`;

/** Of nothing but the object, and with no time in it. */
function staticLibrary(platform: string): Buffer {
  const folder = join(objects, platform);
  const archive = join(folder, "libxmem.a");
  rmSync(archive, { force: true });
  const format = platform.startsWith("darwin") ? "darwin" : "gnu";
  run(zig("ar", `--format=${format}`, "rcsD", archive, "xmem.o"), { cwd: folder });
  return readFileSync(archive);
}

/** As npm dates what it packs: the same bytes at any time. */
const mtime = new Date("1985-10-26T08:15:00Z");

async function tarOf(files: Record<string, Buffer | string>): Promise<Uint8Array> {
  const tar = tarPack();
  for (const [path, content] of Object.entries(files)) {
    tar.entry({ name: path, mode: 0o644, mtime }, content);
  }
  tar.finalize();
  return Buffer.concat(await Array.fromAsync(tar as AsyncIterable<Buffer>));
}

/** Where the archive of a platform lies once it is made. */
export function archiveOf(platform: string): string {
  return join(dist, `${name}-${version}-c-${platform}.tar.gz`);
}

/** Makes the archives of some platforms. */
export async function packC(chosen: readonly string[]): Promise<void> {
  run(zigBuild("build/cross", "cross"));
  run(zigBuild("build/static", ...chosen.map((platform) => `static-${platform}`)));
  mkdirSync(dist, { recursive: true });
  for (const platform of chosen) {
    const library = platform.startsWith("darwin") ? "libxmem.dylib" : "libxmem.so";
    const top = `${name}-${version}-c-${platform}`;
    const tar = await tarOf({
      [`${top}/LICENSE`]: readFileSync(join(root, "LICENSE")),
      [`${top}/README.md`]: readFileSync(join(root, "docs", "languages.md")),
      [`${top}/include/xmem.h`]: readFileSync(join(root, "include", "xmem.h")),
      [`${top}/lib/${library}`]: readFileSync(join(shared, platform, library)),
      [`${top}/lib/libxmem.a`]: staticLibrary(platform),
      [`${top}/lib/pkgconfig/${name}.pc`]: pkgConfig,
    });
    writeFileSync(archiveOf(platform), gzipSync(tar));
  }
}
