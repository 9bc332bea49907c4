// A guard stands for one hold of one buffer, and gives it back when it is disposed of.

import { describe, integer } from "../arguments/validate.ts";
import { raise, type XmemError } from "../errors/error.ts";
import { publish } from "../errors/user_frame.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import { ERROR_INVALID_ARGUMENT, INDEX_COUNT } from "../generated/constants.gen.ts";
import { trace, tracing, untrace } from "../lifetime/trace.ts";
import { generationOf, indexOf } from "../native/handle.ts";
import {
  closed,
  getIndex,
  native,
  releaseIndex,
  releaseIndexCached,
  shareIndex,
} from "../native/native.ts";
import type { Session } from "../session/session.ts";
import type { GuardViews } from "../views/guard_views.ts";
import type { Bytes } from "../views/view_cache.ts";
import { BufferMeta, type DType, type MetaAccess } from "./meta.ts";

/**
 * Every typed array that a guard's `view` can make, over memory that is not a SharedArrayBuffer to
 * the engine.
 */
export type AnyTypedArray =
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint8ClampedArray<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | Float16Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** A class of typed arrays, `Float32Array` say. */
export interface TypedArrayConstructor<T extends AnyTypedArray = AnyTypedArray> {
  /** Bytes of one element. */
  readonly BYTES_PER_ELEMENT: number;
  /** Makes one over `length` elements of `buffer`, from `byteOffset` on. */
  new (buffer: ArrayBuffer, byteOffset: number, length: number): T;
}

/** The typed array that a dtype is viewed as. */
export interface TypedArrayOf {
  /** Unsigned, 8 bits. */
  uint8: Uint8Array<ArrayBuffer>;
  /** Signed, 8 bits. */
  int8: Int8Array<ArrayBuffer>;
  /** Unsigned, 16 bits. */
  uint16: Uint16Array<ArrayBuffer>;
  /** Signed, 16 bits. */
  int16: Int16Array<ArrayBuffer>;
  /** Unsigned, 32 bits. */
  uint32: Uint32Array<ArrayBuffer>;
  /** Signed, 32 bits. */
  int32: Int32Array<ArrayBuffer>;
  /** Unsigned, 64 bits, as bigints. */
  uint64: BigUint64Array<ArrayBuffer>;
  /** Signed, 64 bits, as bigints. */
  int64: BigInt64Array<ArrayBuffer>;
  /** Floating point, 16 bits. */
  float16: Float16Array<ArrayBuffer>;
  /** Floating point, 32 bits. */
  float32: Float32Array<ArrayBuffer>;
  /** Floating point, 64 bits. */
  float64: Float64Array<ArrayBuffer>;
}

const classes: Record<DType, TypedArrayConstructor> = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  float16: Float16Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** What all classes of typed arrays extend; a DataView does not. */
const TypedArray = Object.getPrototypeOf(Uint8Array) as typeof Uint8Array;

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/**
 * Makes structuredClone and postMessage refuse what has it, instead of giving the receiver an object
 * without its hold. It is shown where the object is printed.
 */
const notCloned: unique symbol = Symbol("send guard.handOff() instead");

/** Whose guard it is, and whether it is not done; null for what is no guard. */
export let holderOf: (guard: unknown) => { session: Session; live: boolean } | null;
/** Whether the hold is the session's, and nothing but it: no view that must end with the guard. */
export let isPlain: (guard: unknown, session: Session) => guard is BufferGuard;
export let generationHeld: (guard: BufferGuard) => number;
/** Whether the guard is not done. */
export let isHeld: (guard: BufferGuard) => boolean;
/** The hold went elsewhere. */
export let endPlain: (guard: BufferGuard) => void;

/**
 * One hold of one buffer. The buffer is somebody else's, or goes back to the pool, once the guard
 * is released, handed off or forgotten; `using` releases it at the end of its scope.
 *
 * @example
 * ```ts
 * using frame = pool.acquire(640 * 480);
 * frame.meta.shape = [480, 640];
 * frame.view("uint8").fill(255);
 * send(frame.handOff());
 * ```
 */
