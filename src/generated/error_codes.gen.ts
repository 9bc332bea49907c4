// Generated from zig/errors.zig by `bun run generate`. Do not edit.

/** By its name, the number whose negative a failed call returns. */
export const errorNumbers = {
  POOL_EXISTS: 1,
  POOL_NOT_FOUND: 2,
  POOL_FULL: 3,
  POOL_FLUSHING: 4,
  POOL_CLOSED: 5,
  POOL_CORRUPT: 6,
  POOL_BUSY: 7,
  VERSION_MISMATCH: 8,
  OPTIONS_MISMATCH: 9,
  PERMISSION_DENIED: 10,
  TOO_MANY_PARTICIPANTS: 11,
  BUFFER_NOT_FOUND: 12,
  BUFFER_IN_USE: 13,
  STALE_HANDLE: 14,
  NO_REFERENCE: 15,
  TOO_MANY_REFERENCES: 16,
  TOO_LARGE: 17,
  OUT_OF_MEMORY: 18,
  CHANNEL_FULL: 19,
  CHANNEL_CLOSED: 20,
  READ_ONLY: 21,
  RELEASED: 22,
  TIMEOUT: 23,
  INVALID_ARGUMENT: 24,
  UNSUPPORTED_PLATFORM: 25,
  SYSTEM: 26,
  PEER_DIED: 27,
  INCOMPLETE: 28,
  DAMAGED: 29,
} as const;

export type ErrorName = keyof typeof errorNumbers;
