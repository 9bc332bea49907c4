// A channel as a place to wait: for a buffer, for room, and for its close. A place belongs to one
// open of the channel, and so do those who wait there.

import { holderOf } from "../buffer/guard.ts";
import * as constants from "../generated/constants.gen.ts";
import { closed, generationMade, native, sizeMade } from "../native/native.ts";
import type { Asked } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { Place } from "../wait/place.ts";
import { move, type Sendable } from "./sending.ts";

/** What a receive got beside the buffer's index. */
export interface Received {
  generation: number;
  size: number;
}

export interface Places {
  receiving: Place<Received>;
  sending: Place<Sendable>;
  closing: Place<undefined>;
}

let opens = 0;

/** Of the channel that the session has open under that number. */
export function placesOf(session: Session, number: number, on: string): Places {
  opens += 1;
  return {
    receiving: {
      ...place(number, constants.CHANNEL_END_RECEIVING, `${opens} receiving`),
      call: "receive()",
      keepsAlive: true,
      attempt(descriptor, received, waited) {
        const isFirst = Number(waited === 0);
        const index = native.xmem_bun_channel_receive_at_once(descriptor, number, isFirst);
        // The next receive overwrites both.
        received.generation = generationMade(descriptor);
        received.size = sizeMade(descriptor);
        return index;
      },
      mayCome: (result) => result === -constants.ERROR_CHANNEL_EMPTY,
      asked: () => ({ channel: { on, number, end: "receiving" } }),
    },
    sending: {
      ...place(number, constants.CHANNEL_END_SENDING, `${opens} sending`),
      call: "sendAsync()",
      keepsAlive: true,
      attempt(_, guard, waited) {
        const holder = holderOf(guard);
        const isHeld = holder?.live === true && holder.session.descriptor !== closed;
        if (!isHeld) return -constants.ERROR_RELEASED;
        const isFirst = Number(waited === 0);
        return move(session, guard, number, (descriptor, channel, index, generation) =>
          native.xmem_bun_channel_send_at_once(descriptor, channel, index, generation, isFirst),
        );
      },
      mayCome: (result) => result === -constants.ERROR_CHANNEL_FULL,
      asked: (): Asked => ({ channel: { on, number, end: "sending" } }),
    },
    closing: {
      ...place(number, constants.CHANNEL_END_CLOSING, `${opens} closing`),
      call: "waiting for the close",
      keepsAlive: false,
      attempt: (descriptor) => native.xmem_bun_channel_closed(descriptor, number),
      mayCome: (result) => result === -constants.ERROR_CHANNEL_EMPTY,
      asked: () => ({ channel: { on, number } }),
    },
  };
}

type Watching = Pick<Place<unknown>, "name" | "open" | "arm" | "disarm" | "timedOut">;

function place(number: number, end: number, name: string): Watching {
  return {
    name: `channel ${name}`,
    open: (descriptor, loop, tag) =>
      native.xmem_bun_channel_async_open(descriptor, number, end, loop, tag),
    arm: (descriptor, due) => native.xmem_bun_channel_async_arm(descriptor, number, end, due),
    disarm: (descriptor, passOn) =>
      native.xmem_bun_channel_async_disarm(descriptor, number, end, passOn ? 1 : 0),
    // The pool counts waits for a buffer of its own only.
    timedOut: () => {},
  };
}
