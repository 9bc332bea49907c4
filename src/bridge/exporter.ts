// From a channel to a stream. A buffer stays this process's until the stream has all of it: where the
// channel redelivers, a killed exporter's buffers come back to it, and the next one publishes them
// under the same names, so that the stream drops what it has already.

import { JetStreamApiError, jetstreamManager, type StreamInfo } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { type BufferGuard, type Channel, XmemError } from "../index.ts";
import { invalid, poolOf } from "../relay/arguments.ts";
import { pause } from "../relay/pause.ts";
import { describe, describePart, headerRoom } from "./description.ts";
import { type BridgeListener, check, count, Events, reasonOf, watch } from "./events.ts";
import { Namer } from "./names.ts";
import { Publisher } from "./publisher.ts";

/** Where an exporter publishes to, and how much it has on its way. */
export interface ExportOptions {
  /** The name of the stream. It exists already. */
  stream: string;
  /** The subject of its messages, one of the stream's. */
  subject: string;
  /** The most buffers that are on their way at once, 1 to 1024; default 256. */
  window?: number;
  /** The most bytes that are on their way at once, one buffer apart; default 16 MiB. */
  windowBytes?: number;
  /** Ends it as `close()` does. */
  signal?: AbortSignal;
}

/** An exporter in numbers, since it began. */
export interface ExportStats {
  /**
   * "starting" until it has seen the stream, "running", "waiting" without a connection or while the
   * stream takes nothing, "ended", or "failed".
   */
  state: "starting" | "running" | "waiting" | "ended" | "failed";
  /** Buffers that the stream has, and that were released. */
  exported: number;
  /** Bytes of those. */
  bytes: number;
  /** Messages that the stream has: a large buffer takes several. */
  messages: number;
  /** Of those, how many it had before, from an exporter that died. */
  duplicates: number;
  /** Messages that were published again, since their acknowledgement did not come. */
  repeated: number;
  /** Buffers that were received from the channel and that the stream has not yet. */
  inFlight: number;
  /** How often the connection came back. */
  reconnects: number;
  /** How often the stream's limits were reached. */
  full: number;
}

/** What an importer can tell doubles of. */
const windowMax = 1024;
const streamNotFound = 10059;
const patienceMs = 5000;

/** Whether the subject is one of those that the pattern stands for. */
function matches(pattern: string, subject: string): boolean {
  const tokens = subject.split(".");
  const wanted = pattern.split(".");
  if (wanted.at(-1) === ">") {
    wanted.pop();
    if (tokens.length <= wanted.length) return false;
  } else if (tokens.length !== wanted.length) return false;
  return wanted.every((token, at) => token === "*" || token === tokens[at]);
}

/** A running export. `await using` ends it where its scope ends. */
export class Exporter implements AsyncDisposable {
  /**
   * Resolves once it has ended: it was closed, or the channel was, and the stream has everything
   * that it received. Rejects where it cannot go on.
   */
  readonly done: Promise<void>;
  readonly #channel: Channel;
  readonly #nats: NatsConnection;
  readonly #options: ExportOptions;
  readonly #window: number;
  readonly #windowBytes: number;
  readonly #events = new Events();
  readonly #stopping = new AbortController();
  readonly #publisher: Publisher;
  readonly #failed = Promise.withResolvers<never>();
  #state: ExportStats["state"] = "starting";
  #isOnline = true;
  #exported = 0;
  #bytes = 0;
  #messages = 0;
  #duplicates = 0;
  #reconnects = 0;
  #full = 0;
  #isFull = false;
  #inHand = 0;
  #bytesInHand = 0;
  #roomForMore: (() => void) | undefined;
  readonly #namer: Namer;

