// Puts bodies together that came in parts. Each part is copied to its place in the pool's buffer when
// it comes, so that no body is ever held twice. Parts of several bodies may come mixed.

import type { BufferGuard, BufferPool } from "../index.ts";
import { apply, type Description, type Part, partLength } from "./description.ts";
import type { Delivery } from "./puller.ts";

interface Whole {
  readonly guard: BufferGuard;
  readonly cut: number;
  readonly parts: Delivery[];
  next: number;
  at: number;
}

export interface Assembled {
  guard: BufferGuard;
  /** Of all parts; the last one's number is the buffer's. */
  parts: Delivery[];
}

export class Assembly {
  readonly #pool: BufferPool;
  readonly #wholes = new Map<string, Whole>();

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Parts that wait for others. */
  *waiting(): IterableIterator<Delivery> {
    for (const { parts } of this.#wholes.values()) yield* parts;
  }

  /**
   * Adds a part. Null: there are more to come. A text says why the part is nothing of a body, and
   * then nothing was done.
   */
  async add(
    delivery: Delivery,
    { part, description }: { part: Part; description: Description },
    signal: AbortSignal,
  ): Promise<Assembled | string | null> {
    const { whole: name, index, count, cut } = part;
    if (delivery.body.length !== partLength(part, description.size)) {
      return `part ${index} of ${count} has ${delivery.body.length} bytes`;
    }
    let whole = this.#wholes.get(name);
    if (index === 0) {
      // An exporter that died began it, and its successor begins it anew.
      if (whole !== undefined) whole.next = 0;
      if (whole === undefined || whole.cut !== cut) {
        whole?.guard.release();
        const parts = whole?.parts ?? [];
        this.#wholes.delete(name);
        const guard = await this.#pool.acquireAsync(description.size, { signal });
        apply(guard, description);
        whole = { guard, cut, parts, next: 0, at: 0 };
        this.#wholes.set(name, whole);
      }
    }
    if (whole === undefined || whole.cut !== cut || whole.guard.size !== description.size) {
      return `part ${index} of ${count} came without those before it`;
    }
    whole.parts.push(delivery);
    whole.at = performance.now();
    if (index < whole.next) return null;
    if (index > whole.next) {
      whole.parts.pop();
      return `part ${index} of ${count} came without those before it`;
    }
    whole.guard.bytes.set(delivery.body, index * cut);
    whole.next += 1;
    if (whole.next < count) return null;
    this.#wholes.delete(name);
    return { guard: whole.guard, parts: whole.parts };
  }

  /** What nobody will complete: its exporter died longer ago than the stream knows names. */
  *expired(after: number): IterableIterator<Delivery> {
    const now = performance.now();
    for (const [name, { guard, parts, at }] of this.#wholes) {
      if (now - at < after) continue;
      this.#wholes.delete(name);
      guard.release();
      yield* parts;
    }
  }

  /** Everything comes again. */
  clear(): void {
    for (const { guard } of this.#wholes.values()) guard.release();
    this.#wholes.clear();
  }
}
