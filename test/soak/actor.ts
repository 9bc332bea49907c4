// A thread of the soak: random operations on the pools until it is told to end, or dies. Everything
// that it holds it checks again and again; what must never be, ends the whole run.

import { type BufferGuard, BufferPool, type ReadGuard, XmemError } from "../../src/index.ts";
import { native } from "../../src/native.ts";
import { type Figure, Journal, recordFailure } from "./journal.ts";
import type { Address, Parcel, ThreadTask } from "./messages.ts";
import { Random } from "./random.ts";
import { mismatch, type Stamp, type State, sizeMin, stampsIn, write } from "./stamp.ts";
import { currentThread, isGoneSoon, type ThreadId } from "./thread_life.ts";

/** Buffers that this thread alone writes, or that nobody writes any more. */
interface Held {
  pool: number;
  guards: (BufferGuard | ReadGuard)[];
  stamp: Stamp;
}

type Code = InstanceType<typeof XmemError>["code"];

const heldMost = 3;
const inboxMost = 50;
const pendingMost = 3;
/** Leases go by a clock that ticks every few milliseconds. */
const clockSlackMs = 25;
const gonePatienceMs = 20_000;

const weights = {
  acquire: 24,
  "acquire blocking": 6,
  "acquire async": 8,
  verify: 20,
  release: 26,
  publish: 8,
  share: 4,
  receive: 30,
  clone: 5,
  burst: 16,
  "reference by hand": 4,
  "count by hand": 2,
  park: 4,
  preallocate: 1,
  trim: 1,
  reclaim: 1,
  stats: 1,
  flush: 0.1,
  reopen: 1,
  rest: 10,
} as const;
type Operation = keyof typeof weights;

const wholeWeights = Object.fromEntries(
  Object.entries(weights).map(([name, weight]) => [name, weight * 10]),
) as Record<Operation, number>;

const codeOf = (error: unknown): Code | null => (error instanceof XmemError ? error.code : null);
const isOneOf = (code: Code | null, codes: readonly Code[]): code is Code =>
  code !== null && codes.includes(code);

/** What any acquire may say without anything being wrong. */
const refusals: readonly Code[] = ["POOL_FULL", "TIMEOUT", "POOL_FLUSHING", "OUT_OF_MEMORY"];
const figureOf: Partial<Record<Code, Figure>> = {
  POOL_FULL: "full",
  TIMEOUT: "timed out",
  POOL_FLUSHING: "flushing",
  OUT_OF_MEMORY: "out of memory",
  POOL_BUSY: "busy",
};

export class Actor {
  readonly #task: ThreadTask;
  readonly #random: Random;
  readonly #journal: Journal;
  readonly #self: ThreadId = currentThread();
  readonly #send: (to: Address, parcel: Parcel) => void;
  readonly #pools: (BufferPool | null)[] = [];
  readonly #inbox: Parcel[] = [];
  readonly #pending = new Set<AbortController>();
  readonly #waits = new Set<Promise<void>>();
  #held: Held[] = [];
  #sequence = 0;
  #ending = false;
  #failed = false;

  constructor(task: ThreadTask, send: (to: Address, parcel: Parcel) => void) {
    this.#task = task;
    this.#random = new Random(task.seed);
    this.#journal = new Journal(task.directory, task.id);
    this.#send = send;
  }

