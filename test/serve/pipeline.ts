// A pipeline of real processes, for a page to look at.

import { join } from "node:path";

const program = join(import.meta.dir, "../programs/page_pipeline.ts");

export class Pipeline implements AsyncDisposable {
  readonly #stages = new Map<string, Bun.Subprocess>();

  readonly #pool: string;

  /** A camera, two encoders and an archive. */
  constructor(pool: string) {
    this.#pool = pool;
    for (const name of ["camera", "encoder-1", "encoder-2", "archive"]) this.#start(name);
  }

  #start(name: string): void {
    const stage = name.replace(/-\d$/, "");
    const child = Bun.spawn([process.execPath, program, this.#pool, stage, name], {
      env: process.env,
      stdio: ["ignore", "ignore", "inherit"],
    });
    this.#stages.set(name, child);
  }

  async restart(name: string): Promise<void> {
    await this.kill(name);
    this.#start(name);
  }

  async kill(name: string): Promise<void> {
    const child = this.#stages.get(name);
    child?.kill("SIGKILL");
    await child?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#stages.keys()) await this.kill(name);
  }
}
