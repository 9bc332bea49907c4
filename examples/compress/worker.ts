// One worker process of the demo: compresses and hashes each chunk where it lies.

import { BufferPool } from "../../src/index.ts";

/** A chunk to compress: by handle, or as a copy. */
export interface Job {
  chunk: number;
  length: number;
  handle?: number;
  bytes?: Uint8Array;
}

export interface Result {
  chunk: number;
  /** Bytes of input. */
  read: number;
  /** Bytes of output. */
  length: number;
  /** SHA-256 of the chunk, as the worker saw it. */
  digest: string;
  handle?: number;
  bytes?: Uint8Array;
}

const name = process.argv[2] ?? "";
const pool = name === "" ? null : BufferPool.open(name, { participantName: "compressor" });

async function work(job: Job): Promise<Result> {
  const { chunk, length } = job;
  if (pool === null || job.handle === undefined) {
    const bytes = new Uint8Array(job.bytes ?? []);
    const digest = Bun.CryptoHasher.hash("sha256", bytes, "hex");
    const compressed = Bun.zstdCompressSync(bytes);
    return { chunk, read: length, length: compressed.length, digest, bytes: compressed };
  }
  using source = pool.take(job.handle);
  const bytes = source.bytes.subarray(0, length);
  const digest = Bun.CryptoHasher.hash("sha256", bytes, "hex");
  const compressed = Bun.zstdCompressSync(bytes);
  const target = await pool.acquireAsync(compressed.length);
  target.bytes.set(compressed);
  return { chunk, read: length, length: compressed.length, digest, handle: target.handOff() };
}

process.on("message", async (job: Job) => {
  process.send?.(await work(job));
});
process.send?.("ready");
