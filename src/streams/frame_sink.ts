// Frames into a pipe, a file, a stream or a subprocess, straight from buffers.

import { type WaitOptions, waitOptions } from "../arguments/options.ts";
import { describe, refuse } from "../arguments/validate.ts";
import { type BufferGuard, holderOf } from "../buffer/guard.ts";
import type { ReadGuard } from "../buffer/read_guard.ts";
import { inNameOf, raise } from "../errors/error.ts";
import { publish } from "../errors/user_frame.ts";
import { sinceCall } from "../wait/caller.ts";
import { End } from "./end.ts";
import type { FileReference } from "./frame_source.ts";
import { type Output, outputOf } from "./output.ts";
import { Patience } from "./patience.ts";

/** A WritableStream, whatever its type says of it. */
export interface WritableBytes {
  /** Locks the stream, and returns what writes to it. */
  getWriter(): unknown;
}

/** Bun's FileSink: `Bun.file(path).writer()`, or the input of a subprocess. */
export interface FlushableBytes {
  /** Takes bytes, and copies those that it cannot write at once. */
  write(bytes: Uint8Array): unknown;
  /** Writes what it has. */
  flush(): unknown;
  /** Writes what it has, and closes. */
  end(): unknown;
}

/** A subprocess whose standard input is piped. */
export interface ReadingProcess {
  /** Its standard input. */
  readonly stdin: FlushableBytes;
}

/**
 * What frames can be written to: a descriptor, the path of a file or FIFO or a `Bun.file` of it, a
 * stream, a FileSink, a subprocess whose input is piped.
 */
export type ByteSink =
  | number
  | string
  | FileReference
  | WritableBytes
  | FlushableBytes
  | ReadingProcess;

const noBytes: Uint8Array = new Uint8Array(0);

/**
 * Writes whole frames to a pipe, a FIFO, a file, a socket, a stream or a subprocess, and waits while
 * the reader is slower. Pipes, FIFOs, sockets and files are written straight from the buffer, and a
 * WritableStream gets the buffer's own bytes; a FileSink copies. No call blocks the thread. One call
 * writes at a time.
 *
 * @example
 * ```ts
 * using sink = new FrameSink("frames.yuv");
 * await sink.writeFrom(frame, { timeout: 1000 });
 * await sink.end();
 * ```
 */
export class FrameSink implements Disposable {
  readonly #output: Output;
  /** The rest of a frame that was begun, and then given up. */
  #begun: Uint8Array = noBytes;
  #closed = false;
  #busy = false;

  /**
   * Opens a path, or takes a stream's lock; a file is made or emptied. A FIFO by its path is opened
   * by the first write, which waits for a reader. A descriptor stays the caller's, and may be closed
   * at any time: what it leads to is written through another one.
   *
   * @throws INVALID_ARGUMENT: `to` is nothing that can be written to.
   * @throws SYSTEM: the system makes no descriptor; `cause` says why. A path or descriptor that
   *   cannot be used, and a stream that is locked, are the errors of Bun.
   */
  constructor(to: ByteSink) {
    const tried = "new FrameSink()";
    const expected = "a descriptor, a path, a stream, a FileSink or a subprocess with a pipe";
    this.#output = outputOf(to, tried) ?? refuse(tried, "the sink", to, expected);
  }

  /**
   * Makes a pipe for another program to read from, and a sink that writes it: give `readable` to a
   * subprocess as its input, then close it here, so that a write fails once the subprocess has ended.
   *
   * @throws SYSTEM: the system makes no pipe; `cause` says why.
   *
   * @example
   * ```ts
   * const { sink, readable } = FrameSink.pipe();
   * const encoder = Bun.spawn(["gzip", "-c"], { stdin: readable, stdout: Bun.file("frames.gz") });
   * closeSync(readable); // From "node:fs".
   * ```
   */
  static pipe(): { sink: FrameSink; readable: number } {
    const { end, other } = End.pipe(true, "FrameSink.pipe()");
    return { sink: new FrameSink(end as unknown as ByteSink), readable: other };
  }

  /**
   * Bytes of a frame that was begun before its wait ended. They go first in the next call, or in
   * `end()`, so that the reader gets every frame whole. 0: no frame is unfinished, and one that was
   * given up was not begun, or is whole already with a stream or FileSink.
   */
  get unsent(): number {
    return this.#begun.length;
  }

