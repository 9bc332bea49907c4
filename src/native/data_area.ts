// The memory of a pool's buffers in this process, and the ArrayBuffers over it.

import { type Pointer, toArrayBuffer } from "bun:ffi";
import type { Descriptor } from "../generated/abi.gen.ts";
import { INFO_DATA_ADDRESS, INFO_STRIDE } from "../generated/constants.gen.ts";
import { native, viewDone } from "./native.ts";

// The engine takes a deallocator and its context, which Bun's types do not say.
const viewWithDeallocator = toArrayBuffer as unknown as (
  address: Pointer,
  offset: number,
  length: number,
  context: Pointer,
  deallocator: Pointer,
) => ArrayBuffer;

/** Counts the live views of one open, by buffer, for as long as there are any. */
export type ViewCounter = Pointer;

export class DataArea {
  readonly descriptor: Descriptor;
  readonly counter: ViewCounter;
  /** From the start of one buffer to the start of the next one, in bytes. */
  readonly stride: number;
  /** What has to stay open while a view is reachable. */
  readonly session: { readonly descriptor: Descriptor };
  readonly #address: number;

  /** `info` is what `xmem_bun_info` said of the pool. */
  constructor(
    session: { readonly descriptor: Descriptor },
    counter: ViewCounter,
    info: Float64Array,
  ) {
    this.descriptor = session.descriptor;
    this.counter = counter;
    this.stride = info[INFO_STRIDE] ?? Number.NaN;
    this.session = session;
    this.#address = info[INFO_DATA_ADDRESS] ?? Number.NaN;
  }

  /**
   * An ArrayBuffer over the first `length` bytes of the buffer at `index`. It counts as a view for
   * as long as its contents live, wherever they are transferred to. The mapping stays for so long.
   */
  view(index: number, length: number): ArrayBuffer {
    native.xmem_bun_view_add(this.counter, index);
    const address = (this.#address + index * this.stride) as Pointer;
    return viewWithDeallocator(address, 0, length, this.counter, viewDone);
  }
}
