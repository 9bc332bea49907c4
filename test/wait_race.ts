// A race for one buffer between processes that wait for it in every way, give up after a time, are
// aborted, and are killed while they sleep or just when they were woken. For a test, which looks at
// the account, and for a benchmark, which looks at the delays.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { BufferPool } from "../src/index.ts";
import { Random } from "./soak/random.ts";
import { Tally, type WaiterKind, type Waits } from "./wait_tally.ts";

/** The first two are never killed: there is always a live waiter. */
const kinds: readonly WaiterKind[] = [
  "patient blocking",
  "patient async",
  "hasty blocking",
  "hasty async",
  "patient blocking",
  "patient async",
];
const immortal = 2;
const hangMsDefault = 60_000;

interface RaceResult {
  asked: number;
  served: number;
  timedOut: number;
  aborted: number;
  died: number;
  /** Timeouts of waits that should never end so. */
  patientTimeouts: number;
  kills: number;
  /** Waits whose process was not killed, and which did not end. */
  pending: number;
  /** Milliseconds from a release, and from a holder's death, to the next take. */
  released: number[];
  holderDied: number[];
  free: number;
  waiters: number;
}

interface RaceOptions {
  rounds: number;
  seed: number;
  /** Whether waiters are killed. */
  kills: boolean;
  /** After how long a buffer that nobody takes is lost; default a minute. */
  hangMs?: number;
}

export async function race(options: RaceOptions): Promise<RaceResult> {
  const hangMs = options.hangMs ?? hangMsDefault;
  const directory = mkdtempSync(join(tmpdir(), "xmem-waits-"));
  const name = `waits.${process.pid}.${options.seed}`;
  const pool = BufferPool.create(name, { capacity: 1, bufferSize: 64, leaseTimeout: 0 });
  const waiters = new Waiters(name, join(directory, "tally"), options);
  try {
    await run(pool, waiters, options, hangMs);
    await waiters.end(pool);
    return { ...waiters.account(), ...freeOf(pool) };
  } finally {
    await waiters.destroy();
    pool.close();
    BufferPool.unlink(name);
    rmSync(directory, { recursive: true });
  }
}

function freeOf(pool: BufferPool): { free: number; waiters: number } {
  // Killed processes count as waiters until somebody looks for the dead.
  pool.reclaim();
  const { free, waiters } = pool.stats();
  return { free, waiters };
}

/**
 * In each round the buffer is released while others give up and die, and a waiter has to take it.
 */
async function run(
  pool: BufferPool,
  waiters: Waiters,
  { rounds, kills, seed }: RaceOptions,
  hangMs: number,
): Promise<void> {
  const random = new Random(seed + 1);
  let held = await pool.acquireAsync(1, { timeout: hangMs });
  waiters.tally.take();
  await waiters.begun();
  for (let round = 0; round < rounds; round++) {
    await Bun.sleep(random.below(60));
    const before = waiters.served;
    const when = kills ? random.pick(["before", "after", "holder", "never"] as const) : "never";
    if (when === "before") waiters.killOne();
    waiters.tally.letGo();
    held.release();
    if (when === "after") waiters.killOne();
    const what = `round ${round}: the buffer was released`;
    await until(() => waiters.served > before, pool, what, hangMs);
    if (when === "holder") await waiters.killHolder();
    held = await pool.acquireAsync(1, { timeout: hangMs });
    waiters.tally.take();
  }
  waiters.tally.letGo();
  held.release();
}

async function until(
  done: () => boolean,
  pool: BufferPool,
  what: string,
  hangMs: number,
): Promise<void> {
  const deadline = performance.now() + hangMs;
  while (!done()) {
    if (performance.now() > deadline) {
      const found = Bun.inspect(pool.stats(), { depth: 4 });
      throw new Error(`${what}, and nothing happened for ${hangMs} ms: ${found}`);
    }
    await Bun.sleep(1);
  }
}

