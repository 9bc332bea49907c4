// Which bays are occupied, from the brightness of a frame's pixels alone, and what has changed since the
// frame before. The memory is an array in a buffer of the pool, so that a detector that takes over from
// one that was killed goes on where that was; detect.py does the same with the same numbers.

import { type Box, bays, digits, inset, reference, type Seen, width } from "./lot.ts";

/** Every second pixel of every second row is enough. */
const step = 2;
/** A car differs so much more from itself than asphalt does, in parts of the daylight. */
const threshold = 0.12;
/** Frames in a row that must say the same before it is true. */
const patience = 5;

interface Sums {
  count: number;
  sum: number;
  squares: number;
}

function sumsOf(luma: Uint8Array, box: Box): Sums {
  let sum = 0;
  let squares = 0;
  let count = 0;
  for (let y = box.y; y < box.y + box.height; y += step) {
    for (let x = box.x; x < box.x + box.width; x += step) {
      const value = luma[y * width + x] as number;
      sum += value;
      squares += value * value;
      count++;
    }
  }
  return { count, sum, squares };
}

/** One bit for each bay in which something stands, in this frame by itself. */
export function readingOf(luma: Uint8Array): number {
  const daylight = sumsOf(luma, reference);
  const limit = (threshold * daylight.sum) / daylight.count;
  let bits = 0;
  for (const [bay, { x, y, width: wide, height: high }] of bays.entries()) {
    const inner = { x: x + inset, y: y + inset, width: wide - 2 * inset, height: high - 2 * inset };
    const { count, sum, squares } = sumsOf(luma, inner);
    const mean = sum / count;
    if (squares / count - mean * mean > limit * limit) bits |= 1 << bay;
  }
  return bits;
}

/** The number that is painted into the frame's corner: the frames are what they say they are. */
export function numberIn(luma: Uint8Array): number {
  let number = 0;
  const { count, size, pitch, x, y } = digits;
  for (let digit = 0; digit < count; digit++) {
    const middle = (y + size / 2) * width + x + digit * pitch + size / 2;
    if ((luma[middle] as number) > 128) number |= 1 << digit;
  }
  return number;
}

/** Of the memory after one frame: its number plus 1, the occupied bays, a count for each bay. */
const pageLength = 2 + bays.length;
/** Two pages in turn, so that what was known before the last frame is still there. */
export const memorySize: number = 2 * pageLength * Int32Array.BYTES_PER_ELEMENT;

/**
 * Takes frame `number` into the memory. Null where that frame was taken before: it came twice. One
 * that `returns` from a detector that was killed may have been taken, and is taken again, from what was
 * known before it.
 */
export function remember(
  memory: Int32Array,
  number: number,
  returns: boolean,
  reading: number,
): Seen | null {
  const page = (number & 1) * pageLength;
  const before = pageLength - page;
  if (memory[page] === number + 1 && !returns) return null;
  // The next one has been taken already.
  if (memory[before] === number + 2) return null;
  if (number > 0 && memory[before] !== number) throw new Error(`a frame before ${number} is lost`);
  const was = number === 0 ? reading : (memory[before + 1] as number);
  let occupied = was;
  // Unfinished, until its first word is written.
  memory[page] = 0;
  for (let bay = 0; bay < bays.length; bay++) {
    const differs = ((reading ^ was) >> bay) & 1;
    const soFar = number === 0 ? 0 : (memory[before + 2 + bay] as number);
    const count = differs === 1 ? soFar + 1 : 0;
    if (count >= patience) occupied ^= 1 << bay;
    memory[page + 2 + bay] = count >= patience ? 0 : count;
  }
  memory[page + 1] = occupied;
  memory[page] = number + 1;
  return { occupied, changed: occupied ^ was };
}
