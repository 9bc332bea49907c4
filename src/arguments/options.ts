// Every option that a user can give: its type, its bounds, and its place in what the core takes.
// Options are declared only here. An option that is not declared is refused, and the message names
// the nearest one that is.

import { raise } from "../errors/error.ts";
import * as constants from "../generated/constants.gen.ts";
import { float64s } from "../native/scratch.ts";
import { suggestion } from "./suggestion.ts";
import {
  boolean,
  channelName,
  integer,
  object,
  poolName,
  refuse,
  text,
  uint32,
  uint32Max,
} from "./validate.ts";

/**
 * What a pool is made with. Lengths are bytes, times are milliseconds. `openOrCreate` uses them
 * only when it makes the pool, but an existing pool with less `capacity` or `bufferSize` than asked
 * is refused.
 */
export interface PoolOptions {
  /** How many buffers the pool has, 1 to 2^24 - 2; default 1024. */
  capacity?: number | undefined;
  /**
   * The most bytes that one buffer can have, 1 to 2^32 - 1; default 1 MiB. It costs address space,
   * and memory only once a buffer of that size is used.
   */
  bufferSize?: number | undefined;
  /**
   * How many threads may have the pool open at once, 1 to 4096; default 64. Several opens of one
   * thread count as one.
   */
  maxParticipants?: number | undefined;
  /**
   * Milliseconds for which an in-flight reference lives, 0 to 2^32 - 1; default 30,000. The next
   * recovery drops a reference that nobody took in that time. 0: it never expires.
   */
  leaseTimeout?: number | undefined;
  /**
   * The most bytes of data, without the control area, for which memory may be committed at once;
   * default `capacity` x `bufferSize`.
   */
  maxCommitted?: number | undefined;
  /** How many channels the pool can have, 0 to 1024; default 16. Room for them is reserved. */
  channels?: number | undefined;
  /**
   * Whether a buffer's bytes are zeroed when it is recycled; default false: the next user finds
   * what the last one left.
   */
  zeroOnRelease?: boolean | undefined;
  /**
   * Permission bits of the object, whatever the umask, at most 0o777; default 0o600 (with
   * `allowGroup` 0o660).
   */
  mode?: number | undefined;
  /**
   * Whether the name is removed when the last participant leaves, or when somebody finds only dead
   * participants; default false.
   */
  ephemeral?: boolean | undefined;
}

/**
 * How this process uses the pool. Of these options only the participant's name is stored in the
 * pool.
 */
export interface OpenOptions {
  /**
   * What becomes of `bytes` and views of a released guard. "shared", the default: they still show
   * the memory, which by then may be somebody else's buffer. "detach": they read length 0. Each use
   * of `bytes` then makes an ArrayBuffer, which costs more the longer it is: 0.5 us for 1 KiB, 1.5
   * us for 64 KiB, 15 us for 1 MiB.
   */
  views?: "shared" | "detach" | undefined;
  /**
   * The most bytes of views that are kept for the next use of a slot; default 16 MiB. 0 keeps none.
   */
  viewCache?: number | undefined;
  /**
   * The name of this thread in `stats()` and in messages, at most 31 bytes of UTF-8; default none.
   * The first open of a thread sets it.
   */
  participantName?: string | undefined;
  /**
   * The uid of a user whose pools are trusted, besides one's own and root's. A user who may write
   * to a pool can spoil its buffers, and can end the processes that have it open.
   */
  allowOwner?: number | undefined;
  /**
   * The gid of a group whose pools are trusted, too: every member of the group can make such a
   * pool, and change what is in it. A pool that is made with it belongs to that group, with mode
   * 0o660 by default.
   */
  allowGroup?: number | undefined;
  /**
   * How many of the buffers that this thread has released it keeps for its own next acquires, 0 to
   * 512; default 0. Acquire and release then change nothing that other participants share: they
   * cost one thread alone as much as without it, and stay at that where others do the same. Use it
   * where several threads or processes acquire and release buffers all the time, and the pool has
   * buffers to spare.
   *
   * What is kept is free: `stats` counts it so, others get it as soon as the pool has no other
   * buffer, and nothing is kept while anybody waits. Two things are given up. The order in which
   * buffers are used again is last in, first out within each thread only. And an acquire that finds
   * no other buffer has to look through all that is kept, which costs a microsecond or more. Only a
   * release of a buffer's last hold keeps it, and none does in a pool with `zeroOnRelease`. All
   * opens of a thread share one cache, of the largest size that one of them asked for.
   */
  localCache?: number | undefined;
}

