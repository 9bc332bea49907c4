// Identifies a thread, so that another process can tell later whether it is gone: ids are used
// again, and the time at which a thread began tells two of the same id apart.

import { readFileSync, readlinkSync } from "node:fs";

export interface ThreadId {
  pid: number;
  tid: number;
  /** In clock ticks since the machine began. */
  start: number;
}

/** PF_EXITING: set before the kernel marks the thread's mutexes, long before /proc forgets it. */
const exiting = 0x4;

export function currentThread(): ThreadId {
  const [pid = 0, , tid = 0] = readlinkSync("/proc/thread-self").split("/").map(Number);
  const found = statusOf(pid, tid);
  if (found === null) throw new Error("this thread is not in /proc");
  return { pid, tid, start: found.start };
}

function isGone(thread: ThreadId): boolean {
  const found = statusOf(thread.pid, thread.tid);
  return found === null || found.start !== thread.start || found.ending;
}

/**
 * Waits for a thread that is said to be gone: a terminated Worker's is, for the pool, a moment before
 * the kernel knows. False: it lives on.
 */
export function isGoneSoon(thread: ThreadId, patienceMs: number): boolean {
  const deadline = performance.now() + patienceMs;
  while (!isGone(thread)) {
    if (performance.now() > deadline) return false;
    Bun.sleepSync(5);
  }
  return true;
}

function statusOf(pid: number, tid: number): { start: number; ending: boolean } | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/task/${tid}/stat`, "utf8");
  } catch {
    return null;
  }
  // The name in brackets may contain anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state = ""] = fields;
  const flags = Number(fields[6]);
  return { start: Number(fields[19]), ending: "ZX".includes(state) || (flags & exiting) !== 0 };
}
