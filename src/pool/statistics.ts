// What a pool looks like: the numbers of it, and of each participant. It writes nothing.

import { type ChannelInfo, channelsOf } from "../channel/statistics.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { native } from "../native/native.ts";
import { bytes, decodeText, float64s } from "../native/scratch.ts";

/**
 * A participant: one thread that has the pool open, or died having it open and was not recovered
 * yet.
 */
export interface ParticipantStats {
  /** The process' id, in its own PID namespace. */
  pid: number;
  /** The thread's id, in its own PID namespace. */
  tid: number;
  /** The `participantName` that it opened the pool with; "" without one. */
  name: string;
  /** Whether the thread lives; a dead one's holds go with the next recovery. */
  alive: boolean;
  /** References that it owns; each clone counts. */
  holds: number;
  /** Whether it waits for a buffer. */
  waiting: boolean;
  /** Buffers that it has acquired since it opened the pool. */
  acquired: number;
  /** Buffers that it has recycled since then, by dropping the last reference. */
  released: number;
  /** Its waits for a buffer since then. */
  waits: number;
  /** Those of its waits that ended without a buffer in time. */
  timeouts: number;
}

/** A pool in numbers. Slots are free or used: `free` + `used` is `capacity`. */
export interface PoolStats {
  /** How many buffers the pool has. */
  capacity: number;
  /** The most bytes that one buffer can have. */
  bufferSize: number;
  /** Slots that can be acquired. */
  free: number;
  /** Slots with a buffer that is held, in flight or parked. */
  used: number;
  /**
   * Used slots whose count is 0: `release` dropped their last reference, and nobody recycled them
   * yet.
   */
  parked: number;
  /** In-flight references, which nobody holds: several can be of one buffer. */
  inFlight: number;
  /** Participants that wait for a buffer. */
  waiters: number;
  /**
   * Bytes of memory that buffers have, free ones too, without the control area; `trim` lowers it.
   */
  committedBytes: number;
  /** The most that `committedBytes` can be. */
  maxCommitted: number;
  /** How many threads can have the pool open at once. */
  maxParticipants: number;
  /** Milliseconds that an in-flight reference or a parked buffer lasts; 0: for ever. */
  leaseTimeout: number;
  /** Whether somebody called `flush()`, and nobody `unflush()` since. */
  flushing: boolean;
  /** Whether the name still leads to this pool. */
  linked: boolean;
  /**
   * Milliseconds since the oldest lease began that an in-flight reference or a parked buffer has; 0
   * without one, or where leases never end.
   */
  oldestLeaseMs: number;
  /**
   * Milliseconds since the acquire of the buffer that is held for longest; 0 where none is held.
   */
  longestHoldMs: number;
  /** Every participant, including dead ones that were not recovered yet. */
  participants: ParticipantStats[];
  /** Every channel that the pool has now. */
  channels: ChannelInfo[];
  /** Sums since the pool was made, over all participants, including those that left. */
  counters: {
    /** Buffers acquired. */
    acquired: number;
    /** Buffers recycled by the drop of their last reference. */
    released: number;
    /** Acquires that found the pool full and did not wait. */
    full: number;
    /** Waits for a buffer. */
    waits: number;
    /** Waits that ended without a buffer in time. */
    timeouts: number;
    /** Recoveries that ran. */
    recoveries: number;
    /** Recoveries that were put off, because a live participant stood still inside an operation. */
    deferred: number;
    /** Acquires that failed for want of memory. */
    outOfMemory: number;
    /** Dead participants whose rows recoveries emptied. */
    recoveredParticipants: number;
    /** Holds of the dead, and in-flight references with expired leases, that recoveries dropped. */
    recoveredReferences: number;
    /** Buffers that recoveries gave back. */
    recoveredBuffers: number;
    /** Those of `recoveredReferences` whose leases had expired. */
    expiredReferences: number;
    /** Bytes of memory that buffers were given. */
    bytesCommitted: number;
    /** Bytes of memory that buffers lost again: to `trim`, or because another buffer needed them. */
    bytesGivenBack: number;
  };
}

const nameBytes = constants.PARTICIPANT_NAME_ROOM;

