// Child processes that run a program from a file of its own, as a user would: with `bun --hot` or
// `bun --watch`, or with nothing in scope but the library.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lines } from "./lines.ts";

const library = join(import.meta.dir, "../src/index.ts");

export interface ProgramOptions {
  /** Flags of Bun, before the file's name. */
  flags?: string[];
  env?: Record<string, string>;
  /** The file that the library is imported from; its own source by default. */
  library?: string;
  /** Other files to put beside it, by name. */
  files?: Record<string, string>;
}

export interface ProgramFile {
  readonly pid: number;
  /** The next line that it says; throws when it has ended. */
  line(): Promise<string>;
  /** Waits for a line that begins so, and passes over the lines before it. */
  lineOf(beginning: string): Promise<string>;
  /** What it wrote to standard error. */
  complaints(): string;
  /** Writes another source into its file. */
  replace(source: string): void;
  /** Kills it, and removes the file. */
  end(): Promise<void>;
}

/** Runs `source` as a module that has `BufferPool` and `say`. */
export function programFile(source: string, options: ProgramOptions = {}): ProgramFile {
  const folder = mkdtempSync(join(tmpdir(), "xmem-program-"));
  const file = join(folder, "program.ts");
  // The file is written in one call, for the sake of a watcher. All imports are on its first line,
  // so that the source begins on the second.
  const replace = (text: string): void =>
    writeFileSync(
      file,
      `import { BufferPool } from ${JSON.stringify(options.library ?? library)}; import { writeSync } from "node:fs"; const say = (value) => void writeSync(1, value + "\\n");\n${text}`,
    );
  for (const [name, text] of Object.entries(options.files ?? {})) {
    writeFileSync(join(folder, name), text);
  }
  replace(source);
  const child = Bun.spawn([process.execPath, ...(options.flags ?? []), file], {
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const complaints: string[] = [];
  const listening = (async () => {
    const decoder = new TextDecoder();
    for await (const piece of child.stderr) complaints.push(decoder.decode(piece));
  })();
  const lines = new Lines(child.stdout);
  const line = async (): Promise<string> => {
    const next = await lines.next();
    if (next !== null) return next;
    const rest = JSON.stringify(lines.takeRest());
    throw new Error(`it ended after ${rest}: ${complaints.join("")}`);
  };
  return {
    pid: child.pid,
    line,
    lineOf: async (beginning) => {
      while (true) {
        const next = await line();
        if (next.startsWith(beginning)) return next;
      }
    },
    complaints: () => complaints.join(""),
    replace,
    end: async () => {
      child.kill("SIGKILL");
      await child.exited;
      await listening;
      rmSync(folder, { recursive: true });
    },
  };
}
