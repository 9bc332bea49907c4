// The pool as its users see it: each method checks its arguments, makes one native call, and says
// what went wrong where it did.

import { framesOf, publish } from "./caller.ts";
import * as constants from "./constants.gen.ts";
import { raise, XmemError } from "./errors.ts";
import { BufferGuard, guardOf } from "./guard.ts";
import * as inspection from "./inspect.ts";
import {
  acquireIndex,
  cString,
  type Descriptor,
  float64s,
  generationMade,
  native,
  sizeMade,
} from "./native.ts";
import type { ReadGuard } from "./read_guard.ts";
import { closed, Session } from "./session.ts";
import * as validate from "./validate.ts";
import { helpsWaiting, WaitQueue } from "./wait_async.ts";

/** Lengths are bytes, times are milliseconds. */
export interface PoolOptions {
  /** Slots, 1 to 2^24 - 2; default 1024. */
  capacity?: number | undefined;
  /** Most bytes that one buffer can have; default 1 MiB, virtual until used. */
  bufferSize?: number | undefined;
  /** Threads that may have the pool open at once, 1 to 4096; default 64. */
  maxParticipants?: number | undefined;
  /** Life of an in-flight reference; default 30_000; 0: never expires. */
  leaseTimeout?: number | undefined;
  /** Bytes of data that may be committed at once; default capacity x bufferSize. */
  maxCommitted?: number | undefined;
  /** How many channels it can have, 0 to 1024; default 16. */
  channels?: number | undefined;
  /** Whether a buffer's bytes are zeroed when it is recycled; default false. */
  zeroOnRelease?: boolean | undefined;
  /** Permission bits, whatever the umask; default 0o600, at most 0o777. */
  mode?: number | undefined;
  /** Whether the last to leave removes the name; default false. */
  ephemeral?: boolean | undefined;
}

export interface OpenOptions {
  /** "detach": a released guard's views read length 0, at some 200 ns a release; default "shared". */
  views?: "shared" | "detach" | undefined;
  /** Bytes of cached views; default 16 MiB. */
  viewCache?: number | undefined;
  /** At most 31 bytes; shown by stats(). */
  participantName?: string | undefined;
  /** A uid whose objects are trusted besides one's own and root's. */
  allowOwner?: number | undefined;
}

export interface WaitOptions {
  /** Default: wait for ever. 0 tries once. */
  timeout?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface ReclaimReport {
  /** Dead participants whose rows were emptied. */
  participants: number;
  /** Holds and expired in-flight references that were dropped. */
  references: number;
  /** Slots that became free. */
  buffers: number;
  /** A live participant stands still inside an operation; the next recovery finishes the job. */
  deferred: boolean;
}

const howNumbers = { create: 0, open: 1, openOrCreate: 2 } as const;
type How = keyof typeof howNumbers;

/** The cheapest form of the check; a BigInt would throw on the shift alone. -0 passes. */
function isUint32(value: number): boolean {
  return typeof value === "number" && value >>> 0 === value;
}

// Functions and not methods: with calls of private methods in it, acquire is no longer inlined.

function refuseSize(session: Session, tried: string, size: unknown): never {
  if (session.descriptor === closed) raise("POOL_CLOSED", `${tried} ${session.on}`);
  validate.uint32(tried, "size", size, session.on);
  throw session.failure(-constants.ERROR_INVALID_ARGUMENT, tried);
}

function fail(session: Session, result: number, tried: string, size: number): never {
  throw session.failure(result, tried, { size });
}

function refuseRef(session: Session, tried: string, ref: unknown): never {
  if (session.descriptor === closed) raise("POOL_CLOSED", `${tried} ${session.on}`);
  validate.ref(tried, ref, session.on);
  throw session.failure(-constants.ERROR_INVALID_ARGUMENT, tried);
}

/** Of a number the native side checks the rest. */
function failRef(session: Session, result: number, tried: string, ref: number): never {
  if (result === -constants.ERROR_INVALID_ARGUMENT) refuseRef(session, tried, ref);
  throw session.failure(result, tried, { ref });
}

export class BufferPool implements Disposable {
  readonly name: string;
  readonly capacity: number;
  /** Most bytes that one buffer can have. */
  readonly bufferSize: number;
  readonly #session: Session;
  /** The session's, one step nearer. */
  #descriptor: Descriptor;
  readonly #waits: WaitQueue;

