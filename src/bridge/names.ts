// The name of a buffer that is exported: where it stood in its channel, counted through, beside what
// tells its channel and its acquire from all others. It is the same for each exporter that gets the
// buffer, so that a stream and an importer know what they have already.

import type { BufferGuard, Channel } from "../index.ts";

/** Whose buffers are counted through, and the number of one of them. */
export interface Origin {
  lane: string;
  ordinal: number;
}

/** A place in a channel's ring has 16 bits, and the count of the rounds before it 21. */
const places = 2 ** 16;
const rounds = 2 ** 21;

export class Namer {
  readonly #capacity: number;
  /** Names buffers of a channel that names none: each exporter has names of its own. */
  readonly #own: string = crypto.randomUUID().replaceAll("-", "");
  #count = 0;

  constructor(channel: Channel) {
    this.#capacity = channel.capacity;
  }

  name(guard: BufferGuard): string {
    const { messageId } = guard;
    if (messageId === "") {
      this.#count += 1;
      return `${this.#own}.0.${this.#count.toString(36)}.0`;
    }
    const [pool = "", origin = "", handle = ""] = messageId.split(".");
    const stood = Number.parseInt(origin, 36);
    const place = stood % places;
    const round = Math.floor(stood / places) % rounds;
    const channel = Math.floor(stood / places / rounds);
    const ordinal = round * this.#capacity + place;
    return `${pool}.${channel.toString(36)}.${ordinal.toString(36)}.${handle}`;
  }
}

/** Null for a name that no exporter gave. What a publisher added to try again is left out. */
export function originOf(name: string): Origin | null {
  const [pool, channel, ordinal, handle, more] = name.split("+", 1)[0]?.split(".") ?? [];
  if (pool === undefined || channel === undefined || handle === undefined) return null;
  if (more !== undefined || !/^[0-9a-z]{1,10}$/.test(ordinal ?? "")) return null;
  return { lane: `${pool}.${channel}`, ordinal: Number.parseInt(ordinal ?? "", 36) };
}
