// The messages between the demo and its workers. With the pool they carry only small numbers; in
// the comparison they carry the chunks as well.

/** SHA-256 of the chunk; a result is this and then the compressed chunk. */
export const digestLength = 32;

/** The most that a result can take: zstd's own bound, and the digest. */
export function resultBound(chunk: number): number {
  return digestLength + chunk + (chunk >>> 8) + 128;
}

/** Both buffers are handed over; the worker gives the result's back. */
interface PoolJob {
  kind: "pool";
  sequence: number;
  input: number;
  result: number;
}
interface CopyJob {
  kind: "copy";
  sequence: number;
  bytes: Uint8Array;
}
export type Job = PoolJob | CopyJob;

interface PoolReply {
  kind: "pool";
  sequence: number;
  result: number;
  length: number;
}
interface CopyReply {
  kind: "copy";
  sequence: number;
  bytes: Uint8Array;
}
export type Reply = PoolReply | CopyReply;
export type FromWorker = Reply | { kind: "ready" };
