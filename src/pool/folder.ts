// The folder of pools, seen from outside: which there are, what each looks like, and which of them
// nobody has open any more. A look takes no row of a pool, starts no recovery and writes nothing.

import { lstatSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Trust } from "../arguments/options.ts";
import { isPoolName } from "../arguments/validate.ts";
import { codeOf, make, type XmemError } from "../errors/error.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { native } from "../native/native.ts";
import { cString, float64s } from "../native/scratch.ts";
import { nativeError } from "../native/system_error.ts";
import type { Measured } from "./metrics.ts";
import { statsOf, sumsOf } from "./statistics.ts";

/**
 * A pool as `BufferPool.list` sees it. Of a broken one only `name`, `path`, `size` and `createdAt`
 * are known, the other numbers are 0, and `problem` is set.
 */
export interface PoolInfo {
  /** The name that opens it. */
  name: string;
  /** The path of its file. */
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

/**
 * /dev/shm, or the folder that XMEM_DIR names at the time of the call; a later chdir changes
 * nothing.
 */
export function poolDirectory(): string {
  return resolve(process.env["XMEM_DIR"] || "/dev/shm");
}

/** The error of a call that opens, observes or removes a pool by name. */
export function openFailure(code: number, tried: string, name: string, dir: string): XmemError {
  const what = `${tried} of pool "${name}" in ${dir}`;
  return nativeError(code, what, dir);
}

/** Opens a pool as an observer, for `seen`. */
export function observe(tried: string, dir: string, name: string, trust: Trust): Descriptor {
  const descriptor = native.xmem_bun_observe(cString(dir), cString(name), ...trust);
  if (descriptor < 0) throw openFailure(descriptor, tried, name, dir);
  return descriptor;
}

/** What an observer sees; it ends with that. */
export function seen<What>(descriptor: Descriptor, look: (descriptor: Descriptor) => What): What {
  try {
    return look(descriptor);
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

/** The numbers of one pool, or without a name of all of them; those that vanish are left out. */
export function measured(
  tried: string,
  dir: string,
  only: string | undefined,
  trust: Trust,
): Measured[] {
  if (only !== undefined) {
    return [{ name: only, stats: seen(observe(tried, dir, only, trust), statsOf) }];
  }
  return namesIn(dir, tried).flatMap((name) => {
    const descriptor = native.xmem_bun_observe(cString(dir), cString(name), ...trust);
    if (descriptor >= 0) return { name, stats: seen(descriptor, statsOf) };
    return codeOf(descriptor) === "POOL_NOT_FOUND" ? [] : { name, stats: null };
  });
}

/** Failures that a prune passes over: the pool is broken, another user's, or in use by now. */
const leftAlone: ReadonlySet<string> = new Set([
  "POOL_NOT_FOUND",
  "POOL_CORRUPT",
  "POOL_BUSY",
  "VERSION_MISMATCH",
  "PERMISSION_DENIED",
]);

/**
 * Removes the names of this user's pools that no live participant has open; `dryRun` only finds
 * them, and `only` is the only name that is looked at.
 */
export function prune(dir: string, dryRun: boolean, only: string | null): string[] {
  const names = only === null ? namesIn(dir, "BufferPool.prune()") : [only];
  return names.filter((name) => {
    const result = native.xmem_bun_prune(cString(dir), cString(name), Number(dryRun));
    if (result >= 0) return result === 1;
    if (!isPoolName(name) || leftAlone.has(codeOf(result))) return false;
    throw openFailure(result, "BufferPool.prune()", name, dir);
  });
}

function infoOf(dir: string, name: string, trust: Trust): PoolInfo | null {
  const path = join(dir, prefix + name);
  const broken = { capacity: 0, bufferSize: 0, committedBytes: 0, participants: 0 };
  const descriptor = native.xmem_bun_observe(cString(dir), cString(name), ...trust);
  if (descriptor < 0) {
    const error = openFailure(descriptor, "BufferPool.list()", name, dir);
    // The entry itself is looked at: it may be a link that leads nowhere, or to itself.
    const status = lstatSync(path, { throwIfNoEntry: false });
    // It vanished between the two looks.
    if (status === undefined) return null;
    const { size, birthtime: createdAt } = status;
    return { name, path, size, ...broken, createdAt, problem: `${error.code}: ${error.message}` };
  }
  try {
    const info = float64s(constants.INFO_COUNT);
    native.xmem_bun_info(descriptor, info);
    const { committedBytes, alive } = sumsOf(descriptor);
    return {
      name,
      path,
      size: info[constants.INFO_TOTAL_SIZE] ?? 0,
      capacity: info[constants.INFO_CAPACITY] ?? 0,
      bufferSize: info[constants.INFO_BUFFER_SIZE] ?? 0,
      committedBytes,
      participants: alive,
      // The open does not check this number, and a Date holds nothing beyond `latestDate`.
      createdAt: new Date(Math.min(info[constants.INFO_CREATED_AT] ?? 0, latestDate)),
    };
  } finally {
    native.xmem_bun_unobserve(descriptor);
  }
}
