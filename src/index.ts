export { XmemError, type XmemErrorCode } from "./errors.ts";
export type { AnyTypedArray, BufferGuard, TypedArrayConstructor, TypedArrayOf } from "./guard.ts";
export type { ParticipantStats, PoolInfo, PoolStats } from "./inspect.ts";
export type { BufferMeta, DType } from "./meta.ts";
export type {
  LookOptions,
  OpenOptions,
  PoolOptions,
  PruneOptions,
  ReplaceOptions,
  WaitOptions,
} from "./options.ts";
export { BufferPool, type ReclaimReport } from "./pool.ts";
export type { ReadGuard, ReadonlyBytes, ReadonlyView } from "./read_guard.ts";
