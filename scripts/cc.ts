// The C compiler that the pinned Zig is, for the library that `bun run build` makes.

import { join } from "node:path";
import { root, targetTriple, zig } from "./setup.ts";

const strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

interface Compiled {
  ok: boolean;
  messages: string;
}

function compile(command: string[]): Compiled {
  const child = Bun.spawnSync(command, {
    env: {
      ...process.env,
      ZIG_LIB_DIR: join(root, "node_modules", "@zigc", "lib"),
      ZIG_LOCAL_CACHE_DIR: join(root, ".zig-cache"),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { ok: child.exitCode === 0, messages: child.stdout.toString() + child.stderr.toString() };
}

/** A program of one source, in C99 by default, which finds the library where it lies. */
export function compileC(
  source: string,
  program: string,
  standard = "c99",
  ...options: string[]
): Compiled {
  const library = join(root, "build");
  const language = ["-target", targetTriple(), `-std=${standard}`, ...options];
  const how = [...language, ...strict, `-I${join(root, "include")}`];
  const link = [`-L${library}`, "-lxmem", `-Wl,-rpath,${library}`, "-pthread"];
  return compile(zig("cc", ...how, source, "-o", program, ...link));
}

/** Compiles a source to an object in another language: "c++" and "c++17", say. */
export function compileObject(
  language: "c" | "c++",
  standard: string,
  source: string,
  object: string,
): Compiled {
  const how = ["-c", `-std=${standard}`, ...strict, `-I${join(root, "include")}`];
  return compile(zig("cc", ...how, "-x", language, source, "-o", object));
}

/** A shared library for musl that stands in for symbols of another libc. */
export function compileShim(source: string, library: string): Compiled {
  const how = ["-target", "x86_64-linux-musl", "-std=c99", "-shared", "-nostdlib"];
  return compile(zig("cc", ...how, source, "-o", library));
}
