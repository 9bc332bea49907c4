// Hashes blocks, and sends each hash on in the buffer that the block was in.

import { blocks, hashes, pool } from "./stage.ts";

for await (const block of blocks) {
  const hash = new Bun.CryptoHasher("sha256").update(block.bytes).digest();
  let carrier = block;
  if (block.size < hash.length) {
    // A file's last block can be smaller than its hash.
    carrier = await pool.acquireAsync(hash.length);
    carrier.meta.sequence = block.meta.sequence;
    block.release();
  }
  carrier.bytes.set(hash);
  carrier.truncate(hash.length);
  await hashes.sendAsync(carrier);
}
