// Reads a file into buffers, a block at a time, and sends them on.

import { closeSync, openSync, readSync } from "node:fs";
import { blockSize, blocks, pool } from "./stage.ts";

const file = openSync(process.argv[2] ?? "", "r");
for (let sequence = 0; ; sequence++) {
  const block = await pool.acquireAsync(blockSize);
  const length = readSync(file, block.bytes);
  if (length === 0) {
    block.release();
    break;
  }
  block.truncate(length);
  block.meta.sequence = sequence;
  await blocks.sendAsync(block);
}
closeSync(file);
