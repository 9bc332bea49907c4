// Makes a fresh machine ready: installs what package.json pins, then builds the native library and
// the generated constants. Only Bun itself is needed to run it, and nothing is done twice.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { whenInterrupted } from "./interrupted.ts";

export const root: string = join(import.meta.dir, "..");
const zigCache = join(root, ".zig-cache");

interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
}

interface RecordOptions extends RunOptions {
  /** A program that prints nothing for so many milliseconds is ended, as one that hangs. */
  silenceMax?: number;
}

/** Runs a program with its output passed on, from the repository; throws when it fails. */
export function run(command: string[], options: RunOptions = {}): void {
  const result = Bun.spawnSync(command, {
    cwd: options.cwd ?? root,
    env: { ...environment(), ...options.env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (result.exitCode !== 0) {
    throw new Error(`${command.join(" ")} failed with ${result.exitCode ?? result.signalCode}`);
  }
}

/** The same, but it returns the output, and leaves it to the caller to judge a failure. */
export async function runRecorded(
  command: string[],
  options: RecordOptions = {},
): Promise<{ ok: boolean; output: string }> {
  const { silenceMax = Number.POSITIVE_INFINITY } = options;
  const child = Bun.spawn(command, {
    cwd: options.cwd ?? root,
    env: { ...environment(), ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const forget = whenInterrupted(() => child.kill("SIGTERM"));
  let output = "";
  let heard = performance.now();
  const hung = Promise.withResolvers<void>();
  const watchdog = setInterval(() => {
    const silence = performance.now() - heard;
    if (silence > silenceMax) child.kill("SIGTERM");
    // What it has started may outlive it, and keep its output open.
    if (silence > silenceMax + 10_000) {
      child.kill("SIGKILL");
      hung.resolve();
    }
  }, 1000);
  const record = async (stream: ReadableStream<Uint8Array>, to: NodeJS.WriteStream) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      heard = performance.now();
      to.write(chunk);
      output += decoder.decode(chunk, { stream: true });
    }
  };
  const streams = [record(child.stdout, process.stdout), record(child.stderr, process.stderr)];
  await Promise.race([Promise.all(streams), hung.promise]);
  clearInterval(watchdog);
  const ok = (await child.exited) === 0;
  forget();
  return { ok, output };
}

/** A tool that node_modules brought. Bun runs it, so that no other runtime is needed. */
export function tool(packageFile: string, ...argv: string[]): string[] {
  return [process.execPath, join(root, "node_modules", packageFile), ...argv];
}

/** The compiler that npm brought, without the script around it that wants Node. */
export function zig(...argv: string[]): string[] {
  const platform = `${process.platform}-${process.arch}`;
  return [join(root, "node_modules", "@zigc", platform, "bin", "zig"), ...argv];
}

/** `zig build` with the arguments given; its cache makes an unchanged build cheap. */
export function zigBuild(prefix: string, ...argv: string[]): string[] {
  const where = ["--build-file", join(root, "zig", "build.zig"), "--cache-dir", zigCache];
  const library = ["--zig-lib-dir", join(root, "node_modules", "@zigc", "lib")];
  return zig("build", ...where, ...library, ...musl(), "--prefix", join(root, prefix), ...argv);
}

/**
 * The libc of this Bun, whatever else is installed: a library loads only into the libc that it was
 * built for.
 */
function musl(): string[] {
  return onMusl() ? [`-Dtarget=${targetTriple()}`] : [];
}

function onMusl(): boolean {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return process.platform === "linux" && report.header?.glibcVersionRuntime === undefined;
}

/** The target of the library here, as the compiler calls it. */
export function targetTriple(): string {
  const cpu = process.arch === "arm64" ? "aarch64" : "x86_64";
  if (process.platform === "darwin") return `${cpu}-macos`;
  return `${cpu}-linux-${onMusl() ? "musl" : "gnu.2.17"}`;
}

/**
 * Puts this Bun on the PATH of nested programs, wherever it came from (npx keeps it off the PATH).
 */
function environment(): Record<string, string | undefined> {
  const bin = join(root, "node_modules", ".bin");
  return { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` };
}

/** What `bun.lock` names, if it is not here yet. */
export function install(): void {
  const wanted = readFileSync(join(root, "bun.lock"), "utf8");
  // Written after the installation, so that an interrupted one is never taken for a whole one.
  const stamp = join(root, "node_modules", ".xmem-installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  run([process.execPath, "install", "--frozen-lockfile"]);
  writeFileSync(stamp, wanted);
}

export function setup(): void {
  install();
  run(zigBuild("build"));
}

if (import.meta.main) setup();