class Waiters {
  readonly tally: Tally;
  kills = 0;
  readonly #name: string;
  readonly #path: string;
  readonly #random: Random;
  readonly #hangMs: number;
  readonly #processes: Subprocess[] = [];
  readonly #replaced: Promise<void>[] = [];
  readonly #killed = new Set<Subprocess>();

  constructor(name: string, path: string, { seed, hangMs }: RaceOptions) {
    this.#name = name;
    this.#path = path;
    this.#random = new Random(seed);
    this.#hangMs = hangMs ?? hangMsDefault;
    this.tally = Tally.create(path);
    for (const place of kinds.keys()) this.#start(place);
  }

  get #places(): Waits[] {
    return kinds.map((_, place) => this.tally.of(place));
  }

  get served(): number {
    return this.#places.reduce((sum, waits) => sum + waits.served, 0);
  }

  #start(place: number): void {
    const program = join(import.meta.dir, "programs", "waiter.ts");
    const argv = [this.#name, this.#path, String(place), kinds[place] ?? "", this.#random.next()];
    this.#processes[place] = Bun.spawn([process.execPath, program, ...argv.map(String)], {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env },
    });
  }

  /** When each has asked for a buffer. */
  async begun(): Promise<void> {
    const deadline = performance.now() + this.#hangMs;
    while (this.#places.some(({ asked }) => asked === 0)) {
      if (performance.now() > deadline) throw new Error("the waiters did not begin");
      await Bun.sleep(5);
    }
  }

  /** The process that has the buffer, as soon as it is one that may be killed. */
  async killHolder(): Promise<void> {
    const deadline = performance.now() + 100;
    while (this.tally.holder < immortal && performance.now() < deadline) await Bun.sleep(0);
    if (this.tally.holder >= immortal) this.killOne(this.tally.holder);
  }

  /** By SIGKILL, wherever it is; another takes its place. */
  killOne(place: number = this.#random.between(immortal, kinds.length - 1)): void {
    const victim = this.#processes[place];
    if (victim === undefined || victim.exitCode !== null || this.#killed.has(victim)) return;
    this.#killed.add(victim);
    this.tally.kill();
    victim.kill("SIGKILL");
    this.kills++;
    const replace = async (): Promise<void> => {
      await victim.exited;
      const waits = this.tally.of(place);
      waits.died += waits.pending;
      if (!this.tally.stopped) this.#start(place);
    };
    this.#replaced.push(replace());
  }

  /** Each process that still waits is served by the one that was served before it. */
  async end(pool: BufferPool): Promise<void> {
    this.tally.stop();
    await Promise.all(this.#replaced);
    const gone = (): boolean =>
      this.#processes.every(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null);
    await until(gone, pool, "the waiters were told to end", this.#hangMs);
    for (const each of this.#processes) {
      if (each.exitCode !== 0 && !this.#killed.has(each)) {
        throw new Error(`a waiter ended with ${each.exitCode ?? each.signalCode}`);
      }
    }
  }

  account(): Omit<RaceResult, "free" | "waiters"> {
    const places = this.#places;
    const sum = (of: (waits: Waits) => number): number =>
      places.reduce((total, waits) => total + of(waits), 0);
    const patient = places.filter((_, place) => kinds[place]?.startsWith("patient"));
    return {
      asked: sum(({ asked }) => asked),
      served: sum(({ served }) => served),
      timedOut: sum(({ timedOut }) => timedOut),
      aborted: sum(({ aborted }) => aborted),
      died: sum(({ died }) => died),
      patientTimeouts: patient.reduce((total, { timedOut }) => total + timedOut, 0),
      kills: this.kills,
      pending: sum(({ pending }) => pending),
      released: places.flatMap((waits) => waits.delays().released),
      holderDied: places.flatMap((waits) => waits.delays().died),
    };
  }

  async destroy(): Promise<void> {
    this.tally.stop();
    await Promise.all(this.#replaced);
    for (const each of this.#processes) each.kill("SIGKILL");
    await Promise.all(this.#processes.map(({ exited }) => exited));
  }
}
