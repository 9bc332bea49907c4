// Hands buffers over through the pools' channels: a queue, in which each message goes to one thread,
// and news for all that listen. Whatever is received bears the whole stamp of its sender, and each
// sender's messages come in order.

import type { BufferGuard, BufferPool, Channel, ChannelOptions } from "../../src/index.ts";
import type { Context } from "./context.ts";
import type { Holdings } from "./holdings.ts";
import { mismatch, type Stamp, type State, stampsIn } from "./stamp.ts";

/** Both are small, so that both ends are waited at. */
export const kinds: Record<"queue" | "news", ChannelOptions> = {
  queue: { capacity: 3 },
  news: { capacity: 4, mode: "broadcast", overflow: "drop-oldest", history: 1 },
};

type Kind = keyof typeof kinds;

interface Opened {
  channel: Channel;
  /** Per sender, the order of the last message that was received here. */
  last: Map<string, number>;
  waits: Set<Promise<void>>;
}

/** Errors that a wait may have without a fault. */
const refusals = ["TIMEOUT", "POOL_CLOSED", "CHANNEL_CLOSED"] as const;
const waitsMost = 2;

export class Channels {
  readonly #context: Context;
  readonly #holdings: Holdings;
  readonly #opened = new Map<string, Opened>();
  /** Of this thread's messages: in their descriptions, as a time. */
  #order = 0;

  constructor(context: Context, holdings: Holdings) {
    this.#context = context;
    this.#holdings = holdings;
  }

  /** The pool is about to be closed, and with it its channels. */
  forget(place: number): void {
    for (const kind of ["queue", "news"] as const) this.#opened.delete(`${kind} ${place}`);
  }

  /** Ends once nobody waits here any more. */
  async settled(): Promise<void> {
    await Promise.all([...this.#opened.values()].flatMap(({ waits }) => [...waits]));
  }

  #open(kind: Kind, place: number, pool: BufferPool): Opened | null {
    const key = `${kind} ${place}`;
    const known = this.#opened.get(key);
    if (known !== undefined) return known;
    this.#context.journal.step(`open the ${kind} of ${place}`);
    try {
      const opened = {
        channel: pool.channel(kind, kinds[kind]),
        last: new Map(),
        waits: new Set(),
      };
      this.#opened.set(key, opened as Opened);
      return opened as Opened;
    } catch (error) {
      this.#context.expect(error, []);
      return null;
    }
  }

  /** Lets go of a channel, which goes on for the others. */
  leave(place: number): void {
    const { random, journal } = this.#context;
    const key = `${random.pick(["queue", "news"] as const)} ${place}`;
    journal.step(`leave the ${key}`);
    this.#opened.get(key)?.channel[Symbol.dispose]();
    this.#opened.delete(key);
  }

  /** Moves a buffer to one other thread, which will write into it. */
  send(place: number, pool: BufferPool): void {
    const held = this.#holdings.pick(
      ({ pool: own, guards, stamp }) =>
        own === place && guards.length === 1 && stamp.state === "claimed",
    );
    const opened = held === null ? null : this.#open("queue", place, pool);
    if (held === null || opened === null) return;
    const { random, journal } = this.#context;
    const [guard] = held.guards;
    this.#holdings.verify(held, "before a send");
    this.#holdings.restamp(held, "published");
    guard.meta.timestamp = ++this.#order;
    journal.step(`send ${place}/${guard.index}, ${held.stamp.sequence}`);
    journal.count("sends begun");
    let sent = false;
    try {
      if (random.chance(0.3)) {
        opened.channel.sendBlocking(guard, { timeout: random.pick([0, 1, 5, 20, 60]) });
        sent = true;
      } else sent = opened.channel.trySend(guard);
    } catch (error) {
      this.#context.expect(error, ["TIMEOUT"]);
    }
    if (sent) {
      journal.count("sends done");
      this.#holdings.drop(held);
    } else this.#holdings.restamp(held, "claimed");
  }

