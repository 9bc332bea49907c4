// The only dlopen of the interface. The calls themselves, with their types, are generated from
// zig/abi/bun.zig: abi.gen.ts. No file outside this folder sees an address.

import { dlopen, type FFIFunction, type Library, type Pointer, toArrayBuffer } from "bun:ffi";
import { raise } from "../errors/error.ts";
import { type Descriptor, type Native, symbols } from "../generated/abi.gen.ts";
import { LIMIT_DESCRIPTORS, LIMIT_MADE_STRIDE } from "../generated/constants.gen.ts";
import { libraryPath, loadingAdvice } from "./library.ts";

/**
 * A library that the system does not load is an error, as a missing one is; the loader says why.
 */
function load<Symbols extends Record<string, FFIFunction>>(
  path: string,
  symbols: Symbols,
): Library<Symbols> {
  try {
    return dlopen(path, symbols);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const particulars = { cause, advice: loadingAdvice(path, why) };
    raise("UNSUPPORTED_PLATFORM", "loading xmem", `${path} cannot be loaded: ${why}`, particulars);
  }
}

const opened = load(libraryPath(), symbols);

// Never closed: a later call of any symbol would be a segfault. Bun's own types allow a bigint for
// a pointer, which none of our addresses is: they are below 2^53.
export const native: Native = opened.symbols as unknown as Native;

/** The descriptor of no pool: the native side refuses it by itself. */
export const closed: Descriptor = 0;

// The calls of the fast paths have names of their own. A constant of a module is a constant to
// the engine's compiler, too, so that the call is always direct. A call through a property of
// `native` is direct only most of the time.
export const acquireIndex: Native["xmem_bun_acquire_index"] = native.xmem_bun_acquire_index;
export const releaseIndex: Native["xmem_bun_release_index"] = native.xmem_bun_release_index;
export const acquireIndexStraight: Native["xmem_bun_acquire_index_straight"] =
  native.xmem_bun_acquire_index_straight;
// The same for an open with `localCache`.
export const acquireIndexCached: Native["xmem_bun_acquire_index_cached"] =
  native.xmem_bun_acquire_index_cached;
export const releaseIndexCached: Native["xmem_bun_release_index_cached"] =
  native.xmem_bun_release_index_cached;
export const getIndex: Native["xmem_bun_get"] = native.xmem_bun_get;
export const getByRef: Native["xmem_bun_get_by_ref"] = native.xmem_bun_get_by_ref;
export const takeByRef: Native["xmem_bun_take_by_ref"] = native.xmem_bun_take_by_ref;
export const shareIndex: Native["xmem_bun_share"] = native.xmem_bun_share;
export const sendIndex: Native["xmem_bun_channel_send"] = native.xmem_bun_channel_send;
export const sendIndexAtOnce: Native["xmem_bun_channel_send_at_once"] =
  native.xmem_bun_channel_send_at_once;
export const trySendIndex: Native["xmem_bun_channel_try_send"] = native.xmem_bun_channel_try_send;
export const receiveIndex: Native["xmem_bun_channel_receive"] = native.xmem_bun_channel_receive;
export const receiveIndexAtOnce: Native["xmem_bun_channel_receive_at_once"] =
  native.xmem_bun_channel_receive_at_once;

// Further results of the last call that made a hold, by descriptor. They are static memory of the
// library, which is never unloaded.
const stride = LIMIT_MADE_STRIDE / 4;
const made = toArrayBuffer(
  native.xmem_bun_made(),
  0,
  (LIMIT_DESCRIPTORS - 1) * LIMIT_MADE_STRIDE + 8,
);
const generations = new Int32Array(made);
const sizes = new Uint32Array(made, 4);

/** The generation of the buffer that was held last. */
export function generationMade(descriptor: Descriptor): number {
  return generations[descriptor * stride] as number;
}

/** The size of the buffer that a get, a take or a receive held last, in bytes. */
export function sizeMade(descriptor: Descriptor): number {
  return sizes[descriptor * stride] as number;
}

// The engine calls this function when an ArrayBuffer's contents die, on the thread where that
// happens.
const { ptr } = opened.symbols.xmem_bun_view_done as unknown as { ptr: Pointer };
export const viewDone: Pointer = ptr;
