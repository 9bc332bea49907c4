// Publishes to a stream with many messages on their way, and in order whatever happens. Each message
// names the one before it, and the server refuses it where that is not the stream's last: so what
// was lost takes everything behind it along. Then publishing begins again with the first that has no
// acknowledgement, alone, and what the server has already it drops by the message's name.

import {
  createInbox,
  type Msg,
  type NatsConnection,
  type Subscription,
} from "@nats-io/transport-node";
import { headersOf } from "./description.ts";
import { type Events, inboxPrefixOf, reasonOf } from "./events.ts";

/** One message to publish. */
export interface Publication {
  /** The same for the same content, whoever publishes it. */
  readonly name: string;
  readonly lines: string;
  readonly body: Uint8Array;
  /** Told once the stream has it; `isDouble` where it had it before. */
  stored(isDouble: boolean): void;
}

interface Entry {
  publication: Publication;
  /** What it was published as last. */
  token: number;
  at: number;
  isStored: boolean;
  /** Counts the names that a leader keeps for what it refused. */
  attempt: number;
  wasRefused: boolean;
  conflictSince: number;
}

/** Numbers of the server's errors. */
const wrongLastName = 10070;
const conflicting = 10158;
const limits = [10077, 10047, 10023, 10002, 10028, 10122];

const acknowledgementMax = 3000;
/** For how long a proposal of a message that a dead exporter made can be undecided. */
const conflictMax = 20_000;

interface Answer {
  seq?: number;
  duplicate?: boolean;
  error?: { code: number; err_code: number; description: string };
}

export class Publisher {
  readonly #nats: NatsConnection;
  readonly #subject: string;
  readonly #events: Events;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #timer: ReturnType<typeof setInterval>;
  /** In order; those before `#next` are on their way. */
  #entries: Entry[] = [];
  #first = 0;
  #next = 0;
  #token = 0;
  /** Answers to what was published before this one say nothing any more. */
  #since = 1;
  /** The stream's last message as far as this publisher knows; null: it does not. */
  #last: string | null = null;
  #isAlone = false;
  #isOnline = true;
  #isPaused = false;
  #pauseTimer: ReturnType<typeof setTimeout> | undefined;
  #backoff = 0;
  #isFull = false;
  /** How many may be on their way: fewer where others publish to the same stream. */
  #limit: number;
  readonly #limitMax: number;
  repeated = 0;

