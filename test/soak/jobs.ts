// Hands jobs over through a channel of each pool that redelivers. A mapped file keeps the account of
// them: each that was sent is done at least once, and is received again only when its receiver is
// dead, once per death.

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BufferGuard, BufferPool, Channel, ChannelOptions } from "../../src/index.ts";
import type { Context } from "./context.ts";
import type { Holdings } from "./holdings.ts";
import { mismatch, type Stamp, stampsIn } from "./stamp.ts";
import { isGoneSoon, type ThreadId } from "./thread_life.ts";

export const jobsOptions: ChannelOptions = { capacity: 3, redeliver: true, maxDeliveries: 1000 };

const jobsMost = 1 << 20;
const headerBytes = 64;
const states = { unsent: 0, begun: 1, sent: 2 } as const;
const gonePatienceMs = 20_000;
const heldMost = 1;

export class JobAccount {
  readonly #next: Int32Array;
  readonly #states: Uint8Array;
  readonly #received: Uint8Array;
  readonly #done: Uint8Array;

  constructor(directory: string) {
    const path = join(directory, "jobs");
    if (!existsSync(path)) writeFileSync(path, new Uint8Array(headerBytes + 3 * jobsMost));
    const { buffer, byteOffset } = Bun.mmap(path);
    const array = (place: number): Uint8Array =>
      new Uint8Array(buffer, byteOffset + headerBytes + place * jobsMost, jobsMost);
    this.#next = new Int32Array(buffer, byteOffset, 1);
    this.#states = array(0);
    this.#received = array(1);
    this.#done = array(2);
  }

