// The pool as its users see it: each method checks its arguments, makes one native call, and says
// what went wrong where it did.

import {
  blockingTimeout,
  type ChannelOptions,
  type How,
  type LookOptions,
  lookOptions,
  type MetricsOptions,
  metricsOptions,
  type OpenOptions,
  openingOptions,
  type PoolOptions,
  type PruneOptions,
  pruneOptions,
  type ReplaceOptions,
  type WaitOptions,
  waitOptions,
} from "../arguments/options.ts";
import * as validate from "../arguments/validate.ts";
import { BufferGuard, guardOf } from "../buffer/guard.ts";
import type { ReadGuard } from "../buffer/read_guard.ts";
import { Channel, openChannel, sourceIn } from "../channel/channel.ts";
import { raise } from "../errors/error.ts";
import { publish } from "../errors/user_frame.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { keptSessions } from "../lifetime/generations.ts";
import { beginTracing, stackHere } from "../lifetime/trace.ts";
import {
  acquireIndex,
  acquireIndexCached,
  acquireIndexStraight,
  closed,
  generationMade,
  getByRef,
  native,
  sizeMade,
  takeByRef,
} from "../native/native.ts";
import { cString, float64s } from "../native/scratch.ts";
import { nativeError } from "../native/system_error.ts";
import { Session } from "../session/session.ts";
import { buffers } from "../wait/buffers.ts";
import { sinceCall } from "../wait/caller.ts";
import { endWaits, queueOf } from "../wait/queue.ts";
import { type BufferInfo, buffersOf, type OutstandingBuffer, outstandingOf } from "./buffers.ts";
import { eventTypes, type PoolEventType, type PoolListener } from "./events.ts";
import * as folder from "./folder.ts";
import { textOf } from "./metrics.ts";
import { type PoolStats, statsOf } from "./statistics.ts";
import { endWatch, watcherOf } from "./watcher.ts";

/** What a recovery found and gave back. */
export interface ReclaimReport {
  /** Dead participants whose rows were emptied. */
  participants: number;
  /** Holds of the dead and expired in-flight references that were dropped. */
  references: number;
  /** Slots that became free. */
  buffers: number;
  /**
   * Whether a live participant stands still inside an operation, so that the pool cannot be
   * recovered now; the next recovery finishes the job.
   */
  deferred: boolean;
}

/** A pool that this thread has open. */
export interface OpenedPool {
  /** The object that `create`, `open` or `openOrCreate` returned. */
  pool: BufferPool;
  /** When it was opened. */
  since: Date;
  /** The frames of the stack that opened it, the innermost first; empty without tracing. */
  stack: string[];
}

const howNumbers: Record<How, number> = {
  create: constants.HOW_CREATE,
  open: constants.HOW_OPEN,
  openOrCreate: constants.HOW_OPEN_OR_CREATE,
};

/** The cheapest form of the check; a BigInt would throw on the shift alone. -0 passes. */
function isUint32(value: number): boolean {
  return typeof value === "number" && value >>> 0 === value;
}

// These are functions: the engine does not inline an acquire that calls private methods.

function refuseSize(session: Session, tried: string, size: unknown): never {
  if (session.descriptor === closed) raise("POOL_CLOSED", `${tried} ${session.on}`);
  validate.uint32(tried, "size", size, session.on);
  throw session.failure(-constants.ERROR_INVALID_ARGUMENT, tried);
}

function fail(session: Session, result: number, tried: string, size: number): never {
  throw session.failure(result, tried, { size });
}

function failRef(session: Session, result: number, tried: string, ref: number): never {
  if (result === -constants.ERROR_INVALID_ARGUMENT) refuseRef(session, tried, ref);
  throw session.failure(result, tried, { ref });
}

function refuseRef(session: Session, tried: string, ref: unknown): never {
  if (session.descriptor === closed) raise("POOL_CLOSED", `${tried} ${session.on}`);
  validate.ref(tried, ref, session.on);
  throw session.failure(-constants.ERROR_INVALID_ARGUMENT, tried);
}

function checkListener(tried: string, type: unknown, listener: unknown, on: string): void {
  const isKnown = typeof type === "string" && Object.hasOwn(eventTypes, type);
  if (!isKnown) {
    const known = Object.keys(eventTypes).map((each) => JSON.stringify(each));
    validate.refuse(tried, "the event", type, `one of ${known.join(", ")}`, on);
  }
  if (typeof listener !== "function") {
    validate.refuse(tried, "the listener", listener, "a function", on);
  }
}

/**
 * Makes structuredClone and postMessage refuse a pool, instead of giving the receiver an empty
 * object.
 */
const notCloned: unique symbol = Symbol("send pool.name instead");

/** Which object opened a channel; it stays reachable as long as the channel is. */
const poolOfChannel = new WeakMap<Channel, BufferPool>();

/**
 * A pool of buffers in shared memory that processes and Workers have open by its name. Each open is
 * an object of its own, but all opens of one thread are one participant: its buffers are given back
 * when the thread ends, however it ends.
 *
 * @example
 * ```ts
 * using pool = BufferPool.openOrCreate("frames", { capacity: 8, bufferSize: 1024 * 1024 });
 * using frame = pool.acquire(640 * 480);
 * frame.bytes.fill(7);
 * ```
 */
export class BufferPool implements Disposable {
  /** A symbol, so that no structured clone is made of a pool: its name opens it elsewhere. */
  readonly uncloneable: symbol = notCloned;
  /** Of each session that is kept, since a program may have lost the object. */
  static readonly #opened = new WeakMap<object, OpenedPool>();
  readonly #session: Session;
  /** The session's descriptor, one step nearer. */
  #descriptor: Descriptor;

  private constructor(session: Session) {
    // JavaScript can call it, although it is private; the native side would be called without a
    // descriptor.
    if (!(session instanceof Session)) {
      raise("INVALID_ARGUMENT", "new BufferPool()", "a pool is opened by its name", {
        advice: "call BufferPool.create(), open() or openOrCreate()",
      });
    }
    this.#session = session;
    this.#descriptor = session.descriptor;
    const stack = stackHere(
      "BufferPool.create()",
      "BufferPool.open()",
      "BufferPool.openOrCreate()",
    );
    BufferPool.#opened.set(session, { pool: this, since: new Date(), stack });
  }

