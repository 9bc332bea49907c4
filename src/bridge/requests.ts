// Requests and replies between pools of two machines, over NATS itself and without a stream: whoever
// asked is there, and asks again. A request that comes from a channel here is made anew on a channel
// there, and its reply comes back the same way.
//
// A body larger than a message goes in parts: the first to the subject, where one of those who listen
// takes it and names a place of its own for the rest; those of a reply go where the reply goes.

import { createInbox, type Msg, type NatsConnection } from "@nats-io/transport-node";
import {
  type BufferGuard,
  type BufferPool,
  type Channel,
  type Request,
  XmemError,
} from "../index.ts";
import { invalid, poolOf } from "../relay/arguments.ts";
import { pause } from "../relay/pause.ts";
import {
  apply,
  type Description,
  describe,
  describePart,
  descriptionOf,
  headerRoom,
  headersOf,
  type Part,
  partLength,
  partOf,
} from "./description.ts";
import { type BridgeListener, check, count, Events, inboxPrefixOf, reasonOf } from "./events.ts";

/** Where requests go to. */
export interface ExportRequestsOptions {
  /** The subject that `importRequests` listens to elsewhere. */
  subject: string;
  /** Milliseconds after which a request without a reply is given up; default 30,000. */
  timeout?: number;
  /** The most requests that wait for a reply at once; default 256. */
  window?: number;
  /** Ends it as `close()` does. */
  signal?: AbortSignal;
}

/** Where requests come from. */
export interface ImportRequestsOptions {
  /** The subject that `exportRequests` sends to elsewhere. */
  subject: string;
  /** Of those with the same queue, one gets each request; default "xmem". */
  queue?: string;
  /** Milliseconds that the channel's receivers have for a reply; default 30,000. */
  timeout?: number;
  /** The most requests that wait for a reply at once; default 256. */
  window?: number;
  /** Ends it as `close()` does. */
  signal?: AbortSignal;
}

/** Requests in numbers, since it began. */
export interface RequestStats {
  /** Requests that came. */
  requests: number;
  /** Those that got a reply. */
  replies: number;
  /** Those that ended without one: nobody replied, in time or at all, or the reply was refused. */
  failed: number;
  /** Messages that were no requests of xmem's, or too large for the pool. */
  refused: number;
  /** Requests that wait for a reply. */
  pending: number;
}

const failure = "Xmem-Failure";
const goOn = "Xmem-Go-On";
const busy = "POOL_BUSY";
const partTimeout = 10_000;

/** A body on its way in, in parts. */
class Incoming {
  readonly guard: BufferGuard;
  #next = 0;

  private constructor(guard: BufferGuard) {
    this.guard = guard;
  }

  /** With the first part, or the whole body where `part` is null. */
  static async begin(
    pool: BufferPool,
    description: Description,
    options: { timeout: number; signal: AbortSignal },
  ): Promise<Incoming> {
    const guard = await pool.acquireAsync(description.size, options);
    apply(guard, description);
    return new Incoming(guard);
  }

  /** True: it is complete. Throws where the part is not the next. */
  add(part: Part | null, body: Uint8Array): boolean {
    const { size } = this.guard;
    const index = part?.index ?? 0;
    const length = part === null ? size : partLength(part, size);
    if (index !== this.#next || body.length !== length) {
      throw new XmemError("SYSTEM", `part ${index} with ${body.length} bytes is not the next`);
    }
    this.guard.bytes.set(body, index * (part?.cut ?? 0));
    this.#next += 1;
    return this.#next === (part?.count ?? 1);
  }
}

/** The messages that a buffer goes in. */
function* outgoing(guard: BufferGuard, cut: number): IterableIterator<[string, Uint8Array]> {
  const { bytes, size } = guard;
  const lines = describe(guard);
  const parts = Math.ceil(size / cut);
  if (parts <= 1) {
    yield [lines, bytes];
    return;
  }
  for (let index = 0; index < parts; index++) {
    const said = describePart({ whole: "request", index, count: parts, cut });
    const described = index === 0 ? lines : `\r\nXmem-Size: ${size}`;
    yield [described + said, bytes.subarray(index * cut, (index + 1) * cut)];
  }
}

function cutOf(nats: NatsConnection): number {
  return Math.max(1, (nats.info?.max_payload ?? 1024 * 1024) - headerRoom);
}

/** Messages that come to places of one's own, each to the one who waits there. */
class Places {
  readonly #inbox: string;
  readonly #waiting = new Map<string, (message: Msg) => void>();
  readonly #end: () => void;
  #last = 0;