export class BufferGuard implements Disposable {
  /** A symbol, so that no structured clone is made of a guard: hand its buffer off by handle. */
  readonly uncloneable: symbol = notCloned;
  readonly #session: Session;
  readonly #index: number;
  readonly #generation: number;
  #size: number;
  readonly #writable: boolean;
  #live = true;
  /** Null once the guard is done. */
  #bytes: Bytes | null = null;
  #meta: BufferMeta | null = null;

  // What a channel does with a guard that it sends. A program has no way to these.
  static {
    holderOf = (guard) =>
      isObject(guard) && #session in guard ? { session: guard.#session, live: guard.#live } : null;
    isPlain = (guard, session): guard is BufferGuard =>
      isObject(guard) &&
      #session in guard &&
      guard.#live &&
      guard.#session === session &&
      session.sendsStraight;
    generationHeld = (guard) => guard.#generation;
    isHeld = (guard) => guard.#live;
    endPlain = (guard) => {
      guard.#live = false;
      guard.#bytes = null;
    };
  }

  /** Made by the pool. @internal */
  constructor(
    session: Session,
    index: number,
    generation: number,
    size: number,
    writable: boolean,
  ) {
    this.#session = session;
    this.#index = index;
    this.#generation = generation;
    this.#size = size;
    this.#writable = writable;
    if (tracing && session.traced) trace(this, session, this.constructor !== BufferGuard);
  }

  /** The slot's number, 0 to `capacity` - 1. It does not change. */
  get index(): number {
    return this.#index;
  }

  /**
   * Bytes of the buffer, as they were acquired or truncated. What another holder's `truncate` left
   * is seen by guards that are made afterwards.
   */
  get size(): number {
    return this.#size;
  }

  /** Whether the guard is one to write through. */
  get writable(): boolean {
    return this.#writable;
  }

  /**
   * How often the buffer was received, this time included, where this guard received it from a
   * channel that redelivers: 1, or more after its receivers died. Of any other guard it is 0.
   */
  get deliveries(): number {
    return 0;
  }

  /**
   * Names the message that this guard received from a channel that redelivers: the same at each of
   * its deliveries, and never another message's, of whatever pool and channel. It is at most 63
   * characters: letters, digits and dots. Of any other guard, and once the guard is done, it is "".
   */
  get messageId(): string {
    return "";
  }

  /**
   * Names the buffer for as long as it is not recycled: generation x 2^24 + index, a whole number
   * below 2^53.
   */
  get handle(): number {
    return this.#generation * INDEX_COUNT + this.#index;
  }

