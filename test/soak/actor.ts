// A thread of the soak: random operations on the pools until it is told to end, or dies.

import { type BufferGuard, BufferPool, type XmemErrorCode } from "../../src/index.ts";
import { native } from "../../src/native/native.ts";
import { ByHand } from "./by_hand.ts";
import { Channels } from "./channels.ts";
import { Context, isOneOf } from "./context.ts";
import { Exchange } from "./exchange.ts";
import { Holdings } from "./holdings.ts";
import { Jobs } from "./jobs.ts";
import type { Address, Parcel, ThreadTask } from "./messages.ts";
import { sizeMin } from "./stamp.ts";

const pendingMost = 3;
const burstRounds = 300;

/** How often each comes, beside the others. */
const weights = {
  acquire: 240,
  "acquire blocking": 60,
  "acquire async": 80,
  verify: 200,
  release: 260,
  publish: 80,
  share: 40,
  receive: 300,
  clone: 50,
  burst: 160,
  "send on a channel": 120,
  "receive from a channel": 200,
  "receive from a channel, async": 30,
  tell: 60,
  listen: 120,
  "leave a channel": 10,
  "send a job": 60,
  "take a job": 80,
  "finish a job": 120,
  "leave the jobs": 5,
  "reference by hand": 40,
  "count by hand": 20,
  park: 40,
  preallocate: 10,
  trim: 10,
  reclaim: 10,
  stats: 10,
  flush: 1,
  reopen: 10,
  rest: 100,
} as const;
type Operation = keyof typeof weights;

/** Errors that an acquire may have without a fault. */
const refusals: readonly XmemErrorCode[] = [
  "POOL_FULL",
  "TIMEOUT",
  "POOL_FLUSHING",
  "OUT_OF_MEMORY",
];

export class Actor {
  readonly #context: Context;
  readonly #holdings: Holdings;
  readonly #exchange: Exchange;
  readonly #byHand: ByHand;
  readonly #channels: Channels;
  readonly #jobs: Jobs;
  readonly #pending = new Set<AbortController>();
  readonly #waits = new Set<Promise<void>>();
  #ending = false;

  constructor(task: ThreadTask, send: (to: Address, parcel: Parcel) => void) {
    this.#context = new Context(task, send);
    this.#holdings = new Holdings(this.#context);
    this.#exchange = new Exchange(this.#context, this.#holdings);
    this.#byHand = new ByHand(this.#context, this.#holdings);
    this.#channels = new Channels(this.#context, this.#holdings);
    this.#jobs = new Jobs(this.#context, this.#holdings);
  }

  deliver(parcel: Parcel): void {
    this.#exchange.deliver(parcel);
  }

  end(): void {
    this.#ending = true;
  }

