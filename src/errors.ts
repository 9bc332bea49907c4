// The one error class, its codes, and the words that go with a code when no better ones are known.

import { beginAtCaller } from "./caller.ts";
import * as constants from "./constants.gen.ts";

/** What went wrong, for programs. The message is for people. */
export type XmemErrorCode =
  | "POOL_EXISTS"
  | "POOL_NOT_FOUND"
  | "POOL_FULL"
  | "POOL_FLUSHING"
  | "POOL_CLOSED"
  | "POOL_CORRUPT"
  | "POOL_BUSY"
  | "VERSION_MISMATCH"
  | "OPTIONS_MISMATCH"
  | "PERMISSION_DENIED"
  | "TOO_MANY_PARTICIPANTS"
  | "BUFFER_NOT_FOUND"
  | "BUFFER_IN_USE"
  | "STALE_HANDLE"
  | "NO_REFERENCE"
  | "TOO_MANY_REFERENCES"
  | "TOO_LARGE"
  | "OUT_OF_MEMORY"
  | "CHANNEL_FULL"
  | "CHANNEL_CLOSED"
  | "READ_ONLY"
  | "RELEASED"
  | "TIMEOUT"
  | "INVALID_ARGUMENT"
  | "UNSUPPORTED_PLATFORM"
  | "SYSTEM";

/**
 * Every error that xmem throws. `code` is for programs; the message, for people, says what was
 * tried, on which pool, what was found and what can be done. The stack begins at the caller.
 * `cause` is set where a system call said why.
 *
 * @example
 * ```ts
 * try {
 *   using frame = pool.acquire(4096);
 * } catch (error) {
 *   if (!(error instanceof XmemError) || error.code !== "POOL_FULL") throw error;
 * }
 * ```
 */
export class XmemError extends Error {
  override readonly name = "XmemError";
  /** What went wrong. Each method's docstring says what a code means there. */
  readonly code: XmemErrorCode;

  constructor(code: XmemErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

const explanations: Record<XmemErrorCode, string> = {
  POOL_EXISTS: "a pool of that name exists; open it, or unlink it first",
  POOL_NOT_FOUND: "there is no pool of that name; create it, or use openOrCreate",
  POOL_FULL: "every buffer is in use; release some, wait with acquireAsync, or raise the capacity",
  POOL_FLUSHING: "the pool is being flushed; acquire again after unflush()",
  POOL_CLOSED: "the pool is closed here; open it again",
  POOL_CORRUPT: "its control area holds what xmem never wrote; unlink it and make a new one",
  POOL_BUSY: "another participant is stopped in the middle of a recovery; continue or kill it",
  VERSION_MISMATCH: "the object was made by another version or libc; use the same on both sides",
  OPTIONS_MISMATCH: "the existing pool is smaller than asked",
  PERMISSION_DENIED: "the object belongs to somebody else; see `mode` and `allowOwner`",
  TOO_MANY_PARTICIPANTS: "every participant row is taken; raise maxParticipants",
  BUFFER_NOT_FOUND: "no buffer in use has that index",
  BUFFER_IN_USE: "somebody still counts it",
  STALE_HANDLE: "the buffer was recycled since the handle was made",
  NO_REFERENCE: "there is no reference that this call could use up",
  TOO_MANY_REFERENCES: "a buffer has at most 65535 references",
  TOO_LARGE: "no buffer of this pool is that large; raise bufferSize",
  OUT_OF_MEMORY: "the shared memory file system or maxCommitted has no room; trim(), or enlarge it",
  CHANNEL_FULL: "the channel is full",
  CHANNEL_CLOSED: "the channel is closed",
  READ_ONLY: "the guard is read-only; use getMut() to write",
  RELEASED: "the guard was released; clone() it before to keep the buffer longer",
  TIMEOUT: "no buffer was released in time",
  INVALID_ARGUMENT: "an argument is out of range or of the wrong type",
  UNSUPPORTED_PLATFORM: "xmem has no library for this platform",
  SYSTEM: "a system call failed",
};

const codes: ReadonlyMap<number, XmemErrorCode> = new Map(
  (Object.keys(explanations) as XmemErrorCode[]).map((code) => [
    (constants as unknown as Record<string, number>)[`ERROR_${code}`] ?? Number.NaN,
    code,
  ]),
);

/** The name of a native code; negative ones are accepted as the core returns them. */
export function codeOf(native: number): XmemErrorCode {
  return codes.get(Math.abs(native)) ?? "SYSTEM";
}

/** Throws: what was tried, on what, what was found, what to do. The stack begins at the caller. */
export function raise(
  code: XmemErrorCode,
  tried: string,
  found?: string,
  options?: { cause?: unknown },
): never {
  throw make(code, tried, found, options);
}

/** The error that `raise` throws. `tried` begins with the public function's name. */
export function make(
  code: XmemErrorCode,
  tried: string,
  found?: string,
  options?: { cause?: unknown },
): XmemError {
  const said = found ? `${found}; ${explanations[code]}` : explanations[code];
  const error = new XmemError(code, `${tried}: ${said}`, options);
  beginAtCaller(error, tried);
  return error;
}
