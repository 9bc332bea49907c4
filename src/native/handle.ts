// Takes a buffer's handle apart: it is generation x 2^24 + index.

import { INDEX_COUNT } from "../generated/constants.gen.ts";

/** The low 24 bits of a whole number below 2^53. */
export function indexOf(handle: number): number {
  // Bit operations are slow for numbers above 2^32. `| 0` makes the result an integer to the
  // engine, which has two kinds of numbers.
  return (handle - generationOf(handle) * INDEX_COUNT) | 0;
}

export function generationOf(handle: number): number {
  return Math.floor(handle / INDEX_COUNT) | 0;
}
