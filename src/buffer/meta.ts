// The description that travels with a buffer: a live object over shared memory. Reads and writes go
// through the guard's hold, so that it never describes another acquirer's buffer.

import { describe, integer, text } from "../arguments/validate.ts";
import { raise } from "../errors/error.ts";
import { publish } from "../errors/user_frame.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { native } from "../native/native.ts";
import { bytes, decodeText, float64s } from "../native/scratch.ts";

/**
 * What one element of a buffer is. `view` makes the typed array of that name, of bigints for 64
 * bits.
 */
export type DType =
  | "uint8"
  | "int8"
  | "uint16"
  | "int16"
  | "uint32"
  | "int32"
  | "uint64"
  | "int64"
  | "float16"
  | "float32"
  | "float64";

/** By the core's number. */
const dtypes: DType[] = [];
dtypes[constants.DTYPE_UINT8] = "uint8";
dtypes[constants.DTYPE_INT8] = "int8";
dtypes[constants.DTYPE_UINT16] = "uint16";
dtypes[constants.DTYPE_INT16] = "int16";
dtypes[constants.DTYPE_UINT32] = "uint32";
dtypes[constants.DTYPE_INT32] = "int32";
dtypes[constants.DTYPE_UINT64] = "uint64";
dtypes[constants.DTYPE_INT64] = "int64";
dtypes[constants.DTYPE_FLOAT16] = "float16";
dtypes[constants.DTYPE_FLOAT32] = "float32";
dtypes[constants.DTYPE_FLOAT64] = "float64";

/** What a guard lets its description do. */
export interface MetaAccess {
  /** The pool's descriptor; throws RELEASED once the guard is done. */
  readable(tried: string): Descriptor;
  /** The same, and READ_ONLY on a read-only guard. */
  writableFor(tried: string): Descriptor;
  failed(result: number, tried: string): never;
  readonly handle: number;
  /** For messages: of which buffer. */
  readonly on: string;
}

const dims = float64s(constants.LIMIT_DIMENSIONS);
const textScratch = bytes(constants.LIMIT_TEXT_BYTES + 1);
const encoder = new TextEncoder();

function dimsRead(count: number): number[] {
  return Array.from(dims.subarray(0, count));
}

function textRead(length: number): string {
  return decodeText(textScratch.subarray(0, length));
}

/** Makes structuredClone and postMessage refuse a description, which is a look at shared memory. */
const notCloned: unique symbol = Symbol("send meta.toJSON() instead");

/**
 * What a buffer's bytes mean. It is stored beside the buffer and shared by all holders; each
 * acquire resets it. Strides follow shape and dtype for as long as they are the contiguous ones,
 * and a shape that was not set follows the size.
 *
 * @example
 * ```ts
 * frame.meta.dtype = "float32";
 * frame.meta.shape = [480, 640];
 * frame.meta.timestamp = Date.now();
 * ```
 */
export class BufferMeta {
  /** A symbol, so that no structured clone is made of it: `toJSON()` is plain data. */
  readonly uncloneable: symbol = notCloned;
  readonly #guard: MetaAccess;

  /** Made by a guard. @internal */
  constructor(guard: MetaAccess) {
    this.#guard = guard;
  }

