// The output file: results arrive in any order and are written in the input's. Every chunk is a zstd
// frame of its own, so that the whole is an ordinary .zst file.

import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { digestLength } from "./messages.ts";

interface Frame {
  length: number;
  digest: string;
}

export class Output {
  readonly path: string;
  readonly #fd: number;
  readonly #frames: Frame[] = [];
  readonly #early = new Map<number, () => void>();

  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, "w+");
  }

  get written(): number {
    return this.#frames.length;
  }

  /** Calls `write`, which is to call append, when every chunk before has been written. */
  inOrder(sequence: number, write: () => void): void {
    this.#early.set(sequence, write);
    for (;;) {
      const next = this.#early.get(this.written);
      if (next === undefined) return;
      this.#early.delete(this.written);
      next();
    }
  }

  append(result: Uint8Array): void {
    const compressed = result.subarray(digestLength);
    for (let at = 0; at < compressed.length; ) at += writeSync(this.#fd, compressed, at);
    const digest = Buffer.from(result.subarray(0, digestLength)).toString("hex");
    this.#frames.push({ length: compressed.length, digest });
  }

  /** Bytes of the file. */
  get size(): number {
    return this.#frames.reduce((sum, frame) => sum + frame.length, 0);
  }

  /** SHA-256 of what the file decompresses to; each chunk is compared with its worker's digest. */
  decompressedDigest(): string {
    const whole = new Bun.CryptoHasher("sha256");
    let position = 0;
    for (const [index, { length, digest }] of this.#frames.entries()) {
      const frame = Buffer.alloc(length);
      readFully(this.#fd, frame, position);
      position += length;
      const chunk = Bun.zstdDecompressSync(frame);
      const found = new Bun.CryptoHasher("sha256").update(chunk).digest("hex");
      if (found !== digest)
        throw new Error(`chunk ${index} of ${this.path} is not what was hashed`);
      whole.update(chunk);
    }
    return whole.digest("hex");
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Fills `into` from the file, directly in its memory. */
export function readFully(fd: number, into: Uint8Array, position: number): void {
  for (let at = 0; at < into.length; ) {
    const count = readSync(fd, into, at, into.length - at, position + at);
    if (count === 0) throw new Error("the file became shorter while it was read");
    at += count;
  }
}
