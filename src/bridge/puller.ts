// Pulls from a durable consumer, in the stream's order and without a gap. The server counts what it
// delivers; where a delivery is missing, where the connection was lost or the server is silent, the
// consumer is set back to its first message without an acknowledgement, and everything behind that
// comes again, in order. No more is asked for than the receiver has room for.

import {
  AckPolicy,
  type ConsumerInfo,
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
} from "@nats-io/jetstream";
import {
  createInbox,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  nanos,
  type Subscription,
} from "@nats-io/transport-node";
import { XmemError } from "../index.ts";
import { invalid } from "../relay/arguments.ts";
import { pause } from "../relay/pause.ts";
import { type Events, inboxPrefixOf, reasonOf } from "./events.ts";

/** A message as the consumer delivered it. */
export interface Delivery {
  /** Its number in the stream. */
  readonly sequence: number;
  readonly headers: MsgHdrs | undefined;
  readonly body: Uint8Array;
  /** Where it is acknowledged. */
  readonly reply: string;
}

/** What the puller found when it set the consumer back. */
export interface Attached {
  /** When the stream was made: a stream of another time counts anew. */
  streamCreated: number;
  /** The number of its last message. */
  lastSequence: number;
  replicas: number;
  /** Milliseconds. */
  duplicateWindow: number;
  acknowledgeWithin: number;
}

const heartbeat = 1500;
const silenceMax = 5000;
const expires = 30_000;
const patienceMs = 5000;
const streamNotFound = 10059;
const consumerNotFound = 10014;

/** The parts of `$JS.ACK.<stream>...`; newer servers may put a domain and an account before those. */
function countsOf(reply: string): { sequence: number; delivered: number } | null {
  const tokens = reply.split(".");
  const skip = tokens.length >= 11 ? 2 : 0;
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK" || tokens.length < 9) return null;
  const sequence = Number(tokens[5 + skip]);
  const delivered = Number(tokens[6 + skip]);
  return Number.isSafeInteger(sequence) ? { sequence, delivered } : null;
}

export class Puller {
  readonly #nats: NatsConnection;
  readonly #stream: string;
  readonly #consumer: string;
  readonly #events: Events;
  readonly #signal: AbortSignal;
  readonly #window: number;
  readonly #windowBytes: number;
  /** Told before the first delivery, and whenever all begins again from there. */
  readonly #attached: (attached: Attached) => void;
  #manager: JetStreamManager | undefined;
  #subscription: Subscription | undefined;
  #queue: Delivery[] = [];
  #head = 0;
  #queuedBytes = 0;
  /** How many the server may still deliver. */
  #credit = 0;
  #expected = 1;
  #heard = 0;
  #inbox = "";
  #waiting: (() => void) | undefined;
  #isAttaching = false;
  #attachAgain = false;
  #isOnline = true;
  #failure: unknown;
  #hasFailed = false;
  readonly #timer: ReturnType<typeof setInterval>;
  resets = 0;

  constructor(
    nats: NatsConnection,
    options: {
      stream: string;
      consumer: string;
      window: number;
      windowBytes: number;
      events: Events;
      signal: AbortSignal;
      attached: (attached: Attached) => void;
    },
  ) {
    this.#nats = nats;
    this.#stream = options.stream;
    this.#consumer = options.consumer;
    this.#window = options.window;
    this.#windowBytes = options.windowBytes;
    this.#events = options.events;
    this.#signal = options.signal;
    this.#attached = options.attached;
    this.#signal.addEventListener("abort", () => this.#wake());
    this.#timer = setInterval(() => this.#listen(), 500);
    this.#timer.unref();
  }

  /** Deliveries that nobody has taken yet. */
  waiting(): readonly Delivery[] {
    return this.#queue.slice(this.#head);
  }

  /** What is there at once. */
  tryNext(): Delivery | undefined {
    if (this.#hasFailed) throw this.#failure;
    const delivery = this.#queue[this.#head];
    if (delivery === undefined) return undefined;
    this.#head += 1;
    this.#queuedBytes -= delivery.body.length;
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    }
    this.#pull();
    return delivery;
  }

  /** Waits for the next; undefined where it was told to end. */
  async next(): Promise<Delivery | undefined> {
    while (!this.#signal.aborted) {
      const delivery = this.tryNext();
      if (delivery !== undefined) return delivery;
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return undefined;
  }

  #wake(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }

  lost(): void {
    this.#isOnline = false;
    this.#detach();
  }

  found(): void {
    this.#isOnline = true;
    this.attach();
  }

  fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#failure = error;
    this.#hasFailed = true;
    this.#wake();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#detach();
  }

  #detach(): void {
    if (!this.#nats.isClosed()) this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.#credit = 0;
    this.#queue = [];
    this.#head = 0;
    this.#queuedBytes = 0;
  }

  /** Begins again with the first message that has no acknowledgement. */
  attach(): void {
    this.#detach();
    this.#attachAgain = true;
    if (this.#isAttaching) return;
    this.#isAttaching = true;
    void this.#attachUntilDone()
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.#isAttaching = false;
        if (this.#attachAgain && !this.#hasFailed && !this.#signal.aborted) this.attach();
      });
  }