export function statsOf(descriptor: Descriptor): PoolStats {
  const values = float64s(constants.STAT_COUNT);
  native.xmem_bun_stats(descriptor, values);
  const value = (index: number): number => values[index] ?? 0;
  const info = float64s(constants.INFO_COUNT);
  native.xmem_bun_info(descriptor, info);
  return {
    capacity: value(constants.STAT_CAPACITY),
    bufferSize: info[constants.INFO_BUFFER_SIZE] ?? 0,
    free: value(constants.STAT_FREE),
    used: value(constants.STAT_USED),
    parked: value(constants.STAT_PARKED),
    inFlight: value(constants.STAT_IN_FLIGHT),
    waiters: value(constants.STAT_WAITERS),
    committedBytes: value(constants.STAT_COMMITTED_BYTES),
    maxCommitted: info[constants.INFO_MAX_COMMITTED] ?? 0,
    maxParticipants: info[constants.INFO_MAX_PARTICIPANTS] ?? 0,
    leaseTimeout: info[constants.INFO_LEASE_TIMEOUT] ?? 0,
    flushing: value(constants.STAT_FLUSHING) !== 0,
    linked: value(constants.STAT_LINKED) !== 0,
    oldestLeaseMs: value(constants.STAT_OLDEST_LEASE_MS),
    longestHoldMs: value(constants.STAT_LONGEST_HOLD_MS),
    participants: membersOf(descriptor, info[constants.INFO_MAX_PARTICIPANTS] ?? 0).map(
      ({ stats }) => stats,
    ),
    channels: channelsOf(descriptor, info[constants.INFO_CHANNELS] ?? 0),
    counters: countersIn(values),
  };
}

function countersIn(values: Float64Array): PoolStats["counters"] {
  const value = (index: number): number => values[index] ?? 0;
  return {
    acquired: value(constants.STAT_ACQUIRED),
    released: value(constants.STAT_RELEASED),
    full: value(constants.STAT_FULL),
    waits: value(constants.STAT_WAITS),
    timeouts: value(constants.STAT_TIMEOUTS),
    recoveries: value(constants.STAT_RECOVERIES),
    deferred: value(constants.STAT_DEFERRED),
    outOfMemory: value(constants.STAT_OUT_OF_MEMORY),
    recoveredParticipants: value(constants.STAT_RECOVERED_PARTICIPANTS),
    recoveredReferences: value(constants.STAT_RECOVERED_REFERENCES),
    recoveredBuffers: value(constants.STAT_RECOVERED_BUFFERS),
    expiredReferences: value(constants.STAT_EXPIRED_REFERENCES),
    bytesCommitted: value(constants.STAT_BYTES_COMMITTED),
    bytesGivenBack: value(constants.STAT_BYTES_GIVEN_BACK),
  };
}

/** What can be said of a pool without a look at its slots: cheap, however large it is. */
export interface Sums {
  committedBytes: number;
  flushing: boolean;
  /** Participants that live. */
  alive: number;
  counters: PoolStats["counters"];
}

export function sumsOf(descriptor: Descriptor): Sums {
  const values = float64s(constants.STAT_COUNT);
  native.xmem_bun_sums(descriptor, values);
  return {
    committedBytes: values[constants.STAT_COMMITTED_BYTES] ?? 0,
    flushing: values[constants.STAT_FLUSHING] === 1,
    alive: values[constants.STAT_ALIVE] ?? 0,
    counters: countersIn(values),
  };
}

/** A participant with its row. */
export interface Member {
  row: number;
  /** When its process began, in ticks since the machine's start; 0 where that is not known. */
  started: number;
  stats: ParticipantStats;
}

/** Kept from call to call: for a thousand rows, new arrays would cost more than the rest. */
let values = float64s(0);
let names = bytes(0);

export function membersOf(descriptor: Descriptor, rowsMax: number): Member[] {
  if (values.length < rowsMax * constants.PARTICIPANT_COUNT) {
    values = float64s(rowsMax * constants.PARTICIPANT_COUNT);
    names = bytes(rowsMax * nameBytes);
  }
  const rows = native.xmem_bun_participants(descriptor, values, names, rowsMax);
  return Array.from({ length: rows }, (_, row) => {
    const field = (index: number): number => values[row * constants.PARTICIPANT_COUNT + index] ?? 0;
    const name = names.subarray(row * nameBytes, (row + 1) * nameBytes);
    const stats = {
      pid: field(constants.PARTICIPANT_PID),
      tid: field(constants.PARTICIPANT_TID),
      name: decodeText(name).split("\0", 1)[0] ?? "",
      alive: field(constants.PARTICIPANT_ALIVE) !== 0,
      holds: field(constants.PARTICIPANT_HOLDS),
      waiting: field(constants.PARTICIPANT_WAITING) !== 0,
      acquired: field(constants.PARTICIPANT_ACQUIRED),
      released: field(constants.PARTICIPANT_RELEASED),
      waits: field(constants.PARTICIPANT_WAITS),
      timeouts: field(constants.PARTICIPANT_TIMEOUTS),
    };
    return {
      row: field(constants.PARTICIPANT_ROW),
      started: field(constants.PARTICIPANT_STARTED),
      stats,
    };
  });
}
