// One open of one pool: what a BufferPool and its guards share. `descriptor` is `closed` at its
// end. It is open until it is closed, whether or not the program can still reach it; but one of a
// module that was replaced, under a hot reload, gives everything back once nothing reaches it.

import type { Descriptor } from "./abi.gen.ts";
import * as constants from "./constants.gen.ts";
import { INFO_COUNT } from "./constants.gen.ts";
import { make, raise, type XmemError } from "./errors.ts";
import { type Asked, failureOn } from "./failure.ts";
import { keep, letGo, notLost, onceLost, reloadable } from "./generations.ts";
import { linger } from "./lingering.ts";
import { float64s, native, type ViewCounter } from "./native.ts";
import { OwnViews } from "./own_views.ts";
import { tracing } from "./trace.ts";
import { Views } from "./views.ts";

/** The descriptor of no pool: the native side refuses it by itself. */
export const closed: Descriptor = 0;

/** What is left of a session that nobody can reach. Never refers to it. */
export interface Tether {
  /** `closed` once the session is, or its finalizer ran. */
  descriptor: Descriptor;
  readonly counter: ViewCounter;
  socket: { terminate(): void } | undefined;
  /** Whether the program closed it. */
  wasClosed: boolean;
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
  /** Where each guard has views of its own, which it ends. */
  readonly ownViews: OwnViews | null;
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
    native.xmem_bun_info(descriptor, info);
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
    const counter = native.xmem_bun_views_open(descriptor);
    if (counter === null) {
      native.xmem_bun_close(descriptor);
      raise("OUT_OF_MEMORY", `opening pool "${name}"`, "its views cannot be counted");
    }
    const area = {
      descriptor,
      counter,
      address: field(constants.INFO_DATA_ADDRESS),
      stride: field(constants.INFO_STRIDE),
      session: this,
    };
    const detaching = options.views === "detach";
    this.views = new Views(area, options.viewCache);
    this.ownViews = detaching || tracing ? new OwnViews(area, detaching) : null;
    this.tether = { descriptor, counter, socket: undefined, wasClosed: false };
    keep(this);
    if (reloadable) onceLost(this, endingOf(this.tether));
  }

  close(): void {
    if (this.descriptor === closed) return;
    this.descriptor = closed;
    letGo(this);
    if (reloadable) notLost(this);
    this.views.close();
    this.ownViews?.close();
    this.tether.wasClosed = true;
    end(this.tether);
  }

  /** The error for a native failure of `tried`, with the numbers that it was about. */
  failure(result: number, tried: string, asked: Asked = {}): XmemError {
    const what = `${tried} ${this.on}`;
    if (this.descriptor === closed) return make("POOL_CLOSED", what);
    return failureOn(this, result, what, asked);
  }
}

/** Not within the session's own scope, which it must not lead to. */
function endingOf(tether: Tether): () => void {
  return () => end(tether);
}

/** Gives holds and row back: at once, or for buffers that a view can still reach when it is dead. */
function end(tether: Tether): void {
  const { descriptor, counter, socket, wasClosed } = tether;
  tether.descriptor = closed;
  socket?.terminate();
  const finish = (): boolean => {
    if (native.xmem_bun_give_back_unseen(descriptor, counter) > 0) return false;
    native.xmem_bun_views_close(counter);
    native.xmem_bun_close(descriptor);
    return true;
  };
  if (finish()) return;
  // A view that is garbage looks like one that is not, until it is collected.
  if (wasClosed) Bun.gc(true);
  if (finish()) return;
  native.xmem_bun_async_disarm(descriptor, 1);
  linger(finish);
}