  /**
   * What one element is; "uint8" after an acquire.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the description holds what xmem never wrote.
   * @throws READ_ONLY: it was set through a guard that is only read.
   * @throws INVALID_ARGUMENT: it was set to something that is no dtype; the old value stays.
   */
  get dtype(): DType {
    return dtypes[this.#number(constants.META_DTYPE, "meta.dtype")] ?? "uint8";
  }

  set dtype(value: DType) {
    const code = dtypes.indexOf(value);
    if (code < 0) {
      const found = `it is ${describe(value)}, expected one of ${dtypes.join(", ")}`;
      raise("INVALID_ARGUMENT", `setting meta.dtype ${this.#guard.on}`, found);
    }
    this.#setNumber(constants.META_DTYPE, code, "setting meta.dtype");
  }

  /**
   * A whole number from 0 to 2^53, whose unit the producer chooses; 0 after an acquire.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the description holds what xmem never wrote.
   * @throws READ_ONLY: it was set through a guard that is only read.
   * @throws INVALID_ARGUMENT: it was set to anything else; the old value stays.
   */
  get timestamp(): number {
    // Number() keeps the call out of tail position, where a failure would lose the caller's place.
    return Number(this.#number(constants.META_TIMESTAMP, "meta.timestamp"));
  }

  set timestamp(value: number) {
    this.#setWhole(constants.META_TIMESTAMP, value, "setting meta.timestamp");
  }

  /**
   * A whole number from 0 to 2^53, the number of a frame say; 0 after an acquire.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the description holds what xmem never wrote.
   * @throws READ_ONLY: it was set through a guard that is only read.
   * @throws INVALID_ARGUMENT: it was set to anything else; the old value stays.
   */
  get sequence(): number {
    return Number(this.#number(constants.META_SEQUENCE, "meta.sequence"));
  }

  set sequence(value: number) {
    this.#setWhole(constants.META_SEQUENCE, value, "setting meta.sequence");
  }

  /**
   * Elements per dimension, at most 8 dimensions; [size] after an acquire. It is a copy: assign a
   * whole array to change it.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the description holds what xmem never wrote.
   * @throws READ_ONLY: it was set through a guard that is only read.
   * @throws INVALID_ARGUMENT: it was set to more than 8 dimensions, or to numbers that are not
   *   whole and 0 or more; the old value stays.
   */
  get shape(): number[] {
    return dimsRead(this.#dims(constants.META_SHAPE, "meta.shape"));
  }

  set shape(value: number[]) {
    this.#setDims(constants.META_SHAPE, value, 0, "setting meta.shape");
  }

  /**
   * Bytes from one element to the next, per dimension, which can be negative; at most 8 dimensions;
   * [1] after an acquire. It is a copy: assign a whole array to change it.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the description holds what xmem never wrote.
   * @throws READ_ONLY: it was set through a guard that is only read.
   * @throws INVALID_ARGUMENT: it was set to more than 8 dimensions, or to numbers that are not
   *   whole; the old value stays.
   */
  get strides(): number[] {
    return dimsRead(this.#dims(constants.META_STRIDES, "meta.strides"));
  }

  set strides(value: number[]) {
    this.#setDims(constants.META_STRIDES, value, -Number.MAX_SAFE_INTEGER, "setting meta.strides");
  }

  /**
   * What the bytes are, a MIME type say: at most 31 bytes of UTF-8 without NUL; "" after an
   * acquire.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the description holds what xmem never wrote.
   * @throws READ_ONLY: it was set through a guard that is only read.
   * @throws INVALID_ARGUMENT: it was set to a longer text or to none; the old value stays.
   */
  get contentType(): string {
    return textRead(this.#text(constants.META_CONTENT_TYPE, "meta.contentType"));
  }

  set contentType(value: string) {
    this.#setText(constants.META_CONTENT_TYPE, value, "setting meta.contentType");
  }

  /**
   * Who made the content: at most 31 bytes of UTF-8 without NUL; "" after an acquire.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the description holds what xmem never wrote.
   * @throws READ_ONLY: it was set through a guard that is only read.
   * @throws INVALID_ARGUMENT: it was set to a longer text or to none; the old value stays.
   */
  get producer(): string {
    return textRead(this.#text(constants.META_PRODUCER, "meta.producer"));
  }

  set producer(value: string) {
    this.#setText(constants.META_PRODUCER, value, "setting meta.producer");
  }

  /**
   * All fields as plain data, which can be stored or sent.
   *
   * @throws RELEASED: the guard was released, handed off or forgotten before.
   * @throws POOL_CLOSED: the pool was closed, or was opened before this process was forked.
   * @throws STALE_HANDLE: the hold is gone, since the pool was damaged and a recovery rebuilt it.
   * @throws POOL_CORRUPT: the description holds what xmem never wrote.
   */
  toJSON(): Record<string, unknown> {
    this.#guard.readable("meta.toJSON()");
    const { dtype, shape, strides, timestamp, sequence, contentType, producer } = this;
    return { dtype, shape, strides, timestamp, sequence, contentType, producer };
  }

  #checked(result: number, tried: string): number {
    if (result < 0) this.#guard.failed(result, tried);
    return result;
  }

  #number(field: number, tried: string): number {
    const descriptor = this.#guard.readable(tried);
    return this.#checked(native.xmem_bun_meta_number(descriptor, this.#guard.handle, field), tried);
  }

  #setWhole(field: number, value: number, tried: string): void {
    this.#setNumber(field, integer(tried, "it", value, 0, 2 ** 53, this.#guard.on), tried);
  }

  #setNumber(field: number, value: number, tried: string): void {
    const descriptor = this.#guard.writableFor(tried);
    this.#checked(
      native.xmem_bun_meta_set_number(descriptor, this.#guard.handle, field, value),
      tried,
    );
  }

  /** How many `dimsRead` then gets. */
  #dims(which: number, tried: string): number {
    const descriptor = this.#guard.readable(tried);
    const result = native.xmem_bun_meta_dims(descriptor, this.#guard.handle, which, dims);
    return this.#checked(result, tried);
  }

  #setDims(which: number, value: readonly number[], least: number, tried: string): void {
    const descriptor = this.#guard.writableFor(tried);
    const legal = Array.isArray(value) && value.length <= constants.LIMIT_DIMENSIONS;
    if (!legal) {
      const most = constants.LIMIT_DIMENSIONS;
      const found = `it is ${describe(value)}, expected an array of at most ${most} numbers`;
      raise("INVALID_ARGUMENT", `${tried} ${this.#guard.on}`, found);
    }
    // All are checked before one is written, so that the old value stays.
    const checked = Array.from(value, (each) =>
      integer(tried, "an element", each, least, Number.MAX_SAFE_INTEGER, this.#guard.on),
    );
    dims.set(checked);
    const { handle } = this.#guard;
    this.#checked(
      native.xmem_bun_meta_set_dims(descriptor, handle, which, dims, checked.length),
      tried,
    );
  }

  /** How many bytes `textRead` then gets. */
  #text(which: number, tried: string): number {
    const descriptor = this.#guard.readable(tried);
    const result = native.xmem_bun_meta_text(descriptor, this.#guard.handle, which, textScratch);
    return this.#checked(result, tried);
  }

  #setText(which: number, value: string, tried: string): void {
    const descriptor = this.#guard.writableFor(tried);
    const encoded = encoder.encode(text(tried, "it", value, this.#guard.on));
    textScratch.set(encoded);
    const { handle } = this.#guard;
    this.#checked(
      native.xmem_bun_meta_set_text(descriptor, handle, which, textScratch, encoded.length),
      tried,
    );
  }
}

publish(BufferMeta.prototype, "meta.");
