// What is parked of one channel: objects that have many messages each, in order. Messages are numbered
// by the order in which they are sent to the outlet, and the channel itself counts those; so an
// object's key says which messages it has, and nobody has to note how many of them were delivered.

import { type Channel, XmemError } from "../index.ts";
import { parkingRoot, type StoredObject } from "./store.ts";

export interface Segment {
  key: string;
  /** The number of its first message. */
  first: number;
  count: number;
  /** Bytes in the store. */
  bytes: number;
}

export function endOf({ first, count }: Segment): number {
  return first + count;
}

/** Where the objects of a channel lie. `name` outlives the pool, the default does not. */
export function folderOf(
  { pool, poolId, name }: { pool: string; poolId: string; name: string | undefined },
  outlet: Channel,
): string {
  const own = name === undefined ? `pools/${pool}-${poolId}` : `names/${name}`;
  // A folder that is named "." or ".." is another one.
  return `${parkingRoot}${own}/${encodeURIComponent(outlet.name).replaceAll(".", "%2E")}/`;
}

/** Folders of pools, which end with their pools. */
export const poolsRoot: string = `${parkingRoot}pools/`;

export function segmentKey(folder: string, first: number, count: number): string {
  return `${folder}${String(first).padStart(16, "0")}-${count}`;
}

/**
 * How many messages had been sent to outlets that are gone: a channel that is made anew counts from
 * 0 again. Its object has no content.
 */
export function baseKey(folder: string, base: number): string {
  return `${folder}base-${base}`;
}

/** Is written now and then: whoever parks here is alive. */
export function aliveKey(folder: string): string {
  return `${folder}alive`;
}

export interface Arranged {
  base: number;
  /** Whether the store does not know this base yet. */
  isNewBase: boolean;
  /** Those with messages that are to be delivered, in order. */
  segments: Segment[];
  /** Keys of what is of no use any more. */
  done: string[];
}

/** `sent` is how many messages the outlet was sent. */
export function arrange(
  objects: readonly StoredObject[],
  { folder, sent }: { folder: string; sent: number },
): Arranged {
  let base = 0;
  const bases: string[] = [];
  const all: Segment[] = [];
  for (const { key, size } of objects) {
    const name = key.slice(folder.length);
    const numbers = /^(\d{16})-(\d{1,9})$/.exec(name);
    if (numbers !== null) {
      const [, first, count] = numbers;
      all.push({ key, first: Number(first), count: Number(count), bytes: size });
    } else if (/^base-\d{1,16}$/.test(name)) {
      base = Math.max(base, Number(name.slice(5)));
      bases.push(key);
    }
  }
  // Two overlap where a write that seemed to fail did not; both have the same messages then.
  all.sort((a, b) => a.first - b.first || endOf(b) - endOf(a));
  const segments: Segment[] = [];
  const done: string[] = [];
  for (const segment of all) {
    const known = segments.at(-1);
    const end = Math.max(sent + base, known === undefined ? 0 : endOf(known));
    if (endOf(segment) > end) segments.push(segment);
    else done.push(segment.key);
  }
  const [next] = segments;
  const isNewBase = next !== undefined && next.first > sent + base;
  if (isNewBase) base = next.first - sent;
  const known = isNewBase ? "" : baseKey(folder, base);
  done.push(...bases.filter((key) => key !== known));
  return { base, isNewBase, segments, done };
}

/**
 * Those that may have messages which their parker did not release any more: before a segment is
 * begun, all that stands in those before it was released.
 */
export function newest(segments: readonly Segment[]): Segment[] {
  const first = segments.at(-1)?.first ?? 0;
  return segments.filter((segment) => endOf(segment) > first);
}

export function sharedOutlet(outlet: Channel): XmemError {
  const found = `somebody else sends to channel "${outlet.name}", so that nobody can count what it got`;
  return new XmemError("INVALID_ARGUMENT", `Parking: ${found}; send to the inlet`);
}
