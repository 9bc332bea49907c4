// Which buffers of each exporter's channel were imported: the highest number, and a bit for each of
// those just below it, as those who guard against replays keep them. It tells doubles also where the
// stream has forgotten their names: a stream that drops what was acknowledged does, at a restart.

import type { Origin } from "./names.ts";

/** A lane's numbers, before its bits: which one it is, its highest number, when it was used last. */
const atKey = 0;
const atHighest = 1;
const atUsed = 2;
export const laneHead = 3;

export class Lanes {
  readonly #state: Float64Array;
  readonly #count: number;
  readonly #words: number;
  readonly #known = new Map<string, number>();

  /** `state` is `count` lanes of `laneHead` numbers and `words` words of 32 bits each. */
  constructor(state: Float64Array, count: number, words: number) {
    this.#state = state;
    this.#count = count;
    this.#words = words;
  }

  #bitOf(ordinal: number): [number, number] {
    const bit = ordinal % (this.#words * 32);
    return [laneHead + (bit >> 5), 1 << (bit & 31)];
  }

  #stride(): number {
    return laneHead + this.#words;
  }

  #find(key: number, lane: string): number | null {
    const known = this.#known.get(lane);
    if (known !== undefined && this.#state[known + atKey] === key) return known;
    for (let number = 0; number < this.#count; number++) {
      const start = number * this.#stride();
      if (this.#state[start + atKey] !== key) continue;
      this.#known.set(lane, start);
      return start;
    }
    return null;
  }

  /** Whether it was imported, as far as that is known. */
  has({ lane, ordinal }: Origin): boolean {
    const start = this.#find(keyOf(lane), lane);
    if (start === null) return false;
    const highest = this.#state[start + atHighest] ?? 0;
    if (ordinal > highest || highest - ordinal >= this.#words * 32) return false;
    const [word, mask] = this.#bitOf(ordinal);
    return ((this.#state[start + word] ?? 0) & mask) !== 0;
  }

  /** `used` grows from call to call. Done again after a kill, it does no harm. */
  add({ lane, ordinal }: Origin, used: number): void {
    this.addByKey(keyOf(lane), ordinal, used, lane);
  }

  addByKey(key: number, ordinal: number, used: number, lane = ""): void {
    if (this.#count === 0) return;
    const state = this.#state;
    const start = this.#find(key, lane) ?? this.#begin(key, ordinal);
    const highest = state[start + atHighest] ?? 0;
    const most = this.#words * 32;
    const isFar = highest - ordinal >= most || ordinal - highest >= most;
    if (isFar) this.#clear(start);
    else
      for (let skipped = highest + 1; skipped < ordinal; skipped++)
        this.#set(start, skipped, false);
    this.#set(start, ordinal, true);
    if (isFar || ordinal > highest) state[start + atHighest] = ordinal;
    state[start + atUsed] = used;
  }

  #set(start: number, ordinal: number, value: boolean): void {
    const [word, mask] = this.#bitOf(ordinal);
    const before = this.#state[start + word] ?? 0;
    this.#state[start + word] = (value ? before | mask : before & ~mask) >>> 0;
  }

  #clear(start: number): void {
    this.#state.fill(0, start + laneHead, start + this.#stride());
  }

  /** Takes the place of the one that was used longest ago. */
  #begin(key: number, ordinal: number): number {
    let oldest = 0;
    for (let number = 1; number < this.#count; number++) {
      const used = this.#state[number * this.#stride() + atUsed] ?? 0;
      if (used < (this.#state[oldest + atUsed] ?? 0)) oldest = number * this.#stride();
    }
    this.#known.clear();
    this.#state[oldest + atKey] = 0;
    this.#clear(oldest);
    this.#state[oldest + atHighest] = ordinal;
    this.#state[oldest + atKey] = key;
    return oldest;
  }
}

/** 53 bits of a hash, never 0. */
export function keyOf(lane: string): number {
  return Number(BigInt.asUintN(53, BigInt(Bun.hash(lane)))) || 1;
}
