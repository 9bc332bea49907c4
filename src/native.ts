// The only dlopen and the only pointers of the library: every other file sees numbers that it hands
// back. A thin, typed face of zig/abi.zig, nothing more.

import { dlopen, type FFIFunction, type Library, type Pointer, toArrayBuffer } from "bun:ffi";
import { LIMIT_DESCRIPTORS } from "./constants.gen.ts";
import { raise } from "./errors.ts";
import { libraryPath, loadingAdvice } from "./library.ts";

/** What the native side calls an open pool in this process; see zig/descriptor.zig. */
export type Descriptor = number;

/** What a pointer argument may be: an array that the call reads or fills. */
type Memory = Uint8Array | Float64Array;

/** zig/abi.zig, as TypeScript calls it. */
export interface Native {
  xmem_open(a: number, b: Memory, c: Memory, d: Memory, e: Memory): Descriptor;
  xmem_close(a: Descriptor): void;
  xmem_error_code(): number;
  xmem_error_errno(): number;
  xmem_error_text(a: Memory, b: number): number;
  xmem_info(a: Descriptor, b: Memory): void;
  xmem_unlink(a: Memory, b: Memory, c: number, d: number, e: number): number;
  xmem_remove_left_over(a: Memory): void;
  xmem_prune(a: Memory, b: Memory, c: number): number;
  xmem_views_open(a: Descriptor): Pointer | null;
  xmem_views_close(a: Pointer): void;
  xmem_view_add(a: Pointer, b: number): void;
  xmem_view_done(a: Memory, b: Pointer): void;
  xmem_view_count(a: Pointer, b: number): number;
  xmem_give_back_unseen(a: Descriptor, b: Pointer): number;
  xmem_made(): Pointer | null;
  xmem_acquire_index(a: Descriptor, b: number): number;
  xmem_release_index(a: Descriptor, b: number, c: number): void;
  xmem_release(a: Descriptor, b: number): void;
  xmem_acquire_at_once(a: Descriptor, b: number, c: number): number;
  xmem_acquire_blocking(a: Descriptor, b: number, c: number): number;
  xmem_now(): number;
  xmem_get(a: Descriptor, b: number): number;
  xmem_take(a: Descriptor, b: number): number;
  xmem_committed(a: Descriptor, b: number): number;
  xmem_truncate(a: Descriptor, b: number, c: number): number;
  xmem_share(a: Descriptor, b: number): number;
  xmem_hand_off(a: Descriptor, b: number): number;
  xmem_add_ref(a: Descriptor, b: number): number;
  xmem_unref(a: Descriptor, b: number): number;
  xmem_release_by_hand(a: Descriptor, b: number): number;
  xmem_ref_count(a: Descriptor, b: number): number;
  xmem_set_ref_count(a: Descriptor, b: number, c: number): number;
  xmem_try_release(a: Descriptor, b: number): number;
  xmem_release_buffer(a: Descriptor, b: number): number;
  xmem_filling(a: Descriptor, b: Memory, c: Memory): number;
  xmem_handle_age(a: Descriptor, b: number): number;
  xmem_preallocate(a: Descriptor, b: number, c: number): number;
  xmem_trim(a: Descriptor): number;
  xmem_flush(a: Descriptor, b: number): number;
  xmem_reclaim(a: Descriptor, b: Memory): number;
  xmem_stats(a: Descriptor, b: Memory): number;
  xmem_participants(a: Descriptor, b: Memory, c: Memory, d: number): number;
  xmem_observe(a: Memory, b: Memory, c: number, d: number): Descriptor;
  xmem_unobserve(a: Descriptor): void;
  xmem_meta_number(a: Descriptor, b: number, c: number): number;
  xmem_meta_set_number(a: Descriptor, b: number, c: number, d: number): number;
  xmem_meta_dims(a: Descriptor, b: number, c: number, d: Memory): number;
  xmem_meta_set_dims(a: Descriptor, b: number, c: number, d: Memory, e: number): number;
  xmem_meta_text(a: Descriptor, b: number, c: number, d: Memory): number;
  xmem_meta_set_text(a: Descriptor, b: number, c: number, d: Memory, e: number): number;
  xmem_async_open(a: Descriptor): number;
  xmem_async_arm(a: Descriptor, b: number): number;
  xmem_async_disarm(a: Descriptor, b: number): void;
  xmem_async_timed_out(a: Descriptor): void;
  xmem_constant_count(): number;
  xmem_constant_name(a: number, b: Memory, c: number): number;
  xmem_constant_value(a: number): number;
}

