// Frames out of a pipe, a file, a stream or a subprocess, straight into buffers.

import { type WaitOptions, waitOptions } from "../arguments/options.ts";
import { describe, integer, refuse, uint32Max } from "../arguments/validate.ts";
import { type BufferGuard, holderOf } from "../buffer/guard.ts";
import { inNameOf, raise, renamed } from "../errors/error.ts";
import { publish } from "../errors/user_frame.ts";
import { BufferPool } from "../pool/pool.ts";
import { sinceCall } from "../wait/caller.ts";
import { End } from "./end.ts";
import { type Input, inputOf } from "./input.ts";
import { Patience } from "./patience.ts";

/** A ReadableStream, whatever its type says of it. */
export interface ReadableBytes {
  /** Locks the stream, and returns what reads it. */
  getReader(): unknown;
}

/** A reader of a ReadableStream, by default or with buffers of its own (BYOB). */
export interface ByteReader {
  /** The next piece, or the end. */
  read(...argv: never[]): PromiseLike<unknown>;
  /** Gives the stream free. */
  releaseLock(): void;
}

/** What `Bun.file()` returns. */
export interface FileReference {
  /** Its path. */
  readonly name?: string;
  /** Its content. */
  stream(): unknown;
}

/** A subprocess whose standard output is piped. */
export interface WritingProcess {
  /** Its standard output. */
  readonly stdout: ReadableBytes;
}

/**
 * What frames can be read from: a descriptor, the path of a file or FIFO or a `Bun.file` of it, a
 * stream or a reader of one, a subprocess whose output is piped.
 */
export type ByteSource =
  | number
  | string
  | FileReference
  | ReadableBytes
  | ByteReader
  | WritingProcess;

const noBytes: Uint8Array = new Uint8Array(0);

/**
 * Reads frames, each exactly as long as its buffer, from a pipe, a FIFO, a file, a socket, a stream
 * or a subprocess, however short the single reads are. Pipes, FIFOs, sockets and files are read
 * straight into the buffer; a stream's pieces are copied once. No call blocks the thread. One call
 * reads at a time.
 *
 * @example
 * ```ts
 * using source = new FrameSource(Bun.spawn(["cat", "video.yuv"]));
 * for await (using frame of source.frames(pool, 1280 * 720 * 1.5)) {
 *   console.log(frame.meta.sequence, frame.bytes[0]);
 * }
 * ```
 */
export class FrameSource implements Disposable {
  readonly #input: Input;
  /** Read for a frame that was given up; they are the beginning of the next one. */
  #returned: Uint8Array = noBytes;
  #ended = false;
  #closed = false;
  #busy = false;
  #sequence = 0;

  /**
   * Opens a path, or takes a stream's lock. A descriptor stays the caller's, and may be closed at
   * any time: what it leads to is read through another one.
   *
   * @throws INVALID_ARGUMENT: `from` is nothing that can be read from.
   * @throws SYSTEM: the system makes no descriptor; `cause` says why. A path or descriptor that
   *   cannot be used, and a stream that is locked, are the errors of Bun.
   */
  constructor(from: ByteSource) {
    const tried = "new FrameSource()";
    const expected = "a descriptor, a path, a stream, a reader or a subprocess with a pipe";
    this.#input = inputOf(from, tried) ?? refuse(tried, "the source", from, expected);
  }

  /**
   * Makes a pipe for another program to write to, and a source that reads it: give `writable` to a
   * subprocess as its output, then close it here, so that the frames end when the subprocess does.
   *
   * @throws SYSTEM: the system makes no pipe; `cause` says why.
   *
   * @example
   * ```ts
   * const { source, writable } = FrameSource.pipe();
   * const command = ["ffmpeg", "-i", "video.mp4", "-f", "rawvideo", "-"];
   * const decoder = Bun.spawn(command, { stdout: writable });
   * closeSync(writable); // From "node:fs".
   * ```
   */
  static pipe(): { source: FrameSource; writable: number } {
    const { end, other } = End.pipe(false, "FrameSource.pipe()");
    return { source: new FrameSource(end as unknown as ByteSource), writable: other };
  }

  /**
   * Fills a buffer. Returns how many bytes were read: its size, fewer where the source has ended, 0
   * where it had ended before. The guard stays as it is: `guard.truncate()` makes it as short as
   * what was read.
   *
   * A call that fails takes nothing: what it had read comes first in the next one, for whichever
   * buffer. The buffer's content is then undefined. The call has a hold of its own, so that a
   * release of the guard meanwhile endangers nobody.
   *
   * @throws TIMEOUT: the buffer was not full in time.
   * @throws INVALID_ARGUMENT: `guard` is no guard, another call is reading, an option does not exist
   *   or is out of range, or the stream has something else than bytes in it.
   * @throws READ_ONLY: the guard is only read.
   * @throws RELEASED: the guard was released, or this source closed, before or meanwhile.
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws NO_REFERENCE: the buffer is at count 0, which only damage to the pool can make of a
   *   hold.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed, before or meanwhile. What was read is lost.
   * @throws SYSTEM: reading failed; `cause` says why. A file's or stream's error comes as it is.
   */
  async readInto(guard: BufferGuard, options?: WaitOptions): Promise<number> {
    const tried = "readInto()";
    const waits = waitOptions(tried, options, "");
    const held = checkedGuard(tried, guard);
    if (!held.writable) raise("READ_ONLY", tried);
    this.#refuseBusy(tried);
    using patience = new Patience(tried, waits);
    const fill = (): Promise<number> => this.#fill(held, patience);
    const count = await sinceCall(FrameSource.prototype.readInto, waits.signal, fill);
    return count;
  }

