// What each stage has open: the pool that the environment names, and the channels, which main.ts made.

import { BufferPool, type Channel } from "../../src/index.ts";

const name: string = process.argv[1]?.match(/(\w+)\.ts$/)?.[1] ?? "";

export const pool: BufferPool = BufferPool.open(process.env["POOL"] ?? "", {
  participantName: name,
});

/** Decoded frames, for the detector. What a detector that was killed had comes back. */
export const frames = (): Channel => pool.channel("frames");
/** Frames that were looked at, for all who want to see them. */
export const seen = (options: { subscribe: boolean }): Channel => pool.channel("seen", options);
/** Frames in which a bay changed. What the evidence stage had when it was killed comes back. */
export const events = (): Channel => pool.channel("events");

/**
 * A stage's memory, which outlives it: the only message of a queue that redelivers. A stage never ends
 * it, so that it comes back when the stage is killed, and its successor receives it as it was.
 */
export async function memoryOf(stage: string): Promise<Int32Array> {
  const memory = await pool.channel(`memory of ${stage}`).receive();
  return memory.view("int32");
}
