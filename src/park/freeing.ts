// Large transfers make many arrays that are used once. The engine frees them when it sees fit, which can
// be after as many bytes as the buffer has; so each is freed here when it is done with.

/** Frees the memory of an array that nobody uses any more. */
export function free(bytes: Uint8Array): void {
  const { buffer } = bytes;
  // One that shares its memory with others stays.
  if (bytes.length !== buffer.byteLength || !(buffer instanceof ArrayBuffer)) return;
  buffer.transfer(0);
}
