// What a public argument must be, checked before any of them reaches the core: bun:ffi would coerce
// in silence.

import {
  INDEX_COUNT,
  LIMIT_CAPACITY,
  LIMIT_CHANNELS,
  LIMIT_MODE,
  LIMIT_NAME_BYTES,
  LIMIT_PARTICIPANTS,
  LIMIT_TEXT_BYTES,
} from "./constants.gen.ts";
import { raise } from "./errors.ts";

const uint32Max = 2 ** 32 - 1;

export function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}

function refuse(tried: string, what: string, value: unknown, expected: string): never {
  raise("INVALID_ARGUMENT", tried, `${what} is ${describe(value)}, expected ${expected}`);
}

/** A whole number from `least` to `most`. */
export function integer(
  tried: string,
  what: string,
  value: unknown,
  least: number,
  most: number,
): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) {
    return value + 0;
  }
  refuse(tried, what, value, `a whole number from ${least} to ${most}`);
}

/** Sizes, counts, times: what fits 32 bits. */
export function uint32(tried: string, what: string, value: unknown): number {
  return integer(tried, what, value, 0, uint32Max);
}

/** A handle or a bare index. */
export function ref(tried: string, value: unknown): number {
  return integer(tried, "the ref", value, 0, Number.MAX_SAFE_INTEGER);
}

/** The low 24 bits: of any whole number below 2^53, and far cheaper than a remainder. */
export function indexOf(handle: number): number {
  return handle & (INDEX_COUNT - 1);
}

export function poolName(tried: string, value: unknown): string {
  const legal =
    typeof value === "string" &&
    /^[A-Za-z0-9._-]+$/.test(value) &&
    value.length <= LIMIT_NAME_BYTES &&
    value !== "." &&
    value !== "..";
  if (legal) return value;
  const expected = `1 to ${LIMIT_NAME_BYTES} letters, digits, ".", "_" or "-", and not "." or ".."`;
  refuse(tried, "the name", value, expected);
}

export function object(tried: string, what: string, value: unknown): Record<string, unknown> {
  if (value === undefined) return {};
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  refuse(tried, what, value, "an object");
}

function boolean(tried: string, what: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  refuse(tried, what, value, "true or false");
}

export function text(tried: string, what: string, value: unknown): string {
  if (typeof value !== "string") refuse(tried, what, value, "a string");
  if (Buffer.byteLength(value) > LIMIT_TEXT_BYTES || value.includes("\0")) {
    refuse(tried, what, value, `at most ${LIMIT_TEXT_BYTES} bytes of UTF-8 without NUL`);
  }
  return value;
}

/** The pool's options, each as the core takes it; undefined where it was not given. */
export interface CheckedOptions {
  capacity?: number | undefined;
  bufferSize?: number | undefined;
  maxParticipants?: number | undefined;
  leaseTimeout?: number | undefined;
  maxCommitted?: number | undefined;
  channels?: number | undefined;
  zeroOnRelease?: boolean | undefined;
  mode?: number | undefined;
  ephemeral?: boolean | undefined;
  replaceAbandoned?: boolean | undefined;
  allowOwner?: number | undefined;
  views: "shared" | "detach";
  viewCache: number;
  participantName: string;
}

const viewCacheDefault = 16 * 1024 * 1024;

export function poolOptions(tried: string, value: unknown): CheckedOptions {
  const given = object(tried, "options", value);
  const number = (what: string, least: number, most: number): number | undefined =>
    given[what] === undefined ? undefined : integer(tried, what, given[what], least, most);
  const flag = (what: string): boolean | undefined =>
    given[what] === undefined ? undefined : boolean(tried, what, given[what]);
  const views = given["views"] ?? (given["views"] === null ? null : "shared");
  if (views !== "shared" && views !== "detach") {
    refuse(tried, "views", views, '"shared" or "detach"');
  }
  const participantName = given["participantName"];
  return {
    capacity: number("capacity", 1, LIMIT_CAPACITY),
    bufferSize: number("bufferSize", 1, uint32Max),
    maxParticipants: number("maxParticipants", 1, LIMIT_PARTICIPANTS),
    leaseTimeout: number("leaseTimeout", 0, uint32Max),
    maxCommitted: number("maxCommitted", 1, Number.MAX_SAFE_INTEGER),
    channels: number("channels", 0, LIMIT_CHANNELS),
    zeroOnRelease: flag("zeroOnRelease"),
    mode: number("mode", 0, LIMIT_MODE),
    ephemeral: flag("ephemeral"),
    replaceAbandoned: flag("replaceAbandoned"),
    allowOwner: number("allowOwner", 0, uint32Max),
    views,
    viewCache: number("viewCache", 0, Number.MAX_SAFE_INTEGER) ?? viewCacheDefault,
    participantName:
      participantName === undefined ? "" : text(tried, "participantName", participantName),
  };
}

/** A wait's timeout (undefined: for ever) and signal. */
export function waitOptions(
  tried: string,
  value: unknown,
): { timeout: number | undefined; signal: AbortSignal | undefined } {
  const given = object(tried, "options", value);
  const timeout = given["timeout"];
  const signal = given["signal"];
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    refuse(tried, "signal", signal, "an AbortSignal");
  }
  return {
    timeout: timeout === undefined ? undefined : uint32(tried, "timeout", timeout),
    signal,
  };
}
