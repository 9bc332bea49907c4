// Child processes that run a piece of source: for tests of a whole process under a limit, in a
// namespace or with a signal, where a shared program would hide the code that is tested.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { buildChecked, libraryOf } from "../scripts/checked.ts";
import { Lines } from "./lines.ts";

const programs = join(import.meta.dir, "programs");

/** The library that stops or kills its process at a given step. */
export const crashLibrary: string = libraryOf("crash");

/** Options of a script that uses this library. */
export const crashing: ScriptOptions = { env: { XMEM_LIBRARY: crashLibrary } };

export function buildCrashLibrary(): void {
  buildChecked("crash");
}

export interface ScriptOptions {
  /** The command that runs the process: `unshare`, `prlimit`, a shell. */
  under?: string[];
  env?: Record<string, string>;
  /** Its errors are part of the test, and are not printed. */
  quiet?: boolean;
}

export interface Script {
  readonly pid: number;
  /** The next line that it prints; "" at its end. */
  line(): Promise<string>;
  /** All lines that it prints from now on, when it has ended. This closes its input. */
  rest(): Promise<string[]>;
  /** The next line that `heard()` returns there. */
  tell(line: string): void;
  kill(signal: NodeJS.Signals): void;
  /** The exit code, or the signal's name. */
  ended: Promise<number | NodeJS.Signals>;
}

/** Starts a process that runs `source`, in the scope of everything in programs/script.ts. */
export function script(source: string, options: ScriptOptions = {}): Script {
  const imports = `import * as scope from ${JSON.stringify(join(programs, "script.ts"))};
    Object.assign(globalThis, scope);`;
  const child = Bun.spawn(
    [...(options.under ?? []), process.execPath, "-e", `${imports}\n${source}`],
    {
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", options.quiet ? "ignore" : "inherit"],
    },
  );
  const lines = new Lines(child.stdout);
  const line = async (): Promise<string> => (await lines.next()) ?? lines.takeRest();
  const rest = async (): Promise<string[]> => {
    // A process that listens does not end by itself.
    child.stdin.end();
    const all: string[] = [];
    for (let next = await lines.next(); next !== null; next = await lines.next()) all.push(next);
    return [...all, lines.takeRest()].filter((each) => each !== "");
  };
  const ended = child.exited.then((code) => child.signalCode ?? code);
  return {
    pid: child.pid,
    line,
    rest,
    tell: (said) => {
      child.stdin.write(`${said}\n`);
      child.stdin.flush();
    },
    kill: (signal) => child.kill(signal),
    ended,
  };
}

/** A command that runs its arguments in namespaces of the kinds given; null where none may be made. */
export function unshare(...kinds: string[]): string[] | null {
  let reason = "";
  for (const user of [[], ["--map-root-user"]]) {
    const command = ["unshare", ...user, ...kinds];
    try {
      const probe = Bun.spawnSync([...command, "true"]);
      if (probe.exitCode === 0) return command;
      reason = probe.stderr.toString().trim();
    } catch (error) {
      reason = String(error);
    }
  }
  console.log(`skipped, for want of namespaces: ${reason}`);
  return null;
}

/**
 * Whether the kernel has stopped the process: each of its threads. A signal reaches one thread
 * first, and the others run on until that one has told them.
 */
export function isStopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  try {
    // The state follows the name in parentheses, and the name may contain anything.
    return readdirSync(tasks).every((task) =>
      /\) T [^)]*$/.test(readFileSync(`${tasks}/${task}/stat`, "utf8")),
    );
  } catch {
    // A thread, or all of them, ended meanwhile.
    return false;
  }
}

/** Waits until the kernel has stopped the process. */
export async function untilStopped(pid: number): Promise<void> {
  await until(() => isStopped(pid));
}

/** Waits until `condition` holds; a test's own timeout is the watchdog. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(5);
}