  /**
   * Runs until it is told to end, and then gives everything back. It never returns after a fault.
   */
  async run(): Promise<void> {
    const { random } = this.#context;
    try {
      while (!this.#ending && !this.#context.failed) {
        const operation = random.weighted(weights);
        this.#perform(operation);
        if (operation === "rest") await Bun.sleep(random.below(4));
        else if (random.chance(0.02)) await new Promise(setImmediate);
      }
      if (!this.#context.failed) await this.#leave();
    } catch (error) {
      this.#context.record(error);
    }
    // The parent finds the record, and ends the run.
    while (this.#context.failed) await Bun.sleep(1000);
  }

  #perform(operation: Operation): void {
    const { random, pools, task } = this.#context;
    const place = random.below(task.pools.length);
    const pool = pools[place] ?? this.#open(place);
    if (pool === null) return;
    const perform: Record<Operation, () => void> = {
      acquire: () => this.#acquire(place, pool),
      "acquire blocking": () => this.#acquireBlocking(place, pool),
      "acquire async": () => this.#acquireAsync(place, pool),
      verify: () => this.#holdings.verifyAll(),
      release: () => this.#holdings.releaseOne(),
      publish: () => this.#exchange.publish(),
      share: () => this.#exchange.share(),
      receive: () => this.#exchange.receive(),
      clone: () => this.#clone(),
      burst: () => this.#burst(place, pool),
      "send on a channel": () => this.#channels.send(place, pool),
      "receive from a channel": () => this.#channels.receive(place, pool),
      "receive from a channel, async": () => this.#channels.receiveAsync(place, pool),
      tell: () => this.#channels.tell(place, pool),
      listen: () => this.#channels.listen(place, pool),
      "leave a channel": () => this.#channels.leave(place),
      "send a job": () => this.#jobs.send(place, pool),
      "take a job": () => this.#jobs.receive(place, pool),
      "finish a job": () => this.#jobs.finish(),
      "leave the jobs": () => this.#jobs.leave(place),
      "reference by hand": () => this.#byHand.addAndDrop(),
      "count by hand": () => this.#byHand.setCount(),
      park: () => this.#byHand.park(),
      preallocate: () => this.#preallocate(place, pool),
      trim: () => this.#trim(place, pool),
      reclaim: () => this.#reclaim(place, pool),
      stats: () => this.#stats(place, pool),
      flush: () => this.#flush(place, pool),
      reopen: () => this.#close(place, pool),
      rest: () => {},
    };
    perform[operation]();
  }

  #open(place: number): BufferPool | null {
    const { random, journal, task, pools } = this.#context;
    journal.step(`open ${place}`);
    const options = {
      views: random.pick(["shared", "detach"] as const),
      viewCache: random.pick([0, 65_536, 1 << 24]),
      participantName: task.id,
      localCache: random.pick([0, 0, 1, 4]),
    };
    try {
      const pool = BufferPool.open(task.pools[place] ?? "", options);
      pools[place] = pool;
      journal.count("opened");
      return pool;
    } catch (error) {
      // The rows of dead participants cannot be taken while a participant is stopped inside an
      // operation.
      if (!isOneOf(error, ["POOL_BUSY", "TOO_MANY_PARTICIPANTS"])) throw error;
      journal.count("busy");
      return null;
    }
  }

