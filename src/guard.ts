// A guard stands for one hold of one buffer, and gives it back when it is disposed of.

import { publish } from "./caller.ts";
import { INDEX_COUNT } from "./constants.gen.ts";
import { raise, type XmemError } from "./errors.ts";
import { BufferMeta, type DType, type MetaAccess } from "./meta.ts";
import { type Descriptor, native, releaseIndex } from "./native.ts";
import { closed, type Session } from "./session.ts";
import { trace, tracing, untrace } from "./trace.ts";
import { describe, generationOf, indexOf } from "./validate.ts";
import { detach } from "./views.ts";

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
  /** The slot's number, 0 to `capacity` - 1. It does not change. */
  readonly index: number;
  /**
   * Bytes of the buffer, as they were acquired or truncated. What another holder's `truncate` left
   * is seen by guards that are made afterwards.
   */
  readonly size: number;
  /** Whether the guard is one to write through. */
  readonly writable: boolean;
  readonly #session: Session;
  /** The session's as it was: after a close it names a closed pool, and nothing else for long. */
  readonly #descriptor: Descriptor;
  readonly #generation: number;
  #live = true;
  #bytes: Uint8Array<ArrayBuffer> | null = null;
  #meta: BufferMeta | null = null;

  /** Made by the pool. @internal */
  constructor(
    session: Session,
    descriptor: Descriptor,
    index: number,
    generation: number,
    size: number,
    writable: boolean,
  ) {
    this.#session = session;
    this.#descriptor = descriptor;
    this.index = index;
    this.#generation = generation;
    this.size = size;
    this.writable = writable;
    if (tracing) trace(this, session, this.handle);
  }

  /**
   * Names the buffer for as long as it is not recycled: generation x 2^24 + index, a whole number
   * below 2^53.
   */
  get handle(): number {
    return this.#generation * INDEX_COUNT + this.index;
  }

  /**
   * The buffer itself, without a copy: `size` bytes. Valid until the guard is done; keep the guard
   * until I/O on its bytes has settled. `bytes.buffer` may be longer: it is the slot's, and shared
   * by all of its guards here. Who transfers it gets it, and the guards get another.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#live && this.#bytes !== null && this.#session.descriptor !== closed)
      return this.#bytes;
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
    const all = this.#bytesOf("view()");
    const named = typeof type === "string" && Object.hasOwn(classes, type);
    const chosen = named ? classes[type] : type;
    if (typeof chosen !== "function" || !(chosen.prototype instanceof TypedArray)) {
      raise("INVALID_ARGUMENT", this.#tried("view()"), `the type is ${describe(type)}`);
    }
    const count = this.size / chosen.BYTES_PER_ELEMENT;
    if (!Number.isInteger(count)) {
      const found = `${this.size} bytes are not a multiple of ${chosen.BYTES_PER_ELEMENT}`;
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
    const handle = native.xmem_get(descriptor, this.handle);
    if (handle < 0) throw this.#failure(handle, "clone()");
    const guard = guardOf(this.#session, descriptor, handle, this.size, this.writable);
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
    const result = native.xmem_share(this.#readable("share()"), this.handle);
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
    return this.index;
  }

  /**
   * Gives the hold back; the last reference recycles the buffer. A second call, or one after the
   * pool was closed, does nothing.
   */
  release(): void {
    if (!this.#live) return;
    this.#end();
    // Of a closed pool, whose holds went with it, nothing is done.
    releaseIndex(this.#descriptor, this.index, this.#generation);
  }

  /** Is `release()`, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }

  #handOff(tried: string): void {
    const result = native.xmem_hand_off(this.#readable(tried), this.handle);
    if (result < 0) throw this.#failure(result, tried);
    this.#end();
  }

  #end(): void {
    this.#live = false;
    if (this.#bytes !== null) this.#letGo(this.#bytes);
    if (tracing) untrace(this);
  }

  #letGo(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#session.detaching) detach(bytes.buffer);
    this.#bytes = null;
  }

  /** The guard is known to be readable. */
  #makeBytes(): Uint8Array<ArrayBuffer> {
    this.#bytes = this.#session.views.bytes(this.index, this.size);
    return this.#bytes;
  }

  #bytesOf(tried: string): Uint8Array<ArrayBuffer> {
    // Bytes that the user transferred away are the receiver's; this guard gets a view of its own.
    this.#readable(tried);
    const { bytes } = this;
    return bytes.length === this.size ? bytes : this.#makeBytes();
  }

  #tried(what: string): string {
    return `${what} ${this.#on()}`;
  }

  #on(): string {
    return `of buffer ${this.index} of pool "${this.#session.name}"`;
  }

  #readable(tried: string): Descriptor {
    if (!this.#live) raise("RELEASED", this.#tried(tried));
    const { descriptor } = this.#session;
    if (descriptor === closed) raise("POOL_CLOSED", this.#tried(tried));
    return descriptor;
  }

  #writableFor(tried: string): Descriptor {
    const descriptor = this.#readable(tried);
    if (!this.writable) raise("READ_ONLY", this.#tried(tried));
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
  descriptor: Descriptor,
  handle: number,
  size: number,
  writable: boolean,
): BufferGuard {
  const index = indexOf(handle);
  return new BufferGuard(session, descriptor, index, generationOf(handle), size, writable);
}

publish(BufferGuard.prototype);