  deliver(parcel: Parcel): void {
    // What does not fit is lost, and its lease expires.
    if (this.#inbox.length < inboxMost) this.#inbox.push(parcel);
  }

  end(): void {
    this.#ending = true;
  }

  /** Until told to end; then everything is given back. Never returns once something was wrong. */
  async run(): Promise<void> {
    try {
      while (!this.#ending && !this.#failed) {
        const operation = this.#random.weighted(wholeWeights);
        this.#perform(operation);
        if (operation === "rest") await Bun.sleep(this.#random.below(4));
        else if (this.#random.chance(0.02)) await new Promise(setImmediate);
      }
      if (!this.#failed) await this.#leave();
    } catch (error) {
      this.#record(error);
    }
    // The parent finds the file, and ends the run.
    while (this.#failed) await Bun.sleep(1000);
  }

  #perform(operation: Operation): void {
    const place = this.#random.below(this.#task.pools.length);
    const pool = this.#pools[place] ?? this.#open(place);
    if (pool === null) return;
    const perform: Partial<Record<Operation, () => void>> = {
      acquire: () => this.#acquire(place, pool),
      "acquire blocking": () => this.#acquireBlocking(place, pool),
      "acquire async": () => this.#acquireAsync(place, pool),
      verify: () => {
        for (const held of this.#held) this.#verify(held, "in between");
      },
      release: () => this.#releaseOne(),
      publish: () => this.#publish(),
      share: () => this.#share(),
      receive: () => this.#receive(),
      clone: () => this.#clone(),
      burst: () => this.#burst(place, pool),
      "reference by hand": () => this.#referenceByHand(),
      "count by hand": () => this.#countByHand(),
      park: () => this.#park(),
      reopen: () => this.#close(place, pool),
      flush: () => this.#flush(place, pool),
      rest: () => {},
    };
    (perform[operation] ?? (() => this.#maintain(operation, place, pool)))();
  }

  // -- Opening and closing

  #open(place: number): BufferPool | null {
    const name = this.#task.pools[place] ?? "";
    this.#journal.step(`open ${place}`);
    const options = {
      views: this.#random.pick(["shared", "detach"] as const),
      viewCache: this.#random.pick([0, 65_536, 1 << 24]),
      participantName: this.#task.id,
    };
    try {
      const pool = BufferPool.open(name, options);
      this.#pools[place] = pool;
      this.#journal.count("opened");
      return pool;
    } catch (error) {
      // Rows of the dead cannot be had while somebody is stopped inside an operation.
      if (!isOneOf(codeOf(error), ["POOL_BUSY", "TOO_MANY_PARTICIPANTS"])) throw error;
      this.#journal.count("busy");
      return null;
    }
  }

  /** With whatever it still holds: half of it is released, half is left to close. */
  #close(place: number, pool: BufferPool): void {
    const kept: Held[] = [];
    for (const held of this.#held) {
      if (held.pool !== place) {
        kept.push(held);
        continue;
      }
      this.#verify(held, "before the close");
      if (held.stamp.state === "claimed") this.#restamp(held, "released");
      if (this.#random.chance(0.5)) for (const guard of held.guards) guard.release();
    }
    this.#held = kept;
    this.#journal.step(`close ${place}`);
    pool.close();
    this.#pools[place] = null;
  }

  async #leave(): Promise<void> {
    this.#journal.step("leave: end the waits");
    for (const controller of this.#pending) controller.abort("the end");
    await Promise.all(this.#waits);
    while (this.#inbox.length > 0) this.#receive();
    for (const [place, pool] of this.#pools.entries()) if (pool) this.#close(place, pool);
    this.#journal.step("left");
  }

  // -- Acquiring

  #size(pool: BufferPool): number {
    const most = this.#random.chance(0.1) ? pool.bufferSize : pool.bufferSize / 8;
    return 4 * this.#random.between(sizeMin / 4, most / 4);
  }

  #acquire(place: number, pool: BufferPool): void {
    if (this.#held.length >= heldMost) {
      this.#releaseOne();
      return;
    }
    const size = this.#size(pool);
    this.#journal.step(`acquire ${place} ${size}`);
    try {
      this.#claimFresh(place, pool.acquire(size));
    } catch (error) {
      this.#expect(error, refusals);
    }
  }

  #acquireBlocking(place: number, pool: BufferPool): void {
    if (this.#held.length >= heldMost) {
      this.#releaseOne();
      return;
    }
    const size = this.#size(pool);
    const timeout = this.#random.pick([0, 1, 5, 20, 60, 200]);
    this.#journal.step(`acquireBlocking ${place} ${size}, ${timeout} ms`);
    try {
      this.#claimFresh(place, pool.acquireBlocking(size, { timeout }));
      this.#journal.count("waited");
    } catch (error) {
      this.#expect(error, refusals);
    }
  }

  #acquireAsync(place: number, pool: BufferPool): void {
    if (this.#pending.size >= pendingMost || this.#held.length >= heldMost) return;
    const controller = new AbortController();
    const size = this.#size(pool);
    const timeout = this.#random.pick([0, 1, 10, 50, 300]);
    this.#journal.step(`acquireAsync ${place} ${size}, ${timeout} ms`);
    if (this.#random.chance(0.3)) {
      setTimeout(() => controller.abort("enough"), this.#random.below(20));
    }
    this.#pending.add(controller);
    const wait = pool.acquireAsync(size, { timeout, signal: controller.signal }).then(
      (guard) => {
        this.#pending.delete(controller);
        this.#journal.count("waited");
        // A close between the acquire and now has given it back.
        if (this.#pools[place] === pool) this.#guarded(() => this.#claimFresh(place, guard));
      },
      (error: unknown) => {
        this.#pending.delete(controller);
        if (error === controller.signal.reason) this.#journal.count("aborted");
        else this.#guarded(() => this.#expect(error, [...refusals, "POOL_CLOSED"]));
      },
    );
    this.#waits.add(wait);
    wait.finally(() => this.#waits.delete(wait));
  }

  /** A buffer that the pool says is nobody else's: nobody alive may claim it. */
  #claimFresh(place: number, guard: BufferGuard): void {
    this.#journal.count("acquired");
    const own = this.#held.find((held) => held.pool === place && indexOf(held) === guard.index);
    if (own !== undefined) this.#fail(`acquired buffer ${guard.index} of ${place}, which it holds`);
    const words = guard.view("uint32");
    if (place === 1) {
      const dirty = words.findIndex((word) => word !== 0);
      if (dirty >= 0) this.#fail(`buffer ${guard.index} of 1 is not zero in word ${dirty}`);
    }
    for (const { state, writer, sequence } of stampsIn(words)) {
      if (state !== "claimed" || isGoneSoon(writer, gonePatienceMs)) continue;
      const who = `thread ${writer.pid}/${writer.tid}, which lives, by its ${sequence}`;
      this.#fail(`acquired buffer ${guard.index} of ${place}, claimed by ${who}`);
    }
    if (guard.meta.sequence !== 0) this.#fail("a fresh buffer's description was not reset");
    this.#held.push(this.#claim(place, guard));
  }

  #claim(pool: number, guard: BufferGuard): Held {
    const stamp: Stamp = {
      state: "claimed",
      writer: this.#self,
      sequence: ++this.#sequence,
      size: guard.size,
    };
    write(guard.view("uint32"), stamp, guard.index);
    guard.meta.sequence = stamp.sequence;
    return { pool, guards: [guard], stamp };
  }

  // -- Giving back, handing over

  #verify(held: Held, when: string): void {
    this.#journal.count("checked");
    for (const guard of held.guards) this.#compare(held.pool, guard, held.stamp, when);
  }

  #compare(pool: number, guard: ReadGuard, stamp: Stamp, when: string): void {
    const found = mismatch(guard.view("uint32"), stamp, guard.index);
    if (found === null && guard.meta.sequence === stamp.sequence && guard.size === stamp.size)
      return;
    const description = `description: ${guard.meta.sequence}, ${guard.size} bytes`;
    this.#fail(`buffer ${guard.index} of ${pool} changed ${when}: ${found} (${description})`);
  }

  #restamp(held: Held, state: State): void {
    held.stamp = { ...held.stamp, state };
    const [guard] = held.guards;
    if (guard !== undefined) write((guard as BufferGuard).view("uint32"), held.stamp, guard.index);
  }

  #pickHeld(suits: (held: Held) => boolean): Held | null {
    const found = this.#held.filter(suits);
    return found.length === 0 ? null : this.#random.pick(found);
  }

  #drop(held: Held): void {
    this.#held = this.#held.filter((each) => each !== held);
  }

  #releaseOne(): void {
    const held = this.#pickHeld(() => true);
    if (held === null) return;
    this.#verify(held, "before a release");
    this.#journal.step(`release ${held.pool}/${indexOf(held)}`);
    if (held.guards.length > 1) {
      held.guards.splice(this.#random.below(held.guards.length), 1)[0]?.release();
      return;
    }
    if (held.stamp.state === "claimed") this.#restamp(held, "released");
    held.guards[0]?.release();
    this.#drop(held);
  }

  #receiver(): Address {
    return { process: this.#random.below(this.#task.processes), thread: this.#random.below(6) };
  }

  /** Moves a buffer to another thread, which will write into it. */
  #publish(): void {
    const held = this.#pickHeld(
      ({ guards, stamp }) => guards.length === 1 && stamp.state === "claimed",
    );
    const guard = held?.guards[0];
    if (held === null || guard === undefined) return;
    this.#verify(held, "before handOff");
    this.#restamp(held, "published");
    const sentAtMs = native.xmem_now();
    this.#journal.step(`handOff ${held.pool}/${guard.index}`);
    try {
      const handle = guard.handOff();
      this.#drop(held);
      const { pool, stamp } = held;
      this.#send(this.#receiver(), { pool, handle, kind: "exclusive", stamp, sentAtMs });
    } catch (error) {
      this.#expect(error, []);
      this.#restamp(held, "claimed");
    }
  }