  private constructor(session: Session) {
    this.#session = session;
    this.#descriptor = session.descriptor;
    this.#waits = new WaitQueue(session);
    this.name = session.name;
    this.capacity = session.capacity;
    this.bufferSize = session.bufferSize;
  }

  /** POOL_EXISTS, OUT_OF_MEMORY, INVALID_ARGUMENT, SYSTEM. */
  static create(name: string, options?: PoolOptions & OpenOptions): BufferPool {
    return new BufferPool(BufferPool.#openSession("create", name, options));
  }

  /** POOL_NOT_FOUND, POOL_CORRUPT, VERSION_MISMATCH, PERMISSION_DENIED, TOO_MANY_PARTICIPANTS. */
  static open(name: string, options?: OpenOptions): BufferPool {
    return new BufferPool(BufferPool.#openSession("open", name, options));
  }

  /**
   * Opens the pool of that name or makes it. An existing one that is smaller than explicitly asked
   * is OPTIONS_MISMATCH. `replaceAbandoned`: one without a live participant is replaced.
   */
  static openOrCreate(
    name: string,
    options?: PoolOptions & OpenOptions & { replaceAbandoned?: boolean | undefined },
  ): BufferPool {
    return new BufferPool(BufferPool.#openSession("openOrCreate", name, options));
  }

  /** Removes the name, whatever it leads to; true when there was one. Who has it open goes on. */
  static unlink(name: string): boolean {
    const dir = inspection.poolDirectory();
    const checked = validate.poolName("BufferPool.unlink()", name);
    const result = native.xmem_unlink(cString(dir), cString(checked), -1, 0);
    if (result < 0) throw inspection.openFailure(result, "BufferPool.unlink()", checked, dir);
    return result === 1;
  }

  /**
   * Every pool that this user can see, the broken ones with their problem. PERMISSION_DENIED or
   * SYSTEM where the folder cannot be read.
   */
  static list(): inspection.PoolInfo[] {
    const dir = inspection.poolDirectory();
    return inspection.infos(dir, inspection.namesIn(dir));
  }

  /** A look from outside: takes no row, starts no recovery, works on a full pool. */
  static inspect(name: string): inspection.PoolStats {
    const checked = validate.poolName("BufferPool.inspect()", name);
    return inspection.statsSeen(inspection.observe(inspection.poolDirectory(), checked));
  }

  static #openSession(how: How, name: unknown, given: unknown): Session {
    const tried = `BufferPool.${how}()`;
    const checkedName = validate.poolName(tried, name);
    const options = validate.poolOptions(tried, given, `of pool "${checkedName}"`);
    const numbers = float64s(constants.OPTION_COUNT).fill(-1);
    const set = (index: number, value: number | boolean | undefined): void => {
      if (value !== undefined) numbers[index] = Number(value);
    };
    set(constants.OPTION_CAPACITY, options.capacity);
    set(constants.OPTION_BUFFER_SIZE, options.bufferSize);
    set(constants.OPTION_MAX_PARTICIPANTS, options.maxParticipants);
    set(constants.OPTION_LEASE_TIMEOUT, options.leaseTimeout);
    set(constants.OPTION_MAX_COMMITTED, options.maxCommitted);
    set(constants.OPTION_CHANNELS, options.channels);
    set(constants.OPTION_ZERO_ON_RELEASE, options.zeroOnRelease);
    set(constants.OPTION_MODE, options.mode);
    set(constants.OPTION_EPHEMERAL, options.ephemeral);
    set(constants.OPTION_REPLACE_ABANDONED, options.replaceAbandoned);
    set(constants.OPTION_ALLOW_OWNER, options.allowOwner);
    const dir = inspection.poolDirectory();
    const descriptor = native.xmem_open(
      howNumbers[how],
      cString(dir),
      cString(checkedName),
      cString(options.participantName),
      numbers,
    );
    if (descriptor < 0) throw inspection.openFailure(descriptor, tried, checkedName, dir);
    return new Session(descriptor, dir, checkedName, options);
  }

  /**
   * A buffer of `size` bytes (default: bufferSize), at once. POOL_FULL, TOO_LARGE, OUT_OF_MEMORY,
   * POOL_FLUSHING, POOL_CLOSED. Its content is what its last user left, unless zeroOnRelease.
   */
  acquire(size: number = this.#session.bufferSize): BufferGuard {
    const session = this.#session;
    if (!isUint32(size)) refuseSize(session, "acquire()", size);
    const descriptor = this.#descriptor;
    const index = acquireIndex(descriptor, size);
    if (index < 0) fail(session, index, "acquire()", size);
    return new BufferGuard(session, descriptor, index, generationMade(descriptor), size + 0, true);
  }

  /** As acquire, but null when the pool is full. */
  tryAcquire(size: number = this.#session.bufferSize): BufferGuard | null {
    const session = this.#session;
    if (!isUint32(size)) refuseSize(session, "tryAcquire()", size);
    const descriptor = this.#descriptor;
    const index = acquireIndex(descriptor, size);
    if (index === -constants.ERROR_POOL_FULL) return null;
    if (index < 0) fail(session, index, "tryAcquire()", size);
    return new BufferGuard(session, descriptor, index, generationMade(descriptor), size + 0, true);
  }

  /**
   * As acquire, but blocks this thread until a buffer is released, for at most `timeout` ms:
   * TIMEOUT. Also where buffers in use have all of `maxCommitted`; OUT_OF_MEMORY for more than that,
   * and where the system has no memory. On a thread with an event loop prefer acquireAsync.
   */
  acquireBlocking(size: number, options: { timeout: number }): BufferGuard {
    const tried = "acquireBlocking()";
    const descriptor = this.#open(tried);
    const length = validate.uint32(tried, "size", size, this.#session.on);
    const given = validate.object(tried, "options", options, this.#session.on);
    const timeout = validate.uint32(tried, "timeout", given["timeout"], this.#session.on);
    const deadline = native.xmem_now() + timeout;
    while (true) {
      // A slice at a time, so that a Worker that waits can be terminated.
      const handle = native.xmem_acquire_blocking(descriptor, length, deadline);
      if (handle >= 0) {
        const guard = guardOf(this.#session, descriptor, handle, length, true);
        return guard;
      }
      if (handle !== -constants.ERROR_PENDING) {
        throw this.#session.failure(handle, tried, { size: length, timeout });
      }
    }
  }

  /**
   * As acquire, but waits without blocking the event loop, first asked, first served. Rejects with
   * TIMEOUT, with the signal's reason, and with what acquire throws except POOL_FULL. As
   * acquireBlocking it also waits for memory under `maxCommitted`.
   */
  async acquireAsync(
    size: number = this.#session.bufferSize,
    options?: WaitOptions,
  ): Promise<BufferGuard> {
    const tried = "acquireAsync()";
    const descriptor = this.#open(tried);
    const length = validate.uint32(tried, "size", size, this.#session.on);
    const { timeout, signal } = validate.waitOptions(tried, options, this.#session.on);
    signal?.throwIfAborted();
    // Nobody who asked before is overtaken.
    if (timeout === 0) this.#waits.signalled();
    if (this.#waits.isEmpty) {
      const handle = native.xmem_acquire_at_once(descriptor, length);
      if (handle >= 0) {
        const guard = guardOf(this.#session, descriptor, handle, length, true);
        return guard;
      }
      const mayPass = helpsWaiting(handle) || handle === -constants.ERROR_PENDING;
      if (!mayPass) throw this.#session.failure(handle, tried, { size: length });
    } else if (length > this.bufferSize) {
      throw this.#session.failure(-constants.ERROR_TOO_LARGE, tried, { size: length });
    }
    if (timeout === 0) {
      native.xmem_async_timed_out(descriptor);
      throw this.#session.failure(-constants.ERROR_TIMEOUT, tried, { timeout });
    }
    // What fails later fails in a timer or a socket's callback, where the caller is not to be seen.
    const asked = new Error(tried);
    Error.captureStackTrace(asked, BufferPool.prototype.acquireAsync);
    try {
      const handle = await this.#waits.wait(length, timeout, signal);
      const guard = guardOf(this.#session, descriptor, handle, length, true);
      return guard;
    } catch (error) {
      if (error instanceof XmemError && error !== signal?.reason) {
        error.stack = `${error}\n${framesOf(asked)}`;
      }
      throw error;
    }
  }

  /**
   * Commits memory for the next `count` buffers of `size` bytes, as many as are free; returns the bytes
   * newly committed, which may be fewer where memory ends half-way. OUT_OF_MEMORY: none; TOO_LARGE,
   * POOL_BUSY.
   */
  preallocate(size: number, count: number): number {
    const tried = "preallocate()";
    const descriptor = this.#open(tried);
    const length = validate.uint32(tried, "size", size, this.#session.on);
    const checkedCount = validate.uint32(tried, "count", count, this.#session.on);
    const added = native.xmem_preallocate(descriptor, length, checkedCount);
    if (added < 0) throw this.#session.failure(added, tried, { size: length });
    return added;
  }

  /** A new hold to read through. STALE_HANDLE, BUFFER_NOT_FOUND, NO_REFERENCE. */
  get(ref: number): ReadGuard {
    const session = this.#session;
    if (typeof ref !== "number") refuseRef(session, "get()", ref);
    const descriptor = this.#descriptor;
    const handle = native.xmem_get(descriptor, ref);
    if (handle < 0) failRef(session, handle, "get()", ref);
    const guard = guardOf(session, descriptor, handle, sizeMade(descriptor), false);
    return guard;
  }

  /** A new hold to write through; who writes when is the holders' to arrange. */
  getMut(ref: number): BufferGuard {
    const session = this.#session;
    if (typeof ref !== "number") refuseRef(session, "getMut()", ref);
    const descriptor = this.#descriptor;
    const handle = native.xmem_get(descriptor, ref);
    if (handle < 0) failRef(session, handle, "getMut()", ref);
    const guard = guardOf(session, descriptor, handle, sizeMade(descriptor), true);
    return guard;
  }

  /** Adopts an in-flight reference. STALE_HANDLE when recycled, NO_REFERENCE when none is in flight. */
  take(ref: number): BufferGuard {
    const session = this.#session;
    if (typeof ref !== "number") refuseRef(session, "take()", ref);
    const descriptor = this.#descriptor;
    const handle = native.xmem_take(descriptor, ref);
    if (handle < 0) failRef(session, handle, "take()", ref);
    const guard = guardOf(session, descriptor, handle, sizeMade(descriptor), true);
    return guard;
  }

  /** One more in-flight reference; the buffer's whole count after it. */
  addRef(ref: number): number {
    const tried = "addRef()";
    const count = native.xmem_add_ref(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (count < 0) throw this.#session.failure(count, tried, { ref });
    return count;
  }

  /** Drops an in-flight reference and recycles at 0; the count after it. NO_REFERENCE. */
  unref(ref: number): number {
    const tried = "unref()";
    const count = native.xmem_unref(this.#open(tried), validate.ref(tried, ref, this.#session.on));
    if (count < 0) throw this.#session.failure(count, tried, { ref });
    return count;
  }

  /** Drops an in-flight reference and never recycles: you almost certainly want unref. */
  release(ref: number): number {
    const tried = "release()";
    const count = native.xmem_release_by_hand(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (count < 0) throw this.#session.failure(count, tried, { ref });
    return count;
  }

  /** Holds and in-flight references; 0 for the bare index of a free slot. */
  refCount(ref: number): number {
    const tried = "refCount()";
    const count = native.xmem_ref_count(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (count < 0) throw this.#session.failure(count, tried, { ref });
    return count;
  }

  /** Sets the whole count; the holds stay, the rest is in flight. INVALID_ARGUMENT below the holds. */
  setRefCount(ref: number, count: number): number {
    const tried = "setRefCount()";
    const descriptor = this.#open(tried);
    const checked = validate.ref(tried, ref, this.#session.on);
    const most = constants.LIMIT_REFERENCES;
    const checkedCount = validate.integer(tried, "count", count, 0, most, this.#session.on);
    const counted = native.xmem_set_ref_count(descriptor, checked, checkedCount);
    if (counted < 0) throw this.#session.failure(counted, tried, { ref, count });
    return counted;
  }

  /** Recycles a buffer whose count is 0; true for exactly one caller. */
  tryRelease(ref: number): boolean {
    const tried = "tryRelease()";
    const result = native.xmem_try_release(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (result < 0) throw this.#session.failure(result, tried, { ref });
    return result === 1;
  }

  /** As tryRelease, but BUFFER_IN_USE when the count is not 0. */
  releaseBuffer(ref: number): void {
    const tried = "releaseBuffer()";
    const result = native.xmem_release_buffer(
      this.#open(tried),
      validate.ref(tried, ref, this.#session.on),
    );
    if (result < 0) throw this.#session.failure(result, tried, { ref });
  }

  /** Gives back what dead participants and expired leases left. POOL_BUSY. */
  reclaim(): ReclaimReport {
    const descriptor = this.#open("reclaim()");
    const report = float64s(constants.RECLAIM_COUNT);
    const result = native.xmem_reclaim(descriptor, report);
    if (result < 0) throw this.#session.failure(result, "reclaim()");
    return {
      participants: report[constants.RECLAIM_PARTICIPANTS] ?? 0,
      references: report[constants.RECLAIM_REFERENCES] ?? 0,
      buffers: report[constants.RECLAIM_BUFFERS] ?? 0,
      deferred: report[constants.RECLAIM_DEFERRED] === 1,
    };
  }

  /**
   * Gives the memory of free buffers back to the system; returns the bytes by which committedBytes
   * dropped. POOL_BUSY.
   */
  trim(): number {
    const freed = native.xmem_trim(this.#open("trim()"));
    if (freed < 0) throw this.#session.failure(freed, "trim()");
    return freed;
  }

  /** POOL_FLUSHING for every waiter and acquirer, everywhere, until unflush(). Does not nest. */
  flush(): void {
    const result = native.xmem_flush(this.#open("flush()"), 1);
    if (result < 0) throw this.#session.failure(result, "flush()");
  }

  unflush(): void {
    const result = native.xmem_flush(this.#open("unflush()"), 0);
    if (result < 0) throw this.#session.failure(result, "unflush()");
  }

  stats(): inspection.PoolStats {
    return inspection.statsOf(this.#open("stats()"));
  }

  /** Gives back this object's holds, detaches its views, unmaps. Twice does nothing. */
  close(): void {
    if (this.#session.descriptor === closed) return;
    this.#waits.close();
    this.#descriptor = closed;
    this.#session.close();
  }

  /** Removes the name if it still leads to this pool. Works after close, too. */
  unlink(): boolean {
    const { dir, name, device, inode } = this.#session;
    const result = native.xmem_unlink(cString(dir), cString(name), device, inode);
    if (result < 0) throw inspection.openFailure(result, "unlink()", name, dir);
    return result === 1;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(tried: string): Descriptor {
    const { descriptor } = this.#session;
    if (descriptor === closed) raise("POOL_CLOSED", `${tried} ${this.#session.on}`);
    return descriptor;
  }
}

publish(BufferPool.prototype);
publish(BufferPool, "BufferPool.");
