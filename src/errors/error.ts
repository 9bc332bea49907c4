// The one error class, its codes, and the words for a code where nothing more exact is known.

import * as constants from "../generated/constants.gen.ts";
import { errorNumbers } from "../generated/error_codes.gen.ts";
import { beginAtCaller } from "./user_frame.ts";

/** What went wrong, for programs. The message is for people. */
export type XmemErrorCode =
  /** `create` found something under that name already. */
  | "POOL_EXISTS"
  /** Nothing has that name in the folder of pools. */
  | "POOL_NOT_FOUND"
  /** Every buffer is in use. */
  | "POOL_FULL"
  /** Somebody called `flush()`, and nobody `unflush()` since. */
  | "POOL_FLUSHING"
  /** This object was closed, or was opened before this process was forked. */
  | "POOL_CLOSED"
  /** The object holds what xmem never wrote. */
  | "POOL_CORRUPT"
  /** Another participant is stopped in the middle of a recovery. */
  | "POOL_BUSY"
  /** The object was made by another format version, layout, libc or page size. */
  | "VERSION_MISMATCH"
  /** The existing pool or channel is another one than was explicitly asked for. */
  | "OPTIONS_MISMATCH"
  /** The system does not let this user use the object, or the object's owner is not trusted. */
  | "PERMISSION_DENIED"
  /** Every participant row of the pool is taken, or this thread has too many pools open. */
  | "TOO_MANY_PARTICIPANTS"
  /** No buffer in use has that index. */
  | "BUFFER_NOT_FOUND"
  /** The buffer still has references. */
  | "BUFFER_IN_USE"
  /** The buffer was recycled since the handle was made, or the handle is of another pool. */
  | "STALE_HANDLE"
  /** The buffer has no reference of the kind that the call uses up. */
  | "NO_REFERENCE"
  /** The buffer has 65,535 references already. */
  | "TOO_MANY_REFERENCES"
  /** More bytes were asked for than a buffer of this pool can have. */
  | "TOO_LARGE"
  /** The file system, the process or `maxCommitted` has no room for what was asked for. */
  | "OUT_OF_MEMORY"
  /** The channel is full, and what is sent to it is not to be dropped. */
  | "CHANNEL_FULL"
  /** The channel was closed, and nothing is left in it, or this object let go of it. */
  | "CHANNEL_CLOSED"
  /** Reserved for channels: the participant that was to reply died. */
  | "PEER_DIED"
  /** Something was to be written through a guard that only reads. */
  | "READ_ONLY"
  /** The guard was released, sent, handed off or forgotten before. */
  | "RELEASED"
  /** A source of frames ended in the middle of one. */
  | "INCOMPLETE"
  /** What was parked is not what its checksum says. */
  | "DAMAGED"
  /** The time of a wait passed before there was a buffer, or room for one. */
  | "TIMEOUT"
  /** An argument is out of range, of the wrong type, or an option that does not exist. */
  | "INVALID_ARGUMENT"
  /**
   * There is no library for this system, it cannot be loaded, or the kernel lacks what it needs.
   */
  | "UNSUPPORTED_PLATFORM"
  /** A system call failed; `cause` says which error it was. */
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

interface Words {
  /** Said where the failure itself has nothing to say. */
  meaning: string;
  /** Said where the failure itself has no advice. */
  advice?: string;
}

