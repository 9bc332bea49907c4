// The common part of both ways to do the job.

import type { Output } from "./output.ts";
import type { Workers } from "./workers.ts";

export interface Task {
  fd: number;
  /** Bytes of the input. */
  length: number;
  chunk: number;
  output: Output;
  workers: Workers;
  /** Told how many bytes of the input are done. */
  progress: (bytes: number) => void;
}

export interface Outcome {
  seconds: number;
  /** Most chunks that were under way at once. */
  peak: number;
  /** How often the reader had to wait. */
  waits: number;
}

interface Chunk {
  sequence: number;
  position: number;
  length: number;
}

export function* chunksOf({ length, chunk }: Task): Generator<Chunk> {
  for (let position = 0, sequence = 0; position < length; position += chunk, sequence++) {
    yield { sequence, position, length: Math.min(chunk, length - position) };
  }
}

/** Chunks that may be under way at once: one being worked on and one waiting, for each worker. */
export function window(workers: number): number {
  return 2 * workers;
}
