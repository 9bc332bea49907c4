// Kills and stops the soak's processes at random times, hundreds of times a minute.

import type { Child, Herd } from "./herd.ts";
import type { Random } from "./random.ts";
import { RecoveryWatch } from "./recoverer.ts";

const weights = { SIGKILL: 26, SIGTERM: 8, SIGSTOP: 40, terminate: 16, recoverer: 10 } as const;
type Kind = keyof typeof weights;
/** How long to look for a thread that recovers. */
const lookMs = 300;

/** Between two of its deeds: 150 ms on average. */
const pauseMs = { least: 20, most: 280 } as const;

/** Most stops are short, some longer than a recovery waits, some than a lease, few than a call. */
const stops = { short: 66, "past quiet": 20, "past a lease": 8, "past a call": 6 } as const;
const stopMs: Record<keyof typeof stops, readonly [number, number]> = {
  short: [1, 9],
  "past quiet": [11, 300],
  "past a lease": [1050, 1800],
  "past a call": [2100, 3500],
};

export class Killer {
  readonly done: Record<Kind, number> = {
    ...{ SIGKILL: 0, SIGTERM: 0, SIGSTOP: 0, terminate: 0 },
    recoverer: 0,
  };
  readonly #random: Random;
  readonly #herd: Herd;
  readonly #recoveries: RecoveryWatch[];

  constructor(herd: Herd, random: Random, paths: string[]) {
    this.#herd = herd;
    this.#random = random;
    this.#recoveries = paths.map((path) => new RecoveryWatch(path));
  }

  /** Goes on until `until` says so. */
  async run(until: () => boolean): Promise<void> {
    while (!until()) {
      await Bun.sleep(this.#random.between(pauseMs.least, pauseMs.most));
      if (!until()) await this.#strike();
    }
  }

  async #strike(): Promise<void> {
    const kind = this.#random.weighted(weights);
    const child = this.#random.pick(this.#herd.children);
    const draw = this.#random.weighted(stops);
    const [least, most] = stopMs[draw];
    const forMs = this.#random.between(least, most);
    const worker = this.#random.below(2);
    const watched = this.#random.pick(this.#recoveries);
    if (kind === "recoverer") await this.#strikeRecoverer(watched, forMs);
    else if (child.gone) return;
    else if (kind === "SIGSTOP") this.#stop(child, forMs);
    else if (kind === "terminate") this.#terminate(child, worker);
    else this.#kill(child, kind);
  }

  #kill(child: Child, signal: "SIGKILL" | "SIGTERM"): void {
    if (child.survivor || child.killedBy.has("SIGKILL")) return;
    this.#herd.kill(child, signal);
    this.done[signal]++;
  }

  /** Half of the processes that are met in a recovery die there, the others are stopped. */
  async #strikeRecoverer(watched: RecoveryWatch, forMs: number): Promise<void> {
    const stop = this.#random.chance(0.5);
    const child = await watched.find(() => this.#herd.living, lookMs);
    if (child === null || child.gone) return;
    this.done.recoverer++;
    if (stop || child.survivor) this.#stop(child, forMs);
    else this.#kill(child, "SIGKILL");
  }

  #stop(child: Child, forMs: number): void {
    if (child.stopped) return;
    child.stopped = true;
    child.process.kill("SIGSTOP");
    this.done.SIGSTOP++;
    setTimeout(() => {
      child.stopped = false;
      if (!child.gone) child.process.kill("SIGCONT");
    }, forMs);
  }

  #terminate(child: Child, worker: number): void {
    if (worker >= child.workers) return;
    this.#herd.tell(child, { what: "terminate", worker });
    this.done.terminate++;
  }
}
