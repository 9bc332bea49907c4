// Compiles what the suite has in C: the yardsticks, and xmem from C. It is done by the compiler that
// the pinned Zig is, and only when a source is newer than its program.

import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { root, run, zig } from "../../scripts/setup.ts";

export const built: string = join(root, "build", "bench");
const sources = join(root, "bench", "c");

const flags = ["-O3", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"];

/** Compilers sanitize by default where optimization is not asked for; nothing may be measured so. */
const plain = ["-fno-sanitize=all", "-DNDEBUG"];

const newest = (paths: string[]): number =>
  Math.max(...paths.map((path) => statSync(path).mtimeMs));

/** Runs the command unless what it makes is newer than what it is made of. */
export function make(target: string, from: string[], command: string[]): void {
  mkdirSync(built, { recursive: true });
  if (existsSync(target) && statSync(target).mtimeMs > newest(from)) return;
  run(command, {
    env: {
      ZIG_LIB_DIR: join(root, "node_modules", "@zigc", "lib"),
      ZIG_LOCAL_CACHE_DIR: join(root, ".zig-cache"),
    },
  });
}

/** Everything in bench/c: a program each; frames.c is also a library, for the other languages. */
export function compileAll(): void {
  const names = readdirSync(sources);
  const headers = names.filter((name) => name.endsWith(".h")).map((name) => join(sources, name));
  const xmem = join(root, "build", "libxmem.so");
  const link = [`-I${join(root, "include")}`, xmem, `-Wl,-rpath,${join(root, "build")}`];
  for (const name of names.filter((each) => each.endsWith(".c"))) {
    const source = join(sources, name);
    const shared = name === "frames.c";
    const target = join(built, shared ? "libframes.so" : name.slice(0, -2));
    const how = shared ? ["-shared", "-fPIC"] : [join(sources, "frames.c"), ...link, "-pthread"];
    const from = [source, join(sources, "frames.c"), xmem, join(root, "include", "xmem.h")];
    const command = zig("cc", ...flags, ...plain, source, ...how, "-o", target);
    make(target, [...from, ...headers], command);
  }
}

export const program = (name: string): string[] => [join(built, name)];
