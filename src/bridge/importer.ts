// From a stream to a channel. What comes from the wire is copied once, into a buffer of the pool.

import type { NatsConnection } from "@nats-io/transport-node";
import { type BufferGuard, type BufferPool, type Channel, XmemError } from "../index.ts";
import { invalid, poolOf } from "../relay/arguments.ts";
import { Assembly } from "./assembly.ts";
import { apply, type Description, descriptionOf, partOf } from "./description.ts";
import { type BridgeListener, check, count, Events, watch } from "./events.ts";
import { type Imported, isUsed, Ledger } from "./ledger.ts";
import { type Origin, originOf } from "./names.ts";
import { type Attached, type Delivery, Puller } from "./puller.ts";

/** Where an importer receives from, and when it acknowledges. */
export interface ImportOptions {
  /** The name of the stream. It exists already. */
  stream: string;
  /** The name of a durable consumer that is pulled; it is made where it does not exist. */
  consumer: string;
  /**
   * Whether a message is acknowledged once its buffer was released by everybody, and not already
   * when it stands in the channel; default false.
   */
  ackOnRelease?: boolean;
  /** The most messages that are asked for ahead; default 256. */
  window?: number;
  /** The most bytes that are asked for ahead, two messages apart; default 16 MiB. */
  windowBytes?: number;
  /** Ends it as `close()` does. */
  signal?: AbortSignal;
}

/** An importer in numbers, since it began. */
export interface ImportStats {
  /**
   * "standby" while another importer of this pool does the work, "starting" until it has seen the
   * stream, "running", "waiting" without a connection, "blocked" while the channel or the pool is
   * full, "ended", or "failed".
   */
  state: "standby" | "starting" | "running" | "waiting" | "blocked" | "ended" | "failed";
  /** Buffers that it sent to the channel. */
  imported: number;
  /** Bytes of those. */
  bytes: number;
  /** Messages that came: a large buffer takes several. */
  messages: number;
  /** Messages that came although their buffer was in the channel before; they were dropped. */
  duplicates: number;
  /** Messages that were refused and ended: no messages of xmem's, or too large for the pool. */
  refused: number;
  /** Messages that were acknowledged. */
  acknowledged: number;
  /** Messages that came and are not acknowledged yet. */
  inFlight: number;
  /** How often the connection came back. */
  reconnects: number;
  /** How often it began again with the first message without an acknowledgement. */
  resets: number;
}

/** A buffer in the channel whose message waits for its release. */
interface Unreleased {
  handle: number;
  parts: Delivery[];
}

const entriesMax = 1024;
const lookInterval = 5;
const acknowledged = "+ACK";
const ended = "+TERM";
const inProgress = "+WPI";

/** A running import. `await using` ends it where its scope ends. */
export class Importer implements AsyncDisposable {
  /** Resolves once it was closed. Rejects where it cannot go on. */
  readonly done: Promise<void>;
  readonly #nats: NatsConnection;
  readonly #channel: Channel;
  readonly #pool: BufferPool;
  readonly #options: ImportOptions;
  readonly #events = new Events();
  readonly #stopping = new AbortController();
  readonly #puller: Puller;
  readonly #assembly: Assembly;
  #ledger: Ledger | undefined;
  #state: ImportStats["state"] = "standby";
  #isOnline = true;
  #isBlocked = false;
  #current: Delivery[] = [];
  /** By the message's number in the stream, the last one's of a body in parts. */
  readonly #unreleased = new Map<number, Unreleased>();
  #released: (() => void) | undefined;
  /** Names of bodies that were refused, whose other parts are refused, too. */
  readonly #refusedWholes = new Set<string>();
  #lastReply = "";
  #expireAfter = Number.POSITIVE_INFINITY;
  #keeping: ReturnType<typeof setInterval> | undefined;
  #looking: ReturnType<typeof setInterval> | undefined;
  #imported = 0;
  #bytes = 0;
  #messages = 0;
  #duplicates = 0;
  #refused = 0;
  #acknowledged = 0;
  #reconnects = 0;

