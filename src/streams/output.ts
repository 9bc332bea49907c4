// What frames are written to, as the sink sees it.

import fs from "node:fs";
import { End } from "./end.ts";
import type { Patience } from "./patience.ts";

/** A guard. Its bytes are asked for after each wait anew: the pool may be closed by then. */
export interface Emptied {
  readonly bytes: Uint8Array;
  readonly size: number;
}

export interface Output {
  /** At least one of the bytes from `start` on goes: how many. Where the wait ends, none has gone. */
  write(from: Emptied, start: number, patience: Patience): Promise<number>;
  /** Before the end, where nothing was written: a reader that waits for a writer finds one. */
  open(patience: Patience): Promise<void>;
  /**
   * What still reads the bytes that went, where the wait ended before it had. They stay as they are
   * until then.
   */
  readonly reading: Promise<unknown> | null;
  /** Between two calls nothing keeps the process alive. */
  rest(): void;
  /** After the last byte. `whole`: nothing is missing. */
  close(whole: boolean): unknown;
}

const tried = "writeFrom()";

/** Pipes, FIFOs and sockets. */
export class EndOutput implements Output {
  /** Opens a path once somebody reads it: null until then. */
  readonly #tryToOpen: () => End | null;
  #end: End | null;
  readonly reading: Promise<unknown> | null = null;

  constructor(end: End | (() => End | null)) {
    this.#end = end instanceof End ? end : null;
    this.#tryToOpen = end instanceof End ? () => end : end;
  }

  async open(patience: Patience): Promise<void> {
    while (this.#end === null) {
      this.#end = this.#tryToOpen();
      // The system tells nobody that a FIFO has got its first reader.
      if (this.#end === null) await patience.during(Bun.sleep(10));
    }
  }

  async write(from: Emptied, start: number, patience: Patience): Promise<number> {
    await this.open(patience);
    const end = this.#end as End;
    while (true) {
      const count = end.write(from.bytes, start, tried);
      if (count >= 0) return count;
      await patience.during(end.ready(from.size - start, tried));
    }
  }

  rest(): void {
    this.#end?.rest();
  }

  close(): void {
    this.#end?.close();
  }
}

/** Files. */
export class FileOutput implements Output {
  readonly #fd: number;
  readonly #isOwn: boolean;
  readonly reading: Promise<unknown> | null = null;

  constructor(fd: number, isOwn: boolean) {
    this.#fd = fd;
    this.#isOwn = isOwn;
  }

  async open(): Promise<void> {}

  write(from: Emptied, start: number, patience: Patience): Promise<number> {
    patience.check();
    const { bytes, size } = from;
    return new Promise((resolve, reject) => {
      fs.write(this.#fd, bytes, start, size - start, null, (error, count) => {
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

/** Bun's FileSink, which takes a copy of what it cannot write at once. */
export interface Flushed {
  write(bytes: Uint8Array): unknown;
  flush(): unknown;
  end(): unknown;
}

export class FlushedOutput implements Output {
  readonly #sink: Flushed;
  /** Of a frame before: a wait for it that was given up does not make room. */
  #flushing: Promise<unknown> | null = null;
  readonly reading: Promise<unknown> | null = null;

  constructor(sink: Flushed) {
    this.#sink = sink;
  }

  async open(): Promise<void> {}

  async write(from: Emptied, start: number, patience: Patience): Promise<number> {
    if (this.#flushing !== null) await patience.during(this.#flushing);
    await this.#sink.write(from.bytes.subarray(start));
    const flushing = Promise.resolve(this.#sink.flush());
    flushing.catch(() => {});
    this.#flushing = flushing;
    await patience.during(flushing);
    this.#flushing = null;
    return from.size - start;
  }

  rest(): void {}

  close(): unknown {
    return this.#sink.end();
  }
}

/** A stream: it reads the buffer's own bytes, until it says that it has. */
export class StreamOutput implements Output {
  readonly #writer: WritableStreamDefaultWriter;
  reading: Promise<unknown> | null = null;

  constructor(writer: WritableStreamDefaultWriter) {
    this.#writer = writer;
  }

  async open(): Promise<void> {}

  async write(from: Emptied, start: number, patience: Patience): Promise<number> {
    await patience.during(this.#writer.ready);
    const writing = this.#writer.write(from.bytes.subarray(start));
    this.reading = writing.catch(() => {});
    await patience.during(writing);
    this.reading = null;
    return from.size - start;
  }

  rest(): void {}

  close(whole: boolean): unknown {
    return whole ? this.#writer.close() : this.#writer.abort();
  }
}

/** `value` as an output; null for what is none. */
export function outputOf(value: unknown, called: string): Output | null {
  if (typeof value === "number") return outputOfDescriptor(value, called);
  if (typeof value === "string") return outputOfPath(value);
  if (typeof value !== "object" || value === null) return null;
  if (value instanceof End) return new EndOutput(value);
  const { name, stream, getWriter, write, flush, end, stdin } = value as Record<string, unknown>;
  if (typeof stream === "function" && typeof name === "string") return outputOfPath(name);
  if (typeof getWriter === "function") {
    return new StreamOutput(getWriter.call(value) as WritableStreamDefaultWriter);
  }
  if ([write, flush, end].every((each) => typeof each === "function")) {
    return new FlushedOutput(value as Flushed);
  }
  return typeof stdin === "object" && stdin !== null ? outputOf(stdin, called) : null;
}

function outputOfDescriptor(fd: number, called: string): Output {
  if (fs.fstatSync(fd).isFile()) return new FileOutput(fd, false);
  return new EndOutput(End.adopt(fd, true, called, `to descriptor ${fd}`));
}

function outputOfPath(path: string): Output {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NONBLOCK } = fs.constants;
  const status = fs.statSync(path, { throwIfNoEntry: false });
  if (status === undefined || status.isFile()) {
    return new FileOutput(fs.openSync(path, O_WRONLY | O_CREAT | O_TRUNC), true);
  }
  return new EndOutput(() => {
    try {
      return new End(fs.openSync(path, O_WRONLY | O_NONBLOCK), true, `to ${path}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
      return null;
    }
  });
}
