// Programs in C, compiled with the pinned compiler, that run together with this process on the same
// pools.

import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { compileC } from "../scripts/cc.ts";
import { root } from "../scripts/setup.ts";

/** Compiles each source, given by its path in the repository, to a program of the name beside it. */
export class CPrograms<Name extends string> implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "xmem-c-"));

  constructor(sources: Record<Name, string>) {
    for (const [name, source] of Object.entries<string>(sources)) {
      const compiled = compileC(join(root, source), join(this.folder, name));
      expect(compiled).toEqual({ ok: true, messages: "" });
    }
  }

  start(program: Name, ...argv: string[]): Subprocess<"pipe", "pipe", "inherit"> {
    // The environment as it is now: by default Bun passes on the one of its start.
    const options = { env: process.env, stderr: "inherit" } as const;
    const command = [join(this.folder, program), ...argv];
    return Bun.spawn(command, { ...options, stdin: "pipe", stdout: "pipe" });
  }

  async outputOf(program: Name, ...argv: string[]): Promise<string> {
    const child = this.start(program, ...argv);
    const output = await child.stdout.text();
    expect(await child.exited).toBe(0);
    return output;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
