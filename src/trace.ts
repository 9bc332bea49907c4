// XMEM_TRACE=1: a guard that is garbage collected without disposal is given back at once, with one
// warning that names where it was acquired. It costs time at each acquire, hence the switch.

import { native } from "./native.ts";
import { closed, type Session } from "./session.ts";

export const tracing: boolean = process.env["XMEM_TRACE"] === "1";

interface Trace {
  session: WeakRef<Session>;
  handle: number;
  acquiredAt: string;
}

const lost = new FinalizationRegistry<Trace>(({ session, handle, acquiredAt }) => {
  const descriptor = session.deref()?.descriptor ?? closed;
  if (descriptor === closed) return;
  native.xmem_release(descriptor, handle);
  process.emitWarning(`a buffer was never released; it was acquired${acquiredAt}`, "XmemLeak");
});

export function trace(guard: object, session: Session, handle: number): void {
  const stack = new Error("acquired").stack ?? "";
  const own = `${import.meta.dir}/`;
  const frames = stack.split("\n").slice(1);
  const first = frames.findIndex((frame) => !frame.includes(own));
  const acquiredAt = `\n${frames.slice(Math.max(first, 0)).join("\n")}`;
  lost.register(guard, { session: new WeakRef(session), handle, acquiredAt }, guard);
}

export function untrace(guard: object): void {
  lost.unregister(guard);
}