  /**
   * Writes a buffer's bytes, all of them. The call has a hold of its own, so that a release of the
   * guard meanwhile endangers nobody; a stream that still reads the bytes after the wait was given
   * up keeps that hold for as long.
   *
   * @throws TIMEOUT: the bytes had not gone in time; see `unsent`.
   * @throws INVALID_ARGUMENT: `guard` is no guard, another call is writing, or an option does not
   *   exist or is out of range.
   * @throws RELEASED: the guard was released before, or this sink was closed.
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws NO_REFERENCE: the buffer is at count 0, which only damage to the pool can make of a
   *   hold.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed, before or meanwhile.
   * @throws SYSTEM: writing failed; `cause.code` is EPIPE where nobody reads any more. A file's or
   *   stream's error comes as it is.
   */
  async writeFrom(guard: BufferGuard | ReadGuard, options?: WaitOptions): Promise<void> {
    const tried = "writeFrom()";
    const waits = waitOptions(tried, options, "");
    const held = checkedGuard(tried, guard);
    this.#refuseBusy(tried);
    using patience = new Patience(tried, waits);
    const empty = (): Promise<void> => this.#empty(held, patience);
    await sinceCall(FrameSink.prototype.writeFrom, waits.signal, empty);
  }

  /**
   * Writes the rest of a frame that was begun, then closes: the reader finds the end, also where
   * nothing was written, and a FIFO's reader is waited for. A descriptor
   * that the sink was made of stays open, so its owner has to close it, too.
   *
   * @throws TIMEOUT: the rest had not gone in time; the sink stays open.
   * @throws INVALID_ARGUMENT: another call is writing, or an option does not exist or is out of
   *   range.
   * @throws RELEASED: this sink was closed.
   * @throws SYSTEM: writing failed; `cause.code` is EPIPE where nobody reads any more. A file's or
   *   stream's error comes as it is.
   */
  async end(options?: WaitOptions): Promise<void> {
    const tried = "end()";
    const waits = waitOptions(tried, options, "");
    this.#refuseBusy(tried);
    using patience = new Patience(tried, waits);
    this.#busy = true;
    try {
      await this.#output.open(patience);
      await this.#finishBegun(patience);
    } finally {
      this.#busy = false;
      this.#output.rest();
    }
    this.#closed = true;
    await this.#output.close(true);
  }

  /**
   * Lets go of the sink, without the rest of a frame that was begun; `end()` comes before where that
   * matters. A write that is under way is rejected. A second call does nothing.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const whole = this.#begun.length === 0 && !this.#busy;
    this.#begun = noBytes;
    // The failure of a sink that nobody waits for is nobody's.
    void Promise.resolve(this.#output.close(whole)).catch(() => {});
  }

  /** Is `close()`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #refuseBusy(tried: string): void {
    if (this.#closed) raise("RELEASED", tried, "the sink is closed", { advice: "" });
    if (this.#busy) raise("INVALID_ARGUMENT", tried, "another call writes to this sink");
  }

  async #empty(guard: ReadGuard, patience: Patience): Promise<void> {
    const hold = inNameOf("writeFrom()", () => guard.clone());
    const { bytes } = hold;
    this.#busy = true;
    let count = 0;
    try {
      await this.#finishBegun(patience);
      while (count < hold.size) {
        count += await this.#output.write(hold, count, patience);
      }
    } catch (error) {
      if (count > 0 && !this.#closed && bytes.length > 0) this.#begun = bytes.slice(count);
      throw error;
    } finally {
      this.#busy = false;
      this.#output.rest();
      const release = (): void => hold.release();
      if (this.#output.reading === null) release();
      else void this.#output.reading.then(release);
    }
  }

  async #finishBegun(patience: Patience): Promise<void> {
    while (this.#begun.length > 0) {
      const rest = { bytes: this.#begun, size: this.#begun.length };
      const count = await this.#output.write(rest, 0, patience);
      this.#begun = this.#begun.subarray(count);
    }
  }
}

function checkedGuard(tried: string, guard: unknown): ReadGuard {
  const holder = holderOf(guard);
  if (holder === null) {
    raise("INVALID_ARGUMENT", tried, `the buffer is ${describe(guard)}, expected a guard`);
  }
  if (!holder.live) raise("RELEASED", tried);
  return guard as ReadGuard;
}

publish(FrameSink, "FrameSink.");
publish(FrameSink.prototype);
