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

/** `on` says on what it was tried, as in `on pool "frames"`; empty where that is not known yet. */
function refuse(tried: string, what: string, value: unknown, expected: string, on = ""): never {
  const whole = on === "" ? tried : `${tried} ${on}`;
  raise("INVALID_ARGUMENT", whole, `${what} is ${describe(value)}, expected ${expected}`);
}

/** A whole number from `least` to `most`. */
export function integer(
  tried: string,
  what: string,
  value: unknown,
  least: number,
  most: number,
  on?: string,
): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) {
    return value + 0;
  }
  refuse(tried, what, value, `a whole number from ${least} to ${most}`, on);
}

/** Sizes, counts, times: what fits 32 bits. */
export function uint32(tried: string, what: string, value: unknown, on?: string): number {
  return integer(tried, what, value, 0, uint32Max, on);
}

/** A handle or a bare index. */
export function ref(tried: string, value: unknown, on: string): number {
  return integer(tried, "the ref", value, 0, Number.MAX_SAFE_INTEGER, on);
}

/** The low 24 bits of a whole number below 2^53. */
export function indexOf(handle: number): number {
  // Not by the bit operation that comes to mind, which is slow for numbers above 2^32. The result is
  // an integer also to the engine, which keeps two kinds of numbers.
  return (handle - Math.floor(handle / INDEX_COUNT) * INDEX_COUNT) | 0;
}

export function generationOf(handle: number): number {
  return Math.floor(handle / INDEX_COUNT) | 0;
}

export function isPoolName(value: unknown): value is string {
  return (
    typeof value === "string" &&
    /^[A-Za-z0-9._-]+$/.test(value) &&
    value.length <= LIMIT_NAME_BYTES &&
    value !== "." &&
    value !== ".."
  );
}

export function poolName(tried: string, value: unknown): string {
  if (isPoolName(value)) return value;
  const expected = `1 to ${LIMIT_NAME_BYTES} letters, digits, ".", "_" or "-", and not "." or ".."`;
  refuse(tried, "the name", value, expected);
}

export function object(
  tried: string,
  what: string,
  value: unknown,
  on?: string,
): Record<string, unknown> {
  if (value === undefined) return {};
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  refuse(tried, what, value, "an object", on);
}

function boolean(tried: string, what: string, value: unknown, on: string): boolean {
  if (typeof value === "boolean") return value;
  refuse(tried, what, value, "true or false", on);
}

export function text(tried: string, what: string, value: unknown, on: string): string {
  if (typeof value !== "string") refuse(tried, what, value, "a string", on);
  // Half of a surrogate pair has no UTF-8, and would be read back as another text.
  const legal = value.isWellFormed() && !value.includes("\0");
  if (!legal || Buffer.byteLength(value) > LIMIT_TEXT_BYTES) {
    refuse(tried, what, value, `at most ${LIMIT_TEXT_BYTES} bytes of UTF-8 without NUL`, on);
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
  allowGroup?: number | undefined;
  views: "shared" | "detach";
  viewCache: number;
  participantName: string;
}

/** The number above it means no group to the system. */
const groupMax = uint32Max - 1;

/** Whose objects a look from outside trusts, as the core takes it: -1 where nobody was named. */
export function trust(tried: string, value: unknown, on?: string): [number, number] {
  const given = object(tried, "options", value, on);
  const id = (what: string, most: number): number =>
    given[what] === undefined ? -1 : integer(tried, what, given[what], 0, most, on);
  return [id("allowOwner", uint32Max), id("allowGroup", groupMax)];
}

export function pruneOptions(tried: string, value: unknown): { dryRun: boolean } {
  const { dryRun } = object(tried, "options", value);
  return { dryRun: dryRun === undefined ? false : boolean(tried, "dryRun", dryRun, "") };
}

const viewCacheDefault = 16 * 1024 * 1024;

export function poolOptions(tried: string, value: unknown, on: string): CheckedOptions {
  const given = object(tried, "options", value, on);
  const number = (what: string, least: number, most: number): number | undefined =>
    given[what] === undefined ? undefined : integer(tried, what, given[what], least, most, on);
  const flag = (what: string): boolean | undefined =>
    given[what] === undefined ? undefined : boolean(tried, what, given[what], on);
  const views = given["views"] ?? (given["views"] === null ? null : "shared");
  if (views !== "shared" && views !== "detach") {
    refuse(tried, "views", views, '"shared" or "detach"', on);
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
    allowGroup: number("allowGroup", 0, groupMax),
    views,
    viewCache: number("viewCache", 0, Number.MAX_SAFE_INTEGER) ?? viewCacheDefault,
    participantName:
      participantName === undefined ? "" : text(tried, "participantName", participantName, on),
  };
}

/** A wait's timeout (undefined: for ever) and signal. */
export function waitOptions(
  tried: string,
  value: unknown,
  on: string,
): { timeout: number | undefined; signal: AbortSignal | undefined } {
  const given = object(tried, "options", value, on);
  const timeout = given["timeout"];
  const signal = given["signal"];
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    refuse(tried, "signal", signal, "an AbortSignal", on);
  }
  return {
    timeout: timeout === undefined ? undefined : uint32(tried, "timeout", timeout, on),
    signal,
  };
}
