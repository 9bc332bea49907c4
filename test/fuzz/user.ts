// One thread that uses a pool through the public interface, each operation chosen by a generator,
// each result checked: a value within its bounds, or an XmemError.

import {
  type BufferGuard,
  BufferPool,
  type Channel,
  type PoolOptions,
  type ReadGuard,
  XmemError,
} from "../../src/index.ts";
import type { Random } from "./random.ts";

type Guard = BufferGuard | ReadGuard;

/** A result that no damage explains. */
export class Failure extends Error {}

export function demand(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Failure(what);
}

export interface Tally {
  operations: number;
  results: number;
  refusals: number;
}

function isCount(value: unknown, most = Number.MAX_VALUE): boolean {
  return typeof value === "number" && value >= 0 && value <= most;
}

export class User {
  readonly pool: BufferPool;
  readonly guards: Guard[] = [];
  readonly channels: Channel[] = [];
  readonly #random: Random;
  readonly #tally: Tally;
  readonly #seen: number[] = [0];
  readonly #begin: (operation: string) => void;

  constructor(pool: BufferPool, random: Random, tally: Tally, begin: (operation: string) => void) {
    this.pool = pool;
    this.#random = random;
    this.#tally = tally;
    this.#begin = begin;
  }

  async someOperations(most: number): Promise<void> {
    const count = 1 + this.#random.below(most);
    for (let turn = 0; turn < count; turn++) await this.oneOperation();
  }

  async oneOperation(): Promise<void> {
    const acquires = this.#random.once(4);
    const name = acquires ? "acquire" : this.#random.pick(names);
    this.#begin(name);
    this.#tally.operations++;
    try {
      const result = operations[name]?.(this);
      if (result instanceof Promise) await result;
      this.#tally.results++;
    } catch (error) {
      if (!(error instanceof XmemError)) throw error;
      demand(/^[A-Z_]+$/.test(error.code), `the code ${error.code}`);
      this.#tally.refusals++;
    }
  }

  releaseAll(): void {
    for (const guard of this.guards.splice(0)) guard.release();
  }

  /** Each is closed first, so that a recovery removes it with what is in it. */
  leaveChannels(): void {
    for (const channel of this.channels.splice(0)) {
      try {
        channel.close();
      } catch (error) {
        if (!(error instanceof XmemError)) throw error;
      }
      channel[Symbol.dispose]();
    }
  }

