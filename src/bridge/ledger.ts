// How far an importer has come, in the pool itself, so that its successor goes on exactly there: the
// token that the one importer holds.
//
// Before a buffer is sent, its number in the stream is noted beside the number of buffers that the
// channel was sent before. A send is one atomic step, and `sent` counts it: whether the last one that
// was noted took place follows from that number, wherever its importer died.

import { type BufferGuard, type BufferPool, type Channel, XmemError } from "../index.ts";
import { invalid } from "../relay/arguments.ts";
import { Claim } from "../relay/claim.ts";
import { keyOf, Lanes, laneHead } from "./lanes.ts";
import type { Origin } from "./names.ts";
import type { Attached } from "./puller.ts";

/** What stands in the state's numbers, before its entries and its lanes. */
const atStream = 0;
const atShared = 1;
const atBase = 2;
const atEntries = 3;
const atLanes = 4;
const atWords = 5;
const headLength = 6;

/**
 * An entry: how many were sent before, its number in the stream, its buffer, its exporter's lane
 * and its number there.
 */
const entryLength = 5;
const entriesMin = 2;

const lanesMax = 8;
/** A lane tells this many buffers apart, times 32. */
const wordsMax = 32;

/** How often the count of buffers is compared with the channel's. */
const lookEvery = 16;

/** How a state of at most so many numbers is divided. */
function divided(room: number, entriesWanted: number): [number, number, number] {
  let rest = room - headLength - entriesMin * entryLength;
  if (rest < 0) {
    const found = `buffers of ${room * 8} bytes have no room for an importer's state`;
    throw invalid("importChannel()", found);
  }
  const words = Math.min(wordsMax, Math.max(0, rest - laneHead));
  const lanes = words === 0 ? 0 : Math.min(lanesMax, Math.floor(rest / (laneHead + words)));
  rest -= lanes * (laneHead + words);
  const more = Math.min(Math.max(0, entriesWanted - entriesMin), Math.floor(rest / entryLength));
  return [entriesMin + more, lanes, words];
}

/** A buffer of the stream, on its way to the channel. */
export interface Imported {
  /** Its number in the stream. */
  sequence: number;
  handle: number;
  origin: Origin | null;
}

export interface Outstanding {
  sequence: number;
  handle: number;
}

export class Ledger {
  readonly #pool: BufferPool;
  readonly #channel: Channel;
  readonly #claim: Claim;
  readonly #state: Float64Array;
  readonly #entries: number;
  readonly #lanes: Lanes;
  #sent: number;
  #position: number;
  #sinceLook = 0;

  /** Waits until no other importer holds it. Undefined where `signal` was aborted. */
  static async take(
    pool: BufferPool,
    channel: Channel,
    { key, entries, signal }: { key: string; entries: number; signal: AbortSignal },
  ): Promise<Ledger | undefined> {
    const name = `bridge ${Bun.hash(`${key}\0${channel.name}`).toString(16)}`;
    const make = (): Promise<BufferGuard> => fresh(pool, entries, signal);
    const claim = await Claim.take(pool, name, { signal, make });
    return claim === undefined ? undefined : new Ledger(pool, channel, claim);
  }

