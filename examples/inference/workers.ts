// The processes of Python that compute. One that dies is started again.

import { join } from "node:path";
import type { Subprocess } from "bun";

const program = join(import.meta.dir, "worker.py");
/** In a clone; an installed package is found by itself. */
const packages = join(import.meta.dir, "../../python/src");

export class Workers {
  readonly #pool: string;
  readonly #running = new Set<Subprocess>();
  readonly #whenEnded = Promise.withResolvers<void>();
  #isEnding = false;

  constructor(pool: string, count: number) {
    this.#pool = pool;
    for (let worker = 0; worker < count; worker++) this.#start();
  }

  #start(): void {
    const began = performance.now();
    const child = Bun.spawn([process.env["PYTHON"] ?? "python3", program, this.#pool], {
      env: { ...process.env, PYTHONPATH: packages },
      // A worker ends when this pipe does.
      stdio: ["pipe", "inherit", "inherit"],
      onExit: async () => {
        this.#running.delete(child);
        // One that cannot even start is not tried in a loop.
        if (!this.#isEnding && performance.now() - began < 1000) await Bun.sleep(1000);
        if (!this.#isEnding) this.#start();
        else if (this.#running.size === 0) this.#whenEnded.resolve();
      },
    });
    this.#running.add(child);
  }

  /** None is started any more. They end when the channel of jobs is closed. */
  end(): void {
    this.#isEnding = true;
    if (this.#running.size === 0) this.#whenEnded.resolve();
  }

  get ended(): Promise<void> {
    return this.#whenEnded.promise;
  }
}
