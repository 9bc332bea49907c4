// What tells this thread's event loop that a try is worth it: one native thread, which watches all
// places where somebody of the loop waits, and one socket, which it makes readable. Both are there
// from the first of these places to the last.

import type { Socket } from "bun";
import { native } from "../native/native.ts";
import { uint32s } from "../native/scratch.ts";

/** Who waits at a place. The bell does not keep it reachable. */
export interface Listener {
  /** A try is worth it. */
  signalled(): void;
  /** The event loop cannot watch the socket, so that nothing is ever signalled. */
  deaf(cause: unknown): void;
}

/**
 * An open socket's handlers stay reachable, and with them all that was in scope where they were
 * made: hence a function of its own, which sees nothing but the bell.
 */
function watch(fd: number, bell: Bell): Promise<Socket> {
  return Bun.connect({
    fd,
    socket: {
      data() {
        bell.ring();
      },
    },
  } as unknown as Parameters<typeof Bun.connect>[0]) as Promise<Socket>;
}

/** The places whose tags one call says. */
const room = 64;
const tags: Uint32Array = uint32s(room);

class Bell {
  /** The native side's number of it; 0: none yet. */
  loop = 0;
  readonly listeners: Map<number, WeakRef<Listener>> = new Map();
  /** How many of them keep the process alive. */
  keeping = 0;
  socket: Socket | undefined;

  ring(): void {
    while (true) {
      const count = native.xmem_bun_loop_signalled(this.loop, tags, room);
      // A copy where there are several: whoever is told may make calls of its own.
      if (count === 1) this.#tell(tags[0] as number);
      else for (const tag of tags.slice(0, count)) this.#tell(tag);
      if (count < room) return;
    }
  }

  #tell(tag: number): void {
    this.listeners.get(tag)?.deref()?.signalled();
  }

  connect(): void {
    watch(native.xmem_bun_loop_socket(this.loop), this).then(
      (socket) => {
        if (this.listeners.size === 0) return socket.terminate();
        this.socket = socket;
        if (this.keeping === 0) socket.unref();
      },
      (cause: unknown) => {
        if (bell === this) bell = undefined;
        for (const listener of [...this.listeners.values()]) listener.deref()?.deaf(cause);
      },
    );
  }

  keep(change: 1 | -1): void {
    this.keeping += change;
    if (change === 1 && this.keeping === 1) this.socket?.ref();
    if (change === -1 && this.keeping === 0) this.socket?.unref();
  }

  forget(tag: number): void {
    this.listeners.delete(tag);
    if (this.listeners.size > 0) return;
    this.socket?.terminate();
    if (bell === this) bell = undefined;
  }
}

/** Of this thread; undefined while it watches no place. */
let bell: Bell | undefined;
let tagLast = 0;

/** A place that the bell watches for somebody. */
export class Hearing {
  readonly #bell: Bell;
  readonly #tag: number;
  #keeps = false;

  constructor(by: Bell, tag: number) {
    this.#bell = by;
    this.#tag = tag;
  }

  /** Whether the process stays alive for it. */
  set keeps(keeps: boolean) {
    if (keeps === this.#keeps) return;
    this.#keeps = keeps;
    this.#bell.keep(keeps ? 1 : -1);
  }

  /** The place goes away, or nobody of this thread waits there any more. */
  terminate(): void {
    this.keeps = false;
    this.#bell.forget(this.#tag);
  }
}

/** Begins to hear for `listener` at the place that `open` opens. A number is that failure of it. */
export function hear(
  listener: Listener,
  open: (loop: number, tag: number) => number,
): Hearing | number {
  const by = bell ?? new Bell();
  tagLast = (tagLast + 1) % 2 ** 32;
  const loop = open(by.loop, tagLast);
  if (loop < 0) return loop;
  by.listeners.set(tagLast, new WeakRef(listener));
  if (by.loop !== loop) {
    by.loop = loop;
    by.connect();
  }
  bell = by;
  return new Hearing(by, tagLast);
}
