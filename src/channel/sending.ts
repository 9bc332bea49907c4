// How the hold of a guard goes into a channel.

import { describe } from "../arguments/validate.ts";
import { type BufferGuard, endPlain, generationHeld, holderOf } from "../buffer/guard.ts";
import type { ReadGuard } from "../buffer/read_guard.ts";
import { raise } from "../errors/error.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { closed, getIndex, releaseIndex } from "../native/native.ts";
import type { Session } from "../session/session.ts";
import { isMessage } from "./message.ts";

/** What can be sent: a guard, whether it is written through or not. */
export type Sendable = BufferGuard | ReadGuard;

/** A native call that sends a buffer of the session's; its result is negative where it failed. */
export type Send = (
  descriptor: Descriptor,
  channel: number,
  index: number,
  generation: number,
) => number;

/** Throws where `guard` is no guard of the session's pool, or is done. `tried` names the call. */
export function checkSendable(session: Session, guard: unknown, tried: string): void {
  const holder = holderOf(guard);
  if (holder === null) {
    raise("INVALID_ARGUMENT", tried, `the guard is ${describe(guard)}, expected a guard`, {
      advice: "acquire() and get() of the same pool return one",
    });
  }
  // Its other opens in this thread share the participant.
  if (holder.session.participant !== session.participant) {
    const found = `the guard's buffer is of pool "${holder.session.name}"`;
    raise("INVALID_ARGUMENT", tried, found, { advice: "copy it into a buffer of this pool" });
  }
  if (!holder.live) raise("RELEASED", tried);
  if (holder.session.descriptor === closed) raise("POOL_CLOSED", tried);
}

/** Moves the hold of a guard that was checked. The guard is done unless the result is negative. */
export function move(session: Session, guard: Sendable, channel: number, send: Send): number {
  const number = isMessage(guard) ? channel + constants.CHANNEL_MESSAGE : channel;
  const held = guard as BufferGuard;
  if (holderOf(guard)?.session === session && session.guardViews === null) {
    const result = send(session.descriptor, number, guard.index, generationHeld(held));
    if (result >= 0) endPlain(held);
    return result;
  }
  return moveAnother(session, held, number, send);
}

/**
 * Sends another hold of the same buffer, and releases the guard after that. So a view that cannot
 * be detached keeps the guard's hold, and the hold of another open of the pool goes back there. A
 * message is the thread's, whichever of its holds is sent.
 */
function moveAnother(session: Session, guard: BufferGuard, channel: number, send: Send): number {
  const { descriptor } = session;
  const { index } = guard;
  const generation = generationHeld(guard);
  const held = getIndex(descriptor, index, generation);
  if (held < 0) return held;
  const result = send(descriptor, channel, index, generation);
  if (result < 0) releaseIndex(descriptor, index, generation);
  else guard.release();
  return result;
}
