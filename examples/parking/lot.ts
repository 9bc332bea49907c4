// What all stages know of the lot: where its bays are, how large a frame is, and the words by which a
// frame says what was seen in it. detect.py has the same in Python.

export const width = 1280;
export const height = 720;
/** I420: the luma of each pixel, then two planes of colour at half the width and height. */
export const frameSize: number = width * height * 1.5;
export const framesPerSecond = 10;

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Two rows of six bays, numbered from 1. */
export const bays: readonly Box[] = Array.from({ length: 12 }, (_, bay) => ({
  x: 160 + (bay % 6) * 160,
  y: bay < 6 ? 60 : 440,
  width: 160,
  height: 220,
}));

/** Inside the painted lines, where a car stands. */
export const inset = 28;
/** Asphalt on which no car ever is: it shows how light the day is. */
export const reference: Box = { x: 1140, y: 300, width: 120, height: 120 };

/** The frame's number is painted into its corner, as the squares of a binary number. */
export const digits = { count: 16, size: 16, pitch: 20, x: 16, y: 16 } as const;

/** What a frame's description says: which bays are occupied, and which have just changed. */
export interface Seen {
  occupied: number;
  changed: number;
}

/** A word of the description that travels with the frame; at most 31 bytes. */
export function describe({ occupied, changed }: Seen): string {
  return `I420 ${hex(occupied)} ${hex(changed)}`;
}

export function seenIn(contentType: string): Seen {
  const [, occupied = "", changed = ""] = contentType.split(" ");
  return { occupied: Number.parseInt(occupied, 16), changed: Number.parseInt(changed, 16) };
}

function hex(bits: number): string {
  return bits.toString(16).padStart(3, "0");
}
