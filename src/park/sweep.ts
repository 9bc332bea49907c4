// What deaths left in a store, and nobody will use any more.

import { arrange, poolsRoot } from "./segments.ts";
import type { ParkingStore } from "./store.ts";

/** What a sweep takes for left over. */
export interface SweepOptions {
  /**
   * Milliseconds since a leftover was touched: of an unfinished write, and of a pool whose Parking
   * has not been there; default a week, at least an hour.
   */
  olderThan?: number;
}

/** What the caller of a sweep has in the store itself. */
interface Own {
  /** Where its objects lie; "" where it has none yet. */
  folder: string;
  /** How many messages its outlet was sent; undefined where it does not work just now. */
  sent: number | undefined;
}

/**
 * Removes what was not touched since `before`, in milliseconds since 1970, and returns the keys.
 * `own` says how things are when it is asked, since they change meanwhile.
 */
export async function sweep(
  store: ParkingStore,
  before: number,
  own: () => Own,
): Promise<string[]> {
  const swept = await store.sweep(before);
  const remove = async (key: string): Promise<void> => {
    await store.remove(key);
    swept.push(key);
  };
  if (own().sent !== undefined) {
    const objects = await store.list(own().folder);
    const { folder, sent = 0 } = own();
    const { done, isNewBase } = arrange(objects, { folder, sent });
    // Where objects are missing, the base is still that of what was delivered before.
    if (!isNewBase) for (const key of done) await remove(key);
  }
  const ofPools = new Map<string, { keys: string[]; touched: number }>();
  for (const { key, modified } of await store.list(poolsRoot)) {
    const pool = key.slice(0, key.indexOf("/", poolsRoot.length));
    const known = ofPools.get(pool) ?? { keys: [], touched: 0 };
    known.keys.push(key);
    known.touched = Math.max(known.touched, modified);
    ofPools.set(pool, known);
  }
  for (const [pool, { keys, touched }] of ofPools) {
    if (touched >= before || own().folder.startsWith(`${pool}/`)) continue;
    for (const key of keys) await remove(key);
  }
  return swept;
}
