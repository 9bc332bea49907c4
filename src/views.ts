// ArrayBuffers over the pool's memory: made on first use, as long as the acquired size, and kept
// for the next acquire of the same slot and size while they fit a byte budget. The engine counts a
// foreign ArrayBuffer's whole length as heap, so that unbounded views would slow every allocation.

import type { Pointer } from "bun:ffi";
import { viewOf } from "./native.ts";
import { indexOf } from "./validate.ts";

interface Cached {
  buffer: ArrayBuffer;
  bytes: Uint8Array<ArrayBuffer>;
  size: number;
  /** Used since eviction last passed it by. */
  used: boolean;
}

export class Views {
  readonly #mapping: Pointer;
  readonly #dataAddress: number;
  readonly #stride: number;
  readonly #budget: number;
  readonly #detaching: boolean;
  /** By slot. A hit costs a load and a comparison; the order below is only for evictions. */
  readonly #cache: (Cached | undefined)[] = [];
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

  /** Whether a released guard's views are detached. */
  get detaching(): boolean {
    return this.#detaching;
  }

  /** The bytes of a buffer that the caller holds. */
  bytes(handle: number, size: number): Uint8Array<ArrayBuffer> {
    if (this.#detaching || size === 0) return this.#make(handle, size).bytes;
    const index = indexOf(handle);
    const cached = this.#cache[index];
    if (cached !== undefined) {
      // Somebody may have transferred it; then it is theirs, and reads length 0.
      if (cached.size === size && cached.bytes.length === size) {
        cached.used = true;
        return cached.bytes;
      }
      this.#forget(index, cached);
    }
    const made = this.#make(handle, size);
    if (size <= this.#budget) this.#keep(index, made);
    return made.bytes;
  }

  #make(handle: number, size: number): Cached {
    if (size === 0) {
      const buffer = new ArrayBuffer(0);
      return { buffer, bytes: new Uint8Array(buffer), size, used: false };
    }
    const address = this.#dataAddress + indexOf(handle) * this.#stride;
    const buffer = viewOf(this.#mapping, address, size);
    this.#live.add(new WeakRef(buffer));
    if (this.#live.size >= this.#sweepAt) this.#sweep();
    return { buffer, bytes: new Uint8Array(buffer), size, used: false };
  }

  #keep(index: number, made: Cached): void {
    for (const oldest of this.#order) {
      if (this.#cachedBytes + made.size <= this.#budget) break;
      const cached = this.#cache[oldest];
      if (cached === undefined) continue;
      if (cached.used) {
        // A hit since the last pass: it goes to the end, once.
        cached.used = false;
        this.#order.delete(oldest);
        this.#order.add(oldest);
      } else this.#forget(oldest, cached);
    }
    this.#cache[index] = made;
    this.#order.add(index);
    this.#cachedBytes += made.size;
  }

  #forget(index: number, cached: Cached): void {
    this.#cache[index] = undefined;
    this.#order.delete(index);
    this.#cachedBytes -= cached.size;
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
    this.#cache.length = 0;
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
