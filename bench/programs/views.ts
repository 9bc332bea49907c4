// The cost of live views for the rest of the program: many small JSON.parse after every buffer of a
// pool was touched and released, or while all of them are held. The cache keeps views of released
// buffers as far as its budget allows; views of held buffers are alive, and the engine counts them as
// heap. Arguments: how many buffers, of what size, and "released", "held" or "plain", for the same
// memory without a pool.

import { BufferPool } from "../../src/index.ts";
import { answer, nanoseconds } from "../suite/loop.ts";

const [count = 0, size = 0] = process.argv.slice(2, 4).map(Number);
const state = process.argv[4];
const text = JSON.stringify({ id: 1, name: "frame", tags: ["a", "b"], size: { w: 640, h: 480 } });
let tags = 0;

function parse(times: number): void {
  for (let i = 0; i < times; i++) tags += JSON.parse(text).tags.length;
}

const alive: { bytes: Uint8Array }[] = [];
if (count > 0 && state === "plain") {
  for (let i = 0; i < count; i++) alive.push({ bytes: new Uint8Array(size).fill(1) });
} else if (count > 0) {
  const name = `bench.views.${process.pid}`;
  const pool = BufferPool.create(name, { capacity: count, bufferSize: size, ephemeral: true });
  for (let round = 0; round < 2; round++) {
    const held = Array.from({ length: count }, () => pool.acquire(size));
    for (const guard of held) guard.bytes[0] = 1;
    if (round === 1 && state === "held") alive.push(...held);
    else for (const guard of held) guard.release();
  }
}
Bun.gc(true);
const took = await nanoseconds(20_000, parse);
if (tags === 0 || alive.some(({ bytes }) => bytes[0] !== 1)) throw new Error("nothing was parsed");
answer({ ns: took });
