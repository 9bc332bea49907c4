// A place where an event loop waits, and what it tries there.

import type { Descriptor } from "../generated/abi.gen.ts";
import type { Asked } from "../session/failure.ts";

/**
 * Its functions are the native calls of just this place, on an open pool: their results below 0 are
 * failures. A wait there has a `Request`, and brings a number from 0 on.
 */
export interface Place<Request> {
  /** Tells it from the pool's other places. */
  readonly name: string;
  /** What the user calls to wait there, for messages. */
  readonly call: string;
  /** Whether somebody who waits there keeps the process alive. */
  readonly keepsAlive: boolean;
  /** Begins to watch for an event loop, as `xmem_bun_async_open` says. */
  open(descriptor: Descriptor, loop: number, tag: number): number;
  /**
   * Before a try: what comes after it is signalled. PENDING while a recovery has the
   * pool. `due`: when the first wait ends, by the core's clock.
   */
  arm(descriptor: Descriptor, due: number): number;
  /** Nobody waits any more; a wake that was this thread's may be passed on. */
  disarm(descriptor: Descriptor, passOn: boolean): void;
  /** One try, of a request that has waited for so many milliseconds. */
  attempt(descriptor: Descriptor, request: Request, waited: number): number;
  /** Whether a wake may bring what a try lacked. */
  mayCome(result: number): boolean;
  /** Counts a wait that ended without a result. */
  timedOut(descriptor: Descriptor): void;
  /** What an error says of the request. */
  asked(request: Request): Asked;
}
