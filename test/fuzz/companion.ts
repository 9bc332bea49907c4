// A Worker of the fuzzer that has the pool open while it is damaged: it holds some buffers, and
// either rests or works until it is told to close, or ends without a close.

declare const self: Worker;

import { BufferPool, XmemError } from "../../src/index.ts";
import { Random } from "./random.ts";
import { User } from "./user.ts";

export interface Order {
  name: string;
  seed: number;
  kind: "idle" | "working";
  /** A shared word: 1 asks the companion to close. */
  stop: Int32Array;
}

async function accompany({ name, seed, kind, stop }: Order): Promise<void> {
  const tally = { operations: 0, results: 0, refusals: 0 };
  const pool = BufferPool.open(name);
  const user = new User(pool, new Random(seed, 1), tally, () => {});
  await user.someOperations(8);
  self.postMessage("ready");
  while (Atomics.load(stop, 0) === 0) {
    if (kind === "working") await user.oneOperation();
    else await Bun.sleep(1);
  }
  pool.close();
}

self.onmessage = async ({ data }: MessageEvent<Order>) => {
  try {
    await accompany(data);
    self.postMessage("closed");
  } catch (error) {
    // The pool may be refused: then there is no companion.
    const refused = error instanceof XmemError;
    self.postMessage(refused ? "closed" : `failed: ${String(error)}`);
  }
};
