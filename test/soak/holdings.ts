// The buffers that a thread of the soak holds, with the stamps that it expects in them: it looks at
// them again and again, since nobody else may write there.

import type { BufferGuard, ReadGuard } from "../../src/index.ts";
import type { Context } from "./context.ts";
import { mismatch, type Stamp, type State, stampsIn, write } from "./stamp.ts";
import { isGoneSoon } from "./thread_life.ts";

export interface Held {
  pool: number;
  /** Clones of each other: one hold each. */
  guards: [BufferGuard, ...BufferGuard[]];
  stamp: Stamp;
  /** The time at which the first reference to this content was shared; undefined before. */
  sharedSinceMs?: number;
  /**
   * It came through a channel. Its sender may still have a hold, for as long as it detaches its
   * views, or is stopped there.
   */
  received?: boolean;
}

const heldMost = 3;
const gonePatienceMs = 20_000;
/** The pool that zeroes what is released. */
const zeroing = 1;

export class Holdings {
  readonly #context: Context;
  #all: Held[] = [];
  #sequence = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  get full(): boolean {
    return this.#all.length >= heldMost;
  }

  /** A random holding among those that suit. */
  pick(suits: (held: Held) => boolean): Held | null {
    const found = this.#all.filter(suits);
    return found.length === 0 ? null : this.#context.random.pick(found);
  }

  /** A holding that only this thread knows, with one hold. */
  pickSole(): Held | null {
    return this.pick(
      ({ guards, stamp, received }) =>
        guards.length === 1 && stamp.state === "claimed" && !received,
    );
  }

  add(held: Held): void {
    this.#all.push(held);
  }

  drop(held: Held): void {
    this.#all = this.#all.filter((each) => each !== held);
  }

  verifyAll(): void {
    for (const held of this.#all) this.verify(held, "in between");
  }

  verify(held: Held, when: string): void {
    this.#context.journal.count("checked");
    for (const guard of held.guards) this.compare(held.pool, guard, held.stamp, when);
  }

  compare(pool: number, guard: ReadGuard, stamp: Stamp, when: string): void {
    const found = mismatch(guard.view("uint32"), stamp, guard.index);
    const described = guard.meta.sequence === stamp.sequence && guard.size === stamp.size;
    if (found === null && described) return;
    const description = `description: ${guard.meta.sequence}, ${guard.size} bytes`;
    const what = `buffer ${guard.index} of ${pool} changed ${when}`;
    this.#context.fail(`${what}: ${found ?? "all stamps are right"} (${description})`);
  }

  /** Checks a buffer that the pool says is free for this thread: no live thread may claim it. */
  claimFresh(pool: number, guard: BufferGuard): void {
    const { journal, fail } = this.#context;
    journal.count("acquired");
    const { index } = guard;
    if (this.#all.some((held) => held.pool === pool && held.guards[0].index === index)) {
      fail(`acquired buffer ${index} of ${pool}, which this thread holds`);
    }
    const words = guard.view("uint32");
    if (pool === zeroing) {
      const dirty = words.findIndex((word) => word !== 0);
      if (dirty >= 0) fail(`buffer ${index} of ${pool} is not zero in word ${dirty}`);
    }
    for (const { state, writer, sequence } of stampsIn(words)) {
      if (state !== "claimed" || isGoneSoon(writer, gonePatienceMs)) continue;
      const who = `thread ${writer.pid}/${writer.tid}, which lives, by its ${sequence}`;
      fail(`acquired buffer ${index} of ${pool}, claimed by ${who}`);
    }
    if (guard.meta.sequence !== 0) fail("a fresh buffer's description was not reset");
    this.claim(pool, guard);
  }

  /** This thread writes from now on. */
  claim(pool: number, guard: BufferGuard, received = false): void {
    const stamp: Stamp = {
      state: "claimed",
      writer: this.#context.self,
      sequence: ++this.#sequence,
      size: guard.size,
    };
    write(guard.view("uint32"), stamp, guard.index);
    guard.meta.sequence = stamp.sequence;
    this.add({ pool, guards: [guard], stamp, received });
  }

  restamp(held: Held, state: State): void {
    held.stamp = { ...held.stamp, state };
    const [guard] = held.guards;
    write(guard.view("uint32"), held.stamp, guard.index);
  }

  /** Overwrites a buffer that only this thread had, before it is given back. */
  #retire(held: Held): void {
    if (held.stamp.state === "claimed") this.restamp(held, "released");
  }

  /** Gives back one hold of a random buffer. */
  releaseOne(): void {
    const held = this.pick(() => true);
    if (held === null) return;
    this.verify(held, "before a release");
    const { random, journal } = this.#context;
    const [guard, ...clones] = held.guards;
    journal.step(`release ${held.pool}/${guard.index}`);
    const clone = clones.length > 0 ? random.pick(held.guards) : guard;
    if (clones.length === 0) {
      this.#retire(held);
      this.drop(held);
    } else {
      const [first = guard, ...others] = held.guards.filter((each) => each !== clone);
      held.guards = [first, ...others];
    }
    clone.release();
  }

  /** Before a close: releases about half, and leaves the rest to the close. */
  abandon(pool: number): void {
    for (const held of this.#all.filter((each) => each.pool === pool)) {
      this.verify(held, "before the close");
      this.#retire(held);
      if (this.#context.random.chance(0.5)) for (const guard of held.guards) guard.release();
      this.drop(held);
    }
  }
}
