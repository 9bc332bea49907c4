// What a user gave to a bridge or a Parking, and how an error names the function that was called.

import { BufferPool, type Channel, XmemError } from "../index.ts";

export function invalid(tried: string, found: string): XmemError {
  return new XmemError("INVALID_ARGUMENT", `${tried}: ${found}`);
}

/** The pool through which a channel was opened. */
export function poolOf(tried: string, channel: Channel, what: string): BufferPool {
  try {
    return BufferPool.of(channel);
  } catch {
    throw invalid(tried, `${what} is no channel of a pool; pool.channel() returns one`);
  }
}
