// Samples one subject for all pages that look at it, and only while one does.

/** What is looked at. */
export interface Subject {
  /** Looks anew. It never throws: what is wrong is part of what it shows. */
  look(): void;
  /** What has changed with the last look. */
  shown(): object;
  /** The same with what a page that comes now has missed. */
  beginning(): object;
}

/** A page that looks. It gets the newest sample each time that it asks, and misses the others. */
export interface Viewing {
  /** Null when there will be no more. */
  next(): Promise<string | null>;
  leave(): void;
}

/** Of the processor's time, one look in so much. */
const idleShare = 9;

export class Feed<Looked extends Subject> {
  readonly subject: Looked;
  readonly #interval: number;
  readonly #viewers = new Set<{ push: (text: string | null) => void }>();
  #timer: Timer | null = null;
  #every: number;

  constructor(subject: Looked, interval: number) {
    this.subject = subject;
    this.#interval = interval;
    this.#every = interval;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  join(): Viewing {
    if (this.#timer === null) this.#look();
    let newest: string | null = this.#text(this.subject.beginning());
    let ended = false;
    let wake: (() => void) | null = null;
    const viewer = {
      push(text: string | null): void {
        newest = text;
        ended ||= text === null;
        wake?.();
      },
    };
    this.#viewers.add(viewer);
    return {
      next: async () => {
        while (newest === null && !ended) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        const text = newest;
        newest = null;
        return text;
      },
      leave: () => {
        this.#viewers.delete(viewer);
        viewer.push(null);
        if (this.#viewers.size > 0 || this.#timer === null) return;
        clearTimeout(this.#timer);
        this.#timer = null;
      },
    };
  }

  /** Tells every page that there will be no more. */
  end(): void {
    for (const viewer of this.#viewers) viewer.push(null);
  }

  #text(shown: object): string {
    return JSON.stringify({ ...shown, every: this.#every });
  }

  #look(): void {
    const start = performance.now();
    this.subject.look();
    // A pool of a million slots takes a while to look at.
    this.#every = Math.max(this.#interval, Math.ceil(performance.now() - start) * idleShare);
    this.#timer = setTimeout(() => {
      this.#look();
      const text = this.#text(this.subject.shown());
      for (const viewer of this.#viewers) viewer.push(text);
    }, this.#every);
  }
}
