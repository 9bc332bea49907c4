// With XMEM_TRACE=1 a process publishes which buffers it holds, and where it acquired them, in memory
// that it alone writes. Other processes of its user read it by way of /proc: it answers also while
// the process is busy, blocked or stopped, and it is gone with the process.

import { closeSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import * as constants from "../generated/constants.gen.ts";
import { native } from "../native/native.ts";
import { bytes, decodeText } from "../native/scratch.ts";

/** A hold, as the process says that has it. */
export interface PublishedHold {
  /** The pool and the row: `Session.participant`. */
  readonly participant: string;
  readonly handle: number;
  /** Unix time in milliseconds. */
  readonly since: number;
  /** Frames, the innermost first. */
  readonly stack: string[];
}

/** The frames of a stack, as an error has it. */
export function linesOf(stack: string): string[] {
  return stack === "" ? [] : stack.split("\n").map((line) => line.trim().replace(/^at /, ""));
}

const encoder = new TextEncoder();

/** Returns the number by which it is taken back; -1 where it could not be published. */
export function publish(hold: PublishedHold): number {
  let { stack } = hold;
  while (true) {
    const encoded = encoder.encode(JSON.stringify({ ...hold, stack }));
    if (encoded.length <= constants.TRACE_TEXT_BYTES) {
      const copy = bytes(encoded.length);
      copy.set(encoded);
      return native.xmem_bun_trace_put(copy, copy.length);
    }
    if (stack.length === 0) return -1;
    // What is too long loses its outermost frames.
    stack = stack.slice(0, Math.floor(stack.length / 2));
  }
}

export function takeBack(record: number): void {
  if (record > 0) native.xmem_bun_trace_drop(record);
}

/** What a process publishes; nothing where it does not, or where it cannot be looked at. */
export function publishedBy(pid: number): PublishedHold[] {
  const folder = `/proc/${pid}/fd`;
  try {
    for (const fd of readdirSync(folder)) {
      const found = readFrom(`${folder}/${fd}`, pid);
      if (found !== null) return found;
    }
  } catch {
    // It ended, or it is another user's.
  }
  return [];
}

/** Null for what is not that memory of that process. */
function readFrom(path: string, pid: number): PublishedHold[] | null {
  if (!readlinkOf(path).startsWith("/memfd:xmem.trace")) return null;
  const file = openSync(path, "r");
  try {
    const title = new Uint32Array(new ArrayBuffer(8));
    readSync(file, title, 0, 8, 0);
    const [owner, end = 0] = title;
    if (owner !== pid) return null;
    const size = constants.TRACE_RECORD_BYTES;
    const all = Buffer.alloc(Math.min(end, constants.TRACE_RECORDS) * size);
    readSync(file, all, 0, all.length, 0);
    const records = Array.from({ length: Math.max(end - 1, 0) }, (_, place) =>
      all.subarray((place + 1) * size, (place + 2) * size),
    );
    return records.flatMap((record) => parsed(record) ?? []);
  } finally {
    closeSync(file);
  }
}

function readlinkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // It was closed meanwhile.
  }
}

function parsed(record: Buffer): PublishedHold | null {
  if (record.length === 0) return null;
  const length = record.readUInt32LE(0);
  if (length === 0 || length > constants.TRACE_TEXT_BYTES) return null;
  try {
    return JSON.parse(decodeText(record.subarray(4, 4 + length)));
  } catch {
    return null; // It changed while it was read.
  }
}
