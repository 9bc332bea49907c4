export { XmemError, type XmemErrorCode } from "./errors.ts";
export type { BufferGuard, TypedArrayConstructor } from "./guard.ts";
export type { ParticipantStats, PoolInfo, PoolStats } from "./inspect.ts";
export type { BufferMeta, DType } from "./meta.ts";
export {
  BufferPool,
  type LookOptions,
  type OpenOptions,
  type PoolOptions,
  type ReclaimReport,
  type WaitOptions,
} from "./pool.ts";
export type { ReadGuard, ReadonlyBytes, ReadonlyView } from "./read_guard.ts";
