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
import {
  blockingTimeout,
  type How,
  type LookOptions,
  lookOptions,
  type OpenOptions,
  openingOptions,
  type PoolOptions,
  type PruneOptions,
  pruneOptions,
  type ReplaceOptions,
  type WaitOptions,
  waitOptions,
} from "./options.ts";
import type { ReadGuard } from "./read_guard.ts";
import { closed, Session } from "./session.ts";
import * as validate from "./validate.ts";
import { endWaits, helpsWaiting, queueOf } from "./wait_async.ts";

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

const howNumbers: Record<How, number> = { create: 0, open: 1, openOrCreate: 2 };

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

/** Makes structuredClone and postMessage refuse a pool, instead of giving the receiver an empty object. */
const notCloned: unique symbol = Symbol("send pool.name instead");

export class BufferPool implements Disposable {
  /** A symbol, so that no structured clone is made of a pool: its name opens it elsewhere. */
  readonly uncloneable: symbol = notCloned;
  readonly #session: Session;
  /** The session's, one step nearer. */
  #descriptor: Descriptor;

  private constructor(session: Session) {
    this.#session = session;
    this.#descriptor = session.descriptor;
  }

  get name(): string {
    return this.#session.name;
  }

  get capacity(): number {
    return this.#session.capacity;
  }

  /** Most bytes that one buffer can have. */
  get bufferSize(): number {
    return this.#session.bufferSize;
  }

