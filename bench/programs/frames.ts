// Filling and summing frames by the machine code that every language here uses, so that a row tells
// the ways to hand over apart and not the languages.

import { dlopen } from "bun:ffi";
import { join } from "node:path";
import { built } from "../suite/compile.ts";

const { symbols } = dlopen(join(built, "libframes.so"), {
  frames_fill: { args: ["buffer", "usize", "u32"], returns: "void" },
  frames_sum: { args: ["buffer", "usize"], returns: "u64" },
  frames_add: { args: ["buffer", "usize", "u32"], returns: "void" },
  frames_now_ns: { args: [], returns: "f64" },
});

export const frameSize: number = 1920 * 1080 * 3;

export function fill(frame: Uint8Array, value: number): void {
  symbols.frames_fill(frame, frame.length, value);
}

export function add(frame: Uint8Array, value: number): void {
  symbols.frames_add(frame, frame.length, value);
}

/** Throws unless every word of the frame is the value. */
export function check(frame: Uint8Array, value: number): void {
  const sum = Number(symbols.frames_sum(frame, frame.length));
  if (sum !== value * Math.floor(frame.length / 4))
    throw new Error(`frame ${value} sums to ${sum}`);
}

/** Nanoseconds since boot by a clock that all processes share. */
export const now = (): number => symbols.frames_now_ns();
