// Makes what users install: the sources as one file of JavaScript, their declarations, and the
// library built for every platform. The tree itself stays as it is; the packages are put together in
// dist/packages. docs/platforms.md says why there are these.
//
//   dist/xmem-<version>.tgz             all that a machine of this kind needs, in one file
//   dist/registry/xmem-<version>.tgz    the same without a library, for a registry, with
//   dist/registry/xmem-<platform>-...   one package for each platform, of which it chooses
//   dist/xmem-<version>-c-...           what scripts/pack_c.ts makes for programs in C
//   dist/xmem-<version>-py3-...whl      the package for Python, for each platform

import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { platforms } from "../src/native/library.ts";
import { declareAll } from "./declare.ts";
import { packC } from "./pack_c.ts";
import { copyDocuments } from "./pack_documents.ts";
import { root, run, setup, zigBuild } from "./setup.ts";
import { packWheels } from "./wheels.ts";

interface Manifest {
  name: string;
  version: string;
  description: string;
  [field: string]: unknown;
}

/** Fields that only the development tree can use; an installed package has neither. */
const development = ["scripts", "devDependencies"];

/** What users read of the repository. */
const copied = ["docs", "examples/pipeline", "include", "CHANGELOG.md", "LICENSE", "README.md"];

/** Where the package differs from the tree, which runs from the sources. */
const packaged = {
  bin: { xmem: "./dist/command.js" },
  exports: {
    ".": {
      types: "./dist/xmem.d.ts",
      bun: "./dist/xmem.js",
      node: "./dist/other_runtime.cjs",
      default: "./dist/xmem.js",
    },
    "./bridge": {
      types: "./dist/bridge.d.ts",
      bun: "./dist/bridge.js",
      node: "./dist/other_runtime.cjs",
      default: "./dist/bridge.js",
    },
    "./park": {
      types: "./dist/park.d.ts",
      bun: "./dist/park.js",
      node: "./dist/other_runtime.cjs",
      default: "./dist/park.js",
    },
    "./test": {
      types: "./dist/test.d.ts",
      bun: "./dist/test.js",
      node: "./dist/other_runtime.cjs",
      default: "./dist/test.js",
    },
  },
  types: "./dist/xmem.d.ts",
  files: ["dist", "prebuilt", ...copied],
};

function libraryFile(platform: string): string {
  return platform.startsWith("darwin") ? "libxmem.dylib" : "libxmem.so";
}

/**
 * One file, which a program loads several times faster than the sources. It has its names: people
 * read it. Only white space goes: calls in tail position would hide where errors come from.
 */
