// The pool as a place to wait: for a buffer of so many bytes, and the handle of a new hold of it.

import { ERROR_COMMIT_LIMIT, ERROR_POOL_FULL } from "../generated/constants.gen.ts";
import { native } from "../native/native.ts";
import type { Place } from "./place.ts";

export const buffers: Place<number> = {
  name: "pool",
  call: "acquireAsync()",
  keepsAlive: true,
  open: (descriptor, loop, tag) => native.xmem_bun_async_open(descriptor, loop, tag),
  arm: (descriptor, due) => native.xmem_bun_async_arm(descriptor, due),
  disarm: (descriptor, passOn) => native.xmem_bun_async_disarm(descriptor, passOn ? 1 : 0),
  attempt: (descriptor, size, waited) => native.xmem_bun_acquire_at_once(descriptor, size, waited),
  /** A release may bring a buffer, or memory under `maxCommitted`. */
  mayCome: (result) => result === -ERROR_POOL_FULL || result === -ERROR_COMMIT_LIMIT,
  timedOut: (descriptor) => native.xmem_bun_async_timed_out(descriptor),
  asked: (size) => ({ size }),
};
