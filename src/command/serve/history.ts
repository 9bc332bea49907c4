// The last minutes of a pool in a few hundred points.

/** When, the share of used buffers, and acquires per second. */
export type Point = [at: number, share: number, acquired: number];

export const historyMs: number = 5 * 60_000;
const pointsMost = 600;

export class History {
  #points: Point[] = [];

  get points(): readonly Point[] {
    return this.#points;
  }

  /** Several within one step of the history are one point of it, the last. */
  add(point: Point): void {
    const [at] = point;
    const step = historyMs / pointsMost;
    const before = this.#points.at(-2)?.[0];
    if (before !== undefined && at - before < step) this.#points.pop();
    this.#points.push(point);
    const first = this.#points.findIndex(([then]) => then >= at - historyMs);
    if (first > 0) this.#points.splice(0, first);
  }

  clear(): void {
    this.#points = [];
  }
}
