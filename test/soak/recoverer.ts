// Finds the thread that is in the middle of a recovery, by the word of the recovery mutex in which
// libc keeps its owner's thread id. The killer would hardly ever meet one by chance.

import { existsSync } from "node:fs";
import type { Child } from "./herd.ts";

/** `Header.repair` in docs/layout.md; the mutex is its first field. */
const mutexOffset = 384;
const idMask = 0x3fff_ffff;
const spinMs = 10;

const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
const isMusl = report.header?.glibcVersionRuntime === undefined;

export class RecoveryWatch {
  readonly #words: Uint32Array;

  /** The pool's file. */
  constructor(path: string) {
    this.#words = new Uint32Array(Bun.mmap(path).buffer);
  }

  /** Looks for at most `forMs`. Null: no thread recovered, or it was none of these. */
  async find(children: () => readonly Child[], forMs: number): Promise<Child | null> {
    const deadline = performance.now() + forMs;
    while (performance.now() < deadline) {
      const found = this.#spin(children());
      if (found !== null) return found;
      // Messages have to be passed on meanwhile.
      await Bun.sleep(0);
    }
    return null;
  }

  #spin(children: readonly Child[]): Child | null {
    const word = mutexOffset / 4 + (isMusl ? 1 : 0);
    const deadline = performance.now() + spinMs;
    while (performance.now() < deadline) {
      const tid = Atomics.load(this.#words, word) & idMask;
      if (tid === 0) continue;
      const found = children.find(({ process }) => existsSync(`/proc/${process.pid}/task/${tid}`));
      if (found !== undefined) return found;
    }
    return null;
  }
}
