// A worker process: takes chunks out of the pool, compresses and hashes them where they lie, and
// leaves the results in the pool. Started by workers.ts with the names of the two pools.

import { BufferPool } from "../../src/index.ts";
import { digestLength, type FromWorker, type Job } from "./messages.ts";

const [inputName = "", resultName = ""] = process.argv.slice(2);
const inputs = BufferPool.open(inputName, { participantName: "compress" });
const results = BufferPool.open(resultName, { participantName: "compress" });

function send(message: FromWorker): void {
  process.send?.(message);
}

/** Bun's compressor returns an array of its own; this is the one copy that is made of a result. */
function compressInto(chunk: Uint8Array, result: Uint8Array): number {
  result.set(new Bun.CryptoHasher("sha256").update(chunk).digest());
  const compressed = Bun.zstdCompressSync(chunk);
  result.set(compressed, digestLength);
  return digestLength + compressed.length;
}

function compressCopy(chunk: Uint8Array): Uint8Array {
  const digest = new Bun.CryptoHasher("sha256").update(chunk).digest();
  return Buffer.concat([digest, Bun.zstdCompressSync(chunk)]);
}

process.on("message", (job: Job) => {
  const { sequence } = job;
  if (job.kind === "copy") {
    send({ kind: "copy", sequence, bytes: compressCopy(job.bytes) });
    return;
  }
  using result = results.take(job.result);
  let length: number;
  {
    using input = inputs.take(job.input);
    length = compressInto(input.bytes, result.bytes);
  }
  send({ kind: "pool", sequence, result: result.handOff(), length });
});
process.on("disconnect", () => process.exit());
send({ kind: "ready" });
