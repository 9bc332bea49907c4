// One open of one pool: what a BufferPool and its guards share. `descriptor` is `closed` at its
// end. It stays open until it is closed, also where the program can no longer reach it. Only under
// a hot reload, a session of a replaced module gives everything back once nothing reaches it.

import { make, raise, type XmemError } from "../errors/error.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { INFO_COUNT } from "../generated/constants.gen.ts";
import { keep, letGo, notLost, onceLost, reloadable } from "../lifetime/generations.ts";
import { end, endingOf, type Tether } from "../lifetime/tether.ts";
import { reportHeld, tracing } from "../lifetime/trace.ts";
import { DataArea } from "../native/data_area.ts";
import { closed, native } from "../native/native.ts";
import { float64s } from "../native/scratch.ts";
import { GuardViews } from "../views/guard_views.ts";
import { ViewCache } from "../views/view_cache.ts";
import { type Asked, failureOn } from "./failure.ts";

export class Session {
  /** `closed` once closed. */
  descriptor: Descriptor;
  readonly name: string;
  /** For messages: which pool a call was about. */
  readonly on: string;
  readonly dir: string;
  readonly capacity: number;
  readonly bufferSize: number;
  readonly device: number;
  readonly inode: number;
  /** Names the participant among all of this thread: several opens of one pool share it. */
  readonly participant: string;
  readonly poolId: number;
  /** Whether this open has a cache of free slots, which acquire and release ask first. */
  readonly caches: boolean;
  readonly views: ViewCache;
  /** Set where each guard has views of its own, which end with it. */
  readonly guardViews: GuardViews | null;
  /**
   * Whether a guard's hold goes the straight way into a channel: there is nothing to do for views,
   * and none of this open's guards is a message.
   */
  sendsStraight: boolean;
  /** Whether its guards are traced: decided when it begins, since they need views of their own. */
  readonly traced: boolean = tracing;
  readonly tether: Tether;
  /** Queues of this thread's waiters for which a place of this session is watched. */
  readonly waits: Set<object> = new Set();

  constructor(
    descriptor: Descriptor,
    dir: string,
    name: string,
    options: { views: "shared" | "detach"; viewCache: number; caches: boolean },
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
    const area = new DataArea(this, counter, info);
    const detaching = options.views === "detach";
    this.caches = options.caches;
    this.views = new ViewCache(area, options.viewCache);
    this.guardViews = detaching || this.traced ? new GuardViews(area, detaching) : null;
    this.sendsStraight = this.guardViews === null;
    this.tether = {
      descriptor,
      counter,
      hearings: new Set(),
      holds: new Set(),
      wasClosed: false,
    };
    keep(this);
    if (reloadable) onceLost(this, endingOf(this.tether));
  }

  close(): void {
    if (this.descriptor === closed) return;
    this.descriptor = closed;
    letGo(this);
    if (reloadable) notLost(this);
    this.views.close();
    this.guardViews?.close();
    this.tether.wasClosed = true;
    if (this.traced) reportHeld(this.tether, this.on);
    end(this.tether);
  }

  /** The error for a native failure of `tried`, with the numbers that it was about. */
  failure(result: number, tried: string, asked: Asked = {}): XmemError {
    const what = `${tried} ${asked.channel?.on ?? this.on}`;
    if (this.descriptor === closed) return make("POOL_CLOSED", what);
    return failureOn(this, result, what, asked);
  }
}
