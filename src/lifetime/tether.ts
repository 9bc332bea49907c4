// What is left of a session once the program closed it or cannot reach it, and how it ends.

import type { Descriptor } from "../generated/abi.gen.ts";
import type { ViewCounter } from "../native/data_area.ts";
import { closed, native } from "../native/native.ts";
import { linger } from "./lingering.ts";

/** A guard that is not done, as `XMEM_TRACE=1` knows it. */
export interface TracedHold {
  readonly handle: number;
  readonly size: number;
  /** Unix time in milliseconds. */
  readonly since: number;
  readonly stack: string;
  /** The number of what was published of it; -1 where nothing was. */
  readonly record: number;
}

/** The part of a session that outlives it. It never refers to the session. */
export interface Tether {
  /** `closed` once the session is, or its finalizer ran. */
  descriptor: Descriptor;
  readonly counter: ViewCounter;
  /** Its places that this thread's event loop watches. */
  readonly hearings: Set<{ terminate(): void }>;
  /** With `XMEM_TRACE=1`: its guards that are not done. */
  readonly holds: Set<TracedHold>;
  /** Whether the program closed it. */
  wasClosed: boolean;
}

/** It is made outside the session's scope: the function must not keep the session reachable. */
export function endingOf(tether: Tether): () => void {
  return () => end(tether);
}

/**
 * Gives the holds and the row back. The hold of a buffer that a view can still reach goes back when
 * that view is dead, and the row with the last hold.
 */
export function end(tether: Tether): void {
  const { descriptor, counter, hearings, wasClosed } = tether;
  tether.descriptor = closed;
  for (const hearing of hearings) hearing.terminate();
  // A view that is alive puts off the rest; a subscription that nobody reads would hold a channel up.
  native.xmem_bun_channel_leave_all(descriptor);
  const finish = (): boolean => {
    if (native.xmem_bun_give_back_unseen(descriptor, counter) > 0) return false;
    native.xmem_bun_views_close(counter);
    native.xmem_bun_close(descriptor);
    return true;
  };
  if (finish()) return;
  // A view that is garbage counts as alive until it is collected.
  if (wasClosed) Bun.gc(true);
  if (finish()) return;
  native.xmem_bun_async_disarm(descriptor, 1);
  linger(finish);
}
