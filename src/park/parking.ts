// A channel that holds more than memory does: what its consumers do not take in time waits in a store.
// Producers send to an inlet, consumers receive from an outlet; what stands here moves buffers from one to
// the other, past the store or by way of it, in order.

import { type BufferGuard, type BufferPool, type Channel, XmemError } from "../index.ts";
import { Listeners } from "../pool/listeners.ts";
import { invalid, poolOf } from "../relay/arguments.ts";
import { Claim } from "../relay/claim.ts";
import { pause } from "../relay/pause.ts";
import { storeOf } from "./choice.ts";
import type { ParkingEvent, ParkingListener } from "./events.ts";
import { backOff, checkOptions, flag, repeated, whole } from "./failure.ts";
import { buffersMost, describeAs, piecesOf, RecordReader, recordOf } from "./record.ts";
import {
  aliveKey,
  arrange,
  baseKey,
  endOf,
  folderOf,
  newest,
  type Segment,
  segmentKey,
  sharedOutlet,
} from "./segments.ts";
import { checkKey, type ParkingStore } from "./store.ts";
import { type SweepOptions, sweep } from "./sweep.ts";

/** What is parked, where, and when. */
export interface ParkingOptions {
  /** Where parked buffers lie; default `defaultStore()`. */
  store?: ParkingStore;
  /** In place of a store: the bucket of S3; its login comes from the environment. */
  bucket?: string;
  /**
   * How many buffers wait in memory, beside those in the outlet. Where one more comes, those that
   * wait are parked, together. The default is a quarter of what the pool's capacity has beyond that
   * of the two channels, at most 1024.
   */
  keep?: number;
  /** For how many milliseconds a buffer waits in memory before it is parked; default 1000. */
  after?: number;
  /** Whether what is parked is compressed, by zstd; default false. */
  compress?: boolean;
  /**
   * The name under which the store keeps it. With a name, what is parked outlives the pool, and
   * another one goes on with it. Give each pool and each machine its own. The default is a name that
   * is this pool's alone, and what lies under it ends with the pool.
   */
  name?: string;
  /** Ends it as `close()` does. */
  signal?: AbortSignal;
}

/** A Parking in numbers. */
export interface ParkingStats {
  /**
   * "standby" while another one works between these channels, "starting" until it has seen the
   * store, "running", "failing" while the store fails, whether it has seen it before or not, "ended",
   * or "failed".
   */
  state: "standby" | "starting" | "running" | "failing" | "ended" | "failed";
  /** Buffers that wait in memory, beside those in the two channels. */
  waiting: number;
  /** Buffers that are parked now. */
  parked: number;
  /** Bytes in the store now. */
  parkedBytes: number;
  /** Objects in the store now: each has many buffers. */
  segments: number;
  /** Buffers that went from the inlet to the outlet in memory, since it began. */
  forwarded: number;
  /** Buffers that were parked since it began. */
  stored: number;
  /** Buffers that were brought back to the outlet since it began. */
  returned: number;
  /** Buffers that came again after a death although the store had them; they were dropped. */
  duplicates: number;
  /** How often something was tried again, since the store failed. */
  retries: number;
  /** Why, the last time; null: it never did. */
  lastError: XmemError | null;
}

interface Waiting {
  guard: BufferGuard;
  since: number;
}

const keepMost = 1024;
const hour = 60 * 60 * 1000;
const aliveEvery = hour / 6;
/** How often is looked whether somebody waits for a buffer. */
const lookEvery = 20;
/** The most bytes that are parked together, one buffer apart. */
const segmentBytes = 32 * 1024 * 1024;
/** So many buffers are moved before the event loop is asked for anything else. */
const breathEvery = 256;
/** How often an object is read that does not fit its checksums. */
const readsMost = 3;
const forEver = Number.POSITIVE_INFINITY;

/**
 * Moves buffers from an inlet to an outlet, and parks those that wait for too long or are too many.
 * `await using` ends it where its scope ends.
 */