const wordsOf: Record<XmemErrorCode, Words> = {
  POOL_EXISTS: {
    meaning: "a pool of that name exists",
    advice: "open it, use openOrCreate(), or unlink it first",
  },
  POOL_NOT_FOUND: {
    meaning: "there is no pool of that name",
    advice: "create it, or use openOrCreate()",
  },
  POOL_FULL: {
    meaning: "every buffer is in use",
    advice: "release some, wait with acquireAsync(), or make the pool with a larger capacity",
  },
  POOL_FLUSHING: {
    meaning: "the pool is being flushed",
    advice: "acquire again after unflush()",
  },
  POOL_CLOSED: { meaning: "the pool is closed here", advice: "open it again" },
  POOL_CORRUPT: {
    meaning: "the object holds what xmem never wrote",
    advice: "unlink it and make a new one",
  },
  POOL_BUSY: {
    meaning: "another participant is stopped in the middle of a recovery",
    advice: "continue or kill its process",
  },
  VERSION_MISMATCH: {
    meaning: "the object was made by another version of xmem or with another libc",
    advice: "use the same on both sides, or unlink it once nobody uses it",
  },
  OPTIONS_MISMATCH: {
    meaning: "the existing pool is smaller than was asked for",
    advice: "ask for no more than it has, or unlink it and make a larger one",
  },
  PERMISSION_DENIED: {
    meaning: "the system does not let this user do that",
    advice: "see `mode`, `allowOwner` and `allowGroup`, or use a name of your own",
  },
  TOO_MANY_PARTICIPANTS: {
    meaning: "every participant row is taken",
    advice: "close the pool on some thread, or make it with more maxParticipants",
  },
  BUFFER_NOT_FOUND: {
    meaning: "no buffer in use has that index",
    advice: "keep a reference until the receiver took it",
  },
  BUFFER_IN_USE: {
    meaning: "the buffer still has references",
    advice: "holders release theirs, and unref() drops one that is in flight",
  },
  STALE_HANDLE: {
    meaning: "the buffer was recycled since the handle was made",
    advice: "keep a reference until the receiver took it",
  },
  NO_REFERENCE: { meaning: "the buffer has no reference that this call could use up" },
  TOO_MANY_REFERENCES: {
    meaning: `a buffer has at most ${constants.LIMIT_REFERENCES} references`,
    advice: "look for references that nobody gives back",
  },
  TOO_LARGE: {
    meaning: "no buffer of this pool is that large",
    advice: "make the pool with a larger bufferSize, which costs address space only",
  },
  OUT_OF_MEMORY: {
    meaning: "there is no room for what was asked for",
    advice: "release buffers, trim(), or unlink pools that are left over",
  },
  CHANNEL_FULL: { meaning: "the channel is full" },
  CHANNEL_CLOSED: { meaning: "the channel is closed" },
  PEER_DIED: { meaning: "the participant that was to reply died" },
  INCOMPLETE: { meaning: "the source ended in the middle of a frame" },
  DAMAGED: { meaning: "what was parked is not what its checksum says" },
  READ_ONLY: { meaning: "the guard is read-only", advice: "use getMut() to write" },
  RELEASED: {
    meaning: "the guard was released, sent, handed off or forgotten",
    advice: "clone() it before, to keep the buffer longer",
  },
  TIMEOUT: { meaning: "no buffer was released in time" },
  INVALID_ARGUMENT: { meaning: "an argument is out of range or of the wrong type" },
  UNSUPPORTED_PLATFORM: { meaning: "xmem has no library for this platform" },
  SYSTEM: { meaning: "a system call failed" },
};

// A code that only the core has, or that only TypeScript has, is a type error here.
const numbers: Readonly<Record<XmemErrorCode, number>> = errorNumbers;
const names = Object.keys(errorNumbers) as (keyof typeof errorNumbers)[];
const codes: ReadonlyMap<number, XmemErrorCode> = new Map(
  names.map((code): [number, XmemErrorCode] => [numbers[code], code]),
);

/** The name of a native code; negative ones are accepted as the core returns them. */
export function codeOf(native: number): XmemErrorCode {
  return codes.get(Math.abs(native)) ?? "SYSTEM";
}

/** The details of one failure, beyond its code. */
interface Particulars {
  cause?: unknown;
  /** What can be done about what was found, in place of the code's common advice; "": nothing. */
  advice?: string | undefined;
}

/**
 * Throws an error that says what was tried, on which pool, what was found and what to do. Its stack
 * begins at the caller.
 */
export function raise(
  code: XmemErrorCode,
  tried: string,
  found?: string,
  particulars?: Particulars,
): never {
  throw make(code, tried, found, particulars);
}

/** The error that `raise` throws. `tried` begins with the public function's name. */
export function make(
  code: XmemErrorCode,
  tried: string,
  found?: string,
  { cause, advice }: Particulars = {},
): XmemError {
  const words = wordsOf[code];
  const toDo = advice ?? words.advice ?? "";
  const said = `${tried}: ${found || words.meaning}${toDo === "" ? "" : `; ${toDo}`}`;
  const error = new XmemError(code, said, cause === undefined ? undefined : { cause });
  beginAtCaller(error, tried);
  return error;
}

/**
 * For a public function that calls another one for its user: the other's error, with the name of the
 * function that the user called. What a signal was aborted with stays as it is.
 */
export function renamed(error: unknown, tried: string, signal?: AbortSignal): unknown {
  if (!(error instanceof XmemError) || error === signal?.reason) return error;
  const { message, stack } = error;
  error.message = message.replace(/^[\w.]+\(\)/, () => tried);
  if (stack !== undefined) error.stack = stack.replace(message, () => error.message);
  return error;
}

/** Makes such a call; `renamed` where it throws. */
export function inNameOf<Result>(tried: string, call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw renamed(error, tried);
  }
}
