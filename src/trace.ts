// XMEM_TRACE=1: a guard that is garbage collected without disposal is given back at once, with one
// warning that names where it was acquired. It costs time at each acquire, hence the switch.

import { beginAtCaller, framesOf } from "./caller.ts";
import { native } from "./native.ts";
import { closed, type Session } from "./session.ts";

export const tracing: boolean = process.env["XMEM_TRACE"] === "1";

interface Trace {
  session: WeakRef<Session>;
  handle: number;
  acquiredAt: string;
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
];

const lost = new FinalizationRegistry<Trace>(({ session, handle, acquiredAt }) => {
  const descriptor = session.deref()?.descriptor ?? closed;
  if (descriptor === closed) return;
  native.xmem_release(descriptor, handle);
  process.emitWarning(`a buffer was never released; it was acquired${acquiredAt}`, "XmemLeak");
});

export function trace(guard: object, session: Session, handle: number): void {
  const here = new Error("acquired");
  beginAtCaller(here, ...makers);
  const acquiredAt = `\n${framesOf(here)}`;
  lost.register(guard, { session: new WeakRef(session), handle, acquiredAt }, guard);
}

export function untrace(guard: object): void {
  lost.unregister(guard);
}