async function bundle(folder: string): Promise<void> {
  const { outputs } = await Bun.build({
    entrypoints: [join(root, "src", "index.ts")],
    target: "bun",
    minify: { whitespace: true },
    external: ["*.so", "*.dylib"],
  });
  const [output] = outputs;
  if (output === undefined || outputs.length > 1)
    throw new Error(`${outputs.length} files, not one`);
  const code = await output.text();
  // The bundler of a program that uses the package must find the libraries, as in
  // src/native/library.ts, which lies one folder deeper.
  const paths = /\b__require\("(?:\.\.\/)?/g;
  writeFileSync(join(folder, "xmem.js"), code.replaceAll(paths, 'require("'));
  const declarations = declareAll();
  writeFileSync(join(folder, "xmem.d.ts"), declarations.library);
  writeFileSync(join(folder, "bridge.d.ts"), declarations.bridge);
  writeFileSync(join(folder, "park.d.ts"), declarations.park);
  writeFileSync(join(folder, "test.d.ts"), declarations.testing);
  cpSync(join(root, "src", "other_runtime.cjs"), join(folder, "other_runtime.cjs"));
}

/** Whatever imports the library imports the file of it that lies beside. */
const onLibrary: Bun.BunPlugin = {
  name: "the library stays a file of its own",
  setup(build) {
    const library = join(root, "src", "index.ts");
    build.onResolve({ filter: /\.\.\/index\.ts$/ }, ({ path, importer }) =>
      join(dirname(importer), path) === library ? { path: "./xmem.js", external: true } : undefined,
    );
  },
};

/**
 * A sub-path, which runs on the library beside it: xmem/bridge on the client that its user installed,
 * too, xmem/park with the little that it uses of others, and xmem/test on `bun test`. The library says
 * where errors come from, so that these are as small as can be.
 */
async function bundleBeside(folder: string, room: string, file: string): Promise<void> {
  const { outputs } = await Bun.build({
    entrypoints: [join(root, "src", room, "index.ts")],
    target: "bun",
    minify: true,
    external: ["@nats-io/*"],
    plugins: [onLibrary],
  });
  const [output] = outputs;
  if (output === undefined || outputs.length > 1)
    throw new Error(`${outputs.length} files of ${room}/, not one`);
  writeFileSync(join(folder, file), await output.text());
}

/**
 * The page that the command serves is text to the bundler, which would leave it as it is: this takes
 * the comments and the white space out of it, and packs what is left.
 */
async function smallPage(): Promise<Bun.BunPlugin> {
  const folder = join(root, "src", "command", "serve", "page");
  const texts = new Map([
    [join(folder, "page.html"), readFileSync(join(folder, "page.html"), "utf8")],
  ]);
  for (const file of ["page.css", "page.js"]) {
    const { outputs } = await Bun.build({ entrypoints: [join(folder, file)], minify: true });
    texts.set(join(folder, file), (await outputs[0]?.text()) ?? "");
  }
  return {
    name: "the page, small",
    setup(build) {
      build.onLoad({ filter: /\/serve\/page\/page\.\w+$/ }, ({ path }) => {
        const packed = Bun.deflateSync(Buffer.from(texts.get(path) ?? ""), { level: 9 });
        const bytes = `Buffer.from("${Buffer.from(packed).toString("base64")}", "base64")`;
        const contents = `export default new TextDecoder().decode(Bun.inflateSync(${bytes}));`;
        return { contents, loader: "js" };
      });
    },
  };
}

/**
 * The command, with the libraries that it uses: it runs on the file of the library beside it. It is
 * minified, since nobody links against it.
 */
async function bundleCommand(folder: string): Promise<void> {
  const { outputs } = await Bun.build({
    entrypoints: [join(root, "src", "command", "program.ts")],
    target: "bun",
    minify: true,
    plugins: [onLibrary, await smallPage()],
  });
  const [output] = outputs;
  if (output === undefined || outputs.length > 1)
    throw new Error(`${outputs.length} files of the command, not one`);
  writeFileSync(join(folder, "command_program.js"), await output.text());
  const first = readFileSync(join(root, "src", "command", "xmem.js"), "utf8");
  const program = first.replace('"./program.ts"', '"./command_program.js"');
  if (program === first) throw new Error("the command's first file does not import its program");
  writeFileSync(join(folder, "command.js"), program, { mode: 0o755 });
}

/** A folder for a package, empty but for its package.json. */
function begin(folder: string, manifest: object): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** The package itself, without a library. */
async function beginMain(folder: string, manifest: Manifest): Promise<void> {
  begin(folder, manifest);
  mkdirSync(join(folder, "dist"));
  await bundle(join(folder, "dist"));
  await bundleBeside(join(folder, "dist"), "bridge", "bridge.js");
  await bundleBeside(join(folder, "dist"), "park", "park.js");
  await bundleBeside(join(folder, "dist"), "testing", "test.js");
  await bundleCommand(join(folder, "dist"));
  copyDocuments(copied, folder);
}

function compress(folder: string, destination: string): void {
  run([process.execPath, "pm", "pack", "--quiet", "--destination", destination], { cwd: folder });
}

/** A package with one library, which installers leave out elsewhere. */
function packPlatform(platform: string, from: Manifest, libraries: string, dist: string): string {
  const [os = "", cpu = "", libc] = platform.split("-");
  const file = libraryFile(platform);
  const manifest = {
    name: `${from.name}-${platform}`,
    version: from.version,
    description: `The native library of ${from.name} for ${platform}`,
    license: from["license"],
    os: [os],
    cpu: [cpu],
    // Of macOS there is one.
    ...(libc === undefined ? {} : { libc: [libc === "gnu" ? "glibc" : libc] }),
    files: [file],
  };
  const folder = join(dist, "packages", manifest.name);
  begin(folder, manifest);
  cpSync(join(libraries, platform, file), join(folder, file));
  cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  compress(folder, join(dist, "registry"));
  return manifest.name;
}

/** Makes all packages in a folder, and returns the path of the one for machines like this. */
export async function pack(dist: string = join(root, "dist")): Promise<string> {
  run(zigBuild("build/cross", "cross"));
  const libraries = join(root, "build", "cross");
  const registry = join(dist, "registry");
  rmSync(registry, { recursive: true, force: true });
  mkdirSync(registry, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
  for (const field of development) delete manifest[field];
  const main: Manifest = { ...manifest, ...packaged };

  const names = platforms.map((platform) => packPlatform(platform, main, libraries, dist));
  const folder = join(dist, "packages", main.name);
  const optionalDependencies = Object.fromEntries(names.map((name) => [name, main.version]));
  await beginMain(folder, { ...main, optionalDependencies });
  compress(folder, registry);

  // It names no other package: an installation asks no registry for anything.
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(main, null, 2)}\n`);
  const machine = `${process.platform}-${process.arch}`;
  for (const platform of platforms.filter((each) => each.startsWith(machine))) {
    const library = join(platform, libraryFile(platform));
    cpSync(join(libraries, library), join(folder, "prebuilt", library));
  }
  compress(folder, dist);
  return join(dist, `${main.name}-${main.version}.tgz`);
}

/** What the packages take, packed and installed, for docs/platforms.md. */
async function report(): Promise<void> {
  const dist = join(root, "dist");
  const tarballs = readdirSync(dist, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(?:tgz|tar\.gz)$/.test(file))
    .sort();
  for (const tarball of tarballs) {
    const path = join(dist, tarball);
    const files = await new Bun.Archive(await Bun.file(path).bytes()).files();
    const installed = [...files.values()].reduce((sum, { size }) => sum + size, 0);
    console.log(`${path}: ${statSync(path).size} bytes, installed ${installed}`);
  }
  for (const wheel of readdirSync(dist).filter((file) => file.endsWith(".whl"))) {
    console.log(`${join(dist, wheel)}: ${statSync(join(dist, wheel)).size} bytes`);
  }
}

if (import.meta.main) {
  setup();
  await pack();
  await packC(platforms);
  packWheels();
  await report();
}