/** What the system does not load is as good as no library; the loader says why. */
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

const opened = load(libraryPath(), {
  xmem_open: { args: ["u32", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  xmem_close: { args: ["u32"], returns: "void" },
  xmem_error_code: { args: [], returns: "i32" },
  xmem_error_errno: { args: [], returns: "i32" },
  xmem_error_text: { args: ["ptr", "u32"], returns: "u32" },
  xmem_info: { args: ["u32", "ptr"], returns: "void" },
  xmem_unlink: { args: ["ptr", "ptr", "f64", "f64", "f64"], returns: "i32" },
  xmem_remove_left_over: { args: ["ptr"], returns: "void" },
  xmem_prune: { args: ["ptr", "ptr", "u32"], returns: "i32" },
  xmem_views_open: { args: ["u32"], returns: "ptr" },
  xmem_views_close: { args: ["ptr"], returns: "void" },
  xmem_view_add: { args: ["ptr", "u32"], returns: "void" },
  xmem_view_done: { args: ["ptr", "ptr"], returns: "void" },
  xmem_view_count: { args: ["ptr", "u32"], returns: "u32" },
  xmem_give_back_unseen: { args: ["u32", "ptr"], returns: "u32" },
  xmem_made: { args: [], returns: "ptr" },
  xmem_acquire_index: { args: ["u32", "u32"], returns: "i32" },
  xmem_release_index: { args: ["u32", "u32", "u32"], returns: "void" },
  xmem_release: { args: ["u32", "f64"], returns: "void" },
  xmem_acquire_at_once: { args: ["u32", "u32", "f64"], returns: "f64" },
  xmem_acquire_blocking: { args: ["u32", "u32", "f64"], returns: "f64" },
  xmem_now: { args: [], returns: "f64" },
  xmem_get: { args: ["u32", "f64"], returns: "f64" },
  xmem_take: { args: ["u32", "f64"], returns: "f64" },
  xmem_committed: { args: ["u32", "u32"], returns: "f64" },
  xmem_truncate: { args: ["u32", "f64", "u32"], returns: "i32" },
  xmem_share: { args: ["u32", "f64"], returns: "i32" },
  xmem_hand_off: { args: ["u32", "f64"], returns: "i32" },
  xmem_add_ref: { args: ["u32", "f64"], returns: "f64" },
  xmem_unref: { args: ["u32", "f64"], returns: "f64" },
  xmem_release_by_hand: { args: ["u32", "f64"], returns: "f64" },
  xmem_ref_count: { args: ["u32", "f64"], returns: "f64" },
  xmem_set_ref_count: { args: ["u32", "f64", "u32"], returns: "f64" },
  xmem_try_release: { args: ["u32", "f64"], returns: "i32" },
  xmem_release_buffer: { args: ["u32", "f64"], returns: "i32" },
  xmem_filling: { args: ["u32", "ptr", "ptr"], returns: "i32" },
  xmem_handle_age: { args: ["u32", "f64"], returns: "f64" },
  xmem_preallocate: { args: ["u32", "u32", "u32"], returns: "f64" },
  xmem_trim: { args: ["u32"], returns: "f64" },
  xmem_flush: { args: ["u32", "u32"], returns: "i32" },
  xmem_reclaim: { args: ["u32", "ptr"], returns: "i32" },
  xmem_stats: { args: ["u32", "ptr"], returns: "i32" },
  xmem_participants: { args: ["u32", "ptr", "ptr", "u32"], returns: "u32" },
  xmem_observe: { args: ["ptr", "ptr", "f64", "f64"], returns: "i32" },
  xmem_unobserve: { args: ["u32"], returns: "void" },
  xmem_meta_number: { args: ["u32", "f64", "u32"], returns: "f64" },
  xmem_meta_set_number: { args: ["u32", "f64", "u32", "f64"], returns: "i32" },
  xmem_meta_dims: { args: ["u32", "f64", "u32", "ptr"], returns: "i32" },
  xmem_meta_set_dims: { args: ["u32", "f64", "u32", "ptr", "u32"], returns: "i32" },
  xmem_meta_text: { args: ["u32", "f64", "u32", "ptr"], returns: "i32" },
  xmem_meta_set_text: { args: ["u32", "f64", "u32", "ptr", "u32"], returns: "i32" },
  xmem_async_open: { args: ["u32"], returns: "i32" },
  xmem_async_arm: { args: ["u32", "f64"], returns: "i32" },
  xmem_async_disarm: { args: ["u32", "u32"], returns: "void" },
  xmem_async_timed_out: { args: ["u32"], returns: "void" },
  xmem_constant_count: { args: [], returns: "u32" },
  xmem_constant_name: { args: ["u32", "ptr", "u32"], returns: "u32" },
  xmem_constant_value: { args: ["u32"], returns: "f64" },
});

// Never closed: a later call of any symbol would be a segfault.
// Bun's own types allow a bigint for a pointer, which none of our addresses is: they are below 2^53.
export const native: Native = opened.symbols as unknown as Native;

// The two calls of the fast path by names of their own: a constant of a module is one to the engine's
// compiler, too, so that the call is always a direct one. A property of `native` is that only mostly.
export const acquireIndex: Native["xmem_acquire_index"] = native.xmem_acquire_index;
export const releaseIndex: Native["xmem_release_index"] = native.xmem_release_index;

// What the last call that made a hold says beside its result: two tables, by descriptor. Static
// memory of the library's, which is never unloaded.
const made = toArrayBuffer(native.xmem_made() as Pointer, 0, LIMIT_DESCRIPTORS * 8);
const generations = new Int32Array(made, 0, LIMIT_DESCRIPTORS);
const sizes = new Uint32Array(made, LIMIT_DESCRIPTORS * 4, LIMIT_DESCRIPTORS);

/** The generation of the buffer that was held last. */
export function generationMade(descriptor: Descriptor): number {
  return generations[descriptor] as number;
}

/** The size of the buffer that `xmem_get` or `xmem_take` held last, in bytes. */
export function sizeMade(descriptor: Descriptor): number {
  return sizes[descriptor] as number;
}

// The engine calls it when an ArrayBuffer's contents die, on whatever thread that happens.
const viewDone = (opened.symbols.xmem_view_done as unknown as { ptr: Pointer }).ptr;

/**
 * Scratch arrays for calls that fill one. Backed by a plain ArrayBuffer each, since a small typed
 * array's own storage can move while the native side writes to it.
 */
export function float64s(count: number): Float64Array {
  return new Float64Array(new ArrayBuffer(count * 8));
}

export function bytes(count: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(count));
}

/** A NUL-terminated string for the native side. */
export function cString(value: string): Uint8Array {
  const encoded = new TextEncoder().encode(`${value}\0`);
  const copy = bytes(encoded.length);
  copy.set(encoded);
  return copy;
}

// The engine takes a deallocator and its context, which Bun's types do not say.
const viewWithDeallocator = toArrayBuffer as unknown as (
  address: Pointer,
  offset: number,
  length: number,
  context: Pointer,
  deallocator: Pointer,
) => ArrayBuffer;

const textScratch = bytes(512);
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A text of the native side, as it is: a byte order mark at its start is a part of it. */
export function decodeText(encoded: Uint8Array): string {
  return decoder.decode(encoded);
}

/** What the last failed call on this thread found: empty where it had nothing to add. */
export function failureText(): string {
  const length = native.xmem_error_text(textScratch, textScratch.length);
  if (length === 0) return "";
  return decodeText(textScratch.subarray(0, length));
}

/** Counts the live views of one open, by buffer, for as long as there are any. */
export type ViewCounter = Pointer;

/**
 * An ArrayBuffer over `length` bytes at the start of the buffer at `index`, whose `address` this is.
 * It counts as a view for as long as the contents live, wherever they are transferred to, and for so
 * long the mapping stays.
 */
export function viewOf(
  counter: ViewCounter,
  index: number,
  address: number,
  length: number,
): ArrayBuffer {
  native.xmem_view_add(counter, index);
  return viewWithDeallocator(address as Pointer, 0, length, counter, viewDone);
}
