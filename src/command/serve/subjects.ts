// What pages look at: one pool, or the folder of them. A pool may vanish, be damaged, and come again
// under the same name while somebody looks; all of that is shown, and nothing of it is an error.

import { statSync } from "node:fs";
import { isPoolName } from "../../arguments/validate.ts";
import { type BufferInfo, BufferPool, type LookOptions, type PoolInfo } from "../../index.ts";
import { pathOf } from "../dump.ts";
import { lagOf } from "../info.ts";
import { folder } from "../list.ts";
import { keyOf, queuedIn, type Sample, sample } from "../sample.ts";
import type { Subject } from "./feed.ts";
import { History } from "./history.ts";
import { type CellDetails, detailsOf, mapOf } from "./slot_map.ts";

function problemOf(error: unknown): string {
  const { code = "FAILED", message } = error as { code?: string; message: string };
  return `${code}: ${message}`;
}

/** Which object has the name now. */
function objectOf(pool: string): string {
  // What is no name has no path either. The look says what is wrong with it.
  if (!isPoolName(pool)) return "";
  const status = statSync(pathOf(pool), { throwIfNoEntry: false });
  return status === undefined ? "" : `${status.dev}:${status.ino}`;
}

/** Rates go to the page with as many digits as somebody reads. */
function brief(number: number): number {
  return Math.round(number * 10) / 10;
}

/** More buffers in use are not looked at one by one: that takes seconds, and much memory. */
const drawnMost = 100_000;

export class PoolSubject implements Subject {
  readonly name: string;
  readonly #look: LookOptions;
  readonly #history = new History();
  readonly #numbers = new Map<string, number>();
  #numbered = 0;
  #identity = "";
  #sample: Sample | null = null;
  #before: Sample | null = null;
  #buffers: BufferInfo[] = [];
  #at = Date.now();
  /** Empty while the pool is well. */
  #problem = "";
  #since: number | null = null;

  constructor(name: string, look: LookOptions) {
    this.name = name;
    this.#look = look;
  }

