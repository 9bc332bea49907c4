// XMEM_TRACE=1: each guard knows where it was made, for `pool.outstanding()`, for the report of a
// close, and for the command `xmem`, which reads it in memory that the process publishes. A guard
// that is garbage collected without disposal is given back, with one warning that names where it was
// acquired. Its views keep it reachable. It costs time at each acquire, hence the switch.

import { beginAtCaller, framesOf } from "../errors/user_frame.ts";
import { indexOf } from "../native/handle.ts";
import { native } from "../native/native.ts";
import { notLost, onceLost } from "./generations.ts";
import { linger } from "./lingering.ts";
import { linesOf, publish, takeBack } from "./published.ts";
import type { Tether, TracedHold } from "./tether.ts";

/** It is set once at most after this, so that the engine's compiler takes it for a constant. */
export let tracing: boolean = process.env["XMEM_TRACE"] === "1";

/** Traces what is acquired through sessions that begin from now on. */
export function beginTracing(): void {
  tracing = true;
}

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

/** The frames of this library that are left where the engine took the public function off the stack. */
const own = /^(?: {4}at (?:trace|new \w*Guard|guardOf) .*\n)+/;

/** By guard, without keeping it. */
const traced = new WeakMap<object, { hold: TracedHold; holds: Set<TracedHold> }>();

/** Where a session began: without tracing nobody knows. */
export function stackHere(...entrances: string[]): string[] {
  if (!tracing) return [];
  const here = new Error("opened");
  beginAtCaller(here, ...entrances);
  return linesOf(framesOf(here));
}

export function trace(
  guard: { readonly handle: number; readonly size: number },
  session: { readonly tether: Tether; readonly participant: string },
  isMessage: boolean,
): void {
  const here = new Error("acquired");
  beginAtCaller(here, ...makers);
  const { handle, size } = guard;
  const stack = framesOf(here).replace(own, "");
  const hold = { handle, size, since: Date.now(), stack, record: -1 };
  const { participant } = session;
  hold.record = publish({ participant, handle, since: hold.since, stack: linesOf(hold.stack) });
  const { holds } = session.tether;
  holds.add(hold);
  traced.set(guard, { hold, holds });
  onceLost(guard, lossOf(session.tether, hold, isMessage));
}

export function untrace(guard: object): void {
  notLost(guard);
  const known = traced.get(guard);
  if (known !== undefined) forget(known.hold, known.holds);
}

function forget(hold: TracedHold, holds: Set<TracedHold>): void {
  if (holds.delete(hold)) takeBack(hold.record);
}

/** At the close of a session: what it still holds is given back, and reported. */
export function reportHeld({ holds }: Tether, on: string): void {
  if (holds.size === 0) return;
  const places = Map.groupBy(holds, ({ stack }) => stack);
  const lines = [...places].map(
    ([stack, { length }]) => `${length === 1 ? "one was" : `${length} were`} acquired\n${stack}`,
  );
  const held = holds.size === 1 ? "1 buffer" : `${holds.size} buffers`;
  const found = `close() ${on} gave ${held} back that were not released: ${lines.join("\n")}`;
  process.emitWarning(found, "XmemLeak");
  for (const hold of holds) forget(hold, holds);
}

/**
 * It is made outside the guard's scope: the function must keep neither the guard nor its session
 * reachable.
 */
function lossOf(tether: Tether, hold: TracedHold, isMessage: boolean): () => void {
  const { handle, stack } = hold;
  const giveBack = (): boolean => {
    // Once the session has ended the descriptor is 0 here, even where its number is another pool's
    // by now.
    if (native.xmem_bun_view_count(tether.counter, indexOf(handle)) > 0) return false;
    if (isMessage) native.xmem_bun_message_done(tether.descriptor, indexOf(handle));
    native.xmem_bun_release(tether.descriptor, handle);
    return true;
  };
  return () => {
    forget(hold, tether.holds);
    // A close has given it back.
    if (tether.wasClosed) return;
    process.emitWarning(`a buffer was never released; it was acquired\n${stack}`, "XmemLeak");
    if (!isOpen(tether)) return;
    if (!giveBack()) linger(() => !isOpen(tether) || giveBack());
  };
}

/** Once it is not open, the counter may be gone. */
function isOpen(tether: Tether): boolean {
  return tether.descriptor !== 0;
}
