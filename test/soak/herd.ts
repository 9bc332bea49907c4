// The soak's processes as the parent sees them: it starts them, passes their messages on, keeps the
// figures of those that ended, and finds threads that have not moved for too long.

import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type Figures, figures, journalsOf, readFigures, readSteps, takeLeft } from "./journal.ts";
import type { FromProcess, ProcessTask, ToProcess } from "./messages.ts";
import type { Random } from "./random.ts";

export interface Child {
  id: string;
  place: number;
  workers: number;
  process: Subprocess;
  /** These are not killed, so that growth in a long life shows in them. */
  survivor: boolean;
  stopped: boolean;
  /** The signals that the parent sent to end it. */
  killedBy: Set<string>;
  gone: boolean;
  /** Per journal: its steps at the last look, and when they last changed. */
  moved: Map<string, { steps: number; atMs: number }>;
}

interface HerdOptions {
  directory: string;
  pools: string[];
  leaseMs: number;
  processes: number;
  survivors: number;
  random: Random;
}

const hangPatienceMs = 90_000;

export class Herd {
  readonly children: Child[] = [];
  readonly figures: Figures = Object.fromEntries(figures.map((name) => [name, 0])) as Figures;
  readonly failures: string[] = [];
  started = 0;
  readonly #options: HerdOptions;
  readonly #incarnations: number[] = [];
  #ending = false;

  constructor(options: HerdOptions) {
    this.#options = options;
    for (let place = 0; place < options.processes; place++) this.#start(place);
  }

  get living(): Child[] {
    return this.children.filter(({ gone }) => !gone);
  }

  #start(place: number): void {
    const { directory, pools, leaseMs, processes, survivors, random } = this.#options;
    const incarnation = (this.#incarnations[place] ?? 0) + 1;
    this.#incarnations[place] = incarnation;
    this.started++;
    const id = `process${place}-${incarnation}`;
    // One of the survivors, and two of the others, run Workers.
    const workers = [0, 2, 1, 2][place] ?? 0;
    const task: ProcessTask = {
      ...{ id, directory, pools, leaseMs, processes, workers },
      seed: random.next(),
      heedsTerm: random.chance(0.5),
    };
    const child: Child = {
      ...{ id, place, workers, stopped: false, killedBy: new Set(), gone: false },
      survivor: place < survivors,
      moved: new Map(),
      process: Bun.spawn(
        [process.execPath, join(import.meta.dir, "process.ts"), JSON.stringify(task)],
        {
          // As it is now: without it a child gets the environment that this process began with.
          env: { ...process.env },
          stdio: ["ignore", "inherit", "inherit"],
          ipc: (message) => this.#received(message as FromProcess),
          onExit: (_, code, signal) => this.#ended(child, code, signal),
        },
      ),
    };
    this.children[place] = child;
  }

  #received(message: FromProcess): void {
    const { to, parcel } = message;
    const receiver = this.children[to.process];
    if (receiver !== undefined) this.tell(receiver, { what: "deliver", thread: to.thread, parcel });
  }

  tell(child: Child, message: ToProcess): void {
    if (child.gone) return;
    try {
      child.process.send(message);
    } catch {
      // It has just ended, and its messages are lost.
    }
  }

  #ended(child: Child, code: number | null, signal: unknown): void {
    child.gone = true;
    const maps = takeLeft(this.#options.directory, child.id);
    if (maps !== null && maps > 0) {
      this.failures.push(`${child.id} had ${maps} mappings of pools that it had closed`);
    }
    const orderly = code === 0 && maps !== null && (this.#ending || child.killedBy.size > 0);
    const killed = child.killedBy.has(signalName(signal));
    if (!orderly && !killed) {
      const how = `ended with code ${code}, signal ${signal}; sent ${[...child.killedBy]}`;
      this.failures.push(`${child.id} ${how}\n${this.dump(child)}`);
    }
    this.#collect(child);
    if (!this.#ending) this.#start(child.place);
  }

  /** Takes over the figures of a process that is gone. */
  #collect(child: Child): void {
    for (const { path } of journalsOf(this.#options.directory, child.id)) {
      const found = readFigures(path);
      for (const name of figures) this.figures[name] += found[name];
      rmSync(path);
    }
  }

  /** Starts no more processes, and tells the live ones to end. */
  end(): void {
    this.#ending = true;
    for (const child of this.living) {
      child.process.kill("SIGCONT");
      child.stopped = false;
      this.tell(child, { what: "end" });
    }
  }

  kill(child: Child, signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): void {
    child.killedBy.add(signal);
    child.process.kill(signal);
  }

  /** Kills the processes that are left, and waits until all are gone. */
  async destroy(): Promise<void> {
    this.#ending = true;
    for (const child of this.living) this.kill(child);
    await Promise.all(this.children.map((child) => child.process.exited));
  }

  /** Threads that have not begun a new step for too long, as text. */
  hung(): string[] {
    const now = performance.now();
    return this.living.flatMap((child) => {
      const journals = journalsOf(this.#options.directory, child.id);
      return journals.flatMap(({ id, path, ended }) => {
        const { steps } = readFigures(path);
        const last = child.moved.get(id);
        if (ended || child.stopped || last === undefined || last.steps !== steps) {
          child.moved.set(id, { steps, atMs: now });
          return [];
        }
        if (now - last.atMs < hangPatienceMs) return [];
        return [`${id} has not moved for ${Math.round((now - last.atMs) / 1000)} s`];
      });
    });
  }

  /** The last steps of a process's threads. */
  dump(child: Child): string {
    const journals = journalsOf(this.#options.directory, child.id);
    const texts = journals.map(({ id, path, ended }) => {
      const state = ended ? "ended" : child.stopped ? "stopped" : "running";
      return [`  ${id} (${state})`, ...readSteps(path).map((step) => `    ${step}`)].join("\n");
    });
    return texts.join("\n");
  }
}

function signalName(signal: unknown): string {
  if (typeof signal !== "number") return String(signal);
  return signal === 9 ? "SIGKILL" : signal === 15 ? "SIGTERM" : String(signal);
}