  look(): void {
    this.#at = Date.now();
    try {
      const identity = objectOf(this.name);
      if (identity !== this.#identity) this.#beginAnew(identity);
      const now = sample(this.name, this.#look, this.#sample);
      if (now === null) {
        this.#fail("gone");
        return;
      }
      const isDrawn = now.stats.used <= drawnMost;
      this.#buffers = isDrawn ? BufferPool.buffers(this.name, this.#look) : [];
      this.#before = this.#sample;
      this.#sample = now;
      this.#problem = "";
      this.#since = null;
      this.#number();
      const { used, capacity } = now.stats;
      this.#history.add([this.#at, used / capacity, brief(now.rates.acquired)]);
    } catch (error) {
      // It may vanish between two looks.
      const problem = problemOf(error);
      this.#fail(problem.startsWith("POOL_NOT_FOUND") ? "gone" : problem);
    }
  }

  shown(): object {
    const { name } = this;
    const [at, problem, since] = [this.#at, this.#problem, this.#since];
    const state = { name, object: this.#identity, at, problem, since };
    if (this.#sample === null) return state;
    const { stats, rates, participantRates } = this.#sample;
    const { participants, channels, ...numbers } = stats;
    return {
      ...state,
      stats: { ...numbers, queued: queuedIn(stats) },
      rates: Object.fromEntries(Object.entries(rates).map(([key, value]) => [key, brief(value)])),
      participants: participants
        .map((each) => {
          const { pid, tid, alive, holds, waiting } = each;
          const per = participantRates.get(keyOf(each));
          const [acquired, released] = [brief(per?.acquired ?? 0), brief(per?.released ?? 0)];
          const number = this.#numberOf(each);
          return { number, name: each.name, pid, tid, alive, holds, waiting, acquired, released };
        })
        .toSorted((one, other) => one.number - other.number),
      channels: channels.map((each) => {
        const { subscriptions: _, ...rest } = each;
        return { ...rest, lag: lagOf(each), perSecond: brief(this.#sentPerSecond(each)) };
      }),
      map:
        stats.used > drawnMost
          ? null
          : mapOf(stats.capacity, this.#buffers, (holder) => this.#numberOf(holder)),
    };
  }

  beginning(): object {
    return { ...this.shown(), history: this.#history.points };
  }

  /** Of the last look. */
  details(cell: number): (CellDetails & { at: number }) | null {
    if (this.#sample === null) return null;
    const { capacity } = this.#sample.stats;
    return { at: this.#at, ...detailsOf(capacity, this.#buffers, cell) };
  }

  #fail(problem: string): void {
    if (problem !== this.#problem) this.#since = this.#at;
    this.#problem = problem;
  }

  /** What was seen last stays until another pool takes the name. */
  #beginAnew(identity: string): void {
    if (identity === "") return;
    this.#identity = identity;
    this.#sample = null;
    this.#before = null;
    this.#buffers = [];
    this.#numbers.clear();
    this.#numbered = 0;
    this.#history.clear();
  }

  /** Each participant has a number of its own, which no later one gets. */
  #number(): void {
    const present = new Map(this.#sample?.stats.participants.map((each) => [keyOf(each), each]));
    for (const key of this.#numbers.keys()) if (!present.has(key)) this.#numbers.delete(key);
    for (const each of present.values()) this.#numberOf(each);
  }

  #numberOf({ pid, tid }: { pid: number; tid: number }): number {
    const key = `${pid}:${tid}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.#numbered);
    return this.#numbered++;
  }

  #sentPerSecond({ name, sent }: { name: string; sent: number }): number {
    const before = this.#before?.stats.channels.find((each) => each.name === name);
    const milliseconds = (this.#sample?.at ?? 0) - (this.#before?.at ?? 0);
    if (before === undefined || milliseconds <= 0) return 0;
    return (Math.max(0, sent - before.sent) * 1000) / milliseconds;
  }
}

interface Known {
  info: PoolInfo;
  last: Sample | null;
  shares: number[];
}

const sharesMost = 120;

export class FolderSubject implements Subject {
  readonly #look: LookOptions;
  #at = Date.now();
  #problem = "";
  #pools = new Map<string, Known>();

  constructor(look: LookOptions) {
    this.#look = look;
  }

  look(): void {
    this.#at = Date.now();
    try {
      const infos = BufferPool.list(this.#look);
      this.#pools = new Map(infos.map((info) => [info.name, this.#known(info)]));
      this.#problem = "";
    } catch (error) {
      this.#problem = problemOf(error);
    }
  }

  shown(): object {
    const pools = [...this.#pools.values()].map(({ info, last, shares }) => {
      const { name, size, bufferSize, createdAt, problem } = info;
      const known = { name, size, bufferSize, createdAt: createdAt.getTime(), problem, shares };
      if (last === null) return known;
      const { used, capacity, waiters, committedBytes, participants } = last.stats;
      const openBy = participants.filter(({ alive }) => alive).length;
      const acquired = brief(last.rates.acquired);
      return { ...known, used, capacity, waiters, committedBytes, openBy, acquired };
    });
    return { folder: folder(), at: this.#at, problem: this.#problem, pools };
  }

  beginning(): object {
    return this.shown();
  }

  #known(info: PoolInfo): Known {
    const before = this.#pools.get(info.name);
    if (info.problem !== undefined) return { info, last: null, shares: [] };
    const isSame = before?.info.createdAt.getTime() === info.createdAt.getTime();
    const [earlier, shares] = isSame ? [before?.last ?? null, before?.shares ?? []] : [null, []];
    try {
      const last = sample(info.name, this.#look, earlier);
      if (last === null) return { info, last, shares };
      const share = Math.round((100 * last.stats.used) / last.stats.capacity) / 100;
      return { info, last, shares: [...shares, share].slice(-sharesMost) };
    } catch (error) {
      return { info: { ...info, problem: problemOf(error) }, last: null, shares: [] };
    }
  }
}
