// A buffer's handle is generation x 2^24 + index: taking one apart.

import { INDEX_COUNT } from "../generated/constants.gen.ts";

/** The low 24 bits of a whole number below 2^53. */
export function indexOf(handle: number): number {
  // Not by the bit operation that comes to mind, which is slow for numbers above 2^32. The result is
  // an integer also to the engine, which keeps two kinds of numbers.
  return (handle - Math.floor(handle / INDEX_COUNT) * INDEX_COUNT) | 0;
}

export function generationOf(handle: number): number {
  return Math.floor(handle / INDEX_COUNT) | 0;
}