  #close(place: number, pool: BufferPool): void {
    this.#holdings.abandon(place);
    this.#channels.forget(place);
    this.#jobs.forget(place);
    this.#context.journal.step(`close ${place}`);
    pool.close();
    this.#context.pools[place] = null;
  }

  async #leave(): Promise<void> {
    this.#context.journal.step("leave: end the waits");
    for (const controller of this.#pending) controller.abort("the end");
    await Promise.all(this.#waits);
    await this.#channels.settled();
    this.#exchange.receiveAll();
    for (const [place, pool] of this.#context.pools.entries()) {
      if (pool) this.#close(place, pool);
    }
    this.#context.journal.step("left");
  }

  #size(pool: BufferPool): number {
    const { random } = this.#context;
    const most = random.chance(0.1) ? pool.bufferSize : pool.bufferSize / 8;
    return 4 * random.between(sizeMin / 4, most / 4);
  }

  #acquire(place: number, pool: BufferPool): void {
    if (this.#holdings.full) {
      this.#holdings.releaseOne();
      return;
    }
    const size = this.#size(pool);
    this.#context.journal.step(`acquire ${place} ${size}`);
    try {
      this.#holdings.claimFresh(place, pool.acquire(size));
    } catch (error) {
      this.#context.expect(error, refusals);
    }
  }

  #acquireBlocking(place: number, pool: BufferPool): void {
    if (this.#holdings.full) return;
    const size = this.#size(pool);
    const { random, journal } = this.#context;
    const timeout = random.pick([0, 1, 5, 20, 60, 200]);
    journal.step(`acquireBlocking ${place} ${size}, ${timeout} ms`);
    try {
      this.#holdings.claimFresh(place, pool.acquireBlocking(size, { timeout }));
      journal.count("waited");
    } catch (error) {
      this.#context.expect(error, refusals);
    }
  }

  #acquireAsync(place: number, pool: BufferPool): void {
    if (this.#pending.size >= pendingMost || this.#holdings.full) return;
    const { random, journal } = this.#context;
    const controller = new AbortController();
    const { signal } = controller;
    const size = this.#size(pool);
    const timeout = random.pick([0, 1, 10, 50, 300]);
    journal.step(`acquireAsync ${place} ${size}, ${timeout} ms`);
    if (random.chance(0.3)) setTimeout(() => controller.abort("enough"), random.below(20));
    this.#pending.add(controller);
    const wait = this.#waited(pool.acquireAsync(size, { timeout, signal }), place, pool, signal);
    this.#waits.add(wait);
    wait.finally(() => {
      this.#pending.delete(controller);
      this.#waits.delete(wait);
    });
  }

  async #waited(
    wait: Promise<BufferGuard>,
    place: number,
    pool: BufferPool,
    signal: AbortSignal,
  ): Promise<void> {
    const { journal, pools } = this.#context;
    try {
      const guard = await wait;
      journal.count("waited");
      // A close between the acquire and now has given it back.
      if (pools[place] !== pool) return;
      this.#context.guarded(() => this.#holdings.claimFresh(place, guard));
    } catch (error) {
      if (error === signal.reason) journal.count("aborted");
      else this.#context.guarded(() => this.#context.expect(error, [...refusals, "POOL_CLOSED"]));
    }
  }

  #clone(): void {
    const held = this.#holdings.pick(({ guards }) => guards.length < 4);
    if (held === null) return;
    const [guard] = held.guards;
    this.#context.journal.step(`clone ${held.pool}/${guard.index}`);
    try {
      held.guards.push(guard.clone());
    } catch (error) {
      this.#context.expect(error, []);
    }
  }

  /**
   * Operations without a pause between them, so that many kills find a thread in the middle of one.
   */
  #burst(place: number, pool: BufferPool): void {
    const { journal, self } = this.#context;
    journal.step(`burst ${place}`);
    const guards: BufferGuard[] = [];
    let sharedAtMs = 0;
    try {
      for (let i = 0; i < burstRounds; i++) {
        const guard = pool.tryAcquire(sizeMin);
        if (guard === null) break;
        guards.push(guard);
        const words = guard.view("uint32");
        words[0] = self.tid;
        guards.push(guard.clone());
        sharedAtMs = native.xmem_bun_now();
        guards.push(pool.take(guard.share()));
        if (words[0] !== self.tid) this.#context.fail(`two had buffer ${guard.index} in a burst`);
        for (let own = guards.pop(); own !== undefined; own = guards.pop()) own.release();
      }
    } catch (error) {
      if (isOneOf(error, ["NO_REFERENCE"])) this.#context.checkLease(sharedAtMs, "one of a burst");
      else this.#context.expect(error, refusals);
    }
    for (const guard of guards) guard.release();
  }

  // -- The pool as a whole

  #preallocate(place: number, pool: BufferPool): void {
    const { random, journal } = this.#context;
    journal.step(`preallocate ${place}`);
    try {
      pool.preallocate(this.#size(pool), random.between(1, 4));
    } catch (error) {
      this.#context.expect(error, ["OUT_OF_MEMORY"]);
    }
  }

  #trim(place: number, pool: BufferPool): void {
    const { journal } = this.#context;
    journal.step(`trim ${place}`);
    try {
      journal.count("bytes trimmed", pool.trim());
    } catch (error) {
      this.#context.expect(error, []);
    }
  }

  #reclaim(place: number, pool: BufferPool): void {
    const { journal } = this.#context;
    journal.step(`reclaim ${place}`);
    try {
      pool.reclaim();
      journal.count("recoveries asked");
    } catch (error) {
      this.#context.expect(error, []);
    }
  }

  #stats(place: number, pool: BufferPool): void {
    this.#context.journal.step(`stats ${place}`);
    const { free, used, capacity } = pool.stats();
    if (free + used !== capacity) {
      this.#context.fail(`${free} free + ${used} used of ${capacity}`);
    }
  }

  #flush(place: number, pool: BufferPool): void {
    this.#context.journal.step(`flush ${place}`);
    pool.flush();
    Bun.sleepSync(this.#context.random.below(3));
    pool.unflush();
  }
}