  /**
   * The buffer itself, without a copy: `size` bytes. Valid until the guard is done; keep the guard
   * until I/O on its bytes has settled. `bytes.buffer` may be longer: it is the slot's, and shared
   * by all of its guards here. A transfer takes it away, and the guards get another.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes;
    // Bytes that were transferred away have length 0, as an empty buffer's have.
    const whole =
      bytes !== null &&
      bytes.length === this.#size &&
      (bytes.length > 0 || bytes.buffer.detached === false);
    if (whole && this.#session.descriptor !== closed) return bytes;
    this.#readable("bytes");
    return this.#makeBytes();
  }

  /**
   * As `bytes`, but an error on a guard that is only read, whatever its type says.
   *
   * @throws READ_ONLY: the guard came from `get`, or is a clone of one that did.
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  mutableBytes(): Uint8Array<ArrayBuffer> {
    this.#writableFor("mutableBytes()");
    return this.bytes;
  }

  /**
   * A typed array over the same bytes, by dtype or by class.
   *
   * @throws INVALID_ARGUMENT: `type` is neither, or `size` is not a multiple of its element's
   *   bytes.
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  view<K extends DType>(type: K): TypedArrayOf[K];
  view<T extends AnyTypedArray>(type: TypedArrayConstructor<T>): T;
  view(type: DType | TypedArrayConstructor): AnyTypedArray {
    this.#readable("view()");
    const all = this.bytes;
    const named = typeof type === "string" && Object.hasOwn(classes, type);
    const chosen = named ? classes[type] : type;
    if (typeof chosen !== "function" || !(chosen.prototype instanceof TypedArray)) {
      raise(
        "INVALID_ARGUMENT",
        this.#tried("view()"),
        `the type is ${describe(type)}, expected a dtype or a class of typed arrays`,
      );
    }
    const count = this.#size / chosen.BYTES_PER_ELEMENT;
    if (!Number.isInteger(count)) {
      const found = `${this.#size} bytes are not a multiple of ${chosen.BYTES_PER_ELEMENT}`;
      raise("INVALID_ARGUMENT", this.#tried("view()"), found);
    }
    return new chosen(all.buffer, all.byteOffset, count);
  }

  /**
   * The buffer's description: a live object, whose fields read and write what all holders share.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  get meta(): BufferMeta {
    this.#readable("meta");
    this.#meta ??= new BufferMeta(this.#access());
    return this.#meta;
  }

  /**
   * Makes one more hold of this thread, as writable as this one, with a guard of its own.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws NO_REFERENCE: the buffer is at count 0, which only damage to the pool can make of a
   *   hold.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  clone(): BufferGuard {
    const descriptor = this.#readable("clone()");
    const index = getIndex(descriptor, this.#index, this.#generation);
    if (index < 0) throw this.#failure(index, "clone()");
    const generation = this.#generation;
    const guard = new BufferGuard(this.#session, index, generation, this.#size, this.#writable);
    return guard;
  }

  /**
   * Makes an in-flight reference for somebody to `take`, and returns the handle. This guard stays.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  share(): number {
    const result = shareIndex(this.#readable("share()"), this.#index, this.#generation);
    if (result < 0) throw this.#failure(result, "share()");
    return this.handle;
  }

  /**
   * Turns this hold into an in-flight reference for somebody to `take`, and returns the handle.
   * This guard is done.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws TOO_MANY_REFERENCES: views are detached, which takes one reference more, and the buffer
   *   has 65,535 already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  handOff(): number {
    this.#handOff("handOff()");
    return this.handle;
  }

  /**
   * As `handOff`, but returns the bare index, and with it gives up the safety of the generation: a
   * bare index names whatever buffer is in the slot.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws TOO_MANY_REFERENCES: views are detached, which takes one reference more, and the buffer
   *   has 65,535 already.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_BUSY: another participant has been stopped in the middle of a recovery for two
   *   seconds.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  forget(): number {
    this.#handOff("forget()");
    return this.#index;
  }

  /**
   * Makes the buffer smaller, for good: `size`, `bytes` and what later holders see are `size` bytes
   * long from now on. Bytes 0 to `size` stay as they are. Guards that others have of the buffer
   * keep the size that they were made with, and can read what is behind `size` until they end.
   *
   * @throws INVALID_ARGUMENT: `size` is not a whole number from 0 to the present size.
   * @throws READ_ONLY: the guard is only read.
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the pool's control area holds what xmem never wrote.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  truncate(size: number): void {
    const descriptor = this.#writableFor("truncate()");
    const checked = integer("truncate()", "size", size, 0, this.#size, this.#on());
    const result = native.xmem_bun_truncate(descriptor, this.handle, checked);
    if (result === -ERROR_INVALID_ARGUMENT) {
      const found = `size is ${checked}, and another holder has made the buffer smaller`;
      raise("INVALID_ARGUMENT", this.#tried("truncate()"), found);
    }
    if (result < 0) throw this.#failure(result, "truncate()");
    this.#size = checked;
  }

  /**
   * Gives the hold back; the last reference recycles the buffer. A second call, or one after the
   * pool was closed, does nothing.
   */
  release(): void {
    if (!this.#live) return;
    this.#live = false;
    // Its descriptor, and not one noted here: the number of a closed pool is issued again. And that
    // the call has an argument is for the engine's compiler, which inlines this only so.
    const session = this.#session;
    if (session.guardViews !== null) {
      this.#endOwn(session.guardViews);
      return;
    }
    this.#bytes = null;
    if (session.caches) {
      releaseIndexCached(session.descriptor, this.#index, this.#generation);
      return;
    }
    releaseIndex(session.descriptor, this.#index, this.#generation);
  }

  /** Is `release()`, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }

  /** Says which buffer it is, by its handle, and nothing of its content. */
  toJSON(): Record<string, unknown> {
    const { handle } = this;
    return { index: this.#index, handle, size: this.#size, writable: this.#writable };
  }

  /** The end of a guard whose hold may have to wait for a view that I/O has pinned. */
  #endOwn(guardViews: GuardViews): void {
    if (tracing) untrace(this);
    const bytes = this.#bytes;
    this.#bytes = null;
    const { descriptor } = this.#session;
    if (bytes === null || !guardViews.detaching || descriptor === closed) {
      releaseIndex(descriptor, this.#index, this.#generation);
    } else {
      guardViews.end(this.#index, this.#generation, bytes);
    }
  }

  #handOff(tried: string): void {
    const descriptor = this.#readable(tried);
    const { guardViews } = this.#session;
    // The receiver may be done before a view is dead that cannot be detached: that has its own hold.
    const spare = guardViews?.detaching === true && this.#bytes !== null;
    if (spare) {
      const held = getIndex(descriptor, this.#index, this.#generation);
      if (held < 0) throw this.#failure(held, tried);
    }
    // Of a message it is one call, that gives both up or neither.
    const result =
      this.deliveries === 0
        ? native.xmem_bun_hand_off(descriptor, this.#index, this.#generation)
        : native.xmem_bun_message_hand_off(descriptor, this.#index, this.#generation);
    if (result < 0) {
      if (spare) releaseIndex(descriptor, this.#index, this.#generation);
      throw this.#failure(result, tried);
    }
    this.#live = false;
    if (spare) this.#endOwn(guardViews);
    else {
      this.#bytes = null;
      if (tracing) untrace(this);
    }
  }

  /** The guard is known to be readable. */
  #makeBytes(): Bytes {
    const { views, guardViews } = this.#session;
    const made =
      guardViews === null
        ? views.bytes(this.#index, this.#size)
        : guardViews.bytes(this.#index, this.#size, this, this.#bytes);
    this.#bytes = made;
    return made;
  }

  #tried(what: string): string {
    return `${what} ${this.#on()}`;
  }

  #on(): string {
    return `of buffer ${this.#index} of pool "${this.#session.name}"`;
  }

  #readable(tried: string): Descriptor {
    if (!this.#live) raise("RELEASED", this.#tried(tried));
    const { descriptor } = this.#session;
    if (descriptor === closed) raise("POOL_CLOSED", this.#tried(tried));
    return descriptor;
  }

  #writableFor(tried: string): Descriptor {
    const descriptor = this.#readable(tried);
    if (!this.#writable) raise("READ_ONLY", this.#tried(tried));
    return descriptor;
  }

  #failure(result: number, tried: string): XmemError {
    return this.#session.failure(result, tried, { ref: this.handle });
  }

  #access(): MetaAccess {
    return {
      readable: (tried) => this.#readable(tried),
      writableFor: (tried) => this.#writableFor(tried),
      failed: (result, tried) => {
        throw this.#failure(result, tried);
      },
      handle: this.handle,
      on: this.#on(),
    };
  }
}

/**
 * The guard of a hold that the native side named by a handle. Its callers do not end in a call of it:
 * that would take them off the stack, and with them the line that a lost guard is traced to.
 */
export function guardOf(
  session: Session,
  handle: number,
  size: number,
  writable: boolean,
): BufferGuard {
  return new BufferGuard(session, indexOf(handle), generationOf(handle), size, writable);
}

publish(BufferGuard.prototype);
