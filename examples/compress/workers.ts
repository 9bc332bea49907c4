// The worker processes: started together, given jobs, and missed when one dies.

import { join } from "node:path";
import type { Subprocess } from "bun";
import type { FromWorker, Job, Reply } from "./messages.ts";

interface Worker {
  process: Subprocess;
  /** Jobs given and not yet answered. */
  pending: number;
}

export class Workers {
  /** Aborted, with the reason, when a worker dies before stop(). */
  readonly failure: AbortSignal;
  /** Whoever runs a job at the moment listens here. */
  onReply: (reply: Reply) => void = () => {};
  readonly #failed = new AbortController();
  readonly #workers: Worker[] = [];
  #stopped = false;

  private constructor() {
    this.failure = this.#failed.signal;
  }

  /** Resolves once every worker has the pools open. */
  static async start(count: number, inputs: string, results: string): Promise<Workers> {
    const workers = new Workers();
    const ready: Promise<void>[] = [];
    for (let i = 0; i < count; i++) ready.push(workers.#spawn(inputs, results));
    await Promise.race([Promise.all(ready), workers.#rejection()]);
    return workers;
  }

  get count(): number {
    return this.#workers.length;
  }

  /** To the worker that has least to do. */
  give(job: Job): void {
    this.failure.throwIfAborted();
    const idle = this.#workers.reduce((a, b) => (b.pending < a.pending ? b : a));
    idle.pending++;
    idle.process.send(job);
  }

  /** Waits for `done`, but no longer than every worker lives. */
  async orFailure<T>(done: Promise<T>): Promise<T> {
    return await Promise.race([done, this.#rejection()]);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { process } of this.#workers) process.kill("SIGKILL");
    await Promise.all(this.#workers.map(({ process }) => process.exited));
  }

  #spawn(inputs: string, results: string): Promise<void> {
    const ready = Promise.withResolvers<void>();
    const worker: Worker = {
      pending: 0,
      process: Bun.spawn([process.execPath, join(import.meta.dir, "worker.ts"), inputs, results], {
        stdio: ["ignore", "inherit", "inherit"],
        serialization: "advanced",
        ipc: (message: FromWorker) => {
          if (message.kind === "ready") return ready.resolve();
          worker.pending--;
          this.onReply(message);
        },
        onExit: (child, code, signal) => {
          if (this.#stopped) return;
          const how = signal === null ? `code ${code}` : `signal ${signal}`;
          this.#failed.abort(new Error(`worker ${child.pid} ended with ${how}`));
        },
      }),
    };
    this.#workers.push(worker);
    return ready.promise;
  }

  #rejection(): Promise<never> {
    const { promise, reject } = Promise.withResolvers<never>();
    if (this.failure.aborted) reject(this.failure.reason);
    else this.failure.addEventListener("abort", () => reject(this.failure.reason), { once: true });
    return promise;
  }
}
