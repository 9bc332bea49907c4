// The Pythons of this machine, and what is installed for them: environments of their own, so that
// nothing of the machine's changes. A fresh machine may have no Python; each caller says what it
// leaves out then.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { root } from "./setup.ts";

/** Those that the package is for. */
export const versions: readonly string[] = ["3.13", "3.12", "3.11", "3.10", "3.9"];

export const folder: string = join(root, "python");

export interface Interpreter {
  version: string;
  path: string;
}

/** What a program prints, or null where it fails or is not there. */
function output(command: string[]): string | null {
  try {
    const { exitCode, stdout } = Bun.spawnSync(command, { stderr: "ignore" });
    return exitCode === 0 ? stdout.toString().trim() : null;
  } catch {
    return null;
  }
}

/** What pyenv has need not be on the PATH. */
function ofPyenv(): string[] {
  const installed = join(process.env["PYENV_ROOT"] ?? join(homedir(), ".pyenv"), "versions");
  if (!existsSync(installed)) return [];
  return readdirSync(installed).map((version) => join(installed, version, "bin", "python3"));
}

function onPath(name: string): string[] {
  const path = Bun.which(name);
  return path === null ? [] : [path];
}

/** One of each version that there is, the newest first. */
export function interpreters(): Interpreter[] {
  const candidates = [
    ...ofPyenv(),
    ...versions.flatMap((version) => onPath(`python${version}`)),
    ...onPath("python3"),
  ];
  const found = new Map<string, string>();
  const ask = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])";
  for (const path of candidates) {
    const version = output([path, "-I", "-c", ask]);
    if (version !== null && !found.has(version)) found.set(version, path);
  }
  return versions.flatMap((version) => {
    const path = found.get(version);
    return path === undefined ? [] : [{ version, path }];
  });
}

/** In node_modules, where everything is that others made. */
const environments = join(root, "node_modules", ".python");

/** Installs into an environment; null, with a line on the console, where that cannot be done. */
export function install(python: string, ...what: string[]): string | null {
  const command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  const { exitCode, stderr } = Bun.spawnSync([...command, ...what]);
  if (exitCode === 0) return python;
  console.log(`pip cannot install ${what.join(" ")}: ${stderr.toString().trim()}`);
  return null;
}

/** A new environment, with nothing in it: the path of its Python. */
export function clean(name: string, { path, version }: Interpreter): string | null {
  const environment = join(environments, `${name}-${version}`);
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(environments, { recursive: true });
  if (output([path, "-m", "venv", environment]) === null) return null;
  return join(environment, "bin", "python");
}

/**
 * An environment with the tools that a file of python/requirements pins, made once: the path of its
 * Python. Null where there is no Python, or no registry to install from.
 */
export function tools(name: string): string | null {
  const [newest] = interpreters();
  if (newest === undefined) return null;
  const pins = join(folder, "requirements", `${name}.txt`);
  const wanted = readFileSync(pins, "utf8") + newest.path;
  const environment = join(environments, `${name}-${newest.version}`);
  const stamp = join(environment, ".installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) {
    return join(environment, "bin", "python");
  }
  const python = clean(name, newest);
  if (python === null || install(python, "-r", pins) === null) return null;
  writeFileSync(stamp, wanted);
  return python;
}
