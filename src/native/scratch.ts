// The arrays that calls read or fill, and the texts in them.

/**
 * Scratch arrays for calls that fill one. Backed by a plain ArrayBuffer each, since a small typed
 * array's own storage can move while the native side writes to it.
 */
export function float64s(count: number): Float64Array {
  return new Float64Array(new ArrayBuffer(count * 8));
}

export function uint32s(count: number): Uint32Array {
  return new Uint32Array(new ArrayBuffer(count * 4));
}

export function bytes(count: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(count));
}

/** A NUL-terminated string for the native side. */
export function cString(value: string): Uint8Array {
  const encoded = new TextEncoder().encode(`${value}\0`);
  const copy = bytes(encoded.length);
  copy.set(encoded);
  return copy;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A text of the native side, as it is: a byte order mark at its start is a part of it. */
export function decodeText(encoded: Uint8Array): string {
  return decoder.decode(encoded);
}
