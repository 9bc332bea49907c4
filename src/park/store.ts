// Where parked buffers lie: what every store does, and what its objects may be named.

import { invalid } from "../relay/arguments.ts";

/** Something that a store has. */
export interface StoredObject {
  /** Its name: parts between slashes. */
  key: string;
  /** Bytes in the store. */
  size: number;
  /** When it was written, in milliseconds since 1970. */
  modified: number;
}

/**
 * Keeps named objects outside of memory. `s3Store` and `directoryStore` make one; a program may
 * have one of its own. A failure is an XmemError: code SYSTEM where another try may help,
 * BUFFER_NOT_FOUND where there is no such object, INVALID_ARGUMENT where a key has an empty part
 * between slashes, or "." or "..".
 */
export interface ParkingStore {
  /** Which one it is, for people. */
  readonly name: string;
  /**
   * Stores the pieces one after another as one object, and returns its bytes. It appears when it is
   * whole, or not at all, and replaces one of that key. A piece is valid until the next one is
   * asked for.
   */
  write(key: string, pieces: AsyncIterable<Uint8Array>): Promise<number>;
  /** Reads from `offset` on until `into` is full or the object ends; returns how many bytes. */
  read(key: string, offset: number, into: Uint8Array): Promise<number>;
  /** All objects whose keys begin so; in any order. */
  list(prefix: string): Promise<StoredObject[]>;
  /** Removes an object; one that is not there is no failure. */
  remove(key: string): Promise<void>;
  /** Removes what writes that never ended left before that time; returns names of them. */
  sweep(before: number): Promise<string[]>;
}

/** The rest of what S3 allows is for the prefix of a store. */
export const keyBytesMost = 900;

export function fits(text: string, bytesMost: number): boolean {
  return Buffer.byteLength(text) <= bytesMost;
}

/** Parking's own objects lie under it. */
export const parkingRoot = ".parking/";

/**
 * Throws where a part between slashes is empty, "." or "..": file systems and the clients of servers
 * take such a name for another one, which may lie outside of the store.
 */
export function checkParts(tried: string, what: string, parts: readonly string[]): void {
  const bad = parts.find((part) => /^\.{0,2}$|[\x00-\x1f\x7f\\]/.test(part));
  if (bad === undefined) return;
  const rule = 'it is empty, "." or "..", or has a control character or a backslash';
  throw invalid(tried, `${what} has the part ${JSON.stringify(bad)}: ${rule}`);
}

/** A key that every store can have. */
export function checkKey(tried: string, key: unknown, what = "key"): string {
  const isText = typeof key === "string" && key.isWellFormed() && fits(key, keyBytesMost);
  if (!isText || key === "")
    throw invalid(tried, `${what} is no text of 1 to ${keyBytesMost} bytes`);
  const parts = key.split("/");
  const isBad = (part: string): boolean =>
    part === "" ||
    part.startsWith(".") ||
    part.endsWith(".part") ||
    part.endsWith(".parked") ||
    Buffer.byteLength(part) > 200;
  if (parts.some(isBad) || /[\x00-\x1f\x7f\\]/.test(key)) {
    const rule = "its parts between slashes are not empty, have at most 200 bytes";
    const more = 'begin with no dot, do not end with ".part" or ".parked"';
    throw invalid(tried, `${what} is ${JSON.stringify(key)}: ${rule}, ${more}`);
  }
  return key;
}