  /** POOL_EXISTS, PERMISSION_DENIED, OUT_OF_MEMORY, INVALID_ARGUMENT, SYSTEM. */
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
    options?: PoolOptions & OpenOptions & ReplaceOptions,
  ): BufferPool {
    return new BufferPool(BufferPool.#openSession("openOrCreate", name, options));
  }

  /**
   * Removes the name, whatever it leads to; true when there was one. Who has it open goes on.
   * PERMISSION_DENIED where the folder does not let this user, POOL_CORRUPT for a folder of that
   * name, POOL_BUSY while a stopped process is removing it.
   */
  static unlink(name: string): boolean {
    const dir = inspection.poolDirectory();
    const checked = validate.poolName("BufferPool.unlink()", name);
    const result = native.xmem_unlink(cString(dir), cString(checked), -1, 0, -1);
    if (result < 0) throw inspection.openFailure(result, "BufferPool.unlink()", checked, dir);
    return result === 1;
  }

  /**
   * Every pool of the folder, those that cannot be looked at with their problem. What the dead left
   * of this user's ephemeral pools is removed first. PERMISSION_DENIED or SYSTEM where the folder
   * cannot be read.
   */
  static list(options?: LookOptions): inspection.PoolInfo[] {
    const tried = "BufferPool.list()";
    const dir = inspection.poolDirectory();
    const trust = lookOptions(tried, options, `of ${dir}`);
    native.xmem_remove_left_over(cString(dir));
    return inspection.infos(dir, inspection.namesIn(dir, tried), trust);
  }

  /**
   * A look from outside: takes no row, starts no recovery, works on a full pool. POOL_NOT_FOUND,
   * POOL_CORRUPT, VERSION_MISMATCH; PERMISSION_DENIED for a pool of another user whom the options
   * do not name, unless this is root.
   */
  static inspect(name: string, options?: LookOptions): inspection.PoolStats {
    const tried = "BufferPool.inspect()";
    const checked = validate.poolName(tried, name);
    const trust = lookOptions(tried, options, `of pool "${checked}"`);
    const dir = inspection.poolDirectory();
    return inspection.statsSeen(inspection.observe(dir, checked, trust));
  }

  /**
   * Removes the names of this user's pools that no live participant has, and returns them; with
   * `dryRun` only returns them. A pool that is made once, and is opened by others later, is such a
   * pool in between. Broken objects and those of other users stay, for root, too.
   * PERMISSION_DENIED or SYSTEM where the folder cannot be read.
   */
  static prune(options?: PruneOptions): string[] {
    const dir = inspection.poolDirectory();
    const { dryRun } = pruneOptions("BufferPool.prune()", options, `of ${dir}`);
    return inspection.prune(dir, dryRun);
  }

  static #openSession(how: How, name: unknown, given: unknown): Session {
    const tried = `BufferPool.${how}()`;
    const checkedName = validate.poolName(tried, name);
    const options = openingOptions(how, tried, given, `of pool "${checkedName}"`);
    const dir = inspection.poolDirectory();
    const descriptor = native.xmem_open(
      howNumbers[how],
      cString(dir),
      cString(checkedName),
      cString(options.participantName),
      options.numbers,
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
    return new BufferGuard(session, index, generationMade(descriptor), size + 0, true);
  }

  /** As acquire, but null when the pool is full. */
  tryAcquire(size: number = this.#session.bufferSize): BufferGuard | null {
    const session = this.#session;
    if (!isUint32(size)) refuseSize(session, "tryAcquire()", size);
    const descriptor = this.#descriptor;
    const index = acquireIndex(descriptor, size);
    if (index === -constants.ERROR_POOL_FULL) return null;
    if (index < 0) fail(session, index, "tryAcquire()", size);
    return new BufferGuard(session, index, generationMade(descriptor), size + 0, true);
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
    const timeout = blockingTimeout(tried, options, this.#session.on);
    const deadline = native.xmem_now() + timeout;
    while (true) {
      // A slice at a time, so that a Worker that waits can be terminated.
      const handle = native.xmem_acquire_blocking(descriptor, length, deadline);
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
    const { timeout, signal } = waitOptions(tried, options, this.#session.on);
    signal?.throwIfAborted();
    const waits = queueOf(this.#session);
    // Nobody who asked before is overtaken.
    if (timeout === 0) waits.signalled();
    if (waits.isEmpty) {
      const handle = native.xmem_acquire_at_once(descriptor, length, 0);
      if (handle >= 0) {
        const guard = guardOf(this.#session, handle, length, true);
        return guard;
      }
      const mayPass = helpsWaiting(handle) || handle === -constants.ERROR_PENDING;
      if (!mayPass) throw this.#session.failure(handle, tried, { size: length });
    } else if (length > this.#session.bufferSize) {
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
      const handle = await waits.wait(this.#session, length, timeout, signal);
      const guard = guardOf(this.#session, handle, length, true);
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
    const guard = guardOf(session, handle, sizeMade(descriptor), false);
    return guard;
  }

  /** A new hold to write through; who writes when is the holders' to arrange. */
  getMut(ref: number): BufferGuard {
    const session = this.#session;
    if (typeof ref !== "number") refuseRef(session, "getMut()", ref);
    const descriptor = this.#descriptor;
    const handle = native.xmem_get(descriptor, ref);
    if (handle < 0) failRef(session, handle, "getMut()", ref);
    const guard = guardOf(session, handle, sizeMade(descriptor), true);
    return guard;
  }

  /** Adopts an in-flight reference. STALE_HANDLE when recycled, NO_REFERENCE when none is in flight. */
  take(ref: number): BufferGuard {
    const session = this.#session;
    if (typeof ref !== "number") refuseRef(session, "take()", ref);
    const descriptor = this.#descriptor;
    const handle = native.xmem_take(descriptor, ref);
    if (handle < 0) failRef(session, handle, "take()", ref);
    const guard = guardOf(session, handle, sizeMade(descriptor), true);
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
    endWaits(this.#session);
    this.#descriptor = closed;
    this.#session.close();
  }

  /**
   * Removes the name if it still leads to this pool, and never a later pool's of the same name.
   * Works after close, too. Throws as `BufferPool.unlink` does.
   */
  unlink(): boolean {
    const { descriptor, dir, name, device, inode, poolId } = this.#session;
    // While it is open here, its inode is nobody else's.
    const id = descriptor === closed ? poolId : -1;
    const result = native.xmem_unlink(cString(dir), cString(name), device, inode, id);
    if (result < 0) throw inspection.openFailure(result, "unlink()", name, dir);
    return result === 1;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What opens it elsewhere. */
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