  size(): number {
    const { bufferSize } = this.pool;
    return this.#random.pick([
      0,
      1,
      bufferSize,
      bufferSize + 1,
      this.#random.below(bufferSize) + 1,
    ]);
  }

  below(limit: number): number {
    return this.#random.below(limit);
  }

  ref(): number {
    switch (this.#random.below(5)) {
      case 0:
        return this.#random.below(this.pool.capacity + 2);
      case 1:
        return this.#random.below(2 ** 21) * 2 ** 32 + this.#random.uint32();
      default:
        return this.guard()?.handle ?? this.#random.pick(this.#seen);
    }
  }

  guard(): Guard | undefined {
    return this.guards.length > 0 ? this.#random.pick(this.guards) : undefined;
  }

  drop(): Guard | undefined {
    const [guard] = this.guards.splice(this.#random.below(this.guards.length || 1), 1);
    return guard;
  }

  keep(guard: Guard): void {
    demand(isCount(guard.index, this.pool.capacity - 1), `a guard of slot ${guard.index}`);
    demand(isCount(guard.size, this.pool.bufferSize), `a guard of ${guard.size} bytes`);
    demand(Number.isSafeInteger(guard.handle), `the handle ${guard.handle}`);
    this.#seen.push(guard.handle);
    if (this.#seen.length > 32) this.#seen.shift();
    if (this.guards.length < 80) this.guards.push(guard);
    else guard.release();
  }
}

function refCount(value: number): void {
  demand(isCount(value, 65_535), `a count of ${value}`);
}

function checkBytes(value: number, pool: BufferPool): void {
  const most = pool.capacity * (pool.bufferSize + 65_536);
  demand(isCount(value, most), `${value} bytes`);
}

/** Checks that each number in the value is a possible one. */
function checkNumbers(value: unknown, where: string): void {
  if (typeof value === "number") demand(isCount(value), `${where} is ${value}`);
  if (value instanceof Date) demand(!Number.isNaN(value.getTime()), `${where} is no date`);
  if (typeof value !== "object" || value === null) return;
  for (const [key, each] of Object.entries(value)) checkNumbers(each, `${where}.${key}`);
}

function touch(guard: Guard): void {
  const bytes = guard.bytes as Uint8Array;
  demand(bytes.byteLength === guard.size, `${bytes.byteLength} bytes of ${guard.size}`);
  bytes.fill(guard.index);
  demand(
    bytes.every((byte) => byte === guard.index % 256),
    "other bytes than were written",
  );
  if (guard.size % 4 === 0)
    demand((guard as BufferGuard).view("float32").byteLength === guard.size, "a view's size");
}

function describe(user: User, guard: Guard): void {
  const meta = guard.meta as BufferGuard["meta"];
  switch (user.below(9)) {
    case 0:
      meta.dtype = "float32";
      break;
    case 1:
      meta.shape = [1, 2, 3].slice(0, user.below(4));
      break;
    case 2:
      meta.strides = [-8, 2];
      break;
    case 3:
      meta.timestamp = user.below(1000);
      break;
    case 4:
      meta.contentType = "a text";
      break;
    default: {
      const { shape, strides, contentType, producer } = meta;
      demand(shape.length <= 8 && strides.length <= 8, "too many dimensions");
      demand(contentType.length <= 31 && producer.length <= 31, "too long a text");
      checkNumbers([meta.sequence, meta.timestamp, shape], "meta");
      demand(typeof JSON.stringify(meta) === "string", "no JSON");
    }
  }
}

async function acquireAsync(user: User): Promise<void> {
  const timeout = user.below(4);
  const abort = new AbortController();
  const pending = [user.pool.acquireAsync(user.size(), { timeout, signal: abort.signal })];
  if (user.below(2) === 0) pending.push(user.pool.acquireAsync(user.size(), { timeout }));
  const reason = new XmemError("TIMEOUT", "the fuzzer's own reason");
  if (user.below(4) === 0) abort.abort(reason);
  const settled = await Promise.allSettled(pending);
  for (const each of settled) if (each.status === "fulfilled") user.keep(each.value);
  for (const each of settled) if (each.status === "rejected") throw each.reason;
}

function openAgain(user: User): void {
  const how = user.below(2) === 0 ? "open" : "openOrCreate";
  const second = BufferPool[how](user.pool.name);
  try {
    second.acquire(1);
  } finally {
    second.close();
  }
}

function createOver(user: User): void {
  const options: PoolOptions = { capacity: 1, bufferSize: 1 };
  // It works only where a damaged header had the name taken away.
  BufferPool.create(user.pool.name, options).close();
}

const channelsMost = 4;

function openChannel(user: User): void {
  if (user.channels.length === channelsMost) return;
  const name = ["a", "b", "c"][user.below(3)] ?? "a";
  const mode = user.below(2) === 0 ? "queue" : "broadcast";
  const overflow = (["block", "drop-newest", "drop-oldest"] as const)[user.below(3)];
  const given = { capacity: 1 + user.below(4), mode, overflow } as const;
  const jobs = { redeliver: true, maxDeliveries: 1 + user.below(3), overflow } as const;
  const options = [{}, given, jobs, { ...jobs, deadLetter: name === "a" ? "b" : "a" }];
  user.channels.push(user.pool.channel(name, options[user.below(4)]));
}

function withChannel(user: User, use: (channel: Channel) => unknown): unknown {
  if (user.channels.length === 0) return openChannel(user);
  return use(user.channels[user.below(user.channels.length)] as Channel);
}

/** A guard that was sent is done; one that was refused is kept. */
function send(user: User, channel: Channel): void {
  const guard = user.drop();
  if (guard === undefined) return;
  let stays = true;
  try {
    if (user.below(3) === 0) stays = !channel.trySend(guard);
    else {
      channel.send(guard);
      stays = false;
    }
  } finally {
    if (stays) user.keep(guard);
  }
}

function receive(user: User, channel: Channel): void {
  const timeout = user.below(3);
  const guard =
    timeout === 0 ? channel.tryReceive() : channel.receiveBlocking({ timeout: timeout - 1 });
  if (guard === null) return;
  if (!Number.isSafeInteger(guard.deliveries)) throw new Failure(`${guard.deliveries} deliveries`);
  user.keep(guard);
}

function withGuard(user: User, use: (guard: Guard) => void): void {
  const guard = user.guard();
  if (guard !== undefined) use(guard);
}

const operations: Record<string, (user: User) => unknown> = {
  acquire: (user) => user.keep(user.pool.acquire(user.size())),
  tryAcquire: (user) => {
    const guard = user.pool.tryAcquire(user.size());
    if (guard !== null) user.keep(guard);
  },
  acquireBlocking: (user) =>
    user.keep(user.pool.acquireBlocking(user.size(), { timeout: user.below(3) })),
  acquireAsync,
  "guard.release": (user) => user.drop()?.release(),
  "guard.dispose": (user) => user.drop()?.[Symbol.dispose](),
  "guard.clone": (user) => withGuard(user, (guard) => user.keep(guard.clone())),
  "guard.share": (user) => withGuard(user, (guard) => guard.share()),
  "guard.handOff": (user) => user.drop()?.handOff(),
  "guard.forget": (user) => user.drop()?.forget(),
  "guard.bytes": (user) => withGuard(user, touch),
  "guard.meta": (user) => withGuard(user, (guard) => describe(user, guard)),
  get: (user) => user.keep(user.pool.get(user.ref())),
  getMut: (user) => user.keep(user.pool.getMut(user.ref())),
  take: (user) => user.keep(user.pool.take(user.ref())),
  addRef: (user) => refCount(user.pool.addRef(user.ref())),
  unref: (user) => refCount(user.pool.unref(user.ref())),
  release: (user) => refCount(user.pool.release(user.ref())),
  refCount: (user) => refCount(user.pool.refCount(user.ref())),
  setRefCount: (user) => refCount(user.pool.setRefCount(user.ref(), user.below(5))),
  tryRelease: (user) => demand(typeof user.pool.tryRelease(user.ref()) === "boolean", "no boolean"),
  releaseBuffer: (user) => user.pool.releaseBuffer(user.ref()),
  preallocate: (user) => checkBytes(user.pool.preallocate(user.size(), user.below(9)), user.pool),
  trim: (user) => checkBytes(user.pool.trim(), user.pool),
  flush: (user) => user.pool.flush(),
  unflush: (user) => user.pool.unflush(),
  reclaim: (user) => checkNumbers(user.pool.reclaim(), "reclaim()"),
  stats: (user) => checkNumbers(user.pool.stats(), "stats()"),
  inspect: (user) => checkNumbers(BufferPool.inspect(user.pool.name), "inspect()"),
  buffers: (user) => checkNumbers(BufferPool.buffers(user.pool.name), "buffers()"),
  outstanding: (user) => checkNumbers(user.pool.outstanding(), "outstanding()"),
  channel: openChannel,
  "channel.send": (user) => withChannel(user, (channel) => send(user, channel)),
  "channel.receive": (user) => withChannel(user, (channel) => receive(user, channel)),
  "channel.receive async": (user) =>
    withChannel(user, async (channel) => user.keep(await channel.receive({ timeout: 1 }))),
  "channel.close": (user) => user.below(4) === 0 && withChannel(user, (channel) => channel.close()),
  "channel.leave": (user) => user.channels.pop()?.[Symbol.dispose](),
  "channel.stats": (user) =>
    withChannel(user, (channel) => checkNumbers(channel.stats(), "stats() of a channel")),
  // These look at everything in the folder, so they are rare.
  list: (user) => user.below(4) === 0 && checkNumbers(BufferPool.list(), "list()"),
  openAgain,
  createOver,
};
const names = Object.keys(operations);
