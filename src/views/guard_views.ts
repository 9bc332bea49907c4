// Views that each guard has for itself, exactly as long as its buffer. They are needed where a
// released guard's views are detached, while its clones' views stay, and where lost guards are
// traced, which a shared view would keep reachable. Each costs an ArrayBuffer, and the engine's
// work for one.

import { reloadable, tie } from "../lifetime/generations.ts";
import { detach, detachLater, linger } from "../lifetime/lingering.ts";
import { tracing } from "../lifetime/trace.ts";
import type { DataArea } from "../native/data_area.ts";
import { native, releaseIndex } from "../native/native.ts";
import { type Bytes, noBytes } from "./view_cache.ts";

export class GuardViews {
  readonly #area: DataArea;
  /** Whether they are detached when their guard is released. */
  readonly detaching: boolean;
  /**
   * Buffers of guards that were not released. They are kept as their guards are, except where
   * guards are traced.
   */
  readonly #lent = new Set<ArrayBuffer>();
  /**
   * Buffers that may still be alive: those of traced guards, and those that could not be detached.
   */
  readonly #traced = new Set<WeakRef<ArrayBuffer>>();
  /** Slots whose bytes were transferred away. */
  readonly #moved = new Set<number>();
  #sweepAt = 1024;

  constructor(area: DataArea, detaching: boolean) {
    this.#area = area;
    this.detaching = detaching;
  }

  /** The bytes of a buffer that `guard` holds; `before` are those that it had. */
  bytes(index: number, size: number, guard: object, before: Bytes | null): Bytes {
    if (before?.buffer.detached === true) this.#moved.add(index);
    // After a truncation: one buffer for all views of the guard, which end with it.
    else if (before !== null) return new Uint8Array(before.buffer, 0, size);
    if (size === 0) return noBytes();
    const buffer = this.#area.view(index, size);
    if (tracing) {
      tie(buffer, guard);
      this.#traced.add(new WeakRef(buffer));
      if (this.#traced.size >= this.#sweepAt) this.#sweep();
    } else {
      if (reloadable) tie(buffer, this.#area.session);
      this.#lent.add(buffer);
    }
    return new Uint8Array(buffer);
  }

  /**
   * Ends the views of a guard that is done, and then its hold. A view that I/O has pinned, or that
   * was transferred elsewhere, puts both off until it is dead.
   */
  end(index: number, generation: number, { buffer }: Bytes): void {
    this.#lent.delete(buffer);
    const moved = buffer.detached || this.#moved.has(index);
    const isDone = (): boolean => {
      if (!detach(buffer) || (moved && this.#isViewed(index))) return false;
      this.#moved.delete(index);
      releaseIndex(this.#area.session.descriptor, index, generation);
      return true;
    };
    if (isDone()) return;
    this.#traced.add(new WeakRef(buffer));
    linger(isDone);
  }

  #isViewed(index: number): boolean {
    return native.xmem_bun_view_count(this.#area.counter, index) > 0;
  }

  #sweep(): void {
    for (const ref of this.#traced) {
      if (ref.deref()?.detached !== false) this.#traced.delete(ref);
    }
    this.#sweepAt = Math.max(1024, this.#traced.size * 2);
  }

  close(): void {
    for (const buffer of this.#lent) detachLater(new WeakRef(buffer));
    for (const ref of this.#traced) detachLater(ref);
    this.#lent.clear();
    this.#traced.clear();
  }
}
