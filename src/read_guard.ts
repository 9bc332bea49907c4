// What a holder that only reads sees of a guard: types alone, since the object is a BufferGuard. A
// promise between friends, not a protection: the memory is writable, and so is `bytes.buffer`.

import type { AnyTypedArray, TypedArrayConstructor, TypedArrayOf } from "./guard.ts";
import type { BufferMeta, DType } from "./meta.ts";

type Writing = "copyWithin" | "fill" | "reverse" | "set" | "setFromBase64" | "setFromHex" | "sort";

/** A method that nobody can call: no object is a `never`. */
type Uncallable<Method> = Method extends (...argv: never[]) => infer Result
  ? (this: never, ...argv: never[]) => Result
  : Method;

/**
 * A typed array without what writes. It and the writable array are assignable to each other: that
 * makes a BufferGuard a ReadGuard, and lets what is only read be passed to any function that takes
 * a Uint8Array, since hardly any declares that it only reads. Hence the methods that write are not
 * left out, which would make it another type; but calling one, or assigning to an element, is an
 * error.
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

/** A hold of a buffer that its holder only reads. */
export interface ReadGuard extends Disposable {
  readonly index: number;
  readonly handle: number;
  readonly size: number;
  readonly writable: boolean;
  readonly bytes: ReadonlyBytes;
  readonly view: (<K extends DType>(type: K) => ReadonlyViewOf[K]) & ViewByClass;
  readonly meta: Readonly<BufferMeta>;
  clone(): ReadGuard;
  share(): number;
  handOff(): number;
  forget(): number;
  release(): void;
}
