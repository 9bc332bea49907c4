// A thread's last steps and its figures, in a mapped file: they can still be read when the thread
// hangs, is stopped, or was killed between any two instructions.

import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ThreadId } from "./thread_life.ts";

export const figures = [
  "steps",
  "acquired",
  "full",
  "waited",
  "timed out",
  "aborted",
  "taken",
  "shared",
  "expired",
  "peeked",
  "parked",
  "checked",
  "busy",
  "flushing",
  "out of memory",
  "opened",
  "recoveries asked",
  "bytes trimmed",
  "sends begun",
  "sends done",
  "receives begun",
  "receives done",
  "heard",
  "jobs sent",
  "jobs received",
  "jobs again",
] as const;
export type Figure = (typeof figures)[number];
export type Figures = Record<Figure, number>;

const figuresAt = 0;
const ringAt = 1024;
const lineBytes = 128;
const lines = 16;
const fileBytes = ringAt + lineBytes * lines;
const suffix = ".journal";
const endedSuffix = ".ended";

export class Journal {
  readonly #numbers: Float64Array;
  readonly #bytes: Uint8Array;
  readonly #encoder = new TextEncoder();
  #step = 0;

  constructor(directory: string, id: string) {
    const path = pathOf(directory, id);
    // Written in one call, whatever happens to this thread meanwhile.
    writeFileSync(`${path.slice(0, -suffix.length)}.part`, new Uint8Array(fileBytes));
    renameSync(`${path.slice(0, -suffix.length)}.part`, path);
    this.#bytes = Bun.mmap(path);
    this.#numbers = new Float64Array(
      this.#bytes.buffer,
      this.#bytes.byteOffset + figuresAt,
      figures.length,
    );
  }

  /** What the thread is about to do. */
  step(text: string): void {
    const at = ringAt + (this.#step % lines) * lineBytes;
    const line = this.#bytes.subarray(at, at + lineBytes);
    line.fill(0);
    this.#encoder.encodeInto(text, line);
    this.#step++;
    this.count("steps");
  }

  count(figure: Figure, amount = 1): void {
    const place = figures.indexOf(figure);
    this.#numbers[place] = (this.#numbers[place] ?? 0) + amount;
  }
}

function pathOf(directory: string, id: string): string {
  return join(directory, id + suffix);
}

/** Called by a process that knows that a thread is gone: its journal is then no sign of a hang. */
export function markEnded(directory: string, id: string): void {
  const path = pathOf(directory, id);
  if (existsSync(path)) renameSync(path, path + endedSuffix);
}

const failureSuffix = ".failure";

/** Records a fault: the parent looks for these files, and ends the run. */
export function recordFailure(directory: string, id: string, who: ThreadId, what: string): void {
  const text = `thread ${id} (${who.pid}/${who.tid}): ${what}\n`;
  // Written in one call, whatever happens to the writer.
  const path = join(directory, id + failureSuffix);
  writeFileSync(`${path}.part`, text);
  renameSync(`${path}.part`, path);
}

export function failuresIn(directory: string): string[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith(failureSuffix))
    .map((file) => readFileSync(join(directory, file), "utf8"));
}

const leftSuffix = ".left";

/** An orderly end: how many mappings of pools the process still had, having closed all. */
export function recordLeft(directory: string, id: string, maps: number): void {
  writeFileSync(join(directory, id + leftSuffix), String(maps));
}

/** Null: the process did not end orderly. */
export function takeLeft(directory: string, id: string): number | null {
  const path = join(directory, id + leftSuffix);
  if (!existsSync(path)) return null;
  const maps = Number(readFileSync(path, "utf8"));
  rmSync(path);
  return maps;
}

interface Entry {
  id: string;
  path: string;
  ended: boolean;
}

/** The journals of a process's threads: the process's id begins theirs. */
export function journalsOf(directory: string, processId: string): Entry[] {
  return readdirSync(directory)
    .filter((file) => file.startsWith(`${processId}.`) && file.includes(suffix))
    .map((file) => ({
      id: file.slice(0, file.indexOf(suffix)),
      path: join(directory, file),
      ended: file.endsWith(endedSuffix),
    }));
}

export function readFigures(path: string): Figures {
  const copy = new Uint8Array(readFileSync(path));
  const numbers = new Float64Array(copy.buffer, figuresAt, figures.length);
  return Object.fromEntries(figures.map((name, place) => [name, numbers[place] ?? 0])) as Figures;
}

/** The last steps, the latest last. */
export function readSteps(path: string): string[] {
  const copy = new Uint8Array(readFileSync(path));
  const { steps } = readFigures(path);
  const decoder = new TextDecoder();
  const first = Math.max(0, steps - lines);
  return Array.from({ length: steps - first }, (_, i) => {
    const at = ringAt + ((first + i) % lines) * lineBytes;
    return decoder.decode(copy.subarray(at, at + lineBytes)).split("\0", 1)[0] ?? "";
  });
}