/**
 * Which pools a look from outside trusts, besides this user's own and root's. Root sees those of
 * all users.
 */
export interface LookOptions {
  /** The uid of a user whose pools are trusted. */
  allowOwner?: number | undefined;
  /** The gid of a group whose pools are trusted. */
  allowGroup?: number | undefined;
}

/** How `metricsText` writes. */
export interface MetricsOptions {
  /**
   * "prometheus", the default: the text format 0.0.4, for the content type
   * `text/plain; version=0.0.4`. "openmetrics": OpenMetrics 1.0.0, for
   * `application/openmetrics-text; version=1.0.0; charset=utf-8`.
   */
  format?: "prometheus" | "openmetrics" | undefined;
}

/** What `BufferPool.prune` does with what it finds. */
export interface PruneOptions {
  /** Whether the names are only returned and stay; default false. */
  dryRun?: boolean | undefined;
  /** The only pool that is looked at; default: all of the folder. */
  name?: string | undefined;
}

/** What `openOrCreate` does with a pool that it finds. */
export interface ReplaceOptions {
  /** Whether a pool without a live participant is replaced by a new one; default false. */
  replaceAbandoned?: boolean | undefined;
}

/** How long an asynchronous wait lasts. */
export interface WaitOptions {
  /** Milliseconds, 0 to 2^32 - 1; default: it waits for ever. 0 tries once. */
  timeout?: number | undefined;
  /**
   * Ends the wait when it aborts: the promise is rejected with `signal.reason`, and nothing was
   * taken.
   */
  signal?: AbortSignal | undefined;
}

/** What a channel is made with, and what this object does with it. */
export interface ChannelOptions {
  /** How many buffers can be queued, 1 to 65,536; default 16. */
  capacity?: number | undefined;
  /**
   * Whether each buffer goes to one receiver, "queue", the default, or to every subscriber.
   */
  mode?: "queue" | "broadcast" | undefined;
  /**
   * What `send` does where the channel is full: "block", the default, refuses it, so that senders
   * wait; "drop-newest" drops the buffer that is sent; "drop-oldest" drops the one that has been
   * queued for longest.
   */
  overflow?: "block" | "drop-newest" | "drop-oldest" | undefined;
  /**
   * Whether this object receives; default true. With false it only sends, and in mode "broadcast"
   * it has no subscription, which would have to keep up with the others.
   */
  subscribe?: boolean | undefined;
  /**
   * In mode "broadcast", how many of the newest buffers stay in the channel, for subscribers that
   * come late; below `capacity`, default 0.
   */
  history?: number | undefined;
  /**
   * In mode "queue": what a receiver holds when it dies goes back to the channel, ahead of newer
   * buffers, and is received again; default false. So each buffer is received at least once. The
   * guard's `release` ends that, and so does whatever else ends it but the death of its thread or
   * process.
   */
  redeliver?: boolean | undefined;
  /**
   * How often a buffer is received at most, where `redeliver` is true; 1 to 2^32 - 1, default 5.
   * Past 2,047 nobody counts, and the buffer comes back for ever.
   */
  maxDeliveries?: number | undefined;
  /**
   * The name of the channel of mode "queue" to which a buffer goes that was received
   * `maxDeliveries` times. Where there is none just then, the buffer is recycled, and counted as
   * dropped.
   */
  deadLetter?: string | undefined;
}

/** What an option's value must be. */
interface Rule<Value> {
  check(tried: string, what: string, value: unknown, on: string): Value;
  /** Its place among the core's options; undefined where the core does not take it. */
  place?: number | undefined;
}

type Rules<Options> = { readonly [Name in keyof Options]-?: Rule<NonNullable<Options[Name]>> };

function whole(least: number, most: number, place?: number): Rule<number> {
  return { check: (tried, what, value, on) => integer(tried, what, value, least, most, on), place };
}