  /** The name that opens the pool elsewhere. */
  get name(): string {
    return this.#session.name;
  }

  /** How many buffers the pool has. */
  get capacity(): number {
    return this.#session.capacity;
  }

  /** The most bytes that one buffer can have. */
  get bufferSize(): number {
    return this.#session.bufferSize;
  }

  /**
   * Makes a pool and opens it. `name` is that of the file `xmem.<name>` in /dev/shm, or in the
   * folder that the environment variable XMEM_DIR names.
   *
   * @throws INVALID_ARGUMENT: `name` is not 1 to 200 letters, digits, `.`, `_` or `-`, or is `.` or
   *   `..`; an option does not exist, is out of range or of the wrong type.
   * @throws POOL_EXISTS: something has that name already; an ephemeral pool of the dead does not
   *   count.
   * @throws PERMISSION_DENIED: the folder does not let this user make a file.
   * @throws OUT_OF_MEMORY: the control area does not fit into the file system or memory, or
   *   `capacity` x `bufferSize` into the address space; no file is left.
   * @throws TOO_MANY_PARTICIPANTS: all rows of the pool are taken (`maxParticipants`), or this
   *   thread has more pools open than the kernel watches over.
   * @throws UNSUPPORTED_PLATFORM: this system does not mark the mutexes of dead threads, without
   *   which no death would be noticed.
   * @throws SYSTEM: the folder does not exist, or another system call failed; `cause` names it.
   */
  static create(name: string, options?: PoolOptions & OpenOptions): BufferPool {
    return new BufferPool(BufferPool.#openSession("create", name, options));
  }

  /**
   * Opens a pool that exists.
   *
   * @throws INVALID_ARGUMENT: `name` is not 1 to 200 letters, digits, `.`, `_` or `-`, or is `.` or
   *   `..`; an option does not exist, is out of range or of the wrong type.
   * @throws POOL_NOT_FOUND: nothing has that name, there is no such folder, or it was an ephemeral
   *   pool whose participants are all gone.
   * @throws POOL_CORRUPT: what has that name is no pool, or its header is damaged.
   * @throws VERSION_MISMATCH: the object was made by another version of the layout, another libc
   *   kind or with another page size.
   * @throws PERMISSION_DENIED: the folder or the object does not let this user in, or the object
   *   belongs to somebody whom neither `allowOwner` nor `allowGroup` names.
   * @throws TOO_MANY_PARTICIPANTS: all rows of the pool are taken (`maxParticipants`), or this
   *   thread has more pools open than the kernel watches over.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws OUT_OF_MEMORY: there is no room for the control area, for this thread's row or for the
   *   mapping.
   * @throws UNSUPPORTED_PLATFORM: this system does not mark the mutexes of dead threads, without
   *   which no death would be noticed.
   * @throws SYSTEM: a system call failed; `cause` names it.
   *
   * @example
   * ```ts
   * using pool = BufferPool.open("frames", { participantName: "encoder" });
   * ```
   */
  static open(name: string, options?: OpenOptions): BufferPool {
    return new BufferPool(BufferPool.#openSession("open", name, options));
  }

  /**
   * Opens the pool of that name, or makes it where there is none. When two processes do so at once,
   * one of them makes it, and both have it open.
   *
   * @throws INVALID_ARGUMENT: `name` is not 1 to 200 letters, digits, `.`, `_` or `-`, or is `.` or
   *   `..`; an option does not exist, is out of range or of the wrong type.
   * @throws OPTIONS_MISMATCH: the pool exists, and has less `capacity` or `bufferSize` than was
   *   explicitly asked for.
   * @throws POOL_CORRUPT: what has that name is no pool, or its header is damaged. It stays as it
   *   is: see `BufferPool.unlink`.
   * @throws VERSION_MISMATCH: the object was made by another version of the layout, another libc
   *   kind or with another page size.
   * @throws PERMISSION_DENIED: the folder or the object does not let this user in, or the object
   *   belongs to somebody whom neither `allowOwner` nor `allowGroup` names.
   * @throws TOO_MANY_PARTICIPANTS: all rows of the pool are taken (`maxParticipants`), or this
   *   thread has more pools open than the kernel watches over.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws OUT_OF_MEMORY: there is no room for the control area, for this thread's row or for the
   *   mapping.
   * @throws UNSUPPORTED_PLATFORM: this system does not mark the mutexes of dead threads, without
   *   which no death would be noticed.
   * @throws SYSTEM: a system call failed; `cause` names it.
   */
  static openOrCreate(
    name: string,
    options?: PoolOptions & OpenOptions & ReplaceOptions,
  ): BufferPool {
    return new BufferPool(BufferPool.#openSession("openOrCreate", name, options));
  }

  /**
   * Removes a name, whatever it leads to. Participants that have the pool open go on with it; its
   * memory is freed with the last of them. Returns whether there was such a name.
   *
   * @throws INVALID_ARGUMENT: `name` is not 1 to 200 letters, digits, `.`, `_` or `-`, or is `.` or
   *   `..`.
   * @throws PERMISSION_DENIED: the folder does not let this user remove the file.
   * @throws POOL_CORRUPT: a folder has that name, which xmem does not remove.
   * @throws POOL_BUSY: a process that is stopped is removing just that name.
   * @throws SYSTEM: a system call failed; `cause` names it.
   */
  static unlink(name: string): boolean {
    const dir = folder.poolDirectory();
    const checked = validate.poolName("BufferPool.unlink()", name);
    const result = native.xmem_bun_unlink(cString(dir), cString(checked), -1, 0, -1);
    if (result < 0) throw folder.openFailure(result, "BufferPool.unlink()", checked, dir);
    return result === 1;
  }

  /**
   * Looks at every pool of the folder, from outside: also at the broken ones, whose `problem` says
   * what is wrong with them. First it removes this user's ephemeral pools of which only dead
   * participants are left.
   *
   * @throws INVALID_ARGUMENT: an option does not exist, is out of range or of the wrong type.
   * @throws PERMISSION_DENIED: this user cannot read the folder.
   * @throws SYSTEM: the folder cannot be read; `cause` says why.
   */
  static list(options?: LookOptions): folder.PoolInfo[] {
    const tried = "BufferPool.list()";
    const dir = folder.poolDirectory();
    const trust = lookOptions(tried, options, `of ${dir}`);
    native.xmem_bun_remove_left_over(cString(dir));
    return folder.infos(dir, folder.namesIn(dir, tried), trust);
  }

  /**
   * Looks at a pool from outside: it takes no row, starts no recovery and writes nothing, so that
   * it works on a full or damaged pool.
   *
   * @throws INVALID_ARGUMENT: `name` is not 1 to 200 letters, digits, `.`, `_` or `-`, or is `.` or
   *   `..`; an option does not exist, is out of range or of the wrong type.
   * @throws POOL_NOT_FOUND: nothing has that name, or there is no such folder.
   * @throws POOL_CORRUPT: what has that name is no pool, or its header is damaged.
   * @throws VERSION_MISMATCH: the object was made by another version of the layout, another libc
   *   kind or with another page size.
   * @throws PERMISSION_DENIED: the folder or the object does not let this user in, or the object
   *   belongs to somebody whom neither `allowOwner` nor `allowGroup` names.
   * @throws OUT_OF_MEMORY: there is no room to map the pool.
   * @throws SYSTEM: a system call failed; `cause` names it.
   */
  static inspect(name: string, options?: LookOptions): PoolStats {
    const tried = "BufferPool.inspect()";
    const checked = validate.poolName(tried, name);
    const trust = lookOptions(tried, options, `of pool "${checked}"`);
    const dir = folder.poolDirectory();
    return folder.seen(folder.observe(tried, dir, checked, trust), statsOf);
  }

  /**
   * Describes each buffer in use, as a look from outside: who holds it since when, which channel it
   * is in, who handed it over and until when that lasts. It takes no row, starts no recovery and
   * writes nothing, so that it works on a full or damaged pool. It is for people who look for what
   * fills a pool, and not for the flow of a program.
   *
   * @throws INVALID_ARGUMENT: `name` is not 1 to 200 letters, digits, `.`, `_` or `-`, or is `.` or
   *   `..`; an option does not exist, is out of range or of the wrong type.
   * @throws POOL_NOT_FOUND: nothing has that name, or there is no such folder.
   * @throws POOL_CORRUPT: what has that name is no pool, or its header is damaged.
   * @throws VERSION_MISMATCH: the object was made by another version of the layout, another libc
   *   kind or with another page size.
   * @throws PERMISSION_DENIED: the folder or the object does not let this user in, or the object
   *   belongs to somebody whom neither `allowOwner` nor `allowGroup` names.
   * @throws OUT_OF_MEMORY: there is no room to map the pool.
   * @throws SYSTEM: a system call failed; `cause` names it.
   *
   * @example
   * ```ts
   * for (const { index, holders } of BufferPool.buffers("frames")) {
   *   console.log(index, holders.map(({ name, pid }) => `${name} (${pid})`));
   * }
   * ```
   */
  static buffers(name: string, options?: LookOptions): BufferInfo[] {
    const tried = "BufferPool.buffers()";
    const checked = validate.poolName(tried, name);
    const trust = lookOptions(tried, options, `of pool "${checked}"`);
    const dir = folder.poolDirectory();
    return folder.seen(folder.observe(tried, dir, checked, trust), buffersOf);
  }

  /**
   * The numbers of a pool as text for Prometheus, as a look from outside; without a name those of
   * all pools of the folder. A pool that cannot be looked at has only `xmem_pool_up`, which is 0.
   * docs/operations.md lists the metrics.
   *
   * @throws INVALID_ARGUMENT: `name` is not 1 to 200 letters, digits, `.`, `_` or `-`, or is `.` or
   *   `..`; an option does not exist, is out of range or of the wrong type.
   * @throws POOL_NOT_FOUND: nothing has that name, or there is no such folder.
   * @throws POOL_CORRUPT: what has that name is no pool, or its header is damaged.
   * @throws VERSION_MISMATCH: the object was made by another version of the layout, another libc
   *   kind or with another page size.
   * @throws PERMISSION_DENIED: the folder or the object does not let this user in, or the object
   *   belongs to somebody whom neither `allowOwner` nor `allowGroup` names.
   * @throws OUT_OF_MEMORY: there is no room to map the pool.
   * @throws SYSTEM: a system call failed; `cause` names it.
   *
   * @example
   * ```ts
   * const headers = { "content-type": "text/plain; version=0.0.4" };
   * Bun.serve({
   *   routes: { "/metrics": () => new Response(BufferPool.metricsText(), { headers }) },
   * });
   * ```
   */
  static metricsText(name?: string, options?: MetricsOptions & LookOptions): string {
    const tried = "BufferPool.metricsText()";
    const dir = folder.poolDirectory();
    const only = name === undefined ? undefined : validate.poolName(tried, name);
    const on = only === undefined ? `of ${dir}` : `of pool "${only}"`;
    const { isOpen, trust } = metricsOptions(tried, options, on, true);
    const text = textOf(folder.measured(tried, dir, only, trust), isOpen);
    return text;
  }

  /**
   * Removes the names of this user's pools that no live participant has open, and returns them, in
   * order. A pool that was made and closed, so that others open it later, is such a pool until
   * then. Broken objects and those of other users stay, for root, too.
   *
   * @throws INVALID_ARGUMENT: an option does not exist or is of the wrong type, or `name` is not
   *   1 to 200 letters, digits, `.`, `_` or `-`, or is `.` or `..`.
   * @throws PERMISSION_DENIED: this user cannot read the folder, or cannot remove files from it.
   * @throws OUT_OF_MEMORY: there is no room to map a pool.
   * @throws SYSTEM: the folder cannot be read, or a system call failed; `cause` names it.
   *
   * @example
   * ```ts
   * for (const name of BufferPool.prune({ dryRun: true })) console.log(`${name} is abandoned`);
   * ```
   */
  static prune(options?: PruneOptions): string[] {
    const dir = folder.poolDirectory();
    const { dryRun, name } = pruneOptions("BufferPool.prune()", options, `of ${dir}`);
    return folder.prune(dir, dryRun, name);
  }

  /**
   * Lists the pools that this thread has open, in the order in which they were opened, each open by
   * itself. With `pool.outstanding()` it says all that the thread has not given back.
   *
   * @example
   * ```ts
   * for (const { pool, stack } of BufferPool.opened()) console.log(pool.name, stack[0]);
   * ```
   */
  static opened(): OpenedPool[] {
    return keptSessions().flatMap((session) => BufferPool.#opened.get(session) ?? []);
  }

  /**
   * Switches tracing on in this thread, as `XMEM_TRACE=1` in the environment does, for pools that
   * are opened from now on: their guards know the stacks that made them, and `close()` reports
   * those that are left. It costs time at each acquire, and cannot be switched off.
   */
  static trace(): void {
    beginTracing();
  }

  /**
   * Blocks this thread until one of several channels has a buffer, or was closed, or one of several
   * pools has a free one. Returns the place in `sources` of one that is worth a try: somebody else
   * may be faster, so `tryReceive` or `tryAcquire` comes next. The first of several is returned.
   * It waits for at most `options.timeout` milliseconds, 0 to 2^32 - 1; 0 looks once.
   *
   * @throws TIMEOUT: none of them had anything in time.
   * @throws INVALID_ARGUMENT: `sources` is not an array of 1 to 128 pools and channels, a channel
   *   only sends, `timeout` is not a whole number from 0 to 2^32 - 1, or an option does not exist.
   * @throws CHANNEL_CLOSED: one of the objects let go of its channel.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_CLOSED: one of the pools was closed here, or was opened before this process was
   *   forked.
   *
   * @example
   * ```ts
   * const inputs = [pool.channel("left"), pool.channel("right")];
   * const ready = BufferPool.waitAny(inputs, { timeout: 1000 });
   * using received = inputs[ready]?.tryReceive();
   * ```
   */
  static waitAny(sources: readonly (Channel | BufferPool)[], options: { timeout: number }): number {
    const tried = "BufferPool.waitAny()";
    const most = constants.LIMIT_WAIT_SOURCES;
    if (!Array.isArray(sources) || sources.length === 0 || sources.length > most) {
      const given = Array.isArray(sources) ? `${sources.length} sources` : sources;
      validate.refuse(tried, "what to wait for", given, `1 to ${most} pools and channels`);
    }
    const numbers = sources.flatMap((source: unknown, place) => {
      if (typeof source === "object" && source !== null && #session in source) {
        return [source.#open(tried), constants.CHANNEL_NONE];
      }
      const channel = sourceIn(source, tried);
      if (channel !== null) return channel;
      return validate.refuse(tried, `source ${place}`, source, "a pool or a channel");
    });
    const timeout = blockingTimeout(tried, options, "");
    const deadline = native.xmem_bun_now() + timeout;
    const list = new Uint32Array(new ArrayBuffer(numbers.length * 4));
    list.set(numbers);
    while (true) {
      const found = native.xmem_bun_wait_any(list, sources.length, deadline);
      if (found >= 0) return found;
      if (found === -constants.ERROR_PENDING) continue;
      if (found !== -constants.ERROR_TIMEOUT) throw nativeError(found, tried, "");
      raise("TIMEOUT", tried, `none of ${sources.length} had anything in ${timeout} ms`);
    }
  }

  static #openSession(how: How, name: unknown, given: unknown): Session {
    const tried = `BufferPool.${how}()`;
    const checkedName = validate.poolName(tried, name);
    const options = openingOptions(how, tried, given, `of pool "${checkedName}"`);
    const dir = folder.poolDirectory();
    const descriptor = native.xmem_bun_open(
      howNumbers[how],
      cString(dir),
      cString(checkedName),
      cString(options.participantName),
      options.numbers,
    );
    if (descriptor < 0) throw folder.openFailure(descriptor, tried, checkedName, dir);
    return new Session(descriptor, dir, checkedName, options);
  }

  /**
   * Acquires a buffer of `size` bytes, by default `bufferSize`, or fails at once. Its content is
   * what its last user left, unless the pool has `zeroOnRelease`.
   *
   * @throws INVALID_ARGUMENT: `size` is not a whole number from 0 to 2^32 - 1.
   * @throws TOO_LARGE: `size` is above the pool's `bufferSize`.
   * @throws POOL_FULL: every buffer is in use, or the last one is kept for somebody who has waited
   *   for it.
   * @throws POOL_FLUSHING: somebody called `flush()`, and nobody `unflush()` since.
   * @throws OUT_OF_MEMORY: the system has no memory for the buffer, or `maxCommitted` is used up.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   * @throws SYSTEM: the system refused to commit memory for another reason; `cause` names it.
   *
   * @example
   * ```ts
   * using buffer = pool.acquire(4096);
   * buffer.bytes.set(message);
   * ```
   */
  acquire(size: number = this.#session.bufferSize): BufferGuard {
    const session = this.#session;
    if (!isUint32(size)) refuseSize(session, "acquire()", size);
    const descriptor = this.#descriptor;
    const index = session.caches
      ? acquireIndexCached(descriptor, size)
      : acquireIndex(descriptor, size);
    if (index < 0) fail(session, index, "acquire()", size);
    return new BufferGuard(session, index, generationMade(descriptor), size + 0, true);
  }

  /**
   * As `acquire`, but returns null where the pool is full.
   *
   * @throws INVALID_ARGUMENT: `size` is not a whole number from 0 to 2^32 - 1.
   * @throws TOO_LARGE: `size` is above the pool's `bufferSize`.
   * @throws POOL_FLUSHING: somebody called `flush()`, and nobody `unflush()` since.
   * @throws OUT_OF_MEMORY: the system has no memory for the buffer, or `maxCommitted` is used up.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   * @throws SYSTEM: the system refused to commit memory for another reason; `cause` names it.
   */
  tryAcquire(size: number = this.#session.bufferSize): BufferGuard | null {
    const session = this.#session;
    if (!isUint32(size)) refuseSize(session, "tryAcquire()", size);
    const descriptor = this.#descriptor;
    const index = session.caches
      ? acquireIndexCached(descriptor, size)
      : acquireIndex(descriptor, size);
    // First what is common: where null could be returned before it, the engine makes each guard, and
    // does not leave it out where nobody keeps it.
    if (index >= 0)
      return new BufferGuard(session, index, generationMade(descriptor), size + 0, true);
    if (index === -constants.ERROR_POOL_FULL) return null;
    fail(session, index, "tryAcquire()", size);
  }

  /**
   * As `acquire`, but blocks this thread until there is a buffer, for at most `options.timeout`
   * milliseconds, 0 to 2^32 - 1; 0 tries once. Waiters are served in turn. On a thread with an
   * event loop prefer `acquireAsync`: signal handlers run only after a wait that blocks.
   *
   * @throws INVALID_ARGUMENT: `size` or `timeout` is not a whole number from 0 to 2^32 - 1, or an
   *   option does not exist.
   * @throws TOO_LARGE: `size` is above the pool's `bufferSize`.
   * @throws TIMEOUT: no buffer was released in time, or another participant was stopped in the
   *   middle of a recovery.
   * @throws POOL_FLUSHING: somebody called `flush()`, and nobody `unflush()` since.
   * @throws OUT_OF_MEMORY: the system has no memory for the buffer, or `size` alone is above
   *   `maxCommitted`.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   * @throws SYSTEM: the system refused to commit memory for another reason; `cause` names it.
   */
  acquireBlocking(size: number, options: { timeout: number }): BufferGuard {
    const tried = "acquireBlocking()";
    const descriptor = this.#open(tried);
    const length = validate.uint32(tried, "size", size, this.#session.on);
    const timeout = blockingTimeout(tried, options, this.#session.on);
    // Where there is a buffer, reading the clock takes longer than acquiring it.
    const index = acquireIndexStraight(descriptor, length);
    if (index >= 0)
      return new BufferGuard(this.#session, index, generationMade(descriptor), length, true);
    const deadline = native.xmem_bun_now() + timeout;
    while (true) {
      // A slice at a time, so that a Worker that waits can be terminated.
      const handle = native.xmem_bun_acquire_blocking(descriptor, length, deadline);
      if (handle >= 0) {
        const guard = guardOf(this.#session, handle, length, true);
        return guard;
      }
      if (handle !== -constants.ERROR_PENDING) {
        throw this.#session.failure(handle, tried, { size: length, timeout });
      }
    }
  }

  /**
   * As `acquire`, but waits without blocking the event loop. The waits of one thread are served in
   * the order in which they began. A wait keeps the process alive.
   *
   * @throws INVALID_ARGUMENT: `size` or `timeout` is not a whole number from 0 to 2^32 - 1,
   *   `signal` is no AbortSignal, or an option does not exist.
   * @throws TOO_LARGE: `size` is above the pool's `bufferSize`.
   * @throws TIMEOUT: no buffer was released in time.
   * @throws POOL_FLUSHING: somebody called `flush()`, before or while it waited.
   * @throws OUT_OF_MEMORY: the system has no memory for the buffer or for the thread that waits, or
   *   `size` alone is above `maxCommitted`.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: it waits without a timeout, and another participant has been stopped in the
   *   middle of a recovery for two seconds.
   * @throws POOL_CLOSED: the pool was closed here, before or while it waited, or was opened before
   *   this process was forked.
   * @throws SYSTEM: a system call failed, or the event loop cannot watch the wait's socket; `cause`
   *   names it.
   *
   * @example
   * ```ts
   * using buffer = await pool.acquireAsync(4096, { signal: AbortSignal.timeout(1000) });
   * ```
   */
  async acquireAsync(
    size: number = this.#session.bufferSize,
    options?: WaitOptions,
  ): Promise<BufferGuard> {
    const tried = "acquireAsync()";
    const descriptor = this.#open(tried);
    const length = validate.uint32(tried, "size", size, this.#session.on);
    const { timeout, signal } = waitOptions(tried, options, this.#session.on);
    signal?.throwIfAborted();
    const waits = queueOf(this.#session, buffers);
    // A new wait overtakes none that began before it.
    if (timeout === 0) waits.signalled();
    if (waits.isEmpty) {
      const handle = native.xmem_bun_acquire_at_once(descriptor, length, 0);
      if (handle >= 0) {
        const guard = guardOf(this.#session, handle, length, true);
        return guard;
      }
      const mayPass = buffers.mayCome(handle) || handle === -constants.ERROR_PENDING;
      if (!mayPass) throw this.#session.failure(handle, tried, { size: length });
    } else if (length > this.#session.bufferSize) {
      throw this.#session.failure(-constants.ERROR_TOO_LARGE, tried, { size: length });
    }
    if (timeout === 0) {
      native.xmem_bun_async_timed_out(descriptor);
      throw this.#session.failure(-constants.ERROR_TIMEOUT, tried, { timeout });
    }
    const begin = () => waits.wait(this.#session, length, timeout, signal);
    const handle = await sinceCall(BufferPool.prototype.acquireAsync, signal, begin);
    const guard = guardOf(this.#session, handle, length, true);
    return guard;
  }

  /**
   * Commits memory for the next `count` buffers of `size` bytes, and holds none of them. A `count`
   * above `capacity` counts as that. Returns the bytes newly committed: 0 where it has been done
   * before.
   *
   * @throws INVALID_ARGUMENT: `size` or `count` is not a whole number from 0 to 2^32 - 1.
   * @throws TOO_LARGE: `size` is above the pool's `bufferSize`.
   * @throws OUT_OF_MEMORY: the system has no memory for the first of them, or `maxCommitted` is
   *   used up.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds, or in the middle of another operation.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   * @throws SYSTEM: the system refused to commit memory for another reason; `cause` names it.
   */
  preallocate(size: number, count: number): number {
    const tried = "preallocate()";
    const descriptor = this.#open(tried);
    const length = validate.uint32(tried, "size", size, this.#session.on);
    const checkedCount = validate.uint32(tried, "count", count, this.#session.on);
    const added = native.xmem_bun_preallocate(descriptor, length, checkedCount);
    if (added < 0) throw this.#session.failure(added, tried, { size: length });
    return added;
  }

  /**
   * Makes a new hold of a buffer that is in use, to read through. `ref` is a handle or a bare
   * index; the size is the one that was acquired, or what `truncate` made of it.
   *
   * @throws INVALID_ARGUMENT: `ref` is not a whole number from 0 to 2^53 - 1.
   * @throws BUFFER_NOT_FOUND: `ref` is the bare index of a free slot, or its index is `capacity` or
   *   more.
   * @throws STALE_HANDLE: `ref` is a handle whose buffer was recycled, or a handle of another pool.
   * @throws NO_REFERENCE: the buffer is at count 0, parked by `release`; see `addRef`.
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  get(ref: number): ReadGuard {
    const session = this.#session;
    if (typeof ref !== "number") refuseRef(session, "get()", ref);
    const descriptor = this.#descriptor;
    const index = getByRef(descriptor, ref);
    if (index < 0) failRef(session, index, "get()", ref);
    const generation = generationMade(descriptor);
    const guard = new BufferGuard(session, index, generation, sizeMade(descriptor), false);
    return guard;
  }

  /**
   * As `get`, but a hold to write through. Several holders can have a buffer so; they arrange among
   * themselves which of them writes when.
   *
   * @throws INVALID_ARGUMENT: `ref` is not a whole number from 0 to 2^53 - 1.
   * @throws BUFFER_NOT_FOUND: `ref` is the bare index of a free slot, or its index is `capacity` or
   *   more.
   * @throws STALE_HANDLE: `ref` is a handle whose buffer was recycled, or a handle of another pool.
   * @throws NO_REFERENCE: the buffer is at count 0, parked by `release`; see `addRef`.
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  getMut(ref: number): BufferGuard {
    const session = this.#session;
    if (typeof ref !== "number") refuseRef(session, "getMut()", ref);
    const descriptor = this.#descriptor;
    const index = getByRef(descriptor, ref);
    if (index < 0) failRef(session, index, "getMut()", ref);
    const generation = generationMade(descriptor);
    const guard = new BufferGuard(session, index, generation, sizeMade(descriptor), true);
    return guard;
  }

  /**
   * Adopts an in-flight reference, which somebody made by `handOff`, `share` or `forget`: it
   * becomes a hold of this thread, to write through.
   *
   * @throws INVALID_ARGUMENT: `ref` is not a whole number from 0 to 2^53 - 1.
   * @throws BUFFER_NOT_FOUND: `ref` is the bare index of a free slot, or its index is `capacity` or
   *   more.
   * @throws STALE_HANDLE: `ref` is a handle whose buffer was recycled, or a handle of another pool.
   * @throws NO_REFERENCE: none is in flight: it was taken or counted down before, or its lease has
   *   passed.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   *
   * @example
   * ```ts
   * // Here: the handle is a number, which any message can carry.
   * const handle = pool.acquire(4096).handOff();
   * // There, in another process that has the pool open:
   * using buffer = pool.take(handle);
   * ```
   */
  take(ref: number): BufferGuard {
    const session = this.#session;
    if (typeof ref !== "number") refuseRef(session, "take()", ref);
    const descriptor = this.#descriptor;
    const index = takeByRef(descriptor, ref);
    if (index < 0) failRef(session, index, "take()", ref);
    const generation = generationMade(descriptor);
    const guard = new BufferGuard(session, index, generation, sizeMade(descriptor), true);
    return guard;
  }

  /**
   * Makes one more in-flight reference of a buffer in use, also of a parked one. Returns its whole
   * count, holds and in-flight references, after that.
   *
   * @throws INVALID_ARGUMENT: `ref` is not a whole number from 0 to 2^53 - 1.
   * @throws BUFFER_NOT_FOUND: `ref` is the bare index of a free slot, or its index is `capacity` or
   *   more.
   * @throws STALE_HANDLE: `ref` is a handle whose buffer was recycled, or a handle of another pool.
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  addRef(ref: number): number {
    const tried = "addRef()";
    const count = native.xmem_bun_add_ref(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (count < 0) throw this.#session.failure(count, tried, { ref });
    return count;
  }

  /**
   * Drops an in-flight reference, and recycles the buffer with the last of its references. Returns
   * its whole count after that.
   *
   * @throws INVALID_ARGUMENT: `ref` is not a whole number from 0 to 2^53 - 1.
   * @throws BUFFER_NOT_FOUND: `ref` is the bare index of a free slot, or its index is `capacity` or
   *   more.
   * @throws STALE_HANDLE: `ref` is a handle whose buffer was recycled, or a handle of another pool.
   * @throws NO_REFERENCE: none is in flight; holds end with their guards.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  unref(ref: number): number {
    const tried = "unref()";
    const count = native.xmem_bun_unref(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (count < 0) throw this.#session.failure(count, tried, { ref });
    return count;
  }

  /**
   * Drops an in-flight reference, and never recycles: at count 0 the buffer is parked, and stays
   * used until `tryRelease`, `releaseBuffer` or the end of its lease. You almost certainly want
   * `unref`. Returns its whole count after that.
   *
   * @throws INVALID_ARGUMENT: `ref` is not a whole number from 0 to 2^53 - 1.
   * @throws BUFFER_NOT_FOUND: `ref` is the bare index of a free slot, or its index is `capacity` or
   *   more.
   * @throws STALE_HANDLE: `ref` is a handle whose buffer was recycled, or a handle of another pool.
   * @throws NO_REFERENCE: none is in flight; holds end with their guards.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  release(ref: number): number {
    const tried = "release()";
    const count = native.xmem_bun_release_by_hand(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (count < 0) throw this.#session.failure(count, tried, { ref });
    return count;
  }

  /**
   * Returns a buffer's whole count, holds and in-flight references; 0 for the bare index of a free
   * slot.
   *
   * @throws INVALID_ARGUMENT: `ref` is not a whole number from 0 to 2^53 - 1.
   * @throws BUFFER_NOT_FOUND: the index of `ref` is `capacity` or more.
   * @throws STALE_HANDLE: `ref` is a handle whose buffer was recycled, or a handle of another pool.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  refCount(ref: number): number {
    const tried = "refCount()";
    const count = native.xmem_bun_ref_count(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (count < 0) throw this.#session.failure(count, tried, { ref });
    return count;
  }

  /**
   * Sets a buffer's whole count, 0 to 65,535: holds stay, and as many references are in flight as
   * are left. Returns the count.
   *
   * @throws INVALID_ARGUMENT: `ref` is not a whole number from 0 to 2^53 - 1, `count` not one from
   *   0 to 65,535, or `count` is below the number of holds.
   * @throws BUFFER_NOT_FOUND: `ref` is the bare index of a free slot, or its index is `capacity` or
   *   more.
   * @throws STALE_HANDLE: `ref` is a handle whose buffer was recycled, or a handle of another pool.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  setRefCount(ref: number, count: number): number {
    const tried = "setRefCount()";
    const descriptor = this.#open(tried);
    const checked = validate.ref(tried, ref, this.#session.on);
    const most = constants.LIMIT_REFERENCES;
    const checkedCount = validate.integer(tried, "count", count, 0, most, this.#session.on);
    const counted = native.xmem_bun_set_ref_count(descriptor, checked, checkedCount);
    if (counted < 0) throw this.#session.failure(counted, tried, { ref, count });
    return counted;
  }

  /**
   * Recycles a parked buffer, whose count is 0. Returns true for exactly one of all callers; false
   * where the buffer is still counted, or a bare index is free.
   *
   * @throws INVALID_ARGUMENT: `ref` is not a whole number from 0 to 2^53 - 1.
   * @throws BUFFER_NOT_FOUND: the index of `ref` is `capacity` or more.
   * @throws STALE_HANDLE: `ref` is a handle whose buffer was recycled, or a handle of another pool.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  tryRelease(ref: number): boolean {
    const tried = "tryRelease()";
    const result = native.xmem_bun_try_release(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (result < 0) throw this.#session.failure(result, tried, { ref });
    return result === 1;
  }

  /**
   * As `tryRelease`, but it is an error where nothing was recycled.
   *
   * @throws INVALID_ARGUMENT: `ref` is not a whole number from 0 to 2^53 - 1.
   * @throws BUFFER_NOT_FOUND: `ref` is the bare index of a free slot, or its index is `capacity` or
   *   more.
   * @throws STALE_HANDLE: `ref` is a handle whose buffer was recycled, or a handle of another pool.
   * @throws BUFFER_IN_USE: the buffer's count is not 0.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  releaseBuffer(ref: number): void {
    const tried = "releaseBuffer()";
    const result = native.xmem_bun_release_buffer(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (result < 0) throw this.#session.failure(result, tried, { ref });
  }

  /**
   * Gives back what dead participants and expired leases left, now: otherwise a participant that
   * finds the pool full does so.
   *
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  reclaim(): ReclaimReport {
    const descriptor = this.#open("reclaim()");
    const report = float64s(constants.RECLAIM_COUNT);
    const result = native.xmem_bun_reclaim(descriptor, report);
    if (result < 0) throw this.#session.failure(result, "reclaim()");
    return {
      participants: report[constants.RECLAIM_PARTICIPANTS] ?? 0,
      references: report[constants.RECLAIM_REFERENCES] ?? 0,
      buffers: report[constants.RECLAIM_BUFFERS] ?? 0,
      deferred: report[constants.RECLAIM_DEFERRED] === 1,
    };
  }

  /**
   * Gives the memory of free buffers back to the system. Returns the bytes by which
   * `committedBytes` fell.
   *
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds, or in the middle of another operation.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  trim(): number {
    const freed = native.xmem_bun_trim(this.#open("trim()"));
    if (freed < 0) throw this.#session.failure(freed, "trim()");
    return freed;
  }

  /**
   * Ends all waits for a buffer, in every process: they fail with POOL_FLUSHING, and so does each
   * acquire until `unflush()`. It does not nest. The flush of a participant that closes or dies
   * ends with it.
   *
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  flush(): void {
    const result = native.xmem_bun_flush(this.#open("flush()"), 1);
    if (result < 0) throw this.#session.failure(result, "flush()");
  }

  /**
   * Lets buffers be acquired again, whoever called `flush()`.
   *
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  unflush(): void {
    const result = native.xmem_bun_flush(this.#open("unflush()"), 0);
    if (result < 0) throw this.#session.failure(result, "unflush()");
  }

  /**
   * Counts what is in the pool and who has it open, without stopping anybody: while others work,
   * each number is true of some moment.
   *
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   *
   * @example
   * ```ts
   * const { free, participants } = pool.stats();
   * const holders = participants.filter(({ holds }) => holds > 0);
   * ```
   */
  stats(): PoolStats {
    return statsOf(this.#open("stats()"));
  }

  /**
   * What `stats()` says, as text for Prometheus. docs/operations.md lists the metrics; the labels are
   * `pool`, `channel` and `participant`, which is the participant's name.
   *
   * @throws INVALID_ARGUMENT: an option does not exist or is of the wrong type.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   *
   * @example
   * ```ts
   * const headers = { "content-type": "text/plain; version=0.0.4" };
   * Bun.serve({ routes: { "/metrics": () => new Response(pool.metricsText(), { headers }) } });
   * ```
   */
  metricsText(options?: MetricsOptions): string {
    const tried = "metricsText()";
    const descriptor = this.#open(tried);
    const { isOpen } = metricsOptions(tried, options, this.#session.on, false);
    const text = textOf([{ name: this.name, stats: statsOf(descriptor) }], isOpen);
    return text;
  }

  /**
   * Calls `listener` with each event of that type, whichever process causes it: see `PoolEvents`.
   * While somebody listens, a timer compares the pool's counters four times a second. So an event
   * comes up to 250 ms late, and says how often it happened meanwhile; acquires and releases cost
   * nothing for it. The timer does not keep the process alive, and a thread that never returns to
   * its event loop is told nothing. Events end when this object is closed. What a listener throws
   * becomes an uncaught error, and the others are told. Adding a listener twice changes nothing.
   *
   * @throws INVALID_ARGUMENT: there is no event of that type, or `listener` is no function.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   *
   * @example
   * ```ts
   * pool.on("dead-participant", ({ name, pid }) => console.error(`${name} (${pid}) died`));
   * ```
   */
  on<Type extends PoolEventType>(type: Type, listener: PoolListener<Type>): this {
    this.#listen("on()", type, listener, false);
    return this;
  }

  /**
   * As `on`, for the next event of that type only.
   *
   * @throws INVALID_ARGUMENT: there is no event of that type, or `listener` is no function.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   */
  once<Type extends PoolEventType>(type: Type, listener: PoolListener<Type>): this {
    this.#listen("once()", type, listener, true);
    return this;
  }

  /**
   * Takes a listener away that `on` or `once` added; one that was not added, or of a closed pool, is
   * no error.
   *
   * @throws INVALID_ARGUMENT: there is no event of that type, or `listener` is no function.
   */
  off<Type extends PoolEventType>(type: Type, listener: PoolListener<Type>): this {
    checkListener("off()", type, listener, this.#session.on);
    if (this.#session.descriptor !== closed) watcherOf(this.#session).delete(type, listener);
    return this;
  }

  #listen<Type extends PoolEventType>(
    tried: string,
    type: Type,
    listener: PoolListener<Type>,
    once: boolean,
  ): void {
    this.#open(tried);
    checkListener(tried, type, listener, this.#session.on);
    watcherOf(this.#session).add(type, listener, once);
  }

  /**
   * Lists the guards that were made through this object and are not done. With `XMEM_TRACE=1` in
   * the environment each knows the stack that made it; without it each hold has an entry, too, but
   * no stack, and the time of its buffer's acquire.
   *
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   *
   * @example
   * ```ts
   * for (const { handle, since, stack } of pool.outstanding()) console.log(handle, since, stack[0]);
   * ```
   */
  outstanding(): OutstandingBuffer[] {
    const descriptor = this.#open("outstanding()");
    return outstandingOf(descriptor, this.#session.traced ? this.#session.tether.holds : null);
  }

  /**
   * Opens the channel of that name, or makes it. What is not asked for is what the channel has, or
   * its default where it is made. Each call returns an object of its own: in mode "broadcast" it
   * has a subscription of its own, which starts with what is sent from now on.
   *
   * @throws INVALID_ARGUMENT: `name` is not 1 to 63 bytes of UTF-8 without NUL; an option does not
   *   exist, is out of range or of the wrong type, or does not fit the mode.
   * @throws OPTIONS_MISMATCH: the channel exists, and has less `capacity`, or another `mode`,
   *   `overflow` or `history`, than was explicitly asked for.
   * @throws OUT_OF_MEMORY: the pool has as many channels as it was made for (`channels`), or the
   *   system has no room for another one.
   * @throws TOO_MANY_PARTICIPANTS: the channel has 256 subscribers.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed here, or was opened before this process was forked.
   * @throws SYSTEM: a system call failed; `cause` names it.
   *
   * @example
   * ```ts
   * using frames = pool.channel("frames", { capacity: 4, overflow: "drop-oldest" });
   * frames.send(pool.acquire(640 * 480));
   * ```
   */
  channel(name: string, options?: ChannelOptions): Channel {
    this.#open("channel()");
    const channel = new Channel(this.#session, openChannel(this.#session, name, options));
    poolOfChannel.set(channel, this);
    return channel;
  }

  /**
   * The pool through which a channel was opened: for what is given a channel only, and needs
   * buffers for it.
   *
   * @throws INVALID_ARGUMENT: `channel` is no channel of a pool.
   */
  static of(channel: Channel): BufferPool {
    const pool = poolOfChannel.get(channel);
    if (pool !== undefined) return pool;
    raise("INVALID_ARGUMENT", "BufferPool.of()", "what was given is no channel of a pool", {
      advice: "pool.channel() returns one",
    });
  }

  /**
   * Gives back the holds that were made through this object, ends its waits, lets go of its
   * channels, detaches its views and lets go of the mapping. Its guards are done. A second call does nothing.
   */
  close(): void {
    if (this.#session.descriptor === closed) return;
    endWaits(this.#session);
    endWatch(this.#session);
    this.#descriptor = closed;
    this.#session.close();
  }

  /**
   * Removes the pool's name if it still leads to this pool, and never a later pool's of the same
   * name. Returns whether it did. Participants that have the pool open go on. It works after
   * `close()`, too.
   *
   * @throws PERMISSION_DENIED: the folder does not let this user remove the file.
   * @throws POOL_BUSY: a process that is stopped is removing just that name.
   * @throws SYSTEM: a system call failed; `cause` names it.
   */
  unlink(): boolean {
    const { descriptor, dir, name, device, inode, poolId } = this.#session;
    // While it is open here, its inode is nobody else's.
    const id = descriptor === closed ? poolId : -1;
    const result = native.xmem_bun_unlink(cString(dir), cString(name), device, inode, id);
    if (result < 0) throw folder.openFailure(result, "unlink()", name, dir);
    return result === 1;
  }

  /** Is `close()`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Says how to open the pool elsewhere, and nothing of its content. */
  toJSON(): Record<string, unknown> {
    const { name, capacity, bufferSize } = this;
    return { name, capacity, bufferSize };
  }

  #open(tried: string): Descriptor {
    const { descriptor } = this.#session;
    if (descriptor === closed) raise("POOL_CLOSED", `${tried} ${this.#session.on}`);
    return descriptor;
  }
}

publish(BufferPool.prototype);
publish(BufferPool, "BufferPool.");
