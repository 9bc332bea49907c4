// Measures how soon waiters are served. A waiter looks by itself every 50 ms, so that a wake which
// is never sent only makes the wait longer: tests have to measure it. Waiters are processes of
// their own, of each kind. The median of some rounds tells the two apart: a wake takes well below a
// millisecond, and a waiter that looks by itself takes some forty.

import { expect } from "bun:test";
import { join } from "node:path";
import type { BufferPool, PoolOptions } from "../src/index.ts";
import { native } from "../src/native/native.ts";
import { withPool } from "./processes.ts";
import { type Script, script, until } from "./scripts.ts";

export const rounds = 10;
const soonMs = 15;

/** Milliseconds of the clock that all processes of the machine share. */
export const now = (): number => native.xmem_bun_now();

type Kind = "blocking" | "async";
export const kinds: readonly Kind[] = ["blocking", "async"];

/** The result of a wait, and its time. */
interface Outcome {
  code: string;
  at: number;
}

/** A process that waits for a buffer when it is told to, and says when it got it. */
export class Waiter {
  readonly kind: Kind;
  #process: Script;
  /** Between `open` and `close`. */
  #open = false;

  constructor(kind: Kind) {
    this.kind = kind;
    this.#process = this.#start();
  }

  #start(): Script {
    const { kind } = this;
    const source = JSON.stringify(join(import.meta.dir, "../src/native/native.ts"));
    const acquire =
      kind === "blocking"
        ? "pool.acquireBlocking(size, { timeout: 60_000 })"
        : "await pool.acquireAsync(size, { timeout: 60_000 })";
    return script(
      `const { native } = await import(${source});
      let pool;
      for (let order = await heard(); order !== ""; order = await heard()) {
        const [what, argument] = order.split(" ");
        if (what === "close") pool.close();
        if (what === "open") pool = BufferPool.open(argument);
        if (what !== "wait") { say(what); continue; }
        say("waits");
        const size = Number(argument);
        let guard, at;
        const code = await codeOfLater(async () => { guard = ${acquire}; });
        at = native.xmem_bun_now();
        say({ code, at });
        await heard();
        guard?.release();
        say("gave back");
      }`,
    );
  }

  /** Before all else. */
  async open(name: string): Promise<void> {
    // A test that failed may have left it in the middle, and the other tests must not fail for
    // that.
    if (this.#open) {
      await this.end();
      this.#process = this.#start();
    }
    this.#open = true;
    this.#process.tell(`open ${name}`);
    expect(await this.#process.line()).toBe("open");
  }

  /** Resolves when it is about to wait: it says "waits" right before. */
  async wait(size = 1): Promise<void> {
    this.#process.tell(`wait ${size}`);
    expect(await this.#process.line()).toBe("waits");
  }

  /** It keeps the buffer that it got, so that its release serves no other waiter. */
  async outcome(): Promise<Outcome> {
    return JSON.parse(await this.#process.line());
  }

  async giveBack(): Promise<void> {
    this.#process.tell("give back");
    expect(await this.#process.line()).toBe("gave back");
  }

  async close(): Promise<void> {
    this.#process.tell("close");
    expect(await this.#process.line()).toBe("close");
    this.#open = false;
  }

  /** Kills it, whatever it is doing. */
  async end(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.ended;
  }
}

/** Wakes the waiters, and returns the time at which it began. */
type Wake = () => number | Promise<number>;

interface Way {
  options: PoolOptions;
  waiters: readonly Waiter[];
  /** The bytes that each waiter asks for; 1 by default. */
  size?: number;
  /** How each wait ends. */
  code?: string;
  /** Makes the pool one without a free buffer. The wake comes a moment after all waiters wait. */
  round(pool: BufferPool, name: string): Wake | Promise<Wake>;
  /** How many participants wait then, as far as the pool counts them. */
  waiting?: number;
  /** Milliseconds that the median stays below. */
  below?: number;
}

/** How often it is measured: a busy machine makes some series long, a wake that is missing every one. */
export const seriesMax = 5;

/** The middle of what each waiter took, in milliseconds from the wake on, must be short. */
export async function expectSoon(way: Way): Promise<void> {
  const { waiters, below = soonMs } = way;
  let took = await series(way);
  for (let again = 1; again < seriesMax && took.some((each) => !isShort(each, below)); again++) {
    took = await series(way);
  }
  for (const [place, each] of took.entries()) {
    expectShort(`${waiters[place]?.kind} waiter`, each, below);
  }
}

/** What each waiter took in each round. */
async function series(way: Way): Promise<number[][]> {
  const { waiters, code = "none", waiting = waiters.length } = way;
  const took = waiters.map((): number[] => []);
  await withPool(way.options, async (pool, name) => {
    for (const waiter of waiters) await waiter.open(name);
    for (let round = 0; round < rounds; round++) {
      const wake = await way.round(pool, name);
      for (const waiter of waiters) await waiter.wait(way.size);
      await until(() => pool.stats().waiters === waiting);
      // A waiter that is counted is about to fall asleep.
      await Bun.sleep(2);
      const from = await wake();
      for (const [place, waiter] of waiters.entries()) {
        const outcome = await waiter.outcome();
        expect(outcome.code).toBe(code);
        took[place]?.push(outcome.at - from);
      }
      for (const waiter of waiters) await waiter.giveBack();
    }
    for (const waiter of waiters) await waiter.close();
  });
  return took;
}

/** Whether the middle of a series is short. */
export const isShort = (took: readonly number[], below: number = soonMs): boolean =>
  middleOf(took) < below;

function middleOf(took: readonly number[]): number {
  return took.toSorted((one, other) => one - other)[took.length >> 1] ?? Number.NaN;
}

/**
 * Checks the median of some rounds' milliseconds: one round that a busy machine made long is no
 * failure.
 */
export function expectShort(what: string, took: readonly number[], below: number = soonMs): void {
  expect(took.length).toBe(rounds);
  const all = took.map((milliseconds) => milliseconds.toFixed(1)).join(" ");
  const shown = `${what}, milliseconds: ${all}`;
  expect({ shown, short: isShort(took, below) }).toEqual({ shown, short: true });
}