export class Parking implements AsyncDisposable {
  /**
   * Resolves once it has ended: it was closed, or the inlet was, and the outlet has everything.
   * Rejects where it cannot go on; what it holds then goes back to the inlet when the process ends.
   */
  readonly done: Promise<void>;
  readonly #from: Channel;
  readonly #to: Channel;
  readonly #pool: BufferPool;
  readonly #store: ParkingStore;
  readonly #keep: number;
  readonly #after: number;
  readonly #compress: boolean;
  readonly #name: string | undefined;
  readonly #listeners = new Listeners<ParkingEvent>();
  /** It was told to end: nothing more is received and delivered. */
  readonly #closing = new AbortController();
  /** It cannot go on. */
  readonly #broken = new AbortController();
  #state: ParkingStats["state"] = "standby";
  /** Whether it knows what the store has. */
  #isWorking = false;
  #folder = "";

  // The line from the inlet to the outlet: what waits is behind what leaves, that behind what is parked.
  #waiting: Waiting[] = [];
  /** On their way to the store. */
  #leaving: Waiting[] = [];
  #segments: Segment[] = [];
  /** The number of the next message for the outlet. */
  #position = 0;
  #base = 0;

  #isDrained = false;
  #isOver = false;
  #isPressed = false;
  /** The park is about to take what waits; nobody else may. */
  #isTaking = false;
  /** A send of the first that waits, for room in the outlet. */
  #sending: Promise<void> | undefined;
  #withdrawing = new AbortController();
  #change: PromiseWithResolvers<void> | undefined;
  readonly #counts = { forwarded: 0, stored: 0, returned: 0, duplicates: 0, retries: 0 };
  #lastError: XmemError | null = null;

  /**
   * Begins to move buffers from `from` to `to`, two channels of one pool and of mode "queue". Only
   * it receives from the one and sends to the other. It returns at once; `done` says when it has
   * ended.
   *
   * With channels that redeliver nothing is lost, doubled or overtaken where this process is killed
   * and another one is started. A second Parking of the same outlet waits until the first one ends,
   * and goes on in its place. Where the inlet is closed, the outlet is closed once it has everything.
   *
   * @throws INVALID_ARGUMENT: an argument is of the wrong type, an option does not exist, or the
   *   channels are not as they must be.
   *
   * @example
   * ```ts
   * using inlet = pool.channel("frames", { redeliver: true });
   * using outlet = pool.channel("frames.out", { redeliver: true });
   * await using parking = Parking.start(inlet, outlet, { after: 1000 });
   * ```
   */
  static start(from: Channel, to: Channel, options: ParkingOptions = {}): Parking {
    return new Parking(from, to, options);
  }