  /** Made by `importChannel`. @internal */
  constructor(nats: NatsConnection, options: ImportOptions, channel: Channel) {
    const tried = "importChannel()";
    const others = ["ackOnRelease", "window", "windowBytes", "signal"];
    check(tried, nats, options, ["stream", "consumer"], others);
    this.#nats = nats;
    this.#channel = channel;
    this.#pool = poolOf(tried, channel, "the channel");
    this.#options = options;
    this.#assembly = new Assembly(this.#pool);
    const { stream, consumer, ackOnRelease } = options;
    if (ackOnRelease !== undefined && typeof ackOnRelease !== "boolean") {
      throw invalid(tried, "ackOnRelease is neither true nor false");
    }
    this.#puller = new Puller(nats, {
      stream,
      consumer,
      window: count(tried, "window", options.window, 256),
      windowBytes: count(tried, "windowBytes", options.windowBytes, 16 * 1024 * 1024),
      events: this.#events,
      signal: this.#stopping.signal,
      attached: (attached) => this.#attached(attached),
    });
    this.done = this.#run();
    // Whoever awaits it sees the failure; nobody has to.
    this.done.catch(() => {});
  }

  /**
   * Tells the listener of everything from now on; the function that it returns ends that.
   *
   * @throws INVALID_ARGUMENT: `listener` is no function.
   */
  on(listener: BridgeListener): () => void {
    return this.#events.on("Importer.on()", listener);
  }

  /** What it did so far. */
  stats(): ImportStats {
    let state = this.#state;
    if (state === "running" && !this.#isOnline) state = "waiting";
    else if (state === "running" && this.#isBlocked) state = "blocked";
    return {
      state,
      imported: this.#imported,
      bytes: this.#bytes,
      messages: this.#messages,
      duplicates: this.#duplicates,
      refused: this.#refused,
      acknowledged: this.#acknowledged,
      inFlight: [...this.#inHand()].length,
      reconnects: this.#reconnects,
      resets: this.#puller.resets,
    };
  }

  /** Takes nothing more, and resolves once the server knows what was taken. */
  async close(): Promise<void> {
    this.#stopping.abort();
    await this.done;
  }

  /** Is `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  *#inHand(): IterableIterator<Delivery> {
    yield* this.#current;
    yield* this.#puller.waiting();
    yield* this.#assembly.waiting();
    for (const { parts } of this.#unreleased.values()) yield* parts;
  }

  async #run(): Promise<void> {
    const { stream, consumer, ackOnRelease, signal: given } = this.#options;
    const { signal } = this.#stopping;
    const stop = (): void => this.#stopping.abort();
    if (given?.aborted) stop();
    given?.addEventListener("abort", stop);
    signal.addEventListener("abort", () => this.#released?.());
    try {
      const entries = ackOnRelease === true ? entriesMax : 2;
      const key = `${stream}\0${consumer}`;
      this.#ledger = await Ledger.take(this.#pool, this.#channel, { key, entries, signal });
      if (this.#ledger !== undefined) await this.#work(this.#ledger);
      this.#state = "ended";
    } catch (error) {
      this.#state = "failed";
      this.#stopping.abort();
      throw error;
    } finally {
      given?.removeEventListener("abort", stop);
      this.#puller.stop();
    }
  }

  async #work(ledger: Ledger): Promise<void> {
    this.#state = "starting";
    const watching = watch(this.#nats, {
      lost: () => {
        this.#isOnline = false;
        this.#events.emit({ type: "disconnected" });
        this.#puller.lost();
      },
      found: () => {
        this.#isOnline = true;
        this.#reconnects += 1;
        this.#events.emit({ type: "reconnected" });
        this.#puller.found();
      },
      closed: () => {
        const message = "importChannel(): the connection to NATS was closed";
        this.#puller.fail(new XmemError("SYSTEM", message));
      },
    });
    let isKnown = false;
    try {
      if (this.#options.ackOnRelease === true) {
        for (const { sequence, handle } of ledger.outstanding()) {
          this.#unreleased.set(sequence, { handle, parts: [] });
        }
        this.#looking = setInterval(() => this.#look(), lookInterval);
      }
      this.#puller.attach();
      await this.#receive(ledger);
      isKnown = await this.#confirmed();
    } finally {
      watching.stop();
      clearInterval(this.#keeping);
      clearInterval(this.#looking);
      this.#assembly.clear();
      if (isKnown) ledger.end();
      else ledger.handOn();
    }
  }

  /** Whether the server knows all that this importer did. */
  async #confirmed(): Promise<boolean> {
    if (this.#unreleased.size > 0 || !this.#isOnline || this.#nats.isClosed()) return false;
    if (this.#lastReply === "") return this.#messages === 0 && this.#imported === 0;
    try {
      await this.#nats.request(this.#lastReply, acknowledged, { timeout: 2000 });
      return true;
    } catch {
      return false;
    }
  }

  #attached(attached: Attached): void {
    this.#state = "running";
    // Everything without an acknowledgement comes again.
    this.#assembly.clear();
    for (const unreleased of this.#unreleased.values()) unreleased.parts = [];
    if (this.#ledger?.attach(attached) === true) this.#unreleased.clear();
    this.#expireAfter = attached.duplicateWindow + 30_000;
    clearInterval(this.#keeping);
    this.#keeping = setInterval(() => this.#keep(), Math.max(100, attached.acknowledgeWithin / 3));
  }

  async #receive(ledger: Ledger): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const delivery = this.#puller.tryNext() ?? (await this.#puller.next());
      if (delivery === undefined) return;
      this.#messages += 1;
      this.#current = [delivery];
      try {
        await this.#take(ledger, delivery);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      } finally {
        this.#current = [];
        this.#isBlocked = false;
      }
    }
  }

  async #take(ledger: Ledger, delivery: Delivery): Promise<void> {
    const description = descriptionOf(delivery.headers);
    if (description === null) {
      this.#refuse(delivery, "it is no message of xmem's");
      return;
    }
    const part = partOf(delivery.headers as NonNullable<Delivery["headers"]>, description.size);
    if (part === undefined) {
      this.#refuse(delivery, "it says of itself that it is an impossible part of a body");
      return;
    }
    if (part === null) {
      await this.#takeWhole(ledger, delivery, description);
      return;
    }
    if (part.index === 0) this.#refusedWholes.delete(part.whole);
    if (description.size > this.#pool.bufferSize || this.#refusedWholes.has(part.whole)) {
      this.#refusedWholes.add(part.whole);
      if (part.index === part.count - 1) this.#refusedWholes.delete(part.whole);
      this.#refuse(delivery, this.#tooLarge(description.size));
      return;
    }
    this.#isBlocked = true;
    const { signal } = this.#stopping;
    const assembled = await this.#assembly.add(delivery, { part, description }, signal);
    if (assembled === null) return;
    if (typeof assembled === "string") {
      if (delivery.sequence <= ledger.position) this.#double(delivery.sequence, [delivery]);
      else this.#refuse(delivery, assembled);
      return;
    }
    await this.#send(ledger, assembled.guard, assembled.parts, originOf(part.whole));
  }

  #tooLarge(size: number): string {
    return `a body of ${size} bytes is larger than the pool's buffers, ${this.#pool.bufferSize}`;
  }

  async #takeWhole(ledger: Ledger, delivery: Delivery, description: Description): Promise<void> {
    const { size } = description;
    const { body, sequence } = delivery;
    if (body.length !== size) {
      this.#refuse(delivery, `its body has ${body.length} bytes and says ${size}`);
      return;
    }
    if (size > this.#pool.bufferSize) {
      this.#refuse(delivery, this.#tooLarge(size));
      return;
    }
    const origin = originOf(delivery.headers?.get("Nats-Msg-Id") ?? "");
    if (sequence <= ledger.position || ledger.isKnown(origin)) {
      this.#double(sequence, [delivery]);
      return;
    }
    let guard = this.#pool.tryAcquire(size);
    if (guard === null) {
      this.#isBlocked = true;
      guard = await this.#pool.acquireAsync(size, { signal: this.#stopping.signal });
    }
    guard.bytes.set(body);
    apply(guard, description);
    await this.#send(ledger, guard, [delivery], origin);
  }

  async #send(
    ledger: Ledger,
    guard: BufferGuard,
    parts: Delivery[],
    origin: Origin | null,
  ): Promise<void> {
    const { sequence } = parts.at(-1) as Delivery;
    this.#current = parts;
    const { size, handle } = guard;
    try {
      if (sequence <= ledger.position || ledger.isKnown(origin)) {
        this.#double(sequence, parts);
        return;
      }
      const imported: Imported = { sequence, handle, origin };
      const keeps = this.#options.ackOnRelease === true;
      while (keeps && this.#unreleased.has(ledger.overwritten)) {
        this.#isBlocked = true;
        await this.#somethingReleased();
      }
      if (ledger.note(imported)) this.#events.emit({ type: "shared" });
      if (!this.#channel.trySend(guard)) {
        this.#isBlocked = true;
        await this.#channel.sendAsync(guard, { signal: this.#stopping.signal });
      }
      ledger.sent(imported);
      this.#imported += 1;
      this.#bytes += size;
      if (keeps) this.#unreleased.set(sequence, { handle, parts });
      else this.#acknowledge(parts);
    } finally {
      // Where it was not sent.
      guard.release();
    }
  }

  /** Of a buffer that was sent before. */
  #double(sequence: number, parts: Delivery[]): void {
    this.#duplicates += parts.length;
    const unreleased = this.#unreleased.get(sequence);
    if (unreleased === undefined) this.#acknowledge(parts);
    else unreleased.parts = parts;
  }

  #acknowledge(parts: readonly Delivery[]): void {
    for (const { reply } of parts) {
      this.#acknowledged += 1;
      this.#lastReply = reply;
      this.#answer(reply, acknowledged);
    }
  }

  #answer(reply: string, answer: string): void {
    // Without a connection the message comes again, and is answered then.
    if (this.#isOnline && !this.#nats.isClosed()) this.#nats.publish(reply, answer);
  }

  #refuse({ reply, sequence }: Delivery, reason: string): void {
    this.#refused += 1;
    this.#lastReply = reply;
    this.#answer(reply, ended);
    this.#events.emit({ type: "refused", reason: `message ${sequence}: ${reason}` });
  }

  /** The server waits for what is in hand. */
  #keep(): void {
    for (const { reply } of this.#inHand()) this.#answer(reply, inProgress);
    for (const part of this.#assembly.expired(this.#expireAfter)) {
      this.#refuse(part, "the rest of its body did not come");
    }
  }

  /** Nobody says that a buffer was released. */
  #look(): void {
    try {
      for (const [sequence, { handle, parts }] of this.#unreleased) {
        if (isUsed(this.#pool, handle)) continue;
        this.#unreleased.delete(sequence);
        this.#acknowledge(parts);
        this.#released?.();
      }
    } catch (error) {
      this.#puller.fail(error);
    }
  }

  #somethingReleased(): Promise<void> {
    this.#stopping.signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      this.#released = () => {
        this.#released = undefined;
        const { signal } = this.#stopping;
        if (signal.aborted) reject(signal.reason);
        else resolve();
      };
    });
  }
}

/**
 * Sends what a stream of NATS JetStream has for the consumer to the channel, as `exportChannel` put
 * it there, in buffers of the channel's pool. A message is acknowledged once its buffer stands in
 * the channel, or with `ackOnRelease` once everybody has released it. Returns at once; `done` says
 * when it has ended.
 *
 * Nothing is lost and nothing comes twice where this process is killed and another one is started,
 * as long as nobody else sends to the channel. A second importer of the same pool, stream and
 * consumer waits until the first one ends, and goes on in its place.
 *
 * @throws INVALID_ARGUMENT: an argument is of the wrong type, or an option does not exist; `done`
 *   rejects with it where there is no such stream.
 *
 * @example
 * ```ts
 * await using importer = importChannel(nats, { stream: "FRAMES", consumer: "wall" }, frames);
 * for await (using frame of frames) show(frame.bytes);
 * ```
 */
export function importChannel(
  nats: NatsConnection,
  options: ImportOptions,
  channel: Channel,
): Importer {
  return new Importer(nats, options, channel);
}
