// What frames are read from, as the source sees it: bytes come into a buffer, 0 at the end.

import fs from "node:fs";
import { describe } from "../arguments/validate.ts";
import { raise } from "../errors/error.ts";
import type { Bytes } from "../views/view_cache.ts";
import { End } from "./end.ts";
import type { Patience } from "./patience.ts";

/** A guard. Its bytes are asked for after each wait anew: the pool may be closed by then. */
export interface Filled {
  readonly bytes: Bytes;
  readonly size: number;
}

export interface Input {
  /** At least one byte into `to` from `start` on: how many. Where the wait ends, none is lost. */
  read(to: Filled, start: number, patience: Patience): Promise<number>;
  /** Between two calls nothing keeps the process alive. */
  rest(): void;
  close(): void;
}

const tried = "readInto()";

/** Pipes, FIFOs and sockets. */
export class EndInput implements Input {
  readonly #end: End;

  constructor(end: End) {
    this.#end = end;
  }

  async read(to: Filled, start: number, patience: Patience): Promise<number> {
    while (true) {
      const count = this.#end.read(to.bytes, start, tried);
      if (count >= 0) return count;
      await patience.during(this.#end.ready(to.size - start, tried));
    }
  }

  rest(): void {
    this.#end.rest();
  }

  close(): void {
    this.#end.close();
  }
}

/** As much of a file as one read is for, so that an abort is heard in time. */
const filePiece = 8 * 1024 * 1024;

/** Files. Their reads end by themselves, and a wait is over only when the one under way is. */
export class FileInput implements Input {
  readonly #fd: number;
  readonly #isOwn: boolean;

  constructor(fd: number, isOwn: boolean) {
    this.#fd = fd;
    this.#isOwn = isOwn;
  }

  read(to: Filled, start: number, patience: Patience): Promise<number> {
    patience.check();
    const length = Math.min(to.size - start, filePiece);
    const { bytes } = to;
    return new Promise((resolve, reject) => {
      fs.read(this.#fd, bytes, start, length, null, (error, count) => {
        if (error === null || error === undefined) resolve(count);
        else reject(error);
      });
    });
  }

  rest(): void {}

  close(): void {
    if (this.#isOwn) fs.closeSync(this.#fd);
  }
}

type Piece = { done?: boolean; value?: unknown };

/** Streams and their readers. What a piece has too much stays for the next frame. */
export class StreamInput implements Input {
  readonly #ask: () => PromiseLike<unknown>;
  readonly #cancel: () => void;
  /** Asked for and not there yet: the next call gets it where this one no longer waits. */
  #pending: Promise<Piece> | undefined;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(ask: () => PromiseLike<unknown>, cancel: () => void) {
    this.#ask = ask;
    this.#cancel = cancel;
  }

  async read(to: Filled, start: number, patience: Patience): Promise<number> {
    while (this.#rest.length === 0) {
      if (this.#pending === undefined) {
        this.#pending = Promise.resolve(this.#ask()) as Promise<Piece>;
        // Its failure is that of the call that gets it, and nobody's where none comes.
        this.#pending.catch(() => {});
      }
      const { done, value } = await patience.during(this.#pending);
      this.#pending = undefined;
      if (done === true) return 0;
      this.#rest = bytesOf(value);
    }
    const count = Math.min(this.#rest.length, to.size - start);
    to.bytes.set(this.#rest.subarray(0, count), start);
    this.#rest = this.#rest.subarray(count);
    return count;
  }

  rest(): void {}

  close(): void {
    this.#rest = new Uint8Array(0);
    this.#cancel();
  }
}

function bytesOf(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  if (piece instanceof ArrayBuffer) return new Uint8Array(piece);
  if (ArrayBuffer.isView(piece)) {
    return new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  }
  const found = `the stream has ${describe(piece)} in it, expected bytes`;
  raise("INVALID_ARGUMENT", tried, found, { advice: "" });
}

/** Bytes that a reader with a buffer of its own is asked for at once. */
const byobPiece = 256 * 1024;

/** `value` as an input; null for what is none. */
export function inputOf(value: unknown, called: string): Input | null {
  if (typeof value === "number") return inputOfDescriptor(value, called);
  if (typeof value === "string") return inputOfPath(value);
  if (typeof value !== "object" || value === null) return null;
  if (value instanceof End) return new EndInput(value);
  const { name, stream, getReader, read, stdout } = value as Record<string, unknown>;
  // Bun.file(), and not a Blob, whose bytes are in memory.
  if (typeof stream === "function" && typeof name === "string") return inputOfPath(name);
  if (typeof stream === "function") return inputOf(stream.call(value), called);
  if (typeof getReader === "function") {
    const reader = getReader.call(value) as ReadableStreamDefaultReader;
    return new StreamInput(
      () => reader.read(),
      () => void reader.cancel().catch(() => {}),
    );
  }
  if (value instanceof ReadableStreamBYOBReader) {
    const ask = (): Promise<unknown> => value.read(new Uint8Array(byobPiece));
    return new StreamInput(ask, () => {});
  }
  if (typeof read === "function") {
    return new StreamInput(
      () => read.call(value),
      () => {},
    );
  }
  return typeof stdout === "object" && stdout !== null ? inputOf(stdout, called) : null;
}

function inputOfDescriptor(fd: number, called: string): Input {
  const on = `from descriptor ${fd}`;
  if (fs.fstatSync(fd).isFile()) return new FileInput(fd, false);
  return new EndInput(End.adopt(fd, false, called, on));
}

function inputOfPath(path: string): Input {
  const { O_RDONLY, O_NONBLOCK } = fs.constants;
  const fd = fs.openSync(path, O_RDONLY | O_NONBLOCK);
  if (fs.fstatSync(fd).isFile()) return new FileInput(fd, true);
  return new EndInput(new End(fd, false, `from ${path}`));
}
