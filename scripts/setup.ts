// Makes a fresh machine ready: installs what package.json pins, then builds the native library and
// the generated constants. Only Bun itself is needed to run it, and nothing is done twice.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const root: string = join(import.meta.dir, "..");

/** Runs a program in the repository, its output passed on; throws when it fails. */
export function run(command: string[], options: { cwd?: string; quiet?: boolean } = {}): void {
  const result = Bun.spawnSync(command, {
    cwd: options.cwd ?? root,
    stdio: ["ignore", options.quiet ? "pipe" : "inherit", options.quiet ? "pipe" : "inherit"],
    env: environment(),
  });
  if (result.exitCode === 0) return;
  if (options.quiet) {
    process.stdout.write(result.stdout ?? "");
    process.stderr.write(result.stderr ?? "");
  }
  throw new Error(`${command.join(" ")} failed with ${result.exitCode ?? result.signalCode}`);
}

/** Nested programs find this very Bun first, and the tools of node_modules after it. */
export function environment(): Record<string, string | undefined> {
  const bin = join(root, "node_modules", ".bin");
  return { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` };
}

/** The compiler that npm brought, without the script around it that wants Node. */
export function zig(): string {
  const platform = `${process.platform}-${process.arch}`;
  return join(root, "node_modules", "@zigc", platform, "bin", "zig");
}

function install(): void {
  const wanted = readFileSync(join(root, "bun.lock"), "utf8");
  const stamp = join(root, "node_modules", ".xmem-installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  run([process.execPath, "install", "--frozen-lockfile"]);
  // Bun's own writer is not awaited here, so that the stamp never precedes the installation.
  require("node:fs").writeFileSync(stamp, wanted);
}

/** Builds with the arguments given; the cache makes an unchanged build cheap. */
export function zigBuild(...argv: string[]): void {
  run([zig(), "build", "--prefix", join(root, "build"), "--cache-dir", join(root, ".zig-cache"),
    "--zig-lib-dir", join(root, "node_modules", "@zigc", "lib"), ...argv], { cwd: join(root, "zig") });
}

export function setup(): void {
  install();
  zigBuild();
}

if (import.meta.main) setup();