  /** A new job's number; null: there were too many. */
  begin(): number | null {
    const job = Atomics.add(this.#next, 0, 1);
    if (job >= jobsMost) return null;
    this.#states[job] = states.begun;
    return job;
  }

  /** Whether its send came about. */
  end(job: number, sent: boolean): void {
    this.#states[job] = sent ? states.sent : states.unsent;
  }

  /** How often it has been received now. */
  receive(job: number): number {
    return Atomics.add(this.#received, job, 1) + 1;
  }

  isDone(job: number): boolean {
    return this.#done[job] === 1;
  }

  finish(job: number): void {
    this.#done[job] = 1;
  }

  /** When nobody works any more, and nothing is in a channel. */
  sums(): { sent: number; again: number; lost: number } {
    const sums = { sent: 0, again: 0, lost: 0 };
    const count = Math.min(Atomics.load(this.#next, 0), jobsMost);
    for (let job = 0; job < count; job++) {
      const received = this.#received[job] ?? 0;
      const isSent = this.#states[job] === states.sent || received > 0;
      if (isSent) sums.sent++;
      if (isSent && !this.isDone(job)) sums.lost++;
      sums.again += Math.max(0, received - 1);
    }
    return sums;
  }
}

interface Held {
  place: number;
  job: number;
  guard: BufferGuard;
  stamp: Stamp;
}

export class Jobs {
  readonly #context: Context;
  readonly #holdings: Holdings;
  readonly #account: JobAccount;
  readonly #opened = new Map<number, Channel>();
  #held: Held[] = [];

  constructor(context: Context, holdings: Holdings) {
    this.#context = context;
    this.#holdings = holdings;
    this.#account = new JobAccount(context.task.directory);
  }

  /** The pool is about to be closed, which ends the jobs that are held here. */
  forget(place: number): void {
    for (const held of this.#held.filter((each) => each.place === place)) {
      this.#end(held, this.#context.random.chance(0.5));
    }
    this.#opened.delete(place);
  }

  #open(place: number, pool: BufferPool): Channel | null {
    const known = this.#opened.get(place);
    if (known !== undefined) return known;
    this.#context.journal.step(`open the jobs of ${place}`);
    try {
      const channel = pool.channel("jobs", jobsOptions);
      this.#opened.set(place, channel);
      return channel;
    } catch (error) {
      this.#context.expect(error, []);
      return null;
    }
  }

  /** Lets go of the channel, also while a job of it is held. */
  leave(place: number): void {
    this.#context.journal.step(`leave the jobs of ${place}`);
    this.#opened.get(place)?.[Symbol.dispose]();
    this.#opened.delete(place);
  }

  send(place: number, pool: BufferPool): void {
    const held = this.#holdings.pick(
      ({ pool: own, guards, stamp }) =>
        own === place && guards.length === 1 && stamp.state === "claimed",
    );
    const channel = held === null ? null : this.#open(place, pool);
    const job = held === null || channel === null ? null : this.#account.begin();
    if (held === null || channel === null || job === null) return;
    const { random, journal } = this.#context;
    const [guard] = held.guards;
    this.#holdings.verify(held, "before it is a job");
    this.#holdings.restamp(held, "published");
    guard.meta.timestamp = job;
    guard.meta.producer = "";
    journal.step(`send ${place}/${guard.index} as job ${job}`);
    let sent = false;
    try {
      if (random.chance(0.3)) {
        channel.sendBlocking(guard, { timeout: random.pick([0, 1, 5, 20, 60]) });
        sent = true;
      } else sent = channel.trySend(guard);
    } catch (error) {
      this.#context.expect(error, ["TIMEOUT"]);
    }
    this.#account.end(job, sent);
    if (sent) {
      journal.count("jobs sent");
      this.#holdings.drop(held);
    } else this.#holdings.restamp(held, "claimed");
  }

  receive(place: number, pool: BufferPool): void {
    const channel = this.#held.length < heldMost ? this.#open(place, pool) : null;
    if (channel === null) return;
    const { random, journal } = this.#context;
    journal.step(`take a job of ${place}`);
    try {
      const guard = random.chance(0.3)
        ? channel.receiveBlocking({ timeout: random.pick([0, 1, 5, 20, 60]) })
        : channel.tryReceive();
      if (guard !== null) this.#received(place, guard);
    } catch (error) {
      this.#context.expect(error, ["TIMEOUT"]);
    }
  }

  #received(place: number, guard: BufferGuard): void {
    const { journal, fail, self } = this.#context;
    const { deliveries } = guard;
    const job = guard.meta.timestamp;
    const what = `job ${job}, buffer ${guard.index} of ${place}, delivery ${deliveries}`;
    const [stamp] = stampsIn(guard.view("uint32"));
    if (stamp === undefined) throw new Error(`${what} has no stamp`);
    const held = { place, job, guard, stamp };
    this.#verify(held, what);
    const isDone = this.#account.isDone(job);
    const times = this.#account.receive(job);
    journal.count(deliveries > 1 ? "jobs again" : "jobs received");
    if (times > deliveries) fail(`${what} is received for the ${times}th time`);
    if (isDone && deliveries < 2) fail(`${what} was done already`);
    // Whoever had it before said so here, unless it died too early.
    const before = threadOf(guard.meta.producer);
    if (before !== null && !isGoneSoon(before, gonePatienceMs))
      fail(`${what} was taken from thread ${before.pid}/${before.tid}, which lives`);
    guard.meta.producer = `${self.pid}/${self.tid}/${self.start}`;
    this.#held.push(held);
  }

  /** Nobody wrote into it. */
  #verify({ guard, stamp }: Held, what: string): void {
    const wrong = mismatch(guard.view("uint32"), stamp, guard.index);
    if (wrong !== null) this.#context.fail(`${what}: ${wrong}`);
    const described = guard.size === stamp.size && guard.meta.sequence === stamp.sequence;
    if (stamp.state !== "published" || !described)
      this.#context.fail(`${what} is ${JSON.stringify(stamp)}`);
  }

  finish(): void {
    const [held] = this.#held;
    if (held === undefined) return;
    this.#context.journal.step(`finish job ${held.job}`);
    this.#end(held, true);
  }

  #end(held: Held, releases: boolean): void {
    this.#verify(held, `job ${held.job}, at its end`);
    this.#account.finish(held.job);
    this.#held = this.#held.filter((each) => each !== held);
    if (releases) held.guard.release();
  }
}

function threadOf(text: string): ThreadId | null {
  const [pid = 0, tid = 0, start = 0] = text.split("/").map(Number);
  return text === "" ? null : { pid, tid, start };
}

/** Of channels that everybody else has left: takes what is in them, and compares the account. */
export function settleJobs(
  channels: readonly Channel[],
  pools: readonly BufferPool[],
  directory: string,
): string[] {
  const account = new JobAccount(directory);
  for (const pool of pools) pool.reclaim();
  for (const channel of channels) {
    for (let guard = channel.tryReceive(); guard !== null; guard = channel.tryReceive()) {
      account.receive(guard.meta.timestamp);
      account.finish(guard.meta.timestamp);
      guard.release();
    }
  }
  const { sent, again, lost } = account.sums();
  console.log(`jobs: ${sent} sent, ${again} received again after a death, ${lost} lost`);
  return lost === 0 ? [] : [`${lost} jobs of ${sent} were never done`];
}
