// A guard stands for one hold of one buffer, and gives it back when it is disposed of.

import { publish } from "./caller.ts";
import { ERROR_INVALID_ARGUMENT, INDEX_COUNT } from "./constants.gen.ts";
import { raise, type XmemError } from "./errors.ts";
import { BufferMeta, type DType, type MetaAccess } from "./meta.ts";
import { type Descriptor, native, releaseIndex } from "./native.ts";
import type { OwnViews } from "./own_views.ts";
import { closed, type Session } from "./session.ts";
import { trace, tracing, untrace } from "./trace.ts";
import { describe, generationOf, indexOf, integer } from "./validate.ts";
import type { Bytes } from "./views.ts";

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
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, byteOffset: number, length: number): T;
}

/** The typed array that a dtype is viewed as. */
export interface TypedArrayOf {
  uint8: Uint8Array<ArrayBuffer>;
  int8: Int8Array<ArrayBuffer>;
  uint16: Uint16Array<ArrayBuffer>;
  int16: Int16Array<ArrayBuffer>;
  uint32: Uint32Array<ArrayBuffer>;
  int32: Int32Array<ArrayBuffer>;
  uint64: BigUint64Array<ArrayBuffer>;
  int64: BigInt64Array<ArrayBuffer>;
  float16: Float16Array<ArrayBuffer>;
  float32: Float32Array<ArrayBuffer>;
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
 * Makes structuredClone and postMessage refuse what has it, instead of giving the receiver an object
 * without its hold. It is shown where the object is printed.
 */
const notCloned: unique symbol = Symbol("send guard.handOff() instead");

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

  /** Made by the pool. */
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
    if (tracing) trace(this, session, this.handle);
  }

  /** The slot's number, 0 to capacity - 1. */
  get index(): number {
    return this.#index;
  }

  /** Bytes. What another holder's `truncate` left is seen by guards that are made afterwards. */
  get size(): number {
    return this.#size;
  }

  get writable(): boolean {
    return this.#writable;
  }

  /** Names the buffer for as long as it is not recycled: generation x 2^24 + index, below 2^53. */
  get handle(): number {
    return this.#generation * INDEX_COUNT + this.#index;
  }

  /**
   * The buffer itself, without a copy: `size` bytes. Valid until the guard is released; hold the
   * guard until I/O on its bytes has settled. `bytes.buffer` may be longer: it is the slot's, and
   * shared by all of its guards here. Who transfers it gets it, and the guards get another. Throws
   * RELEASED, POOL_CLOSED.
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

  /** The same, and READ_ONLY on a read-only guard. */
  mutableBytes(): Uint8Array<ArrayBuffer> {
    this.#writableFor("mutableBytes()");
    return this.bytes;
  }

  /**
   * A typed array over the same bytes, by dtype or class. INVALID_ARGUMENT where the size is not a
   * multiple of the element's; RELEASED, POOL_CLOSED.
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

  /** A live object over the shared description. Set through a read-only guard: READ_ONLY. */
  get meta(): BufferMeta {
    this.#readable("meta");
    this.#meta ??= new BufferMeta(this.#access());
    return this.#meta;
  }

  /** One more hold of this thread, as writable as this one. TOO_MANY_REFERENCES, RELEASED. */
  clone(): BufferGuard {
    const descriptor = this.#readable("clone()");
    const handle = native.xmem_get(descriptor, this.handle);
    if (handle < 0) throw this.#failure(handle, "clone()");
    const guard = guardOf(this.#session, handle, this.#size, this.#writable);
    return guard;
  }

  /** Makes an in-flight reference for somebody to `take`; returns the handle. This guard stays. */
  share(): number {
    const result = native.xmem_share(this.#readable("share()"), this.handle);
    if (result < 0) throw this.#failure(result, "share()");
    return this.handle;
  }

  /** Turns this hold into an in-flight reference; returns the handle. This guard is done. */
  handOff(): number {
    this.#handOff("handOff()");
    return this.handle;
  }

  /** As handOff, but returns the bare index, and with it gives up the generation's safety. */
  forget(): number {
    this.#handOff("forget()");
    return this.#index;
  }

  /**
   * Makes the buffer smaller, for good: `size`, `bytes` and what the next holder sees are `size` bytes
   * long from now on. Bytes 0 to `size` stay as they are. Guards that others have of the buffer keep
   * the size that they were made with, and can read what is behind `size` until they end. READ_ONLY;
   * INVALID_ARGUMENT above the present size; RELEASED, POOL_CLOSED.
   */
  truncate(size: number): void {
    const descriptor = this.#writableFor("truncate()");
    const checked = integer("truncate()", "size", size, 0, this.#size, this.#on());
    const result = native.xmem_truncate(descriptor, this.handle, checked);
    if (result === -ERROR_INVALID_ARGUMENT) {
      const found = `size is ${checked}, and another holder has made the buffer smaller`;
      raise("INVALID_ARGUMENT", this.#tried("truncate()"), found);
    }
    if (result < 0) throw this.#failure(result, "truncate()");
    this.#size = checked;
  }

  /** Gives the hold back; the last one recycles the buffer. A second call does nothing. */
  release(): void {
    if (!this.#live) return;
    this.#live = false;
    // Its descriptor, and not one noted here: the number of a closed pool is issued again. And that
    // the call has an argument is for the engine's compiler, which inlines this only so.
    const session = this.#session;
    if (session.ownViews !== null) {
      this.#endOwn(session.ownViews);
      return;
    }
    this.#bytes = null;
    releaseIndex(session.descriptor, this.#index, this.#generation);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** What stands for a hold says which: the handle is there, and nothing of the content. */
  toJSON(): Record<string, unknown> {
    const { handle } = this;
    return { index: this.#index, handle, size: this.#size, writable: this.#writable };
  }

  /** The end of a guard whose hold may have to wait for a view that I/O has pinned. */
  #endOwn(ownViews: OwnViews): void {
    if (tracing) untrace(this);
    const bytes = this.#bytes;
    this.#bytes = null;
    const { descriptor } = this.#session;
    if (bytes === null || !ownViews.detaching || descriptor === closed) {
      releaseIndex(descriptor, this.#index, this.#generation);
    } else {
      ownViews.end(this.#index, this.#generation, bytes);
    }
  }

  #handOff(tried: string): void {
    const descriptor = this.#readable(tried);
    const { ownViews } = this.#session;
    // The receiver may be done before a view is dead that cannot be detached: that has its own hold.
    const spare = ownViews?.detaching === true && this.#bytes !== null;
    if (spare) {
      const held = native.xmem_get(descriptor, this.handle);
      if (held < 0) throw this.#failure(held, tried);
    }
    const result = native.xmem_hand_off(descriptor, this.handle);
    if (result < 0) {
      if (spare) native.xmem_release(descriptor, this.handle);
      throw this.#failure(result, tried);
    }
    this.#live = false;
    if (spare) this.#endOwn(ownViews);
    else {
      this.#bytes = null;
      if (tracing) untrace(this);
    }
  }

  /** The guard is known to be readable. */
  #makeBytes(): Bytes {
    const { views, ownViews } = this.#session;
    const made =
      ownViews === null
        ? views.bytes(this.#index, this.#size)
        : ownViews.bytes(this.#index, this.#size, this, this.#bytes);
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