function flag(place?: number): Rule<boolean> {
  return { check: boolean, place };
}

/** One of the names of `numbers`, by which the core knows them. */
function oneOf<Name extends string>(numbers: Readonly<Record<Name, number>>): Rule<Name> {
  const known = Object.keys(numbers);
  const quoted = known.map((each) => JSON.stringify(each));
  const expected = `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
  const isKnown = (value: unknown): value is Name => known.includes(value as string);
  return {
    check(tried, what, value, on) {
      if (isKnown(value)) return value;
      refuse(tried, what, value, expected, on);
    },
  };
}

const poolRules: Rules<PoolOptions> = {
  capacity: whole(1, constants.LIMIT_CAPACITY, constants.OPTION_CAPACITY),
  bufferSize: whole(1, uint32Max, constants.OPTION_BUFFER_SIZE),
  maxParticipants: whole(1, constants.LIMIT_PARTICIPANTS, constants.OPTION_MAX_PARTICIPANTS),
  leaseTimeout: whole(0, uint32Max, constants.OPTION_LEASE_TIMEOUT),
  maxCommitted: whole(1, Number.MAX_SAFE_INTEGER, constants.OPTION_MAX_COMMITTED),
  channels: whole(0, constants.LIMIT_CHANNELS, constants.OPTION_CHANNELS),
  zeroOnRelease: flag(constants.OPTION_ZERO_ON_RELEASE),
  mode: whole(0, constants.LIMIT_MODE, constants.OPTION_MODE),
  ephemeral: flag(constants.OPTION_EPHEMERAL),
};

/** To the system the number above it means no group. */
const groupMax = uint32Max - 1;

const lookRules: Rules<LookOptions> = {
  allowOwner: whole(0, uint32Max, constants.OPTION_ALLOW_OWNER),
  allowGroup: whole(0, groupMax, constants.OPTION_ALLOW_GROUP),
};

const openRules: Rules<OpenOptions> = {
  views: {
    check(tried, what, value, on) {
      if (value === "shared" || value === "detach") return value;
      refuse(tried, what, value, '"shared" or "detach"', on);
    },
  },
  viewCache: whole(0, Number.MAX_SAFE_INTEGER),
  participantName: { check: text },
  localCache: whole(0, constants.LIMIT_LOCAL_CACHE, constants.OPTION_LOCAL_CACHE),
  ...lookRules,
};

const replaceRules: Rules<ReplaceOptions> = {
  replaceAbandoned: flag(constants.OPTION_REPLACE_ABANDONED),
};

const everyRule: Rules<PoolOptions & OpenOptions & ReplaceOptions> = {
  ...poolRules,
  ...openRules,
  ...replaceRules,
};

export type How = "create" | "open" | "openOrCreate";

/** In the order in which a message names them. */
const rulesOf: Record<How, Readonly<Record<string, Rule<unknown>>>> = {
  create: { ...poolRules, ...openRules },
  open: openRules,
  openOrCreate: everyRule,
};

const viewCacheDefault = 16 * 1024 * 1024;

/** Options that were checked, as the native side and the session take them. */
interface OpeningOptions {
  /** By the core's places; -1 where an option was not given. */
  numbers: Float64Array;
  views: "shared" | "detach";
  viewCache: number;
  participantName: string;
  /** Whether it has a cache of free slots. */
  caches: boolean;
}

export function openingOptions(
  how: How,
  tried: string,
  value: unknown,
  on: string,
): OpeningOptions {
  const given = object(tried, "options", value, on);
  const owners = (name: string): string[] =>
    Object.entries(rulesOf).flatMap(([each, rules]) => (Object.hasOwn(rules, name) ? [each] : []));
  refuseUnknown(tried, given, rulesOf[how], on, owners);
  const numbers = float64s(constants.OPTION_COUNT).fill(-1);
  const checked = <Value>(name: string, rule: Rule<Value>): Value | undefined =>
    given[name] === undefined ? undefined : rule.check(tried, name, given[name], on);
  for (const [name, rule] of Object.entries<Rule<unknown>>(everyRule)) {
    const result = checked(name, rule);
    if (rule.place !== undefined && result !== undefined) numbers[rule.place] = Number(result);
  }
  return {
    numbers,
    views: checked("views", openRules.views) ?? "shared",
    viewCache: checked("viewCache", openRules.viewCache) ?? viewCacheDefault,
    participantName: checked("participantName", openRules.participantName) ?? "",
    caches: (numbers[constants.OPTION_LOCAL_CACHE] ?? 0) > 0,
  };
}

/** A uid and a gid whose objects are trusted besides one's own and root's; -1 for none. */
export type Trust = [owner: number, group: number];

/** The users whose objects a look from outside trusts. */
export function lookOptions(tried: string, value: unknown, on: string): Trust {
  const given = object(tried, "options", value, on);
  refuseUnknown(tried, given, lookRules, on);
  const id = (name: keyof LookOptions): number =>
    given[name] === undefined ? -1 : lookRules[name].check(tried, name, given[name], on);
  return [id("allowOwner"), id("allowGroup")];
}

const metricsRules: Rules<MetricsOptions> = {
  format: oneOf({ prometheus: 0, openmetrics: 1 }),
};

/** Whether to write OpenMetrics, and for a look from outside also what to trust. */
export function metricsOptions(
  tried: string,
  value: unknown,
  on: string,
  looks: boolean,
): { isOpen: boolean; trust: Trust } {
  const given = object(tried, "options", value, on);
  refuseUnknown(tried, given, looks ? { ...metricsRules, ...lookRules } : metricsRules, on);
  const { format, ...look } = given;
  const checked =
    format === undefined ? "prometheus" : metricsRules.format.check(tried, "format", format, on);
  return { isOpen: checked === "openmetrics", trust: lookOptions(tried, looks ? look : {}, on) };
}

const pruneRules: Rules<PruneOptions> = {
  dryRun: flag(),
  name: { check: (tried, _, value) => poolName(tried, value) },
};

export function pruneOptions(
  tried: string,
  value: unknown,
  on: string,
): { dryRun: boolean; name: string | null } {
  const given = object(tried, "options", value, on);
  refuseUnknown(tried, given, pruneRules, on);
  const { dryRun, name } = given;
  return {
    dryRun: dryRun !== undefined && pruneRules.dryRun.check(tried, "dryRun", dryRun, on),
    name: name === undefined ? null : pruneRules.name.check(tried, "name", name, on),
  };
}

const waitRules: Rules<WaitOptions> = {
  timeout: { check: uint32 },
  signal: {
    check(tried, what, value, on) {
      if (value instanceof AbortSignal) return value;
      refuse(tried, what, value, "an AbortSignal", on);
    },
  },
};

/** A wait's timeout (undefined: for ever) and signal. */
export function waitOptions(
  tried: string,
  value: unknown,
  on: string,
): { timeout: number | undefined; signal: AbortSignal | undefined } {
  const given = object(tried, "options", value, on);
  refuseUnknown(tried, given, waitRules, on);
  const { timeout, signal } = given;
  return {
    timeout:
      timeout === undefined ? undefined : waitRules.timeout.check(tried, "timeout", timeout, on),
    signal: signal === undefined ? undefined : waitRules.signal.check(tried, "signal", signal, on),
  };
}

type Mode = NonNullable<ChannelOptions["mode"]>;
type Overflow = NonNullable<ChannelOptions["overflow"]>;

export const channelModes: Readonly<Record<Mode, number>> = {
  queue: constants.CHANNEL_MODE_QUEUE,
  broadcast: constants.CHANNEL_MODE_BROADCAST,
};

export const channelOverflows: Readonly<Record<Overflow, number>> = {
  block: constants.CHANNEL_OVERFLOW_BLOCK,
  "drop-newest": constants.CHANNEL_OVERFLOW_DROP_NEWEST,
  "drop-oldest": constants.CHANNEL_OVERFLOW_DROP_OLDEST,
};

const channelRules: Rules<ChannelOptions> = {
  capacity: whole(1, constants.LIMIT_CHANNEL_CAPACITY),
  mode: oneOf(channelModes),
  overflow: oneOf(channelOverflows),
  subscribe: flag(),
  history: whole(0, constants.LIMIT_CHANNEL_CAPACITY),
  redeliver: flag(),
  maxDeliveries: whole(1, uint32Max),
  deadLetter: { check: (tried, what, value, on) => channelName(tried, value, on, what) },
};

/** By the core's places, -1 where an option was not given; and whether the object receives. */
export function channelOptions(
  tried: string,
  value: unknown,
  on: string,
): { numbers: Float64Array; subscribe: boolean; deadLetter: string } {
  const given = object(tried, "options", value, on);
  refuseUnknown(tried, given, channelRules, on);
  const checked = <Value>(name: keyof ChannelOptions, rule: Rule<Value>): Value | undefined =>
    given[name] === undefined ? undefined : rule.check(tried, name, given[name], on);
  const capacity = checked("capacity", channelRules.capacity);
  const mode = checked("mode", channelRules.mode);
  const overflow = checked("overflow", channelRules.overflow);
  const subscribe = checked("subscribe", channelRules.subscribe) ?? true;
  const history = checked("history", channelRules.history);
  const redeliver = checked("redeliver", channelRules.redeliver);
  const maxDeliveries = checked("maxDeliveries", channelRules.maxDeliveries);
  const deadLetter = checked("deadLetter", channelRules.deadLetter);
  if (redeliver === true && mode === "broadcast") {
    refuse(tried, "redeliver", redeliver, 'false in mode "broadcast"', on);
  }
  // What an existing channel makes of the rest, the core says.
  if (history !== undefined && history > 0 && mode === "queue") {
    refuse(tried, "history", history, '0 in mode "queue"', on);
  }
  if (history !== undefined && capacity !== undefined && history >= capacity) {
    refuse(tried, "history", history, `less than the capacity, ${capacity}`, on);
  }
  const numbers = float64s(constants.CHANNEL_OPTION_COUNT).fill(-1);
  numbers[constants.CHANNEL_OPTION_CAPACITY] = capacity ?? -1;
  numbers[constants.CHANNEL_OPTION_MODE] = mode === undefined ? -1 : channelModes[mode];
  numbers[constants.CHANNEL_OPTION_OVERFLOW] =
    overflow === undefined ? -1 : channelOverflows[overflow];
  numbers[constants.CHANNEL_OPTION_HISTORY] = history ?? -1;
  numbers[constants.CHANNEL_OPTION_SUBSCRIBE] = Number(subscribe);
  numbers[constants.CHANNEL_OPTION_REDELIVER] = redeliver === undefined ? -1 : Number(redeliver);
  numbers[constants.CHANNEL_OPTION_MAX_DELIVERIES] = maxDeliveries ?? -1;
  numbers[constants.CHANNEL_OPTION_DEAD_LETTER] = deadLetter === undefined ? -1 : 1;
  return { numbers, subscribe, deadLetter: deadLetter ?? "" };
}

/** The timeout of a call that blocks, which must be given: nothing else can end it. */
export function blockingTimeout(tried: string, value: unknown, on: string): number {
  const given = object(tried, "options", value, on);
  // Looks at the names without making a list of them: a wait that is served at once takes no longer.
  for (const name in given) {
    if (name !== "timeout") refuseUnknown(tried, given, { timeout: waitRules.timeout }, on);
  }
  return waitRules.timeout.check(tried, "timeout", given["timeout"], on);
}

/**
 * Refuses an option that is not in `known`. `owners` names the calls that have it. An option of
 * another call passes while its value is undefined, so that one object can be built for several
 * calls.
 */
function refuseUnknown(
  tried: string,
  given: Record<string, unknown>,
  known: Readonly<Record<string, unknown>>,
  on: string,
  owners: (name: string) => string[] = () => [],
): void {
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(known, name)) continue;
    const others = owners(name);
    const found = `there is no option ${JSON.stringify(name)}`;
    if (others.length === 0) {
      raise("INVALID_ARGUMENT", `${tried} ${on}`, found, { advice: suggestion(name, known) });
    }
    if (given[name] === undefined) continue;
    const advice = `it is one of ${others.map((each) => `${each}()`).join(" and ")}`;
    raise("INVALID_ARGUMENT", `${tried} ${on}`, `${found} here`, { advice });
  }
}