  /** From now on nobody writes into it, and all who listen may read. */
  tell(place: number, pool: BufferPool): void {
    const held = this.#holdings.pick(
      ({ pool: own, guards, stamp }) =>
        own === place && guards.length === 1 && stamp.state === "claimed",
    );
    const opened = held === null ? null : this.#open("news", place, pool);
    if (held === null || opened === null) return;
    const { journal } = this.#context;
    const [guard] = held.guards;
    this.#holdings.restamp(held, "shared");
    guard.meta.timestamp = ++this.#order;
    journal.step(`tell ${place}/${guard.index}, ${held.stamp.sequence}`);
    try {
      opened.channel.send(guard);
      this.#holdings.drop(held);
    } catch (error) {
      this.#context.expect(error, []);
    }
  }

  receive(place: number, pool: BufferPool): void {
    const opened = this.#open("queue", place, pool);
    if (opened === null || this.#holdings.full) return;
    const { random, journal } = this.#context;
    const { channel } = opened;
    journal.step(`receive ${place}`);
    journal.count("receives begun");
    try {
      const guard = random.chance(0.3)
        ? channel.receiveBlocking({ timeout: random.pick([0, 1, 5, 20, 60]) })
        : channel.tryReceive();
      if (guard !== null) this.#received(opened, place, guard);
    } catch (error) {
      this.#context.expect(error, ["TIMEOUT"]);
    }
  }

  receiveAsync(place: number, pool: BufferPool): void {
    const opened = this.#open("queue", place, pool);
    if (opened === null || opened.waits.size >= waitsMost || this.#holdings.full) return;
    const { random, journal, pools } = this.#context;
    const timeout = random.pick([0, 1, 10, 50, 300]);
    journal.step(`receive ${place}, async, ${timeout} ms`);
    journal.count("receives begun");
    const wait = opened.channel.receive({ timeout }).then(
      (guard) => {
        // A close between the receive and now has given it back.
        const gone = pools[place] !== pool;
        if (gone) journal.count("receives done");
        // Another call may have received a later one before this promise was looked at.
        else this.#context.guarded(() => this.#received(null, place, guard));
      },
      (error) => this.#context.guarded(() => this.#context.expect(error, refusals)),
    );
    opened.waits.add(wait);
    wait.finally(() => opened.waits.delete(wait));
  }

  #received(opened: Opened | null, place: number, guard: BufferGuard): void {
    this.#context.journal.count("receives done");
    this.#compare(opened, place, guard, "published");
    this.#holdings.claim(place, guard, true);
    if (this.#holdings.full) this.#holdings.releaseOne();
  }

  listen(place: number, pool: BufferPool): void {
    const opened = this.#open("news", place, pool);
    if (opened === null) return;
    const { random, journal } = this.#context;
    journal.step(`listen ${place}`);
    try {
      for (let most = random.between(1, 4); most > 0; most--) {
        const guard = opened.channel.tryReceive();
        if (guard === null) return;
        journal.count("heard");
        this.#compare(opened, place, guard, "shared");
        if (random.chance(0.1)) Bun.sleepSync(1);
        this.#compare(null, place, guard, "shared");
        guard.release();
      }
    } catch (error) {
      this.#context.expect(error, []);
    }
  }

  /** A whole stamp in that state, newer than the last one of the same sender. */
  #compare(opened: Opened | null, place: number, guard: BufferGuard, state: State): void {
    const words = guard.view("uint32");
    const [stamp]: (Stamp | undefined)[] = stampsIn(words);
    const what = `buffer ${guard.index} of ${place} from a channel`;
    const { fail } = this.#context;
    if (stamp === undefined) throw new Error(`${what} has no stamp`);
    const wrong = mismatch(words, stamp, guard.index);
    if (wrong !== null) fail(`${what}: ${wrong}`);
    const described = guard.size === stamp.size && guard.meta.sequence === stamp.sequence;
    if (stamp.state !== state || !described) fail(`${what} is ${JSON.stringify(stamp)}`);
    if (opened === null) return;
    const { pid, tid, start } = stamp.writer;
    const sender = `${pid}/${tid}/${start}`;
    const last = opened.last.get(sender) ?? 0;
    const { timestamp } = guard.meta;
    if (timestamp <= last) fail(`${what}: message ${timestamp} after ${last}`);
    opened.last.set(sender, timestamp);
  }
}

type Counted = Record<"sends begun" | "sends done" | "receives begun" | "receives done", number>;

/**
 * Of queues that everybody else has left: takes what is in them, and compares what they count with
 * what the threads counted. A call of a thread that was killed may have done its work or not.
 */
export function settleQueues(
  queues: readonly Channel[],
  pools: readonly BufferPool[],
  counted: Counted,
): string[] {
  let [sent, received] = [0, 0];
  for (const [place, queue] of queues.entries()) {
    for (let guard = queue.tryReceive(); guard !== null; guard = queue.tryReceive()) {
      received--;
      guard.release();
    }
    // Whoever died may have left the ends behind: another message moves them.
    const pool = pools[place];
    if (pool !== undefined) queue.send(pool.acquireBlocking(64, { timeout: 5000 }));
    queue.tryReceive()?.release();
    const stats = queue.stats();
    sent += stats.sent - 1;
    received += stats.received - 1;
  }
  const wrong: string[] = [];
  const within = (what: string, done: number, count: number, begun: number): void => {
    if (done > count || count > begun)
      wrong.push(`${count} messages were ${what}, by ${begun} calls of which ${done} returned`);
  };
  within("sent", counted["sends done"], sent, counted["sends begun"]);
  within("received", counted["receives done"], received, counted["receives begun"]);
  return wrong;
}