  private constructor(from: Channel, to: Channel, options: ParkingOptions) {
    const tried = "Parking.start()";
    const known = ["store", "bucket", "keep", "after", "compress", "name", "signal"];
    checkOptions(tried, options, known);
    this.#pool = poolOf(tried, from, "the inlet");
    if (poolOf(tried, to, "the outlet").name !== this.#pool.name)
      throw invalid(tried, "two pools were given");
    if (from.name === to.name) throw invalid(tried, "the outlet is the inlet");
    for (const channel of [from, to]) {
      if (channel.mode === "queue" && channel.overflow === "block") continue;
      throw invalid(tried, `channel "${channel.name}" is no queue that blocks where it is full`);
    }
    this.#from = from;
    this.#to = to;
    this.#store = storeOf(tried, options);
    const spare = this.#pool.capacity - from.capacity - to.capacity;
    const otherwise = Math.max(1, Math.min(keepMost, Math.floor(spare / 4)));
    const most = this.#pool.capacity;
    this.#keep = whole(tried, "keep", options.keep, { otherwise, least: 0, most });
    this.#after = whole(tried, "after", options.after, { otherwise: 1000, least: 0 });
    const { compress, name, signal } = options;
    this.#compress = flag(tried, "compress", compress);
    this.#name = name === undefined ? undefined : checkKey(tried, name, "name");
    this.done = this.#run(signal);
    // Whoever awaits it sees the failure; nobody has to.
    this.done.catch(() => {});
  }

  /**
   * Tells the listener of everything from now on; the function that it returns ends that.
   *
   * @throws INVALID_ARGUMENT: `listener` is no function.
   */
  on(listener: ParkingListener): () => void {
    if (typeof listener !== "function") throw invalid("Parking.on()", "listener is no function");
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What there is now, and what it did so far. */
  stats(): ParkingStats {
    const [next] = this.#segments;
    const last = this.#segments.at(-1);
    return {
      state: this.#state,
      waiting: this.#waiting.length + this.#leaving.length,
      parked: next === undefined || last === undefined ? 0 : endOf(last) - this.#position,
      parkedBytes: this.#segments.reduce((sum, { bytes }) => sum + bytes, 0),
      segments: this.#segments.length,
      ...this.#counts,
      lastError: this.#lastError,
    };
  }

  /**
   * Receives and delivers nothing more, parks what waits in memory, and resolves then; a store that
   * fails is tried again until it takes that. A process that cannot wait just ends: what it held goes
   * back to an inlet that redelivers.
   */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.done;
  }

  /** Is `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Removes what nobody will use any more, and returns its keys: writes that never ended, objects
   * whose messages were all delivered, and what was parked for pools whose Parking is gone.
   *
   * @throws INVALID_ARGUMENT: an option is out of range or does not exist.
   * @throws SYSTEM: the store failed; `cause` says why.
   */
  async sweep(options: SweepOptions = {}): Promise<string[]> {
    const tried = "Parking.sweep()";
    checkOptions(tried, options, ["olderThan"]);
    const most = Number.MAX_SAFE_INTEGER;
    const age = { otherwise: 7 * 24 * hour, least: hour, most };
    const before = Date.now() - whole(tried, "olderThan", options.olderThan, age);
    return await sweep(this.#store, before, () => {
      const isOn = this.#state === "running" || this.#state === "failing";
      const sent = isOn && this.#isWorking ? this.#position - this.#base : undefined;
      return { folder: this.#folder, sent };
    });
  }

  async #run(given: AbortSignal | undefined): Promise<void> {
    const { signal } = this.#closing;
    const stop = (): void => this.#closing.abort();
    if (given?.aborted) stop();
    given?.addEventListener("abort", stop);
    signal.addEventListener("abort", () => {
      this.#withdrawing.abort();
      this.#ring();
    });
    let claim: Claim | undefined;
    try {
      const line = `parking ${Bun.hash(this.#to.name).toString(36)}`;
      const make = (): Promise<BufferGuard> => this.#pool.acquireAsync(0, { signal });
      claim = await Claim.take(this.#pool, line, { signal, make });
      if (claim !== undefined) await this.#work(claim);
      this.#state = "ended";
    } catch (error) {
      this.#state = "failed";
      throw error;
    } finally {
      given?.removeEventListener("abort", stop);
      // What it still has in hand is next in line: nobody goes on before that came back.
      if (this.#waiting.length === 0) claim?.end();
      if (this.#state === "ended" && this.#segments.length === 0) await this.#sayGone();
    }
  }

  async #work({ poolId }: Claim): Promise<void> {
    this.#state = "starting";
    this.#folder = folderOf({ pool: this.#pool.name, poolId, name: this.#name }, this.#to);
    try {
      await this.#find();
      await this.#takeBack();
    } catch (error) {
      if (this.#closing.signal.aborted && this.#waiting.length === 0) return;
      throw error;
    }
    this.#state = "running";
    this.#isWorking = true;
    const looking = setInterval(() => this.#look(), lookEvery);
    const living = setInterval(() => void this.#sayAlive().catch(() => {}), aliveEvery);
    const together = [this.#receive(), this.#deliver(), this.#park()].map((each) =>
      each.catch((error: unknown) => {
        this.#broken.abort(error);
        this.#closing.abort();
        throw error;
      }),
    );
    try {
      const results = await Promise.allSettled(together);
      if (results.some(({ status }) => status === "rejected")) await this.#putAway();
      await Promise.all(together);
    } finally {
      clearInterval(looking);
      clearInterval(living);
    }
  }

  /** Finds what its predecessors parked. */
  async #find(): Promise<void> {
    const objects = await this.#patiently(() => this.#store.list(this.#folder));
    const { sent } = this.#to.stats();
    const folder = this.#folder;
    const { base, isNewBase, segments, done } = arrange(objects, { folder, sent });
    if (isNewBase) await this.#rebase(base, sent);
    this.#base = base;
    this.#position = sent + base;
    this.#segments = segments;
    for (const key of done) void this.#store.remove(key).catch(() => {});
    await this.#patiently(() => this.#sayAlive());
  }

  /** The next message has a higher number than the outlet's count says; the store has to know first. */
  async #rebase(base: number, sent: number): Promise<void> {
    // A channel that was sent nothing is a new one, and what came before went to another.
    if (sent > 0) this.#listeners.tell({ type: "missing" });
    await this.#patiently(() => this.#store.write(baseKey(this.#folder, base), nothing()));
    this.#base = base;
    this.#position = sent + base;
  }

  /**
   * Receives what its predecessor held when it died, which comes first; and drops what the store has
   * of that, since the predecessor died before it could release it.
   */
  async #takeBack(): Promise<void> {
    const known = new Set<string>();
    for (const { key, count } of newest(this.#segments)) {
      const { records } = await RecordReader.open(this.#read, key, count);
      for (const { id } of records) if (id !== undefined) known.add(id);
    }
    for (let isOld = true; isOld; ) {
      const guard = this.#tryReceive();
      if (guard === null) return;
      isOld = guard.deliveries > 1;
      if (known.has(guard.messageId)) {
        guard.release();
        this.#counts.duplicates += 1;
      } else this.#waiting.push({ guard, since: performance.now() });
    }
  }

  readonly #read: ParkingStore["read"] = (...place) =>
    this.#patiently(() => this.#store.read(...place));

  async #receive(): Promise<void> {
    const { signal } = this.#closing;
    for (let count = 1; !signal.aborted && !this.#isDrained; count++) {
      if (this.#isFull) {
        await this.#somethingChanges();
        continue;
      }
      const guard = this.#tryReceive() ?? (await this.#nextReceived());
      if (guard === null) continue;
      this.#waiting.push({ guard, since: performance.now() });
      this.#forward();
      if (count % breathEvery === 0) await Bun.sleep(0);
    }
    this.#ring();
  }

  /** While a batch leaves, as many may come; what comes back from a store that failed counts, too. */
  get #isFull(): boolean {
    const waiting = this.#waiting.length;
    return waiting > this.#keep || waiting + this.#leaving.length > 2 * this.#keep + 1;
  }

  #tryReceive(): BufferGuard | null {
    try {
      return this.#isDrained ? null : this.#from.tryReceive();
    } catch (error) {
      return this.#ended(error);
    }
  }

  async #nextReceived(): Promise<BufferGuard | null> {
    const { signal } = this.#closing;
    try {
      return this.#isDrained ? null : await this.#from.receive({ signal });
    } catch (error) {
      return signal.aborted ? null : this.#ended(error);
    }
  }

