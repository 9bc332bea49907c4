// The command `xmem` as a shell runs it, and on a terminal.

import { join } from "node:path";

const first = join(import.meta.dir, "../src/command/xmem.js");

export interface Run {
  exitCode: number;
  out: string;
  err: string;
}

/** Starts it, for what is to be done while it runs. */
export function start(...given: string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  return Bun.spawn([process.execPath, first, ...given], {
    env: process.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Runs it to its end. */
export async function xmem(...given: string[]): Promise<Run> {
  const child = start(...given);
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { exitCode: await child.exited, out, err };
}

/** What it prints with `--json`. */
export async function said(...given: string[]): Promise<unknown> {
  const { exitCode, out, err } = await xmem(...given, "--json");
  if (exitCode !== 0) throw new Error(`${given.join(" ")} ended with ${exitCode}: ${err}`);
  return JSON.parse(out);
}

export interface OnTerminal {
  readonly pid: number;
  readonly exited: Promise<number>;
  /** Everything that was written, with the escape sequences. */
  raw(): string;
  /** Waits until a frame of the screen has that. */
  shows(what: string | RegExp): Promise<string>;
  type(keys: string): void;
  resize(columns: number, rows: number): void;
}

const escapes = /\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]/g;
const home = "\x1b[1;1H";

/** Runs it on a terminal of its own. */
export function onTerminal(columns: number, rows: number, ...given: string[]): OnTerminal {
  let raw = "";
  const decoder = new TextDecoder();
  const child = Bun.spawn([process.execPath, first, ...given], {
    env: { ...process.env, TERM: "xterm-256color" },
    terminal: {
      cols: columns,
      rows,
      data: (_, data) => {
        raw += decoder.decode(data, { stream: true });
      },
    },
  });
  return {
    pid: child.pid,
    exited: child.exited,
    raw: () => raw,
    async shows(what) {
      const matches = (text: string): boolean =>
        typeof what === "string" ? text.includes(what) : what.test(text);
      while (true) {
        // The last frame that is whole: it ends where the rest of the screen is erased.
        const end = raw.lastIndexOf("\x1b[J");
        const frame = raw.slice(raw.lastIndexOf(home, end), Math.max(end, 0)).replace(escapes, "");
        if (matches(frame)) return frame;
        if (child.exitCode !== null) throw new Error(`it ended, and showed ${frame}`);
        await Bun.sleep(10);
      }
    },
    type: (keys) => void child.terminal?.write(keys),
    resize: (wide, high) => child.terminal?.resize(wide, high),
  };
}
