// One open of one pool: what a BufferPool and its guards share. It is 0 at `address` once closed, and
// gives everything back when pool and guards became unreachable without a close, as under a hot
// reload.

import * as constants from "./constants.gen.ts";
import { INFO_COUNT } from "./constants.gen.ts";
import { codeOf, make, type XmemError } from "./errors.ts";
import { type Address, failureText, float64s, native } from "./native.ts";
import { systemCause } from "./system_error.ts";
import { Views } from "./views.ts";

export const closed = 0 as Address;

/** What outlives a session that nobody closed, until its finalizer ran. Never refers to the session. */
export interface Tether {
  readonly address: Address;
  socket: { terminate(): void } | undefined;
}

export class Session {
  /** 0 once closed. */
  address: Address;
  readonly name: string;
  readonly dir: string;
  readonly capacity: number;
  readonly bufferSize: number;
  readonly device: number;
  readonly inode: number;
  readonly views: Views;
  readonly tether: Tether;

  constructor(
    address: Address,
    dir: string,
    name: string,
    options: { views: "shared" | "detach"; viewCache: number },
  ) {
    const info = float64s(INFO_COUNT);
    native.xmem_info(address, info);
    const field = (index: number): number => info[index] ?? Number.NaN;
    this.address = address;
    this.name = name;
    this.dir = dir;
    this.capacity = field(constants.INFO_CAPACITY);
    this.bufferSize = field(constants.INFO_BUFFER_SIZE);
    this.device = field(constants.INFO_DEVICE);
    this.inode = field(constants.INFO_INODE);
    this.views = new Views(
      native.xmem_mapping(address) as Address,
      field(constants.INFO_DATA_ADDRESS),
      field(constants.INFO_STRIDE),
      options.viewCache,
      options.views === "detach",
    );
    this.tether = { address, socket: undefined };
    unclosed.register(this, this.tether, this);
  }

  close(): void {
    if (this.address === closed) return;
    const address = this.address;
    this.address = closed;
    unclosed.unregister(this);
    this.views.close();
    native.xmem_close(address);
  }

  /** The error for a native failure of `tried`. */
  failure(result: number, tried: string): XmemError {
    const code = codeOf(result);
    const what = `${tried} on pool "${this.name}"`;
    if (this.address === closed) return make("POOL_CLOSED", what);
    if (code === "POOL_FULL") {
      const own = native.xmem_holds(this.address);
      return make(
        code,
        what,
        `all ${this.capacity} buffers are in use, ${own} held by this thread`,
      );
    }
    if (code === "OUT_OF_MEMORY" || code === "SYSTEM") {
      return make(code, what, failureText(), systemCause());
    }
    return make(code, what);
  }
}

/** Views that live on keep the mapping; holds and row go back. */
const unclosed = new FinalizationRegistry<Tether>(({ address, socket }) => {
  native.xmem_close(address);
  socket?.terminate();
});
