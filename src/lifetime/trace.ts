// XMEM_TRACE=1: a guard that is garbage collected without disposal is given back, with one warning
// that names where it was acquired. Its views keep it reachable. It costs time at each acquire,
// hence the switch.

import { beginAtCaller, framesOf } from "../errors/user_frame.ts";
import { indexOf } from "../native/handle.ts";
import { native } from "../native/native.ts";
import { notLost, onceLost } from "./generations.ts";
import { linger } from "./lingering.ts";
import type { Tether } from "./tether.ts";

export const tracing: boolean = process.env["XMEM_TRACE"] === "1";

/** The public functions that make a guard. */
const makers = [
  "acquire()",
  "tryAcquire()",
  "acquireBlocking()",
  "acquireAsync()",
  "get()",
  "getMut()",
  "take()",
  "clone()",
  "tryReceive()",
  "receiveBlocking()",
  "receive()",
];

export function trace(
  guard: object,
  session: { readonly tether: Tether },
  handle: number,
  isMessage: boolean,
): void {
  const here = new Error("acquired");
  beginAtCaller(here, ...makers);
  onceLost(guard, lossOf(session.tether, handle, isMessage, `\n${framesOf(here)}`));
}

export function untrace(guard: object): void {
  notLost(guard);
}

/**
 * It is made outside the guard's scope: the function must keep neither the guard nor its session
 * reachable.
 */
function lossOf(
  tether: Tether,
  handle: number,
  isMessage: boolean,
  acquiredAt: string,
): () => void {
  const giveBack = (): boolean => {
    // Once the session has ended the descriptor is 0 here, even where its number is another pool's
    // by now.
    if (native.xmem_bun_view_count(tether.counter, indexOf(handle)) > 0) return false;
    if (isMessage) native.xmem_bun_message_done(tether.descriptor, indexOf(handle));
    native.xmem_bun_release(tether.descriptor, handle);
    return true;
  };
  return () => {
    // A close has given it back.
    if (tether.wasClosed) return;
    process.emitWarning(`a buffer was never released; it was acquired${acquiredAt}`, "XmemLeak");
    if (!isOpen(tether)) return;
    if (!giveBack()) linger(() => !isOpen(tether) || giveBack());
  };
}

/** Once it is not open, the counter may be gone. */
function isOpen(tether: Tether): boolean {
  return tether.descriptor !== 0;
}
