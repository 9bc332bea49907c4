// How long one call waits: until its time is over, or its signal says so.

import { make } from "../errors/error.ts";

export class Patience implements Disposable {
  readonly #signal: AbortSignal | undefined;
  /** Rejects when the wait is over; null where nothing can end it. */
  readonly #over: Promise<never> | null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #onAbort: (() => void) | undefined;

  /** Throws the signal's reason where it has aborted already. `tried` is for the message. */
  constructor(
    tried: string,
    { timeout, signal }: { timeout: number | undefined; signal: AbortSignal | undefined },
  ) {
    signal?.throwIfAborted();
    this.#signal = signal;
    if (timeout === undefined && signal === undefined) {
      this.#over = null;
      return;
    }
    this.#over = new Promise<never>((_, reject) => {
      if (signal !== undefined) {
        this.#onAbort = () => reject(signal.reason);
        signal.addEventListener("abort", this.#onAbort);
      }
      if (timeout === undefined) return;
      const found = `it was not done within ${timeout} ms`;
      const late = (): void => reject(make("TIMEOUT", tried, found, { advice: "" }));
      // A timer holds 2^31 - 1 ms at most, which is 24 days.
      this.#timer = setTimeout(late, Math.min(timeout, 2 ** 31 - 1));
    });
    this.#over.catch(() => {});
  }

  /** Settles as `promise` does, unless the wait is over first. */
  during<Value>(promise: Promise<Value>): Promise<Value> {
    return this.#over === null ? promise : Promise.race([promise, this.#over]);
  }

  /** Throws where the wait was ended by its signal. */
  check(): void {
    this.#signal?.throwIfAborted();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}
