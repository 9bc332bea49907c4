// ArrayBuffers over the pool's memory: made on first use, as long as the acquired size, and kept
// for the next acquire of the same slot and size while they fit a byte budget. The engine counts a
// foreign ArrayBuffer's whole length as heap, so that unbounded views would slow every allocation.

import type { Pointer } from "bun:ffi";
import { viewOf } from "./native.ts";

export class Views {
  readonly #mapping: Pointer;
  readonly #dataAddress: number;
  readonly #stride: number;
  readonly #budget: number;
  readonly #detaching: boolean;
  /** By slot, and nothing around it: each step on the way to the bytes costs as much as the next. */
  readonly #cached: (Uint8Array<ArrayBuffer> | undefined)[] = [];
  /** By slot: hit since eviction last passed it by. */
  readonly #used: boolean[] = [];
  /** By slot, the length at first: what was transferred since is somebody else's, and has none. */
  readonly #sizes: number[] = [];
  /** The slots cached, in the order in which they go: the least recently used first, hits aside. */
  readonly #order = new Set<number>();
  /** Every view that may be alive, for close() to detach. */
  readonly #live = new Set<WeakRef<ArrayBuffer>>();
  #cachedBytes = 0;
  #sweepAt = 1024;

  constructor(
    mapping: Pointer,
    dataAddress: number,
    stride: number,
    budget: number,
    detaching: boolean,
  ) {
    this.#mapping = mapping;
    this.#dataAddress = dataAddress;
    this.#stride = stride;
    this.#budget = budget;
    this.#detaching = detaching;
  }

  /** The bytes of a buffer that the caller holds. */
  bytes(index: number, size: number): Uint8Array<ArrayBuffer> {
    const cached = this.#cached[index];
    // Somebody may have transferred it; then it is theirs, and reads length 0.
    if (cached !== undefined && cached.length === size && size > 0) {
      this.#used[index] = true;
      return cached;
    }
    return this.#miss(index, size);
  }

  #miss(index: number, size: number): Uint8Array<ArrayBuffer> {
    if (size === 0) return new Uint8Array(new ArrayBuffer(0));
    const made = this.#make(index, size);
    if (this.#detaching) return made;
    if (this.#cached[index] !== undefined) this.#forget(index);
    if (size <= this.#budget) this.#keep(index, made);
    return made;
  }

  #make(index: number, size: number): Uint8Array<ArrayBuffer> {
    const address = this.#dataAddress + index * this.#stride;
    const buffer = viewOf(this.#mapping, address, size);
    this.#live.add(new WeakRef(buffer));
    if (this.#live.size >= this.#sweepAt) this.#sweep();
    return new Uint8Array(buffer);
  }

  #keep(index: number, made: Uint8Array<ArrayBuffer>): void {
    for (const oldest of this.#order) {
      if (this.#cachedBytes + made.length <= this.#budget) break;
      if (this.#used[oldest] === true) {
        // A hit since the last pass: it goes to the end, once.
        this.#used[oldest] = false;
        this.#order.delete(oldest);
        this.#order.add(oldest);
      } else this.#forget(oldest);
    }
    this.#cached[index] = made;
    this.#used[index] = false;
    this.#sizes[index] = made.length;
    this.#order.add(index);
    this.#cachedBytes += made.length;
  }

  #forget(index: number): void {
    this.#cached[index] = undefined;
    this.#order.delete(index);
    this.#cachedBytes -= this.#sizes[index] ?? 0;
  }

  #sweep(): void {
    for (const ref of this.#live) {
      const buffer = ref.deref();
      if (buffer === undefined || buffer.detached) this.#live.delete(ref);
    }
    this.#sweepAt = Math.max(1024, this.#live.size * 2);
  }

  /** Detaches all views. What the engine has pinned stays, and so does the mapping under it. */
  close(): void {
    this.#cached.length = 0;
    this.#order.clear();
    for (const ref of this.#live) {
      const buffer = ref.deref();
      if (buffer === undefined) continue;
      detach(buffer);
      if (!buffer.detached) pinned.add(ref);
    }
    retryPinned();
    this.#live.clear();
  }
}

/** Views of closed sessions that the engine had pinned. Weak: a dead one took its mapping along. */
const pinned = new Set<WeakRef<ArrayBuffer>>();
let retryDelay = 0;
let retryTimer: ReturnType<typeof setTimeout> | undefined;

/** Detaches what I/O has let go of since, so that no forgotten view keeps a closed pool mapped. */
function retryPinned(): void {
  for (const ref of pinned) {
    const buffer = ref.deref();
    if (buffer !== undefined) detach(buffer);
    if (buffer === undefined || buffer.detached) pinned.delete(ref);
  }
  clearTimeout(retryTimer);
  if (pinned.size === 0) {
    retryDelay = 0;
    return;
  }
  retryDelay = Math.min(Math.max(retryDelay * 2, 10), 1000);
  retryTimer = setTimeout(retryPinned, retryDelay);
  // The process may end meanwhile.
  retryTimer.unref();
}

/** Old views of it read length 0 afterwards. Nothing is copied. */
export function detach(buffer: ArrayBuffer): void {
  if (!buffer.detached) buffer.transfer(0);
}