  constructor(nats: NatsConnection) {
    this.#inbox = `${createInbox(inboxPrefixOf(nats))}.`;
    const subscription = nats.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#waiting.get(message.subject)?.(message);
      },
    });
    this.#end = () => {
      if (!nats.isClosed()) subscription.unsubscribe();
    };
  }

  open(): { subject: string; messages: Letters } {
    this.#last += 1;
    const subject = this.#inbox + this.#last;
    const messages = new Letters(() => this.#waiting.delete(subject));
    this.#waiting.set(subject, (message) => messages.add(message));
    return { subject, messages };
  }

  stop(): void {
    this.#end();
  }
}

/** The messages that came to one place. */
class Letters implements Disposable {
  readonly #came: Msg[] = [];
  readonly #close: () => void;
  #told: (() => void) | undefined;

  constructor(close: () => void) {
    this.#close = close;
  }

  add(message: Msg): void {
    this.#came.push(message);
    this.#told?.();
  }

  /** Undefined: none came in time. */
  async next(timeout: number, signal: AbortSignal): Promise<Msg | undefined> {
    if (this.#came.length === 0 && !signal.aborted) {
      const told = new AbortController();
      const tell = (): void => told.abort();
      this.#told = tell;
      signal.addEventListener("abort", tell);
      await pause(Math.max(0, timeout), told.signal);
      signal.removeEventListener("abort", tell);
    }
    return this.#came.shift();
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}

/** What both ends have in common: it runs until it is closed, and counts. */
class Running {
  readonly nats: NatsConnection;
  readonly channel: Channel;
  readonly pool: BufferPool;
  readonly timeout: number;
  readonly window: number;
  readonly events: Events = new Events();
  readonly stopping: AbortController = new AbortController();
  readonly places: Places;
  readonly counts: Omit<RequestStats, "pending"> = {
    requests: 0,
    replies: 0,
    failed: 0,
    refused: 0,
  };
  readonly #pending = new Set<Promise<void>>();

  constructor(
    tried: string,
    nats: NatsConnection,
    channel: Channel,
    options: ExportRequestsOptions & ImportRequestsOptions,
  ) {
    check(tried, nats, options, ["subject"], ["queue", "timeout", "window", "signal"]);
    this.nats = nats;
    this.channel = channel;
    this.pool = poolOf(tried, channel, "the channel");
    if (channel.mode !== "queue") throw invalid(tried, "a broadcast has no one receiver");
    this.timeout = count(tried, "timeout", options.timeout, 30_000);
    this.window = count(tried, "window", options.window, 256);
    this.places = new Places(nats);
    const { signal } = options;
    if (signal?.aborted) this.stopping.abort();
    signal?.addEventListener("abort", () => this.stopping.abort(), { once: true });
  }

