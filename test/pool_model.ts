// A model of a pool, as simple as possible: counts per slot and a stack of free slots. No atomics,
// no memory, no recovery. Tests of properties compare the real one with it.

import type { XmemErrorCode } from "../src/index.ts";

const slotBits = 2 ** 24;
const page = 4096;
export const referencesMax = 65_535;

export interface Slot {
  readonly index: number;
  used: boolean;
  /** The handle of its present buffer, or of its last one. */
  handle: number | undefined;
  size: number;
  holds: number;
  inFlight: number;
  committed: number;
}

/** A guard, made through one of the pool's opens. */
export interface Hold {
  readonly slot: Slot;
  readonly handle: number;
  readonly size: number;
  readonly writable: boolean;
  readonly open: number;
  /** The error of every use except a release; undefined while it is live. */
  refusal: "RELEASED" | "POOL_CLOSED" | undefined;
}

export class PoolModel {
  readonly capacity: number;
  readonly bufferSize: number;
  readonly slots: Slot[];
  readonly holds: Hold[] = [];
  /** Handles of buffers that were recycled. */
  readonly stale: number[] = [];
  acquired = 0;
  released = 0;
  /** The last element is the top. */
  readonly #free: Slot[];
  /** Free slots of the thread's cache; the last element was released last. */
  readonly #cached: Slot[] = [];
  readonly #cachedMost: number;

  constructor(capacity: number, bufferSize: number, cachedMost = 0) {
    this.capacity = capacity;
    this.#cachedMost = cachedMost;
    this.bufferSize = bufferSize;
    this.slots = Array.from({ length: capacity }, (_, index) => ({
      index,
      used: false,
      handle: undefined,
      size: 0,
      holds: 0,
      inFlight: 0,
      committed: 0,
    }));
    this.#free = [...this.slots].reverse();
  }

  get free(): number {
    return this.#free.length + this.#cached.length;
  }

  count(slot: Slot): number {
    return slot.holds + slot.inFlight;
  }

  /** The slot that the next acquire of so many bytes gets; undefined when the pool is full. */
  next(size: number): Slot | undefined {
    return this.#stack(size).at(-1);
  }

  /** What was released last, if it has the memory; else the list, with all that was cached if need be. */
  #stack(size: number): Slot[] {
    const cached = this.#cached.at(-1);
    if (cached !== undefined && cached.committed >= pages(size)) return this.#cached;
    if (this.#free.length === 0) this.#gather();
    return this.#free;
  }

  #gather(): void {
    this.#free.push(...this.#cached.splice(0));
  }

  /**
   * `handle` comes from the real pool: the model does not predict its generation, which must be
   * new.
   */
  acquire(open: number, handle: number, size: number): Hold {
    const slot = this.#stack(size).pop();
    if (slot === undefined) throw new Error("the pool is full");
    Object.assign(slot, { used: true, handle, size, holds: 1, inFlight: 0 });
    slot.committed = Math.max(slot.committed, pages(size));
    this.acquired++;
    return this.#hold(open, slot, true);
  }

  hold(open: number, slot: Slot, writable: boolean): Hold {
    slot.holds++;
    return this.#hold(open, slot, writable);
  }

  drop(hold: Hold): void {
    if (hold.refusal === undefined) this.#dropLive(hold);
    hold.refusal = "RELEASED";
  }

  handOff(hold: Hold): void {
    hold.refusal = "RELEASED";
    hold.slot.holds--;
    hold.slot.inFlight++;
  }

  /** Gives back the buffers that were held through one open, in the order of the slots. */
  close(open: number): void {
    const own = this.holds.filter((hold) => hold.open === open && hold.refusal === undefined);
    own.sort((one, other) => one.slot.index - other.slot.index);
    for (const hold of own) {
      this.#dropLive(hold);
      hold.refusal = "POOL_CLOSED";
    }
  }

  #dropLive({ slot }: Hold): void {
    slot.holds--;
    if (this.count(slot) > 0) return;
    this.#recycle(slot, this.#cached.length < this.#cachedMost ? this.#cached : this.#free);
  }

  recycle(slot: Slot): void {
    this.#recycle(slot, this.#free);
  }

  #recycle(slot: Slot, to: Slot[]): void {
    slot.used = false;
    if (slot.handle !== undefined) this.stale.push(slot.handle);
    to.push(slot);
    this.released++;
  }

  /** The buffer that a ref names, or why it names none. */
  resolve(ref: number): Slot | XmemErrorCode {
    const slot = this.slots[ref % slotBits];
    if (slot === undefined) return "BUFFER_NOT_FOUND";
    if (ref < slotBits) return slot.used ? slot : "BUFFER_NOT_FOUND";
    return slot.used && slot.handle === ref ? slot : "STALE_HANDLE";
  }

  preallocate(size: number, count: number): number {
    this.#gather();
    let added = 0;
    for (const slot of this.#free.slice(Math.max(this.#free.length - count, 0))) {
      const need = Math.max(slot.committed, pages(size));
      added += need - slot.committed;
      slot.committed = need;
    }
    return added;
  }

  trim(): number {
    this.#gather();
    let freed = 0;
    for (const slot of this.#free) {
      freed += slot.committed;
      slot.committed = 0;
    }
    return freed;
  }

  /** As stats() says it. */
  sums(): Record<"free" | "used" | "parked" | "inFlight" | "committedBytes" | "holds", number> {
    const sum = (of: (slot: Slot) => number): number =>
      this.slots.reduce((total, slot) => total + of(slot), 0);
    return {
      free: this.free,
      used: this.capacity - this.free,
      parked: sum((slot) => (slot.used && this.count(slot) === 0 ? 1 : 0)),
      inFlight: sum((slot) => (slot.used ? slot.inFlight : 0)),
      committedBytes: sum(({ committed }) => committed),
      holds: sum((slot) => (slot.used ? slot.holds : 0)),
    };
  }

  #hold(open: number, slot: Slot, writable: boolean): Hold {
    const hold: Hold = {
      slot,
      handle: slot.handle ?? 0,
      size: slot.size,
      writable,
      open,
      refusal: undefined,
    };
    this.holds.push(hold);
    return hold;
  }
}

function pages(size: number): number {
  return Math.ceil(size / page) * page;
}
