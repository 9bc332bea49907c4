// Who kills and stops the soak's processes, at random times, hundreds of times a minute.

import type { Child, Herd } from "./herd.ts";
import type { Random } from "./random.ts";

const weights = { SIGKILL: 28, SIGTERM: 8, SIGSTOP: 46, terminate: 18 } as const;
type Kind = keyof typeof weights;

/** Between two of its deeds: 150 ms on average. */
const pauseMs = { least: 20, most: 280 } as const;

/** Most stops are short, some longer than a recovery waits, some than a lease, few than a call. */
const stops = { short: 70, "past quiet": 20, "past a lease": 8, "past a call": 2 } as const;
const stopMs: Record<keyof typeof stops, readonly [number, number]> = {
  short: [1, 9],
  "past quiet": [11, 300],
  "past a lease": [1050, 1800],
  "past a call": [2100, 3500],
};

export class Killer {
  readonly done: Record<Kind, number> = { SIGKILL: 0, SIGTERM: 0, SIGSTOP: 0, terminate: 0 };
  readonly #random: Random;
  readonly #herd: Herd;

  constructor(herd: Herd, random: Random) {
    this.#herd = herd;
    this.#random = random;
  }

  /** Goes on until `until` says so. */
  async run(until: () => boolean): Promise<void> {
    while (!until()) {
      await Bun.sleep(this.#random.between(pauseMs.least, pauseMs.most));
      if (!until()) this.#strike();
    }
  }

  #strike(): void {
    const kind = this.#random.weighted(weights);
    const child = this.#random.pick(this.#herd.children);
    const draw = this.#random.weighted(stops);
    const [least, most] = stopMs[draw];
    const forMs = this.#random.between(least, most);
    const worker = this.#random.below(2);
    if (child.gone) return;
    if (kind === "SIGSTOP") this.#stop(child, forMs);
    else if (kind === "terminate") this.#terminate(child, worker);
    else if (!child.survivor && !child.killedBy.has("SIGKILL")) {
      this.#herd.kill(child, kind);
      this.done[kind]++;
    }
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