  async #attachUntilDone(): Promise<void> {
    const began = performance.now();
    for (let wait = 50; !this.#signal.aborted; wait = Math.min(1000, wait * 2)) {
      this.#attachAgain = false;
      try {
        if (await this.#attachOnce()) return;
        wait = 50;
      } catch (error) {
        if (this.#signal.aborted) return;
        if (error instanceof XmemError) throw error;
        const isMissing = error instanceof JetStreamApiError && error.code === streamNotFound;
        // One that was there comes back: its server restarts, or somebody makes it anew.
        if (isMissing && this.resets === 0 && performance.now() - began > patienceMs) {
          throw invalid("importChannel()", `there is no stream ${this.#stream}`);
        }
        this.#events.emit({ type: "waiting", reason: reasonOf(error) });
        await pause(wait, this.#signal);
      }
    }
  }

  /** False: meanwhile there was a reason to begin again. */
  async #attachOnce(): Promise<boolean> {
    this.#manager ??= await jetstreamManager(this.#nats, { checkAPI: false, timeout: 2000 });
    const { streams, consumers } = this.#manager;
    const { created, state, config } = await streams.info(this.#stream);
    const info = await this.#ensured();
    await consumers.reset(this.#stream, this.#consumer);
    if (this.#attachAgain) return false;
    if (this.#signal.aborted || !this.#isOnline) return true;
    this.resets += 1;
    this.#detach();
    this.#expected = 1;
    this.#heard = performance.now();
    this.#inbox = createInbox(inboxPrefixOf(this.#nats));
    const inbox = this.#inbox;
    this.#subscription = this.#nats.subscribe(inbox, {
      callback: (error, message) => {
        if (error !== null) this.fail(error);
        else if (inbox === this.#inbox && this.#subscription !== undefined) this.#arrived(message);
      },
    });
    this.#attached({
      streamCreated: Date.parse(String(created)),
      lastSequence: state.last_seq,
      replicas: config.num_replicas,
      duplicateWindow: Math.round((config.duplicate_window ?? 0) / 1e6),
      acknowledgeWithin: Math.round((info.config.ack_wait ?? 30e9) / 1e6),
    });
    this.#pull();
    return true;
  }

  async #ensured(): Promise<ConsumerInfo> {
    const { consumers } = this.#manager as JetStreamManager;
    let info: ConsumerInfo;
    try {
      info = await consumers.info(this.#stream, this.#consumer);
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== consumerNotFound) throw error;
      info = await consumers.add(this.#stream, {
        durable_name: this.#consumer,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
      });
    }
    const { ack_policy: policy, deliver_subject: subject } = info.config;
    if (policy !== AckPolicy.Explicit || subject !== undefined) {
      const found = `consumer ${this.#consumer} is not one that is pulled, with explicit acknowledgement`;
      throw invalid("importChannel()", found);
    }
    if (info.config.max_deliver !== undefined && info.config.max_deliver > 0) {
      const found = `consumer ${this.#consumer} gives up messages after ${info.config.max_deliver}`;
      throw invalid("importChannel()", `${found} deliveries; make it without max_deliver`);
    }
    return info;
  }

  #pull(): void {
    if (this.#subscription === undefined || this.#signal.aborted) return;
    const waiting = this.#queue.length - this.#head;
    if (this.#credit + waiting > this.#window / 2 || this.#queuedBytes > this.#windowBytes / 2) {
      return;
    }
    const batch = this.#window - waiting - this.#credit;
    const payload = this.#nats.info?.max_payload ?? 1024 * 1024;
    const request = {
      batch,
      max_bytes: Math.max(Math.ceil(this.#windowBytes / 2), 2 * payload),
      expires: nanos(expires),
      idle_heartbeat: nanos(heartbeat),
    };
    this.#credit += batch;
    this.#heard = performance.now();
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#stream}.${this.#consumer}`;
    this.#nats.publish(subject, JSON.stringify(request), { reply: this.#inbox });
  }

  #arrived(message: Msg): void {
    this.#heard = performance.now();
    const { reply } = message;
    const counts = reply === undefined || reply === "" ? null : countsOf(reply);
    if (counts === null) {
      this.#status(message);
      return;
    }
    if (counts.delivered !== this.#expected) {
      this.attach();
      return;
    }
    this.#expected += 1;
    this.#credit -= 1;
    const { headers, data: body } = message;
    this.#queue.push({ sequence: counts.sequence, headers, body, reply: reply as string });
    this.#queuedBytes += body.length;
    if (this.#waiting !== undefined) this.#wake();
    this.#pull();
  }

  #status({ headers }: Msg): void {
    const code = headers?.code ?? 0;
    if (code === 100 || code === 0) return;
    const left = Number(headers?.get("Nats-Pending-Messages") || Number.NaN);
    if ((code === 408 || code === 409) && Number.isSafeInteger(left)) {
      // That request has ended; what it did not deliver is asked for again.
      this.#credit = Math.max(0, this.#credit - left);
      this.#pull();
      return;
    }
    if (code === 404) {
      this.#credit = 0;
      this.#pull();
      return;
    }
    const reason = `the consumer says ${code} ${headers?.description ?? ""}`.trimEnd();
    this.#events.emit({ type: "waiting", reason });
    this.#detach();
    void pause(100, this.#signal).then(() => {
      if (!this.#signal.aborted && this.#isOnline) this.attach();
    });
  }

  /** A request that the server has lost is answered by nothing, not even by a heartbeat. */
  #listen(): void {
    if (this.#subscription === undefined || this.#credit === 0 || !this.#isOnline) return;
    if (performance.now() - this.#heard < silenceMax) return;
    this.#events.emit({ type: "waiting", reason: `the server was silent for ${silenceMax} ms` });
    this.attach();
  }
}