  stats(): RequestStats {
    return { ...this.counts, pending: this.#pending.size };
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** Runs beside the others; a failure is counted and told. */
  begin(body: () => Promise<void>): Promise<void> {
    const running = body()
      .catch((error: unknown) => {
        this.counts.failed += 1;
        this.events.emit({ type: "failed", reason: reasonOf(error) });
      })
      .finally(() => this.#pending.delete(running));
    this.#pending.add(running);
    return running;
  }

  async oneEnds(): Promise<void> {
    await Promise.race(this.#pending);
  }

  async allEnd(): Promise<void> {
    await Promise.all(this.#pending);
  }

  /**
   * Of a copy: the client reads what it is given later, when it has a connection, and a reply's
   * buffer is somebody else's by then.
   */
  send(subject: string, lines: string, body: Uint8Array, reply?: string): void {
    this.nats.publish(subject, body.slice(), {
      headers: headersOf(lines),
      ...(reply !== undefined && { reply }),
    });
  }
}

/** Requests of a channel here that are answered elsewhere. */
export class RequestExporter implements AsyncDisposable {
  /** Resolves once it was closed, and rejects where it cannot go on. */
  readonly done: Promise<void>;
  readonly #running: Running;
  readonly #subject: string;

  /** Made by `exportRequests`. @internal */
  constructor(channel: Channel, nats: NatsConnection, options: ExportRequestsOptions) {
    this.#running = new Running("exportRequests()", nats, channel, options);
    this.#subject = options.subject;
    this.done = this.#run();
    this.done.catch(() => {});
  }

  /**
   * Tells the listener of everything from now on; the function that it returns ends that.
   *
   * @throws INVALID_ARGUMENT: `listener` is no function.
   */
  on(listener: BridgeListener): () => void {
    return this.#running.events.on("RequestExporter.on()", listener);
  }

  /** What it did so far. */
  stats(): RequestStats {
    return this.#running.stats();
  }

  /** Takes no more requests, gives up those that wait for a reply, and resolves then. */
  async close(): Promise<void> {
    this.#running.stopping.abort();
    await this.done;
  }

  /** Is `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#running.stopping;
    try {
      for await (const request of this.#running.channel.requests({ signal })) {
        this.#running.counts.requests += 1;
        void this.#running.begin(async () => {
          // Without a reply, its asker is told so.
          using asked = request;
          await this.#ask(asked);
        });
        while (this.#running.pending >= this.#running.window) await this.#running.oneEnds();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      await this.#running.allEnd();
      this.#running.places.stop();
    }
  }

  async #ask(request: Request): Promise<void> {
    const { signal } = this.#running.stopping;
    const deadline = performance.now() + this.#running.timeout;
    for (let wait = 20; performance.now() < deadline && !signal.aborted; wait = wait * 2) {
      const outcome = await this.#askOnce(request, deadline);
      if (outcome !== "again") return;
      // Nobody took it: nobody listens yet, or all are busy.
      await pause(Math.min(wait, 500), signal);
    }
    throw new XmemError("TIMEOUT", `no reply to a request on ${this.#subject} in time`);
  }

  async #askOnce(request: Request, deadline: number): Promise<"again" | "replied"> {
    const { signal } = this.#running.stopping;
    const left = (): number => deadline - performance.now();
    const { subject, messages } = this.#running.places.open();
    using place = messages;
    const parts = outgoing(request.guard, cutOf(this.#running.nats));
    const [lines, body] = parts.next().value as [string, Uint8Array];
    this.#running.send(this.#subject, lines, body, subject);
    let incoming: Incoming | undefined;
    try {
      while (true) {
        const message = await place.next(left(), signal);
        if (message === undefined) {
          throw new XmemError("TIMEOUT", `no reply to a request on ${this.#subject} in time`);
        }
        const { headers } = message;
        if (headers?.code === 503 || headers?.get(failure) === busy) return "again";
        if (headers?.has(failure)) {
          const code = headers.get(failure);
          throw new XmemError("PEER_DIED", `a request on ${this.#subject} has no reply: ${code}`);
        }
        if (headers?.has(goOn)) {
          for (const [said, rest] of parts) this.#running.send(message.reply ?? "", said, rest);
          continue;
        }
        const description = descriptionOf(headers);
        const part = description && partOf(headers as never, description.size);
        if (description === null || part === undefined) {
          throw new XmemError("SYSTEM", "the reply is no message of xmem's");
        }
        const timeout = Math.max(0, Math.floor(left()));
        incoming ??= await Incoming.begin(this.#running.pool, description, { timeout, signal });
        if (!incoming.add(part, message.data)) continue;
        request.reply(incoming.guard);
        this.#running.counts.replies += 1;
        return "replied";
      }
    } finally {
      incoming?.guard.release();
    }
  }
}

/** Requests from elsewhere that are answered by a channel here. */
export class RequestImporter implements AsyncDisposable {
  /** Resolves once it was closed, and rejects where it cannot go on. */
  readonly done: Promise<void>;
  readonly #running: Running;

  /** Made by `importRequests`. @internal */
  constructor(nats: NatsConnection, options: ImportRequestsOptions, channel: Channel) {
    this.#running = new Running("importRequests()", nats, channel, options);
    this.done = this.#run(options);
    this.done.catch(() => {});
  }

  /**
   * Tells the listener of everything from now on; the function that it returns ends that.
   *
   * @throws INVALID_ARGUMENT: `listener` is no function.
   */
  on(listener: BridgeListener): () => void {
    return this.#running.events.on("RequestImporter.on()", listener);
  }

  /** What it did so far. */
  stats(): RequestStats {
    return this.#running.stats();
  }

  /** Takes no more requests, gives up those that wait for a reply, and resolves then. */
  async close(): Promise<void> {
    this.#running.stopping.abort();
    await this.done;
  }

  /** Is `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run({ subject, queue = "xmem" }: ImportRequestsOptions): Promise<void> {
    const { signal } = this.#running.stopping;
    const failed = Promise.withResolvers<void>();
    const subscription = this.#running.nats.subscribe(subject, {
      queue,
      callback: (error, message) => {
        if (error !== null) failed.reject(error);
        else this.#came(message);
      },
    });
    const stop = (): void => failed.resolve();
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    void this.#running.nats.closed().then(() => {
      failed.reject(new XmemError("SYSTEM", "importRequests(): the connection was closed"));
    });
    try {
      await failed.promise;
    } finally {
      this.#running.stopping.abort();
      if (!this.#running.nats.isClosed()) subscription.unsubscribe();
      await this.#running.allEnd();
      this.#running.places.stop();
    }
  }

  #came(message: Msg): void {
    if (message.reply === undefined || message.reply === "") {
      this.#refuse(message, "it names no place for a reply");
      return;
    }
    if (this.#running.pending >= this.#running.window || this.#running.stopping.signal.aborted) {
      this.#fail(message, busy);
      return;
    }
    const description = descriptionOf(message.headers);
    const part = description && partOf(message.headers as never, description.size);
    if (description === null || part === undefined || (part !== null && part.index > 0)) {
      this.#refuse(message, "it is no request of xmem's");
      return;
    }
    if (description.size > this.#running.pool.bufferSize) {
      this.#refuse(
        message,
        `it is larger than the pool's buffers, ${this.#running.pool.bufferSize}`,
      );
      return;
    }
    this.#running.counts.requests += 1;
    void this.#running.begin(async () => {
      try {
        await this.#answer(message, description, part);
      } catch (error) {
        this.#fail(message, error instanceof XmemError ? error.code : "SYSTEM");
        throw error;
      }
    });
  }

  #refuse(message: Msg, reason: string): void {
    this.#running.counts.refused += 1;
    if (message.reply) this.#fail(message, "INVALID_ARGUMENT");
    this.#running.events.emit({
      type: "refused",
      reason: `a message on ${message.subject}: ${reason}`,
    });
  }

  #fail({ reply }: Msg, code: string): void {
    if (this.#running.nats.isClosed() || !reply) return;
    this.#running.send(reply, `\r\n${failure}: ${code}`, new Uint8Array(0));
  }

  async #answer(message: Msg, description: Description, part: Part | null): Promise<void> {
    const { signal } = this.#running.stopping;
    const options = { timeout: this.#running.timeout, signal };
    const incoming = await Incoming.begin(this.#running.pool, description, options);
    using guard = incoming.guard;
    if (!incoming.add(part, message.data)) await this.#rest(message, incoming);
    using reply = await this.#running.channel.request(guard, options);
    for (const [lines, body] of outgoing(reply, cutOf(this.#running.nats))) {
      this.#running.send(message.reply as string, lines, body);
    }
    this.#running.counts.replies += 1;
  }

  async #rest(message: Msg, incoming: Incoming): Promise<void> {
    const { subject, messages } = this.#running.places.open();
    using place = messages;
    this.#running.send(message.reply as string, `\r\n${goOn}: 1`, new Uint8Array(0), subject);
    while (true) {
      const next = await place.next(partTimeout, this.#running.stopping.signal);
      if (next === undefined) throw new XmemError("TIMEOUT", "the rest of a request did not come");
      const { size } = incoming.guard;
      const part = next.headers === undefined ? undefined : partOf(next.headers, size);
      if (part === undefined || part === null) {
        throw new XmemError("SYSTEM", "the rest of a request is none of xmem's");
      }
      if (incoming.add(part, next.data)) return;
    }
  }
}

/**
 * Sends the requests that the channel receives to `importRequests` elsewhere, and their replies back
 * to whoever asked. A request is made at most once; one that got no reply ends its asker's wait with
 * an error. Returns at once; `done` says when it has ended.
 *
 * @throws INVALID_ARGUMENT: an argument is of the wrong type, or an option does not exist.
 *
 * @example
 * ```ts
 * await using exporter = exportRequests(jobs, nats, { subject: "jobs" });
 * using reply = await jobs.request(job, { timeout: 5000 });
 * ```
 */
export function exportRequests(
  channel: Channel,
  nats: NatsConnection,
  options: ExportRequestsOptions,
): RequestExporter {
  return new RequestExporter(channel, nats, options);
}

/**
 * Makes the requests that `exportRequests` sends elsewhere on the channel, and sends the replies
 * back. Returns at once; `done` says when it has ended.
 *
 * @throws INVALID_ARGUMENT: an argument is of the wrong type, or an option does not exist.
 *
 * @example
 * ```ts
 * await using importer = importRequests(nats, { subject: "jobs" }, jobs);
 * for await (using request of jobs.requests()) request.reply(request.guard);
 * ```
 */
export function importRequests(
  nats: NatsConnection,
  options: ImportRequestsOptions,
  channel: Channel,
): RequestImporter {
  return new RequestImporter(nats, options, channel);
}