  /** From now on nobody writes, and several may read. */
  #share(): void {
    const held = this.#pickHeld(
      ({ stamp }) => stamp.state === "claimed" || stamp.state === "shared",
    );
    const guard = held?.guards[0];
    if (held === null || guard === undefined) return;
    this.#verify(held, "before share");
    if (held.stamp.state === "claimed") this.#restamp(held, "shared");
    const { pool, stamp } = held;
    for (let copies = this.#random.between(1, 3); copies > 0; copies--) {
      const peek = this.#random.chance(0.2);
      const sentAtMs = native.xmem_now();
      this.#journal.step(`share ${held.pool}/${guard.index}`);
      try {
        const handle = peek ? guard.handle : guard.share();
        this.#journal.count("shared");
        const kind = peek ? "peek" : "shared";
        this.#send(this.#receiver(), { pool, handle, kind, stamp, sentAtMs });
      } catch (error) {
        this.#expect(error, []);
      }
    }
  }

  #receive(): void {
    const parcel = this.#inbox.shift();
    const pool = parcel === undefined ? null : this.#pools[parcel.pool];
    if (parcel === undefined || !pool) return;
    if (this.#random.chance(0.03)) return;
    if (parcel.kind === "peek") {
      this.#peek(pool, parcel);
      return;
    }
    const { kind, handle, stamp } = parcel;
    if (kind === "shared" && this.#random.chance(0.15)) {
      this.#unref(pool, parcel);
      return;
    }
    this.#journal.step(`take ${parcel.pool}/${handle}, ${kind} ${stamp.sequence}`);
    let guard: BufferGuard;
    try {
      guard = pool.take(handle);
    } catch (error) {
      this.#refused(error, parcel);
      return;
    }
    this.#journal.count("taken");
    this.#compare(parcel.pool, guard, stamp, `on the way (${kind})`);
    if (kind === "exclusive") this.#held.push(this.#claim(parcel.pool, guard));
    else if (this.#held.length < heldMost) {
      this.#held.push({ pool: parcel.pool, guards: [guard], stamp });
    } else guard.release();
    if (this.#held.length > heldMost) this.#releaseOne();
  }

  /** The reference that a parcel came with is only gone when its lease has passed. */
  #refused(error: unknown, parcel: Parcel): void {
    const now = native.xmem_now();
    const code = codeOf(error);
    if (code === "POOL_BUSY") {
      this.#journal.count("busy");
      this.#inbox.push(parcel);
      return;
    }
    if (!isOneOf(code, ["STALE_HANDLE", "NO_REFERENCE"])) throw error;
    this.#checkLease(parcel.sentAtMs, now, `${code} for ${JSON.stringify(parcel)}`);
  }

  #checkLease(sinceMs: number, nowMs: number, what: string): void {
    this.#journal.count("expired");
    const age = nowMs - sinceMs;
    if (age < this.#task.leaseMs - clockSlackMs) {
      this.#fail(`a reference was lost ${age.toFixed(1)} ms after it was made: ${what}`);
    }
  }

  #unref(pool: BufferPool, parcel: Parcel): void {
    this.#journal.step(`unref ${parcel.pool}/${parcel.handle}`);
    try {
      pool.unref(parcel.handle);
    } catch (error) {
      this.#refused(error, parcel);
    }
  }

  /** A handle without a reference: it may be stale, but never somebody else's buffer. */
  #peek(pool: BufferPool, parcel: Parcel): void {
    this.#journal.step(`get ${parcel.pool}/${parcel.handle}`);
    try {
      using guard = pool.get(parcel.handle);
      this.#journal.count("peeked");
      this.#compare(parcel.pool, guard, parcel.stamp, "where it was peeked at");
      if (this.#random.chance(0.3)) Bun.sleepSync(1);
      this.#compare(parcel.pool, guard, parcel.stamp, "while it was peeked at");
    } catch (error) {
      this.#expect(error, ["STALE_HANDLE", "NO_REFERENCE"]);
    }
  }

  // -- Counting

  #clone(): void {
    const held = this.#pickHeld(({ guards }) => guards.length < 4);
    const guard = held?.guards[0];
    if (held === null || guard === undefined) return;
    this.#journal.step(`clone ${held.pool}/${guard.index}`);
    try {
      held.guards.push(guard.clone());
    } catch (error) {
      this.#expect(error, []);
    }
  }

  /**
   * Operations one after the other with nothing in between, so that many a kill finds a thread in
   * the middle of one.
   */
  #burst(place: number, pool: BufferPool): void {
    this.#journal.step(`burst ${place}`);
    const guards: BufferGuard[] = [];
    const sinceMs = native.xmem_now();
    try {
      for (let i = 0; i < 300; i++) {
        const guard = pool.tryAcquire(sizeMin);
        if (guard === null) break;
        guards.push(guard);
        const words = guard.view("uint32");
        words[0] = this.#self.tid;
        guards.push(guard.clone());
        guards.push(pool.take(guard.share()));
        if (words[0] !== this.#self.tid) this.#fail(`two had buffer ${guard.index} in a burst`);
        for (let own = guards.pop(); own !== undefined; own = guards.pop()) own.release();
      }
    } catch (error) {
      if (codeOf(error) === "NO_REFERENCE") {
        this.#checkLease(sinceMs, native.xmem_now(), "a reference of a burst");
      } else this.#expect(error, refusals);
    }
    for (const guard of guards) guard.release();
  }

  /** addRef, then unref: both by the handle, of a buffer that nobody else knows. */
  #referenceByHand(): void {
    const held = this.#pickHeld(({ stamp }) => stamp.state === "claimed");
    const pool = held === null ? null : this.#pools[held.pool];
    const handle = held?.guards[0]?.handle;
    if (held === null || !pool || handle === undefined) return;
    const sinceMs = native.xmem_now();
    this.#journal.step(`addRef ${held.pool}/${handle}`);
    try {
      const count = pool.addRef(handle);
      // More is what was left behind by this very thread, when an earlier unref found it busy.
      if (count <= held.guards.length) this.#fail(`addRef of ${handle} came to ${count}`);
    } catch (error) {
      this.#expect(error, []);
      return;
    }
    if (this.#random.chance(0.1)) Bun.sleepSync(1);
    this.#journal.step(`unref ${held.pool}/${handle}`);
    try {
      const count = pool.unref(handle);
      if (count < held.guards.length) this.#fail(`unref of ${handle} came to ${count}`);
    } catch (error) {
      if (codeOf(error) !== "NO_REFERENCE") {
        this.#expect(error, []);
        return;
      }
      this.#checkLease(sinceMs, native.xmem_now(), `unref of ${handle}`);
    }
  }

  #countByHand(): void {
    const held = this.#pickHeld(({ stamp }) => stamp.state === "claimed");
    const pool = held === null ? null : this.#pools[held.pool];
    const handle = held?.guards[0]?.handle;
    if (held === null || !pool || handle === undefined) return;
    const holds = held.guards.length;
    try {
      for (const count of [holds + 2, holds]) {
        this.#journal.step(`setRefCount ${held.pool}/${handle} ${count}`);
        const result = pool.setRefCount(handle, count);
        if (result !== count) this.#fail(`setRefCount of ${handle} to ${count} came to ${result}`);
      }
    } catch (error) {
      this.#expect(error, []);
    }
  }

  /** Counts a buffer to 0 by hand, then recycles it, revives it, or leaves it to its lease. */
  #park(): void {
    const held = this.#pickHeld(
      ({ guards, stamp }) => guards.length === 1 && stamp.state === "claimed",
    );
    const pool = held === null ? null : this.#pools[held.pool];
    const guard = held?.guards[0];
    if (held === null || !pool || guard === undefined) return;
    this.#verify(held, "before it was parked");
    this.#restamp(held, "parked");
    const sinceMs = native.xmem_now();
    const { handle } = guard;
    let handedOff = false;
    try {
      this.#journal.step(`handOff ${held.pool}/${handle}, to park it`);
      guard.handOff();
      handedOff = true;
      this.#drop(held);
      this.#journal.step(`release by hand ${held.pool}/${handle}`);
      const left = pool.release(handle);
      this.#journal.count("parked");
      // References by hand that this thread could not drop, because the pool stood still.
      if (left > 0 || this.#random.chance(0.1)) return;
      if (this.#random.chance(0.5)) {
        this.#journal.step(`tryRelease ${held.pool}/${handle}`);
        if (!pool.tryRelease(handle)) this.#fail(`tryRelease of the parked ${handle} was refused`);
        return;
      }
      this.#journal.step(`addRef ${held.pool}/${handle}, to revive it`);
      pool.addRef(handle);
      const revived = pool.take(handle);
      this.#compare(held.pool, revived, held.stamp, "while it was parked");
      this.#held.push(this.#claim(held.pool, revived));
    } catch (error) {
      if (isOneOf(codeOf(error), ["STALE_HANDLE", "NO_REFERENCE"])) {
        this.#checkLease(sinceMs, native.xmem_now(), `the parked ${handle}`);
        return;
      }
      this.#expect(error, []);
      if (!handedOff) this.#restamp(held, "claimed");
    }
  }

  // -- The pool as a whole

  #maintain(operation: Operation, place: number, pool: BufferPool): void {
    this.#journal.step(`${operation} ${place}`);
    try {
      if (operation === "preallocate")
        pool.preallocate(this.#size(pool), this.#random.between(1, 4));
      else if (operation === "trim") this.#journal.count("bytes trimmed", pool.trim());
      else if (operation === "reclaim") {
        this.#journal.count("recoveries asked");
        pool.reclaim();
      } else {
        const { free, used, capacity } = pool.stats();
        if (free + used !== capacity) this.#fail(`${free} free + ${used} used of ${capacity}`);
      }
    } catch (error) {
      this.#expect(error, ["OUT_OF_MEMORY"]);
    }
  }

  #flush(place: number, pool: BufferPool): void {
    this.#journal.step(`flush ${place}`);
    pool.flush();
    Bun.sleepSync(this.#random.below(3));
    pool.unflush();
  }

  // -- What may be, and what may not

  /** Somebody may be stopped inside a recovery at any time; all else must be among `codes`. */
  #expect(error: unknown, codes: readonly Code[]): void {
    const code = codeOf(error);
    if (!isOneOf(code, [...codes, "POOL_BUSY"])) throw error;
    const figure = figureOf[code];
    if (figure !== undefined) this.#journal.count(figure);
  }

  #guarded(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.#record(error);
    }
  }

  #fail(what: string): never {
    throw new Error(what);
  }

  #record(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#journal.step(`failed: ${what}`);
    recordFailure(this.#task.directory, this.#task.id, this.#self, what);
  }
}

function indexOf(held: Held): number {
  return held.guards[0]?.index ?? -1;
}