  private constructor(pool: BufferPool, channel: Channel, claim: Claim) {
    this.#pool = pool;
    this.#channel = channel;
    this.#claim = claim;
    this.#state = claim.token.view("float64");
    this.#entries = this.#state[atEntries] ?? entriesMin;
    const lanes = this.#state.subarray(headLength + this.#entries * entryLength);
    this.#lanes = new Lanes(lanes, this.#state[atLanes] ?? 0, this.#state[atWords] ?? 0);
    this.#sent = channel.stats().sent;
    this.#position = this.#found();
    this.#state[atBase] = this.#position;
    // What is of no use any more would be mistaken for something newer.
    for (const number of this.#noted()) {
      const isSent = this.#entry(number, 1) <= this.#position;
      if (!isSent || !isUsed(pool, this.#entry(number, 2))) this.#clear(number);
    }
  }

  /** The number, in the stream, of the last buffer that was sent; 0: none was. */
  get position(): number {
    return this.#position;
  }

  /** Whether somebody else sends to the channel: then `sent` proves nothing. */
  get isShared(): boolean {
    return this.#state[atShared] === 1;
  }

  #entry(number: number, field: 0 | 1 | 2 | 3 | 4): number {
    return this.#state[headLength + number * entryLength + field] ?? 0;
  }

  /** The entries that were noted, in order. */
  #noted(): number[] {
    return Array.from({ length: this.#entries }, (_, number) => number)
      .filter((number) => this.#entry(number, 0) >= 0)
      .sort((a, b) => this.#entry(a, 0) - this.#entry(b, 0));
  }

  #found(): number {
    const noted = this.#noted();
    const last = noted.at(-1);
    const base = this.#state[atBase] ?? 0;
    if (last === undefined) return base;
    const before = noted.at(-2);
    const earlier = before === undefined ? base : Math.max(base, this.#entry(before, 1));
    const wasSent = !this.isShared && this.#entry(last, 0) + 1 === this.#sent;
    // Where it cannot be known, twice is better than never.
    if (!wasSent) return earlier;
    const sequence = this.#entry(last, 1);
    const key = this.#entry(last, 3);
    if (key !== 0) this.#lanes.addByKey(key, this.#entry(last, 4), sequence);
    return sequence;
  }

  /** What was sent and is not released yet, as far as it was noted. */
  outstanding(): Outstanding[] {
    return this.#noted()
      .map((number) => ({ sequence: this.#entry(number, 1), handle: this.#entry(number, 2) }))
      .filter(({ handle }) => isUsed(this.#pool, handle));
  }

  /** The buffer whose entry the next one takes; 0: none. */
  get overwritten(): number {
    const number = this.#sent % this.#entries;
    return this.#entry(number, 0) < 0 ? 0 : this.#entry(number, 1);
  }

  /**
   * A stream that was made anew counts from 1 again, and so does one whose only server has lost it.
   * True: this one does.
   */
  attach({ streamCreated, lastSequence, replicas }: Attached): boolean {
    const isLost = replicas === 1 && lastSequence < this.#position;
    const isOther = this.#state[atStream] !== streamCreated || isLost;
    const isFirst = this.#state[atStream] === 0;
    if (isOther) {
      this.#position = 0;
      this.#state[atBase] = 0;
      for (let number = 0; number < this.#entries; number++) this.#clear(number);
      this.#state[atStream] = streamCreated;
    }
    return isOther && !isFirst;
  }

  /** Whether the buffer was imported under another number of the stream. */
  isKnown(origin: Origin | null): boolean {
    return origin !== null && this.#lanes.has(origin);
  }

  /** Before the buffer is sent. True: it was found just now that somebody else sends, too. */
  note({ sequence, handle, origin }: Imported): boolean {
    let foundShared = false;
    if (this.#sinceLook++ % lookEvery === 0) {
      const { sent } = this.#channel.stats();
      if (sent !== this.#sent) {
        foundShared = !this.isShared;
        this.#state[atShared] = 1;
        this.#sent = sent;
      }
    }
    const start = headLength + (this.#sent % this.#entries) * entryLength;
    const state = this.#state;
    // In an order in which a kill leaves no entry that is half another.
    state[start] = -1;
    state[start + 1] = sequence;
    state[start + 2] = handle;
    state[start + 3] = origin === null ? 0 : keyOf(origin.lane);
    state[start + 4] = origin?.ordinal ?? 0;
    state[start] = this.#sent;
    return foundShared;
  }

  /** The buffer that was noted is in the channel. */
  sent({ sequence, origin }: Imported): void {
    this.#sent += 1;
    this.#position = sequence;
    if (origin !== null) this.#lanes.add(origin, sequence);
  }

  #clear(number: number): void {
    this.#state[headLength + number * entryLength] = -1;
  }

  /** For a successor: it goes on from here. */
  handOn(): void {
    this.#claim.handOn();
  }

  /** The server knows all that stands here. */
  end(): void {
    this.#claim.end();
  }
}

/** Whether somebody has the buffer, or it is on its way. */
export function isUsed(pool: BufferPool, handle: number): boolean {
  try {
    return pool.refCount(handle) > 0;
  } catch (error) {
    if (error instanceof XmemError && error.code === "STALE_HANDLE") return false;
    throw error;
  }
}

/** The state of one that begins. */
async function fresh(pool: BufferPool, entries: number, signal: AbortSignal): Promise<BufferGuard> {
  const [count, lanes, words] = divided(Math.floor(pool.bufferSize / 8), entries);
  const length = headLength + count * entryLength + lanes * (laneHead + words);
  const guard = await pool.acquireAsync(length * 8, { signal });
  const state = guard.view("float64").fill(0);
  state.set([0, 0, 0, count, lanes, words]);
  for (let entry = 0; entry < count; entry++) state[headLength + entry * entryLength] = -1;
  return guard;
}
