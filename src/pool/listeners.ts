// Those who listen to something, and what happens when one of them throws.

/** Each is told once of an event, however often it was added. */
export class Listeners<Event> {
  /** With whether it is told once only. */
  readonly #all = new Map<(event: Event) => void, boolean>();

  get size(): number {
    return this.#all.size;
  }

  /** One that shall be told always stays so, whatever else it is added for. */
  add(listener: (event: Event) => void, once = false): void {
    this.#all.set(listener, once && this.#all.get(listener) !== false);
  }

  delete(listener: (event: Event) => void): void {
    this.#all.delete(listener);
  }

  clear(): void {
    this.#all.clear();
  }

  /** In the order in which they were added. One that is removed meanwhile is not told. */
  tell(event: Event): void {
    for (const [listener, once] of [...this.#all]) {
      if (!this.#all.has(listener)) continue;
      if (once) this.#all.delete(listener);
      try {
        listener(event);
      } catch (error) {
        // A listener's failure is its program's: the others are told, and it becomes an uncaught
        // error, as one that an event target's listener throws.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
