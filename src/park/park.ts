// One buffer into a store, and back.

import { waitOptions } from "../arguments/options.ts";
import { inNameOf, renamed } from "../errors/error.ts";
import { type BufferGuard, BufferPool, type ReadGuard, type WaitOptions } from "../index.ts";
import { invalid } from "../relay/arguments.ts";
import { storeOf } from "./choice.ts";
import { checkOptions, flag, repeated, whole } from "./failure.ts";
import { describeAs, piecesOf, RecordReader, recordOf } from "./record.ts";
import { checkKey, type ParkingStore } from "./store.ts";

/** Where a buffer is parked, and how. */
export interface ParkOptions {
  /** Its name in the store: parts between slashes. One that is there already is replaced. */
  key: string;
  /** The store; default `defaultStore()`. */
  store?: ParkingStore;
  /** In place of a store: the bucket of S3; its login comes from the environment. */
  bucket?: string;
  /** Whether it is compressed, by zstd; default false. */
  compress?: boolean;
  /** How often it is tried where the store fails, with pauses between; default 5. */
  tries?: number;
  /** Gives it up. */
  signal?: AbortSignal;
}

/** What stands in the store. */
export interface ParkedBuffer {
  /** The key that brings it back. */
  key: string;
  /** Bytes of the buffer. */
  size: number;
  /** Bytes in the store, with the description. */
  stored: number;
}

/** Which parked buffer is wanted. */
export interface UnparkOptions extends WaitOptions {
  /** The store; default `defaultStore()`. */
  store?: ParkingStore;
  /** In place of a store: the bucket of S3; its login comes from the environment. */
  bucket?: string;
  /** Whether it is removed from the store once the buffer has it; default false. */
  remove?: boolean;
  /** How often it is tried where the store fails, with pauses between; default 5. */
  tries?: number;
}

/**
 * Copies a buffer and its description into a store. The guard stays its caller's, whatever becomes
 * of it: release it then to free the buffer. Nobody should write to the buffer meanwhile.
 *
 * @throws INVALID_ARGUMENT: `guard` is no guard, an option is of the wrong type or does not exist.
 * @throws RELEASED: the guard was released, sent, handed off or forgotten before.
 * @throws TOO_MANY_REFERENCES: the buffer has 65,535 references already.
 * @throws PERMISSION_DENIED: the default store's directory is another user's, or others can write to
 *   it.
 * @throws SYSTEM: the store failed each time, and the last time so; `cause` says why. What was under
 *   the key before is still there.
 *
 * @example
 * ```ts
 * using frame = pool.acquire(640 * 480);
 * await park(frame, { key: "frames/1", compress: true });
 * ```
 */
export async function park(
  guard: BufferGuard | ReadGuard,
  options: ParkOptions,
): Promise<ParkedBuffer> {
  const tried = "park()";
  checkOptions(tried, options, ["key", "store", "bucket", "compress", "tries", "signal"]);
  const key = checkKey(tried, options.key);
  const compress = flag(tried, "compress", options.compress);
  const tries = whole(tried, "tries", options.tries, { otherwise: 5 });
  const store = storeOf(tried, options);
  if (typeof (guard as BufferGuard | null)?.clone !== "function") {
    throw invalid(tried, "what was given is no guard");
  }
  // A hold of its own: the caller may release the guard meanwhile.
  using own = inNameOf(tried, () => guard.clone());
  const { size } = own;
  const record = recordOf(own, "");
  const bytes = own.bytes as Uint8Array;
  const { signal } = options;
  const stored = await repeated(
    () => store.write(key, stoppable(piecesOf([record], [bytes], compress), signal)),
    { tries, signal },
  );
  return { key, size, stored };
}

async function* stoppable(
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    signal?.throwIfAborted();
    yield piece;
  }
}

/**
 * Brings a parked buffer back, into a buffer of the pool, which it waits for where the pool is full.
 *
 * @throws BUFFER_NOT_FOUND: nothing is parked under the key.
 * @throws TOO_LARGE: the pool's buffers are smaller.
 * @throws TIMEOUT: the pool had no buffer in time.
 * @throws INVALID_ARGUMENT: `pool` is no pool, an option is of the wrong type or does not exist, or
 *   what lies under the key is nothing that was parked.
 * @throws DAMAGED: what lies under the key is not what was parked. It is left as it is.
 * @throws INCOMPLETE: what lies under the key was cut off. It is left as it is.
 * @throws OUT_OF_MEMORY: the system has no memory for the buffer.
 * @throws POOL_FLUSHING: the pool is being flushed.
 * @throws POOL_CLOSED: the pool is closed here.
 * @throws PERMISSION_DENIED: the default store's directory is another user's, or others can write to
 *   it.
 * @throws SYSTEM: the store failed each time, and the last time so; `cause` says why.
 *
 * @example
 * ```ts
 * using frame = await unpark(pool, "frames/1", { remove: true });
 * ```
 */
export async function unpark(
  pool: BufferPool,
  key: string,
  options: UnparkOptions = {},
): Promise<BufferGuard> {
  const tried = "unpark()";
  if (!(pool instanceof BufferPool)) throw invalid(tried, "what was given is no pool");
  const known = ["store", "bucket", "remove", "tries", "timeout", "signal"];
  checkOptions(tried, options, known);
  checkKey(tried, key);
  const remove = flag(tried, "remove", options.remove);
  const tries = whole(tried, "tries", options.tries, { otherwise: 5 });
  const store = storeOf(tried, options);
  const waits = { timeout: options.timeout, signal: options.signal };
  const { timeout, signal } = waitOptions(tried, waits, "");
  const again = { tries, signal };
  const reader = await RecordReader.open(
    (...place) => repeated(() => store.read(...place), again),
    key,
    1,
  );
  const [record] = reader.records;
  if (record === undefined || reader.records.length > 1) {
    throw invalid(tried, `what lies under ${key} is ${reader.records.length} buffers, not one`);
  }
  const wait = {
    ...(timeout !== undefined && { timeout }),
    ...(signal !== undefined && { signal }),
  };
  const guard = await pool.acquireAsync(record.size, wait).catch((error: unknown) => {
    throw renamed(error, tried, signal);
  });
  try {
    await reader.take(guard.bytes);
    describeAs(guard, record);
    if (remove) await repeated(() => store.remove(key), again);
  } catch (error) {
    guard.release();
    throw error;
  }
  return guard;
}