  /**
   * Every frame of `size` bytes, each in a buffer of its own that is acquired for it: its receiver
   * releases it, or sends it on. `meta.sequence` counts the frames from 0 on. A `timeout` is one for
   * each frame, and for each buffer. The iteration ends where the source does. One that is left
   * early leaves the source as it is, for another.
   *
   * @throws INCOMPLETE: the source ended in the middle of a frame; `readInto` still gets what there
   *   is of it.
   * @throws INVALID_ARGUMENT: `pool` is no pool, `size` is not a whole number from 1 to 2^32 - 1,
   *   another call is reading, an option does not exist or is out of range, or the stream has
   *   something else than bytes in it.
   * @throws TOO_LARGE: `size` is above the pool's `bufferSize`.
   * @throws TIMEOUT: there was no buffer, or no whole frame, in time.
   * @throws RELEASED: this source was closed, before or meanwhile.
   * @throws POOL_FLUSHING: somebody called `flush()`, before or while it waited for a buffer.
   * @throws OUT_OF_MEMORY: the system has no memory for the buffer or for the thread that waits, or
   *   `size` alone is above `maxCommitted`.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws NO_REFERENCE: the buffer is at count 0, which only damage to the pool can make of a
   *   hold.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed, before or meanwhile.
   * @throws SYSTEM: reading failed, or the event loop cannot watch the wait's socket; `cause` says
   *   why. A file's or stream's error comes as it is.
   */
  async *frames(
    pool: BufferPool,
    size: number,
    options?: WaitOptions,
  ): AsyncGenerator<BufferGuard, void, undefined> {
    const tried = "frames()";
    if (!(pool instanceof BufferPool)) refuse(tried, "the pool", pool, "a BufferPool");
    const length = integer(tried, "size", size, 1, uint32Max);
    const { signal } = waitOptions(tried, options, "");
    const named = <Result>(call: () => Promise<Result>): Promise<Result> =>
      call().catch((error: unknown) => {
        throw renamed(error, tried, signal);
      });
    while (true) {
      let count = 0;
      const guard = await named(() => pool.acquireAsync(length, options));
      try {
        count = await named(() => this.readInto(guard, options));
        if (count > 0 && count < length) {
          this.#returned = guard.bytes.slice(0, count);
          const found = `the source ended after ${count} of ${length} bytes of a frame`;
          raise("INCOMPLETE", tried, found, { advice: "readInto() gets them" });
        }
      } finally {
        if (count < length) guard.release();
      }
      if (count === 0) return;
      guard.meta.sequence = this.#sequence++;
      yield guard;
    }
  }

  /**
   * Lets go of the source: a stream is cancelled, a descriptor stays its owner's. A read that is
   * under way is rejected with RELEASED. A second call does nothing.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#returned = noBytes;
    if (!this.#ended) this.#input.close();
  }

  /** Is `close()`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #refuseBusy(tried: string): void {
    this.#refuseClosed(tried);
    if (this.#busy) raise("INVALID_ARGUMENT", tried, "another call reads from this source");
  }

  #refuseClosed(tried: string): void {
    if (this.#closed) raise("RELEASED", tried, "the source is closed", { advice: "" });
  }

  async #fill(guard: BufferGuard, patience: Patience): Promise<number> {
    // For a file's read, and a guard that is released meanwhile.
    using hold = inNameOf("readInto()", () => guard.clone());
    const { bytes } = hold;
    this.#busy = true;
    let count = this.#takeReturned(bytes);
    try {
      while (count < bytes.length && !this.#ended) {
        const more = await this.#input.read(hold, count, patience);
        this.#refuseClosed("readInto()");
        if (more === 0) {
          this.#ended = true;
          this.#input.close();
        }
        count += more;
      }
      return count;
    } catch (error) {
      // Bytes of a pool that was closed have length 0 by now.
      if (bytes.length > 0) this.#giveBack(bytes.subarray(0, count));
      throw error;
    } finally {
      this.#busy = false;
      this.#input.rest();
    }
  }

  #takeReturned(bytes: Uint8Array): number {
    const count = Math.min(this.#returned.length, bytes.length);
    bytes.set(this.#returned.subarray(0, count));
    this.#returned = this.#returned.subarray(count);
    return count;
  }

  /** Before what is left of what came back earlier. */
  #giveBack(read: Uint8Array): void {
    if (this.#closed || read.length === 0) return;
    const joined = new Uint8Array(read.length + this.#returned.length);
    joined.set(read);
    joined.set(this.#returned, read.length);
    this.#returned = joined;
  }
}

function checkedGuard(tried: string, guard: unknown): BufferGuard {
  const holder = holderOf(guard);
  if (holder === null) {
    raise("INVALID_ARGUMENT", tried, `the buffer is ${describe(guard)}, expected a guard`);
  }
  if (!holder.live) raise("RELEASED", tried);
  return guard as BufferGuard;
}

publish(FrameSource, "FrameSource.");
publish(FrameSource.prototype);
