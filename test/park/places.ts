// A pool with the two channels of a Parking, and what goes through them.

import { expect } from "bun:test";
import type { BufferPool, Channel, ChannelOptions } from "../../src/index.ts";
import type { ParkingStore } from "../../src/park/index.ts";
import { newPool } from "./stores.ts";

export const redelivering: ChannelOptions = { capacity: 4, redeliver: true, maxDeliveries: 1000 };

export interface Place extends Disposable {
  pool: BufferPool;
  inlet: Channel;
  outlet: Channel;
}

/** A pool with an inlet and an outlet. */
export function place(pool: BufferPool = newPool(), options: ChannelOptions = redelivering): Place {
  const inlet = pool.channel("in", options);
  const outlet = pool.channel("out", options);
  return { pool, inlet, outlet, [Symbol.dispose]: () => pool.close() };
}

/** Sends that many buffers, of which each differs from the others. */
export async function send(
  { pool, inlet }: Pick<Place, "pool" | "inlet">,
  first: number,
  count: number,
): Promise<void> {
  for (let sequence = first; sequence < first + count; sequence++) {
    const guard = await pool.acquireAsync(1000 + sequence);
    guard.meta.sequence = sequence;
    guard.bytes.fill(sequence);
    await inlet.sendAsync(guard);
  }
}

/** Expects just what `send` sent. */
export async function receive(outlet: Channel, first: number, count: number): Promise<void> {
  for (let sequence = first; sequence < first + count; sequence++) {
    using guard = await outlet.receive();
    expect([guard.meta.sequence, guard.size]).toEqual([sequence, 1000 + sequence]);
    expect(guard.bytes.every((byte) => byte === (sequence & 255))).toBe(true);
  }
}

/** Keys of what is parked, in order. */
export async function segmentsOf(store: ParkingStore): Promise<string[]> {
  const keys = (await store.list(".parking/")).map(({ key }) => key);
  return keys.filter((key) => /\/\d{16}-\d+$/.test(key)).sort();
}
