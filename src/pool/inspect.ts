// Looking at pools: the statistics of an open one, and of any one from outside, without a row,
// without a recovery, without writing a byte.

import { lstatSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Trust } from "../arguments/options.ts";
import * as validate from "../arguments/validate.ts";
import { codeOf, make, type XmemError } from "../errors/error.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { native } from "../native/native.ts";
import { bytes, cString, decodeText, float64s } from "../native/scratch.ts";
import { nativeError } from "../native/system_error.ts";

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
  /** Whether somebody called `flush()`, and nobody `unflush()` since. */
  flushing: boolean;
  /** Whether the name still leads to this pool. */
  linked: boolean;
  /**
   * Milliseconds since the oldest lease began that an in-flight reference or a parked buffer has; 0
   * without one, or where leases never end.
   */
  oldestLeaseMs: number;
  /** Milliseconds since the buffer was acquired that is held for longest; 0 where none is held. */
  longestHoldMs: number;
  /** Every participant, the dead ones that were not recovered yet too. */
  participants: ParticipantStats[];
  /** What has happened since the pool was made, by all participants, those that left too. */
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
  };
}

/**
 * A pool as `BufferPool.list` sees it. Of a broken one only `name`, `path`, `size` and `createdAt`
 * are known, the other numbers are 0, and `problem` is set.
 */
export interface PoolInfo {
  /** The name that opens it. */
  name: string;
  /** The file that it is. */
  path: string;
  /** Bytes of the object: address space, not memory. */
  size: number;
  /** How many buffers the pool has. */
  capacity: number;
  /** The most bytes that one buffer can have. */
  bufferSize: number;
  /** Bytes of memory that buffers have, without the control area. */
  committedBytes: number;
  /** Participants that are alive. */
  participants: number;
  /** When it was made. */
  createdAt: Date;
  /** What is wrong with it, a code and a sentence; undefined for a healthy one. */
  problem?: string;
}

/** /dev/shm, or the folder that XMEM_DIR names at the time of the call; a later chdir changes nothing. */
export function poolDirectory(): string {
  return resolve(process.env["XMEM_DIR"] || "/dev/shm");
}

const nameBytes = constants.PARTICIPANT_NAME_ROOM;

export function statsOf(descriptor: Descriptor): PoolStats {
  const values = float64s(constants.STAT_COUNT);
  native.xmem_bun_stats(descriptor, values);
  const value = (index: number): number => values[index] ?? 0;
  return {
    capacity: value(constants.STAT_CAPACITY),
    free: value(constants.STAT_FREE),
    used: value(constants.STAT_USED),
    parked: value(constants.STAT_PARKED),
    inFlight: value(constants.STAT_IN_FLIGHT),
    waiters: value(constants.STAT_WAITERS),
    committedBytes: value(constants.STAT_COMMITTED_BYTES),
    flushing: value(constants.STAT_FLUSHING) !== 0,
    linked: value(constants.STAT_LINKED) !== 0,
    oldestLeaseMs: value(constants.STAT_OLDEST_LEASE_MS),
    longestHoldMs: value(constants.STAT_LONGEST_HOLD_MS),
    participants: participantsOf(descriptor),
    counters: {
      acquired: value(constants.STAT_ACQUIRED),
      released: value(constants.STAT_RELEASED),
      full: value(constants.STAT_FULL),
      waits: value(constants.STAT_WAITS),
      timeouts: value(constants.STAT_TIMEOUTS),
      recoveries: value(constants.STAT_RECOVERIES),
      deferred: value(constants.STAT_DEFERRED),
    },
  };
}

