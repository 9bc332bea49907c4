export type {
  ChannelOptions,
  LookOptions,
  MetricsOptions,
  OpenOptions,
  PoolOptions,
  PruneOptions,
  ReplaceOptions,
  WaitOptions,
} from "./arguments/options.ts";
export type {
  AnyTypedArray,
  BufferGuard,
  TypedArrayConstructor,
  TypedArrayOf,
} from "./buffer/guard.ts";
export type { BufferMeta, DType } from "./buffer/meta.ts";
export type { ReadGuard, ReadonlyBytes, ReadonlyView } from "./buffer/read_guard.ts";
export type { Channel } from "./channel/channel.ts";
export type { Request } from "./channel/requests.ts";
export type { ChannelInfo, ChannelStats, SubscriptionStats } from "./channel/statistics.ts";
export { XmemError, type XmemErrorCode } from "./errors/error.ts";
export type {
  BufferHolder,
  BufferInfo,
  HoldTrace,
  OutstandingBuffer,
  ParticipantName,
} from "./pool/buffers.ts";
export type { PoolEvent, PoolEvents, PoolEventType, PoolListener } from "./pool/events.ts";
export type { PoolInfo } from "./pool/folder.ts";
export { BufferPool, type OpenedPool, type ReclaimReport } from "./pool/pool.ts";
export type { ParticipantStats, PoolStats } from "./pool/statistics.ts";
export type {
  FlushableBytes,
  ReadingProcess,
  WritableBytes,
} from "./streams/frame_sink.ts";
export { type ByteSink, FrameSink } from "./streams/frame_sink.ts";
export type {
  ByteReader,
  FileReference,
  ReadableBytes,
  WritingProcess,
} from "./streams/frame_source.ts";
export { type ByteSource, FrameSource } from "./streams/frame_source.ts";
