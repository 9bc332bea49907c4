// Measures from outside what a long-lived process of the soak uses: it must not grow.

import { readdirSync, readFileSync } from "node:fs";

interface Sample {
  anonymousKiB: number;
  threads: number;
  descriptors: number;
  maps: number;
}

const resources = ["anonymousKiB", "threads", "descriptors", "maps"] as const;

/** By how much the last third's median may exceed that of the middle third, and by what factor. */
const slack: Record<keyof Sample, readonly [factor: number, extra: number]> = {
  anonymousKiB: [1.3, 48 * 1024],
  threads: [1, 6],
  descriptors: [1, 12],
  maps: [1.2, 200],
};

export class Census {
  readonly #samples: Sample[] = [];

  look(pid: number): void {
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      const field = (name: string): number =>
        Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
      this.#samples.push({
        anonymousKiB: field("RssAnon"),
        threads: field("Threads"),
        descriptors: readdirSync(`/proc/${pid}/fd`).length,
        maps: readFileSync(`/proc/${pid}/maps`, "utf8").split("\n").length,
      });
    } catch {
      // It is about to start, or has just ended.
    }
  }

  /** Medians of the middle and of the last third. */
  #thirds(resource: keyof Sample): [number, number] {
    const third = Math.floor(this.#samples.length / 3);
    const of = (from: number): number => {
      const part = this.#samples.slice(from, from + third).map((sample) => sample[resource]);
      return part.sort((a, b) => a - b)[Math.floor(third / 2)] ?? 0;
    };
    return [of(third), of(2 * third)];
  }

  /** Too few samples say nothing. */
  growth(): string[] {
    if (this.#samples.length < 60) return [];
    return resources.flatMap((resource) => {
      const [middle, last] = this.#thirds(resource);
      const [factor, extra] = slack[resource];
      return last <= middle * factor + extra ? [] : [`${resource} grew from ${middle} to ${last}`];
    });
  }

  toString(): string {
    return resources
      .map((resource) => `${resource} ${this.#thirds(resource).join(" -> ")}`)
      .join(", ");
  }
}
