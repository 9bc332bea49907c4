// The guard of a message: of a buffer that was received from a channel that redelivers.

import { BufferGuard, isHeld } from "../buffer/guard.ts";
import { publish } from "../errors/user_frame.ts";
import { generationOf } from "../native/handle.ts";
import { native } from "../native/native.ts";
import type { Session } from "../session/session.ts";

/** Whether the guard is that of a message, and not of another hold of its buffer. */
export let isMessage: (guard: unknown) => guard is MessageGuard;

/**
 * As long as it is not done, the death of its thread brings the buffer back to the channel. A clone
 * is a guard like any other.
 */
export class MessageGuard extends BufferGuard {
  readonly #session: Session;
  readonly #deliveries: number;

  static {
    isMessage = (guard): guard is MessageGuard =>
      typeof guard === "object" && guard !== null && #deliveries in guard;
  }

  /** Right after its receipt. */
  constructor(session: Session, index: number, generation: number, size: number) {
    super(session, index, generation, size, true);
    this.#session = session;
    this.#deliveries = native.xmem_bun_deliveries(session.descriptor, index, generation);
  }

  override get deliveries(): number {
    return this.#deliveries;
  }

  override get messageId(): string {
    const { descriptor, poolId } = this.#session;
    if (!isHeld(this)) return "";
    const { index, handle } = this;
    const origin = native.xmem_bun_message_origin(descriptor, index, generationOf(handle));
    if (origin < 0) return "";
    return [poolId, origin, handle].map((number) => number.toString(36)).join(".");
  }

  override release(): void {
    // First: whoever gets the buffer next must not find it a message.
    if (isHeld(this)) native.xmem_bun_message_done(this.#session.descriptor, this.index);
    super.release();
  }
}

publish(MessageGuard.prototype);
