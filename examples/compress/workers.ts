// The worker processes: starts them together, gives them jobs, and notices when one dies.

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
  /** The function that runs a job at the moment listens here. */
  onReply: (reply: Reply) => void = () => {};
  readonly #failed = new AbortController();
  readonly #workers: Worker[] = [];
  #stopped = false;

  readonly #ready: Promise<void>[] = [];

  constructor(count: number, inputs: string, results: string) {
    this.failure = this.#failed.signal;
    for (let i = 0; i < count; i++) this.#ready.push(this.#spawn(inputs, results));
  }

  /** Resolves once every worker has the pools open. */
  async ready(): Promise<void> {
    await Promise.race([Promise.all(this.#ready), this.#rejection()]);
  }

  get count(): number {
    return this.#workers.length;
  }

  /** Sends the job to the worker that has least to do. */
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

  /**
   * Kills them at once; also from a signal handler, so that none is left to complain that its pool
   * is gone.
   */
  kill(): void {
    this.#stopped = true;
    for (const { process } of this.#workers) process.kill("SIGKILL");
  }

  async stop(): Promise<void> {
    this.kill();
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
