// The counts of waiting processes, in a mapped file: how many waits they began and how these ended,
// and how long after a release the next process took the buffer. The file outlasts processes that
// are killed.

import { writeFileSync } from "node:fs";
import { native } from "../src/native/native.ts";

export const waiterKinds = [
  "patient blocking",
  "patient async",
  "hasty blocking",
  "hasty async",
] as const;
export type WaiterKind = (typeof waiterKinds)[number];

const placesMost = 16;
const fields = { asked: 0, served: 1, timedOut: 2, aborted: 3, died: 4, delays: 8 } as const;
const delaysMost = 8192;
const placeNumbers = fields.delays + delaysMost;
/** Shared by all, before the places. */
const common = { stop: 0, releasedAtMs: 1, diedAtMs: 2, holder: 3 } as const;
const commonNumbers = 8;

export class Tally {
  readonly #numbers: Float64Array;

  constructor(path: string) {
    this.#numbers = new Float64Array(Bun.mmap(path).buffer);
  }

  static create(path: string): Tally {
    const bytes = 8 * (commonNumbers + placesMost * placeNumbers);
    writeFileSync(path, new Uint8Array(bytes));
    return new Tally(path);
  }

  of(place: number): Waits {
    const from = commonNumbers + place * placeNumbers;
    return new Waits(this.#numbers.subarray(from, from + placeNumbers));
  }

  get stopped(): boolean {
    return this.#numbers[common.stop] !== 0;
  }

  stop(): void {
    this.#numbers[common.stop] = 1;
  }

  /**
   * Called by a process that is about to release the buffer: the file has one word for the pool's
   * one buffer.
   */
  letGo(): void {
    this.#numbers[common.holder] = 0;
    this.#numbers[common.releasedAtMs] = native.xmem_bun_now();
  }

  /** Called by the process that is about to kill. */
  kill(): void {
    this.#numbers[common.diedAtMs] = native.xmem_bun_now();
  }

  /** The place of the process that has the buffer; -1: nobody has it, or the parent. */
  get holder(): number {
    return (this.#numbers[common.holder] ?? 0) - 1;
  }

  /** Called after an acquire, from a place or not: since when the buffer was free. */
  take(place = -1): { sinceMs: number; ofDead: boolean } {
    this.#numbers[common.holder] = place + 1;
    const released = this.#numbers[common.releasedAtMs] ?? 0;
    this.#numbers[common.releasedAtMs] = 0;
    // Nobody released it: its last holder was killed.
    if (released !== 0) return { sinceMs: released, ofDead: false };
    return { sinceMs: this.#numbers[common.diedAtMs] ?? 0, ofDead: true };
  }
}

/** The waits of one place, of all processes that were there one after the other. */
export class Waits {
  readonly #numbers: Float64Array;

  constructor(numbers: Float64Array) {
    this.#numbers = numbers;
  }

  #get(field: number): number {
    return this.#numbers[field] ?? 0;
  }

  get asked(): number {
    return this.#get(fields.asked);
  }

  set asked(count: number) {
    this.#numbers[fields.asked] = count;
  }

  get served(): number {
    return this.#get(fields.served);
  }

  get timedOut(): number {
    return this.#get(fields.timedOut);
  }

  set timedOut(count: number) {
    this.#numbers[fields.timedOut] = count;
  }

  get aborted(): number {
    return this.#get(fields.aborted);
  }

  set aborted(count: number) {
    this.#numbers[fields.aborted] = count;
  }

  /** Waits that ended with their process. */
  get died(): number {
    return this.#get(fields.died);
  }

  set died(count: number) {
    this.#numbers[fields.died] = count;
  }

  get pending(): number {
    return this.asked - this.served - this.timedOut - this.aborted - this.died;
  }

  /** A delay below 0 stands for one after a death. */
  serve({ sinceMs, ofDead }: { sinceMs: number; ofDead: boolean }): void {
    const delay = Math.max(native.xmem_bun_now() - sinceMs, Number.MIN_VALUE);
    if (this.served < delaysMost) {
      this.#numbers[fields.delays + this.served] = ofDead ? -delay : delay;
    }
    this.#numbers[fields.served] = this.served + 1;
  }

  /** From a release, and from a holder's death, to the next take, in ms. */
  delays(): { released: number[]; died: number[] } {
    const count = Math.min(this.served, delaysMost);
    const all = [...this.#numbers.subarray(fields.delays, fields.delays + count)];
    return {
      released: all.filter((delay) => delay > 0),
      died: all.filter((delay) => delay < 0).map((delay) => -delay),
    };
  }
}
