// One open of one pool: what a BufferPool and its guards share. `descriptor` is `closed` at its
// end; it gives everything back when pool and guards became unreachable without a close, as under a
// hot reload.

import type { Pointer } from "bun:ffi";
import * as constants from "./constants.gen.ts";
import { INFO_COUNT } from "./constants.gen.ts";
import { make, type XmemError } from "./errors.ts";
import { type Asked, failureOn } from "./failure.ts";
import { type Descriptor, float64s, native } from "./native.ts";
import { Views } from "./views.ts";

/** The descriptor of no pool: the native side refuses it by itself. */
export const closed: Descriptor = 0;

/** Outlives a session that nobody closed, until its finalizer ran. Never refers to the session. */
export interface Tether {
  readonly descriptor: Descriptor;
  socket: { terminate(): void } | undefined;
}

export class Session {
  /** `closed` once closed. */
  descriptor: Descriptor;
  readonly name: string;
  /** For messages: on what something was tried. */
  readonly on: string;
  readonly dir: string;
  readonly capacity: number;
  readonly bufferSize: number;
  readonly device: number;
  readonly inode: number;
  /** Names this thread's participant among all of the thread: opens of one pool share it. */
  readonly participant: string;
  readonly poolId: number;
  readonly views: Views;
  /** Whether a released guard's views are detached. */
  readonly detaching: boolean;
  readonly tether: Tether;
  /** The queue of this thread's waiters, where this session's native thread watches for it. */
  waits: object | undefined;

  constructor(
    descriptor: Descriptor,
    dir: string,
    name: string,
    options: { views: "shared" | "detach"; viewCache: number },
  ) {
    const info = float64s(INFO_COUNT);
    native.xmem_info(descriptor, info);
    const field = (index: number): number => info[index] ?? Number.NaN;
    this.descriptor = descriptor;
    this.name = name;
    this.on = `on pool "${name}"`;
    this.dir = dir;
    this.capacity = field(constants.INFO_CAPACITY);
    this.bufferSize = field(constants.INFO_BUFFER_SIZE);
    this.device = field(constants.INFO_DEVICE);
    this.inode = field(constants.INFO_INODE);
    this.participant = `${this.device}:${this.inode}:${field(constants.INFO_ROW)}`;
    this.poolId = field(constants.INFO_POOL_ID);
    this.views = new Views(
      native.xmem_mapping(descriptor) as Pointer,
      field(constants.INFO_DATA_ADDRESS),
      field(constants.INFO_STRIDE),
      options.viewCache,
      options.views === "detach",
    );
    this.detaching = options.views === "detach";
    this.tether = { descriptor, socket: undefined };
    unclosed.register(this, this.tether, this);
  }

  close(): void {
    if (this.descriptor === closed) return;
    const descriptor = this.descriptor;
    this.descriptor = closed;
    unclosed.unregister(this);
    this.views.close();
    native.xmem_close(descriptor);
  }

  /** The error for a native failure of `tried`, with the numbers that it was about. */
  failure(result: number, tried: string, asked: Asked = {}): XmemError {
    const what = `${tried} ${this.on}`;
    if (this.descriptor === closed) return make("POOL_CLOSED", what);
    return failureOn(this, result, what, asked);
  }
}

/** Views that live on keep the mapping; holds and row go back. */
const unclosed = new FinalizationRegistry<Tether>(({ descriptor, socket }) => {
  native.xmem_close(descriptor);
  socket?.terminate();
});