  /** Made by `exportChannel`. @internal */
  constructor(channel: Channel, nats: NatsConnection, options: ExportOptions) {
    const tried = "exportChannel()";
    poolOf(tried, channel, "the channel");
    check(tried, nats, options, ["stream", "subject"], ["window", "windowBytes", "signal"]);
    if (/[*>]/.test(options.subject)) throw invalid(tried, "the subject has a wildcard");
    this.#channel = channel;
    this.#namer = new Namer(channel);
    this.#nats = nats;
    this.#options = options;
    this.#window = count(tried, "window", options.window, 256, windowMax);
    this.#windowBytes = count(tried, "windowBytes", options.windowBytes, 16 * 1024 * 1024);
    this.#failed.promise.catch(() => {});
    this.#events.on("Exporter.on()", ({ type }) => {
      if (type === "full") this.#full += 1;
      if (type === "full" || type === "flowing") this.#isFull = type === "full";
    });
    this.#publisher = new Publisher(nats, {
      subject: options.subject,
      window: this.#window,
      events: this.#events,
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
    return this.#events.on("Exporter.on()", listener);
  }

  /** What it did so far. */
  stats(): ExportStats {
    const isWaiting = this.#state === "running" && (!this.#isOnline || this.#isFull);
    return {
      state: isWaiting ? "waiting" : this.#state,
      exported: this.#exported,
      bytes: this.#bytes,
      messages: this.#messages,
      duplicates: this.#duplicates,
      repeated: this.#publisher.repeated,
      inFlight: this.#inHand,
      reconnects: this.#reconnects,
      full: this.#full,
    };
  }

  /**
   * Receives nothing more, and resolves once the stream has what was received. A process that
   * cannot wait for that just ends: then the buffers go back to a channel that redelivers.
   */
  async close(): Promise<void> {
    this.#stopping.abort();
    await this.done;
  }

  /** Is `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#options;
    const stop = (): void => this.#stopping.abort();
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop);
    this.#stopping.signal.addEventListener("abort", () => this.#roomForMore?.());
    const watching = watch(this.#nats, {
      lost: () => {
        this.#isOnline = false;
        this.#events.emit({ type: "disconnected" });
        this.#publisher.lost();
      },
      found: () => {
        this.#isOnline = true;
        this.#reconnects += 1;
        this.#events.emit({ type: "reconnected" });
        this.#publisher.found();
      },
      closed: () => {
        const message = "exportChannel(): the connection to NATS was closed";
        this.#failed.reject(new XmemError("SYSTEM", message));
      },
    });
    try {
      const cut = await this.#look();
      if (cut !== null) await Promise.race([this.#receive(cut), this.#failed.promise]);
      this.#state = "ended";
    } catch (error) {
      this.#state = "failed";
      this.#stopping.abort();
      throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
      watching.stop();
      this.#publisher.stop();
    }
  }

  /** Looks at the stream: how large its messages may be. Null: it was closed before. */
  async #look(): Promise<number | null> {
    const { stream, subject } = this.#options;
    const { signal } = this.#stopping;
    const began = performance.now();
    for (let wait = 50; !signal.aborted; wait = Math.min(1000, wait * 2)) {
      if (this.#nats.isClosed()) await this.#failed.promise;
      try {
        const manager = await jetstreamManager(this.#nats, { checkAPI: false, timeout: 2000 });
        const { config } = await manager.streams.info(stream);
        if (!config.subjects?.some((pattern) => matches(pattern, subject))) {
          throw invalid("exportChannel()", `subject ${subject} is none of stream ${stream}'s`);
        }
        const cut = this.#cutOf(config);
        this.#state = "running";
        return cut;
      } catch (error) {
        const isMissing = error instanceof JetStreamApiError && error.code === streamNotFound;
        if (error instanceof XmemError) throw error;
        if (isMissing && performance.now() - began > patienceMs) {
          throw invalid("exportChannel()", `there is no stream ${stream}`);
        }
        this.#events.emit({ type: "waiting", reason: reasonOf(error) });
        await pause(wait, signal);
      }
    }
    return null;
  }

  /** Bytes of a body that one message can carry. */
  #cutOf(config: StreamInfo["config"]): number {
    const most = this.#nats.info?.max_payload ?? 1024 * 1024;
    const ofStream = config.max_msg_size > 0 ? config.max_msg_size : most;
    const cut = Math.min(most, ofStream) - headerRoom;
    if (cut >= 1) return cut;
    const found = `messages of ${Math.min(most, ofStream)} bytes have no room for headers`;
    throw invalid("exportChannel()", found);
  }

  async #receive(cut: number): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const isFull = this.#inHand >= this.#window || this.#bytesInHand >= this.#windowBytes;
      if (isFull && this.#inHand > 0) {
        await this.#somethingStored();
        continue;
      }
      try {
        const guard = this.#channel.tryReceive() ?? (await this.#channel.receive({ signal }));
        this.#export(guard, cut);
      } catch (error) {
        if (signal.aborted) break;
        const isDrained = error instanceof XmemError && error.code === "CHANNEL_CLOSED";
        if (!isDrained) throw error;
        break;
      }
    }
    while (this.#inHand > 0) await this.#somethingStored();
  }

  /** Until the stream has one more buffer, or this was told to end. */
  #somethingStored(): Promise<void> {
    return new Promise((resolve) => {
      this.#roomForMore = resolve;
    });
  }

  #export(guard: BufferGuard, cut: number): void {
    const { bytes, size } = guard;
    const name = this.#namer.name(guard);
    const lines = describe(guard);
    const parts = Math.max(1, Math.ceil(size / cut));
    let left = parts;
    this.#inHand += 1;
    this.#bytesInHand += size;
    const stored = (isDouble: boolean): void => {
      this.#messages += 1;
      if (isDouble) this.#duplicates += 1;
      left -= 1;
      if (left > 0) return;
      guard.release();
      this.#inHand -= 1;
      this.#bytesInHand -= size;
      this.#exported += 1;
      this.#bytes += size;
      this.#roomForMore?.();
      this.#roomForMore = undefined;
    };
    if (parts === 1) {
      this.#publisher.publish({ name, lines, body: bytes, stored });
      return;
    }
    for (let index = 0; index < parts; index++) {
      const said = describePart({ whole: name, index, count: parts, cut });
      this.#publisher.publish({
        // A successor that cuts differently must publish every part.
        name: `${name}.${cut.toString(36)}.${index}`,
        lines: index === 0 ? lines + said : `\r\nXmem-Size: ${size}${said}`,
        body: bytes.subarray(index * cut, (index + 1) * cut),
        stored,
      });
    }
  }
}

/**
 * Publishes what the channel receives to a stream of NATS JetStream, for `importChannel` elsewhere.
 * A buffer is released once the stream has it. Returns at once; `done` says when it has ended.
 *
 * With a channel that redelivers nothing is lost where this process is killed: start another one.
 *
 * @throws INVALID_ARGUMENT: an argument is of the wrong type, or an option does not exist; `done`
 *   rejects with it where there is no such stream.
 *
 * @example
 * ```ts
 * await using exporter = exportChannel(frames, nats, { stream: "FRAMES", subject: "frames.left" });
 * await exporter.done;
 * ```
 */
export function exportChannel(
  channel: Channel,
  nats: NatsConnection,
  options: ExportOptions,
): Exporter {
  return new Exporter(channel, nats, options);
}
