// Checks public arguments before they reach the core: bun:ffi would convert wrong ones silently.

import { raise } from "../errors/error.ts";
import {
  LIMIT_CHANNEL_NAME_BYTES,
  LIMIT_NAME_BYTES,
  LIMIT_TEXT_BYTES,
} from "../generated/constants.gen.ts";

export const uint32Max: number = 2 ** 32 - 1;

export function describe(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return "an array";
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}

/** The beginning of a long text, and how long it is. */
function quoted(value: string): string {
  if (value.length <= 40) return JSON.stringify(value);
  return `${JSON.stringify(`${value.slice(0, 40)}…`)} (${value.length} characters)`;
}

/**
 * `on` says which pool the call was about, as in `on pool "frames"`; it is empty while that is
 * unknown.
 */
export function refuse(
  tried: string,
  what: string,
  value: unknown,
  expected: string,
  on = "",
): never {
  raise(
    "INVALID_ARGUMENT",
    `${tried} ${on}`.trimEnd(),
    `${what} is ${describe(value)}, expected ${expected}`,
  );
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

/** A size, a count or a time: a number that fits 32 bits. */
export function uint32(tried: string, what: string, value: unknown, on?: string): number {
  return integer(tried, what, value, 0, uint32Max, on);
}

/** A handle or a bare index. */
export function ref(tried: string, value: unknown, on: string): number {
  return integer(tried, "the handle or index", value, 0, Number.MAX_SAFE_INTEGER, on);
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

export function channelName(
  tried: string,
  value: unknown,
  on: string,
  what = "the channel's name",
): string {
  if (isText(value, LIMIT_CHANNEL_NAME_BYTES) && value !== "") return value;
  const expected = `1 to ${LIMIT_CHANNEL_NAME_BYTES} bytes of UTF-8 without NUL`;
  refuse(tried, what, value, expected, on);
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

export function boolean(tried: string, what: string, value: unknown, on: string): boolean {
  if (typeof value === "boolean") return value;
  refuse(tried, what, value, "true or false", on);
}

export function text(tried: string, what: string, value: unknown, on: string): string {
  if (typeof value !== "string") refuse(tried, what, value, "a string", on);
  if (isText(value, LIMIT_TEXT_BYTES)) return value;
  refuse(tried, what, value, `at most ${LIMIT_TEXT_BYTES} bytes of UTF-8 without NUL`, on);
}

/** Half of a surrogate pair has no UTF-8, and would be read back as another text. */
function isText(value: unknown, bytesMax: number): value is string {
  return (
    typeof value === "string" &&
    value.isWellFormed() &&
    !value.includes("\0") &&
    Buffer.byteLength(value) <= bytesMax
  );
}
