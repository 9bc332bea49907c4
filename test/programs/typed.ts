// Never run: a program that uses every part of the interface, for the type checker. It is checked
// against the packed declarations with the settings that users have. What must be an error shows
// that the declarations were found: without them all types would be `any`.

import {
  type AnyTypedArray,
  type BufferGuard,
  type BufferMeta,
  BufferPool,
  type Channel,
  type DType,
  type OpenOptions,
  type ParticipantStats,
  type PoolInfo,
  type PoolOptions,
  type PoolStats,
  type ReadGuard,
  type ReadonlyBytes,
  type ReadonlyView,
  type ReclaimReport,
  type TypedArrayConstructor,
  type TypedArrayOf,
  type WaitOptions,
  XmemError,
  type XmemErrorCode,
} from "xmem";

export async function usesAll(signal: AbortSignal): Promise<void> {
  const options: PoolOptions & OpenOptions = { capacity: 2, views: "detach", mode: undefined };
  using pool: BufferPool = BufferPool.openOrCreate("typed", options);
  const found: PoolInfo[] = BufferPool.list();
  const seen: PoolStats = BufferPool.inspect(found[0]?.name ?? "typed");
  const row: ParticipantStats | undefined = seen.participants[0];
  const dead: boolean = row?.alive === false;
  const limits: WaitOptions = { signal, timeout: dead ? 0 : undefined };
  using guard: BufferGuard = await pool.acquireAsync(8, limits);
  const bytes: Uint8Array<ArrayBuffer> = guard.bytes;
  bytes.fill(1);
  const numbers: Float32Array<ArrayBuffer> = guard.view("float32");
  const halves: TypedArrayOf["float16"] = guard.view("float16");
  const large: BigInt64Array<ArrayBuffer> = guard.view(BigInt64Array);
  const view: TypedArrayConstructor<Int16Array<ArrayBuffer>> = Int16Array;
  const arrays: AnyTypedArray[] = [numbers, halves, large, guard.view(view)];
  const meta: BufferMeta = guard.meta;
  const dtype: DType = "uint16";
  meta.dtype = dtype;
  meta.shape = arrays.map(({ length }) => length);
  using reader: ReadGuard = pool.get(guard.share());
  const seenBytes: ReadonlyBytes = reader.bytes;
  const seenView: ReadonlyView<Uint16Array<ArrayBuffer>> = reader.view("uint16");
  const sum: number = (seenBytes[0] ?? 0) + (seenView[0] ?? 0);
  const report: ReclaimReport = pool.reclaim();
  report.references += sum;
  // @ts-expect-error
  seenBytes[0] = 1;
  // @ts-expect-error
  seenBytes.fill(0);
  // @ts-expect-error
  reader.meta.sequence = 1;
  // @ts-expect-error
  guard.size = "long";
  // @ts-expect-error
  pool.acquire("8");
  // @ts-expect-error
  BufferPool.create("typed", { capacities: 3 });
  // @ts-expect-error: The pool makes guards, and opening makes pools.
  new BufferPool();
  try {
    pool.tryAcquire()?.release();
  } catch (error) {
    if (!(error instanceof XmemError)) throw error;
    const code: XmemErrorCode = error.code;
    // @ts-expect-error
    if (code === "POOL_EMPTY") throw error;
  }
}

/** A guard can stand wherever one that is only read is asked for. */
export const asReader = (guard: BufferGuard): ReadGuard => guard;

/**
 * Calls that do not wait take no options. What is too much is passed over at run time, since a look at
 * it would cost each call: only the types refuse it.
 */
export async function refusesStrayArguments(
  pool: BufferPool,
  channel: Channel,
  signal: AbortSignal,
): Promise<void> {
  const options = { timeout: 10 };
  // @ts-expect-error: acquireBlocking and acquireAsync wait.
  using guard = pool.acquire(10, options);
  // @ts-expect-error
  pool.tryAcquire(10, options);
  // @ts-expect-error
  pool.acquire({ timeout: 10 });
  // @ts-expect-error: Nothing else could end it.
  pool.acquireBlocking(10);
  // @ts-expect-error: A signal cannot end it.
  pool.acquireBlocking(10, { timeout: 10, signal });
  // @ts-expect-error
  await pool.acquireAsync(10, { timeOut: 10 });
  for (const handle of [guard.handle]) {
    // @ts-expect-error
    pool.get(handle, options);
    // @ts-expect-error
    pool.getMut(handle, options);
    // @ts-expect-error
    pool.take(handle, options);
    // @ts-expect-error
    pool.release(handle, options);
  }
  // @ts-expect-error: sendBlocking and sendAsync wait.
  channel.send(guard, options);
  // @ts-expect-error
  channel.trySend(guard, options);
  // @ts-expect-error
  channel.sendBlocking(guard);
  // @ts-expect-error: receiveBlocking and receive wait.
  channel.tryReceive(options);
  // @ts-expect-error
  channel.receiveBlocking();
  // @ts-expect-error
  guard.clone(options);
  // @ts-expect-error
  guard.release(options);
}