  constructor(
    nats: NatsConnection,
    { subject, window, events }: { subject: string; window: number; events: Events },
  ) {
    this.#nats = nats;
    this.#subject = subject;
    this.#events = events;
    this.#limit = window;
    this.#limitMax = window;
    this.#inbox = `${createInbox(inboxPrefixOf(nats))}.`;
    this.#subscription = nats.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#answered(message);
      },
    });
    this.#timer = setInterval(() => this.#lookForLost(), 250);
    this.#timer.unref();
  }

  /** How many have no acknowledgement. */
  get left(): number {
    return this.#entries.length - this.#first;
  }

  publish(publication: Publication): void {
    this.#entries.push({
      publication,
      token: 0,
      at: 0,
      isStored: false,
      attempt: 0,
      wasRefused: false,
      conflictSince: 0,
    });
    this.#pump();
  }

  lost(): void {
    this.#isOnline = false;
    this.#goBack();
  }

  found(): void {
    this.#isOnline = true;
    this.#goBack();
    this.#pump();
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#pauseTimer);
    if (!this.#nats.isClosed()) this.#subscription.unsubscribe();
  }

  #nameOf({ publication, attempt }: Entry): string {
    return attempt === 0 ? publication.name : `${publication.name}+${attempt}`;
  }

  #pump(): void {
    if (!this.#isOnline || this.#isPaused || this.#isAlone) return;
    while (this.#next < this.#entries.length) {
      const flying = this.#next - this.#first;
      if (flying >= this.#limit) return;
      // Without a predecessor that the server can check, it has to be the only one on its way.
      if (this.#last === null && flying > 0) return;
      if (!this.#send(this.#entries[this.#next] as Entry)) return;
      this.#next += 1;
      if (this.#isAlone) return;
    }
  }

  #send(entry: Entry): boolean {
    const name = this.#nameOf(entry);
    let lines = `\r\nNats-Msg-Id: ${name}`;
    if (this.#last !== null) lines += `\r\nNats-Expected-Last-Msg-Id: ${this.#last}`;
    this.#token += 1;
    if (entry.token !== 0) this.repeated += 1;
    entry.token = this.#token;
    entry.at = performance.now();
    const { lines: description, body } = entry.publication;
    try {
      this.#nats.publish(this.#subject, body, {
        reply: this.#inbox + this.#token,
        headers: headersOf(lines + description),
      });
    } catch (error) {
      this.#wait(reasonOf(error));
      return false;
    }
    this.#isAlone = this.#last === null;
    this.#last = name;
    return true;
  }

  #answered(message: Msg): void {
    const token = Number(message.subject.slice(this.#inbox.length));
    const first = this.#entries[this.#first];
    if (first === undefined || this.#next === this.#first || token < this.#since) return;
    // They were published in order, without a gap since then.
    const at = this.#first + token - first.token;
    const entry = this.#entries[at];
    if (at < this.#first || at >= this.#next || entry?.token !== token) return;
    if (message.headers?.code === 503) {
      this.#wait("the stream answers nothing at present");
      return;
    }
    let answer: Answer;
    try {
      answer = message.json<Answer>();
    } catch {
      answer = { error: { code: 500, err_code: 0, description: "an answer that is no JSON" } };
    }
    if (answer.error === undefined) this.#stored(entry, answer.duplicate === true);
    else this.#refused(entry, answer.error);
  }

  #stored(entry: Entry, isDouble: boolean): void {
    const isNew = !entry.isStored;
    entry.isStored = true;
    this.#backoff = 0;
    if (this.#isFull) {
      this.#isFull = false;
      this.#events.emit({ type: "flowing" });
    }
    if (this.#limit < this.#limitMax) this.#limit += 1;
    if (this.#isAlone) {
      this.#isAlone = false;
      // A double may stand anywhere in the stream.
      if (isDouble) this.#last = null;
    }
    while (this.#first < this.#next && this.#entries[this.#first]?.isStored) this.#first += 1;
    if (this.#first > 1024) {
      this.#entries.splice(0, this.#first);
      this.#next -= this.#first;
      this.#first = 0;
    }
    if (isNew) entry.publication.stored(isDouble);
    this.#pump();
  }

  #refused(entry: Entry, { err_code: code, description }: NonNullable<Answer["error"]>): void {
    if (code === wrongLastName) {
      // Somebody else published between, or the one before was lost.
      entry.wasRefused = true;
      this.#limit = Math.max(1, this.#limit >> 1);
      this.#goBack();
      this.#pump();
      return;
    }
    if (code === conflicting) {
      // Its leader has a proposal of that name: it refused it and remembers the name, or it has not
      // decided yet.
      const now = performance.now();
      if (entry.conflictSince === 0) entry.conflictSince = now;
      if (entry.wasRefused || now - entry.conflictSince > conflictMax) {
        entry.attempt += 1;
        entry.wasRefused = false;
        entry.conflictSince = 0;
        this.#goBack();
        this.#pump();
        return;
      }
      this.#wait(description);
      return;
    }
    if (limits.includes(code)) {
      if (!this.#isFull) this.#events.emit({ type: "full", reason: description });
      this.#isFull = true;
      this.#wait(null);
      return;
    }
    this.#wait(description);
  }

  /** Tries again after a while, longer each time. */
  #wait(reason: string | null): void {
    this.#goBack();
    if (this.#isPaused) return;
    if (reason !== null) this.#events.emit({ type: "waiting", reason });
    this.#backoff = Math.min(500, Math.max(10, this.#backoff * 2));
    this.#isPaused = true;
    this.#pauseTimer = setTimeout(() => {
      this.#isPaused = false;
      this.#pump();
    }, this.#backoff);
  }

  /** What was published and has no answer is published again. */
  #goBack(): void {
    this.#since = this.#token + 1;
    this.#next = this.#first;
    this.#last = null;
    this.#isAlone = false;
  }

  #lookForLost(): void {
    if (this.#next === this.#first) return;
    const first = this.#entries[this.#first] as Entry;
    if (performance.now() - first.at < acknowledgementMax) return;
    this.#wait(`no acknowledgement for ${acknowledgementMax} ms`);
  }
}
