// The views that a pool's guards share: an ArrayBuffer per slot, made on first use, and the typed
// arrays over it that were given last, for the next acquire of the same slot and size. The engine
// counts a foreign ArrayBuffer's whole length as heap, and unbounded views would slow every
// allocation: hence a byte budget, past which buffers are let go.

import { reloadable, tie } from "../lifetime/generations.ts";
import { detachLater } from "../lifetime/lingering.ts";
import type { DataArea } from "../native/data_area.ts";
import { native } from "../native/native.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

export const noBytes = (): Bytes => new Uint8Array(new ArrayBuffer(0));

/** The least page there is: memory is committed in no smaller parts. */
const page = 4096;

/** Typed arrays of several sizes that one slot keeps: a power of two. */
const sizesMax = 64;
/** Slots that keep such. */
const sizedSlotsMax = 64;

/** Sizes in a row come to different places, and mostly so do multiples of something. */
function placeOf(size: number): number {
  return (size + (size >>> 6) * 37 + (size >>> 12) * 23) & (sizesMax - 1);
}

/** The views of one slot that is asked for several sizes. */
class Sized {
  readonly views: (Bytes | undefined)[] = new Array(sizesMax).fill(undefined);
}

export class ViewCache {
  readonly #area: DataArea;
  readonly #budget: number;
  /**
   * By slot, and nothing around it: each step on the way to the bytes costs as much as the next. Only
   * views that end in their buffer's last page: the whole buffer has memory for as long as such a
   * view has.
   */
  readonly #latest: (Bytes | undefined)[] = [];
  /** By slot, the bytes of the whole buffer as it was made: one that was transferred has length 0. */
  readonly #lengths: number[] = [];
  /** By slot: hit since eviction last passed it by. */
  readonly #used: boolean[] = [];
  /** By slot, a view of the whole buffer where it is kept. */
  readonly #wholes: (Bytes | undefined)[] = [];
  /** By slot, the buffer that was made last, so that one that is still alive is not made again. */
  readonly #buffers: (WeakRef<ArrayBuffer> | undefined)[] = [];
  readonly #sized: (Sized | undefined)[] = [];
  /** Those with other sizes, the oldest first. */
  readonly #sizedSlots: number[] = [];
  /** The slots kept, in the order in which they go: the least recently used first, hits aside. */
  readonly #order = new Set<number>();
  /** Buffers that longer or shorter ones took the place of, and that may be alive. */
  readonly #replaced = new Set<WeakRef<ArrayBuffer>>();
  #keptBytes = 0;
  #sweepAt = 64;

  constructor(area: DataArea, budget: number) {
    this.#area = area;
    this.#budget = budget;
  }

  /** The bytes of a buffer that the caller holds. */
  bytes(index: number, size: number): Bytes {
    const latest = this.#latest[index];
    // One that was transferred has length 0.
    if (latest !== undefined && latest.length === size && size > 0) {
      this.#used[index] = true;
      return latest;
    }
    return this.#find(index, size);
  }

  #find(index: number, size: number): Bytes {
    if (size === 0) return noBytes();
    const whole = this.#wholes[index];
    if (whole === undefined || !this.#fits(index, whole.length, size)) {
      return this.#findBuffer(index, size);
    }
    this.#used[index] = true;
    const sized = this.#sized[index] ?? this.#beginSizes(index);
    const place = placeOf(size);
    let found = sized.views[place];
    if (found === undefined || found.length !== size) {
      found = whole.subarray(0, size);
      sized.views[place] = found;
    }
    if (whole.length - size < page) this.#latest[index] = found;
    return found;
  }

  /** Whether a buffer of that length holds `size` bytes, and nothing that was trimmed since. */
  #fits(index: number, length: number, size: number): boolean {
    if (length < size) return false;
    return (
      length - size < page || length <= native.xmem_bun_committed(this.#area.descriptor, index)
    );
  }

  #beginSizes(index: number): Sized {
    if (this.#sizedSlots.length === sizedSlotsMax) {
      this.#sized[this.#sizedSlots.shift() as number] = undefined;
    }
    const sized = new Sized();
    this.#sized[index] = sized;
    this.#sizedSlots.push(index);
    return sized;
  }

  #forgetSizes(index: number): void {
    if (this.#sized[index] === undefined) return;
    this.#sized[index] = undefined;
    this.#sizedSlots.splice(this.#sizedSlots.indexOf(index), 1);
  }

  /** For a size that the kept view does not fit. */
  #findBuffer(index: number, size: number): Bytes {
    if (this.#wholes[index] !== undefined) this.#forget(index);
    let buffer = this.#buffers[index]?.deref();
    // One that was transferred has no length.
    if (buffer === undefined || !this.#fits(index, buffer.byteLength, size)) {
      buffer = this.#make(index, size, buffer?.byteLength ?? 0);
    }
    const whole = new Uint8Array(buffer);
    const found = whole.length === size ? whole : whole.subarray(0, size);
    if (whole.length <= this.#budget) this.#keep(index, whole, found);
    return found;
  }

  /** Sizes that grow a little each time get a buffer of twice the length, as far as memory goes. */
  #make(index: number, size: number, lengthBefore: number): ArrayBuffer {
    const { descriptor, stride, session } = this.#area;
    const least = Math.min(Math.ceil(size / page) * page, stride);
    const grown = lengthBefore < size ? lengthBefore * 2 : 0;
    const committed = native.xmem_bun_committed(descriptor, index);
    const length = Math.max(least, Math.min(grown, committed));
    const buffer = this.#area.view(index, length);
    if (reloadable) tie(buffer, session);
    const before = this.#buffers[index];
    if (before !== undefined && lengthBefore > 0) this.#addReplaced(before);
    this.#buffers[index] = new WeakRef(buffer);
    return buffer;
  }

  #addReplaced(ref: WeakRef<ArrayBuffer>): void {
    this.#replaced.add(ref);
    if (this.#replaced.size < this.#sweepAt) return;
    for (const each of this.#replaced) {
      if (each.deref()?.detached !== false) this.#replaced.delete(each);
    }
    this.#sweepAt = Math.max(64, this.#replaced.size * 2);
  }

  #keep(index: number, whole: Bytes, latest: Bytes): void {
    for (const oldest of this.#order) {
      if (this.#keptBytes + whole.length <= this.#budget) break;
      if (this.#used[oldest] === true) {
        // A hit since the last pass: it goes to the end, once.
        this.#used[oldest] = false;
        this.#order.delete(oldest);
        this.#order.add(oldest);
      } else this.#forget(oldest);
    }
    this.#wholes[index] = whole;
    this.#latest[index] = whole.length - latest.length < page ? latest : undefined;
    this.#lengths[index] = whole.length;
    this.#used[index] = false;
    this.#order.add(index);
    this.#keptBytes += whole.length;
  }

  #forget(index: number): void {
    this.#wholes[index] = undefined;
    this.#latest[index] = undefined;
    this.#forgetSizes(index);
    this.#order.delete(index);
    this.#keptBytes -= this.#lengths[index] ?? 0;
  }

  /** Detaches all views. What the engine has pinned stays, and so does the mapping under it. */
  close(): void {
    this.#wholes.length = 0;
    this.#latest.length = 0;
    this.#sized.length = 0;
    this.#order.clear();
    for (const ref of this.#buffers) if (ref !== undefined) detachLater(ref);
    for (const ref of this.#replaced) detachLater(ref);
    this.#buffers.length = 0;
    this.#replaced.clear();
  }
}
