// Why a call on an open pool failed: what was found, and what can be done about just that.

import { codeOf, make, type XmemError } from "../errors/error.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { INDEX_COUNT, INFO_COUNT } from "../generated/constants.gen.ts";
import { generationOf, indexOf } from "../native/handle.ts";
import { native } from "../native/native.ts";
import { float64s } from "../native/scratch.ts";
import { nativeAccount } from "../native/system_error.ts";
import { type ChannelAsked, reasonOfChannel } from "./channel_failure.ts";
import { whatFills } from "./occupancy.ts";

/** What a call was about. */
export interface Asked {
  size?: number;
  ref?: number;
  /** Milliseconds. */
  timeout?: number;
  count?: number;
  channel?: ChannelAsked;
}

/** The pool that it failed on. */
interface Place {
  readonly descriptor: Descriptor;
  readonly dir: string;
  readonly capacity: number;
  readonly bufferSize: number;
}

interface Reason {
  found?: string | undefined;
  advice?: string | undefined;
}

/** The error for a native `result` of `tried`, on an open pool. */
export function failureOn(place: Place, result: number, tried: string, asked: Asked): XmemError {
  const code = codeOf(result);
  // This comes first: the native calls below overwrite it.
  const account = nativeAccount(result, place.dir);
  const reason =
    (asked.channel && reasonOfChannel(place.descriptor, result, asked.channel, asked.timeout)) ??
    reasonOf(place, result, asked);
  const found = [account.found, reason.found].filter(Boolean).join("; ");
  const advice = account.advice ?? reason.advice;
  return make(code, tried, found, { cause: account.cause, advice });
}

function reasonOf(place: Place, result: number, asked: Asked): Reason {
  const { ref } = asked;
  switch (codeOf(result)) {
    case "POOL_FULL":
      return { found: whatFills(place.descriptor, place)?.found };
    case "TIMEOUT":
      return timedOut(place, asked);
    case "TOO_LARGE":
      return {
        found: `${asked.size} bytes were asked for, a buffer has at most ${place.bufferSize}`,
      };
    case "POOL_CLOSED":
      // A session that was closed here does not come this far.
      return {
        found: "it was opened before this process was forked",
        advice: "open it again here",
      };
    default:
      return ref === undefined ? {} : reasonOfRef(place, result, ref, asked);
  }
}

function timedOut(place: Place, { timeout }: Asked): Reason {
  const fills = whatFills(place.descriptor, place);
  const passed =
    timeout === 0
      ? "no buffer was free, and it was tried once"
      : `no buffer was free in time, and ${timeout} ms have passed`;
  return {
    found: fills === null ? passed : `${passed}; ${fills.found}`,
    advice: `release some, wait longer, or make the pool with more ${fills?.lacking ?? "capacity"}`,
  };
}

function reasonOfRef(place: Place, result: number, ref: number, { count }: Asked): Reason {
  const named = describeRef(ref);
  const references = native.xmem_bun_ref_count(place.descriptor, ref);
  switch (codeOf(result)) {
    case "INVALID_ARGUMENT":
      if (count === undefined) return { found: `it was ${named}` };
      return { found: `the count is ${count}, fewer than the holds of ${named}` };
    case "BUFFER_NOT_FOUND":
      if (indexOf(ref) < place.capacity) return { found: `the buffer of ${named} is free` };
      return {
        found: `${named} was asked for, the pool has ${place.capacity} buffers`,
        advice: "it may be of another pool",
      };
    case "STALE_HANDLE":
      return staleHandle(place, ref, named);
    case "NO_REFERENCE":
      return noReference(place, named, references);
    case "BUFFER_IN_USE":
      return { found: `the buffer of ${named} has ${counted(references)}` };
    case "TOO_MANY_REFERENCES":
      return {
        found: `the buffer of ${named} has ${counted(references)}, as many as there can be`,
      };
    default:
      return { found: `it was ${named}` };
  }
}

function staleHandle(place: Place, ref: number, named: string): Reason {
  const age = native.xmem_bun_handle_age(place.descriptor, ref);
  if (age < 0) {
    return {
      found: `no buffer of this pool had ${named} lately`,
      advice:
        "it may be of one recycled long ago, or of another pool, or of an earlier pool of this name",
    };
  }
  const since = age === 0 ? "is free" : `was used again ${age} ${age === 1 ? "time" : "times"}`;
  const lease = leaseTimeout(place);
  const soon = lease === 0 ? "" : `, within the lease of ${lease} ms`;
  return {
    found: `the buffer of ${named} was recycled, and its slot ${since}`,
    advice: `keep a reference until the receiver took it${soon}`,
  };
}

function noReference(place: Place, named: string, references: number): Reason {
  if (references === 0) {
    return {
      found: `the buffer of ${named} is at count 0`,
      advice: "addRef() revives it, releaseBuffer() recycles it",
    };
  }
  const lease = leaseTimeout(place);
  const passed = lease === 0 ? "" : `, or their lease of ${lease} ms passed`;
  return {
    found: `the buffer of ${named} has ${counted(references)}, none of them in flight`,
    advice:
      `those in flight were taken or given up by unref() before${passed}; or none was made: send ` +
      "what guard.handOff() or share() returns, or hold it with get()",
  };
}

/** The count of a buffer that was recycled meanwhile is no longer known. */
function counted(references: number): string {
  if (references < 0) return "no references any more";
  return `${references} ${references === 1 ? "reference" : "references"}`;
}

/** Milliseconds; 0: leases never end. */
function leaseTimeout(place: Place): number {
  const info = float64s(INFO_COUNT);
  native.xmem_bun_info(place.descriptor, info);
  return info[constants.INFO_LEASE_TIMEOUT] ?? 0;
}

function describeRef(ref: number): string {
  if (ref < INDEX_COUNT) return `index ${ref}`;
  return `handle ${ref} (index ${indexOf(ref)}, generation ${generationOf(ref)})`;
}