  #ended(error: unknown): null {
    if (!(error instanceof XmemError) || error.code !== "CHANNEL_CLOSED") throw error;
    // Throws where this program let go of the channel: for all others that goes on.
    this.#from.stats();
    this.#isDrained = true;
    return null;
  }

  /** Sends what waits to the outlet, as long as nothing is before it and there is room. */
  #forward(): void {
    while (this.#isNext && this.#sending === undefined) {
      const [first] = this.#waiting;
      if (first === undefined) break;
      if (!this.#to.trySend(first.guard)) break;
      this.#wasForwarded();
    }
    this.#ring();
  }

  /** Whether what waits is next for the outlet. */
  get #isNext(): boolean {
    return this.#segments.length === 0 && this.#leaving.length === 0 && !this.#isTaking;
  }

  #wasForwarded(): void {
    this.#waiting.shift();
    this.#position += 1;
    this.#counts.forwarded += 1;
  }

  async #deliver(): Promise<void> {
    const { signal } = this.#closing;
    for (let misreads = 0; !signal.aborted; ) {
      const [segment] = this.#segments;
      try {
        if (segment !== undefined) {
          await this.#bringBack(segment);
          misreads = 0;
        } else if (this.#isNext && this.#waiting.length > 0) await this.#forwardWhenRoom();
        else if (this.#isNext && this.#isDrained) {
          this.#to.close();
          this.#isOver = true;
          break;
        } else await this.#somethingChanges();
      } catch (error) {
        if (signal.aborted) break;
        misreads += 1;
        if (!isMisread(error) || misreads === readsMost) throw error;
        // The way from the store may have damaged it, and not the store.
        this.#note(error);
        this.#counts.retries += 1;
        await pause(backOff(misreads), signal);
      }
    }
    this.#ring();
  }

  async #forwardWhenRoom(): Promise<void> {
    const [first] = this.#waiting as [Waiting];
    this.#withdrawing = new AbortController();
    const { signal } = this.#withdrawing;
    this.#sending = this.#to.sendAsync(first.guard, { signal }).then(
      () => this.#wasForwarded(),
      (error: unknown) => {
        if (!signal.aborted) throw error;
      },
    );
    this.#ring();
    try {
      await this.#sending;
    } finally {
      this.#sending = undefined;
    }
    this.#forward();
    this.#checkCount();
  }

  /** What others sent to the outlet would be taken for what is parked, at the next start. */
  #checkCount(): void {
    if (this.#to.stats().sent + this.#base !== this.#position) throw sharedOutlet(this.#to);
  }

  async #bringBack(segment: Segment): Promise<void> {
    const { key, first, count } = segment;
    const { signal } = this.#closing;
    this.#checkCount();
    const sent = this.#position - this.#base;
    // Those between this segment and the one before it are gone.
    if (first > this.#position) await this.#rebase(first - sent, sent);
    const reader = await RecordReader.open(this.#read, key, count);
    const { records } = reader;
    if (records.length !== count) {
      throw new XmemError(
        "INCOMPLETE",
        `Parking: ${key} has ${records.length} of ${count} buffers`,
      );
    }
    const delivered = records.slice(0, this.#position - first);
    await reader.skip(delivered.length);
    for (const record of records.slice(delivered.length)) {
      const guard = await this.#acquire(record.size);
      try {
        await reader.take(guard.bytes);
        describeAs(guard, record);
        if (!this.#to.trySend(guard)) await this.#to.sendAsync(guard, { signal });
      } finally {
        // Where it was not sent.
        guard.release();
      }
      this.#position += 1;
      this.#counts.returned += 1;
    }
    this.#segments.shift();
    void this.#store.remove(key).catch((error: unknown) => this.#note(error));
    this.#forward();
  }

  /** Waits for a buffer, also while the system has no memory. */
  async #acquire(size: number): Promise<BufferGuard> {
    const { signal } = this.#closing;
    while (true) {
      try {
        return await this.#pool.acquireAsync(size, { signal });
      } catch (error) {
        const mayPass =
          error instanceof XmemError && ["OUT_OF_MEMORY", "POOL_FLUSHING"].includes(error.code);
        if (!mayPass) throw error;
        this.#note(error);
        await pause(50, signal);
      }
    }
  }

  async #park(): Promise<void> {
    const { signal } = this.#broken;
    for (let failures = 0; ; ) {
      while (!this.#isDue()) {
        const isEmpty = this.#waiting.length === 0;
        if (signal.aborted || this.#isOver || (this.#closing.signal.aborted && isEmpty)) return;
        await this.#somethingChanges();
      }
      if (await this.#parkSome()) {
        failures = 0;
        continue;
      }
      failures += 1;
      await pause(backOff(failures), signal);
    }
  }

  #isDue(): boolean {
    const [first] = this.#waiting;
    if (first === undefined || this.#broken.signal.aborted) return false;
    if (this.#closing.signal.aborted) return true;
    if (this.#isNext && this.#sending === undefined) return false;
    const isOld = performance.now() - first.since >= this.#after;
    return isOld || this.#isPressed || this.#waiting.length > this.#keep;
  }

  #look(): void {
    try {
      this.#isPressed = this.#waiting.length > 0 && this.#pool.stats().waiters > 0;
    } catch {
      // Whoever receives finds out what became of the pool.
    }
    this.#ring();
  }

  /** Whether the store took it. */
  async #parkSome(): Promise<boolean> {
    this.#isTaking = true;
    this.#withdrawing.abort();
    await this.#sending?.catch(() => {});
    this.#leaving = this.#take();
    this.#isTaking = false;
    if (this.#leaving.length === 0) return true;
    const last = this.#segments.at(-1);
    const first = last === undefined ? this.#position : endOf(last);
    const key = segmentKey(this.#folder, first, this.#leaving.length);
    const records = this.#leaving.map(({ guard }) => recordOf(guard, guard.messageId));
    const bytes = this.#leaving.map(({ guard }) => guard.bytes);
    try {
      const stored = await this.#store.write(key, piecesOf(records, bytes, this.#compress));
      this.#works();
      this.#segments.push({ key, first, count: records.length, bytes: stored });
      for (const { guard } of this.#leaving) guard.release();
      this.#counts.stored += records.length;
      this.#leaving = [];
      return true;
    } catch (error) {
      this.#waiting.unshift(...this.#leaving);
      this.#leaving = [];
      if (!this.#fails(error)) throw error;
      return false;
    } finally {
      this.#forward();
    }
  }

  /**
   * It cannot go on. What it has in hand goes to the store, in a single try, so that another Parking
   * of this process can. Where the outlet's count is wrong, the store would get wrong numbers.
   */
  async #putAway(): Promise<void> {
    try {
      this.#checkCount();
      while (this.#waiting.length > 0 && (await this.#parkSome()));
    } catch {
      // Why it cannot go on is what its program gets to know.
    }
  }

  /** What waits, as much as one segment may have. */
  #take(): Waiting[] {
    let size = 0;
    let count = 0;
    for (const { guard } of this.#waiting) {
      size += guard.size;
      if (count === buffersMost || (count > 0 && size > segmentBytes)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  async #sayAlive(): Promise<void> {
    await this.#store.write(aliveKey(this.#folder), nothing());
  }

  /** Nothing is parked here any more. */
  async #sayGone(): Promise<void> {
    if (this.#folder !== "") await this.#store.remove(aliveKey(this.#folder)).catch(() => {});
  }

  /** Until the store does it, or this is closed. */
  async #patiently<T>(attempt: () => Promise<T>): Promise<T> {
    const { signal } = this.#closing;
    const failing = (error: XmemError): boolean => this.#fails(error);
    const result = await repeated(attempt, { tries: forEver, signal, failing });
    this.#works();
    return result;
  }

  /** Whether another try may help. */
  #fails(error: unknown): boolean {
    this.#note(error);
    if (!(error instanceof XmemError) || error.code !== "SYSTEM") return false;
    this.#counts.retries += 1;
    if (this.#state === "running" || this.#state === "starting") this.#state = "failing";
    this.#listeners.tell({ type: "failing", error });
    return true;
  }

  #works(): void {
    if (this.#state !== "failing") return;
    this.#state = this.#isWorking ? "running" : "starting";
    this.#listeners.tell({ type: "working" });
  }

  #note(error: unknown): void {
    if (error instanceof XmemError) this.#lastError = error;
  }

  #ring(): void {
    this.#change?.resolve();
    this.#change = undefined;
  }

  #somethingChanges(): Promise<void> {
    this.#change ??= Promise.withResolvers<void>();
    return this.#change.promise;
  }
}

function isMisread(error: unknown): boolean {
  return error instanceof XmemError && (error.code === "DAMAGED" || error.code === "INCOMPLETE");
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
