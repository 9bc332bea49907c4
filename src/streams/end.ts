// One end of a pipe, FIFO or socket. The bytes go straight from the kernel into a buffer, or back,
// on this thread and without waiting: nothing is under way on a buffer's bytes between two calls. A
// native thread polls on behalf of the event loop, and answers through a socket.

import fs from "node:fs";
import type { Socket } from "bun";
import { raise } from "../errors/error.ts";
import { ERROR_PENDING, STREAM_UNIT, STREAM_UNITS_MAX } from "../generated/constants.gen.ts";
import { native } from "../native/native.ts";
import { float64s } from "../native/scratch.ts";
import { nativeError } from "../native/system_error.ts";
import type { Bytes } from "../views/view_cache.ts";

interface Answered {
  answered(): void;
}

/** A function of its own, whose handlers keep no end reachable but through the weak reference. */
function connect(fd: number, end: WeakRef<Answered>): Promise<Socket> {
  const answered = (): void => end.deref()?.answered();
  return Bun.connect({
    fd,
    socket: { data: answered, close: answered },
  } as unknown as Parameters<typeof Bun.connect>[0]) as Promise<Socket>;
}

/** Ends for which somebody waits stay reachable: nothing else leads to them meanwhile. */
const awaited = new Set<object>();

/** A failure of the native side, about the descriptor that messages call `on`. */
function failure(result: number, tried: string, on: string): Error {
  return nativeError(result, `${tried} ${on}`, "");
}

export class End {
  readonly #fd: number;
  readonly #writes: boolean;
  readonly #on: string;
  #socket: Socket | undefined;
  /** The wait that the native thread was asked for and has not answered. */
  #asked: PromiseWithResolvers<void> | undefined;
  #closed = false;

  /** `fd` is this object's own from now on. */
  constructor(fd: number, writes: boolean, on: string) {
    native.xmem_bun_end_enlarge(fd);
    this.#fd = fd;
    this.#writes = writes;
    this.#on = on;
  }

  /** An end of one's own for what a program's descriptor leads to. */
  static adopt(fd: number, writes: boolean, tried: string, on: string): End {
    const own = native.xmem_bun_end_adopt(fd, Number(writes));
    if (own < 0) throw failure(own, tried, on);
    return new End(own, writes, on);
  }

  /** A pipe: this side's end, and the descriptor of the other, which is the caller's. */
  static pipe(writes: boolean, tried: string): { end: End; other: number } {
    const ends = float64s(2);
    const result = native.xmem_bun_pipe(Number(writes), ends);
    if (result < 0) throw nativeError(result, tried, "");
    const [reading = -1, writing = -1] = ends;
    const on = writes ? "to a pipe" : "from a pipe";
    const end = new End(writes ? writing : reading, writes, on);
    return { end, other: writes ? reading : writing };
  }

  /** How many bytes came into `bytes` from `start` on: 0 at the end, -1 where none are there yet. */
  read(bytes: Bytes, start: number, tried: string): number {
    if (this.#closed) raise("RELEASED", `${tried} ${this.#on}`, "it was closed", { advice: "" });
    const count = native.xmem_bun_end_read(this.#fd, bytes, start, bytes.length - start);
    if (count >= 0) return count;
    if (count === -ERROR_PENDING) return -1;
    throw failure(count, tried, this.#on);
  }

  /** How many bytes from `start` on went, -1 where there is no room yet. */
  write(bytes: Uint8Array, start: number, tried: string): number {
    if (this.#closed) raise("RELEASED", `${tried} ${this.#on}`, "it was closed", { advice: "" });
    const count = native.xmem_bun_end_write(this.#fd, bytes, start, bytes.length - start);
    if (count >= 0) return count;
    if (count === -ERROR_PENDING) return -1;
    throw failure(count, tried, this.#on);
  }

  /**
   * Resolves when a try is worth it, or when this was closed: at best for `length` bytes. Keeps the
   * process alive meanwhile.
   */
  async ready(length: number, tried: string): Promise<void> {
    if (this.#socket === undefined) {
      const fd = native.xmem_bun_end_watch(this.#fd, Number(this.#writes));
      if (fd < 0) throw failure(fd, tried, this.#on);
      const socket = await connect(fd, new WeakRef(this));
      // Another call may have been faster while this one waited for the connection.
      if (this.#closed || this.#socket !== undefined) socket.terminate();
      else this.#socket = socket;
    }
    if (this.#closed) return;
    this.#socket?.ref();
    if (this.#asked === undefined) {
      this.#asked = Promise.withResolvers();
      awaited.add(this);
      const units = Math.min(Math.floor(length / STREAM_UNIT), STREAM_UNITS_MAX);
      this.#socket?.write(new Uint8Array([units]));
    }
    await this.#asked.promise;
  }

  /** Called by the socket. */
  answered(): void {
    const asked = this.#asked;
    this.#asked = undefined;
    awaited.delete(this);
    asked?.resolve();
  }

  /** Nobody waits any more: the process may end. */
  rest(): void {
    this.#socket?.unref();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket?.terminate();
    fs.closeSync(this.#fd);
    this.answered();
  }
}
