// The types of a guard that only reads. There are only types here, since the object is a
// BufferGuard. They are a promise and no protection: the memory is writable, and so is
// `bytes.buffer`.

import type { AnyTypedArray, TypedArrayConstructor, TypedArrayOf } from "./guard.ts";
import type { BufferMeta, DType } from "./meta.ts";

type Writing = "copyWithin" | "fill" | "reverse" | "set" | "setFromBase64" | "setFromHex" | "sort";

/** A method that nobody can call: no object is a `never`. */
type Uncallable<Method> = Method extends (...argv: never[]) => infer Result
  ? (this: never, ...argv: never[]) => Result
  : Method;

/**
 * A typed array whose writing methods cannot be called. It and the writable array are assignable to
 * each other: that makes a BufferGuard a ReadGuard, and such bytes can be passed to any function
 * that takes a Uint8Array, since hardly any function declares that it only reads. Without the
 * writing methods it would be another type. So they stay, but a call of one, or an assignment to an
 * element, is an error.
 */
export type ReadonlyView<T extends AnyTypedArray> = {
  readonly [K in keyof T]: K extends Writing
    ? Uncallable<T[K]>
    : K extends "subarray"
      ? (begin?: number, end?: number) => ReadonlyView<T>
      : K extends "valueOf"
        ? () => ReadonlyView<T>
        : T[K];
};

/** Bytes that are not to be written. */
export type ReadonlyBytes = ReadonlyView<Uint8Array<ArrayBuffer>>;

type ReadonlyViewOf = { [K in DType]: ReadonlyView<TypedArrayOf[K]> };

/** The overloads by class, one for each: a type parameter would not match a BufferGuard's own. */
type ViewByClass = Overloads<Uint8ClampedArray<ArrayBuffer> | TypedArrayOf[DType]>;
type Overloads<T extends AnyTypedArray> = (
  T extends AnyTypedArray
    ? (way: (type: TypedArrayConstructor<T>) => ReadonlyView<T>) => void
    : 0
) extends (way: infer Intersection) => void
  ? Intersection
  : never;

/**
 * A hold of a buffer that its holder only reads. It is a promise and no protection: the memory is
 * writable. Every BufferGuard is a ReadGuard, too.
 */
export interface ReadGuard extends Disposable {
  /** The slot's number, 0 to `capacity` - 1. It does not change. */
  readonly index: number;
  /**
   * Names the buffer for as long as it is not recycled: generation x 2^24 + index, a whole number
   * below 2^53.
   */
  readonly handle: number;
  /**
   * Bytes of the buffer, as they were acquired or truncated. A `truncate` by another holder changes
   * only the guards that are made after it.
   */
  readonly size: number;
  /**
   * Whether the guard can be written through: false, unless it is a BufferGuard that is used as a
   * ReadGuard.
   */
  readonly writable: boolean;
  /**
   * How often the buffer was received, this time included, where this guard received it from a
   * channel that redelivers. Of any other guard it is 0.
   */
  readonly deliveries: number;
  /**
   * The buffer itself, without a copy: `size` bytes, typed as ones that are only read. Valid until
   * the guard is done; keep the guard until I/O on its bytes has settled. `bytes.buffer` may be
   * longer: it is the slot's, and all of its guards here share it. A program that transfers it
   * keeps it, and the guards get another.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  readonly bytes: ReadonlyBytes;
  /**
   * A typed array over the same bytes, by dtype or by class, typed as one that is only read.
   *
   * @throws INVALID_ARGUMENT: `type` is neither, or `size` is not a multiple of its element's
   *   bytes.
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  readonly view: (<K extends DType>(type: K) => ReadonlyViewOf[K]) & ViewByClass;
  /**
   * The buffer's description: a live object, whose fields read what all holders share.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   */
  readonly meta: Readonly<BufferMeta>;
  /**
   * Makes one more hold of this thread, to read through, with a guard of its own.
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
  clone(): ReadGuard;
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
  share(): number;
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
  handOff(): number;
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
  forget(): number;
  /**
   * Gives the hold back; the last reference recycles the buffer. A second call, or one after the
   * pool was closed, does nothing.
   */
  release(): void;
}