function participantsOf(descriptor: Descriptor): ParticipantStats[] {
  const info = float64s(constants.INFO_COUNT);
  native.xmem_bun_info(descriptor, info);
  const rowsMax = info[constants.INFO_MAX_PARTICIPANTS] ?? 0;
  const values = float64s(rowsMax * constants.PARTICIPANT_COUNT);
  const names = bytes(rowsMax * nameBytes);
  const rows = native.xmem_bun_participants(descriptor, values, names, rowsMax);
  return Array.from({ length: rows }, (_, row) => {
    const field = (index: number): number => values[row * constants.PARTICIPANT_COUNT + index] ?? 0;
    const name = names.subarray(row * nameBytes, (row + 1) * nameBytes);
    return {
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
  });
}

/** The error of a call that opens, observes or removes a pool by name. */
export function openFailure(code: number, tried: string, name: string, dir: string): XmemError {
  const what = `${tried} of pool "${name}" in ${dir}`;
  return nativeError(code, what, dir);
}

/** An observer's look at a pool, for `statsSeen`. */
export function observe(dir: string, name: string, trust: Trust): Descriptor {
  const descriptor = native.xmem_bun_observe(cString(dir), cString(name), ...trust);
  if (descriptor < 0) throw openFailure(descriptor, "BufferPool.inspect()", name, dir);
  return descriptor;
}

/** What an observer sees; it is gone afterwards. */
export function statsSeen(descriptor: Descriptor): PoolStats {
  try {
    return statsOf(descriptor);
  } finally {
    native.xmem_bun_unobserve(descriptor);
  }
}

const prefix = "xmem.";
/** Milliseconds; a Date holds no more. */
const latestDate = 8.64e15;

/** The names of all pools in a folder, of the broken ones too. */
export function namesIn(dir: string, tried: string): string[] {
  try {
    const pools = readdirSync(dir).filter((entry) => entry.startsWith(prefix));
    return pools.sort().map((entry) => entry.slice(prefix.length));
  } catch (cause) {
    // Without the folder there are no pools; one that cannot be read may have many.
    const { code, message } = cause as { code?: string; message: string };
    if (code === "ENOENT") return [];
    const kind = code === "EACCES" ? "PERMISSION_DENIED" : "SYSTEM";
    const found = `the folder cannot be read: ${message}`;
    const advice = "let XMEM_DIR name a folder that this user can read";
    throw make(kind, `${tried} of ${dir}`, found, { cause, advice });
  }
}

export function infos(dir: string, names: string[], trust: Trust): PoolInfo[] {
  return names.flatMap((name) => infoOf(dir, name, trust) ?? []);
}

/** What a prune may meet and leaves alone: broken, another's, or in somebody's hands by now. */
const leftAlone: ReadonlySet<string> = new Set([
  "POOL_NOT_FOUND",
  "POOL_CORRUPT",
  "POOL_BUSY",
  "VERSION_MISMATCH",
  "PERMISSION_DENIED",
]);

/** Removes the names of this user's pools that nobody alive has, or only finds them. */
export function prune(dir: string, dryRun: boolean): string[] {
  return namesIn(dir, "BufferPool.prune()").filter((name) => {
    const result = native.xmem_bun_prune(cString(dir), cString(name), Number(dryRun));
    if (result >= 0) return result === 1;
    if (!validate.isPoolName(name) || leftAlone.has(codeOf(result))) return false;
    throw openFailure(result, "BufferPool.prune()", name, dir);
  });
}

function infoOf(dir: string, name: string, trust: Trust): PoolInfo | null {
  const path = join(dir, prefix + name);
  const broken = { capacity: 0, bufferSize: 0, committedBytes: 0, participants: 0 };
  const descriptor = native.xmem_bun_observe(cString(dir), cString(name), ...trust);
  if (descriptor < 0) {
    const error = openFailure(descriptor, "BufferPool.list()", name, dir);
    // Of the entry itself: anybody can put a link to nowhere, or to itself, where pools are.
    const status = lstatSync(path, { throwIfNoEntry: false });
    // It vanished between the two looks.
    if (status === undefined) return null;
    const { size, birthtime: createdAt } = status;
    return { name, path, size, ...broken, createdAt, problem: `${error.code}: ${error.message}` };
  }
  try {
    const info = float64s(constants.INFO_COUNT);
    native.xmem_bun_info(descriptor, info);
    const { committedBytes, participants } = statsOf(descriptor);
    return {
      name,
      path,
      size: info[constants.INFO_TOTAL_SIZE] ?? 0,
      capacity: info[constants.INFO_CAPACITY] ?? 0,
      bufferSize: info[constants.INFO_BUFFER_SIZE] ?? 0,
      committedBytes,
      participants: participants.filter(({ alive }) => alive).length,
      // What nobody checked at the open: a later date than there is would be no date at all.
      createdAt: new Date(Math.min(info[constants.INFO_CREATED_AT] ?? 0, latestDate)),
    };
  } finally {
    native.xmem_bun_unobserve(descriptor);
  }
}
